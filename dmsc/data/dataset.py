"""The immutable `Dataset` (views, labels, names), and `load_dataset`, which makes one from a name or a file."""

from __future__ import annotations

import difflib
import inspect
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..checks import integer
from . import loaders
from .own import read_own
from .sources import is_source

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
        What was done to the data, for records and tables (see `dmsc.data.corrupt`).
    preset : str
        Name of the dataset whose settings `dmsc.preset` shall give: of a dataset of `list_datasets` its own; "" for
        one's own data, which get the defaults of a method.

    Examples
    --------
    >>> Dataset("mine", [np.eye(4), np.ones((4, 1, 8, 8))], y=[0, 0, 1, 1])
    Dataset('mine', N=4, K=2, views: view 0 (4), view 1 (1×8×8))
    """

    name: str
    Xs: Sequence[np.ndarray]
    y: np.ndarray | None = None
    view_names: Sequence[str] = None  # type: ignore[assignment]  # filled in below
    n_clusters: int = None  # type: ignore[assignment]  # filled in below
    masks: Sequence[np.ndarray] | None = None
    variant: str = ""
    preset: str = ""

    def __post_init__(self) -> None:
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
        names = tuple(f"view {i}" for i in range(len(Xs))) if self.view_names is None else self.view_names
        names = (names,) if isinstance(names, str) else tuple(names)
        if len(names) != len(Xs) or not all(isinstance(name, str) for name in names):
            raise ValueError(f"view_names must be {len(Xs)} strings, one per view, got {names!r}")
        fields = {"Xs": Xs, "y": y, "view_names": names, "n_clusters": int(n_clusters)}
        fields["masks"] = None if masks is None else _frozen_masks(masks, len(Xs), n_samples)
        for field, value in fields.items():
            object.__setattr__(self, field, value)

    @property
    def n_samples(self) -> int:
        """Number of samples N."""
        return len(self.Xs[0])

    @property
    def n_views(self) -> int:
        """Number of views M."""
        return len(self.Xs)

    def take(self, indices: Sequence[int] | np.ndarray | slice, name: str | None = None) -> Dataset:
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
        Xs = [_freeze(X[rows]) for X in self.Xs]
        masks = None if self.masks is None else [mask[rows] for mask in self.masks]
        name = self.name if name is None else name
        return Dataset(name, Xs, y, self.view_names, n_clusters, masks, self.variant, preset=self.preset)

    def take_views(self, views: str | Sequence[str]) -> Dataset:
        """Return some of the views as a new dataset.

        Parameters
        ----------
        views : str or sequence of str
            Names of views, in the order that they shall have.

        Returns
        -------
        Dataset

        Raises
        ------
        ValueError
            If there is no view of that name, none or one twice is asked for, or a sample is left without a view.
        """
        chosen = list(views) if isinstance(views, (list, tuple)) else [views]
        if not chosen or any(chosen.count(name) > 1 or name not in self.view_names for name in chosen):
            raise ValueError(f"views must be some of {', '.join(self.view_names)}, each once, got {chosen}")
        places = [self.view_names.index(name) for name in chosen]
        Xs = [self.Xs[i] for i in places]
        masks = None if self.masks is None else [self.masks[i] for i in places]
        return Dataset(self.name, Xs, self.y, chosen, self.n_clusters, masks, self.variant, preset=self.preset)

    def __repr__(self) -> str:
        shapes = ["×".join(map(str, X.shape[1:])) for X in self.Xs]
        views = ", ".join(f"{name} ({shape})" for name, shape in zip(self.view_names, shapes, strict=True))
        labels = "" if self.y is not None else ", no labels"
        variant = f", {self.variant}" if self.variant else ""
        return f"Dataset({self.name!r}, N={self.n_samples}, K={self.n_clusters}, views: {views}{labels}{variant})"


def _freeze(array: np.ndarray) -> np.ndarray:
    """Make an array read-only in place and return it."""
    array.flags.writeable = False
    return array


def _frozen_view(X: ArrayLike, i: int, mask: np.ndarray | None = None) -> np.ndarray:
    """A view as finite float32 numbers (N, ...), read-only, 0 where the mask says that it is missing."""
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
    return _freeze(X.copy() if X.flags.writeable and np.may_share_memory(X, original) else X)


def _frozen_masks(masks: Sequence[np.ndarray], n_views: int, n_samples: int) -> tuple[np.ndarray, ...]:
    """One mask (N,) per view, read-only; neither a sample nor a view may have nothing."""
    if len(masks) != n_views or any(mask.shape != (n_samples,) or mask.dtype != bool for mask in masks):
        raise ValueError(f"masks must be {n_views} arrays of {n_samples} bool, one per view, "
                         f"got {[f'{mask.dtype} {mask.shape}' for mask in masks]}")  # fmt: skip
    if not np.any(masks, axis=0).all():
        raise ValueError(
            f"every sample needs a view, but sample {np.argmin(np.any(masks, axis=0))} has none: leave it out"
        )
    if alone := [i for i, mask in enumerate(masks) if not mask.any()]:
        raise ValueError(f"every view needs a sample, but view {alone[0]} has none: leave it out")
    return tuple(_freeze(mask) for mask in masks)


def _frozen_labels(y: ArrayLike, n_samples: int) -> np.ndarray:
    """Labels (N,) as int64, read-only."""
    y = np.asarray(y)
    if y.shape != (n_samples,) or y.dtype.kind not in "iu":
        raise ValueError(f"y must be {n_samples} integers, one per sample, got {y.dtype} of shape {y.shape}")
    y = y.astype(np.int64)
    if y.min() < 0:
        raise ValueError(f"labels y must be 0…K−1, got {y.min()}")
    return _freeze(y)


def list_datasets() -> dict[str, str]:
    """Names of all datasets that `load_dataset` knows, each with a one-line description.

    Returns
    -------
    dict of str to str
        Description by name.
    """
    return {name: (inspect.getdoc(loader) or "").splitlines()[0] for name, loader in loaders.LOADERS.items()}


def load_dataset(name: Any, **options: Any) -> Dataset:
    """Load a dataset by name, or one's own data: a file, a folder, tables or arrays.

    Parameters
    ----------
    name : str, path-like, DataFrame, mapping of names to arrays or DataFrames, AnnData or MuData
        A name of `list_datasets`, or one's own data: a file that ends in .mat, .npz, .npy, .csv, .h5ad or .h5mu, or a
        folder of .npy or .csv files, one per view. data/README.md describes how they are read.
    **options
        Options of that dataset: digits `n_per_class`, `seed`; synthetic `n_samples`, `n_clusters`, `subspace_dim`,
        `ambient_dim`, `noise`, `n_views`, `seed`; eyaleb and eyaleb_components `subjects`; mnist_usps, mnist_usps_32
        and mnist_edges `n_per_class`, `seed`; of one's own data `labels`, `samples`, `n_clusters`, `nan` and
        `image_shape`, see `dmsc.data.own.read_own`. Of all: `views`, names of the views to take; of one's own data
        also of variables.

    Returns
    -------
    Dataset
        Values are those that the file holds (ORL, Extended Yale B and hw2sources 0–255, the others 0–1; only
        mnist_usps_32 is scaled, to 0–255): the loss weights of the papers depend on it.

    Raises
    ------
    FileNotFoundError
        If the file is missing and can't be downloaded: put it where the message says.

    Examples
    --------
    >>> load_dataset("digits")
    Dataset('digits', N=1797, K=10, views: image (1×8×8), edges (1×8×8))
    >>> load_dataset({"photo": np.ones((4, 8, 8)), "text": np.eye(4), "y": ["cat", "dog", "cat", "dog"]})
    Dataset('data', N=4, K=2, views: photo (1×8×8), text (4))
    """
    if isinstance(name, str) and name in loaders.LOADERS:
        return _load(loaders.LOADERS[name], name, options)
    if is_source(name):
        title = Path(name).stem if isinstance(name, (str, os.PathLike)) else "data"
        return _load(read_own, title, options, name)
    if not isinstance(name, (str, os.PathLike)):
        raise TypeError(f"name must be the name of a dataset, a path, a table or a mapping, got {type(name).__name__}")
    close = difflib.get_close_matches(str(name).lower(), loaders.LOADERS)
    hint = f" (did you mean {' or '.join(close)}?)" if close else ""
    raise ValueError(f"unknown dataset {str(name)!r}{hint}; known: {', '.join(loaders.LOADERS)}, or the path of a "
                     "folder, or of a file that ends in .mat, .npz, .npy, .csv, .h5ad or .h5mu")  # fmt: skip


def _load(loader: Callable[..., dict[str, Any]], title: str, options: dict[str, Any], *source: Any) -> Dataset:
    """Call a loader with its options, and take the views that are wanted."""
    known = list(inspect.signature(loader).parameters)[len(source) :]
    if unknown := [option for option in options if option not in (*known, "views")]:
        allowed = ", ".join(dict.fromkeys([*known, "views"]))
        raise TypeError(f"dataset {title!r} has no option {unknown[0]!r}; its options are: {allowed}")
    views = None if "views" in known else options.pop("views", None)
    with np.errstate(over="ignore"):  # Dataset reports what float32 can't hold
        fields = loader(*source, **options)
        Xs = [_freeze(np.ascontiguousarray(X, dtype=np.float32)) for X in fields.pop("Xs")]
    if fields.get("y") is not None:
        fields["y"] = np.unique(fields["y"], return_inverse=True)[1].ravel()
    dataset = Dataset(**{"name": title, "preset": "" if source else title, **fields}, Xs=Xs)
    return dataset if views is None else dataset.take_views(views)
