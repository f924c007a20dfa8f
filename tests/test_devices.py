"""Devices, seeds and precision."""

import pytest
import torch
from test_model import make_variant

from dmsc.devices import precision, resolve_device
from dmsc.losses import LossWeights
from dmsc.model import SubspaceNetwork
from dmsc.presets import LISTING_NET
from dmsc.training import finetune, pretrain


def losses(name, solver="adam"):
    """Return the losses of both steps of training a small network of the listing's kind."""
    torch.manual_seed(0)
    model = SubspaceNetwork([(1, 42, 42)] * 2, 20, LISTING_NET, zero_diagonal=True, chunk_size=7)
    model.to(memory_format=torch.channels_last)
    Xs = [torch.rand(20, 1, 42, 42) for _ in range(2)]
    options = {"precision": name, "progress": False}
    first = pretrain(model, Xs, epochs=4, batch_size=10, **options)
    return [*first["loss"], *finetune(model, Xs, epochs=4, weights=LossWeights(), solver=solver, **options)["loss"]]


@pytest.mark.parametrize("solver", ["adam", "closed-form"])
def test_bf16_trains_as_float32_does_to_its_own_rounding(solver):
    fine, coarse = losses("float32", solver), losses("bf16", solver)
    assert fine != coarse
    assert coarse == pytest.approx(fine, rel=0.02)


def test_parameters_and_coefficients_stay_float32():
    model, Xs, masks, correlation = make_variant("cmsc-dcca")
    model, Xs = model.float(), [X.float() for X in Xs]
    options = {"epochs": 2, "precision": "bf16", "progress": False, "masks": masks}
    finetune(model, Xs, weights=LossWeights(), correlation=correlation, **options)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert model.coefficients.dtype == "float32"


def test_what_was_set_before_comes_back():
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    with pytest.raises(KeyError), precision("bf16", "cpu"):
        assert torch.is_autocast_enabled("cpu") and torch.get_float32_matmul_precision() == "medium"
        raise KeyError
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == before
    assert not torch.is_autocast_enabled("cpu")
    with precision("float32", "cpu"):
        assert not torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize(("name", "words"), [("fp8", "fp8"), ("tf32", "for CUDA devices, got 'cpu'")])
def test_precisions_that_there_are_not(name, words):
    with pytest.raises(ValueError, match=words), precision(name, "cpu"):
        pass


@pytest.mark.parametrize("name", ["tpu9", "gpu"])
def test_unknown_devices_are_named(name):
    with pytest.raises(ValueError, match=name):
        resolve_device(name)
