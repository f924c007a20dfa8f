"""The fast gradient against the loss as it is written, through autograd."""

import pytest
import torch
from test_model import VARIANTS, make_variant

from dmsc.gradients import FinetuningGradient, pretraining_gradient
from dmsc.losses import LossWeights, finetuning_terms, weighted_squared_error


def reference(model, Xs, weights, masks, correlation):
    """Return the terms and all gradients by autograd; for p = 1 the norm has no part in the gradient."""
    terms = finetuning_terms(model, Xs, weights, masks=masks, correlation=correlation)
    smooth = sum(value for name, value in terms.items() if weights.norm == 2 or name != "regularization")
    return terms, torch.autograd.grad(smooth, list(model.parameters()), allow_unused=True)


def assert_equal(model, terms, expected_terms, expected_gradients):
    assert list(terms) == list(expected_terms)
    for name, value in expected_terms.items():
        torch.testing.assert_close(terms[name], value.detach(), rtol=1e-9, atol=1e-9)
    for (name, parameter), expected in zip(model.named_parameters(), expected_gradients, strict=True):
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-9, atol=1e-9, msg=lambda m, name=name: name + m)


@pytest.mark.parametrize("chunk_size", [None, 4])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", VARIANTS)
def test_equals_autograd_for_every_variant(name, masked, chunk_size):
    model, Xs, masks, correlation = make_variant(name, chunk_size=chunk_size)
    masks = masks if masked else None
    weights = LossWeights((1.0, 0.5, 0.2), (0.7,) if model.joint else (0.7, 0.3, 0.1), 0.01, 2.0)
    expected = reference(model, Xs, weights, masks, correlation)
    gradient = FinetuningGradient(model, Xs, weights, masks, correlation)
    assert_equal(model, gradient(), *expected)
    assert_equal(model, gradient(), *expected)  # nothing is left over from one call to the next


@pytest.mark.parametrize("norm", [1, 2])
@pytest.mark.parametrize("zero_diagonal", [False, True])
def test_the_diagonal_and_both_norms(norm, zero_diagonal):
    model, Xs, *_ = make_variant("affinity", chunk_size=5)
    model.self_expression.zero_diagonal = zero_diagonal
    assert model.self_expression.weight.diagonal().abs().min() > 0  # what a zero diagonal has to leave out
    weights = LossWeights(lambda_regularization=0.3, norm=norm)
    expected = reference(model, Xs, weights, None, None)
    assert_equal(model, FinetuningGradient(model, Xs, weights)(), *expected)
    assert (model.self_expression.weight.diagonal() == 0).all() == zero_diagonal


def test_the_gradient_follows_the_parameters():
    model, Xs, *_ = make_variant("affinity", chunk_size=5)
    gradient = FinetuningGradient(model, Xs, LossWeights())
    gradient()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01 * torch.rand_like(parameter))
    expected = reference(model, Xs, LossWeights(), None, None)
    assert_equal(model, gradient(), *expected)


def test_views_that_are_vectors():
    from dmsc.model import SubspaceNetwork
    from dmsc.networks import Architecture

    torch.manual_seed(0)
    model = SubspaceNetwork([(6,), (4,)], 9, Architecture(dense=(5, 3)), coefficients_init=0.1, chunk_size=4).double()
    Xs = [torch.rand(9, 6, dtype=torch.float64), torch.rand(9, 4, dtype=torch.float64)]
    expected = reference(model, Xs, LossWeights(), None, None)
    assert_equal(model, FinetuningGradient(model, Xs, LossWeights())(), *expected)


@pytest.mark.parametrize("chunk_size", [None, 4, 14, 100])
@pytest.mark.parametrize("masked", [False, True])
def test_pretraining_in_chunks_equals_autograd(masked, chunk_size):
    model, Xs, masks, _ = make_variant("affinity", chunk_size=chunk_size)
    masks, weights = masks if masked else None, (1.0, 0.5, 0.2)
    loss = weighted_squared_error(Xs, model.autoencode(Xs, masks), weights, masks)
    expected = torch.autograd.grad(loss, model.autoencoder_parameters())
    found = pretraining_gradient(model, Xs, weights, masks)
    torch.testing.assert_close(found, loss.detach())
    for parameter, gradient in zip(model.autoencoder_parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
