"""Records and tables."""

import csv
import io
import json

import numpy as np
import pytest
import scipy.io

from dmsc.results import (
    csv_table,
    environment,
    load_records,
    markdown_table,
    save_coefficients,
    save_record,
    summarize,
    thin,
)


def record(seed, acc, epochs=10, paper=20):
    scores = {"acc": acc, "nmi": acc / 2, "ari": acc / 4, "eigengap": 0.1}
    return {
        "config": {"dataset": "toy", "seed": seed, "method": {"name": "dsc-l2", "finetune_epochs": epochs}},
        "device": "cpu",
        "finetune_epochs_of_paper": paper,
        "seconds": {"pretrain": 30.0, "finetune": 30.0},
        "metrics": {"network": {"plain": scores, "paper": scores}, "raw": {"plain": scores, "paper": scores}},
    }


def test_mean_and_std_over_every_seed():
    rows = summarize([record(0, 0.5), record(1, 0.7), record(2, 0.9), record(0, 0.1, epochs=11)])
    assert [(row["epochs"], row["seeds"]) for row in rows] == [(10, 3), (11, 1)]
    assert rows[0]["network_plain_acc"] == pytest.approx(np.mean([0.5, 0.7, 0.9]))
    assert rows[0]["network_plain_acc_std"] == pytest.approx(np.std([0.5, 0.7, 0.9]))
    assert rows[0]["minutes"] == 1.0


def test_tables_show_the_same_numbers():
    records = [record(0, 0.5), record(1, 0.7)]
    markdown = markdown_table(records)
    assert "60.0 ± 10.0" in markdown and "10 (20)" in markdown
    assert markdown_table(records, "nmi").count("30.0 ± 5.0") == 4
    (row,) = csv.DictReader(io.StringIO(csv_table(records)))
    assert float(row["raw_paper_acc"]) == pytest.approx(0.6)


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
