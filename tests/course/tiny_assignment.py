"""A course of one small assignment, whose kernels import next to nothing."""

from __future__ import annotations

import nbformat
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

DOUBLE = "def double(x):\n    ### BEGIN SOLUTION\n    return 2 * x  # the model answer\n    ### END SOLUTION"
DOUBLE_TEST = """assert double(3) == 6, "three doubled"
### BEGIN HIDDEN TESTS
assert double(-4) == -8, "a negative number is doubled, too"
### END HIDDEN TESTS"""
HALF = "def half(x):\n    ### BEGIN SOLUTION\n    return x / 2  # the other model answer\n    ### END SOLUTION"
HALF_TEST = """assert half(seed) == seed / 2
### BEGIN HIDDEN TESTS
assert half(5) == 2.5, "five halved"
### END HIDDEN TESTS"""
WHY = "Because doubling is linear, and so is halving."
WRONG = {
    "double": [
        {"mistake": "the shown example only", "code": "def double(x):\n    return 6"},
        {"mistake": "a square", "code": "def double(x):\n    return x * x"},
    ],
    "half": [
        {"mistake": "whole numbers", "code": "def half(x):\n    return x // 2"},
        {"mistake": "nothing returned", "code": "def half(x):\n    x / 2"},
    ],
}


def cell(kind, text, name, grade=False, solution=False, points=None):
    mark = {"schema_version": 3, "grade_id": name, "grade": grade, "solution": solution, "task": False}
    mark["locked"] = not solution
    if points is not None:
        mark["points"] = points
    return kind(text, metadata={"nbgrader": mark}, id=name.replace("_", "-"))


def tiny_source(**changes):
    """Return the assignment; texts of cells may be exchanged by name."""
    texts = {"double": DOUBLE, "double_test": DOUBLE_TEST, "half": HALF, "half_test": HALF_TEST, "why": WHY} | changes
    cells = [
        new_markdown_cell("# T1 · Doubling", id="title"),
        new_code_cell("seed = 0", id="parameters"),
        cell(new_code_cell, texts["double"], "double", solution=True),
        cell(new_code_cell, texts["double_test"], "double_test", grade=True, points=3),
        new_code_cell(texts.get("between", "print(seed)"), id="between"),
        cell(new_code_cell, texts["half"], "half", solution=True),
        cell(new_code_cell, texts["half_test"], "half_test", grade=True, points=2),
        cell(new_markdown_cell, texts["why"], "why", grade=True, solution=True, points=4),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel})


def write_course(folder, wrong=WRONG, **changes):
    """Write a course of that assignment; return its folder."""
    (folder / "source" / "T1").mkdir(parents=True)
    nbformat.write(tiny_source(**changes), folder / "source" / "T1" / "T1.ipynb")
    (folder / "wrong_answers").mkdir()
    (folder / "wrong_answers" / "T1.yaml").write_text(yaml.safe_dump(wrong), encoding="utf-8")
    return folder
