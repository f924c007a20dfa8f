"""Bad input, one line each: the error's type and the words that name the culprit."""

import re

import numpy as np
import pytest
import scipy.sparse
import torch

from dmsc.checkpoints import load_checkpoint
from dmsc.correlation import Correlation, canonical_correlations, correlation_deficit
from dmsc.data.dataset import Dataset, load_dataset
from dmsc.devices import resolve_device
from dmsc.experiments import records as results
from dmsc.experiments import tables
from dmsc.experiments.run import run_experiment
from dmsc.fusion import FusionEncoder, Merge, fuse, fusion_plan
from dmsc.losses import LossWeights, weighted_squared_error
from dmsc.methods import Baseline, Method, PostProcessing
from dmsc.model import SubspaceNetwork
from dmsc.networks import Architecture, Conv, build_decoder, build_encoder
from dmsc.presets import preset
from dmsc.selection import check_epochs, select, subspace_consistency
from dmsc.self_expression import choose_ridge, ridge_self_expression
from dmsc.solvers.anchors import anchored_clustering, anchored_ridge, choose_anchors
from dmsc.spectral import build_affinity, spectral_clustering, spectral_embedding, threshold_coefficients
from dmsc.training import finetune, pretrain

C = np.eye(4)
X = torch.rand(4, 3)
NAN = float("nan")


def model(n_samples=4, views=1):
    return SubspaceNetwork([(3,)] * views, n_samples, Architecture(dense=(2,)))


IMAGES = ((1, 8, 8), (1, 8, 8))
HALF = torch.tensor([True, True, False, False])
ROWS = np.ones((6, 3))
PAIR = Dataset("pair", [ROWS, ROWS], n_clusters=2)


def fusion(function, *view_shapes, plan=None):
    plan = fusion_plan("late", 2, 2) if plan is None else plan
    return FusionEncoder(view_shapes, Architecture(), plan, function)


def tune(**options):
    return finetune(model(), [X], **{"epochs": 1, "weights": LossWeights(), "progress": False, **options})


CASES = [
    # spectral
    ("threshold: above 1", lambda: threshold_coefficients(C, 1.5), ValueError, "ratio must be in (0, 1], got 1.5"),
    ("threshold: 0", lambda: threshold_coefficients(C, 0), ValueError, "ratio must be in (0, 1], got 0"),
    ("threshold: nan", lambda: threshold_coefficients(C, NAN), ValueError, "ratio must be in (0, 1], got nan"),
    ("threshold: text", lambda: threshold_coefficients(C, "0.4"), TypeError, "got '0.4'"),
    ("threshold: not square", lambda: threshold_coefficients(np.ones((3, 4)), 0.5), ValueError, "got shape (3, 4)"),
    ("threshold: nan in C", lambda: threshold_coefficients(np.diag([1, NAN]), 0.5), ValueError, "row 1, column 1"),
    ("threshold: complex", lambda: threshold_coefficients(1j * C, 0.5), TypeError, "got dtype complex128"),
    ("affinity: unknown", lambda: build_affinity(C, "magic"), ValueError, "'plain', 'subspace', got 'magic'"),
    ("affinity: no dim", lambda: build_affinity(C, "subspace", n_clusters=2), ValueError, "n_clusters=2, dim=None"),
    ("affinity: dim", lambda: build_affinity(C, "subspace", n_clusters=2, dim=0), ValueError, "at least 1, got 0"),
    (
        "affinity: alpha",
        lambda: build_affinity(C, "subspace", n_clusters=2, dim=1, alpha=0),
        ValueError,
        "alpha must be positive and finite, got 0",
    ),
    ("affinity: K", lambda: build_affinity(C, "subspace", n_clusters=2.0, dim=1), TypeError, "from 1 to 4, got 2.0"),
    (
        "clustering: K",
        lambda: spectral_clustering(C, 5),
        ValueError,
        "n_clusters must be an integer from 1 to 4, got 5",
    ),
    ("clustering: sparse", lambda: spectral_clustering(scipy.sparse.eye(4), 2), TypeError, "pass W.toarray()"),
    ("clustering: negative", lambda: spectral_clustering(-C, 2), ValueError, "make it with build_affinity(C)"),
    (
        "clustering: asymmetric",
        lambda: spectral_clustering(np.triu(np.ones((4, 4))), 2),
        ValueError,
        "W must be symmetric",
    ),
    ("clustering: assign", lambda: spectral_clustering(C, 2, assign="vote"), ValueError, "'discretize', got 'vote'"),
    (
        "clustering: discretize",
        lambda: spectral_clustering(C, 2, n_components=3, assign="discretize"),
        ValueError,
        "n_components == n_clusters, got 3 != 2",
    ),
    ("clustering: seed", lambda: spectral_clustering(C, 2, seed=-1), ValueError, "seed must be an integer"),
    ("clustering: seed None", lambda: spectral_clustering(C, 2, seed=None), TypeError, "got None"),
    (
        "embedding: none",
        lambda: spectral_embedding(C, 0),
        ValueError,
        "n_components must be an integer from 1 to 4, got 0",
    ),
    # networks
    ("conv: kernel", lambda: Conv(3, 0), ValueError, "kernel must be an integer of at least 1, got 0"),
    ("conv: channels", lambda: Conv(2.5, 3), TypeError, "channels must be an integer of at least 1, got 2.5"),
    ("conv: padding", lambda: Conv(3, 3, padding="valid"), ValueError, "padding must be 'same' or"),
    ("architecture: activation", lambda: Architecture(activation="tanh"), ValueError, "'relu', 'none', got 'tanh'"),
    ("architecture: empty", lambda: Architecture(()), ValueError, "at least one convolution"),
    (
        "architecture: width",
        lambda: Architecture(dense=(3, 0)),
        ValueError,
        "dense must be an integer of at least 1, got 0",
    ),
    (
        "encoder: image too small",
        lambda: build_encoder((1, 4, 4), Architecture((Conv(2, 7, padding=1),))),
        ValueError,
        "an image of (4, 4) pixels is too small",
    ),
    (
        "decoder: other size",
        lambda: build_decoder((1, 8, 8), preset("listing", "digits", 10).architecture),
        ValueError,
        "(1, 8, 8) back as (1, 10, 10): use padding='same'",
    ),
    # fusion
    ("merge: one stream", lambda: Merge(0, (1,)), ValueError, "two or more different streams, got (1,)"),
    ("fuse: function", lambda: fuse([X, X], "mean"), ValueError, "'sum', 'max', 'concat', got 'mean'"),
    ("fusion: place", lambda: fusion_plan("middle", 2, 3), ValueError, "'early', 'intermediate', 'late', got 'middle'"),
    ("fusion: sizes", lambda: fusion("sum", (1, 8, 8), (1, 9, 8)), ValueError, "use affinity fusion, which needs no"),
    ("fusion: vectors", lambda: fusion("sum", (1, 8, 8), (5,)), ValueError, "needs image views (C, H, W)"),
    (
        "fusion: too deep",
        lambda: fusion("sum", *IMAGES, plan=[Merge(3, (0, 1))]),
        ValueError,
        "deeper than the encoder",
    ),
    ("fusion: no stream", lambda: fusion("sum", *IMAGES, plan=[Merge(0, (0, 2))]), ValueError, "[0, 1] are left"),
    ("fusion: two left", lambda: fusion("sum", *IMAGES, plan=[]), ValueError, "the plan must leave one stream"),
    # losses, self-expression
    ("loss: norm", lambda: LossWeights(norm=3), ValueError, "norm must be one of 1, 2, got 3"),
    ("loss: negative weight", lambda: LossWeights((1.0, -0.1)), ValueError, "reconstruction needs at least one weight"),
    (
        "loss: no weight",
        lambda: LossWeights(self_expression=()),
        ValueError,
        "self_expression needs at least one weight",
    ),
    ("loss: lambda", lambda: LossWeights(lambda_regularization=NAN), ValueError, "lambda_regularization must be"),
    (
        "loss: many weights",
        lambda: weighted_squared_error([X], [X], (1, 2)),
        ValueError,
        "2 weights (1, 2) for 1 views",
    ),
    ("ridge: zero", lambda: ridge_self_expression([X], 0), ValueError, "ridge must be positive and finite, got 0"),
    ("ridge: sizes", lambda: ridge_self_expression([X, X[:3]], 1), ValueError, "same samples, got [4, 3]"),
    ("ridge: weights", lambda: ridge_self_expression([X], 1, weights=[1, 2]), ValueError, "2 weights for 1 latents"),
    ("ridge: one feature", lambda: choose_ridge([np.ones((4, 1))]), ValueError, "at least two features"),
    # training
    (
        "model: chunk_size",
        lambda: SubspaceNetwork([(3,)], 4, Architecture(), chunk_size=0),
        ValueError,
        "chunk_size must",
    ),
    ("training: epochs", lambda: tune(epochs=-1), ValueError, "epochs must be an integer of at least 0, got -1"),
    ("training: epochs, text", lambda: tune(epochs="9"), TypeError, "epochs must be an integer of at least 0, got '9'"),
    ("training: rate", lambda: tune(learning_rate=0), ValueError, "learning_rate must be positive and finite, got 0"),
    ("training: every", lambda: tune(checkpoint_every=0), ValueError, "checkpoint_every must be an integer"),
    ("training: solver", lambda: tune(solver="sgd"), ValueError, "got 'sgd'"),
    ("training: schedule", lambda: tune(schedule="step"), ValueError, "got 'step'"),
    ("training: precision", lambda: tune(precision="fp8"), ValueError, "got 'fp8'"),
    ("training: tf32 on the CPU", lambda: tune(precision="tf32"), ValueError, "for CUDA devices, got 'cpu'"),
    ("training: tolerance", lambda: tune(tolerance=0), ValueError, "tolerance must be positive and finite, got 0"),
    ("closed form: masks", lambda: tune(solver="closed-form", masks=[HALF]), ValueError, "every view of every sample"),
    ("closed form: p = 1", lambda: tune(solver="closed-form", weights=LossWeights(norm=1)), ValueError, "got norm=1"),
    ("method: solver", lambda: preset("affinity", "bdgp", 5, solver="lbfgs"), ValueError, "got 'lbfgs'"),
    (
        "method: closed form of L1",
        lambda: preset("dsc-l1", "orl", 40, solver="closed-form"),
        ValueError,
        "needs norm=2 and both lambdas above 0, got norm=1",
    ),
    (
        "method: scale path with correlation",
        lambda: preset("cmsc-dcca", "digits", 10, solver="scale-path"),
        ValueError,
        "trains no encoders",
    ),
    ("method: tolerance", lambda: preset("dsc-l2", "orl", 40, pretrain_tolerance=-1), ValueError, "got -1"),
    ("anchors: too many", lambda: choose_anchors([ROWS], 7), ValueError, "from 1 to 6, got 7"),
    ("anchors: method", lambda: choose_anchors([ROWS], 2, method="best"), ValueError, "got 'best'"),
    ("anchored ridge: index", lambda: anchored_ridge([ROWS], [0, 6], 1.0), ValueError, "from 0 to 5, got 6"),
    ("anchored ridge: twice", lambda: anchored_ridge([ROWS], [0, 0], 1.0), ValueError, "different samples, got 1 in 2"),
    (
        "anchored clusters: K",
        lambda: anchored_clustering(C, 5),
        ValueError,
        "n_clusters must be an integer from 1 to 4",
    ),
    (
        "clustering: sparse tensor",
        lambda: spectral_clustering(torch.eye(6).to_sparse(), 2),
        TypeError,
        "pass W.to_dense()",
    ),
    (
        "affinity: complex tensor",
        lambda: build_affinity(torch.eye(3, dtype=torch.complex64)),
        TypeError,
        "complex64",
    ),
    (
        "threshold: tensor not square",
        lambda: threshold_coefficients(torch.ones(3, 4), 0.5),
        ValueError,
        "got shape (3, 4)",
    ),
    (
        "training: batch",
        lambda: pretrain(model(), [X], epochs=1, batch_size=0),
        ValueError,
        "batch_size must be an integer of at least 1, got 0",
    ),
    (
        "training: views",
        lambda: pretrain(model(views=2), [X], epochs=1),
        ValueError,
        "the model has 2 views, but Xs hold 1",
    ),
    (
        "training: samples",
        lambda: finetune(model(5), [X], epochs=1, weights=LossWeights()),
        ValueError,
        "the model expresses 5 samples, but Xs hold 4",
    ),
    (
        "training: unequal views",
        lambda: pretrain(model(views=2), [X, X[:3]], epochs=1),
        ValueError,
        "same samples, got [4, 3]",
    ),
    (
        "training: diverged",
        lambda: pretrain(model(), [X * NAN], epochs=1, progress=False),
        ValueError,
        "the loss became nan in epoch 1: lower the learning rate",
    ),
    ("device: unknown", lambda: resolve_device("tpu"), ValueError, "unknown device 'tpu'"),
    # presets
    ("preset: method", lambda: preset("dsc-l3", "orl", 40), ValueError, "unknown method 'dsc-l3' (did you mean"),
    ("preset: setting", lambda: preset("dsc-l2", "orl", 40, epochs=3), ValueError, "unknown setting 'epochs'"),
    ("preset: ratio", lambda: preset("dsc-l2", "orl", 40, ratio=2), ValueError, "ratio must be in (0, 1], got 2"),
    ("preset: dim", lambda: PostProcessing(dim=0), ValueError, "dim must be an integer of at least 1, got 0"),
    ("preset: assign", lambda: PostProcessing(assign="vote"), ValueError, "got 'vote'"),
    (
        "preset: init",
        lambda: Method("x", "", "none", coefficients_init="zero"),
        ValueError,
        "a number or 'ridge', got 'zero'",
    ),
    (
        "preset: ridge start without penalty",
        lambda: preset("dsc-l2", "orl", 40, coefficients_init="ridge", lambda_self_expression=0),
        ValueError,
        "needs both lambdas above 0, got (1.0, 0)",
    ),
    ("preset: epochs", lambda: preset("dsc-l2", "orl", 40, finetune_epochs=0.5), TypeError, "finetune_epochs must be"),
    (
        "experiment: seed",
        lambda: run_experiment(load_dataset("digits", n_per_class=2), preset("dsc-l2", "digits", 10), seed=-1),
        ValueError,
        "seed must be an integer from 0",
    ),
    # correlation
    ("correlation: weight", lambda: Correlation(-1.0), ValueError, "lambda_correlation must be positive"),
    ("correlation: k > p", lambda: Correlation(n_correlations=11), ValueError, "from 1 to 10, got 11"),
    ("correlation: p", lambda: Correlation(projection_dim=0), ValueError, "projection_dim must be an integer"),
    ("correlation: ridge", lambda: Correlation(covariance_ridge=0), ValueError, "covariance_ridge must be positive"),
    ("correlation: samples", lambda: canonical_correlations(X, X[:3]), ValueError, "the same two or more samples"),
    (
        "correlation: spatial fusion",
        lambda: Method("m", "s", "late", correlation=Correlation()),
        ValueError,
        "got fusion='late'",
    ),
    ("correlation: weight False", lambda: Correlation(False), TypeError, "lambda_correlation must be a number"),
    (
        "correlation: no sample in common",
        lambda: correlation_deficit([X, X], Correlation(1.0, 3, 1), [HALF, ~HALF]),
        ValueError,
        "views 0 and 1 share 0 samples",
    ),
    (
        "correlation: joint latent",
        lambda: SubspaceNetwork(IMAGES, 4, Architecture(), plan=fusion_plan("late", 2, 2), correlation=Correlation()),
        ValueError,
        "a plan leaves one",
    ),
    ("finetune: no projections", lambda: tune(correlation=Correlation()), ValueError, "no projections for Correlation"),
    ("finetune: masks' length", lambda: tune(masks=[HALF[:3]]), ValueError, "masks must be 1 arrays of 4 bool"),
    (
        "pretrain: masks of numbers",
        lambda: pretrain(model(), [X], epochs=1, masks=[HALF.int()], progress=False),
        ValueError,
        "got [('int32', (4,))]",
    ),
    ("ridge: masks", lambda: ridge_self_expression([X, X], 1.0, masks=[HALF]), ValueError, "masks must be 2 arrays"),
    # baselines
    ("baseline: setting", lambda: preset("ssc", "digits", 10, alhpa=3), ValueError, "did you mean 'alpha'?"),
    ("baseline: parameters", lambda: Baseline("b", "s", "ssc", [1]), TypeError, "parameters must be of type dict"),
    ("method: part", lambda: Method("m", "s", "none", architecture={}), TypeError, "must be of type Architecture"),
    # selection
    ("select: nothing", lambda: select([]), ValueError, "at least one candidate"),
    ("consistency: shapes", lambda: subspace_consistency(ROWS, np.ones(5), 1.0), ValueError, "(6, 3) and (5,)"),
    ("consistency: ridge", lambda: subspace_consistency(ROWS, np.ones(6), 0), ValueError, "ridge must be positive"),
    ("checks: none", lambda: check_epochs(10, 0), ValueError, "n_checks must be an integer of at least 1"),
    # results, checkpoints
    (
        "records: no folder",
        lambda: results.load_records("nowhere"),
        FileNotFoundError,
        "no folder of records at nowhere",
    ),
    ("table: no place", lambda: tables.insert_table("text", "table"), ValueError, "the text has no place for a table"),
    ("coefficients: ending", lambda: results.save_coefficients("C.txt", C), ValueError, "not 'C.txt'"),
    (
        "checkpoint: missing",
        lambda: load_checkpoint("AE.pt", step="finetune", model=model(), optimizer=None, config={}),
        ValueError,
        "AE.pt is not a readable checkpoint (FileNotFoundError)",
    ),
]


@pytest.mark.parametrize(("name", "call", "error", "words"), CASES, ids=[case[0] for case in CASES])
def test_one_clear_error(name, call, error, words):
    with pytest.raises(error, match=re.escape(words)) as caught:
        call()
    assert type(caught.value) is error
    assert "\n" not in str(caught.value)


def test_the_table_is_large_and_has_no_name_twice():
    names = [case[0] for case in CASES]
    assert len(names) >= 40 and len(set(names)) == len(names)
