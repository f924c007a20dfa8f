"""The two steps of training: :func:`pretrain` the autoencoders, then :func:`finetune` everything around C.

Both are plain loops over epochs. Each can write a checkpoint every few epochs, and picks up from it: an interrupted run
that is started again reaches the same numbers as one that never stopped.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from .checkpoints import load_checkpoint, save_checkpoint
from .checks import check_masks, integer, positive_number
from .correlation import Correlation
from .losses import LossWeights, finetuning_terms, weighted_squared_error
from .model import SubspaceNetwork

__all__ = ["as_tensors", "finetune", "pretrain", "resolve_device", "seed_everything", "shrink"]

History = dict[str, list[float]]
Callback = Callable[[int, dict[str, float], SubspaceNetwork], None]


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and PyTorch, and ask cuDNN for repeatable kernels."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """Return the device for ``"auto"`` (CUDA where there is one, else the CPU) or for a name such as ``"cuda:1"``."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(device)
    except (RuntimeError, TypeError):
        raise ValueError(f"unknown device {device!r}: use 'auto', 'cpu' or 'cuda'") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device {str(device)!r} was asked for, but PyTorch sees no CUDA device: use 'auto' or 'cpu'")
    return device


def as_tensors(Xs: Sequence[np.ndarray], device: str | torch.device = "cpu", scale: float = 1.0) -> list[torch.Tensor]:
    """Copy views (N, ...) to float32 tensors on a device, multiplied by ``scale``."""
    return [torch.tensor(X * np.float32(scale), dtype=torch.float32, device=device) for X in Xs]


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
    **loop
        ``checkpoint`` (path), ``checkpoint_every`` (epochs, 50), ``resume`` (bool), ``config`` (dict that must match a
        checkpoint's), ``callback(epoch, terms, model)`` after each epoch, ``progress`` (bool: show a bar where stderr
        is a terminal).

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
    n_samples = _check_views(model, Xs, masks)
    batch_size = n_samples if batch_size is None else integer("batch_size", batch_size, 1)
    optimizer = torch.optim.Adam(model.autoencoder_parameters(), lr=positive_number("learning_rate", learning_rate))
    order = torch.Generator().manual_seed(seed)
    device = Xs[0].device

    def epoch_step() -> dict[str, torch.Tensor]:
        batches = [slice(None)]
        if batch_size < n_samples:
            batches = torch.randperm(n_samples, generator=order).to(device).split(batch_size)
        total = 0.0
        for rows in batches:
            batch = [X[rows] for X in Xs]
            has = None if masks is None else [mask[rows] for mask in masks]
            optimizer.zero_grad()
            loss = weighted_squared_error(batch, model.autoencode(batch, has), weights, has)
            loss.backward()
            optimizer.step()
            total = total + loss.detach()
        return {"loss": total}

    return _train("pretrain", model, optimizer, epoch_step, epochs, generator=order, **loop)


def finetune(
    model: SubspaceNetwork,
    Xs: Sequence[torch.Tensor],
    *,
    epochs: int,
    weights: LossWeights,
    learning_rate: float = 1e-3,
    masks: Sequence[torch.Tensor] | None = None,
    correlation: Correlation | None = None,
    **loop,
) -> History:
    r"""Train the autoencoders and C together, full batch: step two.

    Minimizes the terms of :func:`dmsc.losses.finetuning_terms` with Adam. For DSC-Net-L1 the subgradient of
    :math:`\|C\|_1` is no help: Adam turns its sign into steps of the full learning rate, and every coefficient keeps
    jumping over 0. So the smooth terms alone are given to Adam, and a proximal step follows each of its steps
    (:func:`shrink`), which sets coefficients to 0 and leaves them there.

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
    n_samples = _check_views(model, Xs, masks)
    if correlation is not None and [p.out_features for p in model.projections] != [correlation.projection_dim] * len(
        Xs
    ):
        raise ValueError(f"the model has no projections for {correlation}: build it with correlation=, without a plan")
    if n_samples != len(model.self_expression.weight):
        raise ValueError(f"the model expresses {len(model.self_expression.weight)} samples, but Xs hold {n_samples}")
    optimizer = torch.optim.Adam(model.parameters(), lr=positive_number("learning_rate", learning_rate))

    def epoch_step() -> dict[str, torch.Tensor]:
        optimizer.zero_grad()
        terms = finetuning_terms(model, Xs, weights, masks=masks, correlation=correlation)
        sum(value for name, value in terms.items() if name not in proximal).backward()
        optimizer.step()
        if proximal:
            shrink(model.self_expression.weight, optimizer, weights.lambda_regularization)
        terms = {name: value.detach() for name, value in terms.items()}
        return {**terms, "loss": sum(terms.values())}

    proximal = ("regularization",) if weights.norm == 1 else ()
    return _train("finetune", model, optimizer, epoch_step, epochs, **loop)


@torch.no_grad()
def shrink(C: torch.Tensor, optimizer: torch.optim.Adam, weight: float) -> None:
    r"""Take the proximal step of ``weight * sum |C_ij|`` that belongs to Adam's last step.

    Adam moved C by the gradient of the smooth terms, scaled by :math:`D_{ij} = \eta / (\sqrt{\hat v_{ij}} + \epsilon)`.
    In that metric the proximal step is soft thresholding, :math:`C_{ij} \leftarrow
    \mathrm{sign}(C_{ij}) \max(|C_{ij}| - \text{weight} \, D_{ij}, 0)`; where it rests, the optimality condition of the
    whole loss holds.

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
    second_moment = state["exp_avg_sq"] / (1 - settings["betas"][1] ** float(state["step"]))
    threshold = weight * settings["lr"] / (second_moment.sqrt() + settings["eps"])
    C.copy_(C.sign() * (C.abs() - threshold).clamp_min(0))


def _train(
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
    bar = tqdm(range(done, epochs), desc=step, initial=done, total=epochs, disable=None if progress else True)
    for epoch in bar:
        terms = {name: float(value) for name, value in epoch_step().items()}
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
        if checkpoint is not None and ((epoch + 1) % checkpoint_every == 0 or epoch + 1 == epochs):
            save_checkpoint(checkpoint, epoch=epoch + 1, history=history, **parts)
    return history


def _check_views(model: SubspaceNetwork, Xs: Sequence[torch.Tensor], masks: Sequence[torch.Tensor] | None) -> int:
    if len(Xs) != len(model.decoders):
        raise ValueError(f"the model has {len(model.decoders)} views, but Xs hold {len(Xs)}")
    if len({len(X) for X in Xs}) != 1:
        raise ValueError(f"all views must have the same samples, got {[len(X) for X in Xs]}")
    if masks is not None:
        check_masks(masks, len(Xs), len(Xs[0]))
    return len(Xs[0])
