"""Records: what a run writes, and the tables made from them."""

from __future__ import annotations

import csv
import io
import json
import os
import platform
import resource
import subprocess
import sys
from collections import defaultdict
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import scipy.io
import torch

from .training import resolve_device

__all__ = [
    "csv_table",
    "environment",
    "load_records",
    "markdown_table",
    "peak_memory_mb",
    "save_coefficients",
    "save_record",
    "show_versions",
    "summarize",
    "thin",
    "write_text",
]

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("dmsc", "torch", "numpy", "scipy", "scikit-learn")


def environment() -> dict:
    """Describe where a number comes from: time, Python, package versions, threads and git commit."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "versions": versions,
        "git": _git_state(),
    }


def show_versions(device: str = "auto") -> None:
    """Print on one line what the following numbers depend on: versions, threads and the device that is used."""
    found = environment()
    versions = " · ".join(f"{name} {number}" for name, number in found["versions"].items())
    device = resolve_device(device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {found['threads']} threads"
    print(f"python {found['python']} · {versions} · device: {name}")


def _git_state() -> dict:
    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=10, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    if not (ROOT / "pyproject.toml").exists():
        return {"commit": None, "modified": None}  # installed outside a checkout
    changed = git("status", "--porcelain", "--untracked-files=no")
    return {"commit": git("rev-parse", "HEAD"), "modified": None if changed is None else bool(changed)}


def thin(history: dict[str, list[float]], points: int = 50) -> dict[str, list[float]]:
    """Keep about ``points`` epochs of a history, the first and the last among them, under the key ``epoch``."""
    if not history:
        return {}
    length = len(next(iter(history.values())))
    kept = sorted({*np.linspace(0, length - 1, min(points, length)).round().astype(int).tolist()})
    return {
        "epoch": [i + 1 for i in kept],
        **{name: [values[i] for i in kept] for name, values in history.items()},
    }


def peak_memory_mb(device: torch.device) -> float:
    """Return the peak memory in MiB: of the card since its counter was reset, or of this process on the CPU."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file under a temporary name, then rename it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def save_record(record: dict, path: str | Path) -> None:
    """Write a record as indented JSON with sorted keys."""
    write_text(path, json.dumps(record, indent=1, sort_keys=True, allow_nan=False) + "\n")


def load_records(folder: str | Path) -> list[dict]:
    """Read every ``*.json`` record of a folder, in the order of their names.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ValueError
        If a file isn't a record; the message names it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder of records at {folder}: write some with 'dmsc run'")
    records = []
    for path in sorted(folder.glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            record["config"]["method"]["name"], record["metrics"]["network"]  # noqa: B018
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is not a record ({type(error).__name__}: {error})") from None
        records.append(record)
    return records


def save_coefficients(path: str | Path, C: np.ndarray, labels: np.ndarray | None = None) -> None:
    """Export coefficients: ``.mat`` with the listing's name ``Z``, or ``.npz`` with ``coefficients``.

    Raises
    ------
    ValueError
        For another ending.
    """
    path = Path(path)
    extra = {} if labels is None else {"labels": labels}
    temporary = path.with_name(f"{path.stem}.tmp{path.suffix}")
    if path.suffix == ".mat":
        path.parent.mkdir(parents=True, exist_ok=True)
        scipy.io.savemat(temporary, {"Z": C, **extra}, do_compression=True)
    elif path.suffix == ".npz":
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(temporary, coefficients=C, **extra)
    else:
        raise ValueError(f"coefficients go to a .mat or .npz file, not {path.name!r}")
    os.replace(temporary, path)


def summarize(records: list[dict]) -> list[dict]:
    """Group records by dataset, method and everything else but the seed; give mean and std over seeds.

    Returns
    -------
    list of dict
        ``dataset``, ``method``, ``epochs``, ``of_paper``, ``device``, ``seeds``, ``minutes``, and for each of the
        systems ``network`` and ``raw``, post-processings ``plain`` and ``paper`` and metrics ``acc``, ``nmi``, ``ari``
        the keys ``network_plain_acc`` and ``network_plain_acc_std`` and so on (``nan`` without labels).
    """
    groups: dict[str, list[dict]] = defaultdict(list)
    for record in records:
        config = {key: value for key, value in record["config"].items() if key != "seed"}
        key = json.dumps([config, record["device"], record["finetune_epochs_of_paper"]], sort_keys=True)
        groups[key].append(record)
    rows = []
    for group in groups.values():
        first = group[0]
        method = first["config"]["method"]
        row = {
            "dataset": first["config"]["dataset"],
            "method": method["name"],
            "epochs": method["finetune_epochs"],
            "of_paper": first["finetune_epochs_of_paper"],
            "device": first["device"],
            "seeds": len({record["config"]["seed"] for record in group}),
            "minutes": float(np.mean([sum(record["seconds"].values()) for record in group])) / 60,
        }
        for system in ("network", "raw"):
            for post in ("plain", "paper"):
                for metric in ("acc", "nmi", "ari"):
                    values = [record["metrics"][system][post].get(metric, np.nan) for record in group]
                    row[f"{system}_{post}_{metric}"] = float(np.mean(values))
                    row[f"{system}_{post}_{metric}_std"] = float(np.std(values))
        rows.append(row)
    return sorted(rows, key=lambda row: (row["dataset"], row["method"], row["epochs"]))


def markdown_table(records: list[dict], metric: str = "acc") -> str:
    """Render a Markdown table of one metric in percent, mean ± std (population) over the seeds."""
    lines = [
        f"| dataset | method | epochs (paper) | seeds | {metric.upper()} plain | {metric.upper()} paper's post "
        f"| raw plain | raw paper's post | device | minutes |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in summarize(records):
        cells = [
            _percent(row[f"{system}_{post}_{metric}"], row[f"{system}_{post}_{metric}_std"], row["seeds"])
            for system in ("network", "raw")
            for post in ("plain", "paper")
        ]
        of_paper = "–" if row["of_paper"] is None else row["of_paper"]
        lines.append(
            f"| {row['dataset']} | {row['method']} | {row['epochs']} ({of_paper}) | {row['seeds']} | "
            + " | ".join(cells)
            + f" | {row['device']} | {row['minutes']:.1f} |"
        )
    return "\n".join(lines) + "\n"


def _percent(mean: float, std: float, seeds: int) -> str:
    if np.isnan(mean):
        return "–"
    return f"{100 * mean:.1f}" + (f" ± {100 * std:.1f}" if seeds > 1 else "")


def csv_table(records: list[dict]) -> str:
    """Render every column of :func:`summarize` as CSV."""
    rows = summarize(records)
    if not rows:
        return ""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()
