"""Fetches a data set by name into data/, from the places that PyTorch and TensorFlow fetch it from: `make mnist SET=kmnist`.

Standard library only. A file is kept if its MD5 is the one that torchvision lists for it: that tells a damaged or another
file from the right one.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mnist
from steps import Failed, Step, Steps, Unavailable

ROOT = Path(__file__).resolve().parent.parent
EMNIST_PARTS = [f"emnist-{of}-{split}" for of in ("digits", "letters", "balanced") for split in ("train", "test")]


@dataclass(frozen=True)
class Set:
    name: str
    mirrors: str  # folders, or the addresses of an archive
    files: dict[str, str]  # the MD5 of each file as it is served
    largest: int = 60_000_000  # bytes of a file
    kept: Callable[[Path, Path], None] = lambda file, folder: file.replace(folder / file.name)


def keep_digits_and_letters(archive: Path, folder: Path) -> None:
    """Unpacks, from EMNIST's archive, the files of the parts that the crate knows."""
    with zipfile.ZipFile(archive) as content:
        for part in EMNIST_PARTS:
            for kind in ("images-idx3", "labels-idx1"):
                name = f"{part}-{kind}-ubyte.gz"
                (folder / name).write_bytes(content.read(f"gzip/{name}"))


SETS = {
    "fashion-mnist": Set(
        "Fashion-MNIST",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com "
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets",
        {
            "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
        },
    ),
    "kmnist": Set(
        "KMNIST",
        "http://codh.rois.ac.jp/kmnist/dataset/kmnist",
        {
            "train-images-idx3-ubyte.gz": "bdb82020997e1d708af4cf47b453dcf7",
            "train-labels-idx1-ubyte.gz": "e144d726b3acfaa3e44228e80efcd344",
            "t10k-images-idx3-ubyte.gz": "5c965bf0a639b31b8f53240b1b52f4d7",
            "t10k-labels-idx1-ubyte.gz": "7320c461ea6c1c855c0b718fb2a4b134",
        },
    ),
    "qmnist": Set(
        "QMNIST",
        "https://raw.githubusercontent.com/facebookresearch/qmnist/master",
        {
            "qmnist-train-images-idx3-ubyte.gz": "ed72d4157d28c017586c42bc6afe6370",
            "qmnist-train-labels-idx2-int.gz": "0058f8dd561b90ffdd0f734c6a30e5e4",
            "qmnist-test-images-idx3-ubyte.gz": "1394631089c404de565df7b7aeaf9412",
            "qmnist-test-labels-idx2-int.gz": "5b5b05890a5e13444e108efe57b788aa",
        },
    ),
    "emnist": Set(
        "EMNIST",
        "https://biometrics.nist.gov/cs_links/EMNIST https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST",
        {"gzip.zip": "58c8d27c78d21e728a6bc7b3cc06412e"},
        largest=700_000_000,
        kept=keep_digits_and_letters,
    ),
}


def main() -> None:
    name, *rest = sys.argv[1:] or ["mnist"]
    if rest or name not in ("mnist", *SETS):
        raise SystemExit(f"expected one of mnist, {', '.join(SETS)} but found {' '.join(sys.argv[1:])}")
    folder = ROOT / "data" / name
    title = "MNIST" if name == "mnist" else SETS[name].name
    if folder.exists() and any(folder.iterdir()):
        print(f"data/{name} is there already: remove it to fetch {title} again")
        return
    fetch_it = (lambda step: mnist.fetch(step, folder)) if name == "mnist" else (lambda step: fetch(step, name, folder))
    try:
        with Steps() as steps:
            steps.finish(steps.start(title, fetch_it))
    except Unavailable as reason:
        if name != "mnist":
            raise SystemExit(
                f"{title} could not be fetched: {reason}\nCheck the network; {variable(name)} names other mirrors. Or copy "
                f"its IDX files, plain or .gz, into data/{name}."
            ) from None
        print(f"{reason}; compiling the program that fetches MNIST from the Hugging Face hub")
        raise SystemExit(subprocess.call(
            ["cargo", "run", "--quiet", "--release", "--features", "fetch", "--", "fetch"], cwd=ROOT
        )) from None
    except Failed as remedy:
        raise SystemExit(f"{title}: {remedy}") from None
    print(f"{title} is in data/{name}")


def fetch(step: Step, name: str, folder: Path) -> None:
    """Puts the set's files into `folder`, all or none. Raises `Unavailable` when no mirror has them."""
    mirrors = os.environ.get(variable(name), SETS[name].mirrors)
    mnist.from_first(mirrors, lambda mirror: fetch_from(step, mirror, SETS[name], folder))


def fetch_from(step: Step, mirror: str, wanted: Set, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as drafts:
        fetched, kept = Path(drafts) / "fetched", Path(drafts) / "kept"
        fetched.mkdir()
        kept.mkdir()
        for name, expected in wanted.files.items():
            url, file = f"{mirror}/{name}", fetched / name
            found = hashlib.md5(usedforsecurity=False)
            with file.open("wb") as draft:
                for chunk in step.chunks(url, wanted.largest):
                    found.update(chunk)
                    draft.write(chunk)
            if found.hexdigest() != expected:
                raise Unavailable(f"{url} is not {wanted.name}'s: expected MD5 {expected} but found {found.hexdigest()}")
            wanted.kept(file, kept)
        kept.replace(folder)  # an empty folder may be there


def variable(name: str) -> str:
    """The environment variable that names mirrors: FASHION_MNIST_MIRRORS."""
    return f"{name.upper().replace('-', '_')}_MIRRORS"


if __name__ == "__main__":
    main()
