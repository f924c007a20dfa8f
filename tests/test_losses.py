"""The loss and its gradients, against a float64 NumPy formula and finite differences."""

import numpy as np
import pytest
import torch
from bad_input import by_name, one_clear_error

from dmsc.correlation import Correlation, correlation_deficit
from dmsc.losses import LossWeights, finetuning_terms, repeat_last, weighted_squared_error
from dmsc.model import SubspaceNetwork
from dmsc.networks import Architecture, Conv


def make(n_samples=5, zero_diagonal=True, chunk_size=None, correlation=None):
    torch.manual_seed(0)
    architecture = Architecture((Conv(2, 3),), dense=(4, 3), activation="none")  # smooth: finite differences are exact
    options = {"zero_diagonal": zero_diagonal, "chunk_size": chunk_size, "correlation": correlation}
    model = SubspaceNetwork([(1, 4, 5), (6,)], n_samples, architecture, **options).double()
    model.self_expression.set_coefficients(torch.randn(n_samples, n_samples, dtype=torch.float64))
    Xs = [
        torch.randn(n_samples, 1, 4, 5, dtype=torch.float64),
        torch.randn(n_samples, 6, dtype=torch.float64),
    ]
    return model, Xs


@pytest.mark.parametrize("norm", [1, 2])
def test_terms_equal_the_formula(norm):
    model, Xs = make()
    weights = LossWeights((0.6, 0.1), (0.3, 0.05), 2.0, 7.0, norm)
    terms = finetuning_terms(model, Xs, weights)
    C = model.coefficients
    Zs = [Z.detach().numpy() for Z in model.encode(Xs)]
    Xs_hat = [X.detach().numpy() for X in model.decode([torch.tensor(C @ Z) for Z in Zs])]
    errors = [((X.numpy() - X_hat) ** 2).sum() for X, X_hat in zip(Xs, Xs_hat, strict=True)]
    residuals = [((Z - C @ Z) ** 2).sum() for Z in Zs]
    assert terms["reconstruction"].item() == pytest.approx(0.6 * errors[0] + 0.1 * errors[1])
    assert terms["regularization"].item() == pytest.approx(2.0 * (np.abs(C) ** norm).sum())
    assert terms["self_expression"].item() == pytest.approx(7.0 * (0.3 * residuals[0] + 0.05 * residuals[1]))


@pytest.mark.parametrize("norm", [1, 2])
def test_gradients_equal_finite_differences(norm):
    model, Xs = make(zero_diagonal=norm == 1)
    weights = LossWeights((0.6, 0.1), (0.3, 0.05), 2.0, 7.0, norm)
    sum(finetuning_terms(model, Xs, weights).values()).backward()
    generator = np.random.default_rng(0)
    for name, parameter in model.named_parameters():
        flat, gradient = parameter.data.view(-1), parameter.grad.view(-1)
        for k in generator.choice(len(flat), min(4, len(flat)), replace=False):
            kept, values = flat[k].item(), []
            for step in (1e-6, -1e-6):
                flat[k] = kept + step
                with torch.no_grad():
                    values.append(sum(finetuning_terms(model, Xs, weights).values()).item())
            flat[k] = kept
            difference = (values[0] - values[1]) / 2e-6
            assert gradient[k].item() == pytest.approx(difference, rel=1e-4, abs=1e-4), name


def test_errors_count_samples_that_have_the_view():
    rng = np.random.default_rng(0)
    targets, outputs = ([rng.normal(size=(6, 1, 2, 3)), rng.normal(size=(6, 4))] for _ in range(2))
    has = [np.array([1, 1, 0, 1, 0, 1], dtype=bool), np.array([0, 1, 1, 0, 1, 1], dtype=bool)]
    expected = 0.0
    for w, T, out, mask in zip((0.6, 0.1), targets, outputs, has, strict=True):
        expected += w * sum(((T[i] - out[i]) ** 2).sum() for i in range(6) if mask[i])
    as_tensors = [list(map(torch.tensor, arrays)) for arrays in (targets, outputs)]
    found = weighted_squared_error(*as_tensors, (0.6, 0.1), list(map(torch.tensor, has)))
    assert found.item() == pytest.approx(expected)
    nobody = [torch.zeros(6, dtype=torch.bool)] * 2
    assert weighted_squared_error(*as_tensors, (0.6, 0.1), nobody).item() == 0


def test_terms_with_missing_views_equal_the_formula():
    """A missing latent is 0 for the others, and its own residual doesn't count."""
    settings = Correlation(lambda_correlation=3.0, projection_dim=2, n_correlations=2)
    model, Xs = make(n_samples=8, correlation=settings)
    has = np.array([[1, 1, 0, 1, 1, 0, 1, 1], [1, 0, 1, 1, 1, 1, 0, 1]], dtype=bool)
    masks = list(torch.tensor(has))
    weights = LossWeights((0.6, 0.1), (0.3, 0.05), 2.0, 7.0)
    terms = finetuning_terms(model, Xs, weights, masks=masks, correlation=settings)
    C = model.coefficients
    Zs = [Z.detach().numpy() * mask[:, None] for Z, mask in zip(model.encode(Xs), has, strict=True)]
    Xs_hat = [X.detach().numpy() for X in model.decode([torch.tensor(C @ Z) for Z in Zs])]
    errors = [((X.numpy() - X_hat)[mask] ** 2).sum() for X, X_hat, mask in zip(Xs, Xs_hat, has, strict=True)]
    residuals = [((Z - C @ Z)[mask] ** 2).sum() for Z, mask in zip(Zs, has, strict=True)]
    projected = [torch.tensor(Z) @ P.weight.T for Z, P in zip(Zs, model.projections, strict=True)]
    assert set(terms) == {"reconstruction", "regularization", "self_expression", "correlation"}
    assert terms["reconstruction"].item() == pytest.approx(0.6 * errors[0] + 0.1 * errors[1])
    assert terms["self_expression"].item() == pytest.approx(7.0 * (0.3 * residuals[0] + 0.05 * residuals[1]))
    assert terms["correlation"].item() == pytest.approx(3.0 * correlation_deficit(projected, settings, masks).item())


@pytest.mark.parametrize("masked", [False, True])
def test_gradients_of_all_terms_of_cmsc_dcca_equal_finite_differences(masked):
    settings = Correlation(lambda_correlation=3.0, projection_dim=2, n_correlations=1, covariance_ridge=0.1)
    model, Xs = make(n_samples=6, correlation=settings)
    masks = [torch.arange(6) != lost for lost in (1, 4)] if masked else None
    weights = LossWeights((0.6, 0.1), (0.3, 0.05), 2.0, 7.0)

    def loss():
        return sum(finetuning_terms(model, Xs, weights, masks=masks, correlation=settings).values())

    loss().backward()
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        values = []
        with torch.no_grad():
            for step in (1e-6, -2e-6, 1e-6):  # there, to the other side, and back
                parameter += step * direction
                values.append(loss().item())
        slope = (values[0] - values[1]) / 2e-6
        assert (parameter.grad * direction).sum().item() == pytest.approx(slope, rel=1e-4, abs=1e-4), name


def test_last_weight_repeats():
    assert repeat_last((0.6, 0.1), 4) == [0.6, 0.1, 0.1, 0.1]
    assert repeat_last((1.0,), 1) == [1.0]


@pytest.mark.parametrize("norm", [1, 2])
def test_a_zero_diagonal_gets_exactly_no_gradient(norm):
    model, Xs = make()
    assert model.self_expression.weight.diagonal().abs().min() > 0  # what is to be left out
    sum(finetuning_terms(model, Xs, LossWeights(norm=norm)).values()).backward()
    gradient = model.self_expression.weight.grad
    assert (gradient.diagonal() == 0).all() and (gradient != 0).sum() == 20


def test_a_solver_takes_the_place_of_the_parameter():
    """Its C enters every term, as a function of the latents, and the model's own gets no gradient."""
    model, Xs = make()
    weights = LossWeights((0.6, 0.1), (0.3, 0.05), 2.0, 7.0)

    def solve(Zs):
        return sum(Z @ Z.T for Z in Zs) / 50

    terms = finetuning_terms(model, Xs, weights, solve=solve)
    C = solve(model.encode(Xs))
    torch.testing.assert_close(terms["regularization"], 2.0 * C.square().sum())
    sum(terms.values()).backward()
    assert model.self_expression.weight.grad is None
    found = [p.grad.clone() for p in model.autoencoder_parameters()]
    model.zero_grad()
    Zs = model.encode(Xs)
    C = solve(Zs)
    Zs_hat = [C @ Z for Z in Zs]
    expected = weighted_squared_error(Xs, model.decode(Zs_hat), (0.6, 0.1)) + 2.0 * C.square().sum()
    (expected + 7.0 * weighted_squared_error(Zs, Zs_hat, (0.3, 0.05))).backward()
    for gradient, parameter in zip(found, model.autoencoder_parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad)


def test_relative_terms_know_no_units():
    """Each error is divided by the mean squared length of its target, over the samples that have it."""
    model, Xs = make()
    weights = LossWeights((0.6, 0.1), (0.3, 0.05), 2.0, 7.0, relative=True)
    masks = [torch.arange(5) < 4, torch.arange(5) > 0]
    Xs = [X * mask.reshape(-1, *[1] * (X.ndim - 1)) for X, mask in zip(Xs, masks, strict=True)]
    terms = finetuning_terms(model, Xs, weights, masks=masks)
    C = model.self_expression.matrix()
    Zs = model.encode(Xs, masks)
    Xs_hat = model.decode([C @ Z for Z in Zs])
    residual = sum(
        v * (Z - C @ Z)[m].square().sum() / Z[m].square().sum(1).mean()
        for v, Z, m in zip((0.3, 0.05), Zs, masks, strict=True)
    )
    error = sum(
        w * (X - X_hat)[m].square().sum() / X[m].flatten(1).square().sum(1).mean()
        for w, X, X_hat, m in zip((0.6, 0.1), Xs, Xs_hat, masks, strict=True)
    )
    torch.testing.assert_close(terms["self_expression"], 7.0 * residual)
    torch.testing.assert_close(terms["reconstruction"], error)
    targets, outputs = [torch.rand(4, 3)], [torch.rand(4, 3)]
    small, large = (
        weighted_squared_error([1000**k * T for T in targets], [1000**k * T for T in outputs], (2.0,), relative=True)
        for k in (0, 1)
    )
    torch.testing.assert_close(small, large)
    nothing = weighted_squared_error([torch.zeros(4, 3)], [torch.zeros(4, 3)], (1.0,), relative=True)
    assert nothing == 0  # a dead latent


def test_the_penalty_of_the_closed_form():
    assert LossWeights(lambda_regularization=0.5, lambda_self_expression=4.0).ridge == 0.125


CASES = [
    ("norm", lambda: LossWeights(norm=3), ValueError, ("norm", "got 3")),
    ("negative weight", lambda: LossWeights((1.0, -0.1)), ValueError, ("reconstruction", "-0.1")),
    ("no weight", lambda: LossWeights(self_expression=()), ValueError, ("self_expression", "()")),
    ("text", lambda: LossWeights(("a",)), ValueError, ("reconstruction", "'a'")),
    ("nan", lambda: LossWeights(lambda_regularization=float("nan")), ValueError, ("lambda_regularization", "nan")),
    ("negative", lambda: LossWeights(lambda_self_expression=-1), ValueError, ("lambda_self_expression", "-1")),
    ("many weights", lambda: weighted_squared_error([torch.ones(1)], [torch.ones(1)], (1, 2)), ValueError, "(1, 2)"),
    ("no closed form: p = 1", lambda: LossWeights(norm=1).ridge, ValueError, "norm=1"),
    ("no closed form: 0", lambda: LossWeights(lambda_regularization=0).ridge, ValueError, "(0, 1.0)"),
    ("no closed form: by 0", lambda: LossWeights(lambda_self_expression=0).ridge, ValueError, "(1.0, 0)"),
]


@by_name(CASES)
def test_bad_input(call, error, words):
    one_clear_error(call, error, words)
