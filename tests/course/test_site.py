"""The course as a site: complete, without a dead link, and nothing in it comes from elsewhere."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest

from dmsc.paths import ROOT

pytest.importorskip("sphinx", reason='needs Sphinx: pip install -e ".[site]"')
pytest.importorskip("myst_nb", reason='needs MyST-NB: pip install -e ".[site]"')
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("site")]

LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src"}
LINKS_THAT_LOAD = {"stylesheet", "icon", "preload", "prefetch", "modulepreload", "manifest", "preconnect"}
OUTSIDE = re.compile(r"(?:[a-z]+:)?//", re.IGNORECASE)


class Page(HTMLParser):
    """What a page of HTML links to, what it loads, and the names of its parts."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loaded, self.ids = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, pairs):
        attributes = dict(pairs)
        self.ids |= {attributes[name] for name in ("id", "name") if attributes.get(name)}
        if tag == "link" and set(attributes.get("rel", "").split()) & LINKS_THAT_LOAD:
            self.loaded.append(attributes["href"])
        elif attributes.get(LOADING.get(tag)):
            self.loaded.append(attributes[LOADING[tag]])
        elif attributes.get("href"):
            self.links.append(attributes["href"])
        if tag == "meta" and attributes.get("http-equiv") == "refresh":
            self.links.append(attributes["content"].split("url=")[1])

    handle_startendtag = handle_starttag


def build(output, source_url="", root=ROOT):
    """Build the site as `make site` does; return what Sphinx had to say."""
    options = ["-b", "html", "-q", "-n", "-c", root / "course" / "site", "-d", output / "doctrees"]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, root, output / "html"],
        capture_output=True,
        text=True,
        env={**os.environ, "DMSC_SOURCE_URL": source_url},
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    output = tmp_path_factory.mktemp("site")
    assert build(output) == "", "a warning"
    return output / "html"


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}


def dead(pages):
    """Every local link of pages that leads to no file, or to no part of a page: where, and what."""
    for path, page in pages.items():
        for link in [*page.links, *page.loaded]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            goal = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            if not goal.is_file() or anchor and goal in pages and anchor not in pages[goal].ids:
                yield path.name, link


def test_dead_links_are_found(tmp_path):
    text = '<a href="b.html#x">1</a><a href="b.html#y">2</a><img src="c.png"><a href="#z">3</a><a href="https://q.org">4</a>'
    (tmp_path / "b.html").write_text('<p id="x">')
    (tmp_path / "a.html").write_text(text)
    pages = {path: Page(path.read_text()) for path in sorted(tmp_path.glob("*.html"))}
    assert list(dead(pages)) == [("a.html", "b.html#y"), ("a.html", "#z"), ("a.html", "c.png")]


def test_every_page_of_the_course_is_there(site):
    sources = [*ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("course/solutions/*.md"), *ROOT.glob("course/README.md")]
    sources += [ROOT / name for name in ("README.md", "notebooks/README.md", "results/README.md", "data/README.md")]
    assert len(sources) >= 19
    for source in sources:
        assert (site / source.relative_to(ROOT)).with_suffix(".html").is_file(), source
    assert not list((site / "_downloads").rglob("*.ipynb")), "pages are shown; assignments hold their answers"


def test_no_link_is_dead(pages):
    assert len(pages) >= 20
    assert list(dead(pages)) == []


def test_nothing_is_loaded_from_elsewhere(site, pages):
    assert [link for page in pages.values() for link in page.loaded if OUTSIDE.match(link)] == []
    for path in site.rglob("*.css"):
        addresses = re.findall(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)", path.read_text(encoding="utf-8"))
        assert [a for pair in addresses for a in pair if OUTSIDE.match(a)] == [], path


def test_formulas_are_in_the_pages_and_mathjax_with_its_fonts_beside_them(site, pages):
    path = site / "notebooks" / "02_self_expression.html"
    text = path.read_text(encoding="utf-8")
    assert re.search(r'<div class="[^"]*\bmath\b[^"]*"[^>]*>\s*\\\[[^<]*\\lambda', text)
    (script,) = [link for link in pages[path].loaded if "mathjax" in link]
    script = (path.parent / urlsplit(script).path).resolve()
    assert script.stat().st_size > 500_000
    assert len(list((script.parent / "output" / "chtml" / "fonts" / "woff-v2").glob("*.woff"))) > 10


def test_stored_outputs_are_shown(site):
    text = (site / "notebooks" / "02_self_expression.html").read_text(encoding="utf-8")
    assert "torch 2." in text and re.search(r'<img [^>]*src="\.\./_images/[0-9a-f]+\.png"', text)


def test_public_names_are_described(pages):
    (page,) = [page for path, page in pages.items() if path.name == "api.html"]
    for name in ("dmsc", "dmsc.data", "dmsc.metrics", "dmsc.plots", "dmsc.course"):
        for public in importlib.import_module(name).__all__:
            places = {f"{place}.{public}" for place in (name, "dmsc", "dmsc.presets")}
            assert places & page.ids, f"{name}.{public}"


@pytest.fixture
def small(tmp_path):
    """A repository of a few pages that link to other files."""
    root = tmp_path / "root"
    shutil.copytree(ROOT / "course" / "site", root / "course" / "site")
    (root / "course" / "site" / "api.md").write_text("# Names\n", encoding="utf-8")
    links = "[a](../studies/a.yaml) [b](params) [c](../course/source/A1.ipynb) [d](#Two-Words) [e](no.txt)"
    files = {
        "notebooks/README.md": f"# Pages\n\n{links}\n\n## Two words\n",
        "notebooks/params/orl.yaml": "epochs: 1\n",
        "studies/a.yaml": "runs: 1\n",
        "course/source/A1.ipynb": "{}",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize("address", ["", "https://example.org/blob/main/"])
def test_links_to_other_files_lead_to_the_repository_or_to_a_copy(small, tmp_path, address):
    warnings = build(tmp_path, address, small)
    missing = [line for line in warnings.splitlines() if "notebooks/README.md" in line]
    assert len(missing) == 1 and "no.txt" in missing[0]
    text = (tmp_path / "html" / "notebooks" / "README.html").read_text(encoding="utf-8")
    links = [link for link in Page(text).links if re.search(r"a\.yaml|params|A1|words|Words", link)]
    if address:
        assert links[:3] == [
            address + name for name in ("studies/a.yaml", "notebooks/params", "course/source/A1.ipynb")
        ]
        assert not (tmp_path / "html" / "_downloads").exists()
    else:
        assert re.fullmatch(r"\.\./_downloads/\w+/a\.yaml", links[0])
    assert set(links[3 if address else 1 :]) == {"#two-words"}
