"""Clusters of samples that came later: each goes to the cluster whose members express it best."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from .self_expression import LOCAL_RIDGE, choose_ridge, unit_rows

__all__ = ["NearestSubspace"]


class NearestSubspace:
    """Clustered samples, against which new ones are held.

    Cluster k, with latents X_k (unit rows of all latents side by side), expresses a new sample x with the penalized
    error of `dmsc.selection.subspace_consistency`,

        e_k(x) = min_c ‖x - c X_k‖² + r ‖c‖²  =  ‖x‖² - gᵀ (G_k + r I)⁻¹ g,    G_k = X_k X_kᵀ,  g = X_k x,

    and x goes where it is smallest. Nothing is trained, and no sample that was clustered changes its label.

    Parameters
    ----------
    Zs : sequence of arrays (N, ...)
        Latents, or raw views, of the clustered samples. Where one is missing its row is 0.
    labels : array (N,)
        Clusters 0…K−1, none of them empty.
    weights : sequence of float, optional
        One v_l per latent, as in the loss; 1 by default.

    References
    ----------
    Wright et al., "Robust Face Recognition via Sparse Representation", TPAMI 2009 (the class with the smallest
    residual); Peng, Zhang, Yi, "Scalable Sparse Subspace Clustering", CVPR 2013 (of clusters, for samples that were
    left out).

    Examples
    --------
    >>> clusters = NearestSubspace([np.array([[1.0, 0], [2, 0], [0, 3], [0, 1]])], np.array([0, 0, 1, 1]))
    >>> clusters.predict([np.array([[0.1, 5], [7, 1]])])
    array([1, 0])
    """

    def __init__(self, Zs: Sequence[np.ndarray], labels: np.ndarray, weights: Sequence[float] | None = None):
        self.latents = unit_rows(Zs)  # (N, d_l) each
        self.labels = labels
        self.weights = [1.0] * len(self.latents) if weights is None else weights

    @cached_property
    def ridge(self) -> float:
        """The penalty r, chosen without labels on at most 1000 of the clustered samples, at the first use."""
        rows = np.random.default_rng(0).permutation(len(self.labels))[:1000]
        halved = [Z[rows] for Z in self.latents if Z.shape[1] > 1]
        return choose_ridge(halved) if halved else LOCAL_RIDGE

    def errors(self, Zs: Sequence[np.ndarray]) -> np.ndarray:
        """Return e_k(x) (n, K) for the latents (n, ...) of n new samples."""
        members, new = self._side_by_side(self.latents), self._side_by_side(unit_rows(Zs))
        errors = np.empty((len(new), self.labels.max() + 1))
        for k in range(errors.shape[1]):
            X = members[self.labels == k]  # (n_k, d)
            g = X @ new.T  # (n_k, n)
            solved = cho_solve(cho_factor(X @ X.T + self.ridge * np.eye(len(X))), g)
            errors[:, k] = (new**2).sum(axis=1) - (g * solved).sum(axis=0)
        return errors

    def predict(self, Zs: Sequence[np.ndarray]) -> np.ndarray:
        """Return the clusters (n,) of n new samples."""
        return self.errors(Zs).argmin(axis=1)

    def _side_by_side(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        return np.hstack([v**0.5 * Z for v, Z in zip(self.weights, rows, strict=True)])
