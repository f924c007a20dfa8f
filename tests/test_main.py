"""The command line, called in process."""

import json
import signal
import subprocess
import sys
import time

import pytest

from dmsc.__main__ import main, parse_settings
from dmsc.experiments.records import ROOT

RUN = [
    "run", "--dataset", "synthetic", "--data", "n_samples=30", "ambient_dim=8",
    "--method", "affinity", "--device", "cpu", "--pretrain-epochs", "2", "--finetune-epochs", "3", "--set", "dim=2",
]  # fmt: skip


def folders(tmp_path):
    return ["--records", str(tmp_path / "records"), "--checkpoints", str(tmp_path / "checkpoints")]


def test_run_writes_a_record_and_table_reads_it(tmp_path, capsys):
    assert main([*RUN, *folders(tmp_path), "--coefficients", str(tmp_path / "C.mat")]) == 0
    printed = capsys.readouterr().out
    (path,) = (tmp_path / "records").glob("*.json")
    record = json.loads(path.read_text())
    assert record["config"]["method"]["post"]["dim"] == 2 and record["config"]["seed"] == 0
    assert f"{record['metrics']['network']['plain']['acc']:.4f}" in printed
    assert (tmp_path / "C.mat").exists()
    assert main(["table", str(tmp_path / "records")]) == 0
    assert "| synthetic | affinity | 3 (–) | 1 |" in capsys.readouterr().out
    assert main(["table", str(tmp_path / "records"), "--format", "csv", "--output", str(tmp_path / "t.csv")]) == 0
    assert (tmp_path / "t.csv").read_text().startswith("dataset,variant,n_clusters,method")


def test_a_finished_run_is_not_overwritten_by_accident(tmp_path, capsys):
    assert main([*RUN, *folders(tmp_path)]) == 0
    (path,) = (tmp_path / "records").glob("*.json")
    before = path.read_text()
    assert main([*RUN, *folders(tmp_path)]) == 2
    assert "--overwrite" in capsys.readouterr().err and path.read_text() == before
    assert main([*RUN, *folders(tmp_path), "--overwrite"]) == 0
    assert main([*RUN, *folders(tmp_path), "--seed", "1"]) == 0
    assert len(list((tmp_path / "records").glob("*.json"))) == 2


def test_lists(capsys):
    assert main(["datasets"]) == 0 and "bdgp" in capsys.readouterr().out
    assert main(["methods"]) == 0 and "dsc-l2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        (["a=1", "b=0.5"], {"a": 1, "b": 0.5}),
        (["c=ridge"], {"c": "ridge"}),
        (["d=(1, 2)", "e=None"], {"d": (1, 2), "e": None}),
    ],
)
def test_settings(pairs, expected):
    assert parse_settings(pairs) == expected


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--dataset", "digit", "--method", "dsc-l2"], "digits"),
        (["run", "--dataset", "digits", "--method", "dsc"], "unknown method 'dsc'"),
        (
            ["run", "--dataset", "digits", "--method", "dsc-l2", "--set", "epochs=3"],
            "unknown setting 'epochs'",
        ),
        (["run", "--dataset", "digits", "--method", "dsc-l2", "--set", "epochs"], "name=value"),
        (["run", "--dataset", "digits", "--method", "dsc-l2", "--device", "tpu"], "unknown device 'tpu'"),
        (["run", "--dataset", "digits", "--method", "dsc-l2", "--finetune-epochs", "-1"], "got -1"),
        (["table", "no/such/folder"], "no folder of records"),
    ],
)
def test_errors_are_one_line_and_status_two(arguments, words, capsys, tmp_path):
    extra = [*folders(tmp_path), "--pretrain-epochs", "0"] if arguments[0] == "run" else []
    assert main([*arguments, *extra]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1 and error.startswith("dmsc: ")


@pytest.mark.slow
def test_a_run_that_is_killed_resumes_to_the_same_metrics(tmp_path):
    """The signal is SIGKILL, in the middle of fine-tuning; then --resume."""

    def command(folder, *extra):
        whole = [*RUN, "--finetune-epochs", "1500", "--checkpoint-every", "100", *folders(tmp_path / folder), *extra]
        return [sys.executable, "-m", "dmsc", *whole]

    def metrics(folder):
        (path,) = (tmp_path / folder / "records").glob("*.json")
        return json.loads(path.read_text())["metrics"]

    subprocess.run(command("whole"), check=True, capture_output=True, cwd=ROOT)
    process = subprocess.Popen(command("killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    deadline = time.monotonic() + 120
    while not list((tmp_path / "killed").glob("checkpoints/*/AE2.pt")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not list((tmp_path / "killed").glob("records/*"))
    subprocess.run(command("killed", "--resume"), check=True, capture_output=True, cwd=ROOT)
    assert metrics("killed") == metrics("whole")
