"""The page that draws: in its own file, in an exported notebook and in JupyterLab. Its pixels are Rust's, its controls work by
mouse and by keyboard, and where scripts don't run a picture is what is seen."""

import io
import json
import os
import subprocess
import sys
import time

import nbformat
import pytest
from nbconvert import HTMLExporter
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image
from test_lab import BROWSER, FLAGS, serving

FIGURE = "figure.digit-gan-drawing"

# A digit of class k is white in row k, and black elsewhere but for a little noise: what was drawn can be read from it.
ROWS = """
let rng = Rng::seed(1);
let rows = Sequential::new("generator", [16 + 10]).dense(784).tanh().reshape([1, 28, 28]).build(&rng)?;
let mut weight = (rng.normal((26, 784))? * 0.05)?.to_vec2::<f32>()?;
for class in 0..10 {
    for pixel in 0..784 {
        weight[16 + class][pixel] = if pixel / 28 == class { 2.0 } else { -2.0 };
    }
}
rows.set("0.dense.weight", &Tensor::new(weight, &Device::Cpu)?)?;
let noise = rng.normal((200, 16))?;
let labels = Tensor::zeros(200, DType::U32, &Device::Cpu)?;
let directions = latent::directions(&noise, &rows.forward(&with_class(&noise, &labels, 10)?)?, Some(&labels))?;
let page = DrawingPage::conditional(&rows, 0..10)?.directions(&directions, &["slant", "weight"])?;
"""

# Every kind of layer, and the networks of a recipe of half its width; running statistics as after some training.
GENERATORS = """
fn settled(network: Sequential, rng: &Rng) -> digit_gan::Result<Network> {
    let network = network.build(rng)?;
    for _ in 0..20 {
        network.forward_t(&rng.normal((64, network.config().input()[0]))?, true)?;
    }
    Ok(network)
}
fn compared(network: &Network, latent: usize, rng: &Rng) -> digit_gan::Result<()> {
    let labels = Tensor::from_iter((0..20u32).map(|i| i % 10), &Device::Cpu)?;
    let input = with_class(&rng.normal((20, latent))?, &labels, 10)?;
    let output = network.forward(&input)?.flatten_from(1)?.to_vec2::<f32>()?;
    println!("[{:?}, {:?}]", input.to_vec2::<f32>()?, output);
    Ok(())
}
let layers = Sequential::new("generator", [16 + 10])
    .dense(64).leaky_relu(0.2).batch_norm(0.5)
    .dense(8 * 7 * 7).no_bias().batch_norm(0.5).relu().reshape([8, 7, 7])
    .conv_transpose2d(6, 5, 2).batch_norm(0.5).leaky_relu(0.3)
    .conv2d(7, 4, 1).relu().batch_norm(0.5).dropout(0.3)
    .upsample2d(4).max_pool2d(2)
    .conv2d(5, 3, 1).no_bias().batch_norm(0.5)
    .conv_transpose2d(3, 2, 1).flatten().reshape([3, 28, 28])
    .conv2d(1, 5, 1).tanh();
let layers = settled(layers, &rng)?;
let narrow = Sequential::new("generator", [100 + 10])
    .dense(512).no_bias().batch_norm(0.9).leaky_relu(0.2)
    .dense(64 * 7 * 7).no_bias().batch_norm(0.9).leaky_relu(0.2).reshape([64, 7, 7])
    .conv_transpose2d(32, 4, 2).no_bias().batch_norm(0.9).leaky_relu(0.2)
    .conv_transpose2d(1, 4, 2).tanh();
let narrow = settled(narrow, &rng)?;
"""


@pytest.fixture(scope="module")
def html(kernel) -> str:
    kernel.run(ROWS).text()
    shown = kernel.run("page")
    assert not shown.text()
    return shown.data["text/html"]


@pytest.fixture(scope="module")
def browser():
    if BROWSER is None:
        pytest.skip("no Chromium: install it to test the page that draws (`apt-get install chromium`)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=BROWSER, headless=True, args=FLAGS, timeout=180_000)
        yield running
        running.close()


@pytest.fixture(scope="module")
def saved(kernel, html, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("page") / "digits.html"
    kernel.run(f'page.save("{path}")?;').text()
    return path.as_uri()


@pytest.fixture
def drawing(browser, saved):
    """The page in a file of its own."""
    failures = []
    page = opened(browser.new_context(), saved, failures)
    yield ready(page)
    assert not failures
    page.context.close()


def opened(context, address: str, failures: list):
    page = context.new_page()
    page.set_default_timeout(180_000)  # 30 s are not enough for JupyterLab on a busy machine
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.goto(address)
    return page


def ready(page, number: int = 0):
    """The figure, once it can draw."""
    figure = page.locator(FIGURE).nth(number)
    figure.locator("canvas.one").wait_for()
    return figure


def notebook_of(html: str, outputs: int = 1):
    """A notebook that was executed: `outputs` cells, each with the page."""
    output = new_output("execute_result", data={"text/html": html}, execution_count=1)
    return new_notebook(cells=[new_code_cell("page", outputs=[output], execution_count=1) for _ in range(outputs)])


def exported(html: str, path, outputs: int = 1) -> str:
    page, _ = HTMLExporter().from_notebook_node(notebook_of(html, outputs))
    path.write_text(page)
    return path.as_uri()


def pixels(figure, canvas: str = "one") -> list[list[int]]:
    """Rows of greys."""
    return figure.locator(f"canvas.{canvas}").evaluate(
        """canvas => {
            const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            return Array.from({length: canvas.height}, (_, y) =>
                Array.from({length: canvas.width}, (_, x) => data[4 * (y * canvas.width + x)]));
        }"""
    )


def classes(rows: list[list[int]]) -> str:
    """Which digits of ROWS stand beside each other."""
    found = ""
    for left in range(0, len(rows[0]), 28):
        white = [y for y, row in enumerate(rows) if sum(row[left : left + 28]) > 28 * 200]
        assert len(white) == 1, white
        found += str(white[0])
    return found


def check_controls(figure) -> None:
    """What is chosen is what is drawn; all that a screen reader needs has a name."""
    press = figure.page.keyboard.press
    assert classes(pixels(figure)) == "0"
    figure.get_by_role("radio", name="7").check(force=True)
    assert classes(pixels(figure)) == "7"
    press("ArrowRight")
    assert classes(pixels(figure)) == "8" and figure.get_by_role("radio", name="8").is_checked()
    assert figure.get_by_role("group", name="digit").count() == 1

    before = pixels(figure)
    slant = figure.get_by_role("slider", name="slant")
    slant.focus()
    for key, text in [("Home", "−3.0"), ("ArrowRight", "−2.9"), ("End", "+3.0"), ("ArrowLeft", "+2.9")]:
        press(key)
        assert slant.get_attribute("aria-valuetext") == text
        assert figure.get_by_role("img", name=f"generated 8, slant {text}, weight 0.0").count() == 1
    assert pixels(figure) != before
    figure.get_by_role("button", name="reset").click()
    assert pixels(figure) == before, "the same point of the latent space"

    figure.get_by_role("textbox", name="write a number").press_sequentially("2026")
    assert classes(pixels(figure, "number")) == "2026"
    assert figure.get_by_role("img", name="written: 2026").count() == 1


def test_the_controls(drawing):
    check_controls(drawing)


def test_every_control_is_reached_by_tab(drawing):
    names = []
    for _ in range(20):
        drawing.page.keyboard.press("Tab")
        focused = drawing.page.evaluate("() => document.activeElement.closest('label')?.innerText ?? document.activeElement.innerText")
        names.append(focused.split("\n")[0])
    order = ["0", "slant", "weight", "truncation", "another one", "walk", "reset", "save a sheet", "write a number"]
    assert names[: len(order)] == order


def test_truncation_draws_rare_values_again(drawing):
    slider = drawing.get_by_role("slider", name="truncation")
    seen = []
    for threshold in ("3", "1", "0.3", "1"):
        slider.fill(threshold)
        seen.append(pixels(drawing))
    assert seen[0] != seen[1] != seen[2] and seen[1] == seen[3]
    # Nearer to the mean there is less noise on the black pixels.
    noise = [max(abs(grey - seen[0][20][0]) for row in rows[15:] for grey in row) for rows in (seen[0], seen[2])]
    assert noise[1] < noise[0]


def test_another_one_and_a_walk(drawing):
    first = pixels(drawing)
    drawing.get_by_role("button", name="another one").click()
    second = pixels(drawing)
    assert second != first and drawing.get_by_role("status").inner_text() == "A new generated 0."
    walk = drawing.get_by_role("button", name="walk")
    walk.focus()
    drawing.page.keyboard.press("Space")
    drawing.page.wait_for_timeout(500)
    assert pixels(drawing) != second
    drawing.get_by_role("button", name="pause").click()
    third = pixels(drawing)
    drawing.page.wait_for_timeout(300)
    assert pixels(drawing) == third and walk.is_visible()


def test_a_number_of_what_was_never_learned(drawing):
    text = drawing.get_by_role("textbox", name="write a number")
    text.fill("2x6")
    assert classes(pixels(drawing, "number")) == "26"
    assert drawing.get_by_role("status").inner_text() == "The generator has learned no x."
    text.fill("1" * 50)
    assert drawing.get_by_role("status").inner_text() == ""
    text.fill("")
    assert not drawing.locator("canvas.number").is_visible()


def test_the_same_digit_is_never_written_twice_in_the_same_way(drawing):
    drawing.get_by_role("textbox", name="write a number").fill("22")
    rows = pixels(drawing, "number")
    assert [row[:28] for row in rows] != [row[28:] for row in rows]


def test_a_sheet_is_saved_as_png(drawing):
    with drawing.page.expect_download() as download:
        drawing.get_by_role("button", name="save a sheet").click()
    assert download.value.suggested_filename == "digits.png"
    with open(download.value.path(), "rb") as file:
        sheet = Image.open(io.BytesIO(file.read())).convert("L")
    cell, scale = 29, 4
    assert sheet.size == ((10 * cell + 1) * scale,) * 2
    for row in range(10):
        for column in range(10):
            lit = [y for y in range(28) if sheet.getpixel(((column * cell + 15) * scale, (row * cell + 1 + y) * scale + 2)) > 200]
            assert lit == [row], (row, column)


@pytest.mark.parametrize("name, latent", [("layers", 16), ("narrow", 100)])
def test_pixels_are_those_of_rust(kernel, html, browser, tmp_path, name, latent):
    kernel.run(GENERATORS).text()
    path = tmp_path / "digits.html"
    kernel.run(f'DrawingPage::conditional(&{name}, 0..10)?.save("{path}")?;').text()
    inputs, expected = json.loads(kernel.run(f"compared(&{name}, {latent}, &rng)?;").text())
    assert path.stat().st_size <= 4_000_000
    began = time.monotonic()
    figure = ready(opened(browser.new_context(), path.as_uri(), []))
    print(f"\n{name}: {path.stat().st_size / 1e6:.2f} MB, ready after {time.monotonic() - began:.1f} s")
    drawn = figure.evaluate("(figure, inputs) => inputs.map((input) => Array.from(figure.draw(input)))", inputs)
    apart = max(abs(a - b) for one, other in zip(drawn, expected) for a, b in zip(one, other))
    assert len({value for image in expected for value in image}) > 1000, "it draws something"
    milliseconds = figure.evaluate(
        """(figure, inputs) => {
            const began = performance.now();
            for (let i = 0; i < 5; i++) inputs.forEach(figure.draw);
            return (performance.now() - began) / (5 * inputs.length);
        }""",
        inputs,
    )
    print(f"{name}: {milliseconds:.2f} ms a digit, pixels differ by {apart * 127.5:.3f} of 255 at most")
    assert apart * 127.5 <= 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out(browser, saved, scheme):
    figure = ready(opened(browser.new_context(color_scheme=scheme), saved, []))
    figure.get_by_role("textbox").fill("2x")
    ratios = figure.evaluate(
        """figure => {
            const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
            const paint = (...colours) => {
                colours.forEach((colour) => { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); });
                const [r, g, b] = Array.from(canvas.getImageData(0, 0, 1, 1).data, (value) => {
                    value /= 255;
                    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
                });
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const probe = document.body.appendChild(document.createElement("div"));
            probe.style.background = "Canvas";
            const page = getComputedStyle(probe).backgroundColor;
            const contrast = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
            return Array.from(figure.querySelectorAll("button, span, legend, p, figcaption, .text"), (element) => {
                const { color, backgroundColor, borderColor, borderStyle } = getComputedStyle(element);
                const ground = paint(page, backgroundColor);
                return [element.textContent, contrast(paint(page, backgroundColor, color), ground),
                        borderStyle === "solid" ? contrast(paint(page, borderColor), paint(page)) : 21, page];
            });
        }"""
    )
    assert len(ratios) > 20
    assert ({"light": 255, "dark": 18}[scheme]) == int(ratios[0][3].removeprefix("rgb(").split(",")[0])
    for text, contrast, border, _ in ratios:
        assert contrast >= 4.5, text
        assert border >= 3, text


def test_on_a_phone(browser, saved):
    page = opened(browser.new_context(viewport={"width": 390, "height": 844}, is_mobile=True), saved, [])
    figure = ready(page)
    figure.get_by_role("textbox").fill("123456789012")
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
    wide = figure.evaluate(
        "figure => [...figure.querySelectorAll('*')].filter(e => e.getBoundingClientRect().right > 390).map(e => e.outerHTML.slice(0, 99))"
    )
    assert not wide


def test_in_an_exported_page(html, browser, tmp_path):
    failures = []
    page = opened(browser.new_context(), exported(html, tmp_path / "page.html", outputs=2), failures)
    first, second = ready(page), ready(page, 1)
    check_controls(first)
    assert classes(pixels(second)) == "0", "two on a page do not meddle"
    second.get_by_role("radio", name="5").check(force=True)
    assert (classes(pixels(first)), classes(pixels(second))) == ("8", "5")
    assert not failures


def test_without_scripts_the_picture_stays(html, browser, tmp_path):
    context = browser.new_context(java_script_enabled=False)
    page = opened(context, exported(html, tmp_path / "page.html"), [])
    image = page.locator(f"{FIGURE} img")
    assert image.is_visible() and image.bounding_box()["width"] > 100
    assert page.get_by_text("30 generated digits").is_visible()
    assert page.locator(f"{FIGURE} input, {FIGURE} canvas").count() == 0


def test_what_fails_is_said(html, browser, tmp_path):
    broken = html.replace('<script type="text/plain">', '<script type="text/plain">AAAA')
    page = opened(browser.new_context(), exported(broken, tmp_path / "page.html"), [])
    page.get_by_role("alert").wait_for()
    assert page.get_by_role("alert").inner_text().startswith("The page cannot draw here")
    assert page.locator(f"{FIGURE} img").is_visible()


@pytest.mark.parametrize("trusted", [True, False], ids=["trusted", "untrusted"])
def test_in_jupyterlab(html, browser, tmp_path, trusted):
    """What was executed elsewhere is not trusted, and its scripts don't run."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    nbformat.write(notebook_of(html), folder / "page.ipynb")
    if trusted:
        home = {"HOME": str(tmp_path), "JUPYTER_CONFIG_DIR": str(tmp_path)}
        trust = [sys.executable, "-m", "nbformat.sign", str(folder / "page.ipynb")]
        subprocess.run(trust, env=os.environ | home, check=True, capture_output=True)
    failures = []
    with serving(folder, tmp_path) as address:
        page = opened(browser.new_context(), f"{address}/lab/tree/page.ipynb?reset", failures)
        figure = page.locator(".jp-OutputArea-output figure")
        figure.locator("canvas.one" if trusted else "img").first.wait_for(state="attached", timeout=120_000)
        page.locator(".jp-Dialog .jp-mod-reject").click()  # which kernel? none
        if trusted:
            check_controls(figure)
        else:
            assert figure.locator("img").is_visible()
            assert figure.locator("input, canvas").count() == 0
    assert not failures


def test_jupyterlab_lets_a_page_of_4_mb_through():
    """By default it drops what comes faster than 1 MB a second, over three seconds."""
    command = [sys.executable, "-m", "jupyter_server", "--show-config-json"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert json.loads(printed)["ZMQChannelsWebsocketConnection"]["iopub_data_rate_limit"] * 3 > 2 * 4_000_000
