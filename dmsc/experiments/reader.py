"""Reading labels off C, as far as they are asked for, with the time that each phase of a run takes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from ..data import Dataset
from ..devices import wait_for
from ..methods import Baseline, Method
from ..model import SubspaceNetwork
from ..paths import replacing, write_text
from ..selection import Candidate, check_epochs, corrected_consistency, is_degenerate
from ..self_expression import choose_ridge, ridge_self_expression, unit_rows
from ..sharded_spectral import read_sharded_labels
from ..sharding import Shard
from ..solvers.anchors import anchored_ridge, choose_anchors, read_anchored
from ..solvers.scale_path import SCALES
from ..spectral import READINGS, Labels, Reading, read_labels

__all__ = ["Clock", "Reader", "used_views"]


def used_views(dataset: Dataset, method: Method | Baseline) -> Sequence[np.ndarray]:
    """Return all views, or the first one for a network without fusion."""
    alone = isinstance(method, Method) and method.fusion == "none"
    return dataset.Xs[:1] if alone else dataset.Xs


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

    def go_on(self, path: Path) -> dict[str, float]:
        """Begin from what `keep` wrote, and return it; nothing if there is no such file."""
        earlier = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        self.seconds |= earlier
        return earlier

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        began, before, self.inner = time.perf_counter(), self.inner, 0.0
        yield
        wait_for(self.device)
        passed = time.perf_counter() - began
        self.seconds[phase] = self.seconds.get(phase, 0.0) + passed - self.inner
        self.inner = before + passed


class Reader:
    """Read labels off C, as far as they are asked for: after fine-tuning, and for a choice among epochs during it.

    Parameters
    ----------
    dataset, method, seed
        What is fitted.
    readings : sequence of {"plain", "paper", "selected"}
        What is asked for. "selected" means both others, at ten epochs, each judged without labels. Of anchored
        coefficients there is "plain" alone, of the last epoch: the judge compares all samples with each other.
    clock : Clock, optional
        Of the run, with the device where C lies.
    folder : path, optional
        Where C of each checked epoch is kept, for a run that goes on from there, or reads the same training otherwise.
    shard : Shard, optional
        Which rows of C are here, where several processes have some: then the last epoch alone is read.
    """

    def __init__(
        self,
        dataset: Dataset,
        method: Method | Baseline,
        seed: int,
        readings: Sequence[str] = READINGS,
        clock: Clock | None = None,
        folder: Path | None = None,
        shard: Shard | None = None,
    ):
        self.judging = "selected" in readings
        self.readings = {name: r for name, r in method.readings.items() if self.judging or name in readings}
        self.n_anchors = method.anchors if isinstance(method, Method) else None
        self.shard = shard if shard is not None and shard.processes > 1 else None
        self.judging = self.judging and self.n_anchors is None and self.shard is None
        self.dataset, self.seed, self.folder = dataset, seed, folder
        self.views = used_views(dataset, method)
        self.epochs: list[int] = []
        if self.judging and isinstance(method, Method):
            scales, epochs = range(-len(SCALES), 0), check_epochs(method.finetune_epochs)
            self.epochs = [*(scales if method.solver == "scale-path" else epochs[:-1])]
        self.candidates: list[Candidate] = []
        self.clock = clock or Clock(torch.device("cpu"))
        self.ridge: float | None = None

    @cached_property
    def rows(self) -> list[np.ndarray]:
        """The raw views, scaled to unit rows."""
        return unit_rows(self.views)

    @cached_property
    def X(self) -> np.ndarray:
        """All of them side by side (N, sum of D)."""
        return np.hstack(self.rows)

    @cached_property
    def anchors(self) -> np.ndarray | None:
        """Indices (m,) of the anchors, chosen on the raw views, where the method has some."""
        return None if self.n_anchors is None else choose_anchors(self.views, self.n_anchors, seed=self.seed)

    def choose_ridge(self) -> float:
        """Return the penalty of the closed form on the raw views, chosen without labels once; on the anchors' alone."""
        if self.ridge is None:
            with self.clock("penalty"):
                rows = self.rows if self.anchors is None else [X[self.anchors] for X in self.rows]
                self.ridge = choose_ridge(rows)
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
        self.candidates = [c for c in self.candidates if c.epoch != epoch]  # training may end at a checked epoch
        ridge = self.choose_ridge() if self.judging else None
        with self.clock(phase):
            read = {name: self._labels(C, reading) for name, reading in self.readings.items()}
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
            if self.anchors is None:
                masks = self.dataset.masks and self.dataset.masks[: len(self.rows)]
                C = ridge_self_expression(self.rows, ridge, masks=masks).numpy()
            else:
                C = anchored_ridge(self.rows, self.anchors, ridge, dtype=torch.float32).numpy()
            return {name: self._labels(C, reading) for name, reading in self.readings.items()}

    def _labels(self, C: np.ndarray | torch.Tensor, reading: Reading) -> Labels:
        """Read C where it lies, and bring what comes out to the host."""
        if self.n_anchors is not None:
            return read_anchored(C, self.dataset.n_clusters, seed=self.seed)
        if self.shard is not None:
            assert isinstance(C, torch.Tensor)  # as training leaves it
            read = read_sharded_labels(C, self.dataset.n_clusters, reading, self.seed, shard=self.shard)
        else:
            read = read_labels(C, self.dataset.n_clusters, reading, self.seed)
        if isinstance(C, torch.Tensor):
            return Labels(*(None if part is None else part.cpu().numpy() for part in read))
        return read
