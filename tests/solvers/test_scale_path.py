"""The scale of the latents, and the solver that begins with it."""

import copy

import pytest
import torch
from bad_input import by_name, one_clear_error
from test_model import VARIANTS, make_variant

from dmsc.losses import LossWeights, finetuning_terms
from dmsc.model import SubspaceNetwork
from dmsc.networks import Architecture
from dmsc.self_expression import ridge_self_expression
from dmsc.solvers.scale_path import SCALES, finetune_scale_path

WEIGHTS = LossWeights((1.0, 0.5, 0.2), (0.7, 0.3, 0.1), 0.4, 2.0)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", VARIANTS)
def test_scaling_latents_changes_them_alone(name, masked):
    model, Xs, masks, _ = make_variant(name)
    masks = masks if masked else None
    Zs, Xs_hat = model.encode(Xs, masks), model.autoencode(Xs, masks)
    model.scale_latents(0.3)
    for Z, before in zip(model.encode(Xs, masks), Zs, strict=True):
        torch.testing.assert_close(Z, 0.3 * before)
    for X_hat, before in zip(model.autoencode(Xs, masks), Xs_hat, strict=True):
        torch.testing.assert_close(X_hat, before)


def test_scaling_latents_of_vectors():
    torch.manual_seed(0)
    model = SubspaceNetwork([(6,)], 5, Architecture(dense=(5, 3))).double()
    X = torch.rand(5, 6, dtype=torch.float64)
    (Z,), (X_hat,) = model.encode([X]), model.autoencode([X])
    model.scale_latents(4.0)
    torch.testing.assert_close(model.encode([X])[0], 4 * Z)
    torch.testing.assert_close(model.autoencode([X])[0], X_hat)


def objective(model, Xs, weights, scale):
    """Return the loss at a scale of the latents, with the best C, by functions that know nothing of the solver."""
    model = copy.deepcopy(model)
    model.scale_latents(1 / scale)
    ridge = weights.lambda_regularization / weights.lambda_self_expression
    C = ridge_self_expression(model.encode(Xs), ridge, weights=weights.self_expression[: model.n_latents])
    model.self_expression.set_coefficients(C)
    with torch.no_grad():
        return sum(float(value) for value in finetuning_terms(model, Xs, weights).values())


@pytest.mark.parametrize("name", ["affinity", "intermediate-concat"])
def test_takes_the_scale_of_least_loss_then_trains_the_decoders(name):
    model, Xs, *_ = make_variant(name)
    weights = LossWeights((1.0, 0.5, 0.2), (0.7,), 0.4, 2.0) if model.joint else WEIGHTS
    expected = [objective(model, Xs, weights, scale) for scale in SCALES]
    best = min(range(len(SCALES)), key=expected.__getitem__)
    tried, start = [], copy.deepcopy(model)
    history = finetune_scale_path(
        model,
        Xs,
        epochs=30,
        weights=weights,
        batch_size=None,
        callback=lambda number, terms, model: tried.append((number, sum(terms.values()))),
        progress=False,
    )
    assert [number for number, _ in tried] == [*range(-len(SCALES), 0)]
    assert [loss for _, loss in tried] == pytest.approx(expected)
    assert history["loss"][0] == pytest.approx(expected[best])
    assert history["loss"][-1] < history["loss"][0]
    with torch.no_grad():
        reached = {name: float(value) for name, value in finetuning_terms(model, Xs, weights).items()}
    assert reached["reconstruction"] < history["reconstruction"][0]
    for name in ("regularization", "self_expression"):
        assert history[name] == pytest.approx([reached[name]] * 30)
    start.scale_latents(1 / SCALES[best])
    for Z, expected_Z in zip(model.encode(Xs), start.encode(Xs), strict=True):  # the encoders rest
        torch.testing.assert_close(Z, expected_Z)


def test_mini_batches_repeat_with_the_seed():
    losses = []
    for seed in (0, 0, 1):
        model, Xs, *_ = make_variant("affinity")
        options = {"epochs": 3, "weights": WEIGHTS, "batch_size": 4, "learning_rate": 0.01, "progress": False}
        losses.append(finetune_scale_path(model, Xs, seed=seed, **options)["loss"])
    assert losses[0] == losses[1] != losses[2]


def tune(n_views=3, **options):
    model, Xs, *_ = make_variant("affinity")
    options = {"epochs": 1, "weights": WEIGHTS, "progress": False, **options}
    return finetune_scale_path(model, Xs[:n_views], **options)


CASES = [
    ("p = 1", lambda: tune(weights=LossWeights(norm=1)), ValueError, "norm=1"),
    ("no penalty", lambda: tune(weights=LossWeights(lambda_regularization=0)), ValueError, "(0, 1.0)"),
    ("views", lambda: tune(2), ValueError, ("3 views", "hold 2")),
    ("epochs", lambda: tune(epochs=-1), ValueError, ("epochs", "-1")),
    ("batch", lambda: tune(batch_size=0), ValueError, ("batch_size", "got 0")),
    ("masks", lambda: tune(masks=[torch.ones(14, dtype=torch.bool)] * 3), TypeError, "masks"),
]


@by_name(CASES)
def test_bad_input(call, error, words):
    one_clear_error(call, error, words)
