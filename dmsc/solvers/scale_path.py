"""Fine-tuning without training C or the encoders: solve for C at several scales of the latents, then fit the decoders.

An autoencoder doesn't care about the scale of its latents: with Z / s the encoder's last layer is divided by s, the
decoder's first one multiplied, and nothing else changes. Self-expression does care, because its penalty stays: at a
larger s the same λ₁ weighs more against λ₂ ‖Z - C Z‖²_F, C becomes smaller and smoother, and C Z a worse stand-in for
Z. Training all at once spends most of its epochs on moving this one number.

So it is searched for: for each scale, C in closed form and the loss. The scale with the least loss is kept. From there
the terms without decoders are at their minimum for these latents, and the decoders learn, by mini-batches, to
reconstruct from C Z.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..losses import LossWeights, finetuning_terms, weighted_squared_error
from ..model import SubspaceNetwork
from ..self_expression import express
from ..training import History, batches, check_views, make_optimizer, train_epochs
from .closed_form import settle

__all__ = ["SCALES", "finetune_scale_path"]

#: Divisors of the latents that are tried: 1 to 16 in steps of the root of 2.
SCALES = tuple(2 ** (k / 2) for k in range(9))


def finetune_scale_path(
    model: SubspaceNetwork,
    Xs: Sequence[torch.Tensor],
    *,
    epochs: int,
    weights: LossWeights,
    learning_rate: float = 1e-3,
    batch_size: int | None = 100,
    seed: int = 0,
    callback: Callable[[int, dict[str, float], SubspaceNetwork], None] | None = None,
    **loop: Any,
) -> History:
    """Choose the scale of the latents, set C, and train the decoders.

    Parameters
    ----------
    model : SubspaceNetwork
        Pre-trained; changed in place.
    Xs : sequence of tensors (N, ...)
        The views, on the model's device.
    epochs : int
        Passes over the data for the decoders.
    weights : LossWeights
        Weights of the terms; p must be 2.
    learning_rate : float
        Adam's.
    batch_size : int, optional
        Samples per step of the decoders; None for all.
    seed : int
        Order of the mini-batches.
    callback : callable, optional
        ``callback(number, terms, model)`` for every scale, with numbers from ``-len(SCALES)`` to -1.
    **loop
        As in `dmsc.pretrain`.

    Returns
    -------
    dict of lists
        The terms by name and their sum ``loss``, per epoch; the reconstruction is summed over the batches as they were
        met.

    Raises
    ------
    ValueError
        For weights without a closed form: see `dmsc.losses.LossWeights.ridge`.
    """
    n_samples = check_views(model, Xs, None)
    losses, before = [], 1.0
    for number, scale in enumerate(SCALES, -len(SCALES)):
        model.scale_latents(before / scale)
        before = scale
        terms = _settled_terms(model, Xs, weights)
        losses.append(sum(terms.values()))
        if callback is not None:
            callback(number, terms, model)
    best = min(range(len(SCALES)), key=losses.__getitem__)
    model.scale_latents(before / SCALES[best])
    terms = _settled_terms(model, Xs, weights)
    fixed = {name: torch.tensor(terms[name], device=Xs[0].device) for name in ("regularization", "self_expression")}
    with torch.no_grad():
        expressed = express(model.self_expression.matrix(), model.encode(Xs))  # C Z, (N, d) each
    optimizer = make_optimizer(model.decoders.parameters(), learning_rate)
    order = torch.Generator().manual_seed(seed)

    def epoch_step() -> dict[str, torch.Tensor]:
        total = Xs[0].new_zeros(())
        for rows in batches(n_samples, batch_size, order, Xs[0].device):
            optimizer.zero_grad()
            Xs_hat = model.decode([Z[rows] for Z in expressed])
            loss = weighted_squared_error([X[rows] for X in Xs], Xs_hat, weights.reconstruction)
            loss.backward()
            optimizer.step()
            total += loss.detach()
        return {"reconstruction": total, **fixed, "loss": total + sum(fixed.values())}

    return train_epochs("finetune", model, optimizer, epoch_step, epochs, generator=order, **loop)


@torch.no_grad()
def _settled_terms(model: SubspaceNetwork, Xs: Sequence[torch.Tensor], weights: LossWeights) -> dict[str, float]:
    """Set the best C for the latents as they are, and return the terms of the loss."""
    settle(model, Xs, weights)
    return {name: float(value) for name, value in finetuning_terms(model, Xs, weights).items()}
