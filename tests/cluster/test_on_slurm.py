"""Studies on a real SLURM: complete, every run done once, whatever is killed meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from engine import TINY

from dmsc.experiments.records import load_records
from dmsc.experiments.studies import read_study
from dmsc.experiments.sweep import sweep

LONG = {**TINY, "methods": ["dsc-l2"], "settings": {"pretrain_epochs": 2, "finetune_epochs": 2500}}


def names(workflow):
    return [run.name for run in read_study(workflow.study)]


def finish(running, cluster):
    """Wait for a workflow that was started; return what it said."""
    late = None
    try:
        said, _ = running.communicate(timeout=600)
    except subprocess.TimeoutExpired:
        running.kill()
        late, (said, _) = cluster.jobs(), running.communicate()
    assert late is None, f"it doesn't end; jobs: {late}\n{said}\n{cluster.logs()}"
    assert running.returncode == 0, said
    return said


def complete(workflow, starts):
    """Hold the study against what a whole one is: every record, begun so often, nothing left behind, one table."""
    records = workflow.records()
    assert set(records) == set(starts) == set(names(workflow))
    assert {run: workflow.starts(run) for run in starts} == starts
    assert {run for run in records if records[run]["resumed"]} == {run for run in starts if starts[run] > 1}
    assert not workflow.unfinished() and not list(workflow.runs.glob("*.failed.json"))
    assert (workflow.runs / "table.md").read_text().startswith("### digits (10 clusters)")
    return records


def in_training(workflow, run):
    """Tell whether a run has a checkpoint of fine-tuning, and is not done."""
    (planned,) = [each for each in read_study(workflow.study) if each.name == run]
    checkpoint = workflow.runs / "checkpoints" / planned.training / "AE2.pt"
    return checkpoint.exists() and not (workflow.runs / f"{run}.json").exists()


def test_four_runs_and_a_table(cluster, on_cluster):
    workflow = on_cluster({**TINY, "methods": ["kmeans", "ridge", "dsc-l2", "affinity"]})
    before = cluster.jobs()
    workflow()
    complete(workflow, dict.fromkeys(names(workflow), 1))
    new = {job: state for job, state in cluster.jobs().items() if job not in before}
    assert list(new.values()) == ["COMPLETED"] * 4  # one job per run


def test_a_job_that_is_killed_goes_on_from_its_checkpoint(cluster, on_cluster, tmp_path):
    """By SIGKILL, in the middle of training: it is tried again, and comes to the metrics of a run that wasn't."""
    workflow = on_cluster(LONG)
    (run,) = names(workflow)
    running = workflow.start()
    cluster.wait(lambda: in_training(workflow, run), "no checkpoint")
    processes = cluster.processes("-m", "dmsc", "sweep")
    assert processes
    for process in processes:
        os.kill(process, signal.SIGKILL)
    said = finish(running, cluster)
    assert "Trying to restart job" in said
    records = complete(workflow, {run: 2})
    assert sweep(workflow.study, store=tmp_path / "whole", results=tmp_path / "none") == 0
    (whole,) = load_records(tmp_path / "whole")
    assert records[run]["metrics"] == whole["metrics"]
    assert records[run]["history"] == whole["history"]


def test_a_node_that_is_drained_ends_its_jobs_and_starts_none_until_it_is_back(cluster, on_cluster):
    workflow = on_cluster({**LONG, "seeds": [0, 1, 2, 3]})
    running = workflow.start()
    try:
        cluster.wait(lambda: len(list(workflow.runs.glob("checkpoints/*/AE2.pt"))) == 2, "two jobs don't train")
        cluster.set_node("drain")
        cluster.wait(lambda: cluster.node_state().startswith("DRAINED"), "the node isn't drained")
        assert len(workflow.records()) == 2
        assert sorted(state for state in cluster.jobs().values() if state in ("PENDING", "RUNNING")) == ["PENDING"] * 2
    finally:
        cluster.set_node("resume")
    finish(running, cluster)
    complete(workflow, dict.fromkeys(names(workflow), 1))


def test_a_node_that_fails_has_its_jobs_go_on_elsewhere_or_later(cluster, on_cluster):
    workflow = on_cluster({**LONG, "seeds": [0]})
    (run,) = names(workflow)
    running = workflow.start()
    try:
        cluster.wait(lambda: in_training(workflow, run), "no checkpoint")
        cluster.set_node("down")
        cluster.wait(lambda: not cluster.processes("-m", "dmsc", "sweep"), "the job goes on")
        assert not workflow.records()
    finally:
        cluster.set_node("resume")
    finish(running, cluster)
    complete(workflow, {run: 2})


def test_a_controller_that_crashes_and_comes_back_disturbs_no_job(cluster, on_cluster):
    workflow = on_cluster({**LONG, "seeds": [0, 1, 2]})
    running = workflow.start()
    cluster.wait(lambda: len(list(workflow.runs.glob("checkpoints/*/AE2.pt"))) == 2, "two jobs don't train")
    cluster.save()  # the third may be in the queue since a moment ago
    cluster.kill("slurmctld")
    try:
        cluster.wait(lambda: cluster.run("scontrol", "ping").stdout.count("UP") == 0, "the controller answers")
    finally:
        cluster.start_controller()
    finish(running, cluster)
    complete(workflow, dict.fromkeys(names(workflow), 1))


def test_srun_starts_the_processes_that_share_a_run(cluster, tmp_path):
    command = [
        sys.executable,
        "-m",
        "dmsc",
        "run",
        "--dataset",
        "digits",
        "--data",
        "n_per_class=6",
        "--method",
        "dsc-l2",
    ]
    command += ["--pretrain-epochs", "1", "--finetune-epochs", "2", "--processes", "2"]
    command += ["--records", str(tmp_path), "--checkpoints", str(tmp_path / "checkpoints")]
    step = ["srun", "--ntasks=2", "--mem-per-cpu=1000", "--chdir", str(tmp_path), *command]
    done = subprocess.run(step, env=cluster.environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("record: ") == 1  # the first process alone speaks
    (record,) = load_records(tmp_path)
    assert record["processes"] == 2
