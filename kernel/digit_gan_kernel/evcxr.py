"""Speaks to the evcxr_jupyter behind the kernel, as a client of it."""

import asyncio
import concurrent.futures
import time
from collections.abc import Callable

from jupyter_client import AsyncKernelClient

from .cell import Cell
from .listener import Listener
from .process import Process

# evcxr learns with its first `?` to compile such cells, and shows no figure in that cell: so it has been here before.
PRIME = "Ok::<(), std::fmt::Error>(())?;"


class Died(Exception):
    """evcxr itself has ended."""


class Evcxr:
    """`launch` starts a process; `send` and `ask` speak to the kernel's client."""

    def __init__(self, launch: Callable[[], Process], send: Callable, ask: Callable):
        self.launch, self.send, self.ask = launch, send, ask
        self.marked = True  # whether cells tell how they end
        self.turn = asyncio.Lock()  # evcxr answers one request at a time
        self.primed = False

    async def start(self, launched: concurrent.futures.Future | None = None) -> None:
        """Starts the process, and returns when it answers."""
        loop = asyncio.get_running_loop()
        self.primed = False
        self.process = await (asyncio.wrap_future(launched) if launched else asyncio.to_thread(self.launch))
        self.ended = loop.run_in_executor(None, self.process.popen.wait)
        self.client = AsyncKernelClient()
        self.client.load_connection_info(self.process.connection)
        self.client.start_channels(iopub=False, hb=False)
        self.listener = Listener(self.process.connection, self.process.prefix, self.send, loop.call_soon_threadsafe)
        self.listener.start()
        await self.request("kernel_info_request", {})
        while not self.listener.heard.is_set():  # it is known to listen once it has heard something
            await self.request("kernel_info_request", {})
        self.process.marks.enable()

    async def prime(self) -> None:
        """Prepares evcxr for its first cell, and learns whether the cells' marks work with this evcxr."""
        cell = Cell(PRIME, {}, silent=True)
        await self.run(cell)
        self.marked = len(cell.ended) == 2
        self.primed = True

    async def request(self, kind: str, content: dict, message: dict | None = None) -> dict:
        """The content of the reply. Fails when evcxr ends before it answers."""
        message = message or self.client.session.msg(kind, content)
        self.client.shell_channel.send(message)
        while True:
            reply = asyncio.ensure_future(self.client.shell_channel.get_msg())
            await asyncio.wait((reply, self.ended), return_when=asyncio.FIRST_COMPLETED)
            if not reply.done():
                reply.cancel()
                raise Died(f"evcxr_jupyter ended ({status(self.process.popen.returncode)})")
            if reply.result()["parent_header"].get("msg_id") == message["header"]["msg_id"]:
                return reply.result()["content"]

    async def run(self, cell: Cell, allow_stdin: bool = False) -> None:
        content = {"code": cell.code, "silent": False, "store_history": True, "user_expressions": {}}
        message = self.client.session.msg("execute_request", content | {"allow_stdin": allow_stdin, "stop_on_error": False})
        cell.msg_id = message["header"]["msg_id"]
        self.listener.begin(cell)
        asking = asyncio.create_task(self.pass_questions_on())
        try:
            reply = await self.request("execute_request", {}, message)
            cell.evcxr_count = reply.get("execution_count", 0)
            await cell.done.wait()
        finally:
            asking.cancel()

    async def pass_questions_on(self) -> None:
        while True:
            question = await self.client.stdin_channel.get_msg()
            if question["msg_type"] == "input_request":
                self.client.input(await self.ask(question["content"]))

    async def stop(self, cell: Cell) -> None:
        """Asks the cell's code to end, and ends the compilers that work for it, until the cell has ended."""
        self.process.flag.touch()
        told = False
        while not cell.done.is_set():
            if not cell.began:
                cell.compiling_stopped |= await asyncio.to_thread(self.process.stop_compiling)
            elif not told and time.monotonic() > cell.stopped + (STEP if cell.listening else 1):
                text = LONG_STEP if cell.listening else NOT_LISTENING
                self.send("stream", {"name": "stderr", "text": text}, cell.parent)
                told = True
            await asyncio.sleep(0.1)

    def kill_cells(self) -> None:
        """What evcxr does at an interrupt: ends the process that holds the variables, and starts another one."""
        self.client.control_channel.send(self.client.session.msg("interrupt_request", {}))

    def close(self) -> None:
        if hasattr(self, "listener"):
            self.listener.closing = True
            self.client.stop_channels()
        if hasattr(self, "process"):
            self.process.close()


STEP = 10  # seconds after which code that looks at the flag between two steps has a long one
LONG_STEP = """\
Stop: waiting for the running step to end. Press Stop again to end the process that runs the cells at once: then all
variables are gone.
"""
NOT_LISTENING = """\
Stop: this code does not call digit-gan, so it cannot be interrupted by itself. Wait until it ends, or press Stop
again: that ends the process that runs the cells, and all variables are gone.
"""


def status(code: int) -> str:
    return f"killed by signal {-code}" + (", most likely because memory ran out" if code == -9 else "") if code < 0 else f"status {code}"
