"""Figures about time: where it goes, how near the machine's limit it is, and how it grows (see :mod:`dmsc.plots`)."""

from __future__ import annotations

import numpy as np

from .style import WIDTH, new_figure

__all__ = ["show_epochs", "show_growth", "show_roofline", "show_scales"]

STEPS = {"pretrain": "pre-training", "finetune": "fine-tuning"}
CURVES = {
    "dense/epoch": ("C3", "s--", "dense, one epoch"),
    "dense/labels": ("C3", "o-", "dense, views to labels"),
    "anchored/epoch": ("C0", "s--", "anchored, one epoch"),
    "anchored/labels": ("C0", "o-", "anchored, views to labels"),
}


def show_epochs(record):
    """Draw seconds of an epoch, a panel per step and a bar per way, and the limit that arithmetic sets.

    Parameters
    ----------
    record : dict
        What ``benchmarks/epochs.py`` wrote.

    Returns
    -------
    matplotlib.figure.Figure
    """
    fig, axes = new_figure(1, 2, WIDTH, 3.0)
    for ax, (step, title) in zip(np.ravel(axes), STEPS.items(), strict=True):
        found = record["steps"][step]
        ways = sorted(found["ways"], key=lambda way: (way != "listing", way))  # the baseline on top
        seconds = [found["ways"][way]["median_seconds"] for way in ways]
        bars = ax.barh(ways, seconds, color=["C7" if way == "listing" else "C0" for way in ways])
        ax.bar_label(bars, [f" {value:.2f} s" for value in seconds], fontsize=8)
        ax.axvline(found["limit_seconds"], color="C3", linestyle="--", label="arithmetic alone, float32")
        ax.set(title=title, xlabel="seconds per epoch", xlim=(0, 1.25 * max(seconds)))
        ax.invert_yaxis()
        ax.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.28))
    return fig


def show_roofline(works, gflop_per_s, gbyte_per_s):
    """Draw the two roofs of a machine, and where some operations stand below them.

    Parameters
    ----------
    works : dict
        Name -> (FLOP per byte, GFLOP/s that was reached, or None where only the place on the axis is known).
    gflop_per_s, gbyte_per_s : float
        The flat roof, and the slope of the other one.

    Returns
    -------
    matplotlib.figure.Figure
    """
    fig, ((ax,),) = new_figure(1, 1, WIDTH, 3.2)
    intensity = np.geomspace(0.05, 5000, 200)  # FLOP per byte
    ax.loglog(intensity, np.minimum(gflop_per_s, gbyte_per_s * intensity), color="black")
    ax.annotate(f"{gflop_per_s:.0f} GFLOP/s", (400, gflop_per_s), xytext=(0, 4), textcoords="offset points", fontsize=8)
    for number, (name, (place, reached)) in enumerate(works.items()):
        roof = min(gflop_per_s, gbyte_per_s * place)
        ax.loglog(
            [place], [roof if reached is None else reached], "o" if reached else "v", color=f"C{number}", label=name
        )
        ax.axvline(place, color=f"C{number}", linewidth=0.6, linestyle=":")
    ax.set(xlabel="FLOP per byte of memory traffic", ylabel="GFLOP/s", ylim=(None, 2.5 * gflop_per_s))
    ax.legend(fontsize=8, loc="lower right")
    return fig


def show_growth(record):
    """Draw time and peak memory against N, dense and anchored, with the power of N in the legend.

    Parameters
    ----------
    record : dict
        What ``benchmarks/scaling.py`` wrote.

    Returns
    -------
    matplotlib.figure.Figure
    """
    fig, axes = new_figure(1, 2, WIDTH, 4.2)
    panels = (("seconds", "seconds"), ("peak_memory_mb", "peak memory, MiB"))
    for ax, (quantity, name) in zip(np.ravel(axes), panels, strict=True):
        for curve, (color, style, label) in CURVES.items():
            points = sorted((p["n"], p[quantity]) for p in record["points"] if p["curve"] == curve)
            power = record["slopes"][curve][quantity]
            ax.loglog(
                *zip(*points, strict=True), style, color=color, markersize=4, label=f"{label}: $N^{{{power:.1f}}}$"
            )
        ax.set(xlabel="samples N", ylabel=name)
        ax.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.2))
    return fig


def show_scales(scales, terms, scores):
    """Draw the terms of the loss, and scores, against the scale by which latents were divided.

    Parameters
    ----------
    scales : sequence of float
    terms : dict
        Name -> values per scale.
    scores : dict
        The same for the second panel, shares from 0 to 1.

    Returns
    -------
    matplotlib.figure.Figure
    """
    fig, ((left, right),) = new_figure(1, 2, WIDTH, 3.0)
    for ax, lines in ((left, terms), (right, scores)):
        for name, values in lines.items():
            ax.plot(scales, values, "o-", markersize=3, linewidth=2 if name == "loss" else 1, label=name)
        ax.set_xscale("log", base=2)
        ax.set_xlabel("latents divided by")
        ax.legend(fontsize=8)
    left.set(yscale="log", ylabel="loss")
    right.set(ylabel="share", ylim=(0, 1.02))
    return fig
