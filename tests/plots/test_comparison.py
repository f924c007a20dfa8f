"""The figures of the comparison show what they were given, each reading and rate at its place."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from bad_input import one_clear_error

from dmsc.plots import comparison as cp
from dmsc.presets import BASELINES, METHODS


def row(method, dataset="digits", variant="", seeds=3, **values):
    """Make a row of summarize; readings differ by known amounts."""
    scores = {f"{reading}_acc": value for reading, value in zip(cp.READINGS, (0.5, 0.6, 0.7), strict=True)}
    scores |= {f"{key}_std": 0.1 for key in scores}
    epochs = None if method in BASELINES else 50
    place = {"dataset": dataset, "variant": variant, "n_clusters": 10, "method": method, "settings": ""}
    return {**place, "epochs": epochs, "seeds": seeds, **scores, **values}


def bars(ax):
    """Points (x, y) of each set of error bars, by label."""
    return {c.get_label(): np.array(c.lines[0].get_xydata()) for c in ax.containers}


def shown(fig):
    return [ax for ax in fig.axes if ax.axison]


def test_comparison_puts_every_reading_on_its_methods_line():
    methods = ["ridge", "affinity", "kmeans", "early-sum", "dsc-l2"]
    rows = [row(name, plain_acc=k / 10) for k, name in enumerate(methods)]
    (ax,) = shown(cp.show_comparison(rows))
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["dsc-l2", "early-sum", "affinity", "kmeans", "ridge"]
    place = dict(zip([tick.get_text() for tick in ax.get_yticklabels()], ax.get_yticks(), strict=True))
    points = bars(ax)
    assert set(points) == set(cp.READINGS.values())
    assert dict(zip(points["plain affinity"][:, 1] - 0.25, points["plain affinity"][:, 0], strict=True)) == {
        place[name]: pytest.approx(k / 10) for k, name in enumerate(methods)
    }
    for (_, label), lift in zip(cp.READINGS.items(), (0.25, 0, -0.25), strict=True):
        assert sorted(points[label][:, 1]) == pytest.approx(sorted(place[name] + lift for name in methods))
    (segment, *_) = ax.containers[0].lines[2][0].get_segments()
    np.testing.assert_allclose(segment[:, 0], [0.3, 0.5])  # dsc-l2, the first line: 0.4, one standard deviation
    assert ax.get_title() == "digits, 3 seeds"


def test_comparison_sets_baselines_apart():
    (ax,) = shown(cp.show_comparison([row("dsc-l2"), row("ssc"), row("my own")]))
    (band,) = ax.patches
    low, high = band.get_y(), band.get_y() + band.get_height()
    place = dict(zip([tick.get_text() for tick in ax.get_yticklabels()], ax.get_yticks(), strict=True))
    assert {name for name, y in place.items() if low < y < high} == {"ssc"}
    assert not shown(cp.show_comparison([row("dsc-l2")]))[0].patches


def test_comparison_of_datasets_is_small_multiples_with_gaps_where_there_is_no_row():
    rows = [row("dsc-l2", "digits"), row("affinity", "digits", seeds=1)]
    rows += [row("affinity", name, seeds=1) for name in ("orl", "bdgp", "coil20")]
    fig = cp.show_comparison(rows)
    assert [ax.get_title() for ax in shown(fig)] == [
        "digits, 1–3 seeds",
        *(f"{d}, 1 seed" for d in ("orl", "bdgp", "coil20")),
    ]
    digits, orl, *_ = shown(fig)
    assert digits.get_ylim() == orl.get_ylim()
    np.testing.assert_allclose(bars(orl)["paper's reading"], [[0.6, -1]])


def test_comparison_keeps_what_no_run_has_out_and_takes_all_methods():
    rows = [row(name) for name in [*METHODS, *BASELINES]]
    rows[0] |= {"selected_acc": np.nan, "selected_acc_std": np.nan}
    (ax,) = shown(cp.show_comparison(rows))
    assert len(ax.get_yticks()) == len(rows)


def test_runs_that_differ_by_their_settings_or_epochs_are_lines_of_their_own():
    rows = [row("dsc-l2", settings=f"learning_rate={rate}") for rate in ("0.001", "0.01")]
    rows += [row("affinity", epochs=epochs) for epochs in (50, 1000)] + [row("ssc"), row("affinity", "orl")]
    digits, orl = shown(cp.show_comparison(rows))
    names = [
        "dsc-l2, learning_rate=0.001",
        "dsc-l2, learning_rate=0.01",
        "affinity, 50 epochs",
        "affinity, 1000 epochs",
    ]
    assert [tick.get_text() for tick in digits.get_yticklabels()] == [*names, "affinity", "ssc"]
    assert len(bars(digits)["plain affinity"]) == 5 and len(bars(orl)["plain affinity"]) == 1


@pytest.mark.parametrize(
    ("rows", "options", "words"),
    [
        ([], {}, "at least one row"),
        ([row("affinity"), row("affinity")], {}, "'affinity' on 'digits'"),
        ([row("affinity")], {"metric": "f1"}, ("metric", "'acc', 'nmi', 'ari', got 'f1'")),
    ],
)
def test_comparison_refuses(rows, options, words):
    one_clear_error(lambda: cp.show_comparison(rows, **options), ValueError, words)


def corrupted():
    """Two methods whose score falls with the rate, at different speeds; rates out of order."""
    rows = []
    for method, speed in (("affinity", 0.1), ("ridge", 0.3)):
        for variant in ("noise 2", "missing 0.5", "", "noise 0.5", "missing 0.25, noise 1"):
            rate = float(variant.split()[1]) if variant and "," not in variant else 0
            rows.append(row(method, variant=variant, plain_acc=0.9 - speed * rate, paper_acc=0.8 - speed * rate))
    return [*rows, row("kmeans")]  # has no corrupted run, so no curve


def test_curves_start_at_the_whole_data_and_rise_in_rate():
    fig = cp.show_curves(corrupted())
    axes = np.array(fig.axes).reshape(2, 2)
    assert [ax.get_xlabel() for ax in axes[-1]] == [cp.CORRUPTIONS["missing"], cp.CORRUPTIONS["noise"]]
    for axes_row, start in zip(axes, (0.9, 0.8), strict=True):
        for ax, rates in zip(axes_row, ([0, 0.5], [0, 0.5, 2]), strict=True):
            curves = [np.array(c.lines[0].get_xydata()) for c in ax.containers]
            assert len(curves) == 2
            for curve, speed in zip(curves, (0.1, 0.3), strict=True):
                np.testing.assert_allclose(curve, [(rate, start - speed * rate) for rate in rates])
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["affinity", "ridge"]
    assert [c.lines[0].get_linestyle() for c in axes[0, 0].containers] == ["-", "--"]


def test_curves_of_one_reading():
    fig = cp.show_curves(corrupted(), readings=["selected"])
    assert len(fig.axes) == 2 and "chosen without labels" in fig.axes[0].get_ylabel()


@pytest.mark.parametrize(
    ("rows", "options", "words"),
    [
        ([], {}, "at least one row"),
        ([row("affinity")], {}, "missing, noise, occlusion"),
        ([row("affinity", variant="missing 0.1, noise 1")], {}, "missing, noise, occlusion"),
        ([row("affinity", variant="noise 1"), row("affinity", "orl")], {}, "digits, orl"),
        ([row("affinity", variant="noise 1")] * 2, {}, "'affinity' on 'digits, noise 1'"),
        (corrupted(), {"readings": ["raw"]}, ("readings", "got 'raw'")),
        (corrupted(), {"metric": "f1"}, ("metric", "got 'f1'")),
    ],
)
def test_curves_refuse(rows, options, words):
    one_clear_error(lambda: cp.show_curves(rows, **options), ValueError, words)


def test_selection_stars_the_choice_in_both_panels():
    candidates = [
        {"epoch": epoch, "reading": reading, "consistency": 0.1 * epoch + lift, "acc": 0.9 - 0.1 * epoch}
        for epoch in (1, 2, 3)
        for reading, lift in (("plain", 0.0), ("paper", 0.05))
    ]
    record = {"selection": {"epoch": 2, "reading": "paper", "candidates": candidates}}
    left, right = cp.show_selection(record).axes
    for ax, plain, star in ((left, [0.1, 0.2, 0.3], 0.25), (right, [0.8, 0.7, 0.6], 0.7)):
        lines = {line.get_label(): line.get_xydata() for line in ax.lines}
        np.testing.assert_allclose(lines["plain affinity"], list(zip((1, 2, 3), plain, strict=True)))
        np.testing.assert_allclose(lines["chosen"], [[2, star]])
    for candidate in candidates:  # data without labels
        del candidate["acc"]
    left, right = cp.show_selection(record).axes
    assert [line.get_label() for line in right.lines] and not any(len(line.get_xdata()) for line in right.lines)
    for candidate in candidates:  # records since then
        candidate["eigengap"] = 0.01 * candidate["epoch"]
    _, middle, _ = cp.show_selection(record).axes
    np.testing.assert_allclose(middle.lines[0].get_ydata(), [0.01, 0.02, 0.03])


def test_an_anchored_run_without_a_choice_has_one_point_to_draw():
    only = {"epoch": 5, "reading": "plain", "consistency": None, "eigengap": 0.1, "acc": 0.9}
    axes = cp.show_selection({"selection": {"epoch": 5, "reading": "plain", "candidates": [only]}}).axes
    assert [ax.lines[0].get_ydata().tolist() for ax in axes[1:]] == [[0.1], [0.9]]


def record(method, dataset="digits", epochs=50, layers=2):
    network = {"architecture": {"layers": layers}, "pretrain_epochs": 10, "finetune_epochs": epochs}
    return {"config": {"dataset": dataset, "method": {"name": method, **({} if method in BASELINES else network)}}}


def test_comparable_keeps_the_network_of_most_methods_and_its_baselines():
    family = [record(name) for name in ("affinity", "dsc-l2", "early-sum")]
    others = [record("affinity", epochs=1000), record("dsc-l1", layers=3), record("late-sum", epochs=1000)]
    alone = [record("dsc-l2", "orl"), record("dsc-l2", "orl"), record("ridge", "orl"), record("lrr", "coil20")]
    records = [others[0], *family, record("ridge"), *others[1:], *alone]
    before = copy.deepcopy(records)
    kept, left_out = cp.comparable(records)
    assert kept == [*family, record("ridge")]
    assert left_out == [*others, *alone]
    assert records == before
    assert cp.comparable([]) == ([], [])
