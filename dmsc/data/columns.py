"""What a column of a table is by its name and values: labels, an id of the samples, or else a feature."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["id_columns", "is_count", "is_id", "is_label", "misplaced", "without_ids"]

#: Under what names people keep labels, whatever the case and without underscores.
LABELS = frozenset(
    "y gt gnd truth label labels lab truelabel truelabels labeltrue class classlabel classlabels target targets "
    "groundtruth gtruth gtlabel gtlabels".split()
)
#: And what tells samples apart, beside names that end in id.
IDS = frozenset(
    "index idx sample samples samplename samplenames sampleno samplenumber name names row rows rowname rownames "
    "rownumber no nr number observation obs subject patient barcode filename".split()
)
ENDS_IN_ID = re.compile(r"(?i:(^|[ _.-])(id|uid|uuid)s?)$|[a-z]IDs?$")  # not "acid", "lipid"
FEW = 3  # samples: that fewer numbers are 0, 1, … may be chance


def is_label(name: str) -> bool:
    """Tell whether a variable, a file or a column is named as labels usually are; of a field of a struct, its name."""
    return name.rsplit(".", 1)[-1].replace("_", "").replace(" ", "").casefold() in LABELS


def is_id(name: str) -> bool:
    """Tell whether a column is named as ids of samples usually are: id, sample_id, patientID, index, name, …"""
    return bool(ENDS_IN_ID.search(name)) or re.sub(r"[ _.-]", "", name).casefold() in IDS


def is_count(values: Any) -> bool:
    """Tell whether numbers are 0, 1, …, N - 1, or 1, 2, …, N, in this order."""
    values = np.asarray(values)
    counts = values.dtype.kind in "iuf" and len(values) >= FEW and values[0] in (0, 1)
    return bool(counts and np.array_equal(values, values[0] + np.arange(len(values))))


def id_columns(frame: pd.DataFrame) -> tuple[list[int], list[int]]:
    """Find ids of the samples by their names and values.

    Parameters
    ----------
    frame : DataFrame
        A table, one sample a row.

    Returns
    -------
    ids : list of int
        Places of columns that are named as ids (`is_id`) and tell all samples apart: with text, with the numbers 0 to
        N - 1 or 1 to N in any order, or, where the name ends in "id", with any whole numbers.
    repeated : list of int
        Places of columns whose name ends in "id", and whose whole numbers come more than once.
    """
    ids, repeated = [], []
    for place, name in enumerate(map(str, frame.columns)):
        if not is_id(name) or (column := frame.iloc[:, place]).isna().any():
            continue
        if not pd.api.types.is_numeric_dtype(column):
            ids += [place] * column.is_unique
            continue
        values = column.to_numpy()
        whole = values.dtype.kind in "iuf" and not (values % 1).any()
        if is_count(np.sort(values)) or (whole and column.is_unique and ENDS_IN_ID.search(name)):
            ids.append(place)
        elif whole and ENDS_IN_ID.search(name):
            repeated.append(place)
    return ids, repeated


def without_ids(frame: pd.DataFrame, labels: str | None = None) -> tuple[pd.DataFrame, np.ndarray | None]:
    """Leave out the columns that tell samples apart, and return what the table calls the samples (N,), if that is text.

    These are the first ones if they have no name, as pandas and R write the index, and the `id_columns`; never labels,
    nor all there is. Columns without a name or a value, from a separator at the end of each line, go with them.
    """
    frame = frame.rename(columns=str)
    named = [not name.startswith("Unnamed: ") and name.strip() != "" for name in frame.columns]
    unnamed = set(range(named.index(True) if any(named) else 0))
    unnamed |= {place for place, name in enumerate(named) if not name and frame.iloc[:, place].isna().all()}
    ids = {p for p in id_columns(frame)[0] if frame.columns[p] != labels and not is_label(frame.columns[p])}
    left_out = next(out for out in (unnamed | ids, unnamed, set()) if len(out) < max(frame.shape[1], 1))
    text = [frame.iloc[:, p] for p in sorted(left_out) if not pd.api.types.is_numeric_dtype(frame.dtypes.iloc[p])]
    features = [p for p in range(frame.shape[1]) if p not in left_out]
    return frame.iloc[:, features] if left_out else frame, _names([*text, frame.index][0])


def _names(values: pd.Series | pd.Index) -> np.ndarray | None:
    """Return names of samples (N,), if they are text, and all different."""
    text = not pd.api.types.is_numeric_dtype(values.dtype)
    return np.array([str(value) for value in values]) if text and values.is_unique else None


def misplaced(names: np.ndarray, others: np.ndarray) -> str | None:
    """Return a sample that two tables have in different rows, by what they call their samples."""
    rows = {name: row for row, name in enumerate(others)}
    return next((str(name) for row, name in enumerate(names) if rows.get(name, row) != row), None)
