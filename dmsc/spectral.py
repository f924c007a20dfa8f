"""From coefficients to labels in three steps: threshold C, build the affinity W, cluster its graph.

Nothing here knows about networks. Every function takes NumPy arrays, and returns such, or tensors, and returns tensors
on the same device. All work on N x N matrices is done where they lie; what travels from a card are single numbers, the
graph's connected parts, and the N x k embedding for k-means or the discretization.

How labels are read off C is called a *reading*: "plain", or as the paper does it.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from .checks import SEED_LIMIT, integer, one_of, positive_number, square_matrix
from .eigen import eigenpairs, smallest_eigenpairs
from .fast_threshold import threshold_by_partition
from .sharding import Shard

__all__ = [
    "AFFINITIES", "ASSIGNMENTS", "PLAIN", "READINGS", "Labels", "Reading", "assign_clusters", "build_affinity",
    "kmeans_labels", "normalize_rows", "read_labels", "singular_values", "spectral_clustering",
    "spectral_embedding", "threshold_by_sorting", "threshold_coefficients", "warning_signs",
]  # fmt: skip

AFFINITIES = ("plain", "subspace")
ASSIGNMENTS = ("kmeans", "discretize")
#: Names of the readings: |C| + |C|ᵀ and k-means; as the paper does it; the better of these two, chosen without labels.
READINGS = ("plain", "paper", "selected")
Matrix = np.ndarray | torch.Tensor


@dataclass(frozen=True)
class Reading:
    """How labels are read off C: threshold, affinity, spectral clustering. The defaults are of the papers' kind.

    Parameters
    ----------
    affinity : {"subspace", "plain"}
        The papers' affinity, or |C| + |C|ᵀ; see `build_affinity`.
    ratio : float
        rho of `threshold_coefficients`; 1 keeps everything.
    dim, alpha : int, float
        d and alpha of the subspace affinity.
    unit_diagonal : bool
        Put ones on C's diagonal first (the authors' COIL code).
    assign : {"discretize", "kmeans"}
        How the spectral embedding becomes labels.
    """

    affinity: str = "subspace"
    ratio: float = 0.2
    dim: int = 6
    alpha: float = 4.0
    unit_diagonal: bool = False
    assign: str = "discretize"

    def __post_init__(self) -> None:
        one_of("affinity", self.affinity, AFFINITIES)
        positive_number("ratio", self.ratio, at_most=1)
        positive_number("alpha", self.alpha)
        integer("dim", self.dim, 1)
        one_of("assign", self.assign, ASSIGNMENTS)


#: The reading without any parameter: |C| + |C|ᵀ, k-means.
PLAIN = Reading(affinity="plain", ratio=1.0, assign="kmeans")


class Labels(NamedTuple):
    """What reading C gives, of C's kind: array or tensor.

    Parameters
    ----------
    labels : (N,), int64
        Clusters from 0 to K - 1.
    affinity : (N, N), float64
        W; None for anchored coefficients, whose W is never made.
    eigenvalues : (K + 1,) or None
        The smallest of W's normalized Laplacian; None for as many clusters as samples.
    """

    labels: Any
    affinity: Any
    eigenvalues: Any

    @property
    def eigengap(self) -> float | None:
        """The gap behind the K-th eigenvalue: a graph of K separate parts has K eigenvalues 0."""
        return None if self.eigenvalues is None else float(self.eigenvalues[-1] - self.eigenvalues[-2])


def read_labels(C: Matrix, n_clusters: int, reading: Reading = PLAIN, seed: int = 0) -> Labels:
    """Read clusters off coefficients, on the device where they lie.

    Parameters
    ----------
    C : array or tensor (N, N)
        Coefficients.
    n_clusters : int
        K.
    reading : Reading
        How.
    seed : int
        Of k-means or of the discretization's starts.

    Returns
    -------
    Labels
        The labels, the affinity and its smallest eigenvalues, each computed once.
    """
    if reading.ratio < 1:
        C = threshold_coefficients(C, reading.ratio)
    W = build_affinity(
        C,
        reading.affinity,
        n_clusters=n_clusters,
        dim=reading.dim,
        alpha=reading.alpha,
        unit_diagonal=reading.unit_diagonal,
    )
    labels, eigenvalues = _cluster(square_tensor("W", W), n_clusters, n_clusters, reading.assign, seed)
    return Labels(_as_given(labels, C), W, None if eigenvalues is None else _as_given(eigenvalues, C))


def warning_signs(C: np.ndarray, Xs: Sequence[np.ndarray], n_clusters: int, shard: Shard | None = None) -> list[str]:
    """Return what tells, without labels, that coefficients can't hold K clusters; nothing if all may be well.

    Parameters
    ----------
    C : array (N, N)
        Coefficients. Blocks of K clusters have a rank of K at least. The rank is that of C times K + 10 random columns,
        which is the smaller of both for certain but for chance, and is cheap.
    Xs : sequence of arrays (N, ...)
        Views. K different samples are needed for K clusters.
    n_clusters : int
        K.
    shard : Shard, optional
        Which rows of C these are, where several processes have some.

    Returns
    -------
    list of str
        One sentence for each sign.
    """
    signs = []
    N = C.shape[1]
    sketch = C @ np.random.default_rng(0).standard_normal((N, min(n_clusters + 10, N)))
    if shard is not None:
        sketch = shard.gather(torch.from_numpy(sketch)).numpy()
    if not sketch.any():
        signs.append("all coefficients are 0: no sample is expressed by others, so lower the penalty, or train longer")
    else:
        rank = np.linalg.matrix_rank(sketch, rtol=1e-6)  # C comes of float32, or of a difference from the identity
        if rank < n_clusters:
            signs.append(
                f"the coefficients have rank {rank}, which is less than the {n_clusters} clusters asked for: lower the "
                "penalty, train longer, or ask for fewer"
            )
    distinct = len({b"".join((X[i] + 0.0).tobytes() for X in Xs) for i in range(N)})  # -0.0 + 0.0 is 0.0
    if distinct < n_clusters:
        signs.append(f"only {distinct} samples differ, fewer than the {n_clusters} clusters asked for: ask for fewer")
    return signs


def threshold_coefficients(C: ArrayLike | torch.Tensor, ratio: float) -> Matrix:
    """Keep the largest entries of every column of C (the listing's ``thrC``, mended).

    In each column the entries are kept, largest absolute value first, until their sum *exceeds* ``ratio`` times the
    column's l1 norm; the entry that crosses the line is kept, the others become 0. Among equal values the lower row
    comes first. Sums are taken in float64; where a running sum equals the line to the last bit, the order of summation
    decides, and that of a card is not the CPU's.

    Parameters
    ----------
    C : array_like or tensor of shape (N, N)
        Self-expression coefficients.
    ratio : float in (0, 1]
        Share of the l1 norm to keep; 1 returns a copy.

    Returns
    -------
    ndarray or tensor of shape (N, N), float32 if C is, else float64

    Raises
    ------
    ValueError, TypeError
        If C is not a square, finite, real and dense matrix, or ``ratio`` is no number in (0, 1].

    References
    ----------
    P. Ji et al., "Deep Subspace Clustering Networks", NeurIPS 2017, section 4 (and the authors' code).
    """
    values = square_tensor("C", C)
    ratio = positive_number("ratio", ratio, at_most=1)
    if ratio == 1:
        return _as_given(values.clone(), C)
    threshold = threshold_by_partition if values.device.type == "cpu" else threshold_by_sorting
    return _as_given(threshold(values, ratio), C)


def threshold_by_sorting(C: torch.Tensor, ratio: float) -> torch.Tensor:
    """Keep the largest entries of every column, as it is defined; `dmsc.fast_threshold` is its fast twin."""
    size = C.abs().double()
    largest_first, order = size.sort(dim=0, descending=True, stable=True)
    line = ratio * largest_first.sum(dim=0)  # (N,), one per column
    n_kept = (largest_first.cumsum(dim=0) <= line).sum(dim=0) + 1  # the entry that crosses is kept
    rank = torch.arange(len(C), device=C.device)[:, None]  # in order of size
    keep = torch.zeros_like(C, dtype=torch.bool).scatter_(0, order, rank < n_kept)
    return torch.where(keep, C, 0)


def build_affinity(
    C: ArrayLike | torch.Tensor,
    affinity: str = "plain",
    *,
    n_clusters: int | None = None,
    dim: int | None = None,
    alpha: float = 1.0,
    unit_diagonal: bool = False,
) -> Matrix:
    """Turn coefficients C into a symmetric, non-negative affinity W.

    "plain" is W = |C| + |C|ᵀ. "subspace" is the papers' affinity (the listing's ``post_proC``, mended): the symmetrized
    C is cut to its min(dim · n_clusters + 1, N - 1) largest singular values, U S Vᵀ; the rows of U √S are brought to
    unit length; their inner products, negative ones set to 0, are raised to the power alpha and divided by the largest.

    Parameters
    ----------
    C : array_like or tensor of shape (N, N)
        Self-expression coefficients, thresholded or not.
    affinity : {"plain", "subspace"}
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
    ValueError, TypeError
        If C is not a square, finite, real and dense matrix, or an option is missing, unknown or out of range.

    References
    ----------
    P. Ji et al., "Deep Subspace Clustering Networks", NeurIPS 2017, section 4 (and the authors' code).
    """
    given, C = C, square_tensor("C", C)
    one_of("affinity", affinity, AFFINITIES)
    if affinity == "plain":
        size = C.abs().double()
        return _as_given(size + size.T, given)
    if n_clusters is None or dim is None:
        raise ValueError(f"'subspace' needs n_clusters and dim, got n_clusters={n_clusters}, dim={dim}")
    n_clusters = integer("n_clusters", n_clusters, 1, len(C))
    dim = integer("dim", dim, 1)
    alpha = positive_number("alpha", alpha)

    C = C.double()
    C = (C + C.T) / 2
    if unit_diagonal:
        C.fill_diagonal_(1.0)
    rank = min(dim * n_clusters + 1, len(C) - 1)
    values, U = eigenpairs(C, rank, "largest in magnitude")  # as C = Cᵀ, its singular values are |values|
    S = singular_values(values, len(C))
    U = normalize_rows(U * S.sqrt(), zero=1e-10)  # (N, rank)
    W = (U @ U.T).clamp_(min=0).pow_(alpha)  # (N, N)
    W = (W + W.T) / 2  # as symmetric as it is on paper
    return _as_given(W.div_(W.max().clamp(min=torch.finfo(W.dtype).tiny)), given)


def singular_values(eigenvalues: torch.Tensor, n_samples: int) -> torch.Tensor:
    """Return the singular values of a symmetric matrix (N, N); what is but rounding, which √S would magnify, is 0."""
    S = eigenvalues.abs()
    return torch.where(n_samples * torch.finfo(S.dtype).eps * torch.linalg.norm(S) > S, 0.0, S)


def spectral_embedding(W: ArrayLike | torch.Tensor, n_components: int) -> tuple[Matrix, Matrix]:
    """Rows of the smallest eigenvectors of the normalized Laplacian, brought to unit length (steps 1 to 5).

    The diagonal of W is left out: how similar a point is to itself says nothing about its neighbors. An isolated point
    has D^(-1/2) = 0 and eigenvalue 1; its row of F is 0 unless that is among the smallest.

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
    ValueError, TypeError
        If W is not a square, finite, non-negative, symmetric and dense matrix, or ``n_components`` not in 1..N.

    References
    ----------
    A. Ng, M. Jordan, Y. Weiss, "On Spectral Clustering: Analysis and an Algorithm", NeurIPS 2001.
    U. von Luxburg, "A Tutorial on Spectral Clustering", 2007.
    """
    given, W = W, square_tensor("W", W)
    eigenvalues, vectors = _eigenvectors(W, integer("n_components", n_components, 1, len(W)))
    return _as_given(eigenvalues, given), _as_given(normalize_rows(vectors), given)


def spectral_clustering(
    W: ArrayLike | torch.Tensor,
    n_clusters: int,
    *,
    n_components: int | None = None,
    assign: str = "kmeans",
    seed: int = 0,
) -> Matrix:
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
    ValueError, TypeError
        As `spectral_embedding`; for an unknown ``assign``, or "discretize" with k₁ ≠ k₂.

    References
    ----------
    A. Ng, M. Jordan, Y. Weiss, "On Spectral Clustering: Analysis and an Algorithm", NeurIPS 2001.
    S. Yu, J. Shi, "Multiclass Spectral Clustering", ICCV 2003 (discretization).
    """
    given, W = W, square_tensor("W", W)
    n_components = n_clusters if n_components is None else integer("n_components", n_components, 1, len(W))
    return _as_given(_cluster(W, n_clusters, n_components, assign, seed)[0], given)


def _cluster(
    W: torch.Tensor, n_clusters: int, n_components: int, assign: str, seed: int
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return labels (N,) and, where there is a choice, the smallest k₁ + 1 eigenvalues."""
    n_clusters = integer("n_clusters", n_clusters, 1, len(W))
    one_of("assign", assign, ASSIGNMENTS)
    seed = integer("seed", seed, 0, SEED_LIMIT)
    if assign == "discretize" and n_components != n_clusters:
        raise ValueError(f"'discretize' needs n_components == n_clusters, got {n_components} != {n_clusters}")
    eigenvalues, vectors = _eigenvectors(W, min(n_components + 1, len(W)))
    clusters = assign_clusters(vectors[:, :n_components], n_clusters, assign, seed)
    labels = torch.as_tensor(clusters, dtype=torch.int64, device=W.device)
    return labels, eigenvalues if len(eigenvalues) > n_components else None


def assign_clusters(vectors: torch.Tensor, n_clusters: int, assign: str, seed: int) -> np.ndarray:
    """Return labels (N,) from the k₁ smallest eigenvectors (N, k₁): the steps 5 to 7."""
    if n_clusters in (1, len(vectors)):  # only one partition is possible
        return np.arange(len(vectors)) % n_clusters
    F = normalize_rows(vectors).cpu().numpy()  # (N, k₁)
    assign_rows = kmeans_labels if assign == "kmeans" else _discretize
    return assign_rows(F, n_clusters, seed)  # steps 6 and 7: rows of F into k₂ clusters


def _eigenvectors(W: torch.Tensor, n_components: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The steps 1 to 4 on a checked tensor: eigenvalues (k₁,) and eigenvectors (N, k₁)."""
    A = _adjacency(W)  # step 1: adjacency A ...
    degree = A.sum(dim=1)  # ... and the diagonal of the degree matrix D
    scale = torch.where(degree > 0, degree.rsqrt(), 0)  # D^(−1/2)
    A *= scale[:, None]
    A *= scale  # steps 2 and 3: the Laplacian L = D − A, normalized, is I − D^(−1/2) A D^(−1/2)
    return smallest_eigenpairs(A, n_components)  # step 4: its k₁ smallest eigenvectors


def _adjacency(W: torch.Tensor) -> torch.Tensor:
    """W scaled to a largest entry of 1, exactly symmetric, with an empty diagonal; a new tensor."""
    low, high = (bound.item() for bound in W.aminmax())
    if low < -1e-6 * max(-low, high):
        raise ValueError(f"W must be non-negative, got {low:.6g}: make it with build_affinity(C)")
    high = max(high, 0.0) or 1.0
    asymmetry = (W - W.T).abs().max().item() / high
    if asymmetry > 1e-6:
        raise ValueError(
            f"W must be symmetric, but W - Wᵀ reaches {asymmetry:.2g} max(W): make it with build_affinity(C)"
        )
    A = (W.double() / high).clamp_(min=0)
    return ((A + A.T) / 2 if asymmetry else A).fill_diagonal_(0.0)


def kmeans_labels(F: np.ndarray, n_clusters: int, seed: int) -> np.ndarray:
    """Labels of the rows of F (N, k) from the best of ten k-means runs (one thread: sums keep their order)."""
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct rows than clusters is no error
        return KMeans(n_clusters, n_init=10, random_state=seed).fit_predict(F)


def _discretize(F: np.ndarray, n_clusters: int, seed: int, n_starts: int = 10, max_iter: int = 100) -> np.ndarray:
    """Labels of the rows of F from the rotation R that brings F nearest to a 0/1 matrix (Yu & Shi, 2003).

    Labels P and rotation R are fitted in turn: P marks the largest entry in each row of F R, R is the polar factor of
    Fᵀ P. Each turn raises tr(Pᵀ F R), the sum of the singular values of Fᵀ P.
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


def normalize_rows(F: torch.Tensor, zero: float = 0.0, longest: torch.Tensor | None = None) -> torch.Tensor:
    """Rows of unit length; rows not longer than ``zero`` times the longest (by default of these) become 0."""
    length = torch.linalg.norm(F, dim=1, keepdim=True)
    alive = length > zero * (length.max() if longest is None else longest)
    return torch.where(alive, F / torch.where(alive, length, 1), 0)


def square_tensor(name: str, M: ArrayLike | torch.Tensor) -> torch.Tensor:
    """Return M (array or tensor) as a finite float tensor (N, N) on its own device, or say what is wrong with it.

    float32 and float64 stay as they are, and memory is shared where possible; other types become float64.
    """
    if isinstance(M, torch.Tensor):
        if M.layout != torch.strided:
            raise TypeError(f"{name} is a sparse tensor, which is not supported: pass {name}.to_dense()")
        M = M.detach()
        if M.dtype.is_complex or M.ndim != 2 or not M.isfinite().all():
            square_matrix(name, M.cpu().numpy())  # says what is wrong
    else:
        array = square_matrix(name, M)
        wanted = array.dtype.type if array.dtype.type in (np.float32, np.float64) else np.float64
        M = torch.from_numpy(np.require(array, wanted, ["C", "W"]))
    if M.shape[0] != M.shape[1] or not M.numel():
        raise ValueError(f"{name} must be a square matrix (N, N) with N ≥ 1, got shape {tuple(M.shape)}")
    return M if M.dtype in (torch.float32, torch.float64) else M.double()


def _as_given(result: torch.Tensor, given: ArrayLike | torch.Tensor) -> Matrix:
    """Return a tensor where a tensor was given, an array otherwise."""
    return result if isinstance(given, torch.Tensor) else result.numpy()
