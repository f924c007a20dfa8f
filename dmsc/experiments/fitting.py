"""From a dataset and a method's description to coefficients and labels; what is asked for, each thing once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..baselines import ALGORITHMS, chosen_parameters
from ..checks import integer
from ..compiling import compile_networks, restore_networks
from ..data import Dataset
from ..devices import as_tensors, fast_precision, resolve_device, seed_everything
from ..fusion import PLACES, fusion_plan
from ..losses import mean_squared_length, repeat_last, weighted_squared_error
from ..methods import OWN_RATES, SOLVED_STARTS, Baseline, Method
from ..model import SubspaceNetwork
from ..selection import Candidate
from ..self_expression import (
    LOCAL_RIDGE,
    choose_ridge,
    local_self_expression,
    nearest_neighbors,
    ridge_self_expression,
)
from ..sharding import Shard
from ..solvers.anchored_training import finetune_anchored
from ..solvers.closed_form import finetune_closed_form
from ..solvers.scale_path import finetune_scale_path
from ..spectral import READINGS, Labels
from ..training import History, finetune, pretrain
from .autoencoders import load_autoencoders
from .choosing import Choice, settled
from .memory import check_memory
from .reader import Clock, Reader, used_views

__all__ = ["Fit", "build_model", "check_data", "check_shareable", "fit_baseline", "fit_network"]


@dataclass(frozen=True)
class Fit:
    """What fitting leaves behind.

    Parameters
    ----------
    coefficients : array (N, N), or (N, m) with anchors
        C; of several processes the rows (n, N) of this one.
    labels : dict of str to Labels
        What the asked readings "plain" and "paper" of ``coefficients`` give: labels, affinity, eigenvalues.
    candidates : list of Candidate
        Labels at the checked epochs, with both readings if a choice among them was asked for; those of
        ``coefficients`` come last.
    raw : dict of str to Labels
        The same readings of the closed form on the raw views, if asked for.
    ridge : float or None
        Its penalty, chosen without labels, if anything needed it.
    histories : dict
        ``pretrain`` and ``finetune``: loss histories; empty for baselines.
    seconds : dict
        Time per phase.
    model : SubspaceNetwork or None
        The trained network.
    Xs, masks : list of tensors, list of tensors or None
        What the network was trained on.
    pretrain_error : float or None
        Reconstruction error after pre-training, relative to the views' squared norm.
    anchors : array (m,) or None
        Indices of the samples that C combines, where it is not all of them.
    chosen : dict
        What took the place of "auto" in the method: ``scale``, ``neighbors``, ``n_neighbors``, ``precision``; of a
        baseline, the parameter that was None (`dmsc.baselines.CHOICES`).
    compiled : bool
        Whether the network was trained compiled.
    """

    coefficients: np.ndarray
    labels: dict[str, Labels]
    candidates: list[Candidate]
    raw: dict[str, Labels]
    ridge: float | None
    histories: dict[str, History]
    seconds: dict[str, float]
    model: SubspaceNetwork | None = None
    Xs: list[torch.Tensor] | None = None
    masks: list[torch.Tensor] | None = None
    pretrain_error: float | None = None
    anchors: np.ndarray | None = None
    chosen: dict[str, Any] = field(default_factory=dict)
    compiled: bool = False

    @property
    def epochs(self) -> int:
        """Epochs of fine-tuning that were run."""
        return len(self.histories.get("finetune", {}).get("loss", ()))


def build_model(
    dataset: Dataset, method: Method, device: torch.device | str = "cpu", shard: Shard | None = None
) -> SubspaceNetwork:
    """Build the untrained network that a method describes, for the views it uses of a dataset.

    Anchored coefficients are no part of it; of C it has the rows of ``shard``.
    """
    init = method.coefficients_init
    init = 1 / dataset.n_samples if init == "mean" else 0.0 if init in SOLVED_STARTS else float(init)
    shapes = [X.shape[1:] for X in used_views(dataset, method)]
    spatial = method.fusion in PLACES
    return SubspaceNetwork(
        shapes,
        dataset.n_samples if method.anchors is None else 1,
        method.architecture,
        plan=fusion_plan(method.fusion, len(shapes), len(method.architecture.convolutions)) if spatial else (),
        fusion_function=method.fusion_function,
        correlation=method.correlation,
        coefficients_init=init,
        zero_diagonal=method.zero_diagonal,
        shard=shard,
    ).place(resolve_device(device))


def start_coefficients(
    model: SubspaceNetwork,
    Xs: list[torch.Tensor],
    method: Method,
    masks: list[torch.Tensor] | None,
    neighbors: torch.Tensor | None = None,
) -> None:
    """Set C to a closed form, as ``coefficients_init`` says.

    "closed-form": on the current latents, of the loss itself, with ridge lambda_1 / lambda_2. "warm": on unit rows of
    the latents, with a zero diagonal and a penalty chosen without labels, see `dmsc.self_expression.choose_ridge`;
    where C is restricted to ``neighbors`` (N, k), on unit rows of the views, where these are neighbors, with the
    penalty `dmsc.self_expression.LOCAL_RIDGE` per view.
    """
    if method.coefficients_init == "warm" and neighbors is not None:
        rows = [torch.nn.functional.normalize(X.flatten(1).double()) for X in Xs]
        C = local_self_expression(rows, neighbors, LOCAL_RIDGE * len(rows), masks=masks)
        model.self_expression.set_coefficients(C)
        return
    with torch.no_grad():
        Zs = [Z.double() for Z in model.encode(Xs, masks)]
    latent_masks = model.latent_masks(masks)
    weights = repeat_last(method.loss.self_expression, model.n_latents)
    options: dict[str, Any] = {"weights": weights, "masks": latent_masks}
    if method.coefficients_init == "warm":
        Zs = [torch.nn.functional.normalize(Z) for Z in Zs]
        C = ridge_self_expression(Zs, choose_ridge([Z.cpu().numpy() for Z in Zs]), **options)
    else:
        if method.loss.relative:
            known: Sequence[torch.Tensor | None] = [None] * len(Zs) if latent_masks is None else latent_masks
            sizes = map(mean_squared_length, Zs, known)
            options["weights"] = [v / float(size) for v, size in zip(weights, sizes, strict=True)]
        if neighbors is not None:
            C = local_self_expression(Zs, neighbors, method.loss.ridge, **options)
        else:
            C = ridge_self_expression(Zs, method.loss.ridge, zero_diagonal=method.zero_diagonal, **options)
    model.self_expression.set_coefficients(C)


def check_data(dataset: Dataset, method: Method | Baseline) -> None:
    """Refuse data that a method can't be fitted to."""
    if dataset.n_samples < 2:
        shapes = ", ".join(str(X.shape) for X in dataset.Xs)
        raise ValueError(f"two samples are needed at least, to express each other, got one, in views of shape {shapes}")
    if isinstance(method, Baseline):
        return
    if method.solver == "scale-path" and dataset.masks is not None:
        raise ValueError("solver='scale-path' needs every view of every sample: use solver='adam' with masks")
    if method.anchors is not None:
        if dataset.masks is not None:
            raise ValueError(f"anchors={method.anchors} need every view of every sample: use anchors=None with masks")
        integer("anchors", method.anchors, dataset.n_clusters, dataset.n_samples)


def check_shareable(method: Method | Baseline) -> None:
    """Refuse what several processes can't share: all but a network whose C is trained between all samples."""
    if isinstance(method, Baseline):
        raise ValueError(f"{method.name} is a baseline, which runs in one process: leave --processes out")
    wanted: dict[str, Any] = {"solver": "adam", "anchors": None, "n_neighbors": None}
    other = {name: getattr(method, name) for name in wanted if getattr(method, name) != wanted[name]}
    if method.coefficients_init in SOLVED_STARTS:
        other["coefficients_init"], wanted["coefficients_init"] = method.coefficients_init, 1e-4
    if other:
        found, ways = (" ".join(f"{name}={of[name]}" for name in other) for of in (other, wanted))
        raise ValueError(f"{found} needs all of C in one process: set {ways}, or leave --processes out")


def fit_network(
    dataset: Dataset,
    method: Method,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
    readings: Sequence[str] = READINGS,
    raw: bool = False,
    checkpoint_dir: str | Path | None = None,
    checkpoint_every: int = 50,
    resume: bool = False,
    config: dict | None = None,
    progress: bool = True,
    compile: bool = False,
) -> Fit:
    """Pre-train and fine-tune the network that a method describes, and read labels off C; see `dmsc.run_experiment`.

    Only the ``readings`` that are asked for are computed: "plain" or "paper" of the last C; "selected" needs both, at
    ten epochs. ``raw`` adds those of the closed form on the raw views. Of several processes each calls it, and has its
    rows of C in the end; they read the last C alone.
    """
    device = resolve_device(device)
    check_data(dataset, method)
    shard = Shard(dataset.n_samples)
    if shard.processes > 1:
        check_shareable(method)
        readings, raw = ("plain", "paper"), False
    check_memory(dataset, method, device, readings, shard.processes)
    folder = None if checkpoint_dir is None else Path(checkpoint_dir)
    asked, clock, spent = method, Clock(device), folder and folder / "seconds.txt"  # not .json: those are records
    with clock("setup"):
        dataset, method = settled(dataset, method, seed)
    if method.precision == "auto":
        method = replace(method, precision=fast_precision(device))
        config = config and config | {"precision": method.precision}  # no other device's checkpoint
    reader = Reader(dataset, method, seed, readings, clock, folder, shard)
    earlier = clock.go_on(spent) if spent and resume else {}
    shard.wait()  # until all have read that
    spent = spent if shard.rank == 0 else None
    loop: dict[str, Any] = {"checkpoint_every": checkpoint_every, "resume": resume, "config": config}
    loop |= {"progress": progress, "schedule": method.schedule, "precision": method.precision}
    with clock("setup"):
        seed_everything(seed)
        model, anchors = build_model(dataset, method, device, shard if method.anchors is None else None), reader.anchors
        if method.pretrained is not None:
            load_autoencoders(model, method.pretrained)
        rows = shard.rows
        Xs = as_tensors([X[rows] for X in used_views(dataset, method)], device, method.input_scale)
        known = () if dataset.masks is None else dataset.masks[: len(Xs)]
        masks = [torch.tensor(mask[rows], device=device) for mask in known] or None
        neighbors = None
        if method.n_neighbors is not None:
            neighbors = nearest_neighbors(Xs, int(method.n_neighbors), by=method.neighbors, masks=masks)
            model.self_expression.restrict(neighbors)
        compiled = compile and compile_networks(model)
    with clock("pretrain"):
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
            through=method.pretrain_through,
            checkpoint=folder and folder / "AE1.pt",
            **loop,
        )
        pretrain_error = _relative_reconstruction_error(model, Xs, masks)
    if spent and "finetune" not in earlier:
        clock.keep(spent)
    options: dict[str, Any] = {"epochs": method.finetune_epochs, "learning_rate": method.learning_rate}
    options |= {"weights": method.loss, "checkpoint": folder and folder / "AE2.pt", "callback": reader, **loop}
    with clock("finetune"):
        if method.coefficients_init in SOLVED_STARTS:
            start_coefficients(model, Xs, method, masks, neighbors)
        if anchors is not None:
            options |= {"zero_diagonal": method.zero_diagonal, "seed": seed}
            second, C = finetune_anchored(model, Xs, anchors, **options)
        elif method.solver == "scale-path":
            second = finetune_scale_path(model, Xs, batch_size=method.pretrain_batch_size, seed=seed, **options)
        else:
            train = finetune if method.solver == "adam" else finetune_closed_form
            options |= {"correlation": method.correlation, "tolerance": method.finetune_tolerance}
            rates = [getattr(method, name) or method.learning_rate for name in OWN_RATES]  # of the network, of C
            options |= {"learning_rate": rates[1], "network_learning_rate": None if rates[0] == rates[1] else rates[0]}
            second = train(model, Xs, masks=masks, **options)
    restore_networks(model)
    if anchors is None:
        C = model.self_expression.coefficients
    if "finetune" in earlier:  # trained to the end before
        clock.seconds |= earlier
    elif spent:
        clock.keep(spent)
    histories, trained = {"pretrain": first, "finetune": second}, len(second.get("loss", ()))
    if resume:
        reader.catch_up(trained)
    labels = reader.read(C, trained)  # where C lies
    raw_labels = reader.read_raw() if raw else {}
    found = (C.cpu().numpy(), labels, reader.candidates, raw_labels, reader.ridge, histories, clock.seconds)
    return Fit(*found, model, Xs, masks, pretrain_error, anchors, _chosen(asked, method), compiled)


def fit_baseline(dataset: Dataset, method: Baseline, *, seed: int = 0, readings: Sequence[str] = READINGS) -> Fit:
    """Solve a classical method on the raw views, unit rows weighted and put side by side; read labels off its C."""
    device = torch.device("cpu")  # the solvers know nothing else
    check_data(dataset, method)
    check_memory(dataset, method, device, readings)
    asked, (dataset, method) = method, settled(dataset, method, seed)
    reader = Reader(dataset, method, seed, readings, Clock(device))
    with reader.clock("solve"):
        weights = repeat_last(method.weights, len(reader.rows))
        X = np.hstack([w**0.5 * rows for w, rows in zip(weights, reader.rows, strict=True)])  # (N, sum of D)
        chosen = chosen_parameters(method.algorithm, X, method.parameters)
        if method.algorithm == "local" and dataset.masks is not None:  # the others take missing views for zeros
            k, views = method.parameters["n_neighbors"], dict[str, Any](weights=weights, masks=dataset.masks)
            neighbors = nearest_neighbors(reader.rows, k, by=method.neighbors, **views)
            C = local_self_expression(reader.rows, neighbors, LOCAL_RIDGE * len(reader.rows), **views).numpy()
        else:
            parameters = method.parameters | chosen
            C = ALGORITHMS[method.algorithm](X, n_clusters=dataset.n_clusters, seed=seed, **parameters)
    labels = reader.read(C)
    chosen |= _chosen(asked, method)
    return Fit(C, labels, reader.candidates, {}, reader.ridge, {}, reader.clock.seconds, chosen=chosen)


def _chosen(asked: Method | Baseline, method: Method | Baseline) -> dict[str, Any]:
    """Return what took the place of "auto"."""
    names = (*Choice._fields, "precision")
    return {name: getattr(method, name) for name in names if getattr(asked, name, None) == "auto"}


@torch.no_grad()
def _relative_reconstruction_error(
    model: SubspaceNetwork, Xs: list[torch.Tensor], masks: list[torch.Tensor] | None
) -> float:
    error = model.shard.total(weighted_squared_error(Xs, model.autoencode(Xs, masks), [1.0], masks))
    return float(error / model.shard.total(torch.stack([X.square().sum() for X in Xs]).sum()))  # missing views are 0
