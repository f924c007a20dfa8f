"""The composition."""

import copy

import pytest
import torch
from bad_input import by_name, one_clear_error
from test_losses import make

from dmsc.correlation import Correlation
from dmsc.fusion import FUNCTIONS, PLACES, Merge, fusion_plan
from dmsc.losses import LossWeights, finetuning_terms, weighted_squared_error
from dmsc.model import CPU_CHUNK, SubspaceNetwork, flatten, unflatten
from dmsc.networks import Architecture, Conv
from dmsc.presets import COIL20_NET

CORRELATION = Correlation(projection_dim=3, n_correlations=2)
SMALL = Architecture((Conv(3, 3), Conv(4, 3, 1), Conv(5, 3, 1)))
#: Every way in which views meet: name -> (place, function).
VARIANTS = {
    "affinity": ("affinity", "concat"),
    "cmsc-dcca": ("affinity", "concat"),
    **{f"{place}-{function}": (place, function) for place in PLACES for function in FUNCTIONS},
}


def make_variant(name, n_samples=14, plan=None, architecture=SMALL, **options):
    """Return a network for three views in float64, the views, masks in which all patterns occur, and its terms."""
    torch.manual_seed(0)
    place, function = VARIANTS[name]
    if plan is None:
        plan = () if place == "affinity" else fusion_plan(place, 3, 3)
    correlation = CORRELATION if name == "cmsc-dcca" else None
    model = SubspaceNetwork(
        [(1, 6, 6)] * 3,
        n_samples,
        architecture,
        plan=plan,
        fusion_function=function,
        correlation=correlation,
        zero_diagonal=True,
        **options,
    ).double()
    model.self_expression.set_coefficients(2 * torch.rand(n_samples, n_samples) / n_samples)  # no latent dies in ReLU
    Xs = [torch.rand(n_samples, 1, 6, 6, dtype=torch.float64) for _ in range(3)]
    patterns = torch.arange(n_samples) % 7 + 1
    masks = [(patterns >> view & 1).bool() for view in range(3)]
    return model, Xs, masks, correlation


def losses_and_gradients(model, Xs, masks, correlation, reconstruction=(1.0, 0.5, 0.2)):
    """Return the losses of both steps of training, and every parameter's gradients of both."""
    weights = LossWeights(reconstruction, (0.7, 0.3, 0.1)[: model.n_latents], 0.01, 2.0)
    terms = finetuning_terms(model, Xs, weights, masks=masks, correlation=correlation)
    terms["pretrain"] = weighted_squared_error(Xs, model.autoencode(Xs, masks), reconstruction, masks)
    parameters = list(model.parameters())
    gradients = [
        torch.autograd.grad(value, parameters, allow_unused=True)
        for value in (sum(value for name, value in terms.items() if name != "pretrain"), terms["pretrain"])
    ]
    return terms, gradients


def test_forward_is_encode_express_decode():
    model, Xs = make()
    Zs, Zs_hat, Xs_hat = model(Xs)
    C = torch.tensor(model.coefficients)
    for X, Z, Z_hat, X_hat, encoder, decoder in zip(
        Xs, Zs, Zs_hat, Xs_hat, model.encoders, model.decoders, strict=True
    ):
        maps = encoder(X)
        torch.testing.assert_close(Z, flatten(maps))
        torch.testing.assert_close(Z_hat, C @ Z)
        torch.testing.assert_close(X_hat, decoder(unflatten(Z_hat, maps.shape[1:])))


def test_chunked_equals_unchunked_with_gradients():
    whole, Xs = make(n_samples=7)
    chunked = copy.deepcopy(whole)
    chunked.chunk_size = 3  # 3 + 3 + 1
    for model in (whole, chunked):
        sum(finetuning_terms(model, Xs, LossWeights()).values()).backward()
    for a, b in zip(whole.parameters(), chunked.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_channels_last_equals_the_default_layout():
    torch.manual_seed(0)
    model = SubspaceNetwork([(1, 32, 32)], 6, COIL20_NET, coefficients_init=0.1)
    X = torch.rand(6, 1, 32, 32)
    expected = model([X])
    found = model.to(memory_format=torch.channels_last)([X])
    for a, b in zip(expected, found, strict=True):
        torch.testing.assert_close(a[0], b[0], rtol=1e-5, atol=1e-5)


def test_every_parameter_gets_a_gradient():
    model, Xs = make()
    sum(finetuning_terms(model, Xs, LossWeights()).values()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("views", [1, 2, 3])
def test_any_number_of_views_shares_one_coefficient_matrix(views):
    model = SubspaceNetwork([(1, 8, 8)] * views, 9, Architecture((Conv(2, 3),)))
    assert model.coefficients.shape == (9, 9)
    assert len(model.encode([torch.rand(9, 1, 8, 8)] * views)) == views
    assert sum(p.numel() for p in model.parameters()) == 81 + sum(p.numel() for p in model.autoencoder_parameters())


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", VARIANTS)
def test_a_gradient_reaches_every_parameter_of_every_variant(name, masked):
    model, Xs, masks, correlation = make_variant(name)
    _, (finetuning, pretraining) = losses_and_gradients(model, Xs, masks if masked else None, correlation)
    names = [name for name, _ in model.named_parameters()]
    assert any(name.startswith("projections") for name in names) == (name == "cmsc-dcca")
    for parameter, tuned, trained in zip(names, finetuning, pretraining, strict=True):
        assert tuned.isfinite().all() and tuned.abs().sum() > 0, parameter
        if parameter.startswith(("encoders", "decoders")):
            assert trained.isfinite().all() and trained.abs().sum() > 0, parameter
        else:
            assert trained is None, parameter


@pytest.mark.parametrize("name", VARIANTS)
def test_masks_that_miss_nothing_are_no_masks(name):
    model, Xs, masks, correlation = make_variant(name)
    everything = [torch.ones_like(mask) for mask in masks]
    terms, gradients = losses_and_gradients(model, Xs, None, correlation)
    masked_terms, masked_gradients = losses_and_gradients(model, Xs, everything, correlation)
    for a, b in zip(model(Xs)[0], model(Xs, everything)[0], strict=True):
        assert torch.equal(a, b)
    assert terms == masked_terms
    for step, masked_step in zip(gradients, masked_gradients, strict=True):
        for a, b in zip(step, masked_step, strict=True):
            assert (a is None and b is None) or torch.equal(a, b)


@pytest.mark.parametrize("name", VARIANTS)
def test_what_a_missing_view_holds_changes_nothing(name):
    """Neither latents, nor a term of the loss, nor a gradient."""
    model, Xs, masks, correlation = make_variant(name)
    others = [X.where(mask[:, None, None, None], 50 * torch.rand_like(X)) for X, mask in zip(Xs, masks, strict=True)]
    (terms, gradients), (other_terms, other_gradients) = (
        losses_and_gradients(model, views, masks, correlation) for views in (Xs, others)
    )
    for a, b in zip(model(Xs, masks)[0], model(others, masks)[0], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=0)
    for term, value in terms.items():
        torch.testing.assert_close(value, other_terms[term], rtol=1e-12, atol=0)
    for step, other_step in zip(gradients, other_gradients, strict=True):
        for a, b in zip(step, other_step, strict=True):
            assert (a is None and b is None) or torch.allclose(a, b, rtol=1e-9, atol=1e-12)
    unmasked, _ = losses_and_gradients(model, others, None, correlation)
    assert unmasked["reconstruction"] > 2 * terms["reconstruction"]  # it would have mattered


@pytest.mark.parametrize("name", VARIANTS)
def test_chunked_equals_unchunked_with_masks(name):
    model, Xs, masks, correlation = make_variant(name)
    chunked = copy.deepcopy(model)
    chunked.chunk_size = 4  # 4 + 4 + 4 + 2
    terms, gradients = losses_and_gradients(model, Xs, masks, correlation)
    chunked_terms, chunked_gradients = losses_and_gradients(chunked, Xs, masks, correlation)
    for term, value in terms.items():
        torch.testing.assert_close(value, chunked_terms[term])
    for step, chunked_step in zip(gradients, chunked_gradients, strict=True):
        for a, b in zip(step, chunked_step, strict=True):
            assert (a is None and b is None) or torch.allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", VARIANTS)
def test_permuting_views_permutes_the_result(name, masked):
    """It does for every variant, if the plan of merges names the views in their new places.

    (Early and late plans are the same for any order of views, the hybrid plan is not: see test_fusion.py.)
    """
    order = [2, 0, 1]  # new view 0 is the old view 2
    place = {old: new for new, old in enumerate(order)}
    model, Xs, masks, correlation = make_variant(name)
    if not masked:
        masks = None
    plan = ()
    if model.joint:
        plan = [Merge(m.depth, tuple(place[view] for view in m.streams)) for m in model.encoders[0].plan]
    other, *_ = make_variant(name, plan=plan)
    if model.joint:
        for layer, parameters in model.encoders[0].layers.items():
            stream, _, depth = layer.partition("_")
            renamed = layer if layer == "back" else f"{place[int(stream)]}_{depth}"
            other.encoders[0].layers[renamed].load_state_dict(parameters.state_dict())
    for new, old in enumerate(order):
        for modules, permuted in ((model.encoders, other.encoders), (model.decoders, other.decoders)):
            if len(modules) == 3:
                permuted[new].load_state_dict(modules[old].state_dict())
        if correlation:
            other.projections[new].load_state_dict(model.projections[old].state_dict())
    permuted_Xs = [Xs[old] for old in order]
    permuted_masks = masks and [masks[old] for old in order]
    Zs, _, Xs_hat = model(Xs, masks)
    permuted_Zs, _, permuted_Xs_hat = other(permuted_Xs, permuted_masks)
    for new, old in enumerate(order):
        torch.testing.assert_close(permuted_Xs_hat[new], Xs_hat[old])
        torch.testing.assert_close(permuted_Zs[0 if model.joint else new], Zs[0 if model.joint else old])
    weights = (1.0, 0.5, 0.2)
    same = LossWeights(weights, (0.7,), 0.01, 2.0)
    moved = LossWeights([weights[old] for old in order], (0.7,), 0.01, 2.0)
    terms = finetuning_terms(model, Xs, same, masks=masks, correlation=correlation)
    permuted_terms = finetuning_terms(other, permuted_Xs, moved, masks=permuted_masks, correlation=correlation)
    for term, value in terms.items():
        torch.testing.assert_close(permuted_terms[term], value)


def test_projections_are_those_of_the_latents():
    model, Xs, masks, _ = make_variant("cmsc-dcca")
    Zs = model.encode(Xs, masks)
    for Z, P, projection in zip(Zs, model.project(Zs), model.projections, strict=True):
        torch.testing.assert_close(P, Z @ projection.weight.T)
        assert P.shape == (14, 3) and projection.bias is None
    affinity, *_ = make_variant("affinity")
    assert affinity.project(Zs) == []


def test_a_network_with_projections_starts_as_the_one_without():
    """Deep CCA's term is the only difference between CMSC-DCCA and affinity fusion from one seed."""
    (with_term, *_), (without, *_) = make_variant("cmsc-dcca"), make_variant("affinity")
    for a, b in zip(with_term.autoencoder_parameters(), without.autoencoder_parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", VARIANTS)
def test_who_has_which_latent(name):
    model, Xs, masks, _ = make_variant(name)
    assert model.n_latents == len(model.encode(Xs)) == (3 if VARIANTS[name][0] == "affinity" else 1)
    assert model.latent_masks(masks) is (None if model.joint else masks)
    assert model.latent_masks(None) is None


def test_a_cpu_works_in_chunks_with_channels_innermost_and_the_numbers_are_the_same():
    torch.manual_seed(0)
    X = torch.rand(CPU_CHUNK + 10, 1, 16, 16)
    model = SubspaceNetwork([(1, 16, 16)], len(X), SMALL, coefficients_init=1 / len(X))
    expected = model([X])
    assert model.chunk_size is None
    assert model.place("cpu") is model and model.chunk_size == CPU_CHUNK
    assert any(p.is_contiguous(memory_format=torch.channels_last) and not p.is_contiguous() for p in model.parameters())
    for found, right in zip(model([X]), expected, strict=True):
        torch.testing.assert_close(found[0], right[0], rtol=1e-5, atol=1e-5)


IMAGES = ((1, 8, 8), (1, 8, 8))
CASES = [
    ("chunk_size", lambda: SubspaceNetwork([(3,)], 4, Architecture(), chunk_size=0), ValueError, "chunk_size"),
    ("samples", lambda: SubspaceNetwork([(3,)], 0, Architecture()), ValueError, ("n_samples", "got 0")),
    (
        "correlation of a joint latent",
        lambda: SubspaceNetwork(IMAGES, 4, Architecture(), plan=fusion_plan("late", 2, 2), correlation=CORRELATION),
        ValueError,
        ("correlation", "plan"),
    ),
]


@by_name(CASES)
def test_bad_input(call, error, words):
    one_clear_error(call, error, words)
