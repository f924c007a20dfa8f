"""One epoch of each step of training, the listing's way and dmsc's, beside what the arithmetic alone would take.

    DMSC_DATA=... python benchmarks/epochs.py            # writes results/benchmarks/epochs.json
    python benchmarks/epochs.py --quick --output quick.json

Both start from the same weights on the same views (BDGP's; random ones where it isn't at hand) and take their epochs in
turn, 20 of each step, so that noise hits both alike; the losses of all epochs are compared. Three more ways of dmsc go
along: bfloat16 products, C in closed form instead of trained, and "plain", every sample through every layer, where dmsc
takes less arithmetic for networks without a non-linearity (`dmsc.affine`).

Most of what the listing loses to dmsc it loses to page faults: fresh memory for every feature map, in every epoch. So
both are run once more with glibc told to keep freed memory (on Linux), in processes of their own.

The limit is the arithmetic of a plain epoch, at the rate at which this very process, in the same minutes, multiplies C
by the latents. It has three products each of C (N, N) with the latents (N, 6000), and three passes of every
convolution: forward, and backward to weights and inputs. Vector units work on 16 channels at a time: the record also
says what the convolutions cost with their 1, 10, 20 and 30 channels rounded up. What each way does in fact is counted
by PyTorch, operator by operator; what the shorter way takes to set up is in the record too.

Peak memory is measured in two further processes: resident size at its greatest less what it was with data and weights
loaded.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import listing
import numpy as np
import torch
from scaling import resident_mb
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

import dmsc
from dmsc.affine import affine_reconstruction, affine_terms
from dmsc.devices import as_tensors, precision, resolve_device
from dmsc.experiments.fitting import build_model
from dmsc.experiments.records import environment, save_record
from dmsc.losses import finetuning_terms, weighted_squared_error
from dmsc.model import SubspaceNetwork
from dmsc.paths import ROOT
from dmsc.solvers.closed_form import closed_form_solver
from dmsc.training import make_optimizer

LANES = 16
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**32), "MALLOC_TRIM_THRESHOLD_": str(2**36)}
WAYS = ("listing", "dmsc", "dmsc, bf16", "dmsc, plain")
KEPT = ("listing", "dmsc", "dmsc, plain")  # measured with kept memory, and for their peak
KINDS = {  # what a profiler's operators belong to
    "products": ("aten::mm", "aten::addmm", "aten::addmm_"),
    "convolutions": (
        "aten::mkldnn_convolution",
        "aten::_convolution",
        "aten::convolution",
        "aten::convolution_backward",  # dmsc's transposed ones with strides also go forward by it
    ),
    "copies and fills": ("aten::copy_", "aten::fill_", "aten::zero_", "aten::cat"),
}


def load(samples: int | None) -> dmsc.Dataset:
    """Return BDGP, or random views of its shape."""
    try:
        data = dmsc.load_dataset("bdgp")
    except FileNotFoundError:
        generator = np.random.default_rng(0)
        Xs = [generator.random((samples or 2500, 1, 42, 42), dtype=np.float32) for _ in range(2)]
        return dmsc.Dataset("random", Xs, np.arange(len(Xs[0])) % 5, ("a", "b"), 5)
    if samples is None:
        return data
    rows = np.random.default_rng(0).permutation(data.n_samples)[:samples]
    return dmsc.Dataset("bdgp", [X[rows] for X in data.Xs], data.y[rows], data.view_names, data.n_clusters)


def method_of(data: dmsc.Dataset) -> dmsc.Method:
    """Return the listing's settings."""
    return dmsc.preset("affinity", "bdgp", data.n_clusters)


def network_like(source: listing.ListingNetwork, data: dmsc.Dataset, device: torch.device) -> SubspaceNetwork:
    """Return dmsc's network with the listing's weights."""
    model = build_model(data, method_of(data), device)
    for m in range(2):
        for ours, theirs in ((model.encoders[m], f"encoder{m + 1}"), (model.decoders[m], f"decoder{m + 1}")):
            for layer, original in zip(ours[::2], getattr(source, theirs), strict=True):  # between them: activations
                layer.load_state_dict(original.state_dict())
    model.self_expression.set_coefficients(source.weight)
    return model


def steps(way: str, task: str, network, Xs: list[torch.Tensor], data: dmsc.Dataset) -> Callable[[], float]:
    """Return a function that takes one epoch and returns its loss."""
    loss = method_of(data).loss
    if way == "listing":
        epoch = listing.pretrain_epoch if task == "pretrain" else listing.finetune_epoch
        optimizer = listing.optimizer_of(network)
        return lambda: float(epoch(network, *Xs, optimizer))
    finely = "bf16" if "bf16" in way else "float32"
    if task == "pretrain":
        optimizer = make_optimizer(network.autoencoder_parameters(), 1e-3)
    else:
        optimizer = make_optimizer(network.parameters(), 1e-3)
    solve = closed_form_solver(network, loss) if "closed" in way else None
    terms, error = partial(finetuning_terms, network, Xs, loss, solve=solve), None
    if "closed" not in way and "plain" not in way:  # as `dmsc.finetune` and `dmsc.pretrain` do
        if task == "finetune":
            terms = affine_terms(network, Xs, loss) or terms
        else:
            error = affine_reconstruction(network, Xs, loss.reconstruction)

    def loss_now() -> torch.Tensor:
        if task == "finetune":
            return sum(terms().values())
        return error() if error else weighted_squared_error(Xs, network.autoencode(Xs), loss.reconstruction)

    def epoch() -> float:
        with precision(finely, Xs[0].device):
            optimizer.zero_grad()
            value = loss_now()
            value.backward()
            optimizer.step()
        return float(value.detach())

    return epoch


def arithmetic(model: SubspaceNetwork, n: int) -> dict[str, float]:
    """Return GFLOP of one epoch: of the products with C, and of all convolutions without and with rounding up."""
    total = {"products with C": 3 * 2 * n * n * sum(at[0] * at[1] * at[2] for at in model.latent_shapes) / 1e9}
    total |= {"convolutions": 0.0, "convolutions, channels rounded up": 0.0}
    for networks, size in ((model.encoders, (42, 42)), (model.decoders, None)):
        for network, shape in zip(networks, model.latent_shapes, strict=True):
            X = torch.zeros(1, 1, *size) if size else torch.zeros(1, *shape)
            for layer in network:
                Y = layer(X)
                if hasattr(layer, "weight"):
                    fewer = X if Y.shape[2] > X.shape[2] else Y  # one visit of the kernel for every such pixel
                    visits = 3 * 2 * n * fewer.shape[2] * fewer.shape[3] * layer.kernel_size[0] ** 2 / 1e9
                    channels = layer.in_channels, layer.out_channels
                    total["convolutions"] += visits * channels[0] * channels[1]
                    up = [-(-c // LANES) * LANES for c in channels]
                    total["convolutions, channels rounded up"] += visits * up[0] * up[1]
                X = Y
    return {name: round(value, 2) for name, value in total.items()}


def counted(epoch: Callable[[], float]) -> float:
    """Return the GFLOP of one epoch's products and convolutions, as PyTorch counts them."""
    with FlopCounterMode(display=False) as counter:
        epoch()
    return round(counter.get_total_flops() / 1e9, 2)


def timed(function: Callable[[], float]) -> tuple[float, float]:
    """Return how many seconds a call took, and what it returned."""
    start = time.perf_counter()
    value = function()
    return time.perf_counter() - start, value


def take_turns(epochs: int, ways: dict[str, Callable[[], float]]) -> dict[str, dict[str, list[float]]]:
    """Take the epochs of all ways in turn; return seconds and losses."""
    found = {way: {"seconds": [], "losses": []} for way in ways}
    for _ in range(epochs):
        for way, epoch in ways.items():
            seconds, loss = timed(epoch)
            found[way]["seconds"].append(round(seconds, 4))
            found[way]["losses"].append(loss)
    return found


def shares(epoch: Callable[[], float]) -> dict[str, float]:
    """Return the share of each kind of operator in the time of one epoch on the CPU."""
    with profile(activities=[ProfilerActivity.CPU]) as found:
        epoch()
    events = found.key_averages()
    total = sum(event.self_cpu_time_total for event in events)
    parts = {
        kind: sum(event.self_cpu_time_total for event in events if event.key in names) / total
        for kind, names in KINDS.items()
    }
    return {kind: round(part, 4) for kind, part in {**parts, "all else": 1 - sum(parts.values())}.items()}


def product_rate(n: int, columns: int, device: torch.device) -> Callable[[], float]:
    """Return a function that multiplies C by the latents and returns GFLOP/s."""
    C, Z = torch.rand(n, n, device=device), torch.rand(n, columns, device=device)
    out = torch.empty(n, columns, device=device)

    def rate() -> float:
        start = time.perf_counter()
        float(torch.mm(C, Z, out=out)[0, 0])
        return 2 * n * n * columns / (time.perf_counter() - start) / 1e9

    return rate


def child(task: str, way: str, arguments: argparse.Namespace) -> dict:
    """Measure in a process of its own: the listing with kept memory, or peak memory."""
    torch.manual_seed(0)
    data = load(arguments.samples)
    Xs = as_tensors(data.Xs)
    source = listing.ListingNetwork(data.n_samples)
    network = source if way == "listing" else network_like(source, data, torch.device("cpu"))
    if task == "seconds":
        found = {}
        for step in ("pretrain", "finetune"):
            epoch = steps(way, step, network, Xs, data)
            found[step] = [round(timed(epoch)[0], 4) for _ in range(arguments.epochs // 2)][1:]
        return found
    before = resident_mb("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets VmHWM
    epoch = steps(way, "finetune", network, Xs, data)
    epoch(), epoch()
    return {"peak_memory_mb": round(resident_mb("VmHWM") - before, 1)}


def ask(task: str, way: str, arguments: argparse.Namespace, **variables: str) -> dict:
    """Run :func:`child` and return what it found."""
    command = [sys.executable, __file__, "--child", task, way, "--epochs", str(arguments.epochs)]
    command += [] if arguments.samples is None else ["--samples", str(arguments.samples)]
    done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure, print and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--samples", type=int, help="only so many samples")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--quick", action="store_true", help="300 samples, 4 epochs")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.quick:
        if not arguments.output:
            parser.error("--quick needs --output: it must not replace the official record")
        arguments.samples, arguments.epochs = 300, 4
    if arguments.child:
        print(json.dumps(child(*arguments.child, arguments)))
        return
    output = arguments.output or ROOT / "results" / "benchmarks" / "epochs.json"
    device = resolve_device(arguments.device)
    data, began_in = load(arguments.samples), environment()
    Xs = as_tensors(data.Xs, device)
    torch.manual_seed(0)
    source = listing.ListingNetwork(data.n_samples).to(device)
    networks = {way: network_like(source, data, device) for way in WAYS if way != "listing"}
    networks = {"listing": source, **networks}
    rate = product_rate(data.n_samples, 6000, device)
    found, rates = {}, []
    for task in ("pretrain", "finetune"):
        ways, setup = {}, {}
        for way, network in networks.items():
            start = time.perf_counter()
            ways[way] = steps(way, task, network, Xs, data)
            setup[way] = time.perf_counter() - start
        if task == "finetune":
            closed = network_like(source, data, device)
            ways["dmsc, closed form"] = steps("closed", task, closed, Xs, data)
        ways["rate"] = rate
        found[task] = take_turns(arguments.epochs, ways)
        rates += found[task].pop("rate")["losses"]
        for way in ("listing", "dmsc", "dmsc, plain"):
            found[task][way]["shares"] = shares(ways[way])
        for way in WAYS:
            found[task][way]["gflop"] = counted(ways[way])
        found[task]["dmsc"]["setup_seconds"] = round(setup["dmsc"], 2)

    work = arithmetic(network_like(source.cpu(), data, torch.device("cpu")), data.n_samples)
    gflops = statistics.median(rates)
    record = {
        "benchmark": "epochs",
        "data": data.name,
        "samples": data.n_samples,
        "device": str(device),
        "environment": began_in,
        "gflop": work,
        "rate_gflop_per_s": round(gflops, 1),
        "steps": {},
    }
    for task, ways in found.items():
        limit = (work["convolutions"] + (work["products with C"] if task == "finetune" else 0)) / gflops
        base = statistics.median(ways["listing"]["seconds"])
        record["steps"][task] = {"limit_seconds": round(limit, 4), "ways": ways}
        for way, values in ways.items():
            median = statistics.median(values["seconds"])
            values |= {"median_seconds": round(median, 4), "speedup": round(base / median, 2)}
            values["times_limit"] = round(median / limit, 2)
            if "closed" not in way:
                pairs = zip(values["losses"], ways["listing"]["losses"], strict=True)
                values["loss_difference"] = max(abs(a - b) / b for a, b in pairs)
            print(
                f"{task:<9} {way:<18} {median:7.3f} s  {base / median:5.2f} x the listing  {median / limit:5.2f} x the "
                f"limit  losses within {values.get('loss_difference', float('nan')):.1e}",
                flush=True,
            )
    if device.type == "cpu" and sys.platform == "linux":
        record["with_kept_memory"] = {
            way: {
                step: statistics.median(values)
                for step, values in ask("seconds", way, arguments, **KEEP_MEMORY).items()
            }
            for way in KEPT
        }
        record["peak_memory_mb"] = {way: ask("memory", way, arguments)["peak_memory_mb"] for way in KEPT}
        print(f"with kept memory: {record['with_kept_memory']} s")
        print(f"peak memory: {record['peak_memory_mb']} MiB")
    save_record(record, output)
    print(f"record: {output}")


if __name__ == "__main__":
    main()
