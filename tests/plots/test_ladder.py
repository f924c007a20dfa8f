"""The ladder: every run on its rung, every number at its place."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from bad_input import one_clear_error

from dmsc.plots import ladder
from dmsc.plots.style import WIDTH


def record(start=1e-4, pretrain=100, epochs=40, dataset="digits", seed=0, acc=0.8, name="dsc-l2", **method):
    """Make the parts of a record that the ladder reads; the paper's reading is 0.05 better than the plain one."""
    method = {"name": name, "solver": "adam", "pretrain_epochs": pretrain, "finetune_epochs": epochs, **method}
    method["coefficients_init"] = start
    scores = {reading: {"acc": acc + lift} for reading, lift in (("plain", 0), ("paper", 0.05), ("selected", 0.02))}
    candidates = [
        {"epoch": epoch, "reading": reading, "acc": acc + 0.01 * step + 0.05 * (reading == "paper")}
        for epoch, step in ((20, 2), (epochs, 0))
        for reading in ("plain", "paper")
    ]
    return {
        "run": f"{dataset}-{name}-seed{seed}-{start}-{pretrain}-{epochs}-{method.get('reading')}",
        "config": {"dataset": dataset, "seed": seed, "method": method, "views": [["image", [9, 1, 8, 8]]]},
        "metrics": {"network": scores, "raw": {"plain": {"acc": 0.3 + seed / 10}, "paper": {"acc": 0.4}, "ridge": 0.1}},
        "label_free": {"objective": 100.0 + seed if epochs else None},
        "selection": {"candidates": candidates if epochs else candidates[2:]},
        "history": {"finetune": {"epoch": [1, 20, 40], "loss": [9.0, 3.0, 1.0]} if epochs else {}},
    }


def drawn(fig):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fig.canvas.draw()
    assert fig.get_size_inches()[0] <= WIDTH
    return [ax for ax in fig.axes if ax.axison]


def control(seed=0, acc=0.9):
    """A record of the control: a baseline, with nothing on the raw views beside it."""
    made = record(seed=seed, acc=acc)
    scores = made["metrics"].pop("network")
    made["metrics"], made["label_free"] = {"baseline": scores}, {}
    method = {"name": "ridge-stopped", "algorithm": "ridge-stopped", "parameters": {"epochs": 40, "init": 1e-4}}
    made["config"]["method"], made["run"] = method, f"control-{seed}"
    return made


def test_the_control_without_a_network_stands_at_the_end_with_its_steps():
    rows = ladder.ladder_rows([control(), record(), control(seed=1, acc=0.7)])
    assert [row["rung"] for row in rows] == ["raw views", "fine-tuned, constant C", *["no network, constant C"] * 2]
    assert [row["epochs"] for row in rows] == [0, 40, 40, 40]
    assert [row["plain"] for row in rows[2:]] == [0.9, 0.7] and np.isnan(rows[2]["objective"])
    assert np.isnan(rows[2]["best_by_labels"]) and rows[1]["best_by_labels"] > 0  # one look is no choice of an epoch


def test_affinity_fusion_has_a_ladder_of_its_own_and_readings_are_told_apart():
    runs = [record(name="affinity", reading={"dim": d}, acc=d / 20) for d in (6, 10)] + [record(), control(), control()]
    runs[-1]["config"]["views"] *= 2
    runs[-1]["run"] = "control-of-two-views"
    rows = ladder.ladder_rows(runs, of="affinity")
    assert {row["name"]: row["plain"] for row in rows if row["rung"] != "raw views"} == {
        "fine-tuned, constant C (read with d = 6)": 0.3,
        "fine-tuned, constant C (read with d = 10)": 0.5,
        "no network, constant C": 0.9,
    }
    raw = [row["name"] for row in rows if row["rung"] == "raw views"]
    assert sorted(raw) == ["raw views (read with d = 10)", "raw views (read with d = 6)"]
    assert [row["rung"] for row in ladder.ladder_rows(runs)][1:] == ["fine-tuned, constant C", "no network, constant C"]


def test_a_rate_is_told_only_of_what_is_fine_tuned_at_it():
    rows = ladder.ladder_rows(
        [record("warm", 100, 0, network_learning_rate=2e-4), record("warm", network_learning_rate=2e-4)]
    )
    assert [row["name"] for row in rows[1:]] == ["pre-trained", "fine-tuned, warm C (encoders at rate 0.0002)"]


@pytest.mark.parametrize(
    ("run", "rung"),
    [
        (record("warm", 0, 0), "random encoder"),
        (record("warm", 100, 0), "pre-trained"),
        (record("warm"), "fine-tuned, warm C"),
        (record(), "fine-tuned, constant C"),
        (record(0.0), "fine-tuned, constant C"),
        (record("mean"), "fine-tuned, C = 1/N"),
        (record(pretrain=0, pretrained="orl.pkl"), "authors' weights, constant C"),
        (record("warm", 0, 40), None),
        (record(epochs=0), None),
        (record("closed-form"), None),
        (record(solver="closed-form"), None),
        (record("warm", 0, 0, pretrained="orl.pkl"), None),
        (record(name="affinity"), None),
        ({"config": {"method": {"name": "ridge", "algorithm": "ridge"}}}, None),
    ],
)
def test_runs_stand_on_their_rungs(run, rung):
    assert ladder.rung_of(run) == rung
    assert rung is None or rung in ladder.RUNGS


def test_rows_have_the_raw_views_once_per_seed_and_what_labels_would_choose():
    runs = [record(seed=1), record(), record("warm", 100, 0), record(name="affinity"), record(dataset="coil20")]
    rows = ladder.ladder_rows(runs)
    assert [(row["dataset"], row["rung"], row["seed"]) for row in rows] == [
        ("coil20", "raw views", 0),
        ("coil20", "fine-tuned, constant C", 0),
        ("digits", "raw views", 0),
        ("digits", "raw views", 1),
        ("digits", "pre-trained", 0),
        ("digits", "fine-tuned, constant C", 0),
        ("digits", "fine-tuned, constant C", 1),
    ]
    raw, tuned = rows[3], rows[6]
    assert (raw["plain"], raw["paper"], raw["epochs"]) == (0.4, 0.4, 0) and np.isnan(raw["selected"])
    assert (tuned["plain"], tuned["paper"], tuned["selected"]) == (0.8, 0.8 + 0.05, 0.8 + 0.02)
    assert tuned["best_by_labels"] == pytest.approx(0.87) and tuned["objective"] == 101 and tuned["epochs"] == 40
    assert np.isnan(rows[4]["objective"]) and np.isnan(rows[4]["best_by_labels"])


def test_runs_on_one_rung_are_told_apart_by_their_settings():
    runs = [
        record(pretrain=1000, dataset="coil20"),
        record(dataset="coil20"),
        record("mean", network_learning_rate=2e-4),
    ]
    names = [row["name"] for row in ladder.ladder_rows(runs) if row["rung"] != "raw views"]
    assert names == [
        "fine-tuned, constant C (pre-trained 100 epochs)",
        "fine-tuned, constant C (pre-trained 1000 epochs)",
        "fine-tuned, C = 1/N (encoders at rate 0.0002)",
    ]
    coil20, digits = drawn(ladder.show_ladder(ladder.ladder_rows(runs)))
    assert [tick.get_text() for tick in coil20.get_yticklabels()][2].endswith("constant C\n(pre-trained 1000 epochs)")
    assert coil20.get_ylim() == digits.get_ylim(), "bars are of one height"


def test_linear_networks_and_readings_are_told_apart():
    linear, other = record(), record("mean")
    linear["config"]["method"]["architecture"] = {"activation": "none"}
    other["config"]["method"]["reading"] = {"dim": 10}
    for run in (relu := record(seed=1), linear, pretrained := record("warm", 100, 0)):
        run["config"]["method"]["reading"] = {"dim": 6}
    relu["config"]["method"]["architecture"] = {"activation": "relu"}
    assert [row["name"] for row in ladder.ladder_rows([relu, linear])][2:] == [
        "fine-tuned, constant C (activation none)",
        "fine-tuned, constant C (activation relu)",
    ]
    assert [row["name"] for row in ladder.ladder_rows([other, pretrained])] == [
        "raw views (read with d = 10)",
        "raw views (read with d = 6)",
        "pre-trained (read with d = 6)",
        "fine-tuned, C = 1/N (read with d = 10)",
    ], "where one rung is read in another way, all say how"


def test_an_old_record_without_checked_epochs_has_its_scores():
    old = record()
    old["selection"] = None
    del old["metrics"]["network"]["selected"]
    row = ladder.ladder_rows([old])[-1]
    assert row["plain"] == 0.8 and np.isnan(row["selected"]) and np.isnan(row["best_by_labels"])


def test_ladder_has_a_bar_per_rung_and_reading_with_the_spread_of_the_seeds():
    rows = ladder.ladder_rows([record(acc=0.8), record(seed=1, acc=0.6), record("warm", 0, 0, dataset="orl")])
    control = {"dataset": "digits", "rung": "no network", "seed": 0, "plain": 0.5, "paper": 0.6, "selected": 0.7}
    digits, orl = drawn(ladder.show_ladder([*rows, control]))
    names = [tick.get_text() for tick in digits.get_yticklabels()]
    assert names == ["raw views", "fine-tuned, constant C", "no network"]
    assert [tick.get_text() for tick in orl.get_yticklabels()] == ["raw views", "random encoder"]
    plain, paper, selected = (c for c in digits.containers if c.get_label() in ladder.READINGS.values())
    assert [bar.get_width() for bar in plain] == pytest.approx([0.35, 0.7, 0.5])
    assert [bar.get_width() for bar in selected] == pytest.approx([0, 0.72, 0.7])
    (_, _, (lines,)) = paper.errorbar
    assert lines.get_segments()[1][:, 0] == pytest.approx([0.65, 0.85])  # population: half the distance of two
    assert [digits.get_title(), orl.get_title()] == ["digits, 1–2 seeds", "orl, 1 seed"]
    assert digits.get_ylim()[0] > digits.get_ylim()[1], "the first rung is on top"


def test_course_draws_losses_and_stars_the_best_epochs():
    runs = {"fine-tuned, warm C": [record("warm")], "fine-tuned, constant C": [record(), record(seed=1, acc=0.5)]}
    fig = ladder.show_course(runs)
    loss, plain, paper = drawn(fig)
    assert len(loss.lines) == 3 and [*loss.lines[0].get_ydata()] == [9, 3, 1]
    for ax, lift in ((plain, 0), (paper, 0.05)):
        stars = [line for line in ax.lines if line.get_marker() == "*"]
        assert [float(line.get_ydata()[0]) for line in stars] == pytest.approx([0.82 + lift, 0.82 + lift, 0.52 + lift])
        assert {float(line.get_xdata()[0]) for line in stars} == {20}
    texts = [text.get_text() for text in fig.legends[0].get_texts()]
    assert texts == [*runs, "best epoch, by the labels"]
    assert loss.lines[1].get_color() == loss.lines[2].get_color() != loss.lines[0].get_color()


def test_losses_stand_against_both_readings():
    rows = ladder.ladder_rows([record(), record("warm", seed=1), record("warm", 0, 0), record(dataset="orl")])
    digits, orl = drawn(ladder.show_losses(rows))
    points = [tuple(point) for line in digits.lines for point in line.get_xydata()]
    np.testing.assert_allclose(sorted(points), [(100, 0.8), (100, 0.85), (101, 0.8), (101, 0.85)])
    assert orl.get_title() == "orl"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ladder.show_ladder([]), "at least one row"),
        (lambda: ladder.show_losses([]), "at least one row"),
        (lambda: ladder.show_losses(ladder.ladder_rows([record("warm", 0, 0)])), "objective"),
        (lambda: ladder.show_course({}), "records"),
        (lambda: ladder.show_course({"warm": []}), "records"),
    ],
)
def test_they_refuse(call, words):
    one_clear_error(call, ValueError, words)
