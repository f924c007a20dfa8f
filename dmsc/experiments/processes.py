"""`dmsc run --processes P`: start the processes that share a run, or join those that another launcher started.

``torchrun`` and SLURM's ``srun`` start processes themselves and say in the environment which one each is; then there is
nothing to start. Else they are started here, on this machine, and when one dies the others are ended.
"""

from __future__ import annotations

import io
import logging
import os
import pickle
import signal
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from torch import distributed, multiprocessing

from ..checks import integer
from ..devices import take_card

__all__ = ["launch", "read_slurm", "several_processes", "started_elsewhere"]

WITHIN = {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}  # for processes of one machine
PORT = 29_500  # of the first process, under SLURM; a number of the job is added


def started_elsewhere(processes: int | None = None) -> bool:
    """Return whether this is one of several processes of ``torchrun`` or ``srun`` (of so many).

    Raises
    ------
    ValueError
        If these are another number.
    """
    tasks = os.environ.get("SLURM_STEP_NUM_TASKS", "1") if processes else "1"
    found = int(os.environ.get("WORLD_SIZE", tasks))
    if found > 1 and processes not in (None, found):
        raise ValueError(f"--processes {processes} was asked for, but {found} were started: ask for as many")
    return found > 1


def launch(processes: int, function: Callable[..., int], *arguments: Any) -> int:
    """Call a function in so many new processes, and return what it returns in the first of them.

    Raises
    ------
    ChildProcessError
        If a process was killed: the others are ended.
    Exception
        Whatever a process raised.
    """
    processes = integer("processes", processes, 1)
    logging.getLogger("torch.multiprocessing.spawn").setLevel(logging.ERROR)  # it tells of each process that it ends
    # Python's tracker of semaphores warns of those that a killed process leaves, as the locks of progress bars
    quiet = "ignore:resource_tracker:UserWarning"
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, [os.environ.get("PYTHONWARNINGS"), quiet]))
    with tempfile.TemporaryDirectory() as folder:
        started = multiprocessing.start_processes(
            _work, (processes, folder, function, arguments), processes, join=False, start_method="spawn"
        )
        try:
            while not started.join():
                pass
        except multiprocessing.ProcessExitedException:
            raise _reason(started, Path(folder), processes) from None
        return int(Path(folder, "status").read_text(encoding="utf-8"))


def _reason(started: multiprocessing.ProcessContext, folder: Path, processes: int) -> BaseException:
    """Return why the processes ended: which was killed, or else what was raised first."""
    codes = {rank: process.exitcode or 0 for rank, process in enumerate(started.processes)}
    killed = [rank for rank, code in codes.items() if code < 0 and -code != signal.SIGTERM]
    if not killed and (raised := sorted(folder.glob("*.error"), key=lambda file: file.stat().st_mtime)):
        return pickle.loads(raised[0].read_bytes())
    rank = (killed or [rank for rank, code in codes.items() if code] or [0])[0]
    code = codes[rank]
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
    return ChildProcessError(
        f"process {rank} of {processes} {how}, and the others were ended: 'dmsc run ... --resume' goes on from the "
        "last checkpoint"
    )


def _work(rank: int, processes: int, folder: str, function: Callable[..., int], arguments: tuple) -> None:
    """Be one of the processes that `launch` started; they meet in a file, and talk within this machine."""
    os.environ |= {**WITHIN, "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(processes)}
    with several_processes(f"file://{folder}/store", rank, processes):
        try:
            status = function(*arguments)
        except KeyboardInterrupt:
            raise SystemExit(130) from None
        except Exception as error:  # it is raised again in the process that started this one; told before others fail
            file = Path(folder, f"{rank}.error")
            file.with_suffix(".tmp").write_bytes(_pickled(error))
            file.with_suffix(".tmp").rename(file)
            raise SystemExit(1) from None
    if rank == 0:
        Path(folder, "status").write_text(str(status), encoding="utf-8")


def _pickled(error: Exception) -> bytes:
    try:
        whole = pickle.dumps(error)
        pickle.loads(whole)
    except Exception:  # some need arguments that pickle doesn't keep
        return pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
    return whole


@contextmanager
def several_processes(meeting: str = "env://", rank: int | None = None, processes: int | None = None) -> Iterator[None]:
    """Be one of several processes within a ``with`` block; only the first prints and warns.

    Parameters
    ----------
    meeting : str
        Where they meet, as `torch.distributed.init_process_group` takes it; by default as the environment says.
    rank, processes : int, optional
        Which one this is; by default as the environment says.
    """
    if rank is None or processes is None:
        if "RANK" not in os.environ:
            read_slurm()
        rank, processes = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    backend = "cpu:gloo,cuda:nccl" if take_card(int(os.environ.get("LOCAL_RANK", rank))) else "gloo"
    distributed.init_process_group(backend, init_method=meeting, rank=rank, world_size=processes)
    try:
        if rank == 0:
            yield
        else:
            with redirect_stdout(io.StringIO()), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
    finally:
        distributed.destroy_process_group()


def read_slurm() -> None:
    """Set what PyTorch reads from what ``srun`` says: the first node is where the processes meet."""
    names = {"RANK": "SLURM_PROCID", "LOCAL_RANK": "SLURM_LOCALID", "WORLD_SIZE": "SLURM_STEP_NUM_TASKS"}
    os.environ |= {name: os.environ[slurm] for name, slurm in names.items()}
    if os.environ["SLURM_STEP_NUM_NODES"] == "1":
        first = "127.0.0.1"
        os.environ |= WITHIN
    else:
        nodes = ["scontrol", "show", "hostnames", os.environ["SLURM_STEP_NODELIST"]]
        first = subprocess.run(nodes, capture_output=True, text=True, check=True).stdout.split()[0]
    number = int(os.environ["SLURM_JOB_ID"]) * 97 + int(os.environ["SLURM_STEP_ID"])
    os.environ |= {"MASTER_ADDR": first, "MASTER_PORT": str(PORT + number % 10_000)}
