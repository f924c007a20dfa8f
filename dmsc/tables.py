"""Tables made from records: mean and standard deviation over every seed, beside what the papers report."""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict

import numpy as np

__all__ = ["PUBLISHED", "csv_table", "insert_table", "markdown_table", "summarize"]

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
        ``dataset``, ``n_clusters``, ``method``, ``epochs``, ``of_paper``, ``device``, ``seeds``, ``minutes``, and for
        each of the systems ``network`` and ``raw``, post-processings ``plain`` and ``paper`` and metrics ``acc``,
        ``nmi``, ``ari`` the keys ``network_plain_acc``, ``network_plain_acc_std`` and so on (``nan`` without labels).
    """
    groups: dict[str, list[dict]] = defaultdict(list)
    for record in records:
        config = {key: value for key, value in record["config"].items() if key != "seed"}
        key = json.dumps([config, record["device"], record["finetune_epochs_of_paper"]], sort_keys=True)
        groups[key].append(record)
    rows = []
    for group in groups.values():
        first = group[0]
        method = first["config"]["method"]
        row = {
            "dataset": first["config"]["dataset"],
            "n_clusters": first["config"]["n_clusters"],
            "method": method["name"],
            "epochs": method["finetune_epochs"],
            "of_paper": first["finetune_epochs_of_paper"],
            "device": first["device"],
            "seeds": len({record["config"]["seed"] for record in group}),
            "minutes": float(np.mean([sum(record["seconds"].values()) for record in group])) / 60,
        }
        for system in ("network", "raw"):
            for post in ("plain", "paper"):
                for metric in ("acc", "nmi", "ari"):
                    values = [record["metrics"][system][post].get(metric, np.nan) for record in group]
                    row[f"{system}_{post}_{metric}"] = float(np.mean(values))
                    row[f"{system}_{post}_{metric}_std"] = float(np.std(values))
        rows.append(row)
    return sorted(rows, key=lambda row: (row["dataset"], row["method"], row["epochs"]))


def markdown_table(records: list[dict], metric: str = "acc") -> str:
    """Render a Markdown table of one metric in percent.

    Per row: the network's metric with the plain affinity and with the paper's post-processing, mean ± standard
    deviation (population) over the seeds; what the paper reports, and how far from it the paper's post-processing
    came; the same two for self-expression on the raw data; minutes per run.

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
        "post-processing | paper reports (we differ by) | raw data, plain | raw data, paper's | device, minutes |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in summarize(records):
        plain, paper, raw_plain, raw_paper = (
            _percent(row[f"{system}_{post}_{metric}"], row[f"{system}_{post}_{metric}_std"], row["seeds"])
            for system in ("network", "raw")
            for post in ("plain", "paper")
        )
        published = PUBLISHED.get((row["dataset"], row["n_clusters"], row["method"]), {}).get(metric)
        gap = "–"
        if published is not None:
            gap = f"{100 * published:.1f} ({100 * (row[f'network_paper_{metric}'] - published):+.1f})"
        epochs = f"{row['epochs']} ({'–' if row['of_paper'] is None else row['of_paper']})"
        cells = [row["dataset"], row["method"], epochs, row["seeds"], plain, paper, gap, raw_plain, raw_paper]
        lines.append("| " + " | ".join(map(str, [*cells, f"{row['device']}, {row['minutes']:.1f}"])) + " |")
    return "\n".join(lines) + "\n"


def _percent(mean: float, std: float, seeds: int) -> str:
    if np.isnan(mean):
        return "–"
    return f"{100 * mean:.1f}" + (f" ± {100 * std:.1f}" if seeds > 1 else "")


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
