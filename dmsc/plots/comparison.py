"""Figures that set methods side by side, from the rows of `dmsc.experiments.tables.summarize`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ..checks import one_of
from ..fusion import PLACES
from ..presets import BASELINES, METHODS
from .style import GRAY, PALE, SMALL, WIDTH, colors, method_color, new_figure

__all__ = ["comparable", "show_comparison", "show_curves", "show_selection"]

READINGS = {"plain": "plain affinity", "paper": "paper's reading", "selected": "chosen without labels"}
LIFTS = (0.25, 0, -0.25)  # of the readings' marks from a method's line
CORRUPTIONS = {"missing": "missing share", "noise": "noise, in standard deviations", "occlusion": "hidden share"}
#: One view first, then in the order of where views meet; baselines last.
ORDER = [n for place in ("none", *PLACES, "affinity") for n in METHODS if METHODS[n].fusion == place] + [*BASELINES]


def comparable(records: Sequence[dict]) -> tuple[list[dict], list[dict]]:
    """Tell the records that can be compared from others: among networks, only the fusion may differ.

    Of each dataset those networks are kept whose architecture and epochs most methods have, and the baselines with
    them. A dataset with a single method has nothing to compare.

    Returns
    -------
    kept, left_out : list of dict, list of dict
        The records (see `dmsc.experiments.records.load_records`), in their order.
    """
    keys = [(record["config"]["dataset"], _network(record), record["config"]["method"]["name"]) for record in records]
    frame = pd.DataFrame(keys, columns=["dataset", "network", "method"])
    methods = frame.groupby(["dataset", "network"], sort=False)["method"].nunique()  # without baselines
    several = methods[methods > 1]
    common = dict(several.groupby("dataset").idxmax())  # dataset -> (dataset, network)
    kept: list[dict] = []
    left_out: list[dict] = []
    for record, (dataset, network, _) in zip(records, keys, strict=True):
        stays = dataset in common and network in (None, common[dataset][1])
        (kept if stays else left_out).append(record)
    return kept, left_out


def _network(record: dict) -> str | None:
    """Return what must be the same among networks; None for a baseline."""
    method = record["config"]["method"]
    network = [method.get(key) for key in ("architecture", "pretrain_epochs", "finetune_epochs")]
    return json.dumps(network, sort_keys=True) if "architecture" in method else None


def show_comparison(rows: Sequence[dict], metric: str = "acc") -> Figure:
    """Draw a panel per dataset, a line and a color per method: three readings of its C, with their spread."""
    frame = _frame(rows, metric)
    tints = _tints(frame)
    names = list(frame["name"].unique())
    baselines = set(frame["name"][frame["baseline"]])
    height = {name: -i - 0.5 * (name in baselines) for i, name in enumerate(names)}
    low, border = min(height.values()) - 0.6, 0.25 - (len(names) - len(baselines))  # networks are above the border
    titles = list(frame.sort_index()["title"].unique())  # in the order of the rows
    _refuse_two(frame, ["title", "name"])

    n_columns = min(2 if len(titles) == 4 else 3, len(titles))
    n_rows = -(-len(titles) // n_columns)
    fig, axes = new_figure(n_rows, n_columns, 4 + 3 * n_columns, 0.4 + (0.8 + 0.18 * len(names)) * n_rows)
    for ax, title in zip(axes.flat, titles, strict=False):
        panel = frame[frame["title"] == title]
        own = [tints[name] for name in panel["name"]]
        for (reading, label), lift, marker in zip(READINGS.items(), LIFTS, "osD", strict=True):
            mean, std = panel[f"{reading}_{metric}"], panel[f"{reading}_{metric}_std"]
            hollow, at = reading == "plain", panel["name"].map(height) + lift
            face = "white" if hollow else GRAY
            style: dict[str, Any] = {"color": GRAY, "markersize": 4, "markerfacecolor": face, "elinewidth": 1}
            ax.errorbar(mean, at, xerr=std, fmt=marker, label=label, ecolor=own, **style)  # gray is left in the legend
            ax.scatter(
                mean, at, s=16, marker=marker, c="white" if reading == "plain" else own, edgecolors=own, zorder=3
            )
        if baselines:
            ax.axhspan(low, border, color=PALE, zorder=0)
        ax.set_yticks([*height.values()], names, fontsize=SMALL)
        ax.grid(color="0.85", linewidth=0.6)
        ax.tick_params(left=False, labelleft=ax in axes[:, 0])
        counts = panel["seeds"].tolist()
        seeds = "–".join(map(str, sorted({min(counts), max(counts)}))) + " seed" + "s" * (max(counts) > 1)
        ax.set(title=f"{title}, {seeds}", xlabel=metric.upper(), ylim=(low, 0.6))
        sns.despine(ax=ax, left=True)
    for ax in axes.flat[len(titles) :]:
        ax.set_axis_off()
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    return fig


def show_curves(rows: Sequence[dict], readings: Sequence[str] = ("plain", "paper"), metric: str = "acc") -> Figure:
    """Draw scores against the rate of corruption, a panel per kind and reading; dots are chance, dashes baselines."""
    frame = _frame(rows, metric)
    for reading in readings:
        one_of("readings", reading, tuple(READINGS))
    if frame["dataset"].nunique() > 1:
        raise ValueError(f"curves are of one dataset, got {', '.join(sorted(frame['dataset'].unique()))}")
    curves = _curves(frame)
    if not curves:
        raise ValueError(f"no row has one of the corruptions {', '.join(CORRUPTIONS)} alone as its variant")
    drawn = set().union(*(curve["name"] for curve in curves.values()))
    names = [name for name in frame["name"].unique() if name in drawn]
    baselines = set(frame["name"][frame["baseline"]])

    shape = (len(readings), len(curves)) if len(curves) > 1 else (1, len(readings))
    fig, axes = new_figure(*shape, 3 + 2.8 * shape[1], 0.4 + 2.3 * shape[0])
    tints = _tints(frame)
    looks = dict(zip(names, zip([tints[name] for name in names], "osD^vP*X<>pdh" * 2, strict=False), strict=True))
    lines = {}
    for panels, reading in zip(axes.reshape(len(readings), -1), readings, strict=True):
        for ax, (kind, curve) in zip(panels, curves.items(), strict=True):
            for name, points in curve.groupby("name", sort=False):
                mean, std = points[f"{reading}_{metric}"], points[f"{reading}_{metric}_std"]
                (color, marker), style = looks[name], "--" if name in baselines else "-"
                look = {"color": color, "marker": marker, "linestyle": style, "markersize": 4}
                lines[name] = ax.errorbar(points["rate"], mean, std, **look)
            if metric == "acc":
                ax.axhline(1 / frame["n_clusters"].iloc[0], color="0.6", linestyle=":")
            ax.set(ylim=(0, 1), xlabel=CORRUPTIONS[kind])
            ax.set_ylabel(f"{metric.upper()}, {READINGS[reading]}", fontsize=9)
            if len(curves) > 1:
                ax.label_outer()
            sns.despine(ax=ax)
    fig.legend([lines[name] for name in names], names, loc="outside right upper", frameon=False)
    return fig


def show_selection(record: dict) -> Figure:
    """Draw what the rule of `dmsc.selection` saw and chose in a run, and beside it the ACC that it didn't see.

    Where the record has eigengaps, they stand in between: they are no part of the rule either, but need no labels.
    """
    selection = record["selection"]
    candidates = pd.DataFrame(selection["candidates"])
    titles = {"consistency": "subspace consistency", "eigengap": "eigengap", "acc": "ACC, unseen by the rule"}
    if "eigengap" not in candidates:
        del titles["eigengap"]
    fig, axes = new_figure(1, len(titles), WIDTH, 2.9)
    for ax, (key, title) in zip(axes[0], titles.items(), strict=True):
        for reading, color, marker in zip(("plain", "paper"), colors(2), "os", strict=True):
            of_reading = candidates[candidates["reading"] == reading].set_index("epoch")
            seen = of_reading.get(key, pd.Series()).astype(float)  # no labels, no ACC
            ax.plot(seen.index, seen, color=color, marker=marker, markersize=4, label=READINGS[reading])
            if reading == selection["reading"] and len(seen):
                ax.plot(selection["epoch"], seen[selection["epoch"]], "k*", markersize=14, zorder=0, label="chosen")
        ax.set(xlabel="fine-tuning epoch", title=title)
        sns.despine(ax=ax)
    lines = {line.get_label(): line for line in axes[0, 0].lines}
    fig.legend(lines.values(), lines, loc="outside lower center", ncols=3, frameon=False)
    return fig


def _frame(rows: Sequence[dict], metric: str) -> pd.DataFrame:
    """Check the arguments; return the rows with a name and a title each: networks in order, unknown ones, baselines."""
    one_of("metric", metric, ("acc", "nmi", "ari"))
    if not rows:
        raise ValueError("rows must hold at least one row of dmsc.experiments.tables.summarize, got none")
    frame = pd.DataFrame(rows)
    several = frame.groupby(["dataset", "method", "settings"])["epochs"].transform("nunique") > 1
    epochs = [f"{row['epochs']} epochs" * told for row, told in zip(rows, several, strict=True)]
    parts = zip(frame["method"], frame["settings"], epochs, strict=True)
    frame["name"] = [", ".join(filter(None, names)) for names in parts]
    frame["title"] = [", ".join(filter(None, (row["dataset"], row["variant"]))) for row in rows]
    frame["baseline"] = frame["method"].isin(BASELINES)
    frame["place"] = [ORDER.index(name) if name in ORDER else len(ORDER) for name in frame["method"]]
    return frame.sort_values(["baseline", "place"], kind="stable")


def _tints(frame: pd.DataFrame) -> dict[str, Any]:
    """Return the color of each name: its method's, in every figure; gray for a method that is not ours."""
    pairs = zip(frame["name"], frame["method"], strict=True)
    return {name: method_color(method) if method in ORDER else GRAY for name, method in pairs}


def _curves(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Of each kind of corruption the methods that have it alone, by rate; whole data are rate 0 of every kind."""
    kinds, rates = (frame["variant"].str.extract(r"^(\w+) ([\d.e+-]+)$")[part] for part in (0, 1))
    curves = {}
    for kind in CORRUPTIONS:
        rate = rates.where(kinds == kind).astype(float).mask(frame["variant"] == "", 0.0)
        curve = frame.assign(rate=rate).dropna(subset="rate")
        _refuse_two(curve, ["name", "rate"])
        corrupted = curve["name"][curve["rate"] > 0]
        if len(corrupted):
            curves[kind] = curve[curve["name"].isin(corrupted)].sort_values("rate", kind="stable")
    return curves


def _refuse_two(frame: pd.DataFrame, columns: list[str]) -> None:
    """Refuse two rows at the same place of a figure."""
    for _, row in frame[frame.duplicated(columns)].iterrows():
        raise ValueError(f"two rows of {row['name']!r} on {row['title']!r}: see dmsc.plots.comparable")
