"""A Rust kernel under test: starts it as Jupyter does, runs cells, keeps what they showed."""

import contextlib
import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from jupyter_client.manager import start_new_kernel

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 300  # seconds for what takes one on an idle machine: a limit for what would never come, not a measurement
BROWSERS = ("chromium", "chromium-browser", "google-chrome")  # kernel/prepare.py looks for the same
DEP = ':dep digit-gan = { path = "../crate" }'
PRELUDE = f"{DEP}\nuse digit_gan::prelude::*;"

# What the crate does when it looks at the interrupt flag, for cells that do without the crate.
LISTENING = r"""
fn message(json: &str) {
    println!("\x1b]digit-gan;{};{json}", std::env::var("DIGIT_GAN_LIVE").unwrap());
}
fn look() -> Result<(), String> {
    message(r#"{"type": "listening"}"#);
    let flag = std::env::var("DIGIT_GAN_INTERRUPT").unwrap();
    if std::path::Path::new(&flag).exists() { Err("interrupted".into()) } else { Ok(()) }
}
fn pause(milliseconds: u64) {
    std::thread::sleep(std::time::Duration::from_millis(milliseconds));
}
"""


@dataclass
class Shown:
    """What a cell left behind."""

    status: str = ""
    stdout: str = ""
    stderr: str = ""
    error: str = ""  # the traceback
    name: str = ""  # the error's
    value: str = ""
    data: dict = field(default_factory=dict)
    metadata: dict = field(default_factory=dict)
    frames: list[dict] = field(default_factory=list)  # contents of display_data and update_display_data
    count: int = 0
    seconds: float = 0.0

    def text(self) -> str:
        """The printed text of a cell that must not fail."""
        assert self.status == "ok" and not self.stderr, f"the cell failed: {self.error}{self.stderr}"
        return self.stdout.strip()


class Kernel:
    """A running kernel in the notebooks' folder; `with` shuts it down."""

    def __init__(self, cwd: Path = ROOT / "notebooks", **options):
        self.began = time.monotonic()
        self.manager, self.client = start_new_kernel(kernel_name="rust", cwd=str(cwd), startup_timeout=PATIENCE, **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=not self.manager.is_alive())

    @property
    def pid(self) -> int:
        """The process that Jupyter knows."""
        return self.manager.provisioner.process.pid

    def processes(self) -> list[psutil.Process]:
        """That process and all it started."""
        kernel = psutil.Process(self.pid)
        return [kernel, *kernel.children(recursive=True)]

    @property
    def evcxr(self) -> psutil.Process:
        return self.wait_for(lambda: next((p for p in psutil.Process(self.pid).children() if p.name() == "evcxr_jupyter"), None))

    @property
    def cells(self) -> psutil.Process:
        """The process that runs the cells."""
        return self.wait_for(lambda: next((p for p in self.evcxr.children() if p.name() == "evcxr_jupyter"), None))

    def compiles(self) -> bool:
        """Whether a compiler runs for a cell."""
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.name() == "rustc":
                    return True
        return False

    @staticmethod
    def wait_for(condition: Callable, seconds: float = PATIENCE):
        deadline = time.monotonic() + seconds
        while not (met := condition()):
            assert time.monotonic() < deadline, "it did not come"
            time.sleep(0.05)
        return met

    def wait_for_text(self, text: str) -> None:
        """Reads what the running cell publishes until it has printed this."""
        self.wait_for(lambda: self.client.get_iopub_msg(timeout=PATIENCE)["content"].get("text") == text)

    def variables(self) -> dict[str, str]:
        """The environment that the kernel gave evcxr."""
        return self.evcxr.environ()

    @property
    def workspace(self) -> Path:
        """The private cargo workspace that the kernel chose."""
        return Path(self.variables()["EVCXR_TMPDIR"]).parent

    def ask(self, kind: str, channel: str = "shell", **content) -> dict:
        """The content of the reply to any other request, on the shell or the control channel."""
        message = self.client.session.msg(kind, content)
        getattr(self.client, f"{channel}_channel").send(message)
        while True:
            reply = getattr(self.client, f"get_{channel}_msg")(timeout=PATIENCE)
            if reply["parent_header"].get("msg_id") == message["header"]["msg_id"]:
                return reply["content"]

    def statuses(self, *sent: str, timeout: float = PATIENCE) -> list[str]:
        """How the requests with these ids ended. Replies to others, as those to a start's questions, are passed over."""
        ended = {}
        while not ended.keys() >= set(sent):
            reply = self.client.get_shell_msg(timeout=timeout)
            ended[reply["parent_header"].get("msg_id")] = reply["content"].get("status", "")
        return [ended[msg_id] for msg_id in sent]

    def run(self, code: str, timeout: float = 900, hook: Callable = lambda _: None, **options) -> Shown:
        """Runs a cell. `hook` sees each message when it comes."""
        shown = Shown()

        def keep(message: dict) -> None:
            kind, content = message["msg_type"], message["content"]
            if kind == "stream":
                setattr(shown, content["name"], getattr(shown, content["name"]) + content["text"])
            elif kind == "error":
                shown.name, shown.value = content["ename"], content["evalue"]
                shown.error += "\n".join(content["traceback"]) or content["evalue"]
            elif kind == "execute_result":
                shown.data.update(content["data"])
                shown.metadata.update(content["metadata"])
            elif kind in ("display_data", "update_display_data"):
                shown.frames.append(content | {"kind": kind})
            hook(message)

        began = time.monotonic()
        reply = self.client.execute_interactive(code, output_hook=keep, timeout=timeout, **options)
        shown.seconds = time.monotonic() - began
        shown.status, shown.count = reply["content"]["status"], reply["content"].get("execution_count", 0)
        return shown


def copy_of_the_clone(folder: Path) -> Path:
    """What a kernel needs of the clone, with nothing compiled; the folder of its notebooks."""
    shutil.copytree(ROOT / "crate", folder / "crate")
    (folder / "notebooks").mkdir()
    for name in ("Cargo.toml", "Cargo.lock"):
        shutil.copyfile(ROOT / name, folder / name)
    return folder / "notebooks"


def alive(processes: list[psutil.Process], seconds: float = 30) -> list[psutil.Process]:
    """Those that have not ended after `seconds`, far more than it takes: `make bench-kernel` says how long that is."""
    deadline = time.monotonic() + seconds
    while (still := list(filter(runs, processes))) and time.monotonic() < deadline:
        time.sleep(0.02)
    return still


def runs(process: psutil.Process) -> bool:
    """Whether it does; a zombie, which its parent has not asked for yet, does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def plain_text(coloured: str) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", coloured)


def environment(**changes: str) -> dict[str, str]:
    return os.environ | changes
