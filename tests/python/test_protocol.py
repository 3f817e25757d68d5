"""Jupyter's protocol, as its clients use it: JupyterLab, VS Code, consoles."""

import re
import sys
import time

import psutil
import pytest
from rust_kernel import LISTENING, PATIENCE, Kernel, environment, plain_text

FLOOD_SECONDS = 5


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    with Kernel(tmp_path_factory.mktemp("outside")) as kernel:
        yield kernel


def test_who_it_is(plain):
    info = plain.ask("kernel_info_request")
    assert info["language_info"]["name"] == "Rust" and info["language_info"]["file_extension"] == ".rs"
    assert info["implementation"] == "digit-gan-kernel" and info["supported_features"] == []
    assert plain.ask("comm_info_request") == {"comms": {}, "status": "ok"}


def test_counts_and_history(plain):
    first = plain.run("let a = 1;").count
    assert plain.run("let b = 2;").count == first + 1
    unstored = plain.run("let c = 3;", store_history=False)
    assert unstored.status == "ok"
    assert plain.run("let d = a + b + c;").count == first + 2
    history = plain.ask("history_request", hist_access_type="tail", n=2, output=False, raw=True)["history"]
    assert [code for _, _, code in history] == ["let b = 2;", "let d = a + b + c;"]
    found = plain.ask("history_request", hist_access_type="search", pattern="let b*", n=5, output=False, raw=True)["history"]
    assert [code for _, _, code in found] == ["let b = 2;"]


def test_silent(plain):
    before = plain.run("let quiet = 1;").count
    kinds = []
    shown = plain.run('println!("{quiet}"); quiet', silent=True, hook=lambda m: kinds.append(m["msg_type"]))
    assert shown.status == "ok" and set(kinds) <= {"status"}
    assert plain.run("let loud = 2;").count == before + 1


def test_stop_on_error(plain):
    for stop_on_error, following in ((True, "aborted"), (False, "ok")):
        codes = ('panic!("deliberate");', "let after = 1;", "let later = 2;")
        sent = [plain.client.execute(code, stop_on_error=stop_on_error) for code in codes]
        assert plain.statuses(*sent) == ["error", following, following]


def test_a_cell_sent_after_a_failure_was_told_is_run(plain):
    """However soon: only what was sent before belongs to the same Run All."""
    for _ in range(20):
        assert plain.statuses(plain.client.execute(":nonsense")) == ["error"]
        assert plain.statuses(plain.client.execute(":version")) == ["ok"]


def test_as_vs_code_speaks(tmp_path):
    """Without a server between: it asks and interrupts on the control channel, also while a cell runs, and waits for the
    idle of each request."""
    with Kernel(tmp_path) as kernel:
        assert kernel.ask("kernel_info_request", "control")["status"] == "ok"
        kernel.run(LISTENING).text()
        loop = 'println!("busy"); loop { look()?; pause(10); }'
        sent = kernel.client.execute(loop, allow_stdin=True, stop_on_error=False)
        kernel.wait_for_text("busy\n")
        assert kernel.ask("kernel_info_request", "control")["language_info"]["name"] == "Rust"
        assert kernel.ask("interrupt_request", "control") == {"status": "ok"}
        kinds = []

        def idle() -> bool:
            message = kernel.client.get_iopub_msg(timeout=PATIENCE)
            if message["parent_header"].get("msg_id") == sent:
                kinds.append(message["msg_type"])
            return message["content"].get("execution_state") == "idle" and kinds[-1:] == ["status"]

        kernel.wait_for(idle)
        assert kinds == ["error", "status"]
        assert kernel.statuses(sent) == ["error"]
        assert kernel.ask("shutdown_request", "control", restart=False)["status"] == "ok"
        kernel.wait_for(lambda: not kernel.manager.is_alive())


def test_every_request_is_enclosed_in_busy_and_idle_and_answered_once(plain):
    """Clients wait for these."""
    states = []
    plain.run('println!("x");', hook=lambda m: states.append(m["msg_type"]))
    assert [state for state in states if state in ("status", "execute_input", "stream")] == ["status", "execute_input", "stream", "status"]


def test_input(plain):
    """What asks the user gets an answer, where the client allows it."""
    assert "fine" in plain.run('println!("fine");', allow_stdin=True).text()


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("let x = 1;", "complete"),
        ("x", "complete"),
        ("fn f() {", "incomplete"),
        ("fn f()", "incomplete"),
        ("let x =", "incomplete"),
        ("foo(1,\n", "incomplete"),
        ('let text = "open', "incomplete"),
        ('let text = r#"open"', "incomplete"),
        ("/* open /* */", "incomplete"),
        ("let text: &'static str = \"}\"; // {", "complete"),
        ("let c = '{';", "complete"),
        ("let c = '\\'';", "complete"),
        ("}", "invalid"),
        (":dep regex", "complete"),
        ("let y = x?;", "complete"),
    ],
)
def test_is_complete(code, status, plain):
    assert plain.ask("is_complete_request", code=code)["status"] == status


def test_completion_and_inspection(plain):
    plain.run("let numbers = vec![1, 2];").text()
    reply = plain.ask("complete_request", code="let more = numbers.capa", cursor_pos=23)
    assert "capacity" in " ".join(reply["matches"]), reply
    shown = plain.ask("inspect_request", code="numbers.capacity()", cursor_pos=15, detail_level=0)
    assert shown["found"] and "usize" in shown["data"]["text/plain"]
    shown = plain.ask("inspect_request", code="numbers.get(1, ", cursor_pos=14, detail_level=0)
    assert shown["found"] and "get" in shown["data"]["text/plain"]
    assert not plain.ask("inspect_request", code="nothing_here", cursor_pos=5, detail_level=0)["found"]


def test_a_compile_error_points_at_the_line(plain):
    failed = plain.run('let fine = 1;\nlet wrong: i32 = "text";')
    text = plain_text(failed.error)
    assert re.search(rf"In \[{failed.count}\]:2 ", text), text


def test_ten_megabytes_a_second(plain):
    """In lines as short as a log's. Neither the kernel nor what is behind it may keep what nobody reads."""
    plain.run("let before = 1u64;").text()
    own = [psutil.Process(plain.pid), plain.evcxr, plain.cells]  # without compilers, which come and go

    def memory() -> float:
        return sum(process.memory_info().rss for process in own) / 2**20

    began, start, most, received, ended = time.monotonic(), memory(), 0.0, 0, False
    plain.client.execute(f"""let end = std::time::Instant::now() + std::time::Duration::from_secs({FLOOD_SECONDS});
let line = "x".repeat(79);
let mut written = 0u64;
while std::time::Instant::now() < end {{
    for _ in 0..1310 {{ println!("{{line}}"); }}
    written += 1310 * 80;
    std::thread::sleep(std::time::Duration::from_millis(10));
}}""")
    while not ended:
        message = plain.client.get_iopub_msg(timeout=PATIENCE)
        if message["msg_type"] == "stream":
            received += len(message["content"]["text"])
        ended = message["content"].get("execution_state") == "idle"
        most = max(most, memory())
    seconds = time.monotonic() - began
    print(f"{received / 2**20:.0f} MB in {seconds:.1f} s, memory from {start:.0f} to {most:.0f} MB")
    assert most < start + 300
    written = int(plain.run('println!("{}", written * before);').text())
    print(f"{written / 2**20:.0f} MB written")
    assert received == written


def test_console(tmp_path):
    """It asks on after an unfinished line."""
    pexpect = pytest.importorskip("pexpect")
    pytest.importorskip("jupyter_console")
    arguments = ["-m", "jupyter_console", "--kernel", "rust"]
    arguments += ["--ZMQTerminalInteractiveShell.kernel_is_complete_timeout=60"]
    console = pexpect.spawn(sys.executable, arguments, cwd=str(tmp_path), encoding="utf-8", timeout=PATIENCE, env=environment(PROMPT_TOOLKIT_NO_CPR="1"))
    try:
        console.expect(r"In ")
        console.send("println!(\r")
        console.expect(r"\.\.\.: ")
        console.send('"{}", 6 * 7);\r')
        console.expect("42\r\n")
        console.send('"x".parse::<i32>()?;\r')
        console.expect("ParseIntError")
    finally:
        for process in psutil.Process(console.pid).children(recursive=True) + [psutil.Process(console.pid)]:
            process.kill()
