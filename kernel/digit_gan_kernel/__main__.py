"""`python -m digit_gan_kernel <connection file>` starts a kernel; `python -m digit_gan_kernel warm` compiles ahead."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from . import workspace


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


def start(connection_file: str) -> None:
    os.environ["PATH"] = tool_path()
    evcxr = find("evcxr_jupyter", "run `make setup`, or `cargo install --locked evcxr_jupyter`")
    find("cargo", "install Rust from https://rustup.rs, or conda-forge's `rust`")
    find("rustc", "install Rust from https://rustup.rs, or conda-forge's `rust`")
    clone = workspace.find_clone(Path.cwd())
    if clone is not None:
        private, descriptor = workspace.acquire(clone, Path(evcxr))
        os.set_inheritable(descriptor, True)
        os.environ["EVCXR_TMPDIR"] = str((private / "ctx").resolve())
        find_standard_library()
    os.execv(evcxr, [evcxr, "--control_file", connection_file])


def find_standard_library() -> None:
    """Tells the loader where Rust's libstd lies: the relative run path in a cell's library does not, when workspace
    and toolchain share a parent folder, for rustc reckons it from deps/, one folder below where evcxr loads from."""
    libraries = subprocess.run(["rustc", "--print", "target-libdir"], capture_output=True, text=True, check=True).stdout
    name = "DYLD_FALLBACK_LIBRARY_PATH" if sys.platform == "darwin" else "LD_LIBRARY_PATH"
    os.environ[name] = os.pathsep.join(filter(None, (libraries.strip(), os.environ.get(name))))


def find(tool: str, remedy: str) -> str:
    path = shutil.which(tool)
    if path is None:
        raise SystemExit(f"digit-gan kernel: {tool} not found: {remedy}")
    return path


def main() -> None:
    try:
        match sys.argv[1:]:
            case ["warm"]:
                from .warm import warm  # what it imports would cost every kernel start some tenths of a second

                warm()
            case [connection_file]:
                start(connection_file)
            case _:
                raise SystemExit(__doc__)
    except OSError as error:
        raise SystemExit(f"digit-gan kernel: {error}: free some disk space or mend the permissions, then start again")
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"digit-gan kernel: {error}: {error.stderr.strip()}")


if __name__ == "__main__":
    main()
