"""How many clusters? Three criteria that score every K on one graph, and what they are worth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.metrics import silhouette_score

from .checks import integer, one_of, square_matrix
from .self_expression import raw_self_expression
from .spectral import build_affinity, kmeans_labels, spectral_embedding

__all__ = ["CRITERIA", "cluster_number_scores", "estimate_n_clusters", "scores_text", "strongest"]

CRITERIA = ("eigengap", "modularity", "silhouette")
NEIGHBORS = 20  # coefficients of each sample in the graph for which modularity was measured


def strongest(C: np.ndarray, n_neighbors: int = NEIGHBORS) -> np.ndarray:
    """Keep the largest |C_ij| of every row (N, N), the diagonal left out; all else becomes 0."""
    size = np.abs(C)
    np.fill_diagonal(size, 0)
    n_neighbors = min(integer("n_neighbors", n_neighbors, 1), len(C))
    largest = np.argpartition(-size, n_neighbors - 1, axis=1)[:, :n_neighbors]
    kept = np.zeros_like(size)
    np.put_along_axis(kept, largest, np.take_along_axis(size, largest, axis=1), axis=1)
    return kept


def cluster_number_scores(
    W: ArrayLike, candidates: Iterable[int], criteria: Iterable[str] = CRITERIA, seed: int = 0
) -> list[dict[str, float]]:
    """Score numbers of clusters on a graph, the higher the better.

    All but the first are about the labels of spectral clustering with K clusters, F its embedding of K columns:

    - "eigengap": the gap behind the K-th eigenvalue of the normalized Laplacian (`dmsc.spectral.spectral_embedding`).
    - "modularity": Q = Σ_k W_kk / w - (w_k / w)², where W_kk is the weight inside cluster k, w_k the sum of its degrees
      and w that of all: how much more of the weight is inside clusters than if edges were drawn at random by degrees.
    - "silhouette": mean silhouette of the rows of F.

    Parameters
    ----------
    W : array (N, N)
        Symmetric, non-negative affinity, N >= 3, its diagonal left out.
    candidates : iterable of int
        Values of K, from 2 to N - 1.
    criteria : iterable of str
        Which.
    seed : int
        Of k-means.

    Returns
    -------
    list of dict
        One per candidate, in ascending order: ``n_clusters`` and the criteria.

    Notes
    -----
    None of them finds K on real data as a rule: benchmarks/cluster_number.py scores them on ten sets whose classes are
    known, and results/benchmarks/cluster_number.json has what came out. On graphs of few edges (the `strongest` 20
    coefficients of each sample, or those among its nearest neighbors) modularity is seldom right, and mostly off by one
    or two; with 40 classes it finds half of them. The eigengap is off by more, and the silhouette prefers a few large
    groups.

    References
    ----------
    U. von Luxburg, "A Tutorial on Spectral Clustering", 2007, section 8.3 (eigengap); White, Smyth, "A Spectral
    Clustering Approach to Finding Communities in Graphs", SDM 2005 (modularity); P. Rousseeuw, "Silhouettes", 1987.
    """
    W = square_matrix("W", W)
    candidates = sorted({integer("candidates", K, 2, len(W) - 1) for K in candidates})
    criteria = [one_of("criteria", name, CRITERIA) for name in criteria]
    if not candidates:
        raise ValueError("candidates must hold at least one K, from 2 to N - 1, got none")
    eigenvalues, F = spectral_embedding(W, candidates[-1] + 1)
    scores: list[dict[str, float]] = []
    for K in candidates:
        embedding = _columns(F, K)
        found: dict[str, float] = {"n_clusters": K}
        labels = kmeans_labels(embedding, K, seed) if criteria != ["eigengap"] else np.zeros(1, dtype=int)
        for name in criteria:
            if name == "eigengap":
                found[name] = float(eigenvalues[K] - eigenvalues[K - 1])
            elif name == "modularity":
                found[name] = _modularity(W, labels)
            else:
                found[name] = float(silhouette_score(embedding, labels))  # orthogonal columns: no single cluster
        scores.append(found)
    return scores


def estimate_n_clusters(W: ArrayLike, max_clusters: int = 20, method: str = "eigengap") -> int:
    """Estimate the number of clusters of a graph: the K from 2 on with the highest score.

    On clean, separate clusters that is their number, by any method; on real data it seldom is. "modularity" comes
    nearest, see `cluster_number_scores` for what each was worth. Look at all scores before believing one.

    Parameters
    ----------
    W : array (N, N)
        Symmetric, non-negative affinity, N >= 3.
    max_clusters : int
        Largest K that is considered, >= 2 and in effect at most N - 1. The smallest one is 2.
    method : {"eigengap", "modularity", "silhouette"}
        Which score; of equal ones the smaller K.

    Returns
    -------
    int

    Raises
    ------
    ValueError, TypeError
        If W is no affinity of at least three samples, or ``max_clusters`` is no integer >= 2.

    Examples
    --------
    >>> estimate_n_clusters(np.kron(np.eye(4), np.ones((5, 5))))
    4
    """
    W, max_clusters = square_matrix("W", W), integer("max_clusters", max_clusters, 2)
    one_of("method", method, CRITERIA)
    _check_number(len(W))
    scores = cluster_number_scores(W, range(2, min(max_clusters, len(W) - 1) + 1), [method])
    best = np.argmax(np.round([found[method] for found in scores], 9))  # rounded, so that equal ones are equal
    return int(scores[best]["n_clusters"])


def scores_text(Xs: Sequence[np.ndarray], masks: Sequence[np.ndarray] | None = None, max_clusters: int = 20) -> str:
    """Return a table of all scores for the closed form on raw views (N, ...), and the highest: `dmsc estimate-k`."""
    _check_number(len(Xs[0]))
    candidates = range(2, min(integer("max_clusters", max_clusters, 2), len(Xs[0]) - 1) + 1)
    W = build_affinity(strongest(raw_self_expression(Xs, masks)[0]))
    scores = pd.DataFrame(cluster_number_scores(W, candidates)).set_index("n_clusters")
    best = ", ".join(f"{name} {int(K)}" for name, K in scores.idxmax().items())
    return f"{scores.round(3).to_string()}\nhighest: {best}; modularity comes nearest on real data, and seldom hits"


def _check_number(n_samples: int) -> None:
    if n_samples < 3:
        raise ValueError(
            f"the number of clusters needs at least three samples, got {n_samples}: give n_clusters as an integer"
        )


def _columns(F: Any, K: int) -> np.ndarray:
    """Return the embedding (N, K) that is part of a wider one: rows of unit length or 0."""
    F = F[:, :K]
    length = np.linalg.norm(F, axis=1, keepdims=True)
    return np.divide(F, length, out=np.zeros_like(F), where=length > 0)


def _modularity(W: np.ndarray, labels: np.ndarray) -> float:
    P = np.eye(labels.max() + 1)[labels]  # (N, K)
    weights = P.T @ (W - np.diag(W.diagonal())) @ P  # (K, K)
    total = weights.sum()
    return float(weights.trace() / total - ((weights.sum(axis=1) / total) ** 2).sum()) if total else 0.0
