"""What a cell shows while it runs, and figures with what belongs to them."""

import base64
import re
import shutil

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter, LatexExporter, MarkdownExporter
from rust_kernel import LISTENING, PATIENCE, ROOT, Kernel

FRAMES = r"""for n in 0..4 {
    let kind = if n == 0 { "display" } else { "update" };
    message(&format!(r#"{{"type": "{kind}", "id": "one", "data": {{"text/plain": "frame {n}"}}, "metadata": {{}}}}"#));
    while !seen(n) { pause(10); }
}"""


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    with Kernel(tmp_path_factory.mktemp("outside")) as kernel:
        kernel.run(LISTENING).text()
        yield kernel


def test_a_display_is_replaced_while_the_cell_runs(plain, tmp_path):
    """Each frame is made only when the one before was seen."""
    plain.run(f'fn seen(n: usize) -> bool {{ std::path::Path::new("{tmp_path}").join(n.to_string()).exists() }}').text()

    def see(message: dict) -> None:
        if "display" in message["msg_type"]:
            (tmp_path / message["content"]["data"]["text/plain"].removeprefix("frame ")).touch()

    shown = plain.run(FRAMES, timeout=PATIENCE, hook=see)
    assert shown.text() == ""
    assert [frame["kind"] for frame in shown.frames] == ["display_data"] + 3 * ["update_display_data"]
    assert {frame["transient"]["display_id"] for frame in shown.frames} == {"one"}
    assert shown.frames[-1]["data"] == {"text/plain": "frame 3"}


def test_a_notebook_keeps_the_last_frame(tmp_path):
    cells = [nbformat.v4.new_code_cell(code) for code in (LISTENING + "fn seen(_: usize) -> bool { true }", FRAMES)]
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


PICTURE = r"""struct Picture;
impl Picture {
    fn evcxr_display(&self) { println!("EVCXR_BEGIN_CONTENT text/html\n<b>shown</b>\nEVCXR_END_CONTENT"); }
}
fn picture() -> Result<Picture, std::fmt::Error> { Ok(Picture) }
picture()?"""


def test_the_first_cell_may_have_a_question_mark_and_a_picture(tmp_path):
    """Stock evcxr shows the picture's type instead."""
    with Kernel(tmp_path) as fresh:
        assert fresh.run(PICTURE).data == {"text/html": "<b>shown</b>"}


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


@pytest.fixture(scope="module")
def executed():
    return nbformat.read(ROOT / "notebooks" / "01_digit_gan.ipynb", 4)


def figures(notebook) -> list[dict]:
    """The outputs that hold a picture."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    found = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(found) > 5
    return found


def test_markdown_has_each_still_as_a_file(executed):
    text, resources = MarkdownExporter().from_notebook_node(executed)
    linked = [content for name, content in resources["outputs"].items() if f"({name})" in text]
    stills = [output.data for output in figures(executed) if "text/html" not in output.data]
    assert linked == [base64.b64decode(data["image/png"]) for data in stills]
    assert "data:image/gif;base64," in text, "what moves is HTML"


@pytest.mark.skipif(not shutil.which("pandoc"), reason="pandoc is not installed: it converts the prose for LaTeX")
def test_latex_and_so_pdf_has_each_picture_as_a_file(executed):
    text, resources = LatexExporter().from_notebook_node(executed)
    linked = [content for name, content in resources["outputs"].items() if f"{{{name}}}" in text]
    assert linked == [base64.b64decode(output.data["image/png"]) for output in figures(executed)]


def test_html_shows_each_picture_once_at_its_size(executed):
    page, _ = HTMLExporter().from_notebook_node(executed)
    for output in figures(executed):
        size, still = output.metadata["image/png"], f"data:image/png;base64,{output.data['image/png'].strip()}"
        moving = re.search(r'src="([^"]+)"', output.data.get("text/html", ""))
        assert page.count(moving[1] if moving else still) == 1
        assert f'width="{size["width"]}"' in page
