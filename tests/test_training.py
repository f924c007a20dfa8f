"""Both training steps: they descend, repeat, resume, and stay where they should."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from bad_input import by_name, one_clear_error
from sklearn.linear_model import Lasso
from test_model import SMALL, VARIANTS, make_variant

from dmsc.correlation import Correlation
from dmsc.devices import seed_everything
from dmsc.losses import LossWeights, finetuning_terms, weighted_squared_error
from dmsc.model import SubspaceNetwork
from dmsc.networks import Architecture, Conv
from dmsc.solvers.closed_form import finetune_closed_form
from dmsc.training import batches, finetune, make_optimizer, pretrain, schedule_factor, shrink

WEIGHTS = LossWeights((1.0, 0.5), (1.0,), 1.0, 2.0)


def make():
    seed_everything(0)
    Xs = [torch.rand(12, 1, 8, 8), torch.rand(12, 5)]
    model = SubspaceNetwork([(1, 8, 8), (5,)], 12, Architecture((Conv(3, 3),), dense=(4,)), zero_diagonal=True)
    return model, Xs


def same_parameters(a, b):
    return all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def test_pretraining_descends_and_leaves_coefficients_alone():
    model, Xs = make()
    before = model.self_expression.weight.detach().clone()
    history = pretrain(model, Xs, epochs=40, batch_size=5, progress=False)
    assert history["loss"][-1] < 0.8 * history["loss"][0]
    assert torch.equal(model.self_expression.weight, before)


def test_pretraining_through_coefficients_trains_both_and_sets_c_back():
    """One step is Adam's on the loss of what is decoded from C Z, with the diagonal of C."""
    model, Xs = make()
    expected, C = copy.deepcopy(model), model.self_expression.weight.detach().clone()
    Zs_hat = [expected.self_expression.weight @ Z for Z in expected.encode(Xs)]
    weighted_squared_error(Xs, expected.decode(Zs_hat), (1.0,)).backward()
    history = pretrain(model, Xs, epochs=1, through="coefficients", learning_rate=0.01, progress=False)
    for found, reference in zip(model.autoencoder_parameters(), expected.autoencoder_parameters(), strict=True):
        gradient = reference.grad
        torch.testing.assert_close(found, reference - 0.01 * gradient / (gradient.abs() + 1e-8), rtol=1e-4, atol=1e-6)
    assert torch.equal(model.self_expression.weight, C)
    assert pretrain(model, Xs, epochs=60, through="coefficients", progress=False)["loss"][-1] < history["loss"][0]


def test_one_finetuning_step_is_one_adam_step():
    """Adam's first step moves every parameter by learning_rate * gradient / (|gradient| + eps)."""
    model, Xs = make()
    expected = copy.deepcopy(model)
    sum(finetuning_terms(expected, Xs, WEIGHTS).values()).backward()
    finetune(model, Xs, epochs=1, weights=WEIGHTS, learning_rate=0.01, progress=False)
    for found, reference in zip(model.parameters(), expected.parameters(), strict=True):
        gradient = reference.grad
        torch.testing.assert_close(found, reference - 0.01 * gradient / (gradient.abs() + 1e-8), rtol=1e-4, atol=1e-6)
    diagonal = model.self_expression.weight.diagonal()
    assert torch.equal(diagonal, expected.self_expression.weight.diagonal())  # a zero diagonal is no parameter


@pytest.mark.parametrize("norm", [1, 2])
def test_the_networks_may_have_a_rate_of_their_own(norm):
    """Adam's first step moves every parameter by the whole of its rate; a schedule multiplies both."""
    model, Xs = make()
    before = copy.deepcopy(model)
    options = {"learning_rate": 0.01, "network_learning_rate": 0.001, "schedule": "cosine", "progress": False}
    finetune(model, Xs, epochs=1, weights=replace(WEIGHTS, norm=norm, lambda_regularization=0.0), **options)
    factor = schedule_factor("cosine", 0, 1)
    for name, found in model.named_parameters():
        moved = (found - before.get_parameter(name)).abs().max().item()
        assert moved == pytest.approx(factor * (0.01 if name == "self_expression.weight" else 0.001), rel=1e-3)


@pytest.mark.parametrize("norm", [1, 2])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", VARIANTS)
def test_finetuning_minimizes_the_terms_of_every_variant(name, masked, norm):
    """Adam gets their gradient by autograd; for p = 1 without the norm's, which has a step of its own."""
    model, Xs, masks, correlation = make_variant(name, chunk_size=5)
    options = {"masks": masks if masked else None, "correlation": correlation}
    weights = LossWeights((1.0, 0.5, 0.2), (0.7, 0.3, 0.1)[: model.n_latents], 0.01, 2.0, norm)
    terms = finetuning_terms(model, Xs, weights, **options)
    smooth = sum(term for name, term in terms.items() if norm == 2 or name != "regularization")
    expected = torch.autograd.grad(smooth, list(model.parameters()))
    history = finetune(model, Xs, epochs=1, weights=weights, progress=False, **options)
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-9, atol=1e-12)
    assert list(history) == [*terms, "loss"]
    for name, term in terms.items():
        assert history[name] == [pytest.approx(term.item(), rel=1e-9)]


def test_history_holds_every_term_and_their_sum():
    model, Xs = make()
    seen = []
    history = finetune(
        model,
        Xs,
        epochs=3,
        weights=WEIGHTS,
        progress=False,
        callback=lambda epoch, terms, _: seen.append((epoch, terms)),
    )
    assert [epoch for epoch, _ in seen] == [1, 2, 3]
    for i in range(3):
        terms = [history[name][i] for name in ("reconstruction", "regularization", "self_expression")]
        assert history["loss"][i] == pytest.approx(sum(terms), rel=1e-5) == seen[i][1]["loss"]


def test_same_seed_same_bits():
    results = []
    for _ in range(2):
        model, Xs = make()
        pretrain(model, Xs, epochs=3, batch_size=5, seed=3, progress=False)
        finetune(model, Xs, epochs=3, weights=WEIGHTS, progress=False)
        results.append(model)
    assert same_parameters(*results)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_trains_with_missing_views(name):
    """Both steps descend; the first moves all but C and the projections, the second everything."""
    linear = replace(SMALL, activation="none")  # a ReLU may die on the way, and its layer would move no more
    model, Xs, masks, correlation = make_variant(name, architecture=linear)
    steps = [{name: p.detach().clone() for name, p in model.named_parameters()}]
    first = pretrain(model, Xs, epochs=8, batch_size=5, masks=masks, learning_rate=0.003, progress=False)
    steps.append({name: p.detach().clone() for name, p in model.named_parameters()})
    weights = LossWeights(lambda_regularization=0.1)
    second = finetune(
        model, Xs, epochs=8, weights=weights, masks=masks, correlation=correlation, learning_rate=0.003, progress=False
    )
    steps.append(dict(model.named_parameters()))
    for history in (first, second):
        assert history["loss"][-1] < history["loss"][0]
    assert ("correlation" in second) == (name == "cmsc-dcca")
    for parameter, before in steps[0].items():
        moved = not torch.equal(before, steps[1][parameter])
        assert moved == parameter.startswith(("encoders", "decoders")), parameter
        assert not torch.equal(steps[1][parameter], steps[2][parameter]), parameter


def test_mini_batches_take_the_masks_of_their_samples():
    """One epoch of mini-batches with masks is the same as with views whose missing samples were anything else."""
    model, Xs, masks, _ = make_variant("late-max")
    other = copy.deepcopy(model)
    others = [X.where(mask[:, None, None, None], 9.0) for X, mask in zip(Xs, masks, strict=True)]
    histories = [
        pretrain(network, views, epochs=2, batch_size=4, masks=masks, seed=1, progress=False)
        for network, views in ((model, Xs), (other, others))
    ]
    assert histories[0]["loss"] == pytest.approx(histories[1]["loss"], rel=1e-9)


def lasso_problem(weight=1.0, n_samples=12):
    """A network whose latents stay where they are and whose reconstruction doesn't count.

    Fine-tuning it with p = 1 minimizes ||Z - C Z||^2 + weight sum |C_ij| with diag(C) = 0: a Lasso per row.
    """
    torch.manual_seed(0)
    model = SubspaceNetwork([(6,)], n_samples, Architecture(dense=(4,)), zero_diagonal=True).double()
    for parameter in model.autoencoder_parameters():
        parameter.requires_grad_(False)
    Xs = [torch.randn(n_samples, 6, dtype=torch.float64)]
    (Z,) = (Z.numpy() for Z in model.encode(Xs))
    best = np.zeros((n_samples, n_samples))
    for i in range(n_samples):
        others = np.delete(np.arange(n_samples), i)
        solver = Lasso(weight / 8, fit_intercept=False, tol=1e-12, max_iter=100_000)  # halves the mean over 4 entries
        best[i, others] = solver.fit(Z[others].T, Z[i]).coef_
    return model, Xs, Z, best, LossWeights((0.0,), (1.0,), weight, 1.0, norm=1)


def test_proximal_steps_solve_the_lasso():
    """Objective, zeros and optimality conditions are those of coordinate descent."""
    model, Xs, Z, best, weights = lasso_problem()
    history = finetune(model, Xs, epochs=600, weights=weights, learning_rate=0.05, progress=False)
    C = model.coefficients
    lowest = ((Z - best @ Z) ** 2).sum() + np.abs(best).sum()
    assert ((Z - C @ Z) ** 2).sum() + np.abs(C).sum() == pytest.approx(lowest, rel=1e-9)
    assert history["loss"][-1] == pytest.approx(lowest, rel=1e-9)
    assert np.array_equal(C == 0, best == 0) and 12 < np.count_nonzero(C) < 60
    np.testing.assert_allclose(C, best, atol=1e-6)
    gradient = -2 * (Z - C @ Z) @ Z.T
    np.testing.assert_allclose(gradient[C != 0], -np.sign(C[C != 0]), atol=1e-5)
    np.fill_diagonal(gradient, 0)
    assert np.abs(gradient[C == 0]).max() < 1
    assert not C.diagonal().any()


def test_adam_on_the_subgradient_leaves_no_zero():
    """Why there are proximal steps."""
    model, Xs, Z, best, weights = lasso_problem()
    optimizer = torch.optim.Adam([model.self_expression.weight], lr=0.05)
    for _ in range(600):
        optimizer.zero_grad()
        sum(finetuning_terms(model, Xs, weights).values()).backward()
        optimizer.step()
    C = model.coefficients
    assert np.count_nonzero(C) == 12 * 11 > 2 * np.count_nonzero(best)
    lowest = ((Z - best @ Z) ** 2).sum() + np.abs(best).sum()
    assert ((Z - C @ Z) ** 2).sum() + np.abs(C).sum() > 1.001 * lowest


def test_shrink_is_soft_thresholding_in_adams_metric():
    """Three steps of Adam and the threshold, written out in float64."""
    rng = np.random.default_rng(0)
    lr, beta1, beta2, eps, weight = 0.1, 0.9, 0.999, 1e-8, 0.7
    gradients = rng.normal(size=(3, 5, 5)) * 10.0 ** rng.integers(-2, 2, size=(5, 5))
    C = start = rng.normal(size=(5, 5))
    first, second = np.zeros((2, 5, 5))
    parameter = torch.nn.Parameter(torch.tensor(start))
    other = torch.nn.Parameter(torch.ones(2, dtype=torch.float64))
    optimizer = torch.optim.Adam([other, parameter], lr=lr)
    for t, gradient in enumerate(gradients, 1):
        first, second = beta1 * first + (1 - beta1) * gradient, beta2 * second + (1 - beta2) * gradient**2
        D = lr / (np.sqrt(second / (1 - beta2**t)) + eps)
        C = C - D * first / (1 - beta1**t)
        C = np.sign(C) * np.maximum(np.abs(C) - weight * D, 0)
        parameter.grad, other.grad = torch.tensor(gradient), torch.zeros(2, dtype=torch.float64)
        optimizer.step()
        shrink(parameter, optimizer, weight)
        np.testing.assert_allclose(parameter.detach(), C, rtol=1e-12)
        assert np.array_equal(parameter.detach() == 0, C == 0)
    assert 0 < np.count_nonzero(C) < 25 and (other == 1).all()


def test_shrink_without_weight_leaves_every_coefficient():
    model, Xs, *_ = lasso_problem()
    other = copy.deepcopy(model)
    for network, norm in ((model, 1), (other, 2)):
        weights = LossWeights((0.0,), (1.0,), 0.0, 1.0, norm)
        finetune(network, Xs, epochs=5, weights=weights, progress=False)
    assert np.array_equal(model.coefficients, other.coefficients)


class Killed(Exception):
    """Stands for a process that dies in the middle of training."""


def kill_after(epochs):
    def callback(epoch, terms, model):
        if epoch > epochs:
            raise Killed

    return callback


@pytest.mark.parametrize("step", ["pretrain", "pretrain, through C", "finetune", "finetune, proximal"])
def test_resumed_equals_uninterrupted(tmp_path, step):
    def train(model, Xs, **loop):
        if step == "pretrain, through C":
            return pretrain(model, Xs, epochs=9, through="coefficients", progress=False, **loop)
        if step == "pretrain":
            return pretrain(model, Xs, epochs=9, batch_size=5, progress=False, **loop)
        weights = LossWeights(norm=1) if "proximal" in step else WEIGHTS
        return finetune(model, Xs, epochs=9, weights=weights, progress=False, **loop)

    whole, Xs = make()
    expected = train(whole, Xs)
    model, _ = make()
    with pytest.raises(Killed):
        train(model, Xs, checkpoint=tmp_path / "AE.pt", checkpoint_every=2, callback=kill_after(5))
    fresh, _ = make()
    torch.manual_seed(99)  # whatever the new process did before
    history = train(fresh, Xs, checkpoint=tmp_path / "AE.pt", checkpoint_every=2, resume=True)
    assert same_parameters(whole, fresh)
    assert history == expected
    again, _ = make()
    assert train(again, Xs, checkpoint=tmp_path / "AE.pt", resume=True) == expected  # done: nothing is trained again
    assert same_parameters(whole, again)


def test_without_resume_a_checkpoint_is_ignored(tmp_path):
    model, Xs = make()
    path = tmp_path / "AE.pt"
    first = finetune(model, Xs, epochs=2, weights=WEIGHTS, progress=False, checkpoint=path)
    model, _ = make()
    assert finetune(model, Xs, epochs=2, weights=WEIGHTS, progress=False, checkpoint=path) == first


def test_progress_is_quiet_when_not_a_terminal(capfd):
    model, Xs = make()
    finetune(model, Xs, epochs=2, weights=WEIGHTS, progress=True)
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_agrees_with_the_cpu():
    model, Xs = make()
    on_gpu = copy.deepcopy(model).cuda()
    expected = finetune(model, Xs, epochs=5, weights=WEIGHTS, progress=False)
    found = finetune(on_gpu, [X.cuda() for X in Xs], epochs=5, weights=WEIGHTS, progress=False)
    assert found["loss"] == pytest.approx(expected["loss"], rel=1e-3)


def test_pretraining_stops_at_its_tolerance():
    model, Xs = make()
    zeros = [torch.zeros_like(X) for X in Xs]
    whole = float(weighted_squared_error(Xs, zeros, WEIGHTS.reconstruction))
    options = {"epochs": 60, "weights": WEIGHTS.reconstruction, "learning_rate": 0.01, "progress": False}
    losses = pretrain(copy.deepcopy(model), Xs, **options)["loss"]
    tolerance = losses[20] / whole
    assert len(pretrain(model, Xs, tolerance=tolerance, **options)["loss"]) == 1 + next(
        epoch for epoch, loss in enumerate(losses) if loss <= losses[20]
    )


def test_finetuning_stops_when_it_stalls():
    model, Xs = make()
    options = {"epochs": 400, "weights": WEIGHTS, "learning_rate": 0.01, "progress": False}
    losses = finetune(model, Xs, tolerance=0.05, **options)["loss"]
    assert 10 < len(losses) < 400
    falls = [(a - b) / a for a, b in zip(losses, losses[10:], strict=False)]
    assert falls[-1] < 0.05 and min(falls[:-1], default=1) >= 0.05


def test_the_cosine_schedule_rises_then_falls_to_0():
    factors = [schedule_factor("cosine", epoch, 40) for epoch in range(40)]
    assert factors.index(max(factors)) == 4 and max(factors) == 1
    assert all(a < b for a, b in zip(factors[:4], factors[1:5], strict=True))
    assert all(a > b for a, b in zip(factors[4:], factors[5:], strict=False)) and factors[-1] < 0.01
    assert [schedule_factor("constant", epoch, 3) for epoch in range(3)] == [1, 1, 1]
    assert schedule_factor("cosine", 0, 1) > 0


def test_optimizers_remember_the_rate_that_a_schedule_multiplies():
    parameters = [torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(3))]
    optimizer = make_optimizer(iter(parameters), 0.01)
    (group,) = optimizer.param_groups
    assert group["params"] == parameters and group["lr"] == group["initial_lr"] == 0.01


def test_batches_are_all_samples_once_in_an_order_of_their_seed():
    device = torch.device("cpu")
    for whole in (None, 12, 99):
        assert batches(12, whole, torch.Generator(), device) == [slice(None)]
    first, again, other = (batches(12, 5, torch.Generator().manual_seed(seed), device) for seed in (0, 0, 1))
    assert [len(rows) for rows in first] == [5, 5, 2]
    assert sorted(torch.cat(first).tolist()) == list(range(12))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(torch.cat(first), torch.cat(other))


@pytest.mark.parametrize("finetune", [finetune, finetune_closed_form], ids=["adam", "closed-form"])
def test_a_schedule_is_resumed_where_it_stopped(tmp_path, finetune):
    model, Xs = make()
    options = {"weights": WEIGHTS, "schedule": "cosine", "learning_rate": 0.01, "progress": False}

    class Stop(Exception):
        pass

    def interrupt(epoch, terms, network):
        if epoch == 7:
            raise Stop

    start = copy.deepcopy(model)
    whole = finetune(model, Xs, epochs=12, **options)
    files = {"checkpoint": tmp_path / "AE2.pt", "checkpoint_every": 3, "resume": True}
    with pytest.raises(Stop):
        finetune(start, Xs, epochs=12, callback=interrupt, **files, **options)
    assert finetune(start, Xs, epochs=12, **files, **options) == whole
    for found, expected in zip(start.parameters(), model.parameters(), strict=True):
        assert torch.equal(found, expected)


NAN, X, HALF = float("nan"), torch.rand(4, 3), torch.tensor([True, True, False, False])


def network(n_samples=4, views=1):
    return SubspaceNetwork([(3,)] * views, n_samples, Architecture(dense=(2,)))


def tune(**options):
    return finetune(network(), [X], **{"epochs": 1, "weights": LossWeights(), "progress": False, **options})


def train(model, Xs, **options):
    return pretrain(model, Xs, **{"epochs": 1, "progress": False, **options})


CASES = [
    ("epochs", lambda: tune(epochs=-1), ValueError, ("epochs", "-1")),
    ("epochs, text", lambda: tune(epochs="9"), TypeError, ("epochs", "'9'")),
    ("rate", lambda: tune(learning_rate=0), ValueError, ("learning_rate", "got 0")),
    ("networks' rate", lambda: tune(network_learning_rate=-1), ValueError, ("network_learning_rate", "-1")),
    ("every", lambda: tune(checkpoint_every=0), ValueError, ("checkpoint_every", "got 0")),
    ("schedule", lambda: tune(schedule="step"), ValueError, ("schedule", "'step'")),
    ("precision", lambda: tune(precision="fp8"), ValueError, ("precision", "'fp8'")),
    ("tf32 on the CPU", lambda: tune(precision="tf32"), ValueError, ("tf32", "'cpu'")),
    ("tolerance", lambda: tune(tolerance=0), ValueError, ("tolerance", "got 0")),
    ("pre-training's tolerance", lambda: train(network(), [X], tolerance=-1), ValueError, ("tolerance", "-1")),
    ("batch", lambda: train(network(), [X], batch_size=0), ValueError, ("batch_size", "got 0")),
    ("views", lambda: train(network(views=2), [X]), ValueError, ("2 views", "hold 1")),
    ("unequal views", lambda: train(network(views=2), [X, X[:3]]), ValueError, "[4, 3]"),
    ("through", lambda: train(network(), [X], through="Z"), ValueError, ("through", "'coefficients'", "'Z'")),
    ("through in batches", lambda: train(network(), [X], through="coefficients", batch_size=2), ValueError,
     ("one batch", "batch_size=2")),
    ("samples, through C", lambda: train(network(5), [X], through="coefficients"), ValueError, ("5 samples", "4")),
    ("samples", lambda: finetune(network(5), [X], epochs=1, weights=LossWeights()), ValueError, ("5 samples", "4")),
    ("diverged", lambda: train(network(), [X * NAN]), ValueError, ("nan", "epoch 1", "learning rate")),
    ("no projections", lambda: tune(correlation=Correlation()), ValueError, "projections"),
    ("masks' length", lambda: tune(masks=[HALF[:3]]), ValueError, ("masks", "4 bool")),
    ("masks of numbers", lambda: train(network(), [X], masks=[HALF.int()]), ValueError, ("masks", "int32")),
]  # fmt: skip


@by_name(CASES)
def test_bad_input(call, error, words):
    one_clear_error(call, error, words)
