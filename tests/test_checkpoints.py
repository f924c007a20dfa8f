"""Checkpoints: whole or absent, and never used where they don't belong."""

import pytest
import torch
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


@pytest.mark.parametrize("damage", ["truncated", "text", "foreign"])
def test_unreadable_files_are_refused(path, damage):
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:200])
    elif damage == "text":
        path.write_text("not a checkpoint")
    else:
        torch.save({"weights": torch.ones(2)}, path)
    with pytest.raises(ValueError, match="AE2.pt is not a readable checkpoint"):
        load_checkpoint(path, **parts())


def test_other_step_or_configuration_is_refused(path):
    with pytest.raises(ValueError, match="holds 'finetune'"):
        load_checkpoint(path, **{**parts(), "step": "pretrain"})
    with pytest.raises(ValueError, match="a: 1 -> 2"):
        load_checkpoint(path, **parts({"a": 2}))
