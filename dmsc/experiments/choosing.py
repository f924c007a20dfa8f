"""The scale of the views, and how many neighbors make a sample: given by the method, or chosen without labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import NamedTuple, TypeVar

import numpy as np
from sklearn.metrics import silhouette_score

from ..checks import integer
from ..data import Dataset
from ..methods import Baseline, Method, override
from ..scaling import scale_view
from ..selection import corrected_consistency, is_degenerate
from ..self_expression import LOCAL_RIDGE, local_self_expression, nearest_neighbors, unit_rows
from ..spectral import read_labels, spectral_embedding
from .reader import used_views

__all__ = ["Views", "choose_scale", "scaled", "scaled_views", "settled", "views_of"]

#: Numbers of neighbors that are tried, and how many samples judge at most.
NEIGHBORS, MAX_SAMPLES = (10, 20), 2000


Description = TypeVar("Description", bound=Method | Baseline)


class Views(NamedTuple):
    """What a choice without labels sees of a dataset."""

    Xs: list[np.ndarray]
    masks: list[np.ndarray | None]
    names: Sequence[str]
    n_clusters: int


def views_of(dataset: Dataset, n_views: int | None = None) -> Views:
    """Return all views of a dataset, or so many."""
    masks: Sequence[np.ndarray | None] = [None] * dataset.n_views if dataset.masks is None else dataset.masks
    return Views(list(dataset.Xs[:n_views]), list(masks[:n_views]), dataset.view_names, dataset.n_clusters)


def settled(dataset: Dataset, method: Description, seed: int = 0) -> tuple[Dataset, Description]:
    """Return the dataset at the scale that a method asks for, and the method with its "auto" settings chosen."""
    n_views = len(used_views(dataset, method))
    scale, n_neighbors = method.scale, method.n_neighbors
    if "auto" in (scale, n_neighbors):
        scale, n_neighbors = choose_scale(views_of(dataset, n_views), scale, n_neighbors, seed)
    if n_neighbors is not None:
        method = override(method, n_neighbors=min(integer("n_neighbors", n_neighbors, 1), dataset.n_samples - 1))
    return scaled(dataset, scale, n_views), replace(method, scale=scale)


def scaled(dataset: Dataset, scale: str, n_views: int | None = None) -> Dataset:
    """Return the dataset with its views, or the first of them, at a scale."""
    if scale == "none":
        return dataset
    Xs = scaled_views(views_of(dataset, n_views), scale)
    return replace(dataset, Xs=[*Xs, *dataset.Xs[len(Xs) :]])


def choose_scale(
    views: Views, scale: str = "auto", n_neighbors: int | str | None = "auto", seed: int = 0
) -> tuple[str, int | None]:
    """Choose the scale of the views and the number of neighbors without labels.

    Every sample is expressed by its nearest neighbors in closed form, and the graph is cut into K clusters; two
    questions, each judged by what is comparable in it:

    - the scale, with 20 neighbors, by how far apart the clusters are where they are found: the mean silhouette of the
      samples in the spectral embedding, (b - a) / max(a, b) with the mean distance a to the own cluster and b to the
      nearest other one. It knows no units;
    - 10 or 20 neighbors, at that scale, by how much the clusters are subspaces: `dmsc.selection.corrected_consistency`.
      A silhouette would prefer fewer neighbors, which always look further apart.

    Degenerate clusters (`dmsc.selection.is_degenerate`) are refused. "tf-idf" is tried if all views are counts: vectors
    of whole numbers, none negative.

    Parameters
    ----------
    views : Views
        Without labels; at most 2000 samples are looked at.
    scale, n_neighbors
        As in `dmsc.Method`: what isn't "auto" is given.
    seed : int
        Of the sample and of k-means.

    Returns
    -------
    scale : {"unit", "standard", "tf-idf"}
    n_neighbors : int or None
        "unit" and 10 where there is nothing to choose by: a single cluster (K isn't known yet), or degenerate ones
        only.

    References
    ----------
    Rousseeuw, "Silhouettes: A Graphical Aid to the Interpretation and Validation of Cluster Analysis", 1987. The rule
    was designed on the data of studies/own_data.yaml.
    """
    if len(views.Xs[0]) > MAX_SAMPLES:
        rows = np.random.default_rng(seed).permutation(len(views.Xs[0]))[:MAX_SAMPLES]
        masks = [None if mask is None else mask[rows] for mask in views.masks]
        views = views._replace(Xs=[X[rows] for X in views.Xs], masks=masks)

    @cache
    def judge(scale: str, n_neighbors: int) -> tuple[float, float]:
        return _judge(views, scale, n_neighbors, seed)

    first = n_neighbors if isinstance(n_neighbors, int) else max(NEIGHBORS)
    scales = ["unit", "standard"]
    if all(X.ndim == 2 and X.min() >= 0 and not (X % 1).any() for X in views.Xs):
        scales.append("tf-idf")
    if scale == "auto":
        scale = max(scales, key=lambda name: judge(name, first)[0])
    if n_neighbors == "auto":
        n_neighbors = max(NEIGHBORS, key=lambda k: judge(scale, k)[1])
    return scale, n_neighbors  # type: ignore[return-value]  # no "auto" any more


def _judge(views: Views, scale: str, n_neighbors: int, seed: int) -> tuple[float, float]:
    """Return silhouette and consistency of the clusters that a closed form finds; -1 where they are degenerate."""
    K, N = views.n_clusters, len(views.Xs[0])
    if not 1 < K < N:
        return -1.0, -1.0
    try:
        rows = [X / len(views.Xs) ** 0.5 for X in unit_rows(scaled_views(views, scale))]  # together of unit length
    except ValueError:  # a view that is constant, in this draw at least
        return -1.0, -1.0
    neighbors = nearest_neighbors(rows, min(n_neighbors, N - 1))
    masks = [mask for mask in views.masks if mask is not None] or None  # of all views or of none
    labels, W, _ = read_labels(local_self_expression(rows, neighbors, LOCAL_RIDGE, masks=masks).numpy(), K, seed=seed)
    if is_degenerate(labels, K):
        return -1.0, -1.0
    silhouette = silhouette_score(spectral_embedding(W, K)[1], labels)
    return float(silhouette), corrected_consistency(np.hstack(rows), labels, LOCAL_RIDGE)


def scaled_views(views: Views, scale: str) -> list[np.ndarray]:
    """Return the views at a scale, or say which of them can't have it."""
    Xs = []
    for X, mask, name in zip(views.Xs, views.masks, views.names, strict=False):
        try:
            Xs.append(scale_view(X, scale, mask))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return Xs
