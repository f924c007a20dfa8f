"""The rules of workflow/Snakefile on a tiny study: for real, on this machine."""

from __future__ import annotations

import os
import re
import signal
import time

import pytest
import yaml
from engine import TINY, Workflow

from dmsc.experiments.records import move_to_study
from dmsc.experiments.studies import read_study
from dmsc.experiments.sweep import sweep
from dmsc.paths import ROOT

pytest.importorskip("snakemake", reason='needs Snakemake: pip install -e ".[workflow]"')
pytestmark = pytest.mark.slow


def names(workflow):
    return [run.name for run in read_study(workflow.study)]


def planned(said):
    """The jobs by rule that a dry run counts."""
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", said, flags=re.M)}


def test_a_study_runs_to_table_figure_and_report_and_both_tools_see_what_the_other_did(tmp_path):
    workflow = Workflow(tmp_path, {**TINY, "methods": {"kmeans": [{}], "ridge": [{}], **TINY["methods"]}})
    folders = {"store": tmp_path / "runs", "results": tmp_path / "results"}
    kmeans, ridge, first, second = names(workflow)
    assert sweep(workflow.study, only=[kmeans, ridge], **folders) == 0
    move_to_study([workflow.runs / f"{kmeans}.json"], "tiny", **folders)
    assert planned(workflow()) == {"figures": 1, "run": 2, "study": 1, "table": 1, "total": 5}
    records = workflow.records()
    assert set(records) == {ridge, first, second}
    assert records[second]["resumed"] and not records[first]["resumed"]  # the second read what the first had trained
    assert {workflow.starts(run) for run in names(workflow)} == {1} and not workflow.unfinished()
    table = (workflow.runs / "table.md").read_text()
    assert "### digits (10 clusters)" in table
    assert [table.count(f"| {method} |") for method in ("kmeans", "ridge", "dsc-l2")] == [1, 1, 2]
    assert (workflow.runs / "figures" / "digits.png").read_bytes().startswith(b"\x89PNG")
    assert "acc " in (workflow.runs / f"{first}.log").read_text()
    assert "1 of 1 runs have a record" in (workflow.runs / "logs" / f"{first}.log").read_text()
    assert (workflow.runs / "benchmarks" / f"{first}.tsv").read_text().startswith("s\th:m:s\tmax_rss")

    workflow("--report", "report.html")
    report = (tmp_path / "report.html").read_text()
    assert "table.md" in report and "digits.png" in report
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=[\"']?(?:https?:)?//", report)  # read offline

    made = (workflow.runs / f"{first}.json").read_bytes()
    workflow("--force", f"runs/tiny/{first}.json")  # whatever starts such a job again: it finds nothing to do
    assert (workflow.runs / f"{first}.json").read_bytes() == made and workflow.starts(first) == 1
    assert sweep(workflow.study, **folders) == 0
    assert {workflow.starts(run) for run in names(workflow)} == {1}


def test_a_failed_run_is_told_and_tried_again_and_the_others_are_done(tmp_path):
    methods = {"kmeans": [{}], "dsc-l2": [{"learning_rate": 1.0e15, "pretrain_epochs": 20}]}
    workflow = Workflow(tmp_path, {**TINY, "methods": methods})
    good, bad = names(workflow)
    said = workflow("--retries", "1", status=1)
    assert set(workflow.records()) == {good} and (workflow.runs / f"{bad}.failed.json").exists()
    assert f"logs/{bad}.log" in said and not (workflow.runs / "table.md").exists()
    assert f"{bad} failed: ValueError" in (workflow.runs / "logs" / f"{bad}.log").read_text()
    assert workflow.starts(bad) == 2 and workflow.starts(good) == 1


def test_a_workflow_that_is_killed_goes_on_where_it_was(tmp_path):
    """Snakemake and its jobs, by SIGKILL, in the middle of training."""
    settings = {"pretrain_epochs": 2, "finetune_epochs": 1000}
    workflow = Workflow(tmp_path, {**TINY, "methods": ["dsc-l2"], "settings": settings})
    (run,) = names(workflow)
    running = workflow.start()
    deadline = time.monotonic() + 300
    while not list(workflow.runs.glob("checkpoints/*/AE2.pt")):
        assert running.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    assert not workflow.records()
    workflow("--unlock")
    workflow("runs")
    assert workflow.records()[run]["resumed"] and workflow.starts(run) == 2
    assert not workflow.unfinished()


def test_what_is_wrong_with_a_study_is_said_before_anything_runs(tmp_path):
    workflow = Workflow(tmp_path, {**TINY, "methods": ["dsc-l3"]})
    said = workflow("--dry-run", status=1)
    assert "unknown method 'dsc-l3'" in said and not workflow.runs.exists()


def test_pages_are_jobs_each_with_its_own_output(tmp_path):
    """The rule alone: what a job does, `dmsc reproduce`, has tests of its own."""
    pages = sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    workflow = Workflow(tmp_path, {**TINY, "methods": ["kmeans"]})
    said = workflow("--dry-run", "notebooks")
    assert planned(said) == {"notebooks": 1, "page": len(pages), "total": len(pages) + 1}
    assert f"-m dmsc reproduce --only {pages[0]} --output pages" in said


def test_profiles_keep_whole_records_and_look_at_files_alone():
    for file in sorted((ROOT / "workflow" / "profiles").glob("*/config.yaml")):
        profile = yaml.safe_load(file.read_text(encoding="utf-8"))
        assert profile["keep-incomplete"] and profile["rerun-incomplete"] and profile["keep-going"], file
        assert profile["rerun-triggers"] == "mtime" and profile["retries"] >= 1, file
