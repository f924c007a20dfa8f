"""The figures about time show the records that they were given."""

import json

from dmsc.paths import ROOT
from dmsc.plots import speed


def read(name):
    return json.loads((ROOT / "results" / "benchmarks" / f"{name}.json").read_text(encoding="utf-8"))


def test_epochs_have_a_bar_for_every_way():
    record = read("epochs")
    fig = speed.show_epochs(record)
    for ax, step in zip(fig.axes, ("pretrain", "finetune"), strict=True):
        measured = record["steps"][step]
        widths = {
            label.get_text(): bar.get_width() for label, bar in zip(ax.get_yticklabels(), ax.patches, strict=True)
        }
        assert widths == {way: values["median_seconds"] for way, values in measured["ways"].items()}
        assert next(iter(widths)) == "listing"
        assert ax.lines[0].get_xdata()[0] == measured["limit_seconds"]


def test_growth_has_every_point_of_every_curve():
    record = read("scaling")
    fig = speed.show_growth(record)
    for ax, quantity in zip(fig.axes, ("seconds", "peak_memory_mb"), strict=True):
        drawn = sorted(float(y) for line in ax.lines for y in line.get_ydata())
        assert drawn == sorted(point[quantity] for point in record["points"])


def test_the_roof_is_the_lower_of_both():
    fig = speed.show_roofline({"left": (0.5, None), "right": (1000.0, 50.0)}, 100.0, 10.0)
    (ax,) = fig.axes
    intensity, roof = ax.lines[0].get_data()
    assert all(y == min(100.0, 10.0 * x) for x, y in zip(intensity, roof, strict=True))
    points = {line.get_label(): (float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in ax.lines[1:]}
    assert points["left"] == (0.5, 5.0) and points["right"] == (1000.0, 50.0)


def test_scales_draw_both_panels():
    fig = speed.show_scales([1, 2, 4], {"loss": [3.0, 2.0, 5.0]}, {"plain": [0.1, 0.2, 0.3]})
    left, right = fig.axes
    assert list(left.lines[0].get_ydata()) == [3.0, 2.0, 5.0] and list(right.lines[0].get_ydata()) == [0.1, 0.2, 0.3]
