"""Dense N x N matrices, as arrays or tensors: checks and sums block by block, and the threshold on their columns."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from .checks import positive_number, square_matrix

BLOCK_ROWS = 128
CPU_BLOCK, GPU_BLOCK = 64, 1024  # how many columns are sorted at a time: what a core's cache, or a card, holds


def square_tensor(name, M):
    """Return M (array or tensor) as a finite float tensor (N, N) on its own device, or say what is wrong with it.

    Memory is shared where M holds float32 or float64 and may be written to; other types become float64.
    """
    if not isinstance(M, torch.Tensor):
        M = np.asarray(M) if isinstance(M, (np.ndarray, list, tuple)) else square_matrix(name, M)
        if M.dtype not in (np.float32, np.float64) or not M.flags.writeable or min(M.strides, default=1) < 0:
            M = np.array(square_matrix(name, M), dtype=np.float64)
        M = torch.from_numpy(M)
    elif M.layout != torch.strided:
        raise TypeError(f"{name} is a sparse tensor, which is not supported: pass {name}.to_dense()")
    M = M.detach()
    if not M.dtype.is_complex and M.dtype not in (torch.float32, torch.float64):
        M = M.double()
    if M.dtype.is_complex or M.ndim != 2 or M.shape[0] != M.shape[1] or not M.numel() or not torch.isfinite(M.sum()):
        square_matrix(name, M.cpu().numpy())  # says what is wrong, or finds that only the sum was too large
    return M


def new_matrix(M):
    """Return an empty float64 matrix of M's shape on its device; on the CPU in huge pages, for which NumPy asks."""
    if M.device.type == "cpu":
        return torch.from_numpy(np.empty(M.shape))
    return torch.empty(M.shape, dtype=torch.float64, device=M.device)


def fold(M, function=torch.Tensor.double):
    """Return ``f(M) + f(M)ᵀ`` in float64, where f, by default the identity, acts on each entry; a new tensor."""
    folded = new_matrix(M)
    for start in range(0, len(M), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        down = M[:, rows].contiguous().T  # (rows, N)
        torch.add(function(M[rows]).double(), function(down).double().contiguous(), out=folded[rows])
    return folded


def max_asymmetry(M):
    """Return the largest ``|M - Mᵀ|``."""
    starts = range(0, len(M), BLOCK_ROWS)
    blocks = (M[i : i + BLOCK_ROWS, i:] - M[i:, i : i + BLOCK_ROWS].T for i in starts)
    return torch.stack([block.abs_().max() for block in blocks]).max().item()


def threshold_coefficients(C, ratio):
    """Keep the largest entries of every column of C (the listing's ``thrC``, mended).

    In each column the entries are kept, largest absolute value first, until their sum *exceeds* ``ratio``
    times the column's l1 norm; the entry that crosses the line is kept, the others become 0. Among equal
    values the lower row comes first. Sums are taken in float64; where a running sum equals the line to the
    last bit, the order of summation decides, and that of a card is not the CPU's.

    Parameters
    ----------
    C : array_like or tensor of shape (N, N)
        Self-expression coefficients.
    ratio : float in (0, 1]
        Share of the l1 norm to keep; 1 returns a copy.

    Returns
    -------
    ndarray or tensor of shape (N, N), of C's dtype and on its device

    Raises
    ------
    ValueError
        If C is not square and finite, or ``ratio`` is outside (0, 1].
    TypeError
        If C is sparse or not real, or ``ratio`` is not a number.

    References
    ----------
    P. Ji et al., "Deep Subspace Clustering Networks", NeurIPS 2017, section 4 (and the authors' code).
    """
    values = square_tensor("C", C)
    ratio = positive_number("ratio", ratio, at_most=1)
    if isinstance(C, torch.Tensor):
        if ratio == 1:
            return C.detach().clone()
        if C.device.type != "cpu" or C.dtype != values.dtype:
            return torch.where(_largest(values, ratio), C.detach(), 0)
    given = values.numpy() if isinstance(C, torch.Tensor) else np.asarray(C)
    if ratio == 1:
        kept = given.copy()
    else:
        kept = np.empty_like(given)  # in the same order
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # NumPy lets go of the interpreter
            _keep_largest(given, values.numpy(), ratio, kept, pool)
    return torch.from_numpy(kept) if isinstance(C, torch.Tensor) else kept


def _keep_largest(C, values, ratio, kept, pool):
    """Fill ``kept``: find the entry of each column that crosses the line, then compare in the order of memory."""
    N = len(C)
    starts = range(0, N, CPU_BLOCK)
    found = pool.map(lambda start: _crossings(values[:, start : start + CPU_BLOCK], ratio), starts)
    crossing, n_kept = map(np.concatenate, zip(*found, strict=True))

    def fill(start):
        block = slice(start, start + CPU_BLOCK)
        at, line = (block, crossing) if kept.flags.c_contiguous else ((slice(None), block), crossing[block])
        np.multiply(C[at], np.abs(values[at]) >= line, out=kept[at])
        kept[at] += kept.dtype.type(0)  # -0.0 becomes 0.0

    list(pool.map(fill, starts))
    for column in np.flatnonzero(n_kept):  # too many equal the entry that crosses: those further down go
        size = np.abs(values[:, column])
        room = n_kept[column] - np.count_nonzero(size > crossing[column])
        kept[np.flatnonzero(size == crossing[column])[room:], column] = 0


def _crossings(values, ratio):
    """Return the size that crosses each column's line and, for columns with more such entries than room, how many stay.

    The tail of a partition is sorted; whole columns only where the line is not crossed there.
    """
    in_rows = values if values.T.flags.c_contiguous else np.ascontiguousarray(values)
    size = np.abs(in_rows).T.copy()  # (columns, N)
    line = ratio * size.sum(axis=1, keepdims=True, dtype=np.float64)
    N, tail = size.shape[1], int(0.5 * ratio * size.shape[1]) + 2
    if tail < N:
        size.partition(N - tail, axis=1)
    crossing, n_kept, crossed = _cross(size[:, -tail:], line)
    short = ~crossed
    if tail < N and short.any():
        crossing[short], n_kept[short], _ = _cross(size[short], line[short])
    return crossing, n_kept


def _cross(size, line):
    """Return what :func:`_crossings` does for rows of sizes, and which of them cross before their last entry."""
    largest_first = np.sort(size, axis=1)[:, ::-1]
    last, rows = size.shape[1] - 1, np.arange(len(size))
    before = np.count_nonzero(np.cumsum(largest_first, axis=1, dtype=np.float64) <= line, axis=1)
    at = np.minimum(before, last)
    crossing = largest_first[rows, at]
    tied = (largest_first[rows, np.minimum(at + 1, last)] == crossing) & (at < last)
    return crossing, np.where(tied, at + 1, 0), before < last


def _largest(values, ratio):
    """Mark the entries to keep on a tensor's own device, by sorting whole columns."""
    keep = torch.empty(values.shape, dtype=torch.bool, device=values.device)
    for start in range(0, len(values), GPU_BLOCK):
        columns = slice(start, start + GPU_BLOCK)
        size = values[:, columns].t().abs().double()  # (columns, N)
        largest_first, order = size.sort(dim=1, descending=True, stable=True)
        line = ratio * largest_first.sum(dim=1, keepdim=True)
        n_kept = (largest_first.cumsum(dim=1) <= line).sum(dim=1, keepdim=True) + 1
        among_first = torch.arange(len(values), device=values.device) < n_kept  # (columns, N) in order of size
        keep[:, columns] = torch.zeros_like(among_first).scatter_(1, order, among_first).t()
    return keep
