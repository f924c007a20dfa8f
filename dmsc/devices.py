"""Where numbers are computed, and how finely: devices, seeds, precision."""

from __future__ import annotations

import random
import re
import resource
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .checks import one_of

__all__ = [
    "PRECISIONS", "as_tensors", "available_memory", "cards_in_use", "device_name", "fast_precision",
    "forget_peak_memory", "generator_states", "is_card", "peak_memory_mb", "precision", "release_cards",
    "resolve_device", "restore_generators", "seed_everything", "take_card", "wait_for",
]  # fmt: skip

KINDS = ("cpu", "cuda")

#: float32 throughout; TF32 products on CUDA; bfloat16 networks and products with float32 parameters, sums and losses;
#: what `fast_precision` says of the device.
PRECISIONS = ("float32", "tf32", "bf16", "auto")
WITHOUT_BF16 = ("NO AVX", "AVX2")  # instructions of CPUs on which PyTorch has no fast code for bfloat16


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and PyTorch, and ask cuDNN for repeatable kernels."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """Return the device for "auto" (CUDA where there is one, else the CPU) or for a name such as "cuda:1".

    Raises
    ------
    ValueError
        For any other kind of device, or CUDA where there is none.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(device)
    except (RuntimeError, TypeError):
        raise ValueError(f"unknown device {device!r}: use 'auto', 'cpu' or 'cuda'") from None
    if is_card(device) and not torch.cuda.is_available():
        raise ValueError(f"device {str(device)!r} was asked for, but PyTorch sees no CUDA device: use 'auto' or 'cpu'")
    if is_card(device) and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise ValueError(f"device {str(device)!r} was asked for, but the last one is 'cuda:{count - 1}'")
    if device.type not in KINDS:
        raise ValueError(f"device {str(device)!r} is not supported, dmsc needs float64: use 'auto', 'cpu' or 'cuda'")
    return device


def is_card(device: torch.device | str) -> bool:
    """Return whether a device is a CUDA card: what everything that a CPU has no need of hangs on."""
    return torch.device(device).type == "cuda"


def take_card(number: int) -> bool:
    """Make a card what "cuda" means in this process, where there are cards; return whether there are."""
    if torch.cuda.is_available():
        torch.cuda.set_device(number)
        return True
    return False


def device_name(device: torch.device | str) -> str:
    """Return what a record calls a device: the card's name, or "cpu"."""
    return torch.cuda.get_device_name(device) if is_card(device) else "cpu"


def wait_for(device: torch.device | str) -> None:
    """Wait until a card has done what it was asked for, before a clock is read; a CPU has done it by then."""
    if is_card(device):
        torch.cuda.synchronize(device)


def cards_in_use(device: torch.device | str) -> list[torch.device]:
    """Return the cards whose random generators a computation on a device may move, as `torch.random.fork_rng` wants."""
    return [torch.device(device)] if is_card(device) else []


def generator_states() -> dict[str, Any]:
    """Return the states of PyTorch's random generators: the CPU's, and the cards' if this process has used one."""
    cards = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return {"torch": torch.get_rng_state(), "cuda": cards}


def restore_generators(states: dict[str, Any]) -> None:
    """Set the generators to what `generator_states` gave, maybe on a machine with fewer cards, or none."""
    torch.set_rng_state(states["torch"])
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    for index, state in enumerate(states["cuda"][:count]):
        torch.cuda.set_rng_state(state, index)


def peak_memory_mb(device: torch.device | str) -> float:
    """Return the peak memory in MiB: of the card since its counter was reset, or of this process on the CPU."""
    if is_card(device):
        return round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)


def forget_peak_memory(device: torch.device | str) -> None:
    """Let a card's peak memory begin anew, from what it holds by now; a CPU's process has no such counter."""
    if is_card(device):
        torch.cuda.reset_peak_memory_stats(device)


def release_cards() -> None:
    """Give memory back that PyTorch keeps of cards without using it; nothing where this process has used none."""
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def available_memory(device: torch.device) -> int | None:
    """Return how many bytes are free on a device, as far as that can be known; of a container, up to its limit."""
    if is_card(device):
        return torch.cuda.mem_get_info(device)[0]
    try:
        available = re.search(r"MemAvailable:\s*(\d+) kB", Path("/proc/meminfo").read_text())
    except OSError:  # not Linux
        available = None
    if available is None:
        return None
    free = int(available[1]) * 1024
    try:
        limit, used = (int(Path("/sys/fs/cgroup", name).read_text()) for name in ("memory.max", "memory.current"))
        cached = re.search(r"^inactive_file (\d+)", Path("/sys/fs/cgroup/memory.stat").read_text(), re.M)
        free = min(free, limit - used + (int(cached[1]) if cached else 0))
    except (OSError, ValueError):  # no limit
        pass
    return free


def as_tensors(Xs: Sequence[np.ndarray], device: str | torch.device = "cpu", scale: float = 1.0) -> list[torch.Tensor]:
    """Copy views (N, ...) to float32 tensors on a device, multiplied by ``scale``; to a card from pinned memory."""
    tensors = [torch.tensor(X * np.float32(scale), dtype=torch.float32) for X in Xs]
    if is_card(device):
        tensors = [X.pin_memory() for X in tensors]
    return [X.to(device, non_blocking=True) for X in tensors]


def fast_precision(device: torch.device | str) -> str:
    """Return the finest precision that a device has units for beyond those of float32: what "auto" means.

    - "tf32" on CUDA cards of compute capability 8.0 or more. They have units for bfloat16 too, which is coarser.
    - "bf16" on CPUs with AMX or AVX512-BF16, as far as PyTorch tells.
    - "float32" elsewhere.
    """
    if is_card(device):
        return "tf32" if torch.cuda.get_device_capability(device) >= (8, 0) else "float32"
    has: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # PyTorch of late
    return "bf16" if has.get("amx_bf16") or has.get("avx512_bf16") else "float32"


@contextmanager
def precision(name: str, device: torch.device | str) -> Iterator[None]:
    """Compute less finely within a ``with`` block.

    Parameters
    ----------
    name : {"float32", "tf32", "bf16", "auto"}
        "float32" changes nothing. "tf32" lets CUDA round the factors of products and convolutions to 10 bits of
        mantissa. "bf16" runs encoders, decoders and the product C Z in bfloat16 (7 bits): it rounds factors and
        results, not the sums in between. Parameters, Adam and the sums of the loss stay float32; the closed form is
        solved in float64. It pays where the hardware has units for it: CUDA cards since 2020, CPUs with AMX or
        AVX512-BF16. On a CPU without AVX-512 it is slower than float32: a warning says so. "auto" is
        what `fast_precision` says of the device.
    device : torch.device or str
        Where the block computes.

    Raises
    ------
    ValueError
        For another name, or TF32 on the CPU, which has none.
    """
    device = torch.device(device)
    if one_of("precision", name, PRECISIONS) == "auto":
        name = fast_precision(device)
    if name == "tf32" and not is_card(device):
        raise ValueError(f"precision='tf32' is for CUDA devices, got {str(device)!r}: use 'float32' or 'bf16'")
    if name == "bf16" and device.type == "cpu" and torch.backends.cpu.get_cpu_capability() in WITHOUT_BF16:
        warnings.warn("this CPU has no AVX-512, so that precision='bf16' is slower than 'float32' on it", stacklevel=3)
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    try:
        if name != "float32":
            torch.set_float32_matmul_precision("high" if name == "tf32" else "medium")
        torch.backends.cudnn.allow_tf32 = name != "float32"
        # no cache: its copies of the weights would outlive the optimizer's steps
        with torch.autocast(device.type, torch.bfloat16, enabled=name == "bf16", cache_enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]
