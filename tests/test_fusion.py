"""Spatial fusion against NumPy formulas and networks put together by hand."""

import numpy as np
import pytest
import torch
from bad_input import by_name, one_clear_error

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


@pytest.mark.parametrize("function", ["sum", "max", "concat"])
def test_functions_join_what_each_sample_has(function):
    """Sample by sample: only the maps it has, zeros for what is missing from a concatenation or altogether."""
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(8, 2, 3, 2)) - 1 for _ in range(3)]  # mostly below 0: a 0 would win a maximum
    has = np.array([[sample >> view & 1 for sample in range(8)] for view in range(3)], dtype=bool)  # all patterns
    expected = []
    for sample in range(8):
        present = [Z[sample] for Z, mask in zip(arrays, has, strict=True) if mask[sample]]
        if function == "concat":
            expected.append(np.concatenate([Z[sample] * mask[sample] for Z, mask in zip(arrays, has, strict=True)]))
        elif not present:
            expected.append(np.zeros((2, 3, 2)))
        else:
            expected.append({"sum": np.sum, "max": np.max}[function](present, axis=0))
    maps = [torch.tensor(Z, requires_grad=True) for Z in arrays]
    fused = fuse(maps, function, list(torch.tensor(has)))
    np.testing.assert_allclose(fused.detach(), expected, rtol=1e-15)
    fused.square().sum().backward()
    for Z, mask in zip(maps, has, strict=True):
        assert Z.grad.isfinite().all() and not Z.grad[~mask].any()


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


def random_masks(n_samples):
    """Masks of three views; all seven patterns occur."""
    patterns = torch.arange(n_samples) % 7 + 1
    return [(patterns >> view & 1).bool() for view in range(3)]


@pytest.mark.parametrize("function", ["sum", "max"])
@pytest.mark.parametrize("place", ["early", "intermediate", "late"])
def test_a_sample_is_encoded_by_the_views_it_has(place, function):
    """Sample by sample, with the streams of missing views left out of the plan."""
    torch.manual_seed(0)
    encoder = FusionEncoder(VIEWS, NET, fusion_plan(place, 3, 3), function)
    Xs, masks = [torch.rand(7, 1, 12, 10) for _ in VIEWS], random_masks(7)
    join = {"sum": lambda a, b: a + b, "max": torch.maximum}[function]
    expected = []
    for sample in range(7):
        streams = {view: X[sample : sample + 1] for view, X in enumerate(Xs) if masks[view][sample]}
        for depth in range(4):
            for merge in [m for m in encoder.plan if m.depth == depth]:
                for stream in merge.streams[1:]:
                    if stream in streams:
                        Z = streams.pop(stream)
                        first = merge.streams[0]
                        streams[first] = join(streams[first], Z) if first in streams else Z
            if depth < 3:
                streams = {stream: encoder.layers[f"{stream}_{depth}"](Z) for stream, Z in streams.items()}
        (Z,) = streams.values()
        expected.append(Z)
    torch.testing.assert_close(encoder(*Xs, *masks), torch.cat(expected))


@pytest.mark.parametrize("place", ["early", "intermediate", "late"])
def test_a_missing_view_is_a_hole_in_a_concatenation(place):
    """Zero weights for the channels of views 1 and 2 do the same as samples that lack them."""
    torch.manual_seed(0)
    plan = fusion_plan(place, 3, 3)
    encoder = FusionEncoder(VIEWS, NET, plan, "concat")
    Xs = [torch.rand(4, 1, 12, 10) for _ in VIEWS]
    only_first = [torch.ones(4, dtype=torch.bool), *[torch.zeros(4, dtype=torch.bool)] * 2]
    found = encoder(*Xs, *only_first)
    with torch.no_grad():
        for merge in plan:
            name = "back" if merge.depth == 3 else f"0_{merge.depth}"
            weight = encoder.layers[name][0].weight
            weight[:, weight.shape[1] // len(merge.streams) :] = 0
    torch.testing.assert_close(found, encoder(*Xs))


def permuted(encoder, order):
    """Give a new encoder the parameters of another: its view ``new`` is the other's view ``order[new]``.

    Streams that meet first exchange their layers, and the layer after a concatenation its blocks of channels.
    """
    first, *_ = encoder.plan
    swapped = FusionEncoder(VIEWS, NET, encoder.plan, encoder.function)
    swapped.load_state_dict(encoder.state_dict())
    for new, old in enumerate(order):
        for depth in range(first.depth):
            swapped.layers[f"{new}_{depth}"].load_state_dict(encoder.layers[f"{old}_{depth}"].state_dict())
    if encoder.function == "concat":
        layer = "back" if first.depth == 3 else f"0_{first.depth}"
        weight = encoder.layers[layer][0].weight.detach()  # (c, sum of c, k, k)
        blocks = weight.chunk(len(first.streams), 1)
        joined = torch.cat([blocks[old] for old in order if old in first.streams], 1)
        swapped.layers[layer][0].weight.data.copy_(joined)
    return swapped


@pytest.mark.parametrize("function", ["sum", "max", "concat"])
@pytest.mark.parametrize(
    ("place", "order"),
    [
        ("early", [2, 0, 1]),
        ("late", [2, 0, 1]),
        ("late", [1, 0, 2]),
        ("intermediate", [1, 0, 2]),  # the two that meet first
    ],
)
@pytest.mark.parametrize("masked", [False, True])
def test_permuting_views_and_their_parameters_changes_nothing(place, order, function, masked):
    torch.manual_seed(0)
    encoder = FusionEncoder(VIEWS, NET, fusion_plan(place, 3, 3), function)
    Xs, masks = [torch.rand(7, 1, 12, 10) for _ in VIEWS], random_masks(7) if masked else []
    found = permuted(encoder, order)(*(Xs[old] for old in order), *(masks[old] for old in order if masked))
    torch.testing.assert_close(found, encoder(*Xs, *masks))


@pytest.mark.parametrize("function", ["sum", "max"])
@pytest.mark.parametrize(
    ("place", "order", "same"),
    [
        ("early", [2, 1, 0], True),
        ("late", [2, 1, 0], True),
        ("intermediate", [1, 0, 2], True),
        ("intermediate", [2, 1, 0], False),  # view 2 would join a layer earlier
    ],
)
def test_only_the_hybrid_encoder_tells_views_apart_when_all_streams_have_the_same_parameters(
    place, order, same, function
):
    torch.manual_seed(0)
    encoder = FusionEncoder(VIEWS, NET, fusion_plan(place, 3, 3), function)
    for name, layer in encoder.layers.items():
        layer.load_state_dict(encoder.layers[f"0_{name[-1]}"].state_dict())
    Xs = [torch.rand(2, 1, 12, 10) for _ in VIEWS]
    assert torch.allclose(encoder(*Xs), encoder(*(Xs[old] for old in order)), atol=1e-5) == same


def encoder(*view_shapes, plan=None):
    return FusionEncoder(view_shapes, Architecture(), fusion_plan("late", 2, 2) if plan is None else plan, "sum")


IMAGES, X = ((1, 8, 8), (1, 8, 8)), torch.rand(4, 3)
CASES = [
    ("merge of one stream", lambda: Merge(0, (1,)), ValueError, ("streams", "(1,)")),
    ("function", lambda: fuse([X, X], "mean"), ValueError, "'mean'"),
    ("place", lambda: fusion_plan("middle", 2, 3), ValueError, "'middle'"),
    ("sizes", lambda: encoder((1, 8, 8), (1, 9, 8)), ValueError, ("affinity fusion", "resize")),
    ("vectors", lambda: encoder((1, 8, 8), (5,)), ValueError, "image views"),
    ("too deep", lambda: encoder(*IMAGES, plan=[Merge(3, (0, 1))]), ValueError, "deeper"),
    ("no such stream", lambda: encoder(*IMAGES, plan=[Merge(0, (0, 2))]), ValueError, "[0, 1]"),
    ("two streams left", lambda: encoder(*IMAGES, plan=[]), ValueError, "one stream"),
]


@by_name(CASES)
def test_bad_input(call, error, words):
    one_clear_error(call, error, words)
