"""Ids of samples are told from features and labels by name and values together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dmsc.data.columns import id_columns, is_count, is_id, is_label, misplaced, without_ids

FEATURES = pd.DataFrame({"a": [0.5, 1.5, 1.0], "b": [3, 1, 2]})


@pytest.mark.parametrize(
    "name", ["id", "ID", "Id", "ids", "sample_id", "Sample ID", "patientID", "cell.id", "uuid", "index", "Index"]
)
def test_names_of_ids(name):
    assert is_id(name) and not is_label(name)


@pytest.mark.parametrize("name", ["lipid", "acid", "width", "ideal", "grid", "a", "0", "y", "label", "VOID"])
def test_other_names(name):
    assert not is_id(name)


@pytest.mark.parametrize(
    ("values", "counts"),
    [
        ([0, 1, 2], True),
        ([1, 2, 3], True),
        (np.arange(5.0), True),
        ([0, 1], False),  # may be chance
        ([2, 3, 4], False),
        ([0, 2, 1], False),
        ([0, 1, 1], False),
        ([0.0, 1.0, np.nan], False),
        (["0", "1", "2"], False),
        ([], False),
    ],
)
def test_what_counts(values, counts):
    assert is_count(values) is counts


COLUMNS = {  # name and values: whether they are ids, whether ids that are repeated
    "text": ("name", ["x", "z", "y"], True, False),
    "text twice": ("name", ["x", "x", "y"], False, False),
    "text with a gap": ("name", ["x", None, "y"], False, False),
    "a count": ("index", [0, 1, 2], True, False),
    "a shuffled count from 1": ("sample", [3.0, 1.0, 2.0], True, False),
    "no count": ("sample", [10, 20, 30], False, False),
    "a measure": ("index", [0.1, 1.1, 2.1], False, False),
    "numbers of an id": ("patient_id", [1007, 13, 99], True, False),
    "numbers of an id, twice": ("patient_id", [13, 13, 99], False, True),
    "real numbers of an id": ("id", [0.5, 0.7, 0.9], False, False),
    "nullable numbers": ("id", pd.array([7, 5, 6], dtype="Int64"), True, False),
    "a category": ("id", pd.Categorical(["x", "z", "y"]), True, False),
    "another name": ("a", [0, 1, 2], False, False),
}


@pytest.mark.parametrize(("name", "values", "are_ids", "are_repeated"), COLUMNS.values(), ids=COLUMNS)
def test_ids_by_name_and_values(name, values, are_ids, are_repeated):
    frame = pd.concat([FEATURES[["b"]], pd.Series(values, name=name)], axis=1)
    assert id_columns(frame) == ([1] * are_ids, [1] * are_repeated)
    kept, _ = without_ids(frame)
    assert list(kept) == ["b"] + [name] * (not are_ids)


def test_what_is_left_out():
    """An index without a name in front, ids anywhere, and columns of nothing; never labels, nor all there is."""
    for names in (["Unnamed: 0"], [""], ["Unnamed: 0", "Unnamed: 1"]):
        index = pd.DataFrame({name: [7, 7, 5] for name in names})
        assert without_ids(pd.concat([index, FEATURES], axis=1))[0].equals(FEATURES)
    inside = FEATURES.assign(**{"Unnamed: 2": [1.0, 2.0, 3.0], "Unnamed: 3": np.nan})
    assert list(without_ids(inside)[0]) == ["a", "b", "Unnamed: 2"]
    frame = FEATURES.assign(id=[4, 5, 6], y=["k", "l", "m"])
    assert list(without_ids(frame)[0]) == ["a", "b", "y"]
    assert list(without_ids(frame, labels="id")[0]) == ["a", "b", "id", "y"]
    assert list(without_ids(frame[["id"]])[0]) == ["id"]
    assert list(without_ids(FEATURES.set_axis([0, 1], axis=1))[0]) == ["0", "1"]
    twins = pd.DataFrame([["x", 1, 2], ["y", 3, 4]], columns=["id", "a", "a"])
    assert without_ids(twins)[0].to_numpy().tolist() == [[1, 2], [3, 4]]


def test_what_samples_are_called():
    assert without_ids(FEATURES)[1] is None
    assert without_ids(FEATURES.assign(id=[4, 5, 6]))[1] is None
    assert without_ids(FEATURES.assign(id=["x", "y", "z"]))[1].tolist() == ["x", "y", "z"]
    assert without_ids(FEATURES.set_axis(["x", "y", "z"]))[1].tolist() == ["x", "y", "z"]
    assert without_ids(FEATURES.set_axis(["x", "y", "x"]))[1] is None


def test_samples_in_other_rows():
    names = np.array(["x", "y", "z"])
    assert misplaced(names, names) is None
    assert misplaced(names, np.array(["y", "x", "z"])) == "x"
    assert misplaced(names, np.array(["u", "z", "w"])) == "z"
    assert misplaced(names, np.array(["u", "v", "w"])) is None  # other names: each may have its own
