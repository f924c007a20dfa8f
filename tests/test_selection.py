"""Choices without labels: the consistency against a slow loop, the rule against lists of candidates."""

import numpy as np
import pytest
from bad_input import by_name, one_clear_error

import dmsc
from dmsc.metrics import score
from dmsc.selection import (
    Candidate,
    check_epochs,
    corrected_consistency,
    is_degenerate,
    load_candidates,
    save_candidates,
    select,
    subspace_consistency,
)
from dmsc.self_expression import unit_rows


def slow_consistency(X, labels, ridge):
    """Sample by sample and cluster by cluster, the penalized least squares written out."""
    agreeing = 0
    for i, x in enumerate(X):
        errors = {}
        for cluster in set(labels):
            others = X[[j for j in range(len(X)) if labels[j] == cluster and j != i]]  # (n_k, D)
            c = np.linalg.solve(others @ others.T + ridge * np.eye(len(others)), others @ x)
            errors[cluster] = ((x - c @ others) ** 2).sum() + ridge * (c**2).sum()
        agreeing += errors[labels[i]] == min(errors.values())
    return agreeing / len(X)


@pytest.mark.parametrize("ridge", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("n_clusters", [1, 2, 5])
def test_consistency_equals_the_slow_loop(ridge, n_clusters):
    rng = np.random.default_rng(n_clusters)
    X = rng.normal(size=(24, 7))
    labels = np.arange(24) % n_clusters * 3 + 2  # any numbers will do
    found = subspace_consistency(X, labels, ridge)
    assert found == pytest.approx(slow_consistency(X, labels, ridge))
    assert (found == 1.0) == (n_clusters == 1)


def test_the_names_of_clusters_and_the_order_of_samples_play_no_role():
    rng = np.random.default_rng(0)
    X, labels, order = rng.normal(size=(20, 4)), rng.integers(0, 3, 20), rng.permutation(20)
    expected = subspace_consistency(X, labels, 0.1)
    assert subspace_consistency(X, 7 - 2 * labels, 0.1) == expected
    assert subspace_consistency(X[order], labels[order], 0.1) == expected


def test_true_labels_of_independent_subspaces_are_consistent_and_wrong_ones_are_not():
    data = dmsc.load_dataset("synthetic", n_samples=60, n_clusters=3, subspace_dim=2, ambient_dim=20, noise=0.0, seed=1)
    X = np.hstack(unit_rows(data.Xs))
    assert subspace_consistency(X, data.y, 0.01) == 1.0
    rng = np.random.default_rng(0)
    values = [1.0]
    for swapped in (2, 10, 60):  # more and more labels are somebody else's
        rows = rng.choice(60, swapped, replace=False)
        labels = data.y.copy()
        labels[rows] = np.roll(labels[rows], 1)
        values.append(subspace_consistency(X, labels, 0.01))
    assert values == sorted(values, reverse=True) and values[-1] < 0.6


def test_a_sample_alone_in_its_cluster_agrees_only_if_no_other_cluster_helps():
    X = np.array([[1.0, 0], [1, 0], [0, 1], [0, 1], [0.6, 0.8]])
    assert subspace_consistency(X, [0, 0, 1, 1, 2], 0.5) == 0.8
    assert subspace_consistency(X, [0, 0, 1, 1, 1], 0.5) == 1.0


def union(n_samples=60, **options):
    data = dmsc.load_dataset(
        "synthetic", n_samples=n_samples, n_clusters=3, subspace_dim=2, ambient_dim=20, noise=0.0, seed=1, **options
    )
    return np.hstack(unit_rows(data.Xs)), data.y


def test_the_correction_is_cohens_form_of_the_slow_loop():
    X, labels = np.random.default_rng(0).normal(size=(24, 7)), np.arange(24) % 3
    shuffled = np.random.default_rng(5).permutation(labels)
    share, chance = slow_consistency(X, labels, 0.1), slow_consistency(X, shuffled, 0.1)
    expected = (share - chance) / (1 - chance)
    assert corrected_consistency(X, labels, 0.1, seed=5) == pytest.approx(expected)


def test_random_labels_of_any_sizes_score_nothing_and_true_ones_all():
    X, y = union(300)
    rng = np.random.default_rng(0)
    assert corrected_consistency(X, y, 0.01) == 1.0
    for sizes in ((100, 100, 100), (280, 10, 10), (200, 90, 10)):
        labels = rng.permutation(np.repeat(np.arange(3), sizes))
        values = [corrected_consistency(X, labels, 0.01, seed) for seed in range(5)]
        assert abs(np.mean(values)) < 0.2
    assert subspace_consistency(X, labels, 0.01) > 0.5  # what the share alone would say
    assert corrected_consistency(X, np.zeros(300), 0.01) == 0.0


@pytest.mark.parametrize(
    ("sizes", "n_clusters", "expected"),
    [
        ((10, 10, 10), 3, False),
        ((20, 6, 4), 3, False),
        ((28, 1, 1), 3, True),  # crumbs
        ((15, 15), 3, True),  # one is missing
        ((29, 1), 2, False),  # of two clusters any is worth at least one
        ((1770, *[3] * 9), 10, True),
        ((30,), 1, False),
    ],
)
def test_a_partition_has_collapsed_if_its_sizes_are_worth_less_than_half_of_k(sizes, n_clusters, expected):
    assert is_degenerate(np.repeat(np.arange(len(sizes)), sizes), n_clusters) is expected


def test_collapsed_candidates_are_chosen_only_where_there_are_no_others():
    collapsed = [Candidate(e, "paper", np.array([0] * 9 + [1]), 0.9, degenerate=True) for e in (1, 2)]
    good = [candidate(1, "plain", 0.5), candidate(2, "plain", 0.4)]
    assert select([*collapsed, *good]) is good[0]
    with pytest.warns(UserWarning, match="every candidate has collapsed .*9 of 10"):
        assert select(collapsed) is collapsed[1]


def test_the_choice_on_sparse_codes_of_digits_is_no_giant_cluster():
    """The paper's reading of SSC's C puts nearly all digits into one cluster, which its share alone rewards."""
    data = dmsc.load_dataset("digits", n_per_class=60)
    fit = dmsc.SSC(10, reading="selected", random_state=0).fit(data.Xs[0])
    assert not is_degenerate(fit.labels_, 10)
    assert score(data.y, fit.labels_)["acc"] > 0.6


def candidate(epoch, reading, consistency):
    return Candidate(epoch, reading, np.array([epoch]), consistency)


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


def test_candidates_come_back(tmp_path):
    path = tmp_path / "new" / "selection.npz"
    assert load_candidates(path) == []
    rng = np.random.default_rng(0)
    written = [
        Candidate(epoch, reading, rng.integers(0, 3, 8), rng.random(), degenerate=epoch == 6)
        for epoch in (3, 6)
        for reading in ("plain", "paper")
    ]
    save_candidates(path, written[:2])
    save_candidates(path, written)
    found = load_candidates(path)
    assert len(found) == 4
    for a, b in zip(found, written, strict=True):
        assert (a.epoch, a.reading, a.consistency) == (b.epoch, b.reading, b.consistency)  # every bit of the number
        assert a.degenerate is b.degenerate
        assert a.labels.dtype == b.labels.dtype and np.array_equal(a.labels, b.labels)
        assert type(a.epoch) is int and type(a.reading) is str and type(a.consistency) is float
    assert [file.name for file in path.parent.iterdir()] == ["selection.npz"]


def test_candidates_that_cannot_be_written_keep_the_old_ones(tmp_path, monkeypatch):
    path = tmp_path / "selection.npz"
    save_candidates(path, [candidate(1, "plain", 0.5)])

    def broken(file, **arrays):
        with open(file, "wb") as half:
            half.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez", broken)
    with pytest.raises(OSError, match="no space"):
        save_candidates(path, [candidate(2, "plain", 0.9)])
    assert [c.epoch for c in load_candidates(path)] == [1]
    assert [file.name for file in tmp_path.iterdir()] == ["selection.npz"]


@pytest.mark.parametrize("ridge", [0.01, 0.1, 1.0, 3.0])
def test_a_tie_is_no_disagreement(ridge):
    """Orthogonal samples, each a cluster of its own: no cluster expresses any of them."""
    assert subspace_consistency(np.eye(6) / np.sqrt(3), np.arange(6), ridge) == 1.0


@pytest.mark.parametrize("content", [b"", b"not an archive", None])
def test_a_damaged_file_is_one_clear_error(content, tmp_path):
    path = tmp_path / "selection.npz"
    if content is None:
        np.savez(path, something=np.ones(3))
    else:
        path.write_bytes(content)
    one_clear_error(lambda: load_candidates(path), ValueError, (str(path), "damaged"))


ROWS = np.ones((6, 3))
CASES = [
    ("select: nothing", lambda: select([]), ValueError, "candidate"),
    ("consistency: shapes", lambda: subspace_consistency(ROWS, np.ones(5), 1.0), ValueError, ("(6, 3)", "(5,)")),
    ("consistency: images", lambda: subspace_consistency(ROWS[None], np.ones(1), 1.0), ValueError, "(1, 6, 3)"),
    ("consistency: ridge", lambda: subspace_consistency(ROWS, np.ones(6), 0), ValueError, ("ridge", "got 0")),
    ("checks: none", lambda: check_epochs(10, 0), ValueError, ("n_checks", "got 0")),
    ("checks: epochs", lambda: check_epochs(-1), ValueError, ("epochs", "-1")),
]


@by_name(CASES)
def test_bad_input(call, error, words):
    one_clear_error(call, error, words)
