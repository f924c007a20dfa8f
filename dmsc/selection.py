"""Choices without labels: after which epoch to stop, and which reading of C to take.

A longer training lowers the loss and may still worsen the clusters, and no reading is best on all data. The
rule here asks the raw data: if the clusters are subspaces, then every sample is expressed best by the others of its own
cluster. The share of samples for which that is so, the subspace consistency, is
corrected for chance. It judges labels from any epoch and any reading on one scale, and it never sees the true ones.

Chance is no detail: a cluster that holds nearly all samples expresses nearly all of them best, whatever they are. And
labels that put nearly all samples into one cluster are no answer at all: such degenerate ones are chosen only if there
is nothing else.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .checks import integer, positive_number

__all__ = [
    "RULE", "Candidate", "check_epochs", "corrected_consistency", "is_degenerate", "select", "subspace_consistency",
]  # fmt: skip

RULE = "chance-corrected subspace consistency on the raw views"  # as records name it; another text if it ever changes
N_CHECKS = 10


@dataclass(frozen=True)
class Candidate:
    """Labels that could be the answer.

    Parameters
    ----------
    epoch : int
        Fine-tuning epoch of the coefficients; negative for those on the way to it (`dmsc.solvers.scale_path`).
    reading : {"plain", "paper"}
        How they were read.
    labels : array (N,)
        The clusters.
    consistency : float or None
        `corrected_consistency` of the labels, at most 1 and about 0 by chance, where someone is to choose by it.
    degenerate : bool
        Whether `is_degenerate` holds: refused in a choice.
    eigengap : float or None
        Of the affinity that they were read from, see `dmsc.spectral.Labels`. The choice does not use it.
    """

    epoch: int
    reading: str
    labels: np.ndarray
    consistency: float | None = None
    degenerate: bool = False
    eigengap: float | None = None


def check_epochs(epochs: int, n_checks: int = N_CHECKS) -> list[int]:
    """Return the epochs after which labels are looked at: ``n_checks`` equal steps, the last epoch among them."""
    epochs, n_checks = integer("epochs", epochs, 0), integer("n_checks", n_checks, 1)
    return sorted({-(-epochs * step // n_checks) for step in range(1, n_checks + 1)})


def subspace_consistency(X: np.ndarray, labels: np.ndarray, ridge: float) -> float:
    """Return the share of samples that their own cluster expresses best.

    Cluster k, with rows X_k and Gram matrix G_k = X_k X_kᵀ, expresses sample x with the penalized error

        e_k(x) = min_c ‖x - c X_k‖² + r ‖c‖²

    where x itself, if it is one of them, may not help. A sample agrees with its label if no other cluster has a smaller
    error.

    Parameters
    ----------
    X : array (N, D)
        Raw features, one sample per row, best of unit length.
    labels : array (N,)
        Clusters.
    ridge : float
        Penalty r, > 0, for instance that of `dmsc.self_expression.choose_ridge`.

    Returns
    -------
    float in [0, 1]

    Notes
    -----
    With P = (G_k + r I)⁻¹ the error is ‖x‖² - gᵀ P g, where g are the inner products of x with the cluster; left out of
    its own cluster, sample i has the error 1 / P_ii - r.
    """
    errors, own, rounding = _errors(X, labels, ridge)
    return float(np.mean(errors[np.arange(len(own)), own] <= errors.min(axis=1) + rounding))  # a tie is no disagreement


def corrected_consistency(X: np.ndarray, labels: np.ndarray, ridge: float) -> float:
    """Return the subspace consistency, corrected for what chance gives to clusters of these sizes.

    The cluster with the smallest error e_k(x), see `subspace_consistency`, is the best one for x. Let a be the share of
    samples whose own cluster is the best one, p_k the share of samples in cluster k, and q_k the share of samples that
    cluster k expresses best. This is Cohen's kappa:

        κ = (a - e) / (1 - e),    e = Σ_k p_k q_k

    Parameters
    ----------
    X, labels, ridge
        As in `subspace_consistency`.

    Returns
    -------
    float in [-1, 1]
        1 if every sample agrees with its label; about 0 for random labels, whatever the sizes of their clusters, and 0
        for a single cluster; below 0 if samples avoid their own cluster.

    Raises
    ------
    ValueError
        If shapes don't fit, X is not finite, or the penalty is not positive.

    Notes
    -----
    e is the agreement that is left, on average over all permutations, if the labels are shuffled and the best clusters
    stay. It is exact and free: nothing is drawn, and the order of the samples and the names of the clusters play no
    role. To solve anew for shuffled labels would double the time for nearly the same outcome: a giant attracts a little
    more then, and the score of uneven clusters is up to 0.05 lower on the digits of scikit-learn.

    A sample's own cluster is one member short when it is left out. So random clusters score a little below 0 if they
    are small and equal: -0.03 for five of 60 samples.

    If several clusters are equally good (a sample that nobody expresses, for instance), each counts for its part.

    References
    ----------
    J. Cohen, "A Coefficient of Agreement for Nominal Scales", Educational and Psychological Measurement, 1960.
    """
    errors, own, rounding = _errors(X, labels, ridge)
    N, K = errors.shape
    if K == 1:
        return 0.0  # there is no rival: e = 1
    best = (errors <= (errors.min(axis=1) + rounding)[:, None]).astype(float)  # (N, K)
    best /= best.sum(axis=1, keepdims=True)
    observed = best[np.arange(N), own].sum() / N
    chance = np.bincount(own) @ best.sum(axis=0) / N**2  # sums of whole numbers first: exact in any order
    return float((observed - chance) / (1 - chance))


def _errors(X: np.ndarray, labels: np.ndarray, ridge: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the errors e_k(x_i) (N, K), which cluster each sample is in (N,), and what is no difference (N,)."""
    X, labels, ridge = np.asarray(X, dtype=np.float64), np.asarray(labels), positive_number("ridge", ridge)
    if X.ndim != 2 or labels.shape != (len(X),) or len(X) == 0:
        raise ValueError(f"X (N, D) and labels (N,) are needed, got shapes {X.shape} and {labels.shape}")
    if not np.isfinite(X).all():
        row, column = np.argwhere(~np.isfinite(X))[0]
        raise ValueError(f"X must be finite, got {X[row, column]} at row {row}, column {column}")
    clusters, own = np.unique(labels, return_inverse=True)
    G = X @ X.T  # (N, N)
    errors = np.empty((len(X), len(clusters)))  # e_k(x_i)
    for k in range(len(clusters)):
        inside = np.flatnonzero(own == k)
        P = np.linalg.inv(G[np.ix_(inside, inside)] + ridge * np.eye(len(inside)))
        errors[:, k] = G.diagonal() - np.einsum("ij,ij->i", G[:, inside] @ P, G[:, inside])
        errors[inside, k] = 1 / P.diagonal() - ridge
    return errors, own, 1e-9 * (G.diagonal() + ridge)


def is_degenerate(labels: np.ndarray, n_clusters: int) -> bool:
    """Return whether labels are too few clusters, or one giant and crumbs.

    That is so if there are fewer than K distinct labels, or if the entropy of the clusters' sizes is below half of the
    largest possible, log K. In other words: the effective number of clusters, exp of the entropy, is below √K, halfway
    (in factors) between a single cluster and K equal ones. It takes a giant of about 90 % of the samples for K = 2, and
    of three quarters of them for K = 10 if all others are equal. Classes of real data may be uneven, and pass.

    Parameters
    ----------
    labels : array (N,)
        Clusters.
    n_clusters : int
        K.
    """
    n_clusters = integer("n_clusters", n_clusters, 1)
    shares = np.unique(labels, return_counts=True)[1] / np.size(labels)
    entropy = -(shares * np.log(shares)).sum()
    return bool(len(shares) < n_clusters or entropy < np.log(n_clusters) / 2)


def select(candidates: Sequence[Candidate]) -> Candidate:
    """Choose among candidates without labels.

    Degenerate ones (`is_degenerate`) are refused. Then comes the reading whose labels are the more consistent on
    average over all epochs, where a refused epoch counts as 0, like chance (of equals the one that comes first); then,
    of what is left of it, the epoch at which they are most consistent; the later one of equals.

    If all are degenerate, none is refused, and a warning says so.

    Parameters
    ----------
    candidates : sequence of Candidate
        At least one, each with its consistency.

    Returns
    -------
    Candidate

    Raises
    ------
    ValueError
        If there is no candidate, or one without a consistency.
    """
    if not candidates:
        raise ValueError("select needs at least one candidate")
    if any(c.consistency is None for c in candidates):
        raise ValueError("select needs the consistency of every candidate, got None: see corrected_consistency")
    kept = [c for c in candidates if not c.degenerate] or candidates
    looks = Counter(c.reading for c in candidates)  # a refused one adds nothing but counts
    totals = {name: np.sum([c.consistency for c in kept if c.reading == name]) for name in looks}
    readings = dict.fromkeys(c.reading for c in kept)
    reading = max(readings, key=lambda name: totals[name] / looks[name])
    chosen = max((c for c in kept if c.reading == reading), key=lambda c: (c.consistency, c.epoch))
    if chosen.degenerate:
        sizes = np.sort(np.unique(chosen.labels, return_counts=True)[1])[::-1]
        shown = ", ".join(map(str, sizes[:10])) + (", ..." if len(sizes) > 10 else "")
        warnings.warn(
            f"every candidate is degenerate, and the chosen one has clusters of {shown} samples: change the method's "
            "parameters or the number of clusters before you use these labels",
            stacklevel=2,
        )
    return chosen
