"""Views against slow definitions."""

from __future__ import annotations

import itertools
import re
from fractions import Fraction

import numpy as np
import pytest
import torch
from bad_input import one_clear_error

from dmsc.data.views import crop, edge_map, resize, vectors_as_image, words_as_image


@pytest.fixture
def images():
    return np.random.default_rng(0).random((3, 2, 7, 5)).astype(np.float32)


def slow_edges(image):
    """Sobel magnitude / √20 of one (H, W) image in float64, pixel by pixel."""
    kernel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], dtype=float)
    padded = np.pad(image.astype(float), 1, mode="edge")
    edges = np.empty(image.shape)
    for i, j in np.ndindex(image.shape):
        patch = padded[i : i + 3, j : j + 3]
        edges[i, j] = np.sqrt((patch * kernel).sum() ** 2 + (patch * kernel.T).sum() ** 2) / np.sqrt(20)
    return edges


def test_edge_map_is_the_sobel_magnitude_of_each_channel(images):
    edges = edge_map(images)
    assert edges.shape == images.shape and edges.dtype == np.float32
    for n, c in np.ndindex(3, 2):
        np.testing.assert_allclose(edges[n, c], slow_edges(images[n, c]), atol=1e-6)


def test_edge_map_never_leaves_the_value_range():
    # The squared magnitude is convex in the pixels: over [0, 1] it is largest at one of 2⁹ binary patches.
    patches = np.array(list(itertools.product([0, 1], repeat=9)), dtype=np.float32).reshape(-1, 1, 3, 3)
    centers = edge_map(patches)[:, 0, 1, 1]
    assert centers.max() == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(edge_map(255 * patches), 255 * edge_map(patches), rtol=1e-5)


def test_edge_map_leaves_its_input_alone(images):
    before = images.copy()
    edge_map(images)
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("size", [(7, 5), (3, 3), (14, 15), (32, 32), (4, 9), (1, 1)])
def test_resize_agrees_with_antialiased_bilinear_interpolation(images, size):
    expected = torch.nn.functional.interpolate(
        torch.tensor(images, dtype=torch.float64), size, mode="bilinear", antialias=True
    )
    resized = resize(images, size)
    assert resized.dtype == np.float32
    np.testing.assert_allclose(resized, expected.numpy(), atol=1e-6)


def test_resize_rounds_the_exact_values_once():
    """On every CPU: the last bits of a product of matrices would depend on it, and with them the hash of the data."""
    image = np.arange(24 * 21) ** 2 % 251
    tall, wide = exact_weights(24, 16), exact_weights(21, 16)
    columns = [
        [sum(w * int(v) for w, v in zip(row, column, strict=True)) for row in tall]
        for column in image.reshape(24, 21).T
    ]
    exact = [
        [float(sum(w * column[i] for w, column in zip(row, columns, strict=True))) for row in wide] for i in range(16)
    ]
    resized = resize(image.reshape(1, 1, 24, 21), (16, 16))
    assert resized.flags.c_contiguous
    np.testing.assert_array_equal(resized[0, 0], np.array(exact, dtype=np.float32))


def exact_weights(n_in, n_out):
    """The triangles of antialiased linear interpolation, as fractions."""
    scale = Fraction(n_in, n_out)
    centers = [(i + Fraction(1, 2)) * scale - Fraction(1, 2) for i in range(n_out)]
    triangles = [[max(1 - abs(center - j) / max(scale, 1), Fraction(0)) for j in range(n_in)] for center in centers]
    return [[weight / sum(triangle) for weight in triangle] for triangle in triangles]


def test_resize_keeps_constants_and_the_value_range():
    images = np.full((1, 1, 48, 42), 255, dtype=np.float32)
    assert (resize(images, (32, 32)) == 255).all()
    noise = np.random.default_rng(1).choice([0.0, 255.0], (20, 1, 48, 42))
    resized = resize(noise, (32, 32))
    assert resized.min() >= 0 and resized.max() <= 255


def test_crop_cuts_rows_then_columns(images):
    np.testing.assert_array_equal(crop(images, (1, 2, 4, 3)), images[:, :, 1:5, 2:5])
    np.testing.assert_array_equal(crop(images, (0, 0, 7, 5)), images)


@pytest.mark.parametrize("box", [(0, 0, 8, 5), (-1, 0, 2, 2), (0, 3, 2, 3), (0, 0, 0, 1), (0, 0, 1), 3, (0, 0, 1.5, 1)])
def test_crop_refuses_boxes_outside(images, box):
    with pytest.raises(ValueError, match="box .*" + re.escape(str(box))):
        crop(images, box)


def test_vectors_as_image_pads_at_the_end_row_by_row():
    X = np.arange(1, 11, dtype=np.float32).reshape(2, 5)
    image = vectors_as_image(X, (2, 3))
    np.testing.assert_array_equal(image[1, 0], [[6, 7, 8], [9, 10, 0]])
    np.testing.assert_array_equal(image.reshape(2, -1) @ image.reshape(2, -1).T, X @ X.T)


def test_words_as_image_of_bdgp_size():
    X = np.random.default_rng(2).integers(0, 2, (6, 79)).astype(np.float32)
    image = words_as_image(X, 42)
    assert image.shape == (6, 1, 42, 42) and image.dtype == np.float32
    flat = image.reshape(6, -1)
    np.testing.assert_array_equal(flat @ flat.T, 16 * X @ X.T)
    for word in range(79):  # word w is the 4×4 square in row w // 9 and column w % 9 behind a frame of 3
        top, left = 3 + 4 * (word // 9), 3 + 4 * (word % 9)
        square = image[:, 0, top : top + 4, left : left + 4]
        np.testing.assert_array_equal(square, np.broadcast_to(X[:, word, None, None], (6, 4, 4)))
    assert image.sum() == 16 * X.sum()  # nothing elsewhere


@pytest.mark.parametrize(("words", "size"), [(1, 5), (10, 9), (16, 4), (7, 10)])
def test_words_as_image_weighs_every_word_the_same(words, size):
    flat = words_as_image(np.eye(words), size).reshape(words, -1)
    side = size // int(np.ceil(np.sqrt(words)))
    np.testing.assert_array_equal(flat @ flat.T, side**2 * np.eye(words))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: edge_map(np.eye(3)), ("images", "(3, 3)")),
        (lambda: edge_map(np.full((1, 1, 2, 2), "a")), ("images", "<U1")),
        (lambda: resize(np.ones((1, 1, 4, 4)), (0, 2)), ("size", "(0, 2)")),
        (lambda: resize(np.ones((1, 1, 4, 4)), 2), ("size", "2")),
        (lambda: vectors_as_image(np.ones((1, 5)), (2, 2)), ("size", "5 values", "2×2")),
        (lambda: vectors_as_image(np.ones(5), (2, 2)), ("X must", "(5,)")),
        (lambda: words_as_image(np.ones((1, 10)), 3), ("size", "10 words, got 3")),
        (lambda: words_as_image(np.ones((1, 10)), 4.0), ("size", "4.0")),
    ],
)
def test_bad_arguments_are_named(call, words):
    one_clear_error(call, ValueError, words)
