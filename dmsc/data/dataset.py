"""The immutable `Dataset` (views, labels, names), and `load_dataset`, which makes one from a name or a file."""

from __future__ import annotations

import difflib
import inspect
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..checks import integer
from . import loaders
from .arrays import check_views, first_rows, label_codes, mask_arrays, view_label, view_list
from .files import KNOWN_FILES, find_file
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
    Xs : list of views, or dict of name to view
        One array per view: images (N, C, H, W) or vectors (N, D); also frames, sparse matrices, tensors, an array
        (M, N, D) of M views, see `dmsc.data.arrays.view_list`. Kept as a tuple of read-only float32 arrays; an array is
        copied unless it is float32, C-ordered and read-only already.
    y : array (N,), optional
        Labels of any kind; kept as int64 numbers 0…C−1 in sorted order.
    view_names : sequence of str, optional
        One name per view; the keys of a dict, or "view 0", "view 1", … if left out.
    n_clusters : int, optional
        Number of clusters K; if left out, the number C of distinct labels. It may be larger.
    masks : list of arrays (N,), optional
        One per view: which samples have it, as bool or 0 and 1; or a matrix, frame or dict, see
        `dmsc.data.arrays.mask_arrays`. Each sample has at least one view; values of views that are missing become 0.
    variant : str
        What was done to the data, for records and tables (see `dmsc.data.corrupt`).
    class_names : sequence of str, optional
        Names of the labels, if these are numbers from 0 on; names that no label has are dropped. If left out they are
        filled in from the labels.
    preset : str
        Name of the dataset whose settings `dmsc.preset` shall give: of a dataset of `list_datasets` its own; "" for
        one's own data, which get the defaults of a method.

    Examples
    --------
    >>> Dataset("mine", [np.eye(4), np.ones((4, 1, 8, 8))], y=[0, 0, 1, 1])
    Dataset('mine', N=4, K=2, views: view 0 (4), view 1 (1×8×8))
    >>> Dataset("mine", {"size": [1.5, 2.5, 0.5]}, y=["cat", "dog", "cat"]).class_names
    ('cat', 'dog')
    """

    name: str
    Xs: Sequence[np.ndarray]
    y: np.ndarray | None = None
    view_names: Sequence[str] = None  # type: ignore[assignment]  # filled in below
    n_clusters: int = None  # type: ignore[assignment]  # filled in below
    masks: Sequence[np.ndarray] | None = None
    variant: str = ""
    class_names: Sequence[str] | None = None
    preset: str = ""

    def __post_init__(self) -> None:
        arrays, keys = view_list(self.Xs)
        n_samples = len(arrays[0])
        if any(len(X) != n_samples for X in arrays):
            raise ValueError(f"every view must have the same number of samples, got {[len(X) for X in arrays]}")
        given = keys if self.view_names is None else self.view_names
        names = tuple(f"view {i}" for i in range(len(arrays))) if given is None else given
        names = (names,) if isinstance(names, str) else tuple(names)
        if len(names) != len(arrays) or not all(isinstance(name, str) for name in names):
            raise ValueError(f"view_names must be {len(arrays)} strings, one per view, got {names!r}")
        masks = None if self.masks is None else mask_arrays(self.masks, len(arrays), n_samples, names)
        labels = [view_label(i, keys) for i in range(len(arrays))]
        Xs = tuple(_frozen_view(X, masks and masks[i]) for i, X in enumerate(arrays))
        check_views(Xs, labels, masks)
        y, class_names = (None, None) if self.y is None else _frozen_labels(self.y, n_samples, self.class_names)
        n_clusters = self.n_clusters
        if n_clusters is None:
            if class_names is None:
                raise ValueError("n_clusters must be given for data without labels y")
            n_clusters = len(class_names)
        if integer("n_clusters", n_clusters, 1) > n_samples:
            raise ValueError(
                f"n_clusters must be an integer from 1 to {n_samples}, the number of samples, got {n_clusters}"
            )
        if class_names is not None and len(class_names) > n_clusters:
            raise ValueError(f"labels y are of {len(class_names)} classes, more than n_clusters = {n_clusters}")
        fields = {"Xs": Xs, "y": y, "view_names": names, "n_clusters": int(n_clusters), "class_names": class_names}
        fields["masks"] = None if masks is None else _frozen_masks(masks)
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
            left, which keep their names; without labels K stays, but for at most the number of samples.
        """
        try:
            rows = np.atleast_1d(np.arange(self.n_samples)[indices])
        except IndexError as error:
            raise ValueError(f"indices must select from {self.n_samples} samples: {error}") from None
        if rows.ndim != 1 or len(rows) == 0:
            raise ValueError(f"indices must be a list of at least one sample, got shape {rows.shape}")
        y = None if self.y is None else self.y[rows]
        n_clusters = min(self.n_clusters, len(rows)) if y is None else len(np.unique(y))
        Xs = [_freeze(X[rows]) for X in self.Xs]
        masks = None if self.masks is None else [mask[rows] for mask in self.masks]
        name = self.name if name is None else name
        return replace(self, name=name, Xs=Xs, y=y, n_clusters=n_clusters, masks=masks)

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
        return replace(self, Xs=Xs, view_names=chosen, masks=masks)

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


def _frozen_view(original: np.ndarray, mask: Any) -> np.ndarray:
    """A view as float32 numbers (N, ...), read-only, 0 where the mask says that it is missing."""
    with np.errstate(over="ignore"):  # what float32 can't hold becomes inf, reported below
        X = np.ascontiguousarray(original, dtype=np.float32)
    if mask is not None:  # whatever stands for missing: NaN, say
        X = np.where(mask.reshape(-1, *[1] * (X.ndim - 1)), X, np.float32(0))
    return _freeze(X.copy() if X.flags.writeable and np.may_share_memory(X, original) else X)


def _frozen_masks(masks: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Masks (N,), one per view, read-only; neither a sample nor a view may have nothing."""
    none = np.flatnonzero(~np.any(masks, axis=0))
    if len(none):
        told = f"sample {none[0]} has none: leave it out"
        if len(none) > 1:
            told = f"{len(none)} of {len(masks[0])} have none ({first_rows(none)}): leave them out"
        raise ValueError(f"every sample needs a view, but {told}")
    if alone := [i for i, mask in enumerate(masks) if not mask.any()]:
        raise ValueError(f"every view needs a sample, but view {alone[0]} has none: leave it out")
    return tuple(_freeze(mask) for mask in masks)


def _frozen_labels(y: Any, n_samples: int, given: Sequence[str] | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels as numbers (N,) from 0 on, int64, read-only, and their names."""
    codes, names = label_codes(y, n_samples)
    if given is not None:
        given = (given,) if isinstance(given, str) else tuple(given)
        if not set(names) <= {str(k) for k in range(len(given))} or not all(isinstance(name, str) for name in given):
            raise ValueError(
                f"class_names must be strings that name the labels 0, 1, … in this order, got {given!r} for the labels "
                f"{', '.join(names[:5])}{', …' if len(names) > 5 else ''}: leave them out, or number the labels"
            )
        names = tuple(given[int(name)] for name in names)
    return _freeze(codes), names


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
        folder of .npy or .csv files, one per view. data/README.md describes how they are read: in tables an index or a
        column of ids (id, index, name, …, its values all different) is no feature, and left out. A published file that
        is read so ("multiview/MSRC-v5.mat", …) is found or downloaded like a dataset.
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
    if isinstance(name, str) and name in KNOWN_FILES and not Path(name).exists():
        name = find_file(name)
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
    dataset = Dataset(**{"name": title, "preset": "" if source else title, **fields}, Xs=Xs)
    return dataset if views is None else dataset.take_views(views)
