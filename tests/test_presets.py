"""The table of methods: facts of the papers, and overriding them."""

import inspect
from dataclasses import replace

import pytest
from bad_input import by_name, one_clear_error

from dmsc import baselines
from dmsc.correlation import Correlation
from dmsc.data import load_dataset
from dmsc.losses import LossWeights
from dmsc.methods import Method
from dmsc.networks import Conv, latent_shape
from dmsc.presets import BASELINES, METHODS, TABLE, override, preset
from dmsc.spectral import Reading


def test_every_row_of_the_table_builds():
    for method, dataset in TABLE:
        found = preset(method, dataset, 10)
        assert found.name == method and found.source
        assert method in BASELINES or found.fusion in ("none", "affinity") or len(found.loss.self_expression) == 1
    assert {method for method, _ in TABLE} - set(BASELINES) == set(METHODS)


@pytest.mark.parametrize(
    ("method", "dataset", "K", "epochs", "reading"),
    [
        ("dsc-l2", "eyaleb", 38, 1000, (0.1, 10, 3.5)),  # 50 + 25 K
        ("dsc-l1", "eyaleb", 10, 360, (0.4, 10, 3.5)),  # 160 + 20 K
        ("dsc-l2", "orl", 40, 700, (0.2, 3, 1.0)),
        ("dsc-l1", "orl", 40, 1500, (0.2, 3, 1.0)),
        ("dsc-l2", "coil20", 20, 40, (0.04, 12, 8.0)),
        ("dsc-l2", "coil100", 100, 120, (0.04, 12, 8.0)),
        ("affinity", "eyb_fc", 38, 1000, (0.1, 6, 8.0)),
        ("affinity", "bdgp", 5, 1001, (0.36, 6, 8.0)),  # the listing, in Python 3
    ],
)
def test_settings_of_the_papers(method, dataset, K, epochs, reading):
    found = preset(method, dataset, K)
    assert (found.finetune_epochs, found.paper_epochs) == (epochs, epochs)
    assert (found.reading.ratio, found.reading.dim, found.reading.alpha) == pytest.approx(reading)
    assert (found.reading.affinity, found.reading.assign) == ("subspace", "discretize")


def test_weights_of_the_papers():
    yale = preset("dsc-l2", "eyaleb", 38).loss
    assert yale.lambda_self_expression == pytest.approx(6.3096, rel=1e-4)
    assert yale.reconstruction == yale.self_expression == (0.5,)
    coil = preset("dsc-l2", "coil20", 20)
    assert coil.loss.lambda_self_expression * coil.loss.self_expression[0] == 75
    assert coil.reading.unit_diagonal
    listing = preset("affinity", "bdgp", 5)
    assert listing.loss.lambda_self_expression == pytest.approx(50 * 10**-2.5)
    assert listing.loss.reconstruction == (0.2, 0.8) and listing.zero_diagonal
    assert latent_shape((1, 42, 42), listing.architecture) == (30, 10, 10)


def test_overrides_reach_every_part():
    found = preset("dsc-l2", "orl", 40, finetune_epochs=3, norm=1, ratio=1.0, activation="none")
    assert found.finetune_epochs == 3 and found.paper_epochs == 700
    assert found.loss.norm == 1 and found.reading.ratio == 1.0 and found.architecture.activation == "none"
    assert preset("dsc-l2", "orl", 40).loss.norm == 2  # the table itself is untouched


def test_unknown_data_gets_the_defaults():
    assert preset("affinity", "my_own", 3) == METHODS["affinity"]


def test_own_data_know_no_units():
    for name in METHODS:
        if name != "listing":
            own = preset(name, "", 3)
            assert (own.scale, own.neighbors, own.n_neighbors, own.coefficients_init) == (*["auto"] * 3, "warm")
            assert own.loss.relative and own.loss.norm == METHODS[name].loss.norm and own.architecture.dense == "auto"
    anchored = preset("affinity", "", 3, anchors=50)
    assert (anchored.neighbors, anchored.n_neighbors, anchored.coefficients_init) == (
        "cosine",
        None,
        Method.coefficients_init,
    )
    assert preset("affinity", "orl", 3).scale == "none"


FUNCTIONS = {
    "kmeans": baselines.kmeans_coefficients,
    "spectral": baselines.graph_coefficients,
    "local": baselines.local_least_squares,
    "ssc": baselines.ssc,
    "ssc-omp": baselines.ssc_omp,
    "lrr": baselines.lrr,
    "ridge": baselines.least_squares,
    "ridge-stopped": baselines.stopped_least_squares,
}


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_name_an_algorithm_and_its_parameters(name):
    found = preset(name, "my_own", 3)
    assert found == BASELINES[name] and found.source
    assert found.algorithm in baselines.ALGORITHMS
    assert set(found.parameters) <= set(inspect.signature(FUNCTIONS[found.algorithm]).parameters)


@pytest.mark.parametrize(
    ("dataset", "K", "network"),
    [
        ("eyaleb", 38, "dsc-l2"),
        ("orl", 40, "dsc-l2"),
        ("coil20", 20, "dsc-l2"),
        ("eyaleb_components", 38, "affinity"),
        ("bdgp", 5, "affinity"),
        ("coil20_edges", 20, "affinity"),
    ],
)
def test_baselines_are_read_as_the_datasets_networks_are(dataset, K, network):
    expected = preset(network, dataset, K).reading
    assert expected != Reading()
    for name in BASELINES:
        found = preset(name, dataset, K)
        assert found.reading == expected
        assert found.parameters == BASELINES[name].parameters  # nothing else is the dataset's


def test_baselines_penalties_on_data_of_ones_own_are_chosen():
    """But for how many coefficients orthogonal matching pursuit takes: they have no unit."""
    for name, baseline in BASELINES.items():
        expected = dict(baseline.parameters)
        if baseline.algorithm in baselines.CHOICES and name != "ssc-omp":
            expected[baselines.CHOICES[baseline.algorithm][0]] = None
        if name == "local":
            baseline, expected = replace(baseline, scale="auto"), {"n_neighbors": "auto", "neighbors": "auto"}
        assert preset(name, "", 3) == replace(baseline, parameters=expected)
    assert preset("lrr", "", 3, penalty=0.5).parameters == {"penalty": 0.5, "n_components": None}
    assert BASELINES["lrr"].parameters["penalty"] == 0.1  # the table itself is untouched


def test_overrides_reach_a_baselines_parameters_and_its_reading():
    found = preset("ssc-omp", "digits", 10, n_nonzero=3, ratio=0.5, source="mine")
    assert (found.parameters, found.reading.ratio, found.source) == ({"n_nonzero": 3}, 0.5, "mine")
    assert BASELINES["ssc-omp"].parameters == {"n_nonzero": 10}  # the table itself is untouched
    assert preset("ridge", "digits", 10, ridge=2.0).parameters == {"ridge": 2.0}
    ssc = preset("ssc", "digits", 10, alpha=7.0)
    assert ssc.parameters == {"alpha": 7.0} and ssc.reading.alpha == 4.0  # SSC's alpha, not the affinity's
    assert preset("ssc", "digits", 10, reading=Reading(alpha=7.0)).parameters == {"alpha": 20.0}


def test_overrides_reach_the_correlation_where_there_is_one():
    found = preset("cmsc-dcca", "digits", 10, n_correlations=3, lambda_correlation=0.5)
    assert found.correlation == Correlation(0.5, 10, 3)
    assert METHODS["cmsc-dcca"].correlation == Correlation()
    one_clear_error(lambda: preset("affinity", "digits", 10, n_correlations=3), ValueError, "'n_correlations'")
    assert preset("affinity", "digits", 10, correlation=Correlation(), n_correlations=3).correlation.n_correlations == 3


def test_a_whole_part_and_one_of_its_fields():
    """The part is taken first, then its field is changed; other parts stay those of the table."""
    table = preset("dsc-l2", "orl", 40)
    found = override(table, loss=LossWeights((3.0,), norm=1), lambda_regularization=5.0, reading=Reading(dim=9))
    assert found.loss == LossWeights((3.0,), norm=1, lambda_regularization=5.0)
    assert found.reading == Reading(dim=9) and found.architecture == table.architecture
    found = override(BASELINES["lrr"], parameters={"penalty": 2.0}, penalty=3.0)
    assert found.parameters == {"penalty": 3.0}


def test_overriding_nothing_changes_nothing():
    for description in (*METHODS.values(), *BASELINES.values()):
        assert override(description) == description


@pytest.mark.parametrize("method", list(METHODS))
def test_digits_in_halves_have_the_settings_of_digits(method):
    assert preset(method, "digits_halves", 10) == preset(method, "digits", 10)


@pytest.mark.parametrize("dataset", ["eyaleb_components", "bdgp", "coil20_edges", "digits", "my_own"])
def test_cmsc_dcca_is_affinity_fusion_and_one_term(dataset):
    affinity, cmsc = (preset(name, dataset, 10) for name in ("affinity", "cmsc-dcca"))
    changed = {"name": affinity.name, "source": affinity.source, "paper_epochs": affinity.paper_epochs}
    assert cmsc.correlation == Correlation() and cmsc.paper_epochs is None
    assert replace(cmsc, correlation=None, **changed) == affinity


@pytest.mark.parametrize(
    ("dataset", "weight"), [("eyaleb_components", 0.3 + 4 * 0.05), ("bdgp", 0.2 + 0.8), ("coil20_edges", 0.5 + 0.5)]
)
def test_a_joint_latent_takes_the_weights_of_all_latents_and_the_same_network(dataset, weight):
    affinity = preset("affinity", dataset, 5)
    for name in ("early-concat", "intermediate-max", "late-sum"):
        found = preset(name, dataset, 5)
        assert found.loss.self_expression == (pytest.approx(weight),)
        assert found.loss.reconstruction == affinity.loss.reconstruction
        assert (found.architecture, found.reading) == (affinity.architecture, affinity.reading)
        assert found.source == METHODS[name].source and found.paper_epochs is None


def test_layers_can_be_given_as_tuples():
    found = preset("affinity", "digits", 10, convolutions=((10, 3, 2), (20, 3, 1)))
    assert found.architecture.convolutions == (Conv(10, 3, 2), Conv(20, 3, 1))


def orl(**settings):
    return preset("dsc-l2", "orl", 40, **settings)


CASES = [
    ("method", lambda: preset("dsc-l3", "orl", 40), ValueError, ("'dsc-l3'", "did you mean")),
    ("baseline", lambda: preset("lr", "digits", 10), ValueError, ("'lr'", "'lrr'")),
    ("dataset", lambda: preset("dsc-l2", load_dataset("synthetic"), 3), TypeError, ("dataset.preset", "Dataset")),
    ("setting", lambda: orl(epochs=3), ValueError, "'epochs'"),
    ("old name", lambda: orl(post=Reading()), ValueError, "'post'"),
    ("setting of a baseline", lambda: preset("ssc", "digits", 10, alhpa=3), ValueError, ("'alhpa'", "'alpha'")),
    (
        "nearly a setting",
        lambda: preset("spectral", "digits", 10, n_neighbours=3),
        ValueError,
        ("'n_neighbours'", "'n_neighbors'"),
    ),
    ("ratio", lambda: orl(ratio=2), ValueError, ("ratio", "got 2")),
    ("correlations", lambda: preset("cmsc-dcca", "digits", 10, n_correlations=11), ValueError, "n_correlations"),
    ("epochs", lambda: orl(finetune_epochs=0.5), TypeError, ("finetune_epochs", "0.5")),
    ("tolerance", lambda: orl(pretrain_tolerance=-1), ValueError, ("pretrain_tolerance", "-1")),
    ("solver", lambda: orl(solver="lbfgs"), ValueError, ("solver", "'lbfgs'")),
    ("closed form of L1", lambda: preset("dsc-l1", "orl", 40, solver="closed-form"), ValueError, "norm=1"),
    (
        "closed form without a penalty",
        lambda: orl(coefficients_init="closed-form", lambda_self_expression=0),
        ValueError,
        "(1.0, 0)",
    ),
    (
        "scale path of cmsc-dcca",
        lambda: preset("cmsc-dcca", "digits", 10, solver="scale-path"),
        ValueError,
        ("scale-path", "correlation"),
    ),
]


@by_name(CASES)
def test_bad_input(call, error, words):
    one_clear_error(call, error, words)
