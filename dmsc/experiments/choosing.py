"""The scale of the views, and how many neighbors make a sample: given by the method, or chosen without labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..data import Dataset
from ..methods import Method
from ..scaling import scale_view
from ..selection import corrected_consistency, is_degenerate
from ..self_expression import LOCAL_RIDGE, local_self_expression, nearest_neighbors
from ..spectral import read_labels
from .reader import used_views

__all__ = ["choose_scale", "settled", "unit_length"]

#: Numbers of neighbors that are tried, and samples at most that a scale is judged by.
NEIGHBORS, MAX_SAMPLES = (20, 10), 2000


def settled(dataset: Dataset, method: Method, seed: int = 0) -> tuple[Dataset, Method]:
    """Return the dataset at the scale that a method asks for, and the method with its "auto" settings chosen."""
    n_views = len(used_views(dataset, method))
    scale, n_neighbors = method.scale, method.n_neighbors
    if "auto" in (scale, n_neighbors):
        first = dataset.take_views(list(dataset.view_names[:n_views]))
        scale, n_neighbors = choose_scale(first, scale, n_neighbors, seed)
    if n_neighbors is not None:
        n_neighbors = min(int(n_neighbors), dataset.n_samples - 1)
    method = replace(method, scale=scale, n_neighbors=n_neighbors)
    if scale == "none":
        return dataset, method
    return replace(dataset, Xs=[*_scale(dataset, scale)[:n_views], *dataset.Xs[n_views:]]), method


def choose_scale(
    dataset: Dataset, scale: str = "auto", n_neighbors: int | str | None = "auto", seed: int = 0
) -> tuple[str, int | None]:
    """Choose the scale of the views and the number of neighbors without labels.

    For each scale every sample is expressed by its 20 nearest neighbors in closed form, and the graph is cut into K
    clusters. The scale is taken whose clusters are subspaces the most, see `dmsc.selection.corrected_consistency`; then
    10 neighbors are compared with 20 in the same way. Degenerate clusters (`dmsc.selection.is_degenerate`) are refused.
    "tf-idf" is tried if all views are counts: vectors of whole numbers, none negative.

    Parameters
    ----------
    dataset : Dataset
        Its labels are not looked at; at most 2000 of its samples are.
    scale, n_neighbors
        As in `dmsc.Method`: what isn't "auto" is given.
    seed : int
        Of the sample and of k-means.

    Returns
    -------
    scale : {"unit", "standard", "tf-idf"}
    n_neighbors : int or None
        "unit" and 20 where there is nothing to choose by: a single cluster (K isn't known yet), or degenerate ones
        only.

    Notes
    -----
    The rule was designed on the data of studies/own_data.yaml.
    """
    dataset = replace(dataset, y=None)
    if dataset.n_samples > MAX_SAMPLES:
        dataset = dataset.take(np.random.default_rng(seed).permutation(dataset.n_samples)[:MAX_SAMPLES])
    scores: dict[tuple[str, int], float] = {}

    def best(options: list[tuple[str, int]]) -> tuple[str, int]:
        scores.update({option: _consistency(dataset, *option, seed) for option in options if option not in scores})
        return max(options, key=scores.__getitem__)

    first = n_neighbors if isinstance(n_neighbors, int) else NEIGHBORS[0]
    scales = ["unit", "standard"]
    if all(X.ndim == 2 and X.min() >= 0 and not (X % 1).any() for X in dataset.Xs):
        scales.append("tf-idf")
    scale = best([(name, first) for name in scales])[0] if scale == "auto" else scale
    if n_neighbors == "auto":
        n_neighbors = best([(scale, k) for k in NEIGHBORS])[1]
    return scale, n_neighbors  # type: ignore[return-value]


def _consistency(dataset: Dataset, scale: str, n_neighbors: int, seed: int) -> float:
    """Judge the clusters that a closed form finds among neighbors; -1 where they are degenerate."""
    K = dataset.n_clusters
    if not 1 < K < dataset.n_samples:
        return -1.0
    rows = unit_length(_scale(dataset, scale))
    neighbors = nearest_neighbors(rows, min(n_neighbors, dataset.n_samples - 1))
    C = local_self_expression(rows, neighbors, LOCAL_RIDGE, masks=dataset.masks)
    labels = read_labels(C.numpy(), K, seed=seed).labels
    return -1.0 if is_degenerate(labels, K) else corrected_consistency(np.hstack(rows), labels, LOCAL_RIDGE)


def unit_length(Xs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return scaled views, whose rows have the length √D, as matrices whose rows side by side have unit length."""
    return [X.reshape(len(X), -1) / (X[0].size * len(Xs)) ** 0.5 for X in Xs]


def _scale(dataset: Dataset, scale: str) -> list[np.ndarray]:
    masks: Sequence[np.ndarray | None] = [None] * dataset.n_views if dataset.masks is None else dataset.masks
    return [scale_view(X, scale, mask) for X, mask in zip(dataset.Xs, masks, strict=True)]
