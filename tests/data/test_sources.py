"""Folders, tables and AnnData: what they hold comes back as views and labels."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from bad_input import one_clear_error

from dmsc.__main__ import main
from dmsc.data import load_dataset

N = 6
GENES = pd.DataFrame(np.arange(18.0).reshape(N, 3) ** 2, columns=["g1", "g2", "g3"])
SPOTS = pd.DataFrame((np.arange(24).reshape(N, 4) + 3) % 7, columns=["s1", "s2", "s3", "s4"])
KINDS = pd.Series(["b", "b", "a", "c", "c", "a"], name="label")
CODES = [1, 1, 0, 2, 2, 0]


def check(dataset, names=("genes",), frames=(GENES,), y=CODES):
    assert dataset.view_names == names and dataset.preset == ""
    assert (None if dataset.y is None else dataset.y.tolist()) == y
    for X, frame in zip(dataset.Xs, frames, strict=True):
        np.testing.assert_array_equal(X, frame.to_numpy(np.float32))


def test_a_folder_of_npy_files(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    np.save(folder / "view_10.npy", GENES)
    np.save(folder / "view_2.npy", SPOTS)
    np.save(folder / "y.npy", KINDS.to_numpy(str))
    dataset = load_dataset(folder)
    check(dataset, ("view_2", "view_10"), (SPOTS, GENES))
    assert dataset.name == "mine"
    check(load_dataset(folder, views=["view_10"]), ("view_10",))
    (folder / "y.npy").rename(folder / "kinds.npy")
    check(load_dataset(folder, labels="kinds"), ("view_2", "view_10"), (SPOTS, GENES))
    check(load_dataset(folder / "view_10.npy", n_clusters=2), ("view_10",), y=None)


def test_npy_files_are_never_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object))
    one_clear_error(lambda: load_dataset(tmp_path / "a.npy"), ValueError, ("a.npy", "Python objects"))
    np.save(tmp_path / "a.npy", GENES)
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-9])
    one_clear_error(lambda: load_dataset(tmp_path / "a.npy"), ValueError, "a.npy")


WRITTEN = {
    "as pandas writes it": {},
    "without the index": {"index": False},
    "without a header": {"index": False, "header": False},
    "with semicolons": {"index": False, "sep": ";"},
    "with tabs": {"index": False, "sep": "\t"},
}


@pytest.mark.parametrize("way", WRITTEN.values(), ids=WRITTEN)
@pytest.mark.parametrize("numbered", [False, True])
def test_a_folder_of_csv_files(tmp_path, way, numbered):
    for name, frame in (("genes", GENES), ("spots", SPOTS)):
        (frame.set_axis(range(frame.shape[1]), axis=1) if numbered else frame).to_csv(tmp_path / f"{name}.csv", **way)
    KINDS.to_csv(tmp_path / "labels.csv", index=False, header=way.get("header", True))
    check(load_dataset(tmp_path), ("genes", "spots"), (GENES, SPOTS))


def test_a_header_may_hold_numbers(tmp_path):
    """Labels' names tell it, or text above numbers; a gap in the first row is no header."""
    path = tmp_path / "genes.csv"
    numbered = GENES.set_axis(["400", "402", "404"], axis=1)
    numbered.assign(y=KINDS).to_csv(path, index=False)
    check(load_dataset(path))
    numbered.assign(kind=KINDS).to_csv(path, index=False)
    check(load_dataset(path, labels="kind"))
    GENES.set_axis(["time", "2", "3"], axis=1).to_csv(path, index=False)
    check(load_dataset(path, n_clusters=2), y=None)
    path.write_text("NA,2\n1,2\n3,4\n")
    one_clear_error(lambda: load_dataset(path, n_clusters=2), ValueError, ("NaN in 1 of 3 rows", "the first: 0"))


def test_one_csv_file(tmp_path):
    path = tmp_path / "genes.csv"
    GENES.assign(label=KINDS).to_csv(path, index=False)
    check(load_dataset(path))
    GENES.assign(kind=KINDS).to_csv(path)
    check(load_dataset(path, labels="kind"))
    one_clear_error(lambda: load_dataset(path), ValueError, ("genes.csv", "aren't numbers: kind", "labels="))
    words = ("genes.csv", "'king'", "g1, g2, g3, kind")
    one_clear_error(lambda: load_dataset(path, labels="king"), ValueError, words)
    GENES.assign(kind=KINDS).to_csv(path, index=False, header=False)
    check(load_dataset(path, labels=3))
    GENES.to_csv(path, index=False)
    check(load_dataset(path, n_clusters=2), y=None)
    one_clear_error(lambda: load_dataset(path), ValueError, ("genes.csv", "no labels", "n_clusters=K"))
    path.write_text("g1,g2\n1,2\n,4\n5,6\n7,8\n")
    one_clear_error(lambda: load_dataset(path, n_clusters=2), ValueError, ("genes", "1 of 4 rows", "first: 1"))
    path.write_text("g1,g2\n1,2\n3,4,5\n")
    one_clear_error(lambda: load_dataset(path), ValueError, ("genes.csv", "can't be read as a table"))
    path.write_bytes(b"\xff\xfe\x00g")
    one_clear_error(lambda: load_dataset(path), ValueError, ("genes.csv", "can't be read as a table"))


def test_folders_that_are_not_clear(tmp_path):
    one_clear_error(lambda: load_dataset(tmp_path), ValueError, (str(tmp_path), "holds: nothing"))
    (tmp_path / "photo.jpeg").touch()
    one_clear_error(lambda: load_dataset(tmp_path), ValueError, ("photo.jpeg", ".npy files, or .csv files"))
    for name, kinds in (("a", KINDS), ("b", KINDS[::-1].to_numpy())):
        GENES.assign(label=kinds).to_csv(tmp_path / f"{name}.csv")
    one_clear_error(lambda: load_dataset(tmp_path), ValueError, ("'label' differs", "one order"))


def test_tables_and_arrays_in_memory():
    check(load_dataset(GENES.assign(label=KINDS)), ("data",))
    check(load_dataset(GENES.assign(kind=KINDS.astype("category")), labels="kind"), ("data",))
    both = {"genes": GENES, "spots": SPOTS.to_numpy(), "y": KINDS}
    check(load_dataset(both), ("genes", "spots"), (GENES, SPOTS))
    check(load_dataset({"genes": scipy.sparse.csr_matrix(GENES), "y": KINDS}))
    check(load_dataset({"genes": GENES.assign(label=KINDS), "spots": SPOTS}), ("genes", "spots"), (GENES, SPOTS))
    one_clear_error(lambda: load_dataset({0: GENES}), TypeError, "names of views must be strings, got 0")
    one_clear_error(lambda: load_dataset({"y": KINDS}), ValueError, "holds no view")
    gap = KINDS.where(KINDS.index != 2)
    one_clear_error(lambda: load_dataset({"genes": GENES, "y": gap}), ValueError, ("labels y", "missing"))
    one_clear_error(lambda: load_dataset([GENES]), TypeError, ("name", "list"))


def test_ids_of_samples_are_no_features(tmp_path):
    """In frames, files and arrays; nor are they views."""
    names = list("uvwxyz")
    for ids in (names, range(N), range(1, N + 1), [40, 7, 99, 1, 2, 3]):
        with_ids = GENES.assign(sample_id=ids, label=KINDS)
        check(load_dataset(with_ids), ("data",))
        with_ids.to_csv(tmp_path / "genes.csv", index=False)
        check(load_dataset(tmp_path / "genes.csv"))
        both = {"genes": with_ids, "spots": SPOTS.to_numpy(), "sample_id": np.array(ids)}
        check(load_dataset(both), ("genes", "spots"), (GENES, SPOTS))
    SPOTS.to_csv(tmp_path / "spots.csv", index=False)
    pd.Series(names, name="name").to_csv(tmp_path / "names.csv")
    check(load_dataset(tmp_path), ("genes", "spots"), (GENES, SPOTS))
    check(load_dataset({"id": GENES, "y": KINDS}), ("id",))  # no ids, but for the name
    one_clear_error(lambda: load_dataset({"id": np.arange(N), "y": KINDS}), ValueError, ("holds no view", "y ("))
    groups = GENES.assign(patient_id=[1, 1, 2, 2, 3, 3])
    words = ("the table", "'patient_id'", "more than once", "labels='patient_id'", "rename")
    one_clear_error(lambda: load_dataset(groups, n_clusters=2), ValueError, words)
    check(load_dataset(groups, labels="patient_id"), ("data",), y=[0, 0, 1, 1, 2, 2])


def test_tables_that_name_their_samples_have_them_in_one_order(tmp_path):
    names = list("uvwxyz")
    views = {"genes": GENES.set_axis(names), "spots": SPOTS.set_axis(names[::-1]), "y": KINDS}
    words = ("genes and spots", "'u'", "different rows", "one order")
    one_clear_error(lambda: load_dataset(views), ValueError, words)
    check(load_dataset({**views, "spots": SPOTS.set_axis(list("abcdef"))}), ("genes", "spots"), (GENES, SPOTS))
    KINDS.set_axis(names).to_csv(tmp_path / "y.csv")
    for name in ("genes", "spots"):
        views[name].to_csv(tmp_path / f"{name}.csv", index_label="sample")
    one_clear_error(lambda: load_dataset(tmp_path), ValueError, (tmp_path.name, *words))
    SPOTS.set_axis(names).to_csv(tmp_path / "spots.csv")
    check(load_dataset(tmp_path), ("genes", "spots"), (GENES, SPOTS))
    KINDS.set_axis(names[1:] + names[:1]).to_csv(tmp_path / "y.csv")
    one_clear_error(lambda: load_dataset(tmp_path), ValueError, ("genes and y", "different rows"))


def test_arrays_in_memory_stay_their_owners():
    X = np.eye(N, dtype=np.float32)
    dataset = load_dataset({"X": X, "y": KINDS})
    X[0, 0] = 7
    assert dataset.Xs[0][0, 0] == 1


def annotated(frame, obs, names="abcdef"):
    """What AnnData is to us: X, obs with an index, obs_names."""
    return SimpleNamespace(X=scipy.sparse.csr_matrix(frame), obs=obs, obs_names=pd.Index(list(names)))


def test_annotated_data(tmp_path, monkeypatch):
    data = annotated(GENES, pd.DataFrame({"cell_type": KINDS.astype("category"), "batch": 1}))
    check(load_dataset(data, labels="cell_type"), ("X",))
    one_clear_error(lambda: load_dataset(data, labels="type"), ValueError, ("'type'", "cell_type, batch"))
    path = tmp_path / "cells.h5ad"
    path.write_bytes(b"\x89HDF")
    monkeypatch.setitem(sys.modules, "anndata", SimpleNamespace(read_h5ad=lambda path: data))
    dataset = load_dataset(path, labels="cell_type")
    check(dataset, ("X",))
    assert dataset.name == "cells"
    monkeypatch.setitem(sys.modules, "anndata", None)
    one_clear_error(lambda: load_dataset(path), ImportError, ("cells.h5ad", "pip install anndata"))


def save_like_anndata(path):
    """Write GENES and KINDS as AnnData 0.10 does, with another column of obs."""
    h5py = pytest.importorskip("h5py")
    text = h5py.string_dtype()

    def told(item, kind, version="0.2.0", **attributes):
        for name, value in {"encoding-type": kind, "encoding-version": version, **attributes}.items():
            item.attrs[name] = value
        return item

    def frame(file, name, index, columns):
        order = np.array(columns, dtype=object) if columns else np.zeros(0)
        group = told(file.create_group(name), "dataframe", _index="_index")
        group.attrs.create("column-order", order, dtype=text if columns else None)
        told(group.create_dataset("_index", data=index, dtype=text), "string-array")
        return group

    with h5py.File(path, "w") as file:
        told(file, "anndata", "0.1.0")
        X = told(file.create_group("X"), "csr_matrix", "0.1.0", shape=np.array(GENES.shape))
        stored = scipy.sparse.csr_matrix(GENES)
        for part in ("data", "indices", "indptr"):
            X[part] = getattr(stored, part)
        obs = frame(file, "obs", list("abcdef"), ["cell_type", "batch"])
        kinds = told(obs.create_group("cell_type"), "categorical", ordered=False)
        told(kinds.create_dataset("codes", data=np.array(CODES, dtype=np.int8)), "array")
        told(kinds.create_dataset("categories", data=list("abc"), dtype=text), "string-array")
        told(obs.create_dataset("batch", data=np.ones(N, dtype=int)), "array")
        frame(file, "var", list(GENES.columns), [])
        for name in ("layers", "obsm", "obsp", "uns", "varm", "varp"):
            told(file.create_group(name), "dict", "0.1.0")


def test_files_of_annotated_data_name_the_library_that_they_need(tmp_path, capsys):
    """Where it is installed, they are read by it."""
    path = tmp_path / "cells.h5ad"
    save_like_anndata(path)
    one_clear_error(lambda: load_dataset(tmp_path / "no.h5ad"), FileNotFoundError, "no.h5ad")
    try:
        import anndata  # noqa: F401
    except ImportError:
        message = f"reading {path} needs anndata: install it (pip install anndata)"
        with pytest.raises(ImportError) as caught:
            load_dataset(path, labels="cell_type")
        assert str(caught.value) == message
        assert main(["inspect", str(path)]) == 2
        assert capsys.readouterr().err == f"dmsc: {message}\n"
    else:
        check(load_dataset(path, labels="cell_type"), ("X",))


def test_annotated_data_that_are_not_clear(tmp_path, monkeypatch):
    def damaged(path):
        raise RuntimeError("bad\nheader")

    path = tmp_path / "cells.h5ad"
    path.write_bytes(b"\x89HDF")
    monkeypatch.setitem(sys.modules, "anndata", SimpleNamespace(read_h5ad=damaged))
    words = ("cells.h5ad", "can't be read by anndata", "RuntimeError: bad header")
    one_clear_error(lambda: load_dataset(path), ValueError, words)
    obs = pd.DataFrame({"label": KINDS})
    layered = SimpleNamespace(X=None, obs=obs, obs_names=pd.Index(list("abcdef")))
    one_clear_error(lambda: load_dataset(layered), ValueError, ("X has no X", "layer"))
    check(load_dataset(annotated(GENES, obs, "aabbcc")), ("X",))  # names of a single table needn't differ
    data = SimpleNamespace(mod={"rna": annotated(GENES, None, "aabbcc")}, obs=obs, obs_names=pd.Index(list("abcdef")))
    one_clear_error(lambda: load_dataset(data), ValueError, ("rna", "share names", "obs_names_make_unique"))


def test_modalities_of_annotated_data(tmp_path, monkeypatch):
    """A modality may lack samples, and have the others in an order of its own."""
    parts = {"rna": annotated(GENES, None), "atac": annotated(SPOTS[:4][::-1], None, "dcba")}
    data = SimpleNamespace(mod=parts, obs=pd.DataFrame({"label": KINDS}), obs_names=pd.Index(list("abcdef")))
    monkeypatch.setitem(sys.modules, "mudata", SimpleNamespace(read_h5mu=lambda path: data))
    (tmp_path / "a.h5mu").touch()
    dataset = load_dataset(tmp_path / "a.h5mu")
    check(dataset, ("rna", "atac"), (GENES, SPOTS.mul([1, 1, 1, 1, 0, 0], axis=0)))
    assert [mask.tolist() for mask in dataset.masks] == [[True] * 6, [True] * 4 + [False] * 2]
    monkeypatch.setitem(sys.modules, "mudata", None)
    one_clear_error(lambda: load_dataset(tmp_path / "a.h5mu"), ImportError, ("a.h5mu", "pip install mudata"))
