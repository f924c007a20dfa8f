"""Runs that several processes share: the record of one; and when a process dies."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from bad_input import one_clear_error
from torch import distributed

from dmsc import load_dataset, preset
from dmsc.__main__ import main
from dmsc.experiments.fitting import check_shareable
from dmsc.experiments.processes import launch, read_slurm, started_elsewhere
from dmsc.metrics import score
from dmsc.spectral import read_labels

DATA = ["--dataset", "digits", "--data", "n_per_class=12"]
SHORT = ["--pretrain-epochs", "3", "--finetune-epochs", "6"]


def dmsc(folder, *arguments, method="affinity"):
    """Run the command in a folder of its own; return its status and the records there."""
    folders = ["--records", str(folder), "--checkpoints", str(folder / "checkpoints")]
    status = main(["run", *DATA, "--method", method, *folders, *arguments])
    return status, [json.loads(file.read_text()) for file in folder.glob("*.json")]


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.mark.slow
def test_the_record_is_that_of_one_process(tmp_path, capfd):
    exported = [tmp_path / "one.npz", tmp_path / "two.npz"]
    _, (one,) = dmsc(tmp_path / "1", *SHORT, "--coefficients", str(exported[0]))
    capfd.readouterr()
    status, (two,) = dmsc(tmp_path / "2", *SHORT, "--coefficients", str(exported[1]), "--processes", "2")
    said = capfd.readouterr()
    assert status == 0 and said.err == "" and said.out.count(f"run {one['run']}") == 1  # the first process alone speaks
    assert (one["config"], one["run"]) == (two["config"], two["run"])
    assert two["processes"] == 2 and "processes" not in one
    coefficients = np.load(exported[1])["coefficients"]
    np.testing.assert_allclose(coefficients, np.load(exported[0])["coefficients"], rtol=1e-4, atol=1e-6)
    data = load_dataset("digits", n_per_class=12)
    for name, reading in preset("affinity", "digits", 10).readings.items():
        read = read_labels(coefficients, 10, reading)  # by one process
        scores = {**score(data.y, read.labels), "eigengap": pytest.approx(read.eigengap, abs=1e-8)}
        assert two["metrics"]["network"][name] == scores
    assert two["selection"]["rule"].startswith("none")
    assert two["metrics"]["network"]["selected"]["acc"] == two["metrics"]["network"]["paper"]["acc"]
    for quantity in ("self_expression_residual", "pretrain_reconstruction_error", "objective"):
        assert two["label_free"][quantity] == pytest.approx(one["label_free"][quantity], rel=1e-4)
    np.testing.assert_allclose(two["history"]["finetune"]["loss"], one["history"]["finetune"]["loss"], rtol=1e-5)
    # and by another launcher, torchrun
    ended = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1"]
        + ["--master-port", str(free_port()), "-m", "dmsc", "run", *DATA, "--method", "affinity", *SHORT]
        + ["--records", str(tmp_path / "3"), "--checkpoints", str(tmp_path / "3" / "checkpoints")],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"GLOO_SOCKET_IFNAME": "lo"},
    )
    assert ended.returncode == 0, ended.stderr
    (three,) = (json.loads(file.read_text()) for file in (tmp_path / "3").glob("*.json"))
    assert three["metrics"] == two["metrics"] and three["processes"] == 2


def children(parent):
    """Return the processes that a process started, the trackers of Python's left out."""
    found = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(number) for number in found if b"spawn_main" in Path(f"/proc/{number}/cmdline").read_bytes()]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes as Linux has them")
def test_a_killed_process_ends_the_run_with_one_line_and_it_goes_on(tmp_path):
    command = [sys.executable, "-m", "dmsc", "run", *DATA, "--method", "dsc-l2", "--pretrain-epochs", "1"]
    command += ["--records", str(tmp_path), "--checkpoints", str(tmp_path / "checkpoints"), "--processes", "2"]
    command += ["--checkpoint-every", "5", "--finetune-epochs"]
    run = subprocess.Popen([*command, "100000"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        until = time.monotonic() + 240
        while not list(tmp_path.rglob("AE2.parts/epoch-*")) and time.monotonic() < until and run.poll() is None:
            time.sleep(0.1)
        os.kill(children(run.pid)[1], signal.SIGKILL)
        _, said = run.communicate(timeout=120)
    finally:
        run.kill()
    assert run.returncode == 2 and len(said.splitlines()) == 1
    assert "process 1 of 2 was killed by SIGKILL" in said and "--resume" in said
    assert not list(tmp_path.glob("*.json"))
    (folder,) = {path.parents[1] for path in tmp_path.rglob("AE2.parts/epoch-*")}
    assert folder.parent.name == "checkpoints" and len(list(folder.glob("AE2.parts/*"))) <= 2


def fail(error):
    """Raise an error in the second process, while the first waits for it."""
    if distributed.get_rank() == 1:
        raise error
    distributed.barrier()
    return 0


def die():
    if distributed.get_rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    distributed.barrier()
    return 0


def answer(status):
    return status + distributed.get_rank()


def test_what_processes_raise_and_return():
    assert launch(2, answer, 7) == 7  # the first one's
    one_clear_error(lambda: launch(2, fail, ValueError("too small")), ValueError, "too small")
    one_clear_error(lambda: launch(2, die), ChildProcessError, ("process 1 of 2", "SIGKILL", "--resume"))


def test_bad_input(tmp_path, capfd):
    too_many = ["--processes", "6", "--data", "n_per_class=1", "--method", "dsc-l2", *SHORT]
    assert dmsc(tmp_path, *too_many) == (2, [])
    said = capfd.readouterr().err
    assert len(said.splitlines()) == 1 and "take 5" in said  # 10 samples, and all six processes say so
    assert dmsc(tmp_path, "--processes", "0") == (2, [])
    assert "processes must be an integer of at least 1, got 0" in capfd.readouterr().err


@pytest.mark.parametrize(
    "method, dataset, settings, words",
    [
        ("ssc", "digits", {}, "ssc is a baseline"),
        (
            "affinity",
            "digits",
            {"solver": "closed-form"},
            "solver=closed-form needs all of C in one process: set solver=adam",
        ),
        ("affinity", "digits", {"anchors": 20}, "set anchors=None"),
        ("dsc-l2", "", {}, "set n_neighbors=None coefficients_init=0.0001, or leave --processes out"),
    ],
)
def test_what_processes_cannot_share(method, dataset, settings, words):
    one_clear_error(lambda: check_shareable(preset(method, dataset, 10, **settings)), ValueError, words)


def test_who_started_the_processes(monkeypatch):
    for name in ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    assert not started_elsewhere() and not started_elsewhere(2)
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    assert not started_elsewhere() and started_elsewhere(4)  # a batch job with several tasks asks for them by name
    one_clear_error(lambda: started_elsewhere(2), ValueError, ("--processes 2", "4 were started"))
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert started_elsewhere() and started_elsewhere(3)


@pytest.mark.parametrize("nodes, meeting", [("1", "127.0.0.1"), ("2", "node-a")])
def test_what_srun_says_is_what_pytorch_reads(nodes, meeting, monkeypatch, tmp_path):
    scontrol = tmp_path / "scontrol"
    scontrol.write_text('#!/bin/sh\n[ "$3" = "node-[a-b]" ] && printf "node-a\\nnode-b\\n"\n')
    scontrol.chmod(0o755)
    told = {
        "PROCID": "3",
        "LOCALID": "1",
        "STEP_NUM_TASKS": "4",
        "STEP_NUM_NODES": nodes,
        "STEP_NODELIST": "node-[a-b]",
    }
    told |= {"JOB_ID": "12", "STEP_ID": "0"}
    ours = (
        "RANK",
        "LOCAL_RANK",
        "WORLD_SIZE",
        "MASTER_ADDR",
        "MASTER_PORT",
        "GLOO_SOCKET_IFNAME",
        "NCCL_SOCKET_IFNAME",
    )
    for name in ours:
        monkeypatch.setenv(name, "")  # what is set below goes with the test
        monkeypatch.delenv(name)
    for name, value in told.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    read_slurm()
    assert [os.environ[name] for name in ours[:4]] == ["3", "1", "4", meeting]
    assert 29_500 <= int(os.environ["MASTER_PORT"]) < 39_500
    assert os.environ.get("GLOO_SOCKET_IFNAME") == ("lo" if nodes == "1" else None)
