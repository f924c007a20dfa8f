"""Run a function in several processes that know of each other, and see what it returns in each."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import torch
from torch import distributed, multiprocessing


def in_processes(processes, function, *arguments):
    """Return what ``function(*arguments)``, of a module that can be imported, returns in each process."""
    with tempfile.TemporaryDirectory() as folder:
        work = (processes, folder, function, arguments)
        # forked from a server that has imported what takes seconds, and nothing that wouldn't survive it
        multiprocessing.get_context("forkserver").set_forkserver_preload(["dmsc", "torch"])
        multiprocessing.start_processes(_work, work, processes, start_method="forkserver")
        return [torch.load(Path(folder, f"{rank}.pt"), weights_only=False) for rank in range(processes)]


def _work(rank, processes, folder, function, arguments):
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=processes)
    try:
        torch.save(function(*arguments), Path(folder, f"{rank}.pt"))
    finally:
        distributed.destroy_process_group()
