"""Assignments as they are written: one notebook each with answers, points and tests, and the answers that must lose."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ..methods import closest
from ..paths import ROOT

__all__ = [
    "COURSE", "TEST", "answered", "list_assignments", "points", "read_source", "tasks", "with_seed", "wrong_answers",
]  # fmt: skip

COURSE = ROOT / "course"
TEST = "_test"  # what graded cells of tests end in: the task "gram" is graded by "gram_test"
SEED = re.compile(r"^seed = \d+", re.MULTILINE)

Notebook = Any  # nbformat's NotebookNode, which is a dict


def list_assignments(course: Path = COURSE) -> list[str]:
    """Return the names of the assignments, in the order of the alphabet."""
    names = [path.stem for path in (course / "source").glob("*/*.ipynb") if path.stem == path.parent.name]
    if not names:
        raise ValueError(f"no assignments in {course / 'source'}: they come with a clone of the repository")
    return sorted(names)


def _source_path(name: str, course: Path = COURSE) -> Path:
    """Return the file of an assignment; an unknown name is a ValueError that lists the names there are."""
    names = list_assignments(course)
    if name not in names:
        raise ValueError(f"unknown assignment {name!r}{closest(name, names)}: use one of {', '.join(names)}")
    return course / "source" / name / f"{name}.ipynb"


def read_source(name: str, course: Path = COURSE) -> Notebook:
    """Read an assignment with all of its answers and tests."""
    import nbformat

    return nbformat.read(_source_path(name, course), as_version=4)


def tasks(notebook: Notebook) -> list[str]:
    """Return the names of the coded tasks, in their order; each has a cell for the answer and one of tests."""
    return [_mark(cell)["grade_id"] for cell in notebook.cells if _mark(cell).get("solution") and _is_code(cell)]


def points(notebook: Notebook) -> dict[str, float]:
    """Return the points of each graded cell by its name: tests of the coded tasks, then what is graded by hand."""
    graded = [cell for cell in notebook.cells if _mark(cell).get("grade")]
    graded.sort(key=lambda cell: not _is_code(cell))
    return {_mark(cell)["grade_id"]: float(_mark(cell)["points"]) for cell in graded}


def answered(notebook: Notebook, answers: Mapping[str, str]) -> Notebook:
    """Return a copy with the texts of some answers exchanged.

    Parameters
    ----------
    notebook : NotebookNode
        A release or a source.
    answers : mapping of str to str
        Name of an answer's cell, coded or written, to its new text.

    Raises
    ------
    ValueError
        If the notebook has no answer of that name.
    """
    found = copy.deepcopy(notebook)
    cells = {_mark(cell)["grade_id"]: cell for cell in found.cells if _mark(cell).get("solution")}
    for name, text in answers.items():
        if name not in cells:
            raise ValueError(f"unknown task {name!r}{closest(name, cells)}: use one of {', '.join(cells)}")
        cells[name].source = text.rstrip("\n")
    return found


def with_seed(notebook: Notebook, seed: int) -> Notebook:
    """Return a copy whose parameters have another seed: a variant with other data, graded by the same tests."""
    found = copy.deepcopy(notebook)
    cells = [cell for cell in found.cells if _is_code(cell) and not _mark(cell) and SEED.search(cell.source)]
    if len(cells) != 1:
        raise ValueError(f"a variant needs one cell of parameters with a line 'seed = ...', found {len(cells)}")
    cells[0].source = SEED.sub(f"seed = {seed}", cells[0].source, count=1)
    return found


def wrong_answers(name: str, course: Path = COURSE) -> dict[str, list[dict[str, str]]]:
    """Return the planted wrong answers of each coded task: what was mistaken, and the code of the cell."""
    _source_path(name, course)
    path = course / "wrong_answers" / f"{name}.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _mark(cell: Mapping) -> Mapping:
    """Return what nbgrader knows of a cell."""
    return cell["metadata"].get("nbgrader", {})


def _is_code(cell: Mapping) -> bool:
    return cell["cell_type"] == "code"
