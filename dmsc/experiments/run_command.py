"""`dmsc run`: one experiment, in one process or in several, and its record."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from ..data.corruption import corrupt
from ..data.dataset import list_datasets, load_dataset
from ..presets import BASELINES, METHODS, preset
from ..sharding import Shard
from .autoencoders import AUTHORS
from .fitting import check_shareable
from .processes import launch, several_processes, started_elsewhere
from .records import RUNS, check_export, load_records, save_coefficients, save_record
from .run import run_experiment, run_id
from .studies import OWN, parse_settings, preset_of
from .tables import metrics_text

__all__ = ["add_arguments"]


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    command.add_argument("--dataset", required=True, help="a name from 'dmsc datasets', or your own file or folder")
    command.add_argument("--method", required=True, help=f"one of {', '.join([*METHODS, *BASELINES])}")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--device", default="auto", help="auto (CUDA, then CPU), cpu, cuda")
    command.add_argument(
        "--processes", type=int, metavar="P", help="share the rows of C between P processes, of torchrun or srun too"
    )
    command.add_argument("--pretrain-epochs", type=int, metavar="N")
    command.add_argument("--finetune-epochs", type=int, metavar="N")
    command.add_argument(
        "--weights", metavar="FILE", help=f"start from saved autoencoders: a checkpoint, or {', '.join(AUTHORS)}"
    )
    command.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="change settings of the method")
    command.add_argument(
        "--preset",
        choices=[OWN, *list_datasets()],
        metavar="DATASET",
        help=f"take its settings of the papers, or {OWN!r}: those for data of one's own",
    )
    command.add_argument("--data", nargs="+", default=[], metavar="NAME=VALUE", help="options of the dataset")
    command.add_argument(
        "--corrupt",
        nargs="+",
        default=[],
        metavar="NAME=RATE",
        help="missing=, noise=, occlusion=, and a seed= for them",
    )
    command.add_argument("--resume", action="store_true", help="go on from this run's last checkpoint")
    command.add_argument("--checkpoint-every", type=int, default=50, metavar="N", help="epochs (default 50)")
    command.add_argument("--compile", action="store_true", help="train by torch.compile; for cards (default: no)")
    command.add_argument("--coefficients", metavar="FILE", help="export C to a .mat or .npz file")
    command.add_argument("--overwrite", action="store_true", help="repeat a run that has a record")
    command.add_argument("--records", default=RUNS, metavar="FOLDER", help="default: runs")
    command.add_argument(
        "--checkpoints", default=RUNS / "checkpoints", metavar="FOLDER", help="default: runs/checkpoints"
    )
    command.set_defaults(act=act)


def act(arguments: argparse.Namespace) -> int:
    """Run in this process, in new ones, or as one of those that another launcher started."""
    if started_elsewhere(arguments.processes):
        with several_processes():
            return run(arguments)
    if arguments.processes is None or arguments.processes == 1:
        return run(arguments)
    return launch(arguments.processes, run, arguments)


def run(arguments: argparse.Namespace) -> int:
    """Run one experiment and write its record, unless it has one."""
    export = check_export(arguments.coefficients) if arguments.coefficients else None
    dataset = load_dataset(arguments.dataset, **parse_settings(arguments.data))
    dataset = corrupt(dataset, **parse_settings(arguments.corrupt))
    settings = parse_settings(arguments.set)
    for name in ("pretrain_epochs", "finetune_epochs"):
        if getattr(arguments, name) is not None:
            settings[name] = getattr(arguments, name)
    if arguments.weights is not None:
        settings["pretrained"] = arguments.weights
    method = preset(arguments.method, preset_of(dataset, arguments.preset), dataset.n_clusters, **settings)
    shard = Shard(dataset.n_samples)
    if shard.processes > 1:
        check_shareable(method)
    name = run_id(dataset, method, arguments.seed)
    path = Path(arguments.records) / f"{name}.json"
    print(f"{dataset!r}\n{method.name}: {method.source}\nrun {name}", flush=True)
    if shard.on_first(path.exists) and not arguments.overwrite:
        if export and not export.exists():
            raise ValueError(f"{path} exists, but its coefficients were not kept: add --overwrite to run it again")
        print(f"{metrics_text(load_records(path)[0])}\nthis very run is done (--overwrite repeats it): {path}")
        return 0
    experiment = run_experiment(
        dataset,
        method,
        seed=arguments.seed,
        device=arguments.device,
        checkpoint_dir=Path(arguments.checkpoints) / name,
        checkpoint_every=arguments.checkpoint_every,
        resume=arguments.resume,
        compile=arguments.compile,
    )
    rows = shard.to_first(experiment.coefficients) if export else []
    if shard.rank > 0:
        return 0
    if export:
        labels = experiment.labels.get("paper", experiment.labels["plain"])
        extra = {} if experiment.anchors is None else {"anchors": experiment.anchors}  # indices from 0
        save_coefficients(export, np.concatenate(rows), labels, **extra)
    save_record(experiment.record, path)
    print(f"{metrics_text(experiment.record)}\nrecord: {path}")
    return 0
