"""The command line, called in process."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from dmsc import __main__ as module
from dmsc.__main__ import main
from dmsc.experiments import run_command
from dmsc.experiments.records import load_records
from dmsc.experiments.studies import parse_settings, read_study
from dmsc.paths import ROOT
from dmsc.presets import METHODS, preset

RUN = [
    "run", "--dataset", "synthetic", "--data", "n_samples=30", "ambient_dim=8",
    "--method", "affinity", "--device", "cpu", "--pretrain-epochs", "2", "--finetune-epochs", "3", "--set", "dim=2",
]  # fmt: skip


def folders(tmp_path):
    return ["--records", str(tmp_path / "runs"), "--checkpoints", str(tmp_path / "runs" / "checkpoints")]


def written(tmp_path):
    (path,) = (tmp_path / "runs").glob("*.json")
    return path


def one_line(capsys):
    """The error that was printed, which is one line."""
    error = capsys.readouterr().err
    assert error.startswith("dmsc: ") and error.count("\n") == 1
    return error


def test_run_writes_a_record_and_table_reads_it(tmp_path, capsys):
    assert main([*RUN, *folders(tmp_path), "--coefficients", str(tmp_path / "C.mat")]) == 0
    printed = capsys.readouterr().out
    record = json.loads(written(tmp_path).read_text())
    assert record["config"]["method"]["reading"]["dim"] == 2 and record["config"]["seed"] == 0
    assert record["format"] == 3 and record["run"] == written(tmp_path).stem
    assert f"{record['metrics']['network']['plain']['acc']:.4f}" in printed and str(written(tmp_path)) in printed
    assert (tmp_path / "C.mat").exists()
    assert main(["table", str(tmp_path / "runs")]) == 0
    assert "| synthetic | affinity | 3 (–) | 1 |" in capsys.readouterr().out
    assert main(["table", str(written(tmp_path)), "--format", "csv", "--output", str(tmp_path / "t.csv")]) == 0
    assert (tmp_path / "t.csv").read_text().startswith("dataset,variant,n_clusters,method,settings")


def test_estimate_k_prints_scores(capsys):
    data = ["--dataset", "synthetic", "--data", "n_samples=40", "n_clusters=2", "subspace_dim=2", "noise=0.01"]
    assert main(["estimate-k", *data, "--max-clusters", "4"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("Dataset('synthetic', N=40") and len(printed) == 7
    assert printed[1].split() == ["eigengap", "modularity", "silhouette"]
    assert printed[-1].startswith("highest: eigengap 2, modularity 2, silhouette 2")
    assert main(["estimate-k", *data, "--max-clusters", "1"]) == 2
    assert "max_clusters" in one_line(capsys)


SMALL = {  # shape of the views: K, and words of each command's error
    (1, 5): (1, {"run": ("two samples", "(1, 5)"), "estimate-k": ("three samples", "got 1")}),
    (2, 5): (2, {"estimate-k": ("three samples", "got 2")}),
    (6, 1): (2, {"run": ("two features", "views of 1, 1"), "estimate-k": ("two features", "views of 1, 1")}),
    (3, 5): (4, dict.fromkeys(("run", "estimate-k", "inspect"), ("n_clusters", "number of samples", "got 4"))),
    (3, 4): (1, {}),
}


@pytest.mark.parametrize("shape", SMALL)
@pytest.mark.parametrize("method", ["affinity", "local", "ridge"])
@pytest.mark.filterwarnings("ignore:the coefficients have rank", "ignore:every candidate is degenerate")
def test_data_that_are_too_small_get_one_line(tmp_path, capsys, shape, method):
    n_clusters, expected = SMALL[shape]
    path, X = tmp_path / "my.npz", np.random.default_rng(0).random(shape)
    np.savez(path, view_0=X, view_1=X[::-1] ** 2, n_clusters=n_clusters)
    short = ["--pretrain-epochs", "1", "--finetune-epochs", "1"] if method in METHODS else []
    commands = {
        "run": ["run", "--dataset", str(path), "--method", method, *short, *folders(tmp_path)],
        "estimate-k": ["estimate-k", "--dataset", str(path)],
        "inspect": ["inspect", str(path)],
    }
    for name, command in commands.items():
        assert main(command) == (2 if name in expected else 0)
        if name in expected:
            error = one_line(capsys)
            assert all(word in error for word in expected[name])
        capsys.readouterr()


def test_run_takes_anchors_and_exports_which_they_are(tmp_path, capsys):
    export = tmp_path / "C.npz"
    assert main([*RUN, "anchors=10", *folders(tmp_path), "--coefficients", str(export)]) == 0
    assert "the plain reading after epoch 3" in capsys.readouterr().out
    content = np.load(export)
    assert content["coefficients"].shape == (30, 10) and content["anchors"].shape == (10,)
    assert main(["table", str(tmp_path / "runs")]) == 0
    assert "| synthetic | affinity | 3 (–) | 1 |" in capsys.readouterr().out


def test_run_starts_from_saved_autoencoders(tmp_path, capsys):
    assert main([*RUN, *folders(tmp_path)]) == 0
    (saved,) = (tmp_path / "runs" / "checkpoints").rglob("AE1.pt")
    without_pretraining = [text for text in RUN if text not in ("--pretrain-epochs", "2")]
    options = ["--weights", str(saved), "--records", str(tmp_path / "warm")]
    assert main([*without_pretraining, *options, "--checkpoints", str(tmp_path / "c")]) == 0
    ((record,), (first,)) = load_records(tmp_path / "warm"), load_records(written(tmp_path))
    assert record["config"]["method"]["pretrained"] == "AE1.pt"
    assert record["config"]["method"]["pretrain_epochs"] == 0
    assert record["metrics"]["network"] == first["metrics"]["network"]
    capsys.readouterr()
    assert main([*RUN, *folders(tmp_path), "--weights", "nowhere.pt"]) == 2
    assert "nowhere.pt" in one_line(capsys)


def test_own_data_get_no_papers_settings(tmp_path, capsys):
    """Whatever the file's name is; --preset asks for them, or for none. Mended labels are another run."""
    path, X = tmp_path / "digits.npz", np.random.default_rng(0).random((20, 1, 8, 8))
    own = ["run", "--dataset", str(path), "--method", "dsc-l2", "--pretrain-epochs", "0", "--finetune-epochs", "1"]
    for labels, extra in (([0, 1] * 10, []), ([0, 1] * 10, ["--preset", "digits"]), ([1, 1, 0, 0] * 5, [])):
        np.savez(path, view_0=X, y=labels)
        assert main([*own, *folders(tmp_path), *extra]) == 0
    records = load_records(tmp_path / "runs")
    papers = preset("dsc-l2", "digits", 2).architecture
    layers = [len(record["config"]["method"]["architecture"]["convolutions"]) for record in records]
    assert sorted(layers) == sorted([len(papers.convolutions)] + 2 * [len(METHODS["dsc-l2"].architecture.convolutions)])
    assert {record["config"]["dataset"] for record in records} == {"digits"} and len(records) == 3
    study = tmp_path / "own.yaml"
    study.write_text(f"datasets: ['{path}']\nmethods: [dsc-l2]\n")
    (run,) = read_study(study)
    assert run.method == preset("dsc-l2", "", 2)
    local = ["run", "--dataset", "digits", "--data", "n_per_class=5", "--method", "local", "--preset", "own"]
    assert main([*local, *folders(tmp_path / "other")]) == 0
    assert "chosen without labels: scale=" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        main([*own, *folders(tmp_path), "--preset", "digit"])
    assert "invalid choice: 'digit'" in capsys.readouterr().err


def test_inspect_says_what_a_file_holds(tmp_path, capsys):
    path = tmp_path / "my.npz"
    np.savez(path, X1=[[1.0, np.nan], [3, 4], [5, 6]], X2=np.eye(3), gt=["b", "a", "b"])
    assert main(["inspect", str(path)]) == 2
    assert "nan='mask'" in one_line(capsys)
    assert main(["inspect", str(path), "--data", "views=X1"]) == 2
    assert (error := one_line(capsys)).endswith("1 of 3 rows (the first: 0): drop or fill them\n") and "X1" in error
    assert main(["inspect", str(path), "--data", "nan=mask"]) == 0
    printed = capsys.readouterr().out
    assert "my: N = 3 samples, K = 2, 2 views" in printed and "missing in 1 of 3 rows" in printed
    assert main(["inspect", "synthetic", "--data", "n_samples=30"]) == 0
    assert "N = 30 samples" in capsys.readouterr().out


def test_a_finished_run_answers_with_its_metrics(tmp_path, capsys):
    """With or without --resume; it is not repeated by accident."""
    assert main([*RUN, *folders(tmp_path)]) == 0
    before = written(tmp_path).read_bytes()
    metrics = re.findall(r"acc 0\.\d+", capsys.readouterr().out)
    for extra in ([], ["--resume"]):
        assert main([*RUN, *folders(tmp_path), *extra]) == 0
        printed = capsys.readouterr().out
        assert re.findall(r"acc 0\.\d+", printed) == metrics and len(metrics) > 3
        assert "--overwrite" in printed and str(written(tmp_path)) in printed
    assert written(tmp_path).read_bytes() == before
    assert main([*RUN, *folders(tmp_path), "--overwrite"]) == 0
    assert written(tmp_path).read_bytes() != before  # another time of day at least
    assert main([*RUN, *folders(tmp_path), "--seed", "1"]) == 0
    assert len(list((tmp_path / "runs").glob("*.json"))) == 2


def test_coefficients_of_a_finished_run_need_another_run(tmp_path, capsys):
    assert main([*RUN, *folders(tmp_path)]) == 0
    export = ["--coefficients", str(tmp_path / "C.npz")]
    capsys.readouterr()
    assert main([*RUN, *folders(tmp_path), *export]) == 2
    assert "--overwrite" in one_line(capsys)
    assert main([*RUN, *folders(tmp_path), *export, "--overwrite"]) == 0
    assert main([*RUN, *folders(tmp_path), *export]) == 0  # they are there now


def test_a_run_goes_to_a_folder_that_git_ignores():
    arguments = module.build_parser().parse_args(RUN)
    assert arguments.records == ROOT / "runs" and arguments.checkpoints == ROOT / "runs" / "checkpoints"
    if not (ROOT / ".git").exists():
        pytest.skip("needs git and a checkout")
    inside = [str(folder / "a.json") for folder in (arguments.records, arguments.checkpoints)]
    ignored = subprocess.run(["git", "check-ignore", *inside], cwd=ROOT, capture_output=True, text=True).stdout
    assert ignored.split() == inside


def test_finished_runs_move_into_a_study(tmp_path, capsys):
    results = ["--results", str(tmp_path / "results")]
    assert main([*RUN, *folders(tmp_path)]) == 0
    name = written(tmp_path).stem
    assert main(["record", "add", name, "--study", "mine", *folders(tmp_path)[:2], *results]) == 0
    (record,) = load_records(tmp_path / "results" / "mine" / "synthetic.jsonl")
    assert record["run"] == name and not list((tmp_path / "runs").glob("*.json"))
    capsys.readouterr()
    assert main(["table", "mine", *results, "--layout", "family"]) == 0
    assert "### synthetic (3 clusters)" in capsys.readouterr().out


def test_older_records_become_lines_of_a_study(tmp_path, capsys):
    assert main([*RUN, *folders(tmp_path)]) == 0
    record = json.loads(written(tmp_path).read_text())
    record |= {"format": 1}
    reading = record["config"]["method"].pop("reading")
    del record["run"], record["selection"], record["metrics"]["network"]["selected"], reading["affinity"]
    record["config"]["method"]["post"] = reading
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "a-name.json").write_text(json.dumps(record))
    results = ["--results", str(tmp_path / "results")]
    assert main(["record", "migrate", str(tmp_path / "old"), "--study", "mine", *results]) == 0
    (migrated,) = load_records(tmp_path / "results")
    assert migrated["run"] == written(tmp_path).stem and migrated["formerly"] == "a-name"
    only = tmp_path / "only.yaml"
    only.write_text("datasets: [digits]\nmethods: [kmeans]\n")
    capsys.readouterr()
    assert main(["record", "migrate", str(tmp_path / "old"), "--study", "s", "--only", str(only), *results]) == 0
    assert "0 records" in capsys.readouterr().out and not list((tmp_path / "results").glob("s/*"))


def test_a_table_is_put_into_a_page(tmp_path):
    assert main([*RUN, *folders(tmp_path)]) == 0
    page = tmp_path / "page.md"
    for name in ("", " mine"):
        page.write_text(f"before\n<!-- table{name}: begin -->\n<!-- table{name}: end -->\nafter\n")
        assert main(["table", str(tmp_path / "runs"), "--into", str(page), "--name", name]) == 0
        assert "| synthetic | affinity |" in page.read_text() and page.read_text().endswith("after\n")


def test_a_sweep_is_a_command(tmp_path, capsys):
    path = tmp_path / "tiny.yaml"
    path.write_text("datasets: {synthetic: {options: {n_samples: 24}}}\nmethods: [kmeans]\n")
    where = [*folders(tmp_path)[:2], "--results", str(tmp_path / "results")]
    assert main(["sweep", str(path), "--dry-run", *where]) == 0 and not (tmp_path / "runs").exists()
    assert main(["sweep", str(path), "--device", "cpu", *where]) == 0
    assert "1 of 1 runs have a record" in capsys.readouterr().out
    path.write_text("datasets: [synthetic]\nmethods: [kmens]\n")
    assert main(["sweep", str(path), *where]) == 2
    error = one_line(capsys)
    assert all(word in error for word in ("tiny.yaml", "methods", "'kmens'", "'kmeans'"))


def test_lists(capsys):
    assert main(["datasets"]) == 0 and "bdgp" in capsys.readouterr().out
    assert main(["methods"]) == 0 and "dsc-l2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        (["a=1", "b=0.5"], {"a": 1, "b": 0.5}),
        (["c=ridge"], {"c": "ridge"}),
        (["d=(1, 2)", "e=None"], {"d": (1, 2), "e": None}),
        (["f=null", "g=true", "h=false"], {"f": None, "g": True, "h": False}),  # as in a study
    ],
)
def test_settings(pairs, expected):
    assert parse_settings(pairs) == expected


DIGITS = ["run", "--dataset", "digits", "--method", "dsc-l2"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--dataset", "digit", "--method", "dsc-l2"], "digits"),
        (["run", "--dataset", "digits", "--method", "dsc"], "'dsc'"),
        ([*DIGITS, "--set", "epochs=3"], "'epochs'"),
        ([*DIGITS, "--set", "epochs"], "name=value"),
        ([*DIGITS, "--device", "tpu"], "'tpu'"),
        ([*DIGITS, "--finetune-epochs", "-1"], "-1"),
        ([*DIGITS, "--coefficients", "C.csv"], "C.csv"),
        ([*DIGITS, "--seed", "-1"], "-1"),
        (["table", "no/such/folder"], "no/such/folder"),
        (["sweep", "no-such-study"], "no-such-study"),
        (["record", "add", "no-such-run", "--study", "mine", "--records", "tests"], "no-such-run"),
        (["record", "migrate", "no/such", "--study", "mine"], "no/such"),
    ],
)
def test_errors_are_one_line_and_status_two(arguments, words, capsys, tmp_path):
    extra = [*folders(tmp_path), "--pretrain-epochs", "0"] if arguments[0] == "run" else []
    assert main([*arguments, *extra]) == 2
    assert words in one_line(capsys)
    assert not list(tmp_path.iterdir())


EXPECTED = {
    "full disk": (OSError(errno.ENOSPC, "No space left on device"), "No space left"),
    "no memory": (MemoryError(), "MemoryError"),
    "no memory for numpy": (MemoryError("Unable to allocate 3.0 GiB"), "3.0 GiB"),
    "no memory on the card": (torch.OutOfMemoryError("CUDA out of memory.\nTried"), "OutOfMemoryError: CUDA"),
    "no memory for torch": (
        RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory:\nyou tried"),
        "can't allocate memory",
    ),
    "singular": (torch.linalg.LinAlgError("linalg.cholesky: not\npositive-definite"), "cholesky"),
    "not installed": (ImportError("install papermill"), "papermill"),
}


@pytest.mark.parametrize(("error", "words"), EXPECTED.values(), ids=EXPECTED)
def test_what_the_machine_lacks_is_one_line(error, words, tmp_path, capsys, monkeypatch):
    def failing(*arguments, **options):
        raise error

    monkeypatch.setattr(run_command, "run_experiment", failing)
    assert main([*RUN, *folders(tmp_path)]) == 2
    assert words in one_line(capsys)
    assert not list(tmp_path.rglob("*.json"))


def test_a_full_disk_in_training_leaves_nothing_behind(tmp_path, capsys, monkeypatch):
    def full(content, path):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    assert main([*RUN, *folders(tmp_path)]) == 2
    assert "No space left" in one_line(capsys)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_fault_of_this_package_is_not_hidden(tmp_path, monkeypatch):
    def failing(*arguments, **options):
        raise RuntimeError("shapes don't match")

    monkeypatch.setattr(run_command, "run_experiment", failing)
    with pytest.raises(RuntimeError):
        main([*RUN, *folders(tmp_path)])


def test_an_interrupt_is_one_line_and_status_130(tmp_path, capsys, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(run_command, "run_experiment", interrupted)
    assert main([*RUN, *folders(tmp_path)]) == 130
    assert "--resume" in one_line(capsys)


@pytest.mark.slow
def test_a_run_that_is_killed_resumes_to_the_same_metrics(tmp_path):
    """The signal is SIGKILL, in the middle of fine-tuning; then --resume."""

    def command(folder, *extra):
        whole = [*RUN, "--finetune-epochs", "1500", "--checkpoint-every", "100", *folders(tmp_path / folder), *extra]
        return [sys.executable, "-m", "dmsc", *whole]

    def metrics(folder):
        return json.loads(written(tmp_path / folder).read_text())["metrics"]

    subprocess.run(command("whole"), check=True, capture_output=True, cwd=ROOT)
    process = subprocess.Popen(command("killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    deadline = time.monotonic() + 120
    while not list((tmp_path / "killed").glob("runs/checkpoints/*/AE2.pt")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not list((tmp_path / "killed").glob("runs/*.json"))
    subprocess.run(command("killed", "--resume"), check=True, capture_output=True, cwd=ROOT)
    assert metrics("killed") == metrics("whole")


def test_a_reader_that_has_enough_ends_the_command_quietly():
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as nobody_reads:
        command = [sys.executable, "-m", "dmsc", "datasets"]
        done = subprocess.run(command, stdout=nobody_reads, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (141, "")
