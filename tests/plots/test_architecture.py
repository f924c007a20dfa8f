"""Diagrams of the networks: what stands in them, and that nothing sticks out."""

from __future__ import annotations

import pytest
from bad_input import one_clear_error
from matplotlib.patches import FancyBboxPatch

from dmsc.plots import show_architecture
from dmsc.plots.architecture import ARCHITECTURES

PLACES = list(ARCHITECTURES)


def words(figure):
    return [text.get_text() for text in figure.axes[0].texts if text.get_text()]


@pytest.mark.parametrize("reading", [False, True])
@pytest.mark.parametrize("place", PLACES)
def test_every_box_and_word_is_inside(place, reading):
    figure = show_architecture(place, ("upper half", "lower half"), "concat", reading)
    figure.canvas.draw()
    ax = figure.axes[0]
    boxes = [patch for patch in ax.patches if isinstance(patch, FancyBboxPatch)]
    assert boxes
    frame = figure.bbox
    for artist in [*boxes, *ax.texts]:
        extent = artist.get_window_extent()
        assert frame.x0 <= extent.x0 and extent.x1 <= frame.x1 and frame.y0 <= extent.y0 and extent.y1 <= frame.y1


@pytest.mark.parametrize("place", PLACES)
def test_there_is_one_c_and_views_meet_where_they_should(place):
    found = words(show_architecture(place, function="max"))
    assert found.count("$C$") == 1
    assert found.count("max") == (place in ("early", "intermediate", "late"))
    assert found.count("view 1") == found.count("view 2") == (place != "dsc")
    assert ("correlated" in found) == (place == "cmsc-dcca")
    joint = {"$Z$"} if place not in ("affinity", "cmsc-dcca") else {"$Z^1$", "$Z^2$"}
    assert joint <= set(found)


def test_the_row_below_ends_with_labels():
    assert "labels" in words(show_architecture("affinity", reading=True))
    assert "labels" not in words(show_architecture("affinity"))


def test_an_unknown_place():
    one_clear_error(lambda: show_architecture("middle"), ValueError, ("place", "'middle'"))
