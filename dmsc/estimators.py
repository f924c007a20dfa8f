"""The scikit-learn face: estimators with ``fit``, ``fit_predict`` and ``labels_``, for networks and classical methods.

An estimator turns its parameters into a description (`dmsc.presets`), has it fitted (`dmsc.experiments.fitting`), and
keeps what came out under scikit-learn's names. Estimators are dataclasses: their fields are their parameters. `DSC`
documents what is common.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, fields, replace
from numbers import Integral
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils import check_random_state

from .checks import SEED_LIMIT, integer, one_of, square_matrix
from .data import Dataset
from .devices import resolve_device
from .experiments.fitting import Fit, fit_baseline, fit_network
from .experiments.memory import auto_anchors
from .experiments.reader import Reader
from .fusion import FUNCTIONS, PLACES
from .methods import Baseline, Method
from .presets import BASELINES, METHODS, override
from .selection import select
from .solvers.anchors import anchored_embedding
from .spectral import READINGS, Reading, build_affinity, spectral_embedding

try:
    from sklearn.utils.validation import validate_data
except ImportError:  # scikit-learn < 1.6
    validate_data = BaseEstimator._validate_data

__all__ = ["DMSC", "DSC", "LRR", "SSC", "SSCOMP", "RidgeSelfExpression", "estimate_n_clusters"]

READING_OPTIONS = tuple(field.name for field in fields(Reading))
#: No settings of a network: what has a place among the parameters, or would undo them.
RESERVED = ("name", "source", "fusion", "loss", "correlation", "reading", *READING_OPTIONS)
Self = TypeVar("Self", bound="_SubspaceClusterer")


def estimate_n_clusters(W: ArrayLike, max_clusters: int = 20) -> int:
    """Estimate the number of clusters of a graph by its widest eigengap.

    Among the eigenvalues of the normalized Laplacian in ascending order, the K-th is the one with the widest gap behind
    it; the first one of equals. On clean, separate clusters that is their number; on real data it is often 2, whatever
    the classes (on the ten digits of scikit-learn, for instance): look at the eigenvalues before believing it.

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
    return _widest_gap(eigenvalues)


def _widest_gap(eigenvalues: ArrayLike) -> int:
    return int(np.argmax(np.diff(eigenvalues)[1:].round(9))) + 2  # rounded, so that equal gaps are equal


def _estimate(fit: Fit, max_clusters: int) -> int:
    """Estimate K from C, anchored or not."""
    if fit.anchors is None:
        return estimate_n_clusters(build_affinity(fit.coefficients), max_clusters)
    eigenvalues, _ = anchored_embedding(fit.coefficients, min(max_clusters + 1, len(fit.anchors)))
    return _widest_gap(eigenvalues)


@dataclass(eq=False, repr=False)
class _SubspaceClusterer(ClusterMixin, BaseEstimator):
    """What all share: a description is fitted, its C is read, and the results are kept."""

    n_clusters: int | str = 8
    _: KW_ONLY
    reading: str = "plain"
    reading_options: dict | None = None
    max_clusters: int = 20
    random_state: int | np.random.RandomState | None = None

    def _description(self) -> Method | Baseline:
        raise NotImplementedError

    def _solve(self, dataset: Dataset, method: Any, seed: int, readings: Sequence[str]) -> Fit:
        raise NotImplementedError

    def _sized(self, method: Any, dataset: Dataset) -> Any:
        """Return the description as the data's size wants it."""
        return method

    def _fit(self: Self, Xs: Sequence[np.ndarray], masks: Sequence[np.ndarray] | None = None) -> Self:
        one_of("reading", self.reading, READINGS)
        method = self._description()
        method = replace(method, reading=replace(method.reading, **self._reading_options()))
        estimated = isinstance(self.n_clusters, str)
        if estimated and self.n_clusters != "eigengap":
            raise ValueError(f"n_clusters must be an integer or 'eigengap', got {self.n_clusters!r}")
        max_clusters = integer("max_clusters", self.max_clusters, 2)
        known = 1 if isinstance(self.n_clusters, str) else self.n_clusters
        dataset = Dataset("data", Xs, n_clusters=known, masks=masks)
        if dataset.n_samples < 2 or min(X[0].size for X in dataset.Xs) < 2:
            shapes = [X.shape for X in dataset.Xs]
            raise ValueError(f"two samples are needed at least, and two features in each view, got shapes {shapes}")
        method = self._sized(method, dataset)
        if isinstance(self.random_state, Integral):
            seed = integer("random_state", self.random_state, 0, SEED_LIMIT)
        else:
            seed = int(check_random_state(self.random_state).randint(2**31 - 1))

        fit = self._solve(dataset, method, seed, () if estimated else (self.reading,))
        labels, candidates = fit.labels, fit.candidates
        if estimated:  # until now K played no part
            dataset = replace(dataset, n_clusters=_estimate(fit, max_clusters))
            reader = Reader(dataset, method, seed, (self.reading,))
            labels, candidates = reader.read(fit.coefficients, fit.epochs), reader.candidates
        chosen = select(candidates) if self.reading == "selected" else candidates[-1]

        self.n_clusters_, self.candidate_ = dataset.n_clusters, chosen
        self.labels_ = np.unique(chosen.labels, return_inverse=True)[1].astype(np.int64)  # without empty clusters
        self.coefficients_, self.history_ = fit.coefficients, fit.histories
        self.affinity_matrix_ = labels[chosen.reading].affinity
        if fit.model is not None:
            self.model_, self.anchors_ = fit.model, fit.anchors
        return self

    def _reading_options(self) -> dict:
        options = _dictionary("reading_options", self.reading_options)
        if unknown := [name for name in options if name not in READING_OPTIONS]:
            raise ValueError(f"reading_options may hold {', '.join(READING_OPTIONS)}, got {unknown[0]!r}")
        return options


class _SingleView(_SubspaceClusterer):
    def fit(self: Self, X: ArrayLike, y: Any = None) -> Self:
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
        array: np.ndarray = validate_data(self, X, dtype=[np.float64, np.float32], allow_nd=True, **limits)
        if array.ndim != 2:
            del self.n_features_in_  # it is about columns
        return self._fit([array])


class _Classical(_SingleView):
    _name: str  # in BASELINES

    def _description(self) -> Baseline:
        """Return the baseline with the fields that a class adds: the parameters of its function."""
        common = {field.name for field in fields(_SubspaceClusterer)}
        own = {name: value for name, value in self.get_params(deep=False).items() if name not in common}
        return replace(BASELINES[self._name], parameters=own)

    def _solve(self, dataset: Dataset, method: Baseline, seed: int, readings: Sequence[str]) -> Fit:
        return fit_baseline(dataset, method, seed=seed, readings=readings)


@dataclass(eq=False, repr=False)
class _Network(_SubspaceClusterer):
    _: KW_ONLY
    pretrain_epochs: int = 100
    finetune_epochs: int = 100
    learning_rate: float = 1e-3
    lambda_regularization: float = 1.0
    lambda_self_expression: float = 1.0
    anchors: int | str | None = "auto"
    settings: dict | None = None
    device: str = "auto"
    progress: bool = False

    def _configure(self, method: Method) -> Method:
        """Return a method with this estimator's parameters and settings in it."""
        settings, own = _dictionary("settings", self.settings), self.get_params(deep=False)
        if taken := [name for name in settings if name in {*own, *RESERVED}]:
            raise ValueError(
                f"settings can't hold {taken[0]!r}: that is up to {type(self).__name__}'s parameters and "
                "reading_options"
            )
        names = ("pretrain_epochs", "finetune_epochs", "learning_rate", "lambda_regularization")
        if isinstance(self.anchors, str):
            one_of("anchors", self.anchors, ("auto",))
        anchors = None if self.anchors == "auto" else self.anchors
        common = {name: own[name] for name in (*names, "lambda_self_expression")}
        return override(method, **settings, **common, anchors=anchors)

    def _sized(self, method: Method, dataset: Dataset) -> Method:
        if self.anchors == "auto":
            device = resolve_device(self.device)
            method = replace(method, anchors=auto_anchors(dataset, method, device, (self.reading,)))
        if method.anchors is not None and self.reading != "plain":
            raise ValueError(
                f"reading={self.reading!r} needs C (N, N), not anchors={method.anchors}: use reading='plain', or "
                "anchors=None"
            )
        if method.anchors is not None and isinstance(self.n_clusters, str):
            integer("anchors", method.anchors, 3)  # two gaps at least
        return method

    def _solve(self, dataset: Dataset, method: Method, seed: int, readings: Sequence[str]) -> Fit:
        device = resolve_device(self.device)
        with _generators_kept(device):
            return fit_network(dataset, method, seed=seed, device=device, readings=readings, progress=self.progress)


@dataclass(eq=False, repr=False)
class DSC(_SingleView, _Network):
    """Deep subspace clustering of one view (DSC-Net).

    An autoencoder whose latents express each other, Z ≈ C Z; the graph of C is cut into clusters. There is no
    ``predict``: C is about the samples that it was fitted to.

    Parameters
    ----------
    n_clusters : int or "eigengap"
        K. "eigengap" fits C first and applies `estimate_n_clusters` to its plain affinity; read there what it is good
        for.
    norm : {1, 2}
        p of the penalty on C: DSC-Net-L1 (whose C has a zero diagonal) or DSC-Net-L2.
    pretrain_epochs, finetune_epochs : int
        Length of the two steps.
    learning_rate : float
        Adam's.
    lambda_regularization, lambda_self_expression : float
        lambda_1 of ‖C‖_p^p and lambda_2 of ‖Z - C Z‖²_F. The terms are sums over samples and features: what is good
        depends on N and on the scale of X.
    anchors : int, None or "auto"
        m: write every sample by m anchors among them, with C (N, m) in closed form; time and memory are linear in N
        (`dmsc.solvers.anchored_training`). For norm 2, no masks, no "cmsc-dcca", and the plain reading. None: by all
        samples. "auto": by all up to 10 000 samples, as long as C (N, N) fits into memory; else by 500 anchors.
    settings : dict, optional
        Any other setting that `dmsc.presets.override` knows: ``dense`` or ``convolutions`` (the network),
        ``input_scale``, ``coefficients_init``, ...
    reading : {"plain", "paper", "selected"}
        How C becomes labels: by its plain affinity; by the papers' threshold and subspace affinity; or by the rule of
        `dmsc.selection`, which needs no labels to choose between these two and among the epochs (if K is estimated,
        the last one is the only one). ``coefficients_`` is C after the last epoch in any case.
    reading_options : dict, optional
        ``ratio``, ``dim``, ``alpha``, ``unit_diagonal``, ``assign``, ``affinity`` of "paper", as in
        `dmsc.spectral.Reading`.
    max_clusters : int
        Largest K that "eigengap" considers.
    device : str
        "auto", "cpu" or "cuda".
    progress : bool
        Show bars (only where stderr is a terminal).
    random_state : int, RandomState or None
        An int is the seed itself, as in ``dmsc run``; otherwise the seed is drawn.

    Attributes
    ----------
    labels_ : array (N,), int64
        Clusters from 0 to K - 1, without gaps (fewer than K if the graph doesn't hold as many).
    affinity_matrix_ : array (N, N) or None
        W of ``coefficients_``, with the reading that gave the labels. With anchors it is never made:
        `dmsc.solvers.anchors.anchored_affinity_factor` gives its factor.
    coefficients_ : array (N, N), or (N, m) with anchors
        C; row i says how sample i is made of the others, or of the anchors.
    anchors_ : array (m,) or None
        Indices of the anchors.
    history_ : dict
        ``pretrain`` and ``finetune``: terms of the loss per epoch.
    model_ : dmsc.model.SubspaceNetwork
        The trained network; without C if that is anchored.
    n_clusters_ : int
        K, given or estimated.
    candidate_ : dmsc.selection.Candidate
        Where the labels are from: epoch, reading and, if chosen by it, subspace consistency.
    n_features_in_, feature_names_in_
        As in scikit-learn, if X is (N, D).

    References
    ----------
    Ji et al., "Deep Subspace Clustering Networks", NIPS 2017.

    Examples
    --------
    >>> from dmsc import load_dataset
    >>> X = load_dataset("synthetic", n_samples=60, subspace_dim=2, noise=0.0).Xs[0]
    >>> model = DSC(3, pretrain_epochs=5, finetune_epochs=5, lambda_self_expression=10.0,
    ...             settings={"coefficients_init": "closed-form"}, random_state=0)  # near the end: few epochs suffice
    >>> np.bincount(model.fit_predict(X))
    array([20, 20, 20])
    """

    norm: int = 2

    def _description(self) -> Method:
        return self._configure(METHODS[f"dsc-l{int(one_of('norm', self.norm, (1, 2)))}"])


@dataclass(eq=False, repr=False)
class DMSC(_Network):
    """Deep multimodal subspace clustering: several views of the same samples, one C.

    Parameters
    ----------
    fusion : {"early", "intermediate", "late", "affinity", "cmsc-dcca"}
        Where the views meet: inside one encoder, for images of sizes that fit; in C; or in C with correlated latents.
    fusion_function : {"sum", "max", "concat"}
        How feature maps are joined, in early, intermediate and late fusion.
    n_clusters, ...
        All others, and what is left behind, as in `DSC`.

    References
    ----------
    Abavisani, Patel, "Deep Multimodal Subspace Clustering Networks", 2018; Gao et al., "Cross-Modal Subspace Clustering
    via Deep Canonical Correlation Analysis", AAAI 2020.

    Examples
    --------
    >>> from dmsc import load_dataset
    >>> Xs = load_dataset("synthetic", n_samples=60, subspace_dim=2, noise=0.0).Xs
    >>> model = DMSC(3, pretrain_epochs=5, finetune_epochs=5, lambda_self_expression=10.0,
    ...              settings={"coefficients_init": "closed-form"}, random_state=0)
    >>> np.bincount(model.fit_predict(Xs))
    array([20, 20, 20])
    """

    fusion: str = "affinity"
    fusion_function: str = "concat"

    def fit(self, Xs: Sequence[np.ndarray], y: Any = None, masks: Sequence[np.ndarray] | None = None) -> DMSC:
        """Cluster samples that several views show.

        Parameters
        ----------
        Xs : list of arrays (N, D) or (N, C, H, W)
            One per view.
        y : ignored
            For scikit-learn's pipelines.
        masks : list of bool arrays (N,), optional
            One per view: which samples have it.

        Returns
        -------
        self
        """
        return self._fit(Xs, masks)

    def _description(self) -> Method:
        one_of("fusion", self.fusion, (*PLACES, "affinity", "cmsc-dcca"))
        one_of("fusion_function", self.fusion_function, FUNCTIONS)
        spatial = self.fusion in PLACES
        return self._configure(METHODS[f"{self.fusion}-{self.fusion_function}" if spatial else self.fusion])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False  # but a list of arrays
        return tags


@dataclass(eq=False, repr=False)
class SSC(_Classical):
    """Sparse subspace clustering: every sample is a combination of few others.

    Parameters
    ----------
    n_clusters, reading, reading_options, max_clusters, random_state
        As in `DSC`.
    alpha, tol
        As in `dmsc.baselines.ssc`.

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
    n_clusters, reading, reading_options, max_clusters, random_state
        As in `DSC`.
    penalty, n_components, tol
        As in `dmsc.baselines.lrr`. C is 0 up to a penalty of 1 / s², where s is the largest singular value of the
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
    n_clusters, reading, reading_options, max_clusters, random_state
        As in `DSC`.
    n_nonzero, tol
        As in `dmsc.baselines.ssc_omp`.

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
    n_clusters, reading, reading_options, max_clusters, random_state
        As in `DSC`.
    ridge
        As in `dmsc.baselines.least_squares`: chosen on held-out features if None.

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


def _dictionary(name: str, value: Any) -> dict:
    if value is not None and not isinstance(value, dict):
        raise TypeError(f"{name} must be a dictionary or None, got {value!r}")
    return value or {}


@contextmanager
def _generators_kept(device: torch.device) -> Iterator[None]:
    """Give the global random generators, which training seeds, back as they were."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
