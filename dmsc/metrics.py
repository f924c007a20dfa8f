"""How good is a clustering: scores against true labels, and quantities that need none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix

from .checks import integer, square_matrix
from .spectral import spectral_embedding

__all__ = [
    "ari",
    "clustering_accuracy",
    "contingency",
    "eigengap",
    "nmi",
    "purity",
    "score",
    "self_expression_residual",
]


def contingency(y_true: ArrayLike, y_pred: ArrayLike) -> np.ndarray:
    """Count how often each class meets each cluster.

    Parameters
    ----------
    y_true, y_pred : array_like of shape (N,)
        Integers (or strings); any values, in any order.

    Returns
    -------
    table : ndarray of shape (n_classes, n_found), int64
        Rows and columns in the order of the sorted distinct labels.
    """
    return contingency_matrix(*_labels(y_true, y_pred))


def clustering_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Share of samples in the right cluster, under the best one-to-one match of clusters and classes.

    The match is found by the Hungarian algorithm. Where there are more clusters than classes, or the other way round,
    the surplus ones stay unmatched and their samples count as wrong.

    Parameters
    ----------
    y_true, y_pred : array_like of shape (N,)

    Returns
    -------
    float in (0, 1]

    References
    ----------
    H. Kuhn, "The Hungarian Method for the Assignment Problem", 1955.
    """
    table = contingency(y_true, y_pred)
    matched = table[linear_sum_assignment(table, maximize=True)]
    return float(matched.sum() / table.sum())


def purity(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Share of samples that belong to the most frequent class of their cluster.

    Parameters
    ----------
    y_true, y_pred : array_like of shape (N,)

    Returns
    -------
    float in (0, 1]
    """
    table = contingency(y_true, y_pred)
    return float(table.max(axis=0).sum() / table.sum())


def nmi(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Mutual information I(y; ŷ), divided by the arithmetic mean of both entropies.

    Parameters
    ----------
    y_true, y_pred : array_like of shape (N,)

    Returns
    -------
    float in [0, 1]
    """
    return float(normalized_mutual_info_score(*_labels(y_true, y_pred), average_method="arithmetic"))


def ari(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Rand index adjusted for chance: 1 for equal partitions, about 0 for random ones.

    Parameters
    ----------
    y_true, y_pred : array_like of shape (N,)

    Returns
    -------
    float in [-0.5, 1]

    References
    ----------
    L. Hubert, P. Arabie, "Comparing Partitions", Journal of Classification, 1985.
    """
    return float(adjusted_rand_score(*_labels(y_true, y_pred)))


def score(y_true: ArrayLike, y_pred: ArrayLike) -> dict[str, float]:
    """All four scores of a clustering at once.

    Parameters
    ----------
    y_true, y_pred : array_like of shape (N,)

    Returns
    -------
    dict of float
        Keys `acc`, `nmi`, `ari` and `purity`.
    """
    return {
        "acc": clustering_accuracy(y_true, y_pred),
        "nmi": nmi(y_true, y_pred),
        "ari": ari(y_true, y_pred),
        "purity": purity(y_true, y_pred),
    }


def self_expression_residual(
    Zs: Sequence[ArrayLike],
    C: ArrayLike,
    weights: Sequence[float] | np.ndarray | None = None,
    anchors: np.ndarray | None = None,
) -> float:
    """Part of the latents that C does not express: Σ v‖Z − C Z‖² / Σ v‖Z‖² over the views.

    Parameters
    ----------
    Zs : sequence of array_like, each of shape (N, ...)
        Latents (or raw views) with samples as rows; what follows the first axis is flattened.
    C : array_like of shape (N, N), or (N, m) with anchors
        Self-expression coefficients.
    weights : sequence of float, optional
        Weight v of each view; 1 by default.
    anchors : array (m,), optional
        Indices of the samples that C combines: the residual is of Z − C Z[anchors].

    Returns
    -------
    float
        0 where C expresses the latents exactly, 1 for C = 0; NaN where all latents are 0.
    """
    C = (square_matrix("C", C) if anchors is None else np.asarray(C)).astype(np.float64)
    if not isinstance(Zs, (list, tuple)):
        raise TypeError(f"Zs must be a list of views, got {type(Zs).__name__}: write [Z] for a single one")
    weights = np.ones(len(Zs)) if weights is None else np.asarray(weights, dtype=np.float64)
    if not Zs:
        raise ValueError("Zs must hold at least one view, got an empty list")
    if weights.shape != (len(Zs),):
        raise ValueError(f"weights must give one number for each view, got {weights} for {len(Zs)} views")
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        raise ValueError(f"weights must be finite, non-negative and not all 0, got {weights}")
    left, total = 0.0, 0.0
    for number, (v, Z) in enumerate(zip(weights, Zs, strict=True)):
        Z = np.asarray(Z, dtype=np.float64)
        if Z.ndim < 2 or len(Z) != len(C):
            raise ValueError(f"Zs[{number}] must have {len(C)} rows as C has, got shape {Z.shape}")
        if not np.isfinite(Z).all():
            raise ValueError(f"Zs[{number}] must be finite, got NaN or infinity")
        Z = Z.reshape(len(Z), -1)  # (N, d)
        left += v * np.sum((Z - C @ (Z if anchors is None else Z[anchors])) ** 2)  # v‖Z − C Z‖²
        total += v * np.sum(Z**2)  # v‖Z‖²
    return float(left / total) if total > 0 else float("nan")


def eigengap(W: ArrayLike, n_clusters: int) -> float:
    """Gap between the K-th and the (K+1)-th smallest eigenvalue of W's normalized Laplacian.

    K is `n_clusters`. A graph of K separate parts has K eigenvalues 0, so a wide gap speaks for K clusters. The
    eigenvalues are computed here; `dmsc.spectral.read_labels` has them already, and `Labels.eigengap` is the same gap.

    Parameters
    ----------
    W : array_like of shape (N, N)
        Symmetric, non-negative affinity.
    n_clusters : int
        From 1 to N - 1.

    Returns
    -------
    float in [0, 2]

    References
    ----------
    U. von Luxburg, "A Tutorial on Spectral Clustering", 2007, section 8.3.
    """
    W = square_matrix("W", W)
    n_clusters = integer("n_clusters", n_clusters, 1, len(W) - 1)
    eigenvalues, _ = spectral_embedding(W, n_clusters + 1)
    return float(eigenvalues[n_clusters] - eigenvalues[n_clusters - 1])


def _labels(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays (N,), or what is wrong with them."""
    checked = []
    for name, y in (("y_true", y_true), ("y_pred", y_pred)):
        if y is None:
            raise TypeError(f"{name} is None: scores need labels, and this data set has none")
        y = np.asarray(y)
        if y.ndim != 1 or y.size == 0:
            raise ValueError(f"{name} must be a non-empty vector (N,), got shape {y.shape}")
        if y.dtype.kind not in "biuUS" and not (y.dtype.kind == "f" and np.array_equal(y, np.floor(y))):
            raise ValueError(f"{name} must hold whole numbers, got dtype {y.dtype} with {y[:3]}")
        checked.append(y)
    if len(checked[0]) != len(checked[1]):
        raise ValueError(f"y_true and y_pred must be equally long, got {len(checked[0])} and {len(checked[1])}")
    return checked[0], checked[1]
