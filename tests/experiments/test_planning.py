"""A job per run of a study: what is left, in which order, with which memory and minutes."""

import csv
import json

import pytest
import yaml

import dmsc
from dmsc.__main__ import main
from dmsc.experiments import planning as module
from dmsc.experiments.memory import process_megabytes
from dmsc.experiments.planning import minutes_limit, plan_study, write_plan
from dmsc.experiments.records import move_to_study
from dmsc.experiments.studies import read_study
from dmsc.experiments.sweep import sweep

TINY = {
    "datasets": {"synthetic": {"options": {"n_samples": 24, "ambient_dim": 6}}},
    "methods": {"kmeans": [{}], "dsc-l2": [{}, {"dim": 1}, {"pretrain_epochs": 2}, {"dim": 3}]},
    "seeds": [0, 1],
    "settings": {"pretrain_epochs": 1, "finetune_epochs": 2, "dim": 2},
}


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(TINY, sort_keys=False))
    return file


@pytest.fixture
def folders(tmp_path):
    return {"store": tmp_path / "runs", "results": tmp_path / "results"}


def test_a_job_is_a_run_and_waits_for_the_run_before_it_that_trains_the_same(path, folders):
    runs, jobs = read_study(path), plan_study(path, **folders)
    assert [job.run for job in jobs] == [run.name for run in runs]
    assert [job.network for job in jobs] == [0, 1, 1, 1, 1] * 2
    names = [job.run for job in jobs]
    before = {names[2]: names[1], names[4]: names[2], names[7]: names[6], names[9]: names[7]}  # dim is of the reading
    assert {job.run: job.after for job in jobs if job.after} == before
    data = dmsc.load_dataset("synthetic", n_samples=24, ambient_dim=6)
    assert [job.mem_mb for job in jobs] == [process_megabytes(data, run.method, [data]) for run in runs]
    assert {(job.minutes, job.limit) for job in jobs} == {("", module.UNKNOWN_LIMIT)}


def test_what_is_done_in_the_store_stays_a_job_and_what_is_committed_is_none(path, folders):
    """An engine sees for itself that a file is there; to it, a record that has moved away would be missing."""
    every = plan_study(path, **folders)
    first, second = every[1].run, every[2].run
    assert sweep(path, only=[first, every[0].run], **folders) == 0
    assert [job.run for job in plan_study(path, **folders)] == [job.run for job in every]
    move_to_study([folders["store"] / "tiny" / f"{first}.json"], "tiny", **folders)
    left = plan_study(path, **folders)
    assert [job.run for job in left] == [job.run for job in every if job.run != first]
    assert {job.run: job.after for job in left}[second] == ""  # it trains itself, or finds the checkpoints


def test_minutes_are_those_of_the_dry_run_and_limits_have_room(path, folders, capsys):
    assert sweep(path, only=[job.run for job in plan_study(path, **folders) if "seed0" in job.run], **folders) == 0
    for file in (folders["store"] / "tiny").glob("*.json"):
        record = json.loads(file.read_text())
        record["seconds"] = {"all": 60.0 * 40}
        file.write_text(json.dumps(record))
    jobs = plan_study(path, **folders)
    assert {(job.minutes, job.limit) for job in jobs} == {("40.0", 120)}
    capsys.readouterr()
    sweep(path, dry_run=True, **folders)
    assert "40.0 min" in capsys.readouterr().out
    assert [minutes_limit(value) for value in (None, 0.01, 5.1, 300)] == [240, 15, 16, 900]


def test_a_plan_is_a_table_that_any_program_reads(path, folders, tmp_path):
    where = ["--records", str(folders["store"]), "--results", str(folders["results"])]
    assert main(["sweep", str(path), "--plan", str(tmp_path / "deep" / "plan.csv"), *where]) == 0
    with open(tmp_path / "deep" / "plan.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [{name: str(value) for name, value in vars(job).items()} for job in plan_study(path, **folders)]
    write_plan([], tmp_path / "none.csv")
    assert (tmp_path / "none.csv").read_text() == "run,after,network,mem_mb,minutes,limit\n"
    assert not folders["store"].exists()
    path.write_text("datasets: [digit]")
    assert main(["sweep", str(path), "--plan", str(tmp_path / "bad.csv"), *where]) == 2
    assert not (tmp_path / "bad.csv").exists()
