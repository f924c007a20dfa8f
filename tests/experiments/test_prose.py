"""Tables go where a page has a place for them; numbers in prose are what their records say, and none has no record."""

import json

import pytest
from bad_input import one_clear_error
from test_records import record

from dmsc.experiments.prose import MARKED, insert_table, renew_numbers, unmarked_numbers
from dmsc.experiments.records import add_to_study
from dmsc.paths import ROOT

PAGES = ("README.md", "results/README.md")
NOTEBOOKS = [
    str(path.relative_to(ROOT))
    for path in sorted((ROOT / "notebooks").glob("*.ipynb"))
    if MARKED.search(path.read_text(encoding="utf-8"))
]


@pytest.fixture
def results(tmp_path):
    warm = {"name": "dsc-l2", "source": "nobody", "finetune_epochs": 10, "loss": {"norm": 2}}
    warm["coefficients_init"] = "warm"
    made = [record(0, 0.5), record(1, 0.7), record(0, 0.9, run="warm", method=warm)]
    made[2]["config"]["method"]["pretrained"] = "my a.pt"
    add_to_study(made, "toys", results=tmp_path)
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "b.json").write_text(json.dumps({"ways": {"dmsc, bf16": [{"speedup": 2.3456}]}}))
    return tmp_path


@pytest.mark.parametrize(
    ("mark", "expected"),
    [
        ("toys: toy dsc-l2 coefficients_init=warm paper_acc", "90.0"),
        ('toys: toy dsc-l2 pretrained="my a.pt" coefficients_init=warm raw_paper_nmi', "45.0"),
        ("toys: toy dsc-l2 coefficients_init=warm seeds", "1"),
        ("toys: toy dsc-l2 coefficients_init=warm minutes", "1.0"),
        ("toys: toy dsc-l2 coefficients_init=warm objective", "1.5"),
        ("benchmarks/b.json: ways/dmsc, bf16/0/speedup", "2.3"),
        ("cited: somebody 2017", "0.0"),
    ],
)
def test_a_marked_number_is_what_its_record_says(results, mark, expected):
    page = f"It is 0.0<!-- {mark} --> %, and 7."
    once = renew_numbers(page, results)
    assert once == f"It is {expected}<!-- {mark} --> %, and 7."
    assert renew_numbers(once, results) == once


def test_several_seeds_bring_their_spread_which_is_renewed_with_the_mean(results):
    (results / "toys" / "toy.jsonl").unlink()
    add_to_study([record(0, 0.5), record(1, 0.7)], "toys", results=results)
    page = "1.0 ± 2.0<!-- toys: toy dsc-l2 paper_acc -->"
    assert renew_numbers(page, results) == "60.0 ± 10.0<!-- toys: toy dsc-l2 paper_acc -->"


CASES = [
    ("toys: toy dsc-l2 paper_acc", ("2 rows", "coefficients_init=warm", "add settings")),
    ("toys: toy affinity paper_acc", ("0 rows of records, one is needed",)),
    ("toys: toy dsc-l2 coefficients_init=warm accuracy", ("no column 'accuracy'", "paper_acc")),
    ("nothing: toy dsc-l2 paper_acc", ("'nothing'", "toys")),
    ("toys: paper_acc", ("toys: paper_acc",)),
    ("benchmarks/b.json: ways/dmsc", ("KeyError", "'dmsc'")),
    ("benchmarks/none.json: ways", ("none.json",)),
    ("benchmarks/b.json: ways", ("ways",)),
]


@pytest.mark.parametrize(("mark", "words"), CASES, ids=[mark for mark, _ in CASES])
def test_a_mark_that_leads_nowhere_is_named(results, mark, words):
    page = f"1.0<!-- {mark} -->"
    one_clear_error(lambda: renew_numbers(page, results), ValueError, ("after 1.0", mark, *words))


def test_numbers_without_a_mark_are_found_outside_tables_code_and_addresses():
    page = (
        "It has 92.5 % ± 0.3, [here](a/1.5/b.md), `2.5`, 3.5<!-- cited: x --> and -4.5, torch 2.13.0, Python 3.11.\n"
        "| 5.5 |\n```\n6.5\n```\n<!-- 7.5 -->"
    )
    assert unmarked_numbers(page) == ["92.5", "0.3", "4.5"]


def test_insert_table_replaces_only_what_is_between_the_markers():
    page = "a\n<!-- table: begin -->\nold\n<!-- table: end -->\nb\n"
    once = insert_table(page, "| new |\n")
    assert once == "a\n<!-- table: begin -->\n\n| new |\n\n<!-- table: end -->\nb\n"
    assert insert_table(once, "| new |\n") == once
    one_clear_error(lambda: insert_table("a page", "| new |\n"), ValueError, "table: begin")


def test_a_page_may_have_several_tables():
    page = "<!-- table a: begin --><!-- table a: end --><!-- table b: begin --><!-- table b: end -->"
    both = insert_table(insert_table(page, "| one |\n", "a"), "| two |\n", "b")
    assert both.index("table a: begin") < both.index("| one |") < both.index("table b: begin") < both.index("| two |")
    one_clear_error(lambda: insert_table(page, "| three |\n", "c"), ValueError, "table c: begin")


@pytest.mark.parametrize("page", [*PAGES, *NOTEBOOKS])
def test_the_pages_say_what_the_records_say(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert renew_numbers(text) == text, f"out of date: dmsc numbers {page}, as make table does"


@pytest.mark.parametrize("page", PAGES)
def test_no_number_of_the_pages_stands_there_without_a_record(page):
    assert unmarked_numbers((ROOT / page).read_text(encoding="utf-8")) == []
