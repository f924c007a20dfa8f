"""Where files belong, and how they are written: whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["IN_CHECKOUT", "ROOT", "replacing", "write_text"]

_ABOVE = Path(__file__).resolve().parents[1]
#: Whether the package lies in a clone of the repository, rather than among installed packages.
IN_CHECKOUT = (_ABOVE / "pyproject.toml").is_file()
#: The clone, or else the current folder: what ``runs/``, ``results/`` and ``studies/`` are looked for in.
ROOT = _ABOVE if IN_CHECKOUT else Path.cwd()


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Lend a temporary name beside ``path``; what was written there takes its place in the end.

    If anything goes wrong on the way (a full disk, an interrupt), the temporary file is removed, and what was at
    ``path`` before is still there. The folder is made if need be. The temporary name keeps the ending.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
