"""What is fitted: each thing once, as far as it is asked for, with the time of every phase."""

import math
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from bad_input import one_clear_error

import dmsc
from dmsc.baselines import ALGORITHMS
from dmsc.data.corruption import corrupt
from dmsc.devices import as_tensors, seed_everything
from dmsc.experiments import fitting, memory, reader
from dmsc.experiments.fitting import build_model, fit_baseline, fit_network, start_coefficients
from dmsc.experiments.reader import used_views
from dmsc.experiments.run import run_experiment
from dmsc.metrics import clustering_accuracy
from dmsc.presets import BASELINES, METHODS, preset
from dmsc.selection import corrected_consistency
from dmsc.self_expression import choose_ridge, raw_self_expression, ridge_self_expression, unit_rows
from dmsc.solvers.anchored_training import finetune_anchored
from dmsc.solvers.anchors import anchored_clustering, anchored_ridge, choose_anchors
from dmsc.spectral import PLAIN, read_labels
from dmsc.training import pretrain

SHORT = {"pretrain_epochs": 4, "finetune_epochs": 20, "coefficients_init": "closed-form", "dim": 2, "alpha": 2.0}


@pytest.fixture(scope="module")
def data():
    return dmsc.load_dataset("synthetic", n_samples=60, n_clusters=3, subspace_dim=2, ambient_dim=20, noise=0.0, seed=1)


@pytest.fixture
def method():
    return preset("affinity", "synthetic", 3, **SHORT)


def replace_in_both(monkeypatch, name, function):
    """Replace a function where the two modules look it up."""
    for module in (fitting, reader):
        if hasattr(module, name):
            monkeypatch.setattr(module, name, function)


@pytest.fixture
def calls(monkeypatch):
    """Count what is called from the modules: name -> how often."""
    counts = Counter()
    for name in ("choose_ridge", "corrected_consistency", "read_labels", "ridge_self_expression", "pretrain"):
        original = getattr(reader, name, None) or getattr(fitting, name)

        def counted(*given, name=name, original=original, **options):
            counts[name] += 1
            return original(*given, **options)

        replace_in_both(monkeypatch, name, counted)
    return counts


def test_a_warm_start_is_the_closed_form_on_unit_rows_of_the_latents(data):
    method = preset("affinity", "synthetic", 3, coefficients_init="warm", norm=1)
    model = build_model(data, method)
    Xs = as_tensors(data.Xs, "cpu", 1.0)
    start_coefficients(model, Xs, method, None)
    with torch.no_grad():
        Zs = unit_rows([Z.numpy() for Z in model.encode(Xs)])
    expected = ridge_self_expression(Zs, choose_ridge(Zs))
    torch.testing.assert_close(model.self_expression.weight.detach(), expected.float())
    assert not model.self_expression.weight.diagonal().any()


def test_from_the_mean_every_sample_begins_as_the_mean_of_all(data):
    model = build_model(data, preset("affinity", "synthetic", 3, coefficients_init="mean"))
    with torch.no_grad():
        Zs, Zs_hat, _ = model(as_tensors(data.Xs, "cpu", 1.0))
    for Z, Z_hat in zip(Zs, Zs_hat, strict=True):
        torch.testing.assert_close(Z_hat, Z.mean(0).expand_as(Z))


@pytest.mark.parametrize(
    ("readings", "raw", "expected"),
    [
        (("plain",), False, {"read_labels": 1}),
        (("paper",), False, {"read_labels": 1}),
        (("plain", "paper"), False, {"read_labels": 2}),
        ((), False, {}),
        (("selected",), False, {"choose_ridge": 1, "read_labels": 20, "corrected_consistency": 20}),
        (("plain",), True, {"choose_ridge": 1, "read_labels": 2, "ridge_self_expression": 1}),
        (
            ("plain", "paper", "selected"),
            True,
            {"choose_ridge": 1, "read_labels": 22, "corrected_consistency": 20, "ridge_self_expression": 1},
        ),
    ],
)
def test_a_network_computes_what_is_asked_for(data, method, calls, readings, raw, expected):
    fit = fit_network(data, method, readings=readings, raw=raw, progress=False)
    calls["ridge_self_expression"] -= 1  # the warm start
    calls["pretrain"] -= 1
    assert +calls == expected
    names = {"plain", "paper"} if "selected" in readings else set(readings)
    assert set(fit.labels) == names and set(fit.raw) == (names if raw else set())
    assert (fit.ridge is None) == ("choose_ridge" not in expected)


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        (("plain",), {"read_labels": 1}),
        ((), {}),
        (("plain", "paper", "selected"), {"choose_ridge": 1, "read_labels": 2, "corrected_consistency": 2}),
    ],
)
def test_a_baseline_computes_what_is_asked_for(data, calls, readings, expected):
    fit_baseline(data, preset("ssc", "synthetic", 3), readings=readings)
    assert calls == expected


def test_a_run_reads_every_c_once_with_each_reading(data, method, monkeypatch):
    """Ten epochs and the raw baseline; each affinity and each embedding is made once, and the penalty chosen once."""
    read, counts, original = [], Counter(), reader.read_labels

    def observed(C, n_clusters, reading, seed):
        read.append((np.asarray(C).tobytes(), reading))
        return original(C, n_clusters, reading, seed)

    monkeypatch.setattr(reader, "read_labels", observed)
    for module, name in (
        (reader, "choose_ridge"),
        (dmsc.spectral, "smallest_eigenpairs"),
        (dmsc.spectral, "eigenpairs"),
    ):
        function = getattr(module, name)

        def counted(*given, name=name, function=function):
            counts[name] += 1
            return function(*given)

        monkeypatch.setattr(module, name, counted)
    run_experiment(data, method, device="cpu", progress=False)
    assert len(read) == len(set(read)) == 22
    assert counts == {"choose_ridge": 1, "smallest_eigenpairs": 22, "eigenpairs": 11}


#: What each function costs on a clock of our own.
COSTS = {
    "seed_everything": 1,
    "pretrain": 10,
    "_relative_reconstruction_error": 20,
    "finetune": 100,
    "finetune_scale_path": 200,
    "unit_rows": 1e3,
    "choose_ridge": 2e3,
    "ridge_self_expression": 1e4,
    "corrected_consistency": 1e5,
    "read_labels": 1e6,
}


@pytest.fixture
def costs(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(reader, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    for name, cost in COSTS.items():
        original = getattr(reader, name, None) or getattr(fitting, name)

        def costly(*given, cost=cost, original=original, **options):
            now[0] += cost
            return original(*given, **options)

        replace_in_both(monkeypatch, name, costly)
    return now


def test_every_phase_of_a_network_is_timed(data, method, costs):
    fit = fit_network(data, method, raw=True, progress=False)
    checks = 2 * (1e5 + 1e6)
    assert fit.seconds == {
        "setup": 1,
        "pretrain": 10 + 20,
        "finetune": 100 + 1e4,  # with the start in closed form
        "penalty": 1e3 + 2e3,
        "selection": 9 * checks,
        "clustering": checks,
        "raw_baseline": 1e4 + 2e6,
    }
    assert sum(fit.seconds.values()) == costs[0]


def test_every_phase_of_a_baseline_is_timed(data, costs, monkeypatch):
    def solve(*given, **options):
        costs[0] += 7
        return ALGORITHMS["ssc"](*given, **options)

    monkeypatch.setattr(fitting, "ALGORITHMS", {"ssc": solve})
    fit = fit_baseline(data, preset("ssc", "synthetic", 3))
    assert fit.seconds == {"solve": 1e3 + 7, "penalty": 2e3, "clustering": 2 * (1e5 + 1e6)}
    assert sum(fit.seconds.values()) == costs[0]


def test_the_scales_of_a_path_are_looked_at_in_its_time(data, costs):
    method = preset("affinity", "synthetic", 3, solver="scale-path", **{**SHORT, "coefficients_init": 0.0})
    fit = fit_network(data, method, progress=False)
    assert fit.seconds["finetune"] == 200 and fit.seconds["selection"] == 9 * 2 * (1e5 + 1e6)
    assert [c.epoch for c in fit.candidates[::2]] == [*range(-9, 0), 20]


def test_a_fit_carries_what_its_parts_give(data, method):
    fit = fit_network(data, method, seed=3, raw=True, progress=False)
    assert fit.epochs == 20 == len(fit.histories["finetune"]["loss"]) and len(fit.histories["pretrain"]["loss"]) == 4
    np.testing.assert_array_equal(fit.coefficients, fit.model.coefficients)
    raw, ridge = raw_self_expression(data.Xs)
    assert fit.ridge == ridge == choose_ridge(unit_rows(data.Xs))
    rows = np.hstack(unit_rows(data.Xs))
    for name, reading in (("plain", PLAIN), ("paper", method.reading)):
        for labels, C in ((fit.labels[name], fit.coefficients), (fit.raw[name], raw)):
            for found, expected in zip(labels, read_labels(C, 3, reading, 3), strict=True):
                np.testing.assert_array_equal(found, expected)
        last = next(c for c in fit.candidates[-2:] if c.reading == name)
        assert last.epoch == 20 and np.array_equal(last.labels, fit.labels[name].labels)
        assert last.consistency == corrected_consistency(rows, last.labels, ridge)
        assert last.eigengap == fit.labels[name].eigengap
    assert [(c.epoch, c.reading) for c in fit.candidates] == [
        (epoch, name) for epoch in range(2, 21, 2) for name in ("plain", "paper")
    ]
    assert [X.shape for X in fit.Xs] == [X.shape for X in data.Xs] and fit.masks is None


def test_the_error_of_pretraining_is_relative_and_over_what_samples_have(data):
    gappy = corrupt(data, missing=0.4)
    method = preset("affinity", "synthetic", 3, **{**SHORT, "finetune_epochs": 0, "coefficients_init": 0.0})
    fit = fit_network(gappy, method, readings=(), progress=False)
    error = norm = 0.0
    for X, X_hat, mask in zip(gappy.Xs, fit.model.autoencode(fit.Xs, fit.masks), gappy.masks, strict=True):
        error += ((X - X_hat.detach().numpy())[mask].astype(np.float64) ** 2).sum()
        norm += (X.astype(np.float64) ** 2).sum()
    assert fit.pretrain_error == pytest.approx(error / norm, rel=1e-5)


def test_a_baseline_is_solved_on_unit_rows_side_by_side(data):
    fit = fit_baseline(data, preset("ridge", "synthetic", 3, ridge=0.3), seed=2)
    expected = ridge_self_expression(unit_rows(data.Xs), 0.3).numpy()
    np.testing.assert_allclose(fit.coefficients, expected, atol=1e-10)
    for found, right in zip(fit.labels["plain"], read_labels(fit.coefficients, 3, PLAIN, 2), strict=True):
        np.testing.assert_array_equal(found, right)
    weighted = fit_baseline(data, preset("ridge", "synthetic", 3, ridge=0.3, weights=(3, 0.5)))
    expected = ridge_self_expression(unit_rows(data.Xs), 0.3, weights=(3, 0.5)).numpy()
    np.testing.assert_allclose(weighted.coefficients, expected, atol=1e-10)
    assert fit.model is None and fit.histories == {} and fit.raw == {} and fit.epochs == 0


def test_warm_start_is_the_closed_form(data, method):
    model = build_model(data, method)
    Xs = as_tensors(data.Xs)
    start_coefficients(model, Xs, method, None)
    Zs = [Z.detach().double().numpy() for Z in model.encode(Xs)]
    ridge = method.loss.lambda_regularization / method.loss.lambda_self_expression
    expected = ridge_self_expression(Zs, ridge, zero_diagonal=method.zero_diagonal).numpy()
    np.testing.assert_allclose(model.coefficients, expected, atol=1e-5)


def test_network_and_coefficients_learn_at_rates_of_their_own(data, method):
    """Adam's first step moves every entry by its rate."""

    def moved(**rates):
        fits = [
            fit_network(data, preset("affinity", "synthetic", 3, **SHORT | {"finetune_epochs": n} | rates), readings=())
            for n in (0, 1)
        ]
        networks = [torch.cat([p.detach().flatten() for p in fit.model.autoencoder_parameters()]) for fit in fits]
        return [float(abs(after - before).max()) for before, after in ([fit.coefficients for fit in fits], networks)]

    assert moved() == pytest.approx([1e-3, 1e-3], rel=0.01)
    assert moved(coefficients_learning_rate=1e-5) == pytest.approx([1e-5, 1e-3], rel=0.02)
    assert moved(network_learning_rate=1e-2) == pytest.approx([1e-3, 1e-2], rel=0.02)
    both = {"network_learning_rate": 1e-2, "coefficients_learning_rate": 1e-4, "learning_rate": 1e-3}
    assert moved(**both) == pytest.approx([1e-4, 1e-2], rel=0.02)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_networks_are_built_as_they_are_described(name):
    data = dmsc.load_dataset("digits", n_per_class=3)
    options = {} if name != "listing" else {"architecture": METHODS["affinity"].architecture}
    method = preset(name, "digits", 10, coefficients_init=0.25, **options)
    model = build_model(data, method)
    used = used_views(data, method)
    assert len(used) == len(model.decoders) == len(model.latent_shapes) == (1 if method.fusion == "none" else 2)
    assert len(model.encoders) == model.n_latents == (2 if method.fusion == "affinity" else 1)
    assert len(model.projections) == (2 if name == "cmsc-dcca" else 0)
    off_diagonal = model.coefficients[~np.eye(30, dtype=bool)]
    assert (off_diagonal == 0.25).all() and (model.coefficients.diagonal() == 0).all() == method.zero_diagonal


def test_a_network_of_one_view_takes_samples_that_lack_it(data):
    """Those are expressed by nobody and by nothing, and still get labels."""
    gappy = corrupt(data, missing=0.4)
    method = preset("dsc-l2", "synthetic", 3, **SHORT)
    fit = fit_network(gappy, method, raw=True, progress=False)
    lacking = ~gappy.masks[0]
    assert lacking.any() and len(fit.masks) == 1
    for labels in (*fit.labels.values(), *fit.raw.values()):
        assert labels.labels.shape == (60,)
    assert not fit.raw["plain"].affinity[lacking].any()
    assert clustering_accuracy(data.y[~lacking], fit.raw["plain"].labels[~lacking]) > 0.9


@pytest.mark.parametrize("kind", ["network", "baseline", "run of a network", "run of a baseline", "estimator"])
def test_memory_that_cannot_be_had_is_said_before_training(data, method, calls, kind, monkeypatch):
    asked = []
    monkeypatch.setattr(memory, "available_memory", lambda device: asked.append(device) or 2**16)
    monkeypatch.setattr(fitting, "SubspaceNetwork", None)  # not even C is made
    fits = {
        "network": lambda: fit_network(data, method),
        "baseline": lambda: fit_baseline(data, BASELINES["lrr"]),
        "run of a network": lambda: run_experiment(data, method, device="cpu"),
        "run of a baseline": lambda: run_experiment(data, BASELINES["lrr"]),
        "estimator": lambda: dmsc.DSC(3, anchors=None, device="cpu").fit(data.Xs[0]),
    }
    one_clear_error(fits[kind], ValueError, ("60 samples", "GiB", "anchors", "'cpu'"))
    assert asked == [torch.device("cpu")] and not calls


def test_memory_that_is_not_known_is_no_obstacle(data, method, monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda device: None)
    assert math.isfinite(fit_network(data, method, readings=(), progress=False).pretrain_error)


@pytest.mark.parametrize("name", ["affinity", "early-sum", "listing", "kmeans", "local", "ridge"])
def test_one_sample_is_refused_before_anything_runs(data, calls, name):
    method = preset(name, "", 1)
    fit = fit_baseline if name in BASELINES else fit_network
    words = ("two samples", "got one", "(1, 20), (1, 20)")
    one_clear_error(lambda: fit(data.take([0]), method), ValueError, words)
    assert not calls


def test_a_scale_path_with_missing_views_is_refused_before_training(data, method, calls):
    gappy = corrupt(data, missing=0.4)
    path = preset("affinity", "synthetic", 3, solver="scale-path")
    one_clear_error(lambda: fit_network(gappy, path), ValueError, ("scale-path", "every view"))
    assert not calls


def test_an_anchored_fit_is_that_of_its_solver(data):
    """Anchors are chosen on the raw views, C is trained against them, and the raw views are solved against them too."""
    method = preset("affinity", "synthetic", 3, anchors=20, zero_diagonal=True, **{**SHORT, "coefficients_init": 1e-4})
    fit = fit_network(data, method, seed=4, raw=True, progress=False)
    assert np.array_equal(fit.anchors, choose_anchors(data.Xs, 20, seed=4))
    seed_everything(4)
    Xs, model = as_tensors(data.Xs), build_model(data, method)
    options = {"learning_rate": 1e-3, "seed": 4, "progress": False}
    pretrain(model, Xs, epochs=4, batch_size=100, weights=method.loss.reconstruction, **options)
    history, C = finetune_anchored(model, Xs, fit.anchors, epochs=20, weights=method.loss, **options)
    assert fit.histories["finetune"] == history and fit.epochs == 20
    assert np.array_equal(fit.coefficients, C.numpy()) and not fit.coefficients[fit.anchors, range(20)].any()
    rows = unit_rows(data.Xs)
    assert fit.ridge == choose_ridge([X[fit.anchors] for X in rows])
    raw = anchored_ridge(rows, fit.anchors, fit.ridge)
    for found, expected in ((fit.labels, C), (fit.raw, raw)):
        assert found.keys() == {"plain"} and found["plain"].affinity is None
        assert np.array_equal(found["plain"].labels, anchored_clustering(expected, 3, seed=4))
        assert clustering_accuracy(data.y, found["plain"].labels) > 0.9
    (only,) = fit.candidates
    assert (only.epoch, only.reading, only.consistency) == (20, "plain", None)


@pytest.mark.parametrize(
    ("anchors", "missing", "words"),
    [
        (61, 0, ("anchors", "from 3 to 60", "got 61")),
        (2, 0, ("anchors", "from 3 to 60", "got 2")),
        (20, 0.4, ("anchors=20", "every view", "anchors=None")),
    ],
)
def test_data_that_anchors_do_not_fit_are_refused_before_training(data, calls, anchors, missing, words):
    method = preset("affinity", "synthetic", 3, anchors=anchors)
    one_clear_error(lambda: fit_network(corrupt(data, missing=missing), method), ValueError, words)
    assert not calls
