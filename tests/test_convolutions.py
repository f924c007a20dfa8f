"""The fast transposed convolution against PyTorch's own."""

import pytest
import torch
from torch import nn

from dmsc import convolutions
from dmsc.convolutions import ConvTranspose2d

#: (output channels, kernel, stride, padding, output_padding) that take the fast way.
FAST = [
    (1, 4, 2, 0, 0),
    (1, 4, 2, 1, 0),
    (1, 3, 2, 1, 0),
    (1, 3, 2, 1, 1),
    (1, 5, 2, 2, 1),
    (3, 5, (2, 2), (2, 1), (1, 0)),
    (1, 3, 3, 0, 0),
    (1, 5, 4, 1, 1),
    (2, 2, 2, 0, 0),
    (1, 1, 2, 0, 0),
    (1, 2, 3, 1, 1),
    (1, (4, 3), 2, 1, 0),
]
#: Those that must not.
PLAIN = [(5, 4, 2, 1, 0), (1, 3, 1, 1, 0), (1, 1, 2, 0, 1), (1, 3, (2, 1), 1, 0)]


def pair(case, dtype=torch.float64):
    torch.manual_seed(0)
    channels, kernel, stride, padding, output_padding = case
    ours = ConvTranspose2d(3, channels, kernel, stride, padding, output_padding).to(dtype)
    reference = nn.ConvTranspose2d(3, channels, kernel, stride, padding, output_padding).to(dtype)
    reference.load_state_dict(ours.state_dict())
    return ours, reference


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("case", FAST + PLAIN)
def test_equals_pytorch_with_gradients(case, layout):
    ours, reference = pair(case)
    X = torch.randn(4, 3, 5, 6, dtype=torch.float64).contiguous(memory_format=layout)
    results = []
    for layer in (ours, reference):
        Z = X.clone().requires_grad_()
        Y = layer(Z)
        weights = torch.linspace(-1, 1, Y.numel(), dtype=Y.dtype).view(Y.shape)
        (Y * weights).sum().backward()
        results.append((Y, Z.grad, layer.weight.grad, layer.bias.grad))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("case", "fast"), [*((case, True) for case in FAST), *((case, False) for case in PLAIN)])
def test_takes_the_way_that_is_meant(case, fast, monkeypatch):
    taken = []
    apply = convolutions._Interleaved.apply
    monkeypatch.setattr(convolutions._Interleaved, "apply", lambda *given: taken.append(1) or apply(*given))
    pair(case)[0](torch.zeros(1, 3, 5, 6, dtype=torch.float64))
    assert bool(taken) == fast


def test_frozen_parameters_get_no_gradient():
    ours, _ = pair(FAST[0])
    ours.requires_grad_(False)
    X = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    ours(X).sum().backward()
    assert ours.weight.grad is None and ours.bias.grad is None
    assert torch.autograd.gradcheck(ours, X)
