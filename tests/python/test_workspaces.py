"""Kernels do not disturb each other, whatever happens to one of them, and need no network once set up."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import pytest
from digit_gan_kernel import build, workspace
from rust_kernel import PATIENCE, PRELUDE, ROOT, Kernel, alive, copy_of_the_clone

ONES = 'println!("{}", Tensor::ones(42, DType::F32, &Device::Cpu)?.sum_all()?);'


def is_right(kernel: Kernel) -> bool:
    kernel.run(PRELUDE).text()
    return kernel.run(ONES).text().startswith("[42.]")


def test_two_kernels_at_once():
    with Kernel() as one, Kernel() as two:
        assert one.workspace != two.workspace
        assert is_right(one) and is_right(two)
        for n, kernel in enumerate((one, two)):
            kernel.run(f"let mine = vec![{n}];").text()
        assert [kernel.run('println!("{mine:?}");').text() for kernel in (one, two)] == ["[0]", "[1]"]
        assert not any(compiled_again(kernel) for kernel in (one, two))


def compiled_again(kernel: Kernel) -> bool:
    """Whether this kernel's cargo compiled candle itself instead of taking what was there."""
    libraries = list(kernel.workspace.glob("ctx/target/*/debug/deps/libcandle_core-*.rlib"))
    assert libraries
    return any(library.stat().st_mtime > time.time() - (time.monotonic() - kernel.began) for library in libraries)


@pytest.mark.parametrize("age", ["unfinished", "older"])
def test_a_free_workspace_is_not_preferred_to_a_newer_one(age, tmp_path):
    """A kernel killed in its first build leaves an unfinished one, a kernel before an edit of the crate an older one;
    with either the next kernel would compile what a running one has compiled already."""
    library = "ctx/target/host/debug/deps/libdigit_gan.rlib"
    for number, built in (("0", 2_000), ("1", 1_000)):
        path = tmp_path / number / library
        path.parent.mkdir(parents=True)
        path.touch()
        os.utime(path, (built, built))
    if age == "unfinished":
        path.unlink()
    assert workspace.take_free(tmp_path, newest=True)[0] == tmp_path / "0"  # and holds it, as a kernel would
    assert workspace.take_free(tmp_path, newest=True) is None
    assert workspace.copy_running(tmp_path)[0] == tmp_path / "2"
    assert (tmp_path / "2" / library).stat().st_mtime == 2_000
    assert workspace.take_free(tmp_path)[0] == tmp_path / "1", "better than nothing when no copy can be made"


def test_toolchains_keep_their_workspaces(tmp_path, monkeypatch):
    """Whoever alternates between two compilers compiles once for each; the disk use is bounded all the same."""
    (tmp_path / "Cargo.lock").touch()

    def start(toolchain: str) -> tuple[Path, int]:
        monkeypatch.setattr(workspace, "toolchain_key", lambda: toolchain)
        path, descriptor = workspace.acquire(tmp_path)
        os.utime(path.parent, (start.clock, start.clock))  # the real clock may not tell two fast calls apart
        start.clock += 1
        return path, descriptor

    def run(toolchain: str) -> Path:
        path, descriptor = start(toolchain)
        os.close(descriptor)
        return path

    start.clock = 1
    compiled = run("stable") / "ctx/compiled"
    compiled.touch()
    run("nightly")
    assert run("stable") == compiled.parent.parent and compiled.exists()

    running, descriptor = start("running")
    for n in range(workspace.KEPT_TOOLCHAINS):
        run(f"update {n}")
    kept = {path.name for path in running.parent.parent.iterdir() if path.is_dir()}
    assert kept == {"running", *(f"update {n}" for n in range(workspace.KEPT_TOOLCHAINS))}
    os.close(descriptor)


def test_the_set_up_calls_cargo_as_evcxr_does(tmp_path):
    """Other flags would be another build, and the first cell would compile all dependencies again."""
    calls = tmp_path / "calls"
    cargo = shutil.which("cargo")
    for tool, script in (
        ("cargo", f'[ "$1" = build ] && echo "$RUSTFLAGS,$*" >> {calls}; exec {cargo} "$@"'),
        ("rustup", "exit 1"),  # evcxr would ask it for the toolchain's own cargo
    ):
        (tmp_path / tool).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / tool).chmod(0o755)
    with Kernel(tmp_path, env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}) as kernel:
        kernel.run("let n = 6 * 7;").text()
    flags = build.cargo_variables(tmp_path)["RUSTFLAGS"]
    assert f"{flags},build --target {build.host()}" in calls.read_text()


def test_a_killed_kernel_leaves_the_next_one_right():
    """Killed while its first cell compiles; its children then end by themselves and free the workspace."""
    for wait in (0.3, 2.0):
        kernel = Kernel()
        kernel.client.execute(PRELUDE)
        time.sleep(wait)
        os.kill(kernel.pid, signal.SIGKILL)
        kernel.client.stop_channels()
        with Kernel() as following:
            assert is_right(following)
            assert not compiled_again(following)


def test_a_free_workspace_is_taken_again(tmp_path):
    """In a clone of its own: another test's kernel may take what this one's has left."""
    notebooks = copy_of_the_clone(tmp_path / "clone")
    with Kernel(notebooks) as first:
        used = first.workspace
        assert first.workspace.is_relative_to(tmp_path)
        processes = first.processes()
    assert not alive(processes)  # the last may still be ending, and hold the lock until then
    with Kernel(notebooks) as second:
        assert second.workspace == used


def test_a_clone_beside_the_toolchain():
    """As in most home folders. There the run paths in the cells' libraries miss Rust's libstd."""
    command = ["rustc", "--print", "sysroot"]
    sysroot = Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
    if not sysroot.is_relative_to(Path.home()):
        pytest.skip(f"the toolchain is not in the home folder but in {sysroot}")
    with tempfile.TemporaryDirectory(dir=Path.home(), prefix=".digit-gan-test-") as folder:
        with Kernel(copy_of_the_clone(Path(folder))) as kernel:
            assert kernel.workspace.is_relative_to(folder)
            assert kernel.run('println!("{}", 6 * 7);').text() == "42"


def test_no_network_is_needed(tmp_path):
    """A network namespace of its own, with nothing but the loopback that Jupyter talks through."""
    enter = ["unshare", "--net", "--map-root-user"]
    if not (shutil.which("unshare") and shutil.which("ip")) or subprocess.run([*enter, "true"]).returncode:
        pytest.skip("no network namespace can be made here (needs unshare and ip, and the permission)")
    script = tmp_path / "offline.py"
    script.write_text(textwrap.dedent(f"""
        import socket, sys
        sys.path.insert(0, {str(ROOT / "tests" / "python")!r})
        from test_workspaces import Kernel, is_right
        try:
            socket.create_connection(("1.1.1.1", 443), timeout=2)
            raise SystemExit("there is a network here")
        except OSError:
            pass
        with Kernel() as kernel:
            assert is_right(kernel)
    """))
    command = [*enter, "sh", "-c", 'ip link set lo up && exec "$0" "$1"', sys.executable, str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3 * PATIENCE)
    assert done.returncode == 0, done.stderr
