"""The graph of a spatial-fusion encoder, drawn from the description that builds it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from ..fusion import FusionEncoder, Merge
from ..networks import Architecture, Conv, conv_sizes
from .style import GRAY, MAX_HEIGHT, SMALL, TINY, colors, new_figure

__all__ = ["encoder_graph", "show_encoder"]

BOX_WIDTH, BOX_HEIGHT, RADIUS, CIRCLE = 0.76, 0.62, 0.27, 46  # columns and rows are 1 apart; CIRCLE in points


class Node(NamedTuple):
    """An input, a convolution or a merge, the shape (C, H, W) of what it puts out, and the nodes it takes in."""

    kind: str
    name: str
    shape: tuple[int, ...]
    column: int
    row: float
    sources: tuple[Node, ...] = ()

    @property
    def joint(self) -> bool:
        """Whether more than one view has come this far."""
        return self.kind == "merge" or any(node.joint for node in self.sources)


def show_encoder(
    view_shapes: Sequence[tuple[int, ...]], architecture: Architecture, plan: Sequence[Merge], function: str = "concat"
) -> Figure:
    """Draw the encoder of a plan: boxes are inputs and convolutions (kernel/stride), circles merges, shapes below."""
    nodes = encoder_graph(view_shapes, architecture, plan, function)
    rows, columns = len(view_shapes), nodes[-1].column + 1
    fig, axes = new_figure(1, 1, 1.3 * columns + 1, min(MAX_HEIGHT, 0.7 * rows + 0.6))
    ax, (own, met, joint), gray = axes[0, 0], colors(3), to_rgb(GRAY)
    for node in nodes:
        x, y = node.column, node.row
        if node.kind == "merge":
            ax.plot(x, y, "o", markersize=CIRCLE, markeredgecolor=met, markerfacecolor=(*met, 0.25))
        else:
            edge = gray if node.kind == "input" else joint if node.joint else own
            box = (x - BOX_WIDTH / 2, y - BOX_HEIGHT / 2), BOX_WIDTH, BOX_HEIGHT
            ax.add_patch(plt.Rectangle(*box, edgecolor=edge, facecolor=(*edge, 0.2)))
        ax.text(x, y, f"{node.name}\n{'×'.join(map(str, node.shape))}", ha="center", va="center", fontsize=TINY)
        for source in node.sources:
            _arrow(ax, source, x - _reach(node), y)
    _arrow(ax, nodes[-1], columns - 0.3, nodes[-1].row)
    ax.text(columns - 0.2, nodes[-1].row, "Z", ha="center", va="center", style="italic")
    kinds = {"input": gray, "weights of one view": own, "joint weights": joint, "merge": met}
    handles = [plt.Line2D([], [], ls="", marker="o" if name == "merge" else "s", color=c) for name, c in kinds.items()]
    ax.legend(handles, kinds, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=4, frameon=False, fontsize=SMALL)
    ax.set(xlim=(-0.45, columns), ylim=(rows - 0.6, -0.4))
    ax.axis("off")
    return fig


def encoder_graph(
    view_shapes: Sequence[tuple[int, ...]], architecture: Architecture, plan: Sequence[Merge], function: str
) -> list[Node]:
    """Return the nodes of an encoder, sources first: the walk of `dmsc.fusion.FusionEncoder`."""
    plan = FusionEncoder(view_shapes, architecture, plan, function).plan  # it refuses what cannot be built
    ends = {view: Node("input", f"view {view}", tuple(shape), 0, view) for view, shape in enumerate(view_shapes)}
    nodes = list(ends.values())
    sizes = [conv_sizes((height, width), architecture) for _, height, width in view_shapes]
    convolutions = architecture.convolutions
    for depth in range(len(convolutions) + 1):
        for merge in [merge for merge in plan if merge.depth == depth]:
            met = tuple(ends.pop(stream) for stream in merge.streams)
            channels = sum(node.shape[0] for node in met) if function == "concat" else met[0].shape[0]
            column, row = 1 + max(node.column for node in met), sum(node.row for node in met) / len(met)
            if any(abs(row - other.row) < 1 for other in ends.values()):  # a stream is there: go on in the first's row
                row = met[0].row
            nodes.append(Node("merge", function, (channels, *met[0].shape[1:]), column, row, met))
            ends[merge.streams[0]] = nodes[-1]
        if depth < len(convolutions):
            column = 1 + max(node.column for node in ends.values())
            for stream, end in sorted(ends.items()):
                nodes.append(_convolution(convolutions[depth], end, sizes[stream][depth + 1], column))
                ends[stream] = nodes[-1]
    last = nodes[-1]
    if last.shape[0] != convolutions[-1].channels:  # concatenated after the last convolution
        nodes.append(_convolution(Conv(convolutions[-1].channels, 3, 1), last, last.shape[1:], last.column + 1))
    return nodes


def _convolution(conv: Conv, source: Node, size: tuple[int, ...], column: int) -> Node:
    name, shape = f"conv {conv.kernel}/{conv.stride}", (conv.channels, *size)
    return Node("convolution", name, shape, column, source.row, (source,))


def _reach(node: Node) -> float:
    return RADIUS if node.kind == "merge" else BOX_WIDTH / 2


def _arrow(ax: Axes, source: Node, x: float, y: float) -> None:
    start = source.column + _reach(source), source.row
    ax.annotate("", (x, y), start, arrowprops={"arrowstyle": "->", "color": "0.3"})
