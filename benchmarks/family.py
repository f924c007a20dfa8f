"""Run the whole family of methods on one or more datasets: the records behind the tables of ``results/README.md``.

One network per dataset, so that only the fusion differs, where the presets have a row for the method: dsc-l2 and dsc-l1
have none on bdgp and eyaleb_components, and run with the package's defaults there. Epochs are stated here. A run whose
record exists is skipped, and an interrupted one goes on from its checkpoint: start it again, as often as needed.

    DMSC_DATA=... python benchmarks/family.py digits mnist_usps --seeds 0 1 2
    python benchmarks/family.py digits --corrupt missing=0.1 missing=0.2 --records results/robustness
"""

from __future__ import annotations

import argparse
import itertools
import traceback
from pathlib import Path

import dmsc
from dmsc.__main__ import CHECKPOINTS, RECORDS, parse_settings, print_metrics
from dmsc.data.corruption import corrupt
from dmsc.experiments.records import save_record
from dmsc.experiments.run import run_experiment, run_id
from dmsc.presets import BASELINES, METHODS

NETWORKS = [name for name in METHODS if name != "listing"]  # the listing is BDGP's affinity fusion

#: Per dataset: options of its loader, and settings of the networks where they aren't the preset's.
DATASETS: dict[str, tuple[dict, dict]] = {
    "digits": ({"n_per_class": 60}, {"convolutions": ((10, 3, 2), (20, 3, 1)), "output_activation": "none"}),
    "mnist_usps": ({"n_per_class": 200}, {"finetune_epochs": 50}),
    "coil20_edges": ({}, {}),
    "bdgp": ({}, {"finetune_epochs": 60}),
    "eyaleb_components": ({}, {"pretrain_epochs": 30, "finetune_epochs": 50}),
}


def main() -> None:
    """Run what has no record yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+", choices=DATASETS)
    parser.add_argument("--methods", nargs="+", default=[*BASELINES, *NETWORKS], choices=[*BASELINES, *NETWORKS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--records", type=Path, default=RECORDS)
    parser.add_argument(
        "--corrupt", nargs="+", default=["missing=0"], metavar="NAME=RATE", help="each is a run of its own"
    )
    arguments = parser.parse_args()
    for seed, name in itertools.product(arguments.seeds, arguments.datasets):
        options, settings = DATASETS[name]
        whole = dmsc.load_dataset(name, **options)
        for corruption in arguments.corrupt:
            dataset = corrupt(whole, **parse_settings([corruption]), seed=seed)
            for method in arguments.methods:
                description = dmsc.preset(method, name, dataset.n_clusters, **({} if method in BASELINES else settings))
                run = run_id(dataset, description, seed)
                path = arguments.records / f"{run}.json"
                if path.exists():
                    continue
                print(run, flush=True)
                try:
                    experiment = run_experiment(
                        dataset,
                        description,
                        seed=seed,
                        device=arguments.device,
                        checkpoint_dir=CHECKPOINTS / run,
                        resume=True,
                    )
                except ValueError:  # a loss that diverged, say: the others go on
                    traceback.print_exc()
                    continue
                save_record(experiment.record, path)
                print_metrics(experiment.record)


if __name__ == "__main__":
    main()
