"""A SLURM cluster of one node for the tests of this folder; `make test-cluster` runs them."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest
from engine import Workflow

from .slurm import Cluster, missing

HERE = Path(__file__).parent
#: What a cluster without accounting needs, as the profile says; and less patience than for a real one.
OPTIONS = ["--slurm-no-account", "--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "2"]
OPTIONS += ["--latency-wait", "20"]


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    pytest.importorskip("snakemake_executor_plugin_slurm", reason='needs pip install -e ".[workflow]"')
    if missing():
        pytest.skip(f"needs {', '.join(missing())}: apt install slurm-wlm munge")
    with Cluster(tmp_path_factory.mktemp("slurm") / "cluster") as running:
        yield running


class OnCluster(Workflow):
    """A study in a folder, run through SLURM."""

    def __init__(self, folder, content, cluster):
        super().__init__(folder, content, "slurm", cluster.environment)

    def command(self, *options):
        return super().command(*OPTIONS, *options)


@pytest.fixture
def on_cluster(tmp_path, cluster):
    """Return a function: content of a study → the study as a workflow on the cluster; after a failure, it is ended."""
    yield lambda content: OnCluster(tmp_path, content, cluster)
    cluster.set_node("resume")
    for process in cluster.processes("-m", "snakemake"):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    cluster.cancel()
