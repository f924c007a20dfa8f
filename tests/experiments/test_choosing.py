"""The scale and the neighbors that are chosen without labels, and what units do to a run."""

from dataclasses import replace

import numpy as np
import pytest

import dmsc
from dmsc.experiments import choosing
from dmsc.experiments.choosing import choose_scale, settled
from dmsc.experiments.run import run_experiment
from dmsc.metrics import clustering_accuracy
from dmsc.presets import preset
from dmsc.scaling import scale_view

RNG = np.random.default_rng(0)
LABELS = np.repeat(np.arange(3), 40)
SHORT = {"pretrain_epochs": 3, "finetune_epochs": 5}


def documents():
    """Counts of 3 topics of 10 words each, beside 5 words of every document that outweigh them."""
    topics = RNG.poisson(np.kron(np.eye(3), np.full((1, 10), 1.5))[LABELS])
    common = RNG.integers(1, 60, size=(120, 5))
    rare = RNG.poisson(0.02, size=(120, 100))  # standardized, these are as loud as the topics
    return np.hstack([topics, common, rare])


def units():
    """Three clusters that one feature among large noise tells; only standardized they are seen."""
    signal = np.eye(3)[LABELS] + 0.1 * RNG.normal(size=(120, 3))
    return np.hstack([signal, 100 * RNG.normal(size=(120, 2)) + 300])


def test_the_scale_is_the_one_under_which_clusters_are_subspaces():
    for X, wanted in ((units(), "standard"), (documents(), "tf-idf")):
        dataset = dmsc.Dataset("mine", [X], LABELS)
        assert choose_scale(dataset)[0] == wanted
        assert choose_scale(replace(dataset, y=None)) == choose_scale(dataset)  # labels play no part


def test_counts_alone_get_tf_idf(monkeypatch):
    tried = []
    monkeypatch.setattr(choosing, "_judge", lambda dataset, *option: tried.append(option[:2]) or (0.0, 0.0))
    choose_scale(dmsc.Dataset("mine", [documents(), units()], LABELS))
    assert {scale for scale, _ in tried} == {"unit", "standard"}
    tried.clear()
    choose_scale(dmsc.Dataset("mine", [documents()], LABELS), "tf-idf")
    assert tried == [("tf-idf", 10), ("tf-idf", 20)]
    tried.clear()
    choose_scale(dmsc.Dataset("mine", [RNG.random((120, 1, 4, 4))], LABELS), n_neighbors=7)
    assert tried == [("unit", 7), ("standard", 7)]


def test_a_sample_of_many_judges(monkeypatch):
    seen = []
    monkeypatch.setattr(choosing, "MAX_SAMPLES", 50)
    monkeypatch.setattr(choosing, "_judge", lambda dataset, *_: seen.append(dataset) or (0.0, 0.0))
    choose_scale(dmsc.Dataset("mine", [units()], LABELS))
    assert {(d.n_samples, d.n_clusters, d.y is None) for d in seen} == {(50, 3, True)}


def test_nothing_to_choose_by_is_unit_and_ten():
    X = RNG.random((30, 5))
    assert choose_scale(dmsc.Dataset("mine", [X], n_clusters=1)) == ("unit", 10)
    assert choose_scale(dmsc.Dataset("mine", [X], n_clusters=30)) == ("unit", 10)


def test_settled_scales_the_views_that_are_used():
    dataset = dmsc.Dataset("mine", [units(), documents()], LABELS)
    alone = preset("dsc-l2", "", 3, scale="standard", n_neighbors=500)
    made, method = settled(dataset, alone)
    assert np.array_equal(made.Xs[0], scale_view(dataset.Xs[0], "standard"))
    assert np.array_equal(made.Xs[1], dataset.Xs[1])  # the network sees the first view only
    assert (method.scale, method.n_neighbors) == ("standard", 119)  # as many as there are
    same, paper = settled(dataset, preset("affinity", "orl", 3))
    assert same is dataset and (paper.scale, paper.n_neighbors) == ("none", None)


@pytest.mark.parametrize("name", ["affinity", "dsc-l1", "cmsc-dcca"])
def test_units_and_constant_columns_change_no_label(name):
    rng = np.random.default_rng(1)
    words = rng.poisson(np.kron(np.eye(3), np.full((1, 10), 2.0))[LABELS]).astype(float)
    other = np.kron(np.eye(3), np.ones((1, 4)))[LABELS] + 0.2 * rng.normal(size=(120, 12))
    method = preset(name, "", 3, **SHORT)
    runs = [
        run_experiment(dmsc.Dataset("mine", Xs, LABELS), method, device="cpu")
        for Xs in ([words, other], [1000 * words, other / 1000], [np.hstack([words, np.full((120, 1), 50.0)]), other])
    ]
    labels = [run.labels["plain"] for run in runs]
    assert all(clustering_accuracy(labels[0], changed) == 1 for changed in labels[1:])
    assert clustering_accuracy(LABELS, labels[0]) > 0.95
    chosen = runs[0].record["label_free"]["chosen"]
    assert set(chosen) == {"scale", "n_neighbors"} and chosen == runs[1].record["label_free"]["chosen"]
    assert (np.count_nonzero(runs[0].coefficients, axis=1) <= chosen["n_neighbors"]).all()
