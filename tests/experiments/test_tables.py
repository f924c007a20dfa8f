"""Tables: every seed counts, and the README shows what the records say."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from test_records import record

from dmsc.experiments.records import load_records
from dmsc.experiments.tables import (
    PUBLISHED,
    csv_table,
    family_table,
    insert_table,
    markdown_table,
    of_papers,
    summarize,
)

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


def baseline(seed, acc, name="ssc", **config):
    """A record of a baseline: no network, no epochs, nothing on the raw data beside it."""
    found = record(seed, acc, paper=None)
    found["config"] |= {"method": {"name": name}, **config}
    scores = found["metrics"].pop("network")
    found["metrics"] = {"baseline": {**scores, "selected": {"acc": acc + 0.1}}}
    return found


def selected(seed, acc):
    """A record of a network in today's format: with labels chosen without labels."""
    found = record(seed, acc)
    found["metrics"]["network"]["selected"] = {"acc": acc - 0.1, "nmi": acc / 3, "ari": acc / 5}
    return found


def cells(table):
    """The rows of the tables in a text, without heads: lists of cells."""
    lines = [line for line in table.splitlines() if line[:2] == "| " and line[:6] not in ("| data", "| meth")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_what_is_chosen_without_labels_has_its_column_and_old_records_a_dash():
    (new,) = cells(markdown_table([selected(0, 0.5), selected(1, 0.7)]))
    (old,) = cells(markdown_table([record(0, 0.5), record(1, 0.7)]))
    assert new[6] == "50.0 ± 10.0" and old[6] == "–"
    assert new[:6] + new[7:] == old[:6] + old[7:]
    (row,) = summarize([record(0, 0.5)])
    assert np.isnan(row["selected_acc"]) and row["plain_acc"] == 0.5
    assert cells(family_table([selected(0, 0.5)]))[0][5] == "40.0"
    assert cells(family_table([record(0, 0.5)]))[0][5] == "–"


def test_baselines_have_scores_but_no_epochs_and_no_raw_data_beside_them():
    (row,) = summarize([baseline(0, 0.5), baseline(1, 0.7)])
    assert (row["method"], row["epochs"], row["of_paper"], row["seeds"]) == ("ssc", None, None, 2)
    assert (row["plain_acc"], row["selected_acc"]) == pytest.approx((0.6, 0.7))
    assert np.isnan(row["raw_plain_acc"])
    (line,) = cells(markdown_table([baseline(0, 0.5)]))
    assert line == ["toy", "ssc", "– (–)", "1", "50.0", "50.0", "60.0", "–", "–", "–", "cpu, 1.0"]
    assert list(csv.DictReader(io.StringIO(csv_table([baseline(0, 0.5)]))))[0]["epochs"] == ""


def test_family_table_has_one_table_per_dataset_and_corruption():
    records = [
        baseline(0, 0.4, "ridge", dataset="b"),
        selected(0, 0.5),
        baseline(0, 0.3),
        baseline(0, 0.2, variant="missing 0.2"),
        baseline(0, 0.9, n_clusters=4),
    ]
    text = family_table(records)
    titles = [line for line in text.splitlines() if line.startswith("#")]
    assert titles == [
        "### b (3 clusters)",
        "### toy (3 clusters)",
        "### toy (4 clusters)",
        "### toy, missing 0.2 (3 clusters)",
    ]
    assert [line[0] for line in cells(text)] == ["ridge", "ssc", "dsc-l2", "ssc", "ssc"]  # baselines first
    for line in text.splitlines():
        assert not line.startswith("|") or line.count("|") == 8


def test_runs_on_data_with_another_corruption_seed_are_seeds_of_one_row():
    """Whole data with another digest are other data."""
    rows = summarize([baseline(seed, 0.5, variant="noise 1", data_digest=f"{seed}") for seed in range(3)])
    assert [row["seeds"] for row in rows] == [3]
    assert len(summarize([baseline(seed, 0.5, data_digest=f"{seed}") for seed in range(3)])) == 3


def test_reproductions_are_the_records_with_the_epochs_of_a_paper():
    records = [record(0, 0.5), record(1, 0.5, paper=None), baseline(0, 0.5)]
    assert of_papers(records) == records[:1]


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
