"""A study: a file of settings that stands for a list of runs, read and checked as a whole before anything runs.

    datasets:                        # names, or a mapping with what belongs to a dataset alone:
      digits:
        options: {n_per_class: 60}   #   options of its loader
        settings: {…}                #   settings of its networks, and seeds, methods, corruptions of its own
        preset: own                  #   whose settings methods have: another dataset's, or those for data of one's own
    methods: [kmeans, affinity]      # names, or a mapping to lists of settings, each a run of its own:
                                     #   {ridge: [{ridge: 0.1}, {ridge: 1}]}
    seeds: [0, 1, 2]
    settings: {finetune_epochs: 50}  # of all networks; baselines take those given with their name
    corruptions: [{}, {noise: 0.5}]  # as `dmsc run --corrupt` has them; {} is the data as they are
    include: [{…}]                   # more runs: the same keys; what an entry leaves out is as above
    exclude: [{…}]                   # fewer: datasets, methods, seeds, corruptions; leaves out what matches all of them

A run is one of each: dataset, method, settings, corruption, seed. A corruption has the run's seed unless it states one.
"""

from __future__ import annotations

import ast
import difflib
import itertools
import os
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..checks import SEED_LIMIT, integer, one_of
from ..data.corruption import corrupt
from ..data.dataset import Dataset, list_datasets, load_dataset
from ..methods import Baseline, Method
from ..paths import ROOT
from ..presets import BASELINES, METHODS, preset
from ..self_expression import NEIGHBORS
from .fitting import build_model, check_data
from .records import check_study_name
from .run import describe, run_name, training_config

__all__ = ["OWN", "STUDIES", "PlannedRun", "parse_settings", "preset_of", "read_study", "study_path"]

STUDIES = ROOT / "studies"
OWN = "own"  # as users name the settings for data of one's own
PRODUCT = ("datasets", "methods", "seeds", "settings", "corruptions")
OF_DATASET = ("options", "preset", "settings", "seeds", "methods", "corruptions")
EXCLUDABLE = ("datasets", "methods", "seeds", "corruptions")
RATES = ("missing", "noise", "occlusion", "seed")

WORDS = {"null": None, "true": True, "false": False}  # as study files and records have them


@dataclass(frozen=True)
class PlannedRun:
    """One run of a study: its name and configuration; the whole data and what is done to them; method and seed.

    ``settings`` are those given with the method's name, which tell its runs apart.
    """

    name: str
    config: dict
    whole: Dataset
    corruption: dict
    method: Method | Baseline
    settings: dict
    seed: int

    @property
    def dataset(self) -> Dataset:
        """The data that the run sees."""
        return corrupt(self.whole, **{"seed": self.seed, **self.corruption})

    @property
    def training(self) -> str:
        """A name that the runs share which train the same network and only read its C otherwise."""
        return self.name if isinstance(self.method, Baseline) else run_name(training_config(self.config))


def study_path(name: str | Path) -> Path:
    """Return the file of a study: a path, or the name of a file in ``studies/``."""
    known = sorted(STUDIES.glob("*.yaml"))
    path = next((path for path in (Path(name), STUDIES / f"{name}.yaml") if path.is_file()), None)
    if path is None:
        names = ", ".join(file.stem for file in known) or "none"
        raise FileNotFoundError(f"no study {str(name)!r}: give a .yaml file, or a name of studies/ ({names})")
    check_study_name(path.stem)
    return path if path == Path(name) else Path(os.path.relpath(path))


def read_study(path: str | Path) -> list[PlannedRun]:
    """Read a study and return its runs, in the order of the file; every dataset is loaded, every method described.

    Raises
    ------
    ValueError
        If anything in it is wrong; the message names the file, the key and the way out.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    with _at(path):
        _mapping("a study", content, (*PRODUCT, "include", "exclude"))
        reader = _Reader(content)
        runs = {run.name: run for run in reader.product(content)}
        for i, entry in enumerate(_list("include", content.get("include"))):
            with _at(f"include[{i}]"):
                runs |= {run.name: run for run in reader.product(_mapping("an entry", entry, PRODUCT), include=True)}
        for i, entry in enumerate(_list("exclude", content.get("exclude"))):
            with _at(f"exclude[{i}]"):
                out = _excluded(runs, _mapping("an entry", entry, EXCLUDABLE))
                runs = {name: run for name, run in runs.items() if name not in out}
        if not runs:
            raise ValueError("no run is left: name at least one dataset, method and seed, and exclude less")
    return list(runs.values())


class _Reader:
    """Turns the product of a study's lists into runs; loads each dataset once."""

    def __init__(self, content: dict) -> None:
        self.content = content
        self.blocks = _blocks(content.get("datasets"))
        self.loaded: dict[str, Dataset] = {}

    def product(self, entry: dict, include: bool = False) -> Iterator[PlannedRun]:
        """Yield the runs of the study itself, or of an entry of ``include``."""
        blocks = _blocks(entry["datasets"]) if "datasets" in entry else self.blocks
        for name, block in blocks.items():
            if include:  # options and settings of a dataset are as above, its seeds and so on are the entry's
                above = {key: self.blocks.get(name, {}).get(key) for key in ("options", "preset", "settings")}
                block = above | (block if "datasets" in entry else {})
            whole = self.load(name, block.get("options"))
            with _at(f"datasets.{name}"):
                row = preset_of(whole, block.get("preset"))
            where, given = {}, {}
            for key in ("seeds", "methods", "corruptions"):
                owner = block if key in block else entry if key in entry else self.content
                where[key] = f"datasets.{name}.{key}" if owner is block else key
                given[key] = owner.get(key, {"seeds": [0], "corruptions": [{}]}.get(key))
            common = {"settings": entry.get("settings", self.content.get("settings"))}
            own = {f"datasets.{name}.settings": block.get("settings")}
            layers = {key: _settings(key, settings) for key, settings in (common | own).items()}
            methods = list(_methods(where["methods"], given["methods"], whole, row, layers))
            corruptions = _corruptions(where["corruptions"], given["corruptions"])
            for seed, corruption in itertools.product(_seeds(where["seeds"], given["seeds"]), corruptions):
                with _at(where["corruptions"]):
                    dataset = corrupt(whole, **{"seed": seed, **corruption})
                for method, own in methods:
                    with _at(f"{method.name} on {name}"):
                        check_data(dataset, method)
                    config = describe(dataset, method, seed)
                    yield PlannedRun(run_name(config), config, whole, corruption, method, own, seed)

    def load(self, name: Any, options: Any) -> Dataset:
        key = f"{name!r} {options!r}"
        if key not in self.loaded:
            with _at(f"datasets.{name}"):
                self.loaded[key] = load_dataset(name, **_settings("options", options))
        return self.loaded[key]


def _blocks(given: Any) -> dict[Any, dict]:
    """Return what a study says of each dataset; of those that are only named, nothing."""
    if not isinstance(given, dict):
        return {name: {} for name in _list("datasets", given)}
    return {
        name: {} if block is None else _mapping(f"datasets.{name}", block, OF_DATASET) for name, block in given.items()
    }


def _methods(
    where: str, given: Any, whole: Dataset, row: str, layers: dict[str, dict]
) -> Iterator[tuple[Method | Baseline, dict]]:
    """Describe each method with each of its own settings on a dataset; build its network once, for a few samples."""
    if not isinstance(given, dict):
        given = {name: None for name in _list(where, given)}
    known = [*METHODS, *BASELINES]
    few = Dataset(whole.name, [X[:2] for X in whole.Xs], n_clusters=1)
    for name, variants in given.items():
        if name not in known:
            raise ValueError(f"{where}: unknown method {name!r}{_hint(name, known)}: use one of {', '.join(known)}")
        variants = _list(f"{where}.{name}", [variants] if isinstance(variants, dict) or variants is None else variants)
        for i, variant in enumerate(variants):
            key = f"{where}.{name}[{i}]"
            own = {key: _settings(key, variant)}
            method = _describe(name, whole, row, own if name in BASELINES else layers | own)
            if isinstance(method, Method):
                with _at(f"{key} on {whole.name}"):
                    build_model(few, method)
            yield method, own[key]


def _describe(name: str, whole: Dataset, row: str, layers: dict[str, dict]) -> Method | Baseline:
    """Return the preset with the settings of all layers; if that fails, say which layer brings the trouble."""

    def described(settings: dict) -> Method | Baseline:
        method = preset(name, row, whole.n_clusters, **settings)
        _check_types(method, settings)
        return method

    def fails(settings: dict) -> bool:
        try:
            described(settings)
        except (ValueError, TypeError):
            return True
        return False

    try:
        return described({setting: value for layer in layers.values() for setting, value in layer.items()})
    except (ValueError, TypeError) as error:
        where = next((key for key, layer in layers.items() if fails(layer)), " with ".join(layers))
        raise ValueError(f"{where}: {error}") from None


def _check_types(method: Method | Baseline, settings: dict) -> None:
    """Refuse settings of a type that the description itself doesn't look at."""
    for name, value in settings.items():
        if name in ("zero_diagonal", "unit_diagonal") and not isinstance(value, bool):
            raise TypeError(f"{name} must be true or false, got {value!r}")
        if isinstance(method, Baseline) and name in method.parameters and value not in (None, "auto", *NEIGHBORS):
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise TypeError(f"{name} must be a number, got {value!r}")
        if isinstance(value, str) and re.fullmatch(r"[-+]?\d+e[-+]?\d+", value):
            raise TypeError(f"{name} is the text {value!r}: YAML wants a point in a number, as in 1.0e-3")


def _excluded(runs: dict[str, PlannedRun], entry: dict) -> set[str]:
    """Return the names of the runs that an entry of ``exclude`` means: those that match all that it states."""
    of_run: dict[str, Callable[[PlannedRun], Any]] = {
        "datasets": lambda run: run.whole.name,
        "methods": lambda run: run.method.name,
        "seeds": lambda run: run.seed,
        "corruptions": lambda run: run.corruption,
    }
    for key, values in entry.items():
        for value in _list(key, values):
            if not any(of_run[key](run) == value for run in runs.values()):
                raise ValueError(f"{key}: {value!r} is in no run of the study: mend or remove it")
    out = {name for name, run in runs.items() if all(of_run[key](run) in values for key, values in entry.items())}
    if not entry or not out:
        raise ValueError(f"{entry} matches {'no' if entry else 'every'} run of the study: mend or remove it")
    return out


def _seeds(where: str, given: Any) -> list[int]:
    seeds = [given] if isinstance(given, int) else _list(where, given)
    return list(dict.fromkeys(integer(where, seed, 0, SEED_LIMIT) for seed in seeds))


def _corruptions(where: str, given: Any) -> list[dict]:
    entries = _list(where, [given] if isinstance(given, dict) or given is None else given)
    return [_mapping(where, {} if entry is None else entry, RATES) for entry in entries]


def _settings(where: str, given: Any) -> dict:
    """Return settings with tuples for lists; none are an empty mapping."""

    def frozen(value: Any) -> Any:
        return tuple(map(frozen, value)) if isinstance(value, list) else value

    return {name: frozen(value) for name, value in _mapping(where, {} if given is None else given).items()}


def _mapping(where: str, given: Any, known: Collection[str] | None = None) -> dict:
    if not isinstance(given, dict):
        raise ValueError(f"{where} must be a mapping such as {{name: value}}, got {given!r}")
    for key in given:
        if not isinstance(key, str) or (known is not None and key not in known):
            names = f": use one of {', '.join(known)}" if known else ": keys are names"
            raise ValueError(f"{where} has an unknown key {key!r}{_hint(key, known or ())}{names}")
    return given


def _list(where: str, given: Any) -> list:
    if given is None:
        return []
    if not isinstance(given, list):
        raise ValueError(f"{where} must be a list such as [{given}], got {given!r}")
    return given


def _hint(name: Any, known: Collection[str]) -> str:
    close = difflib.get_close_matches(str(name), known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


@contextmanager
def _at(where: str | Path) -> Iterator[None]:
    """Say where an error comes from."""
    try:
        yield
    except (ValueError, TypeError, OSError, ImportError) as error:
        raise ValueError(f"{where}: {error}") from None


def preset_of(dataset: Dataset, name: str | None = None) -> str:
    """Return the row of `dmsc.preset` for a dataset: its own, that of another one, or "own" for data of one's own."""
    if name is None:
        return dataset.preset
    return "" if name == OWN else one_of("preset", name, [OWN, *list_datasets()])


def parse_settings(pairs: list[str]) -> dict:
    """Turn `name=value` strings into a dict; values are Python literals, words of study files, or plain strings."""
    settings = {}
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not separator or not name:
            raise ValueError(f"settings are given as name=value, got {pair!r}")
        try:
            settings[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            settings[name] = WORDS.get(text, text)
    return settings
