"""Compiles what a notebook needs before anybody waits for it: takes minutes the first time, seconds later."""

import sys
import threading
import time
from pathlib import Path

from jupyter_client.manager import start_new_kernel

from .workspace import find_clone

# The last cell makes evcxr's rust-analyzer look at candle as a first cell does.
CELLS = (
    ':dep digit-gan = { path = "../crate" }\nuse digit_gan::prelude::*;',
    "let tensor = Tensor::zeros(1, DType::F32, &Device::Cpu)?;",
)


def warm() -> None:
    """Runs a notebook's first cells in a kernel. Exits with their message when they fail."""
    clone = find_clone(Path.cwd())
    if clone is None:
        raise SystemExit("digit-gan kernel: no digit-gan clone here: change into it first")
    began = time.monotonic()
    finished = threading.Event()
    threading.Thread(target=say_progress, args=(finished, began), daemon=True).start()
    manager, client = start_new_kernel(kernel_name="rust", cwd=str(clone / "notebooks"), startup_timeout=120)
    try:
        for cell in CELLS:
            run(client, cell)
    finally:
        finished.set()
        client.stop_channels()
        manager.shutdown_kernel()
    print(f"kernel: ready after {time.monotonic() - began:.0f} s")


def run(client, cell: str) -> None:
    errors = []

    def listen(message: dict) -> None:
        content = message["content"]
        if message["msg_type"] == "error":
            errors.append("\n".join(content["traceback"]) or content["evalue"])
        elif message["msg_type"] == "stream" and content["name"] == "stderr":
            errors.append(content["text"])

    client.execute_interactive(cell, output_hook=listen)
    if errors:
        raise SystemExit("digit-gan kernel: " + "".join(errors).strip())


def say_progress(finished: threading.Event, began: float) -> None:
    while not finished.wait(20):
        print(f"kernel: compiling dependencies, {time.monotonic() - began:.0f} s (minutes the first time)", flush=True)
        sys.stdout.flush()
