"""A Rust kernel under test: starts it as Jupyter does, runs cells, keeps what they showed."""

import contextlib
import queue
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from jupyter_client.manager import start_new_kernel

ROOT = Path(__file__).resolve().parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome")  # kernel/prepare.py looks for the same
DEP = ':dep digit-gan = { path = "../crate" }'
PRELUDE = f"{DEP}\nuse digit_gan::prelude::*;"


@dataclass
class Shown:
    """What a cell left behind."""

    stdout: str = ""
    stderr: str = ""
    error: str = ""
    data: dict = field(default_factory=dict)
    seconds: float = 0.0

    def text(self) -> str:
        """The printed text of a cell that must not fail."""
        assert not self.error and not self.stderr, f"the cell failed: {self.error}{self.stderr}"
        return self.stdout.strip()


class Kernel:
    """A running kernel in the notebooks' folder; `with` shuts it down."""

    def __init__(self, cwd: Path = ROOT / "notebooks", **options):
        self.began = time.monotonic()
        self.manager, self.client = start_new_kernel(kernel_name="rust", cwd=str(cwd), startup_timeout=120, **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=not self.manager.is_alive())

    @property
    def pid(self) -> int:
        return self.manager.provisioner.process.pid

    def variables(self) -> dict[str, str]:
        """The environment that the launcher gave evcxr."""
        return psutil.Process(self.pid).environ()

    @property
    def workspace(self) -> Path:
        """The private cargo workspace that the launcher chose."""
        return Path(self.variables()["EVCXR_TMPDIR"]).parent

    def run(self, code: str, timeout: float = 900) -> Shown:
        shown = Shown()

        def keep(message: dict) -> None:
            kind, content = message["msg_type"], message["content"]
            if kind == "stream":
                setattr(shown, content["name"], getattr(shown, content["name"]) + content["text"])
            elif kind == "error":
                shown.error += "\n".join(content["traceback"]) or content["evalue"]
            elif kind == "execute_result":
                shown.data.update(content["data"])

        began = time.monotonic()
        self.client.execute_interactive(code, output_hook=keep, timeout=timeout)
        shown.seconds = time.monotonic() - began
        with contextlib.suppress(queue.Empty):  # stderr may come after the word that the cell has ended
            while True:
                keep(self.client.get_iopub_msg(timeout=0.1))
        return shown
