"""The command line: ``dmsc run``, ``dmsc table``, ``dmsc reproduce``, ``dmsc datasets``, ``dmsc methods``."""

from __future__ import annotations

import argparse
import ast
import sys
from pathlib import Path

from . import __version__
from .data.corruption import corrupt
from .data.dataset import list_datasets, load_dataset
from .experiments.records import load_records, save_coefficients, save_record
from .experiments.run import run_experiment, run_id
from .experiments.tables import csv_table, family_table, insert_table, markdown_table, of_papers
from .pages import running
from .paths import ROOT, write_text
from .presets import BASELINES, METHODS, preset

RECORDS = ROOT / "results" / "records"
CHECKPOINTS = ROOT / "results" / "checkpoints"


def parse_settings(pairs: list[str]) -> dict:
    """Turn ``name=value`` strings into a dict; values are Python literals, or else plain strings."""
    settings = {}
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not separator or not name:
            raise ValueError(f"settings are given as name=value, got {pair!r}")
        try:
            settings[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            settings[name] = text
    return settings


def run(arguments: argparse.Namespace) -> int:
    """Run one experiment and write its record."""
    dataset = load_dataset(arguments.dataset, **parse_settings(arguments.data))
    dataset = corrupt(dataset, **parse_settings(arguments.corrupt))
    settings = parse_settings(arguments.set)
    for name in ("pretrain_epochs", "finetune_epochs"):
        if getattr(arguments, name) is not None:
            settings[name] = getattr(arguments, name)
    method = preset(arguments.method, dataset.name, dataset.n_clusters, **settings)
    name = run_id(dataset, method, arguments.seed)
    path = Path(arguments.records) / f"{name}.json"
    if path.exists() and not arguments.overwrite:
        raise ValueError(f"{path} exists: this very run is done. Add --overwrite to do it again")
    print(f"{dataset!r}\n{method.name}: {method.source}\nrun {name}", flush=True)
    experiment = run_experiment(
        dataset,
        method,
        seed=arguments.seed,
        device=arguments.device,
        checkpoint_dir=Path(arguments.checkpoints) / name,
        checkpoint_every=arguments.checkpoint_every,
        resume=arguments.resume,
    )
    if arguments.coefficients:
        save_coefficients(arguments.coefficients, experiment.coefficients, experiment.labels["paper"])
    save_record(experiment.record, path)
    print_metrics(experiment.record)
    print(f"record: {path}")
    return 0


def print_metrics(record: dict) -> None:
    """Print the metrics of both systems and both post-processings."""
    for system, scores in record["metrics"].items():
        for post in ("plain", "paper", "selected"):
            values = "  ".join(
                f"{name} {value:.4f}" for name, value in scores.get(post, {}).items() if value is not None
            )
            if values:
                print(f"{system:>8} {post:>8}  {values}")
    chosen = record["selection"]
    epoch = f" after epoch {chosen['epoch']}" if chosen["epoch"] else ""
    print(f"selected without labels: {chosen['post']} post-processing{epoch}")
    seconds = "  ".join(f"{phase} {value:.1f} s" for phase, value in record["seconds"].items())
    print(f"{seconds}  on {record['device']}, peak memory {record['peak_memory_mb']:.0f} MB")
    if record["shorter_than_paper"]:
        epochs = record["config"]["method"]["finetune_epochs"]
        print(f"note: {epochs} fine-tuning epochs, the paper has {record['finetune_epochs_of_paper']}")


def table(arguments: argparse.Namespace) -> int:
    """Print the table of a folder of records, or write it."""
    records = load_records(arguments.records)
    if arguments.papers:
        records = of_papers(records)
    if not records:
        raise ValueError(f"no records in {arguments.records}: write some with 'dmsc run'")
    if arguments.format == "csv":
        text = csv_table(records)
    else:
        text = (family_table if arguments.family else markdown_table)(records, arguments.metric)
    if arguments.into:
        page = Path(arguments.into)
        write_text(page, insert_table(page.read_text(encoding="utf-8"), text))
    elif arguments.output:
        write_text(arguments.output, text)
    else:
        print(text, end="")
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of all commands."""
    parser = argparse.ArgumentParser(prog="dmsc", description="Deep multimodal subspace clustering, reproduced.")
    parser.add_argument("--version", action="version", version=f"dmsc {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    command = commands.add_parser("run", help="run one experiment and write its record")
    command.add_argument("--dataset", required=True, help="a name from 'dmsc datasets', or a .mat or .npz file")
    command.add_argument("--method", required=True, help=f"one of {', '.join([*METHODS, *BASELINES])}")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--device", default="auto", help="auto (CUDA, then CPU), cpu, cuda")
    command.add_argument("--pretrain-epochs", type=int, metavar="N")
    command.add_argument("--finetune-epochs", type=int, metavar="N")
    command.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="change settings of the method")
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
    command.add_argument("--coefficients", metavar="FILE", help="export C to a .mat or .npz file")
    command.add_argument("--overwrite", action="store_true", help="repeat a run that has a record")
    command.add_argument("--records", default=RECORDS, metavar="FOLDER")
    command.add_argument("--checkpoints", default=CHECKPOINTS, metavar="FOLDER")
    command.set_defaults(act=run)

    command = commands.add_parser("table", help="make a table of records")
    command.add_argument("records", nargs="?", default=RECORDS, metavar="FOLDER")
    command.add_argument("--format", choices=("markdown", "csv"), default="markdown")
    command.add_argument("--family", action="store_true", help="every method, one table per dataset")
    command.add_argument("--papers", action="store_true", help="only settings for which a paper states the epochs")
    command.add_argument("--metric", choices=("acc", "nmi", "ari"), default="acc", help="of the Markdown table")
    command.add_argument("--output", metavar="FILE", help="write it there instead of printing it")
    command.add_argument("--into", metavar="FILE", help="renew the table between the markers of a page")
    command.set_defaults(act=table)

    command = commands.add_parser("reproduce", help="run the notebooks with papermill")
    running.add_arguments(command)
    command.set_defaults(act=running.run)

    command = commands.add_parser("datasets", help="list the datasets")
    command.set_defaults(act=lambda _: print_list(list_datasets()))

    command = commands.add_parser("methods", help="list the methods")
    command.set_defaults(act=lambda _: print_list({name: m.source for name, m in (METHODS | BASELINES).items()}))
    return parser


def print_list(entries: dict[str, str]) -> int:
    """Print names and what they stand for."""
    for name, meaning in entries.items():
        print(f"{name:<20} {meaning}")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Parse, act, and turn an expected error into one line and status 2."""
    arguments = build_parser().parse_args(argv)
    try:
        return arguments.act(arguments)
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"dmsc: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("dmsc: interrupted; 'dmsc run … --resume' goes on from the last checkpoint", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
