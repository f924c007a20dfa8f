"""Self-expression: every sample written as a combination of the others, Z = C Z.

Convention of this project: samples are **rows**. A latent matrix is Z (N, d), the coefficients are C (N, N), and row i
of C says how sample i is made of the others: z_i = sum_j C_ij z_j. (The papers put samples in columns, Z = Z C; their C
is the transpose of ours. The authors' code uses rows, as we do.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from .checks import check_masks, integer, positive_number

__all__ = ["RIDGES", "SelfExpression", "choose_ridge", "ridge_self_expression"]

#: Penalties that :func:`choose_ridge` tries.
RIDGES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


class SelfExpression(nn.Module):
    """The fully connected layer without bias whose weights are the coefficients C.

    Parameters
    ----------
    n_samples : int
        N; the layer holds an (N, N) parameter.
    init : float
        Initial value of every coefficient (the authors use 0, 1e-8 or 1e-4).
    zero_diagonal : bool
        Work with C - diag(C), so that no sample explains itself (the listing, and DSC-Net-L1).

    References
    ----------
    Ji et al., NIPS 2017, section 3.1; Abavisani & Patel, 2018, section III-B (one C shared by all modalities).
    """

    def __init__(self, n_samples: int, init: float = 1e-4, zero_diagonal: bool = False):
        super().__init__()
        n_samples = integer("n_samples", n_samples, 1)
        self.weight = nn.Parameter(torch.full((n_samples, n_samples), float(init)))
        self.zero_diagonal = zero_diagonal

    def forward(self, Z: torch.Tensor) -> torch.Tensor:
        """Return C Z for latents Z (N, d)."""
        expressed = self.weight @ Z  # (N, d)
        if self.zero_diagonal:  # (W - diag W) Z, without an N x N temporary
            expressed = expressed - self.weight.diagonal()[:, None] * Z
        return expressed

    def norm(self, p: int) -> torch.Tensor:
        """Return sum |C_ij|^p for p = 1 or 2: the regularizer of DSC-Net-L1 or DSC-Net-L2."""
        W, d = self.weight, self.weight.diagonal()
        if p == 1:
            return W.abs().sum() - (d.abs().sum() if self.zero_diagonal else 0)
        return torch.dot(W.view(-1), W.view(-1)) - (torch.dot(d, d) if self.zero_diagonal else 0)

    @property
    def coefficients(self) -> torch.Tensor:
        """C (N, N), detached, with its zero diagonal where that is asked for."""
        C = self.weight.detach().clone()
        return C.fill_diagonal_(0) if self.zero_diagonal else C

    @torch.no_grad()
    def set_coefficients(self, C: torch.Tensor) -> None:
        """Start from given coefficients C (N, N), such as :func:`ridge_self_expression`'s."""
        self.weight.copy_(C)


def ridge_self_expression(
    Zs: Sequence[np.ndarray | torch.Tensor],
    ridge: float,
    *,
    zero_diagonal: bool = True,
    weights: Sequence[float] | None = None,
    masks: Sequence[np.ndarray | torch.Tensor] | None = None,
) -> torch.Tensor:
    r"""Solve self-expression with an L2 penalty in closed form.

    .. math:: \min_C \; \sum_l v_l \|Z^l - C Z^l\|_F^2 + \text{ridge} \, \|C\|_F^2
              \quad (\text{optionally } \mathrm{diag}(C) = 0)

    With the Gram matrix :math:`G = \sum_l v_l Z^l Z^{l\top}` and :math:`P = (G + \text{ridge}\, I)^{-1}` the solution
    is :math:`C = G P = I - \text{ridge}\,P`, or with a zero diagonal :math:`C_{ij} = -P_{ij} / P_{ii}`.

    Parameters
    ----------
    Zs : sequence of arrays or tensors (N, ...)
        Latents or raw views of the same N samples; anything past the first axis is flattened.
    ridge : float
        Penalty, > 0. In the networks' loss it is lambda_1 / lambda_2.
    zero_diagonal : bool
        Forbid a sample to explain itself.
    weights : sequence of float, optional
        One v_l per latent; 1 by default.
    masks : sequence of bool arrays (N,), optional
        Which samples have which latent, whose rows are 0 where it is missing. A sample is expressed in those latents
        that it has: one solution per pattern of missing latents.

    Returns
    -------
    torch.Tensor (N, N), float64
        The coefficients C.

    Raises
    ------
    ValueError
        If ridge is not positive, or the latents' sizes or weights disagree.

    References
    ----------
    Ji, Salzmann, Li, "Efficient Dense Subspace Clustering", WACV 2014; Lu et al., "Robust and Efficient Subspace
    Segmentation via Least Squares Regression", ECCV 2012, eq. 14.
    """
    ridge = positive_number("ridge", ridge)
    Zs = [torch.as_tensor(np.array(Z) if isinstance(Z, np.ndarray) else Z.detach()).flatten(1).double() for Z in Zs]
    weights = [1.0] * len(Zs) if weights is None else list(weights)
    if not Zs or len(weights) != len(Zs):
        raise ValueError(f"one weight per latent is needed: got {len(weights)} weights for {len(Zs)} latents")
    if len({len(Z) for Z in Zs}) != 1:
        raise ValueError(f"all latents must have the same samples, got {[len(Z) for Z in Zs]}")
    grams = [v * (Z @ Z.T) for v, Z in zip(weights, Zs, strict=True)]  # (N, N) each
    identity = torch.eye(len(grams[0]), dtype=torch.float64, device=grams[0].device)

    def solve(G: torch.Tensor) -> torch.Tensor:
        P = torch.cholesky_inverse(torch.linalg.cholesky(G + ridge * identity))
        return (-P / P.diagonal()[:, None]).fill_diagonal_(0) if zero_diagonal else identity - ridge * P

    if masks is None:
        return solve(sum(grams))
    check_masks(masks, len(Zs), len(identity))
    has = torch.stack([torch.as_tensor(np.array(m) if isinstance(m, np.ndarray) else m) for m in masks], 1)  # (N, M)
    C = torch.empty_like(identity)
    for pattern in has.unique(dim=0):
        rows = (has == pattern).all(1)
        C[rows] = solve(sum(G for G, seen in zip(grams, pattern, strict=True) if seen))[rows]
    return C


def choose_ridge(Xs: Sequence[np.ndarray], ridges: Sequence[float] = RIDGES, seed: int = 0) -> float:
    r"""Choose the penalty of the closed form without labels.

    The features of each view are split at random into halves A and B. C is fitted on A, and the penalty is taken with
    which the same C best expresses the unseen features: :math:`\sum_m \|X^m_B - C X^m_B\|_F^2`.

    Parameters
    ----------
    Xs : sequence of arrays (N, ...)
        Views; anything past the first axis is flattened.
    ridges : sequence of float
        Candidates, at the scale of all the features.
    seed : int
        Of the split.

    Returns
    -------
    float
        The chosen candidate.

    Raises
    ------
    ValueError
        If a view has fewer than two features.
    """
    generator = np.random.default_rng(seed)
    seen, unseen = [], []
    for X in Xs:
        X = np.asarray(X, dtype=np.float64).reshape(len(X), -1)  # (N, D)
        if X.shape[1] < 2:
            raise ValueError("choose_ridge needs views of at least two features")
        shuffled = generator.permutation(X.shape[1])
        seen.append(X[:, shuffled[: len(shuffled) // 2]])
        unseen.append(X[:, shuffled[len(shuffled) // 2 :]])

    def held_out_error(ridge: float) -> float:
        C = ridge_self_expression(seen, ridge / 2).numpy()  # half the features: half the Gram matrix
        return sum(float(((X - C @ X) ** 2).sum()) for X in unseen)

    return min(ridges, key=held_out_error)
