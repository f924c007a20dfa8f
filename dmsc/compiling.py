"""Encoders and decoders by ``torch.compile``: fewer, larger kernels for a card that waits for its next launch.

Small convolutions take a card less time than starting them takes its host. There the compiled networks are recorded as
CUDA graphs, each started at once. On a CPU it works too, and gains nothing: convolutions are its time. So it is off
unless it is asked for. Never measured on a card.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from .devices import is_card
from .model import SubspaceNetwork

__all__ = ["compile_networks", "restore_networks"]

LIMIT = 64  # compiled forms of one function: every network, at every size of batch, is one


def compile_networks(model: SubspaceNetwork) -> bool:
    """Let the encoders and decoders train compiled, until `restore_networks`; the numbers are the same up to rounding.

    Parameters and their names don't change, so that checkpoints don't either. Without gradients the networks run as
    before: a CUDA graph's results last until the next one starts, and whoever looks at latents may want to keep them.

    Parameters
    ----------
    model : SubspaceNetwork
        On the device where it will be trained.

    Returns
    -------
    bool
        Whether they are compiled: not where there is no compiler, which a warning says.
    """
    device = next(model.parameters()).device
    how: dict[str, Any] = {"dynamic": False, "mode": "reduce-overhead" if is_card(device) else "default"}
    try:
        torch.compile(_trial, **how)(torch.ones(2, device=device))
    except Exception as error:  # PyTorch has many for it: by Python, by system, by compiler
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        warnings.warn(f"nothing is compiled, as torch.compile doesn't work here: {reason}", stacklevel=2)
        return False
    torch._dynamo.config.recompile_limit = max(LIMIT, torch._dynamo.config.recompile_limit)
    for network in _networks(model):
        network.__dict__["forward"] = _with_gradients(torch.compile(network.forward, **how), network.forward)
    return True


def restore_networks(model: SubspaceNetwork) -> None:
    """Undo `compile_networks`, if it was done."""
    for network in _networks(model):
        network.__dict__.pop("forward", None)


def _networks(model: SubspaceNetwork) -> list[nn.Module]:
    return [*model.encoders, *model.decoders]


def _trial(x: torch.Tensor) -> torch.Tensor:
    return 2 * x + 1


def _with_gradients(compiled: Callable, plain: Callable) -> Callable:
    def forward(*tensors: torch.Tensor) -> torch.Tensor:
        return compiled(*tensors) if torch.is_grad_enabled() else plain(*tensors)

    return forward
