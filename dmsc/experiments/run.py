"""One experiment from a dataset and a method to a record: what ``dmsc run`` does."""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import metrics
from ..checkpoints import is_saved
from ..checks import SEED_LIMIT, integer
from ..correlation import Correlation
from ..data import Dataset
from ..devices import device_name, forget_peak_memory, peak_memory_mb, resolve_device
from ..losses import LossWeights
from ..methods import Baseline, Method
from ..model import SubspaceNetwork
from ..networks import Architecture, Conv
from ..selection import RULE, Candidate, select
from ..self_expression import express
from ..sharding import Shard
from ..spectral import Labels, Reading, warning_signs
from ..training import History
from .autoencoders import describe_autoencoders
from .fitting import Fit, fit_baseline, fit_network
from .reader import used_views
from .records import FORMAT, environment, thin

__all__ = ["Experiment", "describe", "run_experiment", "run_id", "run_name", "training_config"]

#: Settings of a method that have settings of their own.
PARTS = {
    "architecture": Architecture,
    "convolutions": Conv,
    "correlation": Correlation,
    "loss": LossWeights,
    "reading": Reading,
}
#: Checkpoints of the two steps.
STEPS = ("AE1.pt", "AE2.pt")
#: What a record has in the place of a rule where there was no choice.
NO_CHOICE = "none: anchored coefficients have the plain reading of the last epoch alone"
NOT_ONE = "none: coefficients in several processes are read at the last epoch alone, here as the paper does"


@dataclass(frozen=True)
class Experiment:
    """What a run leaves behind.

    Parameters
    ----------
    record : dict
        The JSON record: configuration, environment, times, metrics.
    coefficients : array (N, N), or (N, m) with anchors
        C after fine-tuning; of several processes the rows (n, N) of this one.
    labels : dict of arrays (N,)
        ``plain`` and ``paper``: the two readings of C. ``selected``: what the label-free rule of `dmsc.selection`
        chooses among all checked epochs and both readings. With anchors, ``plain`` is the only reading, and
        ``selected`` the same.
    affinities : dict of arrays (N, N)
        W of ``plain`` and ``paper``; none with anchors.
    histories : dict
        ``pretrain`` and ``finetune``: full loss histories; empty for a baseline.
    model : SubspaceNetwork or None
        The trained network.
    anchors : array (m,) or None
        Indices of the samples that C combines, where it is not all of them.
    """

    record: dict
    coefficients: np.ndarray
    labels: dict[str, np.ndarray]
    affinities: dict[str, np.ndarray]
    histories: dict[str, History]
    model: SubspaceNetwork | None
    anchors: np.ndarray | None = None


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
    compile: bool = False,
) -> Experiment:
    """Pre-train, fine-tune, cluster and score; or solve a baseline, cluster and score.

    Parameters
    ----------
    dataset : Dataset
        The data; its labels touch metrics only.
    method : Method or Baseline
        From `dmsc.preset`.
    seed : int
        Fixes everything; on the CPU the same seed gives the same labels, bit for bit (with the same number of threads).
    device : str
        "auto", "cpu" or "cuda"; baselines run on the CPU.
    checkpoint_dir : path, optional
        Where ``AE1.pt`` and ``AE2.pt`` go, every ``checkpoint_every`` epochs, and C of the checked epochs.
    resume : bool
        Go on from those checkpoints; they may be of a run that only reads C otherwise.
    progress : bool
        Show bars (only where stderr is a terminal).
    compile : bool
        Train compiled networks, see `dmsc.compiling`; for cards. It is told by the record, and no part of its name.

    Returns
    -------
    Experiment
        Of several processes (`dmsc.experiments.processes`), each of which calls it, the record is the same in all.

    Raises
    ------
    ValueError
        If the dataset, the method, the device and the checkpoints don't fit together.
    """
    if not isinstance(dataset, Dataset):
        raise TypeError(f"dataset must be a Dataset, as dmsc.load_dataset gives it, got {_short(dataset)}")
    if not isinstance(method, (Method, Baseline)):
        raise TypeError(f"method must be a description, as dmsc.preset gives it, got {_short(method)}")
    seed = integer("seed", seed, 0, SEED_LIMIT)
    if isinstance(method, Baseline) and str(device) not in ("auto", "cpu"):
        raise ValueError(f"{method.name} is a baseline, for the CPU only, not for {str(device)!r}: use 'auto' or 'cpu'")
    if isinstance(method, Baseline) and compile:
        raise ValueError(f"{method.name} is a baseline, and only networks can be compiled: leave out compile=True")
    device = torch.device("cpu") if isinstance(method, Baseline) else resolve_device(device)
    config, began_in = describe(dataset, method, seed), environment()
    resume = resume and checkpoint_dir is not None and any(is_saved(Path(checkpoint_dir, name)) for name in STEPS)
    forget_peak_memory(device)
    if isinstance(method, Baseline):
        fit = fit_baseline(dataset, method, seed=seed)
    else:
        fit = fit_network(
            dataset,
            method,
            seed=seed,
            device=device,
            raw=True,
            checkpoint_dir=checkpoint_dir,
            checkpoint_every=checkpoint_every,
            resume=resume,
            config=training_config(config),
            progress=progress,
            compile=compile,
        )
    shard = Shard(dataset.n_samples) if isinstance(method, Method) else Shard(dataset.n_samples, 0, 1)
    if fit.anchors is None:
        for sign in warning_signs(fit.coefficients, used_views(dataset, method), dataset.n_clusters, shard):
            warnings.warn(sign, stacklevel=2)
    rule = NO_CHOICE if fit.anchors is not None else NOT_ONE if shard.processes > 1 else RULE
    chosen = select(fit.candidates) if rule == RULE else fit.candidates[-1]
    scores: dict[str, dict] = {name: _scores(dataset, labels) for name, labels in fit.labels.items()}
    scores["selected"] = _score(dataset, chosen.labels)
    record = {
        "format": FORMAT,
        "run": run_name(config),
        "config": config,
        "device": device_name(device),
        "environment": began_in | ({"compiled": True} if fit.compiled else {}),
        "resumed": resume,
        "selection": {
            "rule": rule,
            "epoch": chosen.epoch,
            "reading": chosen.reading,
            "ridge": fit.ridge,
            "candidates": [_candidate(dataset, c) for c in fit.candidates],
        },
    }
    if isinstance(method, Baseline):
        record |= {"finetune_epochs_of_paper": None, "shorter_than_paper": False, "metrics": {"baseline": scores}}
        record |= {"label_free": {"chosen": fit.chosen} if fit.chosen else {}, "history": {}}
    else:
        record |= _network_record(dataset, method, fit, scores)
    record["seconds"] = {phase: round(value, 3) for phase, value in fit.seconds.items()}
    record["peak_memory_mb"] = max(shard.everyone(peak_memory_mb(device)))
    if shard.processes > 1:
        record["processes"] = shard.processes
    labels = {name: read.labels for name, read in fit.labels.items()} | {"selected": chosen.labels}
    affinities = {name: read.affinity for name, read in fit.labels.items() if read.affinity is not None}
    return Experiment(record, fit.coefficients, labels, affinities, fit.histories, fit.model, fit.anchors)


def _short(value: Any) -> str:
    return repr(value) if isinstance(value, str) else type(value).__name__


def _network_record(dataset: Dataset, method: Method, fit: Fit, scores: dict) -> dict:
    """Return the part of a record that only networks have; the baseline on the raw data among it."""
    assert fit.model is not None and fit.Xs is not None  # as after any network
    raw = {name: _scores(dataset, labels) for name, labels in fit.raw.items()}
    with torch.no_grad():
        Zs = fit.model.encode(fit.Xs, fit.masks)
        if fit.model.shard.processes > 1:
            residual = _residual(Zs, fit.model)
        else:
            found = [Z.cpu().numpy() for Z in Zs]
            residual = metrics.self_expression_residual(found, fit.coefficients, anchors=fit.anchors)
    second = fit.histories["finetune"]
    return {
        "finetune_epochs_of_paper": method.paper_epochs,
        "shorter_than_paper": method.paper_epochs is not None and fit.epochs < method.paper_epochs,
        "metrics": {"network": scores, "raw": {**raw, "ridge": fit.ridge}},
        "label_free": {
            "self_expression_residual": residual if math.isfinite(residual) else None,  # nan: all latents died
            "pretrain_reconstruction_error": fit.pretrain_error,
            "objective": second["loss"][-1] if second else None,
            **({"chosen": fit.chosen} if fit.chosen else {}),
        },
        "history": {step: thin(history) for step, history in fit.histories.items()},
    }


def _residual(Zs: list[torch.Tensor], model: SubspaceNetwork) -> float:
    """Return `dmsc.metrics.self_expression_residual` of latents and a C that lie in several processes."""
    C, Zs, shard = model.self_expression.coefficients.double(), [Z.double() for Z in Zs], model.shard
    pairs = zip(Zs, express(C, shard.gather_all(Zs)), strict=True)
    sums = [torch.stack([(Z - Z_hat).square().sum(), Z.square().sum()]) for Z, Z_hat in pairs]
    left, whole = shard.total(torch.stack(sums).sum(dim=0))
    return float(left / whole)


def _candidate(dataset: Dataset, candidate: Candidate) -> dict:
    told: dict[str, Any] = {name: getattr(candidate, name) for name in ("epoch", "reading", "consistency", "eigengap")}
    if candidate.degenerate:
        told["degenerate"] = True
    return told | _score(dataset, candidate.labels)


def _scores(dataset: Dataset, read: Labels) -> dict[str, float | None]:
    return {**_score(dataset, read.labels), "eigengap": read.eigengap}


def _score(dataset: Dataset, labels: np.ndarray) -> dict[str, float]:
    return {} if dataset.y is None else metrics.score(dataset.y, labels)


def describe(dataset: Dataset, method: Method | Baseline, seed: int) -> dict:
    """Return what a run is, as plain JSON values: the data, the method with every setting, the seed.

    Of one's own data labels are a part, so that mended labels are another run; others are verified when they are read.
    """
    views = [[name, list(X.shape)] for name, X in zip(dataset.view_names, used_views(dataset, method), strict=False)]
    settings = _plain(method)
    saved = {}
    if settings.get("pretrained") is not None:
        settings["pretrained"], digest = describe_autoencoders(settings["pretrained"])
        saved = {"autoencoders_digest": digest}
    return {
        "dataset": dataset.name,
        **({"variant": dataset.variant} if dataset.variant else {}),
        "views": views,
        "n_clusters": dataset.n_clusters,
        "data_digest": _digest(*dataset.Xs, *(dataset.masks or ())),
        **({} if dataset.preset else {"labels_digest": None if dataset.y is None else _digest(dataset.y)}),
        "method": settings,
        **saved,
        "seed": seed,
    }


def training_config(config: dict) -> dict:
    """Return a network's description without labels and the reading of C, as runs share it that train the same."""
    method = {name: value for name, value in config["method"].items() if name != "reading"}
    return {name: value for name, value in config.items() if name != "labels_digest"} | {"method": method}


def run_name(config: dict) -> str:
    """Name a run: dataset, method, seed, and eight hex digits that stand for everything else in its description.

    They leave out prose, and settings that equal the defaults of `dmsc.Method` or `dmsc.Baseline` and their parts: a
    setting that is added to these some day doesn't rename the runs from before.
    """
    told = {name: value for name, value in config["method"].items() if name != "source"}
    rest = {**config, "method": _not_default(told, Baseline if "algorithm" in told else Method)}
    digest = hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
    return f"{config['dataset']}-{config['method']['name']}-seed{config['seed']}-{digest[:8]}"


def run_id(dataset: Dataset, method: Method | Baseline, seed: int) -> str:
    """Name the run of a method on a dataset, see `run_name`."""
    return run_name(describe(dataset, method, seed))


def _plain(description: Any) -> Any:
    """Return a description, or a part of one, as it will stand in the record: tuples become lists."""
    return json.loads(json.dumps(description, default=asdict))


def _not_default(settings: dict, kind: type) -> dict:
    """Return the settings that aren't the defaults of a dataclass; of parts and layers, those that aren't theirs."""
    kept = {}
    for name, value in settings.items():
        told, default = (_told(name, setting) for setting in (value, _plain(getattr(kind, name, None))))
        if told != default:
            kept[name] = told
    return kept


def _told(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_told(name, part) for part in value]
    return _not_default(value, PARTS[name]) if name in PARTS and value is not None else value


def _digest(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
