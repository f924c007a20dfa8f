"""A pretended card: tensors that say they are elsewhere, refuse to meet the CPU's, and are computed on the CPU.

What a CUDA device refuses, this one refuses too: operations on its tensors and the CPU's, NumPy's hands on its memory,
generators of the CPU, its tensors as indices into the CPU's. So a forgotten ``.cpu()`` fails where no card is.

PyTorch lets Python register one device of its own, once per process and for good. A tensor there is a wrapper around
one of the CPU, and every operation arrives at `_compute`. Other devices don't change.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import library as operations
from torch.utils import backend_registration
from torch.utils._pytree import tree_leaves, tree_map

__all__ = ["KIND", "UNAVAILABLE", "CardTensor", "register"]

KIND = "pretended"
SETUP = "_setup_privateuseone_for_python_backend"
#: Why there can be none, for a test's skip; empty where there can be one.
UNAVAILABLE = "" if hasattr(backend_registration, SETUP) else f"PyTorch {torch.__version__} has no {SETUP}"

aten = torch.ops.aten
#: Makers of tensors that PyTorch doesn't compose of an empty one of the right size.
MAKERS = (
    "arange", "arange.start", "arange.start_step", "empty.memory_format", "empty_strided", "eye", "eye.m", "linspace",
    "randperm", "randperm.generator", "tril_indices", "triu_indices",
)  # fmt: skip
COPIES = (aten.copy_.default, aten._to_copy.default)  # between devices
INDEXING = (aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default)
#: Where single numbers of the CPU may take part, as in operations entry by entry.
TAKES_NUMBERS = (*INDEXING, aten.fill_.Tensor, aten.masked_fill.Tensor, aten.masked_fill_.Tensor)
#: Products that are rounded under autocast.
ROUNDED = ("mm", "bmm", "addmm", "baddbmm", "matmul", "linear", "conv2d", "conv_transpose2d.input")


LIBRARIES: list[operations.Library] = []  # what they register lives as long as they do


class CardTensor(torch.Tensor):
    """A tensor on the pretended card; ``inside`` is what it holds, on the CPU."""

    __torch_function__ = torch._C._disabled_torch_function_impl
    inside: torch.Tensor

    @staticmethod
    def __new__(cls, inside: torch.Tensor) -> CardTensor:
        layout = {"strides": inside.stride(), "storage_offset": inside.storage_offset(), "layout": inside.layout}
        made = torch.Tensor._make_wrapper_subclass(
            cls, inside.size(), dtype=inside.dtype, device=torch.device(KIND, 0), **layout
        )
        made.inside = inside
        return made

    @classmethod
    def __torch_dispatch__(cls, op: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        return _compute(op, args, kwargs or {})

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"{self.inside!r} on the pretended card"

    def __reduce_ex__(self, protocol: int) -> tuple:
        parts = (self.detach().cpu(), self.dtype, str(self.device), self.requires_grad)
        return torch._utils._rebuild_device_tensor_from_cpu_tensor, parts

    def tolist(self) -> Any:
        """Copy to a list, as PyTorch does for its own devices and not for wrappers."""
        return self.cpu().tolist()


def _compute(op: Any, args: tuple, kwargs: dict) -> Any:
    """Do one operation on the CPU, for tensors of the card."""
    if op not in COPIES:
        _refuse_strangers(op, args, kwargs)
    target = kwargs.get("device")
    to_cpu = target is not None and torch.device(target).type != KIND
    if target is not None:
        kwargs = kwargs | {"device": torch.device("cpu")}
    cards = [x for x in tree_leaves((args, kwargs)) if isinstance(x, CardTensor)]
    args, kwargs = tree_map(lambda x: x.inside if isinstance(x, CardTensor) else x, (args, kwargs))
    found = op(*args, **kwargs)
    for card in cards:
        if card.shape != card.inside.shape:
            raise NotImplementedError(f"{op} changes a tensor's shape in place, which the pretended card can't do")
    known = {id(card.inside): card for card in cards}  # what was changed in place is returned itself

    def wrap(x: Any) -> Any:
        return known.get(id(x), CardTensor(x)) if isinstance(x, torch.Tensor) and not to_cpu else x

    return tree_map(wrap, found)


def _refuse_strangers(op: Any, args: tuple, kwargs: dict) -> None:
    """Raise where a card would: for tensors of the CPU, but for single numbers and indices where these are allowed."""
    if any(isinstance(x, torch.Generator) for x in tree_leaves((args, kwargs))):
        raise RuntimeError(f"{op}: expected a generator of {KIND!r}, but found one of 'cpu'")
    on_card = bool(args) and isinstance(args[0], CardTensor)
    if op in INDEXING and on_card:
        args = (args[0], *args[2:])  # indices may lie on the CPU
    tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
    strangers = [x for x in tensors if not isinstance(x, CardTensor)]
    numbers_may = op in TAKES_NUMBERS or torch.Tag.pointwise in op.tags
    if any(x.ndim for x in strangers) or (strangers and (not numbers_may or op._schema.is_mutable and not on_card)):
        raise RuntimeError(f"{op}: expected all tensors on one device, but found '{KIND}:0' and 'cpu'")


class _Module:
    """What PyTorch asks of ``torch.pretended``."""

    is_available = is_initialized = staticmethod(lambda: True)
    current_device = staticmethod(lambda: 0)
    device_count = staticmethod(lambda: 1)
    _is_in_bad_fork = staticmethod(lambda: False)
    manual_seed_all = staticmethod(lambda seed: None)  # drawn from the CPU's generator, which is seeded itself
    get_amp_supported_dtype = staticmethod(lambda: [torch.bfloat16])


def _operation(name: str) -> Any:
    packet, _, overload = name.partition(".")
    return getattr(getattr(aten, packet), overload or "default")


def _round(op: Any, *args: Any, **kwargs: Any) -> Any:
    """Do a product in bfloat16, as autocast does on a card."""
    below = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)
    with torch._C._ExcludeDispatchKeyGuard(below):
        return op(*tree_map(_rounded, args), **tree_map(_rounded, kwargs))


def _rounded(x: Any) -> Any:
    return x.to(torch.bfloat16) if isinstance(x, torch.Tensor) and x.dtype == torch.float32 else x


def _copy(source: torch.Tensor, target: torch.Tensor, non_blocking: bool = False) -> torch.Tensor:
    """Copy, where PyTorch makes a tensor of a list and asks no wrapper."""
    source, inside = (getattr(x, "inside", x) for x in (source, target))
    inside.copy_(source)
    return target


def _make(op: Any, *args: Any, **kwargs: Any) -> Any:
    return _compute(op, args, kwargs)


@functools.cache
def register() -> torch.device:
    """Make the device known to this process, and return it."""
    getattr(backend_registration, SETUP)(KIND, backend_module=_Module())
    library = operations.Library("aten", "IMPL")
    for kind, key, names in ((_make, "PrivateUse1", MAKERS), (_round, "AutocastPrivateUse1", ROUNDED)):
        for name in names:
            library.impl(name, functools.partial(kind, _operation(name)), key)
    library.impl("_copy_from", _copy, "PrivateUse1")
    others = operations.Library("_", "IMPL")  # all other operations under autocast: as without
    others.fallback(operations.fallthrough_kernel, "AutocastPrivateUse1")
    LIBRARIES.extend([library, others])
    return torch.device(KIND, 0)
