"""The pretended card refuses what a card refuses, computes what the CPU does, and changes nothing else."""

import copy

import numpy as np
import pytest
import torch
from pretended_card import CardTensor
from torch import nn

from dmsc.devices import resolve_device

REFUSED = {
    "a sum": lambda here, there: here + there,
    "a product": lambda here, there: there @ here.T,
    "in place": lambda here, there: there.add_(here),
    "in place, on the CPU": lambda here, there: here.add_(there),
    "in place, a number on the CPU": lambda here, there: here[0, 0].add_(there[0, 0]),
    "cat": lambda here, there: torch.cat([here, there]),
    "stack of numbers": lambda here, there: torch.stack([there.sum(), here.sum()]),
    "index there": lambda here, there: here[torch.tensor([1], device=there.device)],
    "mask there": lambda here, there: here[there[:, 0] > 0.5],
    "a value from the CPU": lambda here, there: there.index_put((torch.tensor([0]),), here[:1]),
    "index_select": lambda here, there: there.index_select(0, torch.tensor([1])),
    "gather": lambda here, there: there.gather(0, torch.zeros(1, 3, dtype=torch.long)),
    "convolution": lambda here, there: nn.Conv2d(1, 2, 3)(there.expand(1, 1, 4, 3)),
    "numpy": lambda here, there: there.numpy(),
    "asarray": lambda here, there: np.asarray(there),
    "array of numbers": lambda here, there: np.array([there.sum()]),
    "a NumPy function": lambda here, there: np.linalg.norm(there),
    "generator of the CPU": lambda here, there: torch.randperm(3, generator=torch.Generator(), device=there.device),
    "drawn by a generator of the CPU": lambda here, there: there.normal_(generator=torch.Generator()),
}
ALLOWED = {
    "a number of the CPU": lambda here, X: X * here.sum() + 2,
    "0 where": lambda here, X: torch.where(X > 0.5, X, 0),
    "filled": lambda here, X: X.masked_fill(X > 0.5, here.sum()),
    "indices of the CPU": lambda here, X: X[torch.tensor([2, 0])],
    "mask of the CPU": lambda here, X: X[here[:, 0] > 0.5],
    "a NumPy index": lambda here, X: X[np.array([1, 1])],
    "slices, written": lambda here, X: X.clone()[1:].fill_(3),
    "parts": lambda here, X: torch.stack([row.sum() for row in X]),
    "spectrum": lambda here, X: torch.linalg.eigvalsh(X.T @ X),
    "made there": lambda here, X: X @ torch.eye(3, device=X.device) + torch.arange(3.0, device=X.device),
    "made like it": lambda here, X: torch.zeros_like(X) + X.new_ones(3) + torch.full_like(X, 2),
    "brought there": lambda here, X: X + here.to(X) + torch.tensor([1.0, 2, 3], device=X.device),
    "copied": lambda here, X: torch.empty_like(X).copy_(here),
    "of lists": lambda here, X: torch.tensor(X.tolist()) + float(X.sum()) + X[0, 0].item() + len(X),
}


@pytest.fixture
def pair(card):
    here = torch.rand(4, 3, generator=torch.Generator().manual_seed(0))
    return here, here.to(card)


@pytest.mark.parametrize("operation", REFUSED.values(), ids=REFUSED)
def test_it_refuses_what_a_card_refuses(pair, operation):
    operation(pair[0].clone(), pair[0].clone())  # nothing is wrong with it on the CPU
    with pytest.raises((RuntimeError, TypeError)):
        operation(*pair)


@pytest.mark.parametrize("operation", ALLOWED.values(), ids=ALLOWED)
def test_it_allows_what_a_card_allows_with_the_cpus_numbers(pair, operation):
    here, there = pair
    found = operation(here, there)
    torch.testing.assert_close(found.cpu(), operation(here, here))


def test_results_stay_there_until_they_are_fetched(pair, card):
    here, there = pair
    assert there.device == (2 * there.T).device == torch.zeros(2, device=card).device == card
    assert not there.is_cpu and here.is_cpu and torch.equal(there.cpu(), here)
    there[1:].zero_()  # a view writes through
    assert there.cpu()[1:].sum() == 0 and here[1:].sum() > 0
    for fetched in (there.cpu(), there.to("cpu"), here.clone().copy_(there)):
        assert type(fetched) is torch.Tensor and fetched.device.type == "cpu"


def trained(model, X):
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, fused=True)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = (model(X) - X).square().sum()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, optimizer


@pytest.fixture
def networks(card):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.ReLU(), nn.ConvTranspose2d(4, 1, 3, 2, 1, 1))
    return model, copy.deepcopy(model).to(card), torch.rand(5, 1, 8, 8)


def test_training_there_is_training_here(networks, card):
    here, there, X = networks
    expected, _ = trained(here, X)
    found, optimizer = trained(there, X.to(card))
    assert found == pytest.approx(expected, rel=1e-6) and expected[0] > expected[-1]
    assert all(isinstance(p, CardTensor) and p.is_leaf and p.grad.device == card for p in there.parameters())
    assert {value.device for state in optimizer.state.values() for value in state.values()} == {card}
    assert {p.device for p in copy.deepcopy(there).parameters()} == {card}


def test_saved_there_and_read_here(networks, card, tmp_path):
    _, there, _ = networks
    torch.save(there.state_dict(), tmp_path / "there.pt")
    content = torch.load(tmp_path / "there.pt", map_location="cpu", weights_only=True)
    assert {value.device.type for value in content.values()} == {"cpu"}
    for name, value in there.state_dict().items():
        assert torch.equal(value.cpu(), content[name])


def test_autocast_rounds_products_there_alone(networks, card):
    here, there, X = networks
    with torch.autocast(card.type, torch.bfloat16):
        coarse, fine = there(X.to(card)), here(X)
    assert coarse.dtype == torch.bfloat16 and fine.dtype == torch.float32
    torch.testing.assert_close(coarse.cpu().float(), fine, rtol=0.05, atol=0.02)
    assert there(X.to(card)).dtype == torch.float32


def test_nothing_else_changes(card):
    assert torch.zeros(1).device == torch.get_default_device() == torch.device("cpu")
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_the_package_knows_it_in_tests_alone(card, monkeypatch):
    assert resolve_device(card) == card
    monkeypatch.undo()
    with pytest.raises(ValueError, match="not supported"):
        resolve_device(card)
