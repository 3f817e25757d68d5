"""MNIST from the mirrors that PyTorch and TensorFlow use: the four IDX files as they are, so nothing is compiled.

sets.py fetches them, and other sets, by name.
"""

import hashlib
import os
import re
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

from steps import Step, Unavailable

MIRRORS = "https://ossci-datasets.s3.amazonaws.com/mnist https://storage.googleapis.com/cvdf-datasets/mnist"
PROGRAM = Path(__file__).parent.parent / "crate" / "src" / "bin" / "digit-gan" / "fetch" / "hub.rs"  # knows the names and hashes
LARGEST = 20_000_000  # bytes of a file; the largest has 10 million


def fetch(step: Step, folder: Path) -> None:
    """Puts the four files into `folder`, all or none. Raises `Unavailable` when no mirror has them."""
    from_first(os.environ.get("MNIST_MIRRORS", MIRRORS), lambda mirror: fetch_from(step, mirror, folder))


def from_first(mirrors: str, fetch_one: Callable[[str], None]) -> None:
    """Tries the mirrors in turn. Raises `Unavailable` with all reasons when none has the files."""
    reasons = []
    for mirror in mirrors.split():
        try:
            return fetch_one(mirror)
        except Unavailable as reason:
            reasons.append(str(reason))
    raise Unavailable("; ".join(reasons))


def fetch_from(step: Step, mirror: str, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as draft:
        for name, expected in files().items():
            packed = step.download(f"{mirror}/{name}.gz", LARGEST)
            found = hashlib.sha256(unpack(packed)).hexdigest()
            if found != expected:
                raise Unavailable(f"{mirror}/{name}.gz is not MNIST's: expected SHA-256 {expected} but found {found}")
            (Path(draft) / f"{name}.gz").write_bytes(packed)
        folder.mkdir(exist_ok=True)
        for path in Path(draft).iterdir():
            path.replace(folder / path.name)


def files() -> dict[str, str]:
    """SHA-256 of the unpacked files, by name."""
    return dict(re.findall(r'"([\w-]+-ubyte)",\s*"([0-9a-f]{64})"', PROGRAM.read_text()))


def unpack(packed: bytes) -> bytes:
    """The content of a gzip file, whose hash then says whether it is whole; what follows 100 MB is cut off."""
    try:
        return zlib.decompressobj(wbits=31).decompress(packed, 100_000_000)
    except zlib.error:
        return b""
