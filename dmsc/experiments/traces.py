"""How the scores of a method change on the way: the looks that records keep, as a table."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .records import looks
from .tables import by_dataset, summarize

__all__ = ["traces_table"]


def traces_table(records: list[dict], metric: str = "acc") -> str:
    """Render a table per dataset with a column per look at C, in the paper's reading: what a longer run is worth.

    Each column has at least twice the epochs of the one before, counted from the longest run. There is a dash where not
    every seed of a row was looked at after so many epochs; rows with nothing else, as of baselines, are left out.

    Parameters
    ----------
    records : list of dict
        From `load_records`.
    metric : {"acc", "nmi", "ari"}
        Which metric the columns show.

    Raises
    ------
    ValueError
        If no run has looks.
    """
    known = [record for record in records if looks(record)]
    if not known:
        raise ValueError("none of these runs looked at C on the way: closed forms and baselines have no epochs")
    traces = [{look["epoch"]: look[metric] for look in looks(record)} for record in known]
    columns: list[int] = []
    for epoch in sorted({epoch for trace in traces for epoch in trace}, reverse=True):
        if not columns or 2 * epoch <= columns[0]:
            columns.insert(0, epoch)
    after = pd.DataFrame([{f"after_{epoch}": trace.get(epoch) for epoch in columns} for trace in traces], dtype=float)
    rows = [row for row in summarize(known, after) if not np.isnan([row[score] for score in after]).all()]
    heads = [f"{metric.upper()} after {columns[0]}", *map(str, columns[1:])]
    return by_dataset(rows, dict(zip(heads, after, strict=True)), losses=True)
