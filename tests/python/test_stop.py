"""Stop ends a cell at its next step and keeps the variables; a second Stop ends the process."""

import os
import signal
import threading
import time

import pytest
from rust_kernel import LISTENING, Kernel

LOOP = 'println!("busy"); loop { look()?; steps += 1; pause(10); }'
BUSY = 'println!("busy"); loop { pause(10); }'


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    with Kernel(tmp_path_factory.mktemp("outside")) as kernel:
        kernel.run(LISTENING + "let mut steps = 0;").text()
        yield kernel


def as_message(kernel: Kernel) -> None:
    """What VS Code and JupyterLab send."""
    kernel.client.control_channel.send(kernel.client.session.msg("interrupt_request", {}))


def as_signal(kernel: Kernel) -> None:
    os.kill(kernel.pid, signal.SIGINT)


def when_busy(*actions, seconds: float = 1.0):
    """A hook that does the actions once the cell says that it is busy, each `seconds` after the one before."""

    def run() -> None:
        for action in actions:
            time.sleep(seconds)
            action()

    def hook(message: dict) -> None:
        if message["content"].get("text") == "busy\n":
            threading.Thread(target=run, daemon=True).start()

    return hook


@pytest.mark.parametrize("way", [as_message, as_signal])
def test_a_stop_keeps_the_variables_and_the_cell_goes_on_when_run_again(way, plain):
    done = 0
    for _ in range(2):
        stopped = plain.run(LOOP, hook=when_busy(lambda: way(plain)))
        assert (stopped.status, stopped.name) == ("error", "Interrupted")
        assert stopped.value == "interrupted; variables are kept"
        assert stopped.stderr == ""
        steps = int(plain.run('println!("{steps}");').text())
        assert steps > done
        done = steps
    assert not any("interrupt" == name for name in os.listdir(os.path.dirname(plain.variables()["DIGIT_GAN_INTERRUPT"])))


def test_code_that_does_not_listen_is_told_so_and_ends_at_the_second_stop(plain):
    stopped = plain.run(BUSY, hook=when_busy(lambda: as_message(plain), lambda: as_message(plain), seconds=2.5))
    assert "does not call digit-gan" in stopped.stderr
    assert (stopped.status, stopped.name) == ("error", "Interrupted")
    assert "variables are gone" in stopped.value
def test_code_that_listens_is_not_told_otherwise_in_a_long_step(plain):
    stopped = plain.run('look()?; println!("busy"); pause(4000); look()?;', hook=when_told(lambda: as_message(plain)))
    assert (stopped.name, stopped.value) == ("Interrupted", "interrupted; variables are kept")
    assert stopped.stderr == ""


    assert plain.run('println!("{}", 6 * 7);').text() == "42"
    plain.run("let mut steps = 0;").text()


def test_a_cell_that_ends_after_a_stop_still_ends_run_all(plain):
    stopped = plain.run('println!("busy"); pause(3000); let made = 5;', hook=when_busy(lambda: as_message(plain)))
    assert (stopped.status, stopped.name) == ("error", "Interrupted")
    assert plain.run('println!("{made}");').text() == "5"


def test_a_stop_between_cells_does_nothing(plain):
    as_message(plain)
    time.sleep(0.3)
    assert plain.run("look()?; println!(\"fine\");").text() == "fine"


def test_a_long_compilation_is_stopped(plain):
    plain.run("let kept = 41;").text()
    slow = "\n".join(f"fn slow_{n}(x: [u64; 64]) -> Vec<u64> {{ let mut v = x.to_vec(); v.sort(); v.iter().map(|y| y * {n}).collect() }}" for n in range(3000))
    threading.Timer(3.0, as_message, [plain]).start()
    stopped = plain.run(slow)
    assert (stopped.status, stopped.name) == ("error", "Interrupted")
    assert stopped.value == "interrupted while compiling; variables are kept"
    assert plain.run('println!("{}", kept + 1);').text() == "42"


def test_run_all_ends_at_a_stop(plain):
    """The cells that were sent already are not run: neither is any cell after one that fails."""
    client = plain.client
    plain.run("let mut steps = 0;").text()
    sent = [client.execute(code) for code in (LOOP, 'println!("never");', 'println!("never");')]
    Kernel.wait_for(lambda: client.get_iopub_msg(timeout=60)["content"].get("text") == "busy\n")
    time.sleep(0.5)
    as_message(plain)
    assert plain.statuses(*sent) == ["error", "aborted", "aborted"]
    assert int(plain.run('println!("{steps}");').text()) > 0
