"""One look for all figures: sizes, colors, legends, and figures that pyplot has let go of."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from ..methods import closest
from ..presets import BASELINES, METHODS

WIDTH, MAX_HEIGHT = 9.0, 3.5  # inches; of a page, and of a figure that says one thing
SMALL, TINY = 9, 8  # points; the rest is matplotlib's own size
GRAY, PALE = "0.5", "0.93"
SUM = {"linewidth": 5, "color": "0.8", "zorder": 1}  # a loss, wide and pale behind its terms: it hides none

Color = tuple[float, float, float]

#: What `use_style` sets: the look of figures that a page draws by itself.
STYLE = {
    "figure.dpi": 100,
    "figure.figsize": (WIDTH, 3.0),
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.labelsize": 10,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": plt.cycler(color=sns.color_palette("colorblind", 10)),
    "image.interpolation": "nearest",
    "lines.markersize": 5,
}
#: A method's color, among the ten of "colorblind": by the place where its views meet.
PLACE_COLORS = {"none": 0, "early": 1, "intermediate": 2, "late": 4, "affinity": 3}
#: Of methods that share a place, and of baselines: (color, shade).
METHOD_COLORS = {
    "dsc-l1": (9, 0.0), "listing": (6, -0.5), "cmsc-dcca": (5, -0.4),
    "ridge": (7, -0.4), "ridge-stopped": (7, 0.3), "local": (7, 0.0), "ssc": (8, -0.5), "ssc-omp": (8, -0.2),
    "lrr": (9, -0.5), "kmeans": (5, 0.2), "spectral": (6, -0.2),
}  # fmt: skip
FUNCTION_SHADES = {"sum": 0.0, "max": 0.45, "concat": -0.35}


def new_figure(
    n_rows: int, n_columns: int, width: float = WIDTH, height: float = MAX_HEIGHT
) -> tuple[Figure, np.ndarray]:
    """Make a figure, no wider than a page, and its axes (n_rows, n_columns); pyplot forgets it: none pile up."""
    size = (min(width, WIDTH), height)
    fig, axes = plt.subplots(n_rows, n_columns, figsize=size, squeeze=False, layout="constrained")
    plt.close(fig)
    return fig, axes


def colors(n: int) -> list[Color]:
    """Return n colors, told apart by color-blind readers as long as n ≤ 10."""
    return sns.color_palette("colorblind", n) if n <= 10 else sns.color_palette("husl", n)


def use_style() -> None:
    """Set fonts, sizes, colors and resolution of all figures that are drawn from now on: one look for the course."""
    plt.rcParams.update(STYLE)


def method_color(name: str, shade: float = 0.0) -> Color:
    """Return the color that a method has in every figure: by where its views meet, shaded by the fusion function.

    Parameters
    ----------
    name : str
        Of a method or a baseline, as `dmsc methods` lists them.
    shade : float
        From -1, black, to 1, white: tells lines of one method apart, such as DSC-Net on the first and second view.

    Raises
    ------
    ValueError
        For a name that is neither.
    """
    known = METHODS | BASELINES
    if name not in known:
        raise ValueError(f"unknown method {name!r}{closest(name, known)}: use one of {', '.join(known)}")
    if name in METHOD_COLORS:
        index, own = METHOD_COLORS[name]
    else:
        index, own = PLACE_COLORS[METHODS[name].fusion], FUNCTION_SHADES.get(name.rpartition("-")[2], 0.0)
    return _shaded(_shaded(colors(10)[index], own), shade)


def _shaded(color: Color, shade: float) -> Color:
    """Mix a color with white (shade > 0) or black."""
    other = to_rgb("white" if shade > 0 else "black")
    return tuple((1 - abs(shade)) * a + abs(shade) * b for a, b in zip(color, other, strict=True))  # type: ignore[return-value]


def picture_frame(ax: Axes, visible: bool) -> None:
    """Draw all four sides of a picture's frame or none, and no ticks: `use_style` would leave two sides."""
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(visible)


def legend_beside(ax: Axes, *entries: list, **options: str) -> None:
    """Put the legend on the right of the axes, where it covers nothing."""
    ax.legend(*entries, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, **options)


def legend_below(ax: Axes) -> None:
    """Put the legend below the axes and their label, in small print."""
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), frameon=False, fontsize=SMALL)
