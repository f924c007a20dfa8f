"""The page about a dataset: its numbers are right, and each fault is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dmsc.data import Dataset, load_dataset
from dmsc.data.inspection import inspect_dataset

X = np.array([[0, 3, 4], [0, 6, 8], [0, 0, 1], [0, 2, 0]])


def test_what_is_told():
    masks = [np.ones(4, dtype=bool), np.array([True, True, False, True])]
    told = inspect_dataset(Dataset("mine", [X, np.full((4, 1, 2, 2), 0.5)], [0, 1, 1, 1], ["a", "b"], masks=masks))
    assert told.splitlines() == [
        "mine: N = 4 samples, K = 2, 2 views",
        "  a: vector 3, whole numbers from 0 to 8, 50.0% zeros, lengths of rows 1 to 10, 1 of 3 columns constant",
        "  b: image 1×2×2, real numbers from 0.5 to 0.5, 0.0% zeros, lengths of rows 1 to 1, 4 of 4 columns constant, "
        "missing in 1 of 4 rows",
        "  labels: 0 (1), 1 (3)",
        "warning: b is the same for all samples, and tells nothing",
    ]


RNG = np.random.default_rng(0)
FAULTS = {
    "repeated rows": (Dataset("d", [X[[0, 0, 1, 1]]], [0, 0, 1, 1]), "warning: 2 of 4 samples repeat another"),
    "too few rows": (Dataset("d", [X[[0, 0, 1, 1]]], n_clusters=3), "only 2 different samples for K = 3"),
    "small classes": (Dataset("d", [RNG.random((30, 3))], [0] + [1] * 29), "very different size, 1 to 29"),
    "many classes": (Dataset("d", [X], [0, 1, 2, 2]), "K = 3 classes of 4 samples"),
    "one class": (Dataset("d", [X], [3, 3, 3, 3]), "warning: all samples have one label"),
    "one sample": (Dataset("d", [X[:1]], n_clusters=1), "warning: there is a single sample"),
    "rows of zeros": (Dataset("d", [X * [[1], [1], [0], [1]]], n_clusters=2), "view 0 has 1 rows of zeros"),
    "one column": (Dataset("d", [X[:, 1:2]], n_clusters=2), "view 0 has one column"),
    "columns that rule": (Dataset("d", [RNG.random((9, 3)) * [1, 1, 900]], n_clusters=2), "ruled by few columns"),
    "maybe images": (Dataset("d", [RNG.random((9, 64))], n_clusters=2), """"image_shape={'view 0': (8, 8)}" """),
    "no labels": (Dataset("d", [X], n_clusters=2), "labels=NAME"),
}


@pytest.mark.parametrize(("dataset", "words"), FAULTS.values(), ids=FAULTS)
def test_each_fault_is_told(dataset, words):
    told = inspect_dataset(dataset)
    assert words in told
    sound = replace(dataset, Xs=[RNG.random((30, 10)) + 1], y=np.arange(30) % 3, n_clusters=3, class_names=None)
    assert words not in inspect_dataset(sound)


def test_known_data_need_no_advice():
    assert "try:" not in inspect_dataset(load_dataset("synthetic", n_samples=30, ambient_dim=64))
