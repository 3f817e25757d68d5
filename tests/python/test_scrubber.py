"""The slider of a scrubber shows the right frame: in an exported page, by mouse and by keyboard; where scripts don't run, the last
frame is what is seen."""

import pytest
from nbconvert import HTMLExporter
from nbformat.v4 import new_code_cell, new_notebook, new_output
from test_draw import browser, opened  # noqa: F401

FRAMES = """
use digit_gan::plot::Plane;
let mut frames = Vec::new();
for i in 0..4 {
    let point = Tensor::new(&[[i as f32 - 1.5, 0.0]], &Device::Cpu)?;
    frames.push((format!("step {}", 100 * i), plot::planes(&[Plane::new("plane", -3.0..3.0).real(&point)?])?));
}
"""
SCRUBBER = "figure.digit-gan-scrubber"


@pytest.fixture(scope="module")
def html(kernel) -> str:
    kernel.run(FRAMES).text()
    shown = kernel.run("plot::scrub(&frames)?")
    assert not shown.text()
    return shown.data["text/html"]


def exported(html: str, path, outputs: int = 1) -> str:
    output = new_output("execute_result", data={"text/html": html}, execution_count=1)
    cells = [new_code_cell("scrubber", outputs=[output], execution_count=1) for _ in range(outputs)]
    page, _ = HTMLExporter().from_notebook_node(new_notebook(cells=cells))
    path.write_text(page)
    return path.as_uri()


def shows(scrubber, frame: int) -> bool:
    """One picture, that of the frame, with its words and its label."""
    image = scrubber.locator("img")
    alt = f"plane: 1 real points around ({frame - 1.5:.2f}, 0.00)."
    return image.count() == 1 and image.get_attribute("alt") == alt and scrubber.get_by_text(f"step {100 * frame}").is_visible()


def test_in_an_exported_page(html, browser, tmp_path):  # noqa: F811
    failures = []
    page = opened(browser.new_context(), exported(html, tmp_path / "page.html"), failures)
    scrubber = page.locator(SCRUBBER)
    slider = scrubber.get_by_role("slider")
    assert shows(scrubber, 3), "the last frame comes first"
    for frame in (0, 2, 1):
        slider.fill(str(frame))
        assert shows(scrubber, frame), frame
    slider.focus()
    for key, frame in [("Home", 0), ("ArrowRight", 1), ("ArrowUp", 2), ("End", 3), ("ArrowLeft", 2)]:
        page.keyboard.press(key)
        assert shows(scrubber, frame), key
    assert slider.get_attribute("aria-valuetext") == "step 200"
    assert scrubber.locator("img").evaluate("image => image.naturalWidth") > 100
    assert not failures


def test_it_plays_to_the_end(html, browser, tmp_path):  # noqa: F811
    page = opened(browser.new_context(), exported(html, tmp_path / "page.html"), [])
    scrubber = page.locator(SCRUBBER)
    scrubber.get_by_role("button", name="play").click()
    scrubber.get_by_role("button", name="pause").wait_for()
    scrubber.get_by_role("button", name="play").wait_for()
    assert shows(scrubber, 3)


def test_two_on_a_page_do_not_meddle(html, browser, tmp_path):  # noqa: F811
    page = opened(browser.new_context(), exported(html, tmp_path / "page.html", outputs=2), [])
    first, second = (page.locator(SCRUBBER).nth(i) for i in range(2))
    first.get_by_role("slider").fill("0")
    assert shows(first, 0) and shows(second, 3)


def test_without_scripts_the_last_frame_stays(html, browser, tmp_path):  # noqa: F811
    page = opened(browser.new_context(java_script_enabled=False), exported(html, tmp_path / "page.html"), [])
    scrubber = page.locator(SCRUBBER)
    assert shows(scrubber, 3) and scrubber.locator("img").is_visible()
    assert scrubber.locator("input, button").count() == 0
