"""The full MNIST test set, 10 000 digits and their edges: anchored self-expression beside dense.

    DMSC_DATA=... python benchmarks/mnist_full.py     # writes results/benchmarks/mnist_full.json
    DMSC_DATA=... python benchmarks/mnist_full.py --quick --output quick.json     # 50 digits of each class

Anchored: m = 500 anchors chosen without labels, clusters read off the N x m factor. Dense: all N x N coefficients in
closed form, plain affinity |C| + |C|ᵀ, spectral clustering. Both on the raw views (unit rows, one penalty, chosen on
2000 random digits without labels), and on the latents of the same trained networks: affinity fusion as the preset has
it, 5 epochs of pre-training by mini-batches, 5 of anchored fine-tuning with C in closed form. Seeds 0 to 2 draw
anchors, networks and batches; the dense C of the raw views has no seed but k-means'. The seconds of "network, dense"
begin after the training, which is in those of "network, anchored".

Results are kept one by one: a run that was stopped goes on where it was. ``--fresh`` begins anew.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from scaling import Clock

import dmsc
from dmsc.data.dataset import Dataset
from dmsc.devices import as_tensors, resolve_device, seed_everything
from dmsc.experiments.records import environment, save_record
from dmsc.losses import repeat_last
from dmsc.methods import Method
from dmsc.metrics import clustering_accuracy, nmi
from dmsc.model import SubspaceNetwork
from dmsc.paths import ROOT
from dmsc.self_expression import choose_ridge, ridge_self_expression, unit_rows
from dmsc.solvers.anchored_training import finetune_anchored
from dmsc.solvers.anchors import anchored_clustering, anchored_ridge, choose_anchors
from dmsc.spectral import read_labels
from dmsc.training import pretrain

SEEDS = (0, 1, 2)
CASES = ("raw, anchored", "raw, dense", "network, anchored", "network, dense")
N_ANCHORS, N_RIDGE, EPOCHS, BATCH = 500, 2000, 5, 500


def score(data: Dataset, labels: np.ndarray, clock: Clock) -> dict:
    """Return what is kept of one result."""
    clock("clustering")
    seconds = {**clock.seconds, "total": sum(clock.seconds.values())}
    return {
        "acc": clustering_accuracy(data.y, labels),
        "nmi": nmi(data.y, labels),
        "seconds": {phase: round(value, 3) for phase, value in seconds.items()},
    }


def anchored_raw(data: Dataset, settings: dict, seed: int, device: torch.device) -> dict:
    """Cluster raw views by anchors."""
    clock = Clock(device)
    rows = unit_rows(data.Xs)
    anchors = choose_anchors(rows, settings["n_anchors"], seed=seed)
    clock("anchors")
    C = anchored_ridge([torch.tensor(X, device=device) for X in rows], anchors, settings["ridge"])
    clock("closed form")
    return score(data, anchored_clustering(C, data.n_clusters, seed=seed), clock)


def dense_raw(data: Dataset, settings: dict, seed: int, device: torch.device) -> dict:
    """Cluster raw views by all N x N coefficients."""
    clock = Clock(device)
    rows = [torch.tensor(X, device=device) for X in unit_rows(data.Xs)]
    C = ridge_self_expression(rows, settings["ridge"]).cpu().numpy()
    clock("closed form")
    return score(data, read_labels(C, data.n_clusters, seed=seed).labels, clock)


def networks(data: Dataset, method: Method, settings: dict, seed: int, device: torch.device) -> tuple[dict, dict]:
    """Train a network around anchors; cluster by its anchored C, and by the dense closed form of its latents."""
    seed_everything(seed)
    clock = Clock(device)
    Xs = as_tensors(data.Xs, device, method.input_scale)
    model = SubspaceNetwork([X.shape[1:] for X in Xs], 1, method.architecture).place(device)
    options = {"epochs": EPOCHS, "learning_rate": method.learning_rate, "seed": seed, "progress": False}
    pretrain(model, Xs, batch_size=BATCH, weights=method.loss.reconstruction, **options)
    clock("pretrain")
    anchors = choose_anchors(data.Xs, settings["n_anchors"], seed=seed)
    clock("anchors")
    history, C = finetune_anchored(model, Xs, anchors, batch_size=BATCH, weights=method.loss, **options)
    clock("finetune")
    anchored = score(data, anchored_clustering(C, data.n_clusters, seed=seed), clock)
    anchored["loss"] = history["loss"]

    clock = Clock(device)
    with torch.no_grad():
        parts = zip(
            *(model.encode([X[rows] for X in Xs]) for rows in torch.arange(len(Xs[0])).split(BATCH)), strict=True
        )
        Zs = [torch.cat(part) for part in parts]
    C = (
        ridge_self_expression(Zs, method.loss.ridge, weights=repeat_last(method.loss.self_expression, len(Zs)))
        .cpu()
        .numpy()
    )
    clock("closed form")
    return anchored, score(data, read_labels(C, data.n_clusters, seed=seed).labels, clock)


def summarize(points: list[dict]) -> dict:
    """Return mean and standard deviation over the seeds (of the population), by case."""
    found = {}
    for case in CASES:
        own = [p for p in points if p["case"] == case]
        values = {name: [p[name] for p in own] for name in ("acc", "nmi")}
        values["seconds"] = [p["seconds"]["total"] for p in own]
        if own:
            found[case] = {
                name: [round(float(np.mean(v)), 4), round(float(np.std(v)), 4)] for name, v in values.items()
            }
    return found


def main() -> None:
    """Measure what is missing, print, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--quick", action="store_true", help="50 digits of each class, 50 anchors, seed 0")
    parser.add_argument("--fresh", action="store_true", help="measure all points anew")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    if arguments.quick and not arguments.output:
        parser.error("--quick needs --output: it must not replace the official record")
    output = arguments.output or ROOT / "results" / "benchmarks" / "mnist_full.json"
    device = resolve_device(arguments.device)
    data = dmsc.load_dataset("mnist_edges", n_per_class=50 if arguments.quick else None)
    method = dmsc.preset("affinity", "mnist_edges", data.n_clusters)
    drawn = np.random.default_rng(0).choice(data.n_samples, min(N_RIDGE, data.n_samples), replace=False)
    settings = {
        "device": str(device),
        "n_samples": data.n_samples,
        "n_anchors": 50 if arguments.quick else N_ANCHORS,
        "ridge": choose_ridge(unit_rows([X[drawn] for X in data.Xs])),
        "ridge_of_latents": method.loss.ridge,
        "epochs": EPOCHS,
        "batch_size": BATCH,
    }
    record = {"benchmark": "mnist_full", "settings": settings, "points": []}
    if output.exists() and not arguments.fresh:
        record = json.loads(output.read_text(encoding="utf-8"))
        if record["settings"] != settings:
            parser.error(f"{output} holds points of other settings, {record['settings']}: use --fresh or --output")
    done = {(p["case"], p["seed"]) for p in record["points"]}

    def keep(case: str, seed: int, point: dict) -> None:
        record["points"].append({"case": case, "seed": seed, **point})
        record.update(environment=environment(), summary=summarize(record["points"]))
        save_record(record, output)
        scores = f"ACC {100 * point['acc']:.1f} %  NMI {100 * point['nmi']:.1f} %"
        print(f"{case:<18} seed {seed}  {scores}  {point['seconds']}", flush=True)

    for seed in SEEDS[:1] if arguments.quick else SEEDS:
        for case, run in (("raw, anchored", anchored_raw), ("raw, dense", dense_raw)):
            if (case, seed) not in done:
                keep(case, seed, run(data, settings, seed, device))
        missing = [case for case in CASES[2:] if (case, seed) not in done]
        if missing:
            found = dict(zip(CASES[2:], networks(data, method, settings, seed, device), strict=True))
            for case in missing:
                keep(case, seed, found[case])
    for case, values in record["summary"].items():
        acc, share, seconds = values["acc"], values["nmi"], values["seconds"]
        print(
            f"{case:<18} ACC {100 * acc[0]:.1f} +- {100 * acc[1]:.1f} %   NMI {100 * share[0]:.1f} +- "
            f"{100 * share[1]:.1f} %   {seconds[0]:.1f} s"
        )
    print(f"record: {output}")


if __name__ == "__main__":
    main()
