"""``dmsc reproduce``: run the pages with papermill, go on after a failure, show what came out."""

from __future__ import annotations

import argparse
import importlib.util
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..checks import integer
from ..paths import ROOT
from .notebooks import Report, execute, is_current, list_notebooks, read_parameters
from .parameters import load_parameters, select_notebooks

__all__ = ["add_arguments", "reproduce", "run"]

Task = tuple[Path, Path, dict[str, Any], bool]  # what `execute` takes
PATIENCE = 5.0  # seconds that a worker gets to end its kernel


class Terminated(KeyboardInterrupt):
    """SIGTERM came, from `timeout` or `docker stop`: an end like Ctrl-C, with an exit status of its own."""


def reproduce(
    only: str | list[str] | None = None,
    params_file: str | Path | None = None,
    jobs: int = 1,
    resume: bool = False,
    output_dir: str | Path | None = None,
    store: bool = False,
    notebooks_dir: str | Path | None = None,
) -> int:
    """Run the pages with papermill; everything is checked before the first one starts.

    Parameters
    ----------
    only : list of str, optional
        Numbers (``"04"``) or names (``"04_dsc_networks"``); all pages by default.
    params_file : str or Path, optional
        YAML: a mapping of parameters for every selected page, or one such mapping per page, keyed by its number or
        name.
    jobs : int
        How many run at a time; the cores are shared out among them.
    resume : bool
        Skip pages whose output was made from the same source, parameters, code and data.
    output_dir : str or Path, optional
        Where executed pages go, with ``figures/`` and ``records/``; ``results/notebooks`` by default.
    store : bool
        Run with the defaults and write cleaned outputs back into the pages themselves.
    notebooks_dir : str or Path, optional
        Where they are; ``notebooks`` in the repository by default.

    Returns
    -------
    int
        0 if all went well, 1 if a page failed, 130 after Ctrl-C, 143 after SIGTERM.
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
        with _terminable():
            reports = _execute_all(tasks, jobs)
    except KeyboardInterrupt as end:
        print("interrupted: finished notebooks are kept; --resume goes on with the others", file=sys.stderr)
        return 128 + (signal.SIGTERM if isinstance(end, Terminated) else signal.SIGINT)
    _print_summary(reports, output_dir, notebooks, store, time.perf_counter() - start)
    return int(any(report["error"] for report in reports))


@contextmanager
def _terminable() -> Iterator[None]:
    """Turn SIGTERM into an exception meanwhile, so that workers can be ended; only a main thread may."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # `timeout` sends it twice: once is enough
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _execute_all(tasks: list[Task], jobs: int) -> list[Report]:
    """Run ``execute(*task)`` for each task in ``jobs`` processes; say on the way what starts and what ends."""
    from tqdm import tqdm

    jobs, waiting, reports = min(jobs, len(tasks)), list(tasks), []
    if not tasks:
        return []
    width = max(len(task[0].stem) for task in tasks)
    bystanders = multiprocessing.active_children()
    running: dict[Future[Report], str] = {}
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _start_worker, (jobs,))
    bar = tqdm(total=len(tasks), unit="notebook", disable=None)  # only on a terminal

    def say(name: str, state: str) -> None:
        with tqdm.external_write_mode():
            print(f"{name:<{width}}  {state}", flush=True)

    try:
        while waiting or running:
            while waiting and len(running) < jobs:  # no more: what is submitted starts
                task = waiting.pop(0)
                running[_submit(pool, task)] = task[0].stem
                if bar.disable:
                    say(task[0].stem, "starts")
            bar.set_postfix_str(", ".join(name[:2] for name in running.values()))  # also moves the clock
            for future in wait(running, timeout=1, return_when=FIRST_COMPLETED)[0]:
                name = running.pop(future)
                problem = future.exception()  # of the worker itself: execute reports those of the page
                report = Report(name=name, seconds=0.0, figures=0, error=repr(problem)) if problem else future.result()
                reports.append(report)
                say(name, f"{'failed' if report['error'] else 'ok':<6} {report['seconds']:6.1f} s")
                bar.update()
    except BaseException:
        _end([process for process in multiprocessing.active_children() if process not in bystanders])
        raise
    finally:
        bar.close()
        pool.shutdown(cancel_futures=True)
    return sorted(reports, key=lambda report: report["name"])


def _submit(pool: ProcessPoolExecutor, task: Task) -> Future[Report]:
    try:
        return pool.submit(_work, task)
    except BrokenProcessPool as problem:  # a worker was killed: this page's failure, as of those that ran
        future: Future[Report] = Future()
        future.set_exception(problem)
        return future


def _work(task: Task) -> Report:
    """Execute a page in a worker; SIGTERM ends not the page alone, as an exception would, but the worker."""
    try:
        return execute(*task)
    except SystemExit:
        os._exit(1)


def _end(workers: list[Any]) -> None:
    """End worker processes: each ends its kernel itself (see `_start_worker`), or is killed if it takes too long."""
    for worker in workers:
        worker.terminate()
    deadline = time.monotonic() + PATIENCE
    for worker in workers:
        worker.join(max(0.0, deadline - time.monotonic()))
        worker.kill()


def _start_worker(jobs: int) -> None:
    """Prepare a worker process: its share of the cores, pictures inside the notebook, an orderly end."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // jobs)))
    os.environ.pop("MPLBACKEND", None)  # else no figure would reach the notebook
    for name in ("papermill", "asyncio"):  # else each tells of a dead kernel in its own way
        logging.getLogger(name).setLevel(logging.CRITICAL)

    def end(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.exit(1)  # unwinds through papermill, which then ends the kernel

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to every process: the parent decides
    signal.signal(signal.SIGTERM, end)
    threading.Thread(target=_outlive_no_parent, daemon=True).start()


def _outlive_no_parent() -> None:
    """End this worker when its parent is gone, even if that was killed and could not say so."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _print_summary(
    reports: list[Report], output_dir: Path, notebooks: dict[str, Path], store: bool, seconds: float
) -> None:
    """Print failures, where the outputs are, and the table of the records that the pages wrote."""
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``dmsc reproduce`` to a parser."""
    parser.add_argument("--only", nargs="+", metavar="NN", help="notebooks by number or name, e.g. 04 08")
    parser.add_argument("-f", "--params", metavar="FILE", help="YAML with parameters, flat or keyed by notebook")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="how many notebooks at a time (default 1)")
    parser.add_argument("--resume", action="store_true", help="skip what is done, with unchanged code and data")
    parser.add_argument("--output", metavar="FOLDER", help="default: results/notebooks")
    parser.add_argument("--store", action="store_true", help="write the outputs back into notebooks/ (defaults only)")
    parser.set_defaults(act=run)


def run(arguments: argparse.Namespace) -> int:
    """Act on the options of `add_arguments`; return the exit status."""
    return reproduce(
        only=arguments.only,
        params_file=arguments.params,
        jobs=arguments.jobs,
        resume=arguments.resume,
        output_dir=arguments.output,
        store=arguments.store,
    )
