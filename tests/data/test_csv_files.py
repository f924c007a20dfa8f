"""Every way in which people write a table comes back as the same numbers: no sample or feature more, none less."""

from __future__ import annotations

import csv

import numpy as np
import pandas as pd
import pytest
from bad_input import one_clear_error

from dmsc.data import load_dataset
from dmsc.data.csv_files import agreeing, read_csv

N = 6
REAL = np.random.default_rng(0).normal(size=(N, 3)).round(3) + 0.0005  # none is whole
WHOLE = (np.arange(4 * N).reshape(N, 4) * 7 + 3) % 11
LABELS = [0, 1, 1, 0, 2, 2]

WAYS = {
    "pandas' default": {},
    "no index": {"index": False},
    "neither": {"index": False, "header": False},
    "no header": {"header": False},
    "index with a name": {"index_label": "id"},
    "semicolons": {"sep": ";"},
    "semicolons, decimal commas": {"sep": ";", "decimal": ","},
    "semicolons, decimal commas, neither": {"sep": ";", "decimal": ",", "index": False, "header": False},
    "tabs": {"sep": "\t", "index": False},
    "all quoted": {"quoting": csv.QUOTE_ALL},
    "text quoted": {"quoting": csv.QUOTE_NONNUMERIC, "index": False},
    "with a mark in front": {"encoding": "utf-8-sig"},
}
NAMES = {
    "from 0": list(range(9)),
    "from 1": list(range(1, 10)),
    "text": list("abcdefghi"),
    "quoted commas": [f"{letter}, cm" for letter in "abcdefghi"],
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_a_table_comes_back_as_it_was(tmp_path, way, names):
    """As a file of its own, with a column of labels, and in a folder beside other views and labels."""
    views = {"one": REAL[:, :1], "real": REAL, "whole": WHOLE}
    if way.get("decimal") and "index" in way:
        del views["one"]  # two columns of whole numbers, for all that one can tell
    for name, X in views.items():
        pd.DataFrame(X, columns=names[: X.shape[1]]).to_csv(tmp_path / f"{name}.csv", **way)
    pd.Series(LABELS).to_csv(tmp_path / "labels.csv", **way)
    together = load_dataset(tmp_path)
    assert together.view_names == tuple(views) and together.y.tolist() == LABELS
    for X, (name, expected) in zip(together.Xs, views.items(), strict=True):
        np.testing.assert_array_equal(X, expected.astype(np.float32))
        alone = load_dataset(tmp_path / f"{name}.csv", n_clusters=3)
        np.testing.assert_array_equal(alone.Xs[0], expected.astype(np.float32))
    if way.get("header", True):
        pd.DataFrame(REAL, columns=names[:3]).assign(label=LABELS).to_csv(tmp_path / "real.csv", **way)
        labeled = load_dataset(tmp_path / "real.csv")
        np.testing.assert_array_equal(labeled.Xs[0], REAL.astype(np.float32))
        assert labeled.y.tolist() == LABELS


READ = {  # text: columns, rows
    "spaces": (" 1.5 2\n 3 4.5\n", [[1.5, 2], [3, 4.5]]),
    "blank lines first": ("\n\n1.5,2\n3,4\n", [[1.5, 2], [3, 4]]),
    "blank lines before a header": ("\n\na,b\n1.5,2\n", [[1.5, 2]]),
    "R's row names": ('"V1","V2"\n"1",0.5,2\n"2",1,3\n', [[0.5, 2], [1, 3]]),
    "row names below 0, 1": ("0,1\nx,0.5,2\ny,1,3\n", [[0.5, 2], [1, 3]]),
    "an index in two columns": (",,0,1\nx,0,0.5,2\nx,1,1,3\n", [[0.5, 2], [1, 3]]),
    "an index under other numbers": (",400,402\n0,0.5,2\n1,1,3\n", [[0.5, 2], [1, 3]]),
    "a separator at each end": ("a;b;\n1,5;2;\n3;4;\n", [[1.5, 2], [3, 4]]),
    "text above 0, 1": ("gene,0,1\n1,0.5,2\n2,1,3\n", [[1, 0.5, 2], [2, 1, 3]]),
    "text and NA above numbers": ("gene,NA,2\n1,0.5,2\n", [[1, 0.5, 2]]),
    "ids beside 0, 1": ("id,0,1\nx,1,0\ny,0,0\n", [[1, 0], [0, 0]]),
    "0, 1 above other whole numbers": ("0,1\n5,7\n1,9\n", [[5, 7], [1, 9]]),
    "0, 1 above zeros and ones": ("0,1\n1,0\n1,1\n", [[0, 1], [1, 0], [1, 1]]),
    "1 above whole numbers": ("1\n5\n7\n", [[1], [5], [7]]),
    "1 above real numbers": ("1\n5.5\n7\n", [[5.5], [7]]),
    "numbers with a gap": ("0,2,3\n5,7,8\n", [[0, 2, 3], [5, 7, 8]]),
    "the same numbers as reals": ("0.0,1.0,2.0\n5,7,8\n", [[0, 1, 2], [5, 7, 8]]),
    "few rows that look counted": ("0,5\n1,7\n", [[0, 5], [1, 7]]),
    "rows that are counted": ("0,5\n1,7\n2,9\n", [[5], [7], [9]]),
    "rows that are counted from 1": ("1,5\n2,7\n3,9\n", [[5], [7], [9]]),
    "one sample": ("0.5,0.75\n", [[0.5, 0.75]]),
}


@pytest.mark.parametrize(("text", "rows"), READ.values(), ids=READ)
def test_what_is_a_header_and_what_an_index(tmp_path, text, rows):
    (tmp_path / "a.csv").write_text(text)
    assert load_dataset(tmp_path / "a.csv", n_clusters=1).Xs[0].tolist() == rows


def test_missing_numbers_are_no_names(tmp_path):
    path = tmp_path / "a.csv"
    for first in ("NA,2", "NA,1", ",1.5", "nan,NaN", "null,null"):
        path.write_text(f"{first}\n1,2\n3,4\n")
        frame, other = read_csv(path)
        assert frame.shape == (3, 2) and other is None and frame.iloc[0].isna().any()


def test_a_name_of_labels_is_no_place(tmp_path):
    """labels=2 is the third column of a file without a header, also where the first line has the number 2."""
    path = tmp_path / "a.csv"
    path.write_text("0.1,0.2,2\n0.3,0.5,1\n")
    dataset = load_dataset(path, labels=2)
    assert dataset.y.tolist() == [1, 0] and dataset.Xs[0].shape == (2, 2)
    path.write_text("0.1,0.2,2016\n0.3,0.5,1\n0.3,0.5,4\n")
    assert load_dataset(path, labels=2016).y.tolist() == [0, 1]


def test_the_number_of_rows_tells_headers_in_a_folder(tmp_path):
    """Labels 0, 0, 1, … with or without a header 0, text below other text, and a first sample 0, 1, 2."""
    views = {"a.csv": WHOLE, "b.csv": REAL}
    for header in (False, True):
        for name, X in views.items():
            np.savetxt(tmp_path / name, X, delimiter=",")
        for labels in ([0, *LABELS[1:]], ["b", "b", "a", "c", "c", "a"], [5, 5, 1, 2, 2, 1]):
            lines = [*(["kind" if labels[0] == 5 else labels[0]] * header), *labels]
            (tmp_path / "labels.csv").write_text("\n".join(map(str, lines)))
            dataset = load_dataset(tmp_path)
            codes = np.unique(labels, return_inverse=True)[1]
            assert dataset.n_samples == N and dataset.y.tolist() == codes.tolist()
    counted = np.vstack([np.arange(3), REAL[1:]])
    np.savetxt(tmp_path / "b.csv", counted, delimiter=",", fmt="%g")
    np.testing.assert_allclose(load_dataset(tmp_path).Xs[1], counted, rtol=1e-5)


def test_agreeing_readings():
    long, short, one = (pd.DataFrame(np.ones(shape)) for shape in ((5, 2), (4, 2), (5, 1)))
    assert agreeing({"a": (long, short), "b": (short, None)})["a"] is short
    assert agreeing({"a": (long, short), "b": (long, None)})["a"] is long
    assert agreeing({"a": (long, short), "b": (one, one[:4])})["b"] is one  # views tell, not labels
    assert agreeing({"a": (short, long), "b": (one, one[:4])})["b"].shape == (4, 1)
    assert agreeing({"a": (long, short), "b": (pd.DataFrame(np.ones((9, 1))), None)})["a"] is long


def test_what_is_no_table(tmp_path):
    path = tmp_path / "a.csv"
    for text, words in (("", "it is empty"), ("\n \n", "it is empty"), ("a,b\n1,2\n3,4,5\n", "3"), ("a,b\n", "no row")):
        path.write_text(text)
        one_clear_error(lambda: read_csv(path), ValueError, ("a.csv", "can't be read as a table", words))
    path.write_bytes(b"\xff\xfe\x00g")
    one_clear_error(lambda: read_csv(path), ValueError, ("a.csv", "can't be read as a table"))
