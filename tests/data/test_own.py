"""One's own data in every layout that people share: the same views and labels come back, and nothing is guessed."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.io
import scipy.sparse
from bad_input import one_clear_error

from dmsc.data import load_dataset

N, DIMS = 6, (4, 9)
RNG = np.random.default_rng(0)
VIEWS = [RNG.integers(1, 9, (N, dim)).astype(float) for dim in DIMS]
LABELS = np.array([2, 2, 1, 3, 3, 1])
CODES = [1, 1, 0, 2, 2, 0]


def cell(parts, column=False):
    """A MATLAB cell array: one row, or one column."""
    made = np.empty((len(parts), 1) if column else (1, len(parts)), dtype=object)
    for i, part in enumerate(parts):
        made.flat[i] = part
    return made


def transposed():
    return [X.T for X in VIEWS]


def check(dataset, names=("view 0", "view 1"), views=VIEWS, codes=CODES):
    assert dataset.view_names == tuple(names) and dataset.preset == ""
    assert all(X.dtype == np.float32 for X in dataset.Xs)
    for X, expected in zip(dataset.Xs, views, strict=True):
        np.testing.assert_array_equal(X, expected)
    assert dataset.y.tolist() == codes and dataset.n_clusters == max(codes) + 1


SHARED = {
    "a row cell X and a column Y": ({"X": cell(VIEWS), "Y": LABELS[:, None]}, None),
    "a column cell X and a row y": ({"X": cell(VIEWS, column=True), "y": LABELS[None]}, None),
    "samples as columns": ({"data": cell(transposed()), "truth": LABELS[:, None]}, None),
    "each view another way": ({"fea": cell([VIEWS[0], VIEWS[1].T]), "gnd": LABELS[None]}, None),
    "sparse": ({"views": cell([scipy.sparse.csc_matrix(X) for X in VIEWS]), "gt": LABELS[None].astype(float)}, None),
    "other types": (
        {"Features": cell([X.astype(t) for X, t in zip(VIEWS, ("u1", "i4"), strict=True)]), "Label": LABELS},
        None,
    ),
    "cells of one": ({"Xs": cell([cell([X]) for X in VIEWS]), "truelabel": cell([LABELS])}, None),
    "labels for each view": ({"data": cell(transposed()), "truelabel": cell([LABELS[None], LABELS[:, None]])}, None),
    "structs with a field": ({"X": cell([{"data": X} for X in VIEWS]), "labels": LABELS}, None),
    "in a struct": ({"dataset": {"X": cell(VIEWS), "gt": LABELS}}, None),
    "text": ({"X": cell(VIEWS), "class": np.array(["b  ", "b", "a", "cat", "cat", "a"])}, None),
    "a cell of text": ({"X": cell(VIEWS), "target": cell(["b", "b", "a", "c", "c", "a"])}, None),
    "one column per class": ({"X": cell(VIEWS), "Y": np.eye(3)[CODES]}, None),
    "one row per class": ({"X": cell(transposed()), "Y": np.eye(3)[CODES].T.astype(bool)}, None),
    "twice the same labels": ({"X": cell(VIEWS), "gt": LABELS, "label": 10.0 * LABELS}, None),
    "labels beside names of classes": (
        {"X": cell(VIEWS), "label": cell(["a", "b"]), "class": 3, "y": LABELS},
        None,
    ),
    "other variables": ({"X": cell(VIEWS), "y": LABELS, "K": 3, "names": cell(["a", "b"]), "W": np.eye(N)}, None),
    "X1 and X2": ({"X1": VIEWS[0], "X2": VIEWS[1], "gt": LABELS}, ("X1", "X2")),
    "x_0 and x_1": ({"x_0": VIEWS[0].T, "x_1": VIEWS[1].T, "gt": LABELS}, ("x_0", "x_1")),
    "view1 and view2": ({"view2": VIEWS[1], "view1": VIEWS[0], "ground_truth": LABELS}, ("view1", "view2")),
    "modalities without their number": (
        {"modality_0": VIEWS[0].T, "modality_1": VIEWS[1].T, "Label": LABELS},
        ("modality_0", "modality_1"),
    ),
    "numbered in a struct": ({"all": {"fea1": VIEWS[0], "fea2": VIEWS[1], "y": LABELS}}, ("all.fea1", "all.fea2")),
    "names of the views": ({"X": cell(VIEWS), "y": LABELS, "view_names": cell(["text", "gist"])}, ("text", "gist")),
}


@pytest.mark.parametrize(("variables", "names"), SHARED.values(), ids=SHARED)
def test_mat_as_people_share_it(tmp_path, variables, names):
    scipy.io.savemat(tmp_path / "a.mat", variables)
    check(load_dataset(tmp_path / "a.mat"), names or ("view 0", "view 1"))


def test_a_single_matrix(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"fea": VIEWS[0], "gnd": LABELS})
    check(load_dataset(tmp_path / "a.mat"), ["fea"], VIEWS[:1])
    scipy.io.savemat(tmp_path / "a.mat", {"X": VIEWS[0][:, :1], "y": LABELS})  # one feature
    check(load_dataset(tmp_path / "a.mat"), ["X"], [VIEWS[0][:, :1]])


def test_images_of_matlab(tmp_path):
    """Samples may be the first or the last axis, and channels the last but this."""
    gray, color = RNG.random((N, 5, 7)).astype("f4"), RNG.random((N, 5, 7, 3)).astype("f4")
    for axis in (0, -1):
        moved = [np.moveaxis(images, 0, axis) for images in (gray, color)]
        scipy.io.savemat(tmp_path / "a.mat", {"X": cell(moved), "y": LABELS})
        check(load_dataset(tmp_path / "a.mat"), views=[gray[:, None], np.moveaxis(color, 3, 1)])


def test_samples_without_labels(tmp_path):
    """What all views have in common is N, or it is asked for."""
    path = tmp_path / "a.mat"
    for parts in (VIEWS, transposed(), [VIEWS[0].T, VIEWS[1]]):
        scipy.io.savemat(path, {"X": cell(parts)})
        dataset = load_dataset(path, n_clusters=2)
        assert dataset.y is None and dataset.n_clusters == 2
        assert [X.tolist() for X in dataset.Xs] == [X.tolist() for X in VIEWS]
    for alone in (VIEWS[0], cell([VIEWS[0], VIEWS[0]])):
        scipy.io.savemat(path, {"X": alone})
        one_clear_error(lambda: load_dataset(path, n_clusters=2), ValueError, ("(6, 4)", "samples='rows'"))
        assert load_dataset(path, n_clusters=2, samples="rows").n_samples == 6
        assert load_dataset(path, n_clusters=2, samples="columns").n_samples == 4
    scipy.io.savemat(path, {"X": cell([VIEWS[0], np.ones((7, 8))])})
    one_clear_error(lambda: load_dataset(path, n_clusters=2), ValueError, ("same number", "(6, 4)", "(7, 8)"))


def test_as_many_samples_as_features_are_asked_for(tmp_path):
    square = np.arange(36.0).reshape(6, 6)
    scipy.io.savemat(tmp_path / "a.mat", {"X": cell([VIEWS[0], square]), "y": LABELS})
    one_clear_error(lambda: load_dataset(tmp_path / "a.mat"), ValueError, ("view 1", "(6, 6)", "samples='columns'"))
    check(load_dataset(tmp_path / "a.mat", samples="rows"), views=[VIEWS[0], square])
    words = ("view 0", "N = 6", "columns", "(6, 4)")
    one_clear_error(lambda: load_dataset(tmp_path / "a.mat", samples="columns"), ValueError, words)


def test_options_name_views_and_labels(tmp_path):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"A": VIEWS[0], "B": VIEWS[1], "who": LABELS, "C": cell(VIEWS), "Y": VIEWS[1]})
    one_clear_error(lambda: load_dataset(path), ValueError, ("A (float64 (6, 4))", "C (cell of 2", "views=[…]"))
    check(load_dataset(path, views=["B", "A"], labels="who"), ["B", "A"], VIEWS[::-1])
    check(load_dataset(path, views="C", labels="who"))
    check(load_dataset(path, views=["Y", "A"], labels="who"), ["Y", "A"], VIEWS[::-1])
    one_clear_error(lambda: load_dataset(path, views="A", labels="why"), ValueError, ("'why'", "who (int64 (1, 6))"))
    one_clear_error(lambda: load_dataset(path, views="A"), ValueError, ("labels Y", "(6, 9)", "labels=NAME"))
    one_clear_error(lambda: load_dataset(path, views="A", labels="B"), ValueError, ("labels B", "(6, 9)"))
    scipy.io.savemat(path, {"X": cell(VIEWS), "Y": LABELS})
    check(load_dataset(path, views=["view 1"]), ["view 1"], VIEWS[1:])
    check(load_dataset(path, views="X"))
    for views in (["view 2"], 1, [], ["view 0", "view 0"], ["X", "view 0"]):
        one_clear_error(lambda views=views: load_dataset(path, views=views), ValueError, ("view 0, view 1", "X (cell"))


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"X": cell(VIEWS), "fea": VIEWS[0], "y": LABELS}, ("X, fea", "views=[…]")),
        ({"X": cell(VIEWS), "y": LABELS, "gt": LABELS[::-1]}, ("y, gt", "differ", "labels=NAME")),
        ({"X": cell(VIEWS)}, ("no labels", "n_clusters=K", "X (cell of 2")),
        ({"X": cell(VIEWS), "y": LABELS[:5]}, ("view 0", "N = 5", "(6, 4)")),
        ({"X": cell(VIEWS), "y": np.eye(3)[CODES] * 2}, ("labels y", "one 1 per sample", "(6, 3)")),
        ({"X": cell([VIEWS[0] * 1j, VIEWS[1]]), "y": LABELS}, ("view 0 (of 'X')", "real numbers", "complex")),
        ({"X1": VIEWS[0], "x_1": VIEWS[1], "y": LABELS}, ("X1, x_1", "views=[…]")),
        ({"X1": VIEWS[0], "X3": VIEWS[1], "y": LABELS}, ("without a gap", "X1, X3")),
        ({"X": cell(VIEWS), "y": cell([LABELS, LABELS[::-1]])}, ("labels y", "cell of 2 that differ")),
        ({"A": {"B": 3}, "text": "why"}, ("A.B (int64 (1, 1))", "text (text (1,))", "X, fea")),
    ],
    ids=lambda value: None if isinstance(value, dict) else str(value[0]),
)
def test_what_is_not_clear_is_asked_for(tmp_path, variables, words):
    scipy.io.savemat(tmp_path / "a.mat", variables)
    one_clear_error(lambda: load_dataset(tmp_path / "a.mat"), ValueError, ("a.mat", *words))


def test_npz_by_the_same_names(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, X1=VIEWS[0], X2=VIEWS[1], labels=np.array(["b", "b", "a", "c", "c", "a"]))
    check(load_dataset(path), ["X1", "X2"])
    np.savez(path, X1=VIEWS[0], X2=VIEWS[1], other=LABELS)
    one_clear_error(lambda: load_dataset(path), ValueError, ("unknown array 'other'", "other (int64 (6,))"))
    check(load_dataset(path, labels="other"), ["X1", "X2"])
    check(load_dataset(path, views="X2", labels="other"), ["X2"], VIEWS[1:])
    np.savez(path, X=np.arange(6), y=LABELS)  # one column
    check(load_dataset(path), ["X"], [np.arange(6.0)[:, None]])
    np.savez(path, X=np.eye(6), y=LABELS)  # in Python samples are rows
    check(load_dataset(path), ["X"], [np.eye(6)])


def test_channels_last(tmp_path):
    path = tmp_path / "a.npz"
    images = RNG.random((N, 8, 5, 3)).astype("f4")
    np.savez(path, view_0=images, y=LABELS)
    check(load_dataset(path), ["view 0"], [np.moveaxis(images, 3, 1)])
    np.savez(path, view_0=images[:, :3], y=LABELS)  # 3×5 with channels last, or 5×3 with three channels
    one_clear_error(lambda: load_dataset(path), ValueError, ("view 0", "(6, 3, 5, 3)", "image_shape"))
    check(load_dataset(path, image_shape=(3, 5, 3)), ["view 0"], [images[:, :3]])
    check(load_dataset(path, image_shape=(3, 3, 5)), ["view 0"], [np.moveaxis(images[:, :3], 3, 1)])
    np.savez(path, view_0=images[:, None, :4, :4, 0], y=LABELS)  # one channel, 4×4
    check(load_dataset(path), ["view 0"], [images[:, None, :4, :4, 0]])


def test_vectors_are_images_only_if_they_are_declared(tmp_path):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"X": cell(VIEWS), "y": LABELS})
    assert [X.ndim for X in load_dataset(path).Xs] == [2, 2]
    images = VIEWS[1].reshape(N, 1, 3, 3)
    check(load_dataset(path, image_shape={"view 1": (3, 3)}), views=[VIEWS[0], images])
    check(load_dataset(path, views="view 1", image_shape=[3, 3]), ["view 1"], [images])
    check(
        load_dataset(path, image_shape={"view 0": (2, 2), "view 1": (9, 1, 1)}),
        views=[VIEWS[0].reshape(N, 1, 2, 2), VIEWS[1].reshape(N, 9, 1, 1)],
    )
    refused = {
        ("view 0", "(1, 3, 3)"): (3, 3),
        ("image_shape", "'view 9'"): {"view 9": (3, 3)},
        ("image_shape", "(3,)"): {"view 1": (3,)},
        ("image_shape", "'3x3'"): "3x3",
        ("image_shape", "0"): (0, 3),
    }
    for words, shape in refused.items():
        one_clear_error(lambda shape=shape: load_dataset(path, image_shape=shape), ValueError, words)


def test_nan_is_an_error_or_a_missing_view(tmp_path):
    path = tmp_path / "a.mat"
    holes = VIEWS[0].copy()
    holes[[1, 4], [0, 2]] = np.nan
    scipy.io.savemat(path, {"X": cell([holes, VIEWS[1]]), "y": LABELS})
    one_clear_error(lambda: load_dataset(path), ValueError, ("view 0", "2 of 6 rows", "1, 4", "nan='mask'"))
    dataset = load_dataset(path, nan="mask")
    assert [mask.tolist() for mask in dataset.masks] == [[True, False, True, True, False, True], [True] * 6]
    assert not dataset.Xs[0][[1, 4]].any() and dataset.Xs[0][0].tolist() == VIEWS[0][0].tolist()
    assert load_dataset(path, views="view 1").masks is None
    words = ("every sample needs a view", "2 of 6 have none (1, 4)", "leave them out")
    one_clear_error(lambda: load_dataset(path, views="view 0", nan="mask"), ValueError, words)
    one_clear_error(lambda: load_dataset(path, nan="drop"), ValueError, ("nan", "'drop'", "'mask'"))
    one_clear_error(lambda: load_dataset(path, samples="row"), ValueError, ("samples", "'row'", "'rows'"))


def test_nan_that_masks_would_not_mend(tmp_path):
    """With one view, or where other views of a sample have NaN, too, another way out is told."""
    path = tmp_path / "a.mat"
    holes = [X.copy() for X in VIEWS]
    holes[0][1, 0] = holes[0][4, 0] = holes[1][4, 2] = np.nan
    scipy.io.savemat(path, {"X": cell(holes), "y": LABELS})
    with pytest.raises(ValueError, match=r"view 0 has NaN in 2 of 6 rows \(the first: 1, 4\): drop or fill them$"):
        load_dataset(path, views="view 0")
    words = ("view 0", "the first: 1, 4", "drop or fill them", "nan='mask' would leave nothing of 1")
    one_clear_error(lambda: load_dataset(path), ValueError, words)
    one_clear_error(lambda: load_dataset(path, nan="mask"), ValueError, "sample 4 has none: leave it out")
    masked = {"a": holes[0], "b": VIEWS[1], "y": LABELS, "masks": np.array([[True] * 6, [True] * 4 + [False] * 2])}
    words = ("a has NaN", "drop or fill them", "nothing of 1")
    one_clear_error(lambda: load_dataset(masked), ValueError, words)


@pytest.mark.parametrize("ending", [".mat", ".npz", ".npy", ".csv"])
def test_what_downloads_leave_in_place_of_data(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    one_clear_error(lambda: load_dataset(path), ValueError, (f"a{ending}", "Git LFS pointer", "git lfs pull"))
    path.write_text("\n<!DOCTYPE html>\n<html><body>Sign in</body></html>")
    one_clear_error(lambda: load_dataset(path), ValueError, (f"a{ending}", "HTML page", "download"))
