"""What every figure shares."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pytest

from dmsc.plots import style


def test_a_figure_is_no_wider_than_a_page_and_forgotten():
    fig, axes = style.new_figure(2, 3, width=100, height=2)
    assert axes.shape == (2, 3)
    assert tuple(fig.get_size_inches()) == (style.WIDTH, 2)
    assert not plt.get_fignums()
    assert style.new_figure(1, 1)[1].shape == (1, 1)


@pytest.mark.parametrize("n", [1, 10, 15])
def test_colors_are_as_many_as_asked_for_and_different(n):
    assert len({tuple(color) for color in style.colors(n)}) == n
