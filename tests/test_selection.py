"""Choices without labels: the consistency against a slow loop, the rule against lists of candidates."""

import numpy as np
import pytest
from bad_input import by_name, one_clear_error

import dmsc
from dmsc.selection import (
    Candidate,
    check_epochs,
    corrected_consistency,
    is_degenerate,
    select,
    subspace_consistency,
)
from dmsc.self_expression import unit_rows


def slow_consistency(X, labels, ridge):
    """Sample by sample and cluster by cluster, the penalized least squares written out: the share, and kappa."""
    best = []  # of every sample: cluster -> 1, or its part of a tie
    for i, x in enumerate(X):
        errors = {}
        for cluster in set(labels):
            others = X[[j for j in range(len(X)) if labels[j] == cluster and j != i]]  # (n_k, D)
            c = np.linalg.solve(others @ others.T + ridge * np.eye(len(others)), others @ x)
            errors[cluster] = ((x - c @ others) ** 2).sum() + ridge * (c**2).sum()
        winners = [cluster for cluster, error in errors.items() if error <= min(errors.values()) + 1e-9]
        best.append(dict.fromkeys(winners, 1 / len(winners)))
    agreement = np.array([[winners.get(label, 0) for label in labels] for winners in best])  # any label for any sample
    observed, chance = np.trace(agreement) / len(X), agreement.mean()
    share = np.mean([label in winners for winners, label in zip(best, labels, strict=True)])
    return share, (observed - chance) / (1 - chance) if chance < 1 else 0.0


def subspaces(n_samples, n_clusters, noise=0.0):
    shape = {"n_samples": n_samples, "n_clusters": n_clusters, "subspace_dim": 2, "ambient_dim": 20}
    data = dmsc.load_dataset("synthetic", **shape, noise=noise, seed=1)
    return np.hstack(unit_rows(data.Xs)), data.y


@pytest.mark.parametrize("ridge", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("sizes", [(24,), (12, 12), (5, 5, 5, 5, 4), (20, 3, 1)])
def test_consistency_equals_the_slow_loop(ridge, sizes):
    rng = np.random.default_rng(len(sizes))
    X = rng.normal(size=(24, 7))
    X[3] = 0  # nobody expresses it, or everybody
    labels = rng.permutation(np.repeat(np.arange(len(sizes)), sizes)) * 3 + 2  # any numbers will do
    found = subspace_consistency(X, labels, ridge), corrected_consistency(X, labels, ridge)
    assert found == pytest.approx(slow_consistency(X, labels, ridge))
    assert -1 <= found[1] < 1


def test_consistency_of_subspaces_equals_the_slow_loop():
    X, y = subspaces(60, 3, noise=0.3)
    labels = np.where(np.arange(60) % 5, y, (y + 1) % 3)
    found = corrected_consistency(X, labels, 0.1)
    assert found == pytest.approx(slow_consistency(X, labels, 0.1)[1]) and 0.1 < found < 0.9


def test_the_names_of_clusters_and_the_order_of_samples_play_no_role():
    rng = np.random.default_rng(0)
    X, labels, order = rng.normal(size=(20, 4)), rng.integers(0, 3, 20), rng.permutation(20)
    expected = corrected_consistency(X, labels, 0.1)
    assert corrected_consistency(X, 7 - 2 * labels, 0.1) == expected
    assert corrected_consistency(X[order], labels[order], 0.1) == expected


def test_true_labels_of_independent_subspaces_are_consistent_and_wrong_ones_are_not():
    X, y = subspaces(60, 3)
    assert corrected_consistency(X, y, 0.01) == 1.0
    rng = np.random.default_rng(0)
    values = [1.0]
    for swapped in (2, 10, 60):  # more and more labels are somebody else's
        rows = rng.choice(60, swapped, replace=False)
        labels = y.copy()
        labels[rows] = np.roll(labels[rows], 1)
        values.append(corrected_consistency(X, labels, 0.01))
    assert values == sorted(values, reverse=True) and values[-1] < 0.3


@pytest.mark.parametrize("sizes", [(60,) * 5, (150, 100, 30, 10, 10), (260, 10, 10, 10, 10), (296, 1, 1, 1, 1)])
def test_random_clusters_of_any_sizes_score_about_nothing(sizes):
    X, y = subspaces(300, 5, noise=0.1)
    rng = np.random.default_rng(0)
    values = [corrected_consistency(X, rng.permutation(np.repeat(np.arange(5), sizes)), 0.1) for _ in range(10)]
    assert -0.05 < np.mean(values) < 0.02 and np.abs(values).max() < 0.12
    assert corrected_consistency(X, y, 0.1) > 0.9


def test_a_giant_with_crumbs_of_likes_scores_about_nothing():
    """As sparse methods leave behind: a few samples beside their nearest ones, and all others together."""
    X, _ = subspaces(300, 5, noise=0.3)
    labels = np.zeros(300, dtype=int)
    for k, sample in enumerate((7, 80, 150, 230), 1):
        labels[np.argsort(-X @ X[sample])[:2]] = k
    assert abs(corrected_consistency(X, labels, 0.1)) < 0.05 and is_degenerate(labels, 5)
    assert corrected_consistency(X, np.zeros(300), 0.1) == 0.0


def test_a_sample_alone_in_its_cluster_agrees_only_if_no_other_cluster_helps():
    X = np.array([[1.0, 0], [1, 0], [0, 1], [0, 1], [0.6, 0.8]])
    assert corrected_consistency(X, [0, 0, 1, 1, 2], 0.5) == pytest.approx((0.8 - 0.4) / 0.6)
    assert corrected_consistency(X, [0, 0, 1, 1, 1], 0.5) == 1.0


@pytest.mark.parametrize("ridge", [0.01, 0.1, 1.0, 3.0])
def test_a_tie_speaks_for_nobody(ridge):
    """Orthogonal samples, each a cluster of its own, or without any feature: no cluster is better than another."""
    assert corrected_consistency(np.eye(6) / np.sqrt(3), np.arange(6), ridge) == pytest.approx(0, abs=1e-12)
    assert corrected_consistency(np.zeros((6, 3)), np.arange(6) % 2, ridge) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("sizes", "n_clusters", "expected"),
    [
        ((10, 10, 10), 3, False),
        ((25,), 1, False),
        ((15, 15), 3, True),  # one is missing
        ((15, 15), 2, False),
        ((87, 13), 2, False),
        ((91, 9), 2, True),
        ((700, *[33] * 9), 10, False),
        ((800, *[22] * 9), 10, True),
        ((1770, *[3] * 9), 10, True),  # SSC on the digits, read with the papers' settings
        ((956, 777, 43, 6, 3, 3, 3, 2, 2, 2), 10, True),  # SSC-OMP: two giants
        ((372, 225, 190, 179, 178, 178, 175, 169, 103, 28), 10, False),
    ],
)
def test_degenerate_partitions(sizes, n_clusters, expected):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    assert is_degenerate(labels * 5 - 3, n_clusters) is expected
    effective = np.prod([(sum(sizes) / n) ** (n / sum(sizes)) for n in sizes])  # exp of the entropy
    assert expected == (len(sizes) < n_clusters or effective < n_clusters**0.5)


def candidate(epoch, reading, consistency, degenerate=False):
    return Candidate(epoch, reading, np.array([epoch]), consistency, degenerate)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"plain": [0.5, 0.6, 0.7], "paper": [0.1, 0.2, 0.9]}, ("plain", 3)),  # the mean decides, not the best
        ({"plain": [0.2, 0.3, 0.4], "paper": [0.6, 0.9, 0.7]}, ("paper", 2)),
        ({"plain": [0.5, 0.8, 0.8], "paper": [0.1, 0.1, 0.1]}, ("plain", 3)),  # the later of equals
        ({"plain": [0.8, 0.5, 0.8], "paper": [0.1, 0.1, 0.1]}, ("plain", 3)),
        ({"plain": [0.8, 0.5, 0.6], "paper": [0.1, 0.1, 0.1]}, ("plain", 1)),
        ({"plain": [0.25, 0.75], "paper": [0.5, 0.5]}, ("plain", 2)),  # equal means: the first, plain
        ({"paper": [0.4]}, ("paper", 1)),
    ],
)
def test_the_rule(values, expected):
    candidates = [
        candidate(epoch, reading, value) for reading, series in values.items() for epoch, value in enumerate(series, 1)
    ]
    by_epoch = sorted(candidates, key=lambda c: c.epoch)  # as runs list them: both readings of an epoch together
    for listed in (candidates, by_epoch):
        chosen = select(listed)
        assert (chosen.reading, chosen.epoch) == expected
        assert any(chosen is c for c in candidates)


def test_degenerate_candidates_are_refused():
    giant = candidate(3, "paper", 0.99, degenerate=True)
    worse = candidate(1, "plain", -0.2)
    assert select([worse, giant]) is worse  # even then
    fine = candidate(2, "paper", 0.4)
    assert select([worse, fine, giant]) is fine
    assert select([fine, giant, candidate(1, "plain", 0.3)]).reading == "plain"  # a refused epoch counts as 0
    assert select([fine, giant, candidate(1, "plain", 0.1)]) is fine


def test_if_all_are_degenerate_the_rule_chooses_and_warns():
    labels = np.repeat(np.arange(12), [80, *range(2, 13)])
    listed = [Candidate(1, "plain", labels, 0.1, True), Candidate(2, "plain", labels[:82], 0.2, True)]
    with pytest.warns(UserWarning, match="degenerate.* 80, 2 samples.*parameters.*number of clusters") as caught:
        assert select(listed) is listed[1]
    assert len(caught) == 1 and caught[0].filename == __file__
    with pytest.warns(UserWarning, match=r"80, 12, 11, 10, 9, 8, 7, 6, 5, 4, \.\.\. samples"):
        assert select(listed[:1]) is listed[0]


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [
        (0, [0]),
        (1, [1]),
        (2, [1, 2]),
        (9, [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (10, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        (25, [3, 5, 8, 10, 13, 15, 18, 20, 23, 25]),
        (40, [4, 8, 12, 16, 20, 24, 28, 32, 36, 40]),
        (1001, [101, 201, 301, 401, 501, 601, 701, 801, 901, 1001]),
    ],
)
def test_checked_epochs(epochs, expected):
    assert check_epochs(epochs) == expected
    assert check_epochs(epochs, 1) == [epochs]


ROWS = np.ones((6, 3))
CASES = [
    ("select: nothing", lambda: select([]), ValueError, "candidate"),
    ("select: not judged", lambda: select([candidate(1, "plain", None)]), ValueError, "None"),
    ("degenerate: K", lambda: is_degenerate(np.ones(3), 0), ValueError, ("n_clusters", "got 0")),
    ("degenerate: no integer", lambda: is_degenerate(np.ones(3), 2.5), TypeError, ("n_clusters", "2.5")),
    ("consistency: nothing", lambda: corrected_consistency(ROWS[:0], np.ones(0), 1.0), ValueError, "(0, 3)"),
    ("consistency: nan", lambda: corrected_consistency(ROWS * np.nan, np.ones(6), 1.0), ValueError, "finite"),
    ("consistency: shapes", lambda: corrected_consistency(ROWS, np.ones(5), 1.0), ValueError, ("(6, 3)", "(5,)")),
    ("consistency: images", lambda: corrected_consistency(ROWS[None], np.ones(1), 1.0), ValueError, "(1, 6, 3)"),
    ("consistency: ridge", lambda: corrected_consistency(ROWS, np.ones(6), 0), ValueError, ("ridge", "got 0")),
    ("checks: none", lambda: check_epochs(10, 0), ValueError, ("n_checks", "got 0")),
    ("checks: epochs", lambda: check_epochs(-1), ValueError, ("epochs", "-1")),
]


@by_name(CASES)
def test_bad_input(call, error, words):
    one_clear_error(call, error, words)
