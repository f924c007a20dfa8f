"""What a dataset holds, in a page of text: shapes, values, labels, what to beware of, and which options would help."""

from __future__ import annotations

import math

import numpy as np

from .dataset import Dataset

__all__ = ["inspect_dataset"]


def inspect_dataset(dataset: Dataset) -> str:
    """Describe a dataset before anything is run on it.

    Parameters
    ----------
    dataset : Dataset
        Of `dmsc.load_dataset`, say.

    Returns
    -------
    str
        Lines: N and K; per view its shape, values and missing rows; the labels with their names and counts; then
        ``warning:`` what may spoil the clusters, and ``try:`` options of `dmsc.load_dataset`.
    """
    masks = dataset.masks or [np.ones(dataset.n_samples, dtype=bool)] * dataset.n_views
    views = list(zip(dataset.view_names, dataset.Xs, masks, strict=True))
    lines = [
        f"{dataset.name}: N = {dataset.n_samples} samples, K = {dataset.n_clusters}, {_count(dataset.n_views, 'view')}"
    ]
    for name, X, mask in views:
        lines.append(f"  {name}: {_values(X[mask].reshape(mask.sum(), -1), X.shape[1:], (~mask).sum())}")
    lines.append(f"  labels: {_labels(dataset)}")
    warnings = _of_all(dataset) + [f"{name} {text}" for name, X, mask in views for text in _of_view(X[mask])]
    lines += [f"warning: {text}" for text in warnings]
    lines += [f"try: {text}" for text in _advice(dataset)]
    return "\n".join(lines)


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'s' * (n != 1)}"


def _values(rows: np.ndarray, shape: tuple[int, ...], n_missing: int) -> str:
    """Tell the shape and the values of the rows (N, D) that a view has."""
    whole = "whole numbers" if np.array_equal(rows, np.round(rows)) else "real numbers"
    lengths = np.linalg.norm(rows, axis=1)
    constant = int((rows == rows[0]).all(axis=0).sum())
    told = [
        f"{'image' if len(shape) == 3 else 'vector'} {'×'.join(map(str, shape))}",
        f"{whole} from {rows.min():.4g} to {rows.max():.4g}",
        f"{(rows == 0).mean():.1%} zeros",
        f"lengths of rows {lengths.min():.3g} to {lengths.max():.3g}",
    ]
    told += [f"{constant} of {rows.shape[1]} columns constant"] * bool(constant)
    told += [f"missing in {n_missing} of {len(rows) + n_missing} rows"] * bool(n_missing)
    return ", ".join(told)


def _labels(dataset: Dataset) -> str:
    if dataset.y is None:
        return "none"
    counts = np.bincount(dataset.y, minlength=dataset.n_clusters)
    names = getattr(dataset, "class_names", None) or range(len(counts))
    told = [f"{name} ({count})" for name, count in zip(names, counts, strict=False)]
    return ", ".join(told[:40]) + f", … ({len(told)} classes)" * (len(told) > 40)


def _of_all(dataset: Dataset) -> list[str]:
    """Return what is odd about samples and classes."""
    rows = np.hstack([X.reshape(dataset.n_samples, -1) for X in dataset.Xs])
    n_distinct = len({row.tobytes() for row in rows})
    found = []
    if dataset.n_samples == 1:
        found.append("there is a single sample: no method takes fewer than two")
    if n_distinct < dataset.n_samples:
        found.append(f"{dataset.n_samples - n_distinct} of {dataset.n_samples} samples repeat another in every view")
    if n_distinct < dataset.n_clusters:
        found.append(f"there are only {n_distinct} different samples for K = {dataset.n_clusters} clusters")
    if dataset.y is not None:
        counts = np.bincount(dataset.y, minlength=dataset.n_clusters)
        if dataset.n_clusters == 1:
            found.append("all samples have one label: there is nothing to find")
        if counts.max() >= 10 * max(counts.min(), 1):
            found.append(f"classes are of very different size, {counts.min()} to {counts.max()} samples")
        if dataset.n_clusters > max(dataset.n_samples / 2, 1):
            found.append(f"K = {dataset.n_clusters} classes of {dataset.n_samples} samples: are these the labels?")
    return found


def _of_view(X: np.ndarray) -> list[str]:
    """Return what is odd about the rows that a view has."""
    rows = X.reshape(len(X), -1)
    lengths = np.linalg.norm(rows, axis=1)
    found = []
    if (rows == rows[0]).all():
        return ["is the same for all samples, and tells nothing"]
    if not lengths.all():
        found.append(f"has {(lengths == 0).sum()} rows of zeros only, which no other row can help to write")
    if rows.shape[1] == 1:
        found.append("has one column: methods that scale rows to length 1 see its sign only")
    spread = rows.std(axis=0)
    if rows.shape[1] > 1 and spread.max() > 100 * np.median(spread) > 0:
        found.append(f"is ruled by few columns: one varies {spread.max() / np.median(spread):.0f} × as much as most "
                     "(scale='standard' makes them alike)")  # fmt: skip
    return found


def _advice(dataset: Dataset) -> list[str]:
    """Return options that may fit, each as it is typed."""
    if dataset.preset:
        return []
    found = []
    for name, X in zip(dataset.view_names, dataset.Xs, strict=True):
        side = math.isqrt(X.shape[1])
        if X.ndim == 2 and side * side == X.shape[1] and side >= 8:
            found.append(
                f"""--data "image_shape={{'{name}': ({side}, {side})}}" if the {X.shape[1]} values of {name} """
                f"are the pixels of an image of {side}×{side}"
            )
    if dataset.y is None:
        found.append("--data labels=NAME if a variable, file or column holds the labels, so that runs are scored")
    return found
