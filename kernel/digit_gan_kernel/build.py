"""`python -m digit_gan_kernel.build` compiles what cells link, before there is an evcxr to run them.

It calls cargo as evcxr does, in a workspace of the kernels, so that evcxr finds everything compiled. Where the two
calls differ one day, nothing breaks: evcxr compiles once more. Standard library only; the set-up runs it first.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from . import workspace


def build(clone: Path) -> None:
    """Compiles the crate and its dependencies into the workspace that the next kernel takes.

    Raises `SystemExit` with cargo's status when that fails; cargo has said why on stderr."""
    private, descriptor = workspace.acquire(clone)
    try:
        command = ["cargo", "build", "--features", "digit-gan", "--target", host()]
        status = subprocess.run(command, cwd=private / "pin", env=os.environ | cargo_variables(private)).returncode
    finally:
        os.close(descriptor)
    if status != 0:
        raise SystemExit(status)


def cargo_variables(private: Path) -> dict[str, str]:
    """What evcxr sets for its cargo (`cargo_command` in its eval_context.rs): other flags would be another build."""
    flags = ["-Cprefer-dynamic"]
    if sys.platform != "darwin" and shutil.which("lld") and not shutil.which("mold"):
        flags.append("-Clink-arg=-fuse-ld=lld")
    target = str(private / "ctx" / "target")
    return {"CARGO_TARGET_DIR": target, "CARGO_BUILD_BUILD_DIR": target, "RUSTFLAGS": " ".join(flags)}


def host() -> str:
    answer = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    return re.search(r"^host: (.+)$", answer, re.M)[1]


if __name__ == "__main__":
    found = workspace.find_clone(Path.cwd())
    if found is None:
        raise SystemExit("digit-gan kernel: no digit-gan clone here: change into it first")
    build(found)
