"""Figures of where clusters come from: rung by rung from the raw views to the trained network, and what the loss tells.

The rungs differ in one thing at a time (after Haeffele, You & Vidal, ICLR 2021): an encoder, its pre-training, its
fine-tuning, and where C starts.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .comparison import LIFTS, READINGS
from .style import GRAY, SMALL, TINY, WIDTH, Color, colors, new_figure

__all__ = ["RUNGS", "ladder_rows", "rung_of", "show_course", "show_ladder", "show_losses"]

#: In the order in which they add something; the next two are variants of the one before, the last one is the control:
#: the raw views' problem, stopped as early as the networks are.
RUNGS = (
    "raw views",
    "random encoder",
    "pre-trained",
    "fine-tuned, warm C",
    "fine-tuned, constant C",
    "fine-tuned, C = 1/N",
    "authors' weights, constant C",
    "no network, constant C",
)
VARIANTS = {  # settings in which runs on the same rung may differ, as they are told
    "pretrain_epochs": "pre-trained {} epochs",
    "finetune_epochs": "fine-tuned {} epochs",
    "coefficients_init": "from {}",
    "network_learning_rate": "encoders at rate {}",
    "precision": "in {}",
    "activation": "activation {}",
    "dim": "read with d = {}",
}
PLACES = (7, 5, 1, 0, 3, 2, 4, 9)  # of the rungs' colors, among ten
OTHERS = (0, 1, 2, 3, 4, 9, 5, 7, 6, 8)  # of other names', as far as no rung has them; the pale ones last
BAR = 0.25  # height of a bar; rungs are 1 apart


def rung_of(record: dict, of: str = "dsc-l2") -> str | None:
    """Name the rung on which a run stands; None for runs that aren't of the method ``of`` or its control."""
    method = record["config"]["method"]
    if method["name"] == "ridge-stopped":  # it takes all views that there are
        one_view = len(record["config"]["views"]) == 1
        return RUNGS[-1] if one_view == (of == "dsc-l2") else None
    if method["name"] != of or method.get("solver", "adam") != "adam":
        return None
    start, saved = method["coefficients_init"], method.get("pretrained") is not None
    if start == "warm" and not saved:
        if method["finetune_epochs"]:
            return "fine-tuned, warm C" if method["pretrain_epochs"] else None
        return "pre-trained" if method["pretrain_epochs"] else "random encoder"
    if start == "mean" and not saved:
        return "fine-tuned, C = 1/N"
    if isinstance(start, str) or not method["finetune_epochs"]:
        return None
    return "authors' weights, constant C" if saved else "fine-tuned, constant C"


def ladder_rows(records: Iterable[dict], of: str = "dsc-l2") -> list[dict]:
    """Make one row of ACC for each run that stands on a rung, and one for the raw views of each data set and seed.

    Parameters
    ----------
    records : iterable of dict
        Of any runs.
    of : str
        The method whose runs stand on rungs, such as "affinity".

    Returns
    -------
    list of dict
        ``dataset``, ``rung``, ``name`` (the rung, and what tells the runs on it apart), ``seed``, ``epochs`` (of
        fine-tuning), ``objective`` (the last loss), the ACC of the readings ``plain``, ``paper`` and ``selected``, and
        ``best_by_labels``: that of the checked epoch which labels would choose in the paper's reading. What a run
        hasn't is nan. Sorted by data set and rung.
    """
    runs = [(record["config"]["dataset"], rung_of(record, of), record) for record in records]
    on_ladder = [(dataset, rung, record) for dataset, rung, record in runs if rung is not None]
    kinds: dict[tuple, dict[str, set]] = {}  # (dataset, rung) -> the values of its runs' settings
    dims: dict[str, set] = {}  # by dataset: where one rung is read in two ways, all rungs tell theirs
    for dataset, rung, record in on_ladder:
        dim = {"dim": dims.setdefault(dataset, set())}
        kind = kinds.setdefault((dataset, rung), {setting: set() for setting in VARIANTS} | dim)
        kinds.setdefault((dataset, RUNGS[0]), dim)
        for setting, values in kind.items():
            values.add(_setting(record["config"]["method"], setting))
    rows: dict[tuple, dict] = {}
    for dataset, rung, record in on_ladder:
        method, seed, scores = record["config"]["method"], record["config"]["seed"], record["metrics"]
        name, epochs = _name(rung, method, kinds[dataset, rung]), _epochs(method)
        checked = (
            _accuracies(record).get("paper", {}) if epochs and "network" in scores else {}
        )  # others have no course
        own = {"epochs": epochs, "objective": record["label_free"].get("objective")}
        own["best_by_labels"] = max(checked.values(), default=None)
        variant = (method.get("pretrain_epochs", 0), epochs)
        place = {"dataset": dataset, "rung": rung, "name": name, "seed": seed}
        accuracies = _acc(scores["network"] if "network" in scores else scores["baseline"])
        rows[(dataset, RUNGS.index(rung), *variant, name, record["run"])] = place | own | accuracies
        if "raw" not in scores:
            continue
        raw = {"epochs": 0, "objective": None, "best_by_labels": None} | _acc(scores["raw"])
        name = _name(RUNGS[0], method, kinds[dataset, RUNGS[0]])
        rows.setdefault((dataset, 0, 0, 0, name, str(seed)), place | {"rung": RUNGS[0], "name": name} | raw)
    return [{key: np.nan if value is None else value for key, value in rows[place].items()} for place in sorted(rows)]


def _epochs(method: dict) -> int:
    """Return how many steps C was trained for."""
    return method["finetune_epochs"] if "finetune_epochs" in method else method["parameters"]["epochs"]


def _name(rung: str, method: dict, values: Mapping[str, set]) -> str:
    """Name a run: its rung, and in brackets the settings in which the runs there differ; a rate of its own always."""
    differing = [s for s, known in values.items() if len(known) > 1 or (s == "network_learning_rate" and any(known))]
    if not _epochs(method):  # nothing is fine-tuned at any rate
        differing = [s for s in differing if s != "network_learning_rate"]
    told = [VARIANTS[s].format(_setting(method, s)) for s in differing if _setting(method, s) is not None]
    return f"{rung} ({', '.join(told)})" if told else rung


def _setting(method: dict, name: str) -> Any:
    """Return a setting of a method, of its architecture or of its reading; None if it has none of that name."""
    places = (method, method.get("architecture", {}), method.get("reading", {}))
    return next((place[name] for place in places if name in place), None)


def _acc(scores: dict) -> dict[str, float | None]:
    return {reading: scores.get(reading, {}).get("acc") for reading in READINGS}


def _accuracies(record: dict) -> dict[str, dict[int, float]]:
    """Return the ACC of each reading by epoch, as far as a record has checked epochs and labels."""
    found: dict[str, dict[int, float]] = {}
    for candidate in (record["selection"] or {}).get("candidates", ()):
        if "acc" in candidate:
            found.setdefault(candidate["reading"], {})[candidate["epoch"]] = candidate["acc"]
    return found


def show_ladder(rows: Sequence[dict]) -> Figure:
    """Draw a panel per data set, and in it a group of bars per rung: ACC by reading, mean and std over the seeds."""
    frame = _frame(rows)
    order = list(dict.fromkeys([*RUNGS, *frame["rung"]]))  # what is no rung stands below
    frame = frame.sort_values("rung", key=lambda rungs: rungs.map(order.index), kind="stable")
    titles = sorted(frame["dataset"].unique())
    highest = int(frame.groupby("dataset")["name"].nunique().max())
    n_columns = min(2, len(titles))
    n_rows = -(-len(titles) // n_columns)
    fig, axes = new_figure(n_rows, n_columns, 7 if n_columns == 1 else WIDTH, 0.5 + (0.7 + 0.4 * highest) * n_rows)
    for ax, title in zip(axes.flat, titles, strict=False):
        panel = frame[frame["dataset"] == title]
        names = list(panel["name"].unique())
        for (reading, label), lift, color in zip(READINGS.items(), LIFTS, colors(3), strict=True):
            scores = panel.groupby("name")[reading]
            mean, std = (values.reindex(names) for values in (scores.mean(), scores.std(ddof=0)))
            style = {"color": color, "label": label, "error_kw": {"elinewidth": 0.8, "ecolor": GRAY}}
            bars = ax.barh(np.arange(len(names)) - lift, mean.fillna(0), BAR, xerr=std.fillna(0), **style)
            texts = ["" if np.isnan(value) else f"{value:.2f}" for value in mean]
            ax.bar_label(bars, texts, padding=3, fontsize=TINY)
        counts = panel.groupby("name")["seed"].nunique().tolist()
        seeds = "–".join(map(str, sorted({min(counts), max(counts)}))) + " seed" + "s" * (max(counts) > 1)
        ax.set_yticks(range(len(names)), [name.replace(" (", "\n(") for name in names], fontsize=SMALL)
        ax.tick_params(left=False)
        ax.set(xlim=(0, 1.1), xticks=np.arange(0, 1.01, 0.2), xlabel="ACC", title=f"{title}, {seeds}")
        ax.set_ylim(highest - 0.5, -0.5)  # the first rung is the topmost
        sns.despine(ax=ax, left=True)
    for ax in axes.flat[len(titles) :]:
        ax.set_axis_off()
    entries = axes[0, 0].get_legend_handles_labels()
    spread = "gray lines: ± 1 standard deviation over seeds" if frame["seed"].nunique() > 1 else None
    fig.legend(*entries, loc="outside upper center", ncols=3, frameon=False, title=spread, title_fontsize=SMALL)
    return fig


def show_course(runs: Mapping[str, Sequence[dict]]) -> Figure:
    """Draw loss and ACC, in both readings, over the epochs: one color per kind of run, stars where ACC is best."""
    if not runs or not all(len(records) for records in runs.values()):
        raise ValueError("runs must hold records by the name of their kind, got none")
    fig, axes = new_figure(1, 3, height=3.2)
    left, *others = axes[0]
    for (name, records), color, dashes in zip(runs.items(), _colors(runs), itertools.cycle(("-", "--"))):
        for number, record in enumerate(records):
            label = name if number == 0 else None
            history = record["history"]["finetune"]
            left.plot(history["epoch"], history["loss"], dashes, color=color, label=label, linewidth=1.2)
            for ax, reading in zip(others, ("plain", "paper"), strict=True):
                _draw_accuracies(ax, _accuracies(record).get(reading, {}), color)
    left.set(yscale="log", xlabel="epoch of fine-tuning", title="loss")
    for ax, reading in zip(others, ("plain", "paper"), strict=True):
        ax.set(xlabel="epoch of fine-tuning", title=f"ACC, {READINGS[reading]}", ylim=(0, 1))
    handles, labels = left.get_legend_handles_labels()
    stars = [line for ax in others for line in ax.lines if line.get_marker() == "*"][:1]
    names = [*labels, *("best epoch, by the labels" for _ in stars)]
    fig.legend([*handles, *stars], names, loc="outside lower center", ncols=4, frameon=False)
    for ax in axes[0]:
        sns.despine(ax=ax)
    return fig


def _draw_accuracies(ax: Axes, accuracies: dict[int, float], color: Color) -> None:
    """Draw ACC over the checked epochs, and a star at the best of them, which only labels know."""
    if accuracies:
        ax.plot([*accuracies], [*accuracies.values()], "o-", color=color, markersize=3, linewidth=1.2)
        best = max(accuracies, key=lambda epoch: accuracies[epoch])
        look: dict[str, Any] = {
            "markersize": 11,
            "markeredgecolor": "black",
            "markeredgewidth": 0.6,
            "linestyle": "none",
        }
        ax.plot([best], [accuracies[best]], "*", color=color, zorder=3, **look)


def show_losses(rows: Sequence[dict]) -> Figure:
    """Draw the last loss of every run against its ACC, a panel per data set: color is the rung, form the reading."""
    frame = _frame(rows).dropna(subset="objective")
    if frame.empty:
        raise ValueError("no row has an objective: only fine-tuned runs have one")
    names = [name for name in RUNGS if name in set(frame["rung"])]
    titles = list(frame["dataset"].unique())
    n_columns = min(3, len(titles))
    n_rows = -(-len(titles) // n_columns)
    fig, axes = new_figure(n_rows, n_columns, 2.5 + 2.5 * n_columns, 0.9 + 2.3 * n_rows)
    for ax, title in zip(axes.flat, titles, strict=False):
        panel = frame[frame["dataset"] == title]
        for name, color in zip(names, _colors(names), strict=True):
            runs = panel[panel["rung"] == name]
            for reading, marker, face in (("plain", "o", "white"), ("paper", "s", color)):
                look = {"color": color, "markerfacecolor": face, "markersize": 5, "linestyle": "none", "alpha": 0.7}
                ax.plot(runs["objective"], runs[reading], marker, label=f"{name}, {READINGS[reading]}", **look)
        ax.set(xlabel="loss after the last epoch", ylabel="ACC", ylim=(0, 1), title=title)
        if panel["objective"].max() > 10 * panel["objective"].min():  # else its ticks would be few, or overlap
            ax.set_xscale("log")
        else:
            ax.locator_params(axis="x", nbins=5)
        sns.despine(ax=ax)
    for ax in axes.flat[len(titles) :]:
        ax.set_axis_off()
    handles = axes[0, 0].get_legend_handles_labels()
    fig.legend(*handles, loc="outside lower center", ncols=2, frameon=False, fontsize=SMALL)
    return fig


def _colors(names: Iterable[str]) -> list[Color]:
    """Return a color for each name; a rung has the same one in every figure."""
    names, own = list(names), dict(zip(RUNGS, PLACES, strict=True))
    taken = {own[name] for name in names if name in own}
    others = itertools.cycle([place for place in OTHERS if place not in taken])
    return [colors(10)[own[name] if name in own else next(others)] for name in names]


def _frame(rows: Sequence[dict]) -> pd.DataFrame:
    """Return the rows as a table; refuse none."""
    if not rows:
        raise ValueError("rows must hold at least one row of ladder_rows, got none")
    frame = pd.DataFrame(rows)
    return frame.assign(name=frame.get("name", frame["rung"]).fillna(frame["rung"]))
