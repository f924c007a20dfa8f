"""Noise, occlusion and missing views: exact rates, nothing else touched."""

import numpy as np
import pytest
from bad_input import one_clear_error

import dmsc
from dmsc.data.corruption import add_noise, corrupt, drop_views, occlude
from dmsc.experiments.run import run_id
from dmsc.presets import preset


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    y = np.arange(50) % 5
    Xs = [1 + rng.random((50, 2, 8, 6)), 1 + rng.random((50, 12)), 1 + rng.random((50, 1, 5, 5))]
    return dmsc.Dataset("mine", Xs, y, ["image", "vector", "square"])


@pytest.mark.parametrize(("n_samples", "n_views"), [(1, 2), (7, 2), (40, 3), (33, 5), (4, 1)])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.77, 1.0])
def test_exactly_so_many_views_are_dropped_and_every_sample_keeps_one(n_samples, n_views, share):
    rate = share * (n_views - 1) / n_views
    masks = drop_views(n_samples, n_views, rate, np.random.default_rng(3))
    assert masks.shape == (n_views, n_samples) and masks.dtype == bool
    assert (~masks).sum() == round(rate * n_samples * n_views)
    assert masks.any(0).all()


def test_views_are_dropped_evenly():
    """Each of 3 views loses a third of its samples, and each sample a third of its views, but for chance."""
    masks = drop_views(3000, 3, 1 / 3, np.random.default_rng(0))
    np.testing.assert_allclose((~masks).mean(1), 1 / 3, atol=0.03)
    first, second = (~masks).mean(1), (~masks[:, ::2]).mean(1)
    np.testing.assert_allclose(first, second, atol=0.03)
    patterns = np.bincount(masks.sum(0), minlength=4) / 3000  # one, two, three views: binomial over two free places
    np.testing.assert_allclose(patterns, [0, 0.25, 0.5, 0.25], atol=0.03)


@pytest.mark.parametrize("scale", [1.0, 255.0])
def test_noise_is_gaussian_of_the_stated_strength(scale):
    X = (scale * np.random.default_rng(0).random((400, 1, 8, 8))).astype(np.float32)
    noisy = add_noise(X, 0.5, np.random.default_rng(1))
    noise = (noisy - X).ravel() / X.std()
    assert noisy.dtype == np.float32 and noisy.shape == X.shape
    assert noise.mean() == pytest.approx(0, abs=0.02) and noise.std() == pytest.approx(0.5, rel=0.02)
    assert np.mean(noise**4) / noise.var() ** 2 == pytest.approx(3, abs=0.1)  # kurtosis of a Gaussian
    assert abs(np.corrcoef(noise, X.ravel())[0, 1]) < 0.02


@pytest.mark.parametrize(
    ("shape", "share", "block"),
    [
        ((3, 12, 8), 0.25, (6, 4)),
        ((1, 10, 10), 0.5, (7, 7)),  # 10 * sqrt(0.5) = 7.07
        ((1, 5, 20), 0.16, (2, 8)),
        ((1, 6, 6), 1.0, (6, 6)),
        ((1, 6, 6), 0.0, (0, 0)),
        ((20,), 0.3, (6,)),
        ((7,), 0.5, (4,)),  # 3.5 is rounded to the even
        ((7,), 1.0, (7,)),
    ],
)
def test_one_block_of_every_sample_is_hidden(shape, share, block):
    X = np.ones((30, *shape), dtype=np.float32)
    hidden = occlude(X, share, np.random.default_rng(0)) == 0
    assert X.all()  # a copy was changed
    if len(shape) == 3:
        assert (hidden == hidden[:, :1]).all()  # the same in all channels
        hidden = hidden[:, 0]
    for sample in hidden:
        assert sample.sum() == np.prod(block)
        rows = [np.flatnonzero(sample.any(tuple(set(range(sample.ndim)) - {axis}))) for axis in range(sample.ndim)]
        assert tuple(len(r) and r[-1] - r[0] + 1 for r in rows) == block  # no gaps


def test_the_block_may_be_anywhere_and_nothing_else_changes():
    rng = np.random.default_rng(0)
    X = (1 + rng.random((2000, 1, 4, 4))).astype(np.float32)
    covered = occlude(X, 0.25, rng)
    assert np.array_equal(covered[covered != 0], X[covered != 0])
    share = (covered == 0).mean((0, 1))  # (4, 4): of 9 places, 1 covers a corner, 4 cover an inner pixel
    np.testing.assert_allclose(share, np.outer([1, 2, 2, 1], [1, 2, 2, 1]) / 9, atol=0.04)


def test_what_is_asked_for_is_done(data):
    spoiled = corrupt(data, missing=0.4, noise=0.2, occlusion=0.25)
    assert spoiled.name == "mine" and spoiled.variant == "missing 0.4, noise 0.2, occlusion 0.25"
    assert repr(spoiled).endswith("missing 0.4, noise 0.2, occlusion 0.25)")
    assert (~np.array(spoiled.masks)).sum() == 60
    for X, original, mask in zip(spoiled.Xs, data.Xs, spoiled.masks, strict=True):
        assert X.dtype == np.float32 and not X.flags.writeable and not mask.flags.writeable
        assert not X[~mask].any()
        seen, kept = original[mask], X[mask]
        hidden = (kept == 0).reshape(len(kept), -1).mean(1)
        np.testing.assert_allclose(hidden, hidden[0])  # occluded after the noise: exactly 0
        assert 0.15 < hidden[0] < 0.35
        assert (kept - seen)[kept != 0].std() == pytest.approx(0.2 * original.std(), rel=0.1)


def test_the_rest_is_left_alone(data):
    before = [X.copy() for X in data.Xs]
    spoiled = corrupt(data, missing=0.4, noise=0.2, occlusion=0.25)
    assert all(np.array_equal(X, kept) for X, kept in zip(data.Xs, before, strict=True))
    assert data.masks is None and data.variant == ""
    assert np.array_equal(spoiled.y, data.y)
    assert (spoiled.n_clusters, spoiled.view_names) == (data.n_clusters, data.view_names)
    missing = corrupt(data, missing=0.4)
    for X, original, mask in zip(missing.Xs, data.Xs, missing.masks, strict=True):
        assert np.array_equal(X[mask], original[mask])
    assert corrupt(data) is data and corrupt(data, seed=7) is data


def test_seed_fixes_everything(data):
    rates = {"missing": 0.4, "noise": 0.2, "occlusion": 0.25}
    first, again, other = (corrupt(data, **rates, seed=seed) for seed in (3, 3, 4))
    for a, b, c in zip((*first.Xs, *first.masks), (*again.Xs, *again.masks), (*other.Xs, *other.masks), strict=True):
        assert np.array_equal(a, b) and not np.array_equal(a, c)


def test_each_is_the_same_with_and_without_the_others(data):
    noisy, both = corrupt(data, noise=0.2), corrupt(data, noise=0.2, missing=0.4)
    for X, Y, mask in zip(noisy.Xs, both.Xs, both.masks, strict=True):
        assert np.array_equal(X[mask], Y[mask])
    missing = corrupt(data, missing=0.4)
    assert np.array_equal(missing.masks, both.masks)


def test_missing_views_are_zero_whatever_they_held():
    mask = [[True, False, True], [False, True, True]]
    data = dmsc.Dataset("mine", [np.full((3, 2), 5.0), np.full((3, 1, 2, 2), 7.0)], n_clusters=2, masks=np.array(mask))
    assert data.Xs[0].tolist() == [[5, 5], [0, 0], [5, 5]]
    assert data.Xs[1].sum((1, 2, 3)).tolist() == [0, 28, 28]
    assert [m.tolist() for m in data.masks] == mask


def test_taking_samples_takes_their_masks(data):
    spoiled = corrupt(data, missing=0.4)
    rows = [4, 0, *range(10, 30)]
    some = spoiled.take(rows)
    assert some.variant == spoiled.variant
    for mask, kept in zip(spoiled.masks, some.masks, strict=True):
        assert np.array_equal(kept, mask[rows])


def test_the_highest_rate_leaves_one_view_to_each(data):
    spoiled = corrupt(data, missing=2 / 3)
    assert (np.sum(spoiled.masks, axis=0) == 1).all()


def test_runs_on_other_data_have_other_names(data):
    method = preset("affinity", "mine", 5)
    variants = [data, corrupt(data, missing=0.2), corrupt(data, missing=0.2, seed=1), corrupt(data, noise=0.2)]
    assert len({run_id(variant, method, 0) for variant in variants}) == 4


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"missing": 0.7}, ValueError, ("missing", "0.666667 (3 views", "got 0.7")),
        ({"missing": True}, ValueError, ("missing", "got True")),
        ({"noise": -1}, ValueError, ("noise", "got -1")),
        ({"noise": float("inf")}, ValueError, ("noise", "inf")),
        ({"noise": float("nan")}, ValueError, ("noise", "nan")),
        ({"occlusion": 1.5}, ValueError, ("occlusion", "0 to 1, got 1.5")),
        ({"occlusion": "half"}, ValueError, ("occlusion", "'half'")),
        ({"noise": 1, "seed": -1}, ValueError, ("seed", "got -1")),
        ({"noise": 1, "seed": 0.5}, TypeError, ("seed", "got 0.5")),
    ],
)
def test_bad_rates_are_named(data, options, error, words):
    one_clear_error(lambda: corrupt(data, **options), error, words)


def test_data_that_lacks_views_is_not_corrupted_again(data):
    with pytest.raises(ValueError, match="'mine'.*lacks views"):
        corrupt(corrupt(data, missing=0.5), noise=1)


def test_data_that_lack_views_stay_as_they_are_if_nothing_is_asked_for(data):
    lacking = corrupt(data, missing=0.3)
    assert corrupt(lacking) is lacking
    one_clear_error(lambda: corrupt(lacking, noise=0.1), ValueError, "lacks views already")
