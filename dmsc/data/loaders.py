"""Loaders of the single datasets. Each returns the fields of a `dmsc.data.Dataset` but its name.

Values stay as the files hold them, but for mnist_usps_32: 0–255 for ORL, Extended Yale B and hw2sources, 0–1 for the
others. See data/README.md for origin, terms and shape of every file. Known files are verified by their hash before they
are read, so their layout is checked no further; fashion_edges is the exception.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..checks import integer
from .files import find_file
from .own import read_own
from .readers import read_idx, read_mat, require_numeric
from .views import column_major, crop, edge_map, resize, vectors_as_image, words_as_image

__all__ = ["COMPONENTS", "LOADERS"]

COMPONENTS = {  # parts of a 48×42 face: (top, left, height, width); left is the left of the image
    "face": (0, 0, 48, 42),
    "left eye": (3, 0, 16, 18),
    "right eye": (3, 24, 16, 18),
    "nose": (14, 12, 18, 18),
    "mouth": (30, 8, 16, 26),
}


Fields = dict[str, Any]


def digits(n_per_class: int | None = None, seed: int = 0) -> Fields:
    """1797 handwritten digits of 8×8 pixels from scikit-learn and their edge maps; needs no download."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = (bunch.images[:, None] / 16).astype(np.float32)  # (N, 1, 8, 8) in [0, 1]
    return _with_edges(images, bunch.target, n_per_class, seed)


def digits_halves(n_per_class: int | None = None, seed: int = 0) -> Fields:
    """The same digits cut in two, upper and lower half, 4×8 pixels each: views that need each other; no download."""
    fields = digits(n_per_class, seed)
    images = fields["Xs"][0]
    return fields | {"Xs": [images[:, :, :4], images[:, :, 4:]], "view_names": ["upper half", "lower half"]}


def synthetic(
    n_samples: int = 600,
    n_clusters: int = 3,
    subspace_dim: int = 3,
    ambient_dim: int = 30,
    noise: float = 0.01,
    n_views: int = 2,
    seed: int = 0,
) -> Fields:
    """Random union of linear subspaces seen through several views; vectors, made on the spot."""
    integer("n_clusters", n_clusters, 1)
    integer("n_samples", n_samples, n_clusters)
    integer("n_views", n_views, 1)
    integer("ambient_dim", ambient_dim, 1)
    integer("subspace_dim", subspace_dim, 1, ambient_dim)
    integer("seed", seed, 0)
    if isinstance(noise, bool) or not isinstance(noise, (int, float, np.number)) or not 0 <= noise < math.inf:
        raise ValueError(f"noise must be a finite number >= 0, got {noise!r}")
    rng = np.random.default_rng(seed)
    bases = rng.standard_normal((n_views, n_clusters, ambient_dim, subspace_dim))
    bases = np.linalg.qr(bases)[0].astype(np.float32)  # (M, K, D, d), orthonormal columns
    y = np.arange(n_samples) * n_clusters // n_samples  # balanced, one cluster after the other
    Xs = [np.empty((n_samples, ambient_dim), dtype=np.float32) for _ in range(n_views)]
    starts = np.searchsorted(y, np.arange(n_clusters + 1))
    for k in range(n_clusters):
        rows = slice(starts[k], starts[k + 1])
        coordinates = rng.standard_normal((starts[k + 1] - starts[k], subspace_dim), dtype=np.float32)
        for X, basis in zip(Xs, bases[:, k], strict=True):  # the views share the coordinates
            rng.standard_normal(out=X[rows], dtype=np.float32)
            X[rows] *= np.float32(noise)
            X[rows] += coordinates @ basis.T
    return {"Xs": Xs, "y": y, "n_clusters": n_clusters}


def orl() -> Fields:
    """ORL: 400 faces of 40 people, 32×32, values 0–255."""
    return _fea_gnd("ORL_32x32.mat")


def coil20() -> Fields:
    """COIL20: 1440 images of 20 objects, 32×32, values 0–1."""
    return _fea_gnd("COIL20.mat")


def coil20_edges() -> Fields:
    """COIL20 images and their edge maps, two views."""
    fields = _fea_gnd("COIL20.mat")
    return _with_edges(fields["Xs"][0], fields["y"])


def coil100() -> Fields:
    """COIL100: 7200 images of 100 objects, 32×32."""
    return _fea_gnd("COIL100.mat")


def eyaleb(subjects: int | tuple[int, int] | None = None) -> Fields:
    """Extended Yale B: 2414 faces of 38 people, 48×42, values 0–255; subjects=K or (first, K) takes K."""
    faces, y = _eyaleb(subjects)
    return {"Xs": [faces], "y": y, "view_names": ["face"]}


def eyaleb_components(subjects: int | tuple[int, int] | None = None) -> Fields:
    """Extended Yale B in five views of 32×32: face, left eye, right eye, nose, mouth; option subjects."""
    faces, y = _eyaleb(subjects)
    Xs = [resize(crop(faces, box), (32, 32)) for box in COMPONENTS.values()]
    return {"Xs": Xs, "y": y, "view_names": list(COMPONENTS)}


def eyb_fc() -> Fields:
    """Extended Yale B, the DMSC authors' own file: the face and four parts of it, 32×32."""
    return read_own(find_file("EYB_fc.mat"))


def mnist_usps(n_per_class: int | None = 200, seed: int = 0) -> Fields:
    """MNIST and USPS: pairs of digits of one class, 28×28, n_per_class=200 (None: all 500), values 0–1."""
    mnist, usps, y = read_mat(find_file("MNIST_USPS.mat"), ["X1", "X2", "Y"])
    y = _labels(y)
    rows = _per_class(y, n_per_class, seed)
    Xs = [column_major(X[rows], (28, 28)) for X in (mnist, usps)]
    return {"Xs": Xs, "y": y[rows], "view_names": ["MNIST", "USPS"]}


def mnist_usps_32(n_per_class: int | None = 200, seed: int = 0) -> Fields:
    """MNIST and USPS: the pairs of mnist_usps as 32×32, values 0–255, as the DMSC paper has its digits."""
    fields = mnist_usps(n_per_class, seed)
    return fields | {"Xs": [255 * resize(X, (32, 32)) for X in fields["Xs"]]}


def hw2sources() -> Fields:
    """HW2sources: 2000 pairs of a MNIST and a USPS digit, 200 a class, 32×32, values 0–255.

    A class isn't one digit: MNIST's 0, 1, …, 8, 9 stand beside USPS's 1, 2, …, 9, 0. That is one to one, so the
    clusters are well defined. Images are enlarged from 28×28 and 16×16.
    """
    X, y = read_mat(find_file("multiview/HW2sources.mat"), ["X", "Y"], cells=["X"])
    mnist, usps = X[0]  # uint8, MNIST stored row by row
    Xs = [resize(images, (32, 32)) for images in (mnist.reshape(-1, 1, 28, 28), column_major(usps, (16, 16)))]
    return {"Xs": Xs, "y": _labels(y), "view_names": ["MNIST", "USPS"]}


def mnist_edges(n_per_class: int | None = 200, seed: int = 0) -> Fields:
    """MNIST test images and their edge maps, 28×28, n_per_class=200 (None: all 10000), values 0–1."""
    images = read_idx(find_file("t10k-images-idx3-ubyte.gz"))
    y = read_idx(find_file("t10k-labels-idx1-ubyte.gz"))
    return _with_edges(images[:, None].astype(np.float32) / 255, y, n_per_class, seed)


def fashion_edges() -> Fields:
    """Fashion-MNIST: images and their edge maps, 28×28, from a file that you have to fetch (data/README.md).

    We never had the file: its layout is what its authors' program reads, checked here since no hash vouches for it.
    Unknown are the range of its values, which view is the image and which the edges, and the order of the pixels
    (read here row by row). Look at a few images first.
    """
    path = find_file("fm_2000_edge_ori.mat")
    X, truth = read_mat(path, ["X", "groundtruth"], cells=["X"])
    if X.size != 2:
        raise ValueError(f"{path}: X must be a cell array of 2 views, got shape {X.shape}")
    y = _labels(truth, path)
    for i, view in enumerate(X.flat):
        require_numeric(view, f"{path}: view {i} of X")
        if view.shape not in ((len(y), 784), (len(y), 28, 28)):
            raise ValueError(
                f"{path}: view {i} of X must be (N, 784) or (N, 28, 28) with N = {len(y)} labels, got {view.shape}"
            )
    return {"Xs": [view.reshape(-1, 1, 28, 28) for view in X.flat], "y": y}


def bdgp() -> Fields:
    """BDGP: 2500 fly embryos in 5 classes, 1750 visual words and 79 text words, each laid out as 42×42."""
    data, y = read_mat(find_file("BDGP.mat"), ["data", "truth"], cells=["data"])
    visual, text = data[0]  # words × samples
    Xs = [vectors_as_image(visual.T, (42, 42)), words_as_image(text.T, 42)]
    return {"Xs": Xs, "y": _labels(y), "view_names": ["visual words", "text words"]}


ALL: tuple[Callable[..., Fields], ...] = (
    digits, digits_halves, synthetic, orl, coil20, coil20_edges, coil100, eyaleb, eyaleb_components, eyb_fc, mnist_usps,
    mnist_usps_32, hw2sources, mnist_edges, fashion_edges, bdgp,
)  # fmt: skip
LOADERS = {loader.__name__: loader for loader in ALL}


def _with_edges(images: np.ndarray, y: np.ndarray, n_per_class: int | None = None, seed: int = 0) -> Fields:
    """Images (N, C, H, W) and their edge maps, of so many samples per class."""
    rows = _per_class(y, n_per_class, seed)
    return {
        "Xs": [images[rows], edge_map(images[rows])],
        "y": _labels(y[rows]),
        "view_names": ["image", "edges"],
    }


def _fea_gnd(name: str) -> Fields:
    """Images of 32×32 in the layout of many published .mat files: fea (N, 1024) and gnd."""
    fea, gnd = read_mat(find_file(name), ["fea", "gnd"])
    return {"Xs": [column_major(fea, (32, 32))], "y": _labels(gnd), "view_names": ["image"]}


def _eyaleb(subjects: int | tuple[int, int] | None) -> tuple[np.ndarray, np.ndarray]:
    """Faces (N, 1, 48, 42) and labels of some or all people."""
    (people,) = read_mat(find_file("YaleB_48x42.mat"), ["YaleB"], cells=["YaleB"])
    subjects = len(people) if subjects is None else subjects
    first, count = subjects if isinstance(subjects, (tuple, list)) and len(subjects) == 2 else (0, subjects)
    whole = all(isinstance(v, (int, np.integer)) and not isinstance(v, bool) for v in (first, count))
    if not whole or first < 0 or count < 1 or first + count > len(people):
        raise ValueError(
            f"subjects must be K or (first, K), K consecutive people of the {len(people)} counted from 0, "
            f"got {subjects!r}"
        )
    faces = [person[1] for person in people[first : first + count]]  # each 2016 × number of faces
    y = np.repeat(np.arange(count), [X.shape[1] for X in faces])
    return column_major(np.concatenate(faces, axis=1).T, (48, 42)), y


def _labels(y: np.ndarray, path: Path | str = "labels") -> np.ndarray:
    """Any labels as (N,) int64 numbers 0…K−1, in the order of their values."""
    if y.ndim > 2 or y.size == 0 or y.size != max(y.shape, default=0) or y.dtype.kind not in "biufU":
        raise ValueError(
            f"{path}: labels must be a row or column of numbers or strings, got {y.dtype} of shape {y.shape}"
        )
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise ValueError(f"{path}: labels must be finite, got NaN or an infinite value")
    return np.unique(y.ravel(), return_inverse=True)[1].astype(np.int64).ravel()


def _per_class(y: np.ndarray, n_per_class: int | None, seed: int) -> np.ndarray:
    """Sorted rows of `n_per_class` random samples of every class, or all rows."""
    integer("seed", seed, 0)
    if n_per_class is None:
        return np.arange(len(y))
    classes, counts = np.unique(y, return_counts=True)
    integer("n_per_class", n_per_class, 1, int(counts.min()))
    rng = np.random.default_rng(seed)
    rows = [rng.choice(np.flatnonzero(y == k), n_per_class, replace=False) for k in classes]
    return np.sort(np.concatenate(rows))
