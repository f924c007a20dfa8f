r"""Anchored self-expression: N samples written as combinations of m of them, linear in N.

With m anchors among the samples, A^l = Z^l[anchors], the coefficients are C (N, m) instead of (N, N):

.. math:: \min_C \; \sum_l v_l \|Z^l - C A^l\|_F^2 + \text{ridge} \, \|C\|_F^2.

C costs O(N m d) time and O(N m) memory; :mod:`dmsc.anchored_graph` reads clusters off it. There are no networks
here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.cluster import MiniBatchKMeans
from sklearn.metrics import pairwise_distances_argmin
from threadpoolctl import threadpool_limits

from ..checks import integer, one_of, positive_number
from ..clustering import unit_rows
from ..spectral import SEED_LIMIT
from .anchored_graph import (
    BLOCK,
    anchored_affinity_factor,
    anchored_clustering,
    anchored_embedding,
    as_tensor,
    threshold_rows,
)

__all__ = [
    "AnchorSolver",
    "anchored_affinity_factor",
    "anchored_clustering",
    "anchored_embedding",
    "anchored_ridge",
    "choose_anchors",
    "threshold_rows",
]

SAMPLES_PER_ANCHOR = 20  # among which anchors are looked for


def choose_anchors(
    Xs: Sequence[np.ndarray | torch.Tensor], n_anchors: int, *, method: str = "kmeans", seed: int = 0
) -> np.ndarray:
    """Choose samples that stand for all, without labels.

    Parameters
    ----------
    Xs : sequence of arrays or tensors (N, ...)
        Views or latents of the same N samples.
    n_anchors : int
        m.
    method : {"kmeans", "random"}
        "kmeans" takes the samples nearest to the m centers of k-means on the unit rows of all views side by side. It
        looks at no more than 20 m samples, drawn at random; where one sample is nearest to two centers, a random one
        is added. "random" takes any.
    seed : int
        Of the draws and of k-means.

    Returns
    -------
    array (m,), int64
        Indices of the anchors, ascending.

    Raises
    ------
    ValueError
        If there are fewer samples than anchors, or the views disagree about N.

    References
    ----------
    Chen, Cai, "Large Scale Spectral Clustering with Landmark-Based Representation", AAAI 2011.
    """
    n_samples = _same_samples(Xs)
    n_anchors = integer("n_anchors", n_anchors, 1, n_samples)
    one_of("method", method, ("kmeans", "random"))
    generator = np.random.default_rng(integer("seed", seed, 0, SEED_LIMIT))
    if method == "random" or n_anchors == n_samples:
        return np.sort(generator.choice(n_samples, n_anchors, replace=False))
    seen = np.sort(generator.choice(n_samples, min(SAMPLES_PER_ANCHOR * n_anchors, n_samples), replace=False))
    rows = np.hstack(unit_rows([as_tensor(X[seen]).cpu().numpy() for X in Xs]))  # (20 m, sum of D)
    with threadpool_limits(limits=1):  # sums keep their order
        kmeans = MiniBatchKMeans(n_anchors, batch_size=1024, n_init=1, random_state=seed).fit(rows)
        nearest = np.unique(pairwise_distances_argmin(kmeans.cluster_centers_, rows))
    others = np.setdiff1d(np.arange(len(seen)), nearest)
    added = generator.choice(others, n_anchors - len(nearest), replace=False)
    return seen[np.sort(np.concatenate([nearest, added]))]


class AnchorSolver:
    r"""The best C for given anchors, sample by sample; every operation can be differentiated.

    With the Gram matrix of the anchors :math:`P = (\sum_l v_l A^l A^{l\top} + \text{ridge}\, I)^{-1}` a sample's
    coefficients are :math:`c = \sum_l v_l z^l A^{l\top} P`. A sample that is anchor j itself must do without: then
    :math:`c - c_j P_j / P_{jj}` is the best c with :math:`c_j = 0`.

    Parameters
    ----------
    As : sequence of tensors (m, d_l)
        The anchors' latents.
    ridge : float
        Penalty, > 0.
    weights : sequence of float
        v_l.
    """

    def __init__(self, As: Sequence[torch.Tensor], ridge: float, weights: Sequence[float]):
        wide = [A.double() for A in As]
        gram = sum(v * A @ A.T for v, A in zip(weights, wide, strict=True))
        ridge = ridge * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
        try:
            self.P = torch.cholesky_inverse(torch.linalg.cholesky(gram + ridge))  # (m, m)
        except torch.linalg.LinAlgError:
            what = "too ill-conditioned for this ridge" if gram.isfinite().all() else "not finite"
            raise ValueError(
                f"the Gram matrix of the anchors is {what}: raise the ridge, or in training lower the learning rate"
            ) from None
        self.maps = [v * A.T @ self.P for v, A in zip(weights, wide, strict=True)]  # (d_l, m) each

    def __call__(self, Zs: Sequence[torch.Tensor], own: torch.Tensor | None = None) -> torch.Tensor:
        """Return C (n, m) for latents (n, d_l); ``own`` (n,) says which anchor each sample is, -1 for none."""
        C = sum(Z @ map_.to(Z.dtype) for Z, map_ in zip(Zs, self.maps, strict=True))
        if own is None:
            return C
        rows = (own >= 0).nonzero().squeeze(1)
        j = own[rows]
        share = C[rows, j] / self.P[j, j].to(C.dtype)
        C = C.index_add(0, rows, -share[:, None] * self.P[j].to(C.dtype))
        return C.index_put((rows, j), C.new_zeros(()))  # of which rounding may have left something


def anchored_ridge(
    Zs: Sequence[np.ndarray | torch.Tensor],
    anchors: np.ndarray | torch.Tensor,
    ridge: float,
    *,
    weights: Sequence[float] | None = None,
    zero_diagonal: bool = True,
    dtype: torch.dtype = torch.float64,
    block_size: int = BLOCK,
) -> torch.Tensor:
    r"""Solve anchored self-expression with an L2 penalty in closed form.

    .. math:: \min_C \; \sum_l v_l \|Z^l - C A^l\|_F^2 + \text{ridge} \, \|C\|_F^2, \qquad A^l = Z^l[\text{anchors}]

    With all samples as anchors it is :func:`dmsc.self_expression.ridge_self_expression`. All is computed in float64,
    block by block.

    Parameters
    ----------
    Zs : sequence of arrays or tensors (N, ...)
        Latents or raw views of the same N samples; anything past the first axis is flattened.
    anchors : array or tensor (m,)
        Indices of different samples.
    ridge : float
        Penalty, > 0.
    weights : sequence of float, optional
        One v_l per latent; 1 by default.
    zero_diagonal : bool
        Forbid an anchor to explain itself.
    dtype : torch.dtype
        Of the result: float32 halves the memory that N x m numbers need.
    block_size : int
        Samples at a time.

    Returns
    -------
    tensor (N, m) of ``dtype``, where the first latent is
        Row i says how sample i is made of the anchors.

    Raises
    ------
    ValueError
        If the penalty isn't positive, the latents or weights disagree, or the anchors aren't different samples.

    References
    ----------
    Kang et al., "Large-Scale Multi-View Subspace Clustering in Linear Time", AAAI 2020.
    """
    ridge = positive_number("ridge", ridge)
    n_samples, block_size = _same_samples(Zs), integer("block_size", block_size, 1)
    weights = [1.0] * len(Zs) if weights is None else list(weights)
    if len(weights) != len(Zs):
        raise ValueError(f"one weight per latent is needed: got {len(weights)} weights for {len(Zs)} latents")
    Zs = [as_tensor(Z).flatten(1) for Z in Zs]
    anchors = check_anchors(anchors, n_samples).to(Zs[0].device)
    solve = AnchorSolver([Z[anchors] for Z in Zs], ridge, weights)
    own = own_anchor(anchors, n_samples) if zero_diagonal else None
    C = torch.empty(n_samples, len(anchors), dtype=dtype, device=anchors.device)
    for start in range(0, n_samples, block_size):
        rows = slice(start, start + block_size)
        C[rows] = solve([Z[rows].double() for Z in Zs], None if own is None else own[rows])
    return C


def check_anchors(anchors: np.ndarray | torch.Tensor, n_samples: int) -> torch.Tensor:
    """Return anchors as int64 tensor (m,), or say why they aren't different samples out of N."""
    found = torch.as_tensor(anchors)
    if found.ndim != 1 or found.numel() == 0 or found.is_floating_point() or found.dtype == torch.bool:
        raise ValueError(f"anchors must be indices (m,), got {found.dtype} of shape {tuple(found.shape)}")
    found = found.long()
    if found.min() < 0 or found.max() >= n_samples:
        wrong = found[(found < 0) | (found >= n_samples)][0].item()
        raise ValueError(f"anchors must be indices from 0 to {n_samples - 1}, got {wrong}")
    if len(found.unique()) < len(found):
        raise ValueError(f"anchors must be different samples, got {len(found.unique())} in {len(found)} indices")
    return found


def own_anchor(anchors: torch.Tensor, n_samples: int) -> torch.Tensor:
    """Return which anchor each sample is (N,), -1 for none."""
    own = torch.full((n_samples,), -1, device=anchors.device)
    own[anchors] = torch.arange(len(anchors), device=anchors.device)
    return own


def _same_samples(Xs: Sequence[np.ndarray | torch.Tensor]) -> int:
    counts = [len(X) for X in Xs]
    if len(set(counts)) != 1 or not counts[0]:
        raise ValueError(f"all views or latents must have the same samples, at least one, got {counts}")
    return counts[0]
