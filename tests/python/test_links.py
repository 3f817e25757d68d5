"""Links between notebooks, the README and the other Markdown pages: what they point to is there."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from pages import NOTEBOOKS, PAGES, cells, headings, links, markdown
from rust_kernel import ROOT

GLOSSARY = ROOT / "notebooks" / "glossary.md"

each_page = pytest.mark.parametrize("path", NOTEBOOKS + PAGES, ids=lambda path: path.name)


def anchors(path: Path) -> set[str]:
    """What a link into this page may name. JupyterLab makes anchors from headings as they are, GitHub from their lower case;
    a page among the notebooks is read in both, so that a heading with capitals needs an <a id> before it."""
    source = markdown(path)
    in_lab = {text.replace(" ", "-") for text in headings(source)}
    on_github = {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings(source)}
    if path.suffix == ".ipynb":
        return in_lab
    among_notebooks = path.parent == ROOT / "notebooks"
    return set(re.findall(r'<a id="([^"]+)">', source)) | (in_lab & on_github if among_notebooks else on_github)


def dead_links(path: Path):
    places = {path.name: path.read_text()}
    if path.suffix == ".ipynb":
        places = {str(cell): cell.source for cell in cells(path) if cell.kind == "markdown"}
    for place, source in places.items():
        for text, url in links(source):
            if re.match(r"[a-z]+:", url):
                continue
            file, _, anchor = url.partition("#")
            target = path.parent / unquote(file) if file else path
            if not target.exists():
                yield f"{place}: [{text}]({url}): there is no {file}"
            elif anchor and unquote(anchor) not in anchors(target):
                yield f"{place}: [{text}]({url}): {target.name} has no heading with this anchor"


@each_page
def test_no_link_is_dead(path):
    complain(dead_links(path))


def test_the_glossary_is_in_order_and_says_where():
    entries = re.split(r"(?m)^### ", GLOSSARY.read_text())[1:]
    names = [entry.split("\n")[0] for entry in entries]
    assert names == sorted(names, key=lambda name: re.sub(r"[–é]", lambda m: {"–": " ", "é": "e"}[m[0]], name.lower()))
    for name, entry in zip(names, entries):
        pages = {url.split("#")[0] for _, url in links(entry) if url.endswith(".ipynb")}
        assert pages, f"{name}: no link to a notebook"


def complain(complaints) -> None:
    if found := list(complaints):
        pytest.fail("\n".join(found), pytrace=False)
