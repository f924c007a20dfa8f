"""Records of older formats become lines of a study, and nothing of them is lost."""

import copy
import json

import pytest
from bad_input import one_clear_error

from dmsc.experiments.migration import LATER_SETTINGS, lost, migrate, migrate_folder
from dmsc.experiments.records import load_records, records_frame, save_record
from dmsc.experiments.run import run_name
from dmsc.experiments.tables import csv_table, metrics_text

POST = {"alpha": 8.0, "assign": "discretize", "dim": 6, "ratio": 0.36, "unit_diagonal": False}
SCORES = {"acc": 0.7, "ari": 0.1 + 0.2, "eigengap": None, "nmi": 1e-17, "purity": 1.0}
CONVOLUTION = {"channels": 10, "decoder_padding": 0, "kernel": 4, "padding": 1, "stride": 2}


def old(**changes):
    """What every old record has."""
    return {
        "config": {
            "data_digest": "7f0c86b452a2ec9d",
            "dataset": "bdgp",
            "n_clusters": 5,
            "seed": 0,
            "views": [["visual words", [2500, 1, 42, 42]], ["text words", [2500, 1, 42, 42]]],
        },
        "device": "cpu",
        "environment": {
            "git": {"commit": "fab96b3", "modified": False},
            "machine": "x86_64",
            "python": "3.11.7",
            "threads": 2,
            "time": "2026-11-25T02:47:30+00:00",
            "versions": {"dmsc": "0.1.0", "torch": "2.13.0+cpu"},
        },
        "finetune_epochs_of_paper": 1001,
        "format": 2,
        "peak_memory_mb": 1736.1,
        "resumed": False,
        "seconds": {"clustering": 6.78, "finetune": 2706.005, "pretrain": 159.928},
        "shorter_than_paper": False,
        **changes,
    }


def network(method=None, **changes):
    """A network's record of format 1: nothing in it was chosen without labels."""
    made = old(
        format=1,
        history={"finetune": {"epoch": [1, 21], "loss": [108947.3046875, 190.46397399902344]}, "pretrain": {}},
        label_free={"objective": 190.46397399902344, "self_expression_residual": None},
        metrics={
            "network": {"paper": SCORES, "plain": SCORES},
            "raw": {"paper": SCORES, "plain": SCORES, "ridge": 1.0},
        },
    )
    made["config"]["method"] = {
        "architecture": {"activation": "none", "convolutions": [CONVOLUTION, CONVOLUTION], "dense": [64, 32]},
        "coefficients_init": 0.0001,
        "finetune_epochs": 1001,
        "fusion": "affinity",
        "loss": {"lambda_regularization": 0.1, "norm": 2, "reconstruction": [0.2, 0.8]},
        "name": "affinity",
        "paper_epochs": 1001,
        "post": POST,
        "pretrain_batch_size": None,
        "source": "the blog listing, with its post-processing",
        **(method or {}),
    }
    return {**made, **changes}


def selection(baseline=False):
    epochs = [0] if baseline else [500, 1001]
    return {
        "candidates": [
            {"acc": 0.1, "consistency": -1.5, "epoch": epoch, "post": post}
            for epoch in epochs
            for post in ("plain", "paper")
        ],
        "epoch": epochs[0],
        "post": "paper",
        "ridge": 1.0,
        "rule": "subspace consistency on the raw views",
    }


def chosen(method=None, **changes):
    """A network's record of format 2."""
    made = network(method, format=2, selection=selection(), resumed=True, **changes)
    made["metrics"]["network"]["selected"] = {"acc": 0.9}
    return made


def baseline():
    """A baseline's record of format 2."""
    scores = {"plain": SCORES, "paper": SCORES, "selected": SCORES}
    made = old(history={}, label_free={}, metrics={"baseline": scores}, selection=selection(True))
    made["finetune_epochs_of_paper"] = None
    made["config"]["method"] = {
        "algorithm": "lrr",
        "name": "lrr",
        "parameters": {"n_components": None, "penalty": 0.1},
        "post": POST,
        "source": "Liu et al. 2013",
    }
    return made


def corrupted():
    made = chosen()
    made["config"]["variant"] = "missing 0.3"
    return made


CORRELATION = {"covariance_ridge": 0.001, "lambda_correlation": 1.0, "n_correlations": 5, "projection_dim": 10}
SAMPLES = {
    "network of format 1": network(),
    "network of format 2": chosen(),
    "C started in closed form": chosen({"coefficients_init": "ridge"}),
    "with correlation": chosen({"correlation": CORRELATION}),
    "recipe": chosen({"solver": "scale-path", "schedule": "cosine", "precision": "bf16", "paper_epochs": None}),
    "corrupted data": corrupted(),
    "baseline": baseline(),
}
sample = pytest.mark.parametrize("record", SAMPLES.values(), ids=SAMPLES)


def leaves(value, path=""):
    if isinstance(value, dict) and value:
        return {leaf for key, part in value.items() for leaf in leaves(part, f"{path}/{key}")}
    if isinstance(value, list) and value:
        return {leaf for i, part in enumerate(value) for leaf in leaves(part, f"{path}/{i}")}
    return {(path, repr(value))}


RENAMED = [("/config/method/post/", "/config/method/reading/"), ("/selection/post", "/selection/reading")]
RENAMED += [(f"/selection/candidates/{i}/post", f"/selection/candidates/{i}/reading") for i in range(4)]


@sample
def test_every_leaf_is_in_the_new_record(record):
    before = copy.deepcopy(record)
    new = json.loads(json.dumps(migrate(record, "bdgp-affinity-seed0-6431ef7e")))
    assert record == before
    expected = set()
    for path, value in leaves(record):
        for old_path, new_path in RENAMED:
            path = path.replace(old_path, new_path)
        expected.add((path, value.replace("'ridge'", "'closed-form'")))
    missing = {leaf for leaf in expected - leaves(new) if leaf[0] != "/format"}
    assert not missing
    assert "post" not in json.dumps(new).replace("post-processing", "")


@sample
def test_what_is_added_is_the_name_the_format_and_what_was_left_out(record):
    new = migrate(record, "bdgp-affinity-seed0-6431ef7e")
    assert new["format"] == 3 and new["formerly"] == "bdgp-affinity-seed0-6431ef7e"
    assert new["run"] == run_name(new["config"])
    assert new["config"]["method"]["reading"] == {"affinity": "subspace", **POST}
    assert "selection" in new and (new["selection"] is None) == (record["format"] == 1)
    method = record["config"]["method"]
    if "algorithm" in method:
        assert set(new["config"]["method"]) == set(method) - {"post"} | {"reading"}
    else:
        for name, value in LATER_SETTINGS.items():
            assert new["config"]["method"][name] == method.get(name, value)


@sample
def test_the_new_record_can_be_read(record, tmp_path):
    save_record(record, tmp_path / "old" / "one.json")
    assert migrate_folder(tmp_path / "old", "family", results=tmp_path / "results") == (1, [])
    (new,) = load_records(tmp_path / "results")
    assert new == migrate(record, "one")
    assert records_frame([new])["plain_acc"].tolist() == [0.7]
    assert csv_table([new]) and metrics_text(new)


def test_losses_are_found():
    new = migrate(chosen(), "one")
    assert lost(chosen(), new) == []
    changed = copy.deepcopy(new)
    changed["seconds"]["pretrain"] += 1e-12
    del changed["config"]["method"]["loss"]["norm"]
    changed["selection"]["candidates"].pop()
    changed["resumed"] = 1  # not true
    assert {path.split(".")[0] for path in lost(chosen(), changed)} == {"seconds", "config", "selection", "resumed"}


def test_some_runs_of_a_folder_go_into_one_study_and_others_into_another(tmp_path):
    for name, record in (("a", network()), ("b", baseline()), ("c", corrupted())):
        save_record(record, tmp_path / f"{name}.json")
    only = {migrate(baseline(), "b")["run"]}
    taken, others = migrate_folder(tmp_path, "family", only=only, results=tmp_path / "results")
    assert (taken, [path[-6:] for path in others]) == (1, ["a.json", "c.json"])
    assert migrate_folder(tmp_path, "all", results=tmp_path / "results") == (3, [])
    names = {path.relative_to(tmp_path / "results").as_posix() for path in (tmp_path / "results").rglob("*.jsonl")}
    assert names == {"family/bdgp.jsonl", "all/bdgp.jsonl", "all/bdgp-missing.jsonl"}
    assert (tmp_path / "a.json").exists()


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 3}', '{"format": 2, "config": {"method": {}}}'])
def test_what_is_no_old_record_stops_all_of_it(tmp_path, text):
    save_record(network(), tmp_path / "a.json")
    (tmp_path / "b.json").write_text(text)
    one_clear_error(lambda: migrate_folder(tmp_path, "family", results=tmp_path / "results"), ValueError, "b.json")
    assert not (tmp_path / "results").exists()


def test_an_empty_folder_is_an_error(tmp_path):
    one_clear_error(lambda: migrate_folder(tmp_path, "family"), FileNotFoundError, str(tmp_path))
