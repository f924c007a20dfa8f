"""Which pages run, and with what: every mistake is one clear error before anything starts."""

from __future__ import annotations

import re

import pytest
from tiny_course import reproduce_tiny, write_course, write_notebook

from dmsc.pages.notebooks import list_notebooks, read_parameters
from dmsc.pages.parameters import load_parameters, select_notebooks

pytest.importorskip("papermill")  # reproduce says that it is missing before it looks at anything else


@pytest.fixture
def notebooks(tmp_path):
    return list_notebooks(write_course(tmp_path))


def write_yaml(folder, text):
    path = folder / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_flat_and_keyed_parameter_files(tmp_path, notebooks):
    names = list(notebooks)
    flat = load_parameters(write_yaml(tmp_path, "epochs: 9\n"), notebooks, names[:2])
    assert flat == {"01_good": {"epochs": 9}, "02_fails": {"epochs": 9}}
    for key in ("'01'", "01", "1", "01_good", "01_good.ipynb"):
        keyed = load_parameters(write_yaml(tmp_path, f"{key}: {{epochs: 8, rate: 1.0e-3}}"), notebooks, names)
        assert keyed == {"01_good": {"epochs": 8, "rate": 1e-3}, "02_fails": {}, "03_dies": {}}
    assert load_parameters(write_yaml(tmp_path, "# nothing"), notebooks, ["01_good"]) == {"01_good": {}}
    one = load_parameters(write_yaml(tmp_path, "'02': {epochs: 1}"), notebooks, ["01_good"])
    assert one == {"01_good": {}}  # checked, but not selected
    assert load_parameters(None, notebooks, ["02_fails"]) == {"02_fails": {}}


def test_selection_and_defaults(notebooks):
    assert select_notebooks(notebooks) == ["01_good", "02_fails", "03_dies"]
    assert select_notebooks(notebooks, ["3", "01_good.ipynb", "03"]) == ["01_good", "03_dies"]
    assert read_parameters(notebooks["01_good"]) == {"epochs": 3, "rate": 0.01, "records_dir": ""}


DEFAULTS = {"n": 3, "x": 0.5, "flag": True, "name": "digits", "seeds": [0, 1], "options": {"a": 1}, "any": None}


@pytest.fixture
def page(tmp_path):
    """A page with one parameter of each type."""
    cell = "\n".join(f"{name} = {value!r}" for name, value in DEFAULTS.items())
    write_notebook(tmp_path / "01_types.ipynb", [(cell, "parameters")])
    return list_notebooks(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [("n", "5"), ("x", "2"), ("x", "2.5"), ("flag", "false"), ("name", "orl"), ("seeds", "[]"), ("seeds", "[a]"),
     ("options", "{}"), ("any", "3"), ("any", "null"), ("any", "{b: [1, 2]}")],
)  # fmt: skip
def test_values_of_the_default_s_type_pass(tmp_path, page, name, value):
    (given,) = load_parameters(write_yaml(tmp_path, f"{name}: {value}"), page, ["01_types"]).values()
    assert list(given) == [name]


@pytest.mark.parametrize(
    ("name", "value", "seen", "wanted"),
    [
        ("n", "[1]", "[1]", "int"), ("n", "2.0", "2.0", "int"), ("n", "true", "True", "int"),
        ("n", "null", "None", "int"), ("n", "'1'", "'1'", "int"), ("x", "1e-3", "'1e-3'", "float"),
        ("x", "false", "False", "float"), ("flag", "1", "1", "bool"), ("name", "3", "3", "str"),
        ("seeds", "0", "0", "list"), ("options", "[a]", "['a']", "dict"), ("options", "null", "None", "dict"),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_refused(tmp_path, page, name, value, seen, wanted):
    with pytest.raises(ValueError) as caught:
        load_parameters(write_yaml(tmp_path, f"{name}: {value}"), page, ["01_types"])
    for words in ("01_types", repr(name), seen, wanted):
        assert words in str(caught.value)
    assert ("1.0e-3" in str(caught.value)) == (seen == "'1e-3'")


BAD = {
    "unknown parameter": (lambda: reproduce_tiny("epoch: 3", only=["02"]), ["02_fails", "'epoch'", "'epochs'"]),
    "flat, but one lacks it": (lambda: reproduce_tiny("epochs: 3"), ["03_dies", "'epochs'"]),
    "type": (lambda: reproduce_tiny("epochs: [1]", only=["01"]), ["01_good", "'epochs'", "[1]", "int"]),
    "section": (lambda: reproduce_tiny("'01': {epochs: 3}\n'07': {}"), ["'07'", "01_good"]),
    "no mapping": (lambda: reproduce_tiny("'01': 3"), ["'01'", "mapping"]),
    "mixed": (lambda: reproduce_tiny("'01': {epochs: 3}\nrate: 1"), ["'rate'"]),
    "a date": (lambda: reproduce_tiny("epochs: 2020-01-01", only=["01"]), ["01_good", "'epochs'", "2020"]),
    "text": (lambda: reproduce_tiny("rate: 1e-3", only=["01"]), ["01_good", "'rate'", "'1e-3'", "float"]),
    "a list": (lambda: reproduce_tiny("- epochs"), ["params.yaml", "list"]),
    "broken YAML": (lambda: reproduce_tiny("epochs: [1"), ["params.yaml", "YAML"]),
    "no text": (lambda: reproduce_tiny(b"\xff\xfe\x00"), ["params.yaml", "YAML"]),
    "only": (lambda: reproduce_tiny(only=["01", "07"]), ["'07'", "01_good"]),
    "nothing": (lambda: reproduce_tiny(only=[]), ["empty list"]),
    "jobs": (lambda: reproduce_tiny(jobs=0), ["jobs", "0"]),
    "store": (lambda: reproduce_tiny(store=True, resume=True), ["store", "resume"]),
    "store, parameters": (lambda: reproduce_tiny("epochs: 3", store=True), ["store", "params_file"]),
}


@pytest.mark.parametrize("name", BAD)
def test_one_clear_error(name):
    call, words = BAD[name]
    with pytest.raises(ValueError) as caught:
        call()
    assert type(caught.value) is ValueError and "\n" not in str(caught.value)
    assert not [word for word in words if word not in str(caught.value)], caught.value


@pytest.mark.parametrize("options", [{"params_file": "no.yaml"}, {"notebooks_dir": "no"}])
def test_files_that_are_not_there(options):
    with pytest.raises(FileNotFoundError, match=re.escape(next(iter(options.values())))):
        reproduce_tiny(**options)


@pytest.mark.parametrize("cell", ["a, b = 1, 2", "a = [n for n in ()]", "import os", "x.y = 3", "a: int", "a ="])
def test_a_parameters_cell_of_more_than_literals(tmp_path, cell):
    write_notebook(tmp_path / "01_bad.ipynb", [(cell, "parameters")])
    with pytest.raises(ValueError, match="01_bad.*literals"):
        read_parameters(tmp_path / "01_bad.ipynb")
