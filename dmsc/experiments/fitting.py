"""From a dataset and a method's description to coefficients: build, pre-train, fine-tune; or a classical solver."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..baselines import ALGORITHMS
from ..clustering import cluster, unit_rows
from ..data.dataset import Dataset
from ..devices import as_tensors, resolve_device, seed_everything
from ..fusion import PLACES, fusion_plan
from ..losses import repeat_last, weighted_squared_error
from ..methods import Baseline, Method
from ..model import SubspaceNetwork
from ..selection import Candidate, check_epochs, load_candidates, save_candidates, subspace_consistency
from ..self_expression import choose_ridge, ridge_self_expression
from ..solvers.scale_path import SCALES, finetune_scale_path
from ..training import finetune, pretrain

__all__ = ["Fit", "LabelChecks", "build_model", "fit_baseline", "fit_network", "used_views"]

CPU_CHUNK = 250  # samples per chunk on the CPU: see SubspaceNetwork
POST_PROCESSINGS = ("plain", "paper")


@dataclass(frozen=True)
class Fit:
    """What fitting leaves behind.

    Parameters
    ----------
    coefficients : array (N, N)
        C.
    candidates : list of Candidate
        Labels at the checked epochs, under both post-processings; the last two belong to ``coefficients``.
    ridge : float
        Penalty of the closed form on the raw views, chosen without labels.
    histories : dict
        ``pretrain`` and ``finetune``: loss histories; empty for baselines.
    seconds : dict
        Time per phase.
    seed : int
        What it was started with.
    model : SubspaceNetwork or None
        The trained network.
    Xs, masks : list of tensors, list of tensors or None
        What the network was trained on.
    pretrain_error : float or None
        Reconstruction error after pre-training, relative to the views' squared norm.
    """

    coefficients: np.ndarray
    candidates: list[Candidate]
    ridge: float
    histories: dict[str, dict[str, list[float]]]
    seconds: dict[str, float]
    seed: int
    model: SubspaceNetwork | None = None
    Xs: list[torch.Tensor] | None = None
    masks: list[torch.Tensor] | None = None
    pretrain_error: float | None = None

    @property
    def epochs(self) -> int:
        """Epochs of fine-tuning that were run."""
        return len(self.histories.get("finetune", {}).get("loss", ()))


def used_views(dataset: Dataset, method: Method | Baseline) -> tuple[np.ndarray, ...]:
    """Return all views, or the first one for a network without fusion."""
    return dataset.Xs[: _n_views(dataset, method)]


def _n_views(dataset: Dataset, method: Method | Baseline) -> int:
    return 1 if isinstance(method, Method) and method.fusion == "none" else dataset.n_views


def build_model(dataset: Dataset, method: Method, device: torch.device | str = "cpu") -> SubspaceNetwork:
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
        correlation=method.correlation,
        coefficients_init=0.0 if init == "ridge" else init,
        zero_diagonal=method.zero_diagonal,
        chunk_size=CPU_CHUNK if device.type == "cpu" else None,
    ).to(device)
    if device.type == "cpu":  # convolutions run faster with channels innermost; the numbers are the same
        model = model.to(memory_format=torch.channels_last)
    return model


def warm_start(model: SubspaceNetwork, Xs: list[torch.Tensor], method: Method, masks=None) -> None:
    """Set C to the closed form on the current latents, with ridge lambda_1 / lambda_2."""
    weights = method.loss
    with torch.no_grad():
        Zs = model.encode(Xs, masks)
    model.self_expression.set_coefficients(
        ridge_self_expression(
            Zs,
            weights.lambda_regularization / weights.lambda_self_expression,
            zero_diagonal=method.zero_diagonal,
            weights=repeat_last(weights.self_expression, len(Zs)),
            masks=None if model.joint else masks,
        )
    )


def fit_network(
    dataset: Dataset,
    method: Method,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
    checkpoint_dir: str | Path | None = None,
    checkpoint_every: int = 50,
    resume: bool = False,
    config: dict | None = None,
    progress: bool = True,
    all_epochs: bool = True,
) -> Fit:
    """Pre-train and fine-tune the network that a method describes; see :func:`dmsc.run_experiment`.

    Without ``all_epochs`` labels are read off the last C only, and their candidates are all there are.
    """
    device = resolve_device(device)
    loop = {"checkpoint_every": checkpoint_every, "resume": resume, "config": config, "progress": progress}
    loop |= {"schedule": method.schedule, "precision": method.precision}
    folder = None if checkpoint_dir is None else Path(checkpoint_dir)
    seconds: dict[str, float] = {}
    seed_everything(seed)
    model = build_model(dataset, method, device)
    Xs = as_tensors(used_views(dataset, method), device, method.input_scale)
    masks = None if dataset.masks is None else [torch.tensor(m, device=device) for m in dataset.masks[: len(Xs)]]
    with _timed(seconds, "pretrain", device):
        first = pretrain(
            model,
            Xs,
            epochs=method.pretrain_epochs,
            learning_rate=method.learning_rate,
            batch_size=method.pretrain_batch_size,
            weights=method.loss.reconstruction,
            masks=masks,
            seed=seed,
            tolerance=method.pretrain_tolerance,
            checkpoint=folder and folder / "AE1.pt",
            **loop,
        )
    pretrain_error = _relative_reconstruction_error(model, Xs, masks)
    if method.coefficients_init == "ridge":
        warm_start(model, Xs, method, masks)

    checks = LabelChecks(dataset, method, seed, folder and folder / "selection.npz", resume, all_epochs)
    options = {"epochs": method.finetune_epochs, "learning_rate": method.learning_rate, "weights": method.loss}
    options |= {"checkpoint": folder and folder / "AE2.pt", "callback": checks, **loop}
    with _timed(seconds, "finetune", device):
        if method.solver == "scale-path":
            if masks is not None:
                raise ValueError("solver='scale-path' needs every view of every sample: use solver='adam' with masks")
            second = finetune_scale_path(model, Xs, batch_size=method.pretrain_batch_size, seed=seed, **options)
        else:
            second = finetune(
                model,
                Xs,
                masks=masks,
                correlation=method.correlation,
                solver=method.solver,
                tolerance=method.finetune_tolerance,
                **options,
            )
    seconds["finetune"] -= checks.seconds
    seconds["selection"] = checks.seconds
    C = model.self_expression.coefficients  # clusters are read off where it lies
    with _timed(seconds, "clustering", device):
        candidates = checks.finish(C, len(second.get("loss", ())))
    histories = {"pretrain": first, "finetune": second}
    return Fit(model.coefficients, candidates, checks.ridge, histories, seconds, seed, model, Xs, masks, pretrain_error)


def fit_baseline(dataset: Dataset, method: Baseline, *, seed: int = 0) -> Fit:
    """Solve a classical method on the raw views, scaled to unit rows and put side by side."""
    seconds: dict[str, float] = {}
    X = np.hstack(unit_rows(dataset.Xs))  # (N, sum of D)
    with _timed(seconds, "solve", torch.device("cpu")):
        C = ALGORITHMS[method.algorithm](X, n_clusters=dataset.n_clusters, seed=seed, **method.parameters)
    checks = LabelChecks(dataset, method, seed)
    with _timed(seconds, "clustering", torch.device("cpu")):
        candidates = checks.finish(C)
    return Fit(C, candidates, checks.ridge, {}, seconds, seed)


class LabelChecks:
    """Callback of fine-tuning: every so many epochs, labels under both post-processings and their consistency.

    Parameters
    ----------
    dataset, method, seed
        What is fitted.
    path : path, optional
        File that keeps the candidates found so far.
    resume : bool
        Go on from that file.
    every : bool
        Look at ten epochs; else at the last C alone.
    """

    def __init__(
        self,
        dataset: Dataset,
        method: Method | Baseline,
        seed: int,
        path: Path | None = None,
        resume: bool = False,
        every: bool = True,
    ):
        rows = unit_rows(used_views(dataset, method))
        self.X, self.ridge = np.hstack(rows), choose_ridge(rows)
        self.n_clusters, self.post, self.seed, self.path = dataset.n_clusters, method.post, seed, path
        epochs = check_epochs(method.finetune_epochs) if isinstance(method, Method) else [0]
        if isinstance(method, Method) and method.solver == "scale-path":
            epochs = [*range(-len(SCALES), 0), method.finetune_epochs]
        self.epochs = epochs if every else epochs[-1:]
        self.found = load_candidates(path) if path is not None and resume else []
        self.seconds = 0.0

    def __call__(self, epoch: int, terms: dict, model: SubspaceNetwork) -> None:
        if epoch not in self.epochs[:-1]:
            return
        began = time.perf_counter()
        self.look(epoch, model.self_expression.coefficients)
        if self.path is not None:
            save_candidates(self.path, self.found)
        self.seconds += time.perf_counter() - began

    def look(self, epoch: int, C: np.ndarray | torch.Tensor) -> None:
        """Add the candidates of one epoch."""
        self.found = [candidate for candidate in self.found if candidate.epoch < epoch]  # a resumed run repeats some
        for name, post in zip(POST_PROCESSINGS, (None, self.post), strict=True):
            labels, _ = cluster(C, self.n_clusters, post, self.seed)
            labels = labels.cpu().numpy() if isinstance(labels, torch.Tensor) else labels
            consistency = subspace_consistency(self.X, labels, self.ridge)
            self.found.append(Candidate(epoch, name, labels, consistency))

    def finish(self, C: np.ndarray | torch.Tensor, epoch: int = 0) -> list[Candidate]:
        """Add those of the last C, after this many epochs, and return all."""
        self.look(epoch, C)
        return self.found


@torch.no_grad()
def _relative_reconstruction_error(model: SubspaceNetwork, Xs: list[torch.Tensor], masks) -> float:
    ones = [1.0]
    error = weighted_squared_error(Xs, model.autoencode(Xs, masks), ones, masks)
    return float(error / sum(X.square().sum() for X in Xs))  # missing views are 0


@contextmanager
def _timed(seconds: dict[str, float], phase: str, device: torch.device) -> Iterator[None]:
    start = time.perf_counter()
    yield
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    seconds[phase] = time.perf_counter() - start
