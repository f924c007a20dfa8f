"""The two steps of training: :func:`pretrain` the autoencoders, then :func:`finetune` everything around C.

Both are plain loops over epochs. Each can write a checkpoint every few epochs, and picks up from it: an interrupted run
that is started again reaches the same numbers as one that never stopped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from .checkpoints import load_checkpoint, save_checkpoint
from .checks import check_masks, integer, one_of, positive_number
from .correlation import Correlation
from .devices import precision as computing_in
from .gradients import FinetuningGradient, pretraining_gradient
from .losses import LossWeights, weighted_squared_error
from .model import SubspaceNetwork
from .optimization import make_optimizer, schedule_factor, shrink
from .solvers.closed_form import ClosedFormGradient

__all__ = ["finetune", "pretrain"]

STALL = 10  # epochs over which fine-tuning has to make progress, where a tolerance asks for it
History = dict[str, list[float]]
Callback = Callable[[int, dict[str, float], SubspaceNetwork], None]


def pretrain(
    model: SubspaceNetwork,
    Xs: Sequence[torch.Tensor],
    *,
    epochs: int,
    learning_rate: float = 1e-3,
    batch_size: int | None = None,
    weights: Sequence[float] = (1.0,),
    masks: Sequence[torch.Tensor] | None = None,
    seed: int = 0,
    tolerance: float | None = None,
    **loop,
) -> History:
    r"""Train the autoencoders alone, without self-expression: step one.

    Minimizes :math:`\sum_m w_m \|X^m - \hat X^m\|_F^2` with Adam.

    Parameters
    ----------
    model : SubspaceNetwork
        Trained in place; C is left alone.
    Xs : sequence of tensors (N, ...)
        The views, on the model's device.
    epochs : int
        Passes over the data.
    learning_rate : float
        Adam's.
    batch_size : int, optional
        Samples per step, shuffled; ``None`` is one full-batch step per epoch, as in the authors' code and the listing.
    weights : sequence of float
        w_m; the last one repeats.
    masks : sequence of bool tensors (N,), optional
        Which samples have which view.
    seed : int
        Order of the mini-batches.
    tolerance : float, optional
        Stop after the first epoch whose loss is at most this share of :math:`\sum_m w_m \|X^m\|_F^2`.
    **loop
        ``checkpoint`` (path), ``checkpoint_every`` (epochs, 50), ``resume`` (bool), ``config`` (dict that must match a
        checkpoint's), ``callback(epoch, terms, model)`` after each epoch, ``progress`` (bool: show a bar where stderr
        is a terminal), ``schedule`` of the learning rate (:func:`dmsc.solvers.schedule_factor`), ``precision``
        (:func:`dmsc.devices.precision`).

    Returns
    -------
    dict of lists
        ``loss`` per epoch (the sum over batches).

    Raises
    ------
    ValueError
        For bad arguments, a checkpoint of another configuration, or a loss that is no longer finite.

    References
    ----------
    Ji et al., NIPS 2017, section 3.3.
    """
    n_samples = check_views(model, Xs, masks)
    batch_size = n_samples if batch_size is None else integer("batch_size", batch_size, 1)
    optimizer = make_optimizer(model.autoencoder_parameters(), learning_rate)
    enough = -math.inf
    if tolerance is not None:
        tolerance = positive_number("tolerance", tolerance)
        zeros = [torch.zeros_like(X) for X in Xs]
        enough = tolerance * float(weighted_squared_error(Xs, zeros, weights, masks))
    order = torch.Generator().manual_seed(seed)
    device = Xs[0].device

    def epoch_step() -> dict[str, torch.Tensor]:
        batches = [slice(None)]
        if batch_size < n_samples:
            batches = torch.randperm(n_samples, generator=order).to(device).split(batch_size)
        total = 0.0
        for rows in batches:
            has = None if masks is None else [mask[rows] for mask in masks]
            optimizer.zero_grad()
            total = total + pretraining_gradient(model, [X[rows] for X in Xs], weights, has)
            optimizer.step()
        return {"loss": total}

    def good_enough(history: History) -> bool:
        return history["loss"][-1] <= enough

    return train_epochs("pretrain", model, optimizer, epoch_step, epochs, generator=order, stop=good_enough, **loop)


def finetune(
    model: SubspaceNetwork,
    Xs: Sequence[torch.Tensor],
    *,
    epochs: int,
    weights: LossWeights,
    learning_rate: float = 1e-3,
    masks: Sequence[torch.Tensor] | None = None,
    correlation: Correlation | None = None,
    solver: str = "adam",
    tolerance: float | None = None,
    **loop,
) -> History:
    r"""Train the autoencoders and C together, full batch: step two.

    Minimizes the terms of :func:`dmsc.losses.finetuning_terms` with Adam; :mod:`dmsc.gradients` takes the gradient.
    For DSC-Net-L1 the subgradient of :math:`\|C\|_1` is no help: Adam turns its sign into steps of the full learning
    rate, and every coefficient keeps jumping over 0. So the smooth terms alone are given to Adam, and a proximal step
    follows each of its steps (:func:`dmsc.solvers.shrink`), which sets coefficients to 0 and leaves them there.

    Parameters
    ----------
    model : SubspaceNetwork
        Trained in place.
    Xs : sequence of tensors (N, ...)
        The views, on the model's device; N must be the model's.
    epochs : int
        Adam steps.
    weights : LossWeights
        Weights of the terms.
    learning_rate : float
        Adam's.
    masks : sequence of bool tensors (N,), optional
        Which samples have which view.
    correlation : Correlation, optional
        CMSC-DCCA's term, for a model that was built with it.
    solver : {"adam", "closed-form"}
        Train C, or solve for it at every step and train the autoencoders alone: :mod:`dmsc.closed_form`. (The third
        solver of methods has a function of its own, :func:`dmsc.scale_path.finetune_scale_path`.)
    tolerance : float, optional
        Stop when the loss fell by less than this share of itself within the last ten epochs.
    **loop
        As in :func:`pretrain`.

    Returns
    -------
    dict of lists
        The terms by name and their sum ``loss``, per epoch.

    Raises
    ------
    ValueError
        As in :func:`pretrain`, or if N is not the model's.

    References
    ----------
    Ji et al., NIPS 2017, eq. 5 and section 3.3; Abavisani & Patel, 2018, eq. 8.
    """
    n_samples = check_views(model, Xs, masks)
    if correlation is not None and [p.out_features for p in model.projections] != [correlation.projection_dim] * len(
        Xs
    ):
        raise ValueError(f"the model has no projections for {correlation}: build it with correlation=, without a plan")
    if n_samples != len(model.self_expression.weight):
        raise ValueError(f"the model expresses {len(model.self_expression.weight)} samples, but Xs hold {n_samples}")
    one_of("solver", solver, ("adam", "closed-form"))
    learned = solver == "adam"
    gradient = (FinetuningGradient if learned else ClosedFormGradient)(model, Xs, weights, masks, correlation)
    C = model.self_expression.weight
    parameters = [p for p in model.parameters() if learned or p is not C]
    optimizer = make_optimizer(parameters, learning_rate)
    tolerance = -math.inf if tolerance is None else positive_number("tolerance", tolerance)

    def epoch_step() -> dict[str, torch.Tensor]:
        terms = gradient()
        optimizer.step()
        if weights.norm == 1:
            shrink(C, optimizer, weights.lambda_regularization)
        return {**terms, "loss": sum(terms.values())}

    def stalled(history: History) -> bool:
        losses = history["loss"][-STALL - 1 :]
        return len(losses) > STALL and losses[0] - losses[-1] < tolerance * losses[0]

    history = train_epochs("finetune", model, optimizer, epoch_step, epochs, stop=stalled, **loop)
    if not learned:
        gradient.settle()
    return history


def train_epochs(
    step: str,
    model: SubspaceNetwork,
    optimizer: torch.optim.Optimizer,
    epoch_step: Callable[[], dict[str, torch.Tensor]],
    epochs: int,
    *,
    generator: torch.Generator | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_every: int = 50,
    resume: bool = False,
    config: dict | None = None,
    callback: Callback | None = None,
    progress: bool = True,
    stop: Callable[[History], bool] = lambda history: False,
    schedule: str = "constant",
    precision: str = "float32",
) -> History:
    """Run the epochs that are left: the bookkeeping that both steps share."""
    epochs, checkpoint_every = integer("epochs", epochs, 0), integer("checkpoint_every", checkpoint_every, 1)
    parts = {
        "step": step,
        "model": model,
        "optimizer": optimizer,
        "generator": generator,
        "config": config or {},
    }
    history: History = {}
    done = 0
    if checkpoint is not None and resume and Path(checkpoint).exists():
        done, history = load_checkpoint(checkpoint, **parts)
    model.train()
    rate, device = optimizer.param_groups[0]["initial_lr"], next(model.parameters()).device
    if history and stop(history):
        epochs = done
    bar = tqdm(range(done, epochs), desc=step, initial=done, total=epochs, disable=None if progress else True)
    for epoch in bar:
        for group in optimizer.param_groups:
            group["lr"] = rate * schedule_factor(schedule, epoch, epochs)
        with computing_in(precision, device):
            terms = epoch_step()
        terms = dict(zip(terms, torch.stack([*terms.values()]).tolist(), strict=True))  # one wait for the device
        if not math.isfinite(terms["loss"]):
            raise ValueError(
                f"{step}: the loss became {terms['loss']} in epoch {epoch + 1}: "
                "lower the learning rate, or scale the inputs down"
            )
        for name, value in terms.items():
            history.setdefault(name, []).append(value)
        if not bar.disable:
            bar.set_postfix({name: f"{value:.4g}" for name, value in terms.items()})
        if callback is not None:
            callback(epoch + 1, terms, model)
        last = epoch + 1 == epochs or stop(history)
        if checkpoint is not None and ((epoch + 1) % checkpoint_every == 0 or last):
            save_checkpoint(checkpoint, epoch=epoch + 1, history=history, **parts)
        if last:
            break
    return history


def check_views(model: SubspaceNetwork, Xs: Sequence[torch.Tensor], masks: Sequence[torch.Tensor] | None) -> int:
    """Return N, or say why the views and masks don't fit the model and each other."""
    if len(Xs) != len(model.decoders):
        raise ValueError(f"the model has {len(model.decoders)} views, but Xs hold {len(Xs)}")
    if len({len(X) for X in Xs}) != 1:
        raise ValueError(f"all views must have the same samples, got {[len(X) for X in Xs]}")
    if masks is not None:
        check_masks(masks, len(Xs), len(Xs[0]))
    return len(Xs[0])
