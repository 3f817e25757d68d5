"""The set-up and the launcher stop with one line that says what and how to fix it."""

import json
import os
import re
import subprocess
import sys

import pytest
from digit_gan_kernel.process import tool_path
from digit_gan_kernel.workspace import pool_of
from rust_kernel import ROOT, Kernel

MISSING = {
    "cargo": (["rustc", "cc"], "https://rustup.rs"),
    "rustc": (["cargo", "cc"], "https://rustup.rs"),
    "C linker": (["cargo", "rustc"], "gcc"),
}


def tools(folder, *names: str, rustc: str = "rustc 1.95.0"):
    """A folder with tools that only tell their version."""
    folder.mkdir()
    for name in names:
        (folder / name).write_text(f"#!/bin/sh\necho '{rustc}'\n")
        (folder / name).chmod(0o755)
    return folder


def set_up(path) -> subprocess.CompletedProcess:
    environment = {"PATH": str(path), "HOME": str(path), "CARGO_HOME": str(path)}
    return subprocess.run([sys.executable, ROOT / "kernel/prepare.py"], env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("what", MISSING)
def test_a_missing_tool(what, tmp_path):
    present, remedy = MISSING[what]
    done = set_up(tools(tmp_path / "bin", *present))
    assert done.returncode != 0
    assert re.fullmatch(rf"set-up stopped: [^\n]*{what} [^\n]*{remedy}[^\n]*\n", done.stdout + done.stderr)


def test_an_old_compiler(tmp_path):
    done = set_up(tools(tmp_path / "bin", "cargo", "rustc", "cc", rustc="rustc 1.80.1 (3f5fd8dd4 2024-08-06)"))
    assert done.returncode != 0
    assert re.fullmatch(r"set-up stopped: rustc 1\.80\.1 [^\n]*rustup update[^\n]*\n", done.stdout + done.stderr)


def test_pip_and_conda_get_the_same_versions():
    script = "import sys; sys.path.insert(0, 'kernel'); import prepare; print(*prepare.python_pins())"
    pins = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {pin.split("==")[0] for pin in pins.split()} >= {"jupyterlab", "nbconvert"}
    installed = subprocess.run([sys.executable, "-m", "pip", "freeze"], capture_output=True, text=True).stdout
    assert set(pins.split()) <= set(installed.split())


def test_the_launcher_names_what_is_missing(tmp_path):
    environment = {"PATH": "/nowhere", "HOME": str(tmp_path), "PYTHONPATH": str(ROOT / "kernel")}
    command = [sys.executable, "-m", "digit_gan_kernel", "connection.json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    assert re.fullmatch(r"digit-gan kernel: evcxr_jupyter not found: [^\n]*make setup[^\n]*\n", done.stderr)


def test_a_clone_whose_path_has_a_space(tmp_path, monkeypatch):
    """evcxr splits the paths of what it loads at spaces, so its workspaces must lie elsewhere."""
    monkeypatch.setenv("HOME", "/home/reader")
    assert pool_of(tmp_path / "clone") == tmp_path / "clone/target/kernel"
    elsewhere = {pool_of(tmp_path / name) for name in ("my clone", "another clone")}
    assert len(elsewhere) == 2 and not any(" " in str(pool) for pool in elsewhere)
    monkeypatch.setenv("HOME", "/home/a reader")
    with pytest.raises(SystemExit, match="move"):
        pool_of(tmp_path / "my clone")


def test_the_compiler_of_a_conda_environment_comes_before_rustup(tmp_path, monkeypatch):
    rustup, conda = tools(tmp_path / "rustup", "rustup", "rustc"), tools(tmp_path / "conda", "rustc")
    monkeypatch.setenv("PATH", str(rustup))
    monkeypatch.setenv("CARGO_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(conda / "python"))
    assert str(rustup) not in tool_path()
    (conda / "rustc").unlink()
    assert str(rustup) in tool_path()


def test_outside_a_clone_evcxr_compiles_as_it_likes(tmp_path):
    with Kernel(tmp_path) as kernel:
        assert kernel.run('println!("{}", 6 * 7);').text() == "42"
        assert not (kernel.workspace / "Cargo.toml").exists()


DYING_KERNEL = """
import os
from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel

class Dying(Kernel):
    implementation = implementation_version = banner = "dying"
    language_info = {"name": "rust"}

    async def do_execute(self, code, silent, **_):
        os._exit(9)

IPKernelApp.launch_instance(kernel_class=Dying)
"""


def test_a_kernel_that_dies_while_it_compiles_ends_the_set_up(tmp_path):
    """As evcxr does when memory runs out; a client that only waits for the cell's end would wait forever."""
    clone = tmp_path / "clone"  # in which nothing has to be compiled
    for folder in ("crate", "notebooks"):
        (clone / folder).mkdir(parents=True)
    for name in ("Cargo.toml", "Cargo.lock", "crate/Cargo.toml"):
        (clone / name).write_text('name = "digit-gan"\n')
    kernels = tmp_path / "kernels" / "rust"
    kernels.mkdir(parents=True)
    (tmp_path / "dying.py").write_text(DYING_KERNEL)
    command = [sys.executable, str(tmp_path / "dying.py"), "-f", "{connection_file}"]
    (kernels / "kernel.json").write_text(json.dumps({"argv": command, "display_name": "Rust", "language": "rust"}))
    path = os.pathsep.join([str(tools(tmp_path / "bin", "cargo")), os.environ["PATH"]])
    environment = os.environ | {"JUPYTER_PATH": str(tmp_path), "PATH": path}
    command = [sys.executable, "-m", "digit_gan_kernel", "warm"]
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode != 0
    assert "digit-gan kernel: the kernel died" in done.stderr
