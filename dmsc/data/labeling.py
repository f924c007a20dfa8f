"""Labels as people keep them: under which name, and as one vector of whatever type."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import issparse

from .columns import is_label
from .sources import Source, form, inside, listing

__all__ = ["find_labels"]


def find_labels(held: Source, labels: str | None, sources: list[str], lengths: set[int]) -> np.ndarray | None:
    """Return the labels (N,), of whatever type, or None.

    Parameters
    ----------
    held : Source
        What there is.
    labels : str or None
        The variable that holds them; without it those named as labels usually are.
    sources : list of str
        The variables that hold views.
    lengths : set of int
        How many samples there may be; of several variables those count which are as long.
    """
    if labels is not None and labels not in held.variables:
        raise ValueError(f"{held.where} has no {labels!r} for labels; it holds: {listing(held.variables)}")
    names = [labels] if labels is not None else [n for n in held.variables if is_label(n) and n not in sources]
    found: dict[str, np.ndarray] = {}
    problems = []
    for name in names:
        try:
            found[name] = _vector(f"{held.where}: labels {name}", held.variables[name])
        except ValueError as error:  # of several another may do
            problems.append(error)
    if problems and not found:
        raise problems[0]
    found = {name: y for name, y in found.items() if len(y) in lengths} or found
    first = next(iter(found.values()), None)
    if first is not None and any(not _same_partition(first, other) for other in found.values()):
        raise ValueError(f"{held.where} may have its labels in {', '.join(found)}, which differ: say labels=NAME")
    return first


def _vector(what: str, value: Any) -> np.ndarray:
    """Return labels (N,) from a row, a column, a cell of either or of texts, or from one column per class."""
    if isinstance(value, list) and value:
        parts = [np.asarray(inside(part)).squeeze() for part in value]
        one_each = all(part.ndim == 0 for part in parts)
        if not one_each and any(not np.array_equal(part, parts[0]) for part in parts):
            raise ValueError(f"{what} must be one vector, got a cell of {len(parts)} that differ")
        value = np.array([part.item() for part in parts]) if one_each else parts[0]
    if value is None:  # an object of MATLAB
        raise ValueError(
            f"{what} are of a class that only MATLAB can read (string, categorical, table, …): save them as numbers or "
            "a cell of char"
        )
    y = np.asarray(value.toarray() if issparse(value) else value)
    if y.dtype == object:
        if any(label is None or label != label for label in y.ravel()):
            raise ValueError(f"{what} must be known for every sample, got a missing one")
        y = y.astype(str)
    if y.dtype.kind not in "biufU" or y.size == 0 or y.ndim > 2:
        raise ValueError(f"{what} must be a row or column of numbers or strings, got {form(value)}")
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise ValueError(f"{what} must be finite, got NaN or an infinite value")
    if y.ndim == 2 and min(y.shape) > 1:
        y = _one_hot(what, y)
    y = y.ravel()
    return np.char.strip(y) if y.dtype.kind == "U" else y


def _one_hot(what: str, y: np.ndarray) -> np.ndarray:
    ones = [y.dtype.kind in "biuf" and bool(np.isin(y, (0, 1)).all() and (y.sum(axis) == 1).all()) for axis in (1, 0)]
    if sum(ones) != 1:
        raise ValueError(
            f"{what} must be a row or column of numbers or strings, or have one 1 per sample and else 0, got "
            f"{form(y)}; name the labels with labels=NAME"
        )
    return y.argmax(axis=1 if ones[0] else 0)


def _same_partition(a: np.ndarray, b: np.ndarray) -> bool:
    if a.shape != b.shape:
        return False
    codes = [np.unique(labels, return_inverse=True)[1].ravel() for labels in (a, b)]
    return len(np.unique(codes, axis=1).T) == codes[0].max() + 1 == codes[1].max() + 1
