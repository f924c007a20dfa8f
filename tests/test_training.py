"""Both training steps: they descend, repeat, resume, and stay where they should."""

import copy

import pytest
import torch

from dmsc.losses import LossWeights, finetuning_terms
from dmsc.model import SubspaceNetwork
from dmsc.networks import Architecture, Conv
from dmsc.training import as_tensors, finetune, pretrain, resolve_device, seed_everything

WEIGHTS = LossWeights((1.0, 0.5), (1.0,), 1.0, 2.0)


def make():
    seed_everything(0)
    Xs = [torch.rand(12, 1, 8, 8), torch.rand(12, 5)]
    model = SubspaceNetwork([(1, 8, 8), (5,)], 12, Architecture((Conv(3, 3),), dense=(4,)), zero_diagonal=True)
    return model, Xs


def same_parameters(a, b):
    return all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def test_pretraining_descends_and_leaves_coefficients_alone():
    model, Xs = make()
    before = model.self_expression.weight.detach().clone()
    history = pretrain(model, Xs, epochs=40, batch_size=5, progress=False)
    assert history["loss"][-1] < 0.8 * history["loss"][0]
    assert torch.equal(model.self_expression.weight, before)


def test_one_finetuning_step_is_one_adam_step():
    """Adam's first step moves every parameter by learning_rate * gradient / (|gradient| + eps)."""
    model, Xs = make()
    expected = copy.deepcopy(model)
    sum(finetuning_terms(expected, Xs, WEIGHTS).values()).backward()
    finetune(model, Xs, epochs=1, weights=WEIGHTS, learning_rate=0.01, progress=False)
    for found, reference in zip(model.parameters(), expected.parameters(), strict=True):
        gradient = reference.grad
        torch.testing.assert_close(found, reference - 0.01 * gradient / (gradient.abs() + 1e-8), rtol=1e-4, atol=1e-6)


def test_history_holds_every_term_and_their_sum():
    model, Xs = make()
    seen = []
    history = finetune(
        model,
        Xs,
        epochs=3,
        weights=WEIGHTS,
        progress=False,
        callback=lambda epoch, terms, _: seen.append((epoch, terms)),
    )
    assert [epoch for epoch, _ in seen] == [1, 2, 3]
    for i in range(3):
        terms = [history[name][i] for name in ("reconstruction", "regularization", "self_expression")]
        assert history["loss"][i] == pytest.approx(sum(terms), rel=1e-5) == seen[i][1]["loss"]


def test_same_seed_same_bits():
    results = []
    for _ in range(2):
        model, Xs = make()
        pretrain(model, Xs, epochs=3, batch_size=5, seed=3, progress=False)
        finetune(model, Xs, epochs=3, weights=WEIGHTS, progress=False)
        results.append(model)
    assert same_parameters(*results)


class Killed(Exception):
    """Stands for a process that dies in the middle of training."""


def kill_after(epochs):
    def callback(epoch, terms, model):
        if epoch > epochs:
            raise Killed

    return callback


@pytest.mark.parametrize("step", ["pretrain", "finetune"])
def test_resumed_equals_uninterrupted(tmp_path, step):
    def train(model, Xs, **loop):
        if step == "pretrain":
            return pretrain(model, Xs, epochs=9, batch_size=5, progress=False, **loop)
        return finetune(model, Xs, epochs=9, weights=WEIGHTS, progress=False, **loop)

    whole, Xs = make()
    expected = train(whole, Xs)
    model, _ = make()
    with pytest.raises(Killed):
        train(model, Xs, checkpoint=tmp_path / "AE.pt", checkpoint_every=2, callback=kill_after(5))
    fresh, _ = make()
    torch.manual_seed(99)  # whatever the new process did before
    history = train(fresh, Xs, checkpoint=tmp_path / "AE.pt", checkpoint_every=2, resume=True)
    assert same_parameters(whole, fresh)
    assert history == expected
    again, _ = make()
    assert train(again, Xs, checkpoint=tmp_path / "AE.pt", resume=True) == expected  # done: nothing is trained again
    assert same_parameters(whole, again)


def test_without_resume_a_checkpoint_is_ignored(tmp_path):
    model, Xs = make()
    path = tmp_path / "AE.pt"
    first = finetune(model, Xs, epochs=2, weights=WEIGHTS, progress=False, checkpoint=path)
    model, _ = make()
    assert finetune(model, Xs, epochs=2, weights=WEIGHTS, progress=False, checkpoint=path) == first


def test_progress_is_quiet_when_not_a_terminal(capfd):
    model, Xs = make()
    finetune(model, Xs, epochs=2, weights=WEIGHTS, progress=True)
    assert capfd.readouterr() == ("", "")


def test_devices_and_tensors(synthetic_views):
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    (X,) = as_tensors(synthetic_views, scale=2.0)
    assert X.dtype == torch.float32 and torch.equal(X, 2 * torch.tensor(synthetic_views[0]))


@pytest.fixture
def synthetic_views():
    X = torch.rand(3, 4).numpy()
    X.setflags(write=False)  # as in a Dataset
    return [X]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_agrees_with_the_cpu():
    model, Xs = make()
    on_gpu = copy.deepcopy(model).cuda()
    expected = finetune(model, Xs, epochs=5, weights=WEIGHTS, progress=False)
    found = finetune(on_gpu, [X.cuda() for X in Xs], epochs=5, weights=WEIGHTS, progress=False)
    assert found["loss"] == pytest.approx(expected["loss"], rel=1e-3)
