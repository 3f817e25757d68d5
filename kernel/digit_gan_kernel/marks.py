"""Messages that a cell's code sends, and how they come to be in the code.

A message is a line of stdout: `ESC ]digit-gan;<token>;<json>`. The token is this kernel's own, so no other text is
taken for one. The crate sends some (live displays, results). evcxr's generated code sends the rest: it already
prints a word to evcxr at a panic and at a failed `?`, but evcxr tells nobody. cargo compiles the cells through
SCRIPT (RUSTC_WORKSPACE_WRAPPER), which adds a message beside each of these words and one at the end of the cell. It
changes lines and adds none, so the compiler's errors keep their places.
"""

import json
from pathlib import Path

SCRIPT = """\
#!/bin/sh
# cargo runs this in place of rustc, for the cells alone: the words of evcxr's generated code become messages as well.
if [ "$CARGO_PKG_NAME" = ctx ] && [ -e "$0.sed" ]; then
    for source in "$@"; do
        case $source in *src/lib.rs) sed -i.unmarked -f "$0.sed" "$source" ;; esac
    done
fi
exec "$@"
"""
EDITS = r"""
s/println!("EVCXR_PANIC_NOTIFICATION");/println!(r#"@PREFIX@{{"type":"panic"}}"#); &/
s/fn from(error: T) -> Self {/#[track_caller] &/
s/eprintln!("\({[:#?]*}\)", error);/println!(r#"@PREFIX@{{"type":"error","line":{},"name":"{}","text":"{}"}}"#, \
std::panic::Location::caller().line(), std::any::type_name::<T>(), @HEX@);/
s/^let evcxr_variable_store = unsafe .*/&println!(r#"@PREFIX@{{"type":"begin"}}"#);/
s/^evcxr_variable_store$/println!(r#"@PREFIX@{{"type":"end"}}"#); eprintln!(r#"@PREFIX@{{"type":"end"}}"#); &/
""".replace(" \\\n", " ").replace("@HEX@", r'format!("\1", error).bytes().map(|byte| format!("{byte:02x}")).collect::<String>()')


class Script:
    """The script at `path`; it changes nothing before `enable`. evcxr compiles and runs a line of its own before it
    passes any output on, and waits forever when that line prints."""

    def __init__(self, path: Path, prefix: str):
        self.path, self.prefix = path, prefix
        self.edits = path.with_name("rustc.sed")
        self.edits.unlink(missing_ok=True)
        if not path.exists() or path.read_text() != SCRIPT:  # cargo asks rustc again for its version when this changes
            path.write_text(SCRIPT)
            path.chmod(0o755)

    def enable(self) -> None:
        self.edits.write_text(EDITS.replace("@PREFIX@", self.prefix))


def split(line: str, prefix: str) -> tuple[str, dict | None]:
    """The plain text of a line, and the message that ends it if there is one. `prefix` holds the token."""
    text, found, message = line.partition(prefix)
    if found:
        try:
            decoded = json.loads(message)
            if isinstance(decoded, dict):
                return text, decoded
        except ValueError:
            pass
    return line, None


def decode(text: str) -> str:
    """The text that the generated code wrote as hexadecimal digits, two a byte."""
    return bytes.fromhex(text).decode(errors="replace")
