"""The drawn graph of an encoder says what its description says, and what the network does."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pytest
import torch
from bad_input import one_clear_error

from dmsc import plots
from dmsc.fusion import FusionEncoder, Merge, fusion_plan
from dmsc.networks import Architecture, Conv
from dmsc.plots.encoder import encoder_graph

NET = Architecture((Conv(4, 3), Conv(6, 5, 1), Conv(5, 3)))
VIEWS = [(1, 12, 10)] * 4
PLANS = {
    **{place: fusion_plan(place, 4, 3) for place in ("early", "intermediate", "late")},
    "pairs": [Merge(1, (0, 1)), Merge(1, (2, 3)), Merge(2, (0, 2))],
    "twice at one depth, out of order": [Merge(1, (3, 1)), Merge(1, (2, 3)), Merge(3, (2, 0))],
}


def place(point):
    return tuple(round(float(x), 6) for x in point)


def parts(plan, function, views=VIEWS):
    (ax,) = plots.show_encoder(views, NET, plan, function).axes
    boxes = [patch for patch in ax.patches if isinstance(patch, plt.Rectangle)]
    circles = [line for line in ax.lines if line.get_marker() == "o"]
    labels = {place(text.get_position()): text.get_text() for text in ax.texts if text.get_text() not in ("", "Z")}
    arrows = [text for text in ax.texts if getattr(text, "arrow_patch", None)]
    return boxes, circles, labels, arrows


@pytest.mark.parametrize("plan, function", [*zip(PLANS, ["max", "sum", "concat", "concat", "max"], strict=True)])
def test_boxes_circles_and_arrows_are_those_of_the_plan(plan, function):
    plan = PLANS[plan]
    encoder = FusionEncoder(VIEWS, NET, plan, function)
    boxes, circles, labels, arrows = parts(plan, function)
    assert len(boxes) == len(VIEWS) + len(encoder.layers)
    assert len(circles) == len(plan)
    inside = [labels[place(box.get_center())] for box in boxes]
    assert inside[:4] == [f"view {m}\n1×12×10" for m in range(4)]
    kernels = sorted(layer[0].kernel_size[0] for layer in encoder.layers.values())
    assert sorted(int(label[len("conv ")]) for label in inside[4:]) == kernels
    merged = [labels[place(line.get_xydata()[0])] for line in circles]
    assert all(label.startswith(f"{function}\n") for label in merged)
    assert len(labels) == len(boxes) + len(circles)
    into_merges = sum(len(merge.streams) for merge in plan)
    assert len(arrows) == len(encoder.layers) + into_merges + 1  # and one to Z


@pytest.mark.parametrize("function", ["sum", "max", "concat"])
@pytest.mark.parametrize("plan", PLANS)
def test_the_shapes_are_those_of_the_network(plan, function):
    """Every convolution of the real encoder puts out, in its order, a shape that the graph names."""
    encoder, seen = FusionEncoder(VIEWS, NET, PLANS[plan], function), []
    for layer in encoder.layers.values():
        layer.register_forward_hook(lambda layer, _, Z: seen.append((layer[0].in_channels, tuple(Z.shape[1:]))))
    Z = encoder(*(torch.rand(1, *shape) for shape in VIEWS))
    nodes = encoder_graph(VIEWS, NET, PLANS[plan], function)
    named = [(node.sources[0].shape[0], node.shape) for node in nodes if node.kind == "convolution"]
    assert sorted(named) == sorted(seen)
    assert nodes[-1].shape == Z.shape[1:]


@pytest.mark.parametrize("plan", PLANS)
def test_depth_goes_right_and_nothing_overlaps(plan):
    nodes = encoder_graph(VIEWS, NET, PLANS[plan], "concat")
    for node in nodes:
        assert all(source.column < node.column for source in node.sources)
    for k, node in enumerate(nodes):
        for other in nodes[k + 1 :]:
            assert node.column != other.column or abs(node.row - other.row) >= 1


def test_a_merge_of_outer_views_makes_way_for_the_inner_one():
    nodes = encoder_graph(VIEWS[:3], NET, [Merge(1, (0, 2)), Merge(2, (0, 1))], "max")
    assert [node.row for node in nodes if node.kind == "merge"] == [0, 0.5]
    assert nodes[-1].joint and not nodes[3].joint


def test_one_view_alone_has_no_merge():
    boxes, circles, labels, _ = parts((), "sum", VIEWS[:1])
    assert len(boxes) == 4 and not circles
    assert [*labels.values()] == ["view 0\n1×12×10", "conv 3/2\n4×6×5", "conv 5/1\n6×6×5", "conv 3/2\n5×3×3"]


@pytest.mark.parametrize(
    ("views", "plan", "words"),
    [
        (VIEWS, [Merge(0, (0, 1))], "one stream"),
        ([(5,), (5,)], fusion_plan("late", 2, 3), "image views"),
        ([(1, 8, 8), (1, 16, 16)], [Merge(0, (0, 1))], "one size"),
    ],
)
def test_what_cannot_be_built_cannot_be_drawn(views, plan, words):
    one_clear_error(lambda: plots.show_encoder(views, NET, plan), ValueError, words)
