"""Looks at C: kept for whoever goes on from there; and the clock of a run's phases."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from bad_input import one_clear_error

import dmsc
from dmsc.experiments import reader as module
from dmsc.experiments.reader import Clock, Reader
from dmsc.presets import preset
from dmsc.self_expression import raw_self_expression


@pytest.fixture(scope="module")
def data():
    return dmsc.load_dataset("synthetic", n_samples=60, n_clusters=3, subspace_dim=2, ambient_dim=20, noise=0.0, seed=1)


@pytest.fixture(scope="module")
def method():
    """Of 25 epochs, 3, 5, 8, 10 and so on are looked at."""
    return preset("affinity", "synthetic", 3, finetune_epochs=25, dim=2, alpha=2.0)


def reader_of(data, method, folder, epochs, C):
    reader = Reader(data, method, 0, folder=folder)
    model = SimpleNamespace(self_expression=SimpleNamespace(coefficients=torch.tensor(C)))
    for epoch in epochs:
        reader(epoch, {}, model)
    return reader


def test_a_reader_catches_up_on_what_an_earlier_one_kept(data, method, tmp_path):
    """The second goes on from the fifth epoch."""
    C = raw_self_expression(data.Xs)[0].astype(np.float32)
    whole = reader_of(data, method, None, range(1, 11), C).candidates
    assert [c.epoch for c in whole] == [3, 3, 5, 5, 8, 8, 10, 10]
    reader_of(data, method, tmp_path, range(1, 9), C)
    again = reader_of(data, method, tmp_path, range(5, 11), C)
    assert [c.epoch for c in again.candidates] == [5, 5, 8, 8, 10, 10]
    again.catch_up(11)
    for a, b in zip(again.candidates, whole, strict=True):
        assert (a.epoch, a.reading, a.consistency, a.eigengap) == (b.epoch, b.reading, b.consistency, b.eigengap)
        assert np.array_equal(a.labels, b.labels)


@pytest.mark.parametrize("content", [None, b"", b"half"])
def test_what_was_kept_and_is_gone_or_damaged_is_one_clear_error(content, data, method, tmp_path):
    C = raw_self_expression(data.Xs)[0]
    reader_of(data, method, tmp_path, range(1, 9), C)
    path = tmp_path / "C-3.npy"
    path.unlink() if content is None else path.write_bytes(content)
    reader = reader_of(data, method, tmp_path, (5, 8), C)
    one_clear_error(lambda: reader.catch_up(9), ValueError, (str(path), "missing or damaged"))


def test_labels_that_no_one_chooses_among_are_not_judged_on_the_way(data, method, tmp_path):
    reader = Reader(data, method, 0, ("plain",), folder=tmp_path)
    assert reader.epochs == []
    reader(3, {}, None)
    assert reader.candidates == [] and not list(tmp_path.iterdir())


def test_a_clock_counts_nothing_twice(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    clock = Clock(torch.device("cpu"))

    def spend(seconds):
        now[0] += seconds

    with clock("outer"):
        spend(1)
        with clock("inner"):
            spend(10)
            with clock("innermost"):
                spend(100)
            spend(10)
        spend(1)
        with clock("inner"):
            spend(1000)
        with clock("outer"):  # itself, inside itself
            spend(5)
    spend(10_000)  # nobody's
    with clock("outer"):
        spend(2)
    assert clock.seconds == {"outer": 9, "inner": 1020, "innermost": 100}


def test_a_clock_goes_on_from_what_training_took_before(tmp_path):
    path, first = tmp_path / "new" / "seconds.txt", Clock(torch.device("cpu"))
    first.go_on(path)
    assert first.seconds == {}
    first.seconds |= {"setup": 1.0, "pretrain": 20.0}
    first.keep(path)
    first.seconds |= {"finetune": 300.0, "selection": 4000.0}
    first.keep(path)
    second = Clock(torch.device("cpu"), {"setup": 2.0})
    second.go_on(path)
    assert second.seconds == {"setup": 2.0, "pretrain": 20.0, "finetune": 300.0}
