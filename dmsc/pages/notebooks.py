"""One notebook at a time: read its parameters, execute it with papermill, keep its outputs and figures.

:mod:`dmsc.reproduce` decides which notebooks run; nothing here needs Jupyter until `execute` is called.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import json
import os
import re
import time
from pathlib import Path

from ..paths import write_text

__all__ = ["clean", "execute", "is_current", "list_notebooks", "read_parameters", "source_key"]

ADDED = {"injected-parameters", "papermill-error-cell-tag"}  # tags of the cells that papermill puts in


def list_notebooks(folder):
    """Return the course's notebooks in ``folder``, sorted: files named ``NN_name.ipynb``.

    Parameters
    ----------
    folder : str or Path

    Returns
    -------
    dict of str to Path
        Stem (``"04_dsc_networks"``) to file.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    folder = Path(folder).resolve()
    found = {p.stem: p for p in sorted(folder.glob("*.ipynb")) if re.match(r"\d\d_", p.name)}
    if not found:
        raise FileNotFoundError(
            f"no notebook NN_name.ipynb in {folder}: `dmsc reproduce` works in a clone of the repository, "
            'installed with `pip install -e ".[notebooks]"`'
        )
    return found


def _read_cells(path):
    """Read the cells of a notebook with the standard library alone; sources become single strings."""
    try:
        cells = json.loads(Path(path).read_text(encoding="utf-8"))["cells"]
        return [{**cell, "source": "".join(cell["source"])} for cell in cells]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a version 4 notebook ({type(error).__name__}: {error})") from None


def read_parameters(path):
    """Return the names and default values that a notebook's ``parameters`` cell assigns.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    dict of str to object
        Empty without such a cell.

    Raises
    ------
    ValueError
        If the file is no notebook, or that cell holds anything but literals.
    """
    found = {}
    for cell in _read_cells(path):
        if "parameters" not in cell.get("metadata", {}).get("tags", []):
            continue
        try:
            for node in ast.parse(cell["source"]).body:
                targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
                found.update({target.id: ast.literal_eval(node.value) for target in targets})
        except (AttributeError, SyntaxError, ValueError):
            raise ValueError(f"{path}: the parameters cell may only assign literals to names") from None
    return found


def source_key(path, parameters):
    """Return a hash of what decides a notebook's outputs: the sources of its cells and its parameters."""
    cells = [(cell["cell_type"], cell["source"]) for cell in _read_cells(path)]
    return hashlib.sha256(json.dumps([cells, parameters], sort_keys=True).encode()).hexdigest()


def is_current(source, output, parameters):
    """Tell whether ``output`` was made by ``execute`` from this very source and these parameters."""
    try:
        stored = json.loads(Path(output).read_text(encoding="utf-8"))["metadata"]["dmsc"]["key"]
    except (OSError, KeyError, TypeError, ValueError):  # missing, cut off, or not ours
        return False
    return stored == source_key(source, parameters)


def clean(notebook):
    """Strip from an executed notebook, in place, what differs from run to run.

    Sources, outputs, execution counts, tags and ids stay.

    Parameters
    ----------
    notebook : nbformat.NotebookNode

    Returns
    -------
    nbformat.NotebookNode
        The same object.
    """
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    notebook.cells = [cell for cell in notebook.cells if not ADDED & set(cell.metadata.get("tags", []))]
    for cell in notebook.cells:
        tags = cell.metadata.get("tags")
        cell.metadata = {"tags": tags} if tags else {}
        if cell.cell_type == "code":
            cell.outputs = _join_streams(cell.outputs)
    return notebook


def _join_streams(outputs):
    """Join neighboring pieces of one stream: where a kernel cuts them is a matter of timing."""
    joined = []
    for output in outputs:
        if joined and output.output_type == "stream" and joined[-1].get("name") == output.name:
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


def execute(source, output_dir, parameters, store=False):
    """Execute one notebook in its own folder with the kernel ``python3``; report instead of raising.

    A finished notebook replaces ``output_dir/NN_name.ipynb``, and its pictures go to
    ``output_dir/figures/NN_name-K.png``. One that fails is kept as ``output_dir/NN_name.failed.ipynb``, so an
    earlier good output is not lost.

    Parameters
    ----------
    source : Path
        The notebook; only ``store`` changes it.
    output_dir : Path
        An existing folder.
    parameters : dict
        Values for names of its parameters cell; empty runs it with its defaults.
    store : bool
        Write the outputs back into ``source``, cleaned (see `clean`), instead of into ``output_dir``.

    Returns
    -------
    dict
        ``name``; ``seconds`` of wall time; ``figures``, how many were written; ``error``, None or one
        sentence that names the failing cell, counted from 1, and the exception.
    """
    import nbformat
    import papermill

    name, before, start = source.stem, source.read_bytes(), time.perf_counter()
    partial = output_dir / f".{name}.{os.getpid()}.ipynb"
    report = {"name": name, "figures": 0, "error": None}
    running = True
    try:  # papermill calls str.format on both paths
        papermill.execute_notebook(
            *(str(path).replace("{", "{{").replace("}", "}}") for path in (source, partial)),
            parameters=parameters,
            kernel_name="python3",
            language="python",
            progress_bar=False,
            cwd=str(source.parent),
            shutdown_kernel="immediate",  # nothing is left to do then, not even after Ctrl-C
            extra_arguments=["--log-level=ERROR"],  # of the kernel, which else warns on stderr at each start
        )
        running = False
        notebook = nbformat.read(partial, as_version=4)
        if store:
            if source.read_bytes() != before:
                raise RuntimeError("the notebook was edited while it ran, so its outputs were not stored")
            _write(clean(notebook), source)
        else:
            notebook.metadata["dmsc"] = {"key": source_key(source, parameters), "parameters": parameters}
            _write(notebook, output_dir / source.name)
            report["figures"] = _write_figures(notebook, output_dir / "figures", name)
        (output_dir / f"{name}.failed.ipynb").unlink(missing_ok=True)
    except Exception as error:  # any failure is this notebook's: the others go on
        report["error"] = _describe(error, _original_cells(partial) if running else [])
        if partial.exists():
            os.replace(partial, output_dir / f"{name}.failed.ipynb")
    finally:
        partial.unlink(missing_ok=True)
    report["seconds"] = time.perf_counter() - start
    return report


def _write(notebook, path):
    """Write a notebook under a temporary name in the same folder, then rename it."""
    import nbformat

    write_text(path, nbformat.writes(notebook) + "\n")


def _write_figures(notebook, folder, name):
    """Write every PNG output to ``folder/name-K.png``, K = 1, 2, …, in place of those of an earlier run."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    images = [base64.b64decode(o["data"]["image/png"]) for o in outputs if "image/png" in o.get("data", {})]
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.png"):
        if re.fullmatch(re.escape(name) + r"-\d+", old.stem):
            old.unlink()
    for k, image in enumerate(images, start=1):
        (folder / f"{name}-{k}.png").write_bytes(image)
    return len(images)


def _describe(error, cells):
    """Name the failing cell and the exception in one line: ``cell 7 (`fit(C)`): ValueError: C is empty``."""
    if hasattr(error, "ename"):  # papermill's report of an exception in a cell
        what = f"{error.ename}: {error.evalue}"
    else:
        what = f"{type(error).__name__}: {error}"
    what = " ".join(what.split())
    what = what if len(what) <= 300 else what[:299] + "…"
    begun = [k for k, cell in enumerate(cells) if cell["metadata"].get("papermill", {}).get("start_time")]
    if not begun:
        return what
    lines = [line.strip() for line in cells[begun[-1]]["source"].splitlines() if line.strip()]
    return f"cell {begun[-1] + 1} (`{lines[0]}`): {what}"


def _original_cells(path):
    """Read the cells of a partly executed notebook, without those that papermill put in."""
    try:
        return [cell for cell in _read_cells(path) if not ADDED & set(cell["metadata"].get("tags", []))]
    except (OSError, ValueError):  # it did not come so far as a first cell
        return []
