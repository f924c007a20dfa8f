"""What a study costs by its records, and what it costs where networks without a non-linearity take less arithmetic.

    DMSC_DATA=... python benchmarks/study_cost.py             # writes results/benchmarks/study_cost.json
    python benchmarks/study_cost.py --study family --output family.json

The minutes before are those of the study's records. For every run that `dmsc.affine` shortens, epochs of both steps are
taken the plain way and the shorter way in turn, from the same start; the minutes after are the record's, with each of
the two steps divided by the ratio of the median epochs, and with the seconds that the shorter way takes to set up. So
they are expected, not measured: nothing is trained to its end here.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from dmsc import Method
from dmsc.affine import affine_reconstruction, affine_terms
from dmsc.devices import as_tensors, precision
from dmsc.experiments.fitting import build_model
from dmsc.experiments.reader import used_views
from dmsc.experiments.records import RESULTS, environment, load_records, save_record
from dmsc.experiments.studies import PlannedRun, read_study, study_path
from dmsc.losses import finetuning_terms, weighted_squared_error
from dmsc.model import SubspaceNetwork
from dmsc.training import make_optimizer

Loss = Callable[[], torch.Tensor]


def losses_of(run: PlannedRun, step: str, network: SubspaceNetwork, Xs: list[torch.Tensor]) -> tuple[Loss, Loss | None]:
    """Return the loss of a step of training, the plain way and the shorter one, if there is one."""
    loss = run.method.loss
    if step == "finetune":
        short = affine_terms(network, Xs, loss)
        plain = partial(finetuning_terms, network, Xs, loss)
        return lambda: sum(plain().values()), short and (lambda: sum(short().values()))
    return (
        lambda: weighted_squared_error(Xs, network.autoencode(Xs), loss.reconstruction),
        affine_reconstruction(network, Xs, loss.reconstruction),
    )


def is_candidate(run: PlannedRun, step: str) -> bool:
    """Tell whether training would ask for the shorter way, see `dmsc.pretrain` and `dmsc.finetune`."""
    method = run.method
    if not isinstance(method, Method) or run.whole.masks is not None or method.anchors is not None:
        return False
    if step == "pretrain":
        size = method.pretrain_batch_size
        return method.pretrain_through == "latents" and (size is None or size >= run.whole.n_samples)
    return method.correlation is None and method.solver == "adam"


def ratio(run: PlannedRun, step: str, epochs: int) -> dict[str, float] | None:
    """Return the seconds of an epoch of both ways, and of the setup; or None where there is no shorter way."""
    if not is_candidate(run, step):
        return None
    torch.manual_seed(run.seed)
    Xs = as_tensors(used_views(run.whole, run.method), "cpu", run.method.input_scale)
    networks = {"plain": build_model(run.whole, run.method)}
    networks["shorter"] = copy.deepcopy(networks["plain"])
    start = time.perf_counter()
    shorter = losses_of(run, step, networks["shorter"], Xs)[1]
    setup = time.perf_counter() - start
    if shorter is None:
        return None
    losses = {"plain": losses_of(run, step, networks["plain"], Xs)[0], "shorter": shorter}
    optimizers = {way: make_optimizer(network.parameters(), 1e-3) for way, network in networks.items()}
    seconds: dict[str, list[float]] = {way: [] for way in losses}
    for _ in range(epochs + 1):
        for way, loss in losses.items():
            start = time.perf_counter()
            with precision(run.method.precision, "cpu"):
                optimizers[way].zero_grad()
                loss().backward()
                optimizers[way].step()
            seconds[way].append(time.perf_counter() - start)
    medians = {f"{way}_seconds": round(statistics.median(values[1:]), 4) for way, values in seconds.items()}
    return {**medians, "setup_seconds": round(setup, 2)}


def main() -> None:
    """Measure, print and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", default="papers")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RESULTS / "benchmarks" / "study_cost.json")
    arguments = parser.parse_args()
    began_in, path = environment(), study_path(arguments.study)
    records = {record["run"]: record for record in load_records(RESULTS / path.stem)}
    measured: dict[str, dict[str, dict | None]] = {}
    rows = []
    for run in read_study(path):
        if run.name not in records:
            continue
        seconds = records[run.name]["seconds"]
        same = repr(run.method) + run.whole.name  # whatever the seed
        if same not in measured:
            measured[same] = {step: ratio(run, step, arguments.epochs) for step in ("pretrain", "finetune")}
        after = dict(seconds)
        for step, found in measured[same].items():
            if found and step in seconds:
                after[step] = seconds[step] * found["shorter_seconds"] / found["plain_seconds"] + found["setup_seconds"]
        before_minutes, after_minutes = (round(sum(values.values()) / 60, 2) for values in (seconds, after))
        shorter = {step: found for step, found in measured[same].items() if found}
        rows.append({"run": run.name, "before_minutes": before_minutes, "after_minutes": after_minutes, **shorter})
        if shorter:
            print(
                f"{run.name}: {before_minutes:.1f} min by record, {after_minutes:.1f} expected; {shorter}", flush=True
            )
    totals = {key: round(sum(row[key] for row in rows), 1) for key in ("before_minutes", "after_minutes")}
    print(f"{path.stem}, {len(rows)} runs: {totals['before_minutes']} min, {totals['after_minutes']} expected")
    record = {"benchmark": "study_cost", "study": path.stem, "environment": began_in, **totals, "rows": rows}
    save_record(record, arguments.output)
    print(f"record: {arguments.output}")


if __name__ == "__main__":
    main()
