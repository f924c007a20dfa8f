"""Checkpoints: whole or absent, and never used where they don't belong."""

import subprocess
import sys

import pytest
import torch
from bad_input import by_name, one_clear_error
from torch import nn

from dmsc.checkpoints import load_checkpoint, save_checkpoint


def parts(config=None):
    model = nn.Linear(2, 2)
    optimizer = torch.optim.Adam(model.parameters())
    return {"step": "finetune", "model": model, "optimizer": optimizer, "config": config or {"a": 1}}


@pytest.fixture
def path(tmp_path):
    save_checkpoint(tmp_path / "AE2.pt", epoch=3, history={"loss": [3.0, 2.0, 1.0]}, **parts())
    return tmp_path / "AE2.pt"


def test_round_trip_needs_no_pickled_code(path):
    content = torch.load(path, weights_only=True)
    assert {"model", "optimizer", "epoch", "rng", "config", "history"} <= set(content)
    fresh = parts()
    assert load_checkpoint(path, **fresh) == (3, {"loss": [3.0, 2.0, 1.0]})
    assert torch.equal(fresh["model"].weight, content["model"]["weight"])
    assert [file.name for file in path.parent.iterdir()] == ["AE2.pt"]


def test_a_failed_write_keeps_the_old_file(path, monkeypatch):
    before = path.read_bytes()

    def full_disk(content, file):
        file.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(path, epoch=4, history={}, **parts())
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["AE2.pt"]


#: What a process finds when the disk fills up in the midst of a checkpoint: PyTorch's writer raises no OSError there.
FULL_DISK = """
import resource, signal, sys
import torch
from dmsc.checkpoints import save_checkpoint

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
model = torch.nn.Linear(200, 200)
optimizer = torch.optim.Adam(model.parameters())
for size in (0, 1000, 100_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    try:
        save_checkpoint(sys.argv[1], step="finetune", epoch=4, model=model, optimizer=optimizer, history={}, config={})
    except OSError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits on the size of files")
def test_a_full_disk_is_one_line_and_leaves_the_old_file_alone(path):
    before = path.read_bytes()
    run = subprocess.run([sys.executable, "-c", FULL_DISK, path], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0 and run.stderr == ""
    lines = run.stdout.splitlines()
    assert len(lines) == 3 and all(str(path) in line and "disk" in line for line in lines)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["AE2.pt"]


@pytest.mark.parametrize("damage", ["truncated", "text", "foreign"])
def test_unreadable_files_are_refused(path, damage):
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:200])
    elif damage == "text":
        path.write_text("not a checkpoint")
    else:
        torch.save({"weights": torch.ones(2)}, path)
    one_clear_error(lambda: load_checkpoint(path, **parts()), ValueError, "AE2.pt is not a readable checkpoint")


def test_other_step_or_configuration_is_refused_and_nothing_changed(path):
    fresh = {**parts(), "step": "pretrain"}
    before = fresh["model"].weight.detach().clone()
    one_clear_error(lambda: load_checkpoint(path, **fresh), ValueError, ("AE2.pt", "'finetune'", "'pretrain'"))
    assert torch.equal(fresh["model"].weight, before)
    one_clear_error(lambda: load_checkpoint(path, **parts({"a": 2})), ValueError, ("AE2.pt", "a: 1 -> 2"))
    one_clear_error(lambda: load_checkpoint(path, **parts({"a": 1, "b": 3})), ValueError, "b: None -> 3")


CASES = [
    ("missing", lambda: load_checkpoint("AE.pt", **parts()), ValueError, ("AE.pt", "FileNotFoundError")),
    (
        "a folder in a file",
        lambda: save_checkpoint(f"{__file__}/AE.pt", epoch=1, history={}, **parts()),
        FileExistsError,
        __file__,
    ),
]


@by_name(CASES)
def test_bad_input(call, error, words):
    one_clear_error(call, error, words)
