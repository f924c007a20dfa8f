"""What each loader makes of its file: against the published description, the raw file, or a small file like it."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
import scipy.io
from bad_input import one_clear_error
from sklearn.datasets import load_digits

from dmsc.data import files
from dmsc.data.dataset import load_dataset
from dmsc.data.views import edge_map, resize


def counts(dataset):
    return np.bincount(dataset.y).tolist()


def check(dataset, n, k, shapes, names):
    """Hold a dataset against its published description."""
    assert (dataset.n_samples, dataset.n_clusters, dataset.n_views) == (n, k, len(shapes))
    assert [X.shape for X in dataset.Xs] == [(n, *shape) for shape in shapes]
    assert dataset.view_names == tuple(names)
    assert dataset.y.dtype == np.int64 and np.unique(dataset.y).tolist() == list(range(k))
    for array in (*dataset.Xs, dataset.y):
        assert not array.flags.writeable and array.flags.c_contiguous
    assert all(X.dtype == np.float32 for X in dataset.Xs)


# --- without files


def test_digits():
    dataset = load_dataset("digits")
    check(dataset, 1797, 10, [(1, 8, 8)] * 2, ["image", "edges"])
    bunch = load_digits()
    np.testing.assert_array_equal(dataset.Xs[0][:, 0] * 16, bunch.images)
    np.testing.assert_array_equal(dataset.Xs[1], edge_map(dataset.Xs[0]))
    np.testing.assert_array_equal(dataset.y, bunch.target)


@pytest.mark.parametrize(("views", "places"), [("edges", [1]), (["image"], [0]), (("edges", "image"), [1, 0])])
def test_some_views_of_a_dataset(views, places):
    some, both = load_dataset("digits", n_per_class=20, views=views), load_dataset("digits", n_per_class=20)
    check(some, 200, 10, [(1, 8, 8)] * len(places), [both.view_names[i] for i in places])
    np.testing.assert_array_equal(some.y, both.y)
    for X, i in zip(some.Xs, places, strict=True):
        np.testing.assert_array_equal(X, both.Xs[i])


def test_digits_halves_are_the_digits_cut_in_two():
    halves, whole = (load_dataset(name, n_per_class=20, seed=3) for name in ("digits_halves", "digits"))
    assert halves.view_names == ("upper half", "lower half")
    assert [X.shape for X in halves.Xs] == [(200, 1, 4, 8)] * 2
    np.testing.assert_array_equal(np.concatenate(halves.Xs, axis=2), whole.Xs[0])
    np.testing.assert_array_equal(halves.y, whole.y)


def test_digits_per_class():
    dataset = load_dataset("digits", n_per_class=20, seed=3)
    assert counts(dataset) == [20] * 10
    same, other = (load_dataset("digits", n_per_class=20, seed=s) for s in (3, 4))
    np.testing.assert_array_equal(dataset.Xs[0], same.Xs[0])
    assert not np.array_equal(dataset.Xs[0], other.Xs[0])
    rows = {X.tobytes() for X in load_dataset("digits").Xs[0]}
    assert {X.tobytes() for X in dataset.Xs[0]} <= rows


def test_synthetic_is_a_union_of_subspaces_with_shared_coordinates():
    dataset = load_dataset("synthetic", n_samples=100, n_clusters=3, subspace_dim=4, noise=0, n_views=3, ambient_dim=20)
    check(dataset, 100, 3, [(20,)] * 3, ["view 0", "view 1", "view 2"])
    assert sorted(counts(dataset)) == [33, 33, 34] and (np.diff(dataset.y) >= 0).all()
    for k in range(3):
        Xs = [X[dataset.y == k].astype(float) for X in dataset.Xs]
        for X in Xs:
            assert np.linalg.matrix_rank(X, tol=1e-4) == 4
            np.testing.assert_allclose(X @ X.T, Xs[0] @ Xs[0].T, atol=1e-4)  # orthonormal bases, same coordinates
        assert np.linalg.matrix_rank(np.hstack(Xs), tol=1e-4) == 4
        assert np.linalg.matrix_rank(np.vstack(Xs), tol=1e-4) == 12  # every view has a basis of its own


def test_synthetic_noise_is_the_standard_deviation_of_an_entry():
    clean, noisy = (load_dataset("synthetic", n_samples=5000, noise=noise) for noise in (0, 0.5))
    for a, b in zip(clean.Xs, noisy.Xs, strict=True):
        assert (a - b).std() == pytest.approx(0.5, rel=0.01)


def test_synthetic_is_seeded():
    one, same, other = (load_dataset("synthetic", seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.Xs[1], same.Xs[1])
    assert not np.allclose(one.Xs[1], other.Xs[1])


# --- real files


def test_orl(real_data):
    real_data("ORL_32x32.mat")
    dataset = load_dataset("orl")
    check(dataset, 400, 40, [(1, 32, 32)], ["image"])
    assert counts(dataset) == [10] * 40
    assert (dataset.Xs[0].min(), dataset.Xs[0].max()) == (2, 235)
    assert upright(dataset.Xs[0])


def upright(faces):
    """A face looks more like its mirror image left–right than like the one of its transpose."""
    mean = faces.mean(axis=0)[0].astype(float)
    side = min(mean.shape)
    mean = mean[:side, :side]
    return np.abs(mean - mean[:, ::-1]).mean() < 0.7 * np.abs(mean - mean[::-1]).mean()


def test_coil20(real_data):
    path = real_data("COIL20.mat")
    dataset = load_dataset("coil20")
    check(dataset, 1440, 20, [(1, 32, 32)], ["image"])
    assert counts(dataset) == [72] * 20
    assert (dataset.Xs[0].min(), dataset.Xs[0].max()) == (0, 1)
    fea = scipy.io.loadmat(path)["fea"]
    np.testing.assert_array_equal(dataset.Xs[0][700, 0], fea[700].reshape(32, 32, order="F").astype(np.float32))


def test_coil20_edges(real_data):
    real_data("COIL20.mat")
    dataset = load_dataset("coil20_edges")
    check(dataset, 1440, 20, [(1, 32, 32)] * 2, ["image", "edges"])
    np.testing.assert_array_equal(dataset.Xs[0], load_dataset("coil20").Xs[0])
    np.testing.assert_array_equal(dataset.Xs[1], edge_map(dataset.Xs[0]))


def test_eyaleb(real_data):
    path = real_data("YaleB_48x42.mat")
    dataset = load_dataset("eyaleb")
    check(dataset, 2414, 38, [(1, 48, 42)], ["face"])
    assert counts(dataset) == [64] * 10 + [60, 59, 60, 63, 62, 63, 63] + [64] * 21
    assert (dataset.Xs[0].min(), dataset.Xs[0].max()) == (0, 255)
    assert upright(dataset.Xs[0])
    people = scipy.io.loadmat(path)["YaleB"]
    np.testing.assert_array_equal(dataset.Xs[0][64, 0], people[1, 1][:, 0].reshape(42, 48).T)


def test_eyaleb_subjects(real_data):
    real_data("YaleB_48x42.mat")
    whole = load_dataset("eyaleb")
    for subjects, first, k in ((2, 0, 2), ((10, 3), 10, 3), ([37, 1], 37, 1), (38, 0, 38)):
        some = load_dataset("eyaleb", subjects=subjects)
        rows = (whole.y >= first) & (whole.y < first + k)
        np.testing.assert_array_equal(some.Xs[0], whole.Xs[0][rows])
        np.testing.assert_array_equal(some.y, whole.y[rows] - first)
        assert some.n_clusters == k
    for subjects in (0, 39, -1, (30, 9), (-1, 2), (1, 2, 3), 2.0, True, "2", (0, 2.5)):
        with pytest.raises(ValueError, match="subjects .*38"):
            load_dataset("eyaleb", subjects=subjects)


def test_eyaleb_components(real_data):
    real_data("YaleB_48x42.mat")
    dataset = load_dataset("eyaleb_components", subjects=(4, 20))
    names = ["face", "left eye", "right eye", "nose", "mouth"]
    whole = load_dataset("eyaleb", subjects=(4, 20))
    check(dataset, whole.n_samples, 20, [(1, 32, 32)] * 5, names)
    np.testing.assert_array_equal(dataset.y, whole.y)
    for X in dataset.Xs:
        assert X.min() >= 0 and 200 < X.max() <= 255
    face, left, right, nose, mouth = (X.mean(axis=0)[0].astype(float) for X in dataset.Xs)
    for part in (left, right):  # an eye is a dark spot in the middle of its crop
        row, column = np.unravel_index(part[8:24].argmin(), (16, 32))
        assert 10 <= row + 8 <= 22 and 9 <= column <= 22
    mirrored, same = (np.corrcoef(left.ravel(), eye.ravel())[0, 1] for eye in (right[:, ::-1], right))
    assert mirrored > 0.85 and mirrored > same
    left_half = resize(whole.Xs[0][:5, :, 3:19, :18], (32, 32))  # "left" is the left of the image
    np.testing.assert_array_equal(dataset.Xs[1][:5], left_half)
    for part in (face, nose, mouth):  # these lie on the face's axis
        assert np.corrcoef(part.ravel(), part[:, ::-1].ravel())[0, 1] > 0.8
    dark = mouth[:, 8:24].mean(axis=1).argmin()  # the line between the lips
    assert 8 <= dark <= 22


@pytest.mark.parametrize(("n_per_class", "n"), [(200, 2000), (None, 5000), (3, 30)])
def test_mnist_usps(real_data, n_per_class, n):
    path = real_data("MNIST_USPS.mat")
    dataset = load_dataset("mnist_usps", n_per_class=n_per_class)
    check(dataset, n, 10, [(1, 28, 28)] * 2, ["MNIST", "USPS"])
    assert counts(dataset) == [n // 10] * 10
    for X in dataset.Xs:
        assert X.min() == 0 and 0.99 < X.max() <= 1
    if n_per_class is None:
        stored = scipy.io.loadmat(path)
        np.testing.assert_array_equal(dataset.y, stored["Y"][0])
        np.testing.assert_array_equal(
            dataset.Xs[1][7, 0], stored["X2"][7].reshape(28, 28, order="F").astype(np.float32)
        )
        assert stands(dataset.Xs[0][dataset.y == 1])


def stands(ones):
    """The digit one is higher than wide."""
    mean = ones.mean(axis=(0, 1))
    return (mean.sum(axis=1) > 0.5).sum() > 1.3 * (mean.sum(axis=0) > 0.5).sum()


def test_mnist_usps_32_is_mnist_usps_enlarged(real_data):
    real_data("MNIST_USPS.mat")
    small, dataset = (load_dataset(name, n_per_class=20, seed=3) for name in ("mnist_usps", "mnist_usps_32"))
    check(dataset, 200, 10, [(1, 32, 32)] * 2, ["MNIST", "USPS"])
    np.testing.assert_array_equal(dataset.y, small.y)
    for X, image in zip(dataset.Xs, small.Xs, strict=True):
        assert X.min() == 0 and 250 < X.max() <= 255
        np.testing.assert_allclose(X, resize(image * 255, (32, 32)), atol=1e-3)


def test_hw2sources(real_data):
    path = real_data("multiview/HW2sources.mat")
    dataset = load_dataset("hw2sources")
    check(dataset, 2000, 10, [(1, 32, 32)] * 2, ["MNIST", "USPS"])
    assert counts(dataset) == [200] * 10
    assert [(X.min(), X.max()) for X in dataset.Xs] == [(0, 255)] * 2
    stored = scipy.io.loadmat(path)
    np.testing.assert_array_equal(dataset.y + 1, stored["Y"][:, 0])
    mnist, usps = (X[7] for X in stored["X"][0])
    for X, image in zip(dataset.Xs, (mnist.reshape(28, 28), usps.reshape(16, 16, order="F")), strict=True):
        np.testing.assert_array_equal(X[7], resize(image[None, None], (32, 32))[0])


def test_hw2sources_pairs_each_digit_of_mnist_with_the_next_of_usps(real_data):
    """USPS fills its frame: the class means of MNIST's digits, cut out and stretched, beside those of USPS."""
    real_data("multiview/HW2sources.mat")
    dataset = load_dataset("hw2sources")
    means = [[stretched(image) for image in dataset.Xs[0][dataset.y == k, 0]] for k in range(10)]
    means += [dataset.Xs[1][dataset.y == k, 0] for k in range(10)]
    similar = np.corrcoef([np.mean(images, axis=0).ravel() for images in means])[10:, :10]  # USPS × MNIST
    assert similar.argmax(axis=1).tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]


def stretched(image):
    """The digit alone, in 32×32 pixels."""
    rows, columns = (np.flatnonzero((image > 64).any(axis=axis)) for axis in (1, 0))
    part = image[None, None, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return resize(part, (32, 32))[0, 0]


def test_mnist_edges(real_data):
    real_data("t10k-images-idx3-ubyte.gz"), real_data("t10k-labels-idx1-ubyte.gz")
    dataset = load_dataset("mnist_edges", seed=1)
    check(dataset, 2000, 10, [(1, 28, 28)] * 2, ["image", "edges"])
    assert counts(dataset) == [200] * 10
    assert (dataset.Xs[0].min(), dataset.Xs[0].max()) == (0, 1)
    assert stands(dataset.Xs[0][dataset.y == 1])
    np.testing.assert_array_equal(dataset.Xs[1], edge_map(dataset.Xs[0]))
    whole = load_dataset("mnist_edges", n_per_class=None)
    assert counts(whole) == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]  # MNIST's published counts


def test_bdgp(real_data):
    path = real_data("BDGP.mat")
    dataset = load_dataset("bdgp")
    check(dataset, 2500, 5, [(1, 42, 42)] * 2, ["visual words", "text words"])
    assert counts(dataset) == [500] * 5
    visual, text = scipy.io.loadmat(path)["data"][0]  # words × samples
    flat = [X.reshape(2500, 1764) for X in dataset.Xs]
    np.testing.assert_array_equal(flat[0][:, :1750], visual.T.astype(np.float32))
    assert not flat[0][:, 1750:].any()
    assert set(np.unique(flat[1])) == {0, 1}
    words = text.T.astype(np.float32)
    np.testing.assert_array_equal(flat[1] @ flat[1].T, 16 * (words @ words.T))  # small integers: exact


# --- files of the same layout


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder that DMSC_DATA names."""
    monkeypatch.setenv("DMSC_DATA", str(tmp_path))
    return tmp_path


def publish(path, monkeypatch):
    """Make the file at `path` the one whose git blob id is known by that name."""
    known = files.KNOWN_FILES[path.name]
    assert known.algorithm == "git"
    monkeypatch.setitem(files.KNOWN_FILES, path.name, known._replace(digest=files.file_hash(path, "git")))


def save_authors_file(path, n=6, **changes):
    """Two 3×3 images and one 5-vector a sample, in the DMSC authors' layout; returns images[view][sample]."""
    images = np.random.default_rng(0).integers(0, 256, (2, n, 3, 3)).astype(float)
    variables = {f"modality_{i}": np.stack([a.ravel(order="F") for a in images[i]], axis=1) for i in range(2)}
    variables |= {"modality_2": np.arange(5.0 * n).reshape(5, n), "num_modalities": 3}
    variables |= {"Label": np.array([[7, 7, 3, 3, 5, 5][:n]])} | changes
    scipy.io.savemat(path, {k: v for k, v in variables.items() if v is not None})
    return images


def test_eyb_fc_and_its_blob_id(folder, monkeypatch):
    images = save_authors_file(folder / "EYB_fc.mat")
    with pytest.raises(ValueError, match=r"EYB_fc\.mat.*expected git 34bb6b4b7ddb5aa640313db4a24f637ca1c9454d"):
        load_dataset("eyb_fc")
    publish(folder / "EYB_fc.mat", monkeypatch)
    dataset = load_dataset("eyb_fc")
    check(dataset, 6, 3, [(1, 3, 3), (1, 3, 3), (5,)], ["modality_0", "modality_1", "modality_2"])
    np.testing.assert_array_equal(dataset.Xs[1][:, 0], images[1])


@pytest.mark.parametrize("row", [True, False])
def test_coil100(folder, monkeypatch, row):
    images = np.random.default_rng(0).integers(0, 256, (8, 32, 32)).astype(np.uint8)
    labels = np.repeat([1, 2, 3, 4], 2)
    fea = np.stack([image.ravel(order="F") for image in images])
    scipy.io.savemat(folder / "COIL100.mat", {"fea": fea, "gnd": labels[None] if row else labels[:, None]})
    with pytest.raises(ValueError, match=r"COIL100\.mat.*expected git c1e6f5ef36341a29a770bc0086edc19ad9272124"):
        load_dataset("coil100")
    publish(folder / "COIL100.mat", monkeypatch)
    dataset = load_dataset("coil100")
    check(dataset, 8, 4, [(1, 32, 32)], ["image"])
    np.testing.assert_array_equal(dataset.Xs[0][:, 0], images)


def test_own_mat(tmp_path):
    images = save_authors_file(tmp_path / "My Faces.MAT")
    for path in (tmp_path / "My Faces.MAT", str(tmp_path / "My Faces.MAT")):
        dataset = load_dataset(path)
        check(dataset, 6, 3, [(1, 3, 3), (1, 3, 3), (5,)], ["modality_0", "modality_1", "modality_2"])
        assert dataset.name == "My Faces" and dataset.y.tolist() == [2, 2, 0, 0, 1, 1]
        np.testing.assert_array_equal(dataset.Xs[0][:, 0], images[0])
        np.testing.assert_array_equal(dataset.Xs[2][1], [1, 7, 13, 19, 25])
    assert load_dataset(tmp_path / "My Faces.MAT", n_clusters=4).n_clusters == 4


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"Label": None}, ("labels", "n_clusters", "holds: modality_0")),
        ({"modality_1": None}, "'modality_1'"),
        ({"num_modalities": 0}, ("num_modalities", "0")),
        ({"num_modalities": 1.5}, ("num_modalities", "1.5")),
        ({"num_modalities": np.nan}, ("num_modalities", "nan")),
        ({"num_modalities": [1, 2]}, ("num_modalities", "1 2")),
        ({"modality_1": np.ones((9, 5))}, ("modality_1", "N = 6", "(9, 5)")),
        ({"modality_1": np.ones((6, 9))}, ("modality_1", "N = 6", "(6, 9)")),
        ({"modality_0": np.full((9, 6), np.nan)}, ("modality_0", "NaN in 6 of 6")),
        ({"modality_0": np.full((9, 6), 1e99)}, ("view 0", "infinite")),
        ({"modality_0": np.full((9, 6), "a", dtype=object)}, ("modality_0", "real numbers")),
        ({"Label": np.ones((2, 3))}, ("labels", "(2, 3)")),
        ({"Label": np.array([[1, 2, 3, 4, 5, np.inf]])}, ("labels", "infinite")),
    ],
)
@pytest.mark.filterwarnings("error")
def test_own_mat_refuses(tmp_path, changes, words):
    save_authors_file(tmp_path / "a.mat", **changes)
    one_clear_error(lambda: load_dataset(tmp_path / "a.mat"), ValueError, words)


def test_own_npz(tmp_path):
    path = tmp_path / "mine.npz"
    rng = np.random.default_rng(0)
    views = {f"view_{i}": rng.random((4, *shape)) for i, shape in enumerate([(3, 8, 6), (5, 7), (9,)])}
    np.savez(path, **views, y=["b", "a", "b", "a"], view_names=["color", "gray", "words"])
    dataset = load_dataset(path)
    check(dataset, 4, 2, [(3, 8, 6), (1, 5, 7), (9,)], ["color", "gray", "words"])
    assert dataset.y.tolist() == [1, 0, 1, 0] and dataset.name == "mine"
    np.testing.assert_array_equal(dataset.Xs[1][:, 0], views["view_1"].astype(np.float32))


def test_own_npz_with_many_views(tmp_path):
    np.savez(tmp_path / "a.npz", n_clusters=2, **{f"view_{i}": np.full((3, 1), i) for i in range(12)})
    assert [X[0, 0] for X in load_dataset(tmp_path / "a.npz").Xs] == list(range(12))


def test_own_npz_without_labels(tmp_path):
    np.savez(tmp_path / "a.npz", view_0=np.eye(5), n_clusters=3)
    dataset = load_dataset(tmp_path / "a.npz")
    assert dataset.y is None and dataset.n_clusters == 3
    assert load_dataset(tmp_path / "a.npz", n_clusters=2).n_clusters == 2
    np.savez(tmp_path / "b.npz", view_0=np.eye(5))
    assert load_dataset(tmp_path / "b.npz", n_clusters=2).n_clusters == 2
    with pytest.raises(ValueError, match=r"b\.npz .*labels y.*n_clusters=K"):
        load_dataset(tmp_path / "b.npz")


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"A": np.eye(3)}, ("view_0", "got: A (float64 (3, 3))")),
        ({}, ("view_0", "got: nothing")),
        ({"view_2": np.eye(3)}, ("from 0 or 1", "got: view_2")),
        ({"view_0": np.eye(3), "view_2": np.eye(3), "y": [0, 1, 1]}, "gap, got: view_0, view_2"),
        ({"view_0": np.eye(3), "lables": [0, 1, 1]}, ("unknown array 'lables'", "lables (int64 (3,))")),
        ({"view_0": np.eye(3), "y": [0, 1]}, ("view 0", "N = 2", "(3, 3)")),
        ({"view_0": np.eye(3), "y": [0, np.nan, 1]}, ("labels", "NaN")),
        ({"view_0": np.ones(3), "y": [0, 1]}, ("view 0", "N = 2", "(3,)", "(N, 1)")),
        ({"view_0": np.array([["x"]]), "y": [0]}, ("view_0", "text")),
        ({"view_0": np.eye(3), "n_clusters": 1.5}, ("n_clusters", "1.5")),
        ({"view_0": np.eye(3), "n_clusters": 9}, ("n_clusters", "from 1 to 3", "got 9")),
        ({"view_0": np.eye(3), "y": [0, 1, 1], "view_names": ["a", "b"]}, ("view_names", "1 strings", "'a', 'b'")),
        ({"view_0": np.eye(3), "n_clusters": 2, "masks": [True] * 3}, ("masks", "(3,)")),
        ({"view_0": np.array([[None]]), "y": [0]}, ("'view_0'", "Python objects")),
    ],
)
def test_own_npz_refuses(tmp_path, arrays, words):
    np.savez(tmp_path / "a.npz", **arrays)
    one_clear_error(lambda: load_dataset(tmp_path / "a.npz"), ValueError, words)


def test_hw2sources_of_a_small_file(folder, monkeypatch):
    rng = np.random.default_rng(0)
    views = [rng.integers(0, 256, (20, side, side)).astype(np.uint8) for side in (28, 16)]
    X = np.empty((1, 2), dtype=object)
    X[0] = [views[0].reshape(20, 784), np.stack([image.ravel(order="F") for image in views[1]])]
    name = "multiview/HW2sources.mat"
    (folder / name).parent.mkdir()
    scipy.io.savemat(folder / name, {"X": X, "Y": np.repeat(np.arange(1, 11), 2)[:, None]})
    with pytest.raises(ValueError, match=r"HW2sources\.mat.*expected sha256 a888aaf7"):
        load_dataset("hw2sources")
    known = files.KNOWN_FILES[name]
    monkeypatch.setitem(files.KNOWN_FILES, name, known._replace(digest=files.file_hash(folder / name)))
    dataset = load_dataset("hw2sources")
    check(dataset, 20, 10, [(1, 32, 32)] * 2, ["MNIST", "USPS"])
    for X, images in zip(dataset.Xs, views, strict=True):
        np.testing.assert_array_equal(X, resize(images[:, None], (32, 32)))
        assert X.min() >= 0 and X.max() <= 255


def test_mnist_usps_and_its_32_of_a_small_file(folder, monkeypatch):
    rng = np.random.default_rng(0)
    views = rng.random((2, 30, 28, 28))
    views[:, 0, 0, 0] = 0, 1
    X1, X2 = (np.stack([image.ravel(order="F") for image in view]) for view in views)
    name = "MNIST_USPS.mat"
    scipy.io.savemat(folder / name, {"X1": X1, "X2": X2, "Y": np.arange(30)[None] % 10})
    known = files.KNOWN_FILES[name]
    monkeypatch.setitem(files.KNOWN_FILES, name, known._replace(digest=files.file_hash(folder / name)))
    small = load_dataset("mnist_usps", n_per_class=None)
    check(small, 30, 10, [(1, 28, 28)] * 2, ["MNIST", "USPS"])
    np.testing.assert_array_equal([X[:, 0] for X in small.Xs], views.astype(np.float32))
    large = load_dataset("mnist_usps_32", n_per_class=None)
    check(large, 30, 10, [(1, 32, 32)] * 2, ["MNIST", "USPS"])
    for X, view in zip(large.Xs, views, strict=True):
        np.testing.assert_allclose(X, resize(255 * view[:, None], (32, 32)), atol=1e-3)
        assert X.min() >= 0 and X.max() <= 255
    drawn, pairs = (load_dataset(name, n_per_class=2, seed=5) for name in ("mnist_usps_32", "mnist_usps"))
    np.testing.assert_array_equal(drawn.Xs[1], 255 * resize(pairs.Xs[1], (32, 32)))


def save_fashion(path, views, labels):
    """A file in the layout that the program of its authors reads."""
    X = np.empty((1, len(views)), dtype=object)
    for i, view in enumerate(views):
        X[0, i] = view
    scipy.io.savemat(path, {"X": X, "groundtruth": labels})


@pytest.mark.parametrize("shape", [(784,), (28, 28)])
@pytest.mark.parametrize("row", [True, False])
def test_fashion_edges(folder, shape, row):
    images = np.random.default_rng(0).integers(0, 256, (2, 20, 28, 28)).astype(np.uint8)
    labels = np.arange(1, 21) % 10
    save_fashion(
        folder / "fm_2000_edge_ori.mat",
        [view.reshape(20, *shape) for view in images],
        labels[None] if row else labels[:, None],
    )
    dataset = load_dataset("fashion_edges")
    check(dataset, 20, 10, [(1, 28, 28)] * 2, ["view 0", "view 1"])
    np.testing.assert_array_equal(dataset.y, labels)
    for X, view in zip(dataset.Xs, images, strict=True):
        np.testing.assert_array_equal(X[:, 0], view)


def test_fashion_edges_says_how_to_get_its_file(folder, monkeypatch):
    monkeypatch.setattr(files, "cache_folder", lambda: folder / "cache")
    words = ["fm_2000_edge_ori.mat", "no hash", "https://github.com/IMKBLE/DMSC-UDL/raw/7e1b", str(folder), "DMSC_DATA"]
    one_clear_error(lambda: load_dataset("fashion_edges"), FileNotFoundError, words)


FLAT = np.ones((6, 784))


@pytest.mark.parametrize(
    ("views", "labels", "words"),
    [
        ([FLAT], np.arange(6), ("X must", "2 views", "(1, 1)")),
        ([FLAT] * 3, np.arange(6), ("X must", "2 views", "(1, 3)")),
        ([FLAT, FLAT[:5]], np.arange(6), ("view 1 of X", "N = 6", "(5, 784)")),
        ([FLAT, FLAT], np.arange(5), ("view 0 of X", "N = 5", "(6, 784)")),
        ([FLAT.T, FLAT], np.arange(6), ("view 0 of X", "(784, 6)")),
        ([FLAT, np.ones((6, 32, 32))], np.arange(6), ("view 1 of X", "(6, 32, 32)")),
        ([FLAT, FLAT * 1j], np.arange(6), ("view 1 of X", "complex")),
        ([FLAT, "edges"], np.arange(6), ("view 1 of X", "real numbers")),
        ([FLAT, FLAT * np.nan], np.arange(6), ("view 1", "NaN")),
        ([FLAT, FLAT], np.ones((2, 3)), ("labels", "(2, 3)")),
        ([FLAT, FLAT], np.array([0, 1, 2, 3, 4, np.nan]), ("labels", "NaN")),
    ],
)
@pytest.mark.filterwarnings("error")
def test_fashion_edges_refuses(folder, views, labels, words):
    save_fashion(folder / "fm_2000_edge_ori.mat", views, labels)
    one_clear_error(lambda: load_dataset("fashion_edges"), ValueError, words)


@pytest.mark.parametrize("variables", [{"X": FLAT, "groundtruth": np.arange(6)}, {"X": np.array([[FLAT, 1]], object)}])
def test_fashion_edges_refuses_another_layout(folder, variables):
    scipy.io.savemat(folder / "fm_2000_edge_ori.mat", variables)
    culprit = "'X' must be a cell" if "groundtruth" in variables else "'groundtruth'"
    one_clear_error(lambda: load_dataset("fashion_edges"), ValueError, ("fm_2000_edge_ori.mat", culprit))


def test_mnist_edges_of_a_small_file(folder, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (20, 28, 28)).astype(np.uint8)
    contents = {
        "t10k-images-idx3-ubyte.gz": b"\0\0\x08\x03" + np.array(images.shape, ">u4").tobytes() + images.tobytes(),
        "t10k-labels-idx1-ubyte.gz": b"\0\0\x08\x01\0\0\0\x14" + bytes(range(10)) * 2,
    }
    for name, content in contents.items():
        (folder / name).write_bytes(gzip.compress(content))
        known = files.KNOWN_FILES[name]
        monkeypatch.setitem(files.KNOWN_FILES, name, known._replace(digest=files.file_hash(folder / name)))
    dataset = load_dataset("mnist_edges", n_per_class=None)
    check(dataset, 20, 10, [(1, 28, 28)] * 2, ["image", "edges"])
    np.testing.assert_allclose(dataset.Xs[0][:, 0] * 255, images, rtol=1e-6)


def test_own_npz_with_missing_views(tmp_path):
    """Whatever stands for a missing value, NaN included, becomes 0; take() keeps the masks."""
    view = np.eye(4)
    view[1] = np.nan
    masks = np.array([[True, False, True, True], [True] * 4])
    np.savez(tmp_path / "a.npz", view_0=view, view_1=np.eye(4), n_clusters=2, masks=masks)
    dataset = load_dataset(tmp_path / "a.npz")
    assert np.array_equal(dataset.masks, masks) and not dataset.Xs[0][1].any()
    assert np.array_equal(dataset.take([1, 2]).masks, masks[:, 1:3])


@pytest.mark.parametrize(
    ("name", "options", "error", "words"),
    [
        ("digits", {"n_per_class": 175}, ValueError, ("n_per_class", "174, got 175")),
        ("digits", {"n_per_class": 0}, ValueError, ("n_per_class", "174, got 0")),
        ("digits", {"n_per_class": 2.5}, TypeError, ("n_per_class", "174, got 2.5")),
        ("digits", {"seed": -1}, ValueError, ("seed", "got -1")),
        ("synthetic", {"n_samples": 2}, ValueError, ("n_samples", "at least 3, got 2")),
        ("synthetic", {"n_clusters": 0}, ValueError, ("n_clusters", "got 0")),
        ("synthetic", {"n_clusters": True}, TypeError, ("n_clusters", "got True")),
        ("synthetic", {"subspace_dim": 31}, ValueError, ("subspace_dim", "30, got 31")),
        ("synthetic", {"ambient_dim": 0}, ValueError, ("ambient_dim", "got 0")),
        ("synthetic", {"n_views": 0}, ValueError, ("n_views", "got 0")),
        ("synthetic", {"noise": -0.1}, ValueError, ("noise", "got -0.1")),
        ("synthetic", {"noise": float("nan")}, ValueError, ("noise", "got nan")),
        ("synthetic", {"noise": "loud"}, ValueError, ("noise", "got 'loud'")),
        ("synthetic", {"seed": 0.5}, TypeError, ("seed", "got 0.5")),
    ],
)
def test_bad_options(name, options, error, words):
    one_clear_error(lambda: load_dataset(name, **options), error, words)
