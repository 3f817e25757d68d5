"""What can be told of a piece of Rust without a compiler."""

import re

TOKEN = re.compile(
    r"""(?P<space>\s+ | //[^\n]*)
    |(?P<comment>/\*)
    |(?P<raw>\b(?:b|c)?r(?P<hashes>\#*)")
    |(?P<string>(?:\b[bc])?")
    |(?P<char>b?'(?:\\(?:u\{[^}]*\}|x..|.)|[^\\'\n])')
    |(?P<open>[(\[{]) |(?P<close>[)\]}])
    |(?P<word>'?\w+)
    |(?P<other>.)""",
    re.X | re.S,
)
PAIRS = {")": "(", "]": "[", "}": "{"}
NEEDS_BODY = {"fn", "impl", "trait", "struct", "enum", "mod", "if", "for", "while", "loop", "match", "unsafe", "union"}
GOES_ON = {*"=+-*/%&|^,.<:", "else", "let", "mut", "use", "pub", "const", "static", "in", "where", "return", "move", "as"}


def status(code: str) -> dict:
    """Whether it is finished, as the content of an `is_complete_reply`: consoles ask on after an unfinished line."""
    if code.lstrip().startswith((":", "!")):
        return {"status": "complete"}
    at, opened, statement, last = 0, [], "", ""
    while at < len(code):
        found = TOKEN.match(code, at)
        end = end_of_text(code, found)
        if end is None:
            return {"status": "incomplete", "indent": ""}
        at = end
        if found["space"] or found["comment"]:
            continue
        last = found[0]
        if found["open"]:
            opened.append(last)
        elif found["close"]:
            if not opened or opened.pop() != PAIRS[last]:
                return {"status": "invalid"}
        if not opened:
            statement = "" if last in ";}" else statement or last
    if opened:
        return {"status": "incomplete", "indent": " " * 4 * len(opened)}
    unfinished = last in GOES_ON or (statement in NEEDS_BODY and last not in ";}")
    return {"status": "incomplete", "indent": ""} if unfinished else {"status": "complete"}


def end_of_text(code: str, found: re.Match) -> int | None:
    """Where a token ends; None for a string or a comment that is not closed."""
    if found["string"]:
        closed = re.compile(r'(?:\\.|[^"\\])*"', re.S).match(code, found.end())
        return closed and closed.end()
    if found["raw"]:
        at = code.find('"' + found["hashes"], found.end())
        return None if at < 0 else at + 1 + len(found["hashes"])
    if found["comment"]:
        depth, at = 1, found.end()
        while depth:
            closed = re.compile(r"/\*|\*/").search(code, at)
            if not closed:
                return None
            depth, at = depth + (1 if closed[0] == "/*" else -1), closed.end()
        return at
    return found.end()


def places(code: str, cursor: int) -> list[int]:
    """Where evcxr may know something for a cursor: at the end of the word, or behind the bracket of the call that
    the cursor is in."""
    found = [cursor + len(re.match(r"\w*", code[cursor:])[0])]
    depth = 0
    for at in range(cursor - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(code[at], 0)
        if depth < 0:
            return [*found, at + 1] if at + 1 != found[0] else found
    return found
