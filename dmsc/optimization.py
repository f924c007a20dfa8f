"""How the parameters move: Adam, and for DSC-Net-L1 a proximal step behind it."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch

from .checks import one_of, positive_number

__all__ = ["SCHEDULES", "SOLVERS", "make_optimizer", "schedule_factor", "shrink"]

#: How C is found in fine-tuning: as a parameter like any other; in closed form at every step
#: (:mod:`dmsc.closed_form`); in closed form once, at the best scale of the latents (:mod:`dmsc.scale_path`).
SOLVERS = ("adam", "closed-form", "scale-path")
SCHEDULES = ("constant", "cosine")
WARM_UP = 0.1  # share of the epochs in which the cosine schedule rises


def make_optimizer(parameters: Iterable[torch.nn.Parameter], learning_rate: float) -> torch.optim.Adam:
    """Return Adam, in the form that goes through each parameter once."""
    rate = positive_number("learning_rate", learning_rate)
    return torch.optim.Adam([{"params": [*parameters], "initial_lr": rate}], lr=rate, fused=True)


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
