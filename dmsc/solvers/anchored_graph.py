r"""Clusters from anchored coefficients C (N, m), linear in N.

:math:`B = |C|` is a bipartite graph between samples and anchors. Two samples are alike if they lean on the same
anchors: :math:`W = B \Lambda^{-1} B^\top` with the column sums :math:`\Lambda` of B. W is never made: its degrees are
the row sums of B, and the eigenvectors of its normalized Laplacian are the left singular vectors of an N x m matrix,
which an m x m eigenproblem gives. Time is O(N m^2), memory O(N m).
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.metrics import pairwise_distances_argmin

from ..checks import integer, positive_number
from ..spectral import SEED_LIMIT, _kmeans

__all__ = ["anchored_affinity_factor", "anchored_clustering", "anchored_embedding", "threshold_rows"]

BLOCK = 8192  # rows that are in float64 at a time
KMEANS_LIMIT = 50_000  # rows that k-means sees; the others join the nearest center


def threshold_rows(C: np.ndarray | torch.Tensor, ratio: float) -> torch.Tensor:
    """Keep the largest entries of every row: :func:`dmsc.spectral.threshold_coefficients` for samples by anchors.

    Parameters
    ----------
    C : array or tensor (N, m)
        Anchored coefficients.
    ratio : float in (0, 1]
        Share of each row's l1 norm to keep; the entry that crosses the line is kept. 1 returns a copy.

    Returns
    -------
    tensor (N, m) of C's dtype
    """
    C, ratio = _coefficients(C), positive_number("ratio", ratio, at_most=1)
    kept = C.clone()
    for block in kept.split(BLOCK) if ratio < 1 else ():  # views: written in place
        size, order = block.abs().double().sort(dim=1, descending=True, stable=True)
        reached = size.cumsum(1)
        n_kept = (reached <= ratio * reached[:, -1:]).sum(1, keepdim=True) + 1
        small = torch.arange(C.shape[1], device=C.device) >= n_kept  # (rows, m), in order of size
        block.masked_fill_(torch.zeros_like(small).scatter_(1, order, small), 0)
    return kept


def anchored_affinity_factor(C: np.ndarray | torch.Tensor) -> np.ndarray:
    r"""Return F (N, m) with :math:`W = F F^\top = B \Lambda^{-1} B^\top`, :math:`B = |C|`: the affinity by its factor.

    Parameters
    ----------
    C : array or tensor (N, m)
        Anchored coefficients; rows and columns of zeros are allowed.

    Returns
    -------
    array (N, m), of C's dtype
    """
    C = _coefficients(C)
    return C.abs().mul_(_column_scale(C).to(C.dtype)).cpu().numpy()


def anchored_embedding(C: np.ndarray | torch.Tensor, n_components: int) -> tuple[np.ndarray, np.ndarray]:
    r"""Embed the samples by the smallest eigenvectors of the normalized Laplacian of W, without making W.

    With the degrees D of :math:`W = B \Lambda^{-1} B^\top`, that Laplacian is :math:`I - S S^\top` with
    :math:`S = D^{-1/2} B \Lambda^{-1/2}`: its smallest eigenvectors are the first left singular vectors of S. W's
    diagonal is kept (:func:`dmsc.spectral.spectral_embedding` leaves it out).

    Parameters
    ----------
    C : array or tensor (N, m)
        Anchored coefficients; B = \|C\|.
    n_components : int
        k, at most min(N, m).

    Returns
    -------
    eigenvalues : array (k,)
        Of the Laplacian, ascending, in [0, 1].
    F : array (N, k)
        Eigenvectors as columns (the largest entry of each is positive), rows of unit length or 0. Columns beyond the
        rank of S are 0.

    Raises
    ------
    ValueError
        If C is not a finite matrix or has fewer than k rows or columns.

    References
    ----------
    Chen, Cai, AAAI 2011, section 3; Kang et al., AAAI 2020, section 4.
    """
    C = _coefficients(C)
    n_components = integer("n_components", n_components, 1, min(C.shape))
    columns = _column_scale(C)

    def scaled(block: torch.Tensor) -> torch.Tensor:
        B = block.abs().double()
        return B.mul_(_inverse_root(B.sum(1, keepdim=True))).mul_(columns)

    gram = torch.zeros(len(columns), len(columns), dtype=torch.float64, device=C.device)
    for block in C.split(BLOCK):
        S = scaled(block)
        gram.addmm_(S.T, S)
    squares, V = (found.flip(-1)[..., :n_components] for found in torch.linalg.eigh(gram))  # sigma^2, descending
    rank = squares > len(columns) * torch.finfo(torch.float64).eps
    V = torch.where(rank, V / squares.clamp_min(0).sqrt().where(rank, torch.ones_like(squares)), 0)
    F = C.new_empty(len(C), n_components, dtype=torch.float64)  # (N, k), left singular vectors
    for rows, block in zip(F.split(BLOCK), C.split(BLOCK), strict=True):
        torch.mm(scaled(block), V, out=rows)  # small results between large temporaries would fragment the heap
    F *= torch.where(F.gather(0, F.abs().argmax(0, keepdim=True)) < 0, -1, 1)
    length = F.norm(dim=1, keepdim=True)
    F /= length.where(length > 0, torch.ones_like(length))
    return (1 - squares).clamp(0, 1).cpu().numpy(), F.cpu().numpy()


def anchored_clustering(
    C: np.ndarray | torch.Tensor, n_clusters: int, *, ratio: float = 1.0, seed: int = 0
) -> np.ndarray:
    """Read clusters off anchored coefficients: :func:`anchored_embedding`, then k-means.

    Parameters
    ----------
    C : array or tensor (N, m)
        Anchored coefficients.
    n_clusters : int
        K, at most min(N, m).
    ratio : float in (0, 1]
        Share of each row's l1 norm that :func:`threshold_rows` keeps.
    seed : int
        Of k-means. It sees 50 000 random samples at most; the others join the nearest center.

    Returns
    -------
    array (N,), int64, values in 0..K-1
    """
    C = threshold_rows(C, ratio) if ratio != 1 else C
    n_clusters = integer("n_clusters", n_clusters, 1, min(_coefficients(C).shape))
    seed = integer("seed", seed, 0, SEED_LIMIT)
    _, F = anchored_embedding(C, n_clusters)
    if len(F) <= KMEANS_LIMIT:
        return _kmeans(F, n_clusters, seed).astype(np.int64)
    seen = F[np.sort(np.random.default_rng(seed).choice(len(F), KMEANS_LIMIT, replace=False))]
    labels = _kmeans(seen, n_clusters, seed)
    centers = np.stack([seen[labels == k].mean(0) for k in np.unique(labels)])
    return pairwise_distances_argmin(F, centers).astype(np.int64)


def as_tensor(array: np.ndarray | torch.Tensor) -> torch.Tensor:
    """Return an array as a tensor: a copy only if it is read-only."""
    if torch.is_tensor(array):
        return array.detach()
    array = np.asarray(array)
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def _coefficients(C: np.ndarray | torch.Tensor) -> torch.Tensor:
    C = as_tensor(C)
    if C.ndim != 2 or not C.numel() or not C.is_floating_point():
        raise ValueError(f"C must be a matrix (N, m) of floats, got {C.dtype} of shape {tuple(C.shape)}")
    return C


def _column_scale(C: torch.Tensor) -> torch.Tensor:
    """Return Lambda^(-1/2): 1 over the roots of the column sums of |C|, 0 for columns of zeros."""
    sums = sum(block.abs().sum(0, dtype=torch.float64) for block in C.split(BLOCK))
    if not sums.isfinite().all():
        raise ValueError(f"C must be finite, got column {int((~sums.isfinite()).nonzero()[0])} with a sum that is not")
    return _inverse_root(sums)


def _inverse_root(sums: torch.Tensor) -> torch.Tensor:
    return torch.where(sums > 0, sums, torch.inf).rsqrt()
