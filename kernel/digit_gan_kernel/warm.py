"""Compiles what a notebook needs before anybody waits for it: takes minutes the first time, seconds later."""

import time
from pathlib import Path

import nbformat.v4 as notebook
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from .build import build
from .workspace import find_clone

# The last cell makes evcxr's rust-analyzer look at candle as a first cell does.
CELLS = (
    ':dep digit-gan = { path = "../crate" }\nuse digit_gan::prelude::*;',
    "let tensor = Tensor::zeros(1, DType::F32, &Device::Cpu)?;",
)


def warm() -> None:
    """Runs a notebook's first cells in a kernel. Exits with their message when they fail, and when the kernel dies."""
    clone = find_clone(Path.cwd())
    if clone is None:
        raise SystemExit("digit-gan kernel: no digit-gan clone here: change into it first")
    began = time.monotonic()
    build(clone)
    cells = notebook.new_notebook(cells=list(map(notebook.new_code_cell, CELLS)))
    folder = {"metadata": {"path": str(clone / "notebooks")}}
    try:
        NotebookClient(cells, kernel_name="rust", startup_timeout=120, resources=folder).execute()
    except DeadKernelError:
        raise SystemExit("digit-gan kernel: the kernel died; if memory ran out, close other programs and run it again")
    except (CellExecutionError, RuntimeError) as error:
        raise SystemExit(f"digit-gan kernel: {error}")
    print(f"kernel: ready after {time.monotonic() - began:.0f} s")
