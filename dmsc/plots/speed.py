"""Figures about time: where it goes, how near the machine's limit it is, and how it grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from .style import GRAY, SMALL, SUM, colors, legend_below, new_figure

__all__ = ["show_epochs", "show_growth", "show_roofline", "show_scales"]

STEPS = {"pretrain": "pre-training", "finetune": "fine-tuning"}
CURVES = {
    "dense/epoch": "dense, one epoch",
    "dense/labels": "dense, views to labels",
    "anchored/epoch": "anchored, one epoch",
    "anchored/labels": "anchored, views to labels",
}


def show_epochs(record: dict) -> Figure:
    """Draw seconds of an epoch (`benchmarks/epochs.py`): a panel per step, a bar per way, the plain one's limit."""
    fig, axes = new_figure(1, 2, height=3.0)
    ours, limit = colors(2)
    for ax, (step, title) in zip(axes[0], STEPS.items(), strict=True):
        measured = record["steps"][step]
        ways = sorted(measured["ways"], key=lambda way: (way != "listing", way))  # the baseline on top
        seconds = [measured["ways"][way]["median_seconds"] for way in ways]
        bars = ax.barh(ways, seconds, color=[GRAY if way == "listing" else ours for way in ways])
        clear = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"}  # of the line behind
        ax.bar_label(bars, [f"{value:.2f} s" for value in seconds], padding=3, fontsize=SMALL, bbox=clear)
        ax.axvline(measured["limit_seconds"], color=limit, linestyle="--", label="arithmetic of the plain way, float32")
        ax.set(title=title, xlabel="seconds per epoch", xlim=(0, 1.25 * max(seconds)))
        ax.invert_yaxis()
        legend_below(ax)
    return fig


def show_roofline(works: Mapping[str, tuple[float, float | None]], gflop_per_s: float, gbyte_per_s: float) -> Figure:
    """Draw the two roofs of a machine, and operations (FLOP per byte, GFLOP/s or None if unmeasured) below them."""
    fig, axes = new_figure(1, 1, height=3.5)
    ax = axes[0, 0]
    intensity = np.geomspace(0.05, 5000, 200)  # FLOP per byte
    ax.loglog(intensity, np.minimum(gflop_per_s, gbyte_per_s * intensity), color="black")
    note = {"xytext": (0, 6), "textcoords": "offset points", "fontsize": SMALL, "ha": "right"}
    ax.annotate(f"{gflop_per_s:.0f} GFLOP/s", (intensity[-1], gflop_per_s), **note)  # right of what is drawn
    for color, (name, (place, reached)) in zip(colors(len(works)), works.items(), strict=True):
        roof = min(gflop_per_s, gbyte_per_s * place)
        height, marker = (roof, "v") if reached is None else (reached, "o")
        ax.loglog([place], [height], marker, color=color, label=name)
        ax.axvline(place, color=color, linewidth=0.6, linestyle=":")
    ax.set(xlabel="FLOP per byte of memory traffic", ylabel="GFLOP/s", ylim=(None, 2.5 * gflop_per_s))
    ax.legend(fontsize=SMALL, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, frameon=False)
    return fig


def show_growth(record: dict) -> Figure:
    """Draw time and peak memory against N (`benchmarks/scaling.py`), dense and anchored, with the power of N."""
    fig, axes = new_figure(1, 2, height=4.2)
    dense, anchored = colors(2)
    panels = {"seconds": "seconds", "peak_memory_mb": "peak memory, MiB"}
    for ax, (quantity, name) in zip(axes[0], panels.items(), strict=True):
        for curve, label in CURVES.items():
            points = sorted((point["n"], point[quantity]) for point in record["points"] if point["curve"] == curve)
            power = record["slopes"][curve][quantity]
            style = "s--" if curve.endswith("epoch") else "o-"
            look = {"color": dense if curve.startswith("dense") else anchored, "markersize": 4}
            ax.loglog(*zip(*points, strict=True), style, label=f"{label}: $N^{{{power:.1f}}}$", **look)
        ax.set(xlabel="samples N", ylabel=name)
        legend_below(ax)
    return fig


def show_scales(
    scales: Sequence[float], terms: Mapping[str, Sequence[float]], scores: Mapping[str, Sequence[float]]
) -> Figure:
    """Draw the terms of the loss, and scores from 0 to 1, against the scale by which latents were divided."""
    fig, axes = new_figure(1, 2, height=3.0)
    left, right = axes[0]
    for ax, lines in ((left, terms), (right, scores)):
        for name, values in lines.items():
            look = SUM if name == "loss" else {"linewidth": 1}
            ax.plot(scales, values, "o-", markersize=3, label=name.replace("_", " "), **look)
        ax.set_xscale("log", base=2)
        ax.set_xlabel("latents divided by")
        ax.legend(fontsize=SMALL)
    left.set(yscale="log", ylabel="loss")
    right.set(ylabel="share", ylim=(-0.03, 1.03))  # 0 lies clear of the frame
    return fig
