"""One look for all figures: sizes, colors, legends, and figures that pyplot has let go of."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH, MAX_HEIGHT = 9.0, 3.5  # inches; of a page, and of a figure that says one thing
SMALL, TINY = 9, 8  # points; the rest is matplotlib's own size
GRAY, PALE = "0.5", "0.93"
SUM = {"linewidth": 5, "color": "0.8", "zorder": 1}  # a loss, wide and pale behind its terms: it hides none

Color = tuple[float, float, float]


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


def legend_beside(ax: Axes, *entries: list, **options: str) -> None:
    """Put the legend on the right of the axes, where it covers nothing."""
    ax.legend(*entries, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, **options)


def legend_below(ax: Axes) -> None:
    """Put the legend below the axes and their label, in small print."""
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), frameon=False, fontsize=SMALL)
