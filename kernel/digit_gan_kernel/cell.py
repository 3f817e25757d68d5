"""A cell while it runs: what is known of it so far."""

import asyncio
import collections
import time
from dataclasses import dataclass, field


@dataclass
class Cell:
    """Written by the listener's thread, read by the kernel once `done` is set."""

    code: str
    parent: dict  # the client's request
    silent: bool = False
    count: int = 0
    msg_id: str = ""  # of the request to evcxr
    evcxr_count: int = 0  # evcxr numbers cells by itself
    began: bool = False  # its code runs
    ended: set[str] = field(default_factory=set)  # the streams, by name, that are complete
    idle: float = 0.0  # when evcxr was done with it
    errors: list[dict] = field(default_factory=list)  # what evcxr itself calls an error
    raised: dict | None = None  # the error that a `?` handed on
    panicked: bool = False
    panic: list[str] = field(default_factory=list)  # the lines that the last panic left on stderr
    panic_since: float = 0.0
    words: collections.deque[str] = field(default_factory=lambda: collections.deque(maxlen=50))  # last of its stderr
    stopped: float = 0.0  # when the user pressed Stop
    listening: bool = False  # whether its code has looked at the interrupt flag
    compiling_stopped: bool = False
    killed: bool = False  # whether Stop was pressed again
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def is_complete(self) -> bool:
        """Whether nothing more of it can come. evcxr says that a cell has ended without waiting for its streams."""
        if not self.idle:
            return False
        if len(self.ended) == 2:
            return True
        # Cells that only declare or command print no marks; a killed process cannot.
        patience = 1.0 if self.ended else 0.0 if self.errors and not self.began else 0.1
        return time.monotonic() > self.idle + patience
