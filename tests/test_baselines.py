"""Classical baselines against slow references, and what they promise on independent subspaces."""

import warnings

import numpy as np
import pytest
import torch
from bad_input import by_name, one_clear_error
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso

import dmsc
from dmsc import baselines
from dmsc.baselines import (
    ALGORITHMS,
    CHOICES,
    choose_parameter,
    chosen_parameters,
    graph_coefficients,
    kmeans_coefficients,
    least_squares,
    lrr,
    ssc,
    ssc_omp,
    stopped_least_squares,
)
from dmsc.metrics import ari, clustering_accuracy
from dmsc.self_expression import choose_ridge, unit_rows
from dmsc.spectral import read_labels

PARAMETERS = {"ssc": {"alpha": 50.0}, "ridge": {"ridge": 1e-3}, "ssc-omp": {"n_nonzero": 3}, "lrr": {"penalty": 10.0}}
PARAMETERS["ridge-stopped"] = {"ridge": 1e-3}


@pytest.fixture
def noisy():
    """Unit rows (40, 12) near four planes of twelve dimensions."""
    return union(noise=0.15)[0]


def union(noise=0.0, n_samples=40, n_clusters=4, seed=3):
    """Unit rows, in random order, and their classes."""
    data = dmsc.load_dataset(
        "synthetic", n_samples=n_samples, n_clusters=n_clusters, subspace_dim=2, ambient_dim=12, noise=noise, n_views=1,
        seed=seed,
    )  # fmt: skip
    data = data.take(np.random.default_rng(0).permutation(n_samples))
    return unit_rows(data.Xs)[0], data.y


def call(name, X, n_clusters=4, **parameters):
    return ALGORITHMS[name](X, n_clusters=n_clusters, seed=0, **{**PARAMETERS.get(name, {}), **parameters})


# SSC ------------------------------------------------------------------------------------------------------------------
def ssc_weight(X, alpha):
    """lambda, by a loop over pairs."""
    pairs = range(len(X))
    return alpha / min(max(abs(X[i] @ X[j]) for j in pairs if j != i) for i in pairs if X[i].any())


def ssc_objective(C, X, weight):
    return np.abs(C).sum() + weight / 2 * ((X - C @ X) ** 2).sum()


@pytest.mark.parametrize("alpha", [2.0, 20.0, 60.0])
def test_ssc_equals_one_lasso_per_row(noisy, alpha):
    """The Lasso without a Gram matrix or an active set, at a tight tolerance."""
    noisy = noisy[:24]
    weight, (N, D) = ssc_weight(noisy, alpha), noisy.shape
    expected = np.zeros((N, N))
    for i in range(N):
        others = np.arange(N) != i
        lasso = Lasso(1 / (weight * D), fit_intercept=False, tol=1e-13, max_iter=1_000_000)
        expected[i, others] = lasso.fit(noisy[others].T, noisy[i]).coef_
    C = ssc(noisy, alpha, tol=1e-12, max_iter=1_000_000)
    np.testing.assert_allclose(C, expected, atol=1e-5)
    least = ssc_objective(expected, noisy, weight)
    assert ssc_objective(C, noisy, weight) == pytest.approx(least, rel=1e-9)
    assert ssc_objective(ssc(noisy, alpha), noisy, weight) < (1 + 1e-4) * least


def test_ssc_fulfills_the_conditions_of_a_minimum(noisy, monkeypatch):
    """lambda x_j (x_i - c X) is the sign of C_ij, or between -1 and 1 where C_ij = 0; from small active sets too."""
    weight = ssc_weight(noisy, 30.0)
    for step in (2, 60):
        monkeypatch.setattr(baselines, "ACTIVE_SET_STEP", step)
        C = ssc(noisy, 30.0, tol=1e-12, max_iter=1_000_000)
        slope = weight * (noisy - C @ noisy) @ noisy.T
        np.testing.assert_allclose(slope[C != 0], np.sign(C[C != 0]), atol=1e-4)
        outside = (C == 0) & ~np.eye(len(C), dtype=bool)
        assert np.abs(slope[outside]).max() < 1 + 1e-4
        assert 1 < (C != 0).sum(axis=1).mean() < 12
        assert not C.diagonal().any()


def test_ssc_weight_is_the_smallest_that_reaches_everyone(noisy):
    assert ssc(noisy, 1.01, tol=1e-10).any(axis=1).all()
    assert not ssc(noisy, 0.99, tol=1e-10).any(axis=1).all()


def test_ssc_says_what_did_not_converge(noisy):
    with pytest.warns(ConvergenceWarning, match="rows did not reach tol=1e-12 in max_iter=2 steps") as caught:
        ssc(noisy, 60.0, tol=1e-12, max_iter=2)
    assert len(caught) == 1


# LRR ------------------------------------------------------------------------------------------------------------------
def slow_lrr(X, penalty, weight=2.0, steps=1000):
    """ADMM on the unreduced problem, C (N, N) and E (N, D), at a constant weight: it converges to the minimum."""
    N = len(X)
    C, Y, Q = np.zeros((N, N)), np.zeros_like(X), np.zeros((N, N))
    inverse = np.linalg.inv(X @ X.T + np.eye(N))
    for _ in range(steps):
        U, s, Vt = np.linalg.svd(C + Q / weight)
        J = (U * np.maximum(s - 1 / weight, 0)) @ Vt
        E = X - C @ X + Y / weight
        length = np.linalg.norm(E, axis=1, keepdims=True)
        E = E * np.maximum(1 - penalty / weight / np.maximum(length, 1e-300), 0)
        C = ((X - E + Y / weight) @ X.T + J - Q / weight) @ inverse
        Y += weight * (X - C @ X - E)
        Q += weight * (C - J)
    return J


def lrr_objective(C, X, penalty):
    return np.linalg.svd(C, compute_uv=False).sum() + penalty * np.linalg.norm(X - C @ X, axis=1).sum()


@pytest.mark.parametrize("penalty", [0.3, 0.6, 2.0])
def test_lrr_equals_the_unreduced_problem(noisy, penalty, monkeypatch):
    X = noisy[:20]
    expected = slow_lrr(X, penalty)
    least = lrr_objective(expected, X, penalty)
    assert least < 0.99 * penalty * len(X)  # of C = 0
    assert least <= lrr_objective(lrr(X, penalty), X, penalty) < 1.005 * least
    monkeypatch.setattr(baselines, "GROWTH", 1.01)  # slower, nearer to the minimum
    np.testing.assert_allclose(lrr(X, penalty, tol=1e-8, max_iter=10_000), expected, atol=1e-6)


@pytest.mark.parametrize("shape", [(30, 12), (12, 30)])
def test_lrr_without_errors_is_the_shape_interaction_matrix(shape):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(shape[0], 5)) @ rng.normal(size=(5, shape[1]))  # rank 5
    U = np.linalg.svd(X)[0][:, :5]
    np.testing.assert_allclose(lrr(X, 1e3), U @ U.T, atol=1e-4)


def test_lrr_finds_the_samples_that_are_wrong():
    X, wrong = union(n_samples=120)[0], [3, 17]
    X[wrong] = unit_rows([np.random.default_rng(1).normal(size=(2, 12))])[0]
    error = np.linalg.norm(X - lrr(X, 0.6) @ X, axis=1)
    assert error[wrong].min() > 0.5
    assert np.delete(error, wrong).max() < 1e-4


def test_lrr_does_not_depend_on_the_scale_or_a_rotation(noisy):
    C = lrr(noisy, 0.6)
    np.testing.assert_allclose(lrr(100 * noisy, 0.006), C, atol=1e-9)
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(20, 12)))[0]
    np.testing.assert_allclose(lrr(noisy @ rotation.T, 0.6), C, atol=1e-9)


def test_lrr_of_leading_directions(noisy):
    U, S, Vt = np.linalg.svd(noisy, full_matrices=False)
    np.testing.assert_allclose(lrr(noisy, 0.6, 5), lrr((U[:, :5] * S[:5]) @ Vt[:5], 0.6), atol=1e-6)
    np.testing.assert_array_equal(lrr(noisy, 0.6, 500), lrr(noisy, 0.6))


def test_lrr_says_that_it_did_not_converge(noisy):
    with pytest.warns(ConvergenceWarning, match="lrr did not reach tol=1e-06 in max_iter=3 steps"):
        lrr(noisy, max_iter=3)


# the others -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("n_nonzero", [1, 3, 39])
def test_ssc_omp_equals_the_greedy_loop(noisy, n_nonzero):
    expected = np.zeros((40, 40))
    for i, x in enumerate(noisy):
        support, c, residual = [], np.empty(0), x
        while len(support) < n_nonzero and np.linalg.norm(residual) > 1e-6:
            correlation = np.abs(noisy @ residual)
            correlation[[i, *support]] = -1
            support.append(int(correlation.argmax()))
            c = np.linalg.lstsq(noisy[support].T, x, rcond=None)[0]
            residual = x - c @ noisy[support]
        expected[i, support] = c
    np.testing.assert_allclose(ssc_omp(noisy, n_nonzero), expected, atol=1e-9)
    assert (ssc_omp(noisy, n_nonzero, tol=1.0) == 0).all()


def test_ssc_omp_stops_where_nothing_is_left_to_gain():
    """Duplicates, and a sample that no other one helps."""
    X = np.array([[1.0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 0, 1]])
    C = ssc_omp(X, 3)
    np.testing.assert_allclose(C @ X, [[1, 0, 0], [1, 0, 0], [2, 0, 0], [0, 0, 0]], atol=1e-12)
    assert ((C != 0).sum(axis=1) == [1, 1, 1, 0]).all()


def test_least_squares_is_the_closed_form(noisy):
    np.testing.assert_array_equal(least_squares(noisy, 0.3), dmsc.ridge_self_expression([noisy], 0.3).numpy())
    np.testing.assert_array_equal(least_squares(noisy), least_squares(noisy, choose_ridge([noisy])))


def test_kmeans_comes_out_as_it_went_in():
    rng = np.random.default_rng(0)
    X = np.repeat([[0.0, 0], [9, 0], [0, 9], [40, 40]], [12, 7, 5, 1], axis=0) + rng.normal(size=(25, 2))
    C = kmeans_coefficients(X, 4)
    labels = np.unique(C, axis=0, return_inverse=True)[1].ravel()
    assert ari(labels, np.repeat(range(4), [12, 7, 5, 1])) == 1
    assert ari(read_labels(C, 4).labels, labels) == 1
    np.testing.assert_allclose(C @ X, [X[labels == k].mean(axis=0) for k in labels])  # the centers
    np.testing.assert_allclose(C @ C, C)


@pytest.mark.parametrize("n_clusters", [2, 7, 20])
def test_kmeans_clusters_that_overlap_come_out_too(n_clusters):
    X = np.random.default_rng(1).normal(size=(60, 3))
    C = kmeans_coefficients(X, n_clusters, seed=2)
    labels = np.unique(C, axis=0, return_inverse=True)[1].ravel()
    assert labels.max() + 1 == n_clusters
    assert ari(read_labels(C, n_clusters).labels, labels) == 1


def test_graph_holds_the_nearest(noisy):
    C = graph_coefficients(noisy, 5)
    for i, x in enumerate(noisy):
        distance = np.linalg.norm(noisy - x, axis=1)
        distance[i] = np.inf
        np.testing.assert_array_equal(np.flatnonzero(C[i]), np.sort(np.argsort(distance)[:5]))
    W = read_labels(C, 4).affinity
    np.testing.assert_array_equal(W, W.T)
    np.testing.assert_array_equal(np.unique(W), [0, 1, 2])


# all of them ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["ssc", "lrr", "ssc-omp", "ridge"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_independent_subspaces_give_blocks_and_exact_clusters(name, seed):
    data = dmsc.load_dataset(
        "synthetic", n_samples=90, n_clusters=3, subspace_dim=3, ambient_dim=30, noise=0.0, n_views=1, seed=seed
    )
    data = data.take(np.random.default_rng(seed).permutation(90))
    C = call(name, unit_rows(data.Xs)[0], 3)
    between = data.y[:, None] != data.y
    assert np.abs(C[between]).max() < 1e-3 * np.abs(C).max()
    assert ari(read_labels(C, 3).labels, data.y) == 1


# Least squares, stopped -----------------------------------------------------------------------------------------------
def test_stopped_least_squares_takes_the_steps_of_the_layer_with_autograd(noisy):
    layer, U = dmsc.SelfExpression(40, 0.01, zero_diagonal=True).double(), torch.tensor(noisy)
    optimizer = torch.optim.Adam(layer.parameters(), 0.002)
    for _ in range(7):
        optimizer.zero_grad()
        ((U - layer(U)).square().sum() + 0.3 * layer.norm(2)).backward()
        optimizer.step()
    C = stopped_least_squares(noisy, 0.3, epochs=7, init=0.01, learning_rate=0.002)
    np.testing.assert_allclose(C, layer.coefficients.numpy(), atol=1e-9)
    assert np.array_equal(stopped_least_squares(noisy, 0.3, 0, 0.5), np.full((40, 40), 0.5) - 0.5 * np.eye(40))


def test_stopped_late_enough_least_squares_are_solved(noisy):
    solved, far = least_squares(noisy, 0.3), stopped_least_squares(noisy, 0.3, epochs=5)
    near = stopped_least_squares(noisy, 0.3, epochs=3000)
    assert np.abs(near - solved).max() < 1e-3 < np.abs(far - solved).max()


# Chosen without labels ------------------------------------------------------------------------------------------------
FIXED = {"ssc": 20.0, "lrr": 0.1, "ssc-omp": 10}


@pytest.fixture
def words():
    """Unit rows (80, 200) of word counts: half of the words of a text are its topic's, half are everyone's."""
    rng, topic = np.random.default_rng(0), np.repeat(range(5), 16)
    topics, common = rng.dirichlet(np.full(200, 0.2), size=5), rng.dirichlet(np.full(200, 0.5))
    return unit_rows([rng.poisson(30 * (topics[topic] + common))])[0], topic


@pytest.mark.parametrize("name", FIXED)
def test_what_the_data_choose_finds_topics_where_the_fixed_value_fails(name, words):
    X, topic = words
    parameter = CHOICES[name][0]
    coefficients = {value: ALGORITHMS[name](X, n_clusters=5, **{parameter: value}) for value in (None, FIXED[name])}
    chosen, fixed = (clustering_accuracy(topic, read_labels(C, 5).labels) for C in coefficients.values())
    assert np.linalg.matrix_rank(coefficients[None]) >= 5
    assert fixed < 0.9 < chosen
    if name == "lrr":
        assert np.linalg.matrix_rank(coefficients[0.1]) < 5
    else:
        assert (coefficients[None] != 0).sum() < (coefficients[FIXED[name]] != 0).sum() / 1.9


@pytest.mark.parametrize("name", CHOICES)
def test_none_is_the_chosen_value_whatever_the_unit(name, words):
    """The penalty of lrr is per unit, that of least squares per its square; Adam's steps know units."""
    X, parameter = words[0][::4], CHOICES[name][0]
    others = {"epochs": 2} if name == "ridge-stopped" else {"tol": 1e-4} if name == "ssc" else {}
    chosen = chosen_parameters(name, X, {parameter: None, **others})
    C = ALGORITHMS[name](X, n_clusters=5, **others, **chosen)
    np.testing.assert_array_equal(ALGORITHMS[name](X, n_clusters=5, **others, **{parameter: None}), C)
    if name == "ridge":
        np.testing.assert_allclose(least_squares(1000 * X), C, atol=1e-9)
    if parameter != "ridge":
        C_far = ALGORITHMS[name](1000 * X, n_clusters=5, **others, **{parameter: None})
        np.testing.assert_allclose(C_far, C, atol=1e-3 if name == "ssc" else 1e-7)  # as coordinate descent ends
        found = chosen_parameters(name, 1000 * X, {parameter: None, **others})[parameter]
        assert found * (1000 if name == "lrr" else 1) == pytest.approx(chosen[parameter], rel=1e-9)


def test_only_none_is_chosen():
    assert chosen_parameters("ssc", ROWS, {"alpha": 3.0}) == chosen_parameters("ssc", ROWS, {}) == {}
    assert chosen_parameters("kmeans", ROWS, {}) == chosen_parameters("spectral", ROWS, {"n_neighbors": None}) == {}


def test_a_choice_goes_by_features_that_were_not_seen(monkeypatch):
    """Three views of the same: C of the seen half is that of the other, too; its diagonal says nothing."""
    X = np.tile(np.random.default_rng(0).normal(size=(20, 1)), 6)
    calls = []

    def algorithm(seen, share):
        """So much of each sample by itself, and the rest by its best match."""
        calls.append((seen.shape, share))
        others = seen @ seen.T / (seen**2).sum()
        return share * np.eye(len(seen)) + (1 - share) * others

    assert choose_parameter(algorithm, X, (0.9, 0.5, 0.0, 0.3, 0.1)) == 0.0
    assert calls == [((20, 3), share) for share in (0.9, 0.5, 0.0, 0.3)]  # and no further than where it gets worse
    calls.clear()
    monkeypatch.setattr(baselines, "MAX_SAMPLES", 12)
    assert choose_parameter(algorithm, X, (1.0, 0.0)) == 0.0 and calls[0][0] == (12, 3)


@pytest.mark.parametrize("name", FIXED)
def test_a_choice_without_data_is_no_crash(name):
    for X in (np.zeros((4, 3)), np.eye(4, dtype=int), np.ones((2, 5), np.float32)):
        C = ALGORITHMS[name](X, n_clusters=2, **{CHOICES[name][0]: None})
        assert C.shape == (len(X), len(X)) and np.isfinite(C).all()


@pytest.mark.parametrize("name", ALGORITHMS)
def test_another_order_of_the_samples_gives_the_same(name, noisy):
    order = np.random.default_rng(5).permutation(40)
    C, permuted = call(name, noisy), call(name, noisy[order])
    assert C.shape == (40, 40) and C.dtype == np.float64
    if name == "kmeans":  # its starts depend on the order
        X, y = union(noise=0.0, n_clusters=2)
        X = X + 5 * np.eye(12)[y]
        C, permuted = call(name, X, 2), call(name, X[order], 2)
    tolerance = 1e-3 if name == "ssc" else 1e-7  # coordinate descent goes another way
    np.testing.assert_allclose(permuted, C[np.ix_(order, order)], atol=tolerance)


@pytest.mark.parametrize("name", ["ssc", "lrr", "ssc-omp", "ridge", "spectral"])
def test_rows_of_zeros_are_left_out(name, noisy):
    """A sample without its view changes nothing for the others, and hears from none."""
    places = np.setdiff1d(np.arange(43), [0, 20, 42])
    X = np.zeros((43, 12))
    X[places] = noisy
    parameters = {"tol": 1e-10} if name == "ssc" else {}
    C = call(name, X, **parameters)
    assert not C[[0, 20, 42]].any() and not C[:, [0, 20, 42]].any()
    np.testing.assert_allclose(C[np.ix_(places, places)], call(name, noisy, **parameters), atol=1e-7)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_no_data_is_no_crash(name):
    """Only zeros, one feature, integers, two samples, orthogonal samples, equal samples."""
    parameters = {"n_neighbors": 1} if name == "spectral" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for X in (np.zeros((4, 3)), np.arange(4)[:, None], np.eye(4, dtype=int), np.ones((2, 5), np.float32)):
            C = call(name, X, 2, **parameters)
            assert C.shape == (len(X), len(X)) and np.isfinite(C).all()


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize(
    ("X", "error", "words"),
    [
        (np.ones((3, 2, 2)), ValueError, ("X must", "(3, 2, 2)", "unit_rows")),
        (np.ones((1, 2)), ValueError, ("X must", "N ≥ 2", "(1, 2)")),
        (np.ones((3, 0)), ValueError, ("X must", "(3, 0)")),
        (np.array([[0, 1], [np.nan, 2]]), ValueError, ("X must", "nan at row 1, column 0")),
        (np.ones((3, 2), complex), TypeError, ("X must", "complex128")),
        ("abc", TypeError, ("X must", "<U3")),
    ],
)
def test_what_is_no_matrix_is_refused(name, X, error, words):
    one_clear_error(lambda: call(name, X, 1), error, words)


ROWS = np.ones((6, 3))


@by_name(
    [
        ("ssc: alpha", lambda: ssc(ROWS, alpha=0), ValueError, ("alpha", "got 0")),
        ("ssc: tol", lambda: ssc(ROWS, tol=2), ValueError, ("tol", "got 2")),
        ("ssc: max_iter", lambda: ssc(ROWS, max_iter=0), ValueError, ("max_iter", "got 0")),
        ("lrr: penalty", lambda: lrr(ROWS, penalty=-1), ValueError, ("penalty", "got -1")),
        ("lrr: components", lambda: lrr(ROWS, n_components=0), ValueError, ("n_components", "got 0")),
        ("lrr: tol", lambda: lrr(ROWS, tol="1e-6"), TypeError, ("tol", "got '1e-6'")),
        ("omp: nothing", lambda: ssc_omp(ROWS, n_nonzero=0), ValueError, ("n_nonzero", "got 0")),
        ("stopped: ridge", lambda: stopped_least_squares(ROWS, 0), ValueError, ("ridge", "got 0")),
        ("stopped: epochs", lambda: stopped_least_squares(ROWS, 1, -1), ValueError, ("epochs", "-1")),
        ("stopped: rate", lambda: stopped_least_squares(ROWS, 1, learning_rate=0), ValueError, ("rate", "got 0")),
        ("ridge: 0", lambda: least_squares(ROWS, 0), ValueError, ("ridge", "got 0")),
        ("ssc: nothing to choose by", lambda: ssc(ROWS[:, :1], None), ValueError, ("two features", "(6, 1)")),
        ("lrr: nothing to choose by", lambda: lrr(ROWS[:, :1], None), ValueError, ("two features", "(6, 1)")),
        ("omp: nothing to choose by", lambda: ssc_omp(ROWS[:, :1], None), ValueError, ("two features", "(6, 1)")),
        ("ssc: tol, and a choice", lambda: ssc(ROWS, None, tol=2), ValueError, ("tol", "got 2")),
        ("choice of what is no number", lambda: lrr(ROWS * np.nan, None), ValueError, ("X must be finite", "nan")),
        ("ridge: one feature", lambda: least_squares(ROWS[:, :1]), ValueError, "two features"),
        ("kmeans: K", lambda: kmeans_coefficients(ROWS, 7), ValueError, ("n_clusters", "from 1 to 6, got 7")),
        ("kmeans: seed", lambda: kmeans_coefficients(ROWS, 2, seed=2**32), ValueError, ("seed", "got 4294967296")),
        ("graph: neighbors", lambda: graph_coefficients(ROWS, 6), ValueError, ("n_neighbors", "from 1 to 5, got 6")),
    ]
)
def test_bad_parameters_are_named(call, error, words):
    one_clear_error(call, error, words)
