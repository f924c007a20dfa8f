"""Figures of what decides without any training: how C is read, and the penalty of its closed form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from .comparison import READINGS
from .style import GRAY, SMALL, TINY, colors, new_figure

__all__ = ["show_penalties", "show_readings"]

PANELS, WIDE_PANELS = 5, 3  # beside each other


def show_readings(rows: Sequence[dict], marked: Mapping[str, tuple[int, float]] | None = None) -> Figure:
    """Draw a panel per title: the ACC of one C over the dimension d and the power α of the subspace affinity.

    Parameters
    ----------
    rows : list of dict
        ``title``, ``dim``, ``alpha`` and ``acc``, one per reading. Readings of one title and the same d and α, as of
        several seeds, are averaged.
    marked : mapping, optional
        From a title to the (d, α) that gets a frame, such as the paper's.

    Raises
    ------
    ValueError
        If there are no rows.
    """
    frame, titles, n_rows, n_columns = _panels(rows, "reading", PANELS)
    fig, axes = new_figure(n_rows, n_columns, 0.4 + 1.9 * n_columns, 2.2 * n_rows)
    for i, ax in enumerate(axes.flat):
        if i >= len(titles):
            ax.set_axis_off()
            continue
        of_title = frame[frame["title"] == titles[i]]
        grid = 100 * of_title.pivot_table(index="dim", columns="alpha", values="acc")
        sns.heatmap(grid, ax=ax, vmin=0, vmax=100, cmap="viridis", annot=True, fmt=".0f", cbar=False,
                    annot_kws={"size": SMALL})  # fmt: skip
        ax.set_title(titles[i], fontsize=SMALL)
        ax.set(xlabel="α", ylabel="d" if i % n_columns == 0 else "")
        ax.tick_params(labelsize=TINY, rotation=0)
        dim, alpha = (marked or {}).get(titles[i], (None, None))
        if dim in grid.index and alpha in grid.columns:
            corner = grid.columns.get_loc(alpha), grid.index.get_loc(dim)
            ax.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="crimson", linewidth=2.5, clip_on=False))
    return fig


def show_penalties(rows: Sequence[dict], networks: Mapping[str, Mapping[str, float]] | None = None) -> Figure:
    """Draw a panel per title: the ACC of a closed form over its penalty, in two readings.

    Parameters
    ----------
    rows : list of dict
        ``title``, ``ridge``, ``plain``, ``paper``, and ``chosen``, the penalty that is chosen without labels.
    networks : mapping, optional
        From a title to the ACC of a trained network by reading, drawn as dashed lines.

    Raises
    ------
    ValueError
        If there are no rows.
    """
    frame, titles, n_rows, n_columns = _panels(rows, "penalty", WIDE_PANELS)
    fig, axes = new_figure(n_rows, n_columns, 3.0 * n_columns, 0.5 + 2.1 * n_rows)
    for title, ax in zip(titles, axes.flat, strict=False):
        panel = frame[frame["title"] == title].sort_values("ridge")
        for reading, color, marker in zip(("plain", "paper"), colors(3), "os", strict=False):
            ax.semilogx(panel["ridge"], panel[reading], f"{marker}-", color=color, markersize=4,
                        label=f"no network, {READINGS[reading]}")  # fmt: skip
            if reading in (networks or {}).get(title, {}):
                level = networks[title][reading]  # type: ignore[index]
                ax.axhline(level, color=color, linestyle="--", label=f"trained network, {READINGS[reading]}")
        ax.axvline(panel["chosen"].iloc[0], color=GRAY, linestyle=":", label="penalty chosen without labels")
        ax.set_title(title, fontsize=SMALL)
        ax.set(ylim=(0, 1.03), xlabel="penalty", ylabel="ACC")
        sns.despine(ax=ax)
    for ax in axes.flat[len(titles) :]:
        ax.set_axis_off()
    named = {label: handle for ax in fig.axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    fig.legend([*named.values()], [*named], loc="outside lower center", ncols=3, frameon=False, fontsize=SMALL)
    return fig


def _panels(rows: Sequence[dict], what: str, beside: int) -> tuple[pd.DataFrame, list[str], int, int]:
    """Return the rows as a table, their titles, and how many rows and columns of panels these take; refuse none."""
    if not rows:
        raise ValueError(f"rows must hold at least one {what}, got none")
    frame = pd.DataFrame(rows)
    titles = list(dict.fromkeys(frame["title"]))
    n_columns = min(beside, len(titles))
    return frame, titles, -(-len(titles) // n_columns), n_columns
