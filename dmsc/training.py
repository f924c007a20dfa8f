"""The two steps of training: `pretrain` the autoencoders, then `finetune` everything around C.

Both are plain loops over epochs. Each can write a checkpoint every few epochs, and picks up from it: an interrupted run
that is started again reaches the same numbers as one that never stopped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from .affine import affine_reconstruction, affine_terms
from .checkpoints import is_saved, load_checkpoint, save_checkpoint
from .checks import check_masks, integer, one_of, positive_number
from .correlation import Correlation
from .devices import precision as computing_in
from .losses import LossWeights, finetuning_terms, weighted_squared_error
from .model import SubspaceNetwork
from .self_expression import express
from .sharding import Shard

__all__ = [
    "SCHEDULES", "WAYS", "batches", "check_samples", "check_views", "finetune", "make_optimizer", "pretrain",
    "schedule_factor", "shrink", "train_epochs",
]  # fmt: skip

SCHEDULES = ("constant", "cosine")
WAYS = ("latents", "coefficients")  # what the decoders see in pre-training
WARM_UP = 0.1  # share of the epochs in which the cosine schedule rises
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
    through: str = "latents",
    **loop: Any,
) -> History:
    """Train the autoencoders alone, without the terms of self-expression: step one.

    Minimizes Σ_m w_m ‖X_m - X̂_m‖²_F with Adam.

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
        Samples per step, shuffled; None is one full-batch step per epoch, as in the authors' code and the listing.
    weights : sequence of float
        w_m; the last one repeats.
    masks : sequence of bool tensors (N,), optional
        Which samples have which view.
    seed : int
        Order of the mini-batches.
    tolerance : float, optional
        Stop after the first epoch whose loss is at most this share of Σ_m w_m ‖X_m‖²_F.
    through : {"latents", "coefficients"}
        What the decoders see: Z; or C Z, as in DMSC's code, with a C that has its diagonal, is trained with the
        autoencoders, and is set back to its start in the end. The latter needs all samples in one batch.
    **loop
        ``checkpoint`` (path), ``checkpoint_every`` (epochs, 50), ``resume`` (bool), ``config`` (dict that must match a
        checkpoint's), ``callback(epoch, terms, model)`` after each epoch, ``progress`` (bool: show a bar where stderr
        is a terminal), ``schedule`` of the learning rate (see `schedule_factor`), ``precision`` (see
        `dmsc.devices.precision`).

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
    C, trained, shard = model.self_expression.weight, model.autoencoder_parameters(), model.shard
    if one_of("through", through, WAYS) == "coefficients":
        if batch_size is not None and batch_size < shard.n_samples:
            raise ValueError(f"through='coefficients' needs all samples in one batch, not batch_size={batch_size}")
        check_samples(C, n_samples)
        start = C.detach().clone()
        trained.append(C)
    optimizer = make_optimizer(trained, learning_rate)

    def reconstruct(batch: list[torch.Tensor], has: list[torch.Tensor] | None) -> list[torch.Tensor]:
        Zs = model.encode(batch, has)
        return model.decode(Zs if through == "latents" else express(C, shard.gather_all(Zs)))

    enough = -math.inf
    if tolerance is not None:
        tolerance = positive_number("tolerance", tolerance)
        zeros = [torch.zeros_like(X) for X in Xs]
        enough = tolerance * float(shard.total(weighted_squared_error(Xs, zeros, weights, masks)))
    order = torch.Generator().manual_seed(seed)

    whole = batch_size is None or integer("batch_size", batch_size, 1) >= n_samples
    whole = whole and masks is None and through == "latents"
    shorter = affine_reconstruction(model, Xs, weights) if whole else None

    def epoch_step() -> dict[str, torch.Tensor]:
        total = Xs[0].new_zeros(())
        for rows in batches(n_samples, batch_size, order, Xs[0].device, shard):
            batch, has = [X[rows] for X in Xs], None if masks is None else [mask[rows] for mask in masks]
            optimizer.zero_grad()
            loss = shorter() if shorter else weighted_squared_error(batch, reconstruct(batch, has), weights, has)
            loss.backward()
            shard.sum_gradients(model.autoencoder_parameters())
            optimizer.step()
            total += loss.detach()
        return {"loss": total}

    def good_enough(history: History) -> bool:
        return history["loss"][-1] <= enough

    history = train_epochs("pretrain", model, optimizer, epoch_step, epochs, generator=order, stop=good_enough, **loop)
    if through == "coefficients":
        model.self_expression.set_coefficients(start)
    return history


def finetune(
    model: SubspaceNetwork,
    Xs: Sequence[torch.Tensor],
    *,
    epochs: int,
    weights: LossWeights,
    learning_rate: float = 1e-3,
    network_learning_rate: float | None = None,
    masks: Sequence[torch.Tensor] | None = None,
    correlation: Correlation | None = None,
    solve: Callable[[list[torch.Tensor]], torch.Tensor] | None = None,
    tolerance: float | None = None,
    **loop: Any,
) -> History:
    """Train the autoencoders and C together, full batch: step two.

    Minimizes the sum of the terms of `dmsc.losses.finetuning_terms` with Adam. For DSC-Net-L1 the subgradient of ‖C‖₁
    is no help: Adam turns its sign into steps of the full learning rate, and every coefficient keeps jumping over 0. So
    the smooth terms alone are given to Adam, and a proximal step follows each of its steps (`shrink`), which sets
    coefficients to 0 and leaves them there.

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
    network_learning_rate : float, optional
        Adam's for all but C; by default the same. A smaller one keeps the latents while C grows from its start.
    masks : sequence of bool tensors (N,), optional
        Which samples have which view.
    correlation : Correlation, optional
        CMSC-DCCA's term, for a model that was built with it.
    solve : callable, optional
        C as a function of the latents: then the autoencoders alone are trained (see `dmsc.solvers.closed_form`). By
        default C is a parameter like any other.
    tolerance : float, optional
        Stop when the loss fell by less than this share of itself within the last ten epochs.
    **loop
        As in `pretrain`.

    Returns
    -------
    dict of lists
        The terms by name and their sum ``loss``, per epoch.

    Raises
    ------
    ValueError
        As `pretrain`, or if N is not the model's.

    References
    ----------
    Ji et al., NIPS 2017, eq. 5 and section 3.3; Abavisani & Patel, 2018, eq. 8.
    """
    n_samples = check_views(model, Xs, masks)
    projected = [projection.out_features for projection in model.projections]
    if correlation is not None and projected != [correlation.projection_dim] * len(Xs):
        raise ValueError(f"the model has no projections for {correlation}: build it with correlation=, without a plan")
    C = model.self_expression.weight
    check_samples(C, n_samples)
    trained = [p for p in model.parameters() if solve is None or p is not C]
    if network_learning_rate is None:
        optimizer = make_optimizer(trained, learning_rate)
    else:
        optimizer = make_optimizer([p for p in trained if p is C], learning_rate)
        rate = positive_number("network_learning_rate", network_learning_rate)
        optimizer.add_param_group({"params": [p for p in trained if p is not C], "lr": rate, "initial_lr": rate})
    tolerance = -math.inf if tolerance is None else positive_number("tolerance", tolerance)
    evaluate = affine_terms(model, Xs, weights) if masks is None and correlation is None and solve is None else None
    if evaluate is None:
        options = {"masks": masks, "correlation": correlation, "solve": solve}
        evaluate = partial(finetuning_terms, model, Xs, weights, **options)  # type: ignore[arg-type]

    def epoch_step() -> dict[str, torch.Tensor]:
        optimizer.zero_grad()
        terms = evaluate()
        smooth = {name: term for name, term in terms.items() if weights.norm == 2 or name != "regularization"}
        loss: torch.Tensor = sum(smooth.values())  # type: ignore[assignment]
        loss.backward()
        model.shard.sum_gradients(p for p in trained if p is not C)
        optimizer.step()
        if weights.norm == 1:
            shrink(C, optimizer, weights.lambda_regularization)
        terms = {name: term.detach() for name, term in terms.items()}
        return {**terms, "loss": sum(terms.values())}  # type: ignore[dict-item]

    def stalled(history: History) -> bool:
        losses = history["loss"][-STALL - 1 :]
        return len(losses) > STALL and losses[0] - losses[-1] < tolerance * losses[0]

    return train_epochs("finetune", model, optimizer, epoch_step, epochs, stop=stalled, **loop)


def make_optimizer(parameters: Iterable[torch.nn.Parameter], learning_rate: float) -> torch.optim.Adam:
    """Return Adam, in the form that goes through each parameter once."""
    rate = positive_number("learning_rate", learning_rate)
    return torch.optim.Adam([{"params": [*parameters], "initial_lr": rate}], lr=rate, fused=True)


@torch.no_grad()
def shrink(C: torch.Tensor, optimizer: torch.optim.Adam, weight: float) -> None:
    """Take the proximal step of weight · Σ |C_ij| that belongs to Adam's last step.

    Adam moved C by the gradient of the smooth terms, scaled by D_ij = η / (√v̂_ij + ε). In that metric the proximal step
    is soft thresholding, C_ij ← sign(C_ij) max(|C_ij| - weight · D_ij, 0); where it rests, the optimality condition of
    the whole loss holds.

    Parameters
    ----------
    C : parameter (N, N)
        Changed in place.
    optimizer : torch.optim.Adam
        That holds C.
    weight : float
        lambda_1.

    References
    ----------
    Parikh, Boyd, "Proximal Algorithms", 2014, section 4.2.
    """
    settings, state = optimizer.param_groups[0], optimizer.state[C]
    second_moment = state["exp_avg_sq"] / (1 - settings["betas"][1] ** float(state["step"]))  # v̂
    threshold = weight * settings["lr"] / (second_moment.sqrt() + settings["eps"])
    C.copy_(C.sign() * (C.abs() - threshold).clamp_min(0))


def schedule_factor(schedule: str, epoch: int, epochs: int) -> float:
    """Return the factor on the learning rate in an epoch (from 0).

    "constant" is 1, as in the papers. "cosine" rises in a straight line over the first tenth of the epochs, so that
    Adam's first steps, which are of full length whatever the gradient, do no harm; then it falls to 0 along a cosine.
    """
    one_of("schedule", schedule, SCHEDULES)
    if schedule == "constant":
        return 1.0
    warm = math.ceil(WARM_UP * epochs)
    if epoch < warm:
        return (epoch + 1) / (warm + 1)
    return 0.5 * (1 + math.cos(math.pi * (epoch - warm) / max(epochs - warm, 1)))


def batches(
    n_samples: int,
    batch_size: int | None,
    order: torch.Generator,
    device: torch.device,
    shard: Shard | None = None,
) -> Sequence[slice | torch.Tensor]:
    """Return the rows of each step of an epoch: all of them, or shuffled mini-batches.

    Of several processes, each takes those of its own samples that are in the mini-batch of all; there may be none.
    """
    whole = n_samples if shard is None else shard.n_samples
    batch_size = whole if batch_size is None else integer("batch_size", batch_size, 1)
    if batch_size >= whole:
        return [slice(None)]
    drawn = torch.randperm(whole, generator=order).split(batch_size)
    if shard is not None and shard.processes > 1:
        first, last = shard.rows.start, shard.rows.stop
        drawn = tuple(rows[(rows >= first) & (rows < last)] - first for rows in drawn)
    return [rows.to(device) for rows in drawn]


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
    parts: dict[str, Any] = {"step": step, "model": model, "optimizer": optimizer, "generator": generator}
    parts |= {"config": config or {}, "shard": model.shard}
    history: History = {}
    done = 0
    if checkpoint is not None and resume and is_saved(checkpoint):
        done, history = load_checkpoint(checkpoint, **parts)
    model.train()
    device = next(model.parameters()).device
    if history and stop(history):
        epochs = done
    quiet = not progress or model.shard.rank > 0
    bar = tqdm(range(done, epochs), desc=step, initial=done, total=epochs, disable=True if quiet else None)
    for epoch in bar:
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * schedule_factor(schedule, epoch, epochs)
        with computing_in(precision, device):
            tensors = epoch_step()
        values = model.shard.total(torch.stack([*tensors.values()])).tolist()  # one wait for the device
        terms = dict(zip(tensors, values, strict=True))
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


def check_samples(C: torch.Tensor, n_samples: int) -> None:
    """Refuse views of another number of samples than C has rows."""
    if n_samples != len(C):
        raise ValueError(f"the model expresses {len(C)} samples, but Xs hold {n_samples}")


def check_views(model: SubspaceNetwork, Xs: Sequence[torch.Tensor], masks: Sequence[torch.Tensor] | None) -> int:
    """Return N, or say why the views and masks don't fit the model and each other."""
    if len(Xs) != len(model.decoders):
        raise ValueError(f"the model has {len(model.decoders)} views, but Xs hold {len(Xs)}")
    if len({len(X) for X in Xs}) != 1:
        raise ValueError(f"all views must have the same samples, got {[len(X) for X in Xs]}")
    if masks is not None:
        check_masks(masks, len(Xs), len(Xs[0]))
    return len(Xs[0])
