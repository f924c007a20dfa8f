"""Reading files safely: what is there comes back, what is damaged or unexpected is one error that names the file."""

from __future__ import annotations

import gzip
import re

import numpy as np
import pytest
import scipy.io
import scipy.sparse

from dmsc.data.readers import read_idx, read_mat, read_npz


def test_read_mat(tmp_path):
    cell = np.empty((1, 2), dtype=object)
    cell[0, :] = [np.eye(2), np.ones((3, 1))]
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"fea": np.arange(6.0).reshape(2, 3), "data": cell})
    fea, data = read_mat(path, ["fea", "data"], cells=["data"])
    np.testing.assert_array_equal(fea, [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(data[0, 1], np.ones((3, 1)))
    with pytest.raises(ValueError, match=r"a\.mat .*'gnd'.*fea, data"):
        read_mat(path, ["fea", "gnd"])
    with pytest.raises(ValueError, match="'fea' .*cell"):
        read_mat(path, ["fea"], cells=["fea"])


@pytest.mark.parametrize(
    "value",
    [np.array([["a", 1]], dtype=object), {"field": 1}, "text", np.array([[1j]]), scipy.sparse.eye(3).tocsc()],
    ids=["cell", "struct", "text", "complex", "sparse"],
)
def test_read_mat_refuses_all_but_full_real_arrays(tmp_path, value):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"fea": value})
    with pytest.raises(ValueError, match=r"a\.mat.*'fea'.*real numbers"):
        read_mat(path, ["fea"])


def test_read_mat_refuses_damaged_files(tmp_path):
    path = tmp_path / "a.mat"
    rng = np.random.default_rng(0)
    scipy.io.savemat(path, {"fea": rng.random((50, 50))}, do_compression=True)
    whole = path.read_bytes()
    damaged = [whole[:n] for n in (0, 3, 100, 128, 131, 140, len(whole) // 2, len(whole) - 1)]
    damaged += [b"not MATLAB at all" * 50, whole[:2000] + bytes(8) + whole[2008:]]
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.mat"):
            read_mat(path, ["fea"])
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF\r\n\x1a\n")
    with pytest.raises(ValueError, match=r"a\.mat .*7\.3.*-v7"):
        read_mat(path, ["fea"])


def test_read_npz(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, a=np.eye(2), b=["x", "yz"])
    arrays = read_npz(path)
    np.testing.assert_array_equal(arrays["a"], np.eye(2))
    assert arrays["b"].tolist() == ["x", "yz"]


def test_read_npz_never_unpickles(tmp_path):
    touched = tmp_path / "touched"

    class Trap:
        def __reduce__(self):
            return touched.touch, ()

    path = tmp_path / "a.npz"
    np.savez(path, fine=np.eye(2), trap=np.array([Trap()], dtype=object))
    with pytest.raises(ValueError, match=r"a\.npz.*'trap'.*Python objects"):
        read_npz(path)
    assert not touched.exists()


def test_read_npz_refuses_damaged_files(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, a=np.random.default_rng(0).random((50, 50)))
    whole = path.read_bytes()
    damaged = [whole[:n] for n in (0, 10, len(whole) // 2, len(whole) - 1)]
    damaged += [b"not a zip file" * 50, whole[:500] + bytes(8) + whole[508:]]
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.npz"):
            read_npz(path)


def test_read_idx(tmp_path):
    path = tmp_path / "a.gz"
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    header = b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))
    np.testing.assert_array_equal(read_idx(path), array)
    bad = {
        r"a\.gz .*00 00 0d 03": b"\0\0\x0d\x03" + header[4:] + array.tobytes(),
        r"a\.gz .*IDX": b"",
        r"24 bytes .*\(2, 3, 4\), got 23": header + array.tobytes()[:-1],
        "24 bytes .* got 25": header + array.tobytes() + b"\0",
        r"a\.gz .*IDX .*00 00 08 03": header[:10],
    }
    for message, content in bad.items():
        path.write_bytes(gzip.compress(content))
        with pytest.raises(ValueError, match=message):
            read_idx(path)
    for content in (b"plain", gzip.compress(header + array.tobytes())[:-9]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.gz .*gzip"):
            read_idx(path)


@pytest.mark.parametrize("read", [read_idx, read_npz, lambda path: read_mat(path, ["fea"])])
def test_missing_files_and_folders(tmp_path, read):
    for path in (tmp_path / "nothing.mat", tmp_path):
        with pytest.raises(FileNotFoundError, match=re.escape(str(path))):
            read(path)
