"""``dmsc copy-pages``: pages of a reader's own, so that working on them leaves the originals as they are."""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

from ..paths import ROOT, replacing, write_text
from .notebooks import list_notebooks

__all__ = ["add_arguments", "copy_pages", "run"]

#: Kept beside the copies: name of a file -> SHA-256 of the original that it was copied from.
ORIGINS = ".origins.json"
#: What pages need beside them: pictures, files of parameters, and the syllabus, to which they link.
COMPANIONS = ("*.svg", "*.png", "README.md", "params/*.yaml")


def copy_pages(source: str | Path, target: str | Path) -> dict[str, list[str]]:
    """Copy the course's pages, and what lies beside them, into a folder; keep whatever was changed there.

    A copy that nobody has changed follows its original. One that was changed stays as it is, also where the original
    has changed since.

    Parameters
    ----------
    source : str or Path
        The folder of the pages, ``notebooks``.
    target : str or Path
        Made if need be. As a sibling of ``source``, links of the pages to ``../results`` and others hold there, too.

    Returns
    -------
    dict
        Names of files by what was done: "new", "renewed", and "kept" for those that were changed by the reader and have
        another original by now.
    """
    source, target = Path(source).resolve(), Path(target).resolve()
    pages = list_notebooks(source)
    if target == source or source in target.parents:
        raise ValueError(f"copies of the pages can't be in {source} itself, got {target}: name a folder beside it")
    companions = [path for pattern in COMPANIONS for path in sorted(source.glob(pattern))]
    origins = _read_origins(target / ORIGINS)
    done: dict[str, list[str]] = {"new": [], "renewed": [], "kept": []}
    for path in [*pages.values(), *companions]:
        name = path.relative_to(source).as_posix()
        content, copy = path.read_bytes(), target / name
        original, present = _hash(content), _hash(copy.read_bytes()) if copy.is_file() else None
        if present not in (None, original, origins.get(name)):  # the reader's
            if origins.get(name) != original:
                done["kept"].append(name)
            continue
        if present != original:
            with replacing(copy) as temporary:
                temporary.write_bytes(content)
            done["renewed" if present else "new"].append(name)
        origins[name] = original
    write_text(target / ORIGINS, json.dumps(origins, indent=1, sort_keys=True) + "\n")
    return done


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _read_origins(path: Path) -> dict[str, str]:
    """Return what is known of the copies: nothing, where the file is missing or was spoiled."""
    try:
        origins = json.loads(path.read_text(encoding="utf-8"))
        return origins if isinstance(origins, dict) else {}
    except (OSError, ValueError):
        return {}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``dmsc copy-pages`` to a parser."""
    parser.add_argument("--into", default=ROOT / "lab", metavar="FOLDER", help="default: lab, which git ignores")
    parser.set_defaults(act=run)


def run(arguments: argparse.Namespace) -> int:
    """Act on the options of `add_arguments`; return the exit status."""
    done = copy_pages(ROOT / "notebooks", arguments.into)
    folder = Path(arguments.into).name
    for what, names in (("new", done["new"]), ("renewed, as you had not changed them", done["renewed"])):
        if names:
            print(f"{folder}/: {len(names)} files {what}")
    for name in done["kept"]:
        print(f"{folder}/{name} is kept as you changed it, but notebooks/{name} has changed since: "
              "rename yours to get the new one")  # fmt: skip
    return 0
