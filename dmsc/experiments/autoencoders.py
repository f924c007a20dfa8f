"""Saved autoencoders to start from: the DSC-Net authors' own, or any that a run left behind.

Two layouts are read. This package's: a checkpoint of `dmsc run` (``AE1.pt``, ``AE2.pt``) or the ``state_dict`` of a
`dmsc.SubspaceNetwork`; its C is left out. And that of the public PyTorch port of DSC-Net, for one view:
``encoder.conv1.weight``, ``encoder.conv1.bias``, …, ``decoder.deconv1.weight``, ….
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..data.files import KNOWN_FILES, file_hash, find_file
from ..model import SubspaceNetwork

__all__ = ["AUTHORS", "autoencoders_file", "describe_autoencoders", "load_autoencoders"]

#: The authors' autoencoders, and whether they were trained on transposed images: the authors read images that were
#: stored column by column row by row on ORL and COIL20, and turn them on Extended Yale B.
AUTHORS = {"dsc_weights/orl.pkl": True, "dsc_weights/coil20.pkl": True, "dsc_weights/yaleb.pkl": False}


def autoencoders_file(name: str) -> Path:
    """Return the file of saved autoencoders: one of `AUTHORS` (found, or downloaded), or a path.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    """
    if name in KNOWN_FILES:
        return find_file(name)
    if not Path(name).is_file():
        raise FileNotFoundError(f"no saved autoencoders {name!r}: give a file, or one of {', '.join(AUTHORS)}")
    return Path(name)


def describe_autoencoders(name: str) -> tuple[str, str]:
    """Return what a record says of saved autoencoders: their name, without the folders of a machine, and their hash."""
    shown = name if name in KNOWN_FILES else Path(name).name
    return shown, file_hash(autoencoders_file(name))[:16]


def load_autoencoders(model: SubspaceNetwork, name: str) -> None:
    """Give a model the encoders and decoders of a file; C stays as it is.

    Parameters
    ----------
    model : SubspaceNetwork
        Changed in place.
    name : str
        See `autoencoders_file`.

    Raises
    ------
    ValueError
        If the file holds no autoencoders, or others than the model has; nothing has been changed then.
    FileNotFoundError
        If there is no such file.
    """
    file = autoencoders_file(name)
    state = _read(file)
    if "encoder.conv1.weight" in state:
        state = _renamed(model, state, transposed=AUTHORS.get(name, False))
    own = {key: value for key, value in model.state_dict().items() if key.startswith(("encoders.", "decoders."))}
    saved = {key: value for key, value in state.items() if key.startswith(("encoders.", "decoders."))}
    if {key: value.shape for key, value in own.items()} != {key: value.shape for key, value in saved.items()}:
        raise ValueError(
            f"{file.name} holds autoencoders of weights {_shapes(saved)}, but the model has {_shapes(own)}: "
            "choose the method, views and architecture that they were trained with"
        )
    model.load_state_dict(saved, strict=False)


def _read(file: Path) -> dict[str, torch.Tensor]:
    try:
        content: Any = torch.load(file, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, OSError, ValueError) as error:
        raise ValueError(f"{file} can't be read as a PyTorch file of weights ({type(error).__name__})") from None
    state = content.get("model", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError(f"{file} holds no state dict: a checkpoint of 'dmsc run', or a dict of tensors, is needed")
    return state


def _renamed(model: SubspaceNetwork, state: dict[str, torch.Tensor], transposed: bool) -> dict[str, torch.Tensor]:
    """Bring the port's names to this package's; a network for transposed images becomes one for upright ones."""
    renamed = {}
    for ours, theirs in (("encoders", "encoder.conv"), ("decoders", "decoder.deconv")):
        layers = getattr(model, ours)[0]
        places = [place for place, layer in enumerate(layers) if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d))]
        count = sum(key.startswith(theirs) and key.endswith("weight") for key in state)
        names = [f"{ours}.0.{place}" for place in places] + [f"{ours}.0.more{i}" for i in range(count - len(places))]
        for i, name in enumerate(names[:count], start=1):
            kernels = state[f"{theirs}{i}.weight"]
            renamed[f"{name}.weight"] = kernels.transpose(2, 3).contiguous() if transposed else kernels
            renamed[f"{name}.bias"] = state[f"{theirs}{i}.bias"]
    return renamed


def _shapes(state: dict[str, torch.Tensor]) -> str:
    shapes = [" × ".join(map(str, value.shape)) for key, value in state.items() if key.endswith("weight")]
    return ", ".join(shapes) or "nothing"
