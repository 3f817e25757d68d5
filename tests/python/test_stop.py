"""Stop ends a cell at its next step and keeps the variables; a second Stop ends the process."""

import os
import signal
import threading

import pytest
from rust_kernel import LISTENING, Kernel

LOOP = 'println!("busy"); loop { steps += 1; look()?; pause(10); }'
BUSY = 'println!("busy"); loop { pause(10); }'


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    with Kernel(tmp_path_factory.mktemp("outside")) as kernel:
        kernel.run(LISTENING + "let mut steps = 0;").text()
        yield kernel


def as_message(kernel: Kernel) -> None:
    """What VS Code and JupyterLab send. Returns when the kernel has answered."""
    assert kernel.ask("interrupt_request", "control")["status"] == "ok"


def as_signal(kernel: Kernel) -> None:
    os.kill(kernel.pid, signal.SIGINT)


def when_told(action, words: str = "busy\n"):
    """A hook that does the action once the cell has been running for a second since these words were shown."""

    def hook(message: dict) -> None:
        if message["msg_type"] == "stream" and words in message["content"]["text"]:
            threading.Timer(1.0, action).start()

    return hook


@pytest.mark.parametrize("way", [as_message, as_signal])
def test_a_stop_keeps_the_variables_and_the_cell_goes_on_when_run_again(way, plain):
    done = 0
    for _ in range(2):
        stopped = plain.run(LOOP, hook=when_told(lambda: way(plain)))
        assert (stopped.status, stopped.name) == ("error", "Interrupted")
        assert stopped.value == "interrupted; variables are kept"
        assert stopped.stderr == ""
        steps = int(plain.run('println!("{steps}");').text())
        assert steps > done
        done = steps
    assert not any("interrupt" == name for name in os.listdir(os.path.dirname(plain.variables()["DIGIT_GAN_INTERRUPT"])))


def test_code_that_does_not_listen_is_told_so_and_ends_at_the_second_stop(plain):
    first = when_told(lambda: as_message(plain))
    second = when_told(lambda: as_message(plain), "does not call digit-gan")
    stopped = plain.run(BUSY, hook=lambda message: (first(message), second(message)))
    assert "does not call digit-gan" in stopped.stderr
    assert (stopped.status, stopped.name) == ("error", "Interrupted")
    assert "variables are gone" in stopped.value
    assert plain.run('println!("{}", 6 * 7);').text() == "42"
    plain.run("let mut steps = 0;").text()


def test_code_that_listens_is_not_told_otherwise_in_a_long_step(plain):
    stopped = plain.run('look()?; println!("busy"); pause(4000); look()?;', hook=when_told(lambda: as_message(plain)))
    assert (stopped.name, stopped.value) == ("Interrupted", "interrupted; variables are kept")
    assert stopped.stderr == ""


def test_a_cell_that_ends_after_a_stop_still_ends_run_all(plain):
    asked = 'println!("busy"); while !std::path::Path::new(&std::env::var("DIGIT_GAN_INTERRUPT")?).exists() { pause(10); }'
    stopped = plain.run(f"{asked} let made = 5;", hook=when_told(lambda: as_message(plain)))
    assert (stopped.status, stopped.name) == ("error", "Interrupted")
    assert plain.run('println!("{made}");').text() == "5"


def test_a_stop_between_cells_does_nothing(plain):
    as_message(plain)
    assert plain.run("look()?; println!(\"fine\");").text() == "fine"


def test_a_long_compilation_is_stopped(plain):
    plain.run("let kept = 41;").text()
    slow = "\n".join(f"fn slow_{n}(x: [u64; 64]) -> Vec<u64> {{ let mut v = x.to_vec(); v.sort(); v.iter().map(|y| y * {n}).collect() }}" for n in range(3000))

    def stop() -> None:
        plain.wait_for(plain.compiles)
        as_message(plain)

    threading.Thread(target=stop).start()
    stopped = plain.run(slow)
    assert (stopped.status, stopped.name) == ("error", "Interrupted")
    assert stopped.value == "interrupted while compiling; variables are kept"
    assert plain.run('println!("{}", kept + 1);').text() == "42"


def test_run_all_ends_at_a_stop(plain):
    """The cells that were sent already are not run: neither is any cell after one that fails."""
    client = plain.client
    plain.run("let mut steps = 0;").text()
    sent = [client.execute(code) for code in (LOOP, 'println!("never");', 'println!("never");')]
    plain.wait_for_text("busy\n")
    as_message(plain)
    assert plain.statuses(*sent) == ["error", "aborted", "aborted"]
    assert int(plain.run('println!("{steps}");').text()) > 0
