"""Notebooks and Markdown pages as a reader sees them: blocks of prose, headings, links, and what cells have shown."""

import re
from dataclasses import dataclass
from pathlib import Path

import mistune
import nbformat
from rust_kernel import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAGES = [*sorted((ROOT / "notebooks").glob("*.md")), *sorted(ROOT.glob("*.md")), *sorted((ROOT / "bench").glob("*.md"))]

parse = mistune.create_markdown(renderer=None, plugins=["table", "strikethrough"])


@dataclass
class Cell:
    """A cell with its place, as failures name it."""

    notebook: str
    index: int
    id: str
    kind: str
    source: str
    outputs: list
    tags: list[str]
    hidden: bool

    def __str__(self):
        return f"{self.notebook} [{self.index}] {self.id}"


def cells(path: Path) -> list[Cell]:
    found = nbformat.read(path, 4).cells
    return [
        Cell(
            path.stem,
            index,
            cell.get("id", ""),
            cell.cell_type,
            cell.source,
            cell.get("outputs", []),
            cell.metadata.get("tags", []),
            bool(cell.metadata.get("jupyter", {}).get("source_hidden")),
        )
        for index, cell in enumerate(found)
    ]


def markdown(path: Path) -> str:
    """The Markdown of a page, or of all Markdown cells of a notebook."""
    if path.suffix == ".md":
        return path.read_text()
    return "\n\n".join(cell.source for cell in cells(path) if cell.kind == "markdown")


def blocks(source: str) -> list[dict]:
    """The blocks of a Markdown text, without formulas: each a token of mistune's."""
    return [token for token in parse(without_math(source)) if token["type"] != "blank_line"]


def without_math(source: str) -> str:
    return re.sub(r"\$\$.+?\$\$|\$[^$]+\$", "", source, flags=re.S)


def walk(tokens: list[dict]):
    """All tokens, the outer before the inner."""
    for token in tokens:
        yield token
        yield from walk(token.get("children", []))


def prose(token: dict) -> str:
    """The words of a block: no code, no targets of links."""
    if token["type"] in ("codespan", "block_code", "block_html", "inline_html", "image"):
        return ""
    if token["type"] in ("softbreak", "linebreak", "blank_line"):
        return "\n"
    inner = "".join(map(prose, token.get("children", [])))
    return inner + token.get("raw", "") + ("\n" if token["type"] in ("list_item", "block_text", "table_cell") else "")


def headings(source: str) -> list[str]:
    return [prose(token).strip() for token in blocks(source) if token["type"] == "heading"]


def marked(source: str, kind: str) -> list[str]:
    """What is set in bold (`strong`) or italics (`emphasis`)."""
    return [prose(token).strip() for token in walk(blocks(source)) if token["type"] == kind]


def links(source: str) -> list[tuple[str, str]]:
    """Each link and picture: its text, and its target."""
    kinds = ("link", "image")
    found = (token for token in walk(blocks(source)) if token["type"] in kinds)
    return [("".join(map(prose, token["children"])), token["attrs"]["url"]) for token in found]


def shown(cell: Cell) -> str:
    """All text that a cell's outputs hold: what it printed, its tables, the descriptions of its pictures."""
    found = []
    for output in cell.outputs:
        data = output.get("data", {})
        found += [output.get("text", ""), data.get("text/plain", ""), *pictures(cell)]
        found.append(re.sub(r"<script.*?</script>|<[^>]*>", " ", data.get("text/html", ""), flags=re.S))
    return "\n".join(found)


def pictures(cell: Cell) -> list[str]:
    """The description of each picture among a cell's outputs; empty where it has none."""
    found = []
    for output in cell.outputs:
        data = output.get("data", {})
        if "image/png" in data or "image/svg+xml" in data:
            found.append(data.get("text/plain", "").strip())
        for tag in re.findall(r"<img[^>]*>", data.get("text/html", "")):
            found += re.findall(r'alt="([^"]*)"', tag) or [""]
    return found
