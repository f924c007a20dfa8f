"""Anchored fine-tuning against the dense loss at its closed form, autograd, and itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from bad_input import one_clear_error
from test_model import make_variant

from dmsc.devices import seed_everything
from dmsc.losses import LossWeights, finetuning_terms
from dmsc.model import SubspaceNetwork
from dmsc.networks import Architecture, Conv
from dmsc.self_expression import ridge_self_expression
from dmsc.solvers.anchored_training import anchored_coefficients, finetune_anchored
from dmsc.solvers.anchors import anchored_ridge
from dmsc.training import pretrain

WEIGHTS = LossWeights((1.0, 0.5, 0.2), (0.7, 0.3, 0.1), 0.4, 2.0)
RIDGE = 0.4 / 2.0
ANCHORS = [2, 3, 5, 11]


def make():
    seed_everything(0)
    Xs = [torch.rand(40, 1, 8, 8), torch.rand(40, 5)]
    model = SubspaceNetwork([(1, 8, 8), (5,)], 1, Architecture((Conv(3, 3),), dense=(4,)))
    pretrain(model, Xs, epochs=5, batch_size=10, progress=False)
    return model, Xs


def tune(**options):
    model, Xs = make()
    settings = {"anchors": ANCHORS, "epochs": 2, "weights": LossWeights(), "batch_size": 12, "progress": False}
    history, C = finetune_anchored(model, Xs, **{**settings, **options})
    return model, Xs, history, C


@pytest.mark.parametrize("zero_diagonal", [True, False])
@pytest.mark.parametrize("name", ["affinity", "late-concat"])
def test_first_loss_with_all_samples_as_anchors_is_the_dense_one_in_closed_form(name, zero_diagonal):
    model, Xs, *_ = make_variant(name)
    weights = replace(WEIGHTS, self_expression=(0.7,)) if model.joint else WEIGHTS
    model.self_expression.zero_diagonal = zero_diagonal
    Zs = [Z.detach() for Z in model.encode(Xs)]
    model.self_expression.set_coefficients(
        ridge_self_expression(Zs, RIDGE, zero_diagonal=zero_diagonal, weights=weights.self_expression)
    )
    expected = finetuning_terms(model, Xs, weights)
    history, _ = finetune_anchored(
        model, Xs, np.arange(14), epochs=1, weights=weights, zero_diagonal=zero_diagonal, progress=False
    )
    for term, value in expected.items():
        assert history[term] == [pytest.approx(value.item(), rel=1e-6)], term
    assert history["loss"] == [pytest.approx(sum(expected.values()).item(), rel=1e-6)]


@pytest.mark.parametrize("zero_diagonal", [True, False])
def test_first_step_follows_the_gradient_through_the_closed_form(zero_diagonal):
    """Adam's first step moves every parameter by learning_rate * gradient / (|gradient| + eps)."""
    model, Xs, *_ = make_variant("affinity")
    anchors = torch.tensor(ANCHORS)
    Zs = model.encode(Xs)
    flat = torch.hstack([v**0.5 * Z for v, Z in zip(WEIGHTS.self_expression, Zs, strict=True)])
    rows = []  # of C, by the textbook formula
    for i, z in enumerate(flat):
        used = torch.tensor([not (zero_diagonal and anchor == i) for anchor in ANCHORS])
        A = flat[anchors[used]]
        c = torch.linalg.solve(A @ A.T + RIDGE * torch.eye(len(A)), A @ z)
        rows.append(z.new_zeros(4).masked_scatter(used, c))
    C = torch.stack(rows)
    Zs_hat = [C @ Z[anchors] for Z in Zs]
    error = sum(
        w * (X_hat - X).square().sum()
        for w, X_hat, X in zip(WEIGHTS.reconstruction, model.decode(Zs_hat), Xs, strict=True)
    )
    residual = sum(
        v * (Z - Z_hat).square().sum() for v, Z, Z_hat in zip(WEIGHTS.self_expression, Zs, Zs_hat, strict=True)
    )
    parameters = model.autoencoder_parameters()
    gradients = torch.autograd.grad(error + 0.4 * C.square().sum() + 2.0 * residual, parameters)
    expected = [p.detach() - 0.01 * g / (g.abs() + 1e-8) for p, g in zip(parameters, gradients, strict=True)]
    finetune_anchored(
        model, Xs, anchors, epochs=1, weights=WEIGHTS, learning_rate=0.01, zero_diagonal=zero_diagonal, progress=False
    )
    for found, reference in zip(model.autoencoder_parameters(), expected, strict=True):
        torch.testing.assert_close(found.detach(), reference, rtol=1e-5, atol=1e-7)


def test_it_learns_and_repeats():
    first, Xs, history, C = tune(epochs=30)
    assert list(history) == ["reconstruction", "regularization", "self_expression", "loss"]
    assert history["loss"][-1] < 0.9 * history["loss"][0]
    total = np.sum([history[name] for name in list(history)[:3]], axis=0)
    np.testing.assert_allclose(history["loss"], total, rtol=1e-6)
    assert C.shape == (40, 4) and C.dtype == torch.float32 and not C.requires_grad
    assert not C[ANCHORS, range(4)].any()
    second, _, again, _ = tune(epochs=30)
    assert again == history
    assert all(torch.equal(p, q) for p, q in zip(first.parameters(), second.parameters(), strict=True))
    assert tune(seed=1)[2] != tune()[2]


def test_coefficients_are_the_closed_form_of_the_last_latents():
    model, Xs, _, C = tune(zero_diagonal=False)
    with torch.no_grad():
        Zs = model.encode(Xs)
    torch.testing.assert_close(C, anchored_ridge(Zs, ANCHORS, 1.0, zero_diagonal=False).float(), rtol=1e-5, atol=1e-6)


def test_options_of_the_loop_reach_the_optimizer_and_the_networks():
    losses = []
    for precision in ("float32", "bf16"):
        torch.manual_seed(0)
        model, Xs = SubspaceNetwork([(5,)], 1, Architecture(dense=(4,))), [torch.rand(40, 5)]
        options = {"weights": LossWeights(), "precision": precision, "progress": False}
        losses.append(finetune_anchored(model, Xs, ANCHORS, epochs=2, **options)[0]["loss"])
    assert losses[0] != losses[1]
    np.testing.assert_allclose(losses[0], losses[1], rtol=0.02)
    _, _, _, slow = tune(schedule="cosine", epochs=1)  # half the learning rate
    assert not torch.equal(slow, tune(epochs=1)[3])
    torch.testing.assert_close(slow, tune(epochs=1, learning_rate=0.5e-3)[3])


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(tmp_path):
    _, _, expected, C = tune(epochs=4)
    loop = {"checkpoint": tmp_path / "anchored.pt", "resume": True}
    tune(epochs=2, **loop)
    _, _, found, C_again = tune(epochs=4, **loop)
    assert found == expected
    assert torch.equal(C, C_again)


@pytest.mark.parametrize("batch_size", [1, 7, 40])
def test_coefficients_do_not_depend_on_the_batches(batch_size):
    model, Xs = make()
    found = anchored_coefficients(model, Xs, torch.tensor(ANCHORS), 0.3, [1.0, 0.5], batch_size=batch_size)
    with torch.no_grad():
        expected = anchored_ridge(model.encode(Xs), ANCHORS, 0.3, weights=[1.0, 0.5])
    torch.testing.assert_close(found, expected.float(), rtol=1e-4, atol=1e-5)


BAD = [
    ({"weights": LossWeights(norm=1)}, "norm=1"),
    ({"weights": LossWeights(lambda_regularization=0.0)}, "(0.0, 1.0)"),
    ({"anchors": [0, 40]}, ("anchors", "from 0 to 39", "got 40")),
    ({"anchors": [1, 1]}, "different samples"),
    ({"batch_size": 0}, ("batch_size", "got 0")),
    ({"epochs": -1}, ("epochs", "-1")),
    ({"learning_rate": 0.0}, ("learning_rate", "got 0.0")),
    ({"weights": LossWeights(self_expression=(1.0, 1.0, 1.0))}, "3 weights"),
    ({"learning_rate": 1e20, "epochs": 9}, "lower the learning rate"),
]


@pytest.mark.parametrize(("options", "words"), BAD, ids=[" ".join(options) for options, _ in BAD])
def test_bad_input(options, words):
    one_clear_error(lambda: tune(**options), ValueError, words)


def test_views_of_another_model_are_refused():
    model, Xs = make()
    options = {"epochs": 1, "weights": LossWeights()}
    one_clear_error(lambda: finetune_anchored(model, Xs[:1], ANCHORS, **options), ValueError, ("2 views", "hold 1"))
