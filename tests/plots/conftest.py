"""Every figure must draw without a warning, keep to its size and be forgotten by pyplot."""

from __future__ import annotations

import warnings

import matplotlib.pyplot as plt
import pytest

from dmsc.plots import clusters, comparison, encoder, ladder, speed, training
from dmsc.plots.style import MAX_HEIGHT, WIDTH, new_figure

ONE_THING = (clusters, encoder, training)  # their figures say one thing, and are no higher than MAX_HEIGHT


@pytest.fixture(autouse=True)
def drawn(monkeypatch):
    made = []

    def remember(module):
        def remembered(*args, **kwargs):
            fig, axes = new_figure(*args, **kwargs)
            made.append((fig, module))
            return fig, axes

        monkeypatch.setattr(module, "new_figure", remembered)

    for module in (*ONE_THING, comparison, ladder, speed):
        remember(module)
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for fig, module in made:
            fig.canvas.draw()
            width, height = fig.get_size_inches()
            assert width <= WIDTH and (height <= MAX_HEIGHT or module not in ONE_THING)
    assert not plt.get_fignums()
