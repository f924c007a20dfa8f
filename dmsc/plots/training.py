"""Figures of a training: what goes in, what comes back, how the loss falls, how good the clusters are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from ..checks import integer
from ..data import Dataset
from ..presets import BASELINES, METHODS
from .style import MAX_HEIGHT, SUM, WIDTH, Color, colors, legend_beside, method_color, new_figure, picture_frame

__all__ = ["show_history", "show_reconstructions", "show_scores", "show_views"]

SCORES = ("acc", "nmi", "ari", "purity")
TITLES, TITLE_WIDTH = 0.35, 0.7  # inches above a grid of pictures, and of a column's title
SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def show_views(dataset: Dataset, n: int = 8, seed: int = 0) -> Figure:
    """Show n random samples of a data set, sorted by class, a row for each view: images, or vectors as curves."""
    n = min(integer("n", n, 1), dataset.n_samples)
    rows = np.random.default_rng(integer("seed", seed, 0)).choice(dataset.n_samples, n, replace=False)
    titles = [f"sample {i}" for i in rows]
    if dataset.y is not None:
        rows = rows[np.argsort(dataset.y[rows], kind="stable")]
        titles = [f"class {k}" for k in dataset.y[rows]]
    return _picture_grid([X[rows] for X in dataset.Xs], dataset.view_names, titles)


def show_reconstructions(Xs: Sequence[np.ndarray], Xs_hat: Sequence[np.ndarray], n: int = 8) -> Figure:
    """Show the first n samples of each view above their reconstructions, on the same gray scale."""
    Xs, Xs_hat = [np.asarray(X) for X in Xs], [np.asarray(X) for X in Xs_hat]
    shapes, shapes_hat = [X.shape for X in Xs], [X.shape for X in Xs_hat]
    if shapes != shapes_hat or not Xs:
        raise ValueError(f"Xs and Xs_hat must have the same shapes, got {shapes} and {shapes_hat}")
    n = min(integer("n", n, 1), len(Xs[0]))
    pictures, names, limits = [], [], []
    for number, (X, X_hat) in enumerate(zip(Xs, Xs_hat, strict=True), start=1):
        index = str(number).translate(SUPERSCRIPTS) if len(Xs) > 1 else ""
        pictures += [X[:n], X_hat[:n]]
        names += [f"X{index}", f"X̂{index}"]
        limits += [(X[:n].min(), X[:n].max())] * 2
    return _picture_grid(pictures, names, [f"sample {i}" for i in range(n)], limits)


def show_history(history: Mapping[str, Sequence[float]], log: bool = True) -> Figure:
    """Draw every term of a training history against the epoch; on a log axis that is linear near 0 if it must be."""
    if not history or not any(len(values) for values in history.values()):
        raise ValueError(f"history must hold at least one value, got {history!r}")
    fig, axes = new_figure(1, 1, 6.5, 3.0)
    ax = axes[0, 0]
    for (name, values), color in zip(history.items(), colors(len(history)), strict=True):
        marker = "o" if len(values) < 3 else None
        epochs, label = np.arange(1, len(values) + 1), name.replace("_", " ")
        look = SUM if name == "loss" and len(history) > 1 else {"color": color}
        ax.plot(epochs, values, label=label, marker=marker, **look)
    if log:
        every = np.concatenate([np.asarray(values, dtype=float) for values in history.values()])
        if (every > 0).all():
            ax.set_yscale("log")
        elif (every != 0).any():
            ax.set_yscale("symlog", linthresh=np.abs(every[every != 0]).min())
    ax.set(xlabel="epoch", ylabel="loss term")
    legend_beside(ax)
    sns.despine(ax=ax)
    return fig


def show_scores(rows: Sequence[Mapping[str, Any]], metrics: Sequence[str] = SCORES) -> Figure:
    """Draw scores as bars, a color per method; rows whose texts agree are seeds: mean and one standard deviation."""
    texts = [[value for value in row.values() if isinstance(value, str)] for row in rows]
    shared = set.intersection(*map(set, texts)) if len(set(map(tuple, texts))) > 1 else set()
    names = [", ".join(text for text in row_texts if text not in shared) for row_texts in texts]
    bars = [
        (metric.upper() if len(metric) == 3 else metric, row[metric], name)
        for metric in metrics
        for row, name in zip(rows, names, strict=True)
        if row.get(metric) is not None
    ]
    if not bars:
        raise ValueError(f"rows must hold at least one of the scores {', '.join(metrics)}, got {rows!r}")
    fig, axes = new_figure(1, 1, 7.5, 3.2)
    scores, values, runs = zip(*bars, strict=True)
    style = {"errorbar": "sd", "palette": _tints(list(dict.fromkeys(runs))), "saturation": 1}
    ax = sns.barplot(x=scores, y=values, hue=runs, ax=axes[0, 0], **style)
    ax.set(xlabel="", ylabel="score", ylim=(min(0, *values), 1))
    legend_beside(ax, title=", ".join(sorted(shared)))
    sns.despine(ax=ax)
    return fig


def _tints(names: Sequence[str]) -> list[Color]:
    """Return colors of methods, shaded where several bars are of one; any colors if a name begins with no method."""
    methods = [name.split(", ")[0] for name in names]
    if not set(methods) <= {*METHODS, *BASELINES}:
        return colors(len(names))
    shades = (0.0, -0.35, 0.55)
    places = [methods[:i].count(method) for i, method in enumerate(methods)]
    return [method_color(method, shades[place % 3]) for method, place in zip(methods, places, strict=True)]


def _picture_grid(
    views: Sequence[np.ndarray],
    names: Sequence[str],
    titles: Sequence[str],
    limits: Sequence[tuple[float, float]] | None = None,
) -> Figure:
    """One row of pictures (or curves) for each view, one column for each sample."""
    limits = limits or [(X.min(), X.max()) for X in views]
    shapes = [X.shape[-2] / X.shape[-1] if X.ndim == 4 else 1.0 for X in views]  # height by width
    labels = 0.09 * max(map(len, names))  # inches on the left
    side = min((WIDTH - labels) / max(len(titles), 6), (MAX_HEIGHT - TITLES) / sum(shapes))  # a picture's width
    size = (labels + max(side, TITLE_WIDTH) * len(titles), TITLES + side * sum(shapes))
    fig, axes = new_figure(len(views), len(titles), *size)
    axes[0, 0].get_gridspec().set_height_ratios(shapes)
    for row, X, name, (low, high) in zip(axes, views, names, limits, strict=True):
        for ax, x in zip(row, X, strict=True):
            picture_frame(ax, x.ndim == 1)
            if x.ndim == 1:
                ax.plot(x, linewidth=0.6, color="0.2")
                ax.set_ylim(low, high if high > low else low + 1)
            elif len(x) == 3:  # color
                ax.imshow(np.clip((x - low) / ((high - low) or 1), 0, 1).transpose(1, 2, 0))
            else:  # gray, or the mean of other channels
                ax.imshow(x.mean(axis=0), cmap="gray", vmin=low, vmax=high)
        row[0].set_ylabel(name, rotation=0, ha="right", va="center")
    for ax, title in zip(axes[0], titles, strict=True):
        ax.set_title(title, fontsize=9)
    return fig
