"""Records: what a run writes down, where it is kept, and how it is read again."""

import json
import re
import types
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.io
from bad_input import by_name, one_clear_error

from dmsc.experiments import records as module
from dmsc.experiments.records import (
    METRICS,
    READINGS,
    add_to_study,
    environment,
    find_runs,
    load_records,
    move_to_study,
    records_frame,
    records_path,
    save_coefficients,
    save_record,
    show_versions,
    study_file,
    thin,
)


def record(seed, acc, epochs=10, paper=20, run=None, **config):
    """A record of a network in format 3, by hand."""
    scores = {"acc": acc, "nmi": acc / 2, "ari": acc / 4, "purity": acc, "eigengap": 0.1}
    selected = {"acc": acc - 0.1, "nmi": acc / 3, "ari": acc / 5, "purity": acc}
    return {
        "format": 3,
        "run": run or f"toy-dsc-l2-seed{seed}-{epochs}",
        "config": {
            "dataset": "toy",
            "views": [["image", [30, 1, 8, 8]]],
            "n_clusters": 3,
            "data_digest": "0123456789abcdef",
            "seed": seed,
            "method": {"name": "dsc-l2", "source": "nobody", "finetune_epochs": epochs, "loss": {"norm": 2}},
            **config,
        },
        "device": "cpu",
        "environment": {"git": {"commit": None, "modified": None}},
        "resumed": False,
        "finetune_epochs_of_paper": paper,
        "shorter_than_paper": epochs < (paper or 0),
        "selection": {"rule": "any", "epoch": epochs, "reading": "plain", "ridge": 0.1, "candidates": []},
        "seconds": {"pretrain": 30.0, "finetune": 30.0},
        "peak_memory_mb": 100.0,
        "metrics": {
            "network": {"plain": scores, "paper": scores, "selected": selected},
            "raw": {"plain": scores, "paper": scores, "ridge": 0.1},
        },
        "label_free": {"objective": 1.5},
        "history": {"finetune": {"epoch": [1, epochs], "loss": [0.1 + 0.2, 1e-17]}},
    }


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results"


def test_records_come_back(tmp_path):
    save_record(record(0, 0.5), tmp_path / "new" / "a.json")
    assert load_records(tmp_path / "new") == load_records(tmp_path / "new" / "a.json") == [record(0, 0.5)]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.json"]


def test_a_record_that_cannot_be_written_keeps_the_old_one(tmp_path):
    save_record(record(0, 0.5), tmp_path / "a.json")
    with pytest.raises(ValueError):
        save_record(record(0, float("nan")), tmp_path / "a.json")
    assert load_records(tmp_path) == [record(0, 0.5)]


def test_a_folder_is_read_below_and_what_is_no_record_of_a_run_is_passed_over(tmp_path):
    save_record(record(1, 0.5), tmp_path / "study" / "b.json")
    add_to_study([record(0, 0.5)], "family", results=tmp_path)
    for name in ("benchmarks/a.json", "study/checkpoints/x/a.json", "notebooks/records/a.json", "x.failed.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    (tmp_path / ".y.123.tmp.json").write_text('{"half": ')  # being written by another process
    (tmp_path / "notes.txt").write_text("no record")
    assert [found["config"]["seed"] for found in load_records(tmp_path)] == [0, 1]
    with pytest.raises(ValueError):
        load_records(tmp_path / "benchmarks")  # if asked for, a folder of that name is looked at


def test_a_record_met_twice_counts_once_and_a_differing_one_stays(tmp_path):
    save_record(record(0, 0.5), tmp_path / "a" / "x.json")
    save_record(record(0, 0.5), tmp_path / "b" / "x.json")
    save_record(record(0, 0.6), tmp_path / "c" / "x.json")
    assert load_records(tmp_path / "a", tmp_path / "b") == [record(0, 0.5)]
    assert load_records(tmp_path) == [record(0, 0.5), record(0, 0.6)]


def broken(folder, text, name="a.jsonl"):
    (folder / name).write_bytes(text)
    return lambda: load_records(folder)


GOOD = json.dumps(record(0, 0.5)).encode()
CASES = [
    ("cut", GOOD + b"\n" + GOOD[:50], "a.jsonl", ["a.jsonl", "line 2"]),
    ("not JSON", b"{", "a.json", ["a.json"]),
    ("empty file", b"", "a.json", ["a.json"]),
    ("not text", b"\xff\xfe\x00", "a.json", ["a.json"]),
    ("a list", GOOD + b"\n[]\n", "a.jsonl", ["a.jsonl", "line 2"]),
    ("no config", b'{"format": 3, "run": "a"}', "a.json", ["a.json", "'config'"]),
    ("older", b'{"format": 2}', "a.json", ["a.json", "format 2", "record migrate"]),
]


@pytest.mark.parametrize(("text", "name", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_is_no_record_is_named_with_its_line(tmp_path, text, name, words):
    one_clear_error(broken(tmp_path, text, name), ValueError, words)


def test_lines_are_sorted_complete_and_exact(results):
    odd = record(1, 0.1 + 0.2, paper=None, run="toy-b")
    odd["config"]["views"] = [["a\u2028b|c\n", [30, 1, 8, 8]]]  # a separator of lines for some, not for JSON lines
    add_to_study([odd], "family", results=results)
    (file,) = add_to_study([record(0, 0.5, run="toy-a")], "family", results=results)
    assert file == results / "family" / "toy.jsonl"
    lines = file.read_text(encoding="utf-8").split("\n")
    assert [json.loads(line)["run"] for line in lines[:-1]] == ["toy-a", "toy-b"] and lines[-1] == ""
    assert list(json.loads(lines[0])) == sorted(record(0, 0.5))
    assert load_records(file) == [record(0, 0.5, run="toy-a"), odd]
    assert [path.name for path in file.parent.iterdir()] == ["toy.jsonl"]


def test_another_record_of_the_same_run_is_refused_unless_overwritten(results):
    add_to_study([record(0, 0.5)], "family", results=results)
    add_to_study([record(0, 0.5)], "family", results=results)  # the same again is fine
    changed = [record(1, 0.5, dataset="other"), record(0, 0.7)]
    with pytest.raises(ValueError, match="toy-dsc-l2-seed0-10"):
        add_to_study(changed, "family", results=results)
    assert load_records(results) == [record(0, 0.5)]  # nothing else was written either
    add_to_study(changed, "family", overwrite=True, results=results)
    assert len(load_records(results)) == 2 and record(0, 0.7) in load_records(results)


def test_each_dataset_has_a_file_and_each_kind_of_corruption(results):
    names = ["", "missing 0.1", "noise 1e-05, occlusion 0.25"]
    files = [study_file({"dataset": "digits", "variant": name}, "s", results).name for name in names]
    assert files == ["digits.jsonl", "digits-missing.jsonl", "digits-noise-occlusion.jsonl"]


def _add(results, seeds):
    for seed in seeds:
        add_to_study([record(seed, 0.5)], "family", results=results)


def test_two_processes_that_add_at_once_lose_nothing(results):
    context = get_context("fork")  # they only read and write files
    workers = [context.Process(target=_add, args=(results, range(start, 60, 2))) for start in (0, 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert {found["config"]["seed"] for found in load_records(results)} == set(range(60))


def test_finished_runs_are_found_by_name_file_and_folder_and_move(tmp_path, results, monkeypatch):
    store = tmp_path / "runs"
    paths = [store / "toy-a.json", store / "family" / "toy-b.json", store / "family" / "toy-c.json"]
    for seed, path in enumerate(paths):
        save_record(record(seed, 0.5, run=path.stem), path)
    (store / "family" / "toy-d.failed.json").write_text("{}")
    (store / "family" / "toy-c.log").write_text("said")
    assert find_runs(["toy-a", "toy-b"], store) == paths[:2]
    assert find_runs([paths[1], "family"], store) == paths[1:]
    assert set(find_runs(["toy-*"], store)) == set(paths)
    monkeypatch.chdir(tmp_path)
    assert find_runs(["runs/family"]) == [path.relative_to(tmp_path) for path in paths[1:]]
    (file,) = move_to_study(["family"], "kept", store=store, results=results)
    assert [found["run"] for found in load_records(file)] == ["toy-b", "toy-c"]
    assert paths[0].exists() and not paths[1].exists() and not paths[2].exists()
    assert (store / "family" / "toy-c.log").exists()


def test_what_cannot_be_added_stays_where_it_is(tmp_path, results):
    path = tmp_path / "runs" / "x.json"
    save_record(record(0, 0.5), path)
    add_to_study([record(0, 0.7)], "family", results=results)
    with pytest.raises(ValueError, match="--overwrite"):
        move_to_study(["x"], "family", store=path.parent, results=results)
    assert path.exists()


def test_a_study_is_no_source_of_runs(results):
    """Else adding a study to itself would remove its file."""
    add_to_study([record(0, 0.5)], "family", results=results)
    for name in ("family", results / "family" / "toy.jsonl"):
        with pytest.raises(ValueError, match="family"):
            move_to_study([name], "family", store=results, results=results)
    assert load_records(results) == [record(0, 0.5)]


def test_the_frame_has_a_row_per_run(results):
    baseline = record(1, 0.7, paper=None, run="toy-ssc-seed1-0")
    baseline["config"]["method"] = {"name": "ssc", "algorithm": "ssc"}
    baseline["metrics"] = {"baseline": baseline["metrics"]["network"]}
    frame = records_frame([record(0, 0.5), baseline])
    assert frame["run"].tolist() == ["toy-dsc-l2-seed0-10", "toy-ssc-seed1-0"]
    assert frame["epochs"].tolist() == [10, pd.NA] and frame["of_paper"].isna().tolist() == [False, True]
    assert frame["plain_acc"].tolist() == [0.5, 0.7] and frame["raw_paper_acc"].isna().tolist() == [False, True]
    assert frame["minutes"].tolist() == [1.0, 1.0]
    assert {f"{reading}_{metric}" for reading in READINGS for metric in METRICS} <= set(frame)
    assert records_frame([]).empty


def test_a_study_a_folder_and_a_file_are_named_alike(tmp_path, results):
    (file,) = add_to_study([record(0, 0.5)], "family", results=results)
    assert records_path("family", results) == file.parent
    assert records_path(file, results) == file and records_path(tmp_path, results) == tmp_path


@by_name(
    [
        ("no folder", lambda: load_records("no/such"), FileNotFoundError, "no/such"),
        ("no study", lambda: records_path("famly"), FileNotFoundError, "famly"),
        ("name with a slash", lambda: add_to_study([], "a/b"), ValueError, "a/b"),
        ("name of another folder", lambda: add_to_study([], "benchmarks"), ValueError, "benchmarks"),
        ("no such run", lambda: find_runs(["toy-z"], Path(__file__).parent), ValueError, "toy-z"),
        ("ending", lambda: save_coefficients("C.csv", np.eye(2)), ValueError, "C.csv"),
    ]
)
def test_bad_input(call, error, words):
    one_clear_error(call, error, words)


def test_coefficients_export(tmp_path):
    C, labels = np.eye(3), np.array([0, 1, 1])
    save_coefficients(tmp_path / "commonZ.mat", C, labels)
    save_coefficients(tmp_path / "commonZ.npz", C)
    save_coefficients(tmp_path / "anchored.npz", C[:, :2], labels, anchors=np.array([0, 2]))
    assert np.load(tmp_path / "anchored.npz")["anchors"].tolist() == [0, 2]
    (tmp_path / "anchored.npz").unlink()
    assert np.array_equal(scipy.io.loadmat(tmp_path / "commonZ.mat")["Z"], C)
    assert np.array_equal(np.load(tmp_path / "commonZ.npz", allow_pickle=False)["coefficients"], C)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["commonZ.mat", "commonZ.npz"]


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(file, *arrays, **named):
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.np, "savez_compressed", full)
    with pytest.raises(OSError):
        save_coefficients(tmp_path / "C.npz", np.eye(3))
    assert not list(tmp_path.iterdir())


def test_environment_can_be_written_down():
    found = json.loads(json.dumps(environment()))
    assert found["versions"]["numpy"] == np.__version__
    assert set(found["git"]) == {"commit", "modified"}


def test_the_commit_is_that_of_the_code_that_the_process_began_with(monkeypatch):
    """A checkout that moves on, or is edited, during a long sweep changes nothing of what runs."""
    module._git_state.cache_clear()
    answers = iter([" M dmsc/model.py", "a" * 40, "", "b" * 40])
    told = types.SimpleNamespace
    monkeypatch.setattr(module.subprocess, "run", lambda *given, **options: told(stdout=next(answers) + "\n"))
    try:
        assert environment()["git"] == environment()["git"] == {"commit": "a" * 40, "modified": True}
    finally:
        module._git_state.cache_clear()


def test_versions_and_device_are_a_line_each(capsys):
    show_versions("cpu")
    versions, device = capsys.readouterr().out.splitlines()
    assert f"numpy {np.__version__}" in versions and re.fullmatch(r"device: CPU, (1 thread|\d+ threads)", device)


def test_thin_keeps_the_ends():
    history = {"loss": [float(i) for i in range(1000)]}
    thinned = thin(history, 11)
    assert thinned["epoch"][0] == 1 and thinned["epoch"][-1] == 1000 and len(thinned["epoch"]) == 11
    assert thinned["loss"] == [float(epoch - 1) for epoch in thinned["epoch"]]
    assert thin({}) == {}
