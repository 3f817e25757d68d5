"""The lesson as a site: the committed notebooks with their outputs, and README.md as its front. Nothing is executed.

`make site` calls Sphinx with the repository as its source, so that links between pages stay as they are. The page that draws
is put on the front: the file that DRAWING names, written by `digit-gan page`, or else the one that a notebook shows.
"""

import json
import os
import re
import shutil
from pathlib import Path

from sphinx.errors import ExtensionError

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
BESIDE, BENCH = ([f"{folder}/{path.stem}" for path in sorted((ROOT / folder).glob("*.md"))] for folder in ("notebooks", "bench"))
ABOUT = ["CONTRIBUTING", "CHANGELOG", *BENCH]

project = html_title = "digit-gan"
extensions = ["myst_nb"]
root_doc = "README"
include_patterns = ["README.md", *(f"notebooks/{name}.ipynb" for name in NOTEBOOKS), *(f"{name}.md" for name in BESIDE + ABOUT)]
exclude_patterns = [".*", "target", "out", "crate", "data", "runs"]
html_theme = "furo"
html_theme_options = {"navigation_with_keys": True}

nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
# The glossary's entries are small headings; what a cell shows has types for the kernel's own clients as well.
suppress_warnings = ["myst.header", "mystnb.unknown_mime_type"]


def setup(app) -> None:
    app.connect("env-get-outdated", lambda *_: [root_doc])  # what it shows does not lie in its own file alone
    app.connect("source-read", with_anchors)
    app.connect("source-read", with_drawing)
    app.connect("build-finished", name_front)


def with_anchors(app, page: str, source: list[str]) -> None:
    """Anchors are headings in lower case, as on GitHub, and what is marked by <a id>; JupyterLab's keep their capitals."""
    lowered = re.sub(r"\.ipynb#[\w-]+", lambda link: link[0].lower(), source[0])
    source[0] = re.sub(r'<a id="([^"]+)"></a>', r"(\1)=", lowered)


def with_drawing(app, page: str, source: list[str]) -> None:
    """On the front, the page that draws below the first paragraph, and the contents, which fill the sidebar."""
    if page != root_doc:
        return
    title, what, rest = source[0].split("\n\n", 2)
    found = drawing_page()
    drawing = f"```{{raw}} html\n{found}\n```" if found else MISSING
    notebooks = toctree("Notebooks", [f"notebooks/{name}" for name in NOTEBOOKS])
    source[0] = "\n\n".join([title, what, drawing, rest, notebooks, toctree("Beside them", BESIDE), toctree("About", ABOUT)])


MISSING = """A generator can draw here: `digit-gan page --out digits.html` writes its page from a trained run, and
`make site DRAWING=digits.html` puts it in this place."""


def toctree(caption: str, pages: list[str]) -> str:
    return "\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *pages, "```"])


def drawing_page() -> str:
    """The figure with its script; empty if there is none."""
    if named := os.environ.get("DRAWING"):
        texts = [Path(named).read_text()]
    else:
        notebooks = (json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text()) for name in NOTEBOOKS)
        outputs = (output for notebook in notebooks for cell in notebook["cells"] for output in cell.get("outputs", []))
        texts = ["".join(output.get("data", {}).get("text/html", "")) for output in outputs]
    for text in texts:
        begin = text.find('<figure class="digit-gan-drawing"')
        if begin >= 0:
            return text[begin : text.rindex("</script>") + len("</script>")]
    if named:
        raise ExtensionError(f"DRAWING={named}: expected a page that `digit-gan page` has written")
    return ""


def name_front(app, error) -> None:
    if error is None:
        shutil.copy(Path(app.outdir) / f"{root_doc}.html", Path(app.outdir) / "index.html")
