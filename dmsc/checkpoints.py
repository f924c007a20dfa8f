"""Checkpoints of both training steps (the listing's AE1 and AE2): everything that the next epoch depends on.

One process writes a file; several write a folder beside it (`dmsc.sharded_checkpoints`). Any number of processes goes
on from either.
"""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import torch
from torch import nn

from .devices import generator_states, restore_generators
from .paths import replacing
from .sharded_checkpoints import COEFFICIENTS, latest_parts, parts_folder, read_parts, write_parts
from .sharding import Shard

__all__ = ["is_saved", "load_checkpoint", "save_checkpoint"]

FORMAT = 1
#: What reading a damaged file may raise, beside OSError.
DAMAGED = (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError, AttributeError, ValueError)


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
    shard: Shard | None = None,
) -> None:
    """Write a checkpoint; the file appears whole or not at all, and takes the place of several processes' folder.

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
    shard : Shard, optional
        The rows of C that this process holds, where several save together.

    Raises
    ------
    OSError
        If the file can't be written, on a full disk for instance. What was there before is still there.
    """
    rng = generator_states()
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
    if shard is not None and shard.processes > 1:
        write_parts(path, content, model, optimizer, shard)
        if shard.rank == 0:
            Path(path).unlink(missing_ok=True)
        return
    with replacing(path) as temporary:
        try:
            torch.save(content, temporary)
        except RuntimeError:  # PyTorch's word for anything that goes wrong with a file
            raise OSError(f"{path} could not be written: is the disk full?") from None
    shutil.rmtree(parts_folder(path), ignore_errors=True)


def is_saved(path: str | Path) -> bool:
    """Return whether there is a checkpoint at a path, of one process or of several."""
    return Path(path).exists() or latest_parts(path) is not None


def load_checkpoint(
    path: str | Path,
    *,
    step: str,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    config: dict,
    generator: torch.Generator | None = None,
    shard: Shard | None = None,
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
        content = _read(path, model, optimizer, shard or Shard(0, 0, 1))
        found = (content["format"], content["step"])
    except (*DAMAGED, OSError) as error:
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
    restore_generators(content["rng"])
    if generator is not None:
        generator.set_state(content["rng"]["batches"])
    return content["epoch"], content["history"]


def _read(path: str | Path, model: nn.Module, optimizer: torch.optim.Optimizer, shard: Shard) -> dict:
    """Return what was saved, of C and its moments this process' rows."""
    parts = latest_parts(path)
    if parts is not None and not Path(path).exists():
        return read_parts(parts, model, optimizer, shard)
    content = torch.load(path, map_location="cpu", weights_only=True)
    if shard.processes > 1:
        content["model"] = dict(content["model"])
        owners = [(content["model"], COEFFICIENTS)]
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        for i, own in content["optimizer"]["state"].items():
            if parameters[i] is model.get_parameter(COEFFICIENTS):
                owners += [(own, name) for name, T in own.items() if T.ndim]
        for owner, name in owners:
            owner[name] = owner[name][shard.rows].clone()
    return content
