"""Views brought to a common scale, so that weights mean the same whatever the units.

The papers' presets keep the units of their files, because the papers' weights depend on them. Data of one's own have no
such weights: a view in metres and one in millimetres should count alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .checks import one_of

__all__ = ["SCALES", "Scaling", "are_counts", "fit_scaling", "one_scale_each", "scale_view"]

#: What a view can be brought to. All but "none" end with rows of one length.
SCALES = ("none", "unit", "standard", "tf-idf")


@dataclass(frozen=True)
class Scaling:
    """What brings a view to its scale: features that stay, what is taken off them, and what they are multiplied by."""

    scale: str
    kept: np.ndarray  # (D,), bool; D values per sample
    shift: np.ndarray  # (D',)
    factor: np.ndarray  # (D',)

    def __call__(self, X: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """Scale samples (n, ...) of the view, in float32; rows of those that lack it are 0."""
        X = np.asarray(X)
        if self.scale == "none":
            return X.astype(np.float32, copy=False)
        rows: np.ndarray = (X.reshape(len(X), -1)[:, self.kept].astype(np.float64) - self.shift) * self.factor
        if mask is not None:
            rows[~np.asarray(mask)] = 0
        size = np.sqrt(np.square(rows).mean(axis=1, keepdims=True))
        rows /= np.where(size > 0, size, 1)
        return rows.reshape(X.shape if X.ndim > 2 else rows.shape).astype(np.float32)


def fit_scaling(X: np.ndarray, scale: str, mask: np.ndarray | None = None) -> Scaling:
    """Find what brings a view to a scale of its own.

    Features that are the same for all samples say nothing: vectors lose them. Then

    - "unit" leaves the rest as it is;
    - "standard" takes each feature to mean 0 and standard deviation 1;
    - "tf-idf", for counts, multiplies feature j, which n_j of N samples have (above 0), by log((1 + N) / (1 + n_j)),
      so that words of every document count for little;

    and each row is divided by the root of its mean square: its length becomes √D, an entry is about 1. "none" changes
    nothing at all.

    Parameters
    ----------
    X : array (N, D) or (N, C, H, W)
        One view.
    scale : {"none", "unit", "standard", "tf-idf"}
        To what.
    mask : bool array (N,), optional
        Which samples have the view; the others play no part.

    Returns
    -------
    Scaling
        Of these samples and of others. Rows of zeros stay zero.

    Raises
    ------
    ValueError
        For an unknown scale, negative counts, or a view of vectors that are all the same.

    References
    ----------
    Spärck Jones, "A Statistical Interpretation of Term Specificity and its Application in Retrieval", 1972 (tf-idf).
    """
    one_of("scale", scale, SCALES)
    rows: np.ndarray = np.asarray(X).reshape(len(X), -1).astype(np.float64)
    rows = rows if mask is None else rows[np.asarray(mask)]
    kept = np.ones(rows.shape[1], dtype=bool)
    if scale != "none" and np.ndim(X) == 2:
        kept = rows.min(axis=0) < rows.max(axis=0)
        if not kept.any():
            raise ValueError("all features of a view are the same for all samples: leave the view out")
    rows = rows[:, kept]
    shift, factor = np.zeros(rows.shape[1]), np.ones(rows.shape[1])
    if scale == "standard":
        spread = rows.std(axis=0)
        shift, factor = rows.mean(axis=0), 1 / np.where(spread > 0, spread, 1)
    elif scale == "tf-idf":
        if rows.min() < 0:
            raise ValueError(f"scale='tf-idf' is for counts, from 0 on, got {rows.min():g}: use 'unit' or 'standard'")
        factor = np.log((1 + len(rows)) / (1 + (rows > 0).sum(axis=0)))
        if not factor.any():
            raise ValueError("scale='tf-idf' leaves nothing of a view whose samples all have all features: use 'unit'")
    return Scaling(scale, kept, shift, factor)


def scale_view(X: np.ndarray, scale: str, mask: np.ndarray | None = None) -> np.ndarray:
    """Bring a view to a scale of its own, see `fit_scaling`: (N, D') with D' ≤ D, or (N, C, H, W), float32."""
    return fit_scaling(X, scale, mask)(X, mask)


def one_scale_each(scale: str | Sequence[str], n_views: int) -> tuple[str, ...]:
    """Return the scales of so many views, of which one name stands for all."""
    scales = (scale,) * n_views if isinstance(scale, str) else tuple(scale)
    if len(scales) != n_views:
        raise ValueError(f"scale must be one name, or one per view: got {len(scales)} for {n_views} views")
    return scales


def are_counts(X: np.ndarray) -> bool:
    """Tell whether a view (N, D) holds counts, for which "tf-idf" is: whole numbers, none negative, some 0."""
    return X.ndim == 2 and X.min() == 0 and not (X % 1).any()
