"""One experiment from a dataset and a method to a record: what ``dmsc run`` does."""

from __future__ import annotations

import hashlib
import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from .. import metrics
from ..checks import integer
from ..clustering import affinity, cluster, raw_self_expression
from ..data.dataset import Dataset
from ..devices import resolve_device
from ..methods import Baseline, Method, PostProcessing
from ..model import SubspaceNetwork
from ..selection import select
from ..spectral import SEED_LIMIT
from .fitting import Fit, fit_baseline, fit_network, used_views
from .records import environment, peak_memory_mb, thin

__all__ = ["Experiment", "run_experiment", "run_id"]


#: Settings that came after the first records, by what they stand for there.
LATER_SETTINGS = {
    "correlation": None,
    "solver": "adam",
    "schedule": "constant",
    "pretrain_tolerance": None,
    "finetune_tolerance": None,
    "precision": "float32",
}


@dataclass(frozen=True)
class Experiment:
    """What a run leaves behind.

    Parameters
    ----------
    record : dict
        The JSON record: configuration, environment, times, metrics.
    coefficients : array (N, N)
        C after fine-tuning.
    labels : dict of arrays (N,)
        ``plain`` and ``paper``: labels of C per post-processing. ``selected``: those that the label-free rule of
        :mod:`dmsc.selection` chooses among all checked epochs and both post-processings.
    histories : dict
        ``pretrain`` and ``finetune``: full loss histories; empty for a baseline.
    model : SubspaceNetwork or None
        The trained network.
    """

    record: dict
    coefficients: np.ndarray
    labels: dict[str, np.ndarray]
    histories: dict[str, dict[str, list[float]]]
    model: SubspaceNetwork | None


def run_id(dataset: Dataset, method: Method | Baseline, seed: int) -> str:
    """Name a run: dataset, method, seed, and eight hex digits that stand for everything else."""
    digest = hashlib.sha256(json.dumps(_config(dataset, method, seed), sort_keys=True).encode()).hexdigest()
    return f"{dataset.name}-{method.name}-seed{seed}-{digest[:8]}"


def run_experiment(
    dataset: Dataset,
    method: Method | Baseline,
    *,
    seed: int = 0,
    device: str | torch.device = "auto",
    checkpoint_dir: str | Path | None = None,
    checkpoint_every: int = 50,
    resume: bool = False,
    progress: bool = True,
) -> Experiment:
    """Pre-train, fine-tune, cluster and score; or solve a baseline, cluster and score.

    Parameters
    ----------
    dataset : Dataset
        The data; its labels touch metrics only.
    method : Method or Baseline
        From :func:`dmsc.presets.preset`.
    seed : int
        Fixes everything; on the CPU the same seed gives the same labels, bit for bit (with the same number of threads).
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    checkpoint_dir : path, optional
        Where ``AE1.pt`` and ``AE2.pt`` go, every ``checkpoint_every`` epochs, and the labels of checked epochs.
    resume : bool
        Go on from those checkpoints.
    progress : bool
        Show bars (only where stderr is a terminal).

    Returns
    -------
    Experiment

    Raises
    ------
    ValueError
        If the dataset, the method and the checkpoints don't fit together.
    """
    device, seed = resolve_device(device), integer("seed", seed, 0, SEED_LIMIT)
    config, began_in = _config(dataset, method, seed), environment()  # now: a checkout may move on while a run lasts
    resume = resume and checkpoint_dir is not None and any(Path(checkpoint_dir).glob("AE?.pt"))
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    if isinstance(method, Baseline):
        device = torch.device("cpu")  # their solvers know nothing else
        fit = fit_baseline(dataset, method, seed=seed)
    else:
        fit = fit_network(
            dataset,
            method,
            seed=seed,
            device=device,
            checkpoint_dir=checkpoint_dir,
            checkpoint_every=checkpoint_every,
            resume=resume,
            config=config,
            progress=progress,
        )
    chosen = select(fit.candidates)
    labels = {candidate.post: candidate.labels for candidate in fit.candidates[-2:]}
    labels["selected"] = chosen.labels
    scores = {post: _score(dataset, found) for post, found in labels.items()}
    for post, processing in (("plain", None), ("paper", method.post)):
        scores[post]["eigengap"] = _eigengap(fit.coefficients, dataset, processing)
    record = {
        "format": 2,
        "config": config,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "environment": began_in,
        "resumed": resume,
        "selection": {
            "rule": "subspace consistency on the raw views",
            "epoch": chosen.epoch,
            "post": chosen.post,
            "ridge": fit.ridge,
            "candidates": [
                {"epoch": c.epoch, "post": c.post, "consistency": c.consistency, **_score(dataset, c.labels)}
                for c in fit.candidates
            ],
        },
    }
    if isinstance(method, Baseline):
        record |= {"finetune_epochs_of_paper": None, "shorter_than_paper": False, "metrics": {"baseline": scores}}
        record |= {"label_free": {}, "history": {}}
    else:
        record |= _network_record(dataset, method, fit, scores)
    record["seconds"] = {phase: round(value, 3) for phase, value in fit.seconds.items()}
    record["peak_memory_mb"] = peak_memory_mb(device)
    return Experiment(record, fit.coefficients, labels, fit.histories, fit.model)


def _network_record(dataset: Dataset, method: Method, fit: Fit, scores: dict) -> dict:
    """Return the part of a record that only networks have; the baseline on the raw data among it."""
    began = time.perf_counter()
    raw_C, ridge = raw_self_expression(used_views(dataset, method), dataset.masks and dataset.masks[: len(fit.Xs)])
    raw = {}
    for name, post in (("plain", None), ("paper", method.post)):
        labels, _ = cluster(raw_C, dataset.n_clusters, post, fit.seed)
        raw[name] = {**_score(dataset, labels), "eigengap": _eigengap(raw_C, dataset, post)}
    fit.seconds["raw_baseline"] = time.perf_counter() - began
    with torch.no_grad():
        Zs = [Z.cpu().numpy() for Z in fit.model.encode(fit.Xs, fit.masks)]
    residual = metrics.self_expression_residual(Zs, fit.coefficients)
    second = fit.histories["finetune"]
    return {
        "finetune_epochs_of_paper": method.paper_epochs,
        "shorter_than_paper": method.paper_epochs is not None and fit.epochs < method.paper_epochs,
        "metrics": {"network": scores, "raw": {**raw, "ridge": ridge}},
        "label_free": {
            "self_expression_residual": residual if math.isfinite(residual) else None,  # nan: all latents died
            "pretrain_reconstruction_error": fit.pretrain_error,
            "objective": second["loss"][-1] if second else None,
        },
        "history": {step: thin(history) for step, history in fit.histories.items()},
    }


def _config(dataset: Dataset, method: Method | Baseline, seed: int) -> dict:
    description = json.loads(json.dumps(asdict(method)))  # tuples become lists, as they will in the record
    for name, default in LATER_SETTINGS.items():
        if description.get(name, ...) == default:
            del description[name]  # so that records from before it existed keep their names
    variant = {"variant": dataset.variant} if dataset.variant else {}
    views = [[name, list(X.shape)] for name, X in zip(dataset.view_names, used_views(dataset, method), strict=False)]
    return {
        "dataset": dataset.name,
        **variant,
        "views": views,
        "n_clusters": dataset.n_clusters,
        "data_digest": _data_digest(dataset),
        "method": description,
        "seed": seed,
    }


def _data_digest(dataset: Dataset) -> str:
    digest = hashlib.sha256()
    for X in (*dataset.Xs, *(dataset.masks or ())):
        digest.update(np.ascontiguousarray(X).tobytes())
    return digest.hexdigest()[:16]


def _score(dataset: Dataset, labels: np.ndarray) -> dict[str, float]:
    return {} if dataset.y is None else metrics.score(dataset.y, labels)


def _eigengap(C: np.ndarray, dataset: Dataset, post: PostProcessing | None) -> float | None:
    if dataset.n_clusters == dataset.n_samples:
        return None
    return metrics.eigengap(affinity(C, dataset.n_clusters, post), dataset.n_clusters)
