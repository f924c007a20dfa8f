"""What `dmsc reproduce --resume` takes for unchanged: everything that decides a page's outputs counts."""

from __future__ import annotations

import os

import pytest
from tiny_course import write_notebook

from dmsc.pages.notebooks import source_key


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A page, a package, results and data, each of a file or two; returns the page and its parameters."""
    files = {
        "notebooks/mine.npz": "my own samples",
        "notebooks/listed.npz": "more of them",
        "notebooks/other.npz": "not named",
        "notebooks/my records/a.json": "{}",
        "package/one.py": "x = 1",
        "package/room/two.py": "y = 2",
        "package/notes.txt": "no code",
        "results/family/digits.jsonl": "{}",
        "results/benchmarks/epochs.json": "{}",
        "results/notebooks/records/run.json": "{}",
        "shared/ORL.mat": "faces",
        "out/records/run.json": "{}",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr("dmsc.pages.notebooks.PACKAGE", tmp_path / "package")
    monkeypatch.setattr("dmsc.pages.notebooks.ROOT", tmp_path)
    monkeypatch.setenv("DMSC_DATA", str(tmp_path / "shared"))
    page = tmp_path / "notebooks" / "01_page.ipynb"
    defaults = (
        'dataset = "digits"\nmore = {"files": ["listed.npz"]}\nrecords_from = "my records"\nseed = 0\nrecords_dir = ""'
    )
    write_notebook(page, [(defaults, "parameters"), "print(seed)"])
    return page, {"dataset": "mine.npz", "records_dir": str(tmp_path / "out" / "records")}


def write(name, text="changed"):
    def change(folder):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return change


CHANGES = {
    "code": write("package/one.py", "x = 2"),
    "code in a room": write("package/room/two.py"),
    "a new module": write("package/room/three.py"),
    "a module less": lambda folder: (folder / "package/one.py").unlink(),
    "a module moved": lambda folder: (folder / "package/one.py").rename(folder / "package/room/one.py"),
    "own data": write("notebooks/mine.npz", "my other sample"),
    "own data, deep in a parameter": write("notebooks/listed.npz"),
    "own data gone": lambda folder: (folder / "notebooks/mine.npz").unlink(),
    "a folder that a parameter names": write("notebooks/my records/b.json"),
    "a record": write("results/family/digits.jsonl"),
    "a new study": write("results/robustness/digits.jsonl"),
    "a benchmark": write("results/benchmarks/epochs.json"),
    "the folder of data": write("shared/ORL.mat", "more faces"),
    "the time of a file of data": lambda folder: os.utime(folder / "shared/ORL.mat", (1, 1)),
    "the page": lambda folder: write_notebook(folder / "notebooks/01_page.ipynb", ["print(1)"]),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_of(what, world, tmp_path):
    before = source_key(*world)
    assert source_key(*world) == before
    CHANGES[what](tmp_path)
    assert source_key(*world) != before


def test_a_change_of_parameters_or_of_the_place_of_data(world, monkeypatch):
    page, parameters = world
    before = source_key(page, parameters)
    assert source_key(page, {**parameters, "seed": 1}) != before
    monkeypatch.delenv("DMSC_DATA")
    assert source_key(page, parameters) != before


def test_what_a_page_writes_or_never_reads_is_no_change(world, tmp_path):
    before = source_key(*world)
    for name in (
        "out/records/run.json",
        "results/notebooks/records/run.json",
        "package/notes.txt",
        "notebooks/other.npz",
    ):
        write(name)(tmp_path)
    assert source_key(*world) == before


def test_odd_texts_and_missing_folders_are_no_trouble(world, monkeypatch):
    page, parameters = world
    monkeypatch.setenv("DMSC_DATA", "/no/such/folder")
    assert source_key(page, {**parameters, "dataset": "x" * 5000, "more": {"files": ["nul\0", "~"]}})
