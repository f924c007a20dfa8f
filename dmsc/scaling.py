"""Views brought to a common scale, so that weights mean the same whatever the units.

The papers' presets keep the units of their files, because the papers' weights depend on them. Data of one's own have no
such weights: a view in metres and one in millimetres should count alike.
"""

from __future__ import annotations

import numpy as np

from .checks import one_of

__all__ = ["SCALES", "scale_view"]

#: What a view can be brought to. All but "none" end with rows of one length.
SCALES = ("none", "unit", "standard", "tf-idf")


def scale_view(X: np.ndarray, scale: str, mask: np.ndarray | None = None) -> np.ndarray:
    """Bring a view to a scale of its own.

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
        Which samples have the view; the rows of the others stay 0 and play no part.

    Returns
    -------
    array (N, D') or (N, C, H, W), float32
        D' ≤ D. Rows of zeros stay zero.

    Raises
    ------
    ValueError
        For an unknown scale, negative counts, or a view of vectors that are all the same.

    References
    ----------
    Spärck Jones, "A Statistical Interpretation of Term Specificity and its Application in Retrieval", 1972 (tf-idf).
    """
    one_of("scale", scale, SCALES)
    X = np.asarray(X)
    if scale == "none":
        return X.astype(np.float32, copy=False)
    present = np.ones(len(X), dtype=bool) if mask is None else np.asarray(mask)
    rows = X.reshape(len(X), -1).astype(np.float64)
    low, high = rows[present].min(axis=0), rows[present].max(axis=0)
    if X.ndim == 2:
        if not (low < high).any():
            raise ValueError("all features of a view are the same for all samples: leave the view out")
        rows = rows[:, low < high]
    if scale == "standard":
        spread = rows[present].std(axis=0)
        rows = (rows - rows[present].mean(axis=0)) / np.where(spread > 0, spread, 1)
    elif scale == "tf-idf":
        if low.min() < 0:
            raise ValueError(f"scale='tf-idf' is for counts, from 0 on, got {low.min():g}: use 'unit' or 'standard'")
        rows *= np.log((1 + present.sum()) / (1 + (rows[present] > 0).sum(axis=0)))
    rows[~present] = 0
    size = np.sqrt(np.square(rows).mean(axis=1, keepdims=True))
    rows /= np.where(size > 0, size, 1)
    return rows.reshape(len(X), *(X.shape[1:] if X.ndim > 2 else (-1,))).astype(np.float32)
