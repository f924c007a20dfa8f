"""Whole runs on the pretended card: nothing is forgotten there, and the numbers are the CPU's up to rounding."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from dmsc.data import Dataset
from dmsc.estimators import DMSC, DSC
from dmsc.experiments import reader
from dmsc.experiments.run import run_experiment
from dmsc.networks import Architecture, Conv
from dmsc.presets import METHODS, override

N, K = 18, 3
SMALL = {"architecture": Architecture((Conv(4, 3), Conv(3, 3))), "pretrain_batch_size": 7}
SMALL |= {"pretrain_epochs": 4, "finetune_epochs": 4, "coefficients_learning_rate": 1e-4}
SMALL |= {"coefficients_init": "warm", "ratio": 0.9, "dim": 2, "alpha": 2.0}  # clusters that rounding can't move
SOLVED = {"coefficients_init": "closed-form"}
LOCAL = {"n_neighbors": 5}
FREE = {"coefficients_init": 1e-4, "coefficients_learning_rate": None}  # what anchors can't have
ONE_RATE = {"coefficients_learning_rate": None}

#: What is set on top of affinity fusion, or of another method.
SETTINGS = {
    **{f"all views: {name}": {"base": name} for name in METHODS},
    "closed form": {"solver": "closed-form", **ONE_RATE},
    "closed form, no diagonal": {"solver": "closed-form", "zero_diagonal": True, **ONE_RATE},
    "scale path": {"solver": "scale-path", **ONE_RATE},
    "start: constant": {"coefficients_init": 1e-4},
    "start: mean": {"coefficients_init": "mean"},
    "start: solved": SOLVED,
    "start: solved, relative": {**SOLVED, "relative": True},
    "neighbors": LOCAL,
    "neighbors by coefficients": {**LOCAL, "neighbors": "coefficients"},
    "neighbors, solved": {**LOCAL, **SOLVED},
    "chosen": {"n_neighbors": "auto", "neighbors": "auto", "scale": "auto"},
    "through C": {"pretrain_through": "coefficients", "pretrain_batch_size": None},
    "rates": {"network_learning_rate": 1e-4, "coefficients_learning_rate": 1e-3, "schedule": "cosine"},
    "tolerances": {"pretrain_tolerance": 0.9, "finetune_tolerance": 0.5},
    "anchors": {"anchors": 6, **FREE},
    "anchors, relative": {"anchors": 6, **FREE, "relative": True, "zero_diagonal": True},
    "bf16": {"precision": "bf16"},
    "bf16, solved at every step": {"precision": "bf16", "solver": "closed-form", **ONE_RATE},
    "bf16, anchors": {"precision": "bf16", "anchors": 6, **FREE},
    "missing views": {"missing": True},
    "missing views: cmsc-dcca": {"missing": True, "base": "cmsc-dcca"},
    **{f"missing views: {name}": {"missing": True, "base": name} for name in ("early-sum", "late-concat", "late-max")},
    "missing views, solved": {"missing": True, **SOLVED, "relative": True},
    "missing views, warm": {"missing": True},
    "missing views, neighbors": {"missing": True, **LOCAL, **SOLVED},
    "missing views, warm neighbors": {"missing": True, **LOCAL, "neighbors": "coefficients"},
}

#: Where the paper's reading hangs on the last bits of C: labels are compared in the plain one alone.
TIED = ("all views: early-sum", "start: mean", "neighbors", "neighbors, solved")


def images(generator, y):
    """Return images (N, 1, 8, 8) of K planes."""
    planes = generator.random((K, 2, 64))
    return np.stack([generator.random(2) @ planes[k] for k in y]).reshape(N, 1, 8, 8).astype(np.float32)


@pytest.fixture(scope="module")
def data():
    generator, y = np.random.default_rng(0), np.arange(N) % K
    return Dataset("planes", [images(generator, y) for _ in range(2)], y, ("a", "b"), K)


def described(base="affinity", **settings):
    return override(METHODS[base], **SMALL | settings)


def run(data, method, device, **options):
    return run_experiment(data, method, device=device, progress=False, **options)


def masked(data):
    masks = [np.arange(N) % 4 != missing for missing in range(2)]
    return replace(data, Xs=[X * has[:, None, None, None] for X, has in zip(data.Xs, masks, strict=True)], masks=masks)


def assert_same(found, expected, rel=1e-5):
    """Hold a run on the card against that on the CPU."""
    for step, history in expected.histories.items():
        for name, values in history.items():
            assert found.histories[step][name] == pytest.approx(values, rel=rel, abs=1e-6), (step, name)
    assert isinstance(found.coefficients, np.ndarray)
    np.testing.assert_allclose(
        found.coefficients, expected.coefficients, atol=20 * rel * abs(expected.coefficients).max()
    )
    assert found.record["config"] == expected.record["config"]
    assert {p.device.type for p in found.model.parameters()} == {"pretended"}


@pytest.mark.filterwarnings("ignore")  # of few epochs, and of a slow CPU
@pytest.mark.parametrize("name", SETTINGS)
def test_a_run_there_is_a_run_here(data, card, name):
    settings = dict(SETTINGS[name])
    data = masked(data) if settings.pop("missing", False) else data
    method = described(**settings)
    expected, found = (run(data, method, device) for device in ("cpu", card))
    assert found.labels.keys() == expected.labels.keys()
    if method.precision != "float32":  # each product is rounded in another place
        return assert_same(found, expected, rel=0.01)
    assert_same(found, expected)
    for reading, labels in expected.labels.items():
        if reading == "plain" or name not in TIED:
            assert np.array_equal(found.labels[reading], labels), reading
    return None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("device", ["pretended", "cpu"])
def test_an_interrupted_run_goes_on_there_and_here(data, card, device, tmp_path, monkeypatch):
    method, folder, left = described(finetune_epochs=6), tmp_path / "checkpoints", iter(range(5))
    judge = reader.corrected_consistency

    def killed(*args, **kwargs):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return judge(*args, **kwargs)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(reader, "corrected_consistency", killed)
        run(data, method, card, checkpoint_dir=folder, checkpoint_every=1)
    assert {file.name for file in folder.glob("*.pt")} == {"AE1.pt", "AE2.pt"}
    saved = torch.load(folder / "AE2.pt", map_location="cpu", weights_only=True)
    assert {value.device.type for value in saved["model"].values()} == {"cpu"}
    expected, found = run(data, method, card), run(data, method, device, checkpoint_dir=folder, resume=True)
    difference = abs(found.coefficients - expected.coefficients).max()
    assert difference <= (1e-6 if device == "pretended" else 1e-3) * abs(expected.coefficients).max()
    assert found.record["resumed"] and next(found.model.parameters()).device.type == device
    assert np.array_equal(found.labels["plain"], expected.labels["plain"])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("make", "n_views"),
    [
        (lambda **options: DSC(K, n_neighbors=None, **options), 1),
        (lambda **options: DSC("eigengap", max_clusters=5, **options), 1),
        (lambda **options: DSC(K, norm=1, reading="selected", **options), 1),
        (lambda **options: DSC(K, anchors=6, **options), 1),
        (lambda **options: DMSC(K, n_neighbors=None, **options), 2),
        (lambda **options: DMSC(K, fusion="cmsc-dcca", **options), 2),
        (lambda **options: DMSC(K, fusion="late", reading="paper", reading_options={"dim": 2}, **options), 2),
    ],
    ids=["dsc", "dsc, K unknown", "dsc, selected", "anchors", "dmsc", "dmsc, neighbors", "dmsc, late"],
)
def test_estimators_compute_there(data, card, make, n_views):
    common = {"settings": {"convolutions": SMALL["architecture"].convolutions}, "random_state": 0}
    options = {"pretrain_epochs": 3, "finetune_epochs": 3, **common}
    Xs = data.Xs if n_views > 1 else data.Xs[0]
    expected, found = (make(device=str(device), **options).fit(Xs) for device in ("cpu", card))
    assert {p.device for p in found.model_.parameters()} == {card}
    np.testing.assert_allclose(found.coefficients_, expected.coefficients_, atol=1e-3)
    assert np.array_equal(found.labels_, expected.labels_) and found.n_clusters_ == expected.n_clusters_
    assert np.array_equal(found.predict(Xs), expected.predict(Xs))
    again = pickle.loads(pickle.dumps(found))
    assert np.array_equal(again.predict(Xs), found.predict(Xs))
