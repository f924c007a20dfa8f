"""The table of methods: facts of the papers, and overriding them."""

import pytest

from dmsc.networks import latent_shape
from dmsc.presets import METHODS, TABLE, preset


def test_every_row_of_the_table_builds():
    for method, dataset in TABLE:
        found = preset(method, dataset, 10)
        assert found.name == method and found.source
        assert found.fusion in ("none", "affinity") or len(found.loss.self_expression) == 1
    assert {method for method, _ in TABLE} == set(METHODS)


@pytest.mark.parametrize(
    ("method", "dataset", "K", "epochs", "post"),
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
def test_settings_of_the_papers(method, dataset, K, epochs, post):
    found = preset(method, dataset, K)
    assert (found.finetune_epochs, found.paper_epochs) == (epochs, epochs)
    assert (found.post.ratio, found.post.dim, found.post.alpha) == pytest.approx(post)


def test_weights_of_the_papers():
    yale = preset("dsc-l2", "eyaleb", 38).loss
    assert yale.lambda_self_expression == pytest.approx(6.3096, rel=1e-4)
    assert yale.reconstruction == yale.self_expression == (0.5,)
    coil = preset("dsc-l2", "coil20", 20)
    assert coil.loss.lambda_self_expression * coil.loss.self_expression[0] == 75
    assert coil.post.unit_diagonal
    listing = preset("affinity", "bdgp", 5)
    assert listing.loss.lambda_self_expression == pytest.approx(50 * 10**-2.5)
    assert listing.loss.reconstruction == (0.2, 0.8) and listing.zero_diagonal
    assert latent_shape((1, 42, 42), listing.architecture) == (30, 10, 10)


def test_overrides_reach_every_part():
    found = preset("dsc-l2", "orl", 40, finetune_epochs=3, norm=1, ratio=1.0, activation="none")
    assert found.finetune_epochs == 3 and found.paper_epochs == 700
    assert found.loss.norm == 1 and found.post.ratio == 1.0 and found.architecture.activation == "none"
    assert preset("dsc-l2", "orl", 40).loss.norm == 2  # the table itself is untouched


def test_unknown_data_gets_the_defaults():
    assert preset("affinity", "my_own", 3) == METHODS["affinity"]
