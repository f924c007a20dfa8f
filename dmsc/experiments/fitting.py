"""From a dataset and a method's description to coefficients and labels; what is asked for, each thing once."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..baselines import ALGORITHMS
from ..data import Dataset
from ..devices import as_tensors, available_memory, resolve_device, seed_everything
from ..fusion import PLACES, fusion_plan
from ..losses import repeat_last, weighted_squared_error
from ..methods import SOLVED_STARTS, Baseline, Method
from ..model import SubspaceNetwork
from ..paths import replacing, write_text
from ..selection import Candidate, check_epochs, corrected_consistency, is_degenerate
from ..self_expression import choose_ridge, ridge_self_expression, unit_rows
from ..solvers.closed_form import finetune_closed_form
from ..solvers.scale_path import SCALES, finetune_scale_path
from ..spectral import READINGS, Labels, read_labels
from ..training import History, finetune, pretrain
from .autoencoders import load_autoencoders

__all__ = ["Fit", "Reader", "build_model", "fit_baseline", "fit_network", "used_views"]

#: Bytes per entry of C that are held at the greatest, mostly in float64 (measured at N = 4000): to read C once, and to
#: choose a penalty, judge both readings and compare with the raw views.
BYTES_TO_READ, BYTES_TO_JUDGE = 60, 100


@dataclass(frozen=True)
class Fit:
    """What fitting leaves behind.

    Parameters
    ----------
    coefficients : array (N, N)
        C.
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

    @property
    def epochs(self) -> int:
        """Epochs of fine-tuning that were run."""
        return len(self.histories.get("finetune", {}).get("loss", ()))


@dataclass
class Clock:
    """Seconds per phase; a phase that comes back adds up, and one inside another counts for itself alone."""

    device: torch.device
    seconds: dict[str, float] = field(default_factory=dict)
    inner: float = 0.0

    def keep(self, path: Path) -> None:
        """Write down what training took, for a run that goes on from it."""
        training = {phase: self.seconds[phase] for phase in ("pretrain", "finetune") if phase in self.seconds}
        write_text(path, json.dumps(training) + "\n")

    def go_on(self, path: Path) -> None:
        """Begin from what `keep` wrote; from nothing if there is no such file."""
        if path.exists():
            self.seconds |= json.loads(path.read_text(encoding="utf-8"))

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        began, before, self.inner = time.perf_counter(), self.inner, 0.0
        yield
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        passed = time.perf_counter() - began
        self.seconds[phase] = self.seconds.get(phase, 0.0) + passed - self.inner
        self.inner = before + passed


def used_views(dataset: Dataset, method: Method | Baseline) -> Sequence[np.ndarray]:
    """Return all views, or the first one for a network without fusion."""
    alone = isinstance(method, Method) and method.fusion == "none"
    return dataset.Xs[:1] if alone else dataset.Xs


def build_model(dataset: Dataset, method: Method, device: torch.device | str = "cpu") -> SubspaceNetwork:
    """Build the untrained network that a method describes, for the views it uses of a dataset."""
    init = method.coefficients_init
    init = 1 / dataset.n_samples if init == "mean" else 0.0 if init in SOLVED_STARTS else float(init)
    shapes = [X.shape[1:] for X in used_views(dataset, method)]
    spatial = method.fusion in PLACES
    return SubspaceNetwork(
        shapes,
        dataset.n_samples,
        method.architecture,
        plan=fusion_plan(method.fusion, len(shapes), len(method.architecture.convolutions)) if spatial else (),
        fusion_function=method.fusion_function,
        correlation=method.correlation,
        coefficients_init=init,
        zero_diagonal=method.zero_diagonal,
    ).place(resolve_device(device))


def start_coefficients(
    model: SubspaceNetwork, Xs: list[torch.Tensor], method: Method, masks: list[torch.Tensor] | None
) -> None:
    """Set C to a closed form on the current latents, as ``coefficients_init`` says.

    "closed-form": of the loss itself, with ridge lambda_1 / lambda_2. "warm": of unit rows of the latents, with a zero
    diagonal and a penalty chosen without labels, see `dmsc.self_expression.choose_ridge`.
    """
    with torch.no_grad():
        Zs = model.encode(Xs, masks)
    if method.coefficients_init == "warm":
        Zs = [torch.nn.functional.normalize(Z.double()) for Z in Zs]
        ridge, zero_diagonal = choose_ridge([Z.cpu().numpy() for Z in Zs]), True
    else:
        ridge, zero_diagonal = method.loss.ridge, method.zero_diagonal
    weights = repeat_last(method.loss.self_expression, model.n_latents)
    options: dict[str, Any] = {"weights": weights, "masks": model.latent_masks(masks)}
    C = ridge_self_expression(Zs, ridge, zero_diagonal=zero_diagonal, **options)
    model.self_expression.set_coefficients(C)


def check_memory(n_samples: int, device: torch.device, readings: Sequence[str]) -> None:
    """Refuse N x N coefficients that can't fit, before any time is spent on them."""
    free = available_memory(device)
    needed = (BYTES_TO_JUDGE if "selected" in readings else BYTES_TO_READ) * n_samples**2
    if free is not None and needed > free:
        raise ValueError(
            f"{n_samples} samples need about {needed / 2**30:.1f} GiB for {n_samples} x {n_samples} coefficients, and "
            f"{str(device)!r} has {free / 2**30:.1f} GiB free: take fewer samples, or anchors, which need memory "
            "linear in N (dmsc.solvers.anchors, dmsc.solvers.anchored_training)"
        )


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
) -> Fit:
    """Pre-train and fine-tune the network that a method describes, and read labels off C; see `dmsc.run_experiment`.

    Only the ``readings`` that are asked for are computed: "plain" or "paper" of the last C; "selected" needs both, at
    ten epochs. ``raw`` adds those of the closed form on the raw views.
    """
    device = resolve_device(device)
    check_memory(dataset.n_samples, device, readings)
    if method.solver == "scale-path" and dataset.masks is not None:
        raise ValueError("solver='scale-path' needs every view of every sample: use solver='adam' with masks")
    folder = None if checkpoint_dir is None else Path(checkpoint_dir)
    reader = Reader(dataset, method, seed, readings, device, folder)
    clock, spent = reader.clock, folder and folder / "seconds.json"
    if spent and resume:
        clock.go_on(spent)
    loop: dict[str, Any] = {"checkpoint_every": checkpoint_every, "resume": resume, "config": config}
    loop |= {"progress": progress, "schedule": method.schedule, "precision": method.precision}
    with clock("setup"):
        seed_everything(seed)
        model = build_model(dataset, method, device)
        if method.pretrained is not None:
            load_autoencoders(model, method.pretrained)
        Xs = as_tensors(used_views(dataset, method), device, method.input_scale)
        masks = None if dataset.masks is None else [torch.tensor(m, device=device) for m in dataset.masks[: len(Xs)]]
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
    if spent:
        clock.keep(spent)
    options: dict[str, Any] = {"epochs": method.finetune_epochs, "learning_rate": method.learning_rate}
    options |= {"weights": method.loss, "checkpoint": folder and folder / "AE2.pt", "callback": reader, **loop}
    with clock("finetune"):
        if method.coefficients_init in SOLVED_STARTS:
            start_coefficients(model, Xs, method, masks)
        if method.solver == "scale-path":
            second = finetune_scale_path(model, Xs, batch_size=method.pretrain_batch_size, seed=seed, **options)
        else:
            train = finetune if method.solver == "adam" else finetune_closed_form
            options |= {"correlation": method.correlation, "tolerance": method.finetune_tolerance}
            options |= {"network_learning_rate": method.network_learning_rate}
            second = train(model, Xs, masks=masks, **options)
    if spent:
        clock.keep(spent)
    histories, trained = {"pretrain": first, "finetune": second}, len(second.get("loss", ()))
    if resume:
        reader.catch_up(trained)
    labels = reader.read(model.self_expression.coefficients, trained)  # where C lies
    raw_labels = reader.read_raw() if raw else {}
    parts = (model.coefficients, labels, reader.candidates, raw_labels, reader.ridge, histories, clock.seconds)
    return Fit(*parts, model, Xs, masks, pretrain_error)


def fit_baseline(dataset: Dataset, method: Baseline, *, seed: int = 0, readings: Sequence[str] = READINGS) -> Fit:
    """Solve a classical method on the raw views, scaled to unit rows and put side by side; read labels off its C."""
    device = torch.device("cpu")  # the solvers know nothing else
    check_memory(dataset.n_samples, device, readings)
    reader = Reader(dataset, method, seed, readings, device)
    with reader.clock("solve"):
        C = ALGORITHMS[method.algorithm](reader.X, n_clusters=dataset.n_clusters, seed=seed, **method.parameters)
    labels = reader.read(C)
    return Fit(C, labels, reader.candidates, {}, reader.ridge, {}, reader.clock.seconds)


class Reader:
    """Read labels off C, as far as they are asked for: after fine-tuning, and for a choice among epochs during it.

    Parameters
    ----------
    dataset, method, seed
        What is fitted.
    readings : sequence of {"plain", "paper", "selected"}
        What is asked for. "selected" means both others, at ten epochs, each judged without labels.
    device : torch.device
        Where C lies.
    folder : path, optional
        Where C of each checked epoch is kept, for a run that goes on from there, or reads the same training otherwise.
    """

    def __init__(
        self,
        dataset: Dataset,
        method: Method | Baseline,
        seed: int,
        readings: Sequence[str] = READINGS,
        device: torch.device | str = "cpu",
        folder: Path | None = None,
    ):
        self.judging = "selected" in readings
        self.readings = {name: r for name, r in method.readings.items() if self.judging or name in readings}
        self.dataset, self.seed, self.folder = dataset, seed, folder
        self.views = used_views(dataset, method)
        self.epochs: list[int] = []
        if self.judging and isinstance(method, Method):
            scales, epochs = range(-len(SCALES), 0), check_epochs(method.finetune_epochs)
            self.epochs = [*(scales if method.solver == "scale-path" else epochs[:-1])]
        self.candidates: list[Candidate] = []
        self.clock = Clock(torch.device(device))
        self.ridge: float | None = None

    @cached_property
    def rows(self) -> list[np.ndarray]:
        """The raw views, scaled to unit rows."""
        return unit_rows(self.views)

    @cached_property
    def X(self) -> np.ndarray:
        """All of them side by side (N, sum of D)."""
        return np.hstack(self.rows)

    def choose_ridge(self) -> float:
        """Return the penalty of the closed form on the raw views, chosen without labels once."""
        if self.ridge is None:
            with self.clock("penalty"):
                self.ridge = choose_ridge(self.rows)
        return self.ridge

    def __call__(self, epoch: int, terms: dict[str, float], model: SubspaceNetwork) -> None:
        """Look at C on the way, as a callback of fine-tuning."""
        if epoch in self.epochs:
            C = model.self_expression.coefficients
            if self.folder is not None:
                with replacing(self._kept(epoch)) as temporary:
                    np.save(temporary, C.cpu().numpy())
            self.look(C, epoch, "selection")

    def catch_up(self, trained: int) -> None:
        """Look at the kept C of checked epochs before ``trained`` that an earlier run passed.

        Raises
        ------
        ValueError
            If one is missing or damaged.
        """
        seen = {candidate.epoch for candidate in self.candidates}
        for epoch in self.epochs:
            if epoch < trained and epoch not in seen and self.folder is not None:
                try:
                    C = torch.from_numpy(np.load(self._kept(epoch)))
                except (ValueError, OSError, EOFError) as error:
                    raise ValueError(
                        f"{self._kept(epoch)} is missing or damaged ({type(error).__name__}): remove its folder to "
                        "start anew"
                    ) from None
                self.look(C.to(self.clock.device), epoch, "selection")
        self.candidates.sort(key=lambda candidate: candidate.epoch)

    def _kept(self, epoch: int) -> Path:
        assert self.folder is not None
        return self.folder / f"C-{epoch}.npy"

    def look(self, C: np.ndarray | torch.Tensor, epoch: int, phase: str) -> dict[str, Labels]:
        """Read C of one epoch, and add what comes out to the candidates."""
        ridge = self.choose_ridge() if self.judging else None
        with self.clock(phase):
            read = {name: _read(C, self.dataset.n_clusters, r, self.seed) for name, r in self.readings.items()}
            for name, found in read.items():
                consistency = None if ridge is None else corrected_consistency(self.X, found.labels, ridge)
                collapsed = is_degenerate(found.labels, self.dataset.n_clusters)
                self.candidates.append(Candidate(epoch, name, found.labels, consistency, collapsed, found.eigengap))
        return read

    def read(self, C: np.ndarray | torch.Tensor, epoch: int = 0) -> dict[str, Labels]:
        """Read the last C, after this many epochs."""
        return self.look(C, epoch, "clustering")

    def read_raw(self) -> dict[str, Labels]:
        """Read the closed form on the raw views."""
        ridge = self.choose_ridge()
        with self.clock("raw_baseline"):
            masks = self.dataset.masks and self.dataset.masks[: len(self.rows)]
            C = ridge_self_expression(self.rows, ridge, masks=masks).numpy()
            return {name: _read(C, self.dataset.n_clusters, r, self.seed) for name, r in self.readings.items()}


def _read(C: np.ndarray | torch.Tensor, *options: Any) -> Labels:
    """Read C where it lies, and bring what comes out to the host."""
    read = read_labels(C, *options)
    if isinstance(C, torch.Tensor):
        return Labels(*(None if part is None else part.cpu().numpy() for part in read))
    return read


@torch.no_grad()
def _relative_reconstruction_error(
    model: SubspaceNetwork, Xs: list[torch.Tensor], masks: list[torch.Tensor] | None
) -> float:
    error = weighted_squared_error(Xs, model.autoencode(Xs, masks), [1.0], masks)
    return float(error / sum(X.square().sum() for X in Xs))  # missing views are 0
