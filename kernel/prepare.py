"""Sets everything up for `make`: checks the tools, then fills .venv, installs evcxr, fetches MNIST, compiles.

Standard library only: it runs before anything is installed. Steps run side by side, and each is skipped when its
result is there, so a second call resumes where the first one stopped.
"""

import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import venv
from concurrent.futures import Future
from pathlib import Path
from urllib.parse import urlsplit

import evcxr
import mnist
import uci
from steps import Failed, Step, Steps, Unavailable

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
CARGO_BIN = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo") / "bin"
# Compiler and the evcxr_jupyter that fits it: 0.22 needs 1.95, with which 0.21 infers no types; candle needs 1.94.
EVCXR = (((1, 95), "0.22.0"), ((1, 94), "0.21.1"))
# Every cell waits for evcxr's rust-analyzer, so evcxr keeps opt-level 3. Link-time optimization within each crate is
# off: it is a third of the compilation. The three crates are dependencies of which nothing is linked.
EVCXR_PROFILE = ("profile.release.lto='off'", *(
    f"profile.release.package.{name}.opt-level=0" for name in ("ra_ap_ide_assists", "ra_ap_ide_diagnostics", "ra_ap_ide_ssr")
))
NEEDED_GIB = 6
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def main() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.chdir(ROOT)
    os.environ["PATH"] = os.pathsep.join([str(VENV / "bin"), os.environ.get("PATH", os.defpath), str(CARGO_BIN)])
    tests = "--tests" in sys.argv[1:]
    rustc = check_tools()
    create_venv()
    with Steps() as steps:
        first = [*install_python_tools(steps, tests), *install_evcxr(steps, rustc), *compile_dependencies(steps)]
        others = [*fetch_uci(steps), *(install_browser(steps) if tests else fetch_mnist(steps))]
        steps.finish(*first)
        steps.finish(*others, *try_kernel(steps))


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


def create_venv() -> None:
    if VENV_PYTHON.exists():
        return
    say("creating .venv")
    try:
        venv.create(VENV, with_pip=True, clear=True)
    except (OSError, subprocess.CalledProcessError) as error:
        shutil.rmtree(VENV, ignore_errors=True)
        fail(f"cannot create .venv ({error}): install Python's venv module (`apt-get install python3-venv`)")


def install_python_tools(steps: Steps, tests: bool) -> list[Future]:
    sources = [ROOT / "environment.yml", ROOT / "kernel" / "pyproject.toml"]
    for folder in ("digit_gan_kernel", "jupyter"):
        sources += sorted((ROOT / "kernel" / folder).glob("*.*"))
    wanted = {"tools": (sources, [*python_pins(), "./kernel"])}
    if tests:
        requirements = ROOT / "tests" / "python" / "requirements.txt"
        wanted["test tools"] = ([requirements, ROOT / "site" / "requirements.txt"], ["-r", requirements])
    missing = {name: what for name, what in wanted.items() if not is_done(name, digest(*what[0]))}

    def install(step: Step) -> None:
        for name, (files, packages) in missing.items():
            pip = [VENV_PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            step.run([*pip, *packages], "pip could not install: check the network and the disk, then run it again")
            set_done(name, digest(*files))

    return [steps.start("Python tools", install)] if missing else []


def python_pins() -> list[str]:
    """The packages that environment.yml pins with `==`, as pip writes them."""
    lines = (ROOT / "environment.yml").read_text().splitlines()
    return [f"{m[1]}=={m[2]}" for line in lines if (m := re.match(r"\s*- (\w+) ==([\w.]+)", line))]


def install_evcxr(steps: Steps, rustc: tuple[int, int]) -> list[Future]:
    version = next(version for needed, version in EVCXR if rustc >= needed)
    ready_made = VENV / "bin" / "evcxr_jupyter"
    if shutil.which("evcxr_jupyter") == str(ready_made):
        if is_done("evcxr", version):
            return []
        ready_made.unlink()
    if shutil.which("evcxr_jupyter"):
        installed = re.search(r"^evcxr_jupyter v([\d.]+)", output("cargo", "install", "--list"), re.M)
        # Not listed: it comes from a package manager or was put there by hand, and is taken as it is.
        if installed is None or numbers(installed[1]) >= numbers(version):
            return []

    def install(step: Step) -> None:
        try:
            evcxr.fetch(step, version, ready_made.parent)
            set_done("evcxr", version)
        except Unavailable as reason:
            step.say(f"{reason}; compiling evcxr_jupyter instead")
            compile_evcxr(step, version)

    return [steps.start(f"evcxr_jupyter {version}", install, "minutes where it has to be compiled")]


def compile_evcxr(step: Step, version: str) -> None:
    target = ROOT / "target" / "evcxr"  # kept until it is whole, so that the next call can resume
    # Without --locked it does not compile: its rust-analyzer crates do not fit the newest salsa.
    command = ["cargo", "install", "--locked", "--force", "--target-dir", target, f"evcxr_jupyter@{version}"]
    for setting in EVCXR_PROFILE:
        command += ["--config", setting]
    step.run(command, "evcxr_jupyter could not be installed: check the network, the disk and the messages above, "
             "then run it again")
    shutil.rmtree(target, ignore_errors=True)


def fetch_mnist(steps: Steps) -> list[Future]:
    """MNIST into data/mnist, if it can be had; without it the notebooks draw their own digits."""
    if os.environ.get("MNIST_DIR") or any((ROOT / "data" / "mnist").glob("train-images*")):
        return []
    without = "the notebooks use the built-in digits; set MNIST_DIR to a folder with the four MNIST files to change that"

    def fetch(step: Step) -> None:
        try:
            mnist.fetch(step, ROOT / "data" / "mnist")
        except Unavailable as reason:
            if not hub_answers():
                step.say(f"no MNIST: {reason}; {without}")
                return
            step.say(f"{reason}; compiling the program that fetches MNIST from the Hugging Face hub")
            status, messages = step.call(["cargo", "run", "--release", "--features", "fetch", "--", "fetch"])
            if status != 0:
                step.say("\n".join([*messages, f"no MNIST: the fetch failed (see above); {without}"]))

    return [steps.start("MNIST", fetch)]


def fetch_uci(steps: Steps) -> list[Future]:
    """The digits of notebook 7 into data/uci-digits, if they can be had; without them it uses the built-in digits."""
    folder = ROOT / "data" / "uci-digits"
    if folder.exists():
        return []

    def fetch(step: Step) -> None:
        try:
            uci.fetch(step, folder, VENV_PYTHON)
        except Unavailable as reason:
            step.say(f"no UCI digits: {reason}; notebook 7 uses the built-in digits instead")

    return [steps.start("UCI digits", fetch)]


def hub_answers() -> bool:
    hub = urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    try:
        socket.create_connection((hub.hostname, hub.port or 443), timeout=5).close()
        return True
    except OSError:
        return False


def install_browser(steps: Steps) -> list[Future]:
    """Chromium for the test in JupyterLab, which is skipped without it."""
    if any(map(shutil.which, BROWSERS)):
        return []
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        say(f"no browser ({', '.join(BROWSERS)}): the test in JupyterLab will be skipped")
        return []

    def install(step: Step) -> None:
        for command in (["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", "chromium"]):
            if step.call(command)[0] != 0:
                step.say(f"`{' '.join(command)}` failed: the test in JupyterLab will be skipped")
                return

    return [steps.start("Chromium", install)]


def compile_dependencies(steps: Steps) -> list[Future]:
    if is_done("compiled", dependencies()):
        return []
    command = [sys.executable, "-m", "digit_gan_kernel.build"]
    remedy = "the crate could not be compiled: check the network, the disk and the messages above, then run it again"
    return [steps.start(
        "dependencies", lambda step: step.run(command, remedy, PYTHONPATH=str(ROOT / "kernel")), "minutes the first time"
    )]


def try_kernel(steps: Steps) -> list[Future]:
    """A first cell, in the finished kernel."""
    if is_done("compiled", dependencies()):
        return []

    def first_cell(step: Step) -> None:
        (ROOT / "notebooks").mkdir(exist_ok=True)
        step.run([VENV_PYTHON, "-m", "digit_gan_kernel", "warm"], "the kernel does not start: see above")
        set_done("compiled", dependencies())

    return [steps.start("kernel", first_cell)]


def dependencies() -> str:
    return digest(ROOT / "Cargo.lock") + output("rustc", "--version")


def numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def stamp(step: str) -> Path:
    """The file that says with which input a step was last finished; it lies beside what the step made."""
    return ROOT / "target" / "kernel" / "compiled.stamp" if step == "compiled" else VENV / f"{step.replace(' ', '-')}.stamp"


def is_done(step: str, content: str) -> bool:
    return stamp(step).exists() and stamp(step).read_text() == content


def set_done(step: str, content: str) -> None:
    stamp(step).parent.mkdir(parents=True, exist_ok=True)
    stamp(step).write_text(content)


def digest(*files: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in files if path.is_file())).hexdigest()


def output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def say(line: str) -> None:
    print(f"set-up: {line}", flush=True)


def fail(line: str) -> None:
    raise SystemExit(f"set-up stopped: {line}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        fail("interrupted; the next call resumes from here")
    except Failed as remedy:
        fail(str(remedy))
    except OSError as problem:
        fail(f"{problem}: free some disk space or fix the permissions, then run it again")
    except subprocess.CalledProcessError as problem:
        fail(f"{' '.join(problem.cmd)}: {problem.stderr.strip()}")
