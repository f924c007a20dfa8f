"""How much the penalty and the post-processing decide without any network: ACC of the closed form on raw data.

    DMSC_DATA=... python benchmarks/raw_ridge.py     # writes results/benchmarks/raw_ridge.json

For every penalty of dmsc.self_expression.RIDGES, self-expression in closed form on unit rows, clustered with the plain
affinity and with the paper's post-processing. Nothing is selected here: the penalty that held-out features choose, the
one of every record's raw baseline, is only marked.
"""

from __future__ import annotations

import argparse

import dmsc
from dmsc.clustering import cluster, unit_rows
from dmsc.experiments.fitting import POST_PROCESSINGS, used_views
from dmsc.experiments.records import ROOT, environment, save_record
from dmsc.metrics import clustering_accuracy
from dmsc.self_expression import RIDGES, choose_ridge, ridge_self_expression

CASES = (("orl", "dsc-l2"), ("coil20", "dsc-l2"), ("eyaleb", "dsc-l2"), ("bdgp", "affinity"))


def main() -> None:
    """Measure, print and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", default=ROOT / "results" / "benchmarks" / "raw_ridge.json")
    arguments = parser.parse_args()
    found = {}
    for name, method_name in CASES:
        dataset = dmsc.load_dataset(name)
        method = dmsc.preset(method_name, name, dataset.n_clusters)
        rows = unit_rows(used_views(dataset, method))
        found[name] = {"chosen_without_labels": choose_ridge(rows), "acc": {post: {} for post in POST_PROCESSINGS}}
        for ridge in RIDGES:
            C = ridge_self_expression(rows, ridge).numpy()
            for post, settings in zip(POST_PROCESSINGS, (None, method.post), strict=True):
                labels, _ = cluster(C, dataset.n_clusters, settings)
                found[name]["acc"][post][str(ridge)] = clustering_accuracy(dataset.y, labels)
        for post, accuracies in found[name]["acc"].items():
            values = "  ".join(f"{ridge}: {100 * value:.1f}" for ridge, value in accuracies.items())
            print(f"{name:<8} {post:<6} {values}   chosen: {found[name]['chosen_without_labels']}", flush=True)
    save_record({"benchmark": "raw_ridge", "environment": environment(), "datasets": found}, arguments.output)
    print(f"record: {arguments.output}")


if __name__ == "__main__":
    main()
