"""`make mnist SET=...`: data sets by name, from a server on this machine."""

import dataclasses
import gzip
import hashlib
import io
import os
import struct
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from rust_kernel import ROOT

sys.path.insert(0, str(ROOT / "kernel"))  # the set-up is no package: it runs before anything is installed
import sets
import steps


def images(count):
    return struct.pack(">4I", 0x803, count, 28, 28) + bytes(784 * count)


def labels(*values):
    return struct.pack(">2I", 0x801, len(values)) + bytes(values)


def rows(*values):
    return struct.pack(">3I", 0xC02, len(values), 8) + b"".join(struct.pack(">8i", value, *range(7)) for value in values)


def content(name):
    """A small file of the right kind for each name."""
    if "images" in name:
        return images(2)
    return rows(3, 4) if "idx2-int" in name else labels(3, 4)


def served(name):
    """The files of a set as its site serves them, by name: small ones."""
    if name == "emnist":
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            for part in [*sets.EMNIST_PARTS, "emnist-byclass-train"]:
                for kind in ("images-idx3-ubyte", "labels-idx1-ubyte"):
                    file.writestr(f"gzip/{part}-{kind}.gz", gzip.compress(content(kind)))
        return {"gzip.zip": archive.getvalue()}
    return {file: gzip.compress(content(file)) for file in sets.SETS[name].files}


@pytest.fixture
def site():
    """A web site of `files`, by path; what it was asked for is in `asked`."""
    files, asked = {}, []

    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            if self.path not in files:
                return self.send_error(404)
            self.send_response(200)
            self.send_header("Content-Length", str(len(files[self.path])))
            self.end_headers()
            self.wfile.write(files[self.path])

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.files, server.asked, server.url = files, asked, f"http://127.0.0.1:{server.server_port}"
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def clone(tmp_path, monkeypatch):
    """A clone without data; the set-up's memory is away from the user's own."""
    monkeypatch.setattr(sets, "ROOT", tmp_path)
    monkeypatch.setattr(steps, "MEMORY", tmp_path / "cache" / "set-up.json")
    return tmp_path


def offer(site, name, monkeypatch):
    """Serves the set from the second of two mirrors, under the hashes of what is served."""
    files = served(name)
    site.files |= {f"/{name}/{file}": body for file, body in files.items()}
    hashes = {file: hashlib.md5(body).hexdigest() for file, body in files.items()}
    monkeypatch.setitem(sets.SETS, name, dataclasses.replace(sets.SETS[name], files=hashes))
    monkeypatch.setenv(sets.variable(name), f"http://127.0.0.1:9/gone {site.url}/{name}")


def fetch(name, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["sets.py", name])
    sets.main()


def test_each_set_is_fetched_by_name_and_read_by_the_crate(site, clone, monkeypatch, capfd):
    for name in sets.SETS:
        offer(site, name, monkeypatch)
        fetch(name, monkeypatch)
        assert f"{sets.SETS[name].name} is in data/{name}" in capfd.readouterr().out
        files = {path.name: gzip.decompress(path.read_bytes()) for path in (clone / "data" / name).iterdir()}
        assert files == {file: content(file) for file in files}
        assert len(files) == (12 if name == "emnist" else 4)
        # Again: nothing to do.
        asked = len(site.asked)
        fetch(name, monkeypatch)
        assert "is there already" in capfd.readouterr().out and len(site.asked) == asked
    assert sorted(path.name for path in (clone / "data").iterdir()) == sorted(sets.SETS)

    command = ["cargo", "test", "--quiet", "-p", "digit-gan", "--test", "rust", "says_what_each_dataset_is", "--",
               "--ignored", "--nocapture"]
    folders = {f"{name.upper().replace('-', '_')}_DIR": str(clone / "data" / name) for name in sets.SETS}
    shown = subprocess.run(command, cwd=ROOT, env=os.environ | folders, capture_output=True, text=True, check=True).stdout
    for line in (
        "2 training images: Fashion-MNIST from FASHION_MNIST_DIR / 10 / Dress Coat",
        "2 test images: KMNIST from KMNIST_DIR / 10 / tsu na",
        "2 training digits: EMNIST digits from EMNIST_DIR / 10 / 3 4",
        "2 test letters: EMNIST letters from EMNIST_DIR / 26 / c d",
        "2 test images: EMNIST balanced from EMNIST_DIR / 47 / 3 4",
        "2 test digits: QMNIST from QMNIST_DIR / 10 / 3 4",
    ):
        assert line in shown


@pytest.mark.parametrize("trouble", ["another pixel", "cut off", "no such file"])
@pytest.mark.parametrize("name", ["kmnist", "emnist"])
def test_what_is_not_it_is_refused_and_leaves_nothing(name, trouble, site, clone, monkeypatch):
    offer(site, name, monkeypatch)
    path = list(site.files)[-1]
    body = site.files[path]
    if trouble == "another pixel":
        site.files[path] = body[:-1] + bytes([body[-1] ^ 1])
    elif trouble == "cut off":
        site.files[path] = body[: len(body) // 2]
    else:
        del site.files[path]
    wanted = "HTTP Error 404" if trouble == "no such file" else f"{sets.SETS[name].name}'s: expected MD5"
    with pytest.raises(SystemExit) as stopped:
        fetch(name, monkeypatch)
    assert wanted in str(stopped.value) and f"{sets.variable(name)} names other mirrors" in str(stopped.value)
    assert list((clone / "data").iterdir()) == []


def test_a_file_too_large_is_left(site, clone, monkeypatch):
    offer(site, "kmnist", monkeypatch)
    monkeypatch.setitem(sets.SETS, "kmnist", dataclasses.replace(sets.SETS["kmnist"], largest=10))
    with pytest.raises(SystemExit, match="is larger than"):
        fetch("kmnist", monkeypatch)


def test_files_of_the_users_are_not_touched(site, clone, monkeypatch, capfd):
    folder = clone / "data" / "kmnist"
    folder.mkdir(parents=True)
    (folder / "mine").write_bytes(b"mine")
    fetch("kmnist", monkeypatch)
    assert "remove it to fetch KMNIST again" in capfd.readouterr().out
    assert (folder / "mine").read_bytes() == b"mine" and site.asked == []


def test_other_names_are_refused(monkeypatch):
    with pytest.raises(SystemExit, match="expected one of mnist, fashion-mnist, kmnist, qmnist, emnist but found cifar"):
        fetch("cifar", monkeypatch)
