"""`dmsc sweep`: run what a study has no record of yet, one run after the other, and go on where an earlier one stopped.

In ``runs/<study>/`` each run has its record ``<run>.json`` (or ``<run>.failed.json``), its log ``<run>.log``, and,
while it lasts, a lock and checkpoints. Runs that only read C otherwise share the latter, and train once.
A batch engine calls it for one run a time (``only``); see workflow/README.md.
"""

from __future__ import annotations

import fcntl
import glob
import json
import os
import shutil
import sys
import time
import traceback
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from datetime import datetime, timezone
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from ..devices import precision, release_cards, resolve_device
from ..methods import Baseline, Method
from ..paths import write_text
from .planning import State, choose_runs, earlier_runs, expected_minutes
from .records import FAILED, RESULTS, RUNS, environment, load_records, method_scores, save_record
from .run import run_experiment
from .studies import PlannedRun, read_study, study_path
from .tables import family_table, metrics_text

__all__ = ["sweep"]


def sweep(
    study: str | Path,
    *,
    only: Collection[str] = (),
    dry_run: bool = False,
    retry: bool = False,
    device: str = "auto",
    store: str | Path = RUNS,
    results: str | Path = RESULTS,
) -> int:
    """Run a study; return the exit status: 1 if a run of it failed.

    With ``only``, it is 1 unless every run that was named has a record in the end: a run that another sweep is at work
    on has none yet.

    Parameters
    ----------
    study : path or str
        Its file, or the name of one in ``studies/``. All of it is checked before anything runs.
    only : collection of str
        Names of runs; all by default.
    dry_run : bool
        Only list the runs: what is done, and how many minutes the others will take by the records there are; "shared"
        are those that an earlier one in the list trains for.
    retry : bool
        Do runs again that failed before.
    device : str
        Of the networks; baselines run on the CPU.
    store, results : path
        Where runs are written (into a folder of the study's name), and where committed studies are.
    """
    environment()  # the code is loaded now: the records will name the commit of this moment
    file = study_path(study)
    every = read_study(file)
    sharing = _sharing(every)
    runs = choose_runs(every, only)
    del every  # and with it the datasets of other runs
    used = resolve_device(device)
    for run in runs:
        if isinstance(run.method, Method):
            with precision(run.method.precision, used):  # refuses what the device hasn't
                pass
    state = State(file.stem, Path(store) / file.stem, Path(results) / file.stem)
    states = state.of(run.name for run in runs)
    waiting = [run for run in runs if states[run.name] == "to do" or (retry and states[run.name] == "failed")]
    earlier = earlier_runs(store, results)
    counts = ", ".join(f"{count} {name}" for name, count in Counter(states.values()).items())
    print(f"{file}: {len(runs)} runs: {counts}")
    trained = {run.training: run.name for run in reversed(waiting)}  # by the first of those that share a training
    if dry_run:
        for run in runs:
            shared = states[run.name] != "done" and trained.get(run.training, run.name) != run.name
            left = "" if states[run.name] == "done" else "shared" if shared else f"{_estimate(run, earlier)} min"
            told = ", ".join([run.config.get("variant", ""), *(f"{k}={v}" for k, v in run.settings.items())])
            print(f"  {states[run.name]:<6}  {left:>9}  {run.name}  {told.removeprefix(', ')}".rstrip())
    if dry_run or waiting:
        print(_forecast(waiting, {*trained.values()}, earlier), flush=True)
    if dry_run:
        return 0
    if waiting:
        state.folder.mkdir(parents=True, exist_ok=True)
        _run_all(waiting, sharing, state, device, retry)
    return _conclude(runs, state, bool(only))


def _sharing(runs: list[PlannedRun]) -> dict[str, list[str]]:
    """Return the names of the runs by the name of their training."""
    names: dict[str, list[str]] = {}
    for run in runs:
        names.setdefault(run.training, []).append(run.name)
    return names


def _estimate(run: PlannedRun, earlier: pd.DataFrame) -> str:
    expected = expected_minutes(run, earlier)
    return "?" if expected is None else f"{expected:.1f}"


def _forecast(waiting: list[PlannedRun], training: set[str], earlier: pd.DataFrame) -> str:
    if not waiting:
        return "nothing to do"
    expected = [
        expected_minutes(run, earlier) for run in waiting if run.name in training
    ]  # to read C again takes little
    known = [value for value in expected if value is not None]
    unknown = len(expected) - len(known)
    return (
        f"{len(waiting)} to do, about {sum(known):.1f} min by earlier records"
        + f", and {unknown} of which no record tells" * bool(unknown)
    )


def _run_all(waiting: list[PlannedRun], sharing: dict[str, list[str]], state: State, device: str, retry: bool) -> None:
    began = time.time()
    bar = tqdm(waiting, unit="run", disable=None)  # off where stderr is no terminal
    for number, run in enumerate(bar, start=1):
        count = f"[{number}/{len(waiting)}] {run.name}"
        checkpoints = state.folder / "checkpoints" / run.training
        with _locked(state.folder / f"{run.training}.lock") as mine:
            before = state.of([run.name])[run.name]  # another sweep may have been quicker
            if not mine:
                outcome = "skipped: another sweep is at work on it, or on its training"
            elif before == "done" or (before == "failed" and (not retry or state.failed_since(run.name, began))):
                outcome = f"skipped: another sweep did it ({before})"
            else:
                bar.set_description(run.name)
                if bar.disable:
                    print(f"{count} starts", flush=True)
                _remove_unfinished(run, state)
                outcome = _run(run, state, device, checkpoints)
            if mine and {*state.of(sharing[run.training]).values()} == {"done"}:
                shutil.rmtree(checkpoints, ignore_errors=True)
        with tqdm.external_write_mode():
            print(f"{count} {outcome}", flush=True)


def _remove_unfinished(run: PlannedRun, state: State) -> None:
    """Remove what a process that was killed had begun to write of this run; its lock is ours."""
    for file in state.folder.glob(f".{glob.escape(run.name)}.*.tmp*"):
        file.unlink()
    for file in (state.folder / "checkpoints" / run.training).glob(".*.tmp*"):
        file.unlink()


def _run(run: PlannedRun, state: State, device: str, checkpoints: Path) -> str:
    """Run, with whatever is printed in the run's log; write the record or the note on its failure; return a line."""
    began = time.monotonic()
    _forget_peak_memory()
    with state.path(run.name, ".log").open("a", 1, "utf-8") as log, redirect_stdout(log), redirect_stderr(log):
        print(f"{_now()} {run.name} of study {state.study}\n{run.dataset!r}\n{run.method.source}", flush=True)
        try:
            experiment = run_experiment(
                run.dataset,
                run.method,
                seed=run.seed,
                device="auto" if isinstance(run.method, Baseline) else device,
                checkpoint_dir=checkpoints,
                resume=True,
                progress=False,
            )
            save_record(experiment.record, state.path(run.name, ".json"))
        except Exception as error:  # whatever it is: it is written down, and the others go on
            traceback.print_exc()
            problem = " ".join(f"{type(error).__name__}: {error}".split())
            note = {"run": run.name, "study": state.study, "error": problem, "time": _now(), "config": run.config}
            write_text(state.path(run.name, FAILED), json.dumps(note, indent=1, sort_keys=True) + "\n")
            return f"failed after {_passed(began)}: {problem} (see {state.path(run.name, '.log')})"
        print(f"{metrics_text(experiment.record)}\n{_now()} done", flush=True)
    state.path(run.name, FAILED).unlink(missing_ok=True)
    accuracies = {reading: scores.get("acc") for reading, scores in method_scores(experiment.record).items()}
    known = "  ".join(f"{reading} {100 * acc:.1f}" for reading, acc in accuracies.items() if acc is not None)
    return f"done in {_passed(began)}" + f", ACC {known}" * bool(known)


def _conclude(runs: list[PlannedRun], state: State, all_needed: bool) -> int:
    """Print the table of the runs' records and what became of them; return the exit status."""
    names = {run.name for run in runs}
    found = load_records(*(folder for folder in (state.folder, state.committed) if folder.is_dir()))
    records = {record["run"]: record for record in found if record["run"] in names}
    if records:
        print(f"\n{family_table([*records.values()])}")
    print(f"{len(records)} of {len(runs)} runs have a record")
    failed = [run for run in runs if run.name not in records and state.path(run.name, FAILED).exists()]
    for run in failed:
        problem = json.loads(state.path(run.name, FAILED).read_text(encoding="utf-8"))["error"]
        print(f"{run.name} failed: {problem}", file=sys.stderr)
    if failed:
        print(f"{len(failed)} of {len(runs)} runs failed: --retry does them again", file=sys.stderr)
    if any(state.path(run.name, ".json").exists() for run in runs):
        print(f"to keep them: dmsc record add {state.folder} --study {state.study}")
    if all_needed and not failed and len(records) < len(runs):
        print("another sweep is at work on what has no record: wait for it, or end it", file=sys.stderr)
    return int(bool(failed) or (all_needed and len(records) < len(runs)))


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Hold a lock file, if no other process holds it; a killed process holds none. The file goes with the lock."""
    while True:
        handle = path.open("w")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.close()
            yield False
            return
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle.fileno()), path.stat()):
                break
        handle.close()  # its holder has removed that file in between: once more
    try:
        yield True
    finally:
        path.unlink()
        handle.close()


def _forget_peak_memory() -> None:
    """Let the peak memory of this process begin anew, so that each record has its own; where the system can."""
    release_cards()
    with suppress(OSError):  # not Linux
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _passed(began: float) -> str:
    return f"{(time.monotonic() - began) / 60:.1f} min"
