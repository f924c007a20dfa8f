"""The scikit-learn face: what all estimators share, and those without a network (:mod:`dmsc.baselines`).

An estimator turns its parameters into a description (:mod:`dmsc.presets`), has it fitted (:mod:`dmsc.fitting`), and
keeps what came out under scikit-learn's names. Estimators are dataclasses: their fields are their parameters. The
networks are in :mod:`dmsc.estimators`, where ``DSC`` documents what is common.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, fields, replace
from numbers import Integral

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils import check_random_state

from .checks import integer, one_of, square_matrix
from .clustering import affinity
from .data.dataset import Dataset
from .experiments.fitting import Fit, LabelChecks, fit_baseline
from .methods import Baseline, PostProcessing
from .presets import BASELINES
from .selection import select
from .spectral import SEED_LIMIT, build_affinity, spectral_embedding

try:
    from sklearn.utils.validation import validate_data
except ImportError:  # scikit-learn < 1.6
    validate_data = BaseEstimator._validate_data

__all__ = ["LRR", "SSC", "SSCOMP", "RidgeSelfExpression", "estimate_n_clusters"]

POST_PROCESSINGS = ("plain", "paper", "selected")
POST_OPTIONS = tuple(field.name for field in fields(PostProcessing))


def estimate_n_clusters(W: np.ndarray, max_clusters: int = 20) -> int:
    """Estimate the number of clusters of a graph by its widest eigengap.

    Among the eigenvalues of the normalized Laplacian in ascending order, the K-th is the one with the widest gap behind
    it; the first one of equals.

    Parameters
    ----------
    W : array (N, N)
        Symmetric, non-negative affinity, N >= 3.
    max_clusters : int
        Largest K that is considered, >= 2 and in effect at most N - 1. The smallest one is 2.

    Returns
    -------
    int

    Raises
    ------
    ValueError, TypeError
        If W is no affinity of at least three samples, or ``max_clusters`` is no integer >= 2.

    References
    ----------
    U. von Luxburg, "A Tutorial on Spectral Clustering", 2007, section 8.3.

    Examples
    --------
    >>> estimate_n_clusters(np.kron(np.eye(4), np.ones((5, 5))))
    4
    """
    W, max_clusters = square_matrix("W", W), integer("max_clusters", max_clusters, 2)
    if len(W) < 3:
        raise ValueError(f"an eigengap needs at least three samples, got {len(W)}: give n_clusters as an integer")
    eigenvalues, _ = spectral_embedding(W, min(max_clusters, len(W) - 1) + 1)
    return int(np.argmax(np.diff(eigenvalues)[1:].round(9))) + 2  # rounded, so that equal gaps are equal


@dataclass(eq=False, repr=False)
class _SubspaceClusterer(ClusterMixin, BaseEstimator):
    n_clusters: int | str = 8
    _: KW_ONLY
    post_processing: str = "plain"
    post_options: dict | None = None
    max_clusters: int = 20
    random_state: int | np.random.RandomState | None = None

    def _fit(self, Xs: Sequence[np.ndarray], masks: Sequence[np.ndarray] | None = None):
        """Fit what ``_description`` says; keep the results."""
        one_of("post_processing", self.post_processing, POST_PROCESSINGS)
        method = self._description()
        method = replace(method, post=replace(method.post, **self._post_options()))
        estimated = isinstance(self.n_clusters, str)
        if estimated and self.n_clusters != "eigengap":
            raise ValueError(f"n_clusters must be an integer or 'eigengap', got {self.n_clusters!r}")
        max_clusters = integer("max_clusters", self.max_clusters, 2)
        dataset = Dataset("data", Xs, n_clusters=1 if estimated else self.n_clusters, masks=masks)
        if dataset.n_samples < 2 or min(X[0].size for X in dataset.Xs) < 2:
            shapes = [X.shape for X in dataset.Xs]
            raise ValueError(f"two samples are needed at least, and two features in each view, got shapes {shapes}")
        if isinstance(self.random_state, Integral):
            seed = integer("random_state", self.random_state, 0, SEED_LIMIT)
        else:
            seed = int(check_random_state(self.random_state).randint(2**31 - 1))

        fit = self._solve(dataset, method, seed)
        candidates = fit.candidates
        if estimated:  # until now K played no part
            K = estimate_n_clusters(build_affinity(fit.coefficients), max_clusters)
            dataset = replace(dataset, n_clusters=K)
            candidates = LabelChecks(dataset, method, seed).finish(fit.coefficients, fit.epochs)
        last = {candidate.post: candidate for candidate in candidates[-2:]}
        chosen = last[self.post_processing] if self.post_processing in last else select(candidates)
        post = None if chosen.post == "plain" else method.post

        self.n_clusters_, self.candidate_ = dataset.n_clusters, chosen
        self.labels_ = np.unique(chosen.labels, return_inverse=True)[1].astype(np.int64)  # without empty clusters
        self.coefficients_, self.history_ = fit.coefficients, fit.histories
        self.affinity_matrix_ = affinity(fit.coefficients, dataset.n_clusters, post)
        if fit.model is not None:
            self.model_ = fit.model
        return self

    def _post_options(self) -> dict:
        options = _dictionary("post_options", self.post_options)
        if unknown := [name for name in options if name not in POST_OPTIONS]:
            raise ValueError(f"post_options may hold {', '.join(POST_OPTIONS)}, got {unknown[0]!r}")
        return options


class _SingleView(_SubspaceClusterer):
    def fit(self, X, y=None):
        """Cluster the samples of X.

        Parameters
        ----------
        X : array (N, D) or (N, C, H, W)
            Vectors or images, at least two samples and two features. They are used as float32.
        y : ignored
            For scikit-learn's pipelines.

        Returns
        -------
        self
        """
        limits = {"ensure_min_samples": 2, "ensure_min_features": 2}
        X = validate_data(self, X, dtype=[np.float64, np.float32], allow_nd=True, **limits)
        if X.ndim != 2:
            del self.n_features_in_  # it is about columns
        return self._fit([X])


class _Classical(_SingleView):
    _name: str  # in BASELINES

    def _description(self) -> Baseline:
        """Return the baseline with the fields that a class adds: the parameters of its function."""
        common = {field.name for field in fields(_SubspaceClusterer)}
        own = {name: value for name, value in self.get_params(deep=False).items() if name not in common}
        return replace(BASELINES[self._name], parameters=own)

    def _solve(self, dataset: Dataset, method: Baseline, seed: int) -> Fit:
        return fit_baseline(dataset, method, seed=seed)


@dataclass(eq=False, repr=False)
class SSC(_Classical):
    """Sparse subspace clustering: every sample is a combination of few others.

    Parameters
    ----------
    n_clusters, post_processing, post_options, max_clusters, random_state
        As in :class:`dmsc.estimators.DSC`.
    alpha, tol
        As in :func:`dmsc.baselines.ssc`.

    References
    ----------
    Elhamifar, Vidal, "Sparse Subspace Clustering: Algorithm, Theory, and Applications", TPAMI 2013.

    Examples
    --------
    >>> model = SSC(2, random_state=0).fit([[1, 2, 0], [2, 4, 0], [0, 0, 3], [0, 0, 4]])
    >>> model.affinity_matrix_.round(1)
    array([[0. , 1.9, 0. , 0. ],
           [1.9, 0. , 0. , 0. ],
           [0. , 0. , 0. , 1.9],
           [0. , 0. , 1.9, 0. ]])
    """

    _name = "ssc"
    alpha: float = 20.0
    tol: float = 1e-6


@dataclass(eq=False, repr=False)
class LRR(_Classical):
    """Low-rank representation: all samples together use as few directions as possible.

    Parameters
    ----------
    n_clusters, post_processing, post_options, max_clusters, random_state
        As in :class:`dmsc.estimators.DSC`.
    penalty, n_components, tol
        As in :func:`dmsc.baselines.lrr`. C is 0 up to a penalty of 1 / s², where s is the largest singular value of the
        scaled X: a few samples, or directions that nothing prefers, need a larger one.

    References
    ----------
    Liu et al., "Robust Recovery of Subspace Structures by Low-Rank Representation", TPAMI 2013.

    Examples
    --------
    >>> LRR(2, penalty=1.0, random_state=0).fit([[1, 2, 0], [2, 4, 0], [0, 0, 3], [0, 0, 4]]).coefficients_.round(1)
    array([[0.5, 0.5, 0. , 0. ],
           [0.5, 0.5, 0. , 0. ],
           [0. , 0. , 0.5, 0.5],
           [0. , 0. , 0.5, 0.5]])
    """

    _name = "lrr"
    penalty: float = 0.1
    n_components: int | None = None
    tol: float = 1e-6


@dataclass(eq=False, repr=False)
class SSCOMP(_Classical):
    """Sparse subspace clustering by orthogonal matching pursuit, the greedy way to few coefficients.

    Parameters
    ----------
    n_clusters, post_processing, post_options, max_clusters, random_state
        As in :class:`dmsc.estimators.DSC`.
    n_nonzero, tol
        As in :func:`dmsc.baselines.ssc_omp`.

    References
    ----------
    You, Robinson, Vidal, "Scalable Sparse Subspace Clustering by Orthogonal Matching Pursuit", CVPR 2016.

    Examples
    --------
    >>> SSCOMP(2, random_state=0).fit([[1, 2, 0], [2, 4, 0], [0, 0, 3], [0, 0, 4]]).coefficients_.round(1)
    array([[0., 1., 0., 0.],
           [1., 0., 0., 0.],
           [0., 0., 0., 1.],
           [0., 0., 1., 0.]])
    """

    _name = "ssc-omp"
    n_nonzero: int = 10
    tol: float = 1e-6


@dataclass(eq=False, repr=False)
class RidgeSelfExpression(_Classical):
    """Least squares self-expression, the closed form of EDSC.

    Parameters
    ----------
    n_clusters, post_processing, post_options, max_clusters, random_state
        As in :class:`dmsc.estimators.DSC`.
    ridge
        As in :func:`dmsc.baselines.ridge`: chosen on held-out features if None.

    References
    ----------
    Lu et al., "Robust and Efficient Subspace Segmentation via Least Squares Regression", ECCV 2012.

    Examples
    --------
    >>> model = RidgeSelfExpression(2, ridge=1.0, random_state=0).fit([[1, 2, 0], [2, 4, 0], [0, 0, 3], [0, 0, 4]])
    >>> abs(model.coefficients_).round(1)
    array([[0. , 0.5, 0. , 0. ],
           [0.5, 0. , 0. , 0. ],
           [0. , 0. , 0. , 0.5],
           [0. , 0. , 0.5, 0. ]])
    """

    _name = "ridge"
    ridge: float | None = None


def _dictionary(name: str, value) -> dict:
    if value is not None and not isinstance(value, dict):
        raise TypeError(f"{name} must be a dictionary or None, got {value!r}")
    return value or {}
