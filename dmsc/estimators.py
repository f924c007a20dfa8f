"""The scikit-learn face of the networks: estimators with ``fit``, ``fit_predict`` and ``labels_``.

What they share with the baselines is in :mod:`dmsc.baseline_estimators`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass

import numpy as np
import torch

from .baseline_estimators import (
    LRR,
    POST_OPTIONS,
    SSC,
    SSCOMP,
    RidgeSelfExpression,
    _dictionary,
    _SingleView,
    _SubspaceClusterer,
    estimate_n_clusters,
)
from .checks import one_of
from .data.dataset import Dataset
from .devices import resolve_device
from .experiments.fitting import Fit, fit_network
from .fusion import FUNCTIONS, PLACES
from .methods import Method
from .presets import METHODS, override

__all__ = ["DMSC", "DSC", "LRR", "SSC", "SSCOMP", "RidgeSelfExpression", "estimate_n_clusters"]

#: No settings: what has a place among the parameters, or would undo them.
RESERVED = ("name", "source", "fusion", "loss", "correlation", "post", *POST_OPTIONS)


@dataclass(eq=False, repr=False)
class _Network(_SubspaceClusterer):
    _: KW_ONLY
    pretrain_epochs: int = 100
    finetune_epochs: int = 100
    learning_rate: float = 1e-3
    lambda_regularization: float = 1.0
    lambda_self_expression: float = 1.0
    settings: dict | None = None
    device: str = "auto"
    progress: bool = False

    def _configure(self, method: Method) -> Method:
        """Return a method with this estimator's parameters and settings in it."""
        settings, own = _dictionary("settings", self.settings), self.get_params(deep=False)
        if taken := [name for name in settings if name in {*own, *RESERVED}]:
            raise ValueError(
                f"settings can't hold {taken[0]!r}: that is up to {type(self).__name__}'s parameters and post_options"
            )
        names = ("pretrain_epochs", "finetune_epochs", "learning_rate", "lambda_regularization")
        return override(method, **settings, **{name: own[name] for name in (*names, "lambda_self_expression")})

    def _solve(self, dataset: Dataset, method: Method, seed: int) -> Fit:
        device = resolve_device(self.device)
        options = {
            "seed": seed,
            "device": device,
            "progress": self.progress,
            "all_epochs": self.post_processing == "selected" and not isinstance(self.n_clusters, str),
        }
        with _generators_kept(device):
            return fit_network(dataset, method, **options)


@dataclass(eq=False, repr=False)
class DSC(_SingleView, _Network):
    r"""Deep subspace clustering of one view (DSC-Net).

    An autoencoder whose latents express each other, :math:`Z \approx C Z`; the graph of C is cut into clusters. There
    is no ``predict``: C is about the samples that it was fitted to.

    Parameters
    ----------
    n_clusters : int or "eigengap"
        K. "eigengap" fits C first and applies :func:`estimate_n_clusters` to its plain affinity.
    norm : {1, 2}
        p of the penalty on C: DSC-Net-L1 (whose C has a zero diagonal) or DSC-Net-L2.
    pretrain_epochs, finetune_epochs : int
        Length of the two steps.
    learning_rate : float
        Adam's.
    lambda_regularization, lambda_self_expression : float
        lambda_1 of :math:`\|C\|_p^p` and lambda_2 of :math:`\|Z - C Z\|_F^2`. The terms are sums over samples and
        features: what is good depends on N and on the scale of X.
    settings : dict, optional
        Any other setting that :func:`dmsc.presets.override` knows: ``dense`` or ``convolutions`` (the network),
        ``input_scale``, ``coefficients_init``, ...
    post_processing : {"plain", "paper", "selected"}
        How C becomes labels: by its plain affinity; by the papers' threshold and subspace affinity; or by the rule of
        :mod:`dmsc.selection`, which needs no labels to choose between these two and among the epochs (if K is
        estimated, the last one is the only one). ``coefficients_`` is C after the last epoch in any case.
    post_options : dict, optional
        ``ratio``, ``dim``, ``alpha``, ``unit_diagonal``, ``assign`` of "paper", as in
        :class:`dmsc.methods.PostProcessing`.
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
    affinity_matrix_ : array (N, N)
        W of ``coefficients_``, with the post-processing that gave the labels.
    coefficients_ : array (N, N)
        C; row i says how sample i is made of the others.
    history_ : dict
        ``pretrain`` and ``finetune``: terms of the loss per epoch.
    model_ : dmsc.model.SubspaceNetwork
        The trained network.
    n_clusters_ : int
        K, given or estimated.
    candidate_ : dmsc.selection.Candidate
        Where the labels are from: epoch, post-processing, subspace consistency.
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
    ...             settings={"coefficients_init": "ridge"}, random_state=0)  # a start near the end: few epochs suffice
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
        All others, and what is left behind, as in :class:`DSC`.

    References
    ----------
    Abavisani, Patel, "Deep Multimodal Subspace Clustering Networks", 2018; Gao et al., "Cross-Modal Subspace Clustering
    via Deep Canonical Correlation Analysis", AAAI 2020.

    Examples
    --------
    >>> from dmsc import load_dataset
    >>> Xs = load_dataset("synthetic", n_samples=60, subspace_dim=2, noise=0.0).Xs
    >>> model = DMSC(3, pretrain_epochs=5, finetune_epochs=5, lambda_self_expression=10.0,
    ...              settings={"coefficients_init": "ridge"}, random_state=0)
    >>> np.bincount(model.fit_predict(Xs))
    array([20, 20, 20])
    """

    fusion: str = "affinity"
    fusion_function: str = "concat"

    def fit(self, Xs, y=None, masks=None):
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

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False  # but a list of arrays
        return tags


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
