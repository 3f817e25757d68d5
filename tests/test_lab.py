"""The first notebook in JupyterLab, in a browser: run all cells, and see the summary table and a figure."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest
from rust_kernel import BROWSERS, ROOT

NOTEBOOK = ROOT / "notebooks" / "01_digit_gan.ipynb"
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
# The page's own indicator says idle before there is a kernel, and cells run then ask which kernel to take.
KERNEL_IDLE = "window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
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
        server.wait(60)


def wait_for(address: str, server, log) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/api", timeout=5).close()
            return address
        except OSError:
            time.sleep(0.3)
    raise AssertionError(log.read_text())


def test_run_all_cells_shows_the_summary_and_figures(lab):
    if BROWSER is None:
        pytest.skip("no Chromium: install it to test JupyterLab (`apt-get install chromium`)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, headless=True, args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 4000})
        page.goto(f"{lab}/lab/tree/{NOTEBOOK.name}?reset")
        page.wait_for_function(KERNEL_IDLE, timeout=120_000)
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        page.locator(".jp-OutputArea-output table").first.wait_for(timeout=300_000)
        figure = page.locator(".jp-OutputArea-output img").first
        figure.wait_for(timeout=300_000)
        assert figure.evaluate("image => image.naturalWidth") > 100, "the figure is empty"
        assert page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
        browser.close()
