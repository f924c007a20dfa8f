"""The command line: `dmsc run`, `estimate-k`, `inspect`, `sweep`, `record`, `table`, `reproduce`, `course`, …"""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path

import torch

from . import __version__
from .cluster_number import scores_text
from .course import commands as course
from .data.dataset import list_datasets, load_dataset
from .data.inspection import inspect_dataset
from .experiments import run_command, sweep_command, tables
from .experiments.migration import migrate_folder
from .experiments.prose import insert_table, renew_numbers
from .experiments.records import (
    RESULTS,
    RUNS,
    load_records,
    move_to_study,
    records_path,
)
from .experiments.studies import parse_settings, read_study
from .experiments.traces import traces_table
from .pages import copies, running
from .paths import write_text
from .presets import BASELINES, METHODS

LAYOUTS = {
    "papers": tables.markdown_table,
    "brief": tables.brief_table,
    "family": tables.family_table,
    "starts": tables.starts_table,
    "traces": traces_table,
}
#: What may go wrong without being a fault of this package: one line, no traceback. And what PyTorch has no class for.
EXPECTED = (ValueError, TypeError, OSError, ImportError, MemoryError, torch.OutOfMemoryError, torch.linalg.LinAlgError)
LACKING = re.compile(r"out of memory|can't allocate memory|not enough memory", re.IGNORECASE)


def estimate_k(arguments: argparse.Namespace) -> int:
    """Print how good each number of clusters is for the closed form on the raw views, by several criteria."""
    dataset = load_dataset(arguments.dataset, **parse_settings(arguments.data))
    print(dataset, scores_text(dataset.Xs, dataset.masks, arguments.max_clusters), sep="\n")
    return 0


def inspect(arguments: argparse.Namespace) -> int:
    """Print what a dataset holds."""
    print(inspect_dataset(load_dataset(arguments.dataset, **parse_settings(arguments.data))))
    return 0


def add(arguments: argparse.Namespace) -> int:
    """Move finished runs into a study."""
    folders = {"store": arguments.records, "results": arguments.results}
    files = move_to_study(arguments.runs, arguments.study, overwrite=arguments.overwrite, **folders)
    print("\n".join(map(str, files)))
    return 0


def migrate(arguments: argparse.Namespace) -> int:
    """Write a folder of older records into a study."""
    only = {run.name for run in read_study(arguments.only)} if arguments.only else None
    options = {"only": only, "overwrite": arguments.overwrite, "results": arguments.results}
    taken, others = migrate_folder(arguments.folder, arguments.study, **options)
    print(f"{taken} records are in the study {arguments.study}, with nothing lost; {len(others)} others were left out")
    return 0


def table(arguments: argparse.Namespace) -> int:
    """Print a table of records, or write it."""
    paths = [records_path(name, arguments.results) for name in arguments.records]
    records = load_records(*paths)
    if arguments.papers:
        records = tables.of_papers(records)
    if not records:
        raise ValueError(f"no such records in {', '.join(map(str, paths))}: write some with 'dmsc run'")
    if arguments.format == "csv":
        text = tables.csv_table(records)
    else:
        text = LAYOUTS[arguments.layout](records, arguments.metric)
    if arguments.into:
        page = Path(arguments.into)
        write_text(page, insert_table(page.read_text(encoding="utf-8"), text, arguments.name))
    elif arguments.output:
        write_text(arguments.output, text)
    else:
        print(text, end="")
    return 0


def numbers(arguments: argparse.Namespace) -> int:
    """Renew the numbers in the prose of pages."""
    renewed = {page: renew_numbers(page.read_text(encoding="utf-8"), arguments.results) for page in arguments.pages}
    for page, text in renewed.items():  # all of them or none
        write_text(page, text)
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of all commands."""
    parser = argparse.ArgumentParser(prog="dmsc", description="Deep multimodal subspace clustering, reproduced.")
    parser.add_argument("--version", action="version", version=f"dmsc {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run_command.add_arguments(commands.add_parser("run", help="run one experiment and write its record into runs/"))

    command = commands.add_parser("estimate-k", help="score numbers of clusters, for the closed form on the raw views")
    command.add_argument("--dataset", required=True, help="a name, or a file; one without labels wants --data "
                         "n_clusters=1 here")  # fmt: skip
    command.add_argument("--data", nargs="+", default=[], metavar="NAME=VALUE", help="options of the dataset")
    command.add_argument("--max-clusters", type=int, default=20, metavar="K", help="largest number (default 20)")
    command.set_defaults(act=estimate_k)

    sweep_command.add_arguments(
        commands.add_parser("sweep", help="run what a study has no record of yet, into runs/STUDY")
    )

    record = commands.add_parser("record", help="move finished runs into a study; renew records of older formats")
    acts = record.add_subparsers(dest="action", required=True, metavar="ACTION")
    command = acts.add_parser("add", help="move finished runs from runs/ into results/STUDY")
    command.add_argument("runs", nargs="+", metavar="RUN", help="names of runs (also *), files, or folders of runs/")
    command.add_argument("--study", required=True, metavar="NAME")
    command.add_argument("--overwrite", action="store_true", help="also where the study has another record of a run")
    sweep_command.add_folders(command)
    command.set_defaults(act=add)
    command = acts.add_parser("migrate", help="write a folder of records of formats 1 and 2 into results/STUDY")
    command.add_argument("folder", metavar="FOLDER")
    command.add_argument("--study", required=True, metavar="NAME")
    command.add_argument("--only", metavar="FILE", help="a study's .yaml file: take its runs and leave others out")
    command.add_argument("--overwrite", action="store_true", help="also where the study has another record of a run")
    command.add_argument("--results", default=RESULTS, metavar="FOLDER", help="default: results")
    command.set_defaults(act=migrate)

    command = commands.add_parser("table", help="make a table of records")
    command.add_argument("records", nargs="*", default=[RUNS], metavar="STUDY", help="or folders, files; default: runs")
    command.add_argument("--results", default=RESULTS, metavar="FOLDER", help="of the studies, default: results")
    command.add_argument("--format", choices=("markdown", "csv"), default="markdown")
    command.add_argument(
        "--layout",
        choices=[*LAYOUTS],
        default="papers",
        help="all columns; few; a table per dataset: without and with the last loss, and after so many epochs",
    )
    command.add_argument("--papers", action="store_true", help="only settings for which a paper states the epochs")
    command.add_argument("--metric", choices=("acc", "nmi", "ari"), default="acc", help="of the Markdown table")
    command.add_argument("--output", metavar="FILE", help="write it there instead of printing it")
    command.add_argument("--into", metavar="FILE", help="renew the table between the markers of a page")
    command.add_argument("--name", default="", help="of the table, where the page has several")
    command.set_defaults(act=table)

    command = commands.add_parser("numbers", help="renew the numbers in a page's prose that are marked with records")
    command.add_argument("pages", nargs="+", type=Path, metavar="PAGE")
    command.add_argument("--results", default=RESULTS, metavar="FOLDER", help="of the studies, default: results")
    command.set_defaults(act=numbers)

    running.add_arguments(commands.add_parser("reproduce", help="run the notebooks with papermill"))
    copies.add_arguments(commands.add_parser("copy-pages", help="copy the notebooks into lab/, to work on them there"))
    course.add_arguments(commands.add_parser("course", help="assignments: release, grade and check them"))

    command = commands.add_parser("inspect", help="say what a dataset, or a file of your own, holds")
    command.add_argument("dataset", metavar="DATASET", help="a name from 'dmsc datasets', or your own file or folder")
    command.add_argument("--data", nargs="+", default=[], metavar="NAME=VALUE", help="options of the dataset")
    command.set_defaults(act=inspect)

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
        status = arguments.act(arguments)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # as in `dmsc table | head`: whoever read our output has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left goes nowhere, without a word
        return 141
    except (*EXPECTED, RuntimeError) as error:
        if not isinstance(error, EXPECTED) and not LACKING.search(str(error)):
            raise
        print(f"dmsc: {_one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("dmsc: interrupted; 'dmsc run … --resume' or 'dmsc sweep' goes on from a checkpoint", file=sys.stderr)
        return 130


def _one_line(error: BaseException) -> str:
    """Return the text of an error on one line; of memory, disk and algebra, with what kind of error it is."""
    text = " ".join(str(error).split())
    plain = isinstance(error, (ValueError, TypeError, OSError, ImportError)) and text
    return text if plain else f"{type(error).__name__}: {text}".rstrip(": ")


if __name__ == "__main__":
    sys.exit(main())
