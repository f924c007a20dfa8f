"""One experiment from a dataset and a method to a record: what ``dmsc run`` does."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from . import metrics
from .checks import integer
from .clustering import cluster, raw_self_expression
from .data import Dataset
from .fusion import PLACES, fusion_plan
from .losses import repeat_last
from .methods import Method
from .model import SubspaceNetwork
from .results import environment, peak_memory_mb, thin
from .self_expression import ridge_self_expression
from .spectral import SEED_LIMIT
from .training import as_tensors, finetune, pretrain, resolve_device, seed_everything

__all__ = ["Experiment", "build_model", "run_experiment", "run_id"]

CPU_CHUNK = 200  # samples per chunk on the CPU: see SubspaceNetwork
POST_PROCESSINGS = ("plain", "paper")


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
        Labels per post-processing.
    histories : dict
        ``pretrain`` and ``finetune``: full loss histories.
    model : SubspaceNetwork
        The trained network.
    """

    record: dict
    coefficients: np.ndarray
    labels: dict[str, np.ndarray]
    histories: dict[str, dict[str, list[float]]]
    model: SubspaceNetwork


def build_model(dataset: Dataset, method: Method, device: str | torch.device = "cpu") -> SubspaceNetwork:
    """Build the untrained network that a method describes, for the views it uses of a dataset."""
    device = resolve_device(device)
    init = method.coefficients_init
    shapes = [X.shape[1:] for X in used_views(dataset, method)]
    spatial = method.fusion in PLACES
    model = SubspaceNetwork(
        shapes,
        dataset.n_samples,
        method.architecture,
        plan=fusion_plan(method.fusion, len(shapes), len(method.architecture.convolutions)) if spatial else (),
        fusion_function=method.fusion_function,
        coefficients_init=0.0 if init == "ridge" else init,
        zero_diagonal=method.zero_diagonal,
        chunk_size=CPU_CHUNK if device.type == "cpu" else None,
    ).to(device)
    if device.type == "cpu":  # convolutions run faster with channels innermost; the numbers are the same
        model = model.to(memory_format=torch.channels_last)
    return model


def used_views(dataset: Dataset, method: Method) -> tuple[np.ndarray, ...]:
    """Return all views, or the first one for a method without fusion."""
    return tuple(dataset.Xs[:1]) if method.fusion == "none" else tuple(dataset.Xs)


def warm_start(model: SubspaceNetwork, Xs: list[torch.Tensor], method: Method) -> None:
    """Set C to the closed form on the current latents, with ridge lambda_1 / lambda_2."""
    weights = method.loss
    with torch.no_grad():
        Zs = model.encode(Xs)
    model.self_expression.set_coefficients(
        ridge_self_expression(
            Zs,
            weights.lambda_regularization / weights.lambda_self_expression,
            zero_diagonal=method.zero_diagonal,
            weights=repeat_last(weights.self_expression, len(Zs)),
        )
    )


def run_id(dataset: Dataset, method: Method, seed: int) -> str:
    """Name a run: dataset, method, seed, and eight hex digits that stand for everything else."""
    digest = hashlib.sha256(json.dumps(_config(dataset, method, seed), sort_keys=True).encode()).hexdigest()
    return f"{dataset.name}-{method.name}-seed{seed}-{digest[:8]}"


def run_experiment(
    dataset: Dataset,
    method: Method,
    *,
    seed: int = 0,
    device: str | torch.device = "auto",
    checkpoint_dir: str | Path | None = None,
    checkpoint_every: int = 50,
    resume: bool = False,
    progress: bool = True,
) -> Experiment:
    """Pre-train, fine-tune, cluster and score.

    Parameters
    ----------
    dataset : Dataset
        The data; its labels touch metrics only.
    method : Method
        From :func:`dmsc.presets.preset`.
    seed : int
        Fixes everything; on the CPU the same seed gives the same labels, bit for bit (with the same number of threads).
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    checkpoint_dir : path, optional
        Where ``AE1.pt`` and ``AE2.pt`` go, every ``checkpoint_every`` epochs.
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
    loop = {"checkpoint_every": checkpoint_every, "resume": resume, "config": config, "progress": progress}
    folder = None if checkpoint_dir is None else Path(checkpoint_dir)
    seconds: dict[str, float] = {}

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    seed_everything(seed)
    model = build_model(dataset, method, device)
    Xs = as_tensors(used_views(dataset, method), device, method.input_scale)
    with _timed(seconds, "pretrain", device):
        first = pretrain(
            model,
            Xs,
            epochs=method.pretrain_epochs,
            learning_rate=method.learning_rate,
            batch_size=method.pretrain_batch_size,
            weights=method.loss.reconstruction,
            seed=seed,
            checkpoint=folder and folder / "AE1.pt",
            **loop,
        )
    reconstruction_error = _relative_reconstruction_error(model, Xs)
    if method.coefficients_init == "ridge":
        warm_start(model, Xs, method)
    with _timed(seconds, "finetune", device):
        second = finetune(
            model,
            Xs,
            epochs=method.finetune_epochs,
            learning_rate=method.learning_rate,
            weights=method.loss,
            checkpoint=folder and folder / "AE2.pt",
            **loop,
        )

    C = model.coefficients
    with _timed(seconds, "clustering", device):
        labels, network_scores = _score(C, dataset, method, seed)
    with _timed(seconds, "raw_baseline", device):
        raw_C, ridge = raw_self_expression(used_views(dataset, method))
        _, raw_scores = _score(raw_C, dataset, method, seed)
    with torch.no_grad():
        residual = metrics.self_expression_residual([Z.cpu().numpy() for Z in model.encode(Xs)], C)
    short = method.paper_epochs is not None and method.finetune_epochs < method.paper_epochs
    record = {
        "format": 1,
        "config": config,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "environment": began_in,
        "finetune_epochs_of_paper": method.paper_epochs,
        "shorter_than_paper": short,
        "seconds": {phase: round(value, 3) for phase, value in seconds.items()},
        "resumed": resume,
        "peak_memory_mb": peak_memory_mb(device),
        "metrics": {"network": network_scores, "raw": {**raw_scores, "ridge": ridge}},
        "label_free": {
            "self_expression_residual": residual if math.isfinite(residual) else None,  # nan: all latents died
            "pretrain_reconstruction_error": reconstruction_error,
            "objective": second["loss"][-1] if second else None,
        },
        "history": {"pretrain": thin(first), "finetune": thin(second)},
    }
    return Experiment(record, C, labels, {"pretrain": first, "finetune": second}, model)


def _config(dataset: Dataset, method: Method, seed: int) -> dict:
    description = json.loads(json.dumps(asdict(method)))  # tuples become lists, as they will in the record
    views = [[name, list(X.shape)] for name, X in zip(dataset.view_names, used_views(dataset, method), strict=False)]
    return {
        "dataset": dataset.name,
        "views": views,
        "n_clusters": dataset.n_clusters,
        "data_digest": _data_digest(dataset),
        "method": description,
        "seed": seed,
    }


def _data_digest(dataset: Dataset) -> str:
    digest = hashlib.sha256()
    for X in dataset.Xs:
        digest.update(np.ascontiguousarray(X).tobytes())
    return digest.hexdigest()[:16]


def _score(C: np.ndarray, dataset: Dataset, method: Method, seed: int) -> tuple[dict, dict]:
    labels, scores = {}, {}
    for name, post in zip(POST_PROCESSINGS, (None, method.post), strict=True):
        labels[name], W = cluster(C, dataset.n_clusters, post, seed)
        known = {} if dataset.y is None else metrics.score(dataset.y, labels[name])
        gap = metrics.eigengap(W, dataset.n_clusters) if dataset.n_clusters < dataset.n_samples else None
        scores[name] = {**known, "eigengap": gap}
    return labels, scores


@torch.no_grad()
def _relative_reconstruction_error(model: SubspaceNetwork, Xs: list[torch.Tensor]) -> float:
    error = sum(float((X - X_hat).square().sum()) for X, X_hat in zip(Xs, model.autoencode(Xs), strict=True))
    return error / sum(float(X.square().sum()) for X in Xs)


@contextmanager
def _timed(seconds: dict[str, float], phase: str, device: torch.device) -> Iterator[None]:
    start = time.perf_counter()
    yield
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    seconds[phase] = time.perf_counter() - start
