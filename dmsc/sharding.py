"""Several processes, one network: each holds some samples, with their rows of C, and asks the others for the rest.

The rows of C (N, N), their gradients and their moments in Adam are what doesn't fit one device; everything else is
linear in N. With P processes,

    process p holds    X_p (n, ...), C_p (n, N), n = ⌈N / P⌉ or less, and a copy of the encoders and decoders
    encode             Z_p = encoder(X_p)                        (n, d)
    gather             Z = [Z_1; …; Z_P]                         (N, d), sent around; gradients come back summed
    self-express       Ẑ_p = C_p Z                               (n, d): the rows of C Z that belong to p
    decode             X̂_p = decoder(Ẑ_p)

and the loss is the sum of what the processes find for their own rows. Gradients of the encoders and decoders are summed
over the processes; those of C_p are whole where they are. So an epoch of P processes is that of one, up to the order of
summation.

A process is one of several if `torch.distributed` says so (see `dmsc.experiments.processes`), and else alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import distributed

__all__ = ["Shard", "rank_and_processes"]


def rank_and_processes() -> tuple[int, int]:
    """Return the number of this process, from 0, and how many there are: (0, 1) where it is alone."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


class Shard:
    """The samples, of N, that this process holds; and what the processes tell each other.

    Every method is called by all processes at the same point, and does nothing where there is one alone.

    Parameters
    ----------
    n_samples : int
        N. Process p holds ⌈N / P⌉ rows, as `torch.chunk` cuts them; the last one may hold fewer.
    rank, processes : int, optional
        p and P; by default those of `torch.distributed`.

    Attributes
    ----------
    rows : slice
        The samples of this process.
    most : int
        ⌈N / P⌉, the most that one holds.

    Raises
    ------
    ValueError
        If a process would hold no sample.
    """

    def __init__(self, n_samples: int, rank: int | None = None, processes: int | None = None):
        found = rank_and_processes()
        self.rank, self.processes = found if rank is None or processes is None else (rank, processes)
        self.n_samples, self.most = n_samples, -(-n_samples // self.processes)
        if self.most * (self.processes - 1) >= n_samples and self.processes > 1:
            fit = max(p for p in range(1, self.processes) if -(-n_samples // p) * (p - 1) < n_samples)
            raise ValueError(
                f"{n_samples} samples, {self.most} to a process, leave nothing for the last of {self.processes} "
                f"processes: take {fit}"
            )
        self.rows = slice(self.rank * self.most, min((self.rank + 1) * self.most, n_samples))

    @property
    def n_rows(self) -> int:
        """How many samples this process holds."""
        return self.rows.stop - self.rows.start

    @property
    def sizes(self) -> list[int]:
        """How many samples each process holds."""
        return [min(self.most, self.n_samples - p * self.most) for p in range(self.processes)]

    def gather(self, T: torch.Tensor) -> torch.Tensor:
        """Return the rows (N, ...) of all processes, from those of each (n, ...).

        The gradient of a process' rows is the sum of what all processes' losses say of them: a reduce-scatter.
        """
        return T if self.processes == 1 else _Gather.apply(T, self)

    def gather_all(self, Zs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return each (N, d_l) of several (n, d_l): sent as one."""
        if self.processes == 1:
            return list(Zs)
        return list(self.gather(torch.cat([*Zs], dim=1)).split([Z.shape[1] for Z in Zs], dim=1))

    def total(self, T: torch.Tensor) -> torch.Tensor:
        """Return the sum over the processes of a tensor that each has; its gradient is summed likewise."""
        return T if self.processes == 1 else _Total.apply(T)

    @torch.no_grad()
    def largest(self, T: torch.Tensor) -> torch.Tensor:
        """Return the largest of a tensor of each process, entry by entry."""
        if self.processes > 1:
            T = T.clone()
            distributed.all_reduce(T, distributed.ReduceOp.MAX)
        return T

    @torch.no_grad()
    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replace the gradients of parameters that all processes have by their sums, sent as one."""
        if self.processes == 1:
            return
        parameters = list(parameters)
        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        distributed.all_reduce(flat)
        parts = flat.split([gradient.numel() for gradient in gradients])
        for p, gradient, part in zip(parameters, gradients, parts, strict=True):
            p.grad = gradient.copy_(part.view_as(gradient))

    @torch.no_grad()
    def columns(self, M: torch.Tensor) -> torch.Tensor:
        """Return the columns (N, n) of this process' samples, of a matrix of which each process holds rows (n, N)."""
        if self.processes == 1:
            return M
        blocks = M.split(self.most, dim=1)  # P of them, (n, n_q) each
        sent, got = torch.cat([block.reshape(-1) for block in blocks]), M.new_empty(self.n_samples * self.n_rows)
        sizes = [size * self.n_rows for size in self.sizes]
        distributed.all_to_all_single(got, sent, sizes, sizes)
        return got.view(self.n_samples, self.n_rows)

    def everyone(self, value: Any) -> list[Any]:
        """Return what each process has, a small thing, in their order."""
        found = [value] * self.processes
        if self.processes > 1:
            distributed.all_gather_object(found, value)
        return found

    def to_first(self, value: Any) -> list[Any]:
        """Return in the first process what each has, in their order; in the others an empty list."""
        if self.processes == 1:
            return [value]
        found = [None] * self.processes if self.rank == 0 else None
        distributed.gather_object(value, found)
        return found or []

    def wait(self) -> None:
        """Wait for all processes."""
        if self.processes > 1:
            distributed.barrier()

    def on_first(self, compute: Callable[[], Any]) -> Any:
        """Return what the first process computes; the others wait for it."""
        if self.processes == 1:
            return compute()
        found = [compute() if self.rank == 0 else None]
        distributed.broadcast_object_list(found)
        return found[0]


class _Gather(torch.autograd.Function):
    """Rows of each process to the rows of all; back, a sum of the gradients to each. All send ⌈N / P⌉ rows."""

    @staticmethod
    def forward(context: Any, T: torch.Tensor, shard: Shard) -> torch.Tensor:
        context.shard = shard
        whole = T.new_empty(shard.most * shard.processes, *T.shape[1:])
        distributed.all_gather([*whole.split(shard.most)], _padded(T, shard.most))
        return whole[: shard.n_samples]

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        shard = context.shard
        whole = _padded(gradient, shard.most * shard.processes)
        got = torch.empty_like(whole)  # what each says of the rows here
        distributed.all_to_all_single(got, whole)  # gloo's reduce-scatter would send twice as much
        return got.unflatten(0, (shard.processes, shard.most)).sum(dim=0)[: shard.n_rows], None


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, T: torch.Tensor) -> torch.Tensor:
        return _summed(T)

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:
        return _summed(gradient)


def _summed(T: torch.Tensor) -> torch.Tensor:
    T = T.detach().clone()
    distributed.all_reduce(T)
    return T


def _padded(T: torch.Tensor, length: int) -> torch.Tensor:
    if len(T) == length:
        return T.contiguous()
    return torch.cat([T, T.new_zeros(length - len(T), *T.shape[1:])])
