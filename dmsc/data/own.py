"""One's own data: which arrays of a source are views and which labels, which axis the samples are, what is an image.

Nothing is guessed where two readings fit: the error then names the option that decides.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.sparse import issparse

from ..checks import one_of
from .columns import is_label
from .labeling import find_labels
from .shaping import as_images, image_shapes, samples_first, square_images, without_nan
from .sources import VIEWS, Source, form, inside, listing, read_source

__all__ = ["read_own"]

#: Under what names people keep views that are numbered, whatever the case.
NUMBERED = re.compile(r"(x|xs|fea|feat|feature|features|data|views?|modality|modal|mode|v)[_ ]?(\d+)", re.IGNORECASE)
#: Other arrays with a meaning.
TOLD = ("view_names", "n_clusters", "masks")
EXPECTED = (
    "a matrix or cell of views (X, fea, features, data, views) or numbered ones (X1, view_0, modality_0, …), and "
    "labels (y, gt, gnd, truth, label, …)"
)
Fields = dict[str, Any]
Views = list[tuple[str, str, Any]]  # name of the view, the variable that it is from, its array


def read_own(
    source: Any,
    *,
    views: str | Sequence[str] | None = None,
    labels: str | None = None,
    samples: str | None = None,
    n_clusters: int | None = None,
    nan: str = "error",
    image_shape: Sequence[int] | Mapping[str, Sequence[int]] | None = None,
) -> Fields:
    """Read the fields of a `dmsc.data.Dataset` from one's own data.

    Parameters
    ----------
    source : path, DataFrame, mapping of names to arrays or DataFrames, AnnData or MuData
        See `dmsc.data.sources.read_source`; of tables an index or a column of ids is left out.
    views : str or list of str, optional
        What to take, in this order: names of views, or variables (a cell array gives all its views).
    labels : str, optional
        The variable, file or column that holds the labels.
    samples : "rows" or "columns", optional
        Which axis of every view the samples are, the first or the last, where labels don't tell.
    n_clusters : int, optional
        K; needed without labels.
    nan : "error" or "mask"
        With "mask" a sample with any NaN in a view counts as one that lacks this view.
    image_shape : (H, W) or (C, H, W), or a mapping of view names to such
        Of vectors that are images, stored row by row; of all views, or of those that are named.

    Returns
    -------
    dict
    """
    one_of("samples", samples, (None, "rows", "columns"))
    one_of("nan", nan, ("error", "mask"))
    wanted = None if views is None else list(views) if isinstance(views, (list, tuple)) else [views]
    held = read_source(source, None if labels is None else str(labels))
    held = replace(held, variables=_unfolded(held.variables))
    authors = "num_modalities" in held.variables  # their layout states columns, and images column by column
    if authors:
        samples = samples or "columns"
        labels = labels or ("Label" if "Label" in held.variables else None)
    labels = None if labels is None else str(labels)
    sources = _chosen(held, wanted, labels)
    found = _views(held, sources)
    y = find_labels(held, labels, sources, {axis for _, _, X in found for axis in (X.shape[0], X.shape[-1])})
    arrays = samples_first(held, found, y, samples)

    told = {name.casefold(): value for name, value in held.variables.items() if name.casefold() in TOLD}
    names = _told_names(held, told.get("view_names"), found)
    masks = _told_masks(held, told.get("masks"), len(found))
    n_clusters = _told_clusters(held, told.get("n_clusters")) if n_clusters is None else n_clusters
    if n_clusters is None and y is None:
        raise ValueError(
            f"{held.where} has no labels y (or gt, gnd, truth, label, …): name them with labels=NAME, or give the "
            f"number of clusters as an option n_clusters=K; it holds: {listing(held.variables)}"
        )

    keep = range(len(found)) if wanted is None else _kept(held, wanted, names, found)
    names, arrays = [names[i] for i in keep], [arrays[i] for i in keep]
    masks = None if masks is None else [masks[i] for i in keep]
    shapes = image_shapes(image_shape, names)
    Xs = [as_images(f"{held.where}: {name}", X, shapes.get(name)) for name, X in zip(names, arrays, strict=True)]
    if authors and image_shape is None:
        Xs = [square_images(X) for X in Xs]
    masks = without_nan(held, nan, Xs, names, masks)
    return {"name": held.name, "Xs": Xs, "y": y, "view_names": names, "n_clusters": n_clusters, "masks": masks}


def _unfolded(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return variables with the fields of structs as variables `struct.field`."""
    flat: dict[str, Any] = {}
    for name, value in variables.items():
        inner = _unfolded({f"{name}.{field}": part for field, part in value.items()}) if isinstance(value, dict) else {}
        flat |= inner or {name: value}
    return flat


def _chosen(held: Source, wanted: list[str] | None, labels: str | None) -> list[str]:
    """Return the variables that hold views: by the usual names, or those that are named if these are others."""
    named = bool(wanted) and all(name in held.variables for name in wanted or ())
    try:
        sources = _usual(held, labels)
    except ValueError:
        if not named:
            raise
        sources = []
    if named and not set(wanted or ()) <= set(sources):
        return list(wanted or ())
    if held.closed and (unknown := [name for name in held.variables if not _has_a_meaning(name, sources, labels)]):
        raise ValueError(
            f"{held.where}, which holds {listing(held.variables)}: unknown array {unknown[0]!r}; other than views it "
            f"may hold y, {', '.join(TOLD)}"
        )
    return sources


def _has_a_meaning(name: str, sources: list[str], labels: str | None) -> bool:
    return name in sources or name == labels or is_label(name) or name.casefold() in TOLD


def _usual(held: Source, labels: str | None) -> list[str]:
    """Return the variables that are named as views usually are; there must be one set of them."""
    if "num_modalities" in held.variables:
        return _authors_views(held)
    if held.free:
        free = [name for name in held.variables if not _has_a_meaning(name, [], labels)]
        if not free:
            raise ValueError(f"{held.where} holds no view, only: {listing(held.variables) or 'nothing'}")
        return free
    sets = _sets(held, labels, all) or _sets(held, labels, any)
    if not sets:
        raise ValueError(
            f"{held.where} must hold {EXPECTED}, got: {listing(held.variables) or 'nothing'}; "
            "name others with views=[…]"
        )
    if len(sets) > 1:
        several = ", ".join(name for numbers in sets.values() for name in numbers.values())
        raise ValueError(f"{held.where} may have its views in {several}: say which with views=[…]")
    (numbers,) = sets.values()
    names = [numbers[number] for number in sorted(numbers)]
    if sorted(numbers) != list(range(min(numbers), min(numbers) + len(numbers))) or min(numbers) > 1:
        raise ValueError(
            f"{held.where} must have its numbered views from 0 or 1 without a gap, got: {', '.join(names)}; "
            "name them with views=[…]"
        )
    return names


def _sets(held: Source, labels: str | None, enough: Callable[[Iterable], bool]) -> dict[str, dict[int, str]]:
    """Return what may be views, and is named so: variables by number; of a cell all parts may be, or any."""
    sets: dict[str, dict[int, str]] = {}
    for name, value in held.variables.items():
        *parents, last = name.split(".")
        numbered = NUMBERED.fullmatch(last)
        if name != labels and _may_be_views(value, enough) and (numbered or last.casefold() in VIEWS):
            key = ".".join([*parents, numbered[1].casefold() + "…" if numbered else last])
            number = int(numbered[2]) if numbered else 0
            taken = number in sets.get(key, {})  # X1 beside x_1
            sets.setdefault(name if taken else key, {})[number] = name
    return sets


def _authors_views(held: Source) -> list[str]:
    """Return the variables of the DMSC authors' layout: modality_0, …, as many as num_modalities says."""
    told = held.variables["num_modalities"]
    if np.size(told) != 1 or np.ravel(told)[0] not in range(1, 1001):
        raise ValueError(f"{held.where}: num_modalities must be one integer from 1 to 1000, got {np.ravel(told)[:5]}")
    names = [f"modality_{i}" for i in range(int(np.ravel(told)[0]))]
    if missing := [name for name in names if name not in held.variables]:
        raise ValueError(f"{held.where} has no variable {missing[0]!r}; it holds: {listing(held.variables)}")
    return names


def _views(held: Source, sources: list[str]) -> Views:
    """Return the views of some variables: a cell array has several."""
    views: Views = []
    for source in sources:
        value = inside(held.variables[source])
        if isinstance(value, list):
            prefix = "view" if len(sources) == 1 else source
            views += [(f"{prefix} {i}", source, inside(part)) for i, part in enumerate(value)]
        else:
            views.append((source, source, value))
    if held.closed and sources == [f"view_{i}" for i in range(len(sources))]:
        views = [(f"view {i}", source, X) for i, (_, source, X) in enumerate(views)]
    for name, source, X in views:
        what = name if name == source else f"{name} (of {source!r})"
        if not (isinstance(X, np.ndarray) or issparse(X)) or X.dtype.kind not in "biuf" or not 1 <= X.ndim <= 4:
            raise ValueError(f"{held.where}: {what} must be an array of real numbers, got {form(X)}")
        if 0 in X.shape:
            raise ValueError(f"{held.where}: {what} is empty, got shape {X.shape}")
    return views


def _kept(held: Source, wanted: list[str], names: list[str], views: Views) -> list[int]:
    """Return which views are wanted, by their names or their variables."""
    places = {w: [i for i, name in enumerate(names) if w in (name, views[i][1])] for w in map(str, wanted)}
    keep = [place for w in map(str, wanted) for place in places[w]]
    if not keep or not all(places.values()) or len(set(keep)) < len(keep):
        raise ValueError(
            f"{held.where}: views must be some of {', '.join(names)}, each once, or variables of the file "
            f"({listing(held.variables)}), got {wanted}"
        )
    return keep


def _told_names(held: Source, names: Any, views: Views) -> list[str]:
    """Return the names of the views, from the source if it has some."""
    names = [name for name, _, _ in views] if names is None else np.ravel(np.asarray(names, dtype=object))
    names = [str(np.squeeze(name)).strip() for name in names]
    if len(names) != len(views):
        raise ValueError(f"{held.where}: view_names must be {len(views)} strings, one per view, got {names}")
    return names


def _told_masks(held: Source, masks: Any, n_views: int) -> list[np.ndarray] | None:
    if masks is None:
        return None
    if np.ndim(masks) != 2 or len(masks) != n_views or np.asarray(masks).dtype != bool:
        raise ValueError(
            f"{held.where}: masks must be bool of shape (views, samples) with {n_views} views, got {form(masks)}"
        )
    return list(np.asarray(masks))


def _told_clusters(held: Source, value: Any) -> int | None:
    if value is None:
        return None
    if np.size(value) != 1 or np.asarray(value).dtype.kind not in "iuf" or np.ravel(value)[0] % 1:
        raise ValueError(f"{held.where}: n_clusters must be one integer, got {value!r}")
    return int(np.ravel(value)[0])


def _may_be_views(value: Any, enough: Callable[[Iterable], bool]) -> bool:
    if isinstance(value, list):
        return bool(value) and enough(_may_be_views(inside(part), enough) for part in value)
    return getattr(value, "ndim", 0) >= 1 and math.prod(value.shape) > 1
