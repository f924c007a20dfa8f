"""Deep CCA's correlation between latents: what CMSC-DCCA adds to affinity fusion.

For two centered matrices A, B of shape (N, p), with covariances Σ_AA, Σ_BB, Σ_AB, the canonical correlations are the
singular values of Σ_AA^(-1/2) Σ_AB Σ_BB^(-1/2). The loss wants the first k of them to be 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from .checks import integer, positive_number

__all__ = ["Correlation", "canonical_correlations", "correlation_deficit"]


@dataclass(frozen=True)
class Correlation:
    """How CMSC-DCCA correlates the latents of two views.

    The paper publishes none of these numbers. A latent of a few thousand entries is longer than there are samples, so
    that every correlation would be 1: each view's latent goes through a linear projection of its own first. As it is
    trained with the rest, it can still find directions that agree by chance (notebook 10).

    The numbers are those of the nearest public program, iCmSC (Wang et al., IEEE TIP 2021). Its other terms are means
    over samples and pixels, ours are sums: its weight of 1 is more like N times the pixels here.

    Parameters
    ----------
    lambda_correlation : float
        Weight of the term, >= 0. The other terms are sums over samples and pixels; this one is at most
        ``n_correlations`` per pair of views.
    projection_dim : int
        p, the length of a projected latent.
    n_correlations : int
        k, how many correlations count.
    covariance_ridge : float
        Added to the diagonal of both covariances, relative to their mean variance, > 0.

    References
    ----------
    Gao et al., "Cross-Modal Subspace Clustering via Deep Canonical Correlation Analysis", AAAI 2020.
    """

    lambda_correlation: float = 1.0
    projection_dim: int = 10
    n_correlations: int = 5
    covariance_ridge: float = 1e-3

    def __post_init__(self) -> None:
        if self.lambda_correlation is False or self.lambda_correlation != 0:
            positive_number("lambda_correlation", self.lambda_correlation)
        integer("projection_dim", self.projection_dim, 1)
        integer("n_correlations", self.n_correlations, 1, self.projection_dim)
        positive_number("covariance_ridge", self.covariance_ridge)


def canonical_correlations(A: torch.Tensor, B: torch.Tensor, ridge: float = 1e-3) -> torch.Tensor:
    """Return all canonical correlations of two matrices, largest first; differentiable.

    Instead of the inverse square roots, whose derivative needs an eigendecomposition, Cholesky factors
    Σ_AA = L_A L_Aᵀ whiten: L_A⁻¹ Σ_AB L_B⁻ᵀ has the same singular values. All of it runs in float64, whatever the type
    of the latents.

    Parameters
    ----------
    A, B : tensors (N, p), (N, q)
        Latents of the same N samples, N >= 2.
    ridge : float
        Regularization Σ + ridge (tr Σ / p) I, relative to the mean variance, so that the scale of the latents plays no
        role.

    Returns
    -------
    torch.Tensor (min(p, q),), float64
        In [0, 1]; nan where A or B isn't finite.

    Raises
    ------
    ValueError
        If A and B don't hold the same two or more samples, or ridge isn't positive.

    References
    ----------
    Hotelling, "Relations Between Two Sets of Variates", 1936; Andrew et al., "Deep Canonical Correlation Analysis",
    ICML 2013, section 3.
    """
    ridge = positive_number("ridge", ridge)
    if A.ndim != 2 or B.ndim != 2 or len(A) != len(B) or len(A) < 2:
        raise ValueError(f"A and B must be matrices of the same two or more samples, got {A.shape} and {B.shape}")
    if not (A.isfinite().all() and B.isfinite().all()):  # a diverged network: its loss is to say so, not a solver
        return A.new_full((min(A.shape[1], B.shape[1]),), torch.nan, dtype=torch.float64)
    A, B = (Z.double() - Z.double().mean(0) for Z in (A, B))  # (N, p), (N, q)

    def factor(Z: torch.Tensor) -> torch.Tensor:
        covariance = Z.T @ Z / (len(Z) - 1)  # (p, p)
        variance = covariance.diagonal().mean().clamp_min(1e-12)  # of dead latents: 0
        return torch.linalg.cholesky(covariance + ridge * variance * torch.eye(len(covariance)).to(covariance))

    L_A, L_B, cross = factor(A), factor(B), A.T @ B / (len(A) - 1)  # cross: (p, q)
    whitened = torch.linalg.solve_triangular(L_A, cross, upper=False)
    whitened = torch.linalg.solve_triangular(L_B, whitened.T, upper=False).T
    return torch.linalg.svdvals(whitened)


def correlation_deficit(
    projected: Sequence[torch.Tensor], settings: Correlation, masks: Sequence[torch.Tensor] | None = None
) -> torch.Tensor:
    """Return what is missing to perfect correlation, summed over all pairs of views.

        Σ_{l < m} ( k - Σ_{i ≤ k} ρ_i(A_l, A_m) )

    Its gradient is that of minus the total correlation; counted this way the term is never negative, and 0 is the goal.

    Parameters
    ----------
    projected : sequence of tensors (N, p)
        One per view.
    settings : Correlation
        k and the regularization.
    masks : sequence of bool tensors (N,), optional
        Samples that have the view; a pair is correlated over those that have both.

    Returns
    -------
    scalar tensor, float64

    References
    ----------
    Gao et al., AAAI 2020, the correlation constraint of the Deep CCA model; Andrew et al., ICML 2013, eq. 10.
    """
    total = projected[0].new_zeros((), dtype=torch.float64)
    for m, B in enumerate(projected):
        for l, A in enumerate(projected[:m]):  # noqa: E741 - the papers' index
            both = slice(None) if masks is None else masks[l] & masks[m]
            if isinstance(both, torch.Tensor) and both.sum() < 2:
                raise ValueError(
                    f"views {l} and {m} share {both.sum()} samples, which can't correlate: miss fewer views"
                )
            correlations = canonical_correlations(A[both], B[both], settings.covariance_ridge)
            total = total + settings.n_correlations - correlations[: settings.n_correlations].sum()
    return total
