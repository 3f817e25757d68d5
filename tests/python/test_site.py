"""The lesson as a site, from the notebooks as they are committed: it builds without a warning, and no link in it is dead."""

import os
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest
from pages import NOTEBOOKS
from rust_kernel import ROOT

pytest.importorskip("myst_nb", reason="Sphinx is not installed: pip install -r site/requirements.txt")

DRAWING = """<!doctype html><title>one</title><body>
<figure class="digit-gan-drawing" data-page="{}">ten digits</figure>
<style>figure { margin: 0 }</style>
<script>document.title = "drawn";</script>
"""


def build(folder, drawing: str = "") -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", "site", ".", str(folder)]
    environment = os.environ | {"DRAWING": drawing}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    drawing = tmp_path_factory.mktemp("drawing") / "digits.html"
    drawing.write_text(DRAWING)
    done = build(folder, str(drawing))
    assert done.returncode == 0, done.stderr
    return folder


class Links(HTMLParser):
    """What a page points to, and the places in it that others can point to."""

    def __init__(self, path):
        super().__init__()
        self.targets, self.places = [], set()
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.targets += [attributes[name] for name in ("href", "src") if attributes.get(name)]
        self.places |= {attributes[name] for name in ("id", "name") if attributes.get(name)}


def test_every_notebook_is_a_page_with_its_outputs(site):
    for path in NOTEBOOKS:
        page = (site / "notebooks" / f"{path.stem}.html").read_text()
        assert page.count("cell_output") > 10 and page.count("<img") > 3, path.stem
        assert f'href="notebooks/{path.stem}.html"' in (site / "index.html").read_text()


def test_no_link_is_dead(site):
    pages = {path: Links(path) for path in site.rglob("*.html")}
    assert len(pages) > len(NOTEBOOKS) + 5
    dead = []
    for path, page in pages.items():
        for target in page.targets:
            url = urlsplit(target)
            if url.scheme or url.netloc or not (url.path or url.fragment):
                continue
            file = (path.parent / unquote(url.path)).resolve() if url.path else path
            if not file.exists() or (url.fragment and file in pages and unquote(url.fragment) not in pages[file].places):
                dead.append(f"{path.relative_to(site)}: {target}")
    assert not dead


def test_the_drawing_page_is_on_the_front(site):
    front = (site / "index.html").read_text()
    assert front.index("Learn and train a GAN") < front.index("ten digits") < front.index("<h2>Start")
    assert '<script>document.title = "drawn";</script>' in front


def test_a_file_that_is_no_drawing_page_is_refused(tmp_path):
    (tmp_path / "other.html").write_text("<p>nothing</p>")
    done = build(tmp_path / "site", str(tmp_path / "other.html"))
    assert done.returncode != 0 and "expected a page that `digit-gan page` has written" in done.stderr
