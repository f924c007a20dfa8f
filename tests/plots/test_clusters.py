"""The figures of coefficients and clusters show what they were given."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from bad_input import one_clear_error

from dmsc import plots


def image_of(ax):
    return np.asarray(ax.images[0].get_array())


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
    assert [text.get_text() for text in found.texts] == ["0", "1", "2"]
    np.testing.assert_allclose(found.texts[1].get_position(), np.median(np.asarray(points)[y == 1], axis=0))


def test_embedding_of_surplus_clusters_and_without_labels():
    y, labels = [0, 0, 0, 1], [5, 5, 6, 7]
    true, found = plots.show_embedding(np.arange(8).reshape(4, 2), y, labels).axes
    same = (true.collections[0].get_facecolors() == found.collections[0].get_facecolors()).all(axis=1)
    np.testing.assert_array_equal(same, [True, True, False, True])
    assert [text.get_text() for text in found.texts] == ["0", "1"]  # a surplus cluster has no name
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


def test_eigenvalues_show_the_gap():
    (ax,) = plots.show_eigenvalues([0, 0.1, 0.7, 0.8], 2).axes
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[1, 0], [2, 0.1]])
    np.testing.assert_allclose(ax.lines[1].get_xydata(), [[3, 0.7], [4, 0.8]])
    assert "eigengap 0.6" in [text.get_text() for text in ax.get_legend().get_texts()]


C = np.eye(4)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: plots.show_coefficients(C, y=[0, 1]), ValueError, ("y must", "4 samples", "(2,)")),
        (lambda: plots.show_coefficients(C[:3]), ValueError, ("C must", "(3, 4)")),
        (lambda: plots.show_affinities({}), ValueError, ("affinities", "none")),
        (lambda: plots.show_affinities({"plain": C, "paper": C * np.nan}), ValueError, ("paper", "nan")),
        (lambda: plots.show_embedding(np.ones(3)), ValueError, ("F must", "(3,)")),
        (lambda: plots.show_embedding(C, y=[0, 1]), ValueError, ("y must", "4 samples", "(2,)")),
        (lambda: plots.show_embedding(C, labels=[0, 1]), ValueError, ("labels", "4 samples", "(2,)")),
        (lambda: plots.show_contingency([0, 1], None), TypeError, "y_pred"),
        (lambda: plots.show_eigenvalues([0, 1], 2), ValueError, "n_clusters=2"),
        (lambda: plots.show_eigenvalues([0, 1], 0), ValueError, ("n_clusters", "got 0")),
    ],
)
def test_bad_arguments_are_named(call, error, words):
    one_clear_error(call, error, words)
