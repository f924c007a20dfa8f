"""Safe reading of .mat, .npz and IDX files: only what is expected, never Python objects, one clear error."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

__all__ = ["existing", "load_mat", "read_idx", "read_mat", "read_npy", "read_npz", "require_numeric"]


def read_mat(path: str | Path, names: Sequence[str], cells: Collection[str] = ()) -> list[np.ndarray]:
    """Read variables of a MATLAB file (up to version 7).

    Parameters
    ----------
    path : str or path-like
        The file.
    names : sequence of str
        Variables to read. Nothing else in the file is looked at.
    cells : sequence of str
        Those of `names` that are cell arrays; the others must be plain numeric arrays.

    Returns
    -------
    list of ndarray
        The variables, in the order of `names`.
    """
    path = existing(path)
    try:
        variables = load_mat(path, variable_names=list(names))
    except NotImplementedError:
        raise ValueError(f"{path} is a MATLAB 7.3 file, which isn't read here: save it with '-v7'") from None
    listed = [] if all(name in variables for name in names) else [v[0] for v in scipy.io.whosmat(path, False)]
    for name in names:
        if name not in variables:
            raise ValueError(f"{path} has no variable {name!r}; it holds: {', '.join(listed) or 'nothing'}")
        value = variables[name]
        if name in cells:
            if not isinstance(value, np.ndarray) or value.dtype != object:
                raise ValueError(f"{path}: variable {name!r} must be a cell array")
        else:
            require_numeric(value, f"{path}: variable {name!r}")
    return [variables[name] for name in names]


def load_mat(path: Path, **options: Any) -> dict[str, Any]:
    """Read a MATLAB file with SciPy; a NotImplementedError says that it is of version 7.3."""
    try:
        return scipy.io.loadmat(path, appendmat=False, **options)
    except NotImplementedError:
        raise
    except Exception as error:  # damaged files fail anywhere in the parser
        raise ValueError(f"{path} can't be read as a MATLAB file ({type(error).__name__}: {error})") from None


def require_numeric(value: Any, what: str) -> None:
    """Raise ValueError unless `value` is a full array of real numbers; `what` names it in the message."""
    kind = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf":
        raise ValueError(
            f"{what} must be a full array of real numbers, got {kind}; cells, structs, objects, text, sparse "
            "and complex arrays are refused"
        )


def read_npz(path: str | Path) -> dict[str, np.ndarray]:
    """Read all arrays of an .npz file; pickled objects are refused.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    dict of str to ndarray
        The arrays by name.
    """
    path = existing(path)
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} isn't an .npz file (or is cut short)")
    arrays, name = {}, None
    try:
        with np.load(path, allow_pickle=False) as archive:
            for name in archive.files:
                arrays[name] = archive[name]
                if not isinstance(arrays[name], np.ndarray):
                    raise ValueError("it isn't a NumPy array")
    except Exception as error:  # damaged archives fail anywhere in the parser
        reason = "it holds Python objects, which are refused" if "pickle" in str(error) else error
        raise ValueError(f"{path}: array {name!r} can't be read: {reason}") from None
    return arrays


def read_npy(path: str | Path) -> np.ndarray:
    """Read the array of an .npy file; pickled objects are refused."""
    path = existing(path)
    try:
        return np.lib.format.read_array(io.BytesIO(path.read_bytes()), allow_pickle=False)
    except Exception as error:  # damaged files fail anywhere in the parser
        reason = "it holds Python objects, which are refused" if "pickle" in str(error) else error
        raise ValueError(f"{path} can't be read as an .npy file: {reason}") from None


def read_idx(path: str | Path) -> np.ndarray:
    """Read a gzip-compressed IDX file of unsigned bytes (the MNIST format).

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    ndarray, uint8
        The array, of the shape the file states.
    """
    path = existing(path)
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} can't be read as a gzip file ({error})") from None
    n_dims = content[3] if len(content) >= 4 else 0
    start = 4 + 4 * n_dims
    if content[:3] != b"\0\0\x08" or n_dims == 0 or len(content) < start:
        raise ValueError(f"{path} isn't an IDX file of bytes: it starts with {content[:4].hex(' ')}")
    shape = tuple(int(n) for n in np.frombuffer(content[4:start], ">u4"))
    expected = int(np.prod(shape, dtype=object))
    if len(content) - start != expected:
        raise ValueError(f"{path} must hold {expected} bytes for its shape {shape}, got {len(content) - start}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def existing(path: str | Path) -> Path:
    """Return the path of a file if it is there, and isn't one of the two things that downloads leave in its place."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    with path.open("rb") as file:
        start = file.read(512).lstrip().lower()
    if start.startswith(b"version https://git-lfs"):
        raise ValueError(f"{path} is a Git LFS pointer, not the data: get the file itself with 'git lfs pull'")
    if start.startswith((b"<!doctype html", b"<html")):
        raise ValueError(f"{path} is an HTML page, not the data: download the file itself ('raw', not its page)")
    return path
