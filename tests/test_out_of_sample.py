"""New samples go where the penalized error is smallest: against a slow formula, and against the rule of the choice."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

from dmsc import load_dataset, out_of_sample
from dmsc.out_of_sample import NearestSubspace
from dmsc.selection import subspace_consistency
from dmsc.self_expression import choose_ridge, unit_rows


@pytest.fixture(scope="module")
def subspaces():
    return load_dataset("synthetic", n_samples=90, n_clusters=3, subspace_dim=3, ambient_dim=12, noise=0.05)


def test_errors_are_those_of_penalized_least_squares(subspaces):
    old, new = subspaces.take(range(0, 90, 2)), subspaces.take(range(1, 90, 20))
    weights = [1.0, 4.0]
    clusters = NearestSubspace(old.Xs, old.y, weights)
    assert clusters.ridge == choose_ridge(unit_rows(old.Xs))
    X, x = (np.hstack([v**0.5 * rows for v, rows in zip(weights, unit_rows(d.Xs), strict=True)]) for d in (old, new))
    for k in range(3):
        A = np.vstack([X[old.y == k].T, clusters.ridge**0.5 * np.eye(15)])  # ‖x - c X_k‖² + r ‖c‖² as one least squares
        b = np.vstack([x.T, np.zeros((15, len(x)))])
        residual = A @ np.linalg.lstsq(A, b, rcond=None)[0] - b
        np.testing.assert_allclose(clusters.errors(new.Xs)[:, k], (residual**2).sum(axis=0), rtol=1e-8)


def test_the_rule_is_that_of_the_choice(subspaces):
    """Each sample against the others: the share that comes back to its own label is the subspace consistency."""
    rng = np.random.default_rng(0)
    labels = np.where(rng.random(90) < 0.2, rng.integers(0, 3, 90), subspaces.y)
    X = subspaces.Xs[0]
    same = 0
    for i in range(90):
        rest = np.arange(90) != i
        clusters = NearestSubspace([X[rest]], labels[rest])
        clusters.ridge = 0.1
        same += clusters.predict([X[i : i + 1]])[0] == labels[i]
    assert same / 90 == subspace_consistency(unit_rows([X])[0], labels, 0.1)


def test_new_samples_find_their_subspace(subspaces):
    old, new = subspaces.take(range(0, 90, 2)), subspaces.take(range(1, 90, 2))
    clusters = NearestSubspace(old.Xs, old.y)
    assert np.array_equal(clusters.predict(new.Xs), new.y)
    assert np.array_equal(clusters.predict(old.Xs), old.y)
    assert np.array_equal(clusters.predict([-7 * X for X in new.Xs]), new.y)  # a subspace knows no length


def test_a_missing_latent_helps_nobody():
    Zs = [np.eye(4), np.array([[1.0, 0], [0, 0], [0, 1], [0, 0]])]  # samples 1 and 3 lack the second one
    clusters = NearestSubspace(Zs, np.array([0, 0, 1, 1]))
    clusters.ridge = 0.1
    x = [np.array([[0.0, 1, 0, 0]]), np.array([[0.0, 1]])]
    alone = NearestSubspace([Zs[0][[1]]], np.array([0]))
    alone.ridge = 0.1
    assert clusters.errors(x)[0, 0] == pytest.approx(alone.errors(x[:1])[0, 0] + 1)  # nothing of the second latent
    assert clusters.predict(x).tolist() == [0 if clusters.errors(x)[0, 0] < clusters.errors(x)[0, 1] else 1]


def test_examples():
    result = doctest.testmod(out_of_sample)
    assert result.attempted and not result.failed
