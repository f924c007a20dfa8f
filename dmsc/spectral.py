"""From coefficients to labels in three steps: threshold C, build the affinity W, cluster its graph.

Nothing here knows about networks: every function takes and returns NumPy arrays.
"""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from .checks import integer, one_of, positive_number, square_matrix
from .eigen import eigenpairs, smallest_eigenpairs

POST_PROCESSINGS = ("plain", "subspace")
ASSIGNMENTS = ("kmeans", "discretize")
SEED_LIMIT = 2**32 - 1


def threshold_coefficients(C, ratio):
    """Keep the largest entries of every column of C (the listing's ``thrC``, mended).

    In each column the entries are kept, largest absolute value first, until their sum *exceeds* ``ratio``
    times the column's l1 norm; the entry that crosses the line is kept, the others become 0. Among equal
    values the lower row comes first. Sums are taken in float64.

    Parameters
    ----------
    C : array_like of shape (N, N)
        Self-expression coefficients.
    ratio : float in (0, 1]
        Share of the l1 norm to keep; 1 returns a copy.

    Returns
    -------
    ndarray of shape (N, N), of C's dtype

    Raises
    ------
    ValueError
        If C is not square and finite, or ``ratio`` is outside (0, 1].
    TypeError
        If C is sparse or not real, or ``ratio`` is not a number.

    References
    ----------
    P. Ji et al., "Deep Subspace Clustering Networks", NeurIPS 2017, section 4 (and the authors' code).
    """
    C = square_matrix("C", C)
    ratio = positive_number("ratio", ratio, at_most=1)
    kept = C.copy()
    if ratio == 1:
        return kept
    for start in range(0, len(C), 256):  # blocks of columns: no index matrix of N x N is ever made
        columns = slice(start, start + 256)
        size = np.abs(C[:, columns].T.astype(np.float64, order="C"))  # (columns, N)
        largest_first = -np.sort(-size, axis=1)
        line = ratio * largest_first.sum(axis=1, keepdims=True)
        n_kept = (np.cumsum(largest_first, axis=1) <= line).sum(axis=1, keepdims=True) + 1
        crossing = np.take_along_axis(largest_first, np.minimum(n_kept, len(C)) - 1, axis=1)
        above, tied = size > crossing, size == crossing
        room = n_kept - above.sum(axis=1, keepdims=True)
        keep = above | (tied & (np.cumsum(tied, axis=1, dtype=np.int32) <= room))
        kept[:, columns][~keep.T] = 0
    return kept


def build_affinity(C, post_processing="plain", *, n_clusters=None, dim=None, alpha=1.0, unit_diagonal=False):
    """Turn coefficients C into a symmetric, non-negative affinity W.

    ``"plain"`` is ``W = |C| + |C|ᵀ``. ``"subspace"`` is the papers' post-processing (the listing's
    ``post_proC``, mended): the symmetrized C is cut to its ``min(dim * n_clusters + 1, N - 1)`` largest
    singular values, ``U S Vᵀ``; the rows of ``U √S`` are brought to unit length; their inner products,
    negative ones set to 0, are raised to the power ``alpha`` and divided by the largest.

    Parameters
    ----------
    C : array_like of shape (N, N)
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
    W : ndarray of shape (N, N), float64

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
    C = square_matrix("C", C).astype(np.float64)
    one_of("post_processing", post_processing, POST_PROCESSINGS)
    if post_processing == "plain":
        return np.abs(C) + np.abs(C).T
    if n_clusters is None or dim is None:
        raise ValueError(f"'subspace' needs n_clusters and dim, got n_clusters={n_clusters}, dim={dim}")
    n_clusters = integer("n_clusters", n_clusters, 1, len(C))
    dim = integer("dim", dim, 1)
    alpha = positive_number("alpha", alpha)

    C = 0.5 * (C + C.T)
    if unit_diagonal:
        np.fill_diagonal(C, 1.0)
    rank = min(dim * n_clusters + 1, len(C) - 1)
    values, U = eigenpairs(C, rank, "largest in magnitude")  # as C = Cᵀ, its singular values are |values|
    S = np.abs(values)
    S[S < len(C) * np.finfo(float).eps * S.max(initial=0.0)] = 0.0  # rounding, which √S would magnify
    U = _normalize_rows(U * np.sqrt(S), zero=1e-10)  # (N, rank)
    Z = np.maximum(U @ U.T, 0.0) ** alpha  # (N, N)
    Z /= Z.max() or 1.0
    return 0.5 * (Z + Z.T)


def spectral_embedding(W, n_components):
    """Rows of the smallest eigenvectors of the normalized Laplacian, brought to unit length (steps 1 to 5).

    The diagonal of W is left out: how similar a point is to itself says nothing about its neighbors. An
    isolated point has ``D^(-1/2) = 0`` and eigenvalue 1; its row of F is 0 unless that is among the smallest.

    Parameters
    ----------
    W : array_like of shape (N, N)
        Symmetric, non-negative affinity.
    n_components : int
        Number of eigenvectors, k₁.

    Returns
    -------
    eigenvalues : ndarray of shape (n_components,)
        Smallest eigenvalues of L_sym, ascending, in [0, 2].
    F : ndarray of shape (N, n_components)
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
    A = _adjacency(W)  # step 1: adjacency A ...
    n_components = integer("n_components", n_components, 1, len(A))
    degree = A.sum(axis=1)  # ... and the diagonal of the degree matrix D
    L = np.diag(degree) - A  # step 2: Laplacian L = D − A
    scale = np.where(degree > 0, 1 / np.sqrt(np.where(degree > 0, degree, 1)), 0)  # D^(−1/2)
    L_sym = scale[:, None] * L * scale  # step 3: normalized Laplacian I − D^(−1/2) A D^(−1/2)
    np.fill_diagonal(L_sym, 1.0)
    eigenvalues, F = smallest_eigenpairs(L_sym, n_components)  # step 4: k₁ smallest eigenvectors
    return eigenvalues, _normalize_rows(F)  # step 5: rows of unit length


def spectral_clustering(W, n_clusters, *, n_components=None, assign="kmeans", seed=0):
    """Cluster the points of an affinity graph, in the seven steps of the text.

    Parameters
    ----------
    W : array_like of shape (N, N)
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
    labels : ndarray of shape (N,), int64, values in 0..n_clusters-1

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
    W = square_matrix("W", W)
    n_clusters = integer("n_clusters", n_clusters, 1, len(W))
    n_components = n_clusters if n_components is None else integer("n_components", n_components, 1, len(W))
    one_of("assign", assign, ASSIGNMENTS)
    seed = integer("seed", seed, 0, SEED_LIMIT)
    if assign == "discretize" and n_components != n_clusters:
        raise ValueError(f"'discretize' needs n_components == n_clusters, got {n_components} != {n_clusters}")
    if n_clusters in (1, len(W)):  # only one partition is possible
        return np.arange(len(_adjacency(W))) % n_clusters

    _, F = spectral_embedding(W, n_components)  # steps 1 to 5
    assign_rows = _kmeans if assign == "kmeans" else _discretize
    return assign_rows(F, n_clusters, seed).astype(np.int64)  # steps 6 and 7: rows of F into k₂ clusters


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
    length = np.linalg.norm(F, axis=1, keepdims=True)
    alive = length > zero * length.max(initial=0.0)
    return np.where(alive, F / np.where(alive, length, 1), 0)


def _adjacency(W):
    """W checked, scaled to a largest entry of 1, exactly symmetric, with an empty diagonal."""
    A = square_matrix("W", W).astype(np.float64)
    if A.min() < -1e-6 * np.abs(A).max():
        raise ValueError(f"W must be non-negative, got {A.min():.6g}: make it with build_affinity(C)")
    A = np.maximum(A, 0) / (A.max() or 1.0)
    asymmetry = np.abs(A - A.T).max()
    if asymmetry > 1e-6:
        raise ValueError(
            f"W must be symmetric, but W - Wᵀ reaches {asymmetry:.2g} max(W): make it with build_affinity(C)"
        )
    A = 0.5 * (A + A.T)
    np.fill_diagonal(A, 0.0)
    return A
