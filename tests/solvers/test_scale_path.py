"""The scale of the latents, and the solver that begins with it."""

import copy

import pytest
import torch
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
    C = ridge_self_expression(model.encode(Xs), ridge, weights=weights.self_expression[: len(model.encode(Xs))])
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


def test_p_1_is_refused():
    model, Xs, *_ = make_variant("affinity")
    with pytest.raises(ValueError, match="norm=1"):
        finetune_scale_path(model, Xs, epochs=1, weights=LossWeights(norm=1))
