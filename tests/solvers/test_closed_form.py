"""C in closed form inside the loop, against autograd through the inverse of the Gram matrix."""

import copy

import pytest
import torch
from bad_input import by_name, one_clear_error
from test_model import make_variant

from dmsc.correlation import correlation_deficit
from dmsc.losses import LossWeights, finetuning_terms, weighted_squared_error
from dmsc.self_expression import ridge_self_expression
from dmsc.solvers.closed_form import ClosedForm, closed_form_solver, finetune_closed_form, settle
from dmsc.training import finetune

WEIGHTS = LossWeights((1.0, 0.5, 0.2), (0.7, 0.3, 0.1), 0.4, 2.0)
JOINT = LossWeights((1.0, 0.5, 0.2), (0.7,), 0.4, 2.0)


def best_coefficients(Zs, ridge, weights, zero_diagonal):
    """Return C by the textbook formula, in operations that autograd follows."""
    G = sum(v * Z @ Z.T for v, Z in zip(weights, Zs, strict=True))
    identity = torch.eye(len(G), dtype=G.dtype)
    P = torch.linalg.inv(G + ridge * identity)
    if not zero_diagonal:
        return G @ P
    return (1 - identity) * -P / P.diagonal()[:, None]


def reference(model, Xs, weights, correlation, follow=True):
    """Return the terms as they are written, and their gradient for the autoencoders and projections by autograd."""
    Zs = model.encode(Xs)
    C = best_coefficients(Zs, 0.2, weights.self_expression, model.self_expression.zero_diagonal)
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


@pytest.mark.parametrize("zero_diagonal", [True, False])
@pytest.mark.parametrize("ridge", [0.2, 3.0])
def test_gradient_equals_autograd_and_finite_differences(ridge, zero_diagonal):
    torch.manual_seed(0)
    weights = [0.7, 0.3]
    Zs = [torch.randn(8, d, dtype=torch.float64, requires_grad=True) for d in (3, 5)]
    found = ClosedForm.apply(ridge, zero_diagonal, weights, *Zs)
    expected = best_coefficients(Zs, ridge, weights, zero_diagonal)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    assert (found.diagonal() == 0).all() == zero_diagonal
    H = torch.randn(8, 8, dtype=torch.float64)  # its diagonal must not count where C's is fixed
    for a, b in zip(torch.autograd.grad(found, Zs, H), torch.autograd.grad(expected, Zs, H), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)
    assert torch.autograd.gradcheck(lambda *Zs: ClosedForm.apply(ridge, zero_diagonal, weights, *Zs), Zs)


def test_float32_latents_are_solved_in_float64():
    torch.manual_seed(0)
    Z = torch.rand(20, 4, requires_grad=True)  # a Gram matrix of condition 1e8 with this penalty
    C = ClosedForm.apply(1e-6, True, [1.0], Z)
    assert C.dtype == torch.float32
    assert torch.equal(C, ridge_self_expression([Z], 1e-6).float())
    C.square().sum().backward()
    assert Z.grad.dtype == torch.float32 and Z.grad.isfinite().all()


@pytest.mark.parametrize("chunk_size", [None, 5])
@pytest.mark.parametrize("zero_diagonal", [True, False])
@pytest.mark.parametrize("name", ["affinity", "cmsc-dcca", "late-concat"])
def test_terms_and_gradient_equal_autograd_through_the_inverse(name, zero_diagonal, chunk_size):
    model, Xs, _, correlation = make_variant(name, chunk_size=chunk_size)
    model.self_expression.zero_diagonal = zero_diagonal
    weights = JOINT if model.joint else WEIGHTS
    terms, parameters, gradients = reference(model, Xs, weights, correlation)
    solve = closed_form_solver(model, weights)
    found = finetuning_terms(model, Xs, weights, correlation=correlation, solve=solve)
    assert list(found) == list(terms)
    for term, expected in terms.items():
        torch.testing.assert_close(found[term], expected, rtol=1e-9, atol=1e-9)
    sum(found.values()).backward()
    for parameter, expected in zip(parameters, gradients, strict=True):
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-8, atol=1e-9)
    assert model.self_expression.weight.grad is None


def test_c_matters_through_the_reconstruction():
    """The part of the gradient that goes through C is no rounding: the test above would miss it."""
    model, Xs, *_ = make_variant("affinity")
    _, _, whole = reference(model, Xs, WEIGHTS, None)
    _, _, part = reference(model, Xs, WEIGHTS, None, follow=False)
    assert max(float((a - b).abs().max()) for a, b in zip(whole, part, strict=True)) > 1e-3


@pytest.mark.parametrize("zero_diagonal", [True, False])
@pytest.mark.parametrize("name", ["affinity", "cmsc-dcca", "late-concat"])
def test_one_step_is_one_adam_step_of_everything_but_c(name, zero_diagonal):
    model, Xs, _, correlation = make_variant(name)
    model.self_expression.zero_diagonal = zero_diagonal
    weights = JOINT if model.joint else WEIGHTS
    terms, parameters, gradients = reference(model, Xs, weights, correlation)
    expected = [p.detach() - 0.01 * g / (g.abs() + 1e-8) for p, g in zip(parameters, gradients, strict=True)]
    options = {"weights": weights, "correlation": correlation, "learning_rate": 0.01, "progress": False}
    history = finetune_closed_form(model, Xs, epochs=1, **options)
    for parameter, right in zip(parameters, expected, strict=True):
        torch.testing.assert_close(parameter.detach(), right, rtol=1e-6, atol=1e-9)
    assert history["loss"] == [pytest.approx(sum(terms.values()).item())]


def test_the_models_c_is_the_best_one_whenever_someone_looks():
    """In the callback that of the latents which the epoch began with; in the end that of the last ones."""
    model, Xs, *_ = make_variant("affinity")
    latents, seen = [], []

    def best():
        return ridge_self_expression(model.encode(Xs), 0.2, weights=WEIGHTS.self_expression)

    def look(epoch, terms, network):
        seen.append(network.self_expression.weight.detach().clone())
        latents.append(best())

    latents.append(best())
    options = {"weights": WEIGHTS, "learning_rate": 0.01, "progress": False, "callback": look}
    finetune_closed_form(model, Xs, epochs=3, **options)
    for C, expected in zip(seen, latents, strict=False):
        torch.testing.assert_close(C, expected)
    torch.testing.assert_close(model.self_expression.weight.detach(), latents[-1])
    assert not torch.allclose(latents[-1], latents[-2], atol=1e-4)


def test_settle_leaves_the_best_c_behind():
    model, Xs, *_ = make_variant("affinity")
    settle(model, Xs, WEIGHTS)
    expected = ridge_self_expression(model.encode(Xs), 0.2, weights=WEIGHTS.self_expression)
    torch.testing.assert_close(model.self_expression.weight.detach(), expected)
    assert model.self_expression.weight.requires_grad


def test_it_gets_lower_than_training_c():
    """From the same start, in as many epochs."""
    model, Xs, *_ = make_variant("affinity")
    options = {"weights": WEIGHTS, "epochs": 20, "progress": False}
    trained = finetune(copy.deepcopy(model), Xs, **options)["loss"]
    solved = finetune_closed_form(model, Xs, **options)["loss"]
    assert solved[-1] < solved[0] < trained[0] and solved[-1] < trained[-1]


def tune(weights=WEIGHTS, scale=1.0, masked=False, twins=False, **options):
    model, Xs, masks, _ = make_variant("affinity")
    Xs = [scale * (X[:1].expand_as(X) if twins else X) for X in Xs]
    options = {"masks": masks if masked else None, "epochs": 1, "progress": False, **options}
    return finetune_closed_form(model, Xs, weights=weights, **options)


CASES = [
    ("p = 1", lambda: tune(LossWeights(norm=1)), ValueError, "norm=1"),
    ("no penalty", lambda: tune(LossWeights(lambda_regularization=0.0)), ValueError, "(0.0, 1.0)"),
    ("no self-expression", lambda: tune(LossWeights(lambda_self_expression=0.0)), ValueError, "(1.0, 0.0)"),
    ("masks", lambda: tune(masked=True), ValueError, ("every view", "solver='adam'")),
    ("many weights", lambda: tune(LossWeights(self_expression=(1.0,) * 4)), ValueError, "4 weights"),
    (
        "tiny penalty on samples that are all the same",
        lambda: tune(LossWeights(lambda_regularization=1e-12), scale=1e5, twins=True),
        ValueError,
        ("ridge=1e-12", "14 samples", "raise"),
    ),
    ("diverged", lambda: tune(scale=float("nan")), ValueError, ("ridge=0.2", "NaN", "learning rate")),
]


@by_name(CASES)
def test_bad_input(call, error, words):
    one_clear_error(call, error, words)
