"""What all estimators share: a description is fitted, C is read, results are kept under scikit-learn's names."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, fields, replace
from numbers import Integral
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from .checks import SEED_LIMIT, integer, one_of
from .cluster_number import CRITERIA, estimate_n_clusters, strongest
from .data import Dataset
from .data.arrays import check_finite, refuse_ids, view_array
from .experiments.choosing import scaled
from .experiments.fitting import Fit, check_data
from .experiments.reader import Reader
from .methods import Baseline, Method
from .out_of_sample import NearestSubspace
from .selection import select
from .solvers.anchors import anchored_embedding
from .spectral import READINGS, Reading, build_affinity, warning_signs

try:
    from sklearn.utils.validation import validate_data

    UNCHECKED = {"ensure_all_finite": False}
except ImportError:  # scikit-learn < 1.6
    validate_data = BaseEstimator._validate_data
    UNCHECKED = {"force_all_finite": False}

__all__ = ["READING_OPTIONS", "SingleView", "SubspaceClusterer", "dictionary"]

READING_OPTIONS = tuple(field.name for field in fields(Reading))
Self = TypeVar("Self", bound="SubspaceClusterer")


@dataclass(eq=False, repr=False)
class SubspaceClusterer(ClusterMixin, BaseEstimator):
    """What all share: a description is fitted, its C is read, and the results are kept."""

    n_clusters: int | str = 8
    _: KW_ONLY
    reading: str = "plain"
    reading_options: dict | None = None
    max_clusters: int = 20
    random_state: int | np.random.RandomState | None = None
    verbose: bool = False

    def _description(self) -> Method | Baseline:
        raise NotImplementedError

    def _solve(self, dataset: Dataset, method: Any, seed: int, readings: Sequence[str]) -> Fit:
        raise NotImplementedError

    def _sized(self, method: Any, dataset: Dataset) -> Any:
        """Return the description as the data's size wants it."""
        return method

    def _latents(self, Xs: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        """Return what new samples (n, ...) are, where self-expression is between them."""
        return Xs

    def _fit(self: Self, Xs: Any, masks: Any = None) -> Self:
        began = time.perf_counter()
        one_of("reading", self.reading, READINGS)
        method = self._description()
        method = replace(method, reading=replace(method.reading, **self._reading_options()))
        estimated = isinstance(self.n_clusters, str)
        if estimated and self.n_clusters not in CRITERIA:
            criteria = ", ".join(map(repr, CRITERIA))
            raise ValueError(f"n_clusters must be an integer, or one of {criteria}, got {self.n_clusters!r}")
        max_clusters = integer("max_clusters", self.max_clusters, 2)
        known = 1 if isinstance(self.n_clusters, str) else self.n_clusters
        dataset = Dataset("data", Xs, n_clusters=known, masks=masks)
        check_data(dataset, method)
        for name, X in zip(dataset.view_names, dataset.Xs, strict=True):
            if X[0].size < 2:
                raise ValueError(f"two features are needed in each view, but {name} has shape {X.shape}: put its "
                                 "feature into another view, or leave it out")  # fmt: skip
        method = self._sized(method, dataset)
        if isinstance(self.random_state, Integral):
            seed = integer("random_state", self.random_state, 0, SEED_LIMIT)
        else:
            seed = int(check_random_state(self.random_state).randint(2**31 - 1))

        fit = self._solve(dataset, method, seed, () if estimated else (self.reading,))
        labels, candidates = fit.labels, fit.candidates
        if estimated:  # until now K played no part
            dataset = replace(dataset, n_clusters=self._estimate(fit, max_clusters))
            judged = scaled(dataset, fit.chosen.get("scale", method.scale))
            reader = Reader(judged, method, seed, (self.reading,))
            labels, candidates = reader.read(fit.coefficients, fit.epochs), reader.candidates
        chosen = select(candidates) if self.reading == "selected" else candidates[-1]

        self.n_clusters_, self.candidate_ = dataset.n_clusters, chosen
        self.labels_ = np.unique(chosen.labels, return_inverse=True)[1].astype(np.int64)  # without empty clusters
        self.coefficients_, self.history_ = fit.coefficients, fit.histories
        self.affinity_matrix_ = labels[chosen.reading].affinity
        if fit.model is not None:
            self.model_, self.chosen_, self.anchors_ = fit.model, fit.chosen, fit.anchors
        self._views = {name: X.shape[1:] for name, X in zip(dataset.view_names, dataset.Xs, strict=True)}
        self._remember(dataset, method, fit)
        signs = [] if fit.anchors is not None else warning_signs(fit.coefficients, dataset.Xs, dataset.n_clusters)
        for sign in signs:
            warnings.warn(sign, stacklevel=3)
        if self.verbose:
            sizes = ", ".join(map(str, np.bincount(self.labels_)))
            values = {name: " + ".join(v) if isinstance(v, tuple) else v for name, v in fit.chosen.items()}
            told = "".join(f"{name} = {value}, " for name, value in values.items())
            print(f"{type(self).__name__}: N = {dataset.n_samples}, M = {dataset.n_views}, "
                  f"K = {self.n_clusters_} (clusters of {sizes}), reading {chosen.reading!r}, {told}"
                  f"{time.perf_counter() - began:.1f} s, warning signs: {'; '.join(signs) or 'none'}")  # fmt: skip
        return self

    def _estimate(self, fit: Fit, max_clusters: int) -> int:
        """Estimate K from C, anchored or not."""
        if fit.anchors is None:
            C = fit.coefficients if self.n_clusters == "eigengap" else strongest(fit.coefficients)
            return estimate_n_clusters(build_affinity(C), max_clusters, str(self.n_clusters))
        eigenvalues, _ = anchored_embedding(fit.coefficients, min(max_clusters + 1, len(fit.anchors)))
        return int(np.argmax(np.diff(eigenvalues)[1:].round(9))) + 2  # rounded, so that equal gaps are equal

    def _remember(self, dataset: Dataset, method: Any, fit: Fit) -> None:
        """Keep what new samples will be held against."""
        self._clusters = NearestSubspace(dataset.Xs, self.labels_)

    def _predict(self, arrays: Sequence[np.ndarray], names: Sequence[str]) -> np.ndarray:
        """Return the clusters of new samples, whose views (n, ...) are checked here."""
        with np.errstate(over="ignore"):  # what float32 can't hold becomes inf, reported below
            Xs = [X.astype(np.float32) for X in arrays]
        shapes = [X.shape[1:] for X in Xs]
        if shapes != (fitted := list(self._views.values())):
            raise ValueError(f"views must have the shapes {fitted} per sample, as in fit, got {shapes}")
        if len({len(X) for X in Xs}) > 1:
            raise ValueError(f"every view must have the same number of samples, got {[len(X) for X in Xs]}")
        for X, name in zip(Xs, names, strict=True):
            check_finite(X, name, "drop or fill them: new samples need all views")
        return self._clusters.predict(self._latents(Xs)).astype(np.int64)

    def _reading_options(self) -> dict:
        options = dictionary("reading_options", self.reading_options)
        if unknown := [name for name in options if name not in READING_OPTIONS]:
            raise ValueError(f"reading_options may hold {', '.join(READING_OPTIONS)}, got {unknown[0]!r}")
        return options


class SingleView(SubspaceClusterer):
    """What estimators of one view share: they take X itself, and know its columns."""

    def fit(self: Self, X: ArrayLike, y: Any = None) -> Self:
        """Cluster the samples of X.

        Parameters
        ----------
        X : array (N, D) or (N, C, H, W), frame, sparse matrix
            Vectors or images, at least two samples and two features. They are used as float32, and dense. Images may
            also be (N, H, W, C), see `dmsc.data.arrays.view_array`.
        y : ignored
            For scikit-learn's pipelines.

        Returns
        -------
        self
        """
        array = self._checked(X, fitting=True)
        if array.ndim != 2:
            del self.n_features_in_  # it is about columns
        return self._fit([array])

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return the clusters of new samples: of each the one whose members express it best.

        See `dmsc.out_of_sample.NearestSubspace`. Samples that were clustered needn't get their own label again.

        Parameters
        ----------
        X : array (n, D) or (n, C, H, W)
            As in ``fit``.

        Returns
        -------
        array (n,), int64
        """
        check_is_fitted(self, "labels_")
        return self._predict([self._checked(X, fitting=False)], ["X"])

    def _checked(self, X: ArrayLike, fitting: bool) -> np.ndarray:
        refuse_ids(X, "X")
        limits = {"ensure_min_samples": 2, "ensure_min_features": 2} if fitting else {}
        options = {"dtype": [np.float64, np.float32], "accept_sparse": True, "allow_nd": True, "reset": fitting}
        array = view_array(validate_data(self, X, **options, **limits, **UNCHECKED))
        check_finite(array, "X", "drop or fill them")
        return array

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True  # made dense
        return tags


def dictionary(name: str, value: Any) -> dict:
    """Return a dictionary that may be left out, as one."""
    if value is not None and not isinstance(value, dict):
        raise TypeError(f"{name} must be a dictionary or None, got {value!r}")
    return value or {}
