"""`jupyter nbconvert --execute` of a Rust notebook fails when a cell fails, and names the cell."""

import re
import subprocess
import sys

import nbformat
import pytest
from rust_kernel import ROOT

FAILURES = {
    "panic": ('panic!("deliberate");', "deliberate"),
    "assertion": ('assert_eq!(1 + 1, 3, "deliberate");', "deliberate"),
    "question mark": ('"x".parse::<i32>()?;', "invalid digit"),
    "index": ("let numbers = [1, 2]; let at = std::env::args().count() + 5; numbers[at];", "out of bounds"),
    "compile error": ('let number: i32 = "text";', "mismatched types"),
    "abort": ("std::process::abort();", "terminated"),
}


def execute(folder, failing: str, tags=(), arguments=()) -> subprocess.CompletedProcess:
    """Runs a notebook of prose, a good cell, `failing`, and another good cell."""
    cells = [nbformat.v4.new_markdown_cell("# Fails on purpose"), nbformat.v4.new_code_cell("let kept = vec![41, 1];")]
    cells += [nbformat.v4.new_code_cell(failing, metadata={"tags": list(tags)})]
    cells += [nbformat.v4.new_code_cell('println!("sum {}", kept.iter().sum::<i32>());')]
    kernel = {"kernelspec": {"name": "rust", "display_name": "Rust", "language": "rust"}}
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "fails.ipynb")
    command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--output", "done.ipynb", *arguments]
    return subprocess.run([*command, str(folder / "fails.ipynb")], capture_output=True, text=True, timeout=300)


@pytest.fixture
def folder(request):
    """Inside the clone, where the launcher prepares a workspace."""
    return ROOT / "target" / "test-notebooks" / re.sub(r"\W+", "-", request.node.name)  # nbconvert globs its argument


@pytest.mark.parametrize("way", FAILURES)
def test_a_failing_cell_fails_the_notebook(way, folder):
    source, message = FAILURES[way]
    done = execute(folder, source)
    assert done.returncode != 0
    assert f"cell 3 (`{source}`" in done.stderr
    assert message in done.stderr


@pytest.mark.parametrize("how", [{"tags": ["raises-exception"]}, {"arguments": ["--allow-errors"]}])
def test_a_failure_that_is_asked_for_is_none(how, folder):
    done = execute(folder, FAILURES["panic"][0], **how)
    assert done.returncode == 0, done.stderr
    outputs = nbformat.read(folder / "done.ipynb", 4).cells[3].outputs
    assert [output.text for output in outputs] == ["sum 42\n"], "a panic keeps the variables"


def test_a_notebook_of_another_language_may_warn(folder):
    """The hook serves a whole environment, and in Python stderr is for warnings too."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell('import sys; print("so what", file=sys.stderr)')])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, folder / "warns.ipynb")
    command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--output", "done.ipynb"]
    assert subprocess.run([*command, str(folder / "warns.ipynb")], timeout=300).returncode == 0
