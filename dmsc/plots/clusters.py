"""Figures of coefficients, affinities, embeddings and clusterings (see :mod:`dmsc.plots`)."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from scipy.optimize import linear_sum_assignment

from ..checks import integer, square_matrix
from ..metrics import clustering_accuracy, contingency
from .style import MAX_HEIGHT, WIDTH, colors, new_figure


def show_coefficients(C, y=None, ax=None):
    """Draw coefficients as an image: red above 0, blue below, white at 0.

    Parameters
    ----------
    C : array_like of shape (N, N)
    y : array_like of shape (N,), optional
        Labels; rows and columns are sorted by them and the clusters' borders drawn.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError, TypeError
        If C is not square and finite or ``y`` does not fit it.
    """
    C = square_matrix("C", C)
    if ax is None:
        fig, axes = new_figure(1, 1, 4.2, MAX_HEIGHT)
        ax = axes[0, 0]
    limit = _robust_limit(C)
    _matrix_image(ax, C, y, "coefficients C", cmap="RdBu_r", vmin=-limit, vmax=limit)
    return ax.figure


def show_affinities(affinities, y=None):
    """Draw affinities side by side, each on its own scale.

    Parameters
    ----------
    affinities : dict of str to array_like of shape (N, N)
        Matrices by title.
    y : array_like of shape (N,), optional
        Labels; rows and columns are sorted by them and the clusters' borders drawn.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError, TypeError
        If there is no matrix, one is not square and finite, or ``y`` does not fit it.
    """
    if not affinities:
        raise ValueError("affinities must hold at least one matrix, got none")
    fig, axes = new_figure(1, len(affinities), min(WIDTH, 3.6 * len(affinities)), 3.2)
    for ax, (title, W) in zip(axes[0], affinities.items(), strict=True):
        W = square_matrix(title, W)
        _matrix_image(ax, W, y, title, cmap="viridis", vmin=0, vmax=_robust_limit(W))
    return fig


def show_embedding(F, y=None, labels=None):
    """Draw points in the plane, colored by true class and, beside it, by found cluster.

    Clusters take the color of the class they match best (Hungarian algorithm), so that equal colors agree.

    Parameters
    ----------
    F : array_like of shape (N, d)
        Points; of more than two dimensions the two principal ones are drawn.
    y, labels : array_like of shape (N,), optional
        True and found labels.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If F is not a matrix or the labels do not fit it.
    """
    F = np.asarray(F, dtype=float)
    if F.ndim != 2 or F.size == 0:
        raise ValueError(f"F must have shape (N, d), got {F.shape}")
    axis_names = ["dimension 1", "dimension 2"]
    if F.shape[1] > 2:
        centered = F - F.mean(axis=0)
        F = centered @ np.linalg.svd(centered, full_matrices=False)[2][:2].T  # (N, 2)
        axis_names = ["principal component 1", "principal component 2"]
    elif F.shape[1] == 1:
        F = np.column_stack([F[:, 0], np.zeros(len(F))])
    names, panels = [0], {"": np.zeros(len(F), dtype=int)}
    if y is not None:
        names, codes = np.unique(_fitting_labels("y", y, len(F)), return_inverse=True)
        panels = {"true classes": codes}
    if labels is not None:
        labels = _fitting_labels("labels", labels, len(F))
        found = np.unique(labels, return_inverse=True)[1]
        if y is not None:
            rows, columns = linear_sum_assignment(contingency(y, labels), maximize=True)
            surplus = np.setdiff1d(found, columns)
            class_of = np.empty(found.max() + 1, dtype=int)
            class_of[columns] = rows
            class_of[surplus] = len(names) + np.arange(len(surplus))
            found = class_of[found]
        else:
            names, panels = np.unique(labels), {}
        panels["found clusters"] = found
    palette = np.array(colors(1 + max(codes.max() for codes in panels.values())))

    fig, axes = new_figure(1, len(panels), 4.2 * len(panels), 3.3)
    for ax, (title, codes) in zip(axes[0], panels.items(), strict=True):
        ax.scatter(F[:, 0], F[:, 1], s=10, alpha=0.7, linewidths=0, c=palette[codes])
        ax.set(title=title, xlabel=axis_names[0], ylabel=axis_names[1])
        sns.despine(ax=ax)
    if 1 < len(names) <= 10:
        handles = [plt.Line2D([], [], ls="", marker="o", color=c) for c in palette[: len(names)]]
        axes[0, -1].legend(handles, names, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return fig


def show_contingency(y, labels):
    """Draw how the samples of each class spread over the clusters, matched clusters on the diagonal.

    Parameters
    ----------
    y, labels : array_like of shape (N,)
        True and found labels.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError, TypeError
        As :func:`dmsc.metrics.contingency`.
    """
    table = contingency(y, labels)
    rows, columns = linear_sum_assignment(table, maximize=True)
    rows = [*rows, *np.setdiff1d(np.arange(table.shape[0]), rows)]
    columns = [*columns, *np.setdiff1d(np.arange(table.shape[1]), columns)]
    table = table[rows][:, columns]
    share = table / table.sum(axis=1, keepdims=True)
    style = {"cmap": "Blues", "vmin": 0, "vmax": 1, "square": True, "cbar_kws": {"label": "share of class"}}
    if max(table.shape) <= 12:
        ticks = {"xticklabels": np.unique(labels)[columns], "yticklabels": np.unique(y)[rows]}
        style |= ticks | {"annot": table, "fmt": "d", "annot_kws": {"size": 8}}
    else:
        style |= {"xticklabels": False, "yticklabels": False}
    fig, axes = new_figure(1, 1, 4.6, MAX_HEIGHT)
    ax = sns.heatmap(share, ax=axes[0, 0], **style)
    accuracy = clustering_accuracy(y, labels)
    ax.set(xlabel="found cluster", ylabel="true class", title=f"accuracy {accuracy:.3f}")
    ax.tick_params(axis="y", rotation=0)
    return fig


def show_eigenvalues(values, n_clusters):
    """Draw the smallest eigenvalues of a normalized Laplacian and the gap after the first ``n_clusters``.

    Parameters
    ----------
    values : array_like of shape (k,)
        Ascending, as :func:`dmsc.spectral.spectral_embedding` returns them; k > ``n_clusters``.
    n_clusters : int

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If there are not more eigenvalues than clusters.
    """
    values = np.asarray(values, dtype=float)
    n_clusters = integer("n_clusters", n_clusters, 1)
    if values.ndim != 1 or len(values) <= n_clusters:
        raise ValueError(f"values must be more than n_clusters={n_clusters} numbers, got {values.shape}")
    fig, axes = new_figure(1, 1, 5.5, 2.8)
    ax, (below, above) = axes[0, 0], values[n_clusters - 1 : n_clusters + 1]
    first, rest, _ = colors(3)
    index = np.arange(1, len(values) + 1)
    ax.axhspan(below, above, color="0.9", label=f"eigengap {above - below:.3g}")
    ax.plot(index[:n_clusters], values[:n_clusters], "o", color=first, label=f"first {n_clusters}")
    ax.plot(index[n_clusters:], values[n_clusters:], "s", color=rest, label="others")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set(xlabel="number of the eigenvalue", ylabel="eigenvalue of L_sym")
    ax.legend(frameon=False)
    sns.despine(ax=ax)
    return fig


def _matrix_image(ax, M, y, title, **options):
    if y is not None:
        y = _fitting_labels("y", y, len(M))
        order = np.argsort(y, kind="stable")
        M = M[np.ix_(order, order)]
        borders = np.flatnonzero(y[order][1:] != y[order][:-1]) + 0.5
        for border in borders:
            ax.axhline(border, color="0.5", linewidth=min(0.5, 4 / len(borders)))
            ax.axvline(border, color="0.5", linewidth=min(0.5, 4 / len(borders)))
    nearest = len(M) <= 300  # every entry is a square then, and the picture a small file
    image = ax.imshow(M, interpolation="nearest" if nearest else "auto", **options)
    ax.figure.colorbar(image, ax=ax, shrink=0.8, extend="max" if options["vmin"] == 0 else "both")
    ax.set(title=title, xticks=[], yticks=[], xlabel="samples" if y is None else "samples, sorted by class")


def _robust_limit(M):
    """Largest value of the color scale: 98 % of the entries other than 0 lie below it."""
    size = np.abs(M[M != 0])
    return float(np.percentile(size, 98)) if size.size else 1.0


def _fitting_labels(name, y, n):
    y = np.asarray(y)
    if y.shape != (n,):
        raise ValueError(f"{name} must hold one label for each of {n} samples, got shape {y.shape}")
    return y
