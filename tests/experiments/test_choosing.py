"""The scale and the neighbors that are chosen without labels, and what units do to a run."""

from dataclasses import replace

import numpy as np
import pytest

import dmsc
from dmsc.experiments import choosing
from dmsc.experiments.choosing import choose_scale, settled, views_of
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
        assert choose_scale(views_of(dataset))[0] == wanted
        other = replace(dataset, y=dataset.y[::-1])
        assert choose_scale(views_of(other)) == choose_scale(views_of(dataset))  # labels play no part


def faces():
    """Three subspaces of dimension 6 with one direction in common that outweighs them: light."""
    rng = np.random.default_rng(0)
    bases = [np.linalg.qr(rng.normal(size=(40, 6)))[0].T for _ in range(3)]
    light = 2 * rng.normal(size=(120, 1)) * rng.normal(size=40)
    return np.vstack([rng.normal(size=(40, 6)) @ basis for basis in bases]) + light


def tried_for(monkeypatch, *Xs, **given):
    """Return what is tried for such views, in order."""
    tried = []
    monkeypatch.setattr(choosing, "_judge", lambda views, *option: tried.append(option[:3]) or (0.0, 0.0))
    choose_scale(views_of(dmsc.Dataset("mine", Xs, LABELS)), **given)
    return tried


def test_counts_alone_get_tf_idf(monkeypatch):
    alone = tried_for(monkeypatch, documents(), neighbors="cosine")
    assert [scale for scale, *_ in alone[:-1]] == ["unit", "standard", "tf-idf"]
    mixed = tried_for(monkeypatch, documents(), units(), neighbors="cosine")
    both = [("tf-idf", "unit"), ("tf-idf", "standard")]
    assert [scale for scale, *_ in mixed[:-1]] == ["unit", "standard", *both]


def test_what_is_given_is_not_tried(monkeypatch):
    given = tried_for(monkeypatch, documents(), scale="tf-idf", neighbors="cosine")
    assert given == [("tf-idf", "cosine", 20), ("tf-idf", "cosine", 10)]
    seven = tried_for(monkeypatch, RNG.random((120, 1, 4, 4)), n_neighbors=7)
    assert seven == [(scale, by, 7) for scale in ("unit", "standard") for by in ("cosine", "coefficients")]


def test_neighbors_are_those_by_whom_clusters_lie_apart():
    """Light makes samples of different subspaces alike; they express each other badly all the same."""
    data = dmsc.Dataset("mine", [faces()], LABELS)
    chosen = choose_scale(views_of(data))
    assert chosen.neighbors == "coefficients"
    assert choose_scale(views_of(dmsc.Dataset("mine", [units()], LABELS))).neighbors == "cosine"
    accuracy = {
        by: clustering_accuracy(LABELS, run_experiment(data, preset("local", "", 3, neighbors=by)).labels["plain"])
        for by in ("auto", "cosine")
    }
    assert accuracy["cosine"] < 0.9 < accuracy["auto"]


def test_a_scale_for_each_view():
    data = dmsc.Dataset("mine", [documents(), units()], LABELS)
    method = preset("affinity", "", 3, scale=["tf-idf", "standard"], **SHORT)
    assert method.scale == ("tf-idf", "standard")
    made, _ = settled(data, method)
    for X, scale, made_of_it in zip(data.Xs, method.scale, made.Xs, strict=True):
        assert np.array_equal(made_of_it, scale_view(X, scale))
    assert choose_scale(views_of(data)).scale == ("tf-idf", "standard")  # neither is of use at the other's
    run = run_experiment(data, method, device="cpu")
    assert run.record["config"]["method"]["scale"] == ["tf-idf", "standard"]
    assert clustering_accuracy(LABELS, run.labels["plain"]) > 0.95


def test_a_sample_of_many_judges(monkeypatch):
    seen = []
    monkeypatch.setattr(choosing, "MAX_SAMPLES", 50)
    monkeypatch.setattr(choosing, "_judge", lambda views, *_: seen.append(views) or (0.0, 0.0))
    choose_scale(views_of(dmsc.Dataset("mine", [units()], LABELS)))
    assert {(len(views.Xs[0]), views.n_clusters) for views in seen} == {(50, 3)}


def test_nothing_to_choose_by_is_unit_and_ten():
    X = RNG.random((30, 5))
    assert choose_scale(views_of(dmsc.Dataset("mine", [X], n_clusters=1))) == ("unit", "cosine", 10)
    assert choose_scale(views_of(dmsc.Dataset("mine", [X], n_clusters=30))) == ("unit", "cosine", 10)


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
    assert set(chosen) == {"scale", "neighbors", "n_neighbors"} and chosen == runs[1].record["label_free"]["chosen"]
    assert (np.count_nonzero(runs[0].coefficients, axis=1) <= chosen["n_neighbors"]).all()


def test_one_view_of_data_that_lack_views():
    data = dmsc.corrupt(dmsc.Dataset("mine", [units(), documents()], LABELS), missing=0.3)
    run = run_experiment(data, preset("dsc-l2", "", 3, **SHORT), device="cpu")
    assert set(run.record["label_free"]["chosen"]) == {"scale", "neighbors", "n_neighbors"}
    local = run_experiment(data, preset("local", "", 3))
    assert clustering_accuracy(LABELS, local.labels["plain"]) > 0.9  # a missing view is no view of zeros


def test_what_can_not_be_scaled_is_named():
    data = dmsc.Dataset("mine", {"words": documents(), "flat": np.ones((120, 3))}, LABELS)
    with pytest.raises(ValueError, match="flat: all features of a view are the same"):
        run_experiment(data, preset("affinity", "", 3, **SHORT))
    with pytest.raises((TypeError, ValueError), match="n_neighbors must be an integer .* 2.5"):
        run_experiment(dmsc.Dataset("mine", [units()], LABELS), preset("spectral", "", 3, n_neighbors=2.5))
    with pytest.raises(ValueError, match="scale must be one name, or one per view: got 3 for 2 views"):
        run_experiment(data, preset("affinity", "", 3, scale=("unit", "unit", "none"), **SHORT))
    with pytest.raises(ValueError, match="scale of a view must be one of 'none', .* got 'auto'"):
        preset("affinity", "", 3, scale=("unit", "auto"))
    with pytest.raises(ValueError, match="neighbors must be one of 'cosine', 'coefficients', 'auto', got 'euclid'"):
        preset("affinity", "", 3, neighbors="euclid")
