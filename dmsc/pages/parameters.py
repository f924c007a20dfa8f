"""Which pages run, with which parameters: names, numbers and YAML files, checked before a start."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from .notebooks import read_parameters

__all__ = ["load_parameters", "select_notebooks"]


def select_notebooks(notebooks: dict[str, Path], only: str | int | list[str] | None = None) -> list[str]:
    """Turn numbers and names into the names of pages, sorted; None is all of them."""
    if only is None:
        return list(notebooks)
    wanted = [only] if isinstance(only, (str, int)) else list(only)
    if not wanted:
        raise ValueError(f"only must name notebooks, got an empty list: there are {', '.join(notebooks)}")
    names = set()
    for key in wanted:
        name = _match(notebooks, key)
        if name is None:
            raise ValueError(f"no notebook has the number or name {str(key)!r}: there are {', '.join(notebooks)}")
        names.add(name)
    return sorted(names)


def _match(notebooks: dict[str, Path], key: object) -> str | None:
    """Return the page that ``4``, ``"04"``, ``"04_dsc_networks"`` or its file name means, or None."""
    key = str(key).removesuffix(".ipynb")
    number = f"{int(key):02d}_" if key.isdecimal() else None
    return next((name for name in notebooks if key == name or (number and name.startswith(number))), None)


def load_parameters(
    path: str | Path | None, notebooks: dict[str, Path], selected: list[str]
) -> dict[str, dict[str, Any]]:
    """Read a parameters file and hold it against the ``parameters`` cells of the pages.

    papermill only warns of a name that a page does not know, and a value of another type fails somewhere in the
    page; here both are errors, before anything runs.

    Parameters
    ----------
    path : str, Path or None
        YAML: a mapping of parameters for every selected page, or one such mapping per page.
    notebooks : dict of str to Path
    selected : list of str
        The names among them that will run. Sections for others are checked too, and not used.

    Returns
    -------
    dict of str to dict
        For each selected name the parameters to set.
    """
    given = {} if path is None else _read_yaml(Path(path))
    matches = {key: _match(notebooks, key) for key in given}
    sections: dict[str, dict[str, Any]]
    if not any(matches.values()):  # flat: the same for each
        sections = {name: dict(given) for name in selected}
    else:
        sections = {name: {} for name in selected}
        for key, section in given.items():
            name = matches[key]
            if name is None or not isinstance(section, dict):
                problem = "is no notebook" if name is None else "needs a mapping of parameters"
                names = ", ".join(notebooks)
                raise ValueError(f"{path}: {key!r} {problem}; sections are named after notebooks: {names}")
            sections[name] = dict(section)
    for name, values in sections.items():
        defaults = read_parameters(notebooks[name])
        for key, value in values.items():
            _check_parameter(name, defaults, key, value)
    return {name: sections[name] for name in selected}


def _read_yaml(path: Path) -> dict[Any, Any]:
    """Read a YAML file that holds a mapping; an empty file is an empty one."""
    import yaml

    if not path.is_file():
        raise FileNotFoundError(f"no parameters file {path}")
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    given = {} if given is None else given
    if not isinstance(given, dict):
        raise ValueError(f"{path} must hold a mapping such as 'epochs: 50', got a {type(given).__name__}")
    return given


def _check_parameter(name: str, defaults: dict[str, Any], key: str, value: object) -> None:
    """Refuse a parameter that the page does not know, or a value of another type than its default."""
    if key not in defaults:
        close = difflib.get_close_matches(str(key), defaults, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise ValueError(f"{name} has no parameter {key!r}{hint}: it knows {', '.join(defaults) or 'none'}")
    if not _is_literal(value):
        raise ValueError(
            f"{name}: parameter {key!r} must be a number, string, bool, null, list or mapping, got {value!r}"
        )
    wanted = type(defaults[key])
    if defaults[key] is None or type(value) is wanted or (wanted is float and type(value) is int):
        return
    hint = " (YAML takes 1e-3 for text: write 1.0e-3)" if wanted is float and isinstance(value, str) else ""
    raise ValueError(
        f"{name}: parameter {key!r} must be of type {wanted.__name__}, as its default {defaults[key]!r}, "
        f"got {value!r} of type {type(value).__name__}{hint}"
    )


def _is_literal(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_literal(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(_is_literal, value))
    return value is None or isinstance(value, (bool, int, float, str))
