"""Eigenpairs of symmetric matrices on the CPU or a card, chosen for certainty first and speed second."""

from __future__ import annotations

from operator import itemgetter

import torch

DENSE_LIMIT = 400  # up to this many rows a dense solver takes a tenth of a second, whatever the matrix
BLOCK = 8  # vectors that are multiplied at a time: for so few the time goes into reading the matrix
QUEUE_ROWS = 64  # rows whose neighbors are looked up at a time
MAX_RESTARTS = 30
TOLERANCE = 1e-9  # of residuals, relative to the largest eigenvalue


def eigenpairs(M, k, which):
    """Compute k eigenpairs of a symmetric matrix.

    A block Lanczos method with thick restarts and full orthogonalization; where it isn't worth its while, or
    doesn't settle within ``MAX_RESTARTS``, LAPACK's (or the card's) dense solver. Nothing leaves M's device but
    the residual that says when to stop.

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

    References
    ----------
    K. Wu, H. Simon, "Thick-Restart Lanczos Method for Large Symmetric Eigenvalue Problems", SIAM J. Matrix Anal. 2000.
    """
    n, n_kept = len(M), k + 5 * BLOCK  # Ritz vectors that survive a restart
    pairs, size = None, n_kept + 8 * BLOCK
    if n > DENSE_LIMIT and size <= n // 3:
        pairs = lanczos(M, k, which, n_kept, size)
    if pairs is None:
        pairs = _select(*torch.linalg.eigh(M), which, k)
    return pairs


def lanczos(M, k, which, n_kept, size):
    """Compute eigenpairs as :func:`eigenpairs` does, in a basis of ``size`` vectors, or return None."""
    start = torch.randn(len(M), BLOCK, generator=torch.Generator().manual_seed(0), dtype=M.dtype)
    Q = torch.linalg.qr(start.to(M.device))[0]
    V, MV = torch.empty(2, len(M), size, dtype=M.dtype, device=M.device)  # the basis and its products
    used = 0
    for _ in range(MAX_RESTARTS):
        while used + BLOCK <= size:
            V[:, used : used + BLOCK] = Q
            MV[:, used : used + BLOCK] = product = M @ Q
            used += BLOCK
            Q = _orthonormal(product, V[:, :used])
        T = V[:, :used].T @ MV[:, :used]
        values, S = _select(*torch.linalg.eigh(0.5 * (T + T.T)), which, n_kept)
        V[:, :n_kept], MV[:, :n_kept] = V[:, :used] @ S, MV[:, :used] @ S
        used = n_kept
        residual = (MV[:, :k] - V[:, :k] * values[:k]) / values.abs().max().clamp(min=torch.finfo(M.dtype).tiny)
        if residual.norm(dim=0).max() <= TOLERANCE:
            return values[:k], V[:, :k].contiguous()
    return None


def _orthonormal(Q, V):
    """Orthonormalize the columns of Q against those of V, and among themselves; twice where much cancels out."""
    for _ in range(2):
        length = Q.norm(dim=0).max()
        Q, R = torch.linalg.qr(Q - V @ (V.T @ Q))
        if R.diagonal().abs().min() > 0.05 * length:
            break
    return Q


def _select(values, vectors, which, k):
    """Return the k wanted pairs, the most wanted first."""
    order = torch.argsort(values.abs() if which == "largest in magnitude" else values, descending=True, stable=True)
    return values[order[:k]], vectors[:, order[:k]]


def smallest_eigenpairs(A, k):
    """Compute the k smallest eigenpairs of a normalized Laplacian ``I - A``, one connected part at a time.

    There is one eigenvalue 0 for each part, and an iterative solver may miss copies of an eigenvalue; within
    one part the 0 is single. Among equal eigenvalues those of larger parts come first.

    Parameters
    ----------
    A : tensor of shape (n, n), float64
        Normalized adjacency ``D^(-1/2) A D^(-1/2)``: symmetric, non-negative; rows of 0 are isolated points.
    k : int

    Returns
    -------
    values : tensor of shape (k,)
        Ascending, in [0, 2].
    vectors : tensor of shape (n, k)
        Eigenvectors as columns, the largest entry of each positive.
    """
    pairs = []  # (rounded eigenvalue, -size of part, number of part, eigenvalue, rows, eigenvector)
    for number, rows in enumerate(connected_parts(A, k)):
        block = A if len(rows) == len(A) else A[rows[:, None], rows]
        values, vectors = eigenpairs(block, min(k, len(rows)), "largest")
        for value, x in zip((1 - values).tolist(), vectors.T, strict=True):
            pairs.append((round(value, 12), -len(rows), number, value, rows, x))
    pairs = sorted(pairs, key=itemgetter(0, 1, 2))[:k]
    vectors = torch.zeros(len(A), k, dtype=A.dtype, device=A.device)
    for column, (*_, rows, x) in enumerate(pairs):
        vectors[rows, column] = x * torch.sign(x[torch.argmax(x.abs().round(decimals=6))])
    values = torch.tensor([pair[3] for pair in pairs], dtype=A.dtype, device=A.device)
    return values.clamp(0, 2), vectors


def connected_parts(A, max_isolated):
    """Return the rows of each connected part of a graph: at most ``max_isolated`` single points, then the others.

    Breadth first, on A's device: each row is read once, and no more once every point has been reached.
    """
    free = A.sum(dim=1) > 0
    isolated = torch.nonzero(~free)[:max_isolated]  # (points, 1)
    parts = list(isolated)
    while free.any():
        part = queue = free.nonzero()[:1, 0]
        free[queue] = False
        while len(queue) and free.any():
            rows, queue = queue[:QUEUE_ROWS], queue[QUEUE_ROWS:]
            reached = ((A[rows].sum(dim=0) > 0) & free).nonzero()[:, 0]
            free[reached] = False
            part, queue = torch.cat([part, reached]), torch.cat([queue, reached])
        parts.append(part.sort().values)
    return parts
