"""Tables: every seed counts, and the README shows what the records say."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from test_results import record

from dmsc.results import load_records
from dmsc.tables import PUBLISHED, csv_table, family_table, insert_table, markdown_table, of_papers, summarize

ROOT = Path(__file__).resolve().parents[1]


def test_mean_and_std_over_every_seed():
    rows = summarize([record(0, 0.5), record(1, 0.7), record(2, 0.9), record(0, 0.1, epochs=11)])
    assert [(row["epochs"], row["seeds"]) for row in rows] == [(10, 3), (11, 1)]
    assert rows[0]["plain_acc"] == pytest.approx(np.mean([0.5, 0.7, 0.9]))
    assert rows[0]["plain_acc_std"] == pytest.approx(np.std([0.5, 0.7, 0.9]))
    assert rows[0]["minutes"] == 1.0


def test_tables_show_the_same_numbers():
    records = [record(0, 0.5), record(1, 0.7)]
    markdown = markdown_table(records)
    assert "60.0 ± 10.0" in markdown and "10 (20)" in markdown
    assert markdown_table(records, "nmi").count("30.0 ± 5.0") == 4
    (row,) = csv.DictReader(io.StringIO(csv_table(records)))
    assert float(row["raw_paper_acc"]) == pytest.approx(0.6)


def test_the_gap_to_the_paper_is_shown():
    found = record(0, 0.8225)
    found["config"]["dataset"], found["config"]["n_clusters"] = "orl", 40
    assert PUBLISHED["orl", 40, "dsc-l2"]["acc"] == 0.86
    assert "86.0 (-3.7)" in markdown_table([found])
    found["config"]["n_clusters"] = 10  # ten people are another task
    assert "86.0" not in markdown_table([found])


def test_insert_table_replaces_only_what_is_between_the_markers():
    page = "a\n<!-- table: begin -->\nold\n<!-- table: end -->\nb\n"
    once = insert_table(page, "| new |\n")
    assert once == "a\n<!-- table: begin -->\n\n| new |\n\n<!-- table: end -->\nb\n"
    assert insert_table(once, "| new |\n") == once


@pytest.mark.parametrize(
    ("page", "render"),
    [("README.md", lambda records: markdown_table(of_papers(records))), ("results/README.md", family_table)],
)
def test_pages_show_the_tables_of_the_committed_records(page, render):
    text = (ROOT / page).read_text(encoding="utf-8")
    records = load_records(ROOT / "results" / "records")
    assert insert_table(text, render(records)) == text, "the table is out of date: make table"
