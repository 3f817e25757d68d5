"""Whatever is killed, and whenever: nothing of a kernel runs on."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest
from rust_kernel import PATIENCE, Kernel, alive

BUSY = 'println!("busy"); loop { std::hint::black_box(0); }'
SLOW = "\n".join(f"fn slow_{n}(x: [u64; 64]) -> Vec<u64> {{ let mut v = x.to_vec(); v.sort(); v }}" for n in range(3000))


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A folder of its own for what the kernels put aside; empty at the end."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    Kernel.wait_for(lambda: not list(folder.glob("digit-gan-kernel-*")))


def running(kernel: Kernel, code: str) -> list[psutil.Process]:
    """All processes of a kernel in the middle of a cell."""
    kernel.run("let kept = 1;").text()
    kernel.client.execute(code)
    if code == BUSY:
        kernel.wait_for_text("busy\n")
    else:
        kernel.wait_for(kernel.compiles)
    processes = kernel.processes()
    assert len(processes) >= 4  # the kernel, its guard, evcxr, the cells' process; and compilers
    return processes


@pytest.mark.parametrize("code", [BUSY, SLOW], ids=["running", "compiling"])
def test_the_kernel_killed(code, tmp_path, temporary):
    kernel = Kernel(tmp_path)
    processes = running(kernel, code)
    os.kill(kernel.pid, signal.SIGKILL)
    kernel.client.stop_channels()
    assert not alive(processes)


@pytest.mark.parametrize("code", [BUSY, SLOW], ids=["running", "compiling"])
def test_shutdown_and_restart_in_the_middle_of_a_cell(code, tmp_path, temporary):
    with Kernel(tmp_path) as one, Kernel(tmp_path) as other:
        other.run("let kept = 42;").text()
        first = running(one, code)
        one.manager.restart_kernel()
        one.client.wait_for_ready(timeout=PATIENCE)
        assert not alive(first)
        assert one.run('println!("{}", 6 * 7);').text() == "42"
        second = running(one, code)
        one.manager.shutdown_kernel()
        assert not alive(second)
        assert other.run('println!("{kept}");').text() == "42"


def test_the_client_killed(tmp_path, temporary):
    """nbconvert, or JupyterLab's server: what started the kernel."""
    script = tmp_path / "client.py"
    script.write_text(textwrap.dedent(f"""
        import sys, time
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from rust_kernel import Kernel
        kernel = Kernel({str(tmp_path)!r})
        kernel.run("let kept = 1;").text()
        kernel.client.execute({BUSY!r})
        kernel.wait_for_text("busy\\n")
        print(*(process.pid for process in kernel.processes()), flush=True)
        time.sleep(1000)
    """))
    client = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    processes = [psutil.Process(int(pid)) for pid in client.stdout.readline().split()]
    assert len(processes) >= 4
    client.send_signal(signal.SIGKILL)
    client.wait()
    assert not alive(processes)
