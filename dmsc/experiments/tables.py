"""Tables made from records: mean and standard deviation over every seed, beside what the papers report."""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict

import numpy as np

from ..presets import BASELINES, METHODS
from .records import method_scores

__all__ = ["PUBLISHED", "csv_table", "family_table", "insert_table", "markdown_table", "of_papers", "summarize"]

#: What the papers report, by dataset, number of clusters and method. Sources: Ji et al. 2017, tables of results
#: (1 - error); Abavisani & Patel 2018, table of Extended Yale B. The face components of the DMSC paper are another file
#: than ours (see data/README.md). ORL: a user of the authors' code counted 0.845 ± 0.012 over 100 runs, with 0.86 as
#: their maximum.
PUBLISHED: dict[tuple[str, int, str], dict[str, float]] = {
    ("eyaleb", 38, "dsc-l2"): {"acc": 0.9733},
    ("eyaleb", 38, "dsc-l1"): {"acc": 0.9667},
    ("orl", 40, "dsc-l2"): {"acc": 0.8600},
    ("coil20", 20, "dsc-l2"): {"acc": 0.9466},
    ("eyaleb_components", 38, "affinity"): {"acc": 0.9922, "nmi": 0.9889, "ari": 0.9838},
    ("eyb_fc", 38, "affinity"): {"acc": 0.9922, "nmi": 0.9889, "ari": 0.9838},
}
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"


def summarize(records: list[dict]) -> list[dict]:
    """Group records by dataset, method and everything else but the seed; give mean and std over seeds.

    Returns
    -------
    list of dict
        ``dataset``, ``variant``, ``n_clusters``, ``method``, ``epochs`` (``None`` for baselines), ``of_paper``,
        ``device``, ``seeds``, ``minutes``; and for the readings ``plain``, ``paper`` and ``selected`` of the method's
        coefficients, ``raw_plain`` and ``raw_paper`` of the raw views' closed form, and the metrics ``acc``, ``nmi``,
        ``ari`` the keys ``plain_acc``, ``plain_acc_std`` and so on (``nan`` where there is none). Sorted by dataset,
        then in the order of the presets.
    """
    groups: dict[str, list[dict]] = defaultdict(list)
    for record in records:
        seeded = ("seed", "data_digest") if record["config"].get("variant") else ("seed",)  # noise has a seed, too
        config = {key: value for key, value in record["config"].items() if key not in seeded}
        key = json.dumps([config, record["device"], record["finetune_epochs_of_paper"]], sort_keys=True)
        groups[key].append(record)
    order = [*BASELINES, *METHODS]
    rows = []
    for group in groups.values():
        first = group[0]
        method = first["config"]["method"]
        row = {
            "dataset": first["config"]["dataset"],
            "variant": first["config"].get("variant", ""),
            "n_clusters": first["config"]["n_clusters"],
            "method": method["name"],
            "epochs": method.get("finetune_epochs"),
            "of_paper": first["finetune_epochs_of_paper"],
            "device": first["device"],
            "seeds": len({record["config"]["seed"] for record in group}),
            "minutes": float(np.mean([sum(record["seconds"].values()) for record in group])) / 60,
        }
        for reading in ("plain", "paper", "selected", "raw_plain", "raw_paper"):
            raw, post = reading.startswith("raw_"), reading.removeprefix("raw_")
            found = [record["metrics"].get("raw", {}) if raw else method_scores(record) for record in group]
            for metric in ("acc", "nmi", "ari"):
                values = [scores.get(post, {}).get(metric, np.nan) for scores in found]
                row[f"{reading}_{metric}"] = float(np.mean(values))
                row[f"{reading}_{metric}_std"] = float(np.std(values))
        rows.append(row)
    rank = {name: place for place, name in enumerate(order)}
    return sorted(
        rows,
        key=lambda row: (row["dataset"], row["variant"], rank.get(row["method"], 99), row["epochs"] or 0),
    )


def of_papers(records: list[dict]) -> list[dict]:
    """Return the records of settings for which a paper (or the listing) states the epochs: the reproductions."""
    return [record for record in records if record["finetune_epochs_of_paper"] is not None]


def markdown_table(records: list[dict], metric: str = "acc") -> str:
    """Render the table of records beside what the papers report.

    Per row: the metric in percent with the plain affinity, with the paper's post-processing, and as the label-free rule
    chooses, mean ± standard deviation (population) over the seeds; what the paper reports, and how far from it the
    paper's post-processing came; the first two for self-expression on the raw data; minutes per run.

    Parameters
    ----------
    records : list of dict
        From :func:`dmsc.results.load_records`.
    metric : {"acc", "nmi", "ari"}
        Which metric.

    Returns
    -------
    str
    """
    lines = [
        f"| dataset | method | epochs (paper's) | seeds | {metric.upper()}, plain affinity | {metric.upper()}, paper's "
        "post-processing | chosen without labels | paper reports (we differ by) | raw data, plain | raw data, paper's "
        "| device, minutes |",
        "|---" * 11 + "|",
    ]
    for row in summarize(records):
        plain, paper, selected, raw_plain, raw_paper = (
            _percent(row, f"{reading}_{metric}") for reading in ("plain", "paper", "selected", "raw_plain", "raw_paper")
        )
        published = PUBLISHED.get((row["dataset"], row["n_clusters"], row["method"]), {}).get(metric)
        gap = "–"
        if published is not None:
            gap = f"{100 * published:.1f} ({100 * (row[f'paper_{metric}'] - published):+.1f})"
        epochs = f"{row['epochs'] or '–'} ({row['of_paper'] or '–'})"
        cells = [row["dataset"], row["method"], epochs, row["seeds"], plain, paper, selected, gap, raw_plain, raw_paper]
        lines.append("| " + " | ".join(map(str, [*cells, f"{row['device']}, {row['minutes']:.1f}"])) + " |")
    return "\n".join(lines) + "\n"


def family_table(records: list[dict], metric: str = "acc") -> str:
    """Render one table per dataset with every method in it, networks and baselines: settings as in the record.

    Parameters
    ----------
    records, metric
        As in :func:`markdown_table`.

    Returns
    -------
    str
        Sections ``### dataset (K clusters)``.
    """
    sections: dict[str, list[str]] = {}
    for row in summarize(records):
        variant = f", {row['variant']}" if row["variant"] else ""
        title = f"### {row['dataset']}{variant} ({row['n_clusters']} clusters)"
        head = [f"| method | epochs | seeds | {metric.upper()}, plain affinity | paper's post-processing | chosen "
                "without labels | minutes |", "|---" * 7 + "|"]  # fmt: skip
        lines = sections.setdefault(title, [title, "", *head])
        readings = [_percent(row, f"{reading}_{metric}") for reading in ("plain", "paper", "selected")]
        cells = [row["method"], row["epochs"] or "–", row["seeds"], *readings, f"{row['minutes']:.1f}"]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n\n".join("\n".join(lines) for lines in sections.values()) + "\n"


def _percent(row: dict, key: str) -> str:
    if np.isnan(row[key]):
        return "–"
    return f"{100 * row[key]:.1f}" + (f" ± {100 * row[f'{key}_std']:.1f}" if row["seeds"] > 1 else "")


def csv_table(records: list[dict]) -> str:
    """Render every column of :func:`summarize` as CSV."""
    rows = summarize(records)
    if not rows:
        return ""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def insert_table(text: str, table: str) -> str:
    """Return a text whose part between ``<!-- table: begin -->`` and ``<!-- table: end -->`` is the table.

    Raises
    ------
    ValueError
        If the text has no such two lines.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the text has no place for a table: put the lines {BEGIN!r} and {END!r} there")
    return f"{before}{begin}\n\n{table}\n{end}{after}"
