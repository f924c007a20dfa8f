"""Where one's own data come from: files, folders, tables, AnnData. Each is read into arrays by name; no more."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import issparse

from .columns import id_columns, is_label, misplaced, without_ids
from .csv_files import agreeing, read_csv
from .matlab import import_extra, read_matlab
from .readers import existing, read_npy, read_npz

__all__ = ["VIEWS", "Source", "form", "inside", "is_source", "listing", "read_source"]

#: Under what names people keep views, a matrix or a cell of them, whatever the case.
VIEWS = frozenset("x xs fea feas feat feats feature features data view views dataset multiview".split())


@dataclass(frozen=True)
class Source:
    """Arrays by name, and how they are to be understood.

    ``free``: views may have any name. ``closed``: an array that fits no rule is an error, not ignored. ``rows_first``:
    samples are rows unless only the columns fit.
    """

    where: str
    name: str
    variables: dict[str, Any]
    free: bool = False
    closed: bool = False
    rows_first: bool = True


def is_source(what: Any) -> bool:
    """Tell whether `read_source` takes it: a path with a known ending, a folder, a table, a mapping, AnnData."""
    if isinstance(what, (str, os.PathLike)):
        path = Path(what).expanduser()
        return path.suffix.lower() in READERS or (bool(str(what)) and path.is_dir())
    return isinstance(what, (pd.DataFrame, Mapping)) or hasattr(what, "obs")


def read_source(what: Any, labels: str | None = None) -> Source:
    """Read everything that a source holds.

    Parameters
    ----------
    what : path, DataFrame, mapping of names to arrays or DataFrames, AnnData or MuData
        A file may end in one of `READERS`; a folder holds .npy or .csv files, one per view. Columns of a table that
        tell samples apart are no features, and left out: an index, a column named id, index, name, … whose values are
        all different (`dmsc.data.columns.without_ids`). Where two tables call their samples by text, the
        order must agree.
    labels : str, optional
        The column of labels; without it those named as labels usually are.

    Returns
    -------
    Source
    """
    if isinstance(what, (str, os.PathLike)):
        path = Path(what).expanduser()
        return _folder(path, labels) if path.is_dir() else READERS[path.suffix.lower()](path, labels)
    if isinstance(what, pd.DataFrame):
        return _one_table(what, "the table", "data", labels)
    if isinstance(what, Mapping):
        return Source("the data", "data", _tables(what, "the data", labels), free=True)
    return _annotated(what, "the data", "data", labels)


def _mat(path: Path, labels: str | None) -> Source:
    return Source(str(path), path.stem, read_matlab(path), rows_first=False)


def _npz(path: Path, labels: str | None) -> Source:
    return Source(str(path), path.stem, dict(read_npz(path)), closed=True)


def _npy(path: Path, labels: str | None) -> Source:
    return Source(str(path), path.stem, {path.stem: read_npy(path)}, free=True)


def _csv(path: Path, labels: str | None) -> Source:
    return _one_table(read_csv(path, labels)[0], str(path), path.stem, labels)


def _h5ad(path: Path, labels: str | None) -> Source:
    return _annotated(_read_by("anndata", "read_h5ad", path), str(path), path.stem, labels)


def _h5mu(path: Path, labels: str | None) -> Source:
    return _annotated(_read_by("mudata", "read_h5mu", path), str(path), path.stem, labels)


def _read_by(library: str, function: str, path: Path) -> Any:
    """Read a file by a library that is not always there."""
    read = getattr(import_extra(library, f"reading {existing(path)}"), function)
    try:
        return read(path)
    except Exception as error:  # damaged files fail anywhere in the library
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"{path} can't be read by {library} ({reason})") from None


READERS: dict[str, Callable[[Path, str | None], Source]] = {
    ".mat": _mat,
    ".npz": _npz,
    ".npy": _npy,
    ".csv": _csv,
    ".h5ad": _h5ad,
    ".h5mu": _h5mu,
}


def _folder(path: Path, labels: str | None) -> Source:
    """Read a folder of .npy files, or of .csv files; in the order of their names, 2 before 10."""
    kinds = {ending: sorted(path.glob(f"*{ending}"), key=_natural) for ending in (".npy", ".csv")}
    if bool(kinds[".npy"]) == bool(kinds[".csv"]):
        held = ", ".join(sorted(file.name for file in path.iterdir())[:20]) or "nothing"
        raise ValueError(f"{path} must hold .npy files, or .csv files, one per view and labels; it holds: {held}")
    arrays: dict[str, Any] = {file.stem: read_npy(file) for file in kinds[".npy"]}
    tables = {
        file.stem: read_csv(file, labels, of_labels=file.stem == labels or is_label(file.stem))
        for file in kinds[".csv"]
    }
    arrays |= agreeing(tables)
    return Source(str(path), path.resolve().name, _tables(arrays, str(path), labels), free=True)


def _natural(path: Path) -> list:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.stem)]


def _tables(arrays: Mapping[Any, Any], where: str, labels: str | None) -> dict[str, Any]:
    """Return arrays by name, with those that are tables taken apart; their ids and columns of labels must agree."""
    if strange := [name for name in arrays if not isinstance(name, str)]:
        raise TypeError(f"{where}: names of views must be strings, got {strange[0]!r}")
    tables = {name: without_ids(value, labels) for name, value in arrays.items() if isinstance(value, pd.DataFrame)}
    held = {name: tables[name][0] if name in tables else _array(value) for name, value in arrays.items()}
    ids = [name for name, value in held.items() if name != labels and not is_label(name) and _are_ids(name, value)]
    variables: dict[str, Any] = {}
    for name, value in held.items():
        if name in ids and len(ids) < len(held):
            continue
        parts = {name: value}
        if isinstance(value, pd.DataFrame):
            whole = not (name == labels or is_label(name))
            parts = _table(value, name, f"{where}: {name}", labels, needed=False) if whole else {name: _column(value)}
        for key, part in parts.items():
            if key in variables and not np.array_equal(variables[key], part):
                raise ValueError(f"{where}: {key!r} differs between tables: all need the same samples in one order")
            variables[key] = part
    _in_one_order({name: samples for name, (_, samples) in tables.items() if samples is not None}, where)
    return variables


def _array(value: Any) -> Any:
    return value if hasattr(value, "toarray") else np.asarray(value)


def _are_ids(name: str, value: Any) -> bool:
    """Tell whether an array, or a table of one column, is no view but tells samples apart, by its name and values."""
    if hasattr(value, "toarray") or value.ndim == 0 or not value.size == len(value) > 0:
        return False
    column = pd.DataFrame({name: np.ravel(value)})
    return bool(id_columns(column)[0] or isinstance(value, pd.DataFrame) and id_columns(value)[0])


def _in_one_order(samples: Mapping[str, np.ndarray], where: str) -> None:
    """Refuse tables that have a sample in different rows."""
    for first, other in combinations(samples, 2):
        name = misplaced(samples[first], samples[other])
        if name is not None:
            raise ValueError(
                f"{where}: {first} and {other} have the sample {name!r} in different rows: bring all tables to the "
                "same samples in one order"
            )


def _column(frame: pd.DataFrame) -> np.ndarray:
    """Return a table of labels as its one column, or as the one that is named so; or all of it."""
    columns = [column for column in frame.columns if is_label(column)]
    return np.asarray(frame[columns[0]] if len(columns) == 1 else frame.squeeze(axis=1))


def _one_table(frame: pd.DataFrame, where: str, name: str, labels: str | None) -> Source:
    return Source(where, name, _table(without_ids(frame, labels)[0], name, where, labels), free=True)


def _table(frame: pd.DataFrame, name: str, where: str, labels: str | None, needed: bool = True) -> dict[str, Any]:
    """Take a table apart: its numbers, one view, and its columns of labels."""
    columns = [column for column in frame.columns if column == labels or (labels is None and is_label(column))]
    if labels is not None and needed and not columns:
        raise ValueError(f"{where} has no column {labels!r} for labels; its columns: {_some(frame.columns)}")
    numbers = frame.drop(columns=columns)
    if repeated := id_columns(numbers)[1]:
        column = numbers.columns[repeated[0]]
        raise ValueError(
            f"{where} has a column {column!r} whose numbers come more than once: leave it out, rename it if it is a "
            f"feature, or say labels={column!r} if it holds the labels"
        )
    text = [column for column, kind in numbers.dtypes.items() if not pd.api.types.is_numeric_dtype(kind)]
    if text:
        raise ValueError(
            f"{where} has columns that aren't numbers: {_some(text)}; leave them out, or name the labels' with labels="
        )
    view = numbers.to_numpy(dtype=np.float32, na_value=np.nan)
    return {name: view} | {column: np.asarray(frame[column]) for column in columns}


def _some(names: Any) -> str:
    names = [str(name) for name in names]
    return ", ".join(names[:10]) + f", … ({len(names)})" * (len(names) > 10)


def _annotated(data: Any, where: str, name: str, labels: str | None) -> Source:
    """Read AnnData, one view X, or MuData, a view per modality; samples that a modality lacks are masked."""
    columns = [c for c in map(str, data.obs.columns) if c == labels or (labels is None and is_label(c))]
    if labels is not None and not columns:
        raise ValueError(f"{where} has no column {labels!r} in obs; its columns: {_some(data.obs.columns)}")
    variables: dict[str, Any] = {column: np.asarray(data.obs[column]) for column in columns}
    masks = []
    for modality, part in getattr(data, "mod", {"X": data}).items():
        if part.X is None:
            raise ValueError(f"{where}: {modality} has no X: put the layer that is to be the view there")
        if part is not data and not part.obs_names.is_unique:
            raise ValueError(f"{where}: samples of {modality} share names: make them unique (obs_names_make_unique)")
        places = np.arange(len(data.obs_names)) if part is data else part.obs_names.get_indexer(data.obs_names)
        masks.append(places >= 0)
        variables[modality] = part.X[places]  # of those that it lacks, the last: hidden by the mask
    if not np.all(masks):
        variables["masks"] = np.array(masks)
    return Source(where, name, variables, free=True)


def form(value: Any) -> str:
    """Say what a value is: its shape and type, or that it is a cell, a struct, text."""
    if isinstance(value, list):
        return f"cell of {len(value)}" + (f" ({form(value[0])}{', …' * (len(value) > 1)})" if value else "")
    if isinstance(value, dict):
        return f"struct ({', '.join(value)})"
    if not hasattr(value, "dtype"):
        return "nothing that can be read"
    kind = "text" if value.dtype.kind == "U" else f"sparse {value.dtype}" if issparse(value) else value.dtype
    return f"{kind} {tuple(value.shape)}"


def listing(variables: Mapping[str, Any]) -> str:
    """Say what a source holds: names with what they are, at most a dozen."""
    listed = [f"{name} ({form(value)})" for name, value in variables.items()]
    return ", ".join(listed[:12]) + f", … ({len(listed)} in all)" * (len(listed) > 12)


def inside(value: Any) -> Any:
    """Take a matrix out of cells of one and structs with one field of views."""
    while (isinstance(value, list) and len(value) == 1) or isinstance(value, dict):
        fields = [name for name in value if name.casefold() in VIEWS] if isinstance(value, dict) else [0]
        if len(fields) != 1:
            break
        value = value[fields[0]]
    return value
