"""Copies of the pages: a reader's work is never lost, and originals stay as they are."""

from __future__ import annotations

import re
import subprocess

import pytest

from dmsc.__main__ import main
from dmsc.pages import copies
from dmsc.pages.copies import copy_pages
from dmsc.paths import ROOT

FILES = {
    "00_first.ipynb": "zero",
    "01_second.ipynb": "one",
    "scratch.ipynb": "no page",
    "picture.svg": "<svg/>",
    "README.md": "syllabus",
    "params/orl.yaml": "epochs: 1",
    "ruff.toml": "no companion",
}
COPIED = ["00_first.ipynb", "01_second.ipynb", "README.md", "params/orl.yaml", "picture.svg"]


@pytest.fixture
def pages(tmp_path):
    for name, text in FILES.items():
        write(tmp_path / "notebooks" / name, text)
    return tmp_path / "notebooks"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def texts(folder):
    return {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()}


def test_first_call_copies_pages_and_what_they_need(pages, tmp_path):
    done = copy_pages(pages, tmp_path / "lab")
    assert sorted(done["new"]) == COPIED and not done["renewed"] and not done["kept"]
    found = texts(tmp_path / "lab")
    assert found.pop(copies.ORIGINS)
    assert found == {name: FILES[name] for name in COPIED}
    assert texts(pages) == FILES
    assert copy_pages(pages, tmp_path / "lab") == {"new": [], "renewed": [], "kept": []}


def test_what_a_reader_changed_is_kept_and_told_only_if_the_original_changed(pages, tmp_path):
    lab = tmp_path / "lab"
    copy_pages(pages, lab)
    write(lab / "00_first.ipynb", "mine")
    write(lab / "notes.ipynb", "also mine")
    assert copy_pages(pages, lab) == {"new": [], "renewed": [], "kept": []}
    write(pages / "00_first.ipynb", "zero, better")
    for _ in range(2):  # told until it is renamed
        assert copy_pages(pages, lab) == {"new": [], "renewed": [], "kept": ["00_first.ipynb"]}
        assert (lab / "00_first.ipynb").read_text() == "mine"
    (lab / "00_first.ipynb").rename(lab / "00_first_mine.ipynb")
    assert copy_pages(pages, lab) == {"new": ["00_first.ipynb"], "renewed": [], "kept": []}
    assert (lab / "00_first.ipynb").read_text() == "zero, better"
    assert (lab / "00_first_mine.ipynb").read_text() == "mine" and (lab / "notes.ipynb").read_text() == "also mine"


def test_an_unchanged_copy_follows_its_original(pages, tmp_path):
    copy_pages(pages, tmp_path / "lab")
    write(pages / "01_second.ipynb", "one, better")
    write(pages / "params" / "coil20.yaml", "epochs: 2")
    done = copy_pages(pages, tmp_path / "lab")
    assert done == {"new": ["params/coil20.yaml"], "renewed": ["01_second.ipynb"], "kept": []}
    assert (tmp_path / "lab" / "01_second.ipynb").read_text() == "one, better"


def test_a_reader_who_arrives_at_the_new_original_is_in_step_with_it(pages, tmp_path):
    copy_pages(pages, tmp_path / "lab")
    for folder in (pages, tmp_path / "lab"):
        write(folder / "01_second.ipynb", "same mend")
    assert copy_pages(pages, tmp_path / "lab") == {"new": [], "renewed": [], "kept": []}
    write(pages / "01_second.ipynb", "later")
    assert copy_pages(pages, tmp_path / "lab")["renewed"] == ["01_second.ipynb"]


@pytest.mark.parametrize("spoiled", [None, "", "[1]", '{"00_first.ipynb": 3}'])
def test_without_knowing_the_origin_nothing_that_differs_is_overwritten(pages, tmp_path, spoiled):
    lab = tmp_path / "lab"
    copy_pages(pages, lab)
    write(lab / "00_first.ipynb", "mine")
    if spoiled is None:
        (lab / copies.ORIGINS).unlink()
    else:
        write(lab / copies.ORIGINS, spoiled)
    assert copy_pages(pages, lab) == {"new": [], "renewed": [], "kept": ["00_first.ipynb"]}
    assert (lab / "00_first.ipynb").read_text() == "mine"


@pytest.mark.parametrize("target", [".", "lab", "../notebooks"])
def test_copies_are_not_made_among_the_originals(pages, target):
    with pytest.raises(ValueError, match="beside it"):
        copy_pages(pages, pages / target)
    assert texts(pages) == FILES


def test_a_folder_without_pages_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="no notebook"):
        copy_pages(tmp_path, tmp_path / "lab")


def test_the_command_says_what_it_did(pages, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(copies, "ROOT", tmp_path)
    call = ["copy-pages", "--into", str(tmp_path / "lab")]
    assert main(call) == 0
    assert capsys.readouterr().out == "lab/: 5 files new\n"
    write(tmp_path / "lab" / "00_first.ipynb", "mine")
    write(pages / "00_first.ipynb", "zero, better")
    assert main(call) == 0
    assert re.fullmatch(r"lab/00_first\.ipynb is kept .* rename yours .*\n", capsys.readouterr().out)
    assert main(["copy-pages", "--into", str(pages)]) == 2
    assert "name a folder beside it" in capsys.readouterr().err


def test_what_the_pages_link_to_beside_them_is_copied(tmp_path):
    """Links that begin with ../ hold anyway, as copies lie as deep as the originals."""
    copy_pages(ROOT / "notebooks", tmp_path / "lab")
    found = []
    for path in [*(tmp_path / "lab").glob("*.ipynb"), tmp_path / "lab" / "README.md"]:
        links = re.findall(r"\]\(([^)\s#:\"\\]+)", path.read_text(encoding="utf-8"))
        found += [link for link in links if not link.startswith("../") and (ROOT / "notebooks" / link).exists()]
    assert len(set(found)) > 15
    assert [link for link in found if not (tmp_path / "lab" / link).exists()] == []


def test_git_ignores_the_folder_that_make_lab_uses():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "dmsc copy-pages" in makefile and "jupyter lab lab/" in makefile
    assert "/lab/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    ignored = subprocess.run(["git", "check-ignore", "-q", "lab/00_start_here.ipynb"], cwd=ROOT).returncode
    assert ignored in (0, 128)  # 128: no checkout
