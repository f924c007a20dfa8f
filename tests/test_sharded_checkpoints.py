"""Checkpoints of several processes: whole or absent, and any number of processes goes on from them."""

import shutil

import numpy as np
import pytest
import torch
from bad_input import one_clear_error
from several_processes import in_processes

from dmsc.checkpoints import is_saved, load_checkpoint
from dmsc.losses import LossWeights
from dmsc.model import SubspaceNetwork
from dmsc.networks import Architecture, Conv
from dmsc.sharded_checkpoints import latest_parts
from dmsc.sharding import Shard
from dmsc.training import finetune, make_optimizer, pretrain

N, SHAPE = 11, (1, 8, 8)


def network(shard):
    torch.manual_seed(0)
    # a dense layer of a shape that rows of C have in three processes, (4, 11): only C is cut
    return SubspaceNetwork([SHAPE], N, Architecture((Conv(11, 8, 8),), dense=(4,)), shard=shard)


def train(folder, epochs, config="a"):
    """Train to so many epochs, from a checkpoint if there is one; return histories and the rows of C here."""
    shard = Shard(N)
    model = network(shard)
    X = torch.tensor(np.random.default_rng(0).standard_normal((N, *SHAPE)), dtype=torch.float32)[shard.rows]
    loop = {"checkpoint_every": 2, "resume": True, "config": {"a": config}}
    first = pretrain(model, [X], epochs=3, batch_size=4, checkpoint=folder / "AE1.pt", **loop)
    second = finetune(model, [X], epochs=epochs, weights=LossWeights(), checkpoint=folder / "AE2.pt", **loop)
    return first, second, model.self_expression.coefficients


@pytest.mark.slow
def test_any_number_of_processes_goes_on(tmp_path):
    first, second, C = train(tmp_path / "alone", 10)
    folder = tmp_path / "several"
    for processes, epochs in ((1, 2), (2, 4), (3, 7), (1, 8), (2, 10)):
        if processes == 1:
            outcomes = [train(folder, epochs)]
        else:
            outcomes = in_processes(processes, train, folder, epochs)
        for one, another, _ in outcomes:
            np.testing.assert_allclose(one["loss"], first["loss"], rtol=1e-5)
            np.testing.assert_allclose(another["loss"], second["loss"][:epochs], rtol=1e-5)
        kept = {path.name for path in folder.iterdir() if path.stem == "AE2"}
        assert kept == {"AE2.pt" if processes == 1 else "AE2.parts"}  # that of one takes the place of the other
    torch.testing.assert_close(torch.cat([rows for *_, rows in outcomes]), C, rtol=1e-4, atol=1e-6)
    assert [path.name for path in (folder / "AE2.parts").iterdir()] == ["epoch-10"]


def test_unreadable_parts_are_refused(tmp_path):
    in_processes(2, train, tmp_path, 2)
    path, model = tmp_path / "AE2.pt", network(Shard(N, 0, 1))
    parts = {"step": "finetune", "model": model, "optimizer": make_optimizer(model.parameters(), 1e-3)}
    before = model.self_expression.coefficients

    def load(config="a"):
        return load_checkpoint(path, config={"a": config}, **parts)

    one_clear_error(lambda: load("b"), ValueError, ("AE2.pt", "a: 'a' -> 'b'"))
    assert model.self_expression.coefficients.equal(before)
    (folder,) = (tmp_path / "AE2.parts").iterdir()
    shutil.copytree(folder, folder.with_name(".epoch-4.tmp"))  # a write that was cut off
    assert is_saved(path) and latest_parts(path) == folder
    assert load()[0] == 2
    next(folder.glob("*.distcp")).write_bytes(b"short")
    one_clear_error(load, ValueError, ("AE2.pt is not a readable checkpoint", "remove it"))
    shutil.rmtree(folder)
    assert not is_saved(path)
