"""Anchored self-expression: N samples written as combinations of m of them, linear in N.

With m anchors among the samples, A_l = Z_l[anchors], the coefficients are C (N, m) instead of (N, N):

    min_C  Σ_l v_l ‖Z_l - C A_l‖²_F + ridge ‖C‖²_F

C costs O(N m d) time and O(N m) memory. B = |C| is a bipartite graph between samples and anchors. Two samples are alike
if they lean on the same anchors: W = B Λ⁻¹ Bᵀ with the column sums Λ of B. W is never made: its degrees are the row
sums of B, and the eigenvectors of its normalized Laplacian are the left singular vectors of an N x m matrix, which an
m x m eigenproblem gives, in O(N m²) time. There are no networks here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.cluster import MiniBatchKMeans
from sklearn.metrics import pairwise_distances_argmin
from threadpoolctl import threadpool_limits

from ..checks import SEED_LIMIT, integer, one_of, positive_number
from ..self_expression import gram_inverse, unit_rows
from ..spectral import Labels, kmeans_labels

__all__ = [
    "AnchorSolver",
    "anchored_affinity_factor",
    "anchored_clustering",
    "anchored_embedding",
    "anchored_ridge",
    "check_anchors",
    "choose_anchors",
    "own_anchor",
    "read_anchored",
    "threshold_rows",
]

BLOCK = 8192  # rows that are in float64 at a time
KMEANS_LIMIT = 50_000  # rows that k-means sees; the others join the nearest center
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
    """The best C for given anchors, sample by sample; every operation can be differentiated.

    With P = (Σ_l v_l A_l A_lᵀ + ridge I)⁻¹ from the Gram matrix of the anchors, a sample's coefficients are
    c = Σ_l v_l z_l A_lᵀ P. A sample that is anchor j itself must do without: then c - c_j P_j / P_jj is the best c with
    c_j = 0.

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
        self.P = gram_inverse(As, ridge, weights)  # (m, m), or what is wrong with the ridge
        self.maps = [v * A.double().T @ self.P for v, A in zip(weights, As, strict=True)]  # (d_l, m) each

    def __call__(self, Zs: Sequence[torch.Tensor], own: torch.Tensor | None = None) -> torch.Tensor:
        """Return C (n, m) for latents (n, d_l); ``own`` (n,) says which anchor each sample is, -1 for none."""
        maps = [map_.to(Z.dtype) for Z, map_ in zip(Zs, self.maps, strict=True)]
        C: torch.Tensor = sum(Z @ map_ for Z, map_ in zip(Zs, maps, strict=True))  # type: ignore[assignment]
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
    """Solve anchored self-expression with an L2 penalty in closed form.

        min_C  Σ_l v_l ‖Z_l - C A_l‖²_F + ridge ‖C‖²_F,   A_l = Z_l[anchors]

    With all samples as anchors it is `dmsc.ridge_self_expression`. All is computed in float64,
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
    flat = [as_tensor(Z).flatten(1) for Z in Zs]
    anchors = check_anchors(anchors, n_samples).to(flat[0].device)
    solve = AnchorSolver([Z[anchors] for Z in flat], ridge, weights)
    own = own_anchor(anchors, n_samples) if zero_diagonal else None
    C = torch.empty(n_samples, len(anchors), dtype=dtype, device=anchors.device)
    for start in range(0, n_samples, block_size):
        rows = slice(start, start + block_size)
        C[rows] = solve([Z[rows].double() for Z in flat], None if own is None else own[rows])
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


def threshold_rows(C: np.ndarray | torch.Tensor, ratio: float) -> torch.Tensor:
    """Keep the largest entries of every row: `dmsc.threshold_coefficients` for samples by anchors.

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
    """Return F (N, m) with W = F Fᵀ = B Λ⁻¹ Bᵀ, B = |C|: the affinity by its factor.

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
    """Embed the samples by the smallest eigenvectors of the normalized Laplacian of W, without making W.

    With the degrees D of W = B Λ⁻¹ Bᵀ, that Laplacian is I - S Sᵀ with S = D^(-1/2) B Λ^(-1/2): its smallest
    eigenvectors are the first left singular vectors of S. W's diagonal is kept (`dmsc.spectral_embedding` leaves it
    out).

    Parameters
    ----------
    C : array or tensor (N, m)
        Anchored coefficients; B = |C|.
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
    eigenvalues, F = _eigenvectors(C, n_components)
    return eigenvalues[:n_components], F


def _eigenvectors(C: torch.Tensor, n_components: int) -> tuple[np.ndarray, np.ndarray]:
    """Return all eigenvalues (m,) and the embedding (N, k) of `anchored_embedding`."""
    columns = _column_scale(C)

    def scaled(block: torch.Tensor) -> torch.Tensor:
        B = block.abs().double()
        return B.mul_(_inverse_root(B.sum(1, keepdim=True))).mul_(columns)

    gram = torch.zeros(len(columns), len(columns), dtype=torch.float64, device=C.device)
    for block in C.split(BLOCK):
        S = scaled(block)
        gram.addmm_(S.T, S)
    squares, V = (found.flip(-1) for found in torch.linalg.eigh(gram))  # sigma^2, descending
    leading, V = squares[:n_components], V[:, :n_components]
    rank = leading > len(columns) * torch.finfo(torch.float64).eps
    V = torch.where(rank, V / leading.clamp_min(0).sqrt().where(rank, torch.ones_like(leading)), 0)
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
    """Return the labels (N,), int64, of `read_anchored`.

    Parameters
    ----------
    C, n_clusters, ratio, seed
        As there.
    """
    return read_anchored(C, n_clusters, ratio=ratio, seed=seed).labels


def read_anchored(C: np.ndarray | torch.Tensor, n_clusters: int, *, ratio: float = 1.0, seed: int = 0) -> Labels:
    """Read clusters off anchored coefficients: `anchored_embedding`, then k-means.

    Parameters
    ----------
    C : array or tensor (N, m)
        Anchored coefficients.
    n_clusters : int
        K, at most min(N, m).
    ratio : float in (0, 1]
        Share of each row's l1 norm that `threshold_rows` keeps.
    seed : int
        Of k-means. It sees 50 000 random samples at most; the others join the nearest center.

    Returns
    -------
    Labels
        Arrays. The affinity is None: it is never made. Eigenvalues are None where K = m.
    """
    C = threshold_rows(C, ratio) if ratio != 1 else C
    n_clusters = integer("n_clusters", n_clusters, 1, min(_coefficients(C).shape))
    seed = integer("seed", seed, 0, SEED_LIMIT)
    eigenvalues, F = _eigenvectors(_coefficients(C), n_clusters)
    labels = _labels_of_rows(F, n_clusters, seed).astype(np.int64)
    return Labels(labels, None, eigenvalues[: n_clusters + 1] if n_clusters < len(eigenvalues) else None)


def _labels_of_rows(F: np.ndarray, n_clusters: int, seed: int) -> np.ndarray:
    if len(F) <= KMEANS_LIMIT:
        return kmeans_labels(F, n_clusters, seed)
    seen = F[np.sort(np.random.default_rng(seed).choice(len(F), KMEANS_LIMIT, replace=False))]
    labels = kmeans_labels(seen, n_clusters, seed)
    centers = np.stack([seen[labels == k].mean(0) for k in np.unique(labels)])
    return pairwise_distances_argmin(F, centers)


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
