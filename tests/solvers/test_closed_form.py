"""C in closed form inside the loop, against autograd through the inverse of the Gram matrix."""

import pytest
import torch
from test_model import make_variant

from dmsc.correlation import correlation_deficit
from dmsc.losses import LossWeights, weighted_squared_error
from dmsc.self_expression import ridge_self_expression
from dmsc.solvers.closed_form import ClosedFormGradient

WEIGHTS = LossWeights((1.0, 0.5, 0.2), (0.7, 0.3, 0.1), 0.4, 2.0)
JOINT = LossWeights((1.0, 0.5, 0.2), (0.7,), 0.4, 2.0)


def best_coefficients(Zs, weights, zero_diagonal):
    """Return C by the textbook formula, in operations that autograd follows."""
    ridge = weights.lambda_regularization / weights.lambda_self_expression
    G = sum(v * Z @ Z.T for v, Z in zip(weights.self_expression, Zs, strict=True))
    identity = torch.eye(len(G), dtype=G.dtype)
    P = torch.linalg.inv(G + ridge * identity)
    if not zero_diagonal:
        return G @ P
    return (1 - identity) * -P / P.diagonal()[:, None]


def reference(model, Xs, weights, correlation, follow=True):
    """Return the terms as they are written, and their gradient for the autoencoders and projections by autograd."""
    Zs = model.encode(Xs)
    C = best_coefficients(Zs, weights, model.self_expression.zero_diagonal)
    Zs_hat = [(C if follow else C.detach()) @ Z for Z in Zs]
    terms = {
        "reconstruction": weighted_squared_error(Xs, model.decode(Zs_hat), weights.reconstruction),
        "regularization": weights.lambda_regularization * C.square().sum(),
        "self_expression": weights.lambda_self_expression
        * weighted_squared_error(Zs, [C @ Z for Z in Zs], weights.self_expression),
    }
    if correlation is not None:
        deficit = correlation_deficit(model.project(Zs), correlation)
        terms["correlation"] = correlation.lambda_correlation * deficit
    parameters = [p for name, p in model.named_parameters() if not name.startswith("self_expression")]
    return terms, parameters, torch.autograd.grad(sum(terms.values()), parameters)


@pytest.mark.parametrize("chunk_size", [None, 5])
@pytest.mark.parametrize("zero_diagonal", [True, False])
@pytest.mark.parametrize("name", ["affinity", "cmsc-dcca", "late-concat"])
def test_terms_and_gradient_equal_autograd_through_the_inverse(name, zero_diagonal, chunk_size):
    model, Xs, _, correlation = make_variant(name, chunk_size=chunk_size)
    model.self_expression.zero_diagonal = zero_diagonal
    weights = JOINT if model.joint else WEIGHTS
    terms, parameters, gradients = reference(model, Xs, weights, correlation)
    found = ClosedFormGradient(model, Xs, weights, None, correlation)()
    assert list(found) == list(terms)
    for term, expected in terms.items():
        torch.testing.assert_close(found[term], expected.detach(), rtol=1e-9, atol=1e-9)
    for parameter, expected in zip(parameters, gradients, strict=True):
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-8, atol=1e-9)
    assert model.self_expression.weight.grad is None


def test_c_matters_through_the_reconstruction():
    """The part of the gradient that goes through C is no rounding: the test above would miss it."""
    model, Xs, *_ = make_variant("affinity")
    _, _, whole = reference(model, Xs, WEIGHTS, None)
    _, _, part = reference(model, Xs, WEIGHTS, None, follow=False)
    assert max(float((a - b).abs().max()) for a, b in zip(whole, part, strict=True)) > 1e-3


def test_settle_leaves_the_best_c_behind():
    model, Xs, *_ = make_variant("affinity")
    gradient = ClosedFormGradient(model, Xs, WEIGHTS)
    gradient()
    with torch.no_grad():
        for parameter in model.autoencoder_parameters():
            parameter.add_(0.01 * torch.rand_like(parameter))
    gradient.settle()
    expected = ridge_self_expression(model.encode(Xs), 0.2, weights=WEIGHTS.self_expression)
    torch.testing.assert_close(model.self_expression.weight.detach(), expected)


@pytest.mark.parametrize(
    ("weights", "words"),
    [(LossWeights(norm=1), "norm=1"), (LossWeights(lambda_regularization=0.0), r"\(0.0, 1.0\)")],
)
def test_weights_without_a_closed_form_are_refused(weights, words):
    model, Xs, masks, _ = make_variant("affinity")
    with pytest.raises(ValueError, match=words):
        ClosedFormGradient(model, Xs, weights)
    with pytest.raises(ValueError, match="every view of every sample"):
        ClosedFormGradient(model, Xs, WEIGHTS, masks)
