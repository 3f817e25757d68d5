"""Every notebook of the repository: it runs through nbconvert, and what is committed was executed and is clean."""

import base64
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from rust_kernel import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SHORT = {"DIGIT_GAN_EPOCHS": "1", "DIGIT_GAN_DIGITS": "9000"}  # as `make notebooks SHORT=1`
BUILT_IN = "built-in, drawn by digit-gan"

ON_DIGITS = [path for path in NOTEBOOKS if "Digits::load" in path.read_text()]
ON_A_FOLDER = [path for path in NOTEBOOKS if "Digits::from_folder" in path.read_text() and path not in ON_DIGITS]
UCI = ROOT / "data" / "uci-digits"


def each(paths: list):
    return pytest.mark.parametrize("path", paths, ids=lambda path: path.stem)


def execute(path, folder, environment: dict) -> str:
    """Executes a copy, as `make notebooks` does, and gives back all that its cells printed."""
    how = ["--to", "notebook", "--execute", "--CoalesceStreamsPreprocessor.enabled=True"]
    command = [sys.executable, "-m", "nbconvert", *how, "--output-dir", str(folder), str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=2400)
    assert done.returncode == 0, done.stderr[-4000:]
    outputs = [output for cell in code_cells(folder / path.name) for output in cell.outputs]
    assert any("image" in str(output.get("data")) or "<img" in str(output.get("data")) for output in outputs), "no figure"
    return "".join(output.get("text", "") for output in outputs)


def code_cells(path) -> list:
    return [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]


@each([path for path in NOTEBOOKS if path not in ON_DIGITS + ON_A_FOLDER])
def test_it_runs_without_digits(path, tmp_path):
    assert BUILT_IN not in execute(path, tmp_path, os.environ | SHORT)


@each(ON_DIGITS)
def test_it_runs_on_built_in_digits(path, tmp_path):
    if any((ROOT / "data" / "mnist").glob("train-images*")):
        pytest.skip("data/mnist holds MNIST, so the built-in digits are not used")
    if os.environ.get("MNIST_DIR") and path != ON_DIGITS[0]:
        pytest.skip("runs on MNIST below, and on the built-in digits where MNIST_DIR is not set")
    environment = {name: value for name, value in os.environ.items() if name != "MNIST_DIR"}
    assert BUILT_IN in execute(path, tmp_path, environment | SHORT)


@each(ON_DIGITS)
def test_it_runs_on_mnist(path, tmp_path):
    if not os.environ.get("MNIST_DIR"):
        pytest.skip("MNIST_DIR is not set")
    folder = Path(os.environ["MNIST_DIR"]).resolve()  # notebooks run in their own
    assert BUILT_IN not in execute(path, tmp_path, os.environ | SHORT | {"MNIST_DIR": str(folder)})


@each(ON_A_FOLDER)
def test_it_runs_on_a_folder(path, tmp_path):
    if not UCI.is_dir():
        pytest.skip("data/uci-digits is missing: the set-up could not fetch it")
    shown = execute(path, tmp_path, os.environ | SHORT | {"MY_DIGITS": str(UCI)})
    assert BUILT_IN not in shown and "1797 images" in shown


@each(ON_A_FOLDER)
def test_it_runs_where_its_folder_is_missing(path, tmp_path):
    shown = execute(path, tmp_path, os.environ | SHORT | {"MY_DIGITS": str(tmp_path / "nothing")})
    assert BUILT_IN in shown and "is not there" in shown


@each(NOTEBOOKS)
def test_it_is_committed_executed_and_clean(path):
    text = path.read_text()
    assert len(text) < 1.5e6
    assert not re.search(r"/(home|root|Users|work|tmp)/", text), "an absolute path of some machine"
    cells = code_cells(path)
    assert all(cell.execution_count for cell in cells), "not executed"
    counts = [cell.execution_count for cell in cells]
    assert counts == sorted(set(counts)), "not executed from top to bottom"
    for cell, output in ((cell, output) for cell in cells for output in cell.outputs):
        is_meant = "raises-exception" in cell.metadata.get("tags", [])  # a cell that kills its own process
        assert output.output_type != "error" or is_meant, output
        assert output.get("name") != "stderr", output
    shown = [output.data["text/plain"] for cell in cells for output in cell.outputs if list(output.get("data", {})) == ["text/plain"]]
    # evcxr shows no picture in the first cell of a kernel that has a `?`, and a unit for a cell that ends in a loop.
    assert not [text for text in shown if text.startswith(("Figure(", "DrawingPage(", "Scrubber(", "()"))]


def test_the_readme_shows_the_committed_run():
    gif = base64.b64encode((ROOT / "notebooks" / "images" / "01_training.gif").read_bytes()).decode()
    outputs = [output for cell in code_cells(ROOT / "notebooks" / "01_digit_gan.ipynb") for output in cell.outputs]
    assert any(gif in output.get("data", {}).get("text/html", "") for output in outputs), (
        "notebooks/images/01_training.gif is of another run: `python tests/python/readme_gif.py` takes it from notebook 1"
    )
