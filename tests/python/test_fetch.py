"""`digit-gan fetch` against a local server that speaks the protocol of the Hugging Face hub."""

import gzip
import io
import os
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MNIST = Path(os.environ.get("MNIST_DIR") or "/nonexistent")
NAMES = [f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
PREFIX = "/datasets/ylecun/mnist/resolve/refs%2Fconvert%2Fparquet/mnist/"

pytestmark = pytest.mark.skipif(not os.environ.get("MNIST_DIR"), reason="MNIST_DIR is not set: no real files to serve")
pa = pytest.importorskip("pyarrow", reason="pyarrow writes what the hub serves")
pq = pytest.importorskip("pyarrow.parquet")
Image = pytest.importorskip("PIL.Image", reason="pillow encodes the images as the hub does")


def unpacked(folder, name):
    plain = folder / name
    return plain.read_bytes() if plain.exists() else gzip.decompress((folder / f"{name}.gz").read_bytes())


def parquet(part, tamper=False):
    pixels, labels = (unpacked(MNIST, f"{part}-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1"))
    pixels, labels = bytearray(pixels[16:]), list(labels[8:])
    if tamper:
        pixels[784 * 5 + 400] ^= 1
    images = []
    for i in range(len(labels)):
        png = io.BytesIO()
        Image.frombytes("L", (28, 28), bytes(pixels[784 * i : 784 * (i + 1)])).save(png, "PNG", compress_level=1)
        images.append({"bytes": png.getvalue(), "path": None})
    image_type = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(images, image_type), "label": pa.array(labels, pa.int64())})
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


@pytest.fixture(scope="module")
def real():
    return {"test/0000.parquet": parquet("t10k"), "train/0000.parquet": parquet("train")}


@pytest.fixture(scope="module")
def program():
    command = ["cargo", "build", "--quiet", "--release", "--features", "fetch", "--bin", "digit-gan"]
    subprocess.run(command, cwd=ROOT, check=True)
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release/digit-gan"


class Hub:
    """Serves `files`; `trouble(handler, name, body, count)` may answer the count-th GET itself and return True."""

    def __init__(self, files, trouble=lambda *_: False):
        hub, self.gets = self, []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                name = self.path.removeprefix(PREFIX)
                if name not in files:
                    return self.send_error(404)
                if self.command == "GET":
                    hub.gets.append(name)
                    if trouble(self, name, files[name], len(hub.gets)):
                        return
                self.start(files[name])
                if self.command == "GET":
                    self.wfile.write(files[name])

            do_HEAD = do_GET

            def start(self, body):
                self.send_response(200)
                self.send_header("ETag", f'"{hash(body) & 0xFFFFFFFFFFFFFFFF:064x}"')
                self.send_header("X-Repo-Commit", "0123456789" * 4)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def fetch(program, tmp_path):
    """Runs the program; afterwards no temporary folder may be left."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()

    def run(url, folder, *arguments):
        environment = os.environ | {"HF_ENDPOINT": url, "HF_HOME": str(tmp_path / "cache"), "TMPDIR": str(temporary)}
        result = subprocess.run(
            [program, "fetch", folder, *arguments], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300
        )
        print(result.stdout, result.stderr)
        return result

    yield run
    assert list(temporary.iterdir()) == []


def assert_mnist(folder):
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{name}.gz" for name in NAMES)
    for name in NAMES:
        assert unpacked(folder, name) == unpacked(MNIST, name)


def assert_nothing(result, folder, *parts):
    assert result.returncode == 1
    assert not folder.exists() or list(folder.iterdir()) == []
    for part in parts + ("copy MNIST's four IDX files",):
        assert part in result.stderr


def cut(handler, name, body, _count):
    handler.start(body)
    handler.wfile.write(body[: len(body) // 2])
    handler.close_connection = True
    return True


def test_files_equal_the_originals_and_are_kept(fetch, real, tmp_path):
    folder = tmp_path / "data/mnist"
    with Hub(real) as hub:
        result = fetch(hub.url, "data/mnist")
        assert result.returncode == 0
        assert result.stdout.splitlines()[0] == f"Fetching MNIST (18 MB) from {hub.url} into data/mnist"
        assert result.stdout.splitlines()[-1] == "MNIST is in data/mnist"
        assert len(hub.gets) == 2
        assert_mnist(folder)
        again = fetch(hub.url, "data/mnist")
        assert again.returncode == 0 and "already in data/mnist" in again.stdout
        assert len(hub.gets) == 2

        # A file that was damaged since is fetched again.
        damaged = folder / f"{NAMES[0]}.gz"
        damaged.write_bytes(damaged.read_bytes()[:-100])
        assert fetch(hub.url, "data/mnist").returncode == 0
        assert_mnist(folder)
    # The crate reads what was fetched.
    command = ["cargo", "test", "-p", "digit-gan", "--test", "rust", "the_real_mnist_is_read"]
    read = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"MNIST_DIR": str(folder)}, capture_output=True, text=True
    )
    assert read.returncode == 0, read.stderr
    assert "1 passed" in read.stdout


def test_a_download_that_breaks_off_is_tried_again(fetch, real, tmp_path):
    def breaks_once(handler, name, body, count):
        return count == 1 and cut(handler, name, body, count)

    with Hub(real, breaks_once) as hub:
        result = fetch(hub.url, "mnist")
    assert result.returncode == 0
    assert "attempt 1 of 3 failed" in result.stdout
    assert_mnist(tmp_path / "mnist")


def test_a_server_that_is_busy_at_first_is_asked_again(fetch, real, tmp_path):
    def busy(handler, _name, _body, count):
        if count <= 2:
            handler.send_error(503)
        return count <= 2

    with Hub(real, busy) as hub:
        assert fetch(hub.url, "mnist").returncode == 0
    assert_mnist(tmp_path / "mnist")


def test_a_truncated_download_is_named(fetch, real, tmp_path):
    with Hub(real, cut) as hub:
        assert_nothing(fetch(hub.url, "mnist"), tmp_path / "mnist", "could not be fetched")
        assert len(hub.gets) == 3


def test_a_truncated_file_is_named(fetch, real, tmp_path):
    # Complete as a download, but only half of the parquet file.
    files = real | {"train/0000.parquet": real["train/0000.parquet"][: 1 << 20]}
    with Hub(files) as hub:
        assert_nothing(fetch(hub.url, "mnist"), tmp_path / "mnist", "Parquet error")


def test_one_wrong_pixel_is_named_and_does_not_poison_the_next_try(fetch, real, tmp_path):
    with Hub(real | {"test/0000.parquet": parquet("t10k", tamper=True)}) as hub:
        result = fetch(hub.url, "mnist")
        assert_nothing(result, tmp_path / "mnist", "t10k-images-idx3-ubyte is not MNIST's: expected SHA-256 0fa7898d")
    with Hub(real) as hub:
        assert fetch(hub.url, "mnist").returncode == 0
    assert_mnist(tmp_path / "mnist")


def test_a_server_that_falls_silent_is_left(fetch, real, tmp_path):
    def silent(handler, _name, body, _count):
        handler.start(body)
        time.sleep(8)
        handler.close_connection = True
        return True

    with Hub(real, silent) as hub:
        result = fetch(hub.url, "mnist", "--patience", "1")
        assert_nothing(result, tmp_path / "mnist", "nothing arrived for 1 s")


def test_no_network_fails_quickly(fetch, tmp_path):
    start = time.monotonic()
    result = fetch("http://127.0.0.1:9", "mnist")  # the discard port: nobody listens
    assert_nothing(result, tmp_path / "mnist", "could not be fetched", "Check the network")
    assert "attempt" not in result.stdout  # the client has tried to connect several times by itself
    assert time.monotonic() - start < 60


def test_a_wrong_file_of_the_users_is_not_touched(fetch, real, tmp_path):
    folder = tmp_path / "mnist"
    folder.mkdir()
    (folder / NAMES[1]).write_bytes(b"mine")
    with Hub(real) as hub:
        result = fetch(hub.url, "mnist")
        assert result.returncode == 1 and "Move it away first" in result.stderr
        assert hub.gets == []
    assert (folder / NAMES[1]).read_bytes() == b"mine"


def test_a_folder_that_cannot_be_made_is_named(fetch, real, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with Hub(real) as hub:
        result = fetch(hub.url, "file/mnist")
        assert result.returncode == 1 and result.stderr.startswith("cannot write into file/mnist: ")
        assert len(hub.gets) == 2  # not again: it would not help
