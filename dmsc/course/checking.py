"""Prove an assignment before students see it: what must win wins, what must lose loses, and nothing leaks."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd

from .assignments import COURSE, TEST, Notebook, answered, points, read_source, tasks, wrong_answers
from .grading import grade, release

__all__ = ["check", "leaks"]

SECONDS = 120  # that grading a submission may take, on average
REGION = re.compile(r"### BEGIN (?:SOLUTION|HIDDEN TESTS)\n(.*?)### END (?:SOLUTION|HIDDEN TESTS)", re.DOTALL)


def check(name: str, course: Path = COURSE, say: Callable[[str], None] = print, most: int | None = None) -> list[str]:
    """Release an assignment, hand in answers whose marks are known, and grade them.

    Handed in are the model answers (full marks by tests), the release as it is (0), and each planted wrong answer,
    which must lose the points of its own task and of no other. Several wrong ones share a submission, every second
    task in each, so that right ones stand between them.

    Parameters
    ----------
    name : str
        Of the assignment.
    course : Path
        Where the sources are.
    say : callable
        Is given one line per submission.
    most : int, optional
        How many wrong answers to a task are tried, the first ones; all by default.

    Returns
    -------
    list of str
        What is not as it should be; empty if all is well.
    """
    source, wrong = read_source(name, course), wrong_answers(name, course)
    faults = [f"{task}: {len(wrong.get(task, []))} wrong answers, wanted are at least 2"
              for task in tasks(source) if len(wrong.get(task, [])) < 2]  # fmt: skip
    faults += [f"wrong answers to {task}, which is no task" for task in wrong.keys() - set(tasks(source))]
    wrong = {task: mistakes[:most] for task, mistakes in wrong.items()}
    with tempfile.TemporaryDirectory() as folder:
        blank = _read(release([name], Path(folder) / "release", course=course)[0])
        faults += leaks(source, blank)
        model = answered(blank, _answers(source))
        expected = {}
        for student, notebook, lost in [("model", model, set()), *_mistaken(model, wrong, tasks(source))]:
            _hand_in(notebook, Path(folder) / "submissions" / student / f"{name}.ipynb")
            expected[student] = lost
        _hand_in(blank, Path(folder) / "submissions" / "blank" / f"{name}.ipynb")
        expected["blank"] = set(tasks(source))
        began = time.perf_counter()
        marks, failures = grade(name, Path(folder) / "submissions", Path(folder) / "graded", course, feedback=False)
        seconds = (time.perf_counter() - began) / len(expected)
        faults += [f"{student}: {reason}" for student, reason in failures.items()]
        faults += _compare(marks.set_index("student"), expected, points(source), say)
        faults += _broken_cells(name, Path(folder) / "graded", expected, set(tasks(source)))
    if seconds > SECONDS:
        faults.append(f"submissions took {seconds:.0f} s each on average, more than {SECONDS}")
    say(f"{name}: {len(expected)} submissions, {seconds:.0f} s each; {len(faults) or 'no'} faults")
    return faults


def leaks(source: Notebook, released: Notebook) -> list[str]:
    """Return what a release must not hold and does: lines of answers or hidden tests, written answers, outputs."""
    text = "\n".join(cell.source for cell in released.cells)
    open_to_all = {line.strip() for cell in source.cells if not cell["metadata"].get("nbgrader")
                   for line in cell.source.splitlines()}  # fmt: skip
    given = {line.strip() for cell in released.cells for line in cell.source.splitlines()}
    faults = [f"the release has {mark!r}" for mark in ("### BEGIN", "### END", "<details") if mark in text]
    for cell in source.cells:
        mark = cell["metadata"].get("nbgrader", {})
        secret = [line for region in REGION.findall(cell.source) for line in region.splitlines()]
        if mark.get("solution") and cell.cell_type == "markdown":
            secret = cell.source.splitlines()
        secret = [line.strip() for line in secret if len(line.strip()) > 12]  # shorter ones may stand anywhere
        secret = [line for line in secret if line not in open_to_all] or secret  # a listing to be mended is no leak
        shown = [line for line in secret if line in given]
        if len(shown) > len(secret) / 2:
            faults.append(f"the release shows the answer or the hidden tests of {mark['grade_id']}: {shown[0]!r}")
    faults += [f"the release has an output in cell {k}" for k, c in enumerate(released.cells) if c.get("outputs")]
    return faults


def _answers(source: Notebook) -> dict[str, str]:
    """Return the model answers, coded and written, by their names."""
    marked = [(cell["metadata"].get("nbgrader", {}), cell) for cell in source.cells]
    return {mark["grade_id"]: cell.source for mark, cell in marked if mark.get("solution")}


def _mistaken(model: Notebook, wrong: dict, names: list[str]) -> Iterator[tuple[str, Notebook, set[str]]]:
    """Yield submissions with a wrong answer to every second task: their name, the notebook and the tasks that lose."""
    for first in (0, 1):
        own = names[first::2]
        for k in range(max((len(wrong.get(task, [])) for task in own), default=0)):
            answers = {task: wrong[task][k]["code"] for task in own if k < len(wrong.get(task, []))}
            yield f"wrong-{first + 1}-{k + 1}", answered(model, answers), set(answers)


def _compare(
    marks: pd.DataFrame, expected: dict[str, set[str]], worth: dict[str, float], say: Callable[[str], None]
) -> list[str]:
    """Return where marks by tests differ from what they should be."""
    faults = []
    by_tests = [name for name in worth if name.endswith(TEST)]
    for student, lost in expected.items():
        if student not in marks.index:
            continue
        row = marks.loc[student]
        for test in by_tests:
            should = 0.0 if test.removesuffix(TEST) in lost else worth[test]
            if row[test] != should:
                faults.append(f"{student}: {test} gave {row[test]:g} of {worth[test]:g} points, should be {should:g}")
        say(f"  {student:<12} {row['by_tests']:g} of {sum(worth[test] for test in by_tests):g} points by tests")
    written = [name for name in worth if name not in by_tests]
    if "blank" in marks.index and marks.loc["blank", written].sum():
        faults.append("blank: an answer that was left as it was has points")
    return faults


def _broken_cells(name: str, folder: Path, expected: dict[str, set[str]], names: set[str]) -> list[str]:
    """Return which cells other than answers and their tests raised: no wrong answer may fell the rest."""
    faults = []
    for student in expected:
        path = folder / "autograded" / student / name / f"{name}.ipynb"
        for k, cell in enumerate(_read(path).cells if path.exists() else []):
            errors = [output for output in cell.get("outputs", []) if output["output_type"] == "error"]
            own = cell["metadata"].get("nbgrader", {}).get("grade_id", "").removesuffix(TEST)
            if errors and own not in names:
                faults.append(f"{student}: cell {k} fails with the answers: {errors[0]['ename']}")
    return faults


def _read(path: Path) -> Notebook:
    import nbformat

    return nbformat.read(path, as_version=4)


def _hand_in(notebook: Notebook, path: Path) -> None:
    import nbformat

    path.parent.mkdir(parents=True)
    nbformat.write(notebook, path)
