"""The scale of the views, and which neighbors make a sample: given by the method, or chosen without labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import product
from typing import NamedTuple, TypeVar

import numpy as np
from sklearn.metrics import silhouette_score

from ..checks import integer
from ..data import Dataset
from ..methods import Baseline, Method, override
from ..scaling import are_counts, one_scale_each, scale_view
from ..selection import corrected_consistency, is_degenerate
from ..self_expression import LOCAL_RIDGE, NEIGHBORS, local_self_expression, nearest_neighbors, unit_rows
from ..spectral import read_labels, spectral_embedding
from .reader import used_views

__all__ = ["Choice", "Views", "choose_scale", "scaled", "scaled_views", "settled", "views_of"]

#: Numbers of neighbors that are tried, and how many samples judge at most.
NUMBERS, MAX_SAMPLES = (10, 20), 2000

Scale = str | tuple[str, ...]
Description = TypeVar("Description", bound=Method | Baseline)


class Views(NamedTuple):
    """What a choice without labels sees of a dataset."""

    Xs: list[np.ndarray]
    masks: list[np.ndarray | None]
    names: Sequence[str]
    n_clusters: int


class Choice(NamedTuple):
    """What a method's "auto" became."""

    scale: Scale
    neighbors: str
    n_neighbors: int | None


def views_of(dataset: Dataset, n_views: int | None = None) -> Views:
    """Return all views of a dataset, or so many."""
    masks: Sequence[np.ndarray | None] = [None] * dataset.n_views if dataset.masks is None else dataset.masks
    return Views(list(dataset.Xs[:n_views]), list(masks[:n_views]), dataset.view_names, dataset.n_clusters)


def settled(dataset: Dataset, method: Description, seed: int = 0) -> tuple[Dataset, Description]:
    """Return the dataset at the scale that a method asks for, and the method with its "auto" settings chosen."""
    n_views = len(used_views(dataset, method))
    scale, neighbors, n_neighbors = method.scale, method.neighbors, method.n_neighbors
    if "auto" in (scale, n_neighbors) or (neighbors == "auto" and n_neighbors is not None):
        scale, neighbors, n_neighbors = choose_scale(views_of(dataset, n_views), scale, neighbors, n_neighbors, seed)
    if n_neighbors is not None:
        n_neighbors = min(integer("n_neighbors", n_neighbors, 1), dataset.n_samples - 1)
        chosen = {"neighbors": neighbors} if method.neighbors == "auto" else {}  # "spectral" knows the cosine alone
        method = override(method, n_neighbors=n_neighbors, **chosen)
    return scaled(dataset, scale, n_views), replace(method, scale=scale)


def scaled(dataset: Dataset, scale: Scale, n_views: int | None = None) -> Dataset:
    """Return the dataset with its views, or the first of them, at a scale."""
    if scale == "none":
        return dataset
    Xs = scaled_views(views_of(dataset, n_views), scale)
    return replace(dataset, Xs=[*Xs, *dataset.Xs[len(Xs) :]])


def choose_scale(
    views: Views,
    scale: Scale = "auto",
    neighbors: str = "auto",
    n_neighbors: int | str | None = "auto",
    seed: int = 0,
) -> Choice:
    """Choose the scale of the views and the neighbors of the samples without labels.

    Every sample is expressed by some others in closed form, and the graph is cut into K clusters; two questions, each
    judged by what is comparable in it:

    - the scale, and by what samples are neighbors (`dmsc.self_expression.nearest_neighbors`), together and with 20
      neighbors, by how far apart the clusters are where they are found: the mean silhouette of the samples in the
      spectral embedding, (b - a) / max(a, b) with the mean distance a to the own cluster and b to the nearest other
      one. It knows no units;
    - 10 or 20 neighbors, with these, by how much the clusters are subspaces: `dmsc.selection.corrected_consistency`.
      A silhouette would prefer fewer neighbors, which always look further apart.

    Degenerate clusters (`dmsc.selection.is_degenerate`) are refused. Views of counts (`dmsc.scaling.are_counts`) may
    get "tf-idf", all of them together; else the views share a scale: each judged for itself they chose worse ones.

    Parameters
    ----------
    views : Views
        Without labels; at most 2000 samples are looked at.
    scale, neighbors, n_neighbors
        As in `dmsc.Method`: what isn't "auto" is given.
    seed : int
        Of the sample and of k-means.

    Returns
    -------
    Choice
        "unit", "cosine" and 10 where there is nothing to choose by: a single cluster (K isn't known yet), or
        degenerate ones only.

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
    def judge(scale: Scale, by: str, n_neighbors: int) -> tuple[float, float]:
        return _judge(views, scale, by, n_neighbors, seed)

    first = n_neighbors if isinstance(n_neighbors, int) else max(NUMBERS)
    scales = _scales(views.Xs) if scale == "auto" else [scale]
    ways = NEIGHBORS if neighbors == "auto" else [neighbors]
    scale, neighbors = max(product(scales, ways), key=lambda pair: judge(*pair, first)[0])
    if n_neighbors == "auto":
        n_neighbors = max(NUMBERS, key=lambda k: judge(scale, neighbors, k)[1])
    return Choice(scale, neighbors, n_neighbors)  # type: ignore[arg-type]  # no "auto" any more


def _scales(Xs: Sequence[np.ndarray]) -> list[Scale]:
    """Return the scales that are tried."""
    scales: list[Scale] = ["unit", "standard"]
    counts = [are_counts(X) for X in Xs]
    if all(counts):
        return [*scales, "tf-idf"]
    if any(counts):
        scales += [tuple("tf-idf" if count else other for count in counts) for other in ("unit", "standard")]
    return scales


def _judge(views: Views, scale: Scale, by: str, n_neighbors: int, seed: int) -> tuple[float, float]:
    """Return silhouette and consistency of the clusters that a closed form finds; -1 where they are degenerate."""
    K, N = views.n_clusters, len(views.Xs[0])
    if not 1 < K < N:
        return -1.0, -1.0
    try:
        rows = [X / len(views.Xs) ** 0.5 for X in unit_rows(scaled_views(views, scale))]  # together of unit length
    except ValueError:  # a view that is constant, in this draw at least
        return -1.0, -1.0
    masks = [mask for mask in views.masks if mask is not None] or None  # of all views or of none
    nearest = nearest_neighbors(rows, min(n_neighbors, N - 1), by=by, masks=masks)
    labels, W, _ = read_labels(local_self_expression(rows, nearest, LOCAL_RIDGE, masks=masks).numpy(), K, seed=seed)
    if is_degenerate(labels, K):
        return -1.0, -1.0
    silhouette = silhouette_score(spectral_embedding(W, K)[1], labels)
    return float(silhouette), corrected_consistency(np.hstack(rows), labels, LOCAL_RIDGE)


def scaled_views(views: Views, scale: Scale) -> list[np.ndarray]:
    """Return the views at a scale, or each at its own, or say which of them can't have it."""
    Xs, scales = [], one_scale_each(scale, len(views.Xs))
    for X, own, mask, name in zip(views.Xs, scales, views.masks, views.names, strict=False):
        try:
            Xs.append(scale_view(X, own, mask))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return Xs
