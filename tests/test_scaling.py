"""Scales of views against scikit-learn's; units and constant features don't matter."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.preprocessing import StandardScaler, normalize

from dmsc.scaling import SCALES, scale_view

RNG = np.random.default_rng(0)
COUNTS = RNG.poisson(0.7, size=(30, 12)).astype(np.float32)


def test_none_changes_nothing():
    assert np.array_equal(scale_view(COUNTS, "none"), COUNTS)


def test_scales_agree_with_scikit_learn():
    """Up to the length of the rows, √D here; its tf-idf adds 1 to the logarithm, which ours doesn't."""
    root = COUNTS.shape[1] ** 0.5
    assert scale_view(COUNTS, "unit") == pytest.approx(normalize(COUNTS) * root, rel=1e-5)
    assert scale_view(COUNTS, "standard") == pytest.approx(
        normalize(StandardScaler().fit_transform(COUNTS)) * root, rel=1e-4, abs=1e-5
    )
    idf = TfidfTransformer(norm=None).fit(COUNTS).idf_ - 1
    assert scale_view(COUNTS, "tf-idf") == pytest.approx(normalize(COUNTS * idf) * root, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("scale", SCALES[1:])
def test_neither_units_nor_constant_columns_matter(scale):
    wanted = scale_view(COUNTS, scale)
    assert scale_view(COUNTS * 1000, scale) == pytest.approx(wanted, rel=1e-4, abs=1e-5)
    assert scale_view(np.hstack([COUNTS, np.full((30, 1), 7.0)]), scale) == pytest.approx(wanted, rel=1e-4, abs=1e-5)
    assert np.square(wanted).mean(axis=1) == pytest.approx((wanted != 0).any(axis=1).astype(float), rel=1e-5)


@pytest.mark.parametrize("scale", SCALES)
def test_images_keep_their_shape(scale):
    images = RNG.random((6, 3, 4, 5)).astype(np.float32)
    images[images < 0.3] = 0
    images[:, :, 0] = 0.5  # a constant pixel stays where it is
    scaled = scale_view(images, scale)
    assert scaled.shape == images.shape and scaled.dtype == np.float32 and np.isfinite(scaled).all()


@pytest.mark.parametrize("scale", SCALES[1:])
def test_missing_rows_play_no_part(scale):
    mask = np.arange(30) % 3 > 0
    X = np.where(mask[:, None], COUNTS, 0)
    scaled = scale_view(X, scale, mask)
    assert scaled[mask] == pytest.approx(scale_view(COUNTS[mask], scale), rel=1e-5)
    assert not scaled[~mask].any()


def test_bad_input():
    with pytest.raises(ValueError, match="scale must be one of .*'tf-idf'.* got 'minmax'"):
        scale_view(COUNTS, "minmax")
    with pytest.raises(ValueError, match="for counts, from 0 on, got -3"):
        scale_view(COUNTS - 3, "tf-idf")
    with pytest.raises(ValueError, match="leaves nothing of a view"):
        scale_view(COUNTS + 1, "tf-idf")
    with pytest.raises(ValueError, match="leave the view out"):
        scale_view(np.ones((4, 3)), "unit")
