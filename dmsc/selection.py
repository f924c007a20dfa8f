"""Choices without labels: after which epoch to stop, and which reading of C to take.

A longer training lowers the loss and may still worsen the clusters, and no reading is best on all data. The
rule here asks the raw data: if the clusters are subspaces, then every sample is expressed best by the others of its own
cluster. The share of samples for which that is so, the subspace consistency, judges labels from any epoch and any
reading on one scale, and it never sees the true ones.

One giant cluster expresses nearly every sample best, whatever the data. So the share is corrected for chance, as the
adjusted Rand index is, and partitions that have collapsed are refused.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .checks import integer, positive_number
from .paths import replacing

__all__ = [
    "RULE",
    "Candidate",
    "check_epochs",
    "corrected_consistency",
    "is_degenerate",
    "load_candidates",
    "save_candidates",
    "select",
    "subspace_consistency",
]

#: What records say of how their choice was made.
RULE = "subspace consistency on the raw views, corrected for chance"
N_CHECKS = 10
COLUMNS = ("epoch", "reading", "labels", "consistency", "degenerate")  # of a file of candidates


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
        `corrected_consistency` of the labels, where someone is to choose by it.
    degenerate : bool
        Whether the partition has collapsed, see `is_degenerate`.
    """

    epoch: int
    reading: str
    labels: np.ndarray
    consistency: float | None = None
    degenerate: bool = False


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
    X, labels, ridge = np.asarray(X, dtype=np.float64), np.asarray(labels), positive_number("ridge", ridge)
    if X.ndim != 2 or labels.shape != (len(X),):
        raise ValueError(f"X (N, D) and labels (N,) are needed, got shapes {X.shape} and {labels.shape}")
    G = X @ X.T  # (N, N)
    clusters = np.unique(labels)
    errors = np.empty((len(X), len(clusters)))  # e_k(x_i)
    for k, cluster in enumerate(clusters):
        inside = np.flatnonzero(labels == cluster)
        P = np.linalg.inv(G[np.ix_(inside, inside)] + ridge * np.eye(len(inside)))
        errors[:, k] = G.diagonal() - np.einsum("ij,ij->i", G[:, inside] @ P, G[:, inside])
        errors[inside, k] = 1 / P.diagonal() - ridge
    own = errors[np.arange(len(X)), np.searchsorted(clusters, labels)]
    return float(np.mean(own <= errors.min(axis=1) + 1e-9 * G.diagonal()))  # a tie is no disagreement


def corrected_consistency(X: np.ndarray, labels: np.ndarray, ridge: float, seed: int = 0) -> float:
    """Return the subspace consistency, corrected for what random clusters of the same sizes reach.

    With the share a of `subspace_consistency` and the share e of the same labels in random order, this is Cohen's form
    (a - e) / (1 - e): 1 for clusters that all express their own, about 0 for random ones of any sizes.

    Parameters
    ----------
    X, labels, ridge
        As in `subspace_consistency`.
    seed : int
        Of the one random order; with N samples, e varies by at most 1 / (2 √N) from order to order.

    Returns
    -------
    float
        At most 1, and 0 where chance leaves nothing to win, as with one cluster.
    """
    labels = np.asarray(labels)
    share = subspace_consistency(X, labels, ridge)
    by_chance = subspace_consistency(X, np.random.default_rng(seed).permutation(labels), ridge)
    return 0.0 if by_chance == 1 else (share - by_chance) / (1 - by_chance)


def is_degenerate(labels: np.ndarray, n_clusters: int) -> bool:
    """Tell whether a partition has collapsed: fewer than K clusters, or sizes worth fewer than K / 2.

    Sizes are worth exp(-Σ p_k log p_k) clusters, p_k = n_k / N: K if all are equal, 1 if one has nearly all.
    """
    counts = np.unique(labels, return_counts=True)[1]
    p = counts / counts.sum()
    return len(counts) < n_clusters or bool(np.exp(-np.sum(p * np.log(p))) < n_clusters / 2)


def select(candidates: Sequence[Candidate]) -> Candidate:
    """Choose among candidates without labels.

    First the reading whose labels are the more consistent on average over all epochs (of equals the one that
    comes first), then the epoch at which they are most consistent; the later one of equals. Degenerate candidates play
    no part, unless there are no others: then a warning says so.

    Parameters
    ----------
    candidates : sequence of Candidate
        At least one.

    Returns
    -------
    Candidate
    """
    if not candidates:
        raise ValueError("select needs at least one candidate")
    whole = [candidate for candidate in candidates if not candidate.degenerate]
    if not whole:
        sizes = np.unique(candidates[-1].labels, return_counts=True)[1]
        warnings.warn(
            f"every candidate has collapsed (the last one's largest cluster has {sizes.max()} of {sizes.sum()} "
            "samples): the choice among them means little; try another penalty, another reading, or scaled views",
            stacklevel=2,
        )
    candidates = whole or candidates
    readings = dict.fromkeys(candidate.reading for candidate in candidates)
    means = {reading: np.mean([c.consistency for c in candidates if c.reading == reading]) for reading in readings}
    reading = max(readings, key=lambda name: means[name])
    return max((c for c in candidates if c.reading == reading), key=lambda c: (c.consistency, c.epoch))


def save_candidates(path: str | Path, candidates: Sequence[Candidate]) -> None:
    """Write candidates to an ``.npz`` file, under a temporary name first."""
    with replacing(path) as temporary:
        columns = {name: np.array([getattr(c, name) for c in candidates]) for name in COLUMNS}
        np.savez(temporary, **columns)  # type: ignore[arg-type]


def load_candidates(path: str | Path) -> list[Candidate]:
    """Read what `save_candidates` wrote; nothing if there is no such file."""
    if not Path(path).exists():
        return []
    try:
        with np.load(path) as content:
            rows = zip(*(content[name] for name in COLUMNS), strict=True)
            return [Candidate(int(epoch), str(name), labels, float(v), bool(d)) for epoch, name, labels, v, d in rows]
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is damaged ({type(error).__name__}): remove its folder to start anew") from None
