"""What went wrong in a cell, as the content of Jupyter's `error` message."""

import re

from . import marks
from .cell import Cell

RED, PLAIN = "\x1b[31m", "\x1b[0m"
COLOUR = re.compile(r"\x1b\[[\d;]*m")
FRAME = re.compile(r"\s*\d+: (.*)")
# The machinery of a panic above the user's frames, and evcxr's runtime below them.
ABOVE = re.compile(r"rust_begin_unwind|core::(panicking|option|result)|std::panicking|rust_panic|alloc::\w+::handle_")
BELOW = re.compile(r"run_user_code_\d+$|__rust_begin_short|catch_unwind|__rust_try|evcxr")


def of(cell: Cell, source: str, marked: bool = True) -> dict | None:
    """Why the cell failed; None if it did not. `source` is the code that evcxr made of it. With an evcxr whose code
    took no marks, only stderr tells of a failure: there any word on it is one."""
    died = next((e["evalue"] for e in cell.errors if "Subprocess terminated with status" in e["evalue"]), None)
    if cell.killed and died is not None:
        return error("Interrupted", "stopped by ending the process: all variables are gone")
    if died is not None:
        return ended(died)
    if cell.stopped:
        return interrupted(cell)
    if cell.errors:
        return evcxrs_own(cell)
    if cell.raised:
        place = place_of(int(cell.raised["line"]), cell, source)
        value, *frames = re.split(r"(?=\n\s+0: )", marks.decode(cell.raised["text"]), maxsplit=1)
        return error(short(cell.raised["name"]), value, place + [line for part in frames for line in users_frames(part)])
    if cell.panicked:
        return panic(cell, source)
    words = "".join(cell.words).strip()
    return error("Failure", words) if words and not marked else None


def error(name: str, value: str, traceback: list[str] | None = None) -> dict:
    return {"ename": name, "evalue": value, "traceback": [f"{RED}{name}{PLAIN}: {value}", *(traceback or [])]}


def interrupted(cell: Cell) -> dict:
    if cell.compiling_stopped and not cell.began:
        return error("Interrupted", "interrupted while compiling; variables are kept")
    if cell.raised or cell.panicked or cell.errors:
        return error("Interrupted", "interrupted; variables are kept")
    return error("Interrupted", "the cell ended before it could be interrupted; variables are kept")


def ended(died: str) -> dict:
    """The process that runs the cells is gone, and evcxr has started another one."""
    status = died.rpartition("Subprocess terminated with status: ")[2].strip()
    why = f"the process that runs the cells ended ({status})"
    if "SIGKILL" in status or "signal: 9" in status:
        why += ", most likely because memory ran out"
    return error("ProcessEnded", f"{why}; all variables are gone")


def evcxrs_own(cell: Cell) -> dict:
    """Errors of the compiler, with its report for each, or a word of evcxr about a command."""
    values = [e["evalue"].strip() for e in cell.errors]
    compiler = any(len(e["traceback"]) > 1 for e in cell.errors)
    lines = [line for e in cell.errors for line in report(e["traceback"], f"command_{cell.evcxr_count}", f"In [{cell.count}]")]
    more = f" (and {len(values) - 1} more)" if len(values) > 1 else ""
    return {"ename": "CompileError" if compiler else "Error", "evalue": values[0] + more, "traceback": lines or values}


def report(lines: list[str], theirs: str, ours: str) -> list[str]:
    """A report with the cell's own number; evcxr's head names the first line of the cell, wherever the error is."""
    numbers = (re.match(r"\s*(\d+) │", COLOUR.sub("", line)) for line in lines)
    number = next((match[1] for match in numbers if match), "1")
    return [line.replace(f"{theirs}:1:1", f"{ours}:{number}").replace(theirs, ours) for line in lines]


def panic(cell: Cell, source: str) -> dict:
    text = "".join(cell.panic)
    head, _, backtrace = text.partition("\nstack backtrace:\n")
    first, _, message = head.partition("\n")
    at = re.search(r"panicked at (.*):(\d+):\d+:?$", first)
    place = []
    if at and at[1].endswith("src/lib.rs") and not at[1].startswith(("/rustc/", "/root/.cargo")):
        place = place_of(int(at[2]), cell, source)
    elif at:
        place = [f"  at {at[1]}:{at[2]}"]
    return error("Panic", message.strip() or "a panic without a message", place + users_frames(backtrace))


def users_frames(backtrace: str) -> list[str]:
    """The functions that were running, without the panic's own above and evcxr's below; nothing for the cell's."""
    names = [match[1] for line in backtrace.splitlines() if (match := FRAME.match(line))]
    start = max((n + 1 for n, name in enumerate(names[:8]) if ABOVE.search(name)), default=0)
    end = next((n for n, name in enumerate(names) if n >= start and BELOW.search(name)), len(names))
    shown = [re.sub(r"^ctx::|::h[0-9a-f]{16}$", "", name) for name in names[start:end] if name != "<unknown>"]
    return [f"  in {name}" for name in shown if "run_user_code_" not in name]


def place_of(line: int, cell: Cell, source: str) -> list[str]:
    """The cell's line that became line `line` of the compiled source: evcxr keeps the lines, but not their numbers."""
    lines = source.splitlines()
    if not 0 < line <= len(lines):
        return []
    text = lines[line - 1].strip()
    start = next((n for n, line_ in enumerate(lines) if "fn run_user_code_" in line_), 0)
    nth = sum(other.strip() == text for other in lines[start : line - 1])
    same = [n for n, own in enumerate(cell.code.splitlines(), 1) if own.strip() == text]
    if not same:
        return [f"  at `{text}`"]
    return [f"  at In [{cell.count}], line {same[min(nth, len(same) - 1)]}: `{text}`"]


def short(name: str) -> str:
    """A type's name without its path: `core::num::ParseIntError` is a ParseIntError."""
    name = re.sub(r"alloc::boxed::Box<dyn (.*)>", r"\1", name)
    return re.sub(r"[\w{}#]+::", "", re.split(r"[<+ ]", name.strip("&"))[0]) or "Error"
