"""`dmsc sweep`: run what a study has no record of yet, one run after the other, and go on where an earlier one stopped.

In ``runs/<study>/`` each run has its record ``<run>.json`` (or ``<run>.failed.json``), its log ``<run>.log``, and,
while it lasts, a lock and checkpoints. Runs that only read C otherwise share the latter, and train once.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from datetime import datetime, timezone
from pathlib import Path

import pandas as pd
import torch
from tqdm import tqdm

from ..devices import precision, resolve_device
from ..methods import Baseline, Method
from ..paths import write_text
from .records import FAILED, RESULTS, RUNS, environment, load_records, method_scores, records_frame, save_record
from .run import run_experiment
from .studies import PlannedRun, read_study, study_path
from .tables import family_table, metrics_text

__all__ = ["sweep"]


def sweep(
    study: str | Path,
    *,
    dry_run: bool = False,
    retry: bool = False,
    device: str = "auto",
    store: str | Path = RUNS,
    results: str | Path = RESULTS,
) -> int:
    """Run a study; return the exit status: 1 if a run of it failed.

    Parameters
    ----------
    study : path or str
        Its file, or the name of one in ``studies/``. All of it is checked before anything runs.
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
    runs = read_study(file)
    used = resolve_device(device)
    for run in runs:
        if isinstance(run.method, Method):
            with precision(run.method.precision, used):  # refuses what the device hasn't
                pass
    state = State(file.stem, Path(store) / file.stem, Path(results) / file.stem)
    states = state.of(runs)
    waiting = [run for run in runs if states[run.name] == "to do" or (retry and states[run.name] == "failed")]
    earlier = _minutes(store, results)
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
        _run_all(waiting, runs, state, device, retry)
    return _conclude(runs, state)


class State:
    """What is known of the runs of a study: records in its two folders, notes on failures."""

    def __init__(self, study: str, folder: Path, committed: Path) -> None:
        self.study, self.folder, self.committed = study, folder, committed

    def of(self, runs: list[PlannedRun]) -> dict[str, str]:
        """Return "done", "failed" or "to do" by the names of the runs."""
        committed = {record["run"] for record in load_records(self.committed)} if self.committed.is_dir() else set()
        return {run.name: "done" if run.name in committed else self._in_folder(run) for run in runs}

    def _in_folder(self, run: PlannedRun) -> str:
        if self.path(run, ".json").exists():
            return "done"
        return "failed" if self.path(run, FAILED).exists() else "to do"

    def path(self, run: PlannedRun, ending: str) -> Path:
        """Return a file of a run."""
        return self.folder / f"{run.name}{ending}"

    def failed_since(self, run: PlannedRun, then: float) -> bool:
        """Tell whether a note on the run's failure is younger than a time."""
        note = self.path(run, FAILED)
        return note.exists() and note.stat().st_mtime > then


def _minutes(*folders: str | Path) -> pd.DataFrame:
    """Return the records that there are, to expect times from."""
    frame = records_frame(load_records(*(folder for folder in folders if Path(folder).is_dir())))
    return frame if frame.empty else frame.assign(epochs=frame["epochs"].fillna(0))


def _expected(run: PlannedRun, earlier: pd.DataFrame) -> float | None:
    """Return the mean minutes of such runs; or else, by their epochs, of this or any network on the same data."""
    if earlier.empty:
        return None
    epochs = getattr(run.method, "finetune_epochs", 0)
    like = earlier[earlier["dataset"] == run.whole.name]
    same = like[like["method"] == run.method.name]
    exact = same[same["epochs"] == epochs]["minutes"]
    if len(exact):
        return float(exact.mean())
    for near in (same, like):
        trained = near[near["epochs"] > 0]
        if epochs and len(trained):
            return float((trained["minutes"] / trained["epochs"].astype(float)).mean() * epochs)
    return None


def _estimate(run: PlannedRun, earlier: pd.DataFrame) -> str:
    expected = _expected(run, earlier)
    return "?" if expected is None else f"{expected:.1f}"


def _forecast(waiting: list[PlannedRun], training: set[str], earlier: pd.DataFrame) -> str:
    if not waiting:
        return "nothing to do"
    expected = [_expected(run, earlier) for run in waiting if run.name in training]  # to read C again takes little
    known = [value for value in expected if value is not None]
    unknown = len(expected) - len(known)
    return (
        f"{len(waiting)} to do, about {sum(known):.1f} min by earlier records"
        + f", and {unknown} of which no record tells" * bool(unknown)
    )


def _run_all(waiting: list[PlannedRun], runs: list[PlannedRun], state: State, device: str, retry: bool) -> None:
    began = time.time()
    bar = tqdm(waiting, unit="run", disable=None)  # off where stderr is no terminal
    for number, run in enumerate(bar, start=1):
        count = f"[{number}/{len(waiting)}] {run.name}"
        checkpoints = state.folder / "checkpoints" / run.training
        with _locked(state.folder / f"{run.training}.lock") as mine:
            before = state.of([run])[run.name]  # another sweep may have been quicker
            if not mine:
                outcome = "skipped: another sweep is at work on it, or on its training"
            elif before == "done" or (before == "failed" and (not retry or state.failed_since(run, began))):
                outcome = f"skipped: another sweep did it ({before})"
            else:
                bar.set_description(run.name)
                if bar.disable:
                    print(f"{count} starts", flush=True)
                outcome = _run(run, state, device, checkpoints)
            sharing = [other for other in runs if other.training == run.training]
            if mine and {*state.of(sharing).values()} == {"done"}:
                shutil.rmtree(checkpoints, ignore_errors=True)
        with tqdm.external_write_mode():
            print(f"{count} {outcome}", flush=True)


def _run(run: PlannedRun, state: State, device: str, checkpoints: Path) -> str:
    """Run, with whatever is printed in the run's log; write the record or the note on its failure; return a line."""
    began = time.monotonic()
    _forget_peak_memory()
    with state.path(run, ".log").open("a", 1, "utf-8") as log, redirect_stdout(log), redirect_stderr(log):
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
            save_record(experiment.record, state.path(run, ".json"))
        except Exception as error:  # whatever it is: it is written down, and the others go on
            traceback.print_exc()
            problem = " ".join(f"{type(error).__name__}: {error}".split())
            note = {"run": run.name, "study": state.study, "error": problem, "time": _now(), "config": run.config}
            write_text(state.path(run, FAILED), json.dumps(note, indent=1, sort_keys=True) + "\n")
            return f"failed after {_passed(began)}: {problem} (see {state.path(run, '.log')})"
        print(f"{metrics_text(experiment.record)}\n{_now()} done", flush=True)
    state.path(run, FAILED).unlink(missing_ok=True)
    accuracies = {reading: scores.get("acc") for reading, scores in method_scores(experiment.record).items()}
    known = "  ".join(f"{reading} {100 * acc:.1f}" for reading, acc in accuracies.items() if acc is not None)
    return f"done in {_passed(began)}" + f", ACC {known}" * bool(known)


def _conclude(runs: list[PlannedRun], state: State) -> int:
    """Print the table of the study's records and what became of its runs; return the exit status."""
    names = {run.name for run in runs}
    found = load_records(*(folder for folder in (state.folder, state.committed) if folder.is_dir()))
    records = {record["run"]: record for record in found if record["run"] in names}
    if records:
        print(f"\n{family_table([*records.values()])}")
    print(f"{len(records)} of {len(runs)} runs have a record")
    failed = [run for run in runs if run.name not in records and state.path(run, FAILED).exists()]
    for run in failed:
        problem = json.loads(state.path(run, FAILED).read_text(encoding="utf-8"))["error"]
        print(f"{run.name} failed: {problem}", file=sys.stderr)
    if failed:
        print(f"{len(failed)} of {len(runs)} runs failed: --retry does them again", file=sys.stderr)
    if any(state.path(run, ".json").exists() for run in runs):
        print(f"to keep them: dmsc record add {state.folder} --study {state.study}")
    return int(bool(failed))


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
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    with suppress(OSError):  # not Linux
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _passed(began: float) -> str:
    return f"{(time.monotonic() - began) / 60:.1f} min"
