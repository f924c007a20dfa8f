"""Pages that show records: a table stands between two comments, and every number in prose is marked with its records.

In a Markdown page, or cell of a notebook, a number is followed by a comment, which a reader of the rendered page
doesn't see:

    92.5 ± 0.2<!-- papers: coil20 dsc-l2 paper_acc -->       a study; dataset, method, settings name=value, column
    1.7<!-- benchmarks/epochs.json: steps/finetune/ways/dmsc/speedup -->     a file of results/; a path in it
    86.0<!-- cited: Ji et al. 2017 -->                       someone else's number, left as it is

A setting whose value has spaces stands in quotes, as in views="face 1×32×32"; not in a notebook, whose file escapes
them. Columns are those of `dmsc.experiments.tables.summarize`. A number of a file is rounded as it stands in the text.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

from .records import RESULTS, load_records, records_path
from .tables import percent, settings_of, summarize

__all__ = ["insert_table", "renew_numbers", "unmarked_numbers"]

NUMBER = r"[-+−]?\d+(?:\.\d+)?(?: ± \d+(?:\.\d+)?)?"
MARKED = re.compile(rf"({NUMBER})<!-- ([\w./-]+): (.+?) -->")
CITED = "cited"


def insert_table(text: str, table: str, name: str = "") -> str:
    """Return a text in which what is between two comments is the table.

    They are ``<!-- table: begin -->`` and ``<!-- table: end -->``, or ``<!-- table NAME: begin -->`` and so on, for a
    page with several tables.

    Raises
    ------
    ValueError
        If the text has no such two lines.
    """
    marks = [f"<!-- {' '.join(['table', *name.split()])}: {place} -->" for place in ("begin", "end")]
    before, begin, rest = text.partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if not begin or not end:
        raise ValueError(f"the text has no place for this table: put the lines {marks[0]!r} and {marks[1]!r} there")
    return f"{before}{begin}\n\n{table}\n{end}{after}"


def renew_numbers(text: str, results: str | Path = RESULTS) -> str:
    """Return a page in which every marked number is what its records say.

    Raises
    ------
    ValueError
        If a mark names no record, several rows of records, or nothing that is a number.
    """

    def number(match: re.Match[str]) -> str:
        old, source, query = match.groups()
        if source == CITED:
            return match[0]
        try:
            is_file = Path(source).suffix == ".json"
            new = _of_file(Path(results) / source, query, old) if is_file else _of_study(source, query, results)
        except (ValueError, KeyError, OSError, TypeError) as error:
            what = f"{type(error).__name__}: {error}" if isinstance(error, KeyError) else str(error)
            raise ValueError(f"the mark '{source}: {query}' after {old}: {what}") from None
        return f"{new}<!-- {source}: {query} -->"

    return MARKED.sub(number, text)


def unmarked_numbers(text: str) -> list[str]:
    """Return the numbers with a decimal point that have no mark: outside tables, code, addresses and comments.

    Versions of Python, torch and numpy need none.
    """
    text = re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)|(Python|torch|numpy) [\d.]+", " ", text, flags=re.DOTALL)
    lines = [line for line in MARKED.sub(" ", text).splitlines() if not line.startswith("|")]
    prose = re.sub(r"<!--.*?-->", " ", "\n".join(lines), flags=re.DOTALL)
    return re.findall(r"(?<![\w.])\d+\.\d+(?![\w.]*\d)", prose)


def _of_study(study: str, query: str, results: str | Path) -> str:
    *words, column = shlex.split(query)  # a setting with spaces stands in quotes
    given = dict(word.split("=", 1) for word in words if "=" in word)
    dataset, method = (word for word in words if "=" not in word)
    records = [
        record
        for record in load_records(records_path(study, results))
        if (record["config"]["dataset"], record["config"]["method"]["name"]) == (dataset, method)
        and given.items() <= settings_of(record).items()
    ]
    rows = summarize(records)
    if len(rows) != 1:
        found = "; ".join(row["settings"] or "all the same" for row in rows)
        raise ValueError(f"{len(rows)} rows of records, one is needed{f' ({found}): add settings' * bool(rows)}")
    (row,) = rows
    if column not in row:
        raise ValueError(f"no column {column!r}: use one of {', '.join(row)}")
    if f"{column}_std" in row and column != "objective":
        return percent(row, column)
    return f"{row[column]:.1f}" if isinstance(row[column], float) else str(row[column])


def _of_file(file: Path, query: str, old: str) -> str:
    value: Any = json.loads(file.read_text(encoding="utf-8"))
    for key in query.split("/"):
        value = value[int(key)] if isinstance(value, list) else value[key]
    decimals = len(old.partition(".")[2])
    return f"{float(value):.{decimals}f}"
