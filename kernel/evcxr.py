"""evcxr_jupyter, ready-made: the binary of its own release page, if its hash is pinned in evcxr.sha256.

evcxr releases one for Linux on x86-64 and one for macOS on arm64. Whatever speaks against it (another platform, no
pinned hash, no network, a wrong hash, a binary that does not run here) leaves the folder as it was.
"""

import hashlib
import io
import os
import platform
import subprocess
import tarfile
import tempfile
from pathlib import Path

from steps import Step, Unavailable

RELEASES = "https://github.com/evcxr/evcxr/releases/download"
PINNED = Path(__file__).with_name("evcxr.sha256")
TARGETS = {("Linux", "x86_64"): "x86_64-unknown-linux-gnu", ("Darwin", "arm64"): "aarch64-apple-darwin"}
LARGEST = 200_000_000  # bytes of an archive; the real ones are about a tenth of it


def fetch(step: Step, version: str, folder: Path) -> None:
    """Puts evcxr_jupyter of exactly this version into `folder`. Raises `Unavailable` with the reason otherwise."""
    target = TARGETS.get((platform.system(), platform.machine()))
    if target is None:
        raise Unavailable(f"evcxr releases no binary for {platform.system()} on {platform.machine()}")
    name = f"evcxr_jupyter-v{version}-{target}"
    pinned = hashes().get(f"{name}.tar.gz")
    if pinned is None:
        raise Unavailable(f"{PINNED.name} has no hash of {name}.tar.gz")
    url = f"{os.environ.get('EVCXR_RELEASES', RELEASES)}/v{version}/{name}.tar.gz"
    archive = step.download(url, LARGEST)
    found = hashlib.sha256(archive).hexdigest()
    if found != pinned:
        raise Unavailable(f"refused {url}: expected SHA-256 {pinned} but found {found}")
    with tempfile.TemporaryDirectory(dir=folder) as draft:  # beside its place: the rename is then atomic
        binary = Path(draft) / "evcxr_jupyter"
        with tarfile.open(fileobj=io.BytesIO(archive)) as content:
            binary.write_bytes(content.extractfile(f"{name}/evcxr_jupyter").read())
        binary.chmod(0o755)
        try:
            subprocess.run([binary, "--help"], check=True, capture_output=True, timeout=60)
        except (OSError, subprocess.SubprocessError) as error:
            raise Unavailable(f"the binary of {url} does not run here (its libc may be newer): {error}") from None
        binary.replace(folder / "evcxr_jupyter")


def hashes() -> dict[str, str]:
    """SHA-256 by the archive's name, out of a file that `sha256sum --check` reads too."""
    lines = (line.split() for line in PINNED.read_text().splitlines() if not line.startswith("#"))
    return {name: digest for digest, name in filter(None, lines)}
