"""The steps of the set-up, side by side, and the line that says how far they are.

In a terminal the line moves; elsewhere each step has a line when it begins and when it ends, and one a minute between.
How long a step took is remembered for the next time, in `set-up.json` of the user's cache folder.
"""

import contextlib
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from collections import deque
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path

MEMORY = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "digit-gan" / "set-up.json"
MOVING = sys.stdout.isatty()
EVERY = 0.5 if MOVING else 60  # seconds between two lines of progress
SHOWN_OF_A_FAILURE = 30  # lines
WORTH_REMEMBERING = 10  # seconds; less is a step whose result was there already
PATIENCE = 10  # seconds that a server may be silent
# cargo draws its bar only where it sees a terminal, unless it is told to.
CARGO_BAR = {"CARGO_TERM_PROGRESS_WHEN": "always", "CARGO_TERM_PROGRESS_WIDTH": "80"}


class Failed(Exception):
    """A step failed; the text says what to do."""


class Unavailable(Exception):
    """Why something cannot be had from the network."""


class Steps:
    """Runs steps in threads of their own; `with` ends the commands of all when one fails or the user interrupts."""

    def __init__(self):
        self.began = time.monotonic()
        self.running: list[Step] = []
        self.ended = threading.Event()
        self.screen = threading.Lock()
        self.threads = ThreadPoolExecutor()
        self.memory = read_memory()

    def __enter__(self):
        threading.Thread(target=self.draw, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for step in list(self.running):
            step.end_command()
        self.threads.shutdown(cancel_futures=True)
        self.clear()

    def start(self, name: str, work, usual: str = "") -> Future:
        """Begins `work(step)`; `usual` says how long it takes, as long as no last time is known."""
        return self.threads.submit(self.do, Step(self, name, usual), work)

    def do(self, step: "Step", work) -> None:
        self.running.append(step)
        self.say(f"{step.name} ...{step.last_time()}")
        try:
            work(step)
        finally:
            self.running.remove(step)
        self.say(f"{step.name}: done in {clock(step.seconds())}")
        if step.seconds() > WORTH_REMEMBERING:
            with self.screen:
                self.memory[step.name] = round(step.seconds())
                write_memory(self.memory)

    def finish(self, *futures: Future) -> None:
        """Waits for steps; raises what the first that failed raised."""
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()

    def say(self, line: str) -> None:
        with self.screen:
            self.clear()
            print(f"set-up: {line}", flush=True)

    def draw(self) -> None:
        while not self.ended.wait(EVERY):
            if self.running:
                line = f"set-up {clock(time.monotonic() - self.began)}: " + " | ".join(map(str, list(self.running)))
                with self.screen:
                    self.clear()
                    if MOVING:
                        print(line[: shutil.get_terminal_size().columns - 1], end="", flush=True)
                    else:
                        print(line, flush=True)

    def clear(self) -> None:
        if MOVING:
            print("\r\x1b[2K", end="", flush=True)


class Step:
    """One step while it runs: its name, how far it is, and the command that it waits for."""

    def __init__(self, steps: Steps, name: str, usual: str):
        self.steps, self.name, self.usual, self.progress = steps, name, usual, ""
        self.began = time.monotonic()
        self.command: subprocess.Popen | None = None

    def __str__(self) -> str:
        return " ".join(filter(None, (self.name, self.progress, clock(self.seconds())))) + self.last_time()

    def seconds(self) -> float:
        return time.monotonic() - self.began

    def last_time(self) -> str:
        seconds = self.steps.memory.get(self.name)
        expected = f"{clock(seconds)} the last time" if seconds else self.usual
        return f" ({expected})" if expected else ""

    def say(self, line: str) -> None:
        self.steps.say(line)

    def run(self, command: list, remedy: str, **variables: str) -> None:
        """Runs a command with more environment variables. Its output is shown only when it fails; then `Failed`."""
        status, output = self.call(command, **variables)
        if status != 0:
            self.say("\n".join([f"`{' '.join(map(str, command))}` failed:", *output]))
            raise Failed(remedy)

    def call(self, command: list, **variables: str) -> tuple[int, list[str]]:
        """Runs a command; its exit status and the last lines of its output. Raises `Failed` when all steps end."""
        last = deque(maxlen=SHOWN_OF_A_FAILURE)
        try:
            self.command = subprocess.Popen(
                list(map(str, command)), env=os.environ | CARGO_BAR | variables, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )
        except OSError as error:
            return 127, [str(error)]
        if self.steps.ended.is_set():
            self.end_command()
        with self.command as running:
            for line in lines(running.stdout):
                bar = re.search(r"\[[=> ]*\] (\d+/\d+)", line)
                if bar:
                    self.progress = bar[1]
                elif line.strip():
                    self.progress = ""
                    last.append(line)
        self.progress = ""
        self.check_ended()
        return running.returncode, list(last)

    def download(self, url: str, largest: int) -> bytes:
        """The file behind `url`, of at most `largest` bytes. Raises `Unavailable` when it cannot be had."""
        return b"".join(self.chunks(url, largest))

    def chunks(self, url: str, largest: int):
        """The same, piece by piece as it comes."""
        size = 0
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                while chunk := answer.read(1 << 16):
                    size += len(chunk)
                    self.check_ended()
                    self.progress = f"{size / 1e6:.1f} MB"
                    if size > largest:
                        raise Unavailable(f"{url} is larger than {largest / 1e6:.0f} MB")
                    yield chunk
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"{url} cannot be fetched: {error}") from None
        finally:
            self.progress = ""

    def check_ended(self) -> None:
        if self.steps.ended.is_set():
            raise Failed("ended before it was done")

    def end_command(self) -> None:
        if self.command is not None:
            self.command.terminate()


def lines(stream):
    """The lines of a stream, also those that end in a carriage return to be written over."""
    rest = b""
    while chunk := stream.read1():
        *whole, rest = re.split(rb"[\r\n]", rest + chunk)
        yield from (line.decode(errors="replace") for line in whole)
    yield rest.decode(errors="replace")


def clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def read_memory() -> dict[str, float]:
    """The seconds that each step took the last time; nothing where they cannot be read, for nothing depends on them."""
    try:
        memory = json.loads(MEMORY.read_text())
        return {name: seconds for name, seconds in memory.items() if isinstance(seconds, int | float)}
    except (OSError, ValueError, AttributeError):
        return {}


def write_memory(memory: dict[str, float]) -> None:
    with contextlib.suppress(OSError):
        MEMORY.parent.mkdir(parents=True, exist_ok=True)
        draft = MEMORY.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(memory, indent=1))
        draft.replace(MEMORY)
