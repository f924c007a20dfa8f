"""Tables in .csv files: with which separator, and whether the first line is a header or the first sample."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from .columns import is_count, is_id, is_label
from .readers import existing

__all__ = ["agreeing", "read_csv"]

#: How a missing number may be written.
MISSING = ("", "na", "n/a", "nan", "null", "none", "?")
SPACES = r"\s+"

Readings = tuple[pd.DataFrame, pd.DataFrame | None]  # the likely one, and the other where both could be meant


def read_csv(path: Path, labels: str | None = None, of_labels: bool = False) -> Readings:
    """Read a .csv file, with or without a header.

    Fields are separated by tabs, semicolons, commas or (numbers only) spaces; the decimal mark may be a comma if the
    separator is none. A header is a first line without a number, or with the name of labels; or where the second line
    has a number in the place of text; or whose numbers are 0, 1, … or 1, 2, …, as pandas writes them. In a file without
    a header a first column that counts the rows is called as pandas calls an index, "Unnamed: 0".

    Parameters
    ----------
    path : Path
        The file.
    labels : str, optional
        The column that holds labels.
    of_labels : bool
        Whether the file holds nothing but labels, which may be text.

    Returns
    -------
    frame : DataFrame
        As it is read.
    other : DataFrame or None
        As it would be read if the first line, or what is taken for it, were the other thing, where only the number of
        samples can tell: a line of 0, 1, … above whole numbers, say, or text above labels.
    """
    existing(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(islice(filter(str.strip, file), 100))
        if not lines:
            raise ValueError("it is empty")
        separator = _separator(lines)
        decimal = "." if separator in (",", SPACES) else _decimal(lines[1:] or lines)
        header = _is_header([_split(line, separator) for line in lines], labels, of_labels, decimal)
        options = {"sep": separator, "decimal": decimal, "encoding": "utf-8-sig", "low_memory": False}
        frame = pd.read_csv(path, header=0 if header else None, **options)
        below = pd.read_csv(path, header=0, **options) if header is None else None
        if frame.empty:
            raise ValueError("it has a header, but no row below it")
    except (ValueError, csv.Error) as error:  # of pandas, too
        raise ValueError(f"{path} can't be read as a table: {' '.join(str(error).split())}") from None
    if header:
        return frame, None
    if frame.shape[1] > 1 and is_count(frame[0]):
        frame = frame.rename(columns={0: "Unnamed: 0"})
    return (frame, below) if below is None or _like_the_others(frame, below) else (below, frame)


def agreeing(readings: Mapping[str, Readings]) -> dict[str, pd.DataFrame]:
    """Choose the readings of several files that have as many rows as those that leave no choice."""
    sure = {len(frame) for frame, other in readings.values() if other is None}
    lengths = sure or {len(frame) for frame, _ in readings.values() if frame.shape[1] > 1}
    return {
        name: other if other is not None and len(frame) not in lengths and len(other) in lengths else frame
        for name, (frame, other) in readings.items()
    }


def _is_header(fields: list[list[str]], labels: str | None, of_labels: bool, decimal: str) -> bool | None:
    """Tell whether the first line is a header; None where it may be."""
    first, below = ([field.strip(" \r\n'") for field in line] for line in (fields[0], fields[min(1, len(fields) - 1)]))
    numbers = [field for field in first if _is_number(field, decimal)]
    text = {field.casefold() for field in set(first) - set(numbers)}
    names = text - set(MISSING)
    place = labels is not None and labels.isdigit() and int(labels) < len(first)  # of a column, not a name
    if any(is_label(field) or (field == labels and not place) for field in first):
        return True
    rows = [line[0] for line in fields[1:]]
    if first[0] == "" and len(rows) > 1 and rows == list(map(str, range(len(rows)))):  # an index
        return True
    counted = numbers in ([str(i + start) for i in range(len(numbers))] for start in (0, 1))
    indexed = len(below) > len(first) or (len(first) > 1 and (first[0] == "" or is_id(first[0])))
    shifts = any(
        field.casefold() in names and _is_number(under, decimal) for field, under in zip(first, below, strict=False)
    )
    if (counted and indexed) or (shifts and not of_labels):
        return True
    if text & set(MISSING):
        return bool(names) and not numbers
    if not numbers:
        return None if of_labels else True
    return None if counted else False


def _like_the_others(frame: pd.DataFrame, below: pd.DataFrame) -> bool:
    """Tell whether a first line that may be a header is likelier a sample, as which ``frame`` has it."""
    numbers, first = below.select_dtypes("number").to_numpy(dtype=float), frame.select_dtypes("number").head(1)
    if "Unnamed: 0" in frame or numbers.shape[1] > first.shape[1]:
        return "Unnamed: 0" in frame
    numbers = numbers[~np.isnan(numbers)]
    return not (numbers % 1).any() and (first.size < 2 or bool(np.isin(numbers, first).all()))


def _separator(lines: Sequence[str]) -> str:
    plain = [re.sub(r'"[^"]*"', "", line) for line in lines[:2]]
    for where in (plain, plain[-1:]):  # a header may lack the index, or hold separators of its own
        for separator in "\t;,":
            if all(separator in line for line in where):
                return separator
    fields = lines[-1].split()
    return SPACES if len(fields) > 1 and all(map(_is_number, fields)) else "\t"


def _decimal(lines: Sequence[str]) -> str:
    text = "".join(lines)
    commas, points = (len(re.findall(pattern, text)) for pattern in (r"\d,\d", r"\d\.\d"))
    return "," if commas > points else "."


def _split(line: str, separator: str) -> list[str]:
    return line.split() if separator == SPACES else next(csv.reader([line], delimiter=separator, skipinitialspace=True))


def _is_number(text: str, decimal: str = ".") -> bool:
    try:
        float(text.replace(decimal, "."))
    except ValueError:
        return False
    return text.casefold() not in MISSING
