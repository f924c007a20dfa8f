"""Records: what a run writes down, and what it exports."""

from __future__ import annotations

import json
import platform
import resource
import subprocess
import sys
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

import numpy as np
import scipy.io
import torch

from ..devices import resolve_device
from ..paths import IN_CHECKOUT, ROOT, replacing, write_text

__all__ = [
    "environment",
    "load_records",
    "method_scores",
    "peak_memory_mb",
    "save_coefficients",
    "save_record",
    "show_versions",
    "thin",
]

PACKAGES = ("torch", "numpy", "scipy", "scikit-learn")


def environment() -> dict:
    """Describe where a number comes from: time, Python, package versions, threads and git commit."""
    from .. import __version__  # not at import time: the package is still being imported then

    versions = {"dmsc": __version__, **{package: version(package) for package in PACKAGES}}
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
            record["config"]["method"]["name"], method_scores(record)  # noqa: B018
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is not a record ({type(error).__name__}: {error})") from None
        records.append(record)
    return records


def method_scores(record: dict) -> dict:
    """Return the scores of what was run, a network or a baseline, by post-processing."""
    metrics = record["metrics"]
    return metrics["network"] if "network" in metrics else metrics["baseline"]


def save_coefficients(path: str | Path, C: np.ndarray, labels: np.ndarray | None = None) -> None:
    """Export coefficients: ``.mat`` with the listing's name ``Z``, or ``.npz`` with ``coefficients``.

    Raises
    ------
    ValueError
        For another ending.
    """
    path = Path(path)
    extra = {} if labels is None else {"labels": labels}
    if path.suffix not in (".mat", ".npz"):
        raise ValueError(f"coefficients go to a .mat or .npz file, not {path.name!r}")
    with replacing(path) as temporary:
        if path.suffix == ".mat":
            scipy.io.savemat(temporary, {"Z": C, **extra}, do_compression=True)
        else:
            np.savez_compressed(temporary, coefficients=C, **extra)
