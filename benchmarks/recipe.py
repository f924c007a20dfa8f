"""The whole way from BDGP's views to labels: the listing's recipe, and the shortest one of dmsc.

    DMSC_DATA=... python benchmarks/recipe.py            # writes results/benchmarks/recipe.json
    DMSC_DATA=... python benchmarks/recipe.py --ways "bf16" --seeds 0

The listing pre-trains for 2000 full-batch epochs and fine-tunes for 1001. Both are too long to be run here as they
stand: their seconds are extrapolated from epochs measured in this process, three of each step before every run of ours,
after one that doesn't count. Ours is ``dmsc run`` with the settings in RECIPE: mini-batches and a falling learning
rate, C in closed form at the scale of the latents with the least loss, mini-batches for the decoders. The objective is
the listing's in both cases, with its weights.

Labels are read as in every record: under both post-processings from the last C, and the choice without labels among all
scales. The listing's objective and ACC are those of the committed record that ran all its fine-tuning epochs
(seed 0; pre-trained for as many steps, but of mini-batches). Runs are kept one by one: a benchmark that was stopped
goes on where it was. ``--fresh`` begins anew.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

import listing
import numpy as np
import torch
from epochs import steps, timed

import dmsc
from dmsc.devices import as_tensors, resolve_device
from dmsc.experiments.records import ROOT, environment, save_record
from dmsc.experiments.run import run_id

EPOCHS = {"pretrain": 2000, "finetune": 1001}
RECIPE = {
    "solver": "scale-path",
    "schedule": "cosine",
    "learning_rate": 3e-3,
    "pretrain_batch_size": 25,
    "pretrain_epochs": 40,
    "finetune_epochs": 10,
    "paper_epochs": None,
}
WAYS = {"float32": {}, "bf16": {"precision": "bf16"}}
LISTING_RECORD = "bdgp-affinity-seed0-6431ef7e.json"
PHASES = ("pretrain", "finetune", "selection", "clustering")  # of ours, to labels


def listing_seconds(data: dmsc.Dataset, device: torch.device) -> dict[str, list[float]]:
    """Measure epochs of the listing's two loops."""
    torch.manual_seed(0)
    Xs, network = as_tensors(data.Xs, device), listing.ListingNetwork(data.n_samples).to(device)
    found = {}
    for step in EPOCHS:
        epoch = steps("listing", step, network, Xs, data)
        found[step] = [round(timed(epoch)[0], 4) for _ in range(4)][1:]
    return found


def run(data: dmsc.Dataset, way: str, seed: int, device: torch.device, records: Path) -> dict:
    """Run the recipe with one seed, keep its record, and return what the table needs."""
    method = dmsc.preset("affinity", "bdgp", data.n_clusters, **RECIPE, **WAYS[way])
    record = dmsc.run_experiment(data, method, seed=seed, device=device).record
    name = run_id(data, method, seed)
    save_record(record, records / f"{name}.json")
    return {
        "way": way,
        "seed": seed,
        "record": name,
        "seconds": {phase: record["seconds"][phase] for phase in PHASES},
        "total_seconds": round(sum(record["seconds"][phase] for phase in PHASES), 2),
        "objective": record["label_free"]["objective"],
        "reconstruction_error": record["label_free"]["pretrain_reconstruction_error"],
        "acc": {post: scores["acc"] for post, scores in record["metrics"]["network"].items()},
    }


def summarize(record: dict) -> dict:
    """Return the extrapolation, and mean and standard deviation over the seeds of each way."""
    epochs = {
        step: statistics.median(value for found in record["listing_epochs"] for value in found[step]) for step in EPOCHS
    }
    total = sum(EPOCHS[step] * epochs[step] for step in EPOCHS)
    found = {"listing_seconds_extrapolated": round(total, 1), "listing_epoch_seconds": epochs, "ways": {}}
    for way in WAYS:
        runs = [run for run in record["runs"] if run["way"] == way]
        if runs:
            columns = {"seconds": [r["total_seconds"] for r in runs], "objective": [r["objective"] for r in runs]}
            columns |= {f"acc {post}": [r["acc"][post] for r in runs] for post in runs[0]["acc"]}
            found["ways"][way] = {
                name: [round(float(np.mean(values)), 4), round(float(np.std(values)), 4)]
                for name, values in columns.items()
            }
            found["ways"][way]["speedup"] = round(total / np.mean(columns["seconds"]), 1)
    return found


def main() -> None:
    """Run what is missing, print, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=[*WAYS])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--fresh", action="store_true", help="run all anew")
    parser.add_argument("--records", type=Path, default=ROOT / "results" / "benchmarks" / "recipe")
    parser.add_argument("--output", type=Path, default=ROOT / "results" / "benchmarks" / "recipe.json")
    arguments = parser.parse_args()
    device, data = resolve_device(arguments.device), dmsc.load_dataset("bdgp")
    reference = json.loads((ROOT / "results" / "records" / LISTING_RECORD).read_text(encoding="utf-8"))
    record = {
        "benchmark": "recipe",
        "device": str(device),
        "recipe": RECIPE,
        "listing": {
            "record": LISTING_RECORD,
            "objective": reference["label_free"]["objective"],
            "acc": {post: scores["acc"] for post, scores in reference["metrics"]["network"].items()},
        },
        "listing_epochs": [],
        "runs": [],
    }
    if arguments.output.exists() and not arguments.fresh:
        known = json.loads(arguments.output.read_text(encoding="utf-8"))
        if (known["recipe"], known["device"]) != (RECIPE, str(device)):
            parser.error(f"{arguments.output} holds runs of other settings: use --fresh or --output")
        record = known
    for seed in arguments.seeds:
        for way in arguments.ways:
            if any((r["way"], r["seed"]) == (way, seed) for r in record["runs"]):
                continue
            record["listing_epochs"].append(listing_seconds(data, device))
            record["runs"].append(run(data, way, seed, device, arguments.records))
            record |= {"environment": environment(), "summary": summarize(record)}
            save_record(record, arguments.output)
            r = record["runs"][-1]
            accs = ", ".join(f"{post} {100 * acc:.1f}" for post, acc in r["acc"].items())
            print(
                f"{way:<8} seed {seed}  {r['total_seconds']:6.1f} s  objective {r['objective']:.1f}  ACC {accs}",
                flush=True,
            )
    for way, values in record["summary"]["ways"].items():
        print(f"{way:<8} {values['speedup']} x the listing's {record['summary']['listing_seconds_extrapolated']:.0f} s")
    print(f"record: {arguments.output}")


if __name__ == "__main__":
    main()
