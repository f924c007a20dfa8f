"""Figures that set methods side by side, from the rows of :func:`dmsc.tables.summarize` (see :mod:`dmsc.plots`)."""

from __future__ import annotations

import json
import re
from collections import defaultdict

import seaborn as sns

from ..checks import one_of
from ..fusion import PLACES
from ..presets import BASELINES, METHODS
from .style import WIDTH, colors, new_figure

__all__ = ["comparable", "show_comparison", "show_curves", "show_selection"]

READINGS = {"plain": "plain affinity", "paper": "paper's post-processing", "selected": "chosen without labels"}
LIFTS = (0.25, 0, -0.25)  # of the readings' marks from a method's line
CORRUPTIONS = {"missing": "missing share", "noise": "noise, in standard deviations", "occlusion": "hidden share"}
#: One view first, then in the order of where views meet; baselines last.
ORDER = [n for place in ("none", *PLACES, "affinity") for n in METHODS if METHODS[n].fusion == place] + [*BASELINES]


def comparable(records):
    """Tell the records that can be compared from others: among networks, only the fusion may differ.

    Of each dataset those networks are kept whose architecture and epochs most methods have, and the baselines with
    them. A dataset with a single method has nothing to compare.

    Returns
    -------
    kept, left_out : list of dict, list of dict
        The records (see :func:`dmsc.results.load_records`), in their order.
    """
    methods = defaultdict(lambda: defaultdict(set))  # dataset -> network -> names of methods
    for record in records:
        methods[record["config"]["dataset"]][_network(record)].add(record["config"]["method"]["name"])
    kept, left_out = [], []
    for record in records:
        several = {key: len(names) for key, names in methods[record["config"]["dataset"]].items() if key}
        common = max(several, key=several.get, default=None)
        stays = several.get(common, 0) > 1 and _network(record) in (common, None)
        (kept if stays else left_out).append(record)
    return kept, left_out


def _network(record):
    """Return what must be the same among networks; None for a baseline."""
    method = record["config"]["method"]
    network = [method.get(key) for key in ("architecture", "pretrain_epochs", "finetune_epochs")]
    return json.dumps(network, sort_keys=True) if "architecture" in method else None


def show_comparison(rows, metric="acc"):
    """Draw a panel per dataset and a line per method: three readings of its C, each with its spread over the seeds.

    Parameters
    ----------
    rows : sequence of dict
        From :func:`dmsc.tables.summarize`, at most one per dataset and method. Baselines are set apart on gray.
    metric : {"acc", "nmi", "ari"}

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If there are no rows, or two for the same dataset and method.
    """
    names = _names(rows, metric)
    border = 0.25 - sum(name not in BASELINES for name in names)  # between networks and baselines
    height = {name: -i - 0.5 * (name in BASELINES) for i, name in enumerate(names)}
    panels = defaultdict(dict)
    for row in rows:
        _add(panels[", ".join(filter(None, (row["dataset"], row["variant"])))], row["method"], row)

    n_columns = min(3, len(panels))
    n_rows = -(-len(panels) // n_columns)
    fig, axes = new_figure(n_rows, n_columns, min(WIDTH, 4 + 3 * n_columns), 0.4 + (0.8 + 0.18 * len(names)) * n_rows)
    for ax, (title, panel) in zip(axes.flat, panels.items(), strict=False):
        for (reading, label), lift, marker, color in zip(READINGS.items(), LIFTS, "osD", colors(3), strict=True):
            y = [height[name] + lift for name in panel]
            mean, std = _mean_and_std(panel.values(), reading, metric)
            style = {"color": color, "markersize": 4, "markerfacecolor": "white" if reading == "plain" else color}
            ax.errorbar(mean, y, xerr=std, fmt=marker, elinewidth=1, label=label, **style)
        if names[-1] in BASELINES:
            ax.axhspan(min(height.values()) - 0.6, border, color="0.93", zorder=0)
        ax.set_yticks([*height.values()], names, fontsize=8)
        ax.grid(color="0.85", linewidth=0.6)
        ax.tick_params(left=False, labelleft=ax in axes[:, 0])
        counts = [row["seeds"] for row in panel.values()]
        seeds = "–".join(map(str, sorted({min(counts), max(counts)}))) + " seed" + "s" * (max(counts) > 1)
        ax.set(title=f"{title}, {seeds}", xlabel=metric.upper(), ylim=(min(height.values()) - 0.6, 0.6))
        sns.despine(ax=ax, left=True)
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    return fig


def show_curves(rows, readings=("plain", "paper"), metric="acc"):
    """Draw scores against the rate of corruption: a line per method, a panel per kind and reading.

    Parameters
    ----------
    rows : sequence of dict
        From :func:`dmsc.tables.summarize`, of one dataset. ``variant`` says kind and rate, such as ``"noise 0.5"``;
        whole data (``""``) are rate 0 of every kind. Rows of several kinds at once are on no curve and left out.
    readings : sequence of {"plain", "paper", "selected"}
    metric : {"acc", "nmi", "ari"}

    Returns
    -------
    matplotlib.figure.Figure
        Bars are one standard deviation over the seeds. Baselines are dashed. Dots are chance, 1/K, for ACC.

    Raises
    ------
    ValueError
        If rows are of several datasets, none has a single corruption, or two are of one method and rate.
    """
    names = _names(rows, metric)
    for reading in readings:
        one_of("readings", reading, tuple(READINGS))
    if len({row["dataset"] for row in rows}) > 1:
        raise ValueError(f"curves are of one dataset, got {', '.join(sorted({row['dataset'] for row in rows}))}")
    curves = defaultdict(dict)  # (kind, method) -> rate -> row
    for row in rows:
        single = re.fullmatch(r"(\w+) ([\d.e+-]+)", row["variant"] or "all 0")
        for kind in CORRUPTIONS if single else ():
            if single[1] in ("all", kind):
                _add(curves[kind, row["method"]], float(single[2]), row)
    curves = {key: curve for key, curve in curves.items() if any(curve)}  # a rate above 0
    kinds = [kind for kind in CORRUPTIONS if any(kind == key for key, _ in curves)]
    names = [name for name in names if any(name == key for _, key in curves)]
    if not curves:
        raise ValueError(f"no row has one of the corruptions {', '.join(CORRUPTIONS)} alone as its variant")

    shape = (len(readings), len(kinds)) if len(kinds) > 1 else (1, len(readings))
    fig, axes = new_figure(*shape, min(WIDTH, 3 + 2.8 * shape[1]), 0.4 + 2.3 * shape[0])
    looks = dict(zip(names, zip(colors(len(names)), "osD^vP*X<>pdh" * 2, strict=False), strict=True))
    lines = {}
    for panels, reading in zip(axes.reshape(len(readings), -1), readings, strict=True):
        for ax, kind in zip(panels, kinds, strict=True):
            for name in [name for name in names if (kind, name) in curves]:
                rates, found = zip(*sorted(curves[kind, name].items()), strict=True)
                mean, std = _mean_and_std(found, reading, metric)
                (color, marker), style = looks[name], "--" if name in BASELINES else "-"
                lines[name] = ax.errorbar(rates, mean, std, color=color, marker=marker, linestyle=style, markersize=4)
            if metric == "acc":
                ax.axhline(1 / rows[0]["n_clusters"], color="0.6", linestyle=":")
            ax.set(ylim=(0, 1), xlabel=CORRUPTIONS[kind])
            ax.set_ylabel(f"{metric.upper()}, {READINGS[reading]}", fontsize=9)
            if len(kinds) > 1:
                ax.label_outer()
            sns.despine(ax=ax)
    fig.legend([lines[name] for name in names], names, loc="outside right upper", frameon=False)
    return fig


def show_selection(record):
    """Draw what the rule of :mod:`dmsc.selection` saw and chose in a run, and beside it the ACC it didn't see."""
    selection = record["selection"]
    fig, axes = new_figure(1, 2, 8.5, 2.9)
    titles = {"consistency": "subspace consistency", "acc": "ACC, which the rule does not see"}
    for ax, (key, title) in zip(axes[0], titles.items(), strict=True):
        for post, color, marker in zip(("plain", "paper"), colors(2), "os", strict=True):
            found = {c["epoch"]: c[key] for c in selection["candidates"] if c["post"] == post and key in c}
            ax.plot([*found], [*found.values()], color=color, marker=marker, markersize=4, label=READINGS[post])
            if post == selection["post"] and found:
                ax.plot(selection["epoch"], found[selection["epoch"]], "k*", markersize=14, zorder=0, label="chosen")
        ax.set(xlabel="fine-tuning epoch", title=title)
        sns.despine(ax=ax)
    lines = {line.get_label(): line for line in axes[0, 0].lines}
    fig.legend(lines.values(), lines, loc="outside lower center", ncols=3, frameon=False)
    return fig


def _names(rows, metric):
    """Check the arguments; return the methods: networks, unknown ones, baselines."""
    one_of("metric", metric, ("acc", "nmi", "ari"))
    if not rows:
        raise ValueError("rows must hold at least one row of dmsc.tables.summarize, got none")
    found = dict.fromkeys(row["method"] for row in rows)
    return sorted(found, key=lambda name: (name in BASELINES, (ORDER + [name]).index(name)))


def _add(found, key, row):
    if key in found:
        of = f"{row['method']!r} on {row['dataset']!r} {row['variant']}".strip()
        raise ValueError(f"two rows of {of}: their settings differ, see dmsc.comparison_plots.comparable")
    found[key] = row


def _mean_and_std(rows, reading, metric):
    return tuple([row[f"{reading}_{metric}{end}"] for row in rows] for end in ("", "_std"))
