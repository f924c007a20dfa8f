"""Tables made from records: mean and standard deviation over every seed, beside what the papers report."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, fields

import numpy as np
import pandas as pd

from ..methods import Baseline, Method
from ..presets import BASELINES, METHODS, preset
from .records import BEST, METRICS, READINGS, RESULTS, load_records, records_frame
from .run import PARTS, run_name

__all__ = [
    "PUBLISHED",
    "brief_table",
    "by_dataset",
    "committed_records",
    "csv_table",
    "family_table",
    "complete",
    "is_preset",
    "markdown_table",
    "metrics_text",
    "of_papers",
    "percent",
    "settings_of",
    "starts_table",
    "summarize",
]

#: What the papers report, by dataset, number of clusters and method. Sources: Ji et al. 2017, tables of results
#: (1 - error); Abavisani & Patel 2018, tables of Extended Yale B and of digits. The face components and the digits of
#: the DMSC paper are other files than ours (see data/README.md). ORL: a user of the authors' code counted 0.845 ± 0.012
#: over 100 runs, with 0.86 as their maximum. COIL20: as a PyTorch port quotes the paper; it is 1366 of 1440 objects.
PUBLISHED: dict[tuple[str, int, str], dict[str, float]] = {
    ("eyaleb", 38, "dsc-l2"): {"acc": 0.9733},
    ("eyaleb", 38, "dsc-l1"): {"acc": 0.9667},
    ("orl", 40, "dsc-l2"): {"acc": 0.8600},
    ("coil20", 20, "dsc-l2"): {"acc": 0.9486},
    ("eyaleb_components", 38, "affinity"): {"acc": 0.9922, "nmi": 0.9889, "ari": 0.9838},
    ("eyb_fc", 38, "affinity"): {"acc": 0.9922, "nmi": 0.9889, "ari": 0.9838},
    ("hw2sources", 10, "affinity"): {"acc": 0.9515, "nmi": 0.9209, "ari": 0.9022},
    ("mnist_usps_32", 10, "affinity"): {"acc": 0.9515, "nmi": 0.9209, "ari": 0.9022},
}
SHOWN = METRICS[:3]  # in tables
HEADS = {
    "plain": "plain affinity",
    "paper": "paper's reading",
    "selected": "chosen without labels",
    BEST: "best epoch, by the labels",
}
RANK = {name: place for place, name in enumerate([*BASELINES, *METHODS])}


def committed_records(
    *methods: str, datasets: Sequence[str] | None = None, studies: Sequence[str] = ("papers", "family")
) -> list[dict]:
    """Read what the repository holds of some methods: the runs that pages show beside their own short ones.

    Parameters
    ----------
    *methods : str
        Names; none means all.
    datasets : sequence of str, optional
        Names; all by default.
    studies : sequence of str
        Folders of ``results/``. A run that several hold is taken from the first of them.

    Returns
    -------
    list of dict
        Nothing where there are no such folders, as in an installed package.
    """
    found: dict[str, dict] = {}
    for folder in (RESULTS / study for study in studies):
        for record in load_records(folder) if folder.is_dir() else ():
            found.setdefault(record["run"], record)
    return [
        record
        for record in found.values()
        if (not methods or record["config"]["method"]["name"] in methods)
        and (datasets is None or record["config"]["dataset"] in datasets)
    ]


def summarize(records: list[dict], more: pd.DataFrame | None = None) -> list[dict]:
    """Group records by dataset, method and everything else but the seed; give mean and std over seeds.

    Parameters
    ----------
    records : list of dict
        From `load_records`.
    more : data frame, optional
        Further numbers of the records, a row for each, to be averaged as the scores are.

    Returns
    -------
    list of dict
        ``dataset``, ``variant``, ``n_clusters``, ``method``, ``settings``, ``epochs`` (``None`` for baselines),
        ``of_paper``, ``papers_reading`` (whether C was read with its preset's parameters), ``device``, ``seeds``,
        ``minutes``; and for the readings ``plain``, ``paper`` and ``selected`` of the method's coefficients,
        ``raw_plain`` and ``raw_paper`` of the raw views' closed form, ``best_by_labels`` of the checked epoch that has
        the best accuracy, and the metrics ``acc``, ``nmi``, ``ari`` the keys ``plain_acc``, ``plain_acc_std``
        (population) and so on (``nan`` unless every seed has it); likewise ``objective``, the last loss, and
        ``pretrain_error``, see `records_frame`. ``settings`` tells rows apart that share dataset, variant, method and
        epochs: in what they differ.
        Sorted by dataset, then in the order of the presets.
    """
    if not records:
        return []
    scores = [*(f"{name}_{metric}" for name in (*READINGS, BEST) for metric in SHOWN), "objective", "pretrain_error"]
    frame = records_frame(records)
    if more is not None:
        frame, scores = frame.join(more), [*scores, *more]
    groups = frame.groupby([_group(record) for record in records], sort=False)
    whole = groups[scores].count().eq(groups.size(), axis=0)
    mean, std = groups[scores].mean().where(whole), groups[scores].std(ddof=0).where(whole)
    rows: list[dict] = []
    minutes, seeds = groups["minutes"].mean(), groups["seed"].nunique()
    for key, members in groups.indices.items():
        first = records[members[0]]
        config = first["config"]
        row = {
            "dataset": config["dataset"],
            "variant": config.get("variant", ""),
            "n_clusters": config["n_clusters"],
            "method": config["method"]["name"],
            "settings": settings_of(first),  # until it is known which of them matter
            "epochs": config["method"].get("finetune_epochs"),
            "of_paper": first["finetune_epochs_of_paper"],
            "papers_reading": config["method"]["name"] in RANK and is_preset(first, "reading"),
            "device": first["device"],
            "seeds": int(seeds[key]),
            "minutes": float(minutes[key]),
        }
        for score in scores:
            row[score], row[f"{score}_std"] = float(mean[score][key]), float(std[score][key])
        rows.append(row)
    rows.sort(key=_place)
    _tell_apart(rows)
    return sorted(rows, key=lambda row: (*_place(row), row["n_clusters"], _natural(row["settings"])))


def _group(record: dict) -> str:
    """Return what the runs of one row share, as text: the device, and the configuration but for the seed.

    Settings that there were none of yet when a run was done count as their defaults, as in `run_name`.
    """
    config = {**record["config"], "seed": "any"}
    if config.get("variant"):
        config.pop("data_digest", None)  # corruption has a seed, too
    return json.dumps([run_name(config), record["device"], record["finetune_epochs_of_paper"]])


def _place(row: dict) -> tuple:
    return row["dataset"], row["variant"], RANK.get(row["method"], len(RANK)), row["method"], row["epochs"] or 0


def settings_of(record: dict) -> dict[str, str]:
    """Return every setting of a run as text, by the name that `--set` and `--data` know it by."""
    config = record["config"]
    views = config.get("views", [])
    settings = {"n_clusters": config["n_clusters"], "n_samples": views[0][1][0] if views else None}
    settings |= {"views": " + ".join(f"{name} {'×'.join(map(str, shape[1:]))}" for name, shape in views)}
    for name, value in complete(config["method"]).items():
        parts = value if isinstance(value, dict) else {name: value}
        settings |= {part if part not in settings else f"{name}.{part}": parts[part] for part in parts}
    settings |= {"device": record["device"]}
    if not config.get("variant"):  # else one per seed, see _group
        settings |= {"data": config.get("data_digest")}
    if "labels_digest" in config:
        settings |= {"labels": config["labels_digest"]}
    prose = ("name", "source")
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in settings.items()
        if name not in prose
    }


def complete(method: dict, kind: type | None = None) -> dict:
    """Return a method of a record with the settings that there were none of yet when it ran, at their defaults."""
    kind = kind or (Baseline if "algorithm" in method else Method)
    plain = (str, int, float, bool, tuple, type(None))
    unstated = {f.name: f.default for f in fields(kind) if f.name not in method and isinstance(f.default, plain)}
    parts = {name: method[name] for name in PARTS if isinstance(method.get(name), dict)}
    return method | {name: complete(part, PARTS[name]) for name, part in parts.items()} | unstated


def _tell_apart(rows: list[dict]) -> None:
    """Keep of each row's settings those in which it differs from the rows that look like it.

    Of settings that always have one value, such as the two activations of a network, the first stands for all.
    """
    for _, group in itertools.groupby(rows, _place):
        like = list(group)
        names = list(dict.fromkeys(name for row in like for name in row["settings"]))
        first_of: dict[tuple, str] = {}  # by the values in all of the rows
        for name in names:
            first_of.setdefault(tuple(row["settings"].get(name) for row in like), name)
        differing = [name for values, name in first_of.items() if len(set(values)) > 1]
        if len(differing) > 1 and "data" in differing:
            differing.remove("data")  # other settings of the data say it better than its digest
        for row in like:
            leaves = row["settings"]
            told = [name for name in differing if leaves.get(name, "null") != "null"]
            row["settings"] = ", ".join(f"{name}={leaves[name]}" for name in told)


def _natural(text: str) -> list:
    """Return a key that sorts numbers within texts by their size."""
    pieces = re.split(r"(\d+(?:\.\d+)?(?:e-?\d+)?)", text)
    return [float(piece) if i % 2 else piece for i, piece in enumerate(pieces)]


def of_papers(records: list[dict]) -> list[dict]:
    """Return the records of settings for which a paper (or the listing) states the epochs: the reproductions."""
    return [record for record in records if record["finetune_epochs_of_paper"] is not None]


def is_preset(record: dict, *names: str) -> bool:
    """Tell whether a run has every setting of its preset, in whatever precision, or those of these names."""
    config = record["config"]
    told = complete(config["method"])
    dataset = "" if "labels_digest" in config else config["dataset"]  # one's own data have no preset
    meant = json.loads(json.dumps(asdict(preset(told["name"], dataset, config["n_clusters"]))))
    return all(told.get(name) == meant[name] for name in names or meant.keys() - {"source", "precision"})


def markdown_table(records: list[dict], metric: str = "acc") -> str:
    """Render the table of records beside what the papers report.

    Per row, in percent: accuracy, NMI and ARI as the paper reports them and as ours are in the paper's reading, and how
    far apart the accuracies are, if the reading has the paper's parameters. Then, of one metric: the plain reading;
    what the label-free rule chooses; the best of the checked epochs in the paper's reading, which only labels can
    choose; and the first two readings of self-expression on the raw data. Means and standard deviations (population)
    are over the seeds. A column of settings is there if they are needed to tell rows apart.

    Parameters
    ----------
    records : list of dict
        From `load_records`.
    metric : {"acc", "nmi", "ari"}
        Which metric the other columns show.
    """
    name = metric.upper()
    head = ["dataset", "method", "epochs (paper's)", "seeds", "paper: ACC / NMI / ARI", "ours, paper's reading"]
    head += ["ACC: we differ by", f"{name}, plain affinity", "chosen without labels", "best epoch, by the labels"]
    head += ["raw data, plain", "raw data, paper's reading", "device, minutes"]
    lines = []
    rows = summarize(records)
    for row in rows:
        cells = [", ".join(filter(None, [row["dataset"], row["variant"]])), row["method"]]
        cells += [f"{row['epochs'] or '–'} ({row['of_paper'] or '–'})", row["seeds"]]
        published = PUBLISHED.get((row["dataset"], row["n_clusters"], row["method"]), {})
        cells.append(" / ".join(f"{100 * published[m]:.1f}" for m in SHOWN if m in published) or "–")
        cells.append(" / ".join([percent(row, "paper_acc"), *(percent(row, f"paper_{m}", False) for m in SHOWN[1:])]))
        gap = row["paper_acc"] - published["acc"] if published and row["papers_reading"] else None
        cells.append("–" if gap is None else f"{100 * gap:+.1f}")
        shown = ("plain", "selected", BEST, "raw_plain", "raw_paper")
        cells += [percent(row, f"{reading}_{metric}") for reading in shown]
        lines.append([*cells, f"{row['device']}, {row['minutes']:.1f}"])
    return _markdown(head, lines, [row["settings"] for row in rows]) + "\n"


def family_table(records: list[dict], metric: str = "acc") -> str:
    """Render a table per dataset, under `### dataset (K clusters)`, with every method in it; see `markdown_table`."""
    return by_dataset(summarize(records), _columns(READINGS[:3], metric))


def starts_table(records: list[dict], metric: str = "acc") -> str:
    """Render a table per dataset as `family_table` does, with the error before fine-tuning and the last loss."""
    return by_dataset(summarize(records), _columns(("plain", "paper", BEST), metric), losses=True)


def _columns(readings: Sequence[str], metric: str) -> dict[str, str]:
    """Return the scores of some readings by the heads of their columns, of which the first names the metric."""
    heads = [f"{metric.upper()}, {HEADS[readings[0]]}", *(HEADS[reading] for reading in readings[1:])]
    return {head: f"{reading}_{metric}" for head, reading in zip(heads, readings, strict=True)}


def by_dataset(rows: list[dict], columns: dict[str, str], losses: bool = False) -> str:
    """Render a table per dataset of rows of `summarize`, with the scores that `columns` names under their heads."""
    sections: dict[str, list[dict]] = {}
    for row in rows:
        variant = f", {row['variant']}" if row["variant"] else ""
        title = f"### {row['dataset']}{variant} ({row['n_clusters']} clusters)"
        sections.setdefault(" ".join(title.split()), []).append(row)
    head = ["method", "epochs", "seeds", *["autoencoder's error", "objective"] * losses, *columns, "minutes"]
    texts = []
    for title, members in sections.items():
        lines = [
            [row["method"], row["epochs"] or "–", row["seeds"]]
            + [_error(row), _loss(row)] * losses
            + [percent(row, score) for score in columns.values()]
            + [f"{row['minutes']:.1f}"]
            for row in members
        ]
        texts.append(f"{title}\n\n{_markdown(head, lines, [row['settings'] for row in members])}")
    return "\n\n".join(texts) + "\n"


def brief_table(records: list[dict], metric: str = "acc") -> str:
    """Render the first impression of `markdown_table`: what is published, both readings, and the raw data."""
    head = ["dataset", "method", "epochs (paper's)", "seeds", "paper reports"]
    head += [f"{metric.upper()}, plain affinity", "paper's reading", "raw data, paper's reading"]
    rows = summarize(records)
    lines = []
    for row in rows:
        published = PUBLISHED.get((row["dataset"], row["n_clusters"], row["method"]), {}).get(metric)
        cells = [row["dataset"], row["method"], f"{row['epochs'] or '–'} ({row['of_paper'] or '–'})", row["seeds"]]
        cells += ["–" if published is None else f"{100 * published:.1f}"]
        lines.append([*cells, *(percent(row, f"{reading}_{metric}") for reading in ("plain", "paper", "raw_paper"))])
    return _markdown(head, lines, [row["settings"] for row in rows]) + "\n"


def _markdown(head: list[str], lines: list[list], settings: list[str]) -> str:
    """Render a Markdown table, with the settings after the method if any row has some."""
    if any(settings):
        at = head.index("method") + 1
        head = [*head[:at], "settings", *head[at:]]
        lines = [[*line[:at], text, *line[at:]] for line, text in zip(lines, settings, strict=True)]
    cells = [[" ".join(str(cell).split()).replace("|", "\\|") for cell in line] for line in [head, *lines]]
    cells = [[cell.replace(" ± ", "\u00a0±\u00a0") for cell in line] for line in cells]  # no line breaks there
    texts = ["| " + " | ".join(line) + " |" for line in cells]
    return "\n".join([texts[0], "|---" * len(head) + "|", *texts[1:]])


def _error(row: dict) -> str:
    return "–" if np.isnan(row["pretrain_error"]) else f"{row['pretrain_error']:.2g}"


def _loss(row: dict) -> str:
    if np.isnan(row["objective"]):
        return "–"
    return f"{row['objective']:.4g}" + f" ± {row['objective_std']:.1g}" * (row["seeds"] > 1)


def percent(row: dict, key: str, spread: bool = True) -> str:
    """Return a score of a row of `summarize` in percent, with its standard deviation if there are several seeds."""
    if np.isnan(row[key]):
        return "–"
    return f"{100 * row[key]:.1f}" + f" ± {100 * row[f'{key}_std']:.1f}" * (spread and row["seeds"] > 1)


def csv_table(records: list[dict]) -> str:
    """Render every column of `summarize` as CSV."""
    return pd.DataFrame(summarize(records), dtype=object).to_csv(index=False, lineterminator="\n") if records else ""


def metrics_text(record: dict) -> str:
    """Describe what a run came to, in a few lines: metrics in every reading, the choice without labels, seconds."""
    lines = []
    for system, scores in record["metrics"].items():
        for reading in ("plain", "paper", "selected"):
            known = {name: scores.get(reading, {}).get(name) for name in METRICS}
            values = [f"{name} {value:.4f}" for name, value in known.items() if value is not None]
            if values:
                lines.append(f"{system:>8} {reading:>8}  {'  '.join(values)}")
    if settled := record["label_free"].get("chosen"):
        lines.append(f"chosen without labels: {', '.join(f'{name}={value}' for name, value in settled.items())}")
    if chosen := record["selection"]:
        epoch = f" after epoch {chosen['epoch']}" if chosen["epoch"] else ""
        how = "selected without labels" if len(chosen["candidates"]) > 1 else "the only choice"
        lines.append(f"{how}: the {chosen['reading']} reading{epoch}")
    seconds = "  ".join(f"{phase} {value:.1f} s" for phase, value in record["seconds"].items())
    lines.append(f"{seconds}  on {record['device']}, peak memory {record['peak_memory_mb']:.0f} MB")
    if record["shorter_than_paper"]:
        epochs = record["config"]["method"]["finetune_epochs"]
        lines.append(f"note: {epochs} fine-tuning epochs, the paper has {record['finetune_epochs_of_paper']}")
    return "\n".join(lines)
