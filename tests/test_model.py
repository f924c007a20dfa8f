"""The composition."""

import copy

import pytest
import torch
from test_losses import make

from dmsc.losses import LossWeights, finetuning_terms
from dmsc.model import SubspaceNetwork
from dmsc.networks import Architecture, Conv
from dmsc.presets import COIL20_NET


def test_forward_is_encode_express_decode():
    model, Xs = make()
    Zs, Zs_hat, Xs_hat = model(Xs)
    C = torch.tensor(model.coefficients)
    for X, Z, Z_hat, X_hat, encoder, decoder in zip(
        Xs, Zs, Zs_hat, Xs_hat, model.encoders, model.decoders, strict=True
    ):
        maps = encoder(X)
        torch.testing.assert_close(Z, maps.flatten(1))
        torch.testing.assert_close(Z_hat, C @ Z)
        torch.testing.assert_close(X_hat, decoder(Z_hat.view_as(maps)))


def test_chunked_equals_unchunked_with_gradients():
    whole, Xs = make(n_samples=7)
    chunked = copy.deepcopy(whole)
    chunked.chunk_size = 3  # 3 + 3 + 1
    for model in (whole, chunked):
        sum(finetuning_terms(model, Xs, LossWeights()).values()).backward()
    for a, b in zip(whole.parameters(), chunked.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_channels_last_equals_the_default_layout():
    torch.manual_seed(0)
    model = SubspaceNetwork([(1, 32, 32)], 6, COIL20_NET, coefficients_init=0.1)
    X = torch.rand(6, 1, 32, 32)
    expected = model([X])
    found = model.to(memory_format=torch.channels_last)([X])
    for a, b in zip(expected, found, strict=True):
        torch.testing.assert_close(a[0], b[0], rtol=1e-5, atol=1e-5)


def test_every_parameter_gets_a_gradient():
    model, Xs = make()
    sum(finetuning_terms(model, Xs, LossWeights()).values()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("views", [1, 2, 3])
def test_any_number_of_views_shares_one_coefficient_matrix(views):
    model = SubspaceNetwork([(1, 8, 8)] * views, 9, Architecture((Conv(2, 3),)))
    assert model.coefficients.shape == (9, 9)
    assert len(model.encode([torch.rand(9, 1, 8, 8)] * views)) == views
    assert sum(p.numel() for p in model.parameters()) == 81 + sum(p.numel() for p in model.autoencoder_parameters())
