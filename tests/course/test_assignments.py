"""Assignments are read, answered and varied as they are written."""

from __future__ import annotations

import nbformat
from bad_input import by_name, one_clear_error
from tiny_assignment import WRONG, tiny_source, write_course

from dmsc.course import assignments


def test_what_an_assignment_holds(tmp_path):
    course = write_course(tmp_path)
    assert assignments.list_assignments(course) == ["T1"]
    source = assignments.read_source("T1", course)
    assert assignments.tasks(source) == ["double", "half"]
    assert assignments.points(source) == {"double_test": 3.0, "half_test": 2.0, "why": 4.0}
    assert assignments.wrong_answers("T1", course) == WRONG


def test_answers_are_exchanged_in_a_copy():
    source = tiny_source()
    other = assignments.answered(source, {"double": "double = abs\n", "why": "I don't know"})
    assert [cell.source for cell in other.cells if cell.id in ("double", "why")] == ["double = abs", "I don't know"]
    assert source == tiny_source()
    nbformat.validate(other)


def test_a_variant_has_another_seed_and_nothing_else():
    source = tiny_source()
    other = assignments.with_seed(source, 7)
    changed = [(a.source, b.source) for a, b in zip(source.cells, other.cells, strict=True) if a != b]
    assert changed == [("seed = 0", "seed = 7")]


@by_name([
    ("name", lambda c: assignments.read_source("T2", c), ValueError, ("'T2'", "T1")),
    ("no course", lambda c: assignments.list_assignments(c / "source"), ValueError, "no assignments in"),
    ("task", lambda c: assignments.answered(tiny_source(), {"duble": ""}), ValueError, ("'duble'", "'double'")),
    ("no seed", lambda c: assignments.with_seed(nbformat.v4.new_notebook(), 1), ValueError, ("seed", "found 0")),
])  # fmt: skip
def test_bad_input(call, error, words, tmp_path):
    course = write_course(tmp_path)
    one_clear_error(lambda: call(course), error, words)
