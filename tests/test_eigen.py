"""Eigenpairs against NumPy's dense solver on matrices that are hard for iterative ones; connected parts of graphs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse.csgraph import connected_components

from dmsc import eigen
from dmsc.eigen import connected_parts, eigenpairs, smallest_eigenpairs


def symmetric(values, seed=0):
    """A matrix with these eigenvalues."""
    Q = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(values), len(values))))[0]
    return torch.from_numpy(Q * values @ Q.T)


def spectra():
    rng = np.random.default_rng(1)
    yield "decaying", 0.97 ** np.arange(450) * rng.choice([-1, 1], 450)
    yield "random", rng.normal(size=450)
    yield "low rank", np.where(np.arange(450) < 3, [5.0] * 450, 0)
    yield "copies", np.repeat(np.linspace(1, -1, 75), 6)
    yield "plus and minus", np.concatenate([np.linspace(1, 2, 225), -np.linspace(1, 2, 225)])
    yield "all equal", np.ones(450)
    yield "zero", np.zeros(450)
    yield "tiny", 1e-200 * rng.normal(size=450)
    yield "huge", 1e200 * rng.normal(size=450)
    yield "one sign", -np.linspace(1, 2, 450)


@pytest.mark.parametrize("which", ["largest", "largest in magnitude"])
@pytest.mark.parametrize("values", [pytest.param(values, id=name) for name, values in spectra()])
def test_pairs_are_the_right_ones(values, which):
    M = symmetric(values)
    found, X = eigenpairs(M, 4, which)
    right = np.linalg.eigvalsh(M.numpy())
    right = right[np.argsort(-(np.abs(right) if which == "largest in magnitude" else right))][:4]
    scale = np.abs(values).max()
    magnitude = np.abs if which == "largest in magnitude" else np.asarray
    np.testing.assert_allclose(magnitude(found.numpy()), magnitude(right), atol=1e-8 * scale)
    np.testing.assert_allclose(X.T @ X, np.eye(4), atol=1e-10)
    np.testing.assert_allclose(M @ X, X * found, atol=1e-8 * scale)
    again = eigenpairs(M, 4, which)
    assert torch.equal(found, again[0]) and torch.equal(X, again[1])


@pytest.mark.parametrize("which", ["largest", "largest in magnitude"])
@pytest.mark.parametrize("values", [pytest.param(values, id=name) for name, values in spectra()])
def test_where_the_iterative_solver_does_not_settle_a_dense_one_steps_in(values, which, monkeypatch):
    M = symmetric(values)
    failures, eigsh = [], eigen.eigsh

    def observed(*given, **options):
        try:
            return eigsh(*given, **options)
        except eigen.ArpackError as error:
            failures.append(error)
            raise

    monkeypatch.setattr(eigen, "eigsh", observed)
    monkeypatch.setattr(eigen, "MAX_RESTARTS", 1)
    found, X = eigenpairs(M, 4, which)
    monkeypatch.setattr(eigen, "DENSE_LIMIT", 1000)
    dense, _ = eigenpairs(M, 4, which)
    scale = np.abs(values).max()
    magnitude = np.abs if which == "largest in magnitude" else np.asarray
    np.testing.assert_allclose(magnitude(found.numpy()), magnitude(dense.numpy()), atol=1e-9 * scale)
    np.testing.assert_allclose(X.T @ X, np.eye(4), atol=1e-10)
    np.testing.assert_allclose(M @ X, X * found, atol=1e-8 * scale)
    if np.ptp(np.abs(values)) and np.count_nonzero(values) > 3:  # else there is nothing to search for
        assert failures and torch.equal(found, dense)


@pytest.mark.parametrize("which", ["largest", "largest in magnitude"])
@pytest.mark.parametrize(("n", "k", "iterative"), [(450, 9, True), (450, 10, False), (400, 4, False), (3, 3, False)])
def test_few_pairs_of_large_matrices_are_searched_for(n, k, iterative, which, monkeypatch):
    calls, eigsh = [], eigen.eigsh
    monkeypatch.setattr(eigen, "eigsh", lambda *given, **options: calls.append(1) or eigsh(*given, **options))
    M = symmetric(np.random.default_rng(5).normal(size=n))
    found, X = eigenpairs(M, k, which)
    assert bool(calls) == iterative and found.shape == (k,) and X.shape == (n, k)
    right = np.linalg.eigvalsh(M)
    right = right[np.argsort(-(np.abs(right) if which == "largest in magnitude" else right))][:k]
    np.testing.assert_allclose(found, right, atol=1e-9)


def graphs():
    rng = np.random.default_rng(3)
    sparse = rng.uniform(size=(200, 200)) < 0.006
    line = np.diag(np.ones(149), 1)
    yield "sparse", (sparse | sparse.T).astype(float)
    yield "line", line + line.T
    yield "pairs", np.kron(np.eye(40), 1 - np.eye(2))
    yield "star", np.pad(np.ones((1, 99)), ((0, 99), (1, 0))) + np.pad(np.ones((99, 1)), ((1, 0), (0, 99)))
    yield "full", np.ones((90, 90)) - np.eye(90)
    yield "empty", np.zeros((7, 7))


@pytest.mark.parametrize("A", [pytest.param(A, id=name) for name, A in graphs()])
def test_connected_parts_are_scipys(A):
    shuffle = np.random.default_rng(4).permutation(len(A))
    A = A[np.ix_(shuffle, shuffle)]
    parts = connected_parts(torch.from_numpy(A), len(A))
    _, number = connected_components(A)
    expected = {tuple(np.flatnonzero(number == k)) for k in range(number.max() + 1)}
    assert {tuple(part.tolist()) for part in parts} == expected and len(parts) == len(expected)
    few = connected_parts(torch.from_numpy(A), 2)
    assert sum(len(part) == 1 for part in few) == min(2, sum(len(part) == 1 for part in expected))


def test_a_long_line_gets_its_eigenvectors():
    n = 500  # gaps of 1e-5 between eigenvalues: an iterative solver alone would take very long
    line = np.diag(np.ones(n - 1), 1)
    scale = 1 / np.sqrt((line + line.T).sum(0))
    A = torch.from_numpy(scale[:, None] * (line + line.T) * scale)
    values, X = smallest_eigenpairs(A, 5)
    np.testing.assert_allclose(values, 1 - torch.linalg.eigvalsh(A).flip(0)[:5], atol=1e-8)
    np.testing.assert_allclose(A @ X, X * (1 - values), atol=1e-8)


def test_parts_of_a_graph_are_solved_one_by_one():
    """One eigenvalue 0 for each part, the large ones first; isolated points have the eigenvalue 1."""
    sizes = [1, 3, 6, 4, 1]
    blocks = [np.ones((n, n)) - np.eye(n) for n in sizes]
    A = torch.zeros(15, 15, dtype=torch.float64)
    start = 0
    for block in blocks:
        rows = slice(start, start + len(block))
        A[rows, rows] = torch.from_numpy(block / max(len(block) - 1, 1))
        start += len(block)
    values, X = smallest_eigenpairs(A, 5)
    np.testing.assert_allclose(values, [0, 0, 0, 1, 1], atol=1e-12)
    supports = [np.flatnonzero(X[:, k].abs() > 1e-9).tolist() for k in range(3)]
    assert supports == [[*range(4, 10)], [*range(10, 14)], [*range(1, 4)]]
    assert X[0, 3] == X[14, 4] == 1
    np.testing.assert_allclose(X.T @ X, np.eye(5), atol=1e-12)


@pytest.mark.parametrize("between", [1e-2, 1e-8, 1e-12, 1e-15, 1e-18])
def test_no_part_is_missed_of_a_graph_that_hangs_together_by_a_hair(between):
    """Its eigenvalues near 0 are copies of one number to an iterative solver, which finds some of them and goes on."""
    rng = np.random.default_rng(6)
    y = np.arange(1000) % 19
    W = np.where(y[:, None] == y, 1, between) * rng.uniform(size=(1000, 1000))
    W = np.triu(W, 1) + np.triu(W, 1).T
    scale = 1 / np.sqrt(W.sum(1))
    A = torch.from_numpy(scale[:, None] * W * scale)
    values, X = smallest_eigenpairs(A, 20)
    np.testing.assert_allclose(values, 1 - torch.linalg.eigvalsh(A).flip(0)[:20], atol=1e-9)
    np.testing.assert_allclose(A @ X, X * (1 - values), atol=1e-8)
    assert (values[:19] < 0.5).all() and values[19] > 0.5


def test_affinities_of_averages_have_their_pairs():
    """k-means as coefficients: many copies of few eigenvalues, on which SciPy's solvers of a part have given up."""
    for seed in range(5):
        labels = np.random.default_rng(seed).integers(0, 10, 200)
        A = (labels[:, None] == labels) / np.bincount(labels)[labels]
        values, X = eigenpairs(torch.from_numpy(A), 61, "largest")
        np.testing.assert_allclose(values, np.sort(np.linalg.eigvalsh(A))[::-1][:61], atol=1e-10)
        np.testing.assert_allclose(X.T @ X, np.eye(61), atol=1e-10)
