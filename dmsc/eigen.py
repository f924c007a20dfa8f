"""Eigenpairs of symmetric matrices: SciPy's iterative solver where few are wanted, PyTorch's dense one for certainty.

The dense solver is LAPACK's divide and conquer. Solvers of a part of the spectrum (`scipy.linalg.eigh` with
`subset_by_index`) end in an internal error on some harmless matrices.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import itemgetter

import numpy as np
import torch
from scipy.linalg.lapack import dpotrf
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import ArpackError, eigsh

__all__ = ["connected_parts", "eigenpairs", "merge_parts", "smallest_eigenpairs", "split_parts"]

DENSE_LIMIT = 400  # up to this many rows a dense solver takes a tenth of a second, whatever the matrix
FEW = 0.02  # share of all eigenpairs up to which an iterative solver is the faster one
MAX_RESTARTS = 50  # of the iterative solver: where it doesn't settle, a dense one does
NEGLIGIBLE = 1e-8  # difference of eigenvalues, relative to the largest


def eigenpairs(M: torch.Tensor, k: int, which: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute k eigenpairs of a symmetric matrix on the device where it lies.

    Parameters
    ----------
    M : tensor of shape (n, n), float64
    k : int
    which : {"largest", "largest in magnitude"}

    Returns
    -------
    values : tensor of shape (k,)
        Largest (in magnitude) first.
    vectors : tensor of shape (n, k)
        Eigenvectors as columns.
    """
    n, pairs = len(M), None
    if M.device.type == "cpu" and n > DENSE_LIMIT and k <= FEW * n:
        pairs = _search(M, k, which)
    values, vectors = torch.linalg.eigh(M) if pairs is None else pairs
    size = values.abs() if which == "largest in magnitude" else values
    order = torch.argsort(size, descending=True, stable=True)[:k]
    return values[order], vectors[:, order]


def _search(M: torch.Tensor, k: int, which: str) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Return k pairs by an iterative solver; None where it doesn't settle, or misses copies of an eigenvalue.

    Copies are missed without a word: of a graph's 38 parts that hang together by a hair, say. But if none is missing,
    what is left of M without its pairs lies below the last of them.
    """
    scale = math.ldexp(1.0, math.frexp(float(M.abs().max()))[1] - 1)  # the solver has absolute limits too
    rest, start = M / scale, np.random.default_rng(0).standard_normal(len(M))  # the same one always: the same bits
    arpack = {"largest": "LA", "largest in magnitude": "LM"}[which]
    try:
        values, vectors = eigsh(rest.numpy(), k, which=arpack, v0=start, maxiter=MAX_RESTARTS, tol=1e-10)
    except ArpackError:  # not settled, or no way to go on
        return None
    magnitude = which == "largest in magnitude"
    last = float((abs(values) if magnitude else values).min())
    values, vectors = torch.from_numpy(values), torch.from_numpy(vectors)
    rest.addmm_(vectors * (values - (0.0 if magnitude else last)), vectors.T, alpha=-1)
    bound = last + NEGLIGIBLE * float(values.abs().max())
    complete = (not magnitude or _lies_below(bound, -rest)) and _lies_below(bound, rest)
    return (values * scale, vectors) if complete else None


def _lies_below(bound: float, M: torch.Tensor) -> bool:
    """Return whether no eigenvalue of a symmetric matrix reaches a bound. The matrix is overwritten."""
    M.neg_().diagonal().add_(bound)
    return dpotrf(M.numpy().T, overwrite_a=True, clean=False)[1] == 0  # bound · I - M has a Cholesky factor


def smallest_eigenpairs(A: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute the k smallest eigenpairs of a normalized Laplacian I - A, one connected part at a time.

    There is one eigenvalue 0 for each part, and an iterative solver may miss copies of an eigenvalue; within one part
    the 0 is single. Among equal eigenvalues those of larger parts come first.

    Parameters
    ----------
    A : tensor of shape (n, n), float64
        Normalized adjacency D^(-1/2) A D^(-1/2): symmetric, non-negative; rows of 0 are isolated points.
    k : int

    Returns
    -------
    values : tensor of shape (k,)
        Ascending, in [0, 2].
    vectors : tensor of shape (n, k)
        Eigenvectors as columns, the largest entry of each positive.
    """
    parts = []
    for rows in connected_parts(A, k):
        block = A if len(rows) == len(A) else A[rows[:, None], rows]
        parts.append((rows, *eigenpairs(block, min(k, len(rows)), "largest")))
    return merge_parts(parts, len(A), k)


def merge_parts(
    parts: Sequence[tuple[torch.Tensor, torch.Tensor, torch.Tensor]], n: int, k: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the k smallest eigenpairs of I - A from those of A's connected parts: rows, values, vectors of each."""
    pairs = []  # (rounded eigenvalue, -size of part, number of part, eigenvalue, rows, eigenvector)
    for number, (rows, values, vectors) in enumerate(parts):
        for value, x in zip((1 - values).tolist(), vectors.T, strict=True):
            pairs.append((round(value, 12), -len(rows), number, value, rows, x))
    pairs = sorted(pairs, key=itemgetter(0, 1, 2))[:k]
    merged = parts[0][2].new_zeros(n, k)
    for column, (*_, rows, x) in enumerate(pairs):
        merged[rows, column] = x * torch.sign(x[torch.argmax(x.abs().round(decimals=6))])
    return merged.new_tensor([pair[3] for pair in pairs]).clamp(0, 2), merged


def connected_parts(A: torch.Tensor, max_isolated: int) -> list[torch.Tensor]:
    """Return the rows of each connected part of a graph; of single points at most ``max_isolated``, and these first."""
    linked = A > 0
    if (linked.sum(dim=1) >= len(A) - 1).any():  # someone knows everyone, as in most dense graphs
        return [torch.arange(len(A), device=A.device)]
    isolated = (~linked.any(dim=1)).cpu().numpy()
    number = connected_components(csr_array(linked.cpu().numpy()))[1]
    return [torch.from_numpy(rows).to(A.device) for rows in split_parts(number, isolated, max_isolated)]


def split_parts(number: np.ndarray, isolated: np.ndarray, max_isolated: int) -> list[np.ndarray]:
    """Return the rows of each part from the part's number of each point; of isolated ones a few, and these first."""
    number = np.where(isolated, -1, number)
    order = np.argsort(number, kind="stable")
    several = np.split(order, np.flatnonzero(np.diff(number[order])) + 1)
    single = [np.array([row]) for row in np.flatnonzero(isolated)[:max_isolated]]
    return single + [rows for rows in several if number[rows[0]] >= 0]
