"""Release assignments and grade submissions, with nbgrader as the engine."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from ..paths import replacing, write_text
from .assignments import COURSE, Notebook, list_assignments, read_source, with_seed

__all__ = ["find_submissions", "grade", "marks_table", "open_course", "release"]

CELL_SECONDS = 60  # a cell of a submission that runs longer is interrupted, and the next one begins
CONFIG_FILE = "nbgrader_config.py"
CONFIG = f"""# For nbgrader, and for its form grader in JupyterLab, started here. What you change is kept.
c = get_config()  # noqa: F821
c.CourseDirectory.course_id = "dmsc"
c.Execute.timeout = {CELL_SECONDS}
c.Execute.extra_arguments = ["--HistoryManager.hist_file=:memory:", "--log-level=ERROR"]
c.OverwriteCells.add_missing_cells = True  # deleted tests come back
"""


def open_course(folder: Path) -> Any:
    """Return nbgrader's interface to a folder, which becomes one of its course directories."""
    if importlib.util.find_spec("nbgrader") is None:
        raise ModuleNotFoundError('grading needs nbgrader, not installed: make course, or pip install -e ".[course]"')
    from nbgrader.apps import NbGraderAPI
    from traitlets.config import PyFileConfigLoader

    tools = str(Path(sys.executable).parent)  # nbgrader calls alembic by name
    if tools not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([tools, os.environ.get("PATH", "")])
    if not (folder / CONFIG_FILE).exists():
        write_text(folder / CONFIG_FILE, CONFIG)
    settings = PyFileConfigLoader(CONFIG_FILE, path=str(folder)).load_config()
    settings.CourseDirectory.root = str(folder.resolve())
    settings.NbGrader.logfile = ""
    return NbGraderAPI(config=settings)


def release(
    names: Sequence[str],
    to: str | Path,
    seed: int | None = None,
    overwrite: bool = False,
    course: Path = COURSE,
) -> list[Path]:
    """Write assignments for students: without answers, hidden tests and outputs.

    Parameters
    ----------
    names : sequence of str
        Of assignments, as `list_assignments` has them; none: all.
    to : str or Path
        Folder; an assignment becomes ``to/A1/A1.ipynb``.
    seed : int, optional
        Makes a variant: other data, the same tests.
    overwrite : bool
        Whether other files of those names may be replaced. Somebody may have begun to work in them.
    course : Path
        Where the sources are.

    Returns
    -------
    list of Path
        The files written.
    """
    names = list(names) or list_assignments(course)
    sources = {name: read_source(name, course) for name in names}
    targets = {name: Path(to) / name / f"{name}.ipynb" for name in names}
    with tempfile.TemporaryDirectory() as folder:
        api = open_course(Path(folder))
        released = {name: _release(api, name, sources[name], seed, Path(folder)) for name in names}
        changed = {n: p for n, p in targets.items() if p.exists() and p.read_bytes() != released[n].read_bytes()}
        if changed and not overwrite:
            raise FileExistsError(f"{', '.join(map(str, changed.values()))}: exists, maybe with work in it: "
                                  "name another folder, or add --overwrite")  # fmt: skip
        for name, target in targets.items():
            with replacing(target) as temporary:
                shutil.copyfile(released[name], temporary)
    return [*targets.values()]


def _release(api: Any, name: str, source: Notebook, seed: int | None, folder: Path) -> Path:
    """Have nbgrader make the release of one assignment, in its course directory."""
    import nbformat

    path = folder / "source" / name / f"{name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(source if seed is None else with_seed(source, seed), path)
    _demand(api.generate_assignment(name, force=True), f"{name} could not be released")
    return folder / "release" / name / f"{name}.ipynb"


def find_submissions(name: str, folder: str | Path) -> dict[str, Path]:
    """Return the submissions of an assignment, student to file.

    Taken are ``STUDENT/A1/A1.ipynb`` (as nbgrader has it), ``STUDENT/A1.ipynb``, and ``A1_STUDENT.ipynb`` or
    ``STUDENT_A1.ipynb``, as learning platforms name downloads.

    Raises
    ------
    ValueError
        If there is none, or two of one student.
    """
    folder = Path(folder)
    found: dict[str, Path] = {}
    pairs = [(path.parents[1].name, path) for path in folder.glob(f"*/{name}/{name}.ipynb")]
    pairs += [(path.parent.name, path) for path in folder.glob(f"*/{name}.ipynb")]
    pairs += [(path.stem.removeprefix(f"{name}_"), path) for path in folder.glob(f"{name}_*.ipynb")]
    pairs += [(path.stem.removesuffix(f"_{name}"), path) for path in folder.glob(f"*_{name}.ipynb")]
    for student, path in sorted(pairs):
        if student in found:
            raise ValueError(f"two submissions of {student}: {found[student]} and {path}; keep one")
        found[student] = path
    if not found:
        raise ValueError(f"no submissions of {name} in {folder}: wanted are STUDENT/{name}.ipynb, "
                         f"STUDENT/{name}/{name}.ipynb, or {name}_STUDENT.ipynb")  # fmt: skip
    return found


def grade(
    name: str,
    submissions: str | Path,
    to: str | Path,
    course: Path = COURSE,
    feedback: bool = True,
    progress: bool = True,
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Run the tests on all submissions of an assignment; write feedback and marks.

    What was graded by hand before, in nbgrader's form grader, stays, and counts.

    Parameters
    ----------
    name : str
        Of the assignment.
    submissions : str or Path
        Folder of what students handed in, see `find_submissions`; it isn't changed.
    to : str or Path
        Folder for all that comes out: ``marks.csv``, ``feedback/STUDENT/A1/A1.html``, and nbgrader's own files.
    course : Path
        Where the sources are.
    feedback : bool
        Whether to write the pages of feedback.
    progress : bool
        Whether to show a bar, where there is a terminal.

    Returns
    -------
    marks : DataFrame
        See `marks_table`.
    failures : dict of str to str
        Students whose file could not be graded at all, and why; they are not in the marks.
    """
    source, found, to = read_source(name, course), find_submissions(name, submissions), Path(to)
    api = open_course(to)
    _release(api, name, source, None, to)
    failures = {}
    with _without_warnings():
        for student, path in tqdm(found.items(), desc=name, disable=None if progress else True, leave=False):
            try:
                _grade_one(api, name, student, path, to, feedback)
            except (ValueError, OSError) as error:
                failures[student] = " ".join(str(error).split())
    marks = marks_table(to, name)
    graded = marks["student"].isin(found.keys() - failures.keys())
    return marks[graded].reset_index(drop=True), failures


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Silence warnings here and in the kernels: nbgrader takes all points away where a test writes to stderr."""
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = "ignore"
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="nbgrader")  # on how it uses its data base
            yield
    finally:
        if before is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = before


def _grade_one(api: Any, name: str, student: str, path: Path, folder: Path, feedback: bool) -> None:
    """Have nbgrader grade one file."""
    import nbformat

    try:
        nbformat.validate(nbformat.read(path, as_version=4))
    except Exception as error:  # whatever students hand in
        raise ValueError(f"{path} is no notebook: {str(error)[:200]}") from error
    target = folder / "submitted" / student / name / f"{name}.ipynb"
    with replacing(target) as temporary:
        shutil.copyfile(path, temporary)
    _demand(api.autograde(name, student, force=True, create=True), f"{path} could not be graded")
    if feedback:
        _demand(api.generate_feedback(name, student, force=True), f"no feedback for {path}")


def marks_table(folder: str | Path, name: str | None = None) -> pd.DataFrame:
    """Read the marks from nbgrader's data base, by-hand marks with them, and write them to files.

    ``marks.csv`` has a row per student and assignment, ``marks_A1.csv`` also the points of each task of A1.

    Parameters
    ----------
    folder : str or Path
        What `grade` wrote to.
    name : str, optional
        Return this assignment's marks only, with the points of each of its tasks.

    Returns
    -------
    DataFrame
        A row per student and assignment: ``score``, ``max_score``, of the score ``by_tests`` and ``by_hand``, and
        ``to_grade``, how many answers still wait for a teacher.
    """
    folder = Path(folder)
    if not (folder / "gradebook.db").exists():
        raise FileNotFoundError(f"{folder} has no marks: 'dmsc course grade' makes them")
    api, rows = open_course(folder), []
    with api.gradebook as book:
        for assignment in sorted(book.assignments, key=lambda entry: entry.name):
            for submission in sorted(book.assignment_submissions(assignment.name), key=lambda s: s.student_id):
                grades = [grade for notebook in submission.notebooks for grade in notebook.grades]
                by_tests = sum(grade.score for grade in grades if grade.cell.cell_type == "code")
                rows.append({
                    "assignment": assignment.name,
                    "student": submission.student_id,
                    "score": sum(grade.score for grade in grades),
                    "max_score": sum(grade.max_score for grade in grades),
                    "by_tests": by_tests,
                    "by_hand": sum(grade.score for grade in grades) - by_tests,
                    "to_grade": sum(bool(grade.needs_manual_grade) for grade in grades),
                    "tasks": {grade.name: grade.score for grade in grades},
                })  # fmt: skip
    columns = ["assignment", "student", "score", "max_score", "by_tests", "by_hand", "to_grade", "tasks"]
    frame = pd.DataFrame(rows, columns=columns)
    whole = frame.drop(columns="tasks")
    _write(whole, folder / "marks.csv")
    by_task = {}
    for assignment, part in frame.groupby("assignment"):
        points_of = pd.DataFrame(part["tasks"].tolist(), index=part.index)
        by_task[assignment] = part.drop(columns="tasks").join(points_of).reset_index(drop=True)
        _write(by_task[assignment], folder / f"marks_{assignment}.csv")
    return whole if name is None else by_task.get(name, whole.iloc[:0])


def _write(frame: pd.DataFrame, path: Path) -> None:
    with replacing(path) as temporary:
        frame.to_csv(temporary, index=False)


def _demand(result: dict, otherwise: str) -> None:
    """Raise with what went wrong by nbgrader's log, unless all went well."""
    if result["success"]:
        return
    lines = [line.strip() for line in f"{result.get('log')}\n{result.get('error')}".splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception|Timeout)\w*: ", line)]
    raise ValueError(f"{otherwise}: {(errors or lines)[0]}")
