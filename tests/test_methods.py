"""Descriptions of methods: frozen, checked, and with two readings of C."""

from dataclasses import FrozenInstanceError, fields, replace

import pytest
from bad_input import by_name, one_clear_error

from dmsc.correlation import Correlation
from dmsc.losses import LossWeights
from dmsc.methods import Baseline, Method
from dmsc.spectral import PLAIN, Reading

METHOD, BASELINE = Method("m", "mine", "none"), Baseline("b", "mine", "ssc")


@pytest.mark.parametrize("description", [METHOD, BASELINE])
def test_readings_are_the_plain_one_and_the_papers(description):
    assert description.readings == {"plain": PLAIN, "paper": Reading()}
    paper = Reading(ratio=0.3, dim=2)
    assert replace(description, reading=paper).readings == {"plain": PLAIN, "paper": paper}


def test_anchored_coefficients_have_the_plain_reading_alone():
    assert replace(METHOD, anchors=5).readings == {"plain": PLAIN}


@pytest.mark.parametrize("description", [METHOD, BASELINE])
def test_descriptions_are_frozen_and_compared_by_value(description):
    with pytest.raises(FrozenInstanceError):
        description.name = "other"
    assert replace(description) == description != replace(description, name="other")
    assert "post" not in {field.name for field in fields(description)}


@pytest.mark.parametrize(
    ("settings", "needed"),
    [
        ({}, False),
        ({"coefficients_init": 0.0}, False),
        ({"coefficients_init": "mean"}, False),
        ({"coefficients_init": "warm"}, False),
        ({"coefficients_init": "closed-form"}, True),
        ({"solver": "closed-form"}, True),
        ({"solver": "scale-path"}, True),
        ({"anchors": 3}, True),
    ],
)
def test_who_needs_a_closed_form_has_weights_that_allow_it(settings, needed):
    assert replace(METHOD, **settings).needs_closed_form == needed
    for loss in (LossWeights(norm=1), LossWeights(lambda_regularization=0.0)):
        if needed:
            one_clear_error(
                lambda loss=loss: replace(METHOD, loss=loss, **settings), ValueError, ("closed form", "norm=")
            )
        else:
            assert replace(METHOD, loss=loss, **settings).loss == loss


def method(**settings):
    return Method("m", "", settings.pop("fusion", "none"), **settings)


CASES = [
    ("fusion", lambda: method(fusion="middle"), ValueError, ("fusion", "'middle'")),
    ("function", lambda: method(fusion_function="mean"), ValueError, ("fusion_function", "'mean'")),
    ("architecture", lambda: method(architecture={}), TypeError, ("architecture", "Architecture", "{}")),
    ("loss", lambda: method(loss=(1, 2)), TypeError, ("loss", "LossWeights")),
    ("reading", lambda: method(reading="plain"), TypeError, ("reading", "Reading", "'plain'")),
    ("correlation", lambda: method(fusion="late", correlation=Correlation()), ValueError, ("correlation", "'late'")),
    ("init", lambda: method(coefficients_init="zero"), ValueError, ("coefficients_init", "'zero'", "'closed-form'")),
    ("old init", lambda: method(coefficients_init="ridge"), ValueError, ("'ridge'", "'closed-form'")),
    ("warm", lambda: method(coefficients_init="hot"), ValueError, ("'hot'", "'mean'", "'warm'")),
    ("weights", lambda: method(pretrained=3), TypeError, ("pretrained", "got 3")),
    ("through", lambda: method(pretrain_through="C"), ValueError, ("pretrain_through", "'coefficients'", "'C'")),
    (
        "through in batches",
        lambda: method(pretrain_through="coefficients"),
        ValueError,
        ("pretrain_batch_size=None", "got 100"),
    ),
    ("epochs", lambda: method(pretrain_epochs=-1), ValueError, ("pretrain_epochs", "-1")),
    ("fraction", lambda: method(finetune_epochs=2.5), TypeError, ("finetune_epochs", "2.5")),
    ("batch", lambda: method(pretrain_batch_size=0), ValueError, ("pretrain_batch_size", "got 0")),
    ("rate", lambda: method(learning_rate=0), ValueError, ("learning_rate", "got 0")),
    ("networks' rate", lambda: method(network_learning_rate=0), ValueError, ("network_learning_rate", "got 0")),
    ("C's rate", lambda: method(coefficients_learning_rate=-1), ValueError, ("coefficients_learning_rate", "got -1")),
    (
        "C's rate, C solved for",
        lambda: method(coefficients_learning_rate=1e-4, solver="scale-path"),
        ValueError,
        ("coefficients_learning_rate", "'scale-path'"),
    ),
    (
        "networks' rate, C solved for",
        lambda: method(network_learning_rate=1e-4, solver="closed-form"),
        ValueError,
        ("network_learning_rate", "'closed-form'"),
    ),
    ("scale", lambda: method(input_scale=-2), ValueError, ("input_scale", "-2")),
    ("solver", lambda: method(solver="sgd"), ValueError, ("solver", "'sgd'")),
    ("schedule", lambda: method(schedule="step"), ValueError, ("schedule", "'step'")),
    ("precision", lambda: method(precision="fp8"), ValueError, ("precision", "'fp8'")),
    ("tolerance", lambda: method(finetune_tolerance=0), ValueError, ("finetune_tolerance", "got 0")),
    ("anchors", lambda: method(anchors=0), ValueError, ("anchors", "got 0")),
    ("anchors: fraction", lambda: method(anchors=0.5), TypeError, ("anchors", "0.5")),
    *(
        (
            f"anchors and {name}",
            lambda name=name, value=value: method(fusion="affinity", anchors=5, **{name: value}),
            ValueError,
            ("anchors=5", f"{name}={value!r}", f"set {name}=", "anchors=None"),
        )
        for name, value in {
            "solver": "closed-form",
            "coefficients_init": "mean",
            "network_learning_rate": 0.1,
            "coefficients_learning_rate": 0.1,
            "finetune_tolerance": 0.1,
            "correlation": Correlation(),
        }.items()
    ),
    (
        "anchors and a C in pre-training",
        lambda: method(anchors=5, pretrain_through="coefficients", pretrain_batch_size=None),
        ValueError,
        ("anchors=5", "pretrain_through='latents'"),
    ),
    (
        "anchors and two settings",
        lambda: method(anchors=5, coefficients_init="mean", network_learning_rate=0.1),
        ValueError,
        "set coefficients_init=0.0001, network_learning_rate=None, or anchors=None",
    ),
    ("anchors and p = 1", lambda: method(anchors=5, loss=LossWeights(norm=1)), ValueError, ("norm=1", "anchors=None")),
    ("baseline's parameters", lambda: Baseline("b", "s", "ssc", [1]), TypeError, ("parameters", "dict", "[1]")),
    ("baseline's weights", lambda: Baseline("b", "s", "ssc", weights=(1, -1)), ValueError, ("weights", "(1, -1)")),
    ("baseline without weights", lambda: Baseline("b", "s", "ssc", weights=()), ValueError, ("weights", "()")),
    ("baseline's reading", lambda: Baseline("b", "s", "ssc", reading=None), TypeError, ("reading", "Reading", "None")),
]


@by_name(CASES)
def test_bad_input(call, error, words):
    one_clear_error(call, error, words)
