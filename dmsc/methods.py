"""What a method is: a frozen description of networks, loss, training and reading."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, is_dataclass, replace
from numbers import Real
from typing import Any, TypeVar

from .checks import integer, one_of, positive_number
from .correlation import Correlation
from .devices import PRECISIONS
from .fusion import FUNCTIONS, PLACES
from .losses import LossWeights, view_weights
from .networks import Architecture
from .scaling import SCALES
from .self_expression import NEIGHBORS
from .spectral import PLAIN, Reading
from .training import SCHEDULES, WAYS

__all__ = ["FUSIONS", "SOLVED_STARTS", "SOLVERS", "Baseline", "Method", "closest", "override"]

#: Where views meet: never ("none": the first view alone), in C ("affinity"), or inside the encoder.
FUSIONS = ("none", "affinity", *PLACES)
#: How C is found in fine-tuning: as a parameter like any other; in closed form at every step; in closed form once, at
#: the best scale of the latents.
SOLVERS = ("adam", "closed-form", "scale-path")
#: Starts of C that are solved for.
SOLVED_STARTS = ("closed-form", "warm")
#: Rates in fine-tuning that may differ from the common one.
OWN_RATES = ("network_learning_rate", "coefficients_learning_rate")
#: Settings that mean nothing to anchored coefficients, which begin nowhere and are solved for at every step.
NOT_ANCHORED = (
    "solver", "coefficients_init", "n_neighbors", "network_learning_rate", "coefficients_learning_rate",
    "pretrain_through", "finetune_tolerance", "correlation",
)  # fmt: skip


Description = TypeVar("Description", bound="Method | Baseline")


@dataclass(frozen=True)
class Method:
    """A complete description of one run but for the data, the seed and the device.

    Parameters
    ----------
    name, source : str
        Key of the method, and where its settings come from.
    fusion : {"none", "affinity", "early", "intermediate", "late"}
        "none": the first view only. "affinity": one autoencoder per view and a shared C. The others: one encoder with a
        joint latent, see `dmsc.fusion.fusion_plan`.
    fusion_function : {"sum", "max", "concat"}
        How maps are joined, in early, intermediate and late fusion.
    architecture, loss, reading : Architecture, LossWeights, Reading
        Networks, loss weights, and how the paper reads labels off C.
    scale : {"none", "unit", "standard", "tf-idf", "auto"}, or a tuple of the first four, one per view
        What the views are brought to first, see `dmsc.scaling`: all to one, or each to its own; "auto" chooses without
        labels, see `dmsc.experiments.choosing.choose_scale`. The papers' weights only mean something at their own
        scale, "none".
    input_scale : float
        Factor on the inputs, after that.
    n_neighbors : int, "auto" or None
        Let C differ from 0 only between a sample and so many nearest neighbors of it (over all views as they are
        scaled), see `dmsc.self_expression.local_self_expression`. None, as in the papers: everywhere. "auto" is chosen
        without labels, as the scale is.
    neighbors : {"cosine", "coefficients", "auto"}
        By what they are neighbors, see `dmsc.self_expression.nearest_neighbors`; "auto" is chosen with the scale.
    coefficients_init : float, "mean", "closed-form" or "warm"
        Start of C: a constant, as in the papers; the constant 1 / N, with which C Z begins as the mean of the latents;
        the closed form on the pre-trained latents with the loss' own penalty; or, warm, the closed form on unit rows of
        the latents, with a zero diagonal and a penalty chosen without labels; among ``n_neighbors`` on unit rows of the
        views, where these are the nearest, with a fixed one.
    zero_diagonal : bool
        Whether C works without its diagonal.
    pretrained : str or None
        Saved autoencoders to start from, see `dmsc.experiments.autoencoders`; pre-training goes on from there.
    pretrain_epochs, finetune_epochs : int
        Length of the two steps.
    pretrain_batch_size : int or None
        Mini-batches, or one full batch.
    pretrain_through : {"latents", "coefficients"}
        What the decoders see in pre-training: the latents Z; or, as in DMSC's code, C Z, with a C that is trained on
        the way and thrown away.
    learning_rate : float
        Adam's, in both steps.
    network_learning_rate : float or None
        Adam's for the autoencoders in fine-tuning, where it differs from that.
    coefficients_learning_rate : float or None
        Adam's for C, likewise. Adam moves an entry by about its rate in a step, whatever the gradient: a C that starts
        at a solution, with small entries, wants a small one.
    solver : {"adam", "closed-form", "scale-path"}
        How C is found in fine-tuning: trained; solved for at every step (`dmsc.solvers.closed_form`); solved for once,
        at the best scale of the latents (`dmsc.solvers.scale_path`).
    schedule : {"constant", "cosine"}
        Of the learning rate, in both steps: `dmsc.training.schedule_factor`.
    pretrain_tolerance, finetune_tolerance : float or None
        When each step may stop before its last epoch: see `dmsc.pretrain` and `dmsc.finetune`.
    precision : {"float32", "tf32", "bf16", "auto"}
        Of the products: `dmsc.devices.precision`. "auto" is what the device has fast units for, by the rule of
        `dmsc.devices.fast_precision`; a record says which it was.
    paper_epochs : int or None
        Fine-tuning epochs of the paper; a shorter run is marked as short in its record.
    correlation : Correlation or None
        CMSC-DCCA's term between the latents of affinity fusion.
    anchors : int or None
        m: samples are combinations of m of them, chosen without labels. C is (N, m) and solved for at every step of
        fine-tuning, which goes by mini-batches of 500 (`dmsc.solvers.anchored_training`): time and memory are linear in
        N. The plain reading is the only one. None: C is (N, N).
    """

    name: str
    source: str
    fusion: str
    fusion_function: str = "concat"
    architecture: Architecture = Architecture()
    loss: LossWeights = LossWeights()
    reading: Reading = Reading()
    scale: str | tuple[str, ...] = "none"
    input_scale: float = 1.0
    n_neighbors: int | str | None = None
    neighbors: str = "cosine"
    coefficients_init: float | str = 1e-4
    zero_diagonal: bool = False
    pretrained: str | None = None
    pretrain_epochs: int = 100
    pretrain_batch_size: int | None = 100
    pretrain_through: str = "latents"
    finetune_epochs: int = 100
    learning_rate: float = 1e-3
    network_learning_rate: float | None = None
    coefficients_learning_rate: float | None = None
    solver: str = "adam"
    schedule: str = "constant"
    pretrain_tolerance: float | None = None
    finetune_tolerance: float | None = None
    precision: str = "float32"
    paper_epochs: int | None = None
    correlation: Correlation | None = None
    anchors: int | None = None

    def __post_init__(self) -> None:
        _check_parts(self, architecture=Architecture, loss=LossWeights, reading=Reading)
        one_of("fusion", self.fusion, FUSIONS)
        if self.correlation is not None and self.fusion != "affinity":
            raise ValueError(f"correlation is between the latents of fusion='affinity', got fusion={self.fusion!r}")
        one_of("fusion_function", self.fusion_function, FUNCTIONS)
        object.__setattr__(self, "scale", _checked_scale(self.scale))
        integer("pretrain_epochs", self.pretrain_epochs, 0)
        integer("finetune_epochs", self.finetune_epochs, 0)
        if self.pretrain_batch_size is not None:
            integer("pretrain_batch_size", self.pretrain_batch_size, 1)
        positive_number("learning_rate", self.learning_rate)
        positive_number("input_scale", self.input_scale)
        if self.n_neighbors not in (None, "auto"):
            integer("n_neighbors", self.n_neighbors, 1)
        if self.solver != "adam" and (self.n_neighbors is not None or self.loss.relative):
            raise ValueError(
                f"n_neighbors and relative weights are for solver='adam', not for {self.solver!r}: "
                "set n_neighbors=None and relative=False"
            )
        choices = {
            "neighbors": (*NEIGHBORS, "auto"),
            "solver": SOLVERS,
            "schedule": SCHEDULES,
            "precision": PRECISIONS,
            "pretrain_through": WAYS,
        }
        for field_name, known in choices.items():
            one_of(field_name, getattr(self, field_name), known)
        if self.pretrain_through == "coefficients" and self.pretrain_batch_size is not None:
            raise ValueError(
                f"pretrain_through='coefficients' needs all samples in one batch: pretrain_batch_size=None, "
                f"got {self.pretrain_batch_size}"
            )
        for field_name in (*OWN_RATES, "pretrain_tolerance", "finetune_tolerance"):
            if getattr(self, field_name) is not None:
                positive_number(field_name, getattr(self, field_name))
        if self.anchors is not None:
            integer("anchors", self.anchors, 1)
            defaults = {name: getattr(Method, name) for name in NOT_ANCHORED}
            given = {name: getattr(self, name) for name, default in defaults.items() if getattr(self, name) != default}
            if given:
                found, needed = (", ".join(f"{name}={of[name]!r}" for name in given) for of in (given, defaults))
                raise ValueError(f"anchors={self.anchors} can't go with {found}: set {needed}, or anchors=None")
        if self.needs_closed_form:
            _ = self.loss.ridge  # says what is missing
        if self.solver != "adam" and (rates := [name for name in OWN_RATES if getattr(self, name) is not None]):
            raise ValueError(f"{rates[0]} is for solver='adam', where C has a rate, not for {self.solver!r}")
        if self.solver == "scale-path" and self.correlation is not None:
            raise ValueError(
                "solver='scale-path' trains no encoders, and correlation is about them: use another solver"
            )
        if self.coefficients_init not in ("mean", *SOLVED_STARTS) and not isinstance(self.coefficients_init, Real):
            raise ValueError(
                f"coefficients_init must be a number, 'mean', 'closed-form' or 'warm', got {self.coefficients_init!r}"
            )
        if not isinstance(self.pretrained, (str, type(None))):
            raise TypeError(f"pretrained must be the name of a file of saved autoencoders, got {self.pretrained!r}")

    @property
    def needs_closed_form(self) -> bool:
        """Whether C is solved for somewhere, which only some loss weights allow."""
        return self.solver != "adam" or self.coefficients_init == "closed-form" or self.anchors is not None

    @property
    def readings(self) -> dict[str, Reading]:
        """The readings of C by name; which of them is better is a choice of its own (`dmsc.selection`).

        The paper's needs C (N, N).
        """
        return {"plain": PLAIN} if self.anchors is not None else {"plain": PLAIN, "paper": self.reading}


@dataclass(frozen=True)
class Baseline:
    """A classical method: no network, one matrix of coefficients from the raw features.

    Views are scaled to unit rows, weighted, and put side by side.

    Parameters
    ----------
    name, source : str
        Key of the baseline, and where it comes from.
    algorithm : str
        One of `dmsc.baselines.ALGORITHMS`.
    parameters : dict
        Of that function, all that may be changed.
    reading : Reading
        As in `Method`: that of the dataset's networks.
    scale : str
        As in `Method`; what comes of it is brought to unit rows in any case.
    weights : tuple of float
        v_m, of the view's squared errors, as a network's latents have them; the last one repeats.
    """

    name: str
    source: str
    algorithm: str
    parameters: dict = field(default_factory=dict)
    reading: Reading = Reading()
    weights: tuple[float, ...] = (1.0,)
    scale: str | tuple[str, ...] = "none"

    def __post_init__(self) -> None:
        _check_parts(self, parameters=dict, reading=Reading)
        object.__setattr__(self, "scale", _checked_scale(self.scale))
        one_of("neighbors", self.neighbors, (*NEIGHBORS, "auto"))
        object.__setattr__(self, "weights", view_weights("weights", self.weights))

    @property
    def n_neighbors(self) -> int | str | None:
        """Between how many nearest neighbors C is: a parameter of "local" and of "spectral"."""
        return self.parameters.get("n_neighbors")

    @property
    def neighbors(self) -> str:
        """By what they are neighbors: a parameter of "local"."""
        return self.parameters.get("neighbors", "cosine")

    @property
    def readings(self) -> dict[str, Reading]:
        """The readings of C by name, as in `Method`."""
        return {"plain": PLAIN, "paper": self.reading}


def _checked_scale(scale: Any) -> str | tuple[str, ...]:
    """Return a scale, or one per view as a tuple."""
    if isinstance(scale, (list, tuple)) and scale:
        return tuple(one_of("scale of a view", name, SCALES) for name in scale)
    return one_of("scale", scale, (*SCALES, "auto"))


def _check_parts(description: Method | Baseline, **types: type) -> None:
    for name, kind in types.items():
        if not isinstance(getattr(description, name), kind):
            raise TypeError(f"{name} must be of type {kind.__name__}, got {getattr(description, name)!r}")


def override(method: Description, **values: Any) -> Description:
    """Return a copy of a description with some fields changed, wherever in it they live.

    Saved autoencoders (``pretrained``) are taken as they are, unless ``pretrain_epochs`` are asked for. With
    ``anchors`` C is solved for: how it starts, between which neighbors it is, and at which rate it learns gives way.
    """
    if values.get("pretrained") is not None:
        values = {"pretrain_epochs": 0, **values}
    if isinstance(method, Method) and values.get("anchors") is not None:
        gone = ("coefficients_init", "n_neighbors", "neighbors", *OWN_RATES)
        values = {name: getattr(Method, name) for name in gone} | values
    outer = {field.name: values.get(field.name, getattr(method, field.name)) for field in fields(method)}
    parts: dict[str, Any] = {name: part for name, part in outer.items() if is_dataclass(part) or isinstance(part, dict)}
    owner = {
        inner: name
        for name, part in reversed(parts.items())
        for inner in (part if isinstance(part, dict) else [field.name for field in fields(part)])
    }
    changed = {name: dict(part) if isinstance(part, dict) else {} for name, part in parts.items()}
    for name, value in values.items():
        if name in owner:  # of two parts with such a field the first: alpha is SSC's, not its reading's
            changed[owner[name]][name] = value
        elif name not in outer:
            known = sorted({*outer, *owner})
            raise ValueError(f"unknown setting {name!r}{closest(name, known)}: use one of {', '.join(known)}")
    for name, part in parts.items():
        outer[name] = changed[name] if isinstance(part, dict) else replace(part, **changed[name])
    return replace(method, **outer)


def closest(name: str, known: Iterable[str]) -> str:
    """Return what may have been meant by an unknown name, as a piece of a message."""
    found = difflib.get_close_matches(str(name), list(known), 1)
    return f" (did you mean {found[0]!r}?)" if found else ""
