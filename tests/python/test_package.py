"""The crate as a registry hands it out: packaged, unpacked away from the clone, and compiled there."""

import os
import subprocess
import tarfile
import time
from pathlib import Path

from rust_kernel import ROOT


def cargo(*arguments: str | Path, **options) -> None:
    done = subprocess.run(["cargo", *arguments], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stderr


def as_new(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
    """Packed files are dated 2006: cargo would take what it compiled from an earlier package for theirs."""
    return tarfile.data_filter(member, folder).replace(mtime=time.time())


def test_the_package_is_complete_and_builds_by_itself(tmp_path):
    cargo("package", "-p", "digit-gan", "--offline", "--no-verify", "--allow-dirty", "--target-dir", tmp_path, cwd=ROOT)
    (archive,) = (tmp_path / "package").glob("digit-gan-*.crate")
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter=as_new)
    package = tmp_path / archive.stem
    for name in ("LICENSE-MIT", "LICENSE-APACHE", "README.md", "assets/DejaVuSans-LICENSE.txt"):
        assert (package / name).read_text(), name

    # With the clone's profiles and target directory, its compiled dependencies serve here too.
    _, profile, rest = (ROOT / "Cargo.toml").read_text().partition("[profile.dev]")
    with (package / "Cargo.toml").open("a") as manifest:
        manifest.write(f"\n{profile}{rest}")
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    cargo("check", "--locked", "--lib", "--bins", "--examples", "--features", "cli", "--target-dir", target, cwd=package)


def test_binder_finds_the_environment_and_the_kernel_beside_it():
    binder = ROOT / "binder"
    assert (binder / "environment.yml").samefile(ROOT / "environment.yml")
    assert "- ./kernel" in (binder / "environment.yml").read_text()
    assert (binder / "kernel" / "pyproject.toml").samefile(ROOT / "kernel" / "pyproject.toml")
    assert os.access(binder / "postBuild", os.X_OK)
    subprocess.run(["bash", "-n", binder / "postBuild"], check=True)
