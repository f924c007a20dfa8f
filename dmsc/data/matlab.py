"""All variables of a MATLAB file, of any version, as plain values: arrays, text, lists for cells, dicts for structs."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import scipy.sparse
from scipy.io.matlab import MatlabFunction, MatlabOpaque

from .readers import existing, load_mat

__all__ = ["import_extra", "read_matlab"]


def import_extra(module: str, purpose: str, extra: str = "") -> Any:
    """Import a library that is not always there, or say what it is for and how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError:
        way = f"""pip install -e ".[{extra}]" installs it""" if extra else f"install it (pip install {module})"
        raise ImportError(f"{purpose} needs {module}: {way}") from None


def read_matlab(path: str | Path) -> dict[str, Any]:
    """Read every variable of a MATLAB file; 7.3 files (HDF5) need h5py, the extra ``files``.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    dict
        By name: arrays (also of str) and sparse matrices as they lie in MATLAB, a list for a cell array (column by
        column) or an array of structs, a dict for a struct, None for what has no such form (objects, functions).
    """
    path = existing(path)
    try:
        variables = load_mat(path)
    except NotImplementedError:
        return _read_hdf5(path)
    return {name: _plain(value) for name, value in variables.items() if not name.startswith("__")}


def _plain(value: Any) -> Any:
    if scipy.sparse.issparse(value):
        return value
    if not isinstance(value, np.ndarray) or isinstance(value, (MatlabFunction, MatlabOpaque)):
        return None
    if value.dtype.names:
        structs = [{name: _plain(one[name]) for name in value.dtype.names} for one in value.ravel(order="F")]
        return structs[0] if len(structs) == 1 else structs
    if value.dtype == object:
        return [_plain(part) for part in value.ravel(order="F")]
    return value


def _read_hdf5(path: Path) -> dict[str, Any]:
    h5py = import_extra("h5py", f"{path} is a MATLAB 7.3 (HDF5) file, which", "files")
    try:
        with h5py.File(path, "r") as file:
            return {name: _stored(file, item) for name, item in file.items() if not name.startswith("#")}
    except Exception as error:  # damaged files fail anywhere in the parser
        raise ValueError(f"{path} can't be read as a MATLAB 7.3 file ({type(error).__name__}: {error})") from None


def _stored(file: Any, item: Any) -> Any:
    """Return one item of an HDF5 file, as MATLAB lays it down: arrays transposed, cells as references."""
    kind = item.attrs.get("MATLAB_class", b"")
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    if "MATLAB_object_decode" in item.attrs:
        return None
    if "MATLAB_sparse" in item.attrs:
        starts = np.asarray(item["jc"])
        entries = (np.asarray(item[part]) if part in item else np.zeros(0) for part in ("data", "ir"))
        return scipy.sparse.csc_matrix((*entries, starts), shape=(int(item.attrs["MATLAB_sparse"]), len(starts) - 1))
    if hasattr(item, "items"):  # a group: a struct, or an array of them, whose fields are references
        fields = {name: _stored(file, part) for name, part in item.items()}
        arrays = [part for part in item.values() if hasattr(part, "dtype") and part.dtype == object]
        if arrays and not any("MATLAB_class" in part.attrs for part in item.values()):
            return [dict(zip(fields, values, strict=True)) for values in zip(*fields.values(), strict=True)]
        return fields
    if item.attrs.get("MATLAB_empty", 0):  # values are the size
        return [] if kind in ("cell", "struct") else np.zeros(tuple(item[()]), dtype="U1" if kind == "char" else float)
    if item.dtype == object:
        return [_stored(file, file[reference]) for reference in item[()].ravel()]
    if kind == "char":
        return np.array(["".join(map(chr, row)) for row in np.atleast_2d(item[()].T)])
    return item[()].astype(bool).T if kind == "logical" else item[()].T
