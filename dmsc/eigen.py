"""Eigenpairs of symmetric matrices, chosen for certainty first and speed second."""

from __future__ import annotations

from operator import itemgetter

import numpy as np
from scipy.linalg import eigh
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import ArpackError, eigsh

DENSE_LIMIT = 1000  # up to this many rows a dense solver takes a second at most, whatever the matrix


def eigenpairs(M, k, which):
    """Compute k eigenpairs of a symmetric matrix.

    Parameters
    ----------
    M : ndarray of shape (n, n)
        For "smallest", a normalized Laplacian: eigenvalues in [0, 2].
    k : int
    which : {"smallest", "largest in magnitude"}

    Returns
    -------
    values : ndarray of shape (k,)
        Ascending for "smallest", otherwise in no promised order.
    vectors : ndarray of shape (n, k)
        Eigenvectors as columns.
    """
    n = len(M)
    try:
        if n > DENSE_LIMIT and k < n // 10:
            start = np.random.default_rng(0).standard_normal(n)
            options = {"k": k, "v0": start, "maxiter": 100, "tol": 1e-10}
            if which == "largest in magnitude":
                return eigsh(M, which="LM", **options)
            values, vectors = eigsh(2 * np.eye(n) - M, which="LA", **options)  # best at the large end
            return 2 - values[::-1], vectors[:, ::-1]
        if which == "smallest" and k < n // 3:
            return eigh(M, subset_by_index=[0, k - 1])
    except (ArpackError, np.linalg.LinAlgError):
        pass  # it did not settle: go on to the solver that always does
    values, vectors = eigh(M, driver="evd")
    order = np.argsort(values if which == "smallest" else -np.abs(values), kind="stable")[:k]
    return values[order], vectors[:, order]


def smallest_eigenpairs(L_sym, k):
    """Compute the k smallest eigenpairs of a normalized Laplacian, one connected part of its graph at a time.

    L_sym has one eigenvalue 0 for each part, and an iterative solver may miss copies of an eigenvalue; within
    one part the 0 is single. Among equal eigenvalues those of larger parts come first.

    Parameters
    ----------
    L_sym : ndarray of shape (n, n)
    k : int

    Returns
    -------
    values : ndarray of shape (k,)
        Ascending, in [0, 2].
    vectors : ndarray of shape (n, k)
        Eigenvectors as columns, the largest entry of each positive.
    """
    _, part = connected_components(csr_matrix(L_sym), directed=False)
    members = np.split(np.argsort(part, kind="stable"), np.cumsum(np.bincount(part))[:-1])
    pairs = []  # (rounded eigenvalue, -size of part, number of part, eigenvalue, rows, eigenvector)
    for number, rows in enumerate(members):
        block = L_sym if len(members) == 1 else L_sym[np.ix_(rows, rows)]
        values, vectors = eigenpairs(block, min(k, len(rows)), "smallest")
        for value, x in zip(values, vectors.T, strict=True):
            pairs.append((round(value, 12), -len(rows), number, value, rows, x))
    pairs = sorted(pairs, key=itemgetter(0, 1, 2))[:k]
    vectors = np.zeros((len(L_sym), k))
    for column, (*_, rows, x) in enumerate(pairs):
        vectors[rows, column] = x * np.sign(x[np.argmax(np.abs(x).round(6))])
    return np.clip([pair[3] for pair in pairs], 0.0, 2.0), vectors
