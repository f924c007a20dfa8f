"""Anchored self-expression against the dense closed form, brute force, and eigenvectors of the affinity itself."""

import numpy as np
import pytest
import torch
from bad_input import one_clear_error
from scipy.linalg import eigh

import dmsc
from dmsc.metrics import clustering_accuracy
from dmsc.self_expression import ridge_self_expression, unit_rows
from dmsc.solvers import anchors as module
from dmsc.solvers.anchors import (
    AnchorSolver,
    anchored_affinity_factor,
    anchored_clustering,
    anchored_embedding,
    anchored_ridge,
    choose_anchors,
    read_anchored,
    threshold_rows,
)
from dmsc.spectral import threshold_coefficients

RNG = np.random.default_rng(0)
ZS = [RNG.standard_normal((23, 4)), RNG.standard_normal((23, 1, 3, 2))]
ANCHORS = np.array([1, 4, 5, 11, 20])
C = RNG.standard_normal((23, 5))


def subspaces(n_samples=300):
    return dmsc.load_dataset("synthetic", n_samples=n_samples, n_clusters=4, noise=0.05)


@pytest.mark.parametrize("method", ["kmeans", "random"])
def test_anchors_are_different_samples_in_order_and_repeatable(method):
    data = subspaces(900)
    anchors = choose_anchors(data.Xs, 20, method=method, seed=3)
    assert anchors.dtype == np.int64 and anchors.shape == (20,)
    assert (np.diff(anchors) > 0).all() and anchors.min() >= 0 and anchors.max() < 900
    tensors = [torch.tensor(X) for X in data.Xs]
    assert np.array_equal(anchors, choose_anchors(tensors, 20, method=method, seed=3))
    assert not np.array_equal(anchors, choose_anchors(data.Xs, 20, method=method, seed=4))


def test_kmeans_anchors_stand_nearer_to_all_samples_than_random_ones():
    centers = 10 * RNG.standard_normal((6, 30))
    X = np.repeat(centers, 50, axis=0) + RNG.standard_normal((300, 30))
    assert len({*(choose_anchors([X], 6) // 50)}) == 6  # one anchor for each group


def test_anchors_are_filled_up_where_samples_coincide():
    X = np.repeat(RNG.standard_normal((2, 3)), 10, axis=0)
    anchors = choose_anchors([X], 7)
    assert len({*anchors.tolist()}) == 7
    assert np.array_equal(choose_anchors([X], 20), np.arange(20))


@pytest.mark.parametrize("zero_diagonal", [True, False])
@pytest.mark.parametrize("weights", [None, [0.7, 0.2]])
def test_all_samples_as_anchors_give_the_dense_closed_form(zero_diagonal, weights):
    options = {"zero_diagonal": zero_diagonal, "weights": weights}
    found = anchored_ridge(ZS, np.arange(23), 0.3, block_size=7, **options)
    torch.testing.assert_close(found, ridge_self_expression(ZS, 0.3, **options), rtol=0, atol=1e-10)


@pytest.mark.parametrize("zero_diagonal", [True, False])
@pytest.mark.parametrize("as_input", [np.asarray, torch.tensor])
def test_every_row_is_the_brute_force_minimizer(zero_diagonal, as_input):
    weights, ridge = [0.7, 0.2], 0.4
    anchors = ANCHORS[[3, 0, 4, 1, 2]]  # in any order
    found = anchored_ridge(
        [as_input(Z) for Z in ZS], as_input(anchors), ridge, weights=weights, zero_diagonal=zero_diagonal, block_size=6
    )
    stacked = np.hstack([np.sqrt(v) * Z.reshape(23, -1) for v, Z in zip(weights, ZS, strict=True)])
    for i, z in enumerate(stacked):
        used = [j for j, anchor in enumerate(anchors) if not zero_diagonal or anchor != i]
        A = stacked[anchors[used]]
        expected = np.zeros(5)
        expected[used] = np.linalg.solve(A @ A.T + ridge * np.eye(len(used)), A @ z)
        np.testing.assert_allclose(found[i], expected, atol=1e-12)


def test_float32_result_is_the_rounded_float64_one():
    Zs = [Z.astype(np.float32) for Z in ZS]
    found = anchored_ridge(Zs, ANCHORS, 0.3, dtype=torch.float32)
    assert torch.equal(found, anchored_ridge(Zs, ANCHORS, 0.3).float())


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.9, 1.0])
def test_thresholding_of_rows_is_that_of_columns(ratio, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 4)
    square = RNG.integers(-3, 4, (9, 9)).astype(float)  # with ties
    square[2] = 0
    before = square.copy()
    np.testing.assert_array_equal(threshold_rows(square, ratio), threshold_coefficients(square.T, ratio).T)
    np.testing.assert_array_equal(square, before)


def test_factor_is_that_of_the_affinity():
    B = np.abs(C)
    F = anchored_affinity_factor(C)
    np.testing.assert_allclose(F @ F.T, B @ np.diag(1 / B.sum(0)) @ B.T)
    np.testing.assert_allclose((F @ F.T).sum(1), B.sum(1))  # the degrees
    assert anchored_affinity_factor(C.astype(np.float32)).dtype == np.float32


def test_embedding_is_that_of_the_normalized_affinity(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 6)
    F = anchored_affinity_factor(C)
    W = F @ F.T
    root = 1 / np.sqrt(W.sum(1))
    values, vectors = eigh(np.eye(23) - root[:, None] * W * root)
    eigenvalues, embedding = anchored_embedding(C, 4)
    np.testing.assert_allclose(eigenvalues, values[:4], atol=1e-12)
    expected = vectors[:, :4] * np.sign(vectors[np.abs(vectors[:, :4]).argmax(0), range(4)])
    np.testing.assert_allclose(embedding, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-9)


def test_labels_come_with_the_eigenvalues_of_their_embedding():
    read = read_anchored(C, 3, seed=2)
    assert np.array_equal(read.labels, anchored_clustering(C, 3, seed=2)) and read.affinity is None
    np.testing.assert_allclose(read.eigenvalues, anchored_embedding(C, 4)[0])
    assert read.eigengap == pytest.approx(read.eigenvalues[3] - read.eigenvalues[2])
    assert read_anchored(C, 5).eigengap is None  # as many as anchors


def test_rows_and_columns_of_zeros_do_no_harm():
    holey = C.copy()
    holey[[0, 7]] = 0
    holey[:, 2] = 0
    eigenvalues, F = anchored_embedding(holey, 5)
    assert np.isfinite(F).all() and not F[[0, 7]].any() and not F[:, 4].any()
    assert eigenvalues[0] == pytest.approx(0, abs=1e-12) and eigenvalues[4] == pytest.approx(1)
    rows = np.setdiff1d(np.arange(23), [0, 7])
    np.testing.assert_allclose(F[rows][:, :4], anchored_embedding(C[rows][:, [0, 1, 3, 4]], 4)[1], atol=1e-9)
    assert not anchored_affinity_factor(holey)[:, 2].any()
    assert {*anchored_clustering(np.zeros((6, 3)), 2)} <= {0, 1}


@pytest.mark.parametrize("limit", [1000, 60])
def test_subspaces_are_found(limit, monkeypatch):
    monkeypatch.setattr(module, "KMEANS_LIMIT", limit)  # 60: k-means sees a part
    data = subspaces()
    rows = unit_rows(data.Xs)
    anchored = anchored_ridge(rows, choose_anchors(data.Xs, 60), 0.1, dtype=torch.float32)
    for ratio in (1.0, 0.7):
        labels = anchored_clustering(anchored, 4, ratio=ratio, seed=1)
        assert labels.dtype == np.int64 and labels.shape == (300,)
        assert clustering_accuracy(data.y, labels) > 0.97
        assert np.array_equal(labels, anchored_clustering(anchored, 4, ratio=ratio, seed=1))
    assert not anchored_clustering(anchored, 1).any()


@pytest.mark.parametrize("zero_diagonal", [True, False])
def test_the_solver_can_be_differentiated(zero_diagonal):
    """Through the samples' latents and the anchors', against finite differences."""
    torch.manual_seed(0)
    Zs = [torch.randn(6, d, dtype=torch.float64, requires_grad=True) for d in (3, 2)]
    As = [torch.randn(4, d, dtype=torch.float64, requires_grad=True) for d in (3, 2)]
    own = torch.tensor([-1, 2, -1, 0, -1, 3]) if zero_diagonal else None
    assert torch.autograd.gradcheck(lambda *parts: AnchorSolver(parts[2:], 0.4, [0.7, 0.2])(parts[:2], own), Zs + As)
    C = AnchorSolver(As, 0.4, [0.7, 0.2])(Zs, own)
    assert (C[[1, 3, 5], [2, 0, 3]] == 0).all() == zero_diagonal


TWINS = torch.full((4, 3), 1e6)
BAD = {
    "too many": (lambda: choose_anchors([ZS[0]], 24), ("n_anchors", "from 1 to 23", "got 24")),
    "none": (lambda: choose_anchors([ZS[0]], 0), ("n_anchors", "got 0")),
    "method": (lambda: choose_anchors([ZS[0]], 2, method="best"), ("method", "'best'")),
    "seed": (lambda: choose_anchors([ZS[0]], 2, seed=-1), ("seed", "-1")),
    "sizes of views": (lambda: choose_anchors([ZS[0], ZS[0][:4]], 2), "[23, 4]"),
    "no views": (lambda: choose_anchors([], 2), "[]"),
    "index": (lambda: anchored_ridge(ZS, [0, 23], 1.0), ("anchors", "from 0 to 22", "got 23")),
    "negative index": (lambda: anchored_ridge(ZS, [-1], 1.0), ("anchors", "got -1")),
    "twice": (lambda: anchored_ridge(ZS, [0, 0, 1], 1.0), ("different samples", "2 in 3")),
    "fractions": (lambda: anchored_ridge(ZS, [0.5], 1.0), ("anchors", "float32")),
    "matrix": (lambda: anchored_ridge(ZS, [[0]], 1.0), ("anchors", "(1, 1)")),
    "ridge": (lambda: anchored_ridge(ZS, [0], -1.0), ("ridge", "-1.0")),
    "ridge too small": (lambda: anchored_ridge([TWINS], [0, 1, 2], 1e-9), ("ridge=1e-09", "3 samples")),
    "latents not finite": (lambda: AnchorSolver([TWINS * torch.nan], 0.5, [1.0]), ("ridge=0.5", "NaN")),
    "weights": (lambda: anchored_ridge(ZS, [0], 1.0, weights=[1.0]), "1 weights for 2 latents"),
    "sizes": (lambda: anchored_ridge([ZS[0], ZS[1][:3]], [0], 1.0), "[23, 3]"),
    "block_size": (lambda: anchored_ridge(ZS, [0], 1.0, block_size=0), ("block_size", "got 0")),
    "ratio": (lambda: threshold_rows(C, 1.5), ("ratio", "got 1.5")),
    "components": (lambda: anchored_embedding(C, 6), ("n_components", "from 1 to 5", "got 6")),
    "vector": (lambda: anchored_embedding(C[0], 1), ("C ", "(5,)")),
    "nan": (lambda: anchored_embedding(np.where(C == C[3, 2], np.nan, C), 2), ("C ", "finite", "column 2")),
    "K": (lambda: anchored_clustering(C, 6), ("n_clusters", "from 1 to 5", "got 6")),
    "K of a square": (lambda: anchored_clustering(np.eye(4), 5), ("n_clusters", "from 1 to 4", "got 5")),
    "no share": (lambda: anchored_clustering(C, 2, ratio=0), ("ratio", "got 0")),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    call, words = BAD[name]
    one_clear_error(call, ValueError, words)
