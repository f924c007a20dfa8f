"""Tiny notebooks for the tests of `dmsc reproduce`; they start in a second and need nothing but a kernel."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from dmsc.pages.running import reproduce

# A PNG of one pixel.
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
VERSIONS = "import os\nprint('versions')"
GOOD = f"""\
from IPython.display import Image, display
import base64, pathlib
display(Image(base64.b64decode("{PIXEL}")))
print(epochs, os.environ["OMP_NUM_THREADS"], "inline" in os.environ["MPLBACKEND"], pathlib.Path.cwd().name)
if records_dir:
    pathlib.Path(records_dir).mkdir(parents=True)
    (pathlib.Path(records_dir) / "one.json").write_text("{{}}")"""
COURSE = {
    "01_good": [VERSIONS, ('epochs: int = 3\nrate = 1e-2\nrecords_dir = ""', "parameters"), GOOD],
    "02_fails": [
        VERSIONS,
        ("epochs = 3", "parameters"),
        "x = 1",
        "\nraise ValueError(f'no\\n{epochs}')",
        "x = 2",
    ],
    "03_dies": [
        VERSIONS,
        ("seed = 0", "parameters"),
        "x = 1",
        "import signal\nos.kill(os.getpid(), signal.SIGKILL)",
    ],
}


def write_notebook(path, cells):
    """Write a notebook of one heading and code cells, each a source or a pair of source and tag."""
    nodes = [{"cell_type": "markdown", "id": "head", "metadata": {}, "source": f"# {path.stem}"}]
    for number, cell in enumerate(cells):
        source, *tags = [cell] if isinstance(cell, str) else cell
        metadata = {"tags": tags, "collapsed": False} if tags else {"execution": {"shell.execute_reply": "now"}}
        code = {"execution_count": None, "id": f"cell-{number}", "metadata": metadata, "outputs": []}
        nodes.append({"cell_type": "code", "source": source.splitlines(keepends=True), **code})
    metadata = {"kernelspec": {"display_name": "mine", "language": "python", "name": "mine"}, "widgets": {}}
    notebook = {"cells": nodes, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(notebook), encoding="utf-8")


def write_course(folder):
    """Write the three notebooks of `COURSE` into a new folder ``notebooks`` and return it."""
    notebooks = folder / "notebooks"
    notebooks.mkdir()
    for name, cells in COURSE.items():
        write_notebook(notebooks / f"{name}.ipynb", cells)
    (notebooks / "scratch.ipynb").write_text("no number, so not part of the course")
    return notebooks


def reproduce_tiny(text=None, **options):
    """Call `reproduce` on a new tiny course, with a parameters file of this text: for inputs it must refuse."""
    with tempfile.TemporaryDirectory() as folder:
        notebooks = write_course(Path(folder))
        if text is not None:
            options["params_file"] = Path(folder) / "params.yaml"
            options["params_file"].write_bytes(text if isinstance(text, bytes) else text.encode())
        return reproduce(**{"notebooks_dir": notebooks, "output_dir": Path(folder) / "out", **options})
