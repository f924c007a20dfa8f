"""Labels off coefficients that lie in several processes: those of one."""

import numpy as np
import pytest
import torch
from several_processes import in_processes

from dmsc.sharded_spectral import block_eigenpairs, read_sharded_labels, sharded_affinity, smallest_sharded_eigenpairs
from dmsc.sharding import Shard
from dmsc.spectral import PLAIN, Reading, read_labels

K = 4
SUBSPACE = Reading(ratio=0.3, dim=3, alpha=2.0)
READINGS = {
    "plain": PLAIN,
    "thresholded": Reading(affinity="plain", ratio=0.4),
    "subspace": SUBSPACE,
    "unit diagonal": Reading(ratio=0.6, dim=2, alpha=4.0, unit_diagonal=True, assign="kmeans"),
    "all of C": Reading(ratio=1.0, dim=3, alpha=2.0),
}


def blocks(n_samples=150, seed=0, noise=0.05, dtype=np.float32):
    """Coefficients of K shuffled blocks, with noise between them."""
    random = np.random.default_rng(seed)
    y = random.permutation(np.arange(n_samples) % K)
    C = noise * random.standard_normal((n_samples, n_samples)) + (y[:, None] == y) * random.random((n_samples,) * 2)
    np.fill_diagonal(C, 0)
    return C.astype(dtype)


def ties(n_samples=150):
    return np.sign(blocks(n_samples)) * np.round(np.abs(blocks(n_samples)), 1)


def parts(n_samples=150):
    """Separate blocks, of which one falls into two; two samples that know nobody."""
    C = blocks(n_samples, noise=0.0)
    C[:, [5, 40]], C[[5, 40]] = 0, 0
    return C


COEFFICIENTS = {"noise": blocks, "ties": ties, "parts": parts, "none": lambda: np.zeros((150, 150), np.float32)}
#: What is read in how many processes. Ones on the diagonal of nothing are left out: every vector is an eigenvector.
CASES = {
    2: [
        ("noise", "plain"),
        ("ties", "thresholded"),
        ("parts", "subspace"),
        ("parts", "plain"),
        ("noise", "unit diagonal"),
    ],
    4: [("none", "subspace"), ("ties", "all of C"), ("parts", "thresholded"), ("noise", "subspace")],
}


def read_all(cases):
    """Return, of this process, labels, eigenvalues and its rows of W for every case."""
    found = {}
    for data, name in cases:
        C = torch.tensor(COEFFICIENTS[data]())
        shard = Shard(len(C))
        read = read_sharded_labels(C[shard.rows], K, READINGS[name], seed=3, shard=shard)
        found[data, name] = read, sharded_affinity(C[shard.rows], K, READINGS[name], shard)
    return found


def by_first(labels):
    """Number clusters as they appear: among eigenvectors to equal eigenvalues rounding chooses a basis."""
    names = {}
    return [names.setdefault(label, len(names)) for label in labels.tolist()]


@pytest.mark.slow
@pytest.mark.parametrize("processes", CASES)
def test_labels_are_those_of_one_process(processes):
    several = in_processes(processes, read_all, CASES[processes])
    for data, name in CASES[processes]:
        one = read_labels(torch.tensor(COEFFICIENTS[data]()), K, READINGS[name], seed=3)
        for read, _ in (found[data, name] for found in several):
            assert by_first(read.labels) == by_first(one.labels), (data, name)
            torch.testing.assert_close(read.eigenvalues, one.eigenvalues, rtol=0, atol=1e-9)
        W = torch.cat([found[data, name][1] for found in several])
        torch.testing.assert_close(W, one.affinity, rtol=1e-6, atol=1e-8)
        if name == "thresholded":  # the same entries are kept, to the last bit
            assert W.equal(one.affinity)


@pytest.mark.parametrize("which", ["largest", "largest in magnitude"])
@pytest.mark.parametrize("spectrum", ["spread", "multiple", "clustered", "low rank"])
def test_block_method_against_all_eigenvalues(which, spectrum):
    random, n, k = np.random.default_rng(1), 300, 12
    values = {
        "spread": np.linspace(-1, 1.1, n),
        "multiple": np.r_[np.full(5, 2.0), np.full(4, -2.1), np.full(7, 1.9), np.zeros(n - 16)],
        "clustered": 1 - np.linspace(0, 1, n) ** 3,
        "low rank": np.r_[5.0, -4.0, 3.0, np.zeros(n - 3)],
    }[spectrum]
    Q, _ = np.linalg.qr(random.standard_normal((n, n)))
    M = torch.tensor((Q * values) @ Q.T)
    M, shard = (M + M.T) / 2, Shard(n, 0, 1)
    start = torch.tensor(random.standard_normal((n, k + 10)))
    found, vectors = block_eigenpairs(lambda V: M @ V, start, k, which, shard)
    order = np.argsort(-(np.abs(values) if which != "largest" else values), kind="stable")[:k]
    np.testing.assert_allclose(found, values[order], atol=1e-9)
    torch.testing.assert_close(M @ vectors, vectors * found, rtol=0, atol=1e-9)
    torch.testing.assert_close(vectors.T @ vectors, torch.eye(k, dtype=torch.float64), rtol=0, atol=1e-10)


def test_what_does_not_settle_is_said(monkeypatch):
    monkeypatch.setattr("dmsc.sharded_spectral.BLOCKS", 2)
    M = torch.diag(torch.linspace(0, 1, 500, dtype=torch.float64))
    start = torch.tensor(np.random.default_rng(0).standard_normal((500, 6)))
    with pytest.warns(UserWarning, match="settled"):
        block_eigenpairs(lambda V: M @ V, start, 3, "largest", Shard(500, 0, 1))


def test_fewer_samples_than_vectors():
    A = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    values, vectors = smallest_sharded_eigenpairs(A, 3, Shard(3, 0, 1))
    torch.testing.assert_close(values, torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close(vectors.abs()[2], torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64), rtol=0, atol=1e-12)
