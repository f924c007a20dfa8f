"""Spatial fusion against NumPy formulas and networks put together by hand."""

import numpy as np
import pytest
import torch

from dmsc.fusion import FusionEncoder, Merge, fuse, fusion_plan
from dmsc.networks import Architecture, Conv, build_encoder

NET = Architecture((Conv(4, 3), Conv(6, 3), Conv(5, 3, 1)))
VIEWS = [(1, 12, 10)] * 3


@pytest.mark.parametrize("function", ["sum", "max", "concat"])
def test_functions_equal_their_numpy_formulas(function):
    maps = [torch.randn(2, 3, 4, 5, dtype=torch.float64) for _ in range(3)]
    arrays = [Z.numpy() for Z in maps]
    expected = {
        "sum": arrays[0] + arrays[1] + arrays[2],
        "max": np.maximum(np.maximum(arrays[0], arrays[1]), arrays[2]),
        "concat": np.concatenate(arrays, axis=1),
    }
    np.testing.assert_array_equal(fuse(maps, function).numpy(), expected[function])


def test_named_plans():
    assert fusion_plan("early", 3, 3) == (Merge(0, (0, 1, 2)),)
    assert fusion_plan("late", 3, 3) == (Merge(3, (0, 1, 2)),)
    assert fusion_plan("intermediate", 2, 3) == (Merge(1, (0, 1)),)
    assert fusion_plan("intermediate", 5, 3) == (Merge(1, (0, 1)), Merge(2, (0, 2, 3, 4)))
    assert fusion_plan("late", 1, 3) == ()


@pytest.mark.parametrize("function", ["sum", "max", "concat"])
@pytest.mark.parametrize("place", ["early", "intermediate", "late"])
def test_every_variant_has_one_latent_and_trains_every_parameter(place, function):
    torch.manual_seed(0)
    encoder = FusionEncoder(VIEWS, NET, fusion_plan(place, 3, 3), function)
    Xs = [torch.rand(7, 1, 12, 10) for _ in VIEWS]
    Z = encoder(*Xs)
    assert Z.shape == (7, 5, 3, 3)
    Z.square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


def test_early_concatenation_is_one_encoder_of_more_channels():
    encoder = FusionEncoder(VIEWS, NET, fusion_plan("early", 3, 3), "concat")
    single = build_encoder((3, 12, 10), NET)
    single.load_state_dict(dict(zip(single.state_dict(), encoder.state_dict().values(), strict=True)))
    Xs = [torch.rand(2, 1, 12, 10) for _ in VIEWS]
    torch.testing.assert_close(encoder(*Xs), single(torch.cat(Xs, 1)))


def test_late_sum_is_the_sum_of_encoders():
    encoder = FusionEncoder(VIEWS, NET, fusion_plan("late", 3, 3), "sum")
    Xs = [torch.rand(2, 1, 12, 10) for _ in VIEWS]
    expected = 0
    for view, X in enumerate(Xs):
        for depth in range(3):
            X = encoder.layers[f"{view}_{depth}"](X)
        expected = expected + X
    torch.testing.assert_close(encoder(*Xs), expected)


def test_a_hybrid_plan_is_followed():
    """Views 1 and 2 meet after one convolution, view 0 joins them after two."""
    encoder = FusionEncoder(VIEWS, NET, [Merge(2, (0, 1)), Merge(1, (1, 2))], "max")
    X0, X1, X2 = (torch.rand(2, 1, 12, 10) for _ in VIEWS)
    f = encoder.layers
    pair = f["1_1"](torch.maximum(f["1_0"](X1), f["2_0"](X2)))
    expected = f["0_2"](torch.maximum(f["0_1"](f["0_0"](X0)), pair))
    torch.testing.assert_close(encoder(X0, X1, X2), expected)
    assert set(f) == {"0_0", "1_0", "2_0", "0_1", "1_1", "0_2"}


@pytest.mark.parametrize("function", ["sum", "max"])
def test_permuting_views_and_their_parameters_changes_nothing(function):
    encoder = FusionEncoder(VIEWS, NET, fusion_plan("late", 3, 3), function)
    swapped = FusionEncoder(VIEWS, NET, fusion_plan("late", 3, 3), function)
    order = [2, 0, 1]
    for new, old in enumerate(order):
        for depth in range(3):
            swapped.layers[f"{new}_{depth}"].load_state_dict(encoder.layers[f"{old}_{depth}"].state_dict())
    Xs = [torch.rand(2, 1, 12, 10) for _ in VIEWS]
    torch.testing.assert_close(encoder(*Xs), swapped(*(Xs[old] for old in order)))
