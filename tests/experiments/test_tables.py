"""Tables: every seed counts, rows can be told apart, and the README shows what the records say."""

import csv
import io
from dataclasses import asdict

import numpy as np
import pytest
from test_records import record

from dmsc.data import load_dataset
from dmsc.experiments import tables as module
from dmsc.experiments.prose import insert_table
from dmsc.experiments.records import RESULTS, add_to_study, load_records
from dmsc.experiments.run import describe
from dmsc.experiments.tables import (
    PUBLISHED,
    brief_table,
    committed_records,
    csv_table,
    family_table,
    is_preset,
    markdown_table,
    metrics_text,
    of_papers,
    starts_table,
    summarize,
)
from dmsc.experiments.traces import traces_table
from dmsc.paths import ROOT
from dmsc.presets import preset


def baseline(seed, acc, name="ssc", **config):
    """A record of a baseline: no network, no epochs, nothing on the raw data beside it."""
    made = record(seed, acc, paper=None)
    made["config"] |= {"method": {"name": name, "algorithm": name, "parameters": {"alpha": 20.0}}, **config}
    scores = made["metrics"].pop("network")
    made["metrics"] = {"baseline": {**scores, "selected": {"acc": acc + 0.1}}}
    return made


def unselected(seed, acc):
    """A record that came from format 1, which knew no choice without labels."""
    made = record(seed, acc)
    made["selection"] = None
    del made["metrics"]["network"]["selected"]
    return made


def changed(seed, acc, **method):
    """A record of a run with other settings."""
    made = record(seed, acc)
    made["config"]["method"] |= method
    return made


def cells(table):
    """The rows of the tables in a text, without heads: lists of cells."""
    lines = [line for line in table.splitlines() if line[:2] == "| " and line[:6] not in ("| data", "| meth")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_mean_and_std_over_every_seed():
    rows = summarize([record(0, 0.5), record(1, 0.7), record(2, 0.9), record(0, 0.1, epochs=11)])
    assert [(row["epochs"], row["seeds"]) for row in rows] == [(10, 3), (11, 1)]
    assert rows[0]["plain_acc"] == pytest.approx(np.mean([0.5, 0.7, 0.9]))
    assert rows[0]["plain_acc_std"] == pytest.approx(np.std([0.5, 0.7, 0.9]))
    assert rows[0]["minutes"] == 1.0
    assert {type(rows[0][key]) for key in ("epochs", "of_paper", "seeds", "n_clusters")} == {int}
    assert summarize([]) == []


def test_runs_from_before_a_setting_share_a_row_with_those_that_state_its_default():
    """Of a network and of a baseline; another value is another row."""
    (row,) = summarize([changed(0, 0.5), changed(1, 0.7, schedule="constant", source="in other words")])
    assert row["seeds"] == 2
    stated = baseline(1, 0.7)
    stated["config"]["method"]["weights"] = [1.0]
    (row,) = summarize([baseline(0, 0.5), stated])
    assert row["seeds"] == 2
    stated["config"]["method"]["weights"] = [3.0, 0.5]
    assert len(summarize([baseline(0, 0.5), stated])) == 2


def test_pages_find_the_committed_runs_of_a_method_and_the_first_study_wins(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "RESULTS", tmp_path)
    assert committed_records("affinity") == []  # no study yet
    add_to_study([record(0, 0.5), record(1, 0.6)], "papers", results=tmp_path)
    add_to_study([record(1, 0.7), record(2, 0.8)], "family", results=tmp_path)
    found = committed_records()
    assert [(r["config"]["seed"], r["metrics"]) for r in found] == [
        (seed, record(seed, acc)["metrics"]) for seed, acc in ((0, 0.5), (1, 0.6), (2, 0.8))
    ]
    config = found[0]["config"]
    assert committed_records(config["method"]["name"], datasets=[config["dataset"]]) == found
    assert committed_records("no such method") == committed_records(datasets=["no such data"]) == []
    assert len(committed_records(studies=["family"])) == 2


def test_tables_show_the_same_numbers():
    records = [record(0, 0.5), record(1, 0.7)]
    markdown = markdown_table(records)
    assert "60.0\u00a0±\u00a010.0" in markdown and "10 (20)" in markdown
    assert "60.0\u00a0±\u00a010.0 / 30.0 / 15.0" in markdown  # accuracy with its spread, NMI, ARI
    assert markdown_table(records, "nmi").count("30.0\u00a0±\u00a05.0") == 3
    (row,) = csv.DictReader(io.StringIO(csv_table(records)))
    assert float(row["raw_paper_acc"]) == pytest.approx(0.6) and row["epochs"] == "10"
    assert "settings" in row and csv_table([]) == ""


def test_what_is_chosen_without_labels_has_its_column_and_records_without_it_a_dash():
    (new,) = cells(markdown_table([record(0, 0.5), record(1, 0.7)]))
    (old,) = cells(markdown_table([unselected(0, 0.5), unselected(1, 0.7)]))
    assert new[8] == "50.0\u00a0±\u00a010.0" and old[8] == "–"
    assert new[:8] + new[9:] == old[:8] + old[9:]
    (row,) = summarize([unselected(0, 0.5)])
    assert np.isnan(row["selected_acc"]) and row["plain_acc"] == 0.5
    assert cells(family_table([record(0, 0.5)]))[0][5] == "40.0"
    assert cells(family_table([unselected(0, 0.5)]))[0][5] == "–"


def test_a_mean_is_of_every_seed_or_not_at_all():
    (row,) = summarize([record(0, 0.5), unselected(1, 0.7)])
    assert np.isnan(row["selected_acc"]) and row["seeds"] == 2 and row["plain_acc"] == pytest.approx(0.6)


def test_baselines_have_scores_but_no_epochs_and_no_raw_data_beside_them():
    (row,) = summarize([baseline(0, 0.5), baseline(1, 0.7)])
    assert (row["method"], row["epochs"], row["of_paper"], row["seeds"]) == ("ssc", None, None, 2)
    assert (row["plain_acc"], row["selected_acc"]) == pytest.approx((0.6, 0.7))
    assert np.isnan(row["raw_plain_acc"])
    (line,) = cells(markdown_table([baseline(0, 0.5)]))
    ours, others = "50.0 / 25.0 / 12.5", ["50.0", "60.0", "–", "–", "–"]
    assert line == ["toy", "ssc", "– (–)", "1", "–", ours, "–", *others, "cpu, 1.0"]
    assert list(csv.DictReader(io.StringIO(csv_table([baseline(0, 0.5)]))))[0]["epochs"] == ""


def test_family_table_has_one_table_per_dataset_and_corruption():
    records = [
        baseline(0, 0.4, "ridge", dataset="b"),
        record(0, 0.5),
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
    for block in text.split("###")[1:]:
        assert len({line.count("|") for line in block.splitlines() if line.startswith("|")}) == 1
    assert "toy, missing 0.2" in markdown_table(records)


def test_the_table_of_starts_has_the_last_loss_and_the_best_epoch():
    made = [record(0, 0.5), record(1, 0.7)]
    made[1]["label_free"]["objective"] = 2.5
    for one, error in zip(made, (0.001, 0.0024), strict=True):
        one["label_free"]["pretrain_reconstruction_error"] = error
    (line,) = cells(starts_table([*made]))
    acc = "60.0\u00a0±\u00a010.0"
    assert line == ["dsc-l2", "10", "2", "0.0017", "2\u00a0±\u00a00.5", acc, acc, "–", "1.0"]
    unknown = baseline(0, 0.5) | {"label_free": {}}
    assert cells(starts_table([unknown]))[0][3:5] == ["–", "–"]
    assert cells(starts_table([record(0, 0.5)]))[0][3:5] == ["–", "1.5"]


def test_runs_on_data_with_another_corruption_seed_are_seeds_of_one_row():
    """Whole data with another digest are other data."""
    rows = summarize([baseline(seed, 0.5, variant="noise 1", data_digest=f"{seed}") for seed in range(3)])
    assert [(row["seeds"], row["settings"]) for row in rows] == [(3, "")]
    rows = summarize([baseline(seed, 0.5, data_digest=f"{seed}") for seed in range(3)])
    assert [row["settings"] for row in rows] == ["data=0", "data=1", "data=2"]


def test_rows_that_look_alike_say_in_which_settings_they_differ():
    weights = [{"norm": 2, "lambda_self_expression": value} for value in (30.0, 4.0)]
    records = [
        changed(0, 0.5, loss=weights[0]),
        changed(0, 0.6, loss=weights[1]),
        changed(0, 0.6, loss=weights[1], zero_diagonal=True),
        record(0, 0.7, epochs=50),
    ]
    rows = summarize(records)
    assert [row["settings"] for row in rows] == [
        "lambda_self_expression=4.0, zero_diagonal=false",  # the default, where a record doesn't say
        "lambda_self_expression=4.0, zero_diagonal=true",
        "lambda_self_expression=30.0, zero_diagonal=false",
        "",
    ]
    for table in (markdown_table(records), family_table(records)):
        assert "| settings |" in table and "| lambda_self_expression=4.0, zero_diagonal=true |" in table
    assert "settings" not in markdown_table(records[2:])  # nothing to tell apart
    both = [changed(0, 0.5, fusion_function=name, schedule=name) for name in ("a", "b")]  # one says what the other does
    assert [row["settings"] for row in summarize(both)] == ["fusion_function=a", "fusion_function=b"]
    saved = changed(0, 0.5, pretrained="a.pt")  # what others haven't isn't told of them
    assert [row["settings"] for row in summarize([changed(0, 0.5), saved])] == ["", "pretrained=a.pt"]


def test_runs_on_parts_of_the_data_are_told_apart_by_their_size():
    small = record(0, 0.5, views=[["image", [20, 1, 8, 8]]], data_digest="another")
    assert [row["settings"] for row in summarize([record(0, 0.5), small])] == ["n_samples=20", "n_samples=30"]


def test_a_name_of_two_parts_counts_for_both():
    """The reading has an alpha, and SSC has one."""
    records = [baseline(0, 0.5), baseline(0, 0.5), baseline(0, 0.5)]
    for made, reading in zip(records, ({"alpha": 4.0}, {"alpha": 8.0}, {"alpha": 4.0}), strict=True):
        made["config"]["method"]["reading"] = reading
    records[2]["config"]["method"]["parameters"] = {"alpha": 5.0}
    assert [row["settings"] for row in summarize(records)] == [
        "alpha=5.0, reading.alpha=4.0",
        "alpha=20.0, reading.alpha=4.0",
        "alpha=20.0, reading.alpha=8.0",
    ]


def test_a_bar_or_a_new_line_in_a_name_breaks_no_table():
    odd = record(0, 0.5, dataset="a|b\nc")
    odd["config"]["method"]["name"] = "mine|yours"
    other = record(1, 0.5, dataset="a|b\nc")
    other["config"]["method"] = odd["config"]["method"] | {"note": "x|y"}
    for table in (markdown_table([odd, other]), family_table([odd, other])):
        lines = [line for line in table.splitlines() if line.startswith("|")]
        assert len(lines) == 4 and len({line.replace("\\|", "").count("|") for line in lines}) == 1
        assert "mine\\|yours" in table and "note=x\\|y" in table
    assert family_table([odd]).startswith("### a|b c (3 clusters)\n")


def test_reproductions_are_the_records_with_the_epochs_of_a_paper():
    records = [record(0, 0.5), record(1, 0.5, paper=None), baseline(0, 0.5)]
    assert of_papers(records) == records[:1]


@pytest.mark.parametrize(
    ("method", "settings", "expected"),
    [
        ("affinity", {}, True),
        ("affinity", {"precision": "bf16"}, True),
        ("affinity", {"finetune_epochs": 3}, False),
        ("affinity", {"dim": 2}, False),
        ("affinity", {"activation": "none"}, False),
        ("cmsc-dcca", {}, True),
        ("cmsc-dcca", {"lambda_correlation": 7.0}, False),
        ("ssc", {}, True),
        ("ssc", {"alpha": 3.0}, False),
    ],
)
def test_a_run_of_the_preset_differs_from_it_in_no_setting_but_the_precision(method, settings, expected):
    data = load_dataset("digits", n_per_class=3)
    made = {"config": describe(data, preset(method, data.name, data.n_clusters, **settings), 0)}
    assert is_preset(made) is expected


def test_a_run_from_before_a_setting_had_its_default():
    made = {"config": describe(data := load_dataset("digits", n_per_class=3), preset("affinity", data.name, 10), 0)}
    del made["config"]["method"]["solver"]
    assert is_preset(made)


def test_the_gap_to_the_paper_is_shown_if_the_reading_is_the_papers():
    made = record(0, 0.8225, dataset="orl", n_clusters=40)
    made["config"]["method"]["reading"] = asdict(preset("dsc-l2", "orl", 40).reading)
    assert PUBLISHED["orl", 40, "dsc-l2"]["acc"] == 0.86
    (line,) = cells(markdown_table([made]))
    assert line[4] == "86.0" and line[6] == "-3.7"
    made["config"]["method"]["reading"]["dim"] += 1
    (line,) = cells(markdown_table([made]))
    assert line[4] == "86.0" and line[6] == "–"
    made["config"]["n_clusters"] = 10  # ten people are another task
    assert "86.0" not in markdown_table([made])


def test_the_best_epoch_by_the_labels_is_of_the_papers_reading_and_kept_apart():
    made = [record(0, 0.5), record(1, 0.7)]
    for run, values in zip(made, ((0.2, 0.9, 0.5), (0.3, 0.7, 0.7)), strict=True):
        looks = [{"epoch": i, "reading": "paper", "acc": acc, "nmi": acc / 2} for i, acc in enumerate(values)]
        run["selection"]["candidates"] = [*looks, {"epoch": 9, "reading": "plain", "acc": 0.99, "nmi": 0.9}]
    (row,) = summarize(made)
    assert (row["best_by_labels_acc"], row["best_by_labels_nmi"]) == pytest.approx((0.8, 0.4))
    assert row["paper_acc"] == pytest.approx(0.6)
    assert cells(markdown_table(made))[0][9] == "80.0\u00a0±\u00a010.0"
    assert np.isnan(summarize([*made, record(2, 0.5)])[0]["best_by_labels_acc"])  # one of three was never looked at
    assert np.isnan(summarize([baseline(0, 0.5)])[0]["best_by_labels_acc"])


def test_what_a_run_came_to_is_told_in_lines():
    text = metrics_text(record(0, 0.5))
    assert "acc 0.5000" in text and "the plain reading after epoch 10" in text and "the paper has 20" in text
    assert "selected" not in metrics_text(unselected(0, 0.5))


TRACED = ("papers/eyaleb.jsonl", "papers/eyaleb_components.jsonl", "pretraining")
TABLES = [
    ("README.md", "", brief_table, ("papers",)),
    ("results/README.md", "papers", markdown_table, ("papers",)),
    ("results/README.md", "family", family_table, ("family",)),
    ("results/README.md", "halves", family_table, ("halves",)),
    ("results/README.md", "pretraining", traces_table, TRACED),
    ("results/README.md", "starts", starts_table, ("what_does_the_work",)),
]


@pytest.mark.parametrize(("page", "name", "render", "studies"), TABLES, ids=[f"{t[0]} {t[1]}" for t in TABLES])
def test_pages_show_the_tables_of_the_committed_records(page, name, render, studies):
    text = (ROOT / page).read_text(encoding="utf-8")
    records = load_records(*(RESULTS / study for study in studies))
    assert insert_table(text, render(records), name) == text, "out of date: make table"


def test_the_brief_table_has_what_is_published_beside_both_readings():
    made = record(0, 0.5)
    made["config"] |= {"dataset": "orl", "n_clusters": 40}
    made["config"]["method"]["name"] = "dsc-l2"
    assert "| 86.0 | 50.0 |" in brief_table([made])
