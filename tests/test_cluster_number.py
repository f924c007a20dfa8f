"""Scores of numbers of clusters against slow definitions; what they find where the answer is plain."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from bad_input import by_name, one_clear_error
from sklearn.metrics import silhouette_score

from dmsc import cluster_number, load_dataset
from dmsc.cluster_number import (
    CRITERIA,
    cluster_number_scores,
    estimate_n_clusters,
    scores_text,
    strongest,
)
from dmsc.metrics import eigengap
from dmsc.spectral import spectral_clustering, spectral_embedding


@pytest.fixture(scope="module")
def blurred():
    """Four groups of 12, 9, 12 and 15, that also know each other a little."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(4), [12, 9, 12, 15])
    W = rng.random((48, 48)) * np.where(y[:, None] == y, 1, 0.15)
    return W + W.T, y


def test_strongest_keeps_the_largest_of_each_row():
    C = np.array([[9.0, -3, 1, 0], [2, 9, 0, -1], [0, 0, 9, 0], [1, 2, 3, 9]])
    assert strongest(C, 2).tolist() == [[0, 3, 1, 0], [2, 0, 0, 1], [0, 0, 0, 0], [0, 2, 3, 0]]
    assert strongest(C, 1).tolist() == [[0, 3, 0, 0], [2, 0, 0, 0], [0, 0, 0, 0], [0, 0, 3, 0]]
    assert np.array_equal(strongest(C), np.abs(C) - 9 * np.eye(4)) and C[0, 1] == -3


def test_scores_are_as_defined(blurred):
    W, _ = blurred
    scores = cluster_number_scores(W + np.diag(np.arange(48)), [5, 2, 4], seed=3)
    assert [found["n_clusters"] for found in scores] == [2, 4, 5]
    W = W - np.diag(W.diagonal())
    for found in scores:
        K = found["n_clusters"]
        labels = spectral_clustering(W, K, seed=3)
        assert found["eigengap"] == pytest.approx(eigengap(W, K))
        assert found["silhouette"] == pytest.approx(silhouette_score(spectral_embedding(W, K)[1], labels))
        degree, total = W.sum(axis=1), W.sum()
        together = labels[:, None] == labels
        expected = ((W - np.outer(degree, degree) / total) * together).sum() / total  # Newman's definition
        assert found["modularity"] == pytest.approx(expected)
    assert list(cluster_number_scores(W, [3], ["modularity"])[0]) == ["n_clusters", "modularity"]


@pytest.mark.parametrize("method", CRITERIA)
def test_plain_groups_are_counted(blurred, method):
    W, _ = blurred
    assert estimate_n_clusters(W, 10, method) == 4
    blocks = np.kron(np.eye(3), np.ones((6, 6)))
    assert estimate_n_clusters(blocks, method=method) == 3
    assert estimate_n_clusters(blocks, max_clusters=2, method=method) == 2
    assert estimate_n_clusters(np.zeros((5, 5)), method=method) == 2  # nothing tells


def test_text_of_the_closed_form():
    data = load_dataset("synthetic", n_samples=60, n_clusters=3, subspace_dim=2, noise=0.01)
    text = scores_text(data.Xs, data.masks, 6)
    assert text.splitlines()[-1].startswith("highest: eigengap 3, modularity 3, silhouette 3;")
    assert [line.split()[0] for line in text.splitlines()[2:-1]] == ["2", "3", "4", "5", "6"]


W = np.ones((4, 4))
CASES = [
    ("shape", lambda: cluster_number_scores(np.ones((3, 4)), [2]), ValueError, ("W ", "(3, 4)")),
    ("too many", lambda: cluster_number_scores(W, [2, 4]), ValueError, ("candidates", "from 2 to 3", "got 4")),
    ("one", lambda: cluster_number_scores(W, [1]), ValueError, ("candidates", "got 1")),
    ("none", lambda: cluster_number_scores(W, []), ValueError, "at least one K"),
    ("criterion", lambda: cluster_number_scores(W, [2], ["gap"]), ValueError, ("criteria", "'gap'", "'modularity'")),
    ("method", lambda: estimate_n_clusters(W, method="gap"), ValueError, ("method", "'gap'", "'modularity'")),
    ("neighbors", lambda: strongest(W, 0), ValueError, ("n_neighbors", "got 0")),
    ("one sample", lambda: scores_text([np.ones((1, 4))]), ValueError, ("three samples", "got 1")),
    ("two samples for a table", lambda: scores_text([np.eye(2)]), ValueError, ("three samples", "got 2")),
    ("two samples", lambda: estimate_n_clusters(np.ones((2, 2))), ValueError, ("three samples", "got 2")),
]


@by_name(CASES)
def test_bad_input(call, error, words):
    one_clear_error(call, error, words)


def test_examples():
    result = doctest.testmod(cluster_number)
    assert result.attempted and not result.failed
