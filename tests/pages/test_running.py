"""`dmsc reproduce` on tiny notebooks: five kernels are started in all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_course import write_course, write_notebook

from dmsc.pages.notebooks import is_current, list_notebooks, read_parameters
from dmsc.pages.parameters import load_parameters, select_notebooks
from dmsc.pages.running import reproduce

pytest.importorskip("papermill")
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def notebooks(tmp_path):
    return list_notebooks(write_course(tmp_path))


def params(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def sources(path):
    return ["".join(cell["source"]) for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]]


def test_a_run_with_failures(tmp_path, notebooks, capfd, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(
        "dmsc.experiments.records.load_records", lambda folder: [path.name for path in folder.iterdir()]
    )
    monkeypatch.setattr("dmsc.experiments.tables.markdown_table", lambda records: f"a table of {records}")
    before = {name: path.read_bytes() for name, path in notebooks.items()}
    out = tmp_path / "out{put}"  # papermill formats paths
    out.mkdir()
    (out / "02_fails.ipynb").write_text("an earlier good output")
    (out / "figures").mkdir()
    for stale in ("01_good-2.png", "01_good-x-2.png"):
        (out / "figures" / stale).write_bytes(b"old")
    given = params(tmp_path, "'01': {epochs: 5}\n02_fails: {epochs: 7}\n")

    assert reproduce(params_file=given, jobs=2, output_dir=out, notebooks_dir=tmp_path / "notebooks") == 1

    printed, errors = capfd.readouterr()
    lines = [line.split()[:2] for line in printed.splitlines()]
    assert sorted(lines[:3]) == [["01_good", "ok"], ["02_fails", "failed"], ["03_dies", "failed"]]
    assert "1 of 3 notebooks ran" in printed and "figures (1) in" in printed
    assert "a table of ['one.json']" in printed
    assert "02_fails failed in cell 5 (`raise ValueError(f'no\\n{epochs}')`): ValueError: no 7\n" in errors
    assert "03_dies failed in cell 5 (`import signal`): DeadKernelError: Kernel died\n" in errors
    assert "Traceback" not in errors and "WARNING" not in errors

    good = json.loads((out / "01_good.ipynb").read_text())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    text = "".join(o["text"][0] for o in good["cells"][-1]["outputs"] if o["output_type"] == "stream")
    epochs, threads, inline, folder = text.split()
    assert (epochs, int(threads), inline, folder) == ("5", max(1, cores // 2), "True", "notebooks")
    assert (out / "figures" / "01_good-1.png").read_bytes().startswith(b"\x89PNG")
    assert {p.name for p in (out / "figures").iterdir()} == {"01_good-1.png", "01_good-x-2.png"}
    assert (out / "02_fails.ipynb").read_text() == "an earlier good output"
    names = {
        "01_good.ipynb",
        "02_fails.failed.ipynb",
        "02_fails.ipynb",
        "03_dies.failed.ipynb",
        "figures",
        "records",
    }
    assert {p.name for p in out.iterdir()} == names
    assert {name: path.read_bytes() for name, path in notebooks.items()} == before

    # the same again is skipped; other parameters or another source are not
    set_to = {"epochs": 5, "records_dir": str(out / "records")}
    assert is_current(notebooks["01_good"], out / "01_good.ipynb", set_to)
    assert not is_current(notebooks["01_good"], out / "01_good.ipynb", {**set_to, "epochs": 6})
    assert not is_current(notebooks["02_fails"], out / "02_fails.ipynb", {"epochs": 7})
    start = time.perf_counter()
    options = {"output_dir": out, "notebooks_dir": tmp_path / "notebooks"}
    assert reproduce(only="01", params_file=given, resume=True, **options) == 0
    assert "01_good  unchanged" in capfd.readouterr().out and time.perf_counter() - start < 0.5
    write_notebook(notebooks["01_good"], [*sources(notebooks["01_good"])[1:], "x = 3"])
    assert not is_current(notebooks["01_good"], out / "01_good.ipynb", set_to)


def test_store_writes_clean_outputs_back(tmp_path, notebooks, capfd):
    path = notebooks["01_good"]
    old = json.loads(path.read_text())
    assert reproduce(["1"], store=True, output_dir=tmp_path / "out", notebooks_dir=path.parent) == 0
    new = json.loads(path.read_text())
    assert [cell["id"] for cell in new["cells"]] == [cell["id"] for cell in old["cells"]]
    assert ["".join(cell["source"]) for cell in new["cells"]] == ["".join(cell["source"]) for cell in old["cells"]]
    assert [cell["metadata"] for cell in new["cells"]] == [{}, {}, {"tags": ["parameters"]}, {}]
    assert [cell["execution_count"] for cell in new["cells"][1:]] == [1, 2, 3]
    assert [output["output_type"] for output in new["cells"][3]["outputs"]] == ["display_data", "stream"]
    assert new["cells"][3]["outputs"][1]["text"][0].startswith("3 ")  # the default, and no records
    spec = {"display_name": "Python 3", "language": "python", "name": "python3"}
    assert new["metadata"] == {"kernelspec": spec, "language_info": {"name": "python"}}
    assert list((tmp_path / "out").iterdir()) == []
    assert {p.name for p in path.parent.iterdir()} == {f"{name}.ipynb" for name in [*notebooks, "scratch"]}


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
def test_ctrl_c_ends_the_kernel_and_leaves_nothing_half_done(tmp_path):
    started = tmp_path / "started"
    cell = f"import os, pathlib, time\npathlib.Path({str(started)!r}).write_text(str(os.getpid()))"
    write_notebook(tmp_path / "01_waits.ipynb", [f"{cell}\ntime.sleep(60)"])
    # a job started in the background inherits SIGINT ignored, and would wait for ever
    call = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from dmsc.pages.running import reproduce; exit(reproduce(notebooks_dir='.', output_dir='out'))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", call], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not (started.exists() and started.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    kernel = int(started.read_text())
    process.send_signal(signal.SIGINT)
    errors = process.communicate(timeout=30)[1]
    assert process.returncode == 130, errors
    assert errors.startswith("interrupted: ") and "Traceback" not in errors
    assert {path.name for path in (tmp_path / "out").iterdir()} <= {"01_waits.failed.ipynb"}
    with pytest.raises(ProcessLookupError):
        os.kill(kernel, 0)


def test_parameters_are_checked_before_anything_runs(tmp_path, notebooks, monkeypatch):
    monkeypatch.setattr("dmsc.pages.running._execute_all", lambda *_: pytest.fail("something ran"))
    given = params(tmp_path, "'01': {epochs: 5}\n'02': {epoch: 7}\n")
    with pytest.raises(ValueError, match=r"02_fails has no parameter 'epoch' \(did you mean 'epochs'\?\): .*epochs"):
        reproduce(only=["01"], params_file=given, output_dir=tmp_path / "out", notebooks_dir=tmp_path / "notebooks")
    assert not (tmp_path / "out").exists()


def test_flat_and_keyed_parameter_files(tmp_path, notebooks):
    names = list(notebooks)
    flat = load_parameters(params(tmp_path, "epochs: 9\n"), notebooks, names[:2])
    assert flat == {"01_good": {"epochs": 9}, "02_fails": {"epochs": 9}}
    for key in ("'01'", "01", "1", "01_good", "01_good.ipynb"):
        keyed = load_parameters(params(tmp_path, f"{key}: {{epochs: null, rate: 1.0e-3}}"), notebooks, names)
        assert keyed == {"01_good": {"epochs": None, "rate": 1e-3}, "02_fails": {}, "03_dies": {}}
    assert load_parameters(params(tmp_path, "# nothing"), notebooks, ["01_good"]) == {"01_good": {}}
    one = load_parameters(params(tmp_path, "'02': {epochs: [1, {a: b}]}"), notebooks, ["01_good"])
    assert one == {"01_good": {}}  # checked, but not selected


def test_selection_and_defaults(notebooks):
    assert select_notebooks(notebooks) == ["01_good", "02_fails", "03_dies"]
    assert select_notebooks(notebooks, ["3", "01_good.ipynb", "03"]) == ["01_good", "03_dies"]
    assert read_parameters(notebooks["01_good"]) == {"epochs": 3, "rate": 0.01, "records_dir": ""}
