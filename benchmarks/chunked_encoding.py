"""What chunks and channels-last are worth on the CPU: one epoch of the listing's autoencoders, three ways.

    python benchmarks/chunked_encoding.py            # writes results/benchmarks/chunked_encoding.json

The baseline is the listing's own way, all N images in one batch in PyTorch's default layout. All three compute the
same numbers (tests/test_model.py); ratios are taken in one run, interleaved, because machines are noisy.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from dmsc.experiments.fitting import CPU_CHUNK
from dmsc.experiments.records import ROOT, environment, save_record
from dmsc.losses import weighted_squared_error
from dmsc.model import SubspaceNetwork
from dmsc.presets import LISTING_NET

BASELINE = "one batch"
WAYS = {
    BASELINE: {"chunk_size": None, "channels_last": False},
    f"chunks of {CPU_CHUNK}": {"chunk_size": CPU_CHUNK, "channels_last": False},
    f"chunks of {CPU_CHUNK}, channels last": {"chunk_size": CPU_CHUNK, "channels_last": True},
}


def epoch_seconds(model: SubspaceNetwork, Xs: list[torch.Tensor]) -> float:
    """Time one forward and backward pass of all autoencoders."""
    start = time.perf_counter()
    model.zero_grad()
    weighted_squared_error(Xs, model.autoencode(Xs), (1.0,)).backward()
    return time.perf_counter() - start


def main() -> None:
    """Measure, print and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=2500)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", default=ROOT / "results" / "benchmarks" / "chunked_encoding.json")
    arguments = parser.parse_args()

    torch.manual_seed(0)
    Xs = [torch.rand(arguments.samples, 1, 42, 42) for _ in range(2)]
    models = {}
    for way, options in WAYS.items():
        models[way] = SubspaceNetwork([(1, 42, 42)] * 2, 1, LISTING_NET, chunk_size=options["chunk_size"])
        if options["channels_last"]:
            models[way].to(memory_format=torch.channels_last)
        epoch_seconds(models[way], Xs)  # warm up
    seconds = {way: [] for way in WAYS}
    for _ in range(arguments.repeats):
        for way, model in models.items():
            seconds[way].append(epoch_seconds(model, Xs))

    medians = {way: statistics.median(values) for way, values in seconds.items()}
    record = {
        "benchmark": "chunked_encoding",
        "what": "forward and backward of two autoencoders (the listing's), views of 42 x 42",
        "samples": arguments.samples,
        "repeats": arguments.repeats,
        "environment": environment(),
        "seconds": {way: [round(value, 4) for value in values] for way, values in seconds.items()},
        "median_seconds": {way: round(value, 4) for way, value in medians.items()},
        "speedup": {way: round(medians[BASELINE] / value, 2) for way, value in medians.items()},
    }
    for way, value in medians.items():
        print(f"{way:<30} {value:6.2f} s   {medians[BASELINE] / value:4.2f} x")
    save_record(record, arguments.output)
    print(f"record: {arguments.output}")


if __name__ == "__main__":
    main()
