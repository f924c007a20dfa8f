"""Fine-tuning with C in closed form: only the autoencoders are trained, and C is always the best there is for them.

For fixed latents the last two terms of the loss have an exact minimizer, `dmsc.ridge_self_expression` with the penalty
γ = λ₁ / λ₂. So C need not be learned by thousands of small steps: it is a function of the latents, and the gradient
goes through it.

With P = (Σ_l v_l Z_l Z_lᵀ + γ I)⁻¹, its diagonal D, and H the gradient of the loss with respect to C:

- zero diagonal, C = I - D⁻¹ P: the gradient with respect to the Gram matrix is P D⁻¹ H' P, where H' is H with
  the diagonal H'_ii = Σ_{j ≠ i} H_ij C_ij;
- free diagonal, C = I - γ P: it is γ P H P.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..losses import LossWeights, repeat_last
from ..model import SubspaceNetwork
from ..self_expression import gram_inverse, ridge_coefficients
from ..training import History, finetune

__all__ = ["ClosedForm", "closed_form_solver", "finetune_closed_form", "settle"]


class ClosedForm(torch.autograd.Function):
    """C (N, N) as a differentiable function of the latents (N, d_l)."""

    @staticmethod
    def forward(ctx: Any, ridge: float, zero_diagonal: bool, weights: Sequence[float], *Zs: torch.Tensor) -> Any:
        """Solve in float64, and return C in the latents' precision."""
        P = gram_inverse(Zs, ridge, weights)
        C = ridge_coefficients(P, ridge, zero_diagonal).to(Zs[0].dtype).contiguous()  # LAPACK fills columns
        ctx.save_for_backward(P.to(Zs[0].dtype), C, *Zs)
        ctx.settings = ridge, zero_diagonal, weights
        return C

    @staticmethod
    def backward(ctx: Any, H: torch.Tensor) -> Any:
        """Go from the gradient of C to those of the latents, through the Gram matrix."""
        P, C, *Zs = ctx.saved_tensors
        ridge, zero_diagonal, weights = ctx.settings
        if zero_diagonal:
            H = H - torch.diag(H.diagonal())
            H = (H + torch.diag((H * C).sum(1))) / P.diagonal()[:, None]  # D⁻¹ H'
            G_gradient = P @ H @ P
        else:
            G_gradient = ridge * (P @ H @ P)
        G_gradient = G_gradient + G_gradient.T  # of Z Zᵀ
        return None, None, None, *(v * (G_gradient @ Z) for v, Z in zip(weights, Zs, strict=True))


def closed_form_solver(
    model: SubspaceNetwork, weights: LossWeights, masks: Sequence[torch.Tensor] | None = None
) -> Callable[[Sequence[torch.Tensor]], torch.Tensor]:
    """Return the function that gives the best C for latents, as `dmsc.finetune` takes it.

    Raises
    ------
    ValueError
        For weights without a closed form (see `dmsc.losses.LossWeights.ridge`), or with masks.
    """
    if masks is not None:
        raise ValueError("C in closed form needs every view of every sample: use solver='adam' with masks")
    ridge, zero_diagonal = weights.ridge, model.self_expression.zero_diagonal
    latent_weights = repeat_last(weights.self_expression, model.n_latents)  # v_l
    precise = model.self_expression.weight.dtype

    def solve(Zs: Sequence[torch.Tensor]) -> torch.Tensor:
        return ClosedForm.apply(ridge, zero_diagonal, latent_weights, *(Z.to(precise) for Z in Zs))

    return solve


def finetune_closed_form(
    model: SubspaceNetwork,
    Xs: Sequence[torch.Tensor],
    *,
    weights: LossWeights,
    masks: Sequence[torch.Tensor] | None = None,
    callback: Callable[[int, dict[str, float], SubspaceNetwork], None] | None = None,
    **options: Any,
) -> History:
    """Fine-tune as `dmsc.finetune` does, with C solved for at every step instead of trained.

    Parameters
    ----------
    model, Xs, weights, masks, callback, **options
        As there. The model's C is the best one for its latents in the end, and whenever the callback looks.

    Returns
    -------
    dict of lists
        The terms by name and their sum ``loss``, per epoch.

    Raises
    ------
    ValueError
        As `closed_form_solver` and `dmsc.finetune`.

    References
    ----------
    Seo, Koo, Jeon, "Deep Closed-Form Subspace Clustering", ICCV workshops 2019.
    """
    solve = closed_form_solver(model, weights, masks)

    def keep(Zs: Sequence[torch.Tensor]) -> torch.Tensor:
        C = solve(Zs)
        model.self_expression.set_coefficients(C.detach())
        return C

    history = finetune(model, Xs, weights=weights, solve=keep, callback=callback, **options)
    settle(model, Xs, weights)
    return history


@torch.no_grad()
def settle(model: SubspaceNetwork, Xs: Sequence[torch.Tensor], weights: LossWeights) -> None:
    """Set the model's C to the best one for its latents as they are now."""
    solve = closed_form_solver(model, weights)
    model.self_expression.set_coefficients(solve(model.encode(Xs)))
