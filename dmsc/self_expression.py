"""Self-expression: every sample written as a combination of the others, Z = C Z.

Convention of this project: samples are **rows**. A latent matrix is Z (N, d), the coefficients are C (N, N), and row i
of C says how sample i is made of the others: z_i = Σ_j C_ij z_j. (The papers put samples in columns, Z = Z C; their C
is the transpose of ours. The authors' code uses rows, as we do.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from .checks import check_masks, integer, one_of, positive_number
from .sharding import Shard

__all__ = [
    "LOCAL_RIDGE",
    "NEIGHBORS",
    "RIDGES",
    "SelfExpression",
    "choose_ridge",
    "coefficients_norm",
    "express",
    "gram_inverse",
    "local_self_expression",
    "nearest_neighbors",
    "raw_self_expression",
    "ridge_coefficients",
    "ridge_self_expression",
    "unit_rows",
]

#: Penalties that `choose_ridge` tries on unit rows.
RIDGES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
#: Penalty of `local_self_expression` on unit rows, where nobody gives another one.
LOCAL_RIDGE = 0.1
#: By what samples are near each other, see `nearest_neighbors`.
NEIGHBORS = ("cosine", "coefficients")


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
    shard : Shard, optional
        Which rows of C are held, where several processes share it: all (N, N) below is (n, N) then. By default all.

    Attributes
    ----------
    support : bool tensor (N, N) or None
        Where C may differ from 0, see `restrict`; not saved with the parameters.

    References
    ----------
    Ji et al., NIPS 2017, section 3.1; Abavisani & Patel, 2018, section III-B (one C shared by all modalities).
    """

    support: torch.Tensor | None

    def __init__(self, n_samples: int, init: float = 1e-4, zero_diagonal: bool = False, shard: Shard | None = None):
        super().__init__()
        n_samples = integer("n_samples", n_samples, 1)
        self.shard = Shard(n_samples, 0, 1) if shard is None else shard
        self.weight = nn.Parameter(torch.full((self.shard.n_rows, n_samples), float(init)))
        self.zero_diagonal = zero_diagonal
        self.register_buffer("support", None, persistent=False)

    def restrict(self, neighbors: torch.Tensor) -> None:
        """Let sample i be made of the samples ``neighbors[i]`` only; (N, k), see `nearest_neighbors`."""
        support = torch.zeros_like(self.weight, dtype=torch.bool)
        self.support = support.scatter_(1, neighbors.to(support.device), True)

    def matrix(self) -> torch.Tensor:
        """Return C (N, N) as a function of the parameter; where it is to be 0, it gets no gradient either."""
        C = self.weight if self.support is None else self.weight * self.support
        if self.zero_diagonal:
            C = C.clone()
            C.diagonal(self.shard.rows.start).zero_()  # row i of this process is sample start + i
        return C

    def forward(self, Z: torch.Tensor) -> torch.Tensor:
        """Return C Z for latents Z (N, d)."""
        return self.matrix() @ Z

    def norm(self, p: int) -> torch.Tensor:
        """Return Σ |C_ij|^p for p = 1 or 2: the regularizer of DSC-Net-L1 or DSC-Net-L2."""
        return coefficients_norm(self.matrix(), p)

    @property
    def coefficients(self) -> torch.Tensor:
        """C (N, N), a detached copy."""
        C = self.matrix()
        return C.detach().clone() if C is self.weight else C.detach()

    @torch.no_grad()
    def set_coefficients(self, C: torch.Tensor) -> None:
        """Start from given coefficients C (N, N), such as those of `ridge_self_expression`."""
        self.weight.copy_(C)


def coefficients_norm(C: torch.Tensor, p: int) -> torch.Tensor:
    """Return Σ |C_ij|^p for p = 1 or 2."""
    return C.abs().sum() if p == 1 else torch.dot(C.reshape(-1), C.reshape(-1))


def express(C: torch.Tensor, Zs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Return C Z for every latent Z (N, d), as the columns of one product (N, N) x (N, d_1 + d_2 + ...)."""
    Z_hat = (C @ torch.cat([Z.to(C.dtype) for Z in Zs], dim=1)).to(C.dtype)  # autocast may round the product
    return list(Z_hat.split([Z.shape[1] for Z in Zs], dim=1))


def gram_inverse(Zs: Sequence[torch.Tensor], ridge: float, weights: Sequence[float]) -> torch.Tensor:
    """Return P = (Σ_l v_l Z_l Z_lᵀ + ridge I)⁻¹ (N, N), float64, of latents (N, d_l): what the closed form is made of.

    Raises
    ------
    ValueError
        If the matrix can't be inverted: the ridge is too small for the latents' scale, or the latents aren't finite.
    """
    wide = [Z.double() for Z in Zs]
    gram: torch.Tensor = sum(v * (Z @ Z.T) for v, Z in zip(weights, wide, strict=True))  # type: ignore[assignment]
    return _invert(gram, ridge)


def _invert(G: torch.Tensor, ridge: float) -> torch.Tensor:
    try:
        shifted = G + ridge * torch.eye(len(G), dtype=G.dtype, device=G.device)
        return torch.cholesky_inverse(torch.linalg.cholesky(shifted))
    except torch.linalg.LinAlgError:
        what = "is too ill-conditioned for" if G.isfinite().all() else "holds NaN or infinite values, with"
        raise ValueError(
            f"the Gram matrix of {len(G)} samples {what} ridge={ridge:g}: raise the ridge, scale the inputs down, or "
            "lower the learning rate"
        ) from None


def ridge_coefficients(P: torch.Tensor, ridge: float, zero_diagonal: bool) -> torch.Tensor:
    """Return C (N, N) from `gram_inverse`: C_ij = -P_ij / P_ii without, C = I - ridge P with a diagonal."""
    if zero_diagonal:
        return (-P / P.diagonal()[:, None]).fill_diagonal_(0)
    return torch.eye(len(P), dtype=P.dtype, device=P.device) - ridge * P


def ridge_self_expression(
    Zs: Sequence[np.ndarray | torch.Tensor],
    ridge: float,
    *,
    zero_diagonal: bool = True,
    weights: Sequence[float] | None = None,
    masks: Sequence[np.ndarray | torch.Tensor] | None = None,
) -> torch.Tensor:
    """Solve self-expression with an L2 penalty in closed form.

        min_C  Σ_l v_l ‖Z_l - C Z_l‖²_F + ridge ‖C‖²_F    (optionally with diag(C) = 0)

    With the Gram matrix G = Σ_l v_l Z_l Z_lᵀ and P = (G + ridge I)⁻¹ the solution is C = G P = I - ridge P, or with a
    zero diagonal C_ij = -P_ij / P_ii.

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
        If ridge is not positive or too small for the latents, or the latents' sizes or weights disagree.

    References
    ----------
    Ji, Salzmann, Li, "Efficient Dense Subspace Clustering", WACV 2014; Lu et al., "Robust and Efficient Subspace
    Segmentation via Least Squares Regression", ECCV 2012, eq. 14.
    """
    ridge = positive_number("ridge", ridge)
    flat = _flat(Zs)
    weights = [1.0] * len(flat) if weights is None else list(weights)
    if not flat or len(weights) != len(flat):
        raise ValueError(f"one weight per latent is needed: got {len(weights)} weights for {len(flat)} latents")
    if len({len(Z) for Z in flat}) != 1:
        raise ValueError(f"all latents must have the same samples, got {[len(Z) for Z in flat]}")
    if masks is None:
        return ridge_coefficients(gram_inverse(flat, ridge, weights), ridge, zero_diagonal)
    check_masks(masks, len(flat), len(flat[0]))
    grams = [v * (Z @ Z.T) for v, Z in zip(weights, flat, strict=True)]  # (N, N) each
    has = torch.stack([torch.as_tensor(np.array(m) if isinstance(m, np.ndarray) else m) for m in masks], 1)  # (N, M)
    C = torch.empty_like(grams[0])
    for pattern in has.unique(dim=0):
        rows = (has == pattern).all(1)
        seen = [G for G, has_it in zip(grams, pattern, strict=True) if has_it]
        P = _invert(sum(seen, torch.zeros_like(C)), ridge)
        C[rows] = ridge_coefficients(P, ridge, zero_diagonal)[rows]
    return C


def nearest_neighbors(
    Zs: Sequence[np.ndarray | torch.Tensor],
    n_neighbors: int,
    weights: Sequence[float] | None = None,
    *,
    by: str = "cosine",
    masks: Sequence[np.ndarray | torch.Tensor] | None = None,
) -> torch.Tensor:
    """Return the nearest neighbors of every sample.

    - by the "cosine", summed over the latents;
    - by the "coefficients": those whose C_ij are the largest, signs aside, when all samples express each other in
      closed form, on unit rows with the ridge `LOCAL_RIDGE` per latent. Samples of one subspace find each other so,
      though they may lie far apart: faces under changing light.

    Parameters
    ----------
    Zs : sequence of arrays or tensors (N, ...)
        Latents or raw views; a missing one has a row of zeros and adds nothing.
    n_neighbors : int
        k, below N.
    weights : sequence of float, optional
        One v_l per latent; 1 by default.
    by : {"cosine", "coefficients"}
        What makes a neighbor.
    masks : sequence of bool arrays (N,), optional
        As in `ridge_self_expression`, for the coefficients; the cosine knows a missing latent by its zeros.

    Returns
    -------
    tensor (N, k), int64
        Indices; a sample isn't its own neighbor.

    References
    ----------
    Peng, Yi, Tang, "Robust Subspace Clustering via Thresholding Ridge Regression", AAAI 2015 (the largest
    coefficients, there without solving again among them).
    """
    n_neighbors = integer("n_neighbors", n_neighbors, 1, len(Zs[0]) - 1)
    rows = [nn.functional.normalize(Z) for Z in _flat(Zs)]
    weights = [1.0] * len(rows) if weights is None else weights
    if one_of("by", by, NEIGHBORS) == "coefficients":
        similar = ridge_self_expression(rows, LOCAL_RIDGE * sum(weights), weights=weights, masks=masks).abs()
    else:
        similar = sum(v * (Z @ Z.T) for v, Z in zip(weights, rows, strict=True))  # type: ignore[assignment]
    return similar.fill_diagonal_(-torch.inf).topk(n_neighbors, dim=1).indices


def local_self_expression(
    Zs: Sequence[np.ndarray | torch.Tensor],
    neighbors: torch.Tensor,
    ridge: float,
    *,
    weights: Sequence[float] | None = None,
    masks: Sequence[np.ndarray | torch.Tensor] | None = None,
) -> torch.Tensor:
    """Solve self-expression in closed form, where every sample may be made of its nearest neighbors only.

        min_{c_i}  Σ_l v_l ‖z_li - Σ_{j ∈ N(i)} c_ij z_lj‖² + ridge ‖c_i‖²    for each sample i

    With the Gram matrix G = Σ_l v_l Z_l Z_lᵀ that is (G_NN + ridge I) c_i = g_iN, k equations per sample.

    Parameters
    ----------
    Zs, ridge, weights, masks
        As in `ridge_self_expression`: a sample is expressed in the latents that it has.
    neighbors : tensor (N, k)
        N(i), as `nearest_neighbors` gives them.

    Returns
    -------
    torch.Tensor (N, N), float64
        The coefficients C, at most k in a row.

    References
    ----------
    Roweis, Saul, "Nonlinear Dimensionality Reduction by Locally Linear Embedding", Science 2000 (weights of nearest
    neighbors, there with sum 1); Elhamifar, Vidal, "Sparse Manifold Clustering and Embedding", NIPS 2011 (clusters from
    such weights, there sparse).
    """
    ridge, rows = positive_number("ridge", ridge), _flat(Zs)
    weights = [1.0] * len(rows) if weights is None else weights
    neighbors = neighbors.to(rows[0].device)
    grams = torch.stack([v * (Z @ Z.T) for v, Z in zip(weights, rows, strict=True)])  # (M, N, N)
    if masks is None:
        has = torch.ones(len(grams[0]), len(rows), dtype=torch.bool)
    else:
        check_masks(masks, len(rows), len(rows[0]))
        has = torch.stack([torch.as_tensor(np.array(m) if isinstance(m, np.ndarray) else m) for m in masks], 1)
    C, shift = torch.zeros_like(grams[0]), ridge * torch.eye(neighbors.shape[1]).to(grams)
    for pattern in has.unique(dim=0):
        i = (has == pattern).all(1).to(C.device).nonzero()  # (n, 1)
        G, nearest = grams[pattern.to(C.device)].sum(0), neighbors[i[:, 0]]  # (N, N), (n, k)
        among = G[nearest[:, :, None], nearest[:, None, :]] + shift  # (n, k, k)
        C[i, nearest] = torch.linalg.solve(among, G[i, nearest])
    return C


def _flat(Zs: Sequence[np.ndarray | torch.Tensor]) -> list[torch.Tensor]:
    return [torch.as_tensor(np.array(Z) if isinstance(Z, np.ndarray) else Z.detach()).flatten(1).double() for Z in Zs]


def choose_ridge(Xs: Sequence[np.ndarray], ridges: Sequence[float] | None = None, seed: int = 0) -> float:
    """Choose the penalty of the closed form without labels.

    The features of each view are split at random into halves A and B. C is fitted on A, and the penalty is taken with
    which the same C best expresses the unseen features: Σ_m ‖X_B - C X_B‖²_F over the views.

    Parameters
    ----------
    Xs : sequence of arrays (N, ...)
        Views; anything past the first axis is flattened. Those of one feature have no say.
    ridges : sequence of float, optional
        Candidates, at the scale of all the features. By default those of `RIDGES`, which are for unit rows, times the
        median squared length of the rows, 1 for unit rows: what is chosen for a X is a² times what is chosen for X.
        Rows of zeros, of missing views, don't count.
    seed : int
        Of the split.

    Returns
    -------
    float
        The chosen candidate.

    Raises
    ------
    ValueError
        If no view has two features.
    """
    generator = np.random.default_rng(seed)
    rows = [np.asarray(X, dtype=np.float64).reshape(len(X), -1) for X in Xs]  # (N, D) each
    rows, widths = [X for X in rows if X.shape[1] > 1], [X.shape[1] for X in rows]  # one feature can't be halved
    if not rows:
        raise ValueError(
            "choosing the penalty needs a view of two features that aren't constant, got views of "
            f"{', '.join(map(str, widths))}: put their features into one view, or add some"
        )
    ridges = [ridge * _squared_length(rows) for ridge in RIDGES] if ridges is None else ridges
    seen, unseen = [], []
    for X in rows:
        shuffled = generator.permutation(X.shape[1])
        seen.append(X[:, shuffled[: len(shuffled) // 2]])
        unseen.append(X[:, shuffled[len(shuffled) // 2 :]])

    def held_out_error(ridge: float) -> float:
        C = ridge_self_expression(seen, ridge / 2).numpy()  # half the features: half the Gram matrix
        return sum(float(((X - C @ X) ** 2).sum()) for X in unseen)

    return min(ridges, key=held_out_error)


def _squared_length(rows: Sequence[np.ndarray]) -> float:
    """Return the median of ‖x‖² over the rows (N, D) of all views that aren't 0; exactly 1 for unit rows."""
    squares = np.concatenate([np.einsum("ij,ij->i", X, X) for X in rows])
    median = np.median(squares[squares > 0]) if squares.any() else 1.0
    return 1.0 if abs(median - 1) < 1e-6 else float(median)


def unit_rows(Xs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return views as float64 matrices (N, D) whose rows have unit length; rows of zeros stay zero."""
    rows = [X.reshape(len(X), -1).astype(np.float64) for X in Xs]
    return [X / np.maximum(np.linalg.norm(X, axis=1, keepdims=True), 1e-12) for X in rows]


def raw_self_expression(
    Xs: Sequence[np.ndarray], masks: Sequence[np.ndarray] | None = None
) -> tuple[np.ndarray, float]:
    """Return the closed-form C (N, N) on raw views scaled to unit rows, and the penalty chosen without labels."""
    rows = unit_rows(Xs)
    ridge = choose_ridge(rows)
    return ridge_self_expression(rows, ridge, masks=masks).numpy(), ridge
