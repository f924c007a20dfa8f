"""Affine convolutional networks as matrix products: the same maps and the same gradients."""

import pytest
import torch
from torch import nn

from dmsc.model import flatten, unflatten
from dmsc.networks import Architecture, Conv, build_decoder, build_encoder, latent_shape
from dmsc.presets import LISTING_NET
from dmsc.windows import Windows, gather, spread

#: Geometries, and the images' sizes.
GEOMETRIES = {
    "listing": (LISTING_NET, (14, 18)),
    "same": (Architecture((Conv(3, 5, 2), Conv(4, 3, 1), Conv(5, 3, 2)), activation="none"), (16, 13)),
    "gaps": (Architecture((Conv(2, 2, 3), Conv(3, 2, 2)), activation="none"), (11, 17)),
    "valid": (Architecture((Conv(2, 3, 2, 0), Conv(3, 3, 1, 1)), activation="none"), (13, 9)),
    "one layer": (Architecture((Conv(4, 3, 1),), activation="none"), (5, 6)),
}


def make(name):
    """Return an encoder and a decoder in float64, with biases, the images' size, the latents' shape and images."""
    architecture, size = GEOMETRIES[name]
    torch.manual_seed(0)
    networks = [build((1, *size), architecture).double() for build in (build_encoder, build_decoder)]
    for parameter in [*networks[0].parameters(), *networks[1].parameters()]:
        nn.init.normal_(parameter)
    return *networks, size, latent_shape((1, *size), architecture), torch.rand(7, 1, *size, dtype=torch.float64)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_products_are_the_encoder_without_its_biases(name):
    encoder, _, size, shape, X = make(name)
    X.requires_grad_()
    windows = Windows(encoder, size, shape)
    outputs = flatten(encoder(windows.probes))
    expected = flatten(encoder(X) - encoder(torch.zeros_like(X)))
    found = gather(X.flatten(1), windows.kernels(outputs), windows.bands)
    same_with_gradients(found, expected, [X, *[layer.weight for layer in encoder[::2]]])


@pytest.mark.parametrize("name", GEOMETRIES)
def test_products_are_the_decoder_without_its_biases(name):
    _, decoder, size, shape, X = make(name)
    Z = torch.rand(7, *shape, dtype=torch.float64).movedim(1, -1).flatten(1).requires_grad_()
    windows = Windows(decoder, size, shape)
    outputs = decoder(unflatten(windows.probes, shape))
    expected = decoder(unflatten(Z, shape)) - decoder(torch.zeros_like(unflatten(Z, shape)))
    found = spread(Z, windows.kernels(outputs), windows.bands, X[0].numel())
    same_with_gradients(found, expected.flatten(1), [Z, *[layer.weight for layer in decoder[::2]]])


def same_with_gradients(found, expected, parameters):
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    at = torch.randn_like(expected)
    for a, b in zip(
        torch.autograd.grad(found, parameters, at), torch.autograd.grad(expected, parameters, at), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_bands_are_what_a_latent_row_depends_on():
    """By the network's own derivatives, with positive weights, that can't cancel."""
    encoder, _, size, shape, _ = make("listing")
    for parameter in encoder.parameters():
        parameter.data.abs_()
    windows = Windows(encoder, size, shape)
    X = torch.zeros(1, 1, *size, dtype=torch.float64, requires_grad=True)
    Z = encoder(X)
    for p, band in enumerate(windows.bands):
        (gradient,) = torch.autograd.grad(Z[:, :, p].sum(), X, retain_graph=True)
        rows = gradient[0, 0].any(1).nonzero()
        assert (band.start, band.stop) == (size[1] * int(rows.min()), size[1] * (int(rows.max()) + 1))
    assert windows.multiplications == sum((band.stop - band.start) * shape[0] * shape[2] for band in windows.bands)


def test_a_few_probes_do():
    """14 x 14 pixels of the listing's 42 x 42, whose latents see 14 x 14; every fourth latent of its 10 x 10."""
    encoder, decoder = build_encoder((1, 42, 42), LISTING_NET), build_decoder((1, 42, 42), LISTING_NET)
    assert Windows(encoder, (42, 42), (30, 10, 10)).probes.shape == (14**2 + 1, 1, 42, 42)
    assert Windows(decoder, (42, 42), (30, 10, 10)).probes.shape == (30 * 4**2 + 1, 3000)


def test_bfloat16_rounds_factors_and_results():
    encoder, decoder, size, shape, X = make("listing")
    encoder, decoder, X = encoder.float(), decoder.float(), X.float()
    reading, writing = Windows(encoder, size, shape), Windows(decoder, size, shape)
    kernels = reading.kernels(flatten(encoder(reading.probes)))
    back = writing.kernels(decoder(unflatten(writing.probes, shape)))

    def through():
        Z = gather(X.flatten(1), kernels, reading.bands)
        X_hat = spread(Z, back, writing.bands, X[0].numel())
        return X_hat, torch.autograd.grad(X_hat.float().square().sum(), encoder[0].weight, retain_graph=True)[0]

    expected = through()
    with torch.autocast("cpu", torch.bfloat16):
        found = through()
    assert found[0].dtype == torch.bfloat16
    for a, b in zip(found, expected, strict=True):
        assert 0 < (a - b).norm().item() / b.norm().item() < 0.02
