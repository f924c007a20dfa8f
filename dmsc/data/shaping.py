"""How arrays of one's own lie: which axis the samples are, what is an image, which samples have NaN."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.sparse import issparse

from .sources import Source
from .views import column_major

__all__ = ["as_images", "image_shapes", "samples_first", "square_images", "without_nan"]

CHANNELS = (1, 3, 4)  # what a last axis must be to be taken for channels

Views = list[tuple[str, str, Any]]  # name of the view, the variable that it is from, its array


def samples_first(held: Source, views: Views, y: np.ndarray | None, samples: str | None) -> list[np.ndarray]:
    """Return the views with the samples as rows, in float32."""
    shapes = [X.shape if X.ndim > 1 else (len(X), 1) for _, _, X in views]
    n_samples = _count(held, views, shapes, y, samples)
    arrays = []
    for (name, _, X), shape in zip(views, shapes, strict=True):
        fits = [shape[axis] == n_samples and samples != other for axis, other in ((0, "columns"), (-1, "rows"))]
        if X.ndim == 1:
            fits = [len(X) == n_samples, False]
        if not any(fits):
            axis = {"rows": "rows", "columns": "columns"}.get(samples or "", "rows or columns")
            why = "as many as labels" if y is not None else "as other views have"
            vector = "; a view of one column is (N,) or (N, 1)" if 1 in shape else ""
            raise ValueError(
                f"{held.where}: {name} must have N = {n_samples} samples, {why}, as its {axis}, "
                f"got shape {X.shape}{vector}"
            )
        if all(fits) and not held.rows_first:
            raise ValueError(_undecided(held, f"{name} of shape {X.shape}"))
        X = X.astype(np.float32).toarray() if issparse(X) else X.reshape(shape)
        arrays.append(np.array(X if fits[0] else np.moveaxis(X, -1, 0), dtype=np.float32, order="C"))  # a copy
    return arrays


def _count(held: Source, views: Views, shapes: list[tuple], y: np.ndarray | None, samples: str | None) -> int:
    """Return N: the number of labels, or what all views have in common."""
    if y is not None:
        return len(y)
    if samples is not None or held.rows_first and len({shape[0] for shape in shapes}) == 1:
        return shapes[0][-1 if samples == "columns" else 0]
    common = set.intersection(*({shape[0], shape[-1]} for shape in shapes))
    listed = ", ".join(f"{name} {X.shape}" for name, _, X in views)
    if not common:
        raise ValueError(f"{held.where}: every view must have the same number of samples, got: {listed}")
    if len(common) > 1:
        raise ValueError(_undecided(held, listed))
    return common.pop()


def _undecided(held: Source, what: str) -> str:
    return f"{held.where}: the samples may be rows or columns in {what}: say samples='rows' or samples='columns'"


def image_shapes(image_shape: Any, names: list[str]) -> dict[str, tuple[int, ...]]:
    """Return (C, H, W) by the names of the views for which it is given."""
    by_name = image_shape if isinstance(image_shape, Mapping) else {name: image_shape for name in names}
    if unknown := [name for name in by_name if name not in names]:
        raise ValueError(f"image_shape must name views ({', '.join(names)}), got {unknown[0]!r}")
    shapes = {}
    for name, shape in by_name.items():
        if shape is None:
            continue
        sides = tuple(shape) if isinstance(shape, (list, tuple)) else ()
        if len(sides) not in (2, 3) or not all(isinstance(side, int) and side > 0 for side in sides):
            raise ValueError(f"image_shape must be (H, W) or (C, H, W), or such by the names of views, got {shape!r}")
        shapes[name] = sides if len(sides) == 3 else (1, *sides)
    return shapes


def as_images(what: str, X: np.ndarray, shape: tuple[int, ...] | None) -> np.ndarray:
    """Return vectors (N, D) as they are, and images as (N, C, H, W)."""
    if shape is not None:
        channels, height, width = shape
        if X.ndim == 4 and X.shape[1:] == (height, width, channels) != shape:
            return np.ascontiguousarray(np.moveaxis(X, -1, 1))
        if X.shape[1:] not in (shape, (math.prod(shape),)) and (1, *X.shape[1:]) != shape:
            raise ValueError(f"{what} has samples of shape {X.shape[1:]}, which aren't images of image_shape {shape}")
        return X.reshape(-1, *shape)
    if X.ndim == 3:
        return X[:, None]
    if X.ndim == 4 and X.shape[-1] in CHANNELS and X.shape[1] > 1:
        if X.shape[1] in CHANNELS:
            raise ValueError(
                f"{what} of shape {X.shape} may have its channels second or last: say image_shape=(C, H, W)"
            )
        return np.ascontiguousarray(np.moveaxis(X, -1, 1))
    return X


def square_images(X: np.ndarray) -> np.ndarray:
    """Return vectors of a square number of values as images stored column by column, as in the DMSC authors' file."""
    side = math.isqrt(X.shape[1])
    return column_major(X, (side, side)) if X.ndim == 2 and side * side == X.shape[1] else X


def without_nan(held: Source, nan: str, Xs: list, names: list[str], masks: list | None) -> list[np.ndarray] | None:
    """Return masks that leave out the samples with NaN, or say where there are some."""
    whole = masks is None
    masks = [np.ones(len(X), dtype=bool) for X in Xs] if masks is None else masks
    if wrong := [len(mask) for X, mask in zip(Xs, masks, strict=True) if len(mask) != len(X)]:
        raise ValueError(f"{held.where}: masks must be bool of shape (views, {len(Xs[0])}), got {wrong[0]} samples")
    left = [mask & ~np.isnan(X).reshape(len(X), -1).any(axis=1) for X, mask in zip(Xs, masks, strict=True)]
    n_lost = int((np.any(masks, axis=0) & ~np.any(left, axis=0)).sum())
    for name, mask, rest in zip(names, masks, left, strict=True):
        gaps = np.flatnonzero(mask & ~rest)
        if len(gaps) and nan == "error":
            way_out = "mend them, or say nan='mask' to treat this view as missing there (or give masks)"
            if n_lost:
                way_out = "drop or fill them" + f": nan='mask' would leave nothing of {n_lost}" * (len(names) > 1)
            first = ", ".join(map(str, gaps[:5]))
            raise ValueError(f"{held.where}: {name} has NaN in {len(gaps)} of {len(mask)} rows (the first: {first}): "
                             f"{way_out}")  # fmt: skip
    return None if whole and np.all(left) else left
