"""One look for all figures: sizes, colors, and figures that pyplot has let go of."""

from __future__ import annotations

import matplotlib.pyplot as plt
import seaborn as sns

WIDTH, MAX_HEIGHT = 9.0, 3.5  # inches


def new_figure(n_rows, n_columns, width, height):
    """Make a figure and its axes (n_rows, n_columns); pyplot forgets it, so that none pile up."""
    fig, axes = plt.subplots(n_rows, n_columns, figsize=(width, height), squeeze=False, layout="constrained")
    plt.close(fig)
    return fig, axes


def colors(n):
    """Return n colors, told apart by color-blind readers as long as n ≤ 10."""
    return sns.color_palette("colorblind", n) if n <= 10 else sns.color_palette("husl", n)
