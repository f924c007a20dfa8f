"""Snakemake on a tiny study in a folder of its own: what the tests of the workflow, here and on a cluster, share."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import yaml

from dmsc.experiments.records import load_records
from dmsc.paths import ROOT

TINY = {
    "datasets": {"digits": {"options": {"n_per_class": 6}}},
    "methods": {"kmeans": [{}], "dsc-l2": [{}, {"dim": 2}]},  # the networks share a training
    "seeds": [0],
    "settings": {"pretrain_epochs": 2, "finetune_epochs": 10},
}


class Workflow:
    """A study ``tiny`` in a folder, with what both tools make of it in ``runs/tiny``."""

    def __init__(self, folder: Path, content: dict, profile: str = "local", environment: dict | None = None):
        self.folder, self.profile = folder, profile
        self.study = folder / "tiny.yaml"
        self.runs = folder / "runs" / "tiny"
        self.study.write_text(yaml.safe_dump(content, sort_keys=False))
        self.environment = {**(environment or os.environ), "OMP_NUM_THREADS": "1"}
        self.environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))

    def command(self, *options: str) -> list[str]:
        """Return the words of a call of Snakemake."""
        files = ["-s", str(ROOT / "workflow" / "Snakefile"), "--directory", str(self.folder)]
        config = ["study=tiny.yaml", "store=runs", "results=results", "pages=pages"]
        profile = str(ROOT / "workflow" / "profiles" / self.profile)
        return [sys.executable, "-m", "snakemake", *files, "--profile", profile, *options, "--config", *config]

    def start(self, *options: str) -> subprocess.Popen:
        """Start Snakemake in a session of its own; both outputs go into one pipe."""
        said: dict = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(
            self.command(*options), cwd=self.folder, env=self.environment, start_new_session=True, **said
        )

    def __call__(self, *options: str, status: int = 0) -> str:
        """Run Snakemake to its end; return what it said."""
        done = self.start(*options)
        said, _ = done.communicate(timeout=600)
        assert done.returncode == status, said
        return said

    def records(self) -> dict[str, dict]:
        """Return the records by the names of their runs."""
        return {record["run"]: record for record in load_records(self.runs)}

    def starts(self, run: str) -> int:
        """Count how often a run was begun: its log has a line each time."""
        log = self.runs / f"{run}.log"
        return log.read_text().count("of study tiny") if log.exists() else 0

    def unfinished(self) -> list[Path]:
        """Return temporary files, locks and checkpoints that were left behind."""
        kept = {".snakemake_timestamp"}
        left = [file for file in self.runs.rglob("*") if file.name.startswith(".") and file.name not in kept]
        return [*left, *self.runs.glob("*.lock"), *self.runs.glob("checkpoints/*")]
