"""Diagrams of the networks: where the views meet, and what C connects."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from ..checks import one_of
from .style import SMALL, WIDTH, new_figure

__all__ = ["ARCHITECTURES", "show_architecture"]

#: What a box is: its face and its edge.
KINDS = {
    "view": ("#e8eef5", "#7d93ab"),
    "network": ("#dcebdc", "#6f9a6f"),
    "fusion": ("#e9dff2", "#8866a8"),
    "latent": ("#fdf1d6", "#c9a04a"),
    "coefficients": ("#f7dcd6", "#b5543c"),
    "reading": ("#ececec", "#999999"),
}
WIDTHS = {"view": 0.66, "network": 0.76, "reading": 0.76, "fusion": 0.62}  # of boxes, in columns
NARROW, HEIGHT = 0.56, 0.62  # of other boxes; of all boxes, in rows
STEP = 0.25  # from the network down to the reading
UPPER, MIDDLE, LOWER = 1.0, 0.5, 0.0  # rows: of the first view, of what is joint, of the second view
BOTH = (UPPER, LOWER)

#: A column is the boxes that stand above each other: (kind, text, rows); "@" is the number of the view.
Column = tuple[str, str, Sequence[float]]
INPUTS: Column = ("view", "$X^@$", BOTH)
JOINT: list[Column] = [("latent", "$Z$", [MIDDLE]), ("coefficients", "$C$", [MIDDLE]), ("latent", "$C Z$", [MIDDLE])]
SHARED: list[Column] = [("latent", "$Z^@$", BOTH), ("coefficients", "$C$", [MIDDLE]), ("latent", "$C Z^@$", BOTH)]
OUTPUTS: list[Column] = [("network", "decoder @", BOTH), ("view", "$\\hat X^@$", BOTH)]
OWN: Column = ("network", "encoder @", BOTH)
MEET: Column = ("fusion", "$f$", [MIDDLE])

ARCHITECTURES: dict[str, list[Column]] = {
    "dsc": [
        ("view", "$X$", [MIDDLE]),
        ("network", "encoder", [MIDDLE]),
        *JOINT,
        ("network", "decoder", [MIDDLE]),
        ("view", "$\\hat X$", [MIDDLE]),
    ],
    "early": [INPUTS, MEET, ("network", "encoder", [MIDDLE]), *JOINT, *OUTPUTS],
    "intermediate": [
        INPUTS, ("network", "first\nlayers @", BOTH), MEET, ("network", "last\nlayers", [MIDDLE]), *JOINT, *OUTPUTS,
    ],
    "late": [INPUTS, OWN, MEET, *JOINT, *OUTPUTS],
    "affinity": [INPUTS, OWN, *SHARED, *OUTPUTS],
    "cmsc-dcca": [INPUTS, OWN, *SHARED, *OUTPUTS],
}  # fmt: skip
READING = ("threshold", "affinity $W$", "spectral\nclustering", "labels")


def show_architecture(
    place: str, view_names: Sequence[str] = ("view 1", "view 2"), function: str = "f", reading: bool = False
) -> Figure:
    """Draw a network of two views, or DSC-Net's of one, from the inputs to what the decoders rebuild.

    Parameters
    ----------
    place : {"dsc", "early", "intermediate", "late", "affinity", "cmsc-dcca"}
        Where the views meet.
    view_names : sequence of two str
        Small print below X¹ and X².
    function : str
        Name of the fusion function, in its box.
    reading : bool
        Whether a row below shows how C becomes labels.
    """
    one_of("place", place, tuple(ARCHITECTURES))
    columns = ARCHITECTURES[place]
    single = place == "dsc"
    top = (MIDDLE if single else UPPER) + HEIGHT / 2 + 0.05
    bottom = (MIDDLE if single else LOWER) - HEIGHT / 2 - 0.05 - (HEIGHT + STEP) * reading
    fig, axes = new_figure(1, 1, WIDTH, 1.25 * (top - bottom))
    ax = axes[0, 0]
    before: Sequence[float] = ()
    middles = {}
    for x, (kind, text, rows) in enumerate(columns):
        middles[text] = x
        tall = kind == "coefficients" and place in ("affinity", "cmsc-dcca")
        for view, row in enumerate(rows, start=1):
            words = text.replace("@", str(view))
            note = view_names[view - 1] if x == 0 and len(rows) == 2 else ""
            _box(ax, x, row, kind, function if kind == "fusion" else words, note, 1 + HEIGHT if tall else HEIGHT)
        ends = BOTH if tall else rows
        for start, end in [(row, row) for row in ends] if set(before) == set(ends) else product(before, ends):
            _join(ax, x, start, end, columns[x - 1][0], kind)
        before = ends
    if place == "cmsc-dcca":
        x = middles["$Z^@$"]
        _arrow(ax, (x, LOWER + HEIGHT / 2), (x, UPPER - HEIGHT / 2), "<->")
        ax.text(x + 0.06, MIDDLE, "correlated", fontsize=SMALL, ha="left", va="center")
    if reading:
        _draw_reading(ax, middles["$C$"], place)
    ax.set(xlim=(-0.5, len(columns) - 0.5), ylim=(bottom, top))
    ax.set_axis_off()
    return fig


def _box(ax: Axes, x: float, y: float, kind: str, text: str, note: str = "", height: float = HEIGHT) -> None:
    """Draw a box with its text in the middle, and a note in small print below that."""
    face, edge = KINDS[kind]
    width = WIDTHS.get(kind, NARROW)
    corner, rounded = (x - width / 2, y - height / 2), "round,pad=0,rounding_size=0.06"
    ax.add_patch(FancyBboxPatch(corner, width, height, rounded, facecolor=face, edgecolor=edge, linewidth=1.3))
    size = 15 if kind == "coefficients" else 10
    ax.text(x, y + (0.1 if note else 0), text, ha="center", va="center", fontsize=size)
    if note:
        ax.text(x, y - 0.17, note, ha="center", va="center", fontsize=SMALL - 1, color="0.35")


def _join(ax: Axes, x: float, start: float, end: float, left: str, right: str) -> None:
    """Draw an arrow from the edge of a box in the column before to the edge of one in column x."""
    _arrow(ax, (x - 1 + WIDTHS.get(left, NARROW) / 2, start), (x - WIDTHS.get(right, NARROW) / 2, end))


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], style: str = "->") -> None:
    ax.annotate("", end, start, arrowprops={"arrowstyle": style, "color": "0.3", "shrinkA": 0, "shrinkB": 0})


def _draw_reading(ax: Axes, x: int, place: str) -> None:
    """Draw, below the network, the steps from C to labels."""
    bottom = (LOWER if place in ("affinity", "cmsc-dcca") else MIDDLE) - HEIGHT / 2
    y = bottom - STEP - HEIGHT / 2
    kinds = ["reading"] * 3 + ["view"]
    for step, (kind, text) in enumerate(zip(kinds, READING, strict=True)):
        _box(ax, x + step, y, kind, text)
        if step:
            _join(ax, x + step, y, y, "reading", kind)
    _arrow(ax, (x, bottom), (x, y + HEIGHT / 2))
    ax.text(x - 0.5, y, "reading $C$:", ha="right", va="center", fontsize=SMALL, color="0.35")
