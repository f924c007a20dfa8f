"""What a study needs before it runs: what is done, how long the rest may take, how much memory; one job per run.

`dmsc sweep` and the rules in ``workflow/Snakefile`` both plan with it.
"""

from __future__ import annotations

import csv
import difflib
import io
import math
from collections.abc import Collection, Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import pandas as pd

from ..methods import Baseline
from ..paths import write_text
from .memory import process_megabytes
from .records import FAILED, RESULTS, RUNS, load_records, records_frame
from .studies import PlannedRun, read_study, study_path

__all__ = [
    "Job",
    "State",
    "choose_runs",
    "earlier_runs",
    "expected_minutes",
    "minutes_limit",
    "plan_study",
    "write_plan",
]

#: A time limit: so many times what earlier records lead to expect, for a slower machine, and at least so many minutes;
#: or so many where no record tells. A job that is ended by it goes on from a checkpoint when it is tried again.
PATIENCE, LEAST_LIMIT, UNKNOWN_LIMIT = 3, 15, 240


@dataclass(frozen=True)
class Job:
    """One run of a study as a batch engine sees it.

    Parameters
    ----------
    run : str
        Its name.
    after : str
        The run that has to be done before, as it trains the same network; often none: "".
    network : int
        1 if it trains a network, which a GPU would make faster; 0 for a baseline.
    mem_mb : int
        Memory of the process in MiB, see `dmsc.experiments.memory.process_megabytes`.
    minutes : str
        What earlier records lead to expect; "" if none tells.
    limit : int
        Minutes after which it may be ended, see `minutes_limit`.
    """

    run: str
    after: str
    network: int
    mem_mb: int
    minutes: str
    limit: int


class State:
    """What is known of the runs of a study: records in its two folders, notes on failures."""

    def __init__(self, study: str, folder: Path, committed: Path) -> None:
        self.study, self.folder, self.committed = study, folder, committed

    def of(self, runs: Iterable[str]) -> dict[str, str]:
        """Return "done", "failed" or "to do" by the names of the runs."""
        committed = self.kept()
        return {run: "done" if run in committed else self._in_folder(run) for run in runs}

    def kept(self) -> set[str]:
        """Return the names of the runs whose records are committed."""
        return {record["run"] for record in load_records(self.committed)} if self.committed.is_dir() else set()

    def _in_folder(self, run: str) -> str:
        if self.path(run, ".json").exists():
            return "done"
        return "failed" if self.path(run, FAILED).exists() else "to do"

    def path(self, run: str, ending: str) -> Path:
        """Return a file of a run."""
        return self.folder / f"{run}{ending}"

    def failed_since(self, run: str, then: float) -> bool:
        """Tell whether a note on the run's failure is younger than a time."""
        note = self.path(run, FAILED)
        return note.exists() and note.stat().st_mtime > then


def choose_runs(runs: list[PlannedRun], names: Collection[str]) -> list[PlannedRun]:
    """Return the runs of these names, in the order of the study; all of them if there are no names."""
    known = {run.name for run in runs}
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise ValueError(f"the study has no run {name!r}{hint}: 'dmsc sweep STUDY --dry-run' lists them")
    return [run for run in runs if not names or run.name in names]


def earlier_runs(*folders: str | Path) -> pd.DataFrame:
    """Return the records that there are, to expect times from."""
    frame = records_frame(load_records(*(folder for folder in folders if Path(folder).is_dir())))
    return frame if frame.empty else frame.assign(epochs=frame["epochs"].fillna(0))


def expected_minutes(run: PlannedRun, earlier: pd.DataFrame) -> float | None:
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


def minutes_limit(expected: float | None) -> int:
    """Return how many minutes a job may take of which so many are expected."""
    return UNKNOWN_LIMIT if expected is None else max(LEAST_LIMIT, math.ceil(PATIENCE * expected))


def plan_study(study: str | Path, *, store: str | Path = RUNS, results: str | Path = RESULTS) -> list[Job]:
    """Return a job for each run of a study that isn't committed, whether it has been done in the store or not.

    Of runs that train the same network each waits for the one before it: the first trains, the others read its C.
    """
    file = study_path(study)
    runs = read_study(file)
    committed = State(file.stem, Path(store) / file.stem, Path(results) / file.stem).kept()
    earlier = earlier_runs(store, results)
    studied = {id(run.whole): run.whole for run in runs}.values()
    jobs: list[Job] = []
    last: dict[str, str] = {}  # by the name of their training
    for run in (run for run in runs if run.name not in committed):
        expected = expected_minutes(run, earlier)
        job = Job(
            run=run.name,
            after=last.get(run.training, ""),
            network=int(not isinstance(run.method, Baseline)),
            mem_mb=process_megabytes(run.whole, run.method, studied),
            minutes="" if expected is None else f"{expected:.1f}",
            limit=minutes_limit(expected),
        )
        last[run.training] = run.name
        jobs.append(job)
    return jobs


def write_plan(jobs: list[Job], path: str | Path) -> None:
    """Write jobs as CSV, a line each below their names."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(Job))
    writer.writerows(map(astuple, jobs))
    write_text(path, text.getvalue())
