r"""Fine-tuning with C in closed form: only the autoencoders are trained, and C is always the best there is for them.

For fixed latents the last two terms of the loss have an exact minimizer (:func:`dmsc.ridge_self_expression` with the
penalty :math:`\gamma = \lambda_1 / \lambda_2`), so C need not be learned by thousands of small steps: it is a function
of the latents. What is left is :math:`L(Z) = E(C(Z) Z) + \lambda_1 \|C(Z)\|_F^2 + \lambda_2 \sum_l v_l \|Z^l - C(Z)
Z^l\|_F^2`, E being the reconstruction error behind the decoders, and this module takes its gradient, C(Z) included:

- At the minimizer the gradient of the last two terms with respect to C is 0, so C(Z) matters through E alone. H, the
  gradient of the loss with respect to C, is then E's.
- With a zero diagonal :math:`C = I - D^{-1} P` where :math:`P = (\sum_l v_l Z^l Z^{l\top} + \gamma I)^{-1}` and D is
  P's diagonal. As P is symmetric, the chain rule gives for the Gram matrix

  .. math:: \nabla_G = (I - C)^\top H' D (I - C), \qquad H' = H + \mathrm{diag}(\mathrm{rowsum}(H \circ C)),

  and :math:`1 / D_{ii} = \gamma + \sum_l v_l r^l_i \cdot z^l_i` with the residual R, so P itself is never needed.
- With a free diagonal :math:`C = I - \gamma P`: the same with :math:`H' = H` and :math:`D = I / \gamma`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..correlation import Correlation
from ..gradients import FinetuningGradient
from ..losses import LossWeights
from ..model import SubspaceNetwork
from ..self_expression import ridge_self_expression

__all__ = ["ClosedFormGradient"]


class ClosedFormGradient(FinetuningGradient):
    """The terms of the loss at the best C for the current latents, and their gradient for the autoencoders.

    Parameters
    ----------
    model : SubspaceNetwork
        Its C is overwritten at every call; the weight gets no gradient.
    Xs, weights, correlation
        As in :class:`~dmsc.gradients.FinetuningGradient`.

    Raises
    ------
    ValueError
        For p = 1, for a lambda of 0, or with masks.

    References
    ----------
    Seo, Koo, Jeon, "Deep Closed-Form Subspace Clustering", ICCV workshops 2019.
    """

    def __init__(
        self,
        model: SubspaceNetwork,
        Xs: Sequence[torch.Tensor],
        weights: LossWeights,
        masks: Sequence[torch.Tensor] | None = None,
        correlation: Correlation | None = None,
    ):
        check_closed_form(weights)
        if masks is not None:
            raise ValueError("solver='closed-form' needs every view of every sample: use solver='adam' with masks")
        super().__init__(model, Xs, weights, masks, correlation)
        self.ridge = weights.lambda_regularization / weights.lambda_self_expression

    @torch.no_grad()
    def coefficients(self) -> torch.Tensor:
        """Solve for C, and leave it in the model."""
        layer = self.model.self_expression
        Zs = [self.Z[:, at] for at in self.columns]
        layer.set_coefficients(
            ridge_self_expression(Zs, self.ridge, zero_diagonal=layer.zero_diagonal, weights=self.latent_weights)
        )
        return layer.weight.detach()

    @torch.no_grad()
    def express_backward(self, C: torch.Tensor) -> None:
        """Go back through CZ, and through C as a function of Z."""
        doubled = 2 * self.weights.lambda_self_expression
        inverse_D = self.ridge + torch.einsum("nd,nd->n", self.Z_gradient, self.Z) / doubled  # 2 lambda_2 v R is in it
        super().express_backward(C)
        H = self.C_gradient
        self.model.self_expression.weight.grad = None
        if self.model.self_expression.zero_diagonal:
            H.diagonal().copy_((H * C).sum(1))  # H'
            rows = 1 / inverse_D  # D
        else:
            rows = torch.full_like(inverse_D, 1 / self.ridge)
        rest = torch.eye(len(C), dtype=C.dtype, device=C.device).sub_(C)  # I - C
        with torch.autocast(C.device.type, enabled=False):
            gram = rest.t() @ (H @ (rows[:, None] * rest))
        gram += gram.t().clone()
        for at, v in zip(self.columns, self.latent_weights, strict=True):
            self.Z_gradient[:, at].addmm_(gram, self.Z[:, at], alpha=v)

    @torch.no_grad()
    def settle(self) -> None:
        """Set the model's C to the best one for its latents as they are now."""
        self.encode()
        self.coefficients()


def check_closed_form(weights: LossWeights) -> None:
    """Refuse weights for which no closed form exists."""
    lambdas = weights.lambda_regularization, weights.lambda_self_expression
    if weights.norm != 2 or 0 in lambdas:
        raise ValueError(
            f"solver='closed-form' needs norm=2 and both lambdas above 0, got norm={weights.norm} and {lambdas}: "
            "use solver='adam'"
        )
