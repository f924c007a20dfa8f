"""What a test of an assignment forbids can't be called, whatever it is called."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.cluster
import torch

import dmsc
from dmsc import spectral
from dmsc.course import forbid
from dmsc.self_expression import ridge_self_expression as alias


@pytest.fixture
def X():
    return np.random.default_rng(0).normal(size=(6, 3))


def test_a_function_raises_under_all_its_names_and_works_again_afterwards(X):
    before = dmsc.ridge_self_expression([X], 1.0)
    with forbid(dmsc.ridge_self_expression):
        for name in (dmsc.ridge_self_expression, alias):
            with pytest.raises(RuntimeError, match="ridge_self_expression is what the task asks for"):
                name([X], 1.0)
    assert torch.equal(alias([X], 1.0), before)


def test_it_works_again_after_an_error_within(X):
    with pytest.raises(ZeroDivisionError), forbid(spectral.build_affinity):
        1 / 0  # noqa: B018
    assert spectral.build_affinity(np.eye(3)).shape == (3, 3)


def test_all_methods_of_a_class_raise_of_objects_made_before_too():
    layer = dmsc.SelfExpression(4)
    with forbid(dmsc.SelfExpression):
        with pytest.raises(RuntimeError, match="SelfExpression"):
            dmsc.SelfExpression(4)
        with pytest.raises(RuntimeError, match="SelfExpression"):
            layer(torch.ones(4, 2))
    assert layer(torch.ones(4, 2)).shape == (4, 2)


def test_decorated_functions_of_other_libraries(X):
    with forbid(sklearn.cluster.spectral_clustering), pytest.raises(RuntimeError, match="what the task asks for"):
        sklearn.cluster.spectral_clustering(np.ones((4, 4)), n_clusters=2)
    assert len(sklearn.cluster.spectral_clustering(np.ones((4, 4)) + np.eye(4), n_clusters=2, random_state=0)) == 4


def test_one_function_given_twice_is_restored(X):
    with forbid(dmsc.ridge_self_expression, alias):
        pass
    assert len(alias([X], 1.0)) == 6


@pytest.mark.parametrize("what", [len, 3, int])
def test_what_is_not_written_in_python_is_refused(what):
    with pytest.raises(TypeError, match="only functions and classes written in Python"), forbid(what):
        pass
