"""From C to labels on the CPU: the listing's ``thrC`` and ``post_proC`` against this package's steps.

    DMSC_DATA=folder python benchmarks/spectral.py   # writes results/benchmarks/spectral.json
    python benchmarks/spectral.py --quick --output spectral.json    # a smoke run of 400 samples, without BDGP

The coefficients are those of the closed form on BDGP's raw views and on noisy synthetic subspaces, in float32 and in
C order as a network gives them. Both sides get the same ones, in one process and in turn; ratios are of medians. The
labels are those of the papers' reading (discretization), and of the plain affinity (k-means). In the last
case the affinity is of many parts and isolated points: there the listing's way runs in a process of its own, which is
ended after ``--limit`` seconds.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time

import numpy as np
import torch
from listing import post_proC, subspace_affinity, thrC
from sklearn.cluster import SpectralClustering
from sklearn.metrics import adjusted_rand_score

from dmsc import build_affinity, load_dataset, spectral_clustering, spectral_embedding, threshold_coefficients
from dmsc.experiments.records import environment, save_record
from dmsc.paths import ROOT
from dmsc.self_expression import raw_self_expression

RATIO, DIM, ALPHA = 0.36, 6, 8
LOOP_REPEATS = 3


def coefficients(name: str, n_samples: int) -> tuple[np.ndarray, int]:
    """Return C (N, N) float32 and the number of clusters."""
    if name == "bdgp":
        data = load_dataset("bdgp")
        if n_samples < data.n_samples:
            data = data.take(np.linspace(0, data.n_samples - 1, n_samples).astype(int))
    else:
        data = load_dataset("synthetic", n_samples=n_samples, n_clusters=5, subspace_dim=6, ambient_dim=60, noise=0.2)
    C, _ = raw_self_expression(data.Xs)
    return np.ascontiguousarray(C, dtype=np.float32), data.n_clusters


def hard_affinity(
    n_samples: int, n_parts: int = 40, n_isolated: int = 50, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return W (N, N) of fully connected parts of unequal sizes and points without neighbors; and each point's part."""
    rng = np.random.default_rng(seed)
    part = rng.integers(n_parts, size=n_samples)
    part[:n_isolated] = n_parts + np.arange(n_isolated)
    W = np.where(part[:, None] == part, rng.uniform(0.5, 1, (n_samples, n_samples)), 0)
    np.fill_diagonal(W, 0)
    return W + W.T, part


def split_parts(part: np.ndarray, labels: np.ndarray) -> int:
    """Count the parts that are spread over several clusters, which no cut of the graph asks for."""
    return sum(len(set(labels[part == k])) > 1 for k in np.unique(part))


def sklearn_labels(W: np.ndarray, n_clusters: int, assign: str) -> np.ndarray:
    """Return the labels of scikit-learn's spectral clustering with ARPACK, as the listing calls it."""
    clustering = SpectralClustering(
        n_clusters, eigen_solver="arpack", affinity="precomputed", assign_labels=assign, random_state=0
    )
    return clustering.fit_predict(W)


def interleaved(ways: dict, repeats: dict) -> tuple[dict, dict]:
    """Run the ways in turn; return the seconds and the last result of each."""
    seconds, results = {way: [] for way in ways}, {}
    for turn in range(max(repeats.values())):
        for way, run in ways.items():
            if turn < repeats[way]:
                start = time.perf_counter()
                results[way] = run()
                seconds[way].append(time.perf_counter() - start)
    return seconds, results


def comparison(what: str, ways: dict, repeats: dict, agreement) -> dict:
    """Time the ways, the first of which is the baseline, and print and return what was found."""
    for run in list(ways.values())[1:]:
        run()  # warm up
    seconds, results = interleaved(ways, repeats)
    medians = {way: statistics.median(values) for way, values in seconds.items()}
    baseline = medians[next(iter(ways))]
    found = agreement(list(results.values()))
    for way, value in medians.items():
        print(f"{what:<34} {way:<22} {1e3 * value:9.1f} ms {baseline / value:7.1f} x")
    print(f"{what:<34} {found}")
    return {
        "what": what,
        "seconds": {way: [round(value, 5) for value in values] for way, values in seconds.items()},
        "median_seconds": {way: round(value, 5) for way, value in medians.items()},
        "speedup": {way: round(baseline / value, 2) for way, value in medians.items()},
        **found,
    }


def compare(name: str, C: np.ndarray, K: int, repeats: int, device: str) -> list[dict]:
    """Compare all steps on one C; a device other than the CPU adds ours on tensors there."""
    devices = {"dmsc": lambda M: M}
    if device != "cpu":
        devices[f"dmsc, {device}"] = lambda M: torch.from_numpy(M).to(device)

    def ours(function, M):
        ways = {}
        for way, place in devices.items():
            placed = place(M)
            ways[way] = lambda placed=placed: host(function(placed))
        return ways

    def subspace(T):
        return build_affinity(T, "subspace", n_clusters=K, dim=DIM, alpha=ALPHA)

    def ari(results):
        return {"ari_to_listing": [round(adjusted_rand_score(results[0], labels), 4) for labels in results[1:]]}

    def difference(results):
        return {"largest_difference": [float(np.abs(results[0] - other).max()) for other in results[1:]]}

    kept, plain = threshold_coefficients(C, RATIO), build_affinity(C)
    listing_kept = kept.astype(np.float64)  # what thrC returns
    W = subspace(kept)
    cases = [
        ("thrC", lambda: thrC(C, RATIO), ours(lambda M: threshold_coefficients(M, RATIO), C), difference),
        ("affinity", lambda: subspace_affinity(listing_kept, K, DIM, ALPHA), ours(subspace, kept), difference),
        (
            "post_proC",
            lambda: post_proC(listing_kept, K, DIM, ALPHA, seed=0),
            ours(lambda M: spectral_clustering(subspace(M), K, assign="discretize"), kept),
            ari,
        ),
        (
            "plain affinity and k-means",
            lambda: sklearn_labels(np.abs(C) + np.abs(C).T, K, "kmeans"),
            ours(lambda M: spectral_clustering(build_affinity(M), K), C),
            ari,
        ),
    ]
    found = []
    for what, listing, own, agreement in cases:
        times = {"listing": LOOP_REPEATS} | dict.fromkeys(own, repeats)
        found.append(comparison(f"{name}: {what}", {"listing": listing} | own, times, agreement))
    steps = {
        "threshold": lambda: threshold_coefficients(C, RATIO),
        "affinity": lambda: subspace(kept),
        "embedding": lambda: spectral_embedding(W, K),
        "labels, embedding included": lambda: spectral_clustering(W, K, assign="discretize"),
        "plain affinity": lambda: build_affinity(C),
        "plain embedding": lambda: spectral_embedding(plain, K),
        "plain labels, embedding included": lambda: spectral_clustering(plain, K),
    }
    seconds, _ = interleaved(steps, dict.fromkeys(steps, repeats))
    medians = {step: round(statistics.median(values), 5) for step, values in seconds.items()}
    for step, value in medians.items():
        print(f"{name}: {step:<40} {1e3 * value:9.1f} ms")
    return [*found, {"what": f"{name}: dmsc by step", "median_seconds": medians}]


def host(found):
    """Return an array for a tensor, which ends all work on a card."""
    return found.cpu().numpy() if isinstance(found, torch.Tensor) else found


def hard_case(n_samples: int, limit: float, repeats: int) -> dict:
    """Compare on an affinity in many parts; the listing's way gets ``limit`` seconds."""
    (W, part), K = hard_affinity(n_samples), 5
    seconds, results = interleaved({"dmsc": lambda: spectral_clustering(W, K, assign="discretize")}, {"dmsc": repeats})
    receiver, sender = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("spawn").Process(target=_hard_listing, args=(n_samples, K, sender), daemon=True)
    child.start()
    sender.close()
    receiver.recv()  # the child is ready
    finished = receiver.poll(limit)
    outcome = receiver.recv() if finished else {"error": f"did not finish in {limit:g} s"}
    child.terminate()
    child.join()
    ours = {
        "seconds": round(statistics.median(seconds["dmsc"]), 5),
        "parts_split": split_parts(part, results["dmsc"]),
    }
    print(f"hard: dmsc {ours}; listing {outcome}")
    return {"what": "hard: parts and isolated points", "dmsc": ours, "listing": outcome}


def _hard_listing(n_samples: int, n_clusters: int, sender) -> None:
    W, part = hard_affinity(n_samples)
    sender.send("ready")
    start = time.perf_counter()
    try:
        labels = sklearn_labels(W, n_clusters, "discretize")
    except Exception as error:  # whatever a solver may raise belongs in the record
        sender.send({"error": f"{type(error).__name__}: {error}"[:200]})
    else:
        seconds = time.perf_counter() - start
        sender.send({"seconds": round(seconds, 5), "parts_split": split_parts(part, labels)})


def main() -> None:
    """Measure, print and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=2500)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--limit", type=float, default=30, help="seconds for the listing in the hard case")
    parser.add_argument("--device", default="cpu", help="cuda: also on tensors there")
    parser.add_argument("--quick", action="store_true", help="400 samples, synthetic only, few repeats")
    parser.add_argument("--output", default=ROOT / "results" / "benchmarks" / "spectral.json")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.samples, arguments.repeats, arguments.limit = 400, 2, 10

    cases = []
    for name in ("synthetic",) if arguments.quick else ("bdgp", "synthetic"):
        C, K = coefficients(name, arguments.samples)
        cases += compare(name, C, K, arguments.repeats, arguments.device)
    cases.append(hard_case(arguments.samples, arguments.limit, arguments.repeats))
    record = {
        "benchmark": "spectral",
        "what": "thrC, affinity and spectral clustering, against the listing's; C float32, ratio 0.36, dim 6, alpha 8",
        "samples": arguments.samples,
        "repeats": {"dmsc": arguments.repeats, "listing": LOOP_REPEATS},
        "device": arguments.device,
        "environment": environment(),
        "cases": cases,
    }
    save_record(record, arguments.output)
    print(f"record: {arguments.output}")


if __name__ == "__main__":
    main()
