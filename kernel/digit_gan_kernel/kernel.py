"""The kernel that Jupyter sees; evcxr runs the cells behind it."""

import asyncio
import concurrent.futures
import os
import re
import signal
import time
from pathlib import Path

from ipykernel._version import kernel_protocol_version
from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel

from . import __version__, complete, failures
from .cell import Cell
from .evcxr import Died, Evcxr
from .process import Process
from .workspace import find_clone

# Loads the crate into evcxr's rust-analyzer, which takes seconds: a request for completion changes no state.
FIRST_TOUCH = """\
:dep digit-gan = {{ path = "{path}" }}
use digit_gan::prelude::*;
let tensor = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
tensor.dim"""


class RustKernel(Kernel):
    implementation = "digit-gan-kernel"
    implementation_version = __version__
    banner = "Rust, run by evcxr"
    language_info = {
        "name": "Rust",
        "version": "",
        "mimetype": "text/rust",
        "file_extension": ".rs",
        "pygments_lexer": "rust",
        "codemirror_mode": "rust",
    }
    help_links = [{"text": "Rust std docs", "url": "https://doc.rust-lang.org/stable/std/"}]
    evcxr: Path
    launched: concurrent.futures.Future

    def start(self) -> None:
        super().start()
        self.cell: Cell | None = None
        self.inputs: list[tuple[int, int, str]] = []  # session, number, code
        self.evcxr_ = Evcxr(lambda: Process(self.evcxr, find_clone(Path.cwd())), self.send, self.ask)
        self.starting: asyncio.Task | None = None
        self.io_loop.add_callback(self.begin)

    async def begin(self) -> None:
        loop = asyncio.get_running_loop()
        signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(self.stop))
        self.starting = asyncio.create_task(self.evcxr_.start(self.launched))
        await asyncio.wait([self.starting])
        if not self.starting.exception():
            await self.warm_up()

    async def warm_up(self) -> None:
        """What the first cells would wait for otherwise, while the user still reads. Nobody waits for it."""
        try:
            async with self.evcxr_.turn:
                if not self.evcxr_.primed:
                    await self.evcxr_.prime()
            clone = find_clone(Path.cwd())
            if clone and self.execution_count == 0:
                code = FIRST_TOUCH.format(path=os.path.relpath(clone / "crate"))
                async with self.evcxr_.turn:
                    await self.evcxr_.request("complete_request", {"code": code, "cursor_pos": len(code)})
        except Died as error:
            self.log.error("while warming up: %s", error)

    # What the client asks for.

    async def do_execute(
        self, code, silent, store_history=True, user_expressions=None, allow_stdin=False, *, cell_meta=None, cell_id=None
    ):
        self._allow_stdin = allow_stdin
        self.cell = cell = Cell(code, self.get_parent("shell"), silent, self.execution_count)
        try:
            error = await self.run(cell, allow_stdin)
        finally:
            self.cell = None
        if store_history and not silent:
            self.inputs.append((0, cell.count, code))
        elif not silent:
            self.execution_count -= 1
        reply = {"execution_count": cell.count, "user_expressions": unsupported(user_expressions), "payload": []}
        if error is None:
            return reply | {"status": "ok"}
        if not silent:
            await self.note_what_waits()
            self.send("error", error, cell.parent)
        return reply | {"status": "error"} | error

    async def run(self, cell: Cell, allow_stdin: bool) -> dict | None:
        """Runs a cell; returns the error that it ended with."""
        try:
            if self.starting is None:
                await asyncio.sleep(0)
            await self.starting
            async with self.evcxr_.turn:
                if cell.stopped:
                    return failures.error("Interrupted", "interrupted before it began")
                if not self.evcxr_.primed:
                    await self.evcxr_.prime()
                await self.evcxr_.run(cell, allow_stdin)
                if re.search(r"^\s*:clear\b", cell.code, re.M):
                    self.evcxr_.primed = False
        except Died as died:
            await asyncio.to_thread(self.evcxr_.close)
            self.starting = asyncio.create_task(self.evcxr_.start())
            value = f"{died}; another one is starting, and variables, functions and dependencies are gone"
            return failures.error("KernelEnded", value)
        except (OSError, SystemExit, RuntimeError) as problem:
            return failures.error("KernelError", str(problem))
        finally:
            if hasattr(self.evcxr_, "process"):
                self.evcxr_.process.flag.unlink(missing_ok=True)
        source = self.evcxr_.process.source
        return failures.of(cell, source.read_text(errors="replace") if source.exists() else "", self.evcxr_.marked)

    async def answer(self, kind: str, code: str, cursor_pos: int, otherwise: dict) -> dict:
        try:
            await self.starting
            async with self.evcxr_.turn:
                reply = await self.evcxr_.request(kind, {"code": code, "cursor_pos": cursor_pos, "detail_level": 0})
        except (Died, OSError, SystemExit, RuntimeError):
            return otherwise
        return reply if reply.get("status") == "ok" else otherwise

    async def do_complete(self, code, cursor_pos):
        none = {"status": "ok", "matches": [], "cursor_start": cursor_pos, "cursor_end": cursor_pos, "metadata": {}}
        return await self.answer("complete_request", code, cursor_pos, none)

    async def do_inspect(self, code, cursor_pos, detail_level=0, omit_sections=()):
        reply = none = await super().do_inspect(code, cursor_pos)
        for position in complete.places(code, cursor_pos):
            reply = await self.answer("inspect_request", code, position, none)
            if reply["found"]:
                break
        return reply

    async def do_is_complete(self, code):
        return complete.status(code)

    async def do_history(self, hist_access_type, output, raw, session=None, start=None, stop=None, n=None, pattern=None, unique=False):
        found = self.inputs
        if hist_access_type == "range":
            found = [line for line in found if (start or 0) <= line[1] < (stop or len(found) + 1)]
        elif hist_access_type == "search":
            glob = re.compile(".*".join(map(re.escape, (pattern or "*").split("*"))), re.S)
            found = [line for line in found if glob.fullmatch(line[2])]
        if hist_access_type != "range" and n:
            found = found[-n:]
        return {"status": "ok", "history": [(s, l, (c, None)) if output else (s, l, c) for s, l, c in found]}

    async def do_shutdown(self, restart):
        # A restart of the same process is never asked for: Jupyter starts a new kernel.
        await asyncio.to_thread(self.evcxr_.close)
        return {"status": "ok", "restart": restart}

    # Stop, as a message or as a signal.

    def _send_interrupt_children(self) -> None:
        self.io_loop.add_callback(self.stop)

    def pre_handler_hook(self) -> None:
        """ipykernel would raise KeyboardInterrupt in the loop."""

    def post_handler_hook(self) -> None:
        pass

    def stop(self) -> None:
        """The first time asks the running cell to end; the second time ends its process."""
        cell, now = self.cell, time.monotonic()
        if cell is None or cell.done.is_set():
            return
        if not cell.stopped:
            cell.stopped = now
            if cell.msg_id:
                self.stopping = asyncio.create_task(self.evcxr_.stop(cell))
        elif now > cell.stopped + 0.5 and cell.msg_id:  # sooner, it is the same wish
            cell.killed = True
            self.evcxr_.kill_cells()

    async def note_what_waits(self) -> None:
        """Lines up `stop_aborting` behind the cells that were sent already. The client must not know of the failure
        yet: what it sends once it does is a wish of its own, and runs."""
        self.shell_stream.flush()
        waiting = asyncio.Event()

        async def stop_aborting() -> None:
            waiting.set()
            async with self._main_asyncio_lock:  # held by the running cell, and handed on in order
                self._aborting = False

        for _ in range(3):  # what was flushed begins to wait
            await asyncio.sleep(0)
        self.aborting = asyncio.create_task(stop_aborting())
        await waiting.wait()

    def _abort_queues(self, subshell_id=None) -> None:
        """Aborts what `note_what_waits` has noted. ipykernel would abort also what comes a little later."""
        self._aborting = True

    # Messages to the client.

    def send(self, kind: str, content: dict, parent: dict) -> None:
        self.session.send(self.iopub_socket, kind, content, parent=parent, ident=self._topic(kind))

    async def ask(self, question: dict) -> str:
        """Asks the user for a line. The client may forbid it; then the cell gets an empty one, as in evcxr."""
        if not self._allow_stdin:
            return ""
        asked = self.getpass if question.get("password") else self.raw_input
        return await asyncio.to_thread(asked, question.get("prompt", ""))

    async def pass_on(self, stream, ident, parent) -> None:
        """evcxr's extension for editors checks cells through a comm."""
        if self.starting and self.starting.done() and not self.starting.exception():
            self.evcxr_.client.shell_channel.send(self.evcxr_.client.session.msg(parent["msg_type"], parent["content"]))

    comm_open = comm_msg = comm_close = pass_on
    msg_types = [*Kernel.msg_types, "comm_open", "comm_msg", "comm_close"]

    @property
    def kernel_info(self) -> dict:
        # ipykernel's own would load a debugger for Python.
        names = ("implementation", "implementation_version", "language_info", "banner", "help_links")
        own = {name: getattr(self, name) for name in names}
        return {"protocol_version": kernel_protocol_version, "supported_features": [], **own}


def unsupported(expressions: dict | None) -> dict:
    error = {"status": "error", "ename": "Error", "evalue": "Rust has no user expressions", "traceback": []}
    return dict.fromkeys(expressions or {}, error)


class App(IPKernelApp):
    """ipykernel's application without what only Python needs."""

    kernel_class = RustKernel
    outstream_class = None  # what this process itself prints belongs into the server's log
    log_level = 40

    def init_control(self, context) -> None:
        super().init_control(context)
        self.shell_channel_thread = None  # for subshells: evcxr answers one request at a time

    def init_pdb(self) -> None:
        pass


def main(connection_file: str, evcxr: Path, launched: concurrent.futures.Future) -> None:
    RustKernel.evcxr, RustKernel.launched = evcxr, launched
    app = App.instance()
    app.initialize(["-f", connection_file])
    app.start()
