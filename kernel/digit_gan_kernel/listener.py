"""Listens to what evcxr publishes, and passes it on to the client.

evcxr sends a message for every line. Lines are gathered for a few hundredths of a second and sent on together, so
that a cell that prints much keeps neither the client nor this process busy.
"""

import hmac
import json
import re
import threading
import time
from collections.abc import Callable

import zmq

from . import marks
from .cell import Cell

GATHER, CHUNK = 0.02, 1 << 16  # seconds; characters
UNWINDS = 2.0  # seconds after which a panic that has not ended the cell is another thread's, or was caught
PRINTS = 20.0  # seconds that its backtrace takes at most: names are looked up in files of many megabytes
PANIC = re.compile(r"thread '.*' (\(\d+\) )?panicked at ")  # evcxr's main thread has no name in there
PANIC_ENDS = re.compile(r"note: (Some details are omitted|run with `RUST_BACKTRACE)")


class Listener(threading.Thread):
    """`send(kind, content, parent)` sends to the client; `wake(function)` calls a function in the kernel's loop."""

    def __init__(self, connection: dict, prefix: str, send: Callable, wake: Callable):
        super().__init__(daemon=True)
        self.prefix, self.send, self.wake = prefix, send, wake
        self.key = connection["key"].encode() if isinstance(connection["key"], str) else connection["key"]
        self.socket = zmq.Context.instance().socket(zmq.SUB)
        self.socket.rcvhwm, self.socket.linger = 10_000, 0
        self.socket.connect(f"{connection['transport']}://{connection['ip']}:{connection['iopub_port']}")
        self.socket.subscribe(b"")
        self.cell: Cell | None = None
        self.parent: dict = {}  # the last cell's request: what comes after its end still belongs to it
        self.silent = False
        self.heard = threading.Event()  # the first message has come
        self.closing = False
        self.name_, self.lines, self.size, self.since = "stdout", [], 0, 0.0

    def begin(self, cell: Cell) -> None:
        self.parent, self.silent, self.cell = cell.parent, cell.silent, cell

    def run(self) -> None:
        while not self.closing:
            try:
                self.take(self.socket.recv_multipart(zmq.NOBLOCK))
            except zmq.Again:
                self.rest()
                self.socket.poll(20 if self.lines or self.cell else 200)
            if self.lines and (self.size > CHUNK or time.monotonic() > self.since + GATHER):
                self.flush()
        self.socket.close()

    def rest(self) -> None:
        cell = self.cell
        if cell and cell.panic and not cell.panicked:
            patience = UNWINDS if is_complete(cell.panic) else PRINTS
            if time.monotonic() > cell.panic_since + patience:
                self.release_panic(cell)
        if cell and cell.is_complete():
            self.cell = None
            if not cell.panicked:
                self.release_panic(cell)
            self.flush()
            self.wake(cell.done.set)

    def take(self, frames: list[bytes]) -> None:
        at = frames.index(b"<IDS|MSG>")
        signature, parts = frames[at + 1], frames[at + 2 : at + 6]
        if not hmac.compare_digest(hmac.digest(self.key, b"".join(parts), "sha256").hex().encode(), signature):
            return
        kind, content = json.loads(parts[0])["msg_type"], json.loads(parts[3])
        cell = self.cell
        if kind == "stream":
            self.take_line(content["name"], content["text"])
        elif kind == "status":
            self.heard.set()
            if content["execution_state"] == "idle" and cell and json.loads(parts[1]).get("msg_id") == cell.msg_id:
                cell.idle = time.monotonic()
                self.rest()
        elif kind == "execute_result" and cell and content["data"] != {"text/plain": "()"}:  # a loop's value
            self.show(kind, content | {"execution_count": cell.count})
        elif kind == "error" and cell:
            cell.errors.append(content)
        elif kind.startswith("comm_"):
            self.show(kind, content)

    def take_line(self, name: str, line: str) -> None:
        text, message = marks.split(line, self.prefix) if "\x1b]" in line else (line, None)
        if text and name == "stderr" and self.cell:
            self.take_error_line(self.cell, text)
        elif text:
            self.gather(name, text)
        if message:
            self.take_message(name, message)

    def take_error_line(self, cell: Cell, line: str) -> None:
        """A panic that ends the cell is told as an error, and not on stderr too; so its lines wait here."""
        cell.words.append(line)
        starts = PANIC.match(line)
        complete = is_complete(cell.panic)
        if starts or (cell.panic and not complete and PANIC.match(cell.panic[0])) or (line == "\n" and not cell.panic):
            if starts and "".join(cell.panic).strip():
                self.release_panic(cell)
            cell.panic = [*([] if starts else cell.panic), line]
            cell.panic_since = time.monotonic()
        elif complete:
            self.gather("stderr", line)
        else:
            self.release_panic(cell)
            self.gather("stderr", line)

    def release_panic(self, cell: Cell) -> None:
        for line in cell.panic:
            self.gather("stderr", line)
        cell.panic = []

    def take_message(self, name: str, message: dict) -> None:
        cell = self.cell
        match message:
            case {"type": "begin"} if cell:
                cell.began = True
            case {"type": "end"} if cell:
                cell.ended.add(name)
                self.rest()
            case {"type": "panic"} if cell:
                cell.panicked = True
            case {"type": "error"} if cell:
                cell.raised = message
            case {"type": "listening"} if cell:
                cell.listening = True
            case {"type": "display" | "update" as kind, "id": str(identity), "data": dict(data)}:
                kind = "display_data" if kind == "display" else "update_display_data"
                self.show(kind, {"data": data, "metadata": message.get("metadata", {}), "transient": {"display_id": identity}})
            case {"type": "result", "data": dict(data)} if cell:
                content = {"data": data, "metadata": message.get("metadata", {}), "execution_count": cell.count}
                self.show("execute_result", content)

    def show(self, kind: str, content: dict) -> None:
        self.flush()
        if not self.silent:
            self.send(kind, content, self.parent)

    def gather(self, name: str, text: str) -> None:
        if name != self.name_:
            self.flush()
        if not self.lines:
            self.name_, self.since = name, time.monotonic()
        self.lines.append(text)
        self.size += len(text)

    def flush(self) -> None:
        if self.lines:
            text, self.lines, self.size = "".join(self.lines), [], 0
            if not self.silent:
                self.send("stream", {"name": self.name_, "text": text}, self.parent)


def is_complete(panic: list[str]) -> bool:
    """Whether all of a panic's lines have come."""
    return any(map(PANIC_ENDS.match, panic[-1:]))
