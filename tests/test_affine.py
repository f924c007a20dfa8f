"""Training networks without a non-linearity by less arithmetic: same losses, same gradients, and only where it pays."""

import copy
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

from dmsc.affine import affine_reconstruction, affine_terms, is_affine, principal_rows
from dmsc.correlation import Correlation
from dmsc.fusion import fusion_plan
from dmsc.losses import LossWeights, finetuning_terms, weighted_squared_error
from dmsc.model import SubspaceNetwork
from dmsc.networks import Architecture, Conv
from dmsc.presets import LISTING_NET
from dmsc.training import finetune, pretrain

SAME = Architecture((Conv(3, 5, 2), Conv(4, 3, 2)), dense=(6, 4), activation="none")
LISTING = replace(LISTING_NET, dense=(6, 4))
N = 110


def make(views=2, architecture=LISTING, zero_diagonal=True, n_samples=N):
    """Return a network in float64 for images and vectors of rank 3, or for images alone, and the views."""
    torch.manual_seed(0)
    words = torch.rand(n_samples, 3, dtype=torch.float64) @ torch.rand(3, 9, dtype=torch.float64)
    Xs = [torch.rand(n_samples, 1, 10, 10, dtype=torch.float64), words][:views]
    shapes = [tuple(X.shape[1:]) for X in Xs]
    model = SubspaceNetwork(shapes, n_samples, architecture, zero_diagonal=zero_diagonal, chunk_size=50).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    return model, Xs


def same_gradients(found, expected, parameters):
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=0)
    pairs = zip(torch.autograd.grad(found, parameters), torch.autograd.grad(expected, parameters), strict=True)
    for a, b in pairs:
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9 * float(b.abs().max()))


@pytest.mark.parametrize("way", ["basis", "windows"])
@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("norm", [1, 2])
@pytest.mark.parametrize("zero_diagonal", [False, True])
@pytest.mark.parametrize("architecture", [LISTING, SAME], ids=["listing", "same"])
@pytest.mark.parametrize("views", [1, 2])
def test_terms_of_finetuning_and_all_gradients_are_those_of_the_plain_way(
    views, architecture, zero_diagonal, norm, relative, way
):
    model, Xs = make(views, architecture, zero_diagonal)
    weights = LossWeights((1.0, 0.5)[:views], (0.7, 0.3)[:views], 0.1, 2.0, norm, relative)
    expected, found = finetuning_terms(model, Xs, weights), affine_terms(model, Xs, weights, way)()
    assert list(found) == list(expected)
    for name, term in expected.items():
        torch.testing.assert_close(found[name], term, rtol=1e-9, atol=0)
    same_gradients(sum(found.values()), sum(expected.values()), list(model.parameters()))


@pytest.mark.parametrize("way", ["basis", "windows"])
@pytest.mark.parametrize("n_samples", [N, 60])  # more samples than pixels, and fewer
@pytest.mark.parametrize("views", [1, 2])
def test_the_loss_of_pretraining_and_all_gradients_are_those_of_the_plain_way(views, n_samples, way):
    model, Xs = make(views, n_samples=n_samples)
    weights = (0.2, 0.8)[:views]
    expected = weighted_squared_error(Xs, model.autoencode(Xs), weights)
    found = affine_reconstruction(model, Xs, weights, way)()
    same_gradients(found, expected, model.autoencoder_parameters())


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_both_steps_end_where_the_plain_way_does(precision, monkeypatch):
    options = {"epochs": 8, "precision": precision, "progress": False}
    histories = {}
    for way in ("plain", "basis", "windows"):
        for function in (affine_terms, affine_reconstruction):
            chosen = (lambda *_: None) if way == "plain" else partial(function, way=way)
            monkeypatch.setattr(f"dmsc.training.{function.__name__}", chosen)
        model, Xs = make()
        model, Xs = model.float(), [X.float() for X in Xs]
        first = pretrain(model, Xs, weights=(0.5, 1.0), **options)["loss"]
        second = finetune(model, Xs, weights=LossWeights(lambda_self_expression=0.1), **options)["loss"]
        assert first[-1] < first[0] and second[-1] < second[0]
        histories[way] = first + second
    tolerance = 1e-4 if precision == "float32" else 0.05
    assert histories["basis"] == pytest.approx(histories["plain"], rel=tolerance)
    assert histories["windows"] == pytest.approx(histories["plain"], rel=tolerance)
    assert len({tuple(history) for history in histories.values()}) == 3


def test_an_interrupted_run_goes_on_where_it_was(tmp_path):
    def train(epochs, model, Xs, **options):
        options |= {"epochs": epochs, "weights": LossWeights(), "progress": False, "checkpoint_every": 3}
        return finetune(model, Xs, checkpoint=tmp_path / "AE2.pt", **options)

    whole, Xs = make()
    expected = finetune(whole, Xs, epochs=6, weights=LossWeights(), progress=False)
    broken, _ = make()
    train(3, broken, Xs)
    other, _ = make(zero_diagonal=True)
    assert train(6, other, Xs, resume=True) == expected
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), other.parameters(), strict=True))


def test_what_is_affine():
    assert is_affine(make()[0])
    shapes, layers = [(1, 8, 8)] * 2, (Conv(3, 3), Conv(4, 3))
    for options in ({}, {"activation": "none", "output_activation": "relu"}):
        assert not is_affine(SubspaceNetwork(shapes, 5, Architecture(layers, **options)))
    linear = Architecture(layers, activation="none")
    assert not is_affine(SubspaceNetwork(shapes, 5, linear, plan=fusion_plan("late", 2, 2)))


def test_the_way_that_costs_least_is_taken():
    """Few images go through the networks where the views are of low rank, few probes where there are many samples."""
    model, Xs = make()
    Xs[0] = torch.rand(N, 3, dtype=torch.float64) @ torch.rand(3, 100, dtype=torch.float64)
    Xs[0] = Xs[0].view(N, 1, 10, 10)
    seen = []
    model.encoders[0].register_forward_hook(lambda _, inputs, output: seen.append(len(output)))
    pretrain(model, Xs, epochs=1, progress=False)
    finetune(model, Xs, epochs=1, weights=LossWeights(), progress=False)
    assert seen == [3 + 1 + 1] * 2  # the constant; and 0, which shows the biases
    seen.clear()
    model, Xs = make(1, SAME, n_samples=3000)
    model.encoders[0].register_forward_hook(lambda _, inputs, output: seen.append(len(output)))
    affine_reconstruction(model.place("cpu"), Xs, (1.0,))()
    assert seen == [82]  # 9 x 9 pixels belong to a latent, and 0


def test_the_plain_way_stays_where_it_is_the_shortest_or_the_only_one(monkeypatch):
    """Latents narrower than the images; missing views, the correlation's term, a solver and mini-batches."""
    narrow, images = make(1, Architecture((Conv(1, 3, 2), Conv(1, 3, 2)), activation="none"))
    assert affine_terms(narrow, images, LossWeights()) is None
    assert affine_terms(narrow, images, LossWeights(), "windows") is not None
    model, Xs = make()

    def fail(*_):
        raise AssertionError

    monkeypatch.setattr("dmsc.training.affine_terms", fail)
    monkeypatch.setattr("dmsc.training.affine_reconstruction", fail)
    masks = [torch.arange(N) % 2 == 0, torch.arange(N) % 2 == 1]
    options = {"epochs": 1, "progress": False}
    pretrain(model, Xs, masks=masks, **options)
    pretrain(model, Xs, batch_size=N - 1, **options)
    pretrain(model, Xs, through="coefficients", **options)
    finetune(model, Xs, weights=LossWeights(), masks=masks, **options)
    C = model.self_expression.weight.detach().clone()
    finetune(model, Xs, weights=LossWeights(), solve=lambda Zs: C, **options)
    correlation = Correlation(projection_dim=2, n_correlations=1)
    shapes = [tuple(X.shape[1:]) for X in Xs]
    model = SubspaceNetwork(shapes, N, LISTING, correlation=correlation).double()
    finetune(model, Xs, weights=LossWeights(), correlation=correlation, **options)
    with pytest.raises(AssertionError):
        finetune(copy.deepcopy(model), Xs, weights=LossWeights(), **options)


def test_principal_rows_span_a_matrix_and_leave_out_what_float32_hides():
    torch.manual_seed(0)
    rows = torch.rand(50, 4, dtype=torch.float64) @ torch.rand(4, 12, dtype=torch.float64)
    basis, lengths = principal_rows(rows + 1e-9 * torch.rand(50, 12))
    assert basis.shape == (4, 12) and lengths.shape == (4,)
    torch.testing.assert_close(basis @ basis.T, torch.eye(4, dtype=torch.float64))
    torch.testing.assert_close(rows @ basis.T @ basis, rows, rtol=0, atol=1e-7)
    torch.testing.assert_close(lengths.flip(0), torch.linalg.svdvals(rows)[:4], rtol=1e-6, atol=0)
