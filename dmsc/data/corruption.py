"""What real views suffer from: noise, occlusion, and samples that lack a view altogether."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..checks import integer
from .dataset import Dataset

__all__ = ["add_noise", "corrupt", "drop_views", "occlude"]


def add_noise(X: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Add Gaussian noise to a view (N, ...), `level` times the standard deviation of its values."""
    return X + (level * X.std() * rng.standard_normal(X.shape)).astype(X.dtype)


def occlude(X: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Set a part of every sample of a view to 0, at a random place.

    Parameters
    ----------
    X : array (N, C, H, W) or (N, D)
        Of images a rectangle is hidden, of the image's proportions and the same in all channels; of vectors a run of
        neighboring entries.
    share : float in [0, 1]
        Of the area, up to rounding to whole pixels.
    rng : numpy.random.Generator
        Chooses the places.

    Returns
    -------
    array of the same shape
    """
    X = X.copy()
    sides = X.shape[2:] or X.shape[1:]  # (H, W) or (D,)
    hidden = [round(side * share ** (1 / len(sides))) for side in sides]
    starts = [rng.integers(0, side - length + 1, len(X)) for side, length in zip(sides, hidden, strict=True)]
    for sample, corner in zip(X, zip(*starts, strict=True), strict=True):
        block = tuple(slice(start, start + length) for start, length in zip(corner, hidden, strict=True))
        sample[(..., *block)] = 0
    return X


def drop_views(n_samples: int, n_views: int, rate: float, rng: np.random.Generator) -> np.ndarray:
    """Choose which samples lack which views; every sample keeps at least one.

    Parameters
    ----------
    n_samples, n_views : int
        N and M.
    rate : float
        Share of the N x M pairs of sample and view that go missing; at most (M - 1) / M.
    rng : numpy.random.Generator
        Chooses them.

    Returns
    -------
    array (M, N) of bool
        True where a sample has the view. Exactly round(rate · N · M) entries are False.
    """
    masks = np.ones((n_views, n_samples), dtype=bool)
    kept = rng.integers(0, n_views, n_samples)  # one view of each sample is safe
    free = np.flatnonzero(kept != np.arange(n_views)[:, None])
    masks.flat[rng.choice(free, round(rate * masks.size), replace=False)] = False
    return masks


def corrupt(
    dataset: Dataset, *, missing: float = 0.0, noise: float = 0.0, occlusion: float = 0.0, seed: int = 0
) -> Dataset:
    """Return a dataset whose views are noisy, partly hidden, or missing.

    Parameters
    ----------
    dataset : Dataset
        With all its views.
    missing : float
        Share of the pairs of sample and view that go missing, see `drop_views`; at most (M - 1) / M.
    noise : float
        Standard deviation of Gaussian noise, in standard deviations of each view.
    occlusion : float in [0, 1]
        Share of every sample that is hidden, in every view at a place of its own.
    seed : int
        Fixes all three.

    Returns
    -------
    Dataset
        Of the same name; `variant` says what was done, `masks` who has which view (values of missing views are 0).

    Examples
    --------
    >>> import dmsc
    >>> corrupt(dmsc.load_dataset("digits"), missing=0.25).variant
    'missing 0.25'
    """
    most = (dataset.n_views - 1) / dataset.n_views
    for name, value, high in (("missing", missing, most), ("noise", noise, np.inf), ("occlusion", occlusion, 1.0)):
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not 0 <= value <= high:
            why = f" ({dataset.n_views} views, of which one stays)" if name == "missing" else ""
            raise ValueError(f"{name} must be a number from 0 to {high:g}{why}, got {value!r}")
    if not np.isfinite(noise):
        raise ValueError(f"noise must be finite, got {noise}")
    if dataset.masks is not None and (missing or noise or occlusion):
        raise ValueError(f"{dataset!r} lacks views already: corrupt the whole dataset once, with all its rates")
    seed = integer("seed", seed, 0)
    done = {"missing": missing, "noise": noise, "occlusion": occlusion}
    variant = ", ".join(f"{name} {value:g}" for name, value in done.items() if value)
    if not missing and not noise and not occlusion:
        return dataset
    hide, disturb, cover = (np.random.default_rng([seed, stream]) for stream in range(3))
    Xs = dataset.Xs
    if noise:
        Xs = [add_noise(X, noise, disturb) for X in Xs]
    if occlusion:
        Xs = [occlude(X, occlusion, cover) for X in Xs]
    masks = [*drop_views(dataset.n_samples, dataset.n_views, missing, hide)] if missing else None
    return replace(dataset, Xs=Xs, masks=masks, variant=variant)
