"""What the figures show is what they were given."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from dmsc import plots
from dmsc.data.dataset import Dataset


@pytest.fixture(autouse=True)
def drawn(monkeypatch):
    """Every figure must draw without a warning, keep to its size and be forgotten by pyplot."""
    made = []
    new_figure = plots.new_figure

    def remembered(*args):
        made.append(new_figure(*args))
        return made[-1]

    monkeypatch.setattr(plots, "new_figure", remembered)
    monkeypatch.setattr("dmsc.plots.clusters.new_figure", remembered)
    yield
    for fig, _ in made:
        fig.canvas.draw()
        width, height = fig.get_size_inches()
        assert width <= 9 and height <= 3.5
    assert not plt.get_fignums()


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
    assert plots.show_history(history, log=False).axes[0].get_yscale() == "linear"


def test_history_keeps_zeros_and_negatives_in_sight():
    (ax,) = plots.show_history({"zero": [0.0, 0.0], "correlation": [-1.0, -4.0]}).axes
    low, high = ax.get_ylim()
    assert ax.get_yscale() == "symlog" and low < -4 and high > 0
    assert plots.show_history({"zero": [0.0, 0.0]}).axes[0].get_yscale() == "linear"


def test_coefficients_are_sorted_and_parted_by_label():
    C = np.random.default_rng(2).normal(size=(6, 6))
    C[0, 1] = 1e6  # one outlier must not turn the rest white
    y = np.array([2, 0, 1, 0, 2, 1])
    ax = plots.show_coefficients(C, y).axes[0]
    order = [1, 3, 2, 5, 0, 4]
    np.testing.assert_array_equal(image_of(ax), C[order][:, order])
    assert sorted({line.get_ydata()[0] for line in ax.lines} - {0}) == [1.5, 3.5]
    low, high = ax.images[0].get_clim()
    assert low == -high and high < 1e6


def test_coefficients_on_given_axes():
    fig, axes = plt.subplots(1, 2)
    assert plots.show_coefficients(np.zeros((3, 3)), ax=axes[1]) is fig
    assert not axes[0].images and len(axes[1].images) == 1 and not axes[1].lines
    plt.close(fig)


def test_affinities_side_by_side():
    W = np.arange(16.0).reshape(4, 4)
    fig = plots.show_affinities({"plain": W, "subspace": 2 * W}, y=[1, 0, 1, 0])
    panels = [ax for ax in fig.axes if ax.get_title()]
    assert [ax.get_title() for ax in panels] == ["plain", "subspace"]
    np.testing.assert_array_equal(image_of(panels[1]), 2 * W[[1, 3, 0, 2]][:, [1, 3, 0, 2]])
    assert panels[0].images[0].get_clim()[0] == 0


def test_embedding_gives_matched_clusters_the_same_color():
    rng = np.random.default_rng(3)
    F, y = rng.normal(size=(30, 5)), np.arange(30) % 3
    true, found = plots.show_embedding(F, y, np.array([7, 9, 4])[y]).axes
    np.testing.assert_array_equal(true.collections[0].get_facecolors(), found.collections[0].get_facecolors())
    points = true.collections[0].get_offsets()
    spread = np.linalg.svd(F - F.mean(axis=0), compute_uv=False)[:2]
    np.testing.assert_allclose(np.linalg.norm(points, axis=0), spread)  # the two principal components
    assert [text.get_text() for text in found.get_legend().get_texts()] == ["0", "1", "2"]


def test_embedding_of_surplus_clusters_and_without_labels():
    y, labels = [0, 0, 0, 1], [5, 5, 6, 7]
    true, found = plots.show_embedding(np.arange(8).reshape(4, 2), y, labels).axes
    same = (true.collections[0].get_facecolors() == found.collections[0].get_facecolors()).all(axis=1)
    np.testing.assert_array_equal(same, [True, True, False, True])
    assert len(plots.show_embedding(np.arange(4)[:, None]).axes) == 1
    (only,) = plots.show_embedding(np.arange(8).reshape(4, 2), labels=labels).axes
    assert only.get_title() == "found clusters" and len(only.get_legend().get_texts()) == 3


@pytest.mark.parametrize("n_classes, n_found", [(3, 3), (3, 5), (5, 3), (15, 15)])
def test_contingency_puts_matches_on_the_diagonal(n_classes, n_found):
    rng = np.random.default_rng(4)
    y = rng.integers(n_classes, size=300)
    labels = (y * 2 + (rng.uniform(size=300) < 0.1)) % n_found
    ax = plots.show_contingency(y, labels).axes[0]
    rows, columns = (axis.get_ticklabels() for axis in (ax.yaxis, ax.xaxis))
    share = np.asarray(ax.collections[0].get_array()).reshape(n_classes, n_found)
    if n_classes > 12:
        assert not rows and not columns and not ax.texts
        return
    counts = np.array([int(text.get_text()) for text in ax.texts]).reshape(share.shape)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            in_class = y == int(row.get_text())
            assert counts[i, j] == np.sum(in_class & (labels == int(column.get_text())))
            assert share[i, j] == pytest.approx(counts[i, j] / in_class.sum())
    assert ax.get_title() == f"accuracy {np.trace(counts) / 300:.3f}"  # so the diagonal is the best match


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


def test_eigenvalues_show_the_gap():
    (ax,) = plots.show_eigenvalues([0, 0.1, 0.7, 0.8], 2).axes
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[1, 0], [2, 0.1]])
    np.testing.assert_allclose(ax.lines[1].get_xydata(), [[3, 0.7], [4, 0.8]])
    assert "eigengap 0.6" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_refusals():
    for call, words in [
        (lambda: plots.show_coefficients(np.eye(3), y=[0, 1]), "one label for each of 3 samples"),
        (lambda: plots.show_reconstructions([np.ones((2, 3))], [np.ones((2, 4))]), "same shapes"),
        (lambda: plots.show_history({}), "at least one value"),
        (lambda: plots.show_affinities({}), "at least one matrix"),
        (lambda: plots.show_eigenvalues([0, 1], 2), "more than n_clusters=2"),
        (lambda: plots.show_scores([{"method": "raw"}]), "at least one of the scores"),
    ]:
        with pytest.raises(ValueError, match=words):
            call()
