"""Devices, memory, seeds and precision."""

import os
import random
import warnings

import numpy as np
import pytest
import torch
from bad_input import one_clear_error
from test_model import make_variant

from dmsc.devices import as_tensors, available_memory, fast_precision, precision, resolve_device, seed_everything
from dmsc.losses import LossWeights
from dmsc.model import SubspaceNetwork
from dmsc.presets import LISTING_NET
from dmsc.solvers.closed_form import finetune_closed_form
from dmsc.training import finetune, pretrain


def losses(name, finetune):
    """Return the losses of both steps of training a small network of the listing's kind."""
    torch.manual_seed(0)
    model = SubspaceNetwork([(1, 42, 42)] * 2, 20, LISTING_NET, zero_diagonal=True, chunk_size=7)
    model.to(memory_format=torch.channels_last)
    Xs = [torch.rand(20, 1, 42, 42) for _ in range(2)]
    options = {"precision": name, "progress": False}
    first = pretrain(model, Xs, epochs=4, batch_size=10, **options)
    return [*first["loss"], *finetune(model, Xs, epochs=4, weights=LossWeights(), **options)["loss"]]


@pytest.mark.parametrize("finetune", [finetune, finetune_closed_form], ids=["adam", "closed-form"])
def test_bf16_trains_as_float32_does_to_its_own_rounding(finetune):
    fine, coarse = losses("float32", finetune), losses("bf16", finetune)
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


@pytest.mark.parametrize(("instructions", "told"), [("AVX2", 1), ("NO AVX", 1), ("AVX512", 0), ("DEFAULT", 0)])
def test_bf16_warns_on_a_cpu_where_it_is_slow(monkeypatch, instructions, told):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: instructions)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for name in ("float32", "bf16"):
            with precision(name, "cpu"):
                pass
    assert len(found) == told and all("'float32'" in str(warning.message) for warning in found)


@pytest.mark.parametrize(("name", "words"), [("fp8", "'fp8'"), ("tf32", ("tf32", "'cpu'"))])
def test_precisions_that_there_are_not(name, words):
    one_clear_error(lambda: precision(name, "cpu").__enter__(), ValueError, words)


@pytest.mark.parametrize(
    ("has", "expected"),
    [
        ({"amx_bf16": True, "avx512_bf16": False}, "bf16"),
        ({"avx512_bf16": True}, "bf16"),
        ({"avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, "float32"),
        ({"neon": True, "bf16": True}, "float32"),
        (None, "float32"),  # a PyTorch that can't say
    ],
)
def test_auto_is_bf16_on_a_cpu_with_units_for_it(monkeypatch, has, expected):
    if has is None:
        monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    else:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has, raising=False)
    assert fast_precision("cpu") == expected
    with precision("auto", "cpu"):
        assert torch.is_autocast_enabled("cpu") == (expected == "bf16")


@pytest.mark.parametrize("name", ["tpu9", "gpu", "mps", "xla", "meta", "cuda:99", "", 3.5])
def test_devices_that_there_are_not(name):
    one_clear_error(lambda: resolve_device(name), ValueError, (repr(name), "'auto'", "'cpu'"))


def test_devices_that_there_are():
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert resolve_device("cpu") == resolve_device(torch.device("cpu")) == torch.device("cpu")


def test_cards_are_counted(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [str(resolve_device(name)) for name in ("auto", "cuda", "cuda:1")] == ["cuda", "cuda", "cuda:1"]
    one_clear_error(lambda: resolve_device("cuda:2"), ValueError, ("'cuda:2'", "'cuda:1'"))
    one_clear_error(lambda: resolve_device("mps"), ValueError, "'mps'")


def test_free_memory_is_known_on_linux():
    free = available_memory(torch.device("cpu"))
    if os.path.exists("/proc/meminfo"):
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        assert 50 * 2**20 < free <= total  # these tests run in more than 50 MiB
    else:
        assert free is None


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"/proc/meminfo": "MemTotal: 9 kB\nMemAvailable:    2000 kB\n"}, 2000 * 1024),
        ({"/proc/meminfo": "MemTotal: 9 kB\n"}, None),  # a kernel that doesn't say
        ({}, None),
        (
            {
                "/proc/meminfo": "MemAvailable: 2000 kB\n",
                "/sys/fs/cgroup/memory.max": "1000000\n",
                "/sys/fs/cgroup/memory.current": "700000\n",
                "/sys/fs/cgroup/memory.stat": "anon 5\ninactive_file 20000\n",
            },
            320_000,  # what a container may still take; files that it has read give way
        ),
        (
            {
                "/proc/meminfo": "MemAvailable: 2000 kB\n",
                "/sys/fs/cgroup/memory.max": "max\n",
                "/sys/fs/cgroup/memory.current": "700000\n",
            },
            2000 * 1024,
        ),
    ],
)
def test_free_memory_as_linux_says_it(files, expected, monkeypatch):
    def read_text(path, *args, **kwargs):
        if str(path) not in files:
            raise FileNotFoundError(path)
        return files[str(path)]

    monkeypatch.setattr("pathlib.Path.read_text", read_text)
    assert available_memory(torch.device("cpu")) == expected


def test_views_become_tensors_of_their_own():
    X = np.random.default_rng(0).random((3, 4))
    X.setflags(write=False)  # as in a Dataset
    (found,) = as_tensors([X], scale=2.0)
    assert found.dtype == torch.float32 and torch.equal(found, torch.tensor(2 * X).float())
    found.zero_()
    assert X.any()


def test_a_seed_is_every_generators():
    drawn = []
    for _ in range(2):
        seed_everything(2**32 - 1)
        drawn.append((random.random(), np.random.random(), torch.rand(3).tolist()))
    assert drawn[0] == drawn[1]
