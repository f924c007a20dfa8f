"""Training by several processes: the numbers of one, in every variant."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from bad_input import one_clear_error
from several_processes import in_processes
from torch import distributed

from dmsc.correlation import Correlation
from dmsc.fusion import fusion_plan
from dmsc.losses import LossWeights
from dmsc.model import SubspaceNetwork
from dmsc.networks import Architecture, Conv
from dmsc.sharding import Shard
from dmsc.training import finetune, pretrain

N, EPOCHS = 23, 20  # 23 samples: 12 + 11 in two processes, 6 + 6 + 6 + 5 in four
ARCHITECTURE = Architecture((Conv(3, 3, 2), Conv(2, 3, 2)))
SHAPES = {"images": [(1, 8, 8), (1, 8, 8)], "one": [(1, 8, 8)], "vectors": [(7,), (5,)]}

#: name: views, network, fine-tuning, pre-training, whether views are missing
VARIANTS = {
    "dsc": ("one", {}, {}, {}, False),
    "dsc-l1": ("one", {}, {"norm": 1}, {}, False),
    "affinity": ("images", {"zero_diagonal": True}, {"self_expression": (0.3, 0.7)}, {"batch_size": 9}, False),
    "affinity-masks": ("images", {"zero_diagonal": True}, {}, {"batch_size": 3}, True),
    "affinity-relative": ("images", {}, {"relative": True, "lambda_self_expression": 10.0}, {}, True),
    "affinity-vectors": ("vectors", {}, {"relative": True}, {"tolerance": 0.2}, False),
    "through-coefficients": ("images", {}, {}, {"through": "coefficients"}, False),
    "affine": ("images", {"activation": "none", "zero_diagonal": True}, {}, {}, False),
    "early": ("images", {"plan": "early", "zero_diagonal": True}, {}, {}, False),
    "intermediate-masks": ("images", {"plan": "intermediate", "fusion_function": "max"}, {}, {}, True),
    "late": ("images", {"plan": "late", "fusion_function": "sum"}, {"relative": True}, {}, False),
    "correlation": ("images", {"correlation": Correlation(projection_dim=3, n_correlations=2)}, {}, {}, False),
    "correlation-masks": ("images", {"correlation": Correlation(projection_dim=3, n_correlations=2)}, {}, {}, True),
}


def train(name, rank=None, processes=None):
    """Train a variant; return the histories, the rows of C that this process holds, and all other parameters."""
    views, network, loss, first, missing = VARIANTS[name]
    random = np.random.default_rng(0)
    shard = Shard(N, rank, processes)
    Xs = [torch.tensor(random.standard_normal((N, *shape)), dtype=torch.float32) for shape in SHAPES[views]]
    masks = None
    if missing:
        masks = [torch.tensor(random.random(N) < 0.8) for _ in Xs]
        masks[0] |= ~masks[1]
        Xs = [X * mask.view(-1, *[1] * (X.ndim - 1)) for X, mask in zip(Xs, masks, strict=True)]
        masks = [mask[shard.rows] for mask in masks]
    network = dict(network)
    if "plan" in network:
        network["plan"] = fusion_plan(network["plan"], len(Xs), len(ARCHITECTURE.convolutions))
    torch.manual_seed(0)
    architecture = replace(ARCHITECTURE, activation=network.pop("activation", "relu"))
    model = SubspaceNetwork(SHAPES[views], N, architecture, shard=shard, **network)
    mine = [X[shard.rows] for X in Xs]
    histories = [
        pretrain(model, mine, epochs=3, masks=masks, **first),
        finetune(
            model,
            mine,
            epochs=EPOCHS,
            weights=LossWeights(**loss),
            masks=masks,
            correlation=network.get("correlation"),
        ),
    ]
    others = {key: value for key, value in model.state_dict().items() if key != "self_expression.weight"}
    return histories, model.self_expression.coefficients, others


#: Which variants run in how many processes: what they cost is mostly their start.
PROCESSES = {2: [*VARIANTS], 4: ["dsc", "affinity-masks", "late"]}


def train_all(names):
    """Return the outcome of each variant."""
    return {name: train(name) for name in names}


@pytest.mark.slow
@pytest.mark.parametrize("processes", PROCESSES)
def test_processes_train_as_one_does(processes):
    several = in_processes(processes, train_all, PROCESSES[processes])
    for name in PROCESSES[processes]:
        histories, C, others = train(name, 0, 1)
        for found, _, same in (outcome[name] for outcome in several):
            for one, many in zip(histories, found, strict=True):
                assert one.keys() == many.keys()
                for term, values in one.items():
                    np.testing.assert_allclose(many[term], values, rtol=1e-5, err_msg=f"{name}: {term}")
            for key, value in others.items():
                torch.testing.assert_close(same[key], value, rtol=1e-4, atol=1e-5, msg=f"{name}: {key}")
        together = torch.cat([outcome[name][1] for outcome in several])
        torch.testing.assert_close(together, C, rtol=1e-4, atol=1e-5, msg=f"{name}: C")


def test_the_variants_differ():
    """Each of them would be missed: no two have the same last loss."""
    last = {round(train(name, 0, 1)[0][1]["loss"][-1], 4) for name in VARIANTS}
    assert len(last) == len(VARIANTS)


def talk():
    """Return what the processes of the test below tell each other."""
    shard = Shard(5)
    Z = (torch.arange(10.0).reshape(5, 2)[shard.rows]).requires_grad_()
    whole = shard.gather(Z)
    weights = torch.arange(5.0)[:, None] * (shard.rank + 1)
    (whole * weights).sum().backward()
    size = torch.tensor(float(shard.rank + 1), requires_grad=True)
    (shard.total(size) * (shard.rank + 1)).backward()
    M = torch.arange(25.0).reshape(5, 5)
    parameter = torch.nn.Parameter(torch.zeros(2))
    parameter.grad = torch.full((2,), float(shard.rank))
    idle = torch.nn.Parameter(torch.zeros(1))
    shard.sum_gradients(p for p in (parameter, idle))
    return {
        "rows": shard.rows,
        "sizes": shard.sizes,
        "whole": whole.detach(),
        "gradient": Z.grad,
        "total": shard.total(torch.ones(())).item(),
        "gradient of total": size.grad.item(),
        "columns": shard.columns(M[shard.rows]),
        "largest": shard.largest(torch.tensor(float(shard.rank))).item(),
        "summed": parameter.grad,
        "idle": idle.grad,
        "from first": shard.on_first(distributed.get_rank),
        "several": shard.gather_all([Z.detach(), Z.detach()[:, :1]]),
    }


def test_what_processes_tell_each_other():
    told = in_processes(3, talk)
    assert [found["rows"] for found in told] == [slice(0, 2), slice(2, 4), slice(4, 5)]
    whole, M = torch.arange(10.0).reshape(5, 2), torch.arange(25.0).reshape(5, 5)
    for found in told:
        assert found["sizes"] == [2, 2, 1]
        assert found["whole"].equal(whole)
        weights = torch.arange(5.0)[found["rows"], None] * (1 + 2 + 3)  # from the losses of all three
        assert found["gradient"].equal(weights.expand(-1, 2))
        assert found["total"] == 3 and found["gradient of total"] == 6 and found["largest"] == 2
        assert found["columns"].equal(M[:, found["rows"]])
        assert found["summed"].tolist() == [3, 3] and found["idle"].tolist() == [0]
        assert found["from first"] == 0
        assert found["several"][0].equal(whole) and found["several"][1].equal(whole[:, :1])


@pytest.mark.parametrize("n_samples, processes", [(1, 1), (7, 3), (10, 4), (4, 4)])
def test_rows_are_cut_as_torch_does(n_samples, processes):
    shards = [Shard(n_samples, rank, processes) for rank in range(processes)]
    parts = torch.arange(n_samples).chunk(processes)
    assert [torch.arange(n_samples)[shard.rows].tolist() for shard in shards] == [part.tolist() for part in parts]
    assert [shard.n_rows for shard in shards] == shards[0].sizes


@pytest.mark.parametrize("n_samples, processes, fit", [(3, 4, 3), (10, 6, 5), (9, 8, 5)])
def test_a_process_without_samples_is_refused(n_samples, processes, fit):
    one_clear_error(lambda: Shard(n_samples, 0, processes), ValueError, (f"{n_samples} samples", f"take {fit}"))
