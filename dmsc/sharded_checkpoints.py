"""Checkpoints of several processes: each writes its rows of C, and any number of processes reads them.

PyTorch's distributed checkpoints do the work. Beside ``AE2.pt``, where one process writes its checkpoint, several write
a folder ``AE2.parts/epoch-50``, which gets its name when it is complete; then the one before goes.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.distributed import checkpoint as storage
from torch.distributed import init_device_mesh
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.tensor import DTensor
from torch.distributed.tensor import Shard as Rows

from .sharding import Shard

__all__ = ["COEFFICIENTS", "latest_parts", "parts_folder", "read_parts", "write_parts"]

COEFFICIENTS = "self_expression.weight"
MOMENTS = ("exp_avg", "exp_avg_sq")  # Adam's, of each parameter


def parts_folder(path: str | Path) -> Path:
    """Return the folder of several processes' checkpoints beside the file of one."""
    return Path(path).with_suffix(".parts")


def latest_parts(path: str | Path) -> Path | None:
    """Return the folder of the last complete checkpoint of several processes, if there is one."""
    found = [folder for folder in parts_folder(path).glob("epoch-*") if folder.is_dir()]
    return max(found, key=lambda folder: int(folder.name.partition("-")[2]), default=None)


def write_parts(
    path: str | Path, content: dict[str, Any], model: nn.Module, optimizer: torch.optim.Optimizer, shard: Shard
) -> None:
    """Write a checkpoint of all processes: ``content`` as `dmsc.checkpoints.save_checkpoint` makes it."""
    folder = parts_folder(path)
    target = folder / f"epoch-{content['epoch']}"
    temporary = folder / f".{target.name}.tmp"
    if shard.rank == 0:
        shutil.rmtree(temporary, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
    shard.wait()
    state: dict[str, Any] = {f"model.{name}": T for name, T in content["model"].items()}
    for i, moments in content["optimizer"]["state"].items():
        state |= {f"optimizer.{i}.{name}": T for name, T in moments.items()}
    _spread(state, model, optimizer, shard)
    plain = {name: content[name] for name in ("format", "step", "epoch", "history", "config")}
    plain["groups"] = content["optimizer"]["param_groups"]
    state |= {"plain": json.dumps(plain)} | {f"rng.{name}": T for name, T in content["rng"].items() if name != "cuda"}
    with _quiet(OSError(f"{target} could not be written: is the disk full?")):
        storage.save(state, checkpoint_id=temporary)
    if shard.rank == 0:
        shutil.rmtree(target, ignore_errors=True)
        temporary.rename(target)
        for older in folder.iterdir():
            if older != target:
                shutil.rmtree(older, ignore_errors=True)
    shard.wait()


def read_parts(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, shard: Shard) -> dict[str, Any]:
    """Read this process' part of a checkpoint that any number of processes wrote, as `write_parts` was given it."""
    known = storage.FileSystemReader(folder).read_metadata().state_dict_metadata
    parameters, own = _parameters(optimizer), model.state_dict()
    state: dict[str, Any] = {"plain": ""}
    for name in known.keys() - state:
        owner, _, rest = name.partition(".")
        if owner == "rng":
            state[name] = torch.empty(known[name].size, dtype=torch.uint8)  # type: ignore[union-attr]
        elif owner == "model":
            state[name] = torch.empty_like(own[rest])
        else:
            number, _, moment = rest.partition(".")
            state[name] = torch.zeros(()) if moment == "step" else torch.empty_like(parameters[int(number)].detach())
    _spread(state, model, optimizer, shard)
    with _quiet(ValueError(f"{folder} is damaged")):
        storage.load(state, checkpoint_id=folder, no_dist=shard.processes == 1)
    content = json.loads(state.pop("plain"))
    content |= {"model": {}, "rng": {"cuda": []}}
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, T in state.items():
        owner, _, rest = name.partition(".")
        T = T.to_local() if isinstance(T, DTensor) else T
        if owner == "optimizer":
            number, _, moment = rest.partition(".")
            moments.setdefault(int(number), {})[moment] = T
        else:
            content[owner][rest] = T
    content["optimizer"] = {"state": moments, "param_groups": content.pop("groups")}
    return content


def _parameters(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def _spread(state: dict[str, Any], model: nn.Module, optimizer: torch.optim.Optimizer, shard: Shard) -> None:
    """Say of the rows of C and of their moments that they are this process' part of (N, N); all else everyone has."""
    C = model.get_parameter(COEFFICIENTS)
    if shard.processes == 1:
        return
    mesh, whole = init_device_mesh(C.device.type, (shard.processes,)), (shard.n_samples, shard.n_samples)
    numbers = [i for i, p in enumerate(_parameters(optimizer)) if p is C]
    rows = {f"model.{COEFFICIENTS}", *(f"optimizer.{i}.{name}" for i in numbers for name in MOMENTS)}
    for name in rows & state.keys():
        layout: dict[str, Any] = {"run_check": False, "shape": torch.Size(whole), "stride": (shard.n_samples, 1)}
        state[name] = DTensor.from_local(state[name], mesh, [Rows(0)], **layout)


@contextmanager
def _quiet(problem: Exception) -> Iterator[None]:
    """Say nothing of PyTorch's own ways to store; and what goes wrong there, which is no Exception, in plain words."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except CheckpointException:
        raise problem from None
