"""From coefficients that lie in several processes to labels: the steps of `dmsc.spectral`, no matrix (N, N) in one.

What is done by column, the threshold, is done on columns that travel: an all-to-all of N² / P numbers each way.
Eigenvectors come of products W V with blocks V of vectors, for which each process multiplies its rows. Only what is
linear in N is in every process: the embedding (N, K), which k-means reads in the first one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import torch
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from .eigen import merge_parts, split_parts
from .fast_threshold import threshold_by_partition
from .sharding import Shard
from .spectral import (
    PLAIN,
    Labels,
    Reading,
    assign_clusters,
    normalize_rows,
    singular_values,
    threshold_by_sorting,
)

__all__ = ["block_eigenpairs", "read_sharded_labels", "sharded_affinity", "smallest_sharded_eigenpairs"]

MORE = 10  # vectors in a block beside those that are wanted
BASIS = 4, 400  # vectors at most, before the best of them begin anew: times the block's; and in any case
BLOCKS = 300  # at most
TOLERANCE = 1e-11  # of residuals, relative to the largest eigenvalue


def read_sharded_labels(
    C: torch.Tensor, n_clusters: int, reading: Reading = PLAIN, seed: int = 0, *, shard: Shard
) -> Labels:
    """Read clusters off coefficients of which each process holds some rows: `dmsc.spectral.read_labels`.

    Parameters
    ----------
    C : tensor (n, N)
        The rows of this process.
    n_clusters, reading, seed
        As there.
    shard : Shard
        Which rows these are.

    Returns
    -------
    Labels
        Labels (N,) and eigenvalues, the same in all processes; no affinity.
    """
    W = sharded_affinity(C, n_clusters, reading, shard)
    eigenvalues, vectors = smallest_sharded_eigenpairs(
        _adjacency(W, shard), min(n_clusters + 1, shard.n_samples), shard
    )
    kept = vectors[:, :n_clusters]
    labels = shard.on_first(lambda: assign_clusters(kept, n_clusters, reading.assign, seed))
    return Labels(torch.as_tensor(labels), None, eigenvalues if len(eigenvalues) > n_clusters else None)


def sharded_affinity(C: torch.Tensor, n_clusters: int, reading: Reading, shard: Shard) -> torch.Tensor:
    """Return this process' rows (n, N) of W, in float64: `dmsc.threshold_coefficients`, then `dmsc.build_affinity`."""
    columns = shard.columns(C)  # (N, n)
    if reading.ratio < 1:
        threshold = threshold_by_partition if C.device.type == "cpu" else threshold_by_sorting
        columns = threshold(columns, reading.ratio)
        C = shard.columns(columns.T.contiguous()).T  # the columns of Cᵀ are the rows of C
    if reading.affinity == "plain":
        return C.abs().double() + columns.T.abs().double()
    C = (C.double() + columns.T.double()) / 2
    if reading.unit_diagonal:
        C.diagonal(shard.rows.start).fill_(1.0)
    rank = min(reading.dim * n_clusters + 1, shard.n_samples - 1)
    values, U = block_eigenpairs(
        lambda V: C @ shard.gather(V), _start(rank, shard, C), rank, "largest in magnitude", shard
    )
    U = U * singular_values(values, shard.n_samples).sqrt()  # (n, rank)
    U = normalize_rows(U, zero=1e-10, longest=shard.largest(torch.linalg.norm(U, dim=1).max()))
    W = (U @ shard.gather(U).T).clamp_(min=0).pow_(reading.alpha)  # (n, N)
    return W.div_(shard.largest(W.max()).clamp(min=torch.finfo(W.dtype).tiny))


def _adjacency(W: torch.Tensor, shard: Shard) -> torch.Tensor:
    """Return the rows (n, N) of D^(-1/2) A D^(-1/2), with A as W but for an empty diagonal; W is overwritten."""
    W.div_(shard.largest(W.max()).clamp(min=torch.finfo(W.dtype).tiny))
    W.diagonal(shard.rows.start).zero_()
    degree = W.sum(dim=1)
    scale = torch.where(degree > 0, degree.rsqrt(), 0)  # (n,)
    return W.mul_(scale[:, None]).mul_(shard.gather(scale))


def smallest_sharded_eigenpairs(A: torch.Tensor, k: int, shard: Shard) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute the k smallest eigenpairs of I - A from this process' rows (n, N) of A: `dmsc.eigen.smallest_eigenpairs`.

    Returns
    -------
    values : tensor of shape (k,)
    vectors : tensor of shape (N, k)
        Whole, the same in all processes.
    """
    parts = []
    for part in _connected_parts(A, k, shard):
        wanted, inside = min(k, len(part)), np.zeros(shard.n_samples, dtype=bool)
        inside[part] = True
        start = _start(wanted, shard, A, inside)
        values, vectors = block_eigenpairs(lambda V: A @ shard.gather(V), start, wanted, "largest", shard)
        rows = torch.from_numpy(part).to(A.device)
        parts.append((rows, values, shard.gather(vectors)[rows]))
    return merge_parts(parts, shard.n_samples, k)


def block_eigenpairs(
    multiply: Callable[[torch.Tensor], torch.Tensor], start: torch.Tensor, k: int, which: str, shard: Shard
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute k eigenpairs of a symmetric matrix from products with blocks of vectors: a block Krylov method.

    The basis grows by the residuals of the wanted pairs that haven't settled. When it is too wide (`BASIS`), the best
    pairs in it begin anew. A start of more than k random vectors finds all copies of a multiple eigenvalue.

    Parameters
    ----------
    multiply : callable
        Rows (n, b) of a block of vectors to those of the matrix' product with it.
    start : tensor (n, b), float64
        The first block; what the matrix never leads out of (a connected part), it doesn't leave.
    k : int
    which : {"largest", "largest in magnitude"}
    shard : Shard

    Returns
    -------
    values : tensor of shape (k,)
        Largest (in magnitude) first.
    vectors : tensor of shape (n, k)
        This process' rows of the eigenvectors.

    References
    ----------
    Y. Saad, "Numerical Methods for Large Eigenvalue Problems", 2011 (block Krylov methods, restarts); A. Stathopoulos,
    K. Wu, "A Block Orthogonalization Procedure with Constant Synchronization Requirements", 2002 (by the eigenvectors
    of the Gram matrix).
    """
    width = max(BASIS[0] * start.shape[1], BASIS[1])
    V = _orthonormal(start, None, shard)
    AV = multiply(V)
    for _ in range(BLOCKS):
        values, Y = torch.linalg.eigh(shard.total(V.T @ AV))  # Rayleigh and Ritz
        size = values.abs() if which == "largest in magnitude" else values
        order = torch.argsort(size, descending=True, stable=True)
        best, values = Y[:, order[:k]], values[order[:k]]
        residuals = AV @ best - (V @ best) * values
        length = shard.total(residuals.square().sum(dim=0)).sqrt()
        open_pairs = length > TOLERANCE * values.abs().max()
        if not open_pairs.any():
            break
        if V.shape[1] + int(open_pairs.sum()) > width:
            keep = Y[:, order[: start.shape[1]]]
            V, AV = V @ keep, AV @ keep
            best = torch.eye(V.shape[1], dtype=V.dtype, device=V.device)[:, :k]
        more = _orthonormal(residuals[:, open_pairs], V, shard)
        if not more.shape[1]:  # the basis is all that the matrix leads to
            break
        V, AV = torch.cat([V, more], dim=1), torch.cat([AV, multiply(more)], dim=1)
    else:
        left = float((length / values.abs().max()).max())
        warnings.warn(f"after {BLOCKS} blocks eigenvectors have settled to {left:.1g} only", stacklevel=2)
    return values, V[:, : len(best)] @ best


def _start(k: int, shard: Shard, like: torch.Tensor, inside: np.ndarray | None = None) -> torch.Tensor:
    """Return this process' rows of a block of random vectors, the same for any number of processes."""
    size = shard.n_samples if inside is None else int(inside.sum())
    block = np.random.default_rng(0).standard_normal((shard.n_samples, min(k + MORE, size)))
    if inside is not None:
        block[~inside] = 0.0
    return torch.from_numpy(block[shard.rows]).to(like.device)


def _orthonormal(X: torch.Tensor, basis: torch.Tensor | None, shard: Shard) -> torch.Tensor:
    """Return orthonormal columns that span X, beside those of a basis; what the basis spans already is left out."""
    for _ in range(3):
        if basis is not None:
            X = X - basis @ shard.total(basis.T @ X)
        gram = shard.total(X.T @ X)
        length = gram.diagonal().sqrt()
        X, gram = X[:, length > 0], gram[length > 0][:, length > 0]
        length = length[length > 0]
        values, Y = torch.linalg.eigh(gram / length / length[:, None])
        kept = values > 1e-14 * values.max() if len(values) else values > 0
        X = (X / length) @ (Y[:, kept] / values[kept].sqrt())
    return X


def _connected_parts(A: torch.Tensor, max_isolated: int, shard: Shard) -> list[np.ndarray]:
    """Return the rows of each connected part, as `dmsc.eigen.connected_parts` does: parts of the processes' parts."""
    N, linked = shard.n_samples, A > 0
    known = linked.sum(dim=1)
    if shard.largest(known.max()) >= N - 1:  # someone knows everyone
        return [np.arange(N)]
    own = csr_array(linked.cpu().numpy())
    own = csr_array(
        (own.data, own.indices, np.pad(own.indptr, (shard.rows.start, N - shard.rows.stop), "edge")), shape=(N, N)
    )
    numbers = shard.everyone(connected_components(own)[1])  # (N,) of each process: what its rows connect
    points = np.tile(np.arange(N), len(numbers))
    meeting = np.concatenate([number + (p + 1) * N for p, number in enumerate(numbers)])
    size = N * (len(numbers) + 1)
    number = connected_components(coo_array((np.ones(len(points)), (points, meeting)), shape=(size, size)))[1][:N]
    isolated = shard.gather(known == 0).cpu().numpy()
    return split_parts(number, isolated, max_isolated)
