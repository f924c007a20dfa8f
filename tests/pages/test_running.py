"""`dmsc reproduce` on tiny notebooks: what it prints, writes and leaves behind. Each test starts a kernel or a few."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from tiny_course import write_course, write_notebook

import dmsc
from dmsc.pages.notebooks import is_current, list_notebooks
from dmsc.pages.running import reproduce

pytest.importorskip("papermill")
psutil = pytest.importorskip("psutil")


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
    ends = [["01_good", "ok"], ["02_fails", "failed"], ["03_dies", "failed"]]
    assert sorted(lines[:6]) == sorted([*ends, *([name, "starts"] for name, _ in ends)])
    for name, state in ends:
        assert lines.index([name, "starts"]) < lines.index([name, state])
    assert lines[:2] == [["01_good", "starts"], ["02_fails", "starts"]]  # two jobs, and the third waits
    assert lines.index(["03_dies", "starts"]) > 2
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


def processes(marker):
    """Return the ids of all living processes with this marker in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("DMSC_TEST") == marker and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except psutil.Error:
            pass
    return found


@pytest.fixture
def sleeping(tmp_path):
    """Start ``dmsc reproduce`` on a page that sleeps; return the process and its marker when the page runs."""
    started, marker = tmp_path / "started", uuid.uuid4().hex
    cell = f"import os, pathlib, time\npathlib.Path({str(started)!r}).write_text(str(os.getpid()))\ntime.sleep(60)"
    write_notebook(tmp_path / "01_waits.ipynb", [cell])
    write_notebook(tmp_path / "02_never.ipynb", [cell])
    # a job started in the background inherits SIGINT ignored, and would wait for ever
    call = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from dmsc.pages.running import reproduce; exit(reproduce(notebooks_dir='.', output_dir='out'))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(dmsc.__file__).parents[1]), "DMSC_TEST": marker}
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen([sys.executable, "-c", call], cwd=tmp_path, env=environment, **output)
    deadline = time.monotonic() + 60
    while not (started.exists() and started.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert int(started.read_text()) in processes(marker)
    assert len(processes(marker)) >= 3, "the command, its worker and the kernel"
    yield process, marker
    for pid in processes(marker):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_signal_to_the_command_alone_ends_all_of_it(tmp_path, sleeping, number, status):
    process, marker = sleeping
    process.send_signal(number)
    output = process.communicate(timeout=10)[0]  # comes back when nothing holds the pipe any more
    assert process.returncode == status, output
    deadline = time.monotonic() + 3
    while processes(marker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not processes(marker)
    assert output.splitlines()[0] == "01_waits  starts"
    if number != signal.SIGKILL:
        assert "interrupted" in output and "Traceback" not in output and len(output.splitlines()) == 2
    assert list((tmp_path / "out").iterdir()) == [], "nothing half done"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_on_a_terminal_a_bar_takes_the_place_of_the_first_lines(tmp_path):
    import fcntl
    import pty
    import termios

    write_notebook(tmp_path / "01_quick.ipynb", ["print(1)"])
    main, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))  # lines and columns
    call = "from dmsc.pages.running import reproduce; exit(reproduce(notebooks_dir='.', output_dir='out'))"
    environment = {**os.environ, "PYTHONPATH": str(Path(dmsc.__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-c", call], cwd=tmp_path, env=environment, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    shown = b""
    try:
        while part := os.read(main, 4096):
            shown += part
    except OSError:  # Linux says so at the end
        pass
    os.close(main)
    assert process.wait(10) == 0
    assert b"0/1" in shown and b"1/1" in shown and b"01_quick  ok" in shown and b"starts" not in shown


def test_parameters_are_checked_before_anything_runs(tmp_path, notebooks, monkeypatch):
    monkeypatch.setattr("dmsc.pages.running._execute_all", lambda *_: pytest.fail("something ran"))
    given = params(tmp_path, "'01': {epochs: 5}\n'02': {epoch: 7}\n")
    with pytest.raises(ValueError, match="02_fails.*'epoch'.*'epochs'"):
        reproduce(only=["01"], params_file=given, output_dir=tmp_path / "out", notebooks_dir=tmp_path / "notebooks")
    assert not (tmp_path / "out").exists()


def test_a_worker_that_dies_is_its_pages_failure(tmp_path, notebooks, monkeypatch, capfd):
    cell = "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)"  # the kernel's parent
    write_notebook(tmp_path / "notebooks" / "01_good.ipynb", [cell])
    assert reproduce(["1", "2"], output_dir=tmp_path / "out", notebooks_dir=tmp_path / "notebooks") == 1
    printed, errors = capfd.readouterr()
    assert "0 of 2 notebooks ran" in printed
    assert "01_good failed" in errors and "02_fails failed" in errors and "Traceback" not in errors
