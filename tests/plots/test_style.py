"""What every figure shares."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pytest
from bad_input import one_clear_error

from dmsc.plots import style
from dmsc.presets import BASELINES, METHODS


def test_a_figure_is_no_wider_than_a_page_and_forgotten():
    fig, axes = style.new_figure(2, 3, width=100, height=2)
    assert axes.shape == (2, 3)
    assert tuple(fig.get_size_inches()) == (style.WIDTH, 2)
    assert not plt.get_fignums()
    assert style.new_figure(1, 1)[1].shape == (1, 1)


@pytest.mark.parametrize("n", [1, 10, 15])
def test_colors_are_as_many_as_asked_for_and_different(n):
    assert len({tuple(color) for color in style.colors(n)}) == n


def test_every_method_has_a_color_of_its_own():
    names = [*METHODS, *BASELINES]
    assert len({style.method_color(name) for name in names}) == len(names)
    lighter, darker = style.method_color("affinity", 0.5), style.method_color("affinity", -0.5)
    for low, middle, high in zip(darker, style.method_color("affinity"), lighter, strict=True):
        assert low == pytest.approx(middle / 2) and high == pytest.approx((middle + 1) / 2)


@pytest.mark.parametrize("name", [*METHODS, *BASELINES])
def test_a_methods_color_is_seen_on_white(name):
    """Contrast by the formula of WCAG 2: 1 is white on white."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in style.method_color(name)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    assert 1.05 / (luminance + 0.05) > 1.6


def test_an_unknown_method_has_no_color():
    one_clear_error(lambda: style.method_color("afinity"), ValueError, ("'afinity'", "'affinity'"))


def test_the_style_holds_for_figures_drawn_afterwards():
    with plt.rc_context():
        style.use_style()
        ax = plt.figure().add_subplot()
        assert not ax.spines["top"].get_visible()
        assert plt.gcf().get_dpi() == style.STYLE["figure.dpi"]
        plt.close()
