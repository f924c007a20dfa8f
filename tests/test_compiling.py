"""Compiled networks train to the same numbers, leave no trace, and are not missed where there is no compiler."""

import pickle
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from bad_input import one_clear_error
from test_model import make_variant

from dmsc import compiling, load_dataset
from dmsc.__main__ import main
from dmsc.compiling import compile_networks, restore_networks
from dmsc.experiments.records import load_records
from dmsc.experiments.run import run_experiment
from dmsc.losses import LossWeights
from dmsc.model import SubspaceNetwork
from dmsc.networks import Architecture, Conv
from dmsc.presets import BASELINES, METHODS, override
from dmsc.training import finetune, pretrain

OPTIONS = {"device": "cpu", "progress": False}


@pytest.fixture
def compiler(monkeypatch):
    """Put in a ``torch.compile`` that compiles nothing, and return what it was asked for and how often that ran."""
    asked, ran = [], []

    def compiles(function, **how):
        asked.append(how)

        def counted(*args):
            ran.append(function)
            return function(*args)

        return counted

    monkeypatch.setattr(torch, "compile", compiles)
    return asked, ran


@pytest.fixture(scope="module")
def data():
    return load_dataset("digits", n_per_class=2)  # N = 20, two views of 8 x 8 pixels


@pytest.fixture
def method():
    net = Architecture((Conv(4, 3), Conv(3, 3)))
    return override(METHODS["affinity"], architecture=net, pretrain_epochs=3, finetune_epochs=4, pretrain_batch_size=8)


@pytest.mark.parametrize(("card", "mode"), [(True, "reduce-overhead"), (False, "default")])
def test_cuda_graphs_are_for_cards(compiler, monkeypatch, card, mode):
    monkeypatch.setattr(compiling, "is_card", lambda device: card)
    model, *_ = make_variant("affinity")
    assert compile_networks(model)
    assert compiler[0] == [{"dynamic": False, "mode": mode}] * 7  # a trial, three encoders, three decoders


def test_without_gradients_nothing_compiled_runs(compiler):
    model, Xs, masks, _ = make_variant("early-sum")
    compile_networks(model)
    ran = compiler[1]
    ran.clear()
    with torch.no_grad():
        model(Xs, masks)
    assert not ran
    model(Xs, masks)
    assert len(ran) == 4  # the joint encoder and three decoders
    restore_networks(model)
    model(Xs, masks)
    assert len(ran) == 4


def test_parameters_keep_their_names_and_a_restored_model_can_be_pickled(compiler):
    model, Xs, *_ = make_variant("affinity")
    names, expected = [*model.state_dict()], model.encode(Xs)
    compile_networks(model)
    assert [*model.state_dict()] == names
    restore_networks(model)
    again = pickle.loads(pickle.dumps(model))
    for Z, other in zip(again.encode(Xs), expected, strict=True):
        assert torch.equal(Z, other)


def test_where_there_is_no_compiler_a_warning_says_so_and_the_run_is_the_plain_one(data, method, monkeypatch):
    def missing(function, **how):
        raise RuntimeError("no compiler: g++\nand a long tale")

    expected = run_experiment(data, method, **OPTIONS)
    monkeypatch.setattr(torch, "compile", missing)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        plain = run_experiment(data, method, compile=True, **OPTIONS)
    told = [str(warning.message) for warning in found if "compile" in str(warning.message)]
    assert len(told) == 1 and "g++" in told[0] and "\n" not in told[0]
    assert np.array_equal(plain.coefficients, expected.coefficients)
    assert "compiled" not in plain.record["environment"]


@pytest.mark.filterwarnings("ignore:the coefficients have rank")
def test_checkpoints_of_compiled_runs_and_others_are_the_same(data, method, compiler, tmp_path):
    expected = run_experiment(data, method, **OPTIONS)
    assert not compiler[0]  # off unless asked for
    for first, second in ((False, True), (True, False)):
        folder = tmp_path / str(first)
        run_experiment(data, replace(method, finetune_epochs=0), compile=first, checkpoint_dir=folder, **OPTIONS)
        for path in folder.glob("*.pt"):
            content = torch.load(path, weights_only=True)
            content["config"]["method"]["finetune_epochs"] = method.finetune_epochs
            torch.save(content, path)
        found = run_experiment(data, method, compile=second, checkpoint_dir=folder, resume=True, **OPTIONS)
        assert np.array_equal(found.coefficients, expected.coefficients) and found.record["resumed"]
        assert found.record["run"] == expected.record["run"]
        assert found.record["environment"].get("compiled", False) == second


def test_the_command_line_asks_for_it(compiler, tmp_path):
    command = "run --dataset digits --data n_per_class=2 --method affinity --device cpu --compile".split()
    command += "--pretrain-epochs 1 --finetune-epochs 1 --records".split() + [str(tmp_path)]
    assert main([*command, "--checkpoints", str(tmp_path / "checkpoints")]) == 0
    (record,) = load_records(tmp_path)
    assert record["environment"]["compiled"] is True and compiler[1]


def test_baselines_are_not_compiled(data):
    one_clear_error(lambda: run_experiment(data, BASELINES["ridge"], compile=True), ValueError, ("ridge", "compile"))


@pytest.mark.slow
def test_losses_are_those_without_up_to_rounding():
    """By the compiler that is here, for the CPU."""
    losses = []
    for compiled in (False, True):
        torch.manual_seed(0)
        model, Xs = SubspaceNetwork([(1, 6, 6)], 8, Architecture((Conv(3, 3),))), [torch.rand(8, 1, 6, 6)]
        if compiled:
            with warnings.catch_warnings(record=True) as found:
                warnings.simplefilter("always")
                if not compile_networks(model):
                    pytest.skip(str(found[-1].message))
        first = pretrain(model, Xs, epochs=3, progress=False)
        losses.append([*first["loss"], *finetune(model, Xs, epochs=3, weights=LossWeights(), progress=False)["loss"]])
        restore_networks(model)
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["affinity", "early-sum", "late-concat"])
def test_every_network_can_be_traced_as_a_whole(monkeypatch, name):
    """As compilers see it, without one."""
    traced = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda function, mode, dynamic: traced(function, backend="eager", fullgraph=True)
    )
    model, Xs, masks, _ = make_variant(name)
    expected = [X_hat.detach() for X_hat in model(Xs, masks)[2]]
    assert compile_networks(model)
    for X_hat, other in zip(model(Xs, masks)[2], expected, strict=True):
        assert X_hat.requires_grad
        torch.testing.assert_close(X_hat, other)
