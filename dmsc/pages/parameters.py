"""Which notebooks run, with which parameters: names, numbers and YAML files, checked before a start."""

from __future__ import annotations

import difflib
from pathlib import Path

from .notebooks import read_parameters

__all__ = ["load_parameters", "select_notebooks"]


def select_notebooks(notebooks, only=None):
    """Turn numbers and names into the names of notebooks, sorted.

    Parameters
    ----------
    notebooks : dict of str to Path
        From :func:`dmsc.notebooks.list_notebooks`.
    only : str or list of str, optional
        All of them by default.

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        For one that does not exist, or an empty list.
    """
    if only is None:
        return list(notebooks)
    wanted = [only] if isinstance(only, (str, int)) else list(only)
    found = [_match(notebooks, key) for key in wanted]
    if None in found or not found:
        culprit = repr(str(wanted[found.index(None)])) if found else "an empty list"
        raise ValueError(f"only must name notebooks by number or name, got {culprit}: there are {', '.join(notebooks)}")
    return sorted(set(found))


def _match(notebooks, key):
    """Return the notebook that ``4``, ``"04"``, ``"04_dsc_networks"`` or its file name means, or None."""
    key = str(key).removesuffix(".ipynb")
    number = f"{int(key):02d}" if key.isdecimal() else None
    return next((name for name in notebooks if key == name or (number and name.startswith(f"{number}_"))), None)


def load_parameters(path, notebooks, selected):
    """Read a parameters file and hold it against the ``parameters`` cells of the notebooks.

    papermill only warns of a name that a notebook does not know; here it is an error, before anything runs.

    Parameters
    ----------
    path : str, Path or None
    notebooks : dict of str to Path
    selected : list of str
        The names among them that will run. Sections for others are checked too, and not used.

    Returns
    -------
    dict of str to dict
        For each selected name the parameters to set.

    Raises
    ------
    ValueError
        For an unknown notebook or parameter, a value that is no literal, or a file that is not such YAML.
    FileNotFoundError
        If there is no such file.
    """
    if path is None:
        return {name: {} for name in selected}
    given = _read_yaml(path)
    matches = {key: _match(notebooks, key) for key in given}
    if not any(matches.values()):  # flat: the same for each
        sections = {name: dict(given) for name in selected}
    else:
        sections = {name: {} for name in selected}
        for key, section in given.items():
            if matches[key] is None or not isinstance(section, dict):
                problem = "is no notebook" if matches[key] is None else "needs a mapping of parameters"
                names = ", ".join(notebooks)
                raise ValueError(f"{path}: {key!r} {problem}; sections are named after notebooks: {names}")
            sections[matches[key]] = dict(section)
    for name, values in sections.items():
        known = read_parameters(notebooks[name])
        for key, value in values.items():
            _check_parameter(name, known, key, value)
    return {name: sections[name] for name in selected}


def _read_yaml(path):
    """Read a YAML file that holds a mapping; an empty file is an empty one."""
    import yaml

    if not Path(path).is_file():
        raise FileNotFoundError(f"no parameters file {path}")
    try:
        given = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    given = {} if given is None else given
    if not isinstance(given, dict):
        raise ValueError(f"{path} must hold a mapping such as 'epochs: 50', got a {type(given).__name__}")
    return given


def _check_parameter(name, known, key, value):
    """Refuse a parameter that the notebook does not know, or a value that is not what it looks like."""
    if key not in known:
        close = difflib.get_close_matches(str(key), known, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise ValueError(f"{name} has no parameter {key!r}{hint}: it knows {', '.join(known) or 'none'}")
    if not _is_literal(value):
        raise ValueError(
            f"{name}: parameter {key!r} must be a number, string, bool, null, list or mapping, got {value!r}"
        )
    if isinstance(known[key], (int, float)) and isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return
        hint = "remove the quotes, or write 1.0e-3 for 1e-3: YAML wants the point"
        raise ValueError(f"{name}: parameter {key!r} is a number like {known[key]!r}, got the text {value!r}: {hint}")


def _is_literal(value):
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_literal(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(_is_literal, value))
    return value is None or isinstance(value, (bool, int, float, str))
