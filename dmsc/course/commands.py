"""``dmsc course``: list, release, grade, marks, check."""

from __future__ import annotations

import argparse
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from ..checks import integer
from .assignments import TEST, list_assignments, points, read_source
from .checking import check
from .grading import grade, marks_table, release

__all__ = ["add_arguments"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give the command its own commands."""
    acts = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    command = acts.add_parser("list", help="list the assignments with their points")
    command.set_defaults(act=_list)

    command = acts.add_parser("release", help="write assignments for students, without answers and hidden tests")
    command.add_argument("assignments", nargs="*", metavar="ASSIGNMENT", help="default: all")
    command.add_argument("--to", required=True, metavar="DIR", help="folder; A1 becomes DIR/A1/A1.ipynb")
    command.add_argument("--seed", type=int, metavar="N", help="a variant with other data, graded by the same tests")
    command.add_argument("--overwrite", action="store_true", help="replace files, though there may be work in them")
    command.set_defaults(act=_release)

    command = acts.add_parser("grade", help="run the tests on submissions; write marks and feedback")
    command.add_argument("assignment", metavar="ASSIGNMENT")
    command.add_argument(
        "--submissions",
        required=True,
        metavar="DIR",
        help="with STUDENT/A1.ipynb, STUDENT/A1/A1.ipynb or A1_STUDENT.ipynb",
    )
    command.add_argument("--to", required=True, metavar="DIR", help="for marks.csv, feedback/ and nbgrader's own files")
    command.set_defaults(act=_grade)

    command = acts.add_parser("marks", help="write marks.csv again, with what was graded by hand since")
    command.add_argument("folder", metavar="DIR", help="what 'dmsc course grade' wrote to")
    command.set_defaults(act=_marks)

    command = acts.add_parser(
        "check", help="prove assignments: model answers, empty ones and planted mistakes are graded"
    )
    command.add_argument("assignments", nargs="*", metavar="ASSIGNMENT", help="default: all")
    command.add_argument("--jobs", type=int, default=1, metavar="N", help="how many at a time (default 1)")
    command.set_defaults(act=_check)


def _list(_: argparse.Namespace) -> int:
    for name in list_assignments():
        source = read_source(name)
        worth = points(source)
        by_tests = sum(value for cell, value in worth.items() if cell.endswith(TEST))
        title = source.cells[0].source.splitlines()[0].lstrip("# ")
        print(f"{name:<6} {by_tests:3g} points by tests, {sum(worth.values()) - by_tests:2g} by hand   {title}")
    return 0


def _release(arguments: argparse.Namespace) -> int:
    paths = release(arguments.assignments, arguments.to, arguments.seed, arguments.overwrite)
    print("\n".join(map(str, paths)))
    return 0


def _grade(arguments: argparse.Namespace) -> int:
    marks, failures = grade(arguments.assignment, arguments.submissions, arguments.to)
    if len(marks):
        print(marks[["student", "score", "max_score", "by_tests", "by_hand", "to_grade"]].to_string(index=False))
    for student, reason in failures.items():
        print(f"{student}: {reason}")
    folder = Path(arguments.to)
    waiting = int(marks["to_grade"].sum()) if len(marks) else 0
    if waiting:
        print(f"{waiting} written answers wait for you: 'jupyter lab' in {folder}, menu Nbgrader, Formgrader; "
              f"then 'dmsc course marks {folder}'")  # fmt: skip
    print(f"marks: {folder / 'marks.csv'}   feedback: {folder / 'feedback'}")
    return 1 if failures else 0


def _marks(arguments: argparse.Namespace) -> int:
    print(marks_table(arguments.folder).to_string(index=False))
    print(f"marks: {Path(arguments.folder) / 'marks.csv'}")
    return 0


def _check(arguments: argparse.Namespace) -> int:
    jobs = integer("jobs", arguments.jobs, 1)
    names = arguments.assignments or list_assignments()
    for name in names:
        read_source(name)  # an unknown name before anything runs
    faults = []
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        for name, (found, said) in zip(names, pool.map(_check_one, names), strict=True):
            print("\n".join(said), flush=True)
            faults += [f"{name}: {fault}" for fault in found]
    print("\n".join(faults) if faults else "all is well")
    return 1 if faults else 0


def _check_one(name: str) -> tuple[list[str], list[str]]:
    """Check one assignment in a process of its own; return the faults and what was said."""
    said: list[str] = []
    return check(name, say=said.append), said
