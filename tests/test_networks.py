"""Geometry of the networks, against TensorFlow's rule written out by hand."""

import numpy as np
import pytest
import torch
from bad_input import by_name, one_clear_error

from dmsc.networks import (
    Architecture,
    Conv,
    ConvTranspose2d,
    SameConv2d,
    SameConvTranspose2d,
    build_decoder,
    build_encoder,
    latent_shape,
)
from dmsc.presets import COIL20_NET, COMPONENTS_NET, LISTING_NET, ORL_NET, YALE_NET


def slow_same_conv(X, weight, bias, stride):
    """TensorFlow's "SAME" convolution of one image X (C, H, W), pixel by pixel in float64."""
    channels, _, kernel, _ = weight.shape
    H, W = X.shape[1:]
    out = np.zeros((channels, -(-H // stride), -(-W // stride)))
    top = max((out.shape[1] - 1) * stride + kernel - H, 0) // 2
    left = max((out.shape[2] - 1) * stride + kernel - W, 0) // 2
    for c, i, j in np.ndindex(out.shape):
        out[c, i, j] = bias[c]
        for d, a, b in np.ndindex(weight.shape[1:]):
            row, column = i * stride + a - top, j * stride + b - left
            if 0 <= row < H and 0 <= column < W:
                out[c, i, j] += weight[c, d, a, b] * X[d, row, column]
    return out


@pytest.mark.parametrize("size", [(8, 8), (7, 10), (9, 6)])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 2), (4, 2), (2, 3), (1, 2)])
def test_same_convolution_equals_the_slow_one(size, kernel, stride):
    conv = SameConv2d(2, 3, kernel, stride, size).double()
    X = torch.randn(1, 2, *size, dtype=torch.float64)
    expected = slow_same_conv(X[0].numpy(), conv.weight.detach().numpy(), conv.bias.detach().numpy(), stride)
    np.testing.assert_allclose(conv(X)[0].detach().numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("size", [(8, 8), (48, 42), (7, 10)])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 2), (4, 2), (2, 3)])
def test_transposed_convolution_is_the_adjoint(size, kernel, stride):
    """<conv(x), z> = <x, transposed(z)> when both share the weight and have no bias."""
    conv = SameConv2d(2, 3, kernel, stride, size).double()
    up = SameConvTranspose2d(3, 2, kernel, stride, size).double()
    up.weight.data = conv.weight.data
    conv.bias.data.zero_(), up.bias.data.zero_()
    X = torch.randn(1, 2, *size, dtype=torch.float64)
    Z = torch.randn_like(conv(X))
    assert up(Z).shape == X.shape
    torch.testing.assert_close((conv(X) * Z).sum(), (X * up(Z)).sum())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "more"), [(3, 2, 0, 0), (5, 2, 1, 1), (4, (2, 1), 1, 0), (3, 1, 1, 0)]
)
def test_transposed_convolution_is_pytorchs(kernel, stride, padding, more, bias, dtype):
    ours = ConvTranspose2d(3, 2, kernel, stride, padding, more, bias=bias)
    X = torch.randn(4, 3, 8, 7, requires_grad=True)
    wanted = [X, *ours.parameters()]
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        found, expected = ours(X), torch.nn.ConvTranspose2d.forward(ours, X)
    assert found.dtype == expected.dtype == dtype
    rounding = {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 1e-2, "atol": 1e-2}
    torch.testing.assert_close(found, expected, **rounding)
    dY = torch.randn_like(found)
    grads = (torch.autograd.grad(Y, wanted, dY) for Y in (found, expected))
    for ours_by, theirs_by in zip(*grads, strict=True):
        assert ours_by.dtype == torch.float32
        torch.testing.assert_close(ours_by, theirs_by, **{**rounding, "atol": 10 * rounding["atol"]})


@pytest.mark.parametrize(
    ("shape", "architecture", "latent"),
    [
        ((1, 48, 42), YALE_NET, (30, 6, 6)),
        ((1, 32, 32), ORL_NET, (5, 4, 4)),
        ((1, 32, 32), COIL20_NET, (15, 16, 16)),
        ((1, 32, 32), COMPONENTS_NET, (30, 8, 8)),
        ((1, 42, 42), LISTING_NET, (30, 10, 10)),
        ((3, 17, 5), YALE_NET, (30, 3, 1)),
        ((79,), Architecture(dense=(20, 7)), (7,)),
        ((6,), Architecture(dense="auto"), (6,)),
        ((24,), Architecture(dense="auto"), (8,)),
        ((784,), Architecture(dense="auto"), (28,)),
        ((9000,), Architecture(dense="auto"), (64,)),
    ],
)
def test_shapes_there_and_back(shape, architecture, latent):
    X = torch.rand(2, *shape)
    Z = build_encoder(shape, architecture)(X)
    assert Z.shape == (2, *latent) == (2, *latent_shape(shape, architecture))
    assert build_decoder(shape, architecture)(Z).shape == X.shape


def test_initialization_and_activations():
    encoder = build_encoder((1, 8, 8), Architecture((Conv(4, 3),)))
    assert torch.all(encoder[0].bias == 0)
    assert encoder[0].weight.abs().max() <= (6 / (9 + 36)) ** 0.5  # Glorot-uniform bound: fan in 9, fan out 36
    decoder = build_decoder((1, 8, 8), Architecture((Conv(4, 3),), output_activation="relu"))
    assert decoder(torch.randn(5, 4, 4, 4)).min() >= 0
    linear = build_encoder((1, 42, 42), LISTING_NET)
    X = torch.randn(2, 1, 42, 42)
    torch.testing.assert_close(linear(X) + linear(-X), 2 * linear(0 * X), rtol=1e-4, atol=1e-5)


CASES = [
    ("kernel", lambda: Conv(3, 0), ValueError, ("kernel", "got 0")),
    ("channels", lambda: Conv(2.5, 3), TypeError, ("channels", "2.5")),
    ("padding", lambda: Conv(3, 3, padding="valid"), ValueError, "padding"),
    ("activation", lambda: Architecture(activation="tanh"), ValueError, ("activation", "'tanh'")),
    ("empty", lambda: Architecture(()), ValueError, "convolution"),
    ("width", lambda: Architecture(dense=(3, 0)), ValueError, ("dense", "got 0")),
    (
        "image too small",
        lambda: build_encoder((1, 4, 4), Architecture((Conv(2, 7, padding=1),))),
        ValueError,
        ("(4, 4)", "too small"),
    ),
    ("other size back", lambda: build_decoder((1, 8, 8), LISTING_NET), ValueError, ("(1, 8, 8)", "padding='same'")),
]


@by_name(CASES)
def test_bad_input(call, error, words):
    one_clear_error(call, error, words)
