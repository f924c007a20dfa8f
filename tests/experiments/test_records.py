"""Records and tables."""

import json

import numpy as np
import pytest
import scipy.io

from dmsc.experiments.records import (
    environment,
    load_records,
    save_coefficients,
    save_record,
    thin,
)


def record(seed, acc, epochs=10, paper=20):
    scores = {"acc": acc, "nmi": acc / 2, "ari": acc / 4, "eigengap": 0.1}
    return {
        "config": {
            "dataset": "toy",
            "n_clusters": 3,
            "seed": seed,
            "method": {"name": "dsc-l2", "finetune_epochs": epochs},
        },
        "device": "cpu",
        "finetune_epochs_of_paper": paper,
        "seconds": {"pretrain": 30.0, "finetune": 30.0},
        "metrics": {"network": {"plain": scores, "paper": scores}, "raw": {"plain": scores, "paper": scores}},
    }


def test_records_come_back(tmp_path):
    save_record(record(0, 0.5), tmp_path / "new" / "a.json")
    assert load_records(tmp_path / "new") == [record(0, 0.5)]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.json"]


def test_a_record_that_cannot_be_written_keeps_the_old_one(tmp_path):
    save_record(record(0, 0.5), tmp_path / "a.json")
    with pytest.raises(ValueError):
        save_record(record(0, float("nan")), tmp_path / "a.json")
    assert load_records(tmp_path) == [record(0, 0.5)]


def test_coefficients_export(tmp_path):
    C, labels = np.eye(3), np.array([0, 1, 1])
    save_coefficients(tmp_path / "commonZ.mat", C, labels)
    save_coefficients(tmp_path / "commonZ.npz", C)
    assert np.array_equal(scipy.io.loadmat(tmp_path / "commonZ.mat")["Z"], C)
    assert np.array_equal(np.load(tmp_path / "commonZ.npz", allow_pickle=False)["coefficients"], C)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["commonZ.mat", "commonZ.npz"]


def test_environment_can_be_written_down():
    found = json.loads(json.dumps(environment()))
    assert found["versions"]["numpy"] == np.__version__
    assert set(found["git"]) == {"commit", "modified"}


def test_thin_keeps_the_ends():
    history = {"loss": [float(i) for i in range(1000)]}
    thinned = thin(history, 11)
    assert thinned["epoch"][0] == 1 and thinned["epoch"][-1] == 1000 and len(thinned["epoch"]) == 11
    assert thinned["loss"] == [float(epoch - 1) for epoch in thinned["epoch"]]
    assert thin({}) == {}
