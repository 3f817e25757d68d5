"""What a cell shows while it runs, and figures with what belongs to them."""

import time

import nbformat
import pytest
from nbclient import NotebookClient
from rust_kernel import LISTENING, Kernel

FRAMES = r"""for n in 0..4 {
    let kind = if n == 0 { "display" } else { "update" };
    message(&format!(r#"{{"type": "{kind}", "id": "one", "data": {{"text/plain": "frame {n}"}}, "metadata": {{}}}}"#));
    pause(100);
}"""


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    with Kernel(tmp_path_factory.mktemp("outside")) as kernel:
        kernel.run(LISTENING).text()
        yield kernel


def test_a_display_is_replaced_while_the_cell_runs(plain):
    times = []
    shown = plain.run(FRAMES, hook=lambda m: times.append(time.monotonic()) if "display" in m["msg_type"] else None)
    assert shown.text() == ""
    assert [frame["kind"] for frame in shown.frames] == ["display_data"] + 3 * ["update_display_data"]
    assert {frame["transient"]["display_id"] for frame in shown.frames} == {"one"}
    assert shown.frames[-1]["data"] == {"text/plain": "frame 3"}
    assert times[-1] - times[0] > 0.25, "they came together, at the end"


def test_a_notebook_keeps_the_last_frame(tmp_path):
    cells = [nbformat.v4.new_code_cell(code) for code in (LISTENING, FRAMES)]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": {"name": "rust", "display_name": "Rust"}})
    NotebookClient(notebook, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert [output["data"]["text/plain"] for output in notebook.cells[1].outputs] == ["frame 3"]


def test_a_result_carries_its_metadata(plain):
    picture = {"image/png": "aGk=", "text/plain": "a picture"}
    shown = plain.run(
        r"""message(r#"{"type": "result", "data": {"image/png": "aGk=", "text/plain": "a picture"}, "metadata": {"image/png": {"width": 7, "alt": "é"}}}"#);"""
    )
    assert (shown.data, shown.metadata) == (picture, {"image/png": {"width": 7, "alt": "é"}})
    assert shown.stdout == ""


def test_text_before_a_message_stays_text(plain):
    shown = plain.run(r'print!("before"); message(r#"{"type": "result", "data": {"text/plain": "x"}}"#); println!("after");')
    assert (shown.text(), shown.data) == ("beforeafter", {"text/plain": "x"})


def test_a_line_without_its_end_is_shown(plain):
    assert plain.run('print!("no newline"); std::io::Write::flush(&mut std::io::stdout())?;').text() == "no newline"


@pytest.mark.parametrize("line", ["wrong-token;{}", "{token};no json", "{token};[1]"])
def test_what_is_no_message_is_text(line, plain):
    prefix, _, rest = line.partition("{token}")
    if not prefix:
        code = f'let token = std::env::var("DIGIT_GAN_LIVE")?; println!("\\x1b]digit-gan;{{token}}{{}}", {rest!r});'.replace("'", '"')
    else:
        code = f'println!("\\x1b]digit-gan;{{}}", "{line}");'
    assert plain.run(code).text().startswith("\x1b]digit-gan;")


def test_a_large_message(plain):
    shown = plain.run(r"""let text = "x".repeat(800_000);
message(&format!(r#"{{"type": "display", "id": "large", "data": {{"text/plain": "{text}"}}}}"#));""")
    assert len(shown.frames[0]["data"]["text/plain"]) == 800_000


def test_a_cell_that_ends_in_a_loop_shows_no_unit(plain):
    assert plain.run("for _ in 0..2 {}").data == {}
    assert plain.run("5").data == {"text/plain": "5"}
