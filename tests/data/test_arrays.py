"""People's own data: every form of views, masks and labels, and what is refused."""

from __future__ import annotations

import doctest

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from bad_input import by_name, one_clear_error

from dmsc.data import arrays, masks_from_nan
from dmsc.data.arrays import check_finite, check_views, label_codes, mask_arrays, view_array, view_list

NUMBERS = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]])
FRAME = pd.DataFrame(NUMBERS, columns=["a", "b"])


@pytest.mark.parametrize(
    "X",
    [
        NUMBERS,
        NUMBERS.astype(np.uint8),
        NUMBERS.tolist(),
        FRAME,
        FRAME.astype("Int64"),
        FRAME.astype({"a": "Float64", "b": "int8"}),
        sp.csr_matrix(NUMBERS),
        sp.coo_array(NUMBERS),
        torch.tensor(NUMBERS, requires_grad=True),
        torch.tensor(NUMBERS).to_sparse(),
        torch.tensor(NUMBERS, dtype=torch.bfloat16),
    ],
)
def test_view_array_reads_what_people_have(X):
    array = view_array(X)
    assert type(array) is np.ndarray and np.array_equal(array, NUMBERS)


def test_frames_whose_columns_are_features_are_taken_whole():
    for frame in (FRAME.assign(index=[0.1, 0.2, 0.3]), FRAME[["a"]].set_axis(["id"], axis=1)):
        assert view_array(frame).shape == frame.shape
    assert view_array(FRAME.assign(index=[1.5, 0.0, 2.0])[1:2]).shape == (1, 3)  # a new sample's 0 is no count


def test_view_array_keeps_what_is_missing_as_nan():
    frame = pd.DataFrame({"a": pd.array([1, None], dtype="Int64"), "b": pd.array([True, None], dtype="boolean")})
    assert np.array_equal(view_array(frame), [[1, 1], [np.nan, np.nan]], equal_nan=True)
    masked = np.ma.masked_array([[1, 2], [3, 4]], [[False, True], [False, False]])
    assert np.array_equal(view_array(masked), [[1, np.nan], [3, 4]], equal_nan=True)


def test_one_number_a_sample_is_one_feature():
    for X in ([1, 2, 3], np.array([1, 2, 3]), pd.Series([1, 2, 3]), [True, False, True]):
        assert view_array(X).shape == (3, 1)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((5, 3, 8, 9), None),  # channels come first already
        ((5, 1, 8, 3), None),
        ((5, 2, 4, 4), None),  # square images
        ((5, 8, 9, 3), (5, 3, 8, 9)),
        ((5, 8, 9, 1), (5, 1, 8, 9)),
        ((5, 8, 8, 4), (5, 4, 8, 8)),
        ((5, 8, 9, 2), None),  # no number of colors
    ],
)
def test_channels_are_brought_to_the_front(shape, expected):
    X = np.random.default_rng(0).random(shape)
    array = view_array(X)
    assert np.array_equal(array, X if expected is None else X.transpose(0, 3, 1, 2))
    assert array.shape == (expected or shape)
    assert np.array_equal(view_array(array), array)


def test_view_list_takes_every_form_of_several_views():
    cell = np.empty((2, 1), dtype=object)
    cell[:, 0] = [NUMBERS, NUMBERS[:, :1]]
    for Xs in ([NUMBERS, NUMBERS[:, :1]], (FRAME, [1, 0, 3]), cell, cell.T, cell.ravel(), iter([FRAME, FRAME[["a"]]])):
        views, names = view_list(Xs)
        assert names is None and [X.tolist() for X in views] == [NUMBERS.tolist(), [[1], [0], [3]]]
    for Xs in (np.stack([NUMBERS, 2 * NUMBERS]), torch.tensor(np.stack([NUMBERS, 2 * NUMBERS]))):
        assert [X.tolist() for X in view_list(Xs)[0]] == [NUMBERS.tolist(), (2 * NUMBERS).tolist()]
    views, names = view_list({"table": FRAME, "text": sp.csr_array(NUMBERS)})
    assert names == ("table", "text") and all(np.array_equal(X, NUMBERS) for X in views)


MASK = np.array([[True, False], [True, True], [False, True]])  # (N, M)


@pytest.mark.parametrize(
    "masks",
    [
        list(MASK.T),
        tuple(MASK.T.astype(int)),
        list(MASK.T.astype(float)),
        [column[:, None] for column in MASK.T],
        MASK,
        MASK.T,
        MASK.astype(np.uint8),
        MASK.tolist(),
        sp.csr_matrix(MASK.astype(int)),
        torch.tensor(MASK),
        pd.DataFrame(MASK),
        pd.DataFrame(MASK[:, ::-1], columns=["text", "photo"]),
        pd.DataFrame(MASK).astype("boolean"),
        {"text": MASK[:, 1], "photo": pd.Series(MASK[:, 0])},
    ],
)
def test_mask_arrays_read_every_form(masks):
    columns = mask_arrays(masks, 2, 3, ("photo", "text"))
    assert len(columns) == 2 and all(column.dtype == bool for column in columns)
    assert np.array_equal(columns, MASK.T)


def test_a_square_matrix_of_masks_has_a_row_for_each_sample():
    square = np.array([[1, 0], [1, 1]])
    assert np.array_equal(mask_arrays(square, 2, 2), square.T)
    assert np.array_equal(mask_arrays(list(square), 2, 2), square)  # a list has an entry for each view


def test_the_way_out_of_nan_is_one():
    """Masks are one only if each sample is left with another view."""
    first, second = np.array([[np.nan], [1.0], [2.0]]), np.ones((3, 1))
    for Xs, masks, mended in (
        ([first], None, False),
        ([first, second], None, True),
        ([first, first], None, False),
        ([first, second], [[True] * 3, [True] * 3], True),
        ([first, second], [[True] * 3, [False, True, True]], False),
    ):
        with pytest.raises(ValueError, match=r"a has NaN in 1 of 3 rows \(0\): drop or fill them") as caught:
            check_views(Xs, ["a", "b"][: len(Xs)], masks)
        assert ("masks_from_nan" in str(caught.value)) == mended
    check_views([second, second], ["a", "b"], None)


def test_masks_from_nan():
    images = np.zeros((3, 1, 4, 4))
    images[2, 0, 1, 1] = np.nan
    frame = pd.DataFrame({"a": pd.array([None, 1, 2], dtype="Int64"), "b": [1, 2, 3]})
    assert np.array_equal(masks_from_nan([images, frame]), [[True, True, False], [False, True, True]])


@pytest.mark.parametrize(
    ("y", "codes", "names"),
    [
        ([1, 2, 1], [0, 1, 0], ("1", "2")),
        (np.array([[9], [4], [9]]), [1, 0, 1], ("4", "9")),
        (np.array([[9, 4, 9]], dtype=np.uint8), [1, 0, 1], ("4", "9")),
        ([-1.0, 2.5, -1.0], [0, 1, 0], ("-1", "2.5")),
        (["b", "a", "b"], [1, 0, 1], ("a", "b")),
        ([True, False, False], [1, 0, 0], ("False", "True")),
        (pd.Series(["b", "a", "b"], dtype="category", index=[7, 8, 9]), [1, 0, 1], ("a", "b")),
        (pd.Categorical([3, 1, 3], categories=[3, 2, 1]), [1, 0, 1], ("1", "3")),
        (pd.Series([5, 2, 5], dtype="Int64"), [1, 0, 1], ("2", "5")),
        (pd.Series(["b", "a", "b"], dtype="string"), [1, 0, 1], ("a", "b")),
        (pd.DataFrame({"y": [5, 2, 5]}), [1, 0, 1], ("2", "5")),
        (torch.tensor([5, 2, 5]), [1, 0, 1], ("2", "5")),
    ],
)
def test_label_codes(y, codes, names):
    numbers, found = label_codes(y, 3)
    assert numbers.dtype == np.int64 and numbers.tolist() == codes and found == names


CASES = [
    ("text", lambda: view_array([["a", "b"]], "view 1"), ValueError, ("view 1", "<U1")),
    ("complex", lambda: view_array(1j * NUMBERS), ValueError, "complex"),
    ("ragged", lambda: view_array([[1, 2], [3]]), ValueError, ("X ", "inhomogeneous")),
    ("scalar", lambda: view_array(3), ValueError, "()"),
    ("column", lambda: view_array(FRAME.assign(c="x"), "view 2"), ValueError, ("view 2", "'c'", "object")),
    ("ids", lambda: view_array(FRAME.assign(id=[7, 5, 6]), "view 2"), ValueError, ("view 2", "'id'", "drop it")),
    ("names", lambda: view_array(FRAME.assign(name=list("xyz"))), ValueError, ("X ", "'name'", "drop it", "rename")),
    ("groups", lambda: view_list([FRAME.assign(ID=[1, 1, 2])]), ValueError, ("view 0", "'ID'", "rename")),
    ("gray images", lambda: view_array(np.ones((2, 8, 8))), ValueError, ("(2, 8, 8)", "X[:, None]")),
    ("channels", lambda: view_array(np.ones((2, 9, 4, 3))), ValueError, ("(2, 9, 4, 3)", "transpose", "reshape")),
    ("nothing", lambda: view_list([]), ValueError, "at least one view"),
    ("one array", lambda: view_list(NUMBERS), TypeError, ("list", "ndarray", "[X]", "DSC")),
    ("one frame", lambda: view_list(FRAME), TypeError, ("list", "DataFrame", "[X]")),
    ("one sparse", lambda: view_list(sp.csr_array(NUMBERS)), TypeError, ("list", "[X]")),
    ("one batch of images", lambda: view_list(np.ones((2, 3, 8, 8))), TypeError, "[X]"),
    ("one word", lambda: view_list("photo"), TypeError, "str"),
    ("bad view", lambda: view_list({"photo": [["a"]]}), ValueError, "view 'photo'"),
    ("masks: number", lambda: mask_arrays(3, 2, 3), TypeError, ("masks", "2 arrays of 3", "3")),
    ("masks: shape", lambda: mask_arrays(np.ones((4, 2)), 2, 3), ValueError, ("masks", "(4, 2)")),
    ("masks: length", lambda: mask_arrays([[1, 0], [1, 1]], 2, 3), ValueError, ("masks", "(2,)")),
    ("masks: value", lambda: mask_arrays([[1, 0, 2], [1, 1, 1]], 2, 3), ValueError, ("masks", "value 2")),
    ("masks: NaN", lambda: mask_arrays([[1, 0, np.nan], [1, 1, 1]], 2, 3), ValueError, ("masks", "value nan")),
    ("masks: text", lambda: mask_arrays([["y", "n", "y"]] * 2, 2, 3), ValueError, ("masks", "<U1")),
    ("masks: names", lambda: mask_arrays({"a": [1]}, 1, 1, ["b"]), ValueError, ("masks", "names b", "got a")),
    ("labels: number", lambda: label_codes([1, 2], 3), ValueError, ("3 labels", "(2,)")),
    ("labels: one-hot", lambda: label_codes(np.eye(3), 3), ValueError, ("3 labels", "(3, 3)")),
    ("labels: NaN", lambda: label_codes([1, np.nan, 2, np.inf], 4), ValueError, ("2 samples", "rows 1, 3")),
    ("labels: None", lambda: label_codes(["a", None, "b"], 3), ValueError, ("1 samples", "rows 1")),
    ("labels: NA", lambda: label_codes(pd.Series([1, None], dtype="Int64"), 2), ValueError, "rows 1"),
    ("labels: category", lambda: label_codes(pd.Categorical(["a", None]), 2), ValueError, "rows 1"),
    ("labels: mixed", lambda: label_codes(np.array([1, "a"], dtype=object), 2), ValueError, ("int, str", "strings")),
    (
        "NaN",
        lambda: check_finite(np.where(np.arange(16) % 2, np.nan, 0)[:, None], "view 3"),
        ValueError,
        ("view 3", "NaN", "8 of 16 rows (1, 3, 5, 7, 9, …)", "drop or fill them"),
    ),
    ("infinite", lambda: check_finite(np.array([[np.inf]]), "X", "drop it"), ValueError, ("X", "infinite", "drop it")),
]  # fmt: skip


@by_name(CASES)
@pytest.mark.filterwarnings("error")
def test_bad_input(call, error, words):
    one_clear_error(call, error, words)


def test_examples():
    result = doctest.testmod(arrays)
    assert result.attempted and not result.failed
