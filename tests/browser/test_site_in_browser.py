"""The site in a browser: formulas are drawn, nothing fails, nothing comes from elsewhere."""

from __future__ import annotations

import pytest

from dmsc.paths import ROOT

PAGES = sorted(f"notebooks/{path.stem}" for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
OTHERS = ["course/site/index", "course/site/api", "README", "results/README"]


@pytest.mark.parametrize("name", [*PAGES, *OTHERS])
def test_formulas_are_drawn_without_an_error_and_without_a_network(site, visit, name):
    page = visit.page
    page.goto(f"{site}/{name}.html", wait_until="networkidle")
    page.wait_for_function('() => !document.querySelector(".math") || document.querySelector("mjx-container")')
    page.wait_for_function("() => !window.MathJax || MathJax.startup.promise.then(() => true)")
    written = page.locator(".math").count()
    assert written > 0 or name not in PAGES
    assert page.locator(".math mjx-container").count() >= written
    assert page.locator("mjx-merror").count() == 0
    assert page.evaluate("[...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)") == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert visit.errors == [] and visit.foreign == []


def test_the_first_address_leads_to_the_course(site, visit):
    visit.page.goto(f"{site}/")
    visit.page.wait_for_url("**/course/site/index.html")
    visit.page.get_by_role("link", name="02 · Self-expression").first.click()
    visit.page.wait_for_url("**/notebooks/02_self_expression.html")
    assert visit.errors == [] and visit.foreign == []
