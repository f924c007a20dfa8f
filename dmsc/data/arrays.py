"""People's own data: frames, sparse matrices, tensors and lists become arrays, masks and numbered labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from scipy.sparse import issparse

from .columns import id_columns

__all__ = [
    "check_finite",
    "check_views",
    "label_codes",
    "mask_arrays",
    "masks_from_nan",
    "refuse_ids",
    "view_array",
    "view_list",
]

CHANNELS = {1, 3, 4}  # of gray, color, and color with transparency
ROWS = "drop or fill them"
MASKS = "drop or fill them, or say by masks which samples have the view (dmsc.data.masks_from_nan makes them)"


def view_array(X: Any, name: str = "X") -> np.ndarray:
    """Return one view as an array of real numbers (N, D) or (N, C, H, W), which may share X's memory.

    Parameters
    ----------
    X : array, pandas frame or series, scipy sparse matrix, torch tensor, or nested list
        Sparse ones are made dense, and what is missing in a frame becomes NaN. N numbers are one feature, (N, 1). All
        columns of a frame are features: one of ids is refused, see `refuse_ids`.
        Images (N, H, W, C) are turned to (N, C, H, W) if the last axis is 1, 3 or 4 long and the second one isn't.
    name : str
        What messages call it.

    Returns
    -------
    array (N, D) or (N, C, H, W)
        NaN and infinite values are not looked for: see `check_finite`.
    """
    refuse_ids(X, name)
    array = _numbers(X, name)
    if array.ndim == 1:
        array = array[:, None]
    if array.dtype.kind not in "biuf" or array.ndim not in (2, 4) or 0 in array.shape:
        hint = ": gray images are X[:, None]" if array.ndim == 3 else ""
        raise ValueError(f"{name} must be real numbers of shape (N, C, H, W) or (N, D), none of them 0, "
                         f"got {array.dtype} of shape {array.shape}{hint}")  # fmt: skip
    return array if array.ndim == 2 else _channels_first(array, name)


def refuse_ids(X: Any, name: str) -> None:
    """Refuse a frame in which a column beside others holds ids of the samples, see `dmsc.data.columns.id_columns`."""
    if isinstance(X, pd.DataFrame) and X.shape[1] > 1 and (found := sum(id_columns(X), [])):
        raise ValueError(
            f"{name} has the column {X.columns[found[0]]!r}, which by its name tells samples apart and is no feature: "
            "drop it, or rename it if it is one"
        )


def view_list(Xs: Any) -> tuple[list[np.ndarray], tuple[str, ...] | None]:
    """Return the views of the same samples as arrays, see `view_array`, and their names if they have any.

    Parameters
    ----------
    Xs : list or tuple of views, dict of name to view, array (M, N, D), or array of objects
        An array of three axes is M views of D features; one of objects (a cell of MATLAB) holds a view in each place.

    Returns
    -------
    arrays : list of arrays
    names : tuple of str or None
        Keys of the dict.
    """
    names = None
    if isinstance(Xs, Mapping):
        names, Xs = tuple(str(name) for name in Xs), list(Xs.values())
    elif isinstance(Xs, np.ndarray) and Xs.dtype == object and Xs.size == max(Xs.shape, default=0):
        Xs = list(Xs.ravel())
    elif _is_table(Xs) and getattr(Xs, "ndim", 0) != 3 or not isinstance(Xs, Iterable) or isinstance(Xs, (str, bytes)):
        raise TypeError(
            f"Xs must be a list of arrays, one per view, got {type(Xs).__name__}: a single view is [X] (or use DSC)"
        )
    Xs = list(Xs)
    if not Xs:
        raise ValueError("Xs must hold at least one view, got none")
    return [view_array(X, view_label(i, names)) for i, X in enumerate(Xs)], names


def view_label(i: int, names: Sequence[str] | None) -> str:
    """Return what messages call the i-th view."""
    return f"view {i}" if names is None else f"view {names[i]!r}"


def check_views(Xs: Sequence[np.ndarray], names: Sequence[str], masks: Sequence[np.ndarray] | None) -> None:
    """Refuse views (N, ...) that hold NaN or infinite values; masks help if each sample has another view."""
    finite = [_finite_rows(X) for X in Xs]
    if not np.all(finite):
        left = np.any(finite if masks is None else np.logical_and(finite, masks), axis=0)
        for X, name in zip(Xs, names, strict=True):
            check_finite(X, name, MASKS if left.all() else ROWS)


def check_finite(X: np.ndarray, name: str, way_out: str = ROWS) -> None:
    """Refuse a view (N, ...) that holds NaN or infinite values, with the rows where they are."""
    finite = _finite_rows(X)
    if not finite.all():
        rows = np.flatnonzero(~finite)
        what = "NaN" if np.isnan(X).any() else "infinite values (or beyond float32)"
        raise ValueError(f"{name} has {what} in {len(rows)} of {len(X)} rows ({first_rows(rows)}): {way_out}")


def masks_from_nan(Xs: Any) -> list[np.ndarray]:
    """Return masks (N,), one per view: True where a sample has the view, False where any of its values there is NaN.

    Parameters
    ----------
    Xs : list of views, dict, ...
        As `DMSC.fit` takes them.

    Examples
    --------
    >>> masks_from_nan([[[1.0, 2.0], [3.0, np.nan]], [[np.nan, np.nan], [5.0, 6.0]]])
    [array([ True, False]), array([False,  True])]
    """
    return [~np.isnan(X.reshape(len(X), -1)).any(axis=1) for X in view_list(Xs)[0]]


def mask_arrays(masks: Any, n_views: int, n_samples: int, names: Sequence[str] | None = None) -> list[np.ndarray]:
    """Return one bool array (N,) per view: which samples have it.

    Parameters
    ----------
    masks : list of M arrays (N,), matrix (N, M) or (M, N), frame, or dict of name to array
        Of bool, or of 0 and 1. A matrix with as many samples as views is (N, M), like a table of them. A frame whose
        columns are the names of the views may have them in any order.
    n_views, n_samples : int
        M and N.
    names : sequence of str, optional
        Of the views.
    """
    wanted = f"masks must be a list of {n_views} arrays of {n_samples} bool (or 0 and 1), one per view"
    if isinstance(masks, Mapping) or isinstance(masks, pd.DataFrame) and set(masks) == set(names or ()):
        if set(masks) != set(names or ()):
            raise ValueError(f"{wanted}, under the names {', '.join(names or ('(none)',))}, got {', '.join(masks)}")
        masks = [masks[name] for name in names or ()]
    elif isinstance(masks, np.ndarray) and masks.dtype == object and masks.size == n_views:  # a cell
        masks = list(masks.ravel())
    if not isinstance(masks, Iterable) or isinstance(masks, str):
        raise TypeError(f"{wanted}, got {masks!r}")
    if isinstance(masks, (list, tuple)) and len(masks) == n_views:
        columns = [_numbers(mask, "masks") for mask in masks]
        columns = [mask.ravel() if mask.size == max(mask.shape, default=0) else mask for mask in columns]
    else:
        matrix = _numbers(masks, "masks")
        if matrix.shape not in ((n_samples, n_views), (n_views, n_samples)):
            raise ValueError(f"{wanted}, got {matrix.dtype} of shape {matrix.shape}")
        columns = list(matrix.T if matrix.shape == (n_samples, n_views) else matrix)
    if any(mask.shape != (n_samples,) or mask.dtype.kind not in "biuf" for mask in columns):
        raise ValueError(f"{wanted}, got {[f'{mask.dtype} {mask.shape}' for mask in columns]}")
    if strange := [mask[np.isin(mask, (0, 1), invert=True)][0] for mask in columns if not np.isin(mask, (0, 1)).all()]:
        raise ValueError(f"{wanted}, got the value {strange[0]}")
    return [mask.astype(bool) for mask in columns]


def label_codes(y: ArrayLike, n_samples: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Number labels 0…K−1 in sorted order, and return the numbers (N,), int64, with the names of the classes.

    Parameters
    ----------
    y : array, series, list, ... of N labels
        Numbers, strings or bools of any values; none may be missing.
    n_samples : int
        N.

    Examples
    --------
    >>> label_codes(["cat", "dog", "cat"], 3)
    (array([0, 1, 0]), ('cat', 'dog'))
    """
    labels = np.asarray(y.detach().cpu() if isinstance(y, torch.Tensor) else y)
    if labels.size != n_samples or labels.ndim not in (1, 2) or labels.size != max(labels.shape):
        raise ValueError(f"y must be {n_samples} labels, one per sample, got {labels.dtype} of shape {labels.shape}")
    labels = labels.ravel()
    missing = pd.isna(labels) | np.isin(labels, [np.inf, -np.inf]) if labels.dtype.kind in "fO" else pd.isna(labels)
    if np.ma.isMaskedArray(y):
        missing = missing | np.ma.getmaskarray(y).ravel()
    if missing.any():
        rows = np.flatnonzero(missing)
        raise ValueError(
            f"y lacks the labels of {len(rows)} samples (rows {first_rows(rows)}): leave these out, or give n_clusters "
            "without y"
        )
    try:
        classes, codes = np.unique(labels, return_inverse=True)
    except (TypeError, ValueError):
        kinds = sorted({type(label).__name__ for label in labels})
        raise ValueError(f"y must hold labels of one kind, got {', '.join(kinds)}: make all of them strings") from None
    return codes.astype(np.int64), tuple(_label_name(label) for label in classes.tolist())


def _label_name(label: Any) -> str:
    return str(int(label) if isinstance(label, float) and label.is_integer() else label)


def first_rows(rows: np.ndarray) -> str:
    """Tell at most five rows."""
    return ", ".join(map(str, rows[:5])) + (", …" if len(rows) > 5 else "")


def _finite_rows(X: np.ndarray) -> np.ndarray:
    return np.isfinite(X).reshape(len(X), -1).all(axis=1)


def _is_table(X: Any) -> bool:
    """Return whether something is one array of numbers rather than a list of views."""
    return isinstance(X, (np.ndarray, pd.DataFrame, pd.Series, torch.Tensor)) or issparse(X)


def _numbers(X: Any, name: str) -> np.ndarray:
    """Return what has any of many types as a plain array, NaN where a value is missing."""
    if isinstance(X, torch.Tensor):
        X = X.detach().cpu().to_dense()
        return (X.float() if X.dtype == torch.bfloat16 else X).numpy()
    if issparse(X):
        return X.toarray()
    if isinstance(X, (pd.DataFrame, pd.Series)):
        frame = pd.DataFrame(X)
        for column, dtype in frame.dtypes.items():
            if not pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_complex_dtype(dtype):
                raise ValueError(
                    f"{name} must hold real numbers, but its column {column!r} has {dtype}: drop it, or encode it"
                )
        return frame.to_numpy(dtype=np.float64, na_value=np.nan)
    if np.ma.isMaskedArray(X):
        return X.astype(np.float64).filled(np.nan)
    try:
        return np.asarray(X)
    except ValueError as error:  # rows of unequal length
        raise ValueError(f"{name} must be one array of numbers: {error}") from None


def _channels_first(X: np.ndarray, name: str) -> np.ndarray:
    """Turn images (N, H, W, C) to (N, C, H, W); those that may be so already, or are square so, stay."""
    _, first, height, last = X.shape
    if last not in CHANNELS or first in CHANNELS or height == last:
        return X
    if height in CHANNELS:
        raise ValueError(f"{name} of shape {X.shape} may be (N, C, H, W) or (N, H, W, C): turn the latter by "
                         "X.transpose(0, 3, 1, 2), or flatten them by X.reshape(len(X), -1)")  # fmt: skip
    return np.moveaxis(X, -1, 1)
