"""Checkpoints of both training steps (the listing's AE1 and AE2): everything that the next epoch depends on."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import nn

from .paths import replacing

__all__ = ["load_checkpoint", "save_checkpoint"]

FORMAT = 1


def save_checkpoint(
    path: str | Path,
    *,
    step: str,
    epoch: int,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    history: dict[str, list[float]],
    config: dict,
    generator: torch.Generator | None = None,
) -> None:
    """Write a checkpoint; the file appears whole or not at all.

    Parameters
    ----------
    path : path
        The file; its folder is made.
    step : {"pretrain", "finetune"}
        Which step is saved.
    epoch : int
        Epochs done.
    model, optimizer : torch objects
        Their ``state_dict`` is saved.
    history : dict of lists
        The loss terms so far.
    config : dict
        Plain values; a checkpoint only goes on under the configuration that it was written with.
    generator : torch.Generator, optional
        The order of mini-batches.

    Raises
    ------
    OSError
        If the file can't be written, on a full disk for instance. What was there before is still there.
    """
    rng = {"torch": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()}
    if generator is not None:
        rng["batches"] = generator.get_state()
    content = {
        "format": FORMAT,
        "step": step,
        "epoch": epoch,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "history": history,
        "rng": rng,
        "config": config,
    }
    with replacing(path) as temporary:
        try:
            torch.save(content, temporary)
        except RuntimeError:  # PyTorch's word for anything that goes wrong with a file
            raise OSError(f"{path} could not be written: is the disk full?") from None


def load_checkpoint(
    path: str | Path,
    *,
    step: str,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    config: dict,
    generator: torch.Generator | None = None,
) -> tuple[int, dict[str, list[float]]]:
    """Restore a checkpoint in place.

    Returns
    -------
    epoch : int
        Epochs done.
    history : dict of lists
        The loss terms so far.

    Raises
    ------
    ValueError
        If the file isn't such a checkpoint, is damaged, or was written by another step or under another configuration.
        Nothing has been changed then.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        found = (content["format"], content["step"])
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError, OSError) as error:
        raise ValueError(
            f"{path} is not a readable checkpoint ({type(error).__name__}): remove it to start anew"
        ) from None
    if found != (FORMAT, step):
        raise ValueError(f"{path} holds {found[1]!r} in format {found[0]}, not {step!r} in format {FORMAT}")
    differing = sorted(key for key in {*config, *content["config"]} if config.get(key) != content["config"].get(key))
    if differing:
        changes = ", ".join(f"{key}: {content['config'].get(key)!r} -> {config.get(key)!r}" for key in differing)
        raise ValueError(f"{path} was written under another configuration ({changes}): remove it to start anew")
    model.load_state_dict(content["model"])
    optimizer.load_state_dict(content["optimizer"])
    torch.set_rng_state(content["rng"]["torch"])
    if torch.cuda.is_available() and content["rng"]["cuda"]:
        torch.cuda.set_rng_state_all(content["rng"]["cuda"])
    if generator is not None:
        generator.set_state(content["rng"]["batches"])
    return content["epoch"], content["history"]
