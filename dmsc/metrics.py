"""How good is a clustering: scores against true labels, and quantities that need none."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from .checks import integer, square_matrix
from .losses import repeat_last
from .spectral import spectral_embedding


def contingency(y_true, y_pred):
    """Count how often each class meets each cluster.

    Parameters
    ----------
    y_true, y_pred : array_like of shape (N,)
        Integers (or strings); any values, in any order.

    Returns
    -------
    table : ndarray of shape (n_classes, n_found), int64
        Rows and columns in the order of the sorted distinct labels.

    Raises
    ------
    ValueError
        If the labels are empty, not 1-D, of different lengths or not whole numbers.
    TypeError
        If one of them is None: a data set without labels.
    """
    y_true, y_pred = _labels("y_true", y_true), _labels("y_pred", y_pred)
    if len(y_true) != len(y_pred):
        raise ValueError(f"y_true and y_pred must be equally long, got {len(y_true)} and {len(y_pred)}")
    classes, rows = np.unique(y_true, return_inverse=True)
    clusters, columns = np.unique(y_pred, return_inverse=True)
    table = np.zeros((len(classes), len(clusters)), dtype=np.int64)
    np.add.at(table, (rows, columns), 1)
    return table


def clustering_accuracy(y_true, y_pred):
    """Share of samples in the right cluster, under the best one-to-one match of clusters and classes.

    The match is found by the Hungarian algorithm. Where there are more clusters than classes, or
    the other way round, the surplus ones stay unmatched and their samples count as wrong.

    Parameters
    ----------
    y_true, y_pred : array_like of shape (N,)

    Returns
    -------
    float in (0, 1]

    Raises
    ------
    ValueError, TypeError
        As :func:`contingency`.

    References
    ----------
    H. Kuhn, "The Hungarian Method for the Assignment Problem", 1955.
    """
    table = contingency(y_true, y_pred)
    rows, columns = linear_sum_assignment(table, maximize=True)
    return float(table[rows, columns].sum() / table.sum())


def purity(y_true, y_pred):
    """Share of samples that belong to the most frequent class of their cluster.

    Parameters
    ----------
    y_true, y_pred : array_like of shape (N,)

    Returns
    -------
    float in (0, 1]

    Raises
    ------
    ValueError, TypeError
        As :func:`contingency`.
    """
    table = contingency(y_true, y_pred)
    return float(table.max(axis=0).sum() / table.sum())


def nmi(y_true, y_pred):
    """Normalize the mutual information I(y; ŷ) by the arithmetic mean of both entropies.

    Parameters
    ----------
    y_true, y_pred : array_like of shape (N,)

    Returns
    -------
    float in [0, 1]

    Raises
    ------
    ValueError, TypeError
        As :func:`contingency`.
    """
    contingency(y_true, y_pred)
    return float(normalized_mutual_info_score(y_true, y_pred, average_method="arithmetic"))


def ari(y_true, y_pred):
    """Rand index adjusted for chance: 1 for equal partitions, about 0 for random ones.

    Parameters
    ----------
    y_true, y_pred : array_like of shape (N,)

    Returns
    -------
    float in [-0.5, 1]

    Raises
    ------
    ValueError, TypeError
        As :func:`contingency`.

    References
    ----------
    L. Hubert, P. Arabie, "Comparing Partitions", Journal of Classification, 1985.
    """
    contingency(y_true, y_pred)
    return float(adjusted_rand_score(y_true, y_pred))


def score(y_true, y_pred):
    """All four scores of a clustering at once.

    Parameters
    ----------
    y_true, y_pred : array_like of shape (N,)

    Returns
    -------
    dict of float
        Keys ``acc``, ``nmi``, ``ari`` and ``purity``.

    Raises
    ------
    ValueError, TypeError
        As :func:`contingency`.
    """
    return {
        "acc": clustering_accuracy(y_true, y_pred),
        "nmi": nmi(y_true, y_pred),
        "ari": ari(y_true, y_pred),
        "purity": purity(y_true, y_pred),
    }


def self_expression_residual(Zs, C, weights=None):
    """Part of the latents that C does not express: Σ v‖Z − C Z‖² / Σ v‖Z‖² over the views.

    Parameters
    ----------
    Zs : sequence of array_like, each of shape (N, ...)
        Latents (or raw views) with samples as rows; what follows the first axis is flattened.
    C : array_like of shape (N, N)
        Self-expression coefficients.
    weights : sequence of float, optional
        Weight v of each view; 1 by default.

    Returns
    -------
    float
        0 where C expresses the latents exactly, 1 for C = 0; NaN where all latents are 0.

    Raises
    ------
    ValueError
        If shapes do not fit, values are not finite or weights are negative or all 0.
    TypeError
        If ``Zs`` is a bare array, not a sequence of views.
    """
    C = square_matrix("C", C).astype(np.float64)
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
    for number, (weight, Z) in enumerate(zip(weights, Zs, strict=True)):
        Z = np.asarray(Z, dtype=np.float64)
        if Z.ndim < 2 or len(Z) != len(C):
            raise ValueError(f"Zs[{number}] must have {len(C)} rows as C has, got shape {Z.shape}")
        if not np.isfinite(Z).all():
            raise ValueError(f"Zs[{number}] must be finite, got NaN or infinity")
        Z = Z.reshape(len(Z), -1)  # (N, d)
        left += weight * np.sum((Z - C @ Z) ** 2)
        total += weight * np.sum(Z**2)
    return float(left / total) if total > 0 else float("nan")


def objective(Xs, Xs_hat, Zs, C, weights):
    """Value of the fine-tuning loss (see ``dmsc.losses``), in float64 NumPy.

    Parameters
    ----------
    Xs, Xs_hat : sequence of array_like, each of shape (N, ...)
        Views and their reconstructions from C Z.
    Zs : sequence of array_like, each of shape (N, ...)
        Latents.
    C : array_like of shape (N, N)
        Coefficients, without their diagonal if the model leaves it out.
    weights : dmsc.losses.LossWeights

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If C is no square matrix, or there are more weights than views.

    References
    ----------
    P. Ji et al., NIPS 2017, eq. 5; M. Abavisani, V. Patel, 2018, eq. 8.
    """
    C = square_matrix("C", C).astype(np.float64)
    Xs, Xs_hat, Zs = ([np.asarray(A, dtype=np.float64).reshape(len(C), -1) for A in As] for As in (Xs, Xs_hat, Zs))
    w, v = repeat_last(weights.reconstruction, len(Xs)), repeat_last(weights.self_expression, len(Zs))
    reconstruction = sum(wm * np.sum((X - X_hat) ** 2) for wm, X, X_hat in zip(w, Xs, Xs_hat, strict=True))
    residual = sum(vl * np.sum((Z - C @ Z) ** 2) for vl, Z in zip(v, Zs, strict=True))
    regularization = np.sum(np.abs(C) ** weights.norm)
    return float(
        reconstruction + weights.lambda_regularization * regularization + weights.lambda_self_expression * residual
    )


def eigengap(W, n_clusters):
    """Gap between the K-th and the (K+1)-th smallest eigenvalue of W's normalized Laplacian.

    K is ``n_clusters``. A graph of K separate parts has K eigenvalues 0, so a wide gap speaks for K clusters.

    Parameters
    ----------
    W : array_like of shape (N, N)
        Symmetric, non-negative affinity.
    n_clusters : int
        From 1 to N - 1.

    Returns
    -------
    float in [0, 2]

    Raises
    ------
    ValueError, TypeError
        As :func:`dmsc.spectral.spectral_embedding`, or if ``n_clusters`` is not in 1..N-1.

    References
    ----------
    U. von Luxburg, "A Tutorial on Spectral Clustering", 2007, section 8.3.
    """
    W = square_matrix("W", W)
    n_clusters = integer("n_clusters", n_clusters, 1, len(W) - 1)
    eigenvalues, _ = spectral_embedding(W, n_clusters + 1)
    return float(eigenvalues[n_clusters] - eigenvalues[n_clusters - 1])


def _labels(name, y):
    if y is None:
        raise TypeError(f"{name} is None: scores need labels, and this data set has none")
    y = np.asarray(y)
    if y.ndim != 1 or y.size == 0:
        raise ValueError(f"{name} must be a non-empty vector (N,), got shape {y.shape}")
    if y.dtype.kind not in "biuUS" and not (y.dtype.kind == "f" and np.array_equal(y, np.floor(y))):
        raise ValueError(f"{name} must hold whole numbers, got dtype {y.dtype} with {y[:3]}")
    return y
