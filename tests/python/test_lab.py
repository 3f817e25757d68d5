"""Notebooks in JupyterLab, in a browser: figures, a live display, Stop, going on, restart, a failing cell."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest
from rust_kernel import BROWSERS, LISTENING, PATIENCE, ROOT

NOTEBOOK = ROOT / "notebooks" / "01_digit_gan.ipynb"
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
# The page's own indicator says idle before there is a kernel, and cells run then ask which kernel to take.
KERNEL_IDLE = "window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
# A cell that waits for its turn shows a star; one that was aborted shows nothing.
NOTHING_WAITS = "![...document.querySelectorAll('.jp-InputPrompt')].some(prompt => prompt.innerText.includes('*'))"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]


@pytest.fixture
def lab(tmp_path):
    """JupyterLab on a copy of the notebook without outputs; gives its address."""
    folder = ROOT / "target" / "test-lab"  # inside the clone, one level deep: `:dep` says ../crate
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    notebook = nbformat.read(NOTEBOOK, 4)
    for cell in notebook.cells:
        cell.source = cell.source.replace('"../crate"', '"../../crate"')
        cell.get("outputs", []).clear()
    nbformat.write(notebook, folder / NOTEBOOK.name)
    with serving(folder, tmp_path) as address:
        yield address


@contextlib.contextmanager
def serving(folder: Path, home: Path):
    """JupyterLab on a folder, with settings of its own in `home`; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"HOME": str(home), "JUPYTER_CONFIG_DIR": str(home), "DIGIT_GAN_EPOCHS": "1"}
    settings |= {"CARGO_HOME": os.environ.get("CARGO_HOME", os.path.expanduser("~/.cargo"))}
    settings |= {"RUSTUP_HOME": os.environ.get("RUSTUP_HOME", os.path.expanduser("~/.rustup"))}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}", str(folder)]
    command += ["--IdentityProvider.token=", "--ServerApp.password=", "--LabApp.news_url=", "--ServerApp.port_retries=0"]
    command += ["--LabApp.expose_app_in_browser=True"]  # for KERNEL_IDLE
    with open(home / "lab.log", "w") as log:
        server = subprocess.Popen(command, env=os.environ | settings, stdout=log, stderr=log)
    try:
        yield wait_for(f"http://127.0.0.1:{port}", server, home / "lab.log")
    finally:
        server.terminate()
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            # Jupyter Server 2.21 at times never ends when a page without a kernel is still open (2 of 45 times).
            server.kill()
            server.wait()


def wait_for(address: str, server, log) -> str:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/api", timeout=5).close()
            return address
        except OSError:
            time.sleep(0.3)
    raise AssertionError(log.read_text())


@contextlib.contextmanager
def opened(address: str, name: str):
    """A notebook's page with an idle kernel."""
    if BROWSER is None:
        pytest.skip("no Chromium: install it to test JupyterLab (`apt-get install chromium`)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, headless=True, args=FLAGS, timeout=180_000)
        page = browser.new_page(viewport={"width": 1400, "height": 4000})
        page.set_default_timeout(180_000)
        page.goto(f"{address}/lab/tree/{name}?reset")
        page.wait_for_function(KERNEL_IDLE, timeout=600_000)
        yield page
        browser.close()


def choose(page, menu: str, item: str) -> None:
    page.get_by_role("menuitem", name=menu, exact=True).click()
    # By its label: an item's accessible name holds its shortcut as well.
    page.locator(".lm-Menu-itemLabel", has_text=re.compile(f"^{re.escape(item)}$")).click()


def test_run_all_cells_shows_the_summary_and_figures(lab):
    with opened(lab, NOTEBOOK.name) as page:
        choose(page, "Run", "Run All Cells")
        page.locator(".jp-OutputArea-output table").first.wait_for(timeout=600_000)
        figure = page.locator(".jp-OutputArea-output img").first
        figure.wait_for(timeout=600_000)
        assert figure.evaluate("image => image.naturalWidth") > 100, "the figure is empty"
        assert page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']").count() == 0


LOOP = r"""for n in 0.. {
    look()?;
    steps += 1;
    let kind = if n == 0 { "display" } else { "update" };
    let frame = format!(r#"{{"type": "{kind}", "id": "{}", "data": {{"text/html": "<b class='frame'>{steps}</b>"}}}}"#, started);
    message(&frame);
    pause(200);
}"""
CELLS = [
    LISTENING + "let mut steps = 0; let mut started = 0;",
    "started += 1;\n" + LOOP,
    'println!("after {}", "the stop");',
    'panic!("deliberate");',
    'println!("after {}", "the panic");',
]


def test_a_display_lives_and_stop_keeps_the_variables(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, CELLS)))
    notebook.metadata["kernelspec"] = {"name": "rust", "display_name": "Rust", "language": "rust"}
    folder = tmp_path / "notebooks"
    folder.mkdir()
    nbformat.write(notebook, folder / "live.ipynb")
    with serving(folder, tmp_path) as address, opened(address, "live.ipynb") as page:
        frame = page.locator(".frame")
        later = page.locator(".jp-OutputArea-output", has_text="after the stop")

        def frames(number: int) -> list[int]:
            seen = [int(frame.inner_text(timeout=600_000))]
            while len(seen) < number:
                page.wait_for_function(f"document.querySelector('.frame')?.innerText > {seen[-1]}", timeout=180_000)
                seen.append(int(frame.inner_text()))
            assert frame.count() == 1, "frames pile up"
            return seen

        choose(page, "Run", "Run All Cells")
        before = frames(4)
        choose(page, "Kernel", "Interrupt Kernel")
        page.get_by_text("interrupted; variables are kept").wait_for(timeout=180_000)
        page.wait_for_function(NOTHING_WAITS, timeout=180_000)
        assert later.count() == 0, "Run All continues after a stop"
        page.locator(".jp-CodeCell").nth(1).locator(".cm-content").click()
        page.keyboard.press("Control+Enter")
        page.wait_for_function(f"document.querySelector('.frame')?.innerText > {before[-1]}", timeout=180_000)
        assert frames(3)[0] > before[-1], "the loop began anew"
        page.keyboard.press("Escape")
        choose(page, "Kernel", "Restart Kernel\u2026")
        page.locator(".jp-Dialog .jp-mod-accept").click()  # its accessible name is another than its text
        page.wait_for_function(KERNEL_IDLE, timeout=600_000)
        page.locator(".jp-CodeCell").nth(2).locator(".cm-content").click()
        choose(page, "Run", "Run Selected Cell and All Below")
        later.wait_for(timeout=600_000)
        page.get_by_text("Panic: deliberate").wait_for(timeout=180_000)
        page.wait_for_function(NOTHING_WAITS, timeout=180_000)
        assert page.locator(".jp-OutputArea-output", has_text="after the panic").count() == 0, "Run All continues after a failure"
