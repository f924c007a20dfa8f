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
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from .baselines import CHOICES
from .checks import integer, one_of
from .cluster_number import estimate_n_clusters
from .clusterer import READING_OPTIONS, SingleView, SubspaceClusterer, dictionary
from .data import Dataset
from .data.arrays import view_label, view_list
from .devices import as_tensors, cards_in_use, resolve_device
from .experiments.fitting import Fit, fit_baseline, fit_network
from .experiments.memory import auto_anchors
from .fusion import FUNCTIONS, PLACES
from .losses import repeat_last
from .methods import NOT_ANCHORED, Baseline, Method
from .out_of_sample import NearestSubspace
from .presets import BASELINES, override, preset
from .scaling import fit_scaling, one_scale_each

__all__ = ["DMSC", "DSC", "LRR", "SSC", "SSCOMP", "RidgeSelfExpression", "estimate_n_clusters"]

#: No settings of a network: what has a place among the parameters, or would undo them.
RESERVED = ("name", "source", "fusion", "loss", "correlation", "reading", *READING_OPTIONS)


class _Classical(SingleView):
    _name: str  # in BASELINES

    def _description(self) -> Baseline:
        """Return the baseline with the fields that a class adds: the parameters of its function."""
        common = {field.name for field in fields(SubspaceClusterer)}
        own = {name: value for name, value in self.get_params(deep=False).items() if name not in common}
        return replace(BASELINES[self._name], parameters=own)

    def _solve(self, dataset: Dataset, method: Baseline, seed: int, readings: Sequence[str]) -> Fit:
        return fit_baseline(dataset, method, seed=seed, readings=readings)

    def _remember(self, dataset: Dataset, method: Baseline, fit: Fit) -> None:
        super()._remember(dataset, method, fit)
        name, _ = CHOICES[self._name]
        setattr(self, f"{name}_", fit.chosen.get(name, getattr(self, name)))


@dataclass(eq=False, repr=False)
class _Network(SubspaceClusterer):
    _: KW_ONLY
    pretrain_epochs: int = 100
    finetune_epochs: int = 100
    learning_rate: float = 1e-3
    lambda_regularization: float = 1.0
    lambda_self_expression: float = 10.0
    scale: str | Sequence[str] = "auto"
    n_neighbors: int | str | None = "auto"
    neighbors: str = "auto"
    anchors: int | str | None = "auto"
    settings: dict | None = None
    device: str = "auto"
    progress: bool = False

    def _configure(self, name: str) -> Method:
        """Return the method of a name for data of one's own, with this estimator's parameters and settings in it."""
        settings, own = dictionary("settings", self.settings), self.get_params(deep=False)
        if taken := [name for name in settings if name in {*own, *RESERVED}]:
            raise ValueError(
                f"settings can't hold {taken[0]!r}: that is up to {type(self).__name__}'s parameters and "
                "reading_options"
            )
        names = ["pretrain_epochs", "finetune_epochs", "learning_rate", "lambda_regularization"]
        names += ["lambda_self_expression", "scale", "n_neighbors", "neighbors"]
        if isinstance(self.anchors, str):
            one_of("anchors", self.anchors, ("auto",))
        common = {name: own[name] for name in names}
        anchors = None if isinstance(self.anchors, str) else self.anchors
        method = preset(name, "", 1, **settings, **common)
        assert isinstance(method, Method)  # as any of a network
        return self._anchored(method, anchors)

    def _anchored(self, method: Method, anchors: int | None) -> Method:
        """Return a method with so many anchors; what can't go with them gives way, or is told if it was asked for."""
        if anchors is None:
            return method
        asked = {**(self.settings or {}), **({} if self.n_neighbors == "auto" else {"n_neighbors": self.n_neighbors})}
        return override(method, **{name: asked[name] for name in NOT_ANCHORED if name in asked}, anchors=anchors)

    def _may_have_anchors(self, method: Method, dataset: Dataset) -> bool:
        asked = [name for name in NOT_ANCHORED if name in (self.settings or {})]
        asked += ["n_neighbors"] * isinstance(self.n_neighbors, int)
        plain = self.reading == "plain" and self.n_clusters not in ("modularity", "silhouette")
        usual = method.loss.norm == 2 and method.correlation is None and not asked
        return plain and usual and dataset.masks is None

    def _sized(self, method: Method, dataset: Dataset) -> Method:
        if self.anchors == "auto" and self._may_have_anchors(method, dataset):
            device = resolve_device(self.device)
            method = self._anchored(method, auto_anchors(dataset, method, device, (self.reading,)))
        if method.anchors is not None and self.reading != "plain":
            raise ValueError(
                f"reading={self.reading!r} needs C (N, N), not anchors={method.anchors}: use reading='plain', or "
                "anchors=None"
            )
        if method.anchors is not None and isinstance(self.n_clusters, str):
            integer("anchors", method.anchors, 3)  # two gaps at least
            one_of("n_clusters, with anchors,", self.n_clusters, ("eigengap",))
        return method

    def _solve(self, dataset: Dataset, method: Method, seed: int, readings: Sequence[str]) -> Fit:
        device = resolve_device(self.device)
        with _generators_kept(device):
            return fit_network(dataset, method, seed=seed, device=device, readings=readings, progress=self.progress)

    @torch.no_grad()
    def _latents(self, Xs: Sequence[np.ndarray]) -> list[np.ndarray]:
        Xs = [scaling(X) for scaling, X in zip(self._scalings, Xs, strict=True)]
        if self._among_views:
            return Xs
        device = next(self.model_.parameters()).device
        return [Z.cpu().numpy() for Z in self.model_.encode(as_tensors(Xs, device, self._input_scale))]

    @torch.no_grad()
    def _remember(self, dataset: Dataset, method: Method, fit: Fit) -> None:
        assert fit.model is not None and fit.Xs is not None  # as after any network
        self._input_scale = method.input_scale
        masks: Sequence[np.ndarray | None] = [None] * dataset.n_views if dataset.masks is None else dataset.masks
        scale = self.chosen_.get("scale", method.scale)
        views = list(zip(dataset.Xs, masks, strict=True))
        scales = one_scale_each(scale, len(views))
        self._scalings = [fit_scaling(X, own, mask) for (X, mask), own in zip(views, scales, strict=True)]
        self._among_views = self.chosen_.get("n_neighbors", method.n_neighbors) is not None  # neighbors are theirs
        if self._among_views:
            scaled = [scaling(*view) for scaling, view in zip(self._scalings, views, strict=True)]
            self._clusters = NearestSubspace(scaled, self.labels_)
            return
        Zs = [Z.cpu().numpy() for Z in fit.model.encode(fit.Xs, fit.masks)]
        self._clusters = NearestSubspace(Zs, self.labels_, repeat_last(method.loss.self_expression, len(Zs)))


@dataclass(eq=False, repr=False)
class DSC(SingleView, _Network):
    """Deep subspace clustering of one view (DSC-Net).

    An autoencoder whose latents express each other, Z ≈ C Z; the graph of C is cut into clusters. C is about the
    samples that it was fitted to; ``predict`` brings new ones to the clusters that express them best: their latents, or
    the scaled views themselves where C is between nearest neighbors, which are found there.

    Parameters
    ----------
    n_clusters : int, "modularity", "eigengap" or "silhouette"
        K; or how to choose it: C is fitted first, then the K with the highest score is taken, see
        `dmsc.cluster_number.cluster_number_scores`. On real data "modularity" comes nearest, and seldom hits.
        "eigengap" looks at the plain affinity of C, the others at that of the 20 strongest coefficients of each sample.
    norm : {1, 2}
        p of the penalty on C: DSC-Net-L1 (whose C has a zero diagonal) or DSC-Net-L2.
    pretrain_epochs, finetune_epochs : int
        Length of the two steps.
    learning_rate : float
        Adam's; C's own is the setting ``coefficients_learning_rate``, 1e-4, as C starts at a solution.
    lambda_regularization, lambda_self_expression : float
        lambda_1 of ‖C‖_p^p and lambda_2 of ‖Z - C Z‖²_F, relative to ‖Z‖²_F / N: they mean the same for any N, any
        number of features and any units (``settings={"relative": False}`` for the papers' sums).
    scale : {"auto", "unit", "standard", "tf-idf", "none"}, or one of them per view
        What the views are brought to, see `dmsc.scaling.fit_scaling`; "auto" chooses without labels, see
        `dmsc.experiments.choosing.choose_scale`; "none" is for the papers' weights, which depend on the units.
    n_neighbors : int, "auto" or None
        Let C be between so many neighbors only; None, as in the papers: between all samples. "auto" is 10 or 20.
    neighbors : {"auto", "cosine", "coefficients"}
        By what they are neighbors: how similar they are, or how much they express each other, as the faces of one
        person do under changing light. "auto" chooses without labels, with the scale.
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
        Largest K that is considered where K is chosen.
    device : str
        "auto", "cpu" or "cuda".
    progress : bool
        Show bars (only where stderr is a terminal).
    random_state : int, RandomState or None
        An int is the seed itself, as in ``dmsc run``; otherwise the seed is drawn.
    verbose : bool
        Print one line about the result after fitting.

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
    chosen_ : dict
        ``scale``, ``neighbors`` and ``n_neighbors``, where they were chosen.
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
    >>> model = DSC(3, pretrain_epochs=5, finetune_epochs=5, random_state=0)
    >>> np.bincount(model.fit_predict(X))
    array([20, 20, 20])
    """

    norm: int = 2

    def _description(self) -> Method:
        return self._configure(f"dsc-l{int(one_of('norm', self.norm, (1, 2)))}")


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
    >>> model = DMSC(3, pretrain_epochs=5, finetune_epochs=5, random_state=0)
    >>> np.bincount(model.fit_predict(Xs))
    array([20, 20, 20])
    """

    fusion: str = "affinity"
    fusion_function: str = "concat"

    def fit(self, Xs: Any, y: Any = None, masks: Any = None) -> DMSC:
        """Cluster samples that several views show.

        Parameters
        ----------
        Xs : list of arrays (N, D) or (N, C, H, W), or dict of name to array
            One per view; also frames, sparse matrices, an array (M, N, D), see `dmsc.data.arrays.view_list`.
        y : ignored
            For scikit-learn's pipelines.
        masks : list of arrays (N,), optional
            One per view: which samples have it, as bool or 0 and 1; or a matrix, frame or dict, see
            `dmsc.data.arrays.mask_arrays`. `dmsc.data.masks_from_nan` makes them where views hold NaN.

        Returns
        -------
        self
        """
        return self._fit(Xs, masks)

    def predict(self, Xs: Any) -> np.ndarray:
        """Return the clusters of new samples: of each the one whose members express it best.

        See `dmsc.out_of_sample.NearestSubspace`. Samples that were clustered needn't get their own label again.

        Parameters
        ----------
        Xs : list or dict of arrays (n, ...)
            As in ``fit``, and with all views: there are no masks. A dict is read by its names.

        Returns
        -------
        array (n,), int64
        """
        check_is_fitted(self, "labels_")
        arrays, names = view_list(Xs)
        if names is not None:
            if set(names) != set(self._views):
                raise ValueError(f"views must be {', '.join(self._views)}, as in fit, got {', '.join(names)}")
            arrays, names = [arrays[names.index(name)] for name in self._views], tuple(self._views)
        return self._predict(arrays, [view_label(i, names) for i in range(len(arrays))])

    def _description(self) -> Method:
        one_of("fusion", self.fusion, (*PLACES, "affinity", "cmsc-dcca"))
        one_of("fusion_function", self.fusion_function, FUNCTIONS)
        spatial = self.fusion in PLACES
        return self._configure(f"{self.fusion}-{self.fusion_function}" if spatial else self.fusion)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False  # but a list of arrays
        return tags


@dataclass(eq=False, repr=False)
class SSC(_Classical):
    """Sparse subspace clustering: every sample is a combination of few others.

    Parameters
    ----------
    n_clusters, reading, reading_options, max_clusters, random_state, verbose
        As in `DSC`.
    alpha, tol
        As in `dmsc.baselines.ssc`: alpha is chosen without labels if None.

    Attributes
    ----------
    alpha_ : float
        The weight of the error, given or chosen.
    labels_, ...
        As in `DSC`, without a network.

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
    alpha: float | None = None
    tol: float = 1e-6


@dataclass(eq=False, repr=False)
class LRR(_Classical):
    """Low-rank representation: all samples together use as few directions as possible.

    Parameters
    ----------
    n_clusters, reading, reading_options, max_clusters, random_state, verbose
        As in `DSC`.
    penalty, n_components, tol
        As in `dmsc.baselines.lrr`, of X with unit rows: the penalty is chosen without labels if None.

    Attributes
    ----------
    penalty_ : float
        The penalty, given or chosen.
    labels_, ...
        As in `DSC`, without a network.

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
    penalty: float | None = None
    n_components: int | None = None
    tol: float = 1e-6


@dataclass(eq=False, repr=False)
class SSCOMP(_Classical):
    """Sparse subspace clustering by orthogonal matching pursuit, the greedy way to few coefficients.

    Parameters
    ----------
    n_clusters, reading, reading_options, max_clusters, random_state, verbose
        As in `DSC`.
    n_nonzero, tol
        As in `dmsc.baselines.ssc_omp`: n_nonzero is chosen without labels if None.

    Attributes
    ----------
    n_nonzero_ : int
        Coefficients per row at most, given or chosen.
    labels_, ...
        As in `DSC`, without a network.

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
    n_nonzero: int | None = 10
    tol: float = 1e-6


@dataclass(eq=False, repr=False)
class RidgeSelfExpression(_Classical):
    """Least squares self-expression, the closed form of EDSC.

    Parameters
    ----------
    n_clusters, reading, reading_options, max_clusters, random_state, verbose
        As in `DSC`.
    ridge
        As in `dmsc.baselines.least_squares`: chosen on held-out features if None.

    Attributes
    ----------
    ridge_ : float
        The penalty, given or chosen.
    labels_, ...
        As in `DSC`, without a network.

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


@contextmanager
def _generators_kept(device: torch.device) -> Iterator[None]:
    """Give the global random generators, which training seeds, back as they were."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(cards_in_use(device)):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
