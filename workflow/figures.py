"""Draw every method of a study on each of its datasets: a file per dataset, from the records there are.

    python workflow/figures.py OUTPUT_FOLDER RECORDS...

The rule `figures` of workflow/Snakefile calls it with the folders of a study.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from dmsc import plots  # noqa: E402
from dmsc.experiments.records import load_records  # noqa: E402
from dmsc.experiments.tables import summarize  # noqa: E402
from dmsc.paths import replacing  # noqa: E402

SPACE = 45  # letters of settings beside an axis


def _short(row: dict, number: int) -> dict:
    """Return a row whose settings leave room for a figure: their beginning, and the row's number in the table."""
    text = row["settings"]
    return row | {"settings": text if len(text) <= SPACE else f"{text[:SPACE].rstrip(' ,')}… (row {number})"}


def draw(folder: str, *records: str) -> list[Path]:
    """Draw the records in some files or folders; return the files of the figures."""
    plots.use_style()
    rows = summarize(load_records(*records))
    files = []
    for dataset in dict.fromkeys(row["dataset"] for row in rows):
        here = [row for row in rows if row["dataset"] == dataset]
        for n_clusters in dict.fromkeys(row["n_clusters"] for row in here):  # of one dataset, with other options
            several = len({row["n_clusters"] for row in here}) > 1
            file = Path(folder) / f"{dataset}{f'_{n_clusters}_clusters' if several else ''}.png"
            figure = plots.show_comparison(
                [_short(row, i) for i, row in enumerate(here, start=1) if row["n_clusters"] == n_clusters]
            )
            with replacing(file) as temporary:
                figure.savefig(temporary, dpi=150)
            files.append(file)
    return files


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(f"usage: {sys.argv[0]} OUTPUT_FOLDER RECORDS...")
    print("\n".join(map(str, draw(*sys.argv[1:]))))
