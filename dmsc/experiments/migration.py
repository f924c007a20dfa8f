"""From the records of formats 1 and 2, one JSON file each, to lines of a study in format 3, with nothing lost."""

from __future__ import annotations

import copy
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from .records import FORMAT, RESULTS, add_to_study
from .run import run_name

__all__ = ["lost", "migrate", "migrate_folder"]

#: Settings of networks that came after the first records, which left them out, by what they stood for then.
LATER_SETTINGS = {
    "correlation": None,
    "solver": "adam",
    "schedule": "constant",
    "pretrain_tolerance": None,
    "finetune_tolerance": None,
    "precision": "float32",
}


def migrate(old: dict, name: str) -> dict:
    """Return a record of format 1 or 2 in format 3.

    What was called post-processing is the paper's reading; settings that older records leave out are written down; the
    run has the name that its configuration has today. Format 1 knew no choice without labels: `selection` is null.

    Parameters
    ----------
    old : dict
        The record; it is left as it is.
    name : str
        Its name until now, which is kept as ``formerly``.

    Raises
    ------
    ValueError
        If it is no such record, or if anything of it were lost.
    """
    if not isinstance(old, dict) or old.get("format") not in (1, 2) or "method" not in old.get("config", ()):
        raise ValueError(f"{name} is no record of format 1 or 2")
    new = copy.deepcopy(old)
    method = new["config"]["method"]
    method["reading"] = {"affinity": "subspace", **method.pop("post")}
    if "algorithm" not in method:  # a network
        method |= {key: value for key, value in LATER_SETTINGS.items() if key not in method}
        if method["coefficients_init"] == "ridge":
            method["coefficients_init"] = "closed-form"
    new.setdefault("selection", None)
    if new["selection"] is not None:
        for choice in (new["selection"], *new["selection"]["candidates"]):
            choice["reading"] = choice.pop("post")
    new |= {"format": FORMAT, "run": run_name(new["config"]), "formerly": name}
    if gone := lost(old, new):
        raise ValueError(f"{name} would lose {', '.join(gone)}")
    return new


def lost(old: dict, new: dict) -> list[str]:
    """Return the leaves of an old record that a new one hasn't, renames allowed for: none, if all is well."""
    leaves = _leaves(new)
    gone = []
    for path, value in _leaves(old).items():
        if path[:2] == ("config", "method") or path[:1] == ("selection",):
            path = tuple("reading" if key == "post" else key for key in path)
        if path == ("config", "method", "coefficients_init") and value == '"ridge"':
            value = '"closed-form"'
        if path != ("format",) and leaves.get(path) != value:
            gone.append(".".join(map(str, path)))
    return gone


def _leaves(value: Any, path: tuple = ()) -> dict[tuple, str]:
    """Return every number, string, null, and empty list or mapping inside a JSON value, as JSON, by the way to it."""
    if not isinstance(value, (dict, list)) or not value:
        return {path: json.dumps(value)}
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    return {leaf: text for key, part in parts for leaf, text in _leaves(part, (*path, key)).items()}


def migrate_folder(
    folder: str | Path,
    study: str,
    *,
    only: Collection[str] | None = None,
    overwrite: bool = False,
    results: str | Path = RESULTS,
) -> tuple[int, list[str]]:
    """Write the old records of a folder into a study; the old files stay.

    Parameters
    ----------
    folder : path
        With ``*.json`` files of formats 1 and 2.
    study : str
        The study's name.
    only : collection of str, optional
        Take these runs and leave the others out.
    overwrite, results
        As in `add_to_study`.

    Returns
    -------
    taken : int
        How many records went into the study.
    others : list of str
        Files that hold other runs than those of ``only``.

    Raises
    ------
    FileNotFoundError
        If the folder has no such file.
    ValueError
        If a file isn't an old record. Nothing has been written then.
    """
    files = sorted(Path(folder).glob("*.json"))
    if not files:
        raise FileNotFoundError(f"no records (*.json) in {folder}")
    taken, others = [], []
    for file in files:
        try:
            record = migrate(json.loads(file.read_bytes()), file.stem)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{file} can't be migrated ({type(error).__name__}: {error})") from None
        if only is None or record["run"] in only:
            taken.append(record)
        else:
            others.append(str(file))
    add_to_study(taken, study, overwrite=overwrite, results=results)
    return len(taken), others
