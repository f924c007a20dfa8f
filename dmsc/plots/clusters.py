"""Figures of coefficients, affinities, embeddings and clusterings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment

from ..checks import integer, square_matrix
from ..metrics import clustering_accuracy, contingency
from .style import GRAY, SMALL, colors, legend_beside, new_figure, picture_frame

__all__ = ["show_affinities", "show_coefficients", "show_contingency", "show_eigenvalues", "show_embedding"]

HALO = withStroke(linewidth=2.5, foreground="white")  # around text amid points


def show_coefficients(C: ArrayLike, y: ArrayLike | None = None, ax: Axes | None = None) -> Figure:
    """Draw coefficients (N, N), red above 0 and blue below; labels y (N,) sort them and part the clusters."""
    C = square_matrix("C", C)
    if ax is None:
        ax = new_figure(1, 1, 4.2)[1][0, 0]
    limit = _robust_limit(C)
    return _matrix_image(ax, C, y, "coefficients C", cmap="RdBu_r", vmin=-limit, vmax=limit)


def show_affinities(affinities: Mapping[str, ArrayLike], y: ArrayLike | None = None) -> Figure:
    """Draw affinities (N, N) by title side by side, each on its own scale; labels y (N,) sort and part them."""
    if not affinities:
        raise ValueError("affinities must hold at least one matrix, got none")
    fig, axes = new_figure(1, len(affinities), 3.6 * len(affinities), 3.2)
    for ax, (title, W) in zip(axes[0], affinities.items(), strict=True):
        W = square_matrix(title, W)
        _matrix_image(ax, W, y, title, cmap="viridis", vmin=0, vmax=_robust_limit(W))
    return fig


def show_embedding(F: ArrayLike, y: ArrayLike | None = None, labels: ArrayLike | None = None) -> Figure:
    """Draw points (N, d) in the plane of their principal components, by class y and by cluster, matched in color.

    The names of up to ten classes stand at the medians of their points.
    """
    points, axis_names = _in_the_plane(np.asarray(F, dtype=float))
    classes, y_codes = _codes("y", y, len(points))
    clusters, codes = _codes("labels", labels, len(points))
    if y is not None and labels is not None:
        codes = _colors_of_clusters(y_codes, codes)
    panels = {"true classes": y_codes} if y is not None else {}
    if labels is not None:
        panels["found clusters"] = codes
    panels = panels or {"": y_codes}
    names = classes if y is not None else clusters
    palette = np.array(colors(1 + max(codes.max() for codes in panels.values())))

    fig, axes = new_figure(1, len(panels), 4.2 * len(panels), 3.3)
    for ax, (title, codes) in zip(axes[0], panels.items(), strict=True):
        ax.scatter(points[:, 0], points[:, 1], s=14, alpha=0.8, linewidths=0, c=palette[codes])
        for code in np.unique(codes)[: len(names)] if 1 < len(names) <= 10 else ():  # not by color alone
            at = np.median(points[codes == code], axis=0)
            ax.text(*at, names[code], ha="center", va="center", weight="bold", path_effects=[HALO])
        ax.set(title=title, xlabel=axis_names[0], ylabel=axis_names[1])
        sns.despine(ax=ax)
    if 1 < len(names) <= 10:
        handles = [plt.Line2D([], [], ls="", marker="o", color=color) for color in palette[: len(names)]]
        legend_beside(axes[0, -1], handles, list(names))
    return fig


def show_contingency(y: ArrayLike, labels: ArrayLike) -> Figure:
    """Draw how the samples of each class spread over the clusters, matched clusters on the diagonal."""
    table = contingency(y, labels)
    matched = linear_sum_assignment(table, maximize=True)
    rows, columns = (
        [*match, *np.setdiff1d(np.arange(n), match)] for match, n in zip(matched, table.shape, strict=True)
    )
    table = table[rows][:, columns]
    share = table / table.sum(axis=1, keepdims=True)
    style: dict[str, Any] = {"cmap": "Blues", "vmin": 0, "vmax": 1, "square": True}
    if max(table.shape) <= 12:
        ticks = {"xticklabels": np.unique(labels)[columns], "yticklabels": np.unique(y)[rows]}
        style |= ticks | {"annot": table, "fmt": "d", "annot_kws": {"size": SMALL}}
    else:
        style |= {"xticklabels": False, "yticklabels": False}
    fig, axes = new_figure(1, 1, 4.6)
    ax = sns.heatmap(share, ax=axes[0, 0], cbar_kws={"label": "share of class"}, **style)
    accuracy = clustering_accuracy(y, labels)
    ax.set(xlabel="found cluster", ylabel="true class", title=f"accuracy {accuracy:.3f}")
    ax.tick_params(axis="y", rotation=0)
    return fig


def show_eigenvalues(values: ArrayLike, n_clusters: int) -> Figure:
    """Draw the smallest eigenvalues of a normalized Laplacian, ascending, and the gap after the first `n_clusters`."""
    values = np.asarray(values, dtype=float)
    n_clusters = integer("n_clusters", n_clusters, 1)
    if values.ndim != 1 or len(values) <= n_clusters:
        raise ValueError(f"values must be more than n_clusters={n_clusters} numbers, got {values.shape}")
    fig, axes = new_figure(1, 1, 5.5, 2.8)
    ax, (below, above) = axes[0, 0], values[n_clusters - 1 : n_clusters + 1]
    first, rest = colors(2)
    index = np.arange(1, len(values) + 1)
    ax.axhspan(below, above, color="0.9", label=f"eigengap {above - below:.3g}")
    ax.plot(index[:n_clusters], values[:n_clusters], "o", color=first, label=f"first {n_clusters}")
    ax.plot(index[n_clusters:], values[n_clusters:], "s", color=rest, label="others")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set(xlabel="number of the eigenvalue", ylabel="eigenvalue of L_sym")
    ax.legend(frameon=False)
    sns.despine(ax=ax)
    return fig


def _matrix_image(ax: Axes, M: np.ndarray, y: ArrayLike | None, title: str, **options: Any) -> Figure:
    """Draw a matrix (N, N), its rows and columns sorted by label."""
    if y is not None:
        codes = _codes("y", y, len(M))[1]
        order = np.argsort(codes, kind="stable")
        M = M[np.ix_(order, order)]
        borders = np.flatnonzero(np.diff(codes[order])) + 0.5
        for border in borders:
            ax.axhline(border, color=GRAY, linewidth=min(0.5, 4 / len(borders)))
            ax.axvline(border, color=GRAY, linewidth=min(0.5, 4 / len(borders)))
    nearest = len(M) <= 300  # every entry is a square then, and the picture a small file
    image = ax.imshow(M, interpolation="nearest" if nearest else "auto", **options)
    fig: Any = ax.figure
    fig.colorbar(image, ax=ax, shrink=0.8, extend="max" if options["vmin"] == 0 else "both")
    ax.set(title=title, xlabel="samples" if y is None else "samples, sorted by class")
    picture_frame(ax, True)  # the background may be white
    return fig


def _robust_limit(M: np.ndarray) -> float:
    """Largest value of the color scale: 98 % of the entries other than 0 lie below it."""
    size = np.abs(M[M != 0])
    return float(np.percentile(size, 98)) if size.size else 1.0


def _in_the_plane(F: np.ndarray) -> tuple[np.ndarray, tuple[str, str]]:
    """Points (N, d) as (N, 2), and the names of the axes."""
    if F.ndim != 2 or F.size == 0:
        raise ValueError(f"F must have shape (N, d), got {F.shape}")
    if F.shape[1] <= 2:
        return np.pad(F, ((0, 0), (0, 2 - F.shape[1]))), ("dimension 1", "dimension 2")
    centered = F - F.mean(axis=0)
    principal = np.linalg.svd(centered, full_matrices=False)[2][:2]  # (2, d)
    return centered @ principal.T, ("principal component 1", "principal component 2")


def _codes(name: str, y: ArrayLike | None, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The distinct labels, sorted, and the number (n,) of each sample's among them; without labels all are one."""
    y = np.zeros(n, dtype=int) if y is None else np.asarray(y)
    if y.shape != (n,):
        raise ValueError(f"{name} must hold one label for each of {n} samples, got shape {y.shape}")
    return np.unique(y, return_inverse=True)


def _colors_of_clusters(y: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Renumber clusters as the classes that they match best (Hungarian algorithm); surplus ones come after these."""
    rows, columns = linear_sum_assignment(contingency(y, labels), maximize=True)
    number = np.full(labels.max() + 1, -1)
    number[columns] = rows
    number[number < 0] = y.max() + 1 + np.arange(np.sum(number < 0))
    return number[labels]
