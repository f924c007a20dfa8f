"""The check of assignments finds each kind of fault; and the course's own assignments have none."""

from __future__ import annotations

import importlib.util

import pytest
from tiny_assignment import DOUBLE, HALF_TEST, WRONG, tiny_source, write_course

from dmsc.course import checking
from dmsc.course.assignments import answered, list_assignments

needs_nbgrader = pytest.mark.skipif(importlib.util.find_spec("nbgrader") is None, reason="needs nbgrader: make course")


def quiet(_):
    """Say nothing."""


@needs_nbgrader
def test_a_sound_assignment_passes(tmp_path):
    said = []
    assert checking.check("T1", write_course(tmp_path), said.append) == []
    assert any("model" in line and "5 of 5" in line for line in said)
    assert any("blank" in line and "0 of 5" in line for line in said)


@needs_nbgrader
def test_faults_are_found(tmp_path):
    """A wrong answer that wins, one that fells a cell after it, a model answer that loses, and one answer too few."""
    wrong = {
        "double": [{"mistake": "none", "code": DOUBLE}, {"mistake": "fells the rest", "code": "double = None"}],
        "half": WRONG["half"][:1],
    }
    test = HALF_TEST.replace("2.5", "2.6")
    faults = checking.check("T1", write_course(tmp_path, wrong, between="print(double(1))", half_test=test), quiet)
    assert "half: 1 wrong answers, wanted are at least 2" in faults
    assert "wrong-1-1: double_test gave 3 of 3 points, should be 0" in faults
    assert "model: half_test gave 0 of 2 points, should be 2" in faults
    assert "wrong-1-2: cell 4 fails with the answers: TypeError" in faults


def test_leaks_are_found():
    source = tiny_source()
    assert checking.leaks(source, source)[:2] == ["the release has '### BEGIN'", "the release has '### END'"]
    assert [fault.split(":")[0] for fault in checking.leaks(source, source)[2:]] == [
        f"the release shows the answer or the hidden tests of {name}"
        for name in ("double", "double_test", "half", "half_test", "why")
    ]


def test_a_listing_that_is_to_be_mended_is_no_leak_but_the_mended_one_is():
    listing = "def double(x):\n    y = int(x)  # the defect\n    return 2 * y  # right"
    right = "y = float(x)  # not cut\n    return 2 * y  # right"
    mended = DOUBLE.replace("return 2 * x  # the model answer", right)
    source, shown = (tiny_source(between=text, double=mended) for text in (listing, mended.replace("###", "#")))
    names = [fault.split(":")[0].rpartition(" ")[2] for fault in checking.leaks(source, released(source))]
    assert "double" not in names
    names = [fault.split(":")[0].rpartition(" ")[2] for fault in checking.leaks(shown, released(shown))]
    assert "double" in names


def released(source):
    """Return the assignment with its answer to the first task taken out."""
    return answered(source, {"double": "def double(x):\n    raise NotImplementedError()"})


@needs_nbgrader
@pytest.mark.slow
@pytest.mark.parametrize("name", list_assignments())
def test_the_assignments_of_the_course(name):
    """Two mistakes for every task; `make course` tries all of them."""
    assert checking.check(name, say=quiet, most=2) == []
