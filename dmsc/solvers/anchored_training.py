"""Fine-tuning by mini-batches against anchors: an epoch is linear in N.

The loss is that of `dmsc.losses` with anchored coefficients C (N, m), p = 2:

    L = Σ_m w_m ‖X_m - X̂_m‖²_F + λ₁ ‖C‖²_F + λ₂ Σ_l v_l ‖Z_l - C A_l‖²_F

where A_l are the latents of m anchors and X̂ is decoded from C A. It is a sum over samples: a batch needs its own rows
of C and the anchors, which are encoded anew in every step, as their latents move. The rows of C are the exact
minimizers for the batch's latents, with the gradient through them (`dmsc.solvers.anchors.AnchorSolver`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..checks import integer
from ..losses import LossWeights, mean_squared_length, repeat_last, weighted_squared_error
from ..model import SubspaceNetwork
from ..training import History, batches, check_views, make_optimizer, train_epochs
from .anchors import AnchorSolver, check_anchors, own_anchor

__all__ = ["anchored_coefficients", "finetune_anchored"]


def finetune_anchored(
    model: SubspaceNetwork,
    Xs: Sequence[torch.Tensor],
    anchors: np.ndarray | torch.Tensor,
    *,
    epochs: int,
    weights: LossWeights,
    learning_rate: float = 1e-3,
    batch_size: int = 500,
    zero_diagonal: bool = True,
    seed: int = 0,
    **loop: Any,
) -> tuple[History, torch.Tensor]:
    """Train the autoencoders around anchored coefficients in closed form, by mini-batches.

    Parameters
    ----------
    model : SubspaceNetwork
        Trained in place. Its own self-expression layer isn't used: build it with ``n_samples=1``.
    Xs : sequence of tensors (N, ...)
        The views, on the model's device.
    anchors : array or tensor (m,)
        Indices of different samples: `dmsc.solvers.anchors.choose_anchors`.
    epochs : int
        Passes over the data.
    weights : LossWeights
        Weights of the terms; p must be 2.
    learning_rate : float
        Adam's.
    batch_size : int
        Samples per step, shuffled.
    zero_diagonal : bool
        No anchor explains itself.
    seed : int
        Order of the mini-batches.
    **loop
        As in `dmsc.pretrain`.

    Returns
    -------
    history : dict of lists
        ``reconstruction``, ``regularization``, ``self_expression`` and their sum ``loss``, per epoch: sums over its
        batches.
    C : tensor (N, m), float32
        For the latents after the last step.

    Raises
    ------
    ValueError
        For bad arguments, weights without a closed form, or a loss that is no longer finite.

    References
    ----------
    Seo, Koo, Jeon, "Deep Closed-Form Subspace Clustering", ICCV workshops 2019.
    """
    ridge = weights.ridge
    n_samples, batch_size = check_views(model, Xs, None), integer("batch_size", batch_size, 1)
    device = Xs[0].device
    anchors = check_anchors(anchors, n_samples).to(device)
    own = own_anchor(anchors, n_samples) if zero_diagonal else None
    optimizer = make_optimizer(model.autoencoder_parameters(), learning_rate)
    order = torch.Generator().manual_seed(seed)

    def batch_terms(rows: slice | torch.Tensor) -> dict[str, torch.Tensor]:
        batch = [X[rows] for X in Xs]
        As, Zs = ([Z.to(Xs[0].dtype) for Z in model.encode(part)] for part in ([X[anchors] for X in Xs], batch))
        with torch.autocast(device.type, enabled=False):  # whatever the precision of encoders and decoders
            latent_weights = _latent_weights(As, weights)
            C = AnchorSolver(As, ridge, latent_weights)(Zs, None if own is None else own[rows])  # (n, m)
            Zs_hat = [C @ A for A in As]
        return {
            "reconstruction": weighted_squared_error(
                batch, model.decode(Zs_hat), weights.reconstruction, relative=weights.relative
            ),
            "regularization": weights.lambda_regularization * C.square().sum(),
            "self_expression": weights.lambda_self_expression * weighted_squared_error(Zs, Zs_hat, latent_weights),
        }

    def epoch_step() -> dict[str, torch.Tensor]:
        totals: dict[str, torch.Tensor] = {}
        for rows in batches(n_samples, batch_size, order, device):
            optimizer.zero_grad()
            terms = batch_terms(rows)
            loss: torch.Tensor = sum(terms.values())  # type: ignore[assignment]
            loss.backward()
            optimizer.step()
            totals = {name: totals.get(name, 0) + value.detach() for name, value in terms.items()}
        return {**totals, "loss": sum(totals.values())}  # type: ignore[dict-item]

    history = train_epochs("finetune", model, optimizer, epoch_step, epochs, generator=order, **loop)
    with torch.no_grad():
        latent_weights = _latent_weights(model.encode([X[anchors] for X in Xs]), weights)
    return history, anchored_coefficients(model, Xs, anchors, ridge, latent_weights, zero_diagonal, batch_size)


def _latent_weights(As: Sequence[torch.Tensor], weights: LossWeights) -> list[float]:
    """Return v_l, relative to the anchors' mean squared length where the weights are; no gradient goes through it."""
    given = repeat_last(weights.self_expression, len(As))
    return (
        [v / float(mean_squared_length(A.detach())) for v, A in zip(given, As, strict=True)]
        if weights.relative
        else given
    )


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
        As in `finetune_anchored`.
    ridge, weights
        Penalty and one v_l per latent, as in `dmsc.solvers.anchors.anchored_ridge`.
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
