"""Private cargo workspaces: one per running kernel, handed on from kernel to kernel.

    <clone>/target/kernel/<toolchain>/0/    the workspace of one kernel; 1/, 2/ ... when several run at once
        lock        held (flock) by the kernel and all its children, and so freed even by a kill -9
        Cargo.toml  the workspace: its profile wins over the one that evcxr writes into ctx/Cargo.toml
        Cargo.lock  a copy of the clone's
        pin/        may depend on digit-gan, so that cargo keeps the lock file's entries while ctx has no `:dep` yet; only if
                asked to, so that evcxr's rust-analyzer does not load it before its time
        ctx/        EVCXR_TMPDIR: evcxr's generated crate and its target directory

A kernel takes a free workspace; when all are taken, it copies one, hard-linking what rustc compiled. A kernel
killed while compiling leaves a workspace in which cargo resumes. There is nothing to install, to refresh or to
invalidate: cargo decides what has to be compiled again.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

MANIFEST = """\
[workspace]
members = ["ctx", "pin"]
resolver = "3"

# What a release build uses, except that cells still compile fast: incremental, and no link-time optimisation.
[profile.dev]
opt-level = 3
debug = false
strip = "debuginfo"
debug-assertions = false
overflow-checks = false
codegen-units = 16
incremental = true
panic = "unwind"
rpath = true

# Incremental compilation leaves out the optimisation across a crate's parts that a release build has.
[profile.dev.package.digit-gan]
incremental = false
"""
PACKAGE = '[package]\nname = "{name}"\nversion = "1.0.0"\nedition = "2024"\n[dependencies]\n{dependencies}\n'
KEPT_TOOLCHAINS = 3  # who alternates between compilers compiles once for each
KEPT_FREE = 3  # workspaces kept for kernels to come; more pile up only after many kernels at once


def find_clone(start: Path) -> Path | None:
    """The digit-gan clone around `start`: where the notebook lies decides, not where this package lies."""
    for folder in (start, *start.parents):
        manifest = folder / "crate" / "Cargo.toml"
        if (folder / "Cargo.toml").is_file() and manifest.is_file() and 'name = "digit-gan"' in manifest.read_text():
            return folder
    return None


def acquire(clone: Path) -> tuple[Path, int]:
    """A workspace that is this process's alone, and the descriptor of its lock: the lock lasts as long as any
    process that inherited the descriptor."""
    pool = pool_of(clone)
    home = pool / toolchain_key()
    home.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        held.callback(os.close, lock(pool / "lock", wait=True))
        remove_old_toolchains(pool, home)
        workspace, descriptor = take_free(home, newest=True) or copy_running(home) or take_free(home) or add(home)
        reset(workspace, clone)
        return workspace, descriptor


def pool_of(clone: Path) -> Path:
    """Where the workspaces of a clone lie: inside it, unless its path has a space, which evcxr cannot load from."""
    elsewhere = Path.home() / ".cache" / "digit-gan" / hashlib.sha256(str(clone).encode()).hexdigest()[:12]
    for pool in (clone / "target" / "kernel", elsewhere):
        if not any(character.isspace() for character in str(pool)):
            return pool
    raise SystemExit(f"digit-gan kernel: evcxr cannot work below a folder whose name has a space: move {clone}")


def toolchain_key() -> str:
    """Compiled files of another compiler or profile are of no use."""
    rustc = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    return hashlib.sha256(f"{rustc}{MANIFEST}".encode()).hexdigest()[:12]


def take_free(home: Path, newest: bool = False) -> tuple[Path, int] | None:
    """Locks the free workspace that was compiled last, and removes the free ones that are too many. With `newest`,
    only one as new as any: after an edit of the crate or of the lock file, a running kernel may have a newer one."""
    wanted = max(map(built, workspaces(home)), default=0) or 1 if newest else 0
    free = [(path, fd) for path in workspaces(home) if (fd := lock(path / "lock")) is not None]
    free.sort(key=lambda item: built(item[0]), reverse=True)
    for path, _ in free[KEPT_FREE:]:
        shutil.rmtree(path, ignore_errors=True)
    chosen = free[0] if free and built(free[0][0]) >= wanted else None
    for item in free:
        if item is not chosen:
            os.close(item[1])
    return chosen


def copy_running(home: Path) -> tuple[Path, int] | None:
    """A copy of the workspace of a running kernel, if one is finished and compiles nothing at the moment."""
    for source in sorted(filter(built, workspaces(home)), key=built, reverse=True):
        if made := add(home, source):
            return made
    return None


def add(home: Path, source: Path | None = None) -> tuple[Path, int] | None:
    """A new workspace, empty or a copy of `source`; it gets its name when it is complete."""
    draft = home / "draft"  # only the holder of the pool's lock writes it, so an old one is a killed kernel's
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    if source is not None and not copy_compiled(source, draft):
        return None
    number = next(n for n in range(10_000) if not (home / str(n)).exists())
    descriptor = lock(draft / "lock")
    return draft.rename(home / str(number)), descriptor


def copy_compiled(source: Path, target: Path) -> bool:
    """Copies what is compiled in `source`; False while its kernel is still compiling."""
    cargo_locks = list(source.glob("ctx/target/**/debug/.cargo-*lock"))
    with contextlib.ExitStack() as held:
        for path in cargo_locks:
            descriptor = lock(path, seconds=3)
            if descriptor is None:
                return False
            held.callback(os.close, descriptor)
        # The cells' own crate is left out; it is compiled for every cell anyway.
        ignore = shutil.ignore_patterns("ctx-*", "libctx*", "ctx.*", "libcode_*", ".cargo-*lock")
        shutil.copytree(source / "ctx/target", target / "ctx/target", ignore=ignore, copy_function=link_or_copy)
    return True


def link_or_copy(source: str, target: str) -> None:
    """rustc replaces libraries by renaming, so hard links are safe; cargo and linkers write in place."""
    if source.endswith((".rlib", ".rmeta")):
        with contextlib.suppress(OSError):
            return os.link(source, target)
    shutil.copy2(source, target)


def reset(workspace: Path, clone: Path) -> None:
    """Writes the manifests and the lock file, and removes what the last kernel's cells left."""
    ctx, pin = workspace / "ctx", workspace / "pin"
    for leftover in (ctx / "src", ctx / ".cargo"):
        shutil.rmtree(leftover, ignore_errors=True)
    for debug in ctx.glob("target/*/debug"):
        for pattern in ("libcode_*", "incremental/ctx-*", ".fingerprint/ctx-*"):
            for leftover in debug.glob(pattern):
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    crate = json.dumps(str((clone / "crate").resolve()), ensure_ascii=False)  # evcxr resolves links as well
    for package, dependencies in ((ctx, ""), (pin, f"digit-gan = {{ path = {crate}, optional = true }}")):
        (package / "src").mkdir(parents=True, exist_ok=True)
        (package / "src/lib.rs").write_text("")
        (package / "Cargo.toml").write_text(PACKAGE.format(name=package.name, dependencies=dependencies))
    (workspace / "Cargo.toml").write_text(MANIFEST)
    shutil.copyfile(clone / "Cargo.lock", workspace / "Cargo.lock")


def remove_old_toolchains(pool: Path, home: Path) -> None:
    """Keeps `home` and the toolchains used last before it, and whatever still runs."""
    os.utime(home)
    toolchains = sorted(filter(Path.is_dir, pool.iterdir()), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in toolchains[KEPT_TOOLCHAINS:]:
        held = [lock(path / "lock") for path in workspaces(old)]
        if None not in held:
            shutil.rmtree(old, ignore_errors=True)
        for descriptor in filter(None, held):
            os.close(descriptor)


def workspaces(home: Path) -> list[Path]:
    return [path for path in home.iterdir() if path.name.isdigit()]


def built(workspace: Path) -> float:
    """When digit-gan, and so all it depends on, was compiled here; 0 if it was not."""
    return max((path.stat().st_mtime for path in workspace.glob("ctx/target/*/debug/deps/libdigit_gan.rlib")), default=0)


def lock(path: Path, wait: bool = False, seconds: float = 0) -> int | None:
    """Locks a file for as long as the descriptor stays open; None if another process holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            return descriptor
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(descriptor)
                return None
            time.sleep(0.05)
