"""From a dataset to a record."""

import json

import numpy as np
import pytest
import torch

import dmsc
from dmsc.experiments import fitting
from dmsc.experiments import run as experiment
from dmsc.experiments.run import run_experiment, run_id
from dmsc.presets import BASELINES, METHODS, preset


@pytest.fixture(scope="module")
def data():
    return dmsc.load_dataset("synthetic", n_samples=60, n_clusters=3, subspace_dim=2, ambient_dim=20, noise=0.0, seed=1)


@pytest.fixture
def method():
    return preset(
        "affinity",
        "synthetic",
        3,
        pretrain_epochs=30,
        finetune_epochs=30,
        coefficients_init="ridge",
        dim=2,
        alpha=2.0,
    )


def test_record_is_whole_and_labels_are_the_metrics(data, method):
    found = run_experiment(data, method, device="cpu", progress=False)
    record = json.loads(json.dumps(found.record, allow_nan=False))
    assert record["config"]["method"]["finetune_epochs"] == 30
    assert set(record["seconds"]) == {"pretrain", "finetune", "selection", "clustering", "raw_baseline"}
    assert {"torch", "numpy", "dmsc"} <= set(record["environment"]["versions"])
    for post in ("plain", "paper", "selected"):
        expected = dmsc.metrics.score(data.y, found.labels[post])
        assert {name: record["metrics"]["network"][post][name] for name in expected} == pytest.approx(expected)
    assert record["metrics"]["raw"]["plain"]["acc"] == 1.0  # independent linear subspaces: the raw data suffice
    assert record["label_free"]["objective"] == found.histories["finetune"]["loss"][-1]
    assert record["shorter_than_paper"] is False
    assert [c["epoch"] for c in record["selection"]["candidates"][::2]] == list(range(3, 31, 3))


def test_same_seed_gives_the_same_labels_bit_for_bit(data, method):
    first, second = (run_experiment(data, method, seed=5, device="cpu", progress=False) for _ in range(2))
    assert np.array_equal(first.coefficients, second.coefficients)
    for post in ("plain", "paper"):
        assert np.array_equal(first.labels[post], second.labels[post])


def test_labels_touch_metrics_only(data, method):
    blind = dmsc.Dataset(data.name, data.Xs, None, data.view_names, data.n_clusters)
    seen, unseen = (run_experiment(d, method, device="cpu", progress=False) for d in (data, blind))
    assert np.array_equal(seen.coefficients, unseen.coefficients)
    for post in ("paper", "selected"):
        assert np.array_equal(seen.labels[post], unseen.labels[post])
    assert set(unseen.record["metrics"]["network"]["plain"]) == {"eigengap"}


@pytest.mark.parametrize(("function", "calls"), [("finetune", 0), ("subspace_consistency", 9), ("affinity", 0)])
def test_interrupted_run_resumes_to_the_same_metrics(data, method, tmp_path, monkeypatch, function, calls):
    """Killed before fine-tuning, in its midst (between two checks of the labels), and when it was done."""
    expected = run_experiment(data, method, device="cpu", progress=False)
    folder = tmp_path / "checkpoints"
    module = experiment if function == "affinity" else fitting
    original, left = getattr(module, function), iter(range(calls))

    def killed(*args, **kwargs):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(module, function, killed)
        with pytest.raises(KeyboardInterrupt):
            run_experiment(data, method, device="cpu", checkpoint_dir=folder, checkpoint_every=7, progress=False)
    found = run_experiment(data, method, device="cpu", checkpoint_dir=folder, resume=True, progress=False)
    assert found.record["metrics"] == expected.record["metrics"]
    assert found.record["selection"] == expected.record["selection"]
    assert found.histories == expected.histories
    assert found.record["resumed"] is True


def test_single_view_methods_use_the_first_view(data):
    method = preset("dsc-l2", "synthetic", 3, pretrain_epochs=1, finetune_epochs=1)
    found = run_experiment(data, method, device="cpu", progress=False)
    assert len(found.model.encoders) == 1 and len(found.record["config"]["views"]) == 1


def test_run_id_stands_for_the_configuration(data, method):
    other = preset("affinity", "synthetic", 3, finetune_epochs=31)
    assert run_id(data, method, 0) == run_id(data, method, 0)
    assert len({run_id(data, method, 0), run_id(data, method, 1), run_id(data, other, 0)}) == 3


def test_warm_start_is_the_closed_form(data, method):
    model = fitting.build_model(data, method)
    Xs = dmsc.devices.as_tensors(data.Xs)
    fitting.warm_start(model, Xs, method)
    Zs = [Z.detach().double().numpy() for Z in model.encode(Xs)]
    ridge = method.loss.lambda_regularization / method.loss.lambda_self_expression
    expected = dmsc.ridge_self_expression(Zs, ridge, zero_diagonal=method.zero_diagonal).numpy()
    np.testing.assert_allclose(model.coefficients, expected, atol=1e-5)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_runs_from_data_to_record(name):
    data = dmsc.load_dataset("digits", n_per_class=3)
    options = {} if name != "listing" else {"architecture": METHODS["affinity"].architecture}
    method = preset(name, "digits", 10, pretrain_epochs=1, finetune_epochs=2, dim=1, **options)
    found = run_experiment(data, method, device="cpu", progress=False)
    used = 1 if method.fusion == "none" else 2
    assert len(found.model.decoders) == used == len(found.record["config"]["views"])
    assert len(found.model.latent_shapes) == used and found.coefficients.shape == (30, 30)
    assert len(found.model.encoders) == (2 if method.fusion == "affinity" else 1)
    assert len(found.model.projections) == (2 if name == "cmsc-dcca" else 0)


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_every_baseline_runs_from_data_to_record(name, data):
    found = run_experiment(data, preset(name, "synthetic", 3, dim=2), device="cpu")
    record = json.loads(json.dumps(found.record, allow_nan=False))
    assert record["metrics"]["baseline"].keys() == {"plain", "paper", "selected"}
    assert found.coefficients.shape == (60, 60) and found.model is None and found.histories == {}
    assert record["config"]["method"]["algorithm"] == name


def test_affinity_fusion_of_one_view_is_dsc():
    data = dmsc.load_dataset("digits", n_per_class=3)
    image = dmsc.Dataset("digits", data.Xs[:1], data.y, data.view_names[:1])
    short = {"pretrain_epochs": 2, "finetune_epochs": 3, "dim": 1}
    dsc, affinity = (
        run_experiment(image, preset(name, "digits", 10, **short), device="cpu", progress=False)
        for name in ("dsc-l2", "affinity")
    )
    assert dsc.histories == affinity.histories
    assert np.array_equal(dsc.coefficients, affinity.coefficients)


def test_as_many_clusters_as_samples_still_gives_a_record():
    """There is no eigenvalue after the last one, so no eigengap: not an error after the training."""
    rng = np.random.default_rng(0)
    data = dmsc.Dataset("singles", [rng.normal(size=(4, 6))], np.arange(4))
    method = preset("dsc-l2", "singles", 4, pretrain_epochs=1, finetune_epochs=1, dim=1)
    scores = run_experiment(data, method, device="cpu", progress=False).record["metrics"]["network"]
    assert scores["plain"]["acc"] == 1.0 and scores["plain"]["eigengap"] is None


@pytest.mark.parametrize("solver", ["closed-form", "scale-path"])
def test_solvers_go_from_data_to_record_and_resume(data, method, solver, tmp_path, monkeypatch):
    chosen = dmsc.presets.override(method, solver=solver, schedule="cosine", pretrain_batch_size=20)
    assert run_id(data, chosen, 0) != run_id(data, method, 0)
    options = {"device": "cpu", "checkpoint_every": 4, "progress": False}
    whole = run_experiment(data, chosen, **options)
    assert whole.record["config"]["method"]["solver"] == solver
    epochs = [c["epoch"] for c in whole.record["selection"]["candidates"][::2]]
    assert epochs == ([*range(-9, 0), 30] if solver == "scale-path" else [*range(3, 31, 3)])

    class Stop(Exception):
        pass

    steps, step = [], torch.optim.Adam.step

    def stopping(optimizer, *given):
        steps.append(1)
        if len(steps) == 30 * 3 + 10:  # 30 epochs of pre-training take three batches each
            raise Stop
        return step(optimizer, *given)

    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", stopping)
        with pytest.raises(Stop):
            run_experiment(data, chosen, checkpoint_dir=tmp_path, **options)
    again = run_experiment(data, chosen, checkpoint_dir=tmp_path, resume=True, **options)
    assert again.record["resumed"] is True
    assert np.array_equal(again.coefficients, whole.coefficients)
    assert again.record["metrics"] == whole.record["metrics"]


def test_stopping_early_is_said(data, method):
    chosen = dmsc.presets.override(method, finetune_tolerance=0.5, paper_epochs=30)
    found = run_experiment(data, chosen, device="cpu", progress=False)
    ran = len(found.histories["finetune"]["loss"])
    assert ran < 30 and found.record["shorter_than_paper"] is True
    assert found.record["selection"]["candidates"][-1]["epoch"] == ran
