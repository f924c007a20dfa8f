"""Records: what a run writes down, where it is kept, and how it is read again.

A record is one JSON object of format 3: configuration, device, versions, times, metrics. `dmsc run` writes it into
the untracked store ``runs/``, a file per run. What is worth keeping moves into a study: ``results/<study>/`` has a file
per dataset, ``<dataset>.jsonl``, with one record a line, sorted by the names of the runs.
"""

from __future__ import annotations

import fcntl
import functools
import json
import os
import platform
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.io
import torch

from ..devices import device_name, is_card, resolve_device
from ..paths import IN_CHECKOUT, ROOT, replacing, write_text

__all__ = [
    "BEST",
    "FAILED",
    "FORMAT",
    "METRICS",
    "READINGS",
    "RESULTS",
    "RUNS",
    "add_to_study",
    "check_export",
    "check_study_name",
    "environment",
    "find_runs",
    "load_records",
    "looks",
    "method_scores",
    "move_to_study",
    "records_frame",
    "records_path",
    "save_coefficients",
    "save_record",
    "show_versions",
    "study_file",
    "thin",
]

FORMAT = 3
PACKAGES = ("torch", "numpy", "scipy", "scikit-learn")
RUNS = ROOT / "runs"  # where runs write, untracked
RESULTS = ROOT / "results"  # studies, committed
FAILED = ".failed.json"  # ending of the note on a run that failed
NO_STUDIES = ("benchmarks", "checkpoints", "notebooks")  # folders beside the studies that hold no records of theirs
#: What labels were read off: C of what was run (three readings), and the closed form on the raw views.
READINGS = ("plain", "paper", "selected", "raw_plain", "raw_paper")
#: And what labels would have chosen: of the checked epochs, in the paper's reading, the one with the best accuracy. No
#: result, but where some published numbers come from.
BEST = "best_by_labels"
METRICS = ("acc", "nmi", "ari", "purity", "eigengap")


def environment() -> dict:
    """Describe where a number comes from: time, Python, CPU, threads, package versions and git commit."""
    from .. import __version__  # not at import time: the package is still being imported then

    versions = {"dmsc": __version__, **{package: version(package) for package in PACKAGES}}
    return {
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "versions": versions,
        "git": dict(_git_state()),
    }


def show_versions(device: str = "auto") -> None:
    """Print what the following numbers depend on: versions, and on a second line the device that is used."""
    here = environment()
    used, threads = resolve_device(device), here["threads"]
    name = f"CPU, {threads} thread{'s' if threads > 1 else ''}"
    name = device_name(used) if is_card(used) else name
    print(" · ".join([f"python {here['python']}", *(f"{what} {number}" for what, number in here["versions"].items())]))
    print(f"device: {name}")


@functools.cache  # the code of this process was loaded by now: a checkout may move on while a sweep lasts
def _git_state() -> dict:
    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=10, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    if not IN_CHECKOUT:
        return {"commit": None, "modified": None}  # installed outside a checkout
    changed = git("status", "--porcelain", "--untracked-files=no")
    return {"commit": git("rev-parse", "HEAD"), "modified": None if changed is None else bool(changed)}


def thin(history: dict[str, list[float]], points: int = 50) -> dict[str, list[float]]:
    """Keep about ``points`` epochs of a history, the first and the last among them, under the key ``epoch``."""
    if not history:
        return {}
    length = len(next(iter(history.values())))
    kept = sorted({*np.linspace(0, length - 1, min(points, length)).round().astype(int).tolist()})
    return {"epoch": [i + 1 for i in kept]} | {name: [values[i] for i in kept] for name, values in history.items()}


def save_record(record: dict, path: str | Path) -> None:
    """Write a record as indented JSON with sorted keys."""
    write_text(path, json.dumps(record, indent=1, sort_keys=True, allow_nan=False) + "\n")


def load_records(*paths: str | Path) -> list[dict]:
    """Read records.

    Parameters
    ----------
    *paths : path
        Files, ``.json`` (one record) or ``.jsonl`` (one a line), or folders of such files: all of them, also in folders
        below, in the order of their names. Benchmarks, checkpoints, executed notebooks and notes on failed runs below a
        folder are passed over.

    Returns
    -------
    list of dict
        A record that is met twice counts once.

    Raises
    ------
    FileNotFoundError
        If there is nothing at a path.
    ValueError
        If something isn't a record; the message names the file and the line.
    """
    met: dict[str, list[dict]] = defaultdict(list)
    for file in (file for path in paths for file in _record_files(Path(path))):
        whole = file.read_bytes()
        for number, line in enumerate(whole.split(b"\n") if file.suffix == ".jsonl" else [whole], start=1):
            if line.strip() or file.suffix == ".json":
                record = _parse(line, f"{file}, line {number}," if file.suffix == ".jsonl" else str(file))
                if record not in met[record["run"]]:
                    met[record["run"]].append(record)
    return [record for records in met.values() for record in records]


def _record_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileNotFoundError(f"no records at {path}: write some with 'dmsc run'")
    return [
        file
        for file in sorted(path.rglob("*.json*"))
        if file.suffix in (".json", ".jsonl")
        and not file.name.startswith(".")  # being written just now
        and not file.name.endswith(FAILED)
        and not {*NO_STUDIES}.intersection(file.relative_to(path).parts[:-1])
    ]


def _parse(text: bytes, where: str) -> dict:
    try:
        record = json.loads(text)
        if record["format"] != FORMAT:
            raise ValueError(f"format {record['format']}: 'dmsc record migrate' renews the older ones")
        _row(record)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise ValueError(f"{where} is no record of format {FORMAT} ({what})") from None
    return record


def records_path(name: str | Path, results: str | Path = RESULTS) -> Path:
    """Return the folder of a study, or else the file or folder of that name.

    Raises
    ------
    FileNotFoundError
        If it is neither.
    """
    paths = (Path(results) / name, Path(name))
    path = next((path for path in paths if path.exists()), None)
    if path is None:
        studies = [path.name for path in sorted(Path(results).glob("*/")) if path.is_dir()]
        known = ", ".join(name for name in studies if name not in NO_STUDIES) or "none yet"
        raise FileNotFoundError(f"no study, folder or file {str(name)!r} (studies: {known}): 'dmsc run' writes records")
    return path


def method_scores(record: dict) -> dict:
    """Return the scores of what was run, a network or a baseline, by reading."""
    metrics = record["metrics"]
    return metrics["network"] if "network" in metrics else metrics["baseline"]


def records_frame(records: Iterable[dict]) -> pd.DataFrame:
    """Make a table with one row per run.

    Columns: ``run``, ``dataset``, ``variant``, ``n_clusters``, ``method``, ``seed``, ``epochs`` (of fine-tuning),
    ``of_paper`` (how many its paper has), ``device``, ``minutes``, ``peak_memory_mb``, ``objective`` (the last loss),
    ``pretrain_error`` (of the autoencoders before fine-tuning, as a share of ‖X‖²), and ``<reading>_<metric>`` for each
    of READINGS and BEST, and of METRICS; what a run hasn't is missing. Everything else that records hold, one column
    per leaf: ``pandas.json_normalize(records)``.
    """
    frame = pd.DataFrame([_row(record) for record in records])
    return frame if frame.empty else frame.astype({"epochs": "Int64", "of_paper": "Int64"})


def _row(record: dict) -> dict:
    config, method = record["config"], record["config"]["method"]
    row = {
        "run": record["run"],
        "dataset": config["dataset"],
        "variant": config.get("variant", ""),
        "n_clusters": config["n_clusters"],
        "method": method["name"],
        "seed": config["seed"],
        "epochs": method.get("finetune_epochs"),
        "of_paper": record["finetune_epochs_of_paper"],
        "device": record["device"],
        "minutes": sum(record["seconds"].values()) / 60,
        "peak_memory_mb": record["peak_memory_mb"],
        "objective": record["label_free"].get("objective"),
        "pretrain_error": record["label_free"].get("pretrain_reconstruction_error"),
    }
    raw, own = record["metrics"].get("raw", {}), method_scores(record)
    for reading in READINGS:
        scores = raw if reading.startswith("raw_") else own
        for metric in METRICS:
            row[f"{reading}_{metric}"] = scores.get(reading.removeprefix("raw_"), {}).get(metric, np.nan)
    best = max(looks(record), key=lambda look: look["acc"], default={})
    return row | {f"{BEST}_{metric}": best.get(metric, np.nan) for metric in METRICS}


def looks(record: dict) -> list[dict]:
    """Return the scores of C in the paper's reading at the epochs at which a run looked at it, with ``epoch``.

    Nothing for runs without epochs or labels.
    """
    looked_at = (record["selection"] or {}).get("candidates", ()) if "network" in record["metrics"] else ()
    return [look for look in looked_at if look["reading"] == "paper" and "acc" in look]


def check_study_name(study: str) -> str:
    """Return the name of a study, or refuse one that can't be a folder beside the others."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", study) or study in NO_STUDIES:
        raise ValueError(
            f"study {study!r}: its name becomes a folder of results/: use letters, digits, '-' and '_', "
            f"and none of {', '.join(NO_STUDIES)}"
        )
    return study


def study_file(config: dict, study: str, results: str | Path = RESULTS) -> Path:
    """Return the file of a study that a run belongs to: one per dataset, and one for each kind of corruption."""
    kinds = re.findall(r"(?:^|, )([a-z]+)", config.get("variant", ""))
    return Path(results) / check_study_name(study) / f"{'-'.join([config['dataset'], *kinds])}.jsonl"


def add_to_study(
    records: Sequence[dict], study: str, *, overwrite: bool = False, results: str | Path = RESULTS
) -> list[Path]:
    """Merge records into the files of a study; each file changes as a whole or not at all.

    Returns
    -------
    list of Path
        The files that the records are in.

    Raises
    ------
    ValueError
        If the study has another record of the same run, and ``overwrite`` isn't set. Nothing has been changed then.
    """
    folder = Path(results) / check_study_name(study)
    folder.mkdir(parents=True, exist_ok=True)
    with _alone_in(folder):
        merged: dict[Path, dict[str, dict]] = {}
        for record in records:
            file, run = study_file(record["config"], study, results), record["run"]
            if file not in merged:
                merged[file] = {known["run"]: known for known in (load_records(file) if file.exists() else [])}
            if merged[file].get(run, record) != record and not overwrite:
                raise ValueError(f"{file} has another record of {run}: overwrite it with --overwrite")
            merged[file][run] = record
        for file, known in merged.items():
            write_text(file, "".join(_line(known[run]) for run in sorted(known)))
    return list(merged)


def _line(record: dict) -> str:
    return json.dumps(record, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Wait until no other process merges into this folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def find_runs(names: Iterable[str | Path], store: str | Path = RUNS) -> list[Path]:
    """Return the files of finished runs, each named by its file, its folder, or the run's name in the store (also `*`).

    Raises
    ------
    ValueError, FileNotFoundError
        If there is no such run.
    """
    files: dict[Path, None] = {}
    for name in names:
        path = next((path for path in (Path(store) / name, Path(name)) if path.exists()), None)
        inside = _record_files(Path(store) if path is None else path)
        runs = [file for file in inside if file.suffix == ".json" and (path or fnmatch(file.stem, str(name)))]
        if not runs:
            raise ValueError(f"no finished run {str(name)!r}: give names of runs in {store}, files, or a folder of it")
        files |= dict.fromkeys(runs)
    return list(files)


def move_to_study(
    names: Iterable[str | Path],
    study: str,
    *,
    overwrite: bool = False,
    store: str | Path = RUNS,
    results: str | Path = RESULTS,
) -> list[Path]:
    """Move finished runs, named as in `find_runs`, into a study; return the study's files that have them now."""
    files = find_runs(names, store)
    written = add_to_study(load_records(*files), study, overwrite=overwrite, results=results)
    for file in files:
        file.unlink()
    return written


def check_export(path: str | Path) -> Path:
    """Return the path of an export of coefficients, or refuse another ending than .mat and .npz."""
    if Path(path).suffix not in (".mat", ".npz"):
        raise ValueError(f"coefficients go to a .mat or .npz file, not {Path(path).name!r}")
    return Path(path)


def save_coefficients(path: str | Path, C: np.ndarray, labels: np.ndarray | None = None, **extra: Any) -> None:
    """Export coefficients: ``.mat`` with the listing's name ``Z``, or ``.npz`` with ``coefficients``.

    ``labels``, and other arrays by their names, such as ``anchors``, go with them.
    """
    extra |= {} if labels is None else {"labels": labels}
    with replacing(check_export(path)) as temporary:
        if temporary.suffix == ".mat":
            scipy.io.savemat(temporary, {"Z": C, **extra}, do_compression=True)
        else:
            np.savez_compressed(temporary, coefficients=C, **extra)
