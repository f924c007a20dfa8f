"""Checks of arguments: one clear error that names the value and the way out."""

from __future__ import annotations

import operator
from collections.abc import Collection, Sequence
from numbers import Real
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import issparse

__all__ = ["SEED_LIMIT", "check_masks", "integer", "one_of", "positive_number", "square_matrix"]

SEED_LIMIT = 2**32 - 1  # what NumPy and scikit-learn take
Choice = TypeVar("Choice")


def square_matrix(name: str, M: ArrayLike) -> np.ndarray:
    """Return M as a finite, real array (N, N), or say what is wrong with it."""
    if issparse(M):
        raise TypeError(f"{name} is a sparse matrix, which is not supported: pass {name}.toarray()")
    M = np.asarray(M)
    if M.dtype.kind not in "bfiu":
        raise TypeError(f"{name} must be a matrix of real numbers, got dtype {M.dtype}")
    if M.ndim != 2 or M.shape[0] != M.shape[1] or M.size == 0:
        raise ValueError(f"{name} must be a square matrix (N, N) with N ≥ 1, got shape {M.shape}")
    if not np.isfinite(M).all():
        row, column = np.argwhere(~np.isfinite(M))[0]
        raise ValueError(f"{name} must be finite, got {M[row, column]} at row {row}, column {column}")
    return M


def integer(name: str, value: Any, low: int, high: int | None = None) -> int:
    """Return `value` as an int from `low` to `high`, both included."""
    span = f"from {low} to {high}" if high is not None else f"of at least {low}"
    if isinstance(value, (bool, np.bool_)) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an integer {span}, got {value!r}")
    value = operator.index(value)
    if value < low or (high is not None and value > high):
        raise ValueError(f"{name} must be an integer {span}, got {value}")
    return value


def positive_number(name: str, value: Any, at_most: float = np.inf) -> float:
    """Return `value` as a finite float above 0, and not above `at_most`."""
    span = "positive and finite" if np.isinf(at_most) else f"in (0, {at_most}]"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number {span}, got {value!r}")
    if not 0 < value <= at_most or not np.isfinite(value):
        raise ValueError(f"{name} must be {span}, got {value}")
    return float(value)


def one_of(name: str, value: Choice, choices: Collection[Choice]) -> Choice:
    """Return `value` if it is one of `choices`."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")
    return value


def check_masks(masks: Sequence[Any], n_views: int, n_samples: int) -> None:
    """Refuse masks (arrays or tensors) that aren't one bool per sample for each view."""
    kinds = [(str(mask.dtype).removeprefix("torch."), tuple(mask.shape)) for mask in masks]
    if kinds != [("bool", (n_samples,))] * n_views:
        raise ValueError(f"masks must be {n_views} arrays of {n_samples} bool, one per view, got {kinds}")
