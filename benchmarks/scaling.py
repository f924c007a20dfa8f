"""Time and peak memory against N, dense and anchored, on random subspaces.

    python benchmarks/scaling.py            # writes results/benchmarks/scaling.json and scaling.png beside it
    python benchmarks/scaling.py --quick --output quick.json

Four curves: one epoch of fine-tuning (dense: full batch with Adam; anchored: mini-batches with C in closed form), and
from raw views to labels (dense: closed form, thresholding, plain affinity, spectral clustering; anchored: anchors,
closed form, clustering through the factor). The data: ten subspaces of dimension 3 in 30 dimensions, noise 0.1, two
views. The penalty of the closed form is chosen without labels on 1000 samples.

Every point is measured in a process of its own. On the CPU its peak memory is that process's greatest resident size
during the work less its size before it, when the data are loaded and the same work has been done for 500 samples (which
imports what is imported late). It is read from Linux's ``VmHWM``, reset before the work: ``ru_maxrss`` would begin with
the parent's size, which a process inherits. On CUDA it is ``torch.cuda.max_memory_allocated``, data included. Seconds
are medians of the repeats. A slope is that of the line through the three largest N of a curve in log-log scale: the
power of N.

Points are kept one by one: a run that was stopped goes on where it was. ``--fresh`` begins anew.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

import dmsc
from dmsc.devices import forget_peak_memory, is_card, peak_memory_mb, resolve_device, wait_for
from dmsc.experiments.records import environment, save_record
from dmsc.losses import LossWeights
from dmsc.metrics import clustering_accuracy
from dmsc.model import SubspaceNetwork
from dmsc.networks import Architecture
from dmsc.paths import ROOT
from dmsc.self_expression import choose_ridge, ridge_self_expression, unit_rows
from dmsc.solvers.anchored_training import finetune_anchored
from dmsc.solvers.anchors import anchored_clustering, anchored_ridge, choose_anchors
from dmsc.spectral import build_affinity, spectral_clustering, threshold_coefficients
from dmsc.training import finetune

DATA = {"n_clusters": 10, "subspace_dim": 3, "ambient_dim": 30, "noise": 0.1}
DENSE, ANCHORED = (1000, 2000, 4000, 7000, 10_000), (10_000, 30_000, 100_000, 300_000, 1_000_000)
QUICK = (200, 400, 800), (500, 1000, 2000)
N_ANCHORS, BATCH, RATIO = 300, 1000, 0.5  # RATIO thresholds the dense C only
WARM_UP = 500  # samples
MANY, LONG = 5, 2.0  # repeats at most, and seconds after which there are no more
EPOCHS, ONE_EPOCH = 4, 100_000  # the first of four epochs isn't counted; above this N there is but one
CURVES = {
    "dense/epoch": "dense, one epoch of fine-tuning",
    "dense/labels": "dense, raw views to labels",
    "anchored/epoch": "anchored, one epoch of fine-tuning",
    "anchored/labels": "anchored, raw views to labels",
}


def epoch(way: str, n: int, settings: dict, Xs: tuple, device: torch.device) -> dict:
    """Time epochs of fine-tuning."""
    torch.manual_seed(0)
    Xs = [torch.tensor(X, device=device) for X in Xs]
    dense = way == "dense"
    shapes = [X.shape[1:] for X in Xs]
    model = SubspaceNetwork(shapes, n if dense else 1, Architecture(), zero_diagonal=True).place(device)
    ticks = [time.perf_counter()]

    def tick(*_) -> None:  # the losses have been read: the device is done
        ticks.append(time.perf_counter())

    options = {"epochs": 1 if n > ONE_EPOCH else EPOCHS, "weights": LossWeights(), "callback": tick, "progress": False}
    if dense:
        finetune(model, Xs, **options)
    else:
        anchors = choose_anchors(Xs, settings["n_anchors"])
        ticks[0] = time.perf_counter()
        finetune_anchored(model, Xs, anchors, batch_size=BATCH, **options)
    return {"seconds": np.diff(ticks)[-(EPOCHS - 1) :].tolist()}


def labels(way: str, n: int, settings: dict, Xs: tuple, device: torch.device) -> dict:
    """Time the way from raw views to labels, and its phases."""
    way_to_labels = dense_labels if way == "dense" else anchored_labels
    runs, phases = [], []
    while not runs or (len(runs) < MANY and sum(runs) < LONG):
        seconds, found = way_to_labels(settings, Xs, device)  # nothing else of a run is left for the next
        runs.append(sum(seconds.values()))
        phases.append(seconds)
    medians = {name: round(statistics.median(each[name] for each in phases), 4) for name in phases[0]}
    return {"seconds": runs, "phases": medians, "labels": found}


def dense_labels(settings: dict, Xs: tuple, device: torch.device) -> tuple[dict, np.ndarray]:
    """Return seconds by phase and labels from all N x N coefficients."""
    clock = Clock(device)
    rows = [torch.tensor(X, device=device) for X in unit_rows(Xs)]
    C = ridge_self_expression(rows, settings["ridge"]).cpu().numpy()
    clock("closed form")
    C = threshold_coefficients(C, RATIO)
    clock("threshold")
    found = spectral_clustering(build_affinity(C), DATA["n_clusters"])
    clock("spectral")
    return clock.seconds, found


def anchored_labels(settings: dict, Xs: tuple, device: torch.device) -> tuple[dict, np.ndarray]:
    """Return seconds by phase and labels from N x m coefficients."""
    clock = Clock(device)
    rows = unit_rows(Xs)
    anchors = choose_anchors(rows, settings["n_anchors"])
    clock("anchors")
    rows = [torch.tensor(X, dtype=torch.float32, device=device) for X in rows]
    C = anchored_ridge(rows, anchors, settings["ridge"], dtype=torch.float32)
    clock("closed form")
    found = anchored_clustering(C, DATA["n_clusters"])
    clock("spectral")
    return clock.seconds, found


class Clock:
    """Seconds per phase."""

    def __init__(self, device: torch.device):
        self.device, self.seconds, self.last = device, {}, time.perf_counter()

    def __call__(self, phase: str) -> None:
        """Put down what has passed since the last call."""
        wait_for(self.device)
        now = time.perf_counter()
        self.seconds[phase], self.last = now - self.last, now


def resident_mb(field: str) -> float:
    """Return this process's size ("VmRSS") or its greatest one since it was reset ("VmHWM"), in MiB (Linux)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(rf"{field}:\s*(\d+) kB", status)[1]) / 1024


def measure(curve: str, n: int, settings: dict) -> dict:
    """Measure one point: what a child process does."""
    way, task = curve.split("/")
    device = torch.device(settings["device"])
    work = {"epoch": epoch, "labels": labels}[task]
    work(way, WARM_UP, settings, dmsc.load_dataset("synthetic", n_samples=WARM_UP, **DATA).Xs, device)
    data = dmsc.load_dataset("synthetic", n_samples=n, **DATA)
    if is_card(device):
        forget_peak_memory(device)
    else:
        before = resident_mb("VmRSS")
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets VmHWM
    found = work(way, n, settings, data.Xs, device)
    peak = peak_memory_mb(device) if is_card(device) else resident_mb("VmHWM") - before
    point = {
        "curve": curve,
        "n": n,
        "peak_memory_mb": round(peak, 1),
        "repeats": len(found["seconds"]),
        "seconds": statistics.median(found["seconds"]),
        "range": [min(found["seconds"]), max(found["seconds"])],
    }
    if task == "labels":
        point |= {"phases": found["phases"], "acc": clustering_accuracy(data.y, found["labels"])}
    return point


def slopes(points: list[dict]) -> dict:
    """Fit the power of N in seconds and memory through the three largest N of every curve."""
    fitted = {}
    for curve in CURVES:
        last = sorted((p for p in points if p["curve"] == curve), key=lambda p: p["n"])[-3:]
        if len(last) < 2:
            continue
        fitted[curve] = {"n": [p["n"] for p in last]}
        for quantity in ("seconds", "peak_memory_mb"):
            values = np.maximum([p[quantity] for p in last], 1e-3)  # the smallest may not have raised the peak
            slope = np.polyfit(np.log(fitted[curve]["n"]), np.log(values), 1)[0]
            fitted[curve][quantity] = round(float(slope), 2)
    return fitted


def draw(record: dict, path: Path) -> None:
    """Draw time and memory against N."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 5.4), layout="constrained")
    panels = (("seconds", "seconds"), ("peak_memory_mb", "peak memory (MiB)"))
    for axis, (quantity, name) in zip(axes, panels, strict=True):
        for curve, label in CURVES.items():
            way, task = curve.split("/")
            own = sorted((p["n"], p[quantity]) for p in record["points"] if p["curve"] == curve)
            power = record["slopes"].get(curve, {}).get(quantity)
            if not own:
                continue
            axis.loglog(
                *zip(*[(n, value) for n, value in own if value > 0], strict=True),
                color="C3" if way == "dense" else "C0",
                linestyle="-" if task == "labels" else "--",
                marker="o" if task == "labels" else "s",
                label=label if power is None else f"{label}: $N^{{{power:.2f}}}$",
            )
        axis.set(xlabel="samples N", ylabel=name)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.16))
    figure.suptitle("Dense (N × N) and anchored (N × m) self-expression against the number of samples")
    figure.savefig(path, dpi=130)
    plt.close(figure)


def main() -> None:
    """Measure what is missing, print, write the record and the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dense", type=int, nargs="*", help="sizes N")
    parser.add_argument("--anchored", type=int, nargs="*", help="sizes N")
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--fresh", action="store_true", help="measure all points anew")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--point", nargs=3, help=argparse.SUPPRESS)  # the child's: curve, N, settings
    arguments = parser.parse_args()
    if arguments.point:
        curve, n, settings = arguments.point
        print(json.dumps(measure(curve, int(n), json.loads(settings))))
        return
    if arguments.quick and not arguments.output:
        parser.error("--quick needs --output: it must not replace the official record")
    device = resolve_device(arguments.device)
    output = arguments.output or ROOT / "results" / "benchmarks" / "scaling.json"
    dense, anchored = QUICK if arguments.quick else (DENSE, ANCHORED)
    sizes = {
        "dense": dense if arguments.dense is None else arguments.dense,
        "anchored": anchored if arguments.anchored is None else arguments.anchored,
    }
    settings = {
        "device": str(device),
        "n_anchors": 50 if arguments.quick else N_ANCHORS,
        "batch_size": BATCH,
        "dense_threshold": RATIO,
        "ridge": choose_ridge(unit_rows(dmsc.load_dataset("synthetic", n_samples=1000, **DATA).Xs)),
        "data": DATA,
    }
    record = {"benchmark": "scaling", "settings": settings, "points": []}
    if output.exists() and not arguments.fresh:
        record = json.loads(output.read_text(encoding="utf-8"))
        if record["settings"] != settings:
            parser.error(f"{output} holds points of other settings, {record['settings']}: use --fresh or --output")
    for curve in CURVES:
        for n in sizes[curve.split("/")[0]]:
            if any((p["curve"], p["n"]) == (curve, n) for p in record["points"]):
                continue
            command = [sys.executable, __file__, "--point", curve, str(n), json.dumps(settings)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"{curve} with N = {n} failed:\n{done.stderr[-2000:]}")
            record["points"].append(json.loads(done.stdout.splitlines()[-1]))
            record |= {"environment": environment(), "slopes": slopes(record["points"])}
            save_record(record, output)
            p = record["points"][-1]
            acc = f"   ACC {100 * p['acc']:.1f} %" if "acc" in p else ""
            print(f"{curve:<16} N {n:>9,}  {p['seconds']:9.3f} s  {p['peak_memory_mb']:9.1f} MiB{acc}", flush=True)
    for curve, powers in record["slopes"].items():
        print(f"{curve:<16} time ~ N^{powers['seconds']:.2f}, memory ~ N^{powers['peak_memory_mb']:.2f}")
    draw(record, output.with_suffix(".png"))
    print(f"record: {output}")


if __name__ == "__main__":
    main()
