"""Files are written whole or not at all."""

import os

import pytest

import dmsc
from dmsc.paths import IN_CHECKOUT, ROOT, replacing, write_text


@pytest.fixture(params=["new", "old"])
def path(request, tmp_path):
    """Return a path where there is nothing yet, not even its folder; or one that holds "old"."""
    path = tmp_path / "folder" / "table.csv.gz"
    if request.param == "old":
        path.parent.mkdir()
        path.write_text("old")
    return path


def content(path):
    """Return what lies in a path's folder: name -> text."""
    return {file.name: file.read_text() for file in path.parent.iterdir()}


def test_what_is_written_takes_the_paths_place(path):
    with replacing(path) as temporary:
        assert temporary.parent == path.parent and temporary != path
        assert temporary.suffix == path.suffix  # by which libraries choose a format
        temporary.write_text("new")
        assert path.exists() == (len(content(path)) == 2)  # until the end the old one is there
    assert content(path) == {path.name: "new"}


@pytest.mark.parametrize("error", [OSError("No space left on device"), KeyboardInterrupt(), SystemExit(143)])
@pytest.mark.parametrize("written", ["", "ha"])
def test_nothing_is_left_after_an_exception(path, error, written):
    before = content(path) if path.exists() else {}
    with pytest.raises(type(error)), replacing(path) as temporary:
        temporary.write_text(written)
        raise error
    assert content(path) == before


def test_nothing_is_left_when_nothing_was_written(path):
    before = content(path) if path.exists() else {}
    with pytest.raises(FileNotFoundError), replacing(path):
        pass
    assert content(path) == before


def test_nothing_is_left_when_the_path_is_taken_by_a_folder(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError):
        write_text(tmp_path / "taken", "text")
    assert [file.name for file in tmp_path.iterdir()] == ["taken"]


def test_text_is_utf_8_whatever_the_machine(path, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    write_text(str(path), "‖Z − C Z‖²\n")
    assert path.read_bytes() == "‖Z − C Z‖²\n".encode()
    assert os.listdir(path.parent) == [path.name]


def test_the_root_is_the_clone_around_the_package():
    assert IN_CHECKOUT == (ROOT / "pyproject.toml").is_file()
    assert not IN_CHECKOUT or ROOT == type(ROOT)(dmsc.__file__).resolve().parents[1]
