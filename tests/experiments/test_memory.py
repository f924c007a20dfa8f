"""How much memory a run needs, and where anchors take the place of all samples."""

import json
import subprocess
import sys
from collections import defaultdict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from bad_input import one_clear_error

import dmsc
from dmsc.experiments import memory as module
from dmsc.experiments.memory import (
    ANCHORS,
    DENSE_LIMIT,
    auto_anchors,
    bytes_needed,
    bytes_per_process,
    bytes_sent,
    check_memory,
    process_megabytes,
)
from dmsc.experiments.records import RESULTS, load_records
from dmsc.paths import ROOT
from dmsc.presets import BASELINES, preset

CPU = torch.device("cpu")


def data(n_samples, n_features=10):
    return SimpleNamespace(n_samples=n_samples, Xs=[np.broadcast_to(np.float32(0), (n_samples, n_features))] * 2)


def affinity(**settings):
    return preset("affinity", "mine", 3, **settings)


def test_all_samples_need_a_square_and_anchors_a_line():
    for readings, each in ((("plain",), 60), (("selected",), 100)):
        for method in (affinity(), BASELINES["ssc"]):
            assert bytes_needed(data(1000), method, readings) == each * 1000**2
    per_sample = [
        bytes_needed(data(2 * N), affinity(anchors=100), ()) - bytes_needed(data(N), affinity(anchors=100), ())
        for N in (1000, 2000)
    ]
    assert per_sample[1] == 2 * per_sample[0] == 2000 * (24 * 20 + 20 * 100)
    alone = preset("dsc-l2", "mine", 3, anchors=100)  # one of the two views
    assert bytes_needed(data(1000), alone, ()) < bytes_needed(data(1000), affinity(anchors=100), ())
    assert bytes_needed(data(20_000, 1024), affinity(anchors=500), ()) < 2 * 2**30


def test_processes_share_the_square_and_each_has_all_latents():
    one, four = (bytes_per_process(4000, 100, processes) for processes in (1, 4))
    assert [a - 4 * b for a, b in zip(one, four, strict=True)] == [-3 * 16 * 4000 * 100, 0]
    assert bytes_per_process(4001, 0, 4)[1] == 40 * 1001 * 4001  # the rows of the fullest
    assert bytes_sent(4000, 100, 1, 10**6) == 0
    assert bytes_sent(10, 3, 5, 7) == 4 * (4 * 2 * 10 * 3 + 2 * 4 * 7)


def test_the_formulas_hold_where_they_were_measured():
    points = json.loads((ROOT / "results" / "benchmarks" / "processes.json").read_text())["points"]
    assert {point["processes"] for point in points} == {1, 2, 4}
    for point in points:
        measured, N, P = point["measured"], point["n_samples"], point["processes"]
        sent = bytes_sent(N, measured["width"], P, measured["n_parameters"])
        assert measured["sent_bytes"] == pytest.approx(sent, rel=0.02, abs=50_000)  # of one process: what others say
        expected = bytes_per_process(N, measured["width"], P, point["zero_diagonal"])
        found = measured["training_bytes"], measured["reading_bytes"]
        if N >= 6000:
            assert found == pytest.approx(expected, rel=0.12)
        else:  # what doesn't grow with N shows
            assert found == pytest.approx(expected, abs=70e6)


def test_what_does_not_fit_is_refused_with_the_way_out(monkeypatch):
    monkeypatch.setattr(module, "available_memory", lambda device: 2**30)
    check_memory(data(20_000), affinity(anchors=500), CPU, ("plain",))
    way_out = ("20000 samples", "GiB", "20000 x 20000", "'cpu'", f"--set anchors={ANCHORS}")
    one_clear_error(lambda: check_memory(data(20_000), affinity(), CPU, ("plain",)), ValueError, way_out)
    fewer = ("10000000 samples", "10000000 x 500", "fewer anchors")
    one_clear_error(lambda: check_memory(data(10**7), affinity(anchors=500), CPU, ("plain",)), ValueError, fewer)


@pytest.mark.parametrize(
    ("n_samples", "free", "expected"),
    [
        (DENSE_LIMIT, None, None),
        (DENSE_LIMIT + 1, None, ANCHORS),
        (DENSE_LIMIT, 60 * DENSE_LIMIT**2, None),
        (DENSE_LIMIT, 60 * DENSE_LIMIT**2 - 1, ANCHORS),
        (100, 1000, 100),
    ],
)
def test_anchors_take_over_above_a_size_and_where_memory_ends(n_samples, free, expected, monkeypatch):
    monkeypatch.setattr(module, "available_memory", lambda device: free)
    assert auto_anchors(data(n_samples), affinity(), CPU, ("plain",)) == expected


def test_how_many_gib_are_said():
    """For real: 60 to 100 bytes for each of 200 000 x 200 000 coefficients, which no machine for tests has."""
    large = dmsc.Dataset("large", [np.ones((200_000, 2))], n_clusters=2)
    with pytest.raises(ValueError) as caught:
        dmsc.run_experiment(large, preset("dsc-l2", "large", 2), device="cpu")
    gib = float(str(caught.value).split(" GiB")[0].split()[-1])
    assert 20 * 4e10 / 2**30 < gib < 200 * 4e10 / 2**30


# What a process takes, for a batch engine


def of_record(record):
    """The data of a record, without their values, and its method with the preset's network."""
    config = record["config"]
    views = [np.broadcast_to(np.float32(0), shape) for _, shape in config["views"]]
    dataset = SimpleNamespace(n_samples=len(views[0]), Xs=views)
    row = "" if "labels_digest" in config else config["dataset"]
    return dataset, preset(config["method"]["name"], row, config["n_clusters"])


def test_a_process_has_the_memory_that_its_run_took():
    """Of the records that are committed, the least peak of each method on each dataset, and the greatest.

    A sweep's runs share a process, in which a small run's peak holds what larger ones left behind. That is why the
    least counts, and why some baselines, and one network on few features, are excused.
    """
    peaks, asked, baselines = defaultdict(list), {}, set()
    for record in load_records(RESULTS):
        dataset, method = of_record(record)
        key = (record["config"]["dataset"], dataset.n_samples, len(dataset.Xs), method.name)
        peaks[key].append(record["peak_memory_mb"])
        asked[key] = process_megabytes(dataset, method, [dataset])
        baselines |= {key} if method.name in BASELINES else set()
    short = {key for key in peaks if asked[key] < min(peaks[key])}
    assert short - baselines <= {("digits", 1797, 2, "affinity")}
    assert len(peaks) > 150 and len(short) < len(peaks) / 8
    assert max(asked[key] / max(peaks[key]) for key in peaks) < 3


@pytest.mark.slow
@pytest.mark.parametrize("method", ["local", "affinity"])
def test_a_process_of_its_own_has_enough(method, tmp_path):
    """Where records of a shared process say that it hasn't: 1797 digits."""
    settings = [] if method == "local" else ["--pretrain-epochs", "1", "--finetune-epochs", "2"]
    where = ["--records", str(tmp_path), "--checkpoints", str(tmp_path / "checkpoints")]
    command = [sys.executable, "-m", "dmsc", "run", "--dataset", "digits", "--method", method, "--device", "cpu"]
    subprocess.run([*command, *settings, *where], check=True, capture_output=True, cwd=ROOT)
    (record,) = load_records(tmp_path)
    dataset = dmsc.load_dataset("digits")
    asked = process_megabytes(dataset, preset(method, "digits", 10), [dataset])
    assert dataset.n_samples == 1797 and asked / 2 < record["peak_memory_mb"] < asked


def test_a_study_with_more_data_is_read_in_more_memory():
    small, large = data(1000), data(10_000, 500)
    alone = process_megabytes(small, affinity(), [small])
    more = process_megabytes(small, affinity(), [small, large]) - alone
    assert abs(more - 12 * 2 * 10_000 * 500 / 2**20) <= 50
    assert process_megabytes(small, BASELINES["kmeans"], [small]) < alone
    assert alone % 50 == 0
