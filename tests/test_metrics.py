"""Scores against brute force and sums by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from bad_input import one_clear_error
from sklearn.metrics import normalized_mutual_info_score

from dmsc.metrics import (
    ari,
    clustering_accuracy,
    contingency,
    eigengap,
    nmi,
    purity,
    score,
    self_expression_residual,
)


def slow_accuracy(y_true, y_pred):
    """Best share of hits over every one-to-one renaming of the clusters."""
    n_labels = max(y_true.max(), y_pred.max()) + 1
    renamings = itertools.permutations(range(n_labels))
    return max(np.mean(np.array(names)[y_pred] == y_true) for names in renamings)


@pytest.mark.parametrize("n_classes, n_found", [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (5, 3), (2, 5), (1, 4), (4, 1)])
def test_accuracy_against_all_permutations(n_classes, n_found):
    rng = np.random.default_rng(n_classes * 10 + n_found)
    for _ in range(10):
        y_true, y_pred = rng.integers(n_classes, size=30), rng.integers(n_found, size=30)
        assert clustering_accuracy(y_true, y_pred) == pytest.approx(slow_accuracy(y_true, y_pred), abs=1e-12)


def test_scores_by_hand():
    y_true = np.array([0, 0, 0, 1, 1, 2])
    y_pred = np.array([7, 7, 5, 5, 5, 5])
    np.testing.assert_array_equal(contingency(y_true, y_pred), [[1, 2], [2, 0], [1, 0]])
    assert clustering_accuracy(y_true, y_pred) == pytest.approx(4 / 6)
    assert purity(y_true, y_pred) == pytest.approx(4 / 6)
    # pairs: together in both 2, in y_true 4, in y_pred 7, of 15 in all
    assert ari(y_true, y_pred) == pytest.approx((2 - 4 * 7 / 15) / ((4 + 7) / 2 - 4 * 7 / 15))


def test_nmi_against_entropies():
    rng = np.random.default_rng(0)
    y_true = rng.integers(4, size=200)
    y_pred = np.where(rng.uniform(size=200) < 0.6, y_true, rng.integers(3, size=200))
    p = contingency(y_true, y_pred) / 200
    rows, columns = p.sum(axis=1), p.sum(axis=0)
    information = np.sum(p[p > 0] * np.log((p / np.outer(rows, columns))[p > 0]))
    entropies = -np.sum(rows * np.log(rows)), -np.sum(columns * np.log(columns))
    assert nmi(y_true, y_pred) == pytest.approx(2 * information / sum(entropies))
    assert nmi(y_true, y_pred) != pytest.approx(
        normalized_mutual_info_score(y_true, y_pred, average_method="geometric"), abs=1e-9
    )


def test_renamed_labels_are_perfect_and_a_constant_is_not():
    y = np.repeat([0, 1, 2], [5, 4, 3])
    perfect = score(y, np.array([30, 10, 20])[y])
    assert perfect == pytest.approx({"acc": 1, "nmi": 1, "ari": 1, "purity": 1})
    assert all(type(value) is float for value in perfect.values())
    assert score(y, np.zeros(12)) == pytest.approx({"acc": 5 / 12, "nmi": 0, "ari": 0, "purity": 5 / 12})
    assert clustering_accuracy(list("aabb"), [1, 1, 0, 0]) == 1


def test_self_expression_residual_against_loops():
    rng = np.random.default_rng(1)
    Zs = [rng.normal(size=(6, 2, 3, 3)), rng.normal(size=(6, 4)).astype(np.float32)]
    C, weights = rng.normal(size=(6, 6)), [0.3, 2.0]
    left, total = 0.0, 0.0
    for v, Z in zip(weights, Zs, strict=True):
        for i in range(6):
            expressed = sum(C[i, j] * Z[j].astype(np.float64) for j in range(6))
            left += v * np.sum((Z[i] - expressed) ** 2)
            total += v * np.sum(Z[i].astype(np.float64) ** 2)
    assert self_expression_residual(Zs, C, weights) == pytest.approx(left / total, rel=1e-12)


def test_self_expression_residual_by_anchors_is_that_of_a_matrix_with_columns_of_zeros():
    rng = np.random.default_rng(1)
    Zs, C, anchors = [rng.normal(size=(6, 3)), rng.normal(size=(6, 1, 2, 2))], rng.normal(size=(6, 2)), np.array([1, 4])
    wide = np.zeros((6, 6))
    wide[:, anchors] = C
    assert self_expression_residual(Zs, C, anchors=anchors) == pytest.approx(self_expression_residual(Zs, wide))


def test_self_expression_residual_at_its_ends():
    Z = np.random.default_rng(2).normal(size=(5, 3))
    assert self_expression_residual([Z], np.eye(5)) == 0
    assert self_expression_residual([Z], np.zeros((5, 5))) == 1
    assert np.isnan(self_expression_residual([0 * Z], np.eye(5)))


def test_eigengap_is_between_the_right_two():
    W = np.kron(np.eye(3), np.ones((4, 4)) - np.eye(4))  # three parts: eigenvalues 0, 0, 0 and 4/3 nine times
    assert eigengap(W, 3) == pytest.approx(4 / 3)
    for n_clusters in (1, 2, 4, 11):
        assert eigengap(W, n_clusters) == pytest.approx(0, abs=1e-12)


C = np.eye(4)
Z = np.ones((4, 2))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: self_expression_residual(Z, C), TypeError, "[Z]"),
        (lambda: self_expression_residual([], C), ValueError, ("Zs", "empty")),
        (lambda: self_expression_residual([Z[:3]], C), ValueError, ("Zs[0]", "4 rows", "(3, 2)")),
        (lambda: self_expression_residual([Z, Z * np.nan], C), ValueError, ("Zs[1]", "NaN")),
        (lambda: self_expression_residual([Z], C[:3]), ValueError, ("C must", "(3, 4)")),
        (lambda: self_expression_residual([Z], C, [-1]), ValueError, ("weights", "-1")),
        (lambda: self_expression_residual([Z], C, [0]), ValueError, ("weights", "0")),
        (lambda: self_expression_residual([Z], C, [1, 2]), ValueError, ("weights", "1 views")),
        (lambda: eigengap(C, 4), ValueError, ("n_clusters", "3, got 4")),
        (lambda: eigengap(C, 0), ValueError, ("n_clusters", "3, got 0")),
        (lambda: eigengap(C[:3], 2), ValueError, ("W must", "(3, 4)")),
    ],
)
def test_residual_and_eigengap_name_what_is_wrong(call, error, words):
    one_clear_error(call, error, words)


@pytest.mark.parametrize("function", [contingency, clustering_accuracy, nmi, ari, purity, score])
@pytest.mark.parametrize(
    ("y_true", "y_pred", "error", "words"),
    [
        ([0, 1, 1], [0, 1], ValueError, ("y_true and y_pred", "3 and 2")),
        (None, [0, 1], TypeError, "y_true is None"),
        ([0, 1], None, TypeError, "y_pred is None"),
        ([0.5, 1], [0, 1], ValueError, ("y_true", "whole")),
        ([0, 1], [0, np.nan], ValueError, ("y_pred", "whole")),
        ([], [], ValueError, ("y_true", "(0,)")),
        (np.eye(3), [0, 1, 2], ValueError, ("y_true", "(3, 3)")),
    ],
)
def test_every_score_checks_its_labels(function, y_true, y_pred, error, words):
    one_clear_error(lambda: function(y_true, y_pred), error, words)
