"""The process of evcxr_jupyter: how it is started, and how it ends with all that it started."""

import collections
import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import psutil
from jupyter_client.connect import write_connection_file

from . import marks, workspace

# Reads until this process ends, however it ends; then nothing of the kernel is left: evcxr, the cells' process and
# their compilers share a process group.
GUARD = 'read _; kill -s KILL -- "-$0" 2>/dev/null; rm -rf -- "$1"'


def tool_path() -> str:
    """Where tools are looked for: the environment of this Python first, although Jupyter may have been started
    without activating it; cargo's folder last. evcxr would rather ask rustup than take the `rustc` of a conda
    environment, so rustup is hidden from it there."""
    own = Path(sys.executable).parent
    cargo_home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    folders = [own, *map(Path, os.environ.get("PATH", os.defpath).split(os.pathsep)), cargo_home / "bin"]
    if (own / "rustc").exists():
        folders = [folder for folder in folders if not (folder / "rustup").exists()]
    return os.pathsep.join(map(str, folders))


def find_tools() -> Path:
    """The path of evcxr_jupyter, after everything that it needs was found. Exits with what is missing."""
    os.environ["PATH"] = tool_path()
    evcxr = find("evcxr_jupyter", "run `make setup`, or `cargo install --locked evcxr_jupyter`")
    find("cargo", "install Rust from https://rustup.rs, or conda-forge's `rust`")
    find("rustc", "install Rust from https://rustup.rs, or conda-forge's `rust`")
    return evcxr


def find(tool: str, remedy: str) -> Path:
    path = shutil.which(tool)
    if path is None:
        raise SystemExit(f"digit-gan kernel: {tool} not found: {remedy}")
    return Path(path)


class Process:
    """A running evcxr_jupyter. `clone` is the digit-gan clone around the notebook, if there is one."""

    def __init__(self, evcxr: Path, clone: Path | None):
        token = secrets.token_hex(8)
        self.folder = Path(tempfile.mkdtemp(prefix="digit-gan-kernel-"))
        self.flag = self.folder / "interrupt"  # exists while a cell is asked to end
        self.prefix = f"\x1b]digit-gan;{token};"
        home, lock = workspace.acquire(clone) if clone else (self.folder, None)
        self.source = home.resolve() / "ctx" / "src" / "lib.rs"  # what evcxr makes of a cell
        self.source.parent.mkdir(parents=True, exist_ok=True)
        self.marks = marks.Script(home.resolve() / "rustc", self.prefix)
        file, self.connection = write_connection_file(str(self.folder / "connection.json"), key=secrets.token_hex(32).encode())
        environment = os.environ | {
            "DIGIT_GAN_LIVE": token,
            "DIGIT_GAN_INTERRUPT": str(self.flag),
            "EVCXR_TMPDIR": str(self.source.parent.parent),
            "RUSTC_WORKSPACE_WRAPPER": str(self.marks.path),
            # evcxr's allocator would ask for huge pages: clearing them takes a tenth of a start's time.
            "MIMALLOC_ALLOW_THP": "0",
            # Pages of 2 MiB for all that cells allocate: a training step is 3 to 9% faster.
            "GLIBC_TUNABLES": ":".join(["glibc.malloc.hugetlb=1", *filter(None, [os.environ.get("GLIBC_TUNABLES")])]),
            **standard_library(),
        }
        self.evcxr = evcxr
        command = [str(evcxr), "--control_file", file]
        kept = () if lock is None else (lock,)
        log = {"stdout": 2, "stderr": subprocess.PIPE}  # the server's; stdout may be what nbconvert writes to
        self.popen = subprocess.Popen(command, env=environment, pass_fds=kept, start_new_session=True, **log)
        guard = ["sh", "-c", GUARD, str(self.popen.pid), str(self.folder)]
        self.guard = subprocess.Popen(guard, stdin=subprocess.PIPE, start_new_session=True)
        if lock is not None:
            os.close(lock)  # evcxr and its children hold it now
        self.last_words = collections.deque(maxlen=20)
        threading.Thread(target=self.pass_log_on, daemon=True).start()

    def pass_log_on(self) -> None:
        """evcxr's own messages belong into the server's log."""
        for line in self.popen.stderr:
            self.last_words.append(line.decode(errors="replace"))
            with contextlib.suppress(OSError):
                os.write(2, line)

    def stop_compiling(self) -> bool:
        """Ends the compilers that evcxr runs, but not the cells' process, which is evcxr's own program."""
        stopped = False
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(self.popen.pid).children():
                if Path(child.exe()).resolve() != self.evcxr.resolve():
                    for process in [child, *child.children(recursive=True)]:
                        with contextlib.suppress(psutil.NoSuchProcess):
                            process.kill()
                            stopped = True
        return stopped

    def close(self) -> None:
        """Ends the process and all its children, and removes its folder."""
        self.guard.stdin.close()
        self.guard.wait()
        self.popen.wait()


def standard_library() -> dict[str, str]:
    """Tells the loader where Rust's libstd lies: the relative run path in a cell's library does not, when workspace
    and toolchain share a parent folder, for rustc reckons it from deps/, one folder below where evcxr loads from."""
    libraries = subprocess.run(["rustc", "--print", "target-libdir"], capture_output=True, text=True, check=True).stdout
    name = "DYLD_FALLBACK_LIBRARY_PATH" if sys.platform == "darwin" else "LD_LIBRARY_PATH"
    return {name: os.pathsep.join(filter(None, (libraries.strip(), os.environ.get(name))))}
