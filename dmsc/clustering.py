"""From coefficients to labels as a method's description says, and the baseline that needs no network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from .methods import PostProcessing
from .self_expression import choose_ridge, ridge_self_expression
from .spectral import build_affinity, spectral_clustering, threshold_coefficients

__all__ = ["affinity", "cluster", "raw_self_expression", "unit_rows"]


def cluster(
    C: np.ndarray | torch.Tensor, n_clusters: int, post: PostProcessing | None = None, seed: int = 0
) -> tuple[np.ndarray | torch.Tensor, np.ndarray | torch.Tensor]:
    """Read clusters off coefficients, on the device where they lie.

    Parameters
    ----------
    C : array or tensor (N, N)
        Coefficients.
    n_clusters : int
        K.
    post : PostProcessing, optional
        The papers' post-processing; ``None`` is the plain affinity ``|C| + |C|ᵀ`` with k-means.
    seed : int
        Of k-means or of the discretization's rotation.

    Returns
    -------
    labels : array or tensor (N,), int64
    W : array or tensor (N, N)
        The affinity. Both are of C's kind.
    """
    W = affinity(C, n_clusters, post)
    return spectral_clustering(W, n_clusters, assign=post.assign if post else "kmeans", seed=seed), W


def affinity(
    C: np.ndarray | torch.Tensor, n_clusters: int, post: PostProcessing | None = None
) -> np.ndarray | torch.Tensor:
    """Return the affinity W (N, N) of coefficients, as :func:`cluster` uses it."""
    if post is None:
        return build_affinity(C)
    return build_affinity(
        threshold_coefficients(C, post.ratio),
        "subspace",
        n_clusters=n_clusters,
        dim=post.dim,
        alpha=post.alpha,
        unit_diagonal=post.unit_diagonal,
    )


def raw_self_expression(
    Xs: Sequence[np.ndarray], masks: Sequence[np.ndarray] | None = None
) -> tuple[np.ndarray, float]:
    """Return the closed-form C (N, N) on raw views scaled to unit rows, and the penalty chosen without labels."""
    rows = unit_rows(Xs)
    ridge = choose_ridge(rows)
    return ridge_self_expression(rows, ridge, masks=masks).numpy(), ridge


def unit_rows(Xs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return views as float64 matrices (N, D) whose rows have unit length; rows of zeros stay zero."""
    rows = [X.reshape(len(X), -1).astype(np.float64) for X in Xs]
    return [X / np.maximum(np.linalg.norm(X, axis=1, keepdims=True), 1e-12) for X in rows]
