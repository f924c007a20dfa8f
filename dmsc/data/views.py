"""Views made from one image or from plain vectors: edge maps, crops, resized images, vectors as images.

Every function takes and returns float32 arrays and works on all images of a view at once.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import correlate1d

__all__ = ["column_major", "crop", "edge_map", "resize", "vectors_as_image", "words_as_image"]


def column_major(X: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Rows (N, height·width), each an image stored column by column, as images (N, 1, height, width)."""
    height, width = size
    return X.reshape(-1, 1, width, height).swapaxes(2, 3).astype(np.float32, order="C")


def edge_map(images: np.ndarray) -> np.ndarray:
    """Sobel gradient magnitude of every image, on the value range of the images.

    The magnitude of the 3×3 Sobel gradient of an image with values in [0, r] never exceeds r·√20. It is divided by √20,
    one constant for all images, so edges lie in [0, r] too and are comparable across images. The border repeats the
    outermost pixels.

    Parameters
    ----------
    images : ndarray (N, C, H, W)
        Images; every channel is treated on its own.

    Returns
    -------
    ndarray (N, C, H, W), float32
        Edge maps, non-negative.

    References
    ----------
    Gao et al., "Cross-Modal Subspace Clustering via Deep Canonical Correlation Analysis", AAAI 2020: an image
    and its edge map as two modalities.
    """
    images = _images(images)
    slope, smooth = np.array([[-1, 0, 1], [1, 2, 1]], dtype=np.float32)  # Sobel: a slope one way, smooth the other
    dx = correlate1d(correlate1d(images, slope, axis=3, mode="nearest"), smooth, axis=2, mode="nearest")
    dy = correlate1d(correlate1d(images, slope, axis=2, mode="nearest"), smooth, axis=3, mode="nearest")
    return np.hypot(dx, dy) / np.float32(np.sqrt(20))  # (N, C, H, W)


def crop(images: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """Cut the same box out of every image.

    Parameters
    ----------
    images : ndarray (N, C, H, W)
        Images.
    box : (top, left, height, width)
        The box in pixels, counted from 0 at the upper left corner.

    Returns
    -------
    ndarray (N, C, height, width), float32
        The cut images.
    """
    images = _images(images)
    values = tuple(box) if np.ndim(box) == 1 else ()
    if len(values) != 4 or not all(isinstance(v, (int, np.integer)) for v in values):
        raise ValueError(f"box must be four integers (top, left, height, width), got {box!r}")
    top, left, height, width = values
    rows, columns = images.shape[2:]
    if min(top, left) < 0 or min(height, width) < 1 or top + height > rows or left + width > columns:
        raise ValueError(f"box {values} must lie inside the {rows}×{columns} image")
    return np.ascontiguousarray(images[:, :, top : top + height, left : left + width])


def resize(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize every image by linear interpolation, averaging over the pixels it leaves out (antialiasing).

    The same on every CPU, bit for bit, because records know data by a hash of its bytes.

    Parameters
    ----------
    images : ndarray (N, C, H, W)
        Images.
    size : (height, width)
        New size in pixels.

    Returns
    -------
    ndarray (N, C, height, width), float32
        Resized images; values never leave the range of the input, and a constant image stays constant.
    """
    images = _images(images)
    height, width = _size(size)
    resized = _weighted_sums(images, _interpolation(images.shape[2], height), axis=2)  # (N, C, height, W)
    resized = _weighted_sums(resized, _interpolation(images.shape[3], width), axis=3)  # (N, C, height, width)
    return np.clip(resized, images.min(), images.max(), dtype=np.float32, order="C")  # without the rounding


def vectors_as_image(X: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Pad vectors with zeros at the end and lay them out as one-channel images, row by row.

    Parameters
    ----------
    X : ndarray (N, D)
        One vector per row, D ≤ height·width.
    size : (height, width)
        Image size in pixels. The BDGP listing lays 1750 visual words out as 42×42 (1764 pixels).

    Returns
    -------
    ndarray (N, 1, height, width), float32
        Images with the same inner products as the vectors.
    """
    X = _vectors(X)
    height, width = _size(size)
    n_samples, dim = X.shape
    if dim > height * width:
        raise ValueError(f"size must hold at least {dim} values per vector, got {height}×{width} = {height * width}")
    padded = np.zeros((n_samples, height * width), dtype=np.float32)
    padded[:, :dim] = X
    return padded.reshape(n_samples, 1, height, width)


def words_as_image(X: np.ndarray, size: int) -> np.ndarray:
    """Show every word of a word vector as one square of pixels on a framed square board.

    The board has b = ⌈√D⌉ squares a side, filled row by row with the D words and then left empty; a square has
    s = ⌊size / b⌋ pixels a side and holds the word's value in each of them; what is left of the image is a frame of
    zeros. So every word weighs the same, and inner products are exactly s² times those of the vectors.

    Parameters
    ----------
    X : ndarray (N, D)
        One word vector per row.
    size : int
        Side of the image in pixels. BDGP's 79 text words in 42×42 pixels: a 9×9 board of 4×4 squares (two of
        them empty) in a frame 3 pixels wide.

    Returns
    -------
    ndarray (N, 1, size, size), float32
        The images.
    """
    X = _vectors(X)
    size = _size((size, size))[0]
    board = int(np.ceil(np.sqrt(X.shape[1])))
    side = size // board
    if side < 1:
        raise ValueError(f"size must be at least {board} for {X.shape[1]} words, got {size}")
    squares = vectors_as_image(X, (board, board)).repeat(side, axis=2).repeat(side, axis=3)
    before = (size - board * side) // 2
    after = size - board * side - before
    return np.pad(squares, ((0, 0), (0, 0), (before, after), (before, after)))


def _images(images: np.ndarray) -> np.ndarray:
    images = np.asarray(images)
    if images.ndim != 4 or images.dtype.kind not in "biuf":
        raise ValueError(f"images must be real numbers (N, C, H, W), got {images.dtype} of shape {images.shape}")
    return images.astype(np.float32, copy=False)


def _vectors(X: np.ndarray) -> np.ndarray:
    X = np.asarray(X)
    if X.ndim != 2 or X.dtype.kind not in "biuf" or X.shape[1] == 0:
        raise ValueError(f"X must be real numbers (N, D), got {X.dtype} of shape {X.shape}")
    return X.astype(np.float32, copy=False)


def _size(size: tuple[int, int]) -> tuple[int, int]:
    values = tuple(size) if np.ndim(size) == 1 else ()
    if len(values) != 2 or not all(isinstance(v, (int, np.integer)) and v >= 1 for v in values):
        raise ValueError(f"size must be positive integers (height, width), got {size!r}")
    return values


def _interpolation(n_in: int, n_out: int) -> np.ndarray:
    """Weights (n_out, n_in) of linear interpolation; a triangle is as wide as the larger of both pixels."""
    scale = n_in / n_out
    centers = (np.arange(n_out) + 0.5) * scale - 0.5  # where output pixels lie among input pixels
    distance = np.abs(centers[:, None] - np.arange(n_in)) / max(scale, 1.0)
    weights = np.maximum(1 - distance, 0)
    return weights / weights.sum(axis=1, keepdims=True)


def _weighted_sums(images: np.ndarray, weights: np.ndarray, axis: int) -> np.ndarray:
    """Multiply weights (n_out, n_in) with an axis, term by term: a matrix product's last bits depend on the CPU."""
    images = np.moveaxis(images, axis, 0).astype(np.float64)
    sums = np.zeros((len(weights), *images.shape[1:]))
    for i, j in np.argwhere(weights):
        sums[i] += weights[i, j] * images[j]
    return np.moveaxis(sums, 0, axis)
