"""The loss and its gradients, against a float64 NumPy formula and finite differences."""

import numpy as np
import pytest
import torch

from dmsc.losses import LossWeights, finetuning_terms, repeat_last
from dmsc.metrics import objective
from dmsc.model import SubspaceNetwork
from dmsc.networks import Architecture, Conv


def make(n_samples=5, zero_diagonal=True, chunk_size=None):
    torch.manual_seed(0)
    architecture = Architecture((Conv(2, 3),), dense=(4, 3), activation="none")  # smooth: finite differences are exact
    model = SubspaceNetwork(
        [(1, 4, 5), (6,)], n_samples, architecture, zero_diagonal=zero_diagonal, chunk_size=chunk_size
    ).double()
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
    assert sum(terms.values()).item() == pytest.approx(objective(Xs, Xs_hat, Zs, C, weights))


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


def test_last_weight_repeats():
    assert repeat_last((0.6, 0.1), 4) == [0.6, 0.1, 0.1, 0.1]
    assert repeat_last((1.0,), 1) == [1.0]
