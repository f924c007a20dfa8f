"""Threshold, affinity, clustering and readings against slow definitions, and on graphs that break other solvers."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
import torch
from bad_input import by_name, one_clear_error
from scipy.sparse import csr_matrix
from sklearn.cluster import SpectralClustering
from sklearn.metrics import adjusted_rand_score

import dmsc
from dmsc import eigen, spectral
from dmsc.fast_threshold import threshold_by_partition
from dmsc.metrics import clustering_accuracy, eigengap
from dmsc.self_expression import raw_self_expression
from dmsc.spectral import (
    ASSIGNMENTS,
    PLAIN,
    Reading,
    _discretize,
    build_affinity,
    read_labels,
    spectral_clustering,
    spectral_embedding,
    threshold_by_sorting,
    threshold_coefficients,
    warning_signs,
)


def slow_threshold(C, ratio):
    """The listing's loop with its lost ``else`` put back, in float64 and sorted stably."""
    if ratio >= 1:
        return C
    kept = np.zeros_like(C)
    for i in range(C.shape[1]):
        column = np.abs(C[:, i].astype(np.float64))
        order = np.argsort(-column, kind="stable")
        total, running, t = np.sum(column[order]), 0.0, 0
        while t < len(order):
            running += column[order[t]]
            t += 1
            if running > ratio * total:
                break
        kept[order[:t], i] = C[order[:t], i]
    return kept


def slow_subspace(C, n_clusters, dim, alpha, unit_diagonal=False):
    """The listing's post_proC with its lost products put back, in float64 with a full SVD."""
    C = 0.5 * (C.astype(np.float64) + C.T)
    if unit_diagonal:
        C = C - np.diag(np.diag(C)) + np.eye(len(C))
    r = min(dim * n_clusters + 1, len(C) - 1)
    U, S, _ = np.linalg.svd(C)
    U = U[:, :r] @ np.diag(np.sqrt(S[:r]))
    for i in range(len(U)):
        length = np.sqrt(np.sum(U[i] ** 2))
        U[i] = U[i] / length if length > 1e-12 else 0
    Z = U @ U.T
    Z = Z * (Z > 0)
    L = np.abs(Z**alpha)
    L = L / L.max()
    return 0.5 * (L + L.T)


def blocks(sizes, noise=0.0, seed=0):
    """Affinity with one fully connected block for each size, shuffled; returns W and the true labels."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    between = noise * rng.uniform(size=(len(y), len(y)))
    W = np.where(y[:, None] == y, rng.uniform(0.5, 1, between.shape), between)
    return W + W.T, y


def matrices():
    rng = np.random.default_rng(1)
    random = rng.normal(size=(40, 40))
    zero_columns = random.copy()
    zero_columns[:, ::3] = 0
    yield "random", random
    yield "tied", rng.integers(-2, 3, (40, 40)).astype(float)
    yield "all equal", np.full((30, 30), -0.125)  # sums without rounding: at 0.5 one of them meets the line
    yield "integers", rng.integers(-3, 4, (20, 20)).astype(float)
    yield "zero columns", zero_columns
    sparse = rng.uniform(size=(300, 300)) < 0.02  # wide enough for several blocks of columns
    yield "sparse", np.where(sparse, rng.normal(size=(300, 300)), 0)
    yield "large", rng.normal(size=(131, 131)) ** 3
    yield "powers of two", 2 * np.eye(16, k=1) - np.eye(16, k=2) + np.eye(16)
    yield "zero", np.zeros((5, 5))
    yield "one", np.array([[3.0]])


RATIOS = [1e-9, 0.1, 0.25, 0.36, 0.5, 0.75, 1 - 1e-12, np.nextafter(1, 0), 1.0]


@pytest.mark.parametrize("threshold", [threshold_by_sorting, threshold_by_partition])
@pytest.mark.parametrize("columns", [slice(0, 30), slice(40, 170), slice(199, 200)])
def test_some_columns_are_thresholded_as_in_the_whole_matrix(threshold, columns):
    C = torch.tensor(np.random.default_rng(0).standard_normal((200, 200)))
    assert threshold(C[:, columns].contiguous(), 0.4).equal(threshold(C, 0.4)[:, columns])


@pytest.mark.parametrize("ratio", [ratio for ratio in RATIOS if ratio < 1])
@pytest.mark.parametrize("C", [pytest.param(C, id=name) for name, C in matrices()])
@pytest.mark.parametrize("threshold", [threshold_by_sorting, threshold_by_partition])
def test_both_thresholds_equal_the_loop(threshold, C, ratio):
    """In both precisions, and however the matrix lies in memory."""
    for dtype in (torch.float32, torch.float64):
        plain = torch.from_numpy(C).to(dtype)
        expected = slow_threshold(plain.numpy(), ratio)
        strided = plain.repeat_interleave(2, 0).repeat_interleave(2, 1)[::2, ::2]
        for M in (plain, plain.T.contiguous().T, strided):  # by rows, by columns, with gaps
            before = M.clone()
            kept = threshold(M, ratio)
            assert kept.dtype == dtype
            np.testing.assert_array_equal(kept.numpy(), expected)
            assert not np.signbit(kept.numpy()[expected == 0]).any()
            assert torch.equal(M, before)


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("C", [pytest.param(C, id=name) for name, C in matrices()])
def test_threshold_returns_a_new_matrix_of_the_same_kind(C, ratio):
    before = C.copy()
    kept = threshold_coefficients(C, ratio)
    assert kept.dtype == np.float64 and not np.shares_memory(kept, C)
    np.testing.assert_array_equal(kept, slow_threshold(C, ratio))
    np.testing.assert_array_equal(C, before)


def test_threshold_keeps_the_entry_that_crosses_and_the_upper_of_equals():
    C = np.zeros((4, 4))
    C[:, 0] = [1, -4, 2, 1]  # l1 norm 8: the sums are 4, 6, 7, 8
    np.testing.assert_array_equal(threshold_coefficients(C, 0.49)[:, 0], [0, -4, 0, 0])
    np.testing.assert_array_equal(threshold_coefficients(C, 0.50)[:, 0], [0, -4, 2, 0])  # 4 does not exceed 4
    np.testing.assert_array_equal(threshold_coefficients(C, 0.80)[:, 0], [1, -4, 2, 0])


def test_plain_affinity():
    C = np.array([[1.0, -2.0], [3.0, 0.0]])
    np.testing.assert_array_equal(build_affinity(C), [[2, 5], [5, 0]])


@pytest.mark.parametrize(
    "n, dim, alpha, unit", [(60, 3, 1, False), (60, 6, 8, False), (60, 12, 3.5, True), (9, 6, 8, True)]
)
def test_subspace_affinity_equals_the_slow_definition(n, dim, alpha, unit):
    C = np.random.default_rng(2).normal(size=(n, n))
    W = build_affinity(C, "subspace", n_clusters=4, dim=dim, alpha=alpha, unit_diagonal=unit)
    np.testing.assert_allclose(W, slow_subspace(C, 4, dim, alpha, unit), atol=1e-8)
    assert np.array_equal(W, W.T) and W.min() >= 0 and W.max() == 1


def test_subspace_affinity_ignores_rounding():
    rng = np.random.default_rng(3)
    B = rng.normal(size=(50, 3))
    B[[4, 20]] = 0  # points that no coefficient touches
    C = B @ B.T  # rank 3, fewer than the 13 directions asked for
    W = build_affinity(C, "subspace", n_clusters=4, dim=3, alpha=2)
    unit = B / np.maximum(np.linalg.norm(B, axis=1, keepdims=True), 1e-300)
    # C = B Bᵀ: U S Uᵀ itself, so the rows of U √S have the inner products of the rows of B
    np.testing.assert_allclose(W, np.maximum(unit @ unit.T, 0) ** 2, atol=1e-7)
    assert not build_affinity(np.zeros((5, 5)), "subspace", n_clusters=2, dim=2).any()
    assert build_affinity(np.ones((1, 1)), "subspace", n_clusters=1, dim=1).shape == (1, 1)


def test_subspace_affinity_of_points_outside_the_kept_directions_is_zero():
    rng = np.random.default_rng(9)
    weak = rng.permutation(40)[:6]
    C = rng.normal(size=(40, 40))
    C[weak] = C[:, weak] = 0
    C[np.ix_(weak, weak)] = 1e-3 * rng.normal(size=(6, 6))  # a part whose singular values are all cut away
    W = build_affinity(C, "subspace", n_clusters=2, dim=3)
    assert not W[weak].any() and (np.diag(np.delete(np.delete(W, weak, 0), weak, 1)) > 0.99).all()


def test_embedding_against_the_formula():
    W, _ = blocks([20, 15, 10], noise=0.3)
    A = W - np.diag(np.diag(W))
    D = np.diag(1 / np.sqrt(A.sum(1)))
    values, vectors = np.linalg.eigh(np.eye(45) - D @ A @ D)
    rows = vectors[:, :4] / np.linalg.norm(vectors[:, :4], axis=1, keepdims=True)
    eigenvalues, F = spectral_embedding(W, 4)
    np.testing.assert_allclose(eigenvalues, values[:4], atol=1e-10)
    np.testing.assert_allclose(F @ F.T, rows @ rows.T, atol=1e-8)  # the same up to signs
    np.testing.assert_allclose(spectral_embedding(1e-200 * W, 4)[1], F, atol=1e-8)  # scale plays no part


def test_embedding_of_a_graph_in_parts():
    W, y = blocks([12, 9, 7])
    eigenvalues, F = spectral_embedding(W, 4)
    np.testing.assert_allclose(eigenvalues[:3], 0, atol=1e-12)
    assert eigenvalues[3] > 0.5
    assert F[y == 0, 0].all() and not F[y == 0, 1:3].any()  # the largest part comes first
    assert F[y == 2, 2].all() and not F[y == 2, :2].any()
    assert (F[np.argmax(np.abs(F), axis=0), range(4)] > 0).all()


@pytest.mark.parametrize("assign", ASSIGNMENTS)
@pytest.mark.parametrize(
    "sizes, noise", [([30, 20, 25, 10], 0.2), ([30, 20, 25, 10], 0), ([6] * 20, 0.02), ([50, 50], 0.3)]
)
def test_blocks_are_found(assign, sizes, noise):
    W, y = blocks(sizes, noise)
    labels = spectral_clustering(W, len(sizes), assign=assign, seed=1)
    assert labels.dtype == np.int64 and set(labels) == set(range(len(sizes)))
    assert adjusted_rand_score(y, labels) == 1


@pytest.mark.parametrize("seed", range(5))
def test_discretization_reaches_the_best_of_all_labelings(seed):
    F = np.random.default_rng(seed).normal(size=(9, 2))
    F /= np.linalg.norm(F, axis=1, keepdims=True)

    def fit(labels):
        return np.linalg.svd(F.T @ np.eye(2)[list(labels)], compute_uv=False).sum()

    best = max(fit(labels) for labels in itertools.product(range(2), repeat=9))
    assert fit(_discretize(F, 2, seed)) == pytest.approx(best)


def test_discretization_goes_on_until_labels_and_rotation_agree():
    F = np.random.default_rng(10).normal(size=(80, 4))
    for seed in range(5):
        labels = _discretize(F, 4, seed, n_starts=1)
        U, _, Vt = np.linalg.svd(F.T @ np.eye(4)[labels])
        np.testing.assert_array_equal(np.argmax(F @ U @ Vt, axis=1), labels)


@pytest.mark.parametrize("n_clusters", [3, 12])
def test_discretization_undoes_a_rotation_from_every_start(n_clusters):
    y = np.arange(8 * n_clusters) % n_clusters
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(n_clusters, n_clusters)))[0]
    noise = 0.02 * np.random.default_rng(1).normal(size=(len(y), n_clusters))
    F = np.vstack([rotation[y] + noise, np.zeros((20, n_clusters))])  # and 20 isolated points
    for seed in range(20):
        labels = _discretize(F, n_clusters, seed, n_starts=1)
        assert adjusted_rand_score(y, labels[: len(y)]) == 1


@pytest.mark.parametrize("assign", ASSIGNMENTS)
def test_agrees_with_scikit_learn(assign):
    W, _ = blocks([40, 35, 25], noise=0.5, seed=4)
    theirs = SpectralClustering(3, affinity="precomputed", assign_labels=assign, random_state=0)
    assert adjusted_rand_score(theirs.fit_predict(W), spectral_clustering(W, 3, assign=assign)) == 1


def odd_graphs():
    rng = np.random.default_rng(5)
    isolated, _ = blocks([10, 10])
    isolated[[0, 5, 6]] = 0
    isolated[:, [0, 5, 6]] = 0
    line = np.diag(np.ones(29), 1)
    sparse = rng.uniform(size=(60, 60)) * (rng.uniform(size=(60, 60)) < 0.02)
    yield "isolated points", isolated
    yield "more parts than clusters", blocks([5, 4, 3, 3, 2, 2, 1, 1])[0]
    yield "fewer parts than clusters", blocks([12, 9])[0]
    yield "all zero", np.zeros((12, 12))
    yield "diagonal only", np.eye(12)
    yield "line", line + line.T
    yield "sparse", sparse + sparse.T
    yield "all equal", np.ones((12, 12))
    yield "pairs", np.kron(np.eye(20), 1 - np.eye(2))
    yield "tiny values", 1e-310 * blocks([8, 8])[0]
    yield "huge values", 8e307 * blocks([8, 8])[0]


@pytest.mark.parametrize("assign", ASSIGNMENTS)
@pytest.mark.parametrize("W", [pytest.param(W, id=name) for name, W in odd_graphs()])
@pytest.mark.filterwarnings("error")
def test_odd_graphs_get_labels(W, assign):
    start = time.process_time()
    for n_clusters in (1, 2, 5, len(W) - 1, len(W)):
        labels = spectral_clustering(W, n_clusters, assign=assign, seed=3)
        assert labels.shape == (len(W),) and labels.dtype == np.int64
        assert labels.min() >= 0 and labels.max() < n_clusters
        np.testing.assert_array_equal(labels, spectral_clustering(W, n_clusters, assign=assign, seed=3))
    assert np.array_equal(labels, np.arange(len(W)))  # N clusters of N points
    assert time.process_time() - start < 5


@pytest.mark.parametrize("assign", ASSIGNMENTS)
def test_isolated_points_do_not_disturb_the_others(assign):
    W, y = blocks([15, 12, 10], noise=0.1)
    alone = [3, 17]
    W[alone] = 0
    W[:, alone] = 0
    _, F = spectral_embedding(W, 3)
    assert not F[alone].any()
    others = np.setdiff1d(np.arange(len(y)), alone)
    assert adjusted_rand_score(y[others], spectral_clustering(W, 3, assign=assign)[others]) == 1


def test_more_parts_than_clusters_keeps_the_large_ones_apart():
    W, y = blocks([20, 15, 10, 2, 1])
    labels = spectral_clustering(W, 3)
    for k, other in itertools.combinations(range(3), 2):
        assert len(set(labels[y == k])) == 1 and set(labels[y == k]).isdisjoint(labels[y == other])


def test_number_of_components_differs_from_number_of_clusters():
    W, y = blocks([20, 15, 10], noise=0.1)
    assert adjusted_rand_score(y, spectral_clustering(W, 3, n_components=2)) == 1


@pytest.mark.parametrize("parts", [[200, 200, 200], [430, 170]])
def test_the_iterative_solver_agrees_with_the_dense_one(monkeypatch, parts):
    W, y = blocks(parts, noise=0.05 * (len(parts) == 2))  # three equal parts, or one connected graph
    C = np.random.default_rng(6).normal(size=(600, 600)) + 5 * (y[:, None] == y)
    calls, eigsh = [], eigen.eigsh
    monkeypatch.setattr(eigen, "eigsh", lambda *given, **options: calls.append(1) or eigsh(*given, **options))
    monkeypatch.setattr(eigen, "DENSE_LIMIT", 1000)
    dense = spectral_embedding(W, 3), build_affinity(C, "subspace", n_clusters=2, dim=3)
    assert not calls
    monkeypatch.setattr(eigen, "DENSE_LIMIT", 50)
    (values, F), affinity = spectral_embedding(W, 3), build_affinity(C, "subspace", n_clusters=2, dim=3)
    assert len(calls) == len(parts) % 2 * 2 + 2  # one for each part, one for C
    np.testing.assert_allclose(values, dense[0][0], atol=1e-8)
    np.testing.assert_allclose(F, dense[0][1], atol=1e-6)
    np.testing.assert_allclose(affinity, dense[1], atol=1e-6)


def order(kind):
    """C (300, 300) in one of the orders and types that memory may have."""
    C = np.random.default_rng(11).normal(size=(300, 300)).astype(np.float32)
    wide = np.repeat(np.repeat(C, 2, 0), 2, 1)
    read_only = C.copy()
    read_only.flags.writeable = False
    return {
        "C": C,
        "Fortran": np.asfortranarray(C),
        "strided": wide[::2, ::2],
        "backwards": C[::-1, ::-1],
        "read-only": read_only,
        "big-endian": C.astype(">f4"),
        "half": C.astype(np.float16),
        "integers": (9 * C).astype(np.int16),
        "bool": C > 0,
    }[kind]


@pytest.mark.parametrize(
    "kind", ["C", "Fortran", "strided", "backwards", "read-only", "big-endian", "half", "integers", "bool"]
)
@pytest.mark.filterwarnings("error")
def test_order_and_type_in_memory_change_nothing(kind):
    C = order(kind)
    kept = threshold_coefficients(C, 0.4)
    assert kept.dtype == (np.float64 if kind in ("half", "integers", "bool") else np.float32)
    np.testing.assert_array_equal(kept, slow_threshold(C.astype(kept.dtype), 0.4))
    plain = np.ascontiguousarray(C, dtype=np.float64)
    np.testing.assert_array_equal(build_affinity(C), np.abs(plain) + np.abs(plain).T)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int32])
def test_tensors_give_tensors_with_the_same_numbers(dtype):
    W, _ = blocks([30, 20, 25], noise=0.2)
    C = torch.from_numpy(8 * W).to(dtype)
    as_array = C.double().numpy()
    kept = threshold_coefficients(C.clone().requires_grad_(dtype.is_floating_point), 0.5)
    assert kept.dtype == (torch.float32 if dtype == torch.float32 else torch.float64) and not kept.requires_grad
    np.testing.assert_array_equal(kept.double().numpy(), threshold_coefficients(as_array, 0.5))
    for options in ({}, {"affinity": "subspace", "n_clusters": 3, "dim": 2, "alpha": 3}):
        affinity, expected = build_affinity(kept, **options), build_affinity(kept.double().numpy(), **options)
        assert affinity.dtype == torch.float64
        np.testing.assert_array_equal(affinity.numpy(), expected)
        for found, right in zip(spectral_embedding(affinity, 3), spectral_embedding(expected, 3), strict=True):
            np.testing.assert_array_equal(found.numpy(), right)
        for assign in ASSIGNMENTS:
            labels = spectral_clustering(affinity, 3, assign=assign)
            assert labels.dtype == torch.int64
            np.testing.assert_array_equal(labels.numpy(), spectral_clustering(expected, 3, assign=assign))
    for reading in (PLAIN, Reading(ratio=0.5, dim=2)):
        found, right = read_labels(kept, 3, reading), read_labels(kept.double().numpy(), 3, reading)
        for tensor, array in zip(found, right, strict=True):
            assert isinstance(tensor, torch.Tensor) and isinstance(array, np.ndarray)
            np.testing.assert_array_equal(tensor.numpy(), array)
        assert found.eigengap == right.eigengap


READINGS = {
    "plain": PLAIN,
    "paper": Reading(ratio=0.9, dim=2, alpha=2.0),
    "paper, k-means": Reading(ratio=0.9, dim=2, alpha=2.0, assign="kmeans"),
    "thresholded": Reading(affinity="plain", ratio=0.5),
    "ones": Reading(ratio=1.0, dim=3, alpha=1.0, unit_diagonal=True),
}


@pytest.mark.parametrize("name", READINGS)
def test_a_reading_is_its_three_steps(name):
    reading = READINGS[name]
    W, y = blocks([20, 15, 10], noise=0.3)
    C = W * np.random.default_rng(7).choice([-1, 1], W.shape)
    kept = threshold_coefficients(C, reading.ratio)
    options = {"n_clusters": 3, "dim": reading.dim, "alpha": reading.alpha, "unit_diagonal": reading.unit_diagonal}
    affinity = build_affinity(kept, reading.affinity, **options)
    found = read_labels(C, 3, reading, seed=4)
    np.testing.assert_array_equal(found.affinity, affinity)
    np.testing.assert_array_equal(found.labels, spectral_clustering(affinity, 3, assign=reading.assign, seed=4))
    np.testing.assert_allclose(found.eigenvalues, spectral_embedding(affinity, 4)[0], atol=1e-12)
    assert found.eigengap == pytest.approx(eigengap(affinity, 3))
    assert name != "plain" or np.array_equal(found.affinity, np.abs(C) + np.abs(C).T)


@pytest.mark.parametrize("name", READINGS)
def test_a_reading_builds_and_solves_once(name, monkeypatch):
    calls = []
    for function in ("threshold_coefficients", "build_affinity", "smallest_eigenpairs"):
        original = getattr(spectral, function)
        monkeypatch.setattr(spectral, function, lambda *a, f=function, o=original, **k: calls.append(f) or o(*a, **k))
    read_labels(blocks([8, 8, 8], noise=0.1)[0], 3, READINGS[name])
    first = ["threshold_coefficients"] if READINGS[name].ratio < 1 else []
    assert calls == [*first, "build_affinity", "smallest_eigenpairs"]


def test_readings_recover_independent_subspaces():
    data = dmsc.load_dataset("synthetic", n_samples=60, n_clusters=3, subspace_dim=2, ambient_dim=20, noise=0.0, seed=1)
    C, _ = raw_self_expression(data.Xs)
    for name in ("plain", "paper", "paper, k-means"):
        labels, W, eigenvalues = read_labels(C, 3, READINGS[name])
        assert clustering_accuracy(data.y, labels) == 1.0
        assert np.array_equal(W, W.T) and eigenvalues.shape == (4,)


def test_the_papers_affinity_is_1_on_its_diagonal():
    C = np.random.default_rng(0).normal(size=(12, 12))
    W = read_labels(C, 2, Reading(ratio=0.5, dim=2, alpha=3.0)).affinity
    np.testing.assert_allclose(np.diag(W), 1.0)


def test_as_many_clusters_as_samples_have_no_eigengap():
    W, _ = blocks([3, 2])
    for reading in (PLAIN, Reading(dim=1)):
        found = read_labels(W, 5, reading)
        assert found.labels.tolist() == [0, 1, 2, 3, 4]
        assert found.eigenvalues is None and found.eigengap is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_card_gives_the_labels_of_the_cpu():
    W, y = blocks([300, 200, 100], noise=0.3)
    C = torch.from_numpy(W).cuda()
    np.testing.assert_array_equal(threshold_coefficients(C, 0.5).cpu(), threshold_coefficients(W, 0.5))
    affinity = build_affinity(C, "subspace", n_clusters=3, dim=2)
    labels = spectral_clustering(affinity, 3)
    assert affinity.is_cuda and labels.is_cuda
    assert adjusted_rand_score(y, labels.cpu()) == 1


C = np.eye(4)
SIGNED = np.random.default_rng(8).normal(size=(6, 6))
NAN = float("nan")
HOLED = np.where(np.arange(36).reshape(6, 6) == 8, NAN, SIGNED)  # row 1, column 2

CASES = [
    ("threshold: above 1", lambda: threshold_coefficients(C, 1.5), ValueError, ("ratio", "1.5")),
    ("threshold: 0", lambda: threshold_coefficients(C, 0), ValueError, ("ratio", "got 0")),
    ("threshold: nan", lambda: threshold_coefficients(C, NAN), ValueError, ("ratio", "nan")),
    ("threshold: text", lambda: threshold_coefficients(C, "0.4"), TypeError, ("ratio", "'0.4'")),
    ("threshold: not square", lambda: threshold_coefficients(SIGNED[:, :5], 0.5), ValueError, ("C ", "(6, 5)")),
    (
        "threshold: tensor not square",
        lambda: threshold_coefficients(torch.ones(3, 4), 0.5),
        ValueError,
        ("C ", "(3, 4)"),
    ),
    ("threshold: vector", lambda: threshold_coefficients(torch.ones(3), 0.5), ValueError, ("C ", "(3,)")),
    ("threshold: nothing", lambda: threshold_coefficients(torch.ones(0, 0), 0.5), ValueError, ("C ", "(0, 0)")),
    ("threshold: nan in C", lambda: threshold_coefficients(HOLED, 0.5), ValueError, ("C ", "nan", "row 1, column 2")),
    ("threshold: complex", lambda: threshold_coefficients(1j * C, 0.5), TypeError, ("C ", "complex128")),
    ("affinity: nan", lambda: build_affinity(HOLED), ValueError, ("C ", "nan", "row 1, column 2")),
    (
        "affinity: nan in a tensor",
        lambda: build_affinity(torch.from_numpy(HOLED)),
        ValueError,
        ("C ", "nan", "row 1, column 2"),
    ),
    ("affinity: complex", lambda: build_affinity(torch.eye(3, dtype=torch.complex64)), TypeError, ("C ", "complex64")),
    ("affinity: unknown", lambda: build_affinity(C, "magic"), ValueError, ("affinity", "'magic'", "'subspace'")),
    ("affinity: no dim", lambda: build_affinity(C, "subspace", n_clusters=2), ValueError, ("dim=None",)),
    ("affinity: no K", lambda: build_affinity(C, "subspace", dim=2), ValueError, ("n_clusters=None",)),
    ("affinity: dim", lambda: build_affinity(C, "subspace", n_clusters=2, dim=0), ValueError, ("dim", "got 0")),
    (
        "affinity: alpha",
        lambda: build_affinity(C, "subspace", n_clusters=2, dim=1, alpha=0),
        ValueError,
        ("alpha", "got 0"),
    ),
    ("affinity: K", lambda: build_affinity(C, "subspace", n_clusters=2.0, dim=1), TypeError, ("n_clusters", "2.0")),
    ("clustering: K", lambda: spectral_clustering(C, 5), ValueError, ("n_clusters", "from 1 to 4", "got 5")),
    ("clustering: sparse", lambda: spectral_clustering(csr_matrix(C), 2), TypeError, "W.toarray()"),
    (
        "clustering: sparse tensor",
        lambda: spectral_clustering(torch.eye(6).to_sparse(), 2),
        TypeError,
        "W.to_dense()",
    ),
    (
        "clustering: negative",
        lambda: spectral_clustering(SIGNED + SIGNED.T, 2),
        ValueError,
        ("W ", "non-negative", "build_affinity(C)"),
    ),
    (
        "clustering: asymmetric",
        lambda: spectral_clustering(np.abs(SIGNED), 2),
        ValueError,
        ("W ", "symmetric", "build_affinity(C)"),
    ),
    ("clustering: assign", lambda: spectral_clustering(C, 2, assign="vote"), ValueError, ("assign", "'vote'")),
    (
        "clustering: discretize",
        lambda: spectral_clustering(C, 2, n_components=3, assign="discretize"),
        ValueError,
        ("n_components", "3 != 2"),
    ),
    ("clustering: seed", lambda: spectral_clustering(C, 2, seed=-1), ValueError, ("seed", "-1")),
    ("clustering: seed None", lambda: spectral_clustering(C, 2, seed=None), TypeError, ("seed", "None")),
    ("embedding: none", lambda: spectral_embedding(C, 0), ValueError, ("n_components", "from 1 to 4", "got 0")),
    ("reading: affinity", lambda: Reading(affinity="magic"), ValueError, ("affinity", "'magic'")),
    ("reading: ratio", lambda: Reading(ratio=2), ValueError, ("ratio", "got 2")),
    ("reading: dim", lambda: Reading(dim=0), ValueError, ("dim", "got 0")),
    ("reading: alpha", lambda: Reading(alpha=-1), ValueError, ("alpha", "got -1")),
    ("reading: assign", lambda: Reading(assign="vote"), ValueError, ("assign", "'vote'")),
    ("read: K", lambda: read_labels(C, 5), ValueError, ("n_clusters", "got 5")),
    ("read: nan", lambda: read_labels(HOLED, 2), ValueError, ("C ", "nan", "row 1, column 2")),
    ("read: seed", lambda: read_labels(C, 2, seed=-1), ValueError, ("seed", "-1")),
]


@by_name(CASES)
def test_bad_input(call, error, words):
    one_clear_error(call, error, words)


def test_warning_signs():
    """Rank below K, nothing but zeros, and too few different samples; silence where all may be well."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 5))
    blocks = np.kron(np.eye(4), np.ones((10, 10))).astype(np.float32) / 10  # rank 4
    assert warning_signs(blocks, [X], 4) == []
    (sign,) = warning_signs(blocks, [X], 5)
    assert "rank 4" in sign and "5 clusters" in sign
    noisy = blocks.astype(np.float64) + 1e-3 * rng.standard_normal((40, 40))
    assert np.linalg.matrix_rank(noisy) == 40 and warning_signs(noisy, [X], 40) == []
    (sign,) = warning_signs(np.full((40, 40), 1 / 40, dtype=np.float32), [X], 2)  # the start "mean" of a network
    assert "rank 1" in sign
    (sign,) = warning_signs(np.zeros((40, 40)), [X], 1)
    assert "all coefficients are 0" in sign
    few = np.repeat(np.array([[1.0, 0.0], [1.0, -0.0], [2.0, 0.0], [0.0, 2.0]]), 10, axis=0)
    (sign,) = warning_signs(blocks, [few], 4)
    assert "only 3 samples differ" in sign
    assert warning_signs(blocks, [few, X], 4) == []  # another view tells them apart
