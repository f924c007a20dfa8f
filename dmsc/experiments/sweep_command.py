"""``dmsc sweep``: its options, and what is done with them."""

from __future__ import annotations

import argparse

from .planning import plan_study, write_plan
from .records import RESULTS, RUNS
from .sweep import sweep

__all__ = ["add_arguments", "add_folders"]


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the options of ``dmsc sweep`` to a parser."""
    command.add_argument("study", metavar="STUDY", help="a .yaml file, or the name of one in studies/")
    command.add_argument("--only", nargs="+", default=[], metavar="RUN", help="names of runs; status 0 if all are done")
    command.add_argument("--dry-run", action="store_true", help="only check and list the runs, with minutes")
    command.add_argument("--plan", metavar="FILE", help="only check, and write the jobs of a batch engine as CSV")
    command.add_argument("--retry", action="store_true", help="do runs again that failed before")
    command.add_argument("--device", default="auto", help="of the networks: auto (CUDA, then CPU), cpu, cuda")
    add_folders(command)
    command.set_defaults(act=_act)


def add_folders(command: argparse.ArgumentParser) -> None:
    """Add the options that say where records are."""
    command.add_argument("--records", default=RUNS, metavar="FOLDER", help="where runs are written, default: runs")
    command.add_argument("--results", default=RESULTS, metavar="FOLDER", help="of the studies, default: results")


def _act(arguments: argparse.Namespace) -> int:
    folders = {"store": arguments.records, "results": arguments.results}
    if arguments.plan:
        write_plan(plan_study(arguments.study, **folders), arguments.plan)
        return 0
    options = {"only": arguments.only, "dry_run": arguments.dry_run, "retry": arguments.retry}
    return sweep(arguments.study, device=arguments.device, **options, **folders)
