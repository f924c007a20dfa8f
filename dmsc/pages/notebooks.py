"""One page at a time: read its parameters, execute it with papermill, keep its outputs and figures.

`dmsc.pages.running` decides which pages run; nothing here needs Jupyter until `execute` is called.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypedDict

from ..paths import ROOT, replacing, write_text

__all__ = ["Report", "clean", "execute", "is_current", "list_notebooks", "read_parameters", "source_key"]

PACKAGE = Path(__file__).resolve().parents[1]
ADDED = {"injected-parameters", "papermill-error-cell-tag"}  # tags of the cells that papermill puts in


class Report(TypedDict):
    """What became of a page: ``figures`` counts the pictures written, ``error`` is None or one sentence."""

    name: str
    seconds: float
    figures: int
    error: str | None


def list_notebooks(folder: str | Path) -> dict[str, Path]:
    """Return the course's pages in a folder, sorted: files named ``NN_name.ipynb``, by ``NN_name``."""
    folder = Path(folder).resolve()
    pages = {path.stem: path for path in sorted(folder.glob("*.ipynb")) if re.match(r"\d\d_", path.name)}
    if not pages:
        raise FileNotFoundError(
            f"no notebook NN_name.ipynb in {folder}: `dmsc reproduce` works in a clone of the repository, "
            'installed with `pip install -e ".[notebooks]"`'
        )
    return pages


def _read_cells(path: str | Path) -> list[dict[str, Any]]:
    """Read the cells of a notebook with the standard library alone; sources become single strings."""
    try:
        cells = json.loads(Path(path).read_text(encoding="utf-8"))["cells"]
        return [{**cell, "source": "".join(cell["source"])} for cell in cells]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a version 4 notebook ({type(error).__name__}: {error})") from None


def read_parameters(path: str | Path) -> dict[str, Any]:
    """Return the names and default values that a page's ``parameters`` cell assigns; none without such a cell."""
    defaults: dict[str, Any] = {}
    for cell in _read_cells(path):
        if "parameters" not in cell.get("metadata", {}).get("tags", []):
            continue
        try:
            for node in ast.parse(cell["source"]).body:
                if not isinstance(node, (ast.Assign, ast.AnnAssign)) or node.value is None:
                    raise ValueError
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    if not isinstance(target, ast.Name):
                        raise ValueError
                    defaults[target.id] = ast.literal_eval(node.value)
        except (SyntaxError, ValueError):
            raise ValueError(f"{path}: the parameters cell may only assign literals to names") from None
    return defaults


def source_key(path: Path, parameters: dict[str, Any]) -> str:
    """Return a hash of all that decides a page's outputs.

    That is: the sources of its cells; its parameters, and the files that they name, such as one's own data; the
    sources of this package; the results in the repository; the files in the folder ``DMSC_DATA``. Folders count by
    the names, sizes and times of their files, which may be large.
    """
    named = [path.parent / Path(text).expanduser() for text in _texts({**read_parameters(path), **parameters})]
    folders = [item for item in named if os.path.isdir(item)]
    if os.environ.get("DMSC_DATA"):
        folders.append(Path(os.environ["DMSC_DATA"]).expanduser())
    results = ROOT / "results"
    decisive = [
        [(cell["cell_type"], cell["source"]) for cell in _read_cells(path)],
        parameters,
        _contents(named, path.parent),
        _contents(PACKAGE.rglob("*.py"), PACKAGE),
        _contents([*results.rglob("*.jsonl"), *results.glob("benchmarks/*.json")], results),
        [_listing(folder) for folder in folders],
    ]
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def _texts(parameters: dict[str, Any]) -> Iterator[str]:
    """Yield the texts among the values, any of which may name a file; not the folder that a page writes to."""
    values = [value for name, value in parameters.items() if name != "records_dir"]
    while values:
        value = values.pop()
        if isinstance(value, str) and value:
            yield value
        elif isinstance(value, (list, dict)):
            values += value.values() if isinstance(value, dict) else value


def _contents(paths: Iterable[Path], base: Path) -> list[tuple[str, str]]:
    """Return the name and the hash of each of those paths that is a file."""
    files = sorted(path for path in paths if os.path.isfile(path))
    return [(os.path.relpath(file, base), hashlib.sha256(file.read_bytes()).hexdigest()) for file in files]


def _listing(folder: Path) -> list[tuple[str, int, int]]:
    """Return the name, size and time of each file that lies in a folder, not deeper."""
    stats = [(path.name, path.stat()) for path in sorted(folder.glob("*")) if path.is_file()]
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]


def is_current(source: Path, output: Path, parameters: dict[str, Any]) -> bool:
    """Tell whether ``output`` is what `execute` would make of this page and these parameters now."""
    try:
        stored = json.loads(output.read_text(encoding="utf-8"))["metadata"]["dmsc"]["key"]
    except (OSError, KeyError, TypeError, ValueError):  # missing, cut off, or not ours
        return False
    return stored == source_key(source, parameters)


def clean(notebook: Any) -> Any:
    """Strip from an executed ``NotebookNode``, in place, what differs from run to run; return it.

    Sources, outputs, execution counts, tags and ids stay.
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


def _join_streams(outputs: list[Any]) -> list[Any]:
    """Join neighboring pieces of one stream: where a kernel cuts them is a matter of timing."""
    joined: list[Any] = []
    for output in outputs:
        if joined and output.output_type == "stream" and joined[-1].get("name") == output.name:
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


def execute(source: Path, output_dir: Path, parameters: dict[str, Any], store: bool = False) -> Report:
    """Execute one page in its own folder with the kernel ``python3``; report instead of raising.

    A finished page replaces ``output_dir/NN_name.ipynb``, and its pictures go to
    ``output_dir/figures/NN_name-K.png``. One that fails is kept as ``output_dir/NN_name.failed.ipynb``, so an
    earlier good output is not lost.

    Parameters
    ----------
    source : Path
        The page; only ``store`` changes it.
    output_dir : Path
        An existing folder.
    parameters : dict
        Values for names of its parameters cell; empty runs it with its defaults.
    store : bool
        Write the outputs back into ``source``, cleaned (see `clean`), instead of into ``output_dir``.
    """
    import nbformat
    import papermill

    name, before, start = source.stem, source.read_bytes(), time.perf_counter()
    failed = output_dir / f"{name}.failed.ipynb"
    report: Report = {"name": name, "seconds": 0.0, "figures": 0, "error": None}
    with tempfile.TemporaryDirectory() as folder:
        partial = Path(folder, source.name)
        running = True
        try:
            key = source_key(source, parameters)  # as things are now: they may change while it runs
            papermill.execute_notebook(
                *(str(path).replace("{", "{{").replace("}", "}}") for path in (source, partial)),  # it formats paths
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
                write_text(source, nbformat.writes(clean(notebook)) + "\n")
            else:
                notebook.metadata["dmsc"] = {"key": key, "parameters": parameters}
                write_text(output_dir / source.name, nbformat.writes(notebook) + "\n")
                report["figures"] = _write_figures(notebook, output_dir / "figures", name)
            failed.unlink(missing_ok=True)
        except Exception as error:  # any failure is this page's: the others go on
            report["error"] = _describe(error, _original_cells(partial) if running else [])
            if partial.exists():
                write_text(failed, partial.read_text(encoding="utf-8"))
    report["seconds"] = time.perf_counter() - start
    return report


def _write_figures(notebook: Any, folder: Path, name: str) -> int:
    """Write every PNG output to ``folder/name-K.png``, K = 1, 2, …, in place of those of an earlier run."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    images = [base64.b64decode(o["data"]["image/png"]) for o in outputs if "image/png" in o.get("data", {})]
    for old in folder.glob("*.png"):
        if re.fullmatch(re.escape(name) + r"-\d+", old.stem):
            old.unlink()
    for k, image in enumerate(images, start=1):
        with replacing(folder / f"{name}-{k}.png") as temporary:
            temporary.write_bytes(image)
    return len(images)


def _describe(error: Exception, cells: list[dict[str, Any]]) -> str:
    """Name the failing cell and the exception in one line: ``cell 7 (`fit(C)`): ValueError: C is empty``."""
    kind, text = getattr(error, "ename", type(error).__name__), getattr(error, "evalue", error)  # papermill's own
    what = " ".join(f"{kind}: {text}".split())
    what = what if len(what) <= 300 else what[:299] + "…"
    begun = [k for k, cell in enumerate(cells) if cell["metadata"].get("papermill", {}).get("start_time")]
    if not begun:
        return what
    lines = [line.strip() for line in cells[begun[-1]]["source"].splitlines() if line.strip()]
    return f"cell {begun[-1] + 1} (`{lines[0]}`): {what}"


def _original_cells(path: Path) -> list[dict[str, Any]]:
    """Read the cells of a partly executed page, without those that papermill put in."""
    try:
        return [cell for cell in _read_cells(path) if not ADDED & set(cell["metadata"].get("tags", []))]
    except (OSError, ValueError):  # it did not come so far as a first cell
        return []
