"""What is done for a CUDA card and for nothing else: each decision, with the answers of ``torch.cuda`` put in."""

import re

import pytest
import torch

from dmsc import devices
from dmsc.checkpoints import load_checkpoint, save_checkpoint
from dmsc.experiments import sweep
from dmsc.experiments.reader import Clock
from dmsc.experiments.records import show_versions
from dmsc.paths import ROOT

CARD, CPU = torch.device("cuda", 1), torch.device("cpu")
ANSWERS = {
    "get_device_name": "Card 9000",
    "max_memory_allocated": 3 * 2**20,
    "reset_peak_memory_stats": None,
    "mem_get_info": (5, 7),
    "synchronize": None,
    "empty_cache": None,
    "device_count": 2,
    "is_available": True,
    "is_initialized": True,
}


@pytest.fixture
def asked(monkeypatch):
    """Return what was asked of ``torch.cuda``, beyond whether there are cards: (function, *arguments)."""
    questions = []

    def answering(name, answer):
        def function(*args):
            if not name.startswith(("is_", "device_count")):
                questions.append((name, *args))
            return answer

        return function

    for name, answer in ANSWERS.items():
        monkeypatch.setattr(torch.cuda, name, answering(name, answer))
    return questions


def test_a_process_takes_its_card(asked, monkeypatch):
    monkeypatch.setattr(torch.cuda, "set_device", lambda number: asked.append(("set_device", number)))
    assert devices.take_card(1) and asked == [("set_device", 1)]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert not devices.take_card(0) and len(asked) == 1


DECISIONS = {
    "device_name": ("Card 9000", "cpu", [("get_device_name", CARD)]),
    "wait_for": (None, None, [("synchronize", CARD)]),
    "forget_peak_memory": (None, None, [("reset_peak_memory_stats", CARD)]),
    "cards_in_use": ([CARD], [], []),
    "is_card": (True, False, []),
}


@pytest.mark.parametrize("name", DECISIONS)
def test_each_decision_goes_by_the_device(asked, name):
    on_card, on_cpu, questions = DECISIONS[name]
    decide = getattr(devices, name)
    assert decide(CPU) == decide("cpu") == on_cpu and not asked
    assert decide(CARD) == on_card and asked == questions
    assert decide("cuda:1") == on_card


def test_memory_is_the_cards(asked):
    assert 10 < devices.peak_memory_mb(CPU) < 100_000 and not asked
    assert devices.peak_memory_mb(CARD) == 3.0
    assert devices.available_memory(CARD) == 5
    assert asked == [("max_memory_allocated", CARD), ("mem_get_info", CARD)]


def test_a_clock_waits_for_the_card(asked):
    for device in (CPU, CARD):
        with Clock(device)("phase"):
            assert not asked  # not before it ends
    assert asked == [("synchronize", CARD)]


def test_versions_name_the_card(asked, capsys):
    show_versions("cuda:1")
    assert capsys.readouterr().out.splitlines()[-1] == "device: Card 9000"
    show_versions("cpu")
    assert capsys.readouterr().out.splitlines()[-1].startswith("device: CPU, ")


def test_views_go_to_a_card_through_pinned_memory(monkeypatch):
    pinned, sent = [], []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda X: pinned.append(X) or X)
    monkeypatch.setattr(torch.Tensor, "to", lambda X, device, non_blocking: sent.append((device, non_blocking)) or X)
    devices.as_tensors([torch.ones(2).numpy()], CPU)
    assert not pinned
    devices.as_tensors([torch.ones(2).numpy()] * 2, CARD)
    assert len(pinned) == 2 and sent == [(CPU, True), (CARD, True), (CARD, True)]


def test_a_sweep_gives_back_what_cards_it_used_keep(asked, monkeypatch):
    monkeypatch.setattr("pathlib.Path.write_text", lambda *args, **kwargs: 0)
    sweep.release_cards()
    assert asked == [("empty_cache",)]
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)  # a sweep of baselines, beside a card
    sweep.release_cards()
    assert asked == [("empty_cache",)]


@pytest.mark.parametrize(("count", "restored"), [(0, []), (1, [0]), (2, [0, 1]), (4, [0, 1])])
def test_generators_of_a_checkpoint_fit_another_number_of_cards(monkeypatch, tmp_path, count, restored):
    """Written with two cards; where there is one now, its state alone is set."""
    states, found = [torch.tensor([k], dtype=torch.uint8) for k in range(2)], []
    model = torch.nn.Linear(2, 2)
    parts = {"step": "finetune", "model": model, "optimizer": torch.optim.Adam(model.parameters()), "config": {}}
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: states)
    save_checkpoint(tmp_path / "AE2.pt", epoch=1, history={}, **parts)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, index: found.append((index, int(state))))
    load_checkpoint(tmp_path / "AE2.pt", **parts)
    assert found == [(index, index) for index in restored]


def test_a_process_that_uses_no_card_leaves_cards_alone(monkeypatch):
    def touched():
        raise AssertionError("a context was made on every card")

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", touched)
    assert devices.generator_states()["cuda"] == []


def test_precision_on_a_card(monkeypatch):
    made = []

    class Autocast:
        def __init__(self, *args, **kwargs):
            made.append((args, kwargs["enabled"], torch.get_float32_matmul_precision()))

        __enter__ = __exit__ = lambda self, *args: None

    monkeypatch.setattr(torch, "autocast", Autocast)
    before = torch.backends.cudnn.allow_tf32
    for name in ("float32", "tf32", "bf16"):
        with devices.precision(name, CARD):
            assert torch.backends.cudnn.allow_tf32 == (name != "float32")
    assert torch.backends.cudnn.allow_tf32 == before
    expected = [(False, "highest"), (False, "high"), (True, "medium")]
    assert made == [(("cuda", torch.bfloat16), *rest) for rest in expected]


@pytest.mark.parametrize(
    ("capability", "expected"), [((7, 5), "float32"), ((8, 0), "tf32"), ((9, 0), "tf32"), ((12, 0), "tf32")]
)
def test_auto_on_a_card_goes_by_its_units(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert devices.fast_precision(CARD) == devices.fast_precision("cuda") == expected
    with devices.precision("auto", CARD):
        assert torch.get_float32_matmul_precision() == ("high" if expected == "tf32" else "highest")


def test_cuda_is_asked_in_one_file():
    """A new branch for cards belongs to dmsc/devices.py, where its decision has a test."""
    pattern = re.compile(r"torch\.cuda|type [!=]= \"cuda\"|\.is_cuda|\.cuda\(")
    found = [path.name for path in sorted((ROOT / "dmsc").rglob("*.py")) if pattern.search(path.read_text("utf-8"))]
    assert found == ["devices.py"]
