"""Variables of MATLAB files: 7.3 files laid out as MATLAB writes them hold what those of version 7 hold."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse
from bad_input import one_clear_error

from dmsc.data import load_dataset
from dmsc.data.matlab import read_matlab

h5py = pytest.importorskip("h5py")

HEADER = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Tue Mar  4 10:12:13 2025 HDF5 schema 1.00 ."
CLASSES = {"float64": "double", "float32": "single", "bool": "logical", "complex128": "double"}
RNG = np.random.default_rng(0)
VIEWS = [RNG.integers(1, 9, (6, dim)).astype(float) for dim in (4, 9)]
LABELS = np.array([[2], [2], [1], [3], [3], [1]])
OBJECT = object()  # a string, table, … of MATLAB, which only MATLAB can read


def cell(parts, shape):
    made = np.empty(len(parts), dtype=object)
    made[:] = parts
    return made.reshape(shape, order="F")


def save_like_matlab(path, variables):
    """Lay variables down as ``save -v7.3`` does.

    A user block with the header; arrays transposed, with their class as attribute; cells as references into #refs#, and
    structs as groups; sparse matrices as data, ir and jc, which lacks data and ir where nothing is stored; of what is
    empty the size in place of values; logical and char as integers; complex numbers as pairs; objects as numbers that
    point into #subsystem#.
    """
    with h5py.File(path, "w", userblock_size=512) as file:
        refs = file.create_group("#refs#")

        def new(group, name, array, kind, **attributes):
            item = group.create_dataset(name, data=array)
            item.attrs["MATLAB_class"] = np.bytes_(kind)
            for attribute, value in attributes.items():
                item.attrs[f"MATLAB_{attribute}"] = value
            if group is refs:
                item.attrs["H5PATH"] = np.bytes_("/" + name)
            return item

        def hidden(value):
            return put(refs, f"r{len(refs)}", value).ref

        def references(group, name, parts):
            item = group.create_dataset(name, parts.T.shape, dtype=h5py.ref_dtype)
            for index, part in np.ndenumerate(parts.T):
                item[index] = hidden(part)
            return item

        def put(group, name, value):
            if value is OBJECT:
                numbers = np.array([[0xDD000000, 2, 1, 1, 1, 1]], dtype=np.uint32)
                return new(group, name, numbers, "string", object_decode=np.int32(3))
            if isinstance(value, dict) or scipy.sparse.issparse(value):
                item = group.create_group(name)
            if isinstance(value, dict):
                item.attrs["MATLAB_class"] = np.bytes_("struct")
                for field, part in value.items():
                    put(item, field, part)
                return item
            if scipy.sparse.issparse(value):
                value = value.tocsc()
                item.attrs["MATLAB_class"] = np.bytes_(CLASSES[str(value.dtype)])
                item.attrs["MATLAB_sparse"] = np.uint64(value.shape[0])
                if value.nnz:
                    item["data"] = value.data.astype(np.uint8) if value.dtype == bool else value.data
                    item["ir"] = value.indices.astype(np.uint64)
                item["jc"] = value.indptr.astype(np.uint64)
                return item
            if isinstance(value, str):
                value = np.array([[ord(letter) for letter in line] for line in value.split("\n")], dtype=np.uint16)
                return put_array(group, name, value, "char", int_decode=np.int32(2))
            if value.dtype.names:
                item = group.create_group(name)
                item.attrs["MATLAB_class"] = np.bytes_("struct")
                for field in value.dtype.names:
                    references(item, field, value[field])
                return item
            if value.dtype == object and value.size:
                item = references(group, name, value)
                item.attrs["MATLAB_class"] = np.bytes_("cell")
                return item
            extra = {"int_decode": np.int32(1)} if value.dtype == bool else {}
            kind = "cell" if value.dtype == object else CLASSES.get(str(value.dtype), str(value.dtype))
            return put_array(group, name, value, kind, **extra)

        def put_array(group, name, value, kind, **attributes):
            if not value.size:
                shape = np.array((0, 0) if kind == "char" else value.shape, dtype=np.uint64)
                return new(group, name, shape, kind, empty=np.uint8(1), **attributes)
            if value.dtype.kind == "c":
                value = np.array(value, dtype=complex).view([("real", float), ("imag", float)])
            return new(group, name, value.astype(np.uint8).T if value.dtype == bool else value.T, kind, **attributes)

        new(refs, "a", np.zeros(2, np.uint64), "canonical empty", empty=np.uint8(1))
        for name, value in variables.items():
            put(file, name, value)
        new(file.create_group("#subsystem#"), "MCOS", np.zeros((1, 3), np.uint32), "FileWrapper__")
    with path.open("r+b") as file:
        file.write((HEADER.ljust(116) + bytes(8) + b"\x00\x02IM").ljust(512, b"\x00"))


def same(a, b):
    """Whether two variables, as they are read, are of one kind, and hold the same."""
    if isinstance(a, (dict, list)):
        pairs = [(a[key], b[key]) for key in a] if isinstance(a, dict) else list(zip(a, b, strict=True))
        return type(a) is type(b) and len(a) == len(b) and all(same(*pair) for pair in pairs)
    if scipy.sparse.issparse(a):
        return scipy.sparse.issparse(b) and a.shape == b.shape and (a != b).nnz == 0
    if a.size == b.size == 0 and a.dtype.kind == "U":
        return b.dtype.kind == "U"
    kinds = {"u" if array.dtype == bool else array.dtype.kind for array in (a, b)}  # SciPy's logical is uint8
    return a.shape == b.shape and len(kinds) == 1 and np.array_equal(a, b)


STRUCTS = np.array([[(VIEWS[0], "a b"), (VIEWS[1], "c")]], dtype=[("data", object), ("name", object)])
VARIABLES = {
    "double": VIEWS[0],
    "scalar": np.array([[3.0]]),
    "single": VIEWS[0].astype(np.float32),
    **{kind: VIEWS[0].astype(kind) for kind in ("int8", "uint8", "int16", "int32", "uint64")},
    "images": RNG.random((3, 4, 5)),
    "movies": RNG.random((2, 3, 4, 5)),
    "logical": VIEWS[0] > 4,
    "text": "a label",
    "lines of text": "cat\ndog",
    "row cell": cell(VIEWS, (1, 2)),
    "column cell": cell(VIEWS, (2, 1)),
    "cell of two rows": cell([np.array([[float(i)]]) for i in range(6)], (2, 3)),
    "cell of cells": cell([cell(VIEWS, (1, 2)), cell(["a", "bc"], (2, 1))], (1, 2)),
    "cell of text": cell(["b", "a", "cat"], (3, 1)),
    "struct": {"data": VIEWS[0], "inner": {"name": "text", "parts": cell(VIEWS, (1, 2))}},
    "structs": STRUCTS,
    "sparse": scipy.sparse.csc_matrix(VIEWS[0] * (VIEWS[0] > 5)),
    "sparse logical": scipy.sparse.csc_matrix(VIEWS[0] > 5),
    "sparse of zeros": scipy.sparse.csc_matrix((6, 4)),
    "cell of sparse": cell([scipy.sparse.csc_matrix(X) for X in VIEWS], (1, 2)),
    "empty": np.zeros((0, 0)),
    "no rows": np.zeros((0, 4)),
    "empty cell": np.empty((0, 0), dtype=object),
    "cell with what is empty": cell([np.zeros((0, 0)), "", VIEWS[0], np.empty((0, 0), dtype=object)], (1, 4)),
}


@pytest.mark.parametrize("name", VARIABLES)
def test_version_7_3_holds_what_version_7_holds(tmp_path, name):
    variables = {name.replace(" ", "_"): VARIABLES[name]}
    as_lines = {n: np.array(v.split("\n")) if isinstance(v, str) else v for n, v in variables.items()}
    scipy.io.savemat(tmp_path / "7.mat", as_lines)
    save_like_matlab(tmp_path / "7.3.mat", variables)
    found, expected = read_matlab(tmp_path / "7.3.mat"), read_matlab(tmp_path / "7.mat")
    assert list(found) == list(expected) and same(found, expected)


def test_a_file_by_matlab_itself():
    """SciPy has one among its tests."""
    path = Path(scipy.io.__file__).parent / "matlab" / "tests" / "data" / "testhdf5_7.4_GLNX86.mat"
    if not path.is_file():
        pytest.skip(f"needs {path.name}, which this SciPy comes without")
    np.testing.assert_allclose(read_matlab(path)["testdouble"], [np.arange(9) * np.pi / 4], rtol=1e-15)


@pytest.mark.parametrize(
    "variables",
    [
        {"X": cell(VIEWS, (1, 2)), "Y": LABELS},
        {"X": cell([scipy.sparse.csc_matrix(X) for X in VIEWS], (2, 1)), "gt": LABELS.astype(np.int32)},
        {"data": cell([X.T for X in VIEWS], (1, 2)), "truth": LABELS.T.astype(float), "empty": np.zeros((0, 0))},
        {"X": STRUCTS, "labels": cell(list("bbacca"), (6, 1)), "date": OBJECT},
        {"dataset": {"X": cell(VIEWS, (1, 2)), "y": LABELS == np.arange(1, 4)}},
        {"X1": VIEWS[0], "X2": VIEWS[1].T, "gt": LABELS},
    ],
    ids=["cell", "sparse", "columns", "structs", "a struct", "separate"],
)
def test_own_data_in_version_7_3(tmp_path, variables):
    save_like_matlab(tmp_path / "a.mat", variables)
    dataset = load_dataset(tmp_path / "a.mat")
    assert [X.tolist() for X in dataset.Xs] == [X.tolist() for X in VIEWS]
    assert dataset.y.tolist() == [1, 1, 0, 2, 2, 0]


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"X": cell(VIEWS, (1, 2)), "y": OBJECT}, ("labels y", "string", "categorical", "save")),
        ({"X": cell([VIEWS[0], OBJECT], (1, 2)), "y": LABELS}, ("view 1 (of 'X')", "nothing that can be read")),
        ({"X": cell([VIEWS[0], 1j * VIEWS[1]], (1, 2)), "y": LABELS}, ("view 1 (of 'X')", "real numbers")),
        ({"X": cell([VIEWS[0], np.zeros((0, 0))], (1, 2)), "y": LABELS}, ("view 1 (of 'X')", "empty", "(0, 0)")),
        ({"X": cell(VIEWS, (1, 2)), "y": np.zeros((0, 0))}, ("labels y", "(0, 0)")),
        ({"X": np.empty((0, 0), dtype=object), "y": LABELS}, ("X (cell of 0)", "views=[…]")),
    ],
    ids=["object for labels", "object for a view", "complex", "empty view", "empty labels", "empty cell"],
)
def test_what_version_7_3_does_not_tell(tmp_path, variables, words):
    save_like_matlab(tmp_path / "a.mat", variables)
    one_clear_error(lambda: load_dataset(tmp_path / "a.mat"), ValueError, ("a.mat", *words))


def test_version_7_3_says_what_it_needs(tmp_path, monkeypatch):
    save_like_matlab(tmp_path / "a.mat", {"X": cell(VIEWS, (1, 2)), "Y": LABELS})
    cut = tmp_path / "cut.mat"
    cut.write_bytes((tmp_path / "a.mat").read_bytes()[:3000])
    one_clear_error(lambda: load_dataset(cut), ValueError, ("cut.mat", "7.3"))
    monkeypatch.setitem(sys.modules, "h5py", None)
    one_clear_error(lambda: load_dataset(tmp_path / "a.mat"), ImportError, ("a.mat", "7.3", "h5py", ".[files]"))
