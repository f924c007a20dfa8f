"""Functions that take tensors, on the pretended card: results stay there, with the numbers of the CPU."""

import numpy as np
import pytest
import torch
from test_model import VARIANTS, losses_and_gradients, make_variant

from dmsc import spectral
from dmsc.correlation import canonical_correlations
from dmsc.eigen import eigenpairs, smallest_eigenpairs
from dmsc.experiments.autoencoders import load_autoencoders
from dmsc.losses import LossWeights
from dmsc.self_expression import local_self_expression, nearest_neighbors, ridge_self_expression
from dmsc.solvers import anchors
from dmsc.solvers.anchored_training import finetune_anchored

N, K = 30, 3
FEW = np.array([0, 4, 7, 11, 20, 27])
MASKS = [np.arange(N) % 4 != 0, np.arange(N) % 5 != 1]


def subspaces(n_views=2):
    """Return views (N, 8) of K planes."""
    generator = np.random.default_rng(0)
    planes = generator.standard_normal((n_views, K, 2, 8))
    return [np.stack([generator.standard_normal(2) @ view[i % K] for i in range(N)]) for view in planes]


XS = [torch.from_numpy(X) for X in subspaces()]
HELD = [
    X * torch.from_numpy(has)[:, None] for X, has in zip(XS, MASKS, strict=True)
]  # rows of 0 where a view is missing
C = ridge_self_expression(XS, 0.1)
W = spectral.build_affinity(C)
NEAR = nearest_neighbors(XS, 6)
SPARSE = torch.where(W > 0.3 * W.max(), W, 0)  # of several parts

#: Functions of tensors; what comes out is of their device.
OPERATIONS = {
    "threshold": (lambda C: spectral.threshold_coefficients(C, 0.6), [C]),
    "threshold, all": (lambda C: spectral.threshold_coefficients(C, 1.0), [C]),
    "affinity": (spectral.build_affinity, [C]),
    "subspace affinity": (lambda C: spectral.build_affinity(C, "subspace", n_clusters=K, dim=2, alpha=2.0), [C]),
    "unit diagonal": (
        lambda C: spectral.build_affinity(C, "subspace", n_clusters=K, dim=2, unit_diagonal=True),
        [C.float()],
    ),
    "embedding": (lambda W: spectral.spectral_embedding(W, K)[0], [W]),
    "clusters": (lambda W: spectral.spectral_clustering(W, K), [W]),
    "clusters, discretized": (lambda W: spectral.spectral_clustering(W, K, assign="discretize"), [W]),
    "plain reading": (lambda C: spectral.read_labels(C, K).labels, [C]),
    "paper's reading": (lambda C: spectral.read_labels(C, K, spectral.Reading(dim=2)).labels, [C]),
    "eigenvalues of a reading": (lambda C: spectral.read_labels(C, K).eigenvalues, [C]),
    "eigenpairs": (lambda W: eigenpairs(W, 4, "largest")[0], [W]),
    "smallest eigenpairs, several parts": (lambda W: smallest_eigenpairs(W / W.sum(1).max(), 5)[0], [SPARSE]),
    "closed form": (lambda *Xs: ridge_self_expression(Xs, 0.1, weights=[1.0, 0.5]), XS),
    "closed form, masks there": (lambda a, b, *has: ridge_self_expression([a, b], 0.1, masks=has),
                                 [*HELD, *map(torch.from_numpy, MASKS)]),
    "closed form, masks here": (lambda *Xs: ridge_self_expression(Xs, 0.1, masks=MASKS), HELD),
    "neighbors": (lambda *Xs: nearest_neighbors(Xs, 5), XS),
    "neighbors by coefficients": (lambda *Xs: nearest_neighbors(Xs, 5, by="coefficients", masks=MASKS), HELD),
    "local": (lambda *Xs: local_self_expression(Xs, NEAR, 0.1), XS),
    "local, neighbors there": (lambda near, *Xs: local_self_expression(Xs, near, 0.1), [NEAR, *XS]),
    "local, masks here": (lambda *Xs: local_self_expression(Xs, NEAR, 0.1, masks=MASKS), HELD),
    "local, masks there": (lambda a, b, *has: local_self_expression([a, b], NEAR, 0.1, masks=has),
                           [*HELD, *map(torch.from_numpy, MASKS)]),
    "anchored": (lambda *Xs: anchors.anchored_ridge(Xs, FEW, 0.1, block_size=7), XS),
    "anchored, anchors there": (lambda few, *Xs: anchors.anchored_ridge(Xs, few, 0.1), [torch.from_numpy(FEW), *XS]),
    "threshold of rows": (lambda C: anchors.threshold_rows(C, 0.5), [C[:, :6]]),
    "correlations": (lambda a, b: canonical_correlations(a, b), [X[:, :3] for X in XS]),
}  # fmt: skip
#: Functions of tensors that bring home arrays.
HOME = {
    "choice of anchors": (lambda *Xs: anchors.choose_anchors(Xs, 5), XS),
    "anchored factor": (anchors.anchored_affinity_factor, [C[:, :6]]),
    "anchored embedding": (lambda C: anchors.anchored_embedding(C, K)[0], [C[:, FEW]]),
    "anchored labels": (lambda C: anchors.anchored_clustering(C, K, ratio=0.9), [C[:, FEW]]),
}


@pytest.mark.parametrize(("function", "tensors"), OPERATIONS.values(), ids=OPERATIONS)
def test_what_is_computed_there_stays_there(card, function, tensors):
    expected, found = function(*tensors), function(*(tensor.to(card) for tensor in tensors))
    assert found.device == card and found.dtype == expected.dtype
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("function", "tensors"), HOME.values(), ids=HOME)
def test_what_is_brought_home_is_an_array(card, function, tensors):
    found = function(*(tensor.to(card) for tensor in tensors))
    assert isinstance(found, np.ndarray)
    np.testing.assert_allclose(found, function(*tensors), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", VARIANTS)
def test_losses_and_gradients_there(card, name):
    model, Xs, masks, correlation = make_variant(name)
    expected, slopes = losses_and_gradients(model, Xs, masks, correlation)
    model.place(card)
    there = [[tensor.to(card) for tensor in tensors] for tensors in (Xs, masks)]
    found, found_slopes = losses_and_gradients(model, *there, correlation)
    assert {name: value.item() for name, value in found.items()} == pytest.approx(
        {name: value.item() for name, value in expected.items()}
    )
    for gradients, others in zip(found_slopes, slopes, strict=True):
        for gradient, other in zip(gradients, others, strict=True):
            assert (gradient is None) == (other is None)
            if other is not None:
                torch.testing.assert_close(gradient.cpu(), other)
    assert isinstance(model.coefficients, np.ndarray)


def test_saved_autoencoders_go_there(card, tmp_path):
    source, *_ = make_variant("affinity")
    target, *_ = make_variant("affinity")
    torch.save({"model": source.float().state_dict()}, tmp_path / "AE1.pt")
    target.float().place(card)
    for parameter in target.autoencoder_parameters():
        parameter.data.zero_()
    load_autoencoders(target, str(tmp_path / "AE1.pt"))
    for mine, theirs in zip(target.autoencoder_parameters(), source.autoencoder_parameters(), strict=True):
        assert mine.device == card and torch.equal(mine.cpu(), theirs)


def test_anchored_coefficients_stay_there(card):
    model, Xs, *_ = make_variant("affinity")
    model, there = model.place(card), [X.to(card) for X in Xs]
    _, C = finetune_anchored(model, there, FEW[:3], epochs=1, weights=LossWeights(), progress=False)
    assert C.device == card and C.shape == (14, 3)
