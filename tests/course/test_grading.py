"""A whole round with nbgrader: release, submissions, marks, feedback."""

from __future__ import annotations

import importlib.util
import os

import nbformat
import pandas as pd
import pytest
from bad_input import one_clear_error
from tiny_assignment import DOUBLE, HALF, WHY, write_course

from dmsc.course import grading
from dmsc.course.assignments import answered

pytestmark = pytest.mark.skipif(importlib.util.find_spec("nbgrader") is None, reason="needs nbgrader: make course")


@pytest.fixture(scope="module")
def round_of_three(tmp_path_factory):
    """Ann answers all, Ben one task, Cem nothing; Dan's file is broken."""
    folder = tmp_path_factory.mktemp("round")
    course = write_course(folder / "course")
    (path,) = grading.release(["T1"], folder / "students", course=course)
    blank = nbformat.read(path, as_version=4)
    handed_in = {
        "ann/T1.ipynb": answered(blank, {"double": DOUBLE, "half": HALF, "why": WHY}),
        "ben/T1/T1.ipynb": answered(blank, {"half": HALF}),
        "T1_cem.ipynb": blank,
    }
    for name, notebook in handed_in.items():
        (folder / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, folder / "in" / name)
    (folder / "in" / "dan_T1.ipynb").write_text("{", encoding="utf-8")
    marks, failures = grading.grade("T1", folder / "in", folder / "out", course, progress=False)
    return folder, course, blank, marks, failures


def test_the_release_has_stubs_for_answers_and_keeps_what_is_shown(round_of_three):
    sources = [cell.source for cell in round_of_three[2].cells]
    assert sources[2].startswith("def double(x):\n") and "raise NotImplementedError()" in sources[2]
    assert sources[3] == 'assert double(3) == 6, "three doubled"'
    assert not any(secret in "\n".join(sources) for secret in ("model answer", "hidden", "-8", "five", WHY))


def test_the_marks(round_of_three):
    folder, _, _, marks, failures = round_of_three
    table = marks.set_index("student")
    assert table["by_tests"].to_dict() == {"ann": 5.0, "ben": 2.0, "cem": 0.0}
    assert table["double_test"].to_dict() == {"ann": 3.0, "ben": 0.0, "cem": 0.0}
    assert table["to_grade"].to_dict() == {"ann": 1, "ben": 0, "cem": 0}
    assert set(table["max_score"]) == {9.0}
    assert list(failures) == ["dan"] and "is no notebook" in failures["dan"]
    written = pd.read_csv(folder / "out" / "marks.csv")
    pd.testing.assert_frame_equal(written, marks[list(written)], check_dtype=False)
    pd.testing.assert_frame_equal(pd.read_csv(folder / "out" / "marks_T1.csv"), marks, check_dtype=False)


def test_a_class_in_which_no_file_can_be_read(round_of_three, tmp_path):
    (tmp_path / "dan_T1.ipynb").write_text("{", encoding="utf-8")
    marks, failures = grading.grade("T1", tmp_path, tmp_path / "out", round_of_three[1], progress=False)
    assert len(marks) == 0 and list(failures) == ["dan"]


def test_everyone_gets_feedback_that_says_what_failed(round_of_three):
    feedback = round_of_three[0] / "out" / "feedback"
    assert {path.parents[1].name for path in feedback.rglob("T1.html")} == {"ann", "ben", "cem"}
    assert "NotImplementedError" in (feedback / "ben" / "T1" / "T1.html").read_text(encoding="utf-8")


def test_marks_by_hand_count_and_survive_another_grading(round_of_three):
    folder, course, *_ = round_of_three
    with grading.open_course(folder / "out").gradebook as book:
        grade = book.find_grade("why", "T1", "T1", "ann")
        grade.manual_score, grade.needs_manual_grade = 3.0, False
        book.db.commit()
    assert grading.marks_table(folder / "out").set_index("student").loc["ann", "score"] == 8.0
    marks, _ = grading.grade("T1", folder / "in", folder / "out", course, feedback=False, progress=False)
    row = marks.set_index("student").loc["ann"]
    assert (row["by_tests"], row["by_hand"], row["why"]) == (5.0, 3.0, 3.0)


def test_tests_that_a_student_deleted_or_eased_count_all_the_same(round_of_three, tmp_path):
    _, course, blank, *_ = round_of_three
    eased, deleted = (answered(blank, {"double": "def double(x):\n    return 6", "half": HALF}) for _ in range(2))
    next(cell for cell in eased.cells if cell.id == "double-test").source = "assert True"
    deleted.cells = [cell for cell in deleted.cells if cell.id != "double-test"]
    for student, notebook in (("eve", eased), ("fay", deleted)):
        (tmp_path / "in" / student).mkdir(parents=True)
        nbformat.write(notebook, tmp_path / "in" / student / "T1.ipynb")
    marks, failures = grading.grade("T1", tmp_path / "in", tmp_path / "out", course, feedback=False, progress=False)
    assert not failures
    assert marks["double_test"].tolist() == [0.0, 0.0]
    assert marks["half_test"].tolist() == [2.0, 2.0]


def test_an_answer_that_warns_keeps_its_points(round_of_three, tmp_path):
    """nbgrader gives none where a test has written to stderr."""
    warning = "import warnings\n\n\ndef double(x):\n    warnings.warn('close to zero')\n    return 2 * x"
    (tmp_path / "in" / "gus").mkdir(parents=True)
    nbformat.write(answered(round_of_three[2], {"double": warning}), tmp_path / "in" / "gus" / "T1.ipynb")
    before = os.environ.get("PYTHONWARNINGS")
    marks, _ = grading.grade("T1", tmp_path / "in", tmp_path / "out", round_of_three[1], False, progress=False)
    assert marks["double_test"].tolist() == [3.0]
    assert os.environ.get("PYTHONWARNINGS") == before


def test_a_variant_is_graded_by_the_same_tests_and_a_name_may_be_any(round_of_three, tmp_path):
    course = round_of_three[1]
    (path,) = grading.release(["T1"], tmp_path / "variant", seed=3, course=course)
    variant = answered(nbformat.read(path, as_version=4), {"double": DOUBLE, "half": HALF})
    name = "Zoë O'Neil-Lee"
    (tmp_path / "in" / name).mkdir(parents=True)
    nbformat.write(variant, tmp_path / "in" / name / "T1.ipynb")
    marks, failures = grading.grade("T1", tmp_path / "in", tmp_path / "out", course, progress=False)
    assert not failures and marks["student"].tolist() == [name]
    assert marks["by_tests"].tolist() == [5.0]
    graded = nbformat.read(tmp_path / "out" / "autograded" / name / "T1" / "T1.ipynb", as_version=4)
    printed = next(cell.outputs[0].text for cell in graded.cells if cell.source == "print(seed)")
    assert printed == "3\n"


def test_settings_of_a_teacher_are_kept(tmp_path):
    (tmp_path / "nbgrader_config.py").write_text("c = get_config()\nc.Execute.timeout = 7\n", encoding="utf-8")
    assert grading.open_course(tmp_path).config.Execute.timeout == 7


def test_a_release_replaces_nobodys_work(round_of_three, tmp_path):
    course = round_of_three[1]
    (path,) = grading.release([], tmp_path, course=course)
    grading.release([], tmp_path, course=course)  # the same again: nothing is lost
    path.write_text("my work", encoding="utf-8")
    one_clear_error(lambda: grading.release([], tmp_path, course=course), FileExistsError, ("T1.ipynb", "--overwrite"))
    assert path.read_text(encoding="utf-8") == "my work"
    grading.release([], tmp_path, seed=3, overwrite=True, course=course)
    assert "seed = 3" in path.read_text(encoding="utf-8")


def test_a_folder_without_submissions_or_with_two_of_one_student(tmp_path):
    one_clear_error(
        lambda: grading.find_submissions("T1", tmp_path), ValueError, ("no submissions", "T1_STUDENT.ipynb")
    )
    for name in ("ann/T1.ipynb", "T1_ann.ipynb"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    one_clear_error(
        lambda: grading.find_submissions("T1", tmp_path), ValueError, ("two submissions of ann", "keep one")
    )


def test_marks_of_a_folder_without_any(tmp_path):
    one_clear_error(lambda: grading.marks_table(tmp_path), FileNotFoundError, "dmsc course grade")
