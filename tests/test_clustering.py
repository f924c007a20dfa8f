"""From coefficients to labels, and the raw baseline."""

import numpy as np

import dmsc
from dmsc.clustering import cluster, raw_self_expression, unit_rows
from dmsc.data.corruption import corrupt
from dmsc.methods import PostProcessing
from dmsc.self_expression import ridge_self_expression


def test_cluster_recovers_independent_subspaces():
    data = dmsc.load_dataset("synthetic", n_samples=60, n_clusters=3, subspace_dim=2, ambient_dim=20, noise=0.0, seed=1)
    C, ridge = raw_self_expression(data.Xs)
    assert ridge > 0
    for post in (None, PostProcessing(0.9, 2, 2.0), PostProcessing(0.9, 2, 2.0, assign="kmeans")):
        labels, W = cluster(C, 3, post)
        assert dmsc.metrics.clustering_accuracy(data.y, labels) == 1.0
        assert np.array_equal(W, W.T)


def test_raw_self_expression_takes_the_views_that_samples_have():
    """Missing views are no evidence: clusters are still recovered, and worse with their zeros taken at face value."""
    data = dmsc.load_dataset(
        "synthetic", n_samples=90, n_clusters=3, subspace_dim=2, ambient_dim=20, noise=0.0, n_views=3, seed=1
    )
    gappy = corrupt(data, missing=0.4)
    rows = unit_rows(gappy.Xs)
    C, ridge = raw_self_expression(gappy.Xs, gappy.masks)
    np.testing.assert_allclose(C, ridge_self_expression(rows, ridge, masks=gappy.masks))
    labels, _ = cluster(C, 3)
    assert dmsc.metrics.clustering_accuracy(data.y, labels) == 1.0
    residuals = []
    for coefficients in (C, raw_self_expression(gappy.Xs)[0]):
        errors = [((X - coefficients @ X)[mask] ** 2).sum() for X, mask in zip(rows, gappy.masks, strict=True)]
        residuals.append(sum(errors))
    assert residuals[0] < residuals[1]


def test_rows_of_zeros_stay_zero():
    (rows,) = unit_rows([np.array([[[3.0], [4.0]], [[0.0], [0.0]]])])
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0.0, 0.0]])


def test_posts_differ_by_their_settings():
    """The papers' affinity has clipped inner products of unit rows: 1 is the largest, on the diagonal."""
    rng = np.random.default_rng(0)
    C = rng.normal(size=(12, 12))
    _, plain = cluster(C, 2)
    _, paper = cluster(C, 2, PostProcessing(0.5, 2, 3.0))
    np.testing.assert_allclose(plain, np.abs(C) + np.abs(C).T)
    np.testing.assert_allclose(np.diag(paper), 1.0)
