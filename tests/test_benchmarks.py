"""The baseline of every ratio does the mathematics of the package, and what benchmarks count is what there is."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from dmsc.data.dataset import Dataset
from dmsc.losses import finetuning_terms, weighted_squared_error
from dmsc.paths import ROOT
from dmsc.presets import preset
from dmsc.spectral import build_affinity, threshold_coefficients


@pytest.fixture(scope="module")
def scripts():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import epochs
    import listing

    yield listing, epochs
    sys.path.remove(str(ROOT / "benchmarks"))


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(0)
    Xs = [generator.random((30, 1, 42, 42), dtype=np.float32) for _ in range(2)]
    return Dataset("random", Xs, np.arange(30) % 5, ("a", "b"), 5)


@pytest.mark.parametrize("way", ["dmsc", "dmsc, plain"])
@pytest.mark.parametrize("task", ["pretrain", "finetune"])
def test_listing_and_package_have_the_same_losses(scripts, data, task, way):
    listing, epochs = scripts
    torch.manual_seed(0)
    Xs = [torch.tensor(X) for X in data.Xs]
    source = listing.ListingNetwork(30)
    model = epochs.network_like(source, data, torch.device("cpu"))
    theirs = epochs.steps("listing", task, source, Xs, data)
    ours = epochs.steps(way, task, model, Xs, data)
    for _ in range(10):
        assert ours() == pytest.approx(theirs(), rel=1e-4)


def test_the_listings_loss_is_the_presets(scripts, data):
    listing, epochs = scripts
    torch.manual_seed(0)
    Xs, loss = [torch.tensor(X) for X in data.Xs], preset("affinity", "bdgp", 5).loss
    source = listing.ListingNetwork(30)
    model = epochs.network_like(source, data, torch.device("cpu"))
    with torch.no_grad():
        expected = float(sum(finetuning_terms(model, Xs, loss).values()))
        autoencoders = float(weighted_squared_error(Xs, model.autoencode(Xs), loss.reconstruction))
    optimizer = torch.optim.SGD(source.parameters(), lr=0.0)
    assert float(listing.finetune_epoch(source, *Xs, optimizer)) == pytest.approx(expected, rel=1e-5)
    assert float(listing.pretrain_epoch(source, *Xs, optimizer)) == pytest.approx(autoencoders, rel=1e-5)


def test_the_listings_affinity_is_the_packages(scripts):
    listing, _ = scripts
    generator = np.random.default_rng(0)
    C = generator.standard_normal((60, 60)) * (generator.random((60, 60)) < 0.4)
    np.testing.assert_array_equal(listing.thrC(C, 0.4), threshold_coefficients(C, 0.4))
    expected = listing.subspace_affinity(C, 3, d=4, alpha=3.0)
    np.testing.assert_allclose(build_affinity(C, "subspace", n_clusters=3, dim=4, alpha=3.0), expected, atol=1e-6)


def test_arithmetic_is_counted_as_by_hand(scripts, data):
    listing, epochs = scripts
    model = epochs.network_like(listing.ListingNetwork(30), data, torch.device("cpu"))
    found = epochs.arithmetic(model, 2500)
    by_hand = 441 * (16 * 10 + 9 * 200) + 100 * 16 * 600 + 100 * 16 * 600 + 400 * (9 * 200 + 16 * 10)
    assert found["convolutions"] == pytest.approx(2 * 3 * 2 * 2500 * by_hand / 1e9, abs=0.01)
    assert found["products with C"] == 225.0
    up = 441 * (16 * 256 + 9 * 512) + 2 * 100 * 16 * 1024 + 400 * (9 * 512 + 16 * 256)
    assert found["convolutions, channels rounded up"] == pytest.approx(2 * 3 * 2 * 2500 * up / 1e9, abs=0.01)


@pytest.mark.parametrize("task", ["pretrain", "finetune"])
def test_pytorch_counts_the_plain_ways_arithmetic(scripts, data, task):
    """All of it but the gradients of the first layers by the images, which nobody asks for."""
    listing, epochs = scripts
    model = epochs.network_like(listing.ListingNetwork(30), data, torch.device("cpu"))
    expected = epochs.arithmetic(model, 30)
    first = 2 * 2 * 30 * 441 * 160 / 1e9
    expected = expected["convolutions"] + expected["products with C"] * (task == "finetune") - first
    found = epochs.counted(epochs.steps("dmsc, plain", task, model, [torch.tensor(X) for X in data.Xs], data))
    assert found == pytest.approx(expected, abs=0.02)


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_without_a_card_bench_gpu_says_so_once_and_measures_nothing(tmp_path):
    """The recipe with this Python; as if all were installed, and no card were seen."""
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    python = tmp_path / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    shutil.copytree(ROOT / "benchmarks", tmp_path / "benchmarks", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text(encoding="utf-8"), encoding="utf-8")
    run = subprocess.run(
        ["make", "-s", "bench-gpu", "--assume-old=env"],
        cwd=tmp_path,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )
    told = run.stderr.splitlines()
    assert run.returncode != 0 and "CUDA" in told[0] and "'make bench'" in told[0]
    assert len([line for line in told if "***" not in line]) == 1 and run.stdout == ""
    assert not (tmp_path / "results").exists()
