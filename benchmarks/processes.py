"""One run shared by several processes: memory of each, and what they send, against their formulas.

    python benchmarks/processes.py          # writes results/benchmarks/processes.json (Linux)
    python benchmarks/processes.py --samples 600 --output quick.json

For each N and number of processes: three epochs of fine-tuning of affinity fusion on random subspaces, then two
readings of C. A process' memory is its greatest resident size (Linux's ``VmHWM``, reset before) less its size before
the network was made, the same work having been done for 200 samples. What is sent are the bytes of the loopback
interface during the epochs, all processes together; its headers are among them. Seconds of an epoch are the smallest of
the three: processes of one machine share its cores.

From the formulas, on paper: what N = 200 000 needs on eight cards of 80 GB, how many it would take, which N fits, and
what the same N needs with anchors.
"""

from __future__ import annotations

import argparse
import gc
import json
import re
import tempfile
import time
from pathlib import Path

import torch

import dmsc
from dmsc.data import Dataset
from dmsc.experiments.memory import ANCHORS, bytes_needed, bytes_per_process, bytes_sent
from dmsc.experiments.processes import launch
from dmsc.experiments.records import environment, save_record
from dmsc.losses import LossWeights
from dmsc.model import SubspaceNetwork
from dmsc.networks import Architecture
from dmsc.paths import ROOT
from dmsc.presets import preset
from dmsc.sharded_spectral import read_sharded_labels
from dmsc.sharding import Shard
from dmsc.spectral import PLAIN, Reading
from dmsc.training import finetune

DATA = {"n_clusters": 10, "subspace_dim": 3, "ambient_dim": 60, "noise": 0.1}
WARM_UP, EPOCHS = 200, 3
SAMPLES, PROCESSES = (3000, 6000), (1, 2, 4)
WIDTHS = (100, 50)  # of the dense layers: the last one is a latent's
ON_PAPER = {"n_samples": 200_000, "cards": 8, "gigabytes": 80.0, "width": 1024, "usable": 0.9}


def resident(field: str) -> int:
    """Return this process' size ("VmRSS") or its greatest since it was reset ("VmHWM") in bytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(rf"{field}:\s*(\d+) kB", status)[1]) * 1024


def loopback() -> int:
    """Return how many bytes have been sent within this machine."""
    lines = Path("/proc/net/dev").read_text(encoding="ascii").splitlines()
    (numbers,) = (line.split(":")[1].split() for line in lines if line.strip().startswith("lo:"))
    return int(numbers[8])


def work(n_samples: int, zero_diagonal: bool) -> dict:
    """Train and read; return this process' memory, and of all what was sent."""
    shard = Shard(n_samples)
    dataset = dmsc.load_dataset("synthetic", n_samples=n_samples, **DATA)
    Xs = [torch.tensor(X[shard.rows]) for X in dataset.Xs]
    torch.manual_seed(0)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = resident("VmRSS")
    shapes = [X.shape[1:] for X in Xs]
    model = SubspaceNetwork(shapes, n_samples, Architecture(dense=WIDTHS), zero_diagonal=zero_diagonal, shard=shard)
    ticks, sent = [], []

    def tick(*_) -> None:
        shard.wait()
        sent.append(loopback())
        ticks.append(time.perf_counter())
        shard.wait()

    finetune(model, Xs, epochs=EPOCHS + 1, weights=LossWeights(), callback=tick, progress=False)
    training = resident("VmHWM") - before
    C = model.self_expression.coefficients
    parameters = sum(p.numel() for p in model.autoencoder_parameters())
    width = sum(int(torch.tensor(shape).prod()) for shape in model.latent_shapes)
    del model
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    held = resident("VmRSS")
    for reading in (PLAIN, Reading(ratio=0.5, dim=3)):
        read_sharded_labels(C, DATA["n_clusters"], reading, shard=shard)
    return {
        "training_bytes": training,
        "reading_bytes": resident("VmHWM") - held + C.numel() * 4,
        "sent_bytes": (sent[-1] - sent[0]) // EPOCHS,
        "epoch_seconds": min(b - a for a, b in zip(ticks, ticks[1:], strict=False)),
        "width": width,
        "n_parameters": parameters,
    }


def measure(n_samples: int, zero_diagonal: bool, folder: str) -> int:
    """Do the work of one process, and put down what was measured."""
    torch.set_num_threads(1)
    work(WARM_UP, zero_diagonal)
    shard = Shard(n_samples)
    found = shard.everyone(work(n_samples, zero_diagonal))
    if shard.rank == 0:
        greatest = {name: max(each[name] for each in found) for name in found[0]}
        Path(folder, "found.json").write_text(json.dumps(greatest), encoding="utf-8")
    return 0


def point(n_samples: int, processes: int, zero_diagonal: bool) -> dict:
    """Measure one number of processes, and say what the formulas expect."""
    with tempfile.TemporaryDirectory() as folder:
        launch(processes, measure, n_samples, zero_diagonal, folder)
        found = json.loads(Path(folder, "found.json").read_text(encoding="utf-8"))
    training, reading = bytes_per_process(n_samples, found["width"], processes, zero_diagonal)
    expected = {"training_bytes": training, "reading_bytes": reading}
    expected["sent_bytes"] = bytes_sent(n_samples, found["width"], processes, found["n_parameters"])
    setting = {"n_samples": n_samples, "processes": processes, "zero_diagonal": zero_diagonal}
    return {**setting, "measured": found, "expected": expected}


def on_paper() -> dict:
    """Return what the formulas say of more samples than were measured."""
    N, cards, width = ON_PAPER["n_samples"], ON_PAPER["cards"], ON_PAPER["width"]
    room = ON_PAPER["usable"] * ON_PAPER["gigabytes"] * 1e9

    def needed(n: int, p: int) -> int:
        return max(bytes_per_process(n, width, p))

    training, reading = bytes_per_process(N, width, cards)
    enough = next(p for p in range(cards, 1000) if needed(N, p) <= room)
    to_train = next(p for p in range(cards, 1000) if bytes_per_process(N, width, p)[0] <= room)
    fits = max(n for n in range(1000, N + 1, 1000) if needed(n, cards) <= room)
    X = torch.zeros(1, width).expand(N, width).numpy()  # no memory
    anchored = preset("affinity", "", 10, anchors=ANCHORS)
    return {
        **ON_PAPER,
        "training_bytes": training,
        "reading_bytes": reading,
        "cards_to_train": to_train,
        "cards_to_train_and_read": enough,
        "samples_that_fit": fits,
        "sent_bytes_per_epoch": bytes_sent(N, width, cards, 0),
        "bytes_with_anchors": bytes_needed(Dataset("paper", [X], n_clusters=10), anchored, ("plain",)),
    }


def main() -> None:
    """Measure all, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, nargs="+", default=SAMPLES)
    parser.add_argument("--processes", type=int, nargs="+", default=PROCESSES)
    parser.add_argument("--output", type=Path, default=ROOT / "results" / "benchmarks" / "processes.json")
    arguments = parser.parse_args()
    record = {"environment": environment(), "data": DATA, "epochs": EPOCHS, "on_paper": on_paper(), "points": []}
    for n_samples in arguments.samples:
        for zero_diagonal in (False, True):
            for processes in arguments.processes:
                found = point(n_samples, processes, zero_diagonal)
                record["points"].append(found)
                expected = {name: value for name, value in found["expected"].items() if value}
                ratios = {name: found["measured"][name] / value for name, value in expected.items()}
                told = ", ".join(
                    f"{name} {found['measured'][name] / 1e6:.1f} MB, {r:.2f} of the formula"
                    for name, r in ratios.items()
                )
                print(f"N = {n_samples}, {processes} processes, zero diagonal {zero_diagonal}: {told}", flush=True)
    save_record(record, arguments.output)
    print(json.dumps(record["on_paper"], indent=1))


if __name__ == "__main__":
    main()
