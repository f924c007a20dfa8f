"""What a run needs of a device's memory, looked at before any time is spent."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence

import torch

from ..data import Dataset
from ..devices import available_memory, is_card
from ..methods import Baseline, Method
from ..networks import Architecture, conv_sizes
from .reader import used_views

__all__ = [
    "ANCHORS", "DENSE_LIMIT", "auto_anchors", "bytes_needed", "bytes_per_process", "bytes_sent", "check_memory",
    "process_megabytes",
]  # fmt: skip

#: Where estimators go over to anchors by themselves: above so many samples, to so many anchors. A step costs m³, and
#: 500 anchors served the 10 000 digits of MNIST no worse than all samples did (results/benchmarks/mnist_full.json).
DENSE_LIMIT, ANCHORS = 10_000, 500
#: Bytes per entry of C (N, N) that are held at the greatest, mostly in float64 (measured at N = 4000): to read C once,
#: and to choose a penalty, judge both readings and compare with the raw views.
BYTES_TO_READ, BYTES_TO_JUDGE = 60, 100
#: The same, of the rows that each of several processes has (`benchmarks/processes.py`).
BYTES_TO_SHARE = 40

#: Of a process: MiB of Python with what it imports, of an engine's own processes around it, and of PyTorch's work space
#: for convolutions. Bytes per value of the data that are read, of the views that a method uses, and of a network's
#: layers with their gradients.
PROCESS, ENGINE, WORKSPACE = 500, 300, 250
BYTES_TO_LOAD, BYTES_OF_VIEWS, BYTES_OF_LAYERS = 12, 64, 12

WAY_OUT = f"a network with anchors={ANCHORS} ('dmsc run --set anchors={ANCHORS}'), whose memory is linear in N"


def bytes_needed(dataset: Dataset, method: Method | Baseline, readings: Sequence[str]) -> int:
    """Return about how many bytes a run holds at the greatest, beside the views themselves.

    With C (N, N) it is 60 N², or 100 N² for a choice without labels and all that goes with it. With m anchors and D
    values per sample it is linear in N (measured for N to 40 000, D from 60 to 2048, m to 400):

        24 N D  +  20 N m  +  100 m²  +  100 (m + 500) D

    for the views on the device, their latents, their reconstructions and their unit rows; for C, its float64 copy and
    that of the raw views; for the anchors' Gram matrix with its inverse and gradients; for a step of training.
    """
    N = dataset.n_samples
    m = method.anchors if isinstance(method, Method) else None
    if m is None:
        return (BYTES_TO_JUDGE if "selected" in readings else BYTES_TO_READ) * N**2
    D = sum(X[0].size for X in used_views(dataset, method))
    return 24 * N * D + 20 * N * m + 100 * m**2 + 100 * (m + 500) * D


def bytes_per_process(n_samples: int, width: int, processes: int, zero_diagonal: bool = False) -> tuple[int, int]:
    """Return about how many bytes each of several processes holds at the greatest, to train and to read C.

    With n = N / P rows of C, and latents of d values in all views together:

        training    (24 + 4 z) n N  +  16 N d     C, Adam's two moments, the gradient and its two parts while they are
                                                  added (and C without its diagonal: z = 1); the latents of all,
                                                  their gradient, and what is sent and received
        reading     40 n N                        rows and columns, in float64 where they are added

    beside what is linear in n: views, activations, reconstructions. Measured in ``benchmarks/processes.py``.
    """
    rows = -(-n_samples // processes)
    square = rows * n_samples
    return (24 + 4 * zero_diagonal) * square + 16 * n_samples * width, BYTES_TO_SHARE * square


def bytes_sent(n_samples: int, width: int, processes: int, n_parameters: int) -> int:
    """Return how many bytes all processes together send in an epoch of fine-tuning.

    The latents (N, d) go to everyone, their gradients come back summed; those of the networks' W parameters are summed
    for everyone, in a ring:

        4 (P - 1) (2 N d  +  2 W)
    """
    return 4 * (processes - 1) * (2 * n_samples * width + 2 * n_parameters)


def check_memory(
    dataset: Dataset, method: Method | Baseline, device: torch.device, readings: Sequence[str], processes: int = 1
) -> None:
    """Refuse a run that can't fit, before any time is spent on it.

    Of several processes those on this machine share its memory; a card is for one.
    """
    here = 1 if is_card(device) else int(os.environ.get("LOCAL_WORLD_SIZE", processes))
    free, needed = available_memory(device), bytes_needed(dataset, method, readings) * here // processes
    if free is None or needed <= free:
        return
    N, m = dataset.n_samples, getattr(method, "anchors", None)
    raise ValueError(
        f"{N} samples need about {needed / 2**30:.1f} GiB for {N} x {m or N} coefficients, and {str(device)!r} has "
        f"{free / 2**30:.1f} GiB free: take fewer samples, or " + ("fewer anchors" if m else WAY_OUT)
    )


def auto_anchors(dataset: Dataset, method: Method, device: torch.device, readings: Sequence[str]) -> int | None:
    """Return the number of anchors that a size asks for: above 10 000 samples, or where C (N, N) doesn't fit, 500."""
    free = available_memory(device)
    fits = free is None or bytes_needed(dataset, method, readings) <= free
    return None if fits and dataset.n_samples <= DENSE_LIMIT else min(ANCHORS, dataset.n_samples)


def process_megabytes(dataset: Dataset, method: Method | Baseline, studied: Iterable[Dataset] = ()) -> int:
    """Return about how many MiB a process takes at the greatest that runs one method on the CPU, rounded up to 50.

    For a batch engine, which asks before the process runs. With N samples of D values in the views that the method
    uses, A values in all layers of its encoders and decoders, and S values in all data of the study, which are read
    and checked before, it is

        500 MiB  +  300 MiB  +  12 S  +  100 N²  +  64 N D  (+  250 MiB  +  12 N A  for a network)

    for Python with PyTorch; for the processes of the engine around it; for the data; for C, its reading, and the
    choices without labels (see `bytes_needed`, whose terms take the place of 100 N² with anchors); for copies of the
    views, mostly in float64; for training. `tests/experiments/test_memory.py` holds it against the records.
    """
    N = dataset.n_samples
    views = [X.shape[1:] for X in used_views(dataset, method)]
    read = sum(X.size for whole in studied for X in whole.Xs)
    needed = bytes_needed(dataset, method, ("selected",)) + BYTES_TO_LOAD * read
    needed += BYTES_OF_VIEWS * N * sum(map(math.prod, views))
    if isinstance(method, Method):
        needed += WORKSPACE * 2**20 + BYTES_OF_LAYERS * N * sum(_values(shape, method.architecture) for shape in views)
    return 50 * math.ceil((PROCESS + ENGINE + needed / 2**20) / 50)


def _values(shape: tuple[int, ...], architecture: Architecture) -> int:
    """Return how many values one sample of a view has in all layers of its encoder and decoder."""
    if len(shape) == 1:
        return 2 * sum(architecture.widths(shape[0]))
    sizes = conv_sizes(tuple(shape[1:]), architecture)[1:]
    return 2 * sum(conv.channels * math.prod(size) for conv, size in zip(architecture.convolutions, sizes, strict=True))
