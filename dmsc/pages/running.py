"""``dmsc reproduce``: run the notebooks with papermill, go on after a failure, show what came out."""

from __future__ import annotations

import importlib.util
import logging
import multiprocessing
import os
import signal
import sys
import time
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from pathlib import Path

from ..checks import integer
from ..paths import ROOT
from .notebooks import execute, is_current, list_notebooks, read_parameters
from .parameters import load_parameters, select_notebooks

__all__ = ["add_arguments", "reproduce", "run"]


def reproduce(
    only=None, params_file=None, jobs=1, resume=False, output_dir=None, store=False, notebooks_dir=None
) -> int:
    """Run the notebooks with papermill; everything is checked before the first one starts.

    Parameters
    ----------
    only : list of str, optional
        Numbers (``"04"``) or names (``"04_dsc_networks"``); all notebooks by default.
    params_file : str or Path, optional
        YAML: a mapping of parameters for every selected notebook, or one such mapping per notebook, keyed by
        its number or name.
    jobs : int
        How many run at a time; the cores are shared out among them.
    resume : bool
        Skip notebooks whose output was made from the same source and parameters.
    output_dir : str or Path, optional
        Where executed notebooks go, with ``figures/`` and ``records/``; ``results/notebooks`` by default.
    store : bool
        Run with the defaults and write cleaned outputs back into the notebooks themselves.
    notebooks_dir : str or Path, optional
        Where they are; ``notebooks`` in the repository by default.

    Returns
    -------
    int
        0 if all went well, 1 if a notebook failed, 130 after Ctrl-C.

    Raises
    ------
    ValueError
        For an unknown notebook or parameter, a value that is no literal, or options that exclude each other.
    FileNotFoundError
        If the notebooks or the parameters file are missing.
    ModuleNotFoundError
        If papermill or ipykernel is not installed.
    """
    jobs = integer("jobs", jobs, 1)
    if store and (params_file is not None or resume):
        raise ValueError("store=True runs with the defaults: it excludes params_file and resume")
    for module in ("papermill", "ipykernel"):
        if importlib.util.find_spec(module) is None:
            raise ModuleNotFoundError(f'notebooks need {module}, not installed: pip install -e ".[notebooks]"')
    notebooks = list_notebooks(ROOT / "notebooks" if notebooks_dir is None else notebooks_dir)
    selected = select_notebooks(notebooks, only)
    parameters = load_parameters(params_file, notebooks, selected)
    output_dir = Path(ROOT / "results" / "notebooks" if output_dir is None else output_dir).resolve()
    for name in selected if not store else []:
        if "records_dir" in read_parameters(notebooks[name]):
            parameters[name].setdefault("records_dir", str(output_dir / "records"))
    output_dir.mkdir(parents=True, exist_ok=True)

    done = [n for n in selected if resume and is_current(notebooks[n], output_dir / f"{n}.ipynb", parameters[n])]
    for name in done:
        print(f"{name}  unchanged")
    start = time.perf_counter()
    tasks = [(notebooks[name], output_dir, parameters[name], store) for name in selected if name not in done]
    try:
        reports = _execute_all(tasks, jobs)
    except KeyboardInterrupt:
        print("interrupted: finished notebooks are kept; --resume goes on with the others", file=sys.stderr)
        return 130
    _print_summary(reports, output_dir, notebooks, store, time.perf_counter() - start)
    return int(any(report["error"] for report in reports))


def _execute_all(tasks, jobs):
    """Run ``execute(*task)`` for each task in ``jobs`` processes; print a line per notebook as it ends."""
    from tqdm import tqdm

    if not tasks:
        return []
    jobs, reports, bystanders = min(jobs, len(tasks)), [], multiprocessing.active_children()
    width = max(len(task[0].stem) for task in tasks)
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _start_worker, (jobs,))
    bar = tqdm(total=len(tasks), unit="notebook", disable=None)
    try:
        futures = {pool.submit(execute, *task): task[0].stem for task in tasks}
        pending = set(futures)
        while pending:
            finished, pending = wait(pending, timeout=1, return_when=FIRST_COMPLETED)
            for future in sorted(finished, key=futures.get):
                problem = future.exception()  # of the worker itself: execute reports those of the notebook
                report = {"name": futures[future], "seconds": 0.0, "figures": 0, "error": repr(problem)}
                reports.append(report if problem else future.result())
                with tqdm.external_write_mode():
                    state = "failed" if reports[-1]["error"] else "ok"
                    seconds = reports[-1]["seconds"]
                    print(f"{futures[future]:<{width}}  {state:<6} {seconds:6.1f} s", flush=True)
                bar.update()
            bar.refresh()  # moves the clock while a notebook runs
    except BaseException:
        for process in set(multiprocessing.active_children()) - set(bystanders):
            process.terminate()  # the worker ends its kernel, see _start_worker
        raise
    finally:
        bar.close()
        pool.shutdown(cancel_futures=True)
    return sorted(reports, key=lambda report: report["name"])


def _start_worker(jobs):
    """Prepare a worker process: its share of the cores, pictures inside the notebook, an orderly end."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // jobs)))
    os.environ.pop("MPLBACKEND", None)  # else no figure would reach the notebook
    logging.getLogger("papermill").setLevel(logging.CRITICAL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to every process: the parent decides
    # unwinds through papermill, which then ends the kernel
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


def _print_summary(reports, output_dir, notebooks, store, seconds):
    """Print failures, where the outputs are, and the table of the records that the notebooks wrote."""
    good = sum(not report["error"] for report in reports)
    figures = sum(report["figures"] for report in reports)
    folder = next(iter(notebooks.values())).parent if store else output_dir
    if reports:
        print(f"{good} of {len(reports)} notebooks ran in {seconds:.1f} s: see {os.path.relpath(folder)}", end="")
        print(f", figures ({figures}) in {os.path.relpath(output_dir / 'figures')}" if figures else "")
    if not store and any((output_dir / "records").glob("*.json")):
        from ..experiments.records import load_records
        from ..experiments.tables import markdown_table

        try:
            print(f"\n{markdown_table(load_records(output_dir / 'records'))}", end="")
        except ValueError as error:  # a record of an interrupted or older run
            print(f"no table: {error}", file=sys.stderr)
    for report in reports:
        if report["error"]:
            cell = report["error"].startswith("cell ")
            print(f"{report['name']} failed{' in ' if cell else ': '}{report['error']}", file=sys.stderr)
            failed = output_dir / f"{report['name']}.failed.ipynb"
            if failed.exists():
                print(f"  kept: {os.path.relpath(failed)}", file=sys.stderr)


def add_arguments(parser):
    """Add the options of ``dmsc reproduce`` to an argparse parser."""
    parser.add_argument("--only", nargs="+", metavar="NN", help="notebooks by number or name, e.g. 04 08")
    parser.add_argument("-f", "--params", metavar="FILE", help="YAML with parameters, flat or keyed by notebook")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="how many notebooks at a time (default 1)")
    parser.add_argument("--resume", action="store_true", help="skip what is done and unchanged")
    parser.add_argument("--output", metavar="FOLDER", help="default: results/notebooks")
    parser.add_argument("--store", action="store_true", help="write the outputs back into notebooks/ (defaults only)")


def run(arguments):
    """Act on the options of `add_arguments`; return the exit status."""
    return reproduce(
        only=arguments.only,
        params_file=arguments.params,
        jobs=arguments.jobs,
        resume=arguments.resume,
        output_dir=arguments.output,
        store=arguments.store,
    )
