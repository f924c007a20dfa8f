r"""Fine-tuning by mini-batches against anchors: an epoch is linear in N.

The loss is that of :mod:`dmsc.losses` with anchored coefficients C (N, m), p = 2:

.. math:: L = \sum_m w_m \|X^m - \hat X^m\|_F^2 + \lambda_1 \|C\|_F^2 + \lambda_2 \sum_l v_l \|Z^l - C A^l\|_F^2,

where :math:`A^l` are the latents of m anchors and :math:`\hat X^m` is decoded from :math:`C A`. It is a sum over
samples: a batch needs its own rows of C and the anchors, which are encoded anew in every step, as their latents
move. The rows of C are either the exact minimizers for the batch's latents, with the gradient through them
(:class:`dmsc.anchors.AnchorSolver`), or parameters that Adam trains.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from ..checks import integer, one_of
from ..losses import LossWeights, repeat_last, weighted_squared_error
from ..model import SubspaceNetwork
from ..optimization import make_optimizer
from ..training import History, check_views, train_epochs
from .anchors import AnchorSolver, check_anchors, own_anchor

__all__ = ["AnchoredSelfExpression", "anchored_coefficients", "finetune_anchored"]


class AnchoredSelfExpression(nn.Module):
    """Coefficients C (N, m) as a parameter whose gradient touches a batch's rows only.

    Parameters
    ----------
    n_samples : int
        N.
    anchors : array or tensor (m,)
        Indices of different samples.
    init : float
        Initial value of every coefficient.
    zero_diagonal : bool
        No anchor explains itself.
    """

    def __init__(
        self, n_samples: int, anchors: np.ndarray | torch.Tensor, init: float = 1e-4, zero_diagonal: bool = True
    ):
        super().__init__()
        n_samples = integer("n_samples", n_samples, 1)
        self.register_buffer("anchors", check_anchors(anchors, n_samples))
        self.rows = nn.Embedding.from_pretrained(
            torch.full((n_samples, len(self.anchors)), float(init)), freeze=False, sparse=True
        )
        self.zero_diagonal = zero_diagonal

    def batch(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the coefficients (n, m) of samples ``rows`` (n,)."""
        C = self.rows(rows)
        return C.masked_fill(rows[:, None] == self.anchors, 0) if self.zero_diagonal else C

    def forward(self, rows: torch.Tensor, A: torch.Tensor) -> torch.Tensor:
        """Return C[rows] A (n, d) for samples ``rows`` (n,) and anchors' latents A (m, d)."""
        return self.batch(rows) @ A

    @property
    def coefficients(self) -> torch.Tensor:
        """C (N, m), detached, 0 where an anchor would explain itself."""
        C = self.rows.weight.detach().clone()
        if self.zero_diagonal:
            C[self.anchors, torch.arange(len(self.anchors), device=C.device)] = 0
        return C

    @torch.no_grad()
    def set_coefficients(self, C: torch.Tensor) -> None:
        """Start from given coefficients C (N, m), such as :func:`dmsc.anchors.anchored_ridge`'s."""
        self.rows.weight.copy_(C)


def finetune_anchored(
    model: SubspaceNetwork,
    Xs: Sequence[torch.Tensor],
    anchors: np.ndarray | torch.Tensor,
    *,
    epochs: int,
    weights: LossWeights,
    learning_rate: float = 1e-3,
    batch_size: int = 500,
    solver: str = "closed-form",
    zero_diagonal: bool = True,
    seed: int = 0,
    **loop,
) -> tuple[History, torch.Tensor]:
    r"""Train the autoencoders around anchored coefficients, by mini-batches.

    Parameters
    ----------
    model : SubspaceNetwork
        Trained in place. Its own self-expression layer isn't used: build it with ``n_samples=1``.
    Xs : sequence of tensors (N, ...)
        The views, on the model's device.
    anchors : array or tensor (m,)
        Indices of different samples: :func:`dmsc.anchors.choose_anchors`.
    epochs : int
        Passes over the data.
    weights : LossWeights
        Weights of the terms; p must be 2.
    learning_rate : float
        Adam's.
    batch_size : int
        Samples per step, shuffled.
    solver : {"closed-form", "adam"}
        C as the best one for the current latents, with :math:`\lambda_1 / \lambda_2` as penalty; or as a parameter
        that starts there and is trained by lazy Adam: a step moves the rows of its batch only.
    zero_diagonal : bool
        No anchor explains itself.
    seed : int
        Order of the mini-batches.
    **loop
        As in :func:`dmsc.training.pretrain`; checkpoints with "closed-form" only.

    Returns
    -------
    history : dict of lists
        ``reconstruction``, ``regularization``, ``self_expression`` and their sum ``loss``, per epoch: sums over its
        batches.
    C : tensor (N, m), float32
        For the latents after the last step with "closed-form".

    Raises
    ------
    ValueError
        For bad arguments, p = 1, or a loss that is no longer finite.

    References
    ----------
    Seo, Koo, Jeon, "Deep Closed-Form Subspace Clustering", ICCV workshops 2019.
    """
    one_of("solver", solver, ("adam", "closed-form"))
    lambdas = weights.lambda_regularization, weights.lambda_self_expression
    if weights.norm != 2 or 0 in lambdas:
        raise ValueError(
            f"anchored training is for p = 2 and lambdas above 0, got norm={weights.norm} and lambdas {lambdas}"
        )
    if solver == "adam" and loop.get("checkpoint") is not None:
        raise ValueError("solver='adam' writes no checkpoints here: leave checkpoint out, or use 'closed-form'")
    n_samples, batch_size = check_views(model, Xs, None), integer("batch_size", batch_size, 1)
    device = Xs[0].device
    anchors = check_anchors(anchors, n_samples).to(device)
    own = own_anchor(anchors, n_samples) if zero_diagonal else None
    ridge = lambdas[0] / lambdas[1]
    latent_weights = repeat_last(weights.self_expression, len(model.latent_shapes[:1] if model.joint else Xs))
    optimizer = make_optimizer(model.autoencoder_parameters(), learning_rate)
    optimizers = [optimizer]
    if solver == "adam":
        layer = AnchoredSelfExpression(n_samples, anchors, zero_diagonal=zero_diagonal).to(Xs[0])
        layer.set_coefficients(anchored_coefficients(model, Xs, anchors, ridge, latent_weights, zero_diagonal))
        optimizers.append(torch.optim.SparseAdam(layer.parameters(), lr=learning_rate))  # lazy: rows of a batch only
    order = torch.Generator().manual_seed(seed)

    def batch_terms(rows: torch.Tensor) -> dict[str, torch.Tensor]:
        batch = [X[rows] for X in Xs]
        As, Zs = ([Z.to(Xs[0].dtype) for Z in model.encode(part)] for part in ([X[anchors] for X in Xs], batch))
        with torch.autocast(device.type, enabled=False):  # whatever the precision of encoders and decoders
            if solver == "adam":
                C = layer.batch(rows)
            else:
                C = AnchorSolver(As, ridge, latent_weights)(Zs, None if own is None else own[rows])
            Zs_hat = [C @ A for A in As]
        return {
            "reconstruction": weighted_squared_error(batch, model.decode(Zs_hat), weights.reconstruction),
            "regularization": lambdas[0] * C.square().sum(),
            "self_expression": lambdas[1] * weighted_squared_error(Zs, Zs_hat, latent_weights),
        }

    def epoch_step() -> dict[str, torch.Tensor]:
        totals: dict[str, torch.Tensor] = {}
        for each in optimizers:
            each.param_groups[0]["lr"] = optimizer.param_groups[0]["lr"]  # as the schedule has it
        for rows in torch.randperm(n_samples, generator=order).to(device).split(batch_size):
            for each in optimizers:
                each.zero_grad()
            terms = batch_terms(rows)
            sum(terms.values()).backward()
            for each in optimizers:
                each.step()
            totals = {name: totals.get(name, 0) + value.detach() for name, value in terms.items()}
        return {**totals, "loss": sum(totals.values())}

    history = train_epochs("finetune", model, optimizer, epoch_step, epochs, generator=order, **loop)
    if solver == "adam":
        return history, layer.coefficients.float()
    return history, anchored_coefficients(model, Xs, anchors, ridge, latent_weights, zero_diagonal, batch_size)


@torch.no_grad()
def anchored_coefficients(
    model: SubspaceNetwork,
    Xs: Sequence[torch.Tensor],
    anchors: torch.Tensor,
    ridge: float,
    weights: Sequence[float],
    zero_diagonal: bool = True,
    batch_size: int = 500,
) -> torch.Tensor:
    """Return the best C (N, m), float32, for the model's latents, which never exist for all samples at once.

    Parameters
    ----------
    model, Xs, anchors, zero_diagonal, batch_size
        As in :func:`finetune_anchored`.
    ridge, weights
        Penalty and one v_l per latent, as in :func:`dmsc.anchors.anchored_ridge`.
    """
    n_samples = len(Xs[0])
    solve = AnchorSolver(model.encode([X[anchors] for X in Xs]), ridge, weights)
    own = own_anchor(anchors, n_samples) if zero_diagonal else None
    C = torch.empty(n_samples, len(anchors), device=Xs[0].device)
    for start in range(0, n_samples, batch_size):
        rows = slice(start, start + batch_size)
        Zs = [Z.double() for Z in model.encode([X[rows] for X in Xs])]
        C[rows] = solve(Zs, None if own is None else own[rows])
    return C
