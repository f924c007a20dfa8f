"""The Dataset itself, names, options, and what is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from bad_input import one_clear_error

from dmsc.data.corruption import corrupt
from dmsc.data.dataset import Dataset, list_datasets, load_dataset


def test_dataset_is_immutable_and_leaves_its_source_alone():
    X, y = np.eye(4, dtype=np.float32), np.array([0, 0, 1, 1])
    dataset = Dataset("mine", [X], y)
    X[0, 0], y[0] = 7, 1
    assert dataset.Xs[0][0, 0] == 1 and dataset.y[0] == 0
    with pytest.raises(ValueError, match="read-only"):
        dataset.Xs[0][0, 0] = 2
    with pytest.raises(ValueError, match="read-only"):
        dataset.y[0] = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        dataset.name = "other"
    assert isinstance(dataset.Xs, tuple)


def test_dataset_copies_only_what_is_writable():
    X = np.eye(4, dtype=np.float32)
    X.flags.writeable = False
    assert np.shares_memory(Dataset("mine", [X], n_clusters=2).Xs[0], X)


def test_dataset_defaults_and_repr():
    dataset = Dataset("mine", [np.eye(4), np.ones((4, 1, 8, 8))], y=[0, 0, 2, 1])
    assert (dataset.n_clusters, dataset.view_names) == (3, ("view 0", "view 1"))
    assert repr(dataset) == "Dataset('mine', N=4, K=3, views: view 0 (4), view 1 (1×8×8))"
    assert repr(Dataset("x", [np.eye(2)], n_clusters=1)) == "Dataset('x', N=2, K=1, views: view 0 (2), no labels)"


def test_take():
    dataset = Dataset("mine", [np.eye(6), np.arange(6.0)[:, None]], y=[0, 0, 1, 1, 2, 2], view_names=["a", "b"])
    some = dataset.take([5, 2, 4])
    np.testing.assert_array_equal(some.Xs[1][:, 0], [5, 2, 4])
    assert (some.y.tolist(), some.n_clusters, some.name, some.view_names) == (
        [1, 0, 1],
        2,
        "mine",
        ("a", "b"),
    )
    assert dataset.take(dataset.y == 1, name="ones").y.tolist() == [0, 0]
    assert dataset.take(slice(0, 6, 2)).y.tolist() == [0, 1, 2]
    unlabeled = Dataset("mine", [np.eye(6)], n_clusters=4)
    assert unlabeled.take([0, 1]).n_clusters == 2 and unlabeled.take(range(5)).n_clusters == 4
    for bad in ([], [6], [0.5], [[0, 1], [2, 3]], np.zeros(6, bool), np.ones(5, bool)):
        with pytest.raises(ValueError, match="indices must"):
            dataset.take(bad)


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"Xs": []}, ValueError, ("Xs", "at least one view")),
        ({"Xs": np.eye(3)}, TypeError, ("Xs", "list", "ndarray", "[X]", "DSC")),
        ({"Xs": 3}, TypeError, ("Xs", "list", "int")),
        ({"Xs": [np.eye(3), np.eye(4)]}, ValueError, "samples, got [3, 4]"),
        ({"Xs": [np.ones((3, 4, 5))]}, ValueError, ("view 0", "(3, 4, 5)")),
        ({"Xs": [np.eye(3), np.ones((3, 0))]}, ValueError, ("view 1", "(3, 0)")),
        ({"Xs": [np.array([["a"]])]}, ValueError, ("view 0", "<U1")),
        (
            {"Xs": [[[1, 2], [1, np.nan], [0, 1], [np.nan, 0]]]},
            ValueError,
            ("view 0", "NaN", "2 of 4 rows (1, 3): drop or fill them"),
        ),
        ({"Xs": [[[1], [np.nan], [0]], np.eye(3)]}, ValueError, ("view 0", "1 of 3 rows (1)", "masks_from_nan")),
        ({"Xs": {"text": [[1, np.nan]]}}, ValueError, ("view 'text'", "1 of 1 rows (0)")),
        ({"Xs": [np.array([[1e300]])]}, ValueError, ("view 0", "infinite")),
        ({"y": [0, 1]}, ValueError, ("y must", "3 labels", "(2,)")),
        ({"y": np.eye(3)}, ValueError, ("y must", "3 labels", "(3, 3)")),
        ({"y": [0, np.nan, 2]}, ValueError, ("y lacks", "rows 1", "n_clusters")),
        ({"y": [5, 6, 9], "n_clusters": 2}, ValueError, ("labels y", "3 classes", "n_clusters = 2")),
        ({"y": [0, 1, 2], "class_names": "ab"}, ValueError, ("class_names", "'ab'", "0, 1, 2")),
        ({"y": ["a", "b", "b"], "class_names": ["a", "b"]}, ValueError, ("class_names", "leave them out")),
        ({"y": [0, 0, 0], "class_names": [7]}, ValueError, ("class_names", "7")),
        ({"n_clusters": None}, ValueError, "n_clusters must be given"),
        ({"n_clusters": 4}, ValueError, ("n_clusters", "from 1 to 3, the number of samples, got 4")),
        ({"n_clusters": 0}, ValueError, ("n_clusters", "got 0")),
        ({"n_clusters": 2.0}, TypeError, ("n_clusters", "got 2.0")),
        ({"view_names": ["a", "b"]}, ValueError, ("view_names", "1 strings", "'a', 'b'")),
        ({"view_names": [3]}, ValueError, ("view_names", "3")),
        ({"masks": 3}, TypeError, ("masks", "list", "3")),
        ({"masks": [[True] * 3] * 2}, ValueError, ("masks", "1 arrays of 3 bool")),
        ({"masks": [[True] * 4]}, ValueError, ("masks", "3 bool", "(4,)")),
        ({"masks": [[1, 0, 2]]}, ValueError, ("masks", "3 bool", "value 2")),
        ({"masks": [[1, 0, 1]]}, ValueError, "sample 1 has none"),
        ({"masks": [[True, False, False]]}, ValueError, "2 of 3 have none (1, 2): leave them out"),
        ({"Xs": [np.eye(3)] * 2, "masks": [[True] * 3, [False] * 3]}, ValueError, "view 1 has none"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_dataset_refuses(fields, error, words):
    one_clear_error(lambda: Dataset(**{"name": "bad", "Xs": [np.eye(3)], "n_clusters": 3, **fields}), error, words)


def test_labels_of_any_kind_are_numbered_and_named():
    X = [np.eye(4)]
    for y, names in (
        ([3, 7, 3, 5], ("3", "5", "7")),
        (["b", "d", "b", "c"], ("b", "c", "d")),
        ([0.5, 2.0, 0.5, 1.0], ("0.5", "1", "2")),
    ):
        dataset = Dataset("mine", X, y)
        assert (dataset.y.tolist(), dataset.class_names, dataset.n_clusters) == ([0, 2, 0, 1], names, 3)
        assert dataset.y.dtype == np.int64
    assert Dataset("mine", X, [0, 2, 0, 1], n_clusters=4).n_clusters == 4  # more may be asked for
    assert Dataset("mine", X, n_clusters=2).class_names is None


def test_class_names_and_preset_come_along():
    whole = Dataset("mine", {"a": np.eye(4), "b": np.ones((4, 2))}, ["z", "x", "z", "y"], preset="digits")
    assert whole.view_names == ("a", "b") and whole.class_names == ("x", "y", "z")
    some = whole.take([0, 3])
    assert (some.y.tolist(), some.class_names, some.n_clusters, some.preset) == ([1, 0], ("y", "z"), 2, "digits")
    for other in (whole.take_views("b"), corrupt(whole, noise=0.5), dataclasses.replace(whole, name="other")):
        assert (other.y.tolist(), other.class_names, other.preset) == ([2, 0, 2, 1], ("x", "y", "z"), "digits")
    assert dataclasses.replace(whole, y=None).class_names is None
    assert Dataset("mine", [np.eye(3)], [2, 0, 2], class_names=["a", "b", "c"]).class_names == ("a", "c")


def test_a_dataset_takes_what_people_have():
    frame = pd.DataFrame({"age": pd.array([1, None, 3], dtype="Int64"), "size": [0.5, 1.5, 2.5]})
    images = np.arange(3 * 6 * 5 * 3.0).reshape(3, 6, 5, 3)
    data = Dataset(
        "mine",
        {"table": frame, "photo": images},
        n_clusters=2,
        masks=pd.DataFrame({"photo": [1, 1, 0], "table": [1, 0, 1]}),
    )
    assert [X.shape for X in data.Xs] == [(3, 2), (3, 3, 6, 5)] and all(X.dtype == np.float32 for X in data.Xs)
    assert data.Xs[0].tolist() == [[1, 0.5], [0, 0], [3, 2.5]]
    assert np.array_equal(data.Xs[1][1, 2], images[1, :, :, 2]) and not data.Xs[1][2].any()
    assert np.array_equal(data.take([0, 1]).Xs[1], data.Xs[1][:2])  # turned once, not twice


def test_masks_are_copied_read_only_and_taken_along():
    masks = np.array([[True, True, False, True], [False, True, True, True]])
    dataset = Dataset("mine", [np.ones((4, 2)), np.ones((4, 1, 2, 2))], y=[0, 1, 0, 1], masks=masks)
    masks[:] = True
    assert isinstance(dataset.masks, tuple) and not dataset.masks[0].flags.writeable
    assert [mask.tolist() for mask in dataset.masks] == [[True, True, False, True], [False, True, True, True]]
    assert dataset.Xs[0][:, 0].tolist() == [1, 1, 0, 1] and not dataset.Xs[0].flags.writeable
    assert dataset.Xs[1][:, 0, 0, 0].tolist() == [0, 1, 1, 1]
    some = dataset.take([3, 2, 1])
    assert [mask.tolist() for mask in some.masks] == [[True, False, True], [True, True, True]]
    assert Dataset("mine", [np.eye(4)], n_clusters=2).masks is None


def test_take_views_keeps_labels_masks_and_variant():
    masks = [[True, True, True], [True, False, True], [False, True, True]]
    Xs = [np.full((3, 2), i) for i in range(3)]
    whole = Dataset("mine", Xs, [0, 1, 0], ["a", "b", "c"], 3, [np.array(mask) for mask in masks], "missing=0.2")
    some = whole.take_views(["c", "a"])
    assert repr(some) == "Dataset('mine', N=3, K=3, views: c (2), a (2), missing=0.2)"
    assert some.y.tolist() == [0, 1, 0] and [mask.tolist() for mask in some.masks] == [masks[2], masks[0]]
    assert [X[2, 0] for X in some.Xs] == [2, 0]
    assert whole.take_views("a").view_names == ("a",)
    for views in ([], ["a", "a"], ["a", "d"], "d", [0]):
        one_clear_error(lambda views=views: whole.take_views(views), ValueError, ("views", "a, b, c"))
    one_clear_error(lambda: whole.take_views("b"), ValueError, "sample 1 has none")


def test_list_datasets():
    described = list_datasets()
    assert set(described) == {
        "digits", "digits_halves", "synthetic", "orl", "coil20", "coil20_edges", "coil100", "eyaleb",
        "eyaleb_components", "eyb_fc", "mnist_usps", "mnist_usps_32", "hw2sources", "mnist_edges",
        "fashion_edges", "bdgp",
    }  # fmt: skip
    assert all(text.endswith(".") and len(text) < 110 for text in described.values())


@pytest.mark.parametrize(
    ("name", "options", "error", "words"),
    [
        ("orrl", {}, ValueError, ("'orrl'", "did you mean orl?", "known: digits,", ".npz")),
        ("BDGP", {}, ValueError, "did you mean bdgp?"),
        ("data/faces.jpeg", {}, ValueError, ("'data/faces.jpeg'", ".csv")),
        ("nowhere/faces.csv", {}, FileNotFoundError, "nowhere/faces.csv"),
        ("", {}, ValueError, "unknown dataset ''"),
        (None, {}, TypeError, ("name", "NoneType")),
        (3, {}, TypeError, ("name", "int")),
        ("nowhere/faces.mat", {}, FileNotFoundError, "nowhere/faces.mat"),
        ("nowhere/faces.npz", {"seed": 0}, TypeError, ("'seed'", "n_clusters")),
        ("digits", {"per_class": 3}, TypeError, ("'per_class'", "n_per_class, seed")),
        ("orl", {"seed": 3}, TypeError, ("'orl' has no option 'seed'", "views")),
        ("digits", {"views": ["edge"]}, ValueError, ("edge", "image, edges")),
        ("digits", {"views": 1}, ValueError, ("image, edges", "1")),
    ],
)
def test_load_dataset_refuses(name, options, error, words):
    one_clear_error(lambda: load_dataset(name, **options), error, words)
