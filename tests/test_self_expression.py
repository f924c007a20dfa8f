"""The self-expression layer and its closed form, against slow float64 formulas; the raw baseline."""

import numpy as np
import pytest
import torch
from bad_input import by_name, one_clear_error

import dmsc
from dmsc.data.corruption import corrupt
from dmsc.losses import weighted_squared_error
from dmsc.metrics import clustering_accuracy
from dmsc.self_expression import (
    RIDGES,
    SelfExpression,
    choose_ridge,
    coefficients_norm,
    express,
    gram_inverse,
    local_self_expression,
    nearest_neighbors,
    raw_self_expression,
    ridge_coefficients,
    ridge_self_expression,
    unit_rows,
)
from dmsc.spectral import read_labels


def slow_ridge(Zs, ridge, zero_diagonal, weights):
    """Row by row: least squares of z_i on the others."""
    Z = np.concatenate([np.sqrt(v) * Z for v, Z in zip(weights, Zs, strict=True)], axis=1)
    N = len(Z)
    C = np.zeros((N, N))
    for i in range(N):
        others = [j for j in range(N) if j != i or not zero_diagonal]
        A = Z[others]
        C[i, others] = np.linalg.solve(A @ A.T + ridge * np.eye(len(others)), A @ Z[i])
    return C


@pytest.mark.parametrize("zero_diagonal", [True, False])
def test_closed_form_equals_row_by_row_least_squares(zero_diagonal):
    rng = np.random.default_rng(0)
    Zs = [rng.normal(size=(12, 3, 2)), rng.normal(size=(12, 4))]
    weights = [0.3, 2.0]
    C = ridge_self_expression(Zs, 0.5, zero_diagonal=zero_diagonal, weights=weights).numpy()
    np.testing.assert_allclose(C, slow_ridge([Z.reshape(12, -1) for Z in Zs], 0.5, zero_diagonal, weights), atol=1e-10)


HAS = np.array(
    [[1, 1, 0, 1, 0, 1, 1, 0, 1, 1, 1, 0], [1, 0, 1, 1, 1, 1, 0, 0, 0, 1, 1, 1], [1, 1, 1, 0, 0, 1, 1, 0, 1, 0, 1, 1]],
    dtype=bool,
)  # sample 7 has none


@pytest.mark.parametrize("as_tensors", [False, True])
@pytest.mark.parametrize("zero_diagonal", [True, False])
def test_with_masks_a_sample_is_expressed_in_the_latents_it_has(zero_diagonal, as_tensors):
    """Row by row: least squares in those latents alone, on the others, whose missing latents are 0."""
    rng = np.random.default_rng(0)
    Zs = [rng.normal(size=(12, d)) * mask[:, None] for d, mask in zip((6, 4, 3), HAS, strict=True)]
    weights = [0.3, 2.0, 1.0]
    expected = np.zeros((12, 12))
    for i in range(12):
        seen = [np.sqrt(v) * Z for v, Z, mask in zip(weights, Zs, HAS, strict=True) if mask[i]]
        if seen:
            others = np.delete(np.arange(12), i) if zero_diagonal else np.arange(12)
            A = np.concatenate(seen, axis=1)
            stacked = np.vstack([A[others].T, np.sqrt(0.5) * np.eye(len(others))])  # ridge as more equations
            target = np.concatenate([A[i], np.zeros(len(others))])
            expected[i, others] = np.linalg.lstsq(stacked, target, rcond=None)[0]
    masks = list(HAS)
    if as_tensors:
        Zs, masks = ([torch.tensor(array) for array in arrays] for arrays in (Zs, masks))
    found = ridge_self_expression(Zs, 0.5, zero_diagonal=zero_diagonal, weights=weights, masks=masks)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert max(found[7].abs().max(), found[:, 7].abs().max()) < 1e-15


@pytest.mark.parametrize("zero_diagonal", [True, False])
def test_masks_that_miss_nothing_are_no_masks(zero_diagonal):
    rng = np.random.default_rng(0)
    Zs = [rng.normal(size=(12, 3)), rng.normal(size=(12, 4))]
    everything = [np.ones(12, dtype=bool)] * 2
    found = ridge_self_expression(Zs, 0.5, zero_diagonal=zero_diagonal, masks=everything)
    assert torch.equal(found, ridge_self_expression(Zs, 0.5, zero_diagonal=zero_diagonal))


@pytest.mark.parametrize("zero_diagonal", [True, False])
def test_closed_form_with_masks_is_the_minimum_of_the_networks_loss(zero_diagonal):
    """At it the gradient of the terms with C vanishes."""
    rng = np.random.default_rng(0)
    Zs = [torch.tensor(rng.normal(size=(12, d)) * mask[:, None]) for d, mask in zip((6, 4, 3), HAS, strict=True)]
    masks, weights = list(torch.tensor(HAS)), (0.3, 2.0, 1.0)
    layer = SelfExpression(12, zero_diagonal=zero_diagonal).double()
    layer.set_coefficients(ridge_self_expression(Zs, 0.5, zero_diagonal=zero_diagonal, weights=weights, masks=masks))
    residual = weighted_squared_error(Zs, [layer(Z) for Z in Zs], weights, masks)
    (residual + 0.5 * layer.norm(2)).backward()
    torch.testing.assert_close(layer.weight.grad, torch.zeros(12, 12, dtype=torch.float64), atol=1e-12, rtol=0)


def test_closed_form_is_the_minimum_of_the_loss():
    rng = np.random.default_rng(1)
    Z = torch.tensor(rng.normal(size=(10, 4)))
    C = ridge_self_expression([Z], 0.7)

    def objective(C):
        return ((Z - C @ Z) ** 2).sum() + 0.7 * (C**2).sum()

    for _ in range(20):
        step = torch.tensor(rng.normal(size=C.shape)).fill_diagonal_(0)
        assert objective(C + 1e-3 * step) > objective(C)


@pytest.mark.parametrize("zero_diagonal", [True, False])
@pytest.mark.parametrize("p", [1, 2])
def test_layer_equals_the_plain_formula(zero_diagonal, p):
    layer = SelfExpression(6, zero_diagonal=zero_diagonal).double()
    layer.set_coefficients(torch.randn(6, 6, dtype=torch.float64))
    C = layer.weight.detach().clone()
    if zero_diagonal:
        C = C - torch.diag(torch.diag(C))
    Z = torch.randn(6, 3, dtype=torch.float64)
    torch.testing.assert_close(layer(Z), C @ Z)
    torch.testing.assert_close(layer.norm(p), (C.abs() ** p).sum())
    torch.testing.assert_close(coefficients_norm(C, p), (C.abs() ** p).sum())
    torch.testing.assert_close(layer.coefficients, C)
    (layer(Z).square().sum() + layer.norm(p)).backward()
    assert (layer.weight.grad.diagonal() == 0).all() == zero_diagonal  # not even rounding gets there


def test_all_latents_are_expressed_in_one_product():
    C, Zs = torch.randn(6, 6), [torch.randn(6, d) for d in (3, 1, 4)]
    for found, Z in zip(express(C, Zs), Zs, strict=True):
        torch.testing.assert_close(found, C @ Z)
    rounded = express(C, [Z.bfloat16() for Z in Zs])  # sums in C's precision, whatever encoders compute in
    assert all(Z.dtype == torch.float32 for Z in rounded)
    with torch.autocast("cpu", torch.bfloat16):
        coarse = express(C, Zs)
    for found, Z in zip(coarse, Zs, strict=True):
        assert found.dtype == torch.float32 and torch.equal(found, (C.bfloat16() @ Z.bfloat16()).float())


@pytest.mark.parametrize("zero_diagonal", [True, False])
def test_the_closed_form_is_made_of_one_inverse(zero_diagonal):
    rng = np.random.default_rng(2)
    Zs, weights = [torch.tensor(rng.normal(size=(9, d)), dtype=torch.float32) for d in (3, 5)], [0.3, 2.0]
    P = gram_inverse(Zs, 0.5, weights)
    G = sum(v * Z.double().numpy() @ Z.double().numpy().T for v, Z in zip(weights, Zs, strict=True))
    np.testing.assert_allclose(P, np.linalg.inv(G + 0.5 * np.eye(9)), rtol=1e-10)
    found = ridge_coefficients(P, 0.5, zero_diagonal)
    expected = slow_ridge([Z.double().numpy() for Z in Zs], 0.5, zero_diagonal, weights)
    np.testing.assert_allclose(found, expected, atol=1e-10)
    assert (found.diagonal() == 0).all() == zero_diagonal


def test_initial_value():
    assert torch.all(SelfExpression(4, 1e-8).coefficients == 1e-8)
    assert torch.all(SelfExpression(4, 1e-8, zero_diagonal=True).coefficients.diagonal() == 0)


def test_ridge_is_chosen_by_the_held_out_features():
    """More noise asks for more ridge."""
    rng = np.random.default_rng(0)
    clean = rng.normal(size=(60, 3)) @ rng.normal(size=(3, 40))
    noisy = clean + 2 * rng.normal(size=clean.shape)
    assert choose_ridge([clean], RIDGES) == min(RIDGES)
    assert choose_ridge([noisy], RIDGES) == max(RIDGES)


def test_the_penalties_that_are_tried_are_for_rows_of_any_length():
    """Those of unit rows are `RIDGES` to the last bit, with missing ones, too; others go with the square."""
    rng = np.random.default_rng(0)
    Xs = [rng.normal(size=(40, 3)) @ rng.normal(size=(3, 30)) + 0.3 * rng.normal(size=(40, 30)), np.ones((40, 1))]
    rows = unit_rows(Xs)
    gappy = [rows[0] * (np.arange(40) % 3 > 0)[:, None], rows[0][:, :20]]
    for views in (rows, unit_rows(gappy), [X.astype(np.float32) for X in rows]):
        chosen = choose_ridge(views)
        assert chosen in RIDGES and chosen == choose_ridge(views, RIDGES)
    assert min(RIDGES) < choose_ridge(rows) < max(RIDGES)
    for scale in (1e-4, 255.0):
        far = [scale * X for X in rows]
        assert choose_ridge(far) == pytest.approx(scale**2 * choose_ridge(rows), rel=1e-9)
        assert choose_ridge(far, RIDGES) in (min(RIDGES), max(RIDGES))  # of no use
    assert choose_ridge([np.zeros((4, 6))]) in RIDGES


def test_the_penalty_is_the_best_candidate_on_unseen_features():
    rng = np.random.default_rng(3)
    X, ridges = rng.normal(size=(20, 12)), (0.1, 2.0, 50.0)
    order = np.random.default_rng(4).permutation(12)
    seen, unseen = X[:, order[:6]], X[:, order[6:]]
    errors = [((unseen - slow_ridge([seen], r / 2, True, [1.0]) @ unseen) ** 2).sum() for r in ridges]
    assert choose_ridge([X], ridges, seed=4) == ridges[np.argmin(errors)]


def test_rows_of_zeros_stay_zero():
    (rows,) = unit_rows([np.array([[[3.0], [4.0]], [[0.0], [0.0]]])])
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0.0, 0.0]])


def test_raw_self_expression_takes_the_views_that_samples_have():
    """Missing views are no evidence: clusters are still recovered, and worse with their zeros taken at face value."""
    data = dmsc.load_dataset(
        "synthetic", n_samples=90, n_clusters=3, subspace_dim=2, ambient_dim=20, noise=0.0, n_views=3, seed=1
    )
    gappy = corrupt(data, missing=0.4)
    rows = unit_rows(gappy.Xs)
    C, ridge = raw_self_expression(gappy.Xs, gappy.masks)
    assert ridge == choose_ridge(rows)
    np.testing.assert_allclose(C, ridge_self_expression(rows, ridge, masks=gappy.masks))
    assert clustering_accuracy(data.y, read_labels(C, 3).labels) == 1.0
    residuals = []
    for coefficients in (C, raw_self_expression(gappy.Xs)[0]):
        errors = [((X - coefficients @ X)[mask] ** 2).sum() for X, mask in zip(rows, gappy.masks, strict=True)]
        residuals.append(sum(errors))
    assert residuals[0] < residuals[1]


def test_nearest_neighbors_are_those_of_the_summed_cosines():
    rng = np.random.default_rng(0)
    Zs = [rng.normal(size=(12, 4)), rng.normal(size=(12, 2, 3))]
    cosines = np.zeros((12, 12))
    for v, Z in zip((1.0, 0.5), Zs, strict=True):
        for i in range(12):
            for j in range(12):
                a, b = Z[i].ravel(), Z[j].ravel()
                cosines[i, j] += v * (a @ b) / np.linalg.norm(a) / np.linalg.norm(b)
    np.fill_diagonal(cosines, -np.inf)
    expected = [set(np.argsort(-row)[:3]) for row in cosines]
    assert [set(row) for row in nearest_neighbors(Zs, 3, weights=(1.0, 0.5)).tolist()] == expected


@pytest.mark.parametrize("masked", [False, True])
def test_neighbors_by_coefficients_are_the_largest_of_least_squares(masked):
    """Whatever the latents' scale; where one is missing, samples are expressed in what they have."""
    rng = np.random.default_rng(0)
    masks = [np.arange(12) < 9, np.arange(12) > 2] if masked else [np.ones(12, bool)] * 2
    Zs = [100 * rng.normal(size=(12, 4)) * masks[0][:, None], rng.normal(size=(12, 2, 3)) * masks[1][:, None, None]]
    weights, expected = (1.0, 0.5), []
    rows = [Z.reshape(12, -1) / np.maximum(np.linalg.norm(Z.reshape(12, -1), axis=1, keepdims=True), 1) for Z in Zs]
    for i in range(12):
        side = np.hstack([np.sqrt(v) * Z for v, Z, mask in zip(weights, rows, masks, strict=True) if mask[i]])
        others = np.delete(np.arange(12), i)
        A = np.vstack([side[others].T, np.sqrt(0.1 * sum(weights)) * np.eye(11)])
        c = np.linalg.lstsq(A, np.r_[side[i], np.zeros(11)], rcond=None)[0]
        expected.append(set(others[np.argsort(-np.abs(c))[:3]]))
    found = nearest_neighbors(Zs, 3, weights, by="coefficients", masks=masks if masked else None)
    assert [set(row) for row in found.tolist()] == expected
    assert expected != [set(row) for row in nearest_neighbors(Zs, 3, weights).tolist()]


@pytest.mark.parametrize("masked", [False, True])
def test_local_closed_form_is_least_squares_on_the_neighbors(masked):
    rng = np.random.default_rng(0)
    Zs = [rng.normal(size=(9, 4)), rng.normal(size=(9, 3))]
    masks = [np.arange(9) < 6, np.arange(9) > 2] if masked else [np.ones(9, bool)] * 2
    Zs = [Z * mask[:, None] for Z, mask in zip(Zs, masks, strict=True)]
    neighbors = nearest_neighbors(Zs, 3)
    weights, ridge = (2.0, 0.5), 0.3
    C = local_self_expression(Zs, neighbors, ridge, weights=weights, masks=masks if masked else None).numpy()
    for i in range(9):
        j = neighbors[i].numpy()
        parts = [np.sqrt(v) * Z for v, Z, mask in zip(weights, Zs, masks, strict=True) if mask[i]]  # those it has
        Z = np.hstack(parts)
        A, b = np.vstack([Z[j].T, np.sqrt(ridge) * np.eye(3)]), np.r_[Z[i], np.zeros(3)]
        assert C[i, j] == pytest.approx(np.linalg.lstsq(A, b, rcond=None)[0])
        assert set(np.flatnonzero(C[i])) <= set(j)


def test_with_all_as_neighbors_the_local_closed_form_is_the_whole_one():
    Z = np.random.default_rng(0).normal(size=(8, 5))
    local = local_self_expression([Z], nearest_neighbors([Z], 7), 0.2)
    torch.testing.assert_close(local, ridge_self_expression([Z], 0.2))


@pytest.mark.parametrize("zero_diagonal", [False, True])
def test_a_restricted_layer_stays_within_its_neighbors(zero_diagonal):
    Z = torch.rand(10, 4, requires_grad=True)
    layer = SelfExpression(10, init=0.5, zero_diagonal=zero_diagonal)
    layer.restrict(neighbors := nearest_neighbors([Z], 2))
    support = torch.zeros(10, 10, dtype=torch.bool).scatter_(1, neighbors, True)
    torch.testing.assert_close(layer.coefficients, 0.5 * support)
    (layer(Z) - Z).square().sum().backward()
    assert not layer.weight.grad[~support].any() and layer.weight.grad[support].all()
    assert list(layer.state_dict()) == ["weight"]  # checkpoints are as before
    layer.coefficients.zero_()
    assert layer.matrix().any()  # a copy


X = torch.rand(4, 3)
TWINS = 1e6 * torch.ones(30, 3)  # duplicates at a scale at which a tiny penalty is nothing
HALF = torch.tensor([True, True, False, False])

CASES = [
    ("ridge: zero", lambda: ridge_self_expression([X], 0), ValueError, ("ridge", "got 0")),
    ("ridge: sizes", lambda: ridge_self_expression([X, X[:3]], 1), ValueError, "[4, 3]"),
    ("ridge: weights", lambda: ridge_self_expression([X], 1, weights=[1, 2]), ValueError, "2 weights for 1"),
    ("ridge: nothing", lambda: ridge_self_expression([], 1), ValueError, "0 latents"),
    ("ridge: masks", lambda: ridge_self_expression([X, X], 1.0, masks=[HALF]), ValueError, "masks must be 2"),
    ("ridge: too small", lambda: ridge_self_expression([TWINS], 1e-9), ValueError, ("ridge=1e-09", "30 samples")),
    (
        "ridge: too small for one pattern",
        lambda: ridge_self_expression([TWINS, TWINS], 1e-9, masks=[torch.arange(30) < 29, torch.arange(30) > 0]),
        ValueError,
        "ridge=1e-09",
    ),
    ("ridge: nan", lambda: ridge_self_expression([X * torch.nan], 1.0), ValueError, ("ridge=1", "NaN")),
    ("ridge: infinite", lambda: gram_inverse([X * 1e300], 0.1, [1.0]), ValueError, ("ridge=0.1", "infinite")),
    ("neighbors: by what", lambda: nearest_neighbors([X], 1, by="l1"), ValueError, ("by must be one of", "'l1'")),
    ("neighbors: too many", lambda: nearest_neighbors([X], 4), ValueError, ("n_neighbors", "from 1 to 3", "got 4")),
    ("choose: one feature", lambda: choose_ridge([np.ones((4, 1))] * 2), ValueError, ("two features", "views of 1, 1")),
    ("layer: no samples", lambda: SelfExpression(0), ValueError, ("n_samples", "got 0")),
]


@by_name(CASES)
def test_bad_input(call, error, words):
    one_clear_error(call, error, words)
