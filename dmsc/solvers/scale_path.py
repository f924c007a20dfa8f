r"""Fine-tuning without training C or the encoders: solve for C at several scales of the latents, then fit the decoders.

An autoencoder doesn't care about the scale of its latents: with Z / s the encoder's last layer is divided by s, the
decoder's first one multiplied, and nothing else changes. Self-expression does care, because its penalty stays: at a
larger s the same :math:`\lambda_1` weighs more against :math:`\lambda_2 \|Z - CZ\|_F^2`, C becomes smaller and
smoother, and CZ a worse stand-in for Z. Training all at once spends most of its epochs on moving this one number.

So it is searched for: for each scale, C in closed form and the loss. The scale with the least loss is kept. From there
the terms without decoders are at their minimum for these latents, and the decoders learn, by mini-batches, to
reconstruct from CZ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from ..checks import integer
from ..gradients import pretraining_gradient
from ..losses import LossWeights, finetuning_terms
from ..model import SubspaceNetwork
from ..optimization import make_optimizer
from ..training import History, check_views, train_epochs
from .closed_form import ClosedFormGradient

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
    **loop,
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
        Samples per step of the decoders; ``None`` for all.
    seed : int
        Order of the mini-batches.
    callback : callable, optional
        ``callback(number, terms, model)`` for every scale, with numbers from ``-len(SCALES)`` to -1.
    **loop
        As in :func:`dmsc.pretrain`.

    Returns
    -------
    dict of lists
        The terms by name and their sum ``loss``, per epoch; the reconstruction is summed over the batches as they were
        met.

    Raises
    ------
    ValueError
        As :class:`dmsc.closed_form.ClosedFormGradient`.
    """
    n_samples = check_views(model, Xs, None)
    batch_size = n_samples if batch_size is None else integer("batch_size", batch_size, 1)
    solve = ClosedFormGradient(model, Xs, weights).settle
    losses, before = [], 1.0
    for number, scale in enumerate(SCALES, -len(SCALES)):
        model.scale_latents(before / scale)
        before = scale
        terms = _terms(model, Xs, weights, solve)
        losses.append(sum(terms.values()))
        if callback is not None:
            callback(number, terms, model)
    best = min(range(len(SCALES)), key=losses.__getitem__)
    model.scale_latents(before / SCALES[best])
    terms = _terms(model, Xs, weights, solve)
    fixed = {name: torch.tensor(terms[name], device=Xs[0].device) for name in ("regularization", "self_expression")}
    with torch.no_grad():
        expressed = [model.self_expression(Z) for Z in model.encode(Xs)]  # CZ, (N, d) each
    optimizer = make_optimizer(model.decoders.parameters(), learning_rate)
    order = torch.Generator().manual_seed(seed)

    def epoch_step() -> dict[str, torch.Tensor]:
        total = 0.0
        for rows in torch.randperm(n_samples, generator=order).to(Xs[0].device).split(batch_size):
            optimizer.zero_grad()
            batch = [Z[rows] for Z in expressed]
            total = total + pretraining_gradient(model, [X[rows] for X in Xs], weights.reconstruction, latents=batch)
            optimizer.step()
        return {"reconstruction": total, **fixed, "loss": total + sum(fixed.values())}

    return train_epochs("finetune", model, optimizer, epoch_step, epochs, generator=order, **loop)


@torch.no_grad()
def _terms(model, Xs, weights, solve) -> dict[str, float]:
    solve()
    return {name: float(value) for name, value in finetuning_terms(model, Xs, weights).items()}
