"""Sets everything up for `make`: checks the tools, then fills .venv, installs evcxr, fetches MNIST, compiles.

Standard library only: it runs before anything is installed. Each step is skipped when its result is there, so a
second call goes on where the first one stopped.
"""

import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import venv
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
CARGO_BIN = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo") / "bin"
# Compiler and the evcxr_jupyter that fits it: 0.22 needs 1.95, with which 0.21 infers no types; candle needs 1.94.
EVCXR = (((1, 95), "0.22.0"), ((1, 94), "0.21.1"))
NEEDED_GIB = 6
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def main() -> None:
    os.chdir(ROOT)
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), str(CARGO_BIN)])
    tests = "--tests" in sys.argv[1:]
    rustc = check_tools()
    install_python_tools(tests)
    install_evcxr(rustc)
    if tests:
        install_browser()
    else:
        fetch_mnist()
    compile_dependencies()


def check_tools() -> tuple[int, int]:
    """The version of rustc, after everything that the later steps need was found."""
    if sys.version_info < (3, 10):
        fail("Python %d.%d is too old: install 3.10 or newer, and run `make PYTHON=python3.12`" % sys.version_info[:2])
    for tool in ("cargo", "rustc"):
        if shutil.which(tool) is None:
            fail(f"{tool} not found: install Rust from https://rustup.rs")
    answer = output("rustc", "--version")
    version = tuple(int(part) for part in re.search(r"(\d+)\.(\d+)", answer).groups())
    if version < EVCXR[-1][0]:
        fail(f"{answer} is too old: run `rustup update stable` (1.{EVCXR[-1][0][1]} or newer is needed)")
    if not any(shutil.which(tool) for tool in ("cc", "gcc", "clang")):
        fail("no C linker found: install gcc (`apt-get install build-essential`) or Xcode's command line tools")
    free = shutil.disk_usage(ROOT).free / 2**30
    if free < NEEDED_GIB and not stamp("compiled").exists():
        fail(f"{free:.1f} GiB free in {ROOT}: make room, {NEEDED_GIB} GiB are needed")
    return version


def install_python_tools(tests: bool) -> None:
    sources = [ROOT / "environment.yml", *(path for path in sorted(ROOT.glob("kernel/**/*.*")) if path.suffix != ".pyc")]
    requirements = [ROOT / "tests" / "requirements.txt"] if tests else []
    for name, files in (("tools", sources), ("test tools", requirements)):
        done = stamp(name)
        content = digest(*files)
        if not files or (done.exists() and done.read_text() == content):
            continue
        if not VENV_PYTHON.exists():
            say("creating .venv")
            try:
                venv.create(VENV, with_pip=True, clear=True)
            except (OSError, subprocess.CalledProcessError) as error:
                shutil.rmtree(VENV, ignore_errors=True)
                fail(f"cannot create .venv ({error}): install Python's venv module (`apt-get install python3-venv`)")
        say(f"installing the Python {name} into .venv")
        wanted = ["-r", *map(str, files)] if name == "test tools" else [*python_pins(), "./kernel"]
        run([VENV_PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted],
            "pip could not install: check the network and the disk, then run it again")
        done.write_text(content)


def python_pins() -> list[str]:
    """The packages that environment.yml pins with `==`, as pip writes them."""
    lines = (ROOT / "environment.yml").read_text().splitlines()
    return [f"{m[1]}=={m[2]}" for line in lines if (m := re.match(r"\s*- (\w+) ==([\w.]+)", line))]


def install_evcxr(rustc: tuple[int, int]) -> None:
    version = next(version for needed, version in EVCXR if rustc >= needed)
    if shutil.which("evcxr_jupyter"):
        installed = re.search(r"^evcxr_jupyter v([\d.]+)", output("cargo", "install", "--list"), re.M)
        # Not listed: it comes from a package manager or was put there by hand, and is taken as it is.
        if installed is None or numbers(installed[1]) >= numbers(version):
            return
    say(f"installing evcxr_jupyter {version}: takes about 9 minutes on 2 cores")
    # Without --locked it does not compile: its rust-analyzer crates do not fit the newest salsa.
    run(["cargo", "install", "--quiet", "--locked", "--force", f"evcxr_jupyter@{version}"],
        "evcxr_jupyter could not be installed: check the network, the disk and the messages above, then run it again")


def fetch_mnist() -> None:
    """MNIST into data/mnist, if it can be had; without it the notebooks draw their own digits."""
    if os.environ.get("MNIST_DIR") or any((ROOT / "data" / "mnist").glob("train-images*")):
        return
    without = "the notebooks use the built-in digits; set MNIST_DIR to a folder with the four MNIST files to change that"
    hub = urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    try:
        socket.create_connection((hub.hostname, hub.port or 443), timeout=5).close()
    except OSError:
        say(f"no MNIST: {hub.hostname} cannot be reached; {without}")
        return
    say("fetching MNIST: its program is compiled first, about 10 minutes on 2 cores, once")
    command = ["cargo", "run", "--quiet", "--release", "--features", "fetch", "--bin", "fetch-mnist"]
    if subprocess.run(command).returncode != 0:
        say(f"no MNIST: the fetch failed (see above); {without}")


def install_browser() -> None:
    """Chromium for the test in JupyterLab, which is skipped without it."""
    if any(map(shutil.which, BROWSERS)):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        say(f"no browser ({', '.join(BROWSERS)}): the test in JupyterLab will be skipped")
        return
    say("installing Chromium for the test in JupyterLab")
    quietly = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    for command in (["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", "chromium"]):
        if subprocess.run(command, **quietly).returncode != 0:
            say(f"`{' '.join(command)}` failed: the test in JupyterLab will be skipped")
            return


def compile_dependencies() -> None:
    done, content = stamp("compiled"), digest(ROOT / "Cargo.lock") + output("rustc", "--version")
    if done.exists() and done.read_text() == content:
        return
    (ROOT / "notebooks").mkdir(exist_ok=True)
    run([VENV_PYTHON, "-m", "digit_gan_kernel", "warm"], "the kernel does not start: see above")
    done.parent.mkdir(parents=True, exist_ok=True)
    done.write_text(content)


def numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def stamp(step: str) -> Path:
    """The file that says with which input a step was last finished; it lies beside what the step made."""
    return ROOT / "target" / "kernel" / "compiled.stamp" if step == "compiled" else VENV / f"{step.replace(' ', '-')}.stamp"


def digest(*files: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in files if path.is_file())).hexdigest()


def output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def run(command: list, remedy: str) -> None:
    try:
        code = subprocess.run([str(part) for part in command]).returncode
    except OSError as error:
        fail(f"{error}: {remedy}")
    if code != 0:
        fail(remedy)


def say(line: str) -> None:
    print(f"set-up: {line}", flush=True)


def fail(line: str) -> None:
    raise SystemExit(f"set-up stopped: {line}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        fail("interrupted; the next call goes on from here")
    except OSError as problem:
        fail(f"{problem}: free some disk space or mend the permissions, then run it again")
    except subprocess.CalledProcessError as problem:
        fail(f"{' '.join(problem.cmd)}: {problem.stderr.strip()}")
