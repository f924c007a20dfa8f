"""Lanczos against the dense solver, and connected parts against SciPy's, on matrices that are hard for such methods."""

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


def test_lanczos_is_bounded_and_gives_way_to_the_dense_solver(monkeypatch):
    M = symmetric(np.random.default_rng(2).normal(size=450))
    monkeypatch.setattr(eigen, "TOLERANCE", -1.0)  # never good enough
    monkeypatch.setattr(eigen, "MAX_RESTARTS", 2)
    found, _ = eigenpairs(M, 4, "largest")
    np.testing.assert_allclose(found, torch.linalg.eigvalsh(M).flip(0)[:4], atol=1e-12)
    monkeypatch.setattr(eigen, "DENSE_LIMIT", 1000)
    assert torch.equal(eigenpairs(M, 4, "largest")[0], found)


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
    n = 500  # gaps of 1e-5 between eigenvalues: Lanczos alone would take very long
    line = np.diag(np.ones(n - 1), 1)
    scale = 1 / np.sqrt((line + line.T).sum(0))
    A = torch.from_numpy(scale[:, None] * (line + line.T) * scale)
    values, X = smallest_eigenpairs(A, 5)
    np.testing.assert_allclose(values, 1 - torch.linalg.eigvalsh(A).flip(0)[:5], atol=1e-8)
    np.testing.assert_allclose(A @ X, X * (1 - values), atol=1e-8)
