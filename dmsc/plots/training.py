"""Figures for the notebooks; those of clusters come from ``cluster_plots``, those of encoders from ``graph_plots``.

Every function returns a matplotlib Figure that pyplot has let go of: as the last line of a cell it is shown
once; elsewhere write ``display(figure)`` or ``figure.savefig(...)``.
"""

from __future__ import annotations

import numpy as np
import seaborn as sns

from ..checks import integer
from .style import MAX_HEIGHT, WIDTH, colors, new_figure

__all__ = ["show_history", "show_reconstructions", "show_scores", "show_views"]
SCORES = ("acc", "nmi", "ari", "purity")
SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def show_views(dataset, n=8, seed=0):
    """Show some samples of a data set, one row of pictures for each view.

    Parameters
    ----------
    dataset : Dataset
        Its ``Xs`` are image views (N, C, H, W) or vector views (N, D); vectors are drawn as curves.
    n : int
        Number of samples, drawn at random and sorted by class.
    seed : int
        Fixes the draw.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError, TypeError
        If ``n`` or ``seed`` is no positive integer.
    """
    n_samples = len(dataset.Xs[0])
    n = min(integer("n", n, 1), n_samples)
    rows = np.random.default_rng(integer("seed", seed, 0)).choice(n_samples, n, replace=False)
    titles = [f"sample {i}" for i in rows]
    if dataset.y is not None:
        rows = rows[np.argsort(dataset.y[rows], kind="stable")]
        titles = [f"class {k}" for k in dataset.y[rows]]
    return _picture_grid([np.asarray(X)[rows] for X in dataset.Xs], dataset.view_names, titles)


def show_reconstructions(Xs, Xs_hat, n=8):
    """Show the first samples of each view above their reconstructions, on the same gray scale.

    Parameters
    ----------
    Xs, Xs_hat : sequence of array_like, each of shape (N, C, H, W) or (N, D)
        Views and their reconstructions, in the same order.
    n : int
        Number of samples.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If the shapes of views and reconstructions differ.
    """
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


def show_history(history, log=True):
    """Draw every term of a training history against the epoch.

    Parameters
    ----------
    history : dict of str to sequence of float
        One list for each term of the loss, one value for each epoch.
    log : bool
        Logarithmic axis; values of 0 and below stay visible, near 0 the axis is linear.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If the history is empty.
    """
    if not history or not any(len(values) for values in history.values()):
        raise ValueError(f"history must hold at least one value, got {history!r}")
    fig, axes = new_figure(1, 1, 6.5, 3.0)
    ax = axes[0, 0]
    for (name, values), color in zip(history.items(), colors(len(history)), strict=True):
        marker = "o" if len(values) < 3 else None
        epochs, label = np.arange(1, len(values) + 1), name.replace("_", " ")
        ax.plot(epochs, values, label=label, color=color, marker=marker)
    if log:
        values = np.concatenate([np.asarray(values, dtype=float) for values in history.values()])
        if (values > 0).all():
            ax.set_yscale("log")
        elif (values != 0).any():
            ax.set_yscale("symlog", linthresh=np.abs(values[values != 0]).min())
    ax.set(xlabel="epoch", ylabel="loss term")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    sns.despine(ax=ax)
    return fig


def show_scores(rows, metrics=SCORES):
    """Compare methods: one group of bars for each score, one color for each method.

    Parameters
    ----------
    rows : sequence of dict
        One dict for each run: scores by name and texts (dataset, method, ...) that together name the method.
        Runs of equal name, for example of several seeds, are averaged; the whisker is one standard deviation.
    metrics : sequence of str
        Scores to draw; those that no row holds are left out.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If no row holds one of the scores.
    """
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
    score, value, run = zip(*bars, strict=True)
    style = {"errorbar": "sd", "palette": colors(len(set(run))), "saturation": 1}
    ax = sns.barplot(x=score, y=value, hue=run, ax=axes[0, 0], **style)
    ax.set(xlabel="", ylabel="score", ylim=(min(0, *value), 1))
    ax.legend(title=", ".join(sorted(shared)), loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    sns.despine(ax=ax)
    return fig


def _picture_grid(views, names, titles, limits=None):
    """One row of pictures (or curves) for each view, one column for each sample."""
    limits = limits or [(X.min(), X.max()) for X in views]
    height = min(MAX_HEIGHT, 0.5 + WIDTH / max(len(titles), 6) * len(views))
    fig, axes = new_figure(len(views), len(titles), WIDTH, height)
    for row, X, name, (low, high) in zip(axes, views, names, limits, strict=True):
        for ax, x in zip(row, X, strict=True):
            ax.set(xticks=[], yticks=[])
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
