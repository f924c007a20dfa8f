"""From coefficients to labels in three steps: threshold C, build the affinity W, cluster its graph.

Nothing here knows about networks. Every function takes NumPy arrays, and returns such, or tensors, and returns tensors
on the same device. All work on N x N matrices is then done there; what travels to the host are single numbers and, for
k-means or the discretization, the N x k embedding, whence N labels come back.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from .checks import integer, one_of, positive_number
from .eigen import eigenpairs, smallest_eigenpairs
from .matrices import BLOCK_ROWS, fold, max_asymmetry, new_matrix, square_tensor, threshold_coefficients

__all__ = [
    "ASSIGNMENTS",
    "POST_PROCESSINGS",
    "SEED_LIMIT",
    "build_affinity",
    "spectral_clustering",
    "spectral_embedding",
    "threshold_coefficients",
]

POST_PROCESSINGS = ("plain", "subspace")
ASSIGNMENTS = ("kmeans", "discretize")
SEED_LIMIT = 2**32 - 1


def build_affinity(C, post_processing="plain", *, n_clusters=None, dim=None, alpha=1.0, unit_diagonal=False):
    """Turn coefficients C into a symmetric, non-negative affinity W.

    ``"plain"`` is ``W = |C| + |C|ᵀ``. ``"subspace"`` is the papers' post-processing (the listing's
    ``post_proC``, mended): the symmetrized C is cut to its ``min(dim * n_clusters + 1, N - 1)`` largest
    singular values, ``U S Vᵀ``; the rows of ``U √S`` are brought to unit length; their inner products,
    negative ones set to 0, are raised to the power ``alpha`` and divided by the largest.

    Parameters
    ----------
    C : array_like or tensor of shape (N, N)
        Self-expression coefficients, thresholded or not.
    post_processing : {"plain", "subspace"}
        "plain" reads none of the options below.
    n_clusters, dim : int
        Number of clusters and dimension of each subspace; "subspace" needs both.
    alpha : float
        Power that weakens small affinities.
    unit_diagonal : bool
        Replace the diagonal of the symmetrized C by 1, as the authors do for COIL.

    Returns
    -------
    W : ndarray or tensor of shape (N, N), float64

    Raises
    ------
    ValueError
        If C is not square and finite, or an option is missing, unknown or out of range.
    TypeError
        If C is sparse or not real, or an option is not a number.

    References
    ----------
    P. Ji et al., "Deep Subspace Clustering Networks", NeurIPS 2017, section 4 (and the authors' code).
    """
    given, C = C, square_tensor("C", C)
    one_of("post_processing", post_processing, POST_PROCESSINGS)
    if post_processing == "plain":
        return _as_given(fold(C, torch.abs), given)
    if n_clusters is None or dim is None:
        raise ValueError(f"'subspace' needs n_clusters and dim, got n_clusters={n_clusters}, dim={dim}")
    n_clusters = integer("n_clusters", n_clusters, 1, len(C))
    dim = integer("dim", dim, 1)
    alpha = positive_number("alpha", alpha)

    C = fold(C).mul_(0.5)
    if unit_diagonal:
        C.fill_diagonal_(1.0)
    rank = min(dim * n_clusters + 1, len(C) - 1)
    values, U = eigenpairs(C, rank, "largest in magnitude")  # as C = Cᵀ, its singular values are |values|
    S = values.abs()
    S[S < len(C) * torch.finfo(S.dtype).eps * torch.linalg.norm(S)] = 0.0  # rounding, which √S would magnify
    U = _normalize_rows(U * S.sqrt(), zero=1e-10)  # (N, rank)
    W = _inner_products(U, alpha, out=C)  # (N, N)
    return _as_given(W.div_(W.max().clamp(min=torch.finfo(W.dtype).tiny)), given)


def spectral_embedding(W, n_components):
    """Rows of the smallest eigenvectors of the normalized Laplacian, brought to unit length (steps 1 to 5).

    The diagonal of W is left out: how similar a point is to itself says nothing about its neighbors. An
    isolated point has ``D^(-1/2) = 0`` and eigenvalue 1; its row of F is 0 unless that is among the smallest.

    Parameters
    ----------
    W : array_like or tensor of shape (N, N)
        Symmetric, non-negative affinity.
    n_components : int
        Number of eigenvectors, k₁.

    Returns
    -------
    eigenvalues : ndarray or tensor of shape (n_components,)
        Smallest eigenvalues of L_sym, ascending, in [0, 2].
    F : ndarray or tensor of shape (N, n_components)
        Eigenvectors as columns (the largest entry of each is positive), rows of unit length or 0.

    Raises
    ------
    ValueError
        If W is not square, finite, non-negative and symmetric, or ``n_components`` not in 1..N.
    TypeError
        If W is sparse or not real, or ``n_components`` is not an integer.

    References
    ----------
    A. Ng, M. Jordan, Y. Weiss, "On Spectral Clustering: Analysis and an Algorithm", NeurIPS 2001.
    U. von Luxburg, "A Tutorial on Spectral Clustering", 2007.
    """
    given, W = W, square_tensor("W", W)
    eigenvalues, F = _embedding(W, integer("n_components", n_components, 1, len(W)))
    return _as_given(eigenvalues, given), _as_given(F, given)


def spectral_clustering(W, n_clusters, *, n_components=None, assign="kmeans", seed=0):
    """Cluster the points of an affinity graph, in the seven steps of the text.

    Parameters
    ----------
    W : array_like or tensor of shape (N, N)
        Symmetric, non-negative affinity; it may be disconnected, with isolated points or all zero.
    n_clusters : int
        Number of clusters, k₂.
    n_components : int, optional
        Number of eigenvectors, k₁; ``n_clusters`` by default.
    assign : {"kmeans", "discretize"}
        How the rows of the embedding become labels.
    seed : int
        Fixes the starts of k-means or of the discretization.

    Returns
    -------
    labels : ndarray or tensor of shape (N,), int64, values in 0..n_clusters-1

    Raises
    ------
    ValueError
        As :func:`spectral_embedding`; for an unknown ``assign``, or "discretize" with k₁ ≠ k₂.
    TypeError
        As :func:`spectral_embedding`.

    References
    ----------
    A. Ng, M. Jordan, Y. Weiss, "On Spectral Clustering: Analysis and an Algorithm", NeurIPS 2001.
    S. Yu, J. Shi, "Multiclass Spectral Clustering", ICCV 2003 (discretization).
    """
    given, W = W, square_tensor("W", W)
    n_clusters = integer("n_clusters", n_clusters, 1, len(W))
    n_components = n_clusters if n_components is None else integer("n_components", n_components, 1, len(W))
    one_of("assign", assign, ASSIGNMENTS)
    seed = integer("seed", seed, 0, SEED_LIMIT)
    if assign == "discretize" and n_components != n_clusters:
        raise ValueError(f"'discretize' needs n_components == n_clusters, got {n_components} != {n_clusters}")
    if n_clusters in (1, len(W)):  # only one partition is possible
        labels = np.arange(len(_adjacency(W))) % n_clusters
    else:
        _, F = _embedding(W, n_components)  # steps 1 to 5
        assign_rows = _kmeans if assign == "kmeans" else _discretize
        labels = assign_rows(F.cpu().numpy(), n_clusters, seed)  # steps 6 and 7: rows of F into k₂ clusters
    return _as_given(torch.as_tensor(labels, dtype=torch.int64, device=W.device), given)


def _embedding(W, n_components):
    """The steps 1 to 5 on a checked tensor."""
    A = _adjacency(W)  # step 1: adjacency A ...
    degree = A.sum(dim=1)  # ... and the diagonal of the degree matrix D
    scale = torch.where(degree > 0, degree.rsqrt(), 0)  # D^(−1/2)
    A *= scale[:, None]
    A *= scale  # steps 2 and 3: the Laplacian L = D − A, normalized, is I − D^(−1/2) A D^(−1/2)
    eigenvalues, F = smallest_eigenpairs(A, n_components)  # step 4: its k₁ smallest eigenvectors
    return eigenvalues, _normalize_rows(F)  # step 5: rows of unit length


def _kmeans(F, n_clusters, seed):
    """Labels of the rows of F from the best of ten k-means runs (one thread: sums keep their order)."""
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct rows than clusters is no error
        return KMeans(n_clusters, n_init=10, random_state=seed).fit_predict(F)


def _discretize(F, n_clusters, seed, n_starts=10, max_iter=100):
    """Labels of the rows of F from the rotation R that brings F nearest to a 0/1 matrix (Yu & Shi, 2003).

    Labels P and rotation R are fitted in turn: P marks the largest entry in each row of F R, R is the
    polar factor of Fᵀ P. Each turn raises tr(Pᵀ F R), the sum of the singular values of Fᵀ P.
    """
    rng = np.random.default_rng(seed)
    candidates = F[F.any(axis=1)]  # rows of isolated points have no direction to start from
    best_fit, best_labels = -np.inf, np.zeros(len(F), dtype=np.int64)
    for _ in range(n_starts if len(candidates) else 0):
        R = np.empty((n_clusters, n_clusters))  # a random row, then orthogonal ones
        R[:, 0] = candidates[rng.integers(len(candidates))]
        overlap = np.zeros(len(candidates))
        for k in range(1, n_clusters):
            overlap += np.abs(candidates @ R[:, k - 1])
            R[:, k] = candidates[np.argmin(overlap)]
        fit = -np.inf
        for _ in range(max_iter):
            labels = np.argmax(F @ R, axis=1)
            U, S, Vt = np.linalg.svd(F.T @ np.eye(n_clusters)[labels])
            R, previous, fit = U @ Vt, fit, S.sum()
            if fit > best_fit + 1e-9:
                best_fit, best_labels = fit, labels
            if fit <= previous + 1e-9:
                break
    return best_labels


def _normalize_rows(F, zero=0.0):
    """Rows of unit length; rows not longer than ``zero`` times the longest become 0."""
    length = torch.linalg.norm(F, dim=1, keepdim=True)
    alive = length > zero * length.max()
    return torch.where(alive, F / torch.where(alive, length, 1), 0)


def _power(W, alpha):
    """W to the power alpha, in place; whole numbers up to 16 by squaring, which is many times faster."""
    if not alpha.is_integer() or alpha > 16:
        return W.pow_(alpha)
    exponent, rest = int(alpha), None
    while exponent > 1:
        if exponent % 2:
            rest = W.clone() if rest is None else rest.mul_(W)
        W.square_()
        exponent //= 2
    return W if rest is None else W.mul_(rest)


def _as_given(found, given):
    """Return a tensor where a tensor was given, an array otherwise."""
    return found if isinstance(given, torch.Tensor) else found.numpy()


def _inner_products(U, alpha, out):
    """Powers of the inner products of the rows of U, negative ones set to 0, exactly symmetric."""
    for start in range(0, len(U), BLOCK_ROWS):  # what a block of rows needs stays in the cache
        rows, after = slice(start, start + BLOCK_ROWS), start + BLOCK_ROWS
        products = _power((U[rows] @ U[start:].T).clamp_(min=0), alpha)  # (rows, N - start)
        square = products[:, : len(products)]
        square.copy_(square.triu() + square.triu(1).T)
        out[rows, start:] = products
        out[after:, rows] = products[:, len(products) :].T
    return out


def _adjacency(W):
    """W scaled to a largest entry of 1, exactly symmetric, with an empty diagonal; a new tensor."""
    low, high = (bound.item() for bound in W.aminmax())
    if low < -1e-6 * max(-low, high):
        raise ValueError(f"W must be non-negative, got {low:.6g}: make it with build_affinity(C)")
    high = max(high, 0.0) or 1.0
    asymmetry = max_asymmetry(W) / high
    if asymmetry > 1e-6:
        raise ValueError(
            f"W must be symmetric, but W - Wᵀ reaches {asymmetry:.2g} max(W): make it with build_affinity(C)"
        )
    A = torch.div(W, high, out=new_matrix(W)).clamp_(min=0)
    return (fold(A).mul_(0.5) if asymmetry else A).fill_diagonal_(0.0)
