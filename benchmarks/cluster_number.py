"""What the criteria for the number of clusters are worth, on data whose classes are known.

    DMSC_DATA=folder python benchmarks/cluster_number.py   # writes results/benchmarks/cluster_number.json
    python benchmarks/cluster_number.py --quick --output k.json    # a smoke run: the digits that ship with scikit-learn

Two graphs of the raw views, both without a network and without K: the closed form by all samples, of which each keeps
its 20 strongest coefficients, as `dmsc estimate-k` has it; and the closed form among the 10 nearest neighbors on unit
rows, where `dmsc.DMSC` starts if K isn't given. K goes from 2 to 20, or to twice the number of classes if these are
more than ten.
"""

from __future__ import annotations

import argparse
import time
from statistics import fmean

from dmsc import build_affinity, cluster_number_scores, load_dataset
from dmsc.cluster_number import CRITERIA, strongest
from dmsc.data import Dataset
from dmsc.experiments.records import environment, save_record
from dmsc.paths import ROOT
from dmsc.self_expression import (
    LOCAL_RIDGE,
    local_self_expression,
    nearest_neighbors,
    raw_self_expression,
    unit_rows,
)

FILES = ("MSRC-v5", "3Sources", "bbcsport_2view", "NGs", "Handwritten", "HW2sources")
DATASETS = (*(f"multiview/{name}.mat" for name in FILES), "digits", "orl", "coil20", "bdgp")


def graphs(data: Dataset) -> dict:
    """Return the coefficients (N, N) of both graphs."""
    rows = unit_rows(data.Xs)
    nearest = nearest_neighbors(rows, 10)
    return {
        "all samples": strongest(raw_self_expression(data.Xs)[0]),
        "neighbors": local_self_expression(rows, nearest, LOCAL_RIDGE * len(rows)).numpy(),
    }


def summary(found: list[dict]) -> dict:
    """Return for each graph and criterion how many are right and off by one, and the mean distance, in classes."""
    told: dict = {"datasets": len({row["dataset"] for row in found})}
    for graph in dict.fromkeys(row["graph"] for row in found):
        rows = [row for row in found if row["graph"] == graph]
        told[graph] = {}
        for criterion in CRITERIA:
            off = [abs(row["highest"][criterion] - row["classes"]) for row in rows]
            told[graph][criterion] = {"right": off.count(0), "off_by_one": off.count(1), "mean_off": fmean(off)}
    return told


def main() -> None:
    """Score, print and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="digits alone")
    parser.add_argument("--output", default=ROOT / "results" / "benchmarks" / "cluster_number.json")
    arguments = parser.parse_args()
    found = []
    for name in ("digits",) if arguments.quick else DATASETS:
        data, began = load_dataset(name, **({"n_per_class": 20} if arguments.quick else {})), time.perf_counter()
        K = data.n_clusters
        candidates = range(2, (20 if K <= 10 else 2 * K) + 1)
        for graph, C in graphs(data).items():
            scores = cluster_number_scores(build_affinity(C), candidates)
            best = {criterion: max(scores, key=lambda row: row[criterion])["n_clusters"] for criterion in CRITERIA}
            found.append({"dataset": data.name, "classes": K, "graph": graph, "highest": best})
            print(f"{data.name:16} {K:3} classes, {graph:12} {best}", flush=True)
        print(f"{'':16} {time.perf_counter() - began:.0f} s", flush=True)
    record = {"benchmark": "cluster_number", "environment": environment(), "found": found, "summary": summary(found)}
    save_record(record, arguments.output)


if __name__ == "__main__":
    main()
