"""The pages in JupyterLab, as a reader sees them: they open, they run, nothing is wider than the window."""

from __future__ import annotations

import json

import pytest

from dmsc.paths import ROOT

from .conftest import ask

PAGES = sorted(path.name for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
RUN = [name for name in PAGES if name[:2] in ("02", "08")]
ERROR = '.jp-OutputArea-output[data-mime-type*="error"]'

#: Whatever is wider than its box: outputs, text, tables, blocks and lines of code.
TOO_WIDE = """() => [...document.querySelectorAll(
    ".jp-Notebook :is(.jp-OutputArea-output, .jp-RenderedHTMLCommon, .jp-RenderedHTMLCommon pre, .cm-scroller)")]
  .filter(box => box.scrollWidth > box.clientWidth + 1)
  .map(box => `${box.className}: ${box.scrollWidth} > ${box.clientWidth}: ${box.innerText.slice(0, 80)}`)"""
#: Whether so many texts are rendered, which JupyterLab does one after the other.
RENDERED = """texts => [...document.querySelectorAll(".jp-MarkdownCell .jp-RenderedMarkdown")]
  .filter(text => text.innerText.trim()).length === texts"""
#: Whether the page has stopped growing: pictures and formulas change its height until they are drawn.
AT_REST = """() => {
  const box = document.querySelector(".jp-Notebook"), now = box ? box.scrollHeight : 0;
  const same = now > 0 && window.heightBefore === now;
  window.heightBefore = now;
  return same && [...document.images].every(image => image.complete);
}"""
#: Whether it ran to its end, or to an error.
ENDED = f"""cells => {{
  const marks = [...document.querySelectorAll(".jp-Notebook .jp-CodeCell .jp-InputArea-prompt")];
  const ran = marks.filter(mark => /^\\[\\d+\\]:$/.test(mark.innerText.trim()));
  return document.querySelector('{ERROR}') !== null || ran.length === cells;
}}"""


@pytest.fixture
def open_page(lab, visit):
    """Return a function that opens a page of the copies, and waits until all of it is there; its kernel ends after."""

    def opened(name):
        cells = json.loads((lab.folder / name).read_text(encoding="utf-8"))["cells"]
        visit.page.goto(f"{lab.address}/lab/tree/lab/{name}?reset&token={lab.token}")
        script = 'cells => document.querySelectorAll(".jp-Notebook .jp-Cell").length === cells'
        visit.page.wait_for_function(script, arg=len(cells))
        texts = sum(cell["cell_type"] == "markdown" for cell in cells)
        visit.page.wait_for_function(RENDERED, arg=texts)
        visit.page.wait_for_function(AT_REST, polling=1500)
        return visit.page

    yield opened
    for session in ask(lab, "/api/sessions"):
        ask(lab, f"/api/sessions/{session['id']}", method="DELETE")


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_wider_than_the_window_and_formulas_are_drawn(open_page, name):
    page = open_page(name)
    assert page.evaluate(TOO_WIDE) == []
    assert page.locator(".jp-RenderedMarkdown mjx-container").count() > 0
    assert page.locator(".jp-RenderedMarkdown mjx-merror").count() == 0
    assert page.evaluate('[...document.images].filter(i => !i.naturalWidth).map(i => i.getAttribute("src"))') == []


@pytest.mark.parametrize("name", RUN)
def test_a_page_without_outputs_runs_to_its_end(lab, open_page, name):
    notebook = json.loads((lab.folder / name).read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for cell in code:
        cell.update(outputs=[], execution_count=None)
    blank = lab.folder / f"blank_{name}"
    blank.write_text(json.dumps(notebook), encoding="utf-8")

    page = open_page(blank.name)
    assert page.locator(".jp-OutputArea-output").count() == 0
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.locator(".lm-Menu-item", has_text="Run All Cells").first.click()
    page.wait_for_function(ENDED, arg=len(code), timeout=480_000)
    assert page.locator(ERROR).all_inner_texts() == []
    assert page.locator('[data-mime-type="application/vnd.jupyter.stderr"]').all_inner_texts() == []
    assert page.locator(".jp-OutputArea-output img").count() > 0


def test_what_is_too_wide_is_found(lab, open_page):
    cells = [
        {"cell_type": "code", "source": "x = " + "1 + " * 60 + "1", "outputs": [], "execution_count": None},
        {"cell_type": "markdown", "source": "Text of a fitting width. " * 60},
    ]
    notebook = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    notebook["cells"] = [{"id": f"c{k}", "metadata": {}, **cell} for k, cell in enumerate(cells)]
    (lab.folder / "wide.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    found = open_page("wide.ipynb").evaluate(TOO_WIDE)
    assert any("cm-scroller" in line for line in found)
    assert not any("fitting" in line for line in found)
