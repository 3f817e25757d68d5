"""The sliders of an explorer choose the right digit: in JupyterLab, in an exported page and in a page of their own; where
scripts don't run, the picture of all digits is what is seen."""

import os
import subprocess
import sys

import nbformat
import pytest
from nbconvert import HTMLExporter
from nbformat.v4 import new_code_cell, new_notebook, new_output
from test_lab import BROWSER, FLAGS, serving

SIZES = (3, 4, 5)
# The digit at (class, down, across) is black but for one pixel, at row `down` and column `across`, of a grey of its class.
SAMPLES = """
let mut values = vec![-1f32; 60 * 784];
for i in 0..60 {
    values[784 * i + 28 * (i / 5 % 4) + i % 5] = (i / 20 + 1) as f32 / 1.5 - 1.0;
}
let samples = Tensor::from_vec(values, (60, 1, 28, 28), &Device::Cpu)?;
let axes = [plot::Axis::new("digit", [7, 8, 9]), plot::Axis::new("slant", 0..4), plot::Axis::new("weight", -2..=2)];
"""


@pytest.fixture(scope="module")
def html(kernel) -> str:
    kernel.run(SAMPLES).text()
    shown = kernel.run("plot::explorer(&samples, &axes)?")
    assert not shown.text()
    return shown.data["text/html"]


@pytest.fixture(scope="module")
def browser():
    if BROWSER is None:
        pytest.skip("no Chromium: install it to test the explorer (`apt-get install chromium`)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=BROWSER, headless=True, args=FLAGS, timeout=180_000)
        yield running
        running.close()


def notebook_of(html: str, outputs: int):
    """A notebook that was executed: `outputs` cells, each with an explorer."""
    output = new_output("execute_result", data={"text/html": html}, execution_count=1)
    return new_notebook(cells=[new_code_cell("explorer", outputs=[output], execution_count=1) for _ in range(outputs)])


def exported(html: str, path, outputs: int = 1) -> str:
    page, _ = HTMLExporter().from_notebook_node(notebook_of(html, outputs))
    path.write_text(page)
    return path.as_uri()


def opened(context, address: str, failures: list):
    page = context.new_page()
    page.set_default_timeout(180_000)  # 30 s are not enough for JupyterLab on a busy machine
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.goto(address)
    return page


def lit(explorer) -> list:
    """Row, column and grey of the pixels that are not black."""
    return explorer.locator("canvas").evaluate(
        """canvas => {
            const {data} = canvas.getContext("2d").getImageData(0, 0, 28, 28);
            const pixels = Array.from({length: 784}, (_, i) => [Math.floor(i / 28), i % 28, data[4 * i]]);
            return pixels.filter(([row, column, grey]) => grey > 0);
        }"""
    )


def shows(explorer, kind: int, down: int, across: int) -> bool:
    return lit(explorer) == [[down, across, 85 * (kind + 1)]]


def check_sliders(explorer) -> None:
    """Every place by moving the sliders, the middle first; then the keyboard, and what a screen reader hears."""
    sliders = explorer.get_by_role("slider")
    sliders.nth(2).wait_for()
    explorer.page.wait_for_function("() => document.querySelector('figure.digit-gan-explorer img').complete")
    assert shows(explorer, *(size // 2 for size in SIZES))
    for kind in range(SIZES[0]):
        for down in range(SIZES[1]):
            for across in range(SIZES[2]):
                for slider, place in enumerate((kind, down, across)):
                    sliders.nth(slider).fill(str(place))
                assert shows(explorer, kind, down, across), (kind, down, across, lit(explorer))
    explorer.get_by_role("slider", name="slant").focus()
    for key, down in [("Home", 0), ("ArrowRight", 1), ("ArrowUp", 2), ("ArrowUp", 3), ("ArrowLeft", 2), ("ArrowDown", 1)]:
        explorer.page.keyboard.press(key)
        assert shows(explorer, 2, down, 4), (key, lit(explorer))
    assert explorer.get_by_role("img", name="digit 9, slant 1, weight 2").count() == 1
    assert sliders.nth(2).get_attribute("aria-valuetext") == "2"


def test_in_an_exported_page(html, browser, tmp_path):
    failures = []
    page = opened(browser.new_context(), exported(html, tmp_path / "page.html"), failures)
    check_sliders(page.locator("figure.digit-gan-explorer"))
    assert not page.locator("figure img").is_visible(), "all digits at once are behind a click"
    page.get_by_text("all at once").click()
    assert page.locator("figure img").is_visible()
    assert not failures


def test_two_on_a_page_do_not_meddle(html, browser, tmp_path):
    failures = []
    page = opened(browser.new_context(), exported(html, tmp_path / "page.html", outputs=2), failures)
    first, second = (page.locator("figure.digit-gan-explorer").nth(i) for i in range(2))
    for explorer in (first, second):
        assert explorer.get_by_role("slider").count() == 3 and explorer.locator("canvas").count() == 1
    first.get_by_role("slider", name="digit").fill("0")
    second.get_by_role("slider", name="weight").fill("4")
    assert shows(first, 0, 2, 2) and shows(second, 1, 2, 4)
    assert not failures


def test_without_scripts_the_picture_stays(html, browser, tmp_path):
    context = browser.new_context(java_script_enabled=False)
    page = opened(context, exported(html, tmp_path / "page.html"), [])
    image = page.locator("figure.digit-gan-explorer img")
    assert image.is_visible() and image.bounding_box()["width"] > 100
    assert page.get_by_text("60 generated digits.").is_visible()
    assert page.locator("figure.digit-gan-explorer input, figure.digit-gan-explorer canvas").count() == 0


def test_in_a_page_of_its_own(kernel, html, browser, tmp_path):
    path = tmp_path / "explorer.html"
    kernel.run(f'plot::explorer(&samples, &[2usize, 3, 10].map(|n| plot::Axis::new("axis", 0..n)))?.save("{path}")?;').text()
    failures = []
    page = opened(browser.new_context(), path.as_uri(), failures)
    page.get_by_role("slider").nth(2).fill("9")
    # The middle of two and of three, and the last of ten: sample 30 + 10 + 9.
    assert lit(page.locator("figure")) == [[49 // 5 % 4, 49 % 5, 85 * (49 // 20 + 1)]]
    assert not failures


@pytest.mark.parametrize("trusted", [True, False], ids=["trusted", "untrusted"])
def test_in_jupyterlab(html, browser, tmp_path, trusted):
    """What was executed elsewhere is not trusted, and its scripts don't run."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    nbformat.write(notebook_of(html, 1), folder / "explorer.ipynb")
    if trusted:
        home = {"HOME": str(tmp_path), "JUPYTER_CONFIG_DIR": str(tmp_path)}
        trust = [sys.executable, "-m", "nbformat.sign", str(folder / "explorer.ipynb")]
        subprocess.run(trust, env=os.environ | home, check=True, capture_output=True)
    failures = []
    with serving(folder, tmp_path) as address:
        page = opened(browser.new_context(), f"{address}/lab/tree/explorer.ipynb?reset", failures)
        explorer = page.locator(".jp-OutputArea-output figure")
        explorer.locator("img").first.wait_for(state="attached", timeout=120_000)
        page.locator(".jp-Dialog .jp-mod-reject").click()  # which kernel? none
        if trusted:
            check_sliders(explorer)
        else:
            assert explorer.locator("img").is_visible()
            assert explorer.locator("input, canvas").count() == 0
    assert not failures
