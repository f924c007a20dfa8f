"""The immutable `Dataset` (views, labels, names) and the registry behind `load_dataset`.

The loaders are in `dmsc.datasets`, files are handled in `dmsc.files`, views are made in `dmsc.views`.
"""

from __future__ import annotations

import difflib
import inspect
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..checks import integer
from . import loaders

__all__ = ["Dataset", "list_datasets", "load_dataset"]


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """N samples seen through M views, read-only.

    Parameters
    ----------
    name : str
        Name of the data.
    Xs : sequence of ndarray
        One array per view: images (N, C, H, W) or vectors (N, D). Kept as a tuple of read-only float32
        arrays; an array is copied unless it is float32, C-ordered and read-only already.
    y : ndarray (N,) of int, optional
        Labels 0…K−1.
    view_names : sequence of str, optional
        One name per view, "view 0", "view 1", … if left out.
    n_clusters : int, optional
        Number of clusters K; if left out, one more than the largest label.
    masks : sequence of bool arrays (N,), optional
        One per view: which samples have it. Each has at least one view; values of views that are missing become 0.
    variant : str
        What was done to the data, for records and tables (see :func:`dmsc.corruption.corrupt`).

    Raises
    ------
    ValueError
        If shapes disagree, values aren't finite numbers, or `n_clusters` is neither given nor known from `y`.
    TypeError
        If `Xs` or `n_clusters` is of the wrong type.

    Examples
    --------
    >>> Dataset("mine", [np.eye(4), np.ones((4, 1, 8, 8))], y=[0, 0, 1, 1])
    Dataset('mine', N=4, K=2, views: view 0 (4), view 1 (1×8×8))
    """

    name: str
    Xs: tuple
    y: np.ndarray | None = None
    view_names: tuple | None = None
    n_clusters: int | None = None
    masks: tuple | None = None
    variant: str = ""

    def __post_init__(self):
        if isinstance(self.Xs, np.ndarray) or not hasattr(self.Xs, "__iter__"):
            raise TypeError(f"Xs must be a list of arrays, one per view, got {type(self.Xs).__name__}")
        Xs = tuple(self.Xs)
        if not Xs:
            raise ValueError("Xs must hold at least one view, got none")
        if self.masks is not None and not hasattr(self.masks, "__iter__"):
            raise TypeError(f"masks must be a list of bool arrays, one per view, got {self.masks!r}")
        masks = None if self.masks is None else [np.array(mask) for mask in self.masks]
        Xs = tuple(_frozen_view(X, i, masks[i] if masks and i < len(masks) else None) for i, X in enumerate(Xs))
        n_samples = len(Xs[0])
        if any(len(X) != n_samples for X in Xs):
            raise ValueError(f"every view must have the same number of samples, got {[len(X) for X in Xs]}")
        y = None if self.y is None else _frozen_labels(self.y, n_samples)
        n_clusters = self.n_clusters
        if n_clusters is None:
            if y is None:
                raise ValueError("n_clusters must be given for data without labels y")
            n_clusters = int(y.max()) + 1
        integer("n_clusters", n_clusters, 1, n_samples)
        if y is not None and y.max() >= n_clusters:
            raise ValueError(f"labels y must be below n_clusters = {n_clusters}, got {y.max()}")
        names = [f"view {i}" for i in range(len(Xs))] if self.view_names is None else self.view_names
        names = tuple(names) if not isinstance(names, str) else (names,)
        if len(names) != len(Xs) or not all(isinstance(name, str) for name in names):
            raise ValueError(f"view_names must be {len(Xs)} strings, one per view, got {names!r}")
        if masks is not None:
            masks = _frozen_masks(masks, len(Xs), n_samples)
        fields = {"Xs": Xs, "y": y, "view_names": names, "n_clusters": int(n_clusters), "masks": masks}
        for field, value in fields.items():
            object.__setattr__(self, field, value)

    @property
    def n_samples(self):
        """Number of samples N."""
        return len(self.Xs[0])

    @property
    def n_views(self):
        """Number of views M."""
        return len(self.Xs)

    def take(self, indices, name=None):
        """Return some of the samples as a new dataset.

        Parameters
        ----------
        indices : sequence of int, boolean mask (N,), or slice
            Samples to take, in this order.
        name : str, optional
            Name of the new dataset, the old one if left out.

        Returns
        -------
        Dataset
            Its labels are renumbered 0…K−1 if whole classes are left out, and K is the number of classes
            left; without labels K stays, but for at most the number of samples.

        Raises
        ------
        ValueError
            If `indices` doesn't select at least one of the samples.
        """
        try:
            rows = np.atleast_1d(np.arange(self.n_samples)[indices])
        except IndexError as error:
            raise ValueError(f"indices must select from {self.n_samples} samples: {error}") from None
        if rows.ndim != 1 or len(rows) == 0:
            raise ValueError(f"indices must be a list of at least one sample, got shape {rows.shape}")
        if self.y is None:
            y, n_clusters = None, min(self.n_clusters, len(rows))
        else:
            classes, y = np.unique(self.y[rows], return_inverse=True)
            n_clusters = len(classes)
        Xs = [loaders.freeze(X[rows]) for X in self.Xs]
        masks = None if self.masks is None else [mask[rows] for mask in self.masks]
        name = self.name if name is None else name
        return Dataset(name, Xs, y, self.view_names, n_clusters, masks, self.variant)

    def __repr__(self):
        shapes = ["×".join(map(str, X.shape[1:])) for X in self.Xs]
        views = ", ".join(f"{name} ({shape})" for name, shape in zip(self.view_names, shapes, strict=True))
        labels = "" if self.y is not None else ", no labels"
        variant = f", {self.variant}" if self.variant else ""
        return f"Dataset({self.name!r}, N={self.n_samples}, K={self.n_clusters}, views: {views}{labels}{variant})"


def _frozen_view(X, i, mask=None):
    original = np.asarray(X)
    if original.dtype.kind not in "biuf" or original.ndim not in (2, 4) or 0 in original.shape:
        raise ValueError(f"view {i} must be real numbers of shape (N, C, H, W) or (N, D), none of them 0, "
                         f"got {original.dtype} of shape {original.shape}")  # fmt: skip
    with np.errstate(over="ignore"):  # what float32 can't hold becomes inf, reported below
        X = np.ascontiguousarray(original, dtype=np.float32)
    if mask is not None and mask.shape == X.shape[:1] and mask.dtype == bool:  # whatever stands for missing: NaN, say
        X = np.where(mask.reshape(-1, *[1] * (X.ndim - 1)), X, np.float32(0))
    if not np.isfinite(X).all():
        raise ValueError(f"view {i} must hold finite float32 numbers only, got NaN or infinite values")
    return loaders.freeze(X.copy() if X.flags.writeable and np.may_share_memory(X, original) else X)


def _frozen_masks(masks, n_views, n_samples):
    if len(masks) != n_views or any(mask.shape != (n_samples,) or mask.dtype != bool for mask in masks):
        raise ValueError(f"masks must be {n_views} arrays of {n_samples} bool, one per view, "
                         f"got {[f'{mask.dtype} {mask.shape}' for mask in masks]}")  # fmt: skip
    if not np.any(masks, axis=0).all():
        raise ValueError(
            f"every sample needs a view, but sample {np.argmin(np.any(masks, axis=0))} has none: leave it out"
        )
    if alone := [i for i, mask in enumerate(masks) if not mask.any()]:
        raise ValueError(f"every view needs a sample, but view {alone[0]} has none: leave it out")
    return tuple(loaders.freeze(mask) for mask in masks)


def _frozen_labels(y, n_samples):
    y = np.asarray(y)
    if y.shape != (n_samples,) or y.dtype.kind not in "iu":
        raise ValueError(f"y must be {n_samples} integers, one per sample, got {y.dtype} of shape {y.shape}")
    y = y.astype(np.int64)
    if y.min() < 0:
        raise ValueError(f"labels y must be 0…K−1, got {y.min()}")
    return loaders.freeze(y)


def list_datasets():
    """Names of all datasets that `load_dataset` knows, each with a one-line description.

    Returns
    -------
    dict of str to str
        Description by name.
    """
    return {name: inspect.getdoc(loader).splitlines()[0] for name, loader in loaders.LOADERS.items()}


def load_dataset(name, **options):
    """Load a dataset by name, or one's own data from a .mat or .npz file.

    Parameters
    ----------
    name : str or path-like
        A name of `list_datasets`, or the path of a file that ends in ``.mat`` (the layout of the DMSC
        authors: ``modality_0``, …, ``Label``, ``num_modalities``) or ``.npz`` (``view_0``, …, and optionally
        ``y``, ``view_names``, ``n_clusters``); ``data/README.md`` describes both.
    **options
        Options of that dataset: digits ``n_per_class``, ``seed``; synthetic ``n_samples``, ``n_clusters``,
        ``subspace_dim``, ``ambient_dim``, ``noise``, ``n_views``, ``seed``; eyaleb and eyaleb_components
        ``subjects``; mnist_usps and mnist_edges ``n_per_class``, ``seed``; one's own file ``n_clusters``.

    Returns
    -------
    Dataset
        Values are those that the file holds (ORL and Extended Yale B 0–255, the others 0–1): the loss weights
        of the papers depend on it.

    Raises
    ------
    ValueError
        If the name is unknown, an option has a bad value, or the file is damaged or of another layout.
    TypeError
        If the name is no string or path, or there is no such option.
    FileNotFoundError
        If the file is missing and can't be downloaded.

    Examples
    --------
    >>> load_dataset("digits")
    Dataset('digits', N=1797, K=10, views: image (1×8×8), edges (1×8×8))
    """
    if not isinstance(name, (str, os.PathLike)):
        raise TypeError(f"name must be the name of a dataset or a path, got {type(name).__name__}")
    if isinstance(name, str) and name in loaders.LOADERS:
        loader, title, arguments = loaders.LOADERS[name], name, ()
    elif Path(name).suffix.lower() in loaders.OWN_FILES:
        path = Path(name).expanduser()
        loader, title, arguments = loaders.OWN_FILES[path.suffix.lower()], path.stem, (path,)
    else:
        close = difflib.get_close_matches(str(name).lower(), loaders.LOADERS)
        hint = f" (did you mean {' or '.join(close)}?)" if close else ""
        raise ValueError(f"unknown dataset {str(name)!r}{hint}; known: {', '.join(loaders.LOADERS)}, "
                         "or the path of a file that ends in .mat or .npz")  # fmt: skip
    known = list(inspect.signature(loader).parameters)[len(arguments) :]
    if unknown := [option for option in options if option not in known]:
        allowed = f"its options are: {', '.join(known)}" if known else "it has no options"
        raise TypeError(f"dataset {title!r} has no option {unknown[0]!r}; {allowed}")
    with np.errstate(over="ignore"):  # Dataset reports what float32 can't hold
        fields = loader(*arguments, **options)
        Xs = [loaders.freeze(np.ascontiguousarray(X, dtype=np.float32)) for X in fields.pop("Xs")]
    return Dataset(title, Xs, **fields)
