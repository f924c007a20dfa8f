"""The figures of a training show what they were given."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from bad_input import one_clear_error

from dmsc import plots
from dmsc.data.dataset import Dataset
from dmsc.plots.style import MAX_HEIGHT, WIDTH


def image_of(ax):
    return np.asarray(ax.images[0].get_array())


def dataset(y=True):
    rng = np.random.default_rng(0)
    Xs = [rng.uniform(size=(20, 1, 5, 4)), rng.uniform(size=(20, 3, 6, 6)), rng.uniform(size=(20, 7))]
    labels = rng.integers(3, size=20) if y else None
    return Dataset("small", Xs, y=labels, view_names=["gray", "color", "words"], n_clusters=3)


def test_views_show_the_same_samples_in_every_row():
    data = dataset()
    axes = np.array(plots.show_views(data, n=5, seed=1).axes).reshape(3, 5)
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["gray", "color", "words"]
    titles = [ax.get_title() for ax in axes[0]]
    assert titles == sorted(titles)
    for column, title in zip(axes.T, titles, strict=True):
        (i,) = [i for i in range(20) if np.array_equal(data.Xs[0][i, 0], image_of(column[0]))]
        assert title == f"class {data.y[i]}"
        assert image_of(column[1]).shape == (6, 6, 3)
        np.testing.assert_array_equal(column[2].lines[0].get_ydata(), data.Xs[2][i])


@pytest.mark.parametrize("shape", [(4, 8), (8, 8), (16, 4)])
@pytest.mark.parametrize("n_views", [1, 2, 4])
@pytest.mark.parametrize("n", [3, 8])
def test_pictures_fill_the_grid_whatever_their_shape(shape, n_views, n):
    X = np.random.default_rng(0).uniform(size=(20, 1, *shape))
    names = [f"view {m}" for m in range(n_views)]
    fig = plots.show_views(Dataset("small", [X] * n_views, view_names=names, n_clusters=3), n=n)
    fig.draw_without_rendering()
    assert fig.get_figwidth() <= WIDTH and fig.get_figheight() <= MAX_HEIGHT
    boxes = [ax.get_window_extent().transformed(fig.dpi_scale_trans.inverted()) for ax in fig.axes]
    if n_views > 1:
        assert 0 <= boxes[0].y0 - boxes[n].y1 < 0.25, "inches between two rows"
    if shape != (16, 4):  # whose titles are wider than they
        assert 0 <= boxes[1].x0 - boxes[0].x1 < 0.25, "inches between two columns"


def test_pictures_have_no_frame_and_curves_have_one():
    with plt.rc_context():
        plots.use_style()
        axes = np.array(plots.show_views(dataset(), n=2).axes).reshape(3, 2)
        (matrix, *_) = plots.show_coefficients(np.eye(5)).axes
    framed = [{side.get_visible() for side in ax.spines.values()} for ax in [*axes[:, 0], matrix]]
    assert framed == [{False}, {False}, {True}, {True}]


def test_views_without_labels_and_more_than_there_are():
    fig = plots.show_views(dataset(y=False), n=100)
    assert len(fig.axes) == 3 * 20
    assert fig.axes[0].get_title().startswith("sample ")


def test_reconstructions_stand_below_on_the_same_scale():
    X = np.random.default_rng(1).uniform(size=(6, 1, 4, 4))
    axes = np.array(plots.show_reconstructions([X, 2 * X], [X / 2, X], n=3).axes).reshape(4, 3)
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["X¹", "X̂¹", "X²", "X̂²"]
    np.testing.assert_array_equal(image_of(axes[0, 2]), X[2, 0])
    np.testing.assert_array_equal(image_of(axes[1, 2]), X[2, 0] / 2)
    assert axes[0, 0].images[0].get_clim() == axes[1, 0].images[0].get_clim() == (X[:3].min(), X[:3].max())


def test_history_draws_every_term():
    history = {"total": [3.0, 2.0, 1.0], "self_expression": [0.5, 0.2, 0.1]}
    (ax,) = plots.show_history(history).axes
    assert [line.get_label() for line in ax.lines] == ["total", "self expression"]
    np.testing.assert_array_equal(ax.lines[1].get_xydata(), [[1, 0.5], [2, 0.2], [3, 0.1]])
    assert ax.get_yscale() == "log"
    (ax,) = plots.show_history({"loss": [3.0, 2.0], "reconstruction": [2.9, 1.9]}).axes
    assert ax.lines[0].get_zorder() < ax.lines[1].get_zorder(), "the sum lies behind its terms"
    assert plots.show_history(history, log=False).axes[0].get_yscale() == "linear"


def test_history_keeps_zeros_and_negatives_in_sight():
    (ax,) = plots.show_history({"zero": [0.0, 0.0], "correlation": [-1.0, -4.0]}).axes
    low, high = ax.get_ylim()
    assert ax.get_yscale() == "symlog" and low < -4 and high > 0
    assert plots.show_history({"zero": [0.0, 0.0]}).axes[0].get_yscale() == "linear"


def test_scores_average_the_seeds():
    rows = [
        {"dataset": "orl", "method": method, "seed": seed, "acc": 0.5 + 0.1 * seed, "nmi": nmi}
        for method, nmi in (("raw", 0.7), ("dsc-l2", None))
        for seed in (0, 1)
    ]
    (ax,) = plots.show_scores(rows).axes
    assert [label.get_text() for label in ax.get_xticklabels()] == ["ACC", "NMI"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["raw", "dsc-l2"]
    assert ax.get_legend().get_title().get_text() == "orl"
    heights = [[bar.get_height() for bar in bars] for bars in ax.containers]
    np.testing.assert_allclose(heights[0], [0.55, 0.7])
    assert heights[1][0] == pytest.approx(0.55)


def test_a_score_that_no_run_has_is_left_out_and_one_that_is_missing_leaves_a_gap():
    rows = [{"method": "raw", "acc": 0.5, "nmi": None}, {"method": "dsc-l2", "acc": 0.6, "nmi": 0.7}]
    (ax,) = plots.show_scores(rows, ["acc", "nmi", "purity"]).axes
    assert [label.get_text() for label in ax.get_xticklabels()] == ["ACC", "NMI"]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: plots.show_views(dataset(), n=0), ValueError, ("n must", "got 0")),
        (lambda: plots.show_views(dataset(), n=2.5), TypeError, ("n must", "got 2.5")),
        (lambda: plots.show_views(dataset(), seed=-1), ValueError, ("seed", "got -1")),
        (lambda: plots.show_reconstructions([np.ones((2, 3))], [np.ones((2, 4))]), ValueError, ("Xs_hat", "(2, 4)")),
        (lambda: plots.show_reconstructions([], []), ValueError, ("Xs", "[]")),
        (lambda: plots.show_history({}), ValueError, ("history", "{}")),
        (lambda: plots.show_history({"loss": []}), ValueError, ("history", "'loss'")),
        (lambda: plots.show_scores([{"method": "raw"}]), ValueError, ("rows", "acc, nmi, ari, purity", "'raw'")),
        (lambda: plots.show_scores([]), ValueError, ("rows", "[]")),
    ],
)
def test_bad_arguments_are_named(call, error, words):
    one_clear_error(call, error, words)
