"""Bad input, one line each: the error's type and the words that name the culprit."""

import re

import numpy as np
import pytest
import scipy.sparse
import torch

from dmsc import baselines, plots
from dmsc.checkpoints import load_checkpoint
from dmsc.correlation import Correlation, canonical_correlations, correlation_deficit
from dmsc.data import files, readers, views
from dmsc.data.corruption import corrupt
from dmsc.data.dataset import Dataset, load_dataset
from dmsc.devices import resolve_device
from dmsc.experiments import records as results
from dmsc.experiments import tables
from dmsc.experiments.run import run_experiment
from dmsc.fusion import FusionEncoder, Merge, fuse, fusion_plan
from dmsc.losses import LossWeights, weighted_squared_error
from dmsc.methods import Baseline, Method, PostProcessing
from dmsc.metrics import ari, clustering_accuracy, eigengap, nmi, purity, score, self_expression_residual
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
    # data
    ("dataset: typo", lambda: load_dataset("orrl"), ValueError, "did you mean orl"),
    ("dataset: not a name", lambda: load_dataset(3), TypeError, "got int"),
    ("dataset: unknown ending", lambda: load_dataset("faces.csv"), ValueError, "'faces.csv'"),
    ("dataset: no such file", lambda: load_dataset("nowhere/a.mat"), FileNotFoundError, "nowhere/a.mat"),
    (
        "dataset: option",
        lambda: load_dataset("digits", per_class=3),
        TypeError,
        "no option 'per_class'; its options are",
    ),
    ("dataset: no options", lambda: load_dataset("orl", seed=3), TypeError, "'orl' has no option 'seed'"),
    (
        "digits: n_per_class",
        lambda: load_dataset("digits", n_per_class=175),
        ValueError,
        "must be an integer from 1 to 174, got 175",
    ),
    (
        "digits: fraction",
        lambda: load_dataset("digits", n_per_class=2.5),
        TypeError,
        "must be an integer from 1 to 174, got 2.5",
    ),
    (
        "digits: seed",
        lambda: load_dataset("digits", seed=-1),
        ValueError,
        "seed must be an integer of at least 0, got -1",
    ),
    (
        "synthetic: n_samples",
        lambda: load_dataset("synthetic", n_samples=2),
        ValueError,
        "n_samples must be an integer of at least 3, got 2",
    ),
    (
        "synthetic: dim",
        lambda: load_dataset("synthetic", subspace_dim=31),
        ValueError,
        "must be an integer from 1 to 30, got 31",
    ),
    (
        "synthetic: noise",
        lambda: load_dataset("synthetic", noise=-0.1),
        ValueError,
        "noise must be a finite number >= 0",
    ),
    ("Dataset: no views", lambda: Dataset("x", [], n_clusters=1), ValueError, "at least one view"),
    ("Dataset: one array", lambda: Dataset("x", np.eye(3), n_clusters=1), TypeError, "list of arrays"),
    ("Dataset: sizes", lambda: Dataset("x", [np.eye(3), np.eye(4)], n_clusters=1), ValueError, "got [3, 4]"),
    ("Dataset: nan", lambda: Dataset("x", [np.full((2, 2), NAN)], n_clusters=1), ValueError, "view 0 must hold finite"),
    ("Dataset: 3-D", lambda: Dataset("x", [np.ones((2, 3, 4))], n_clusters=1), ValueError, "(2, 3, 4)"),
    ("Dataset: float labels", lambda: Dataset("x", [np.eye(2)], y=[0.0, 1.0]), ValueError, "y must be 2 integers"),
    ("Dataset: label", lambda: Dataset("x", [np.eye(2)], y=[0, 5], n_clusters=2), ValueError, "n_clusters = 2, got 5"),
    ("Dataset: no n_clusters", lambda: Dataset("x", [np.eye(2)]), ValueError, "n_clusters must be given"),
    (
        "Dataset: n_clusters",
        lambda: Dataset("x", [np.eye(2)], n_clusters=3),
        ValueError,
        "must be an integer from 1 to 2, got 3",
    ),
    (
        "Dataset: view names",
        lambda: Dataset("x", [np.eye(2)], n_clusters=1, view_names=["a", "b"]),
        ValueError,
        "view_names must be 1 strings",
    ),
    ("take: outside", lambda: load_dataset("digits").take([1797]), ValueError, "1797"),
    ("take: nothing", lambda: load_dataset("digits").take([]), ValueError, "indices must"),
    ("files: unknown", lambda: files.find_file("flies.mat"), ValueError, "unknown file 'flies.mat'"),
    ("readers: missing", lambda: readers.read_npz("nowhere.npz"), FileNotFoundError, "nowhere.npz"),
    (
        "views: edges of vectors",
        lambda: views.edge_map(np.eye(3)),
        ValueError,
        "images must be real numbers (N, C, H, W)",
    ),
    (
        "views: crop outside",
        lambda: views.crop(np.ones((1, 1, 4, 4)), (0, 2, 2, 3)),
        ValueError,
        "box (0, 2, 2, 3) must lie inside the 4×4 image",
    ),
    ("views: resize to nothing", lambda: views.resize(np.ones((1, 1, 4, 4)), (0, 2)), ValueError, "got (0, 2)"),
    ("views: long vectors", lambda: views.vectors_as_image(np.ones((1, 5)), (2, 2)), ValueError, "at least 5 values"),
    (
        "views: many words",
        lambda: views.words_as_image(np.ones((1, 10)), 3),
        ValueError,
        "at least 4 for 10 words, got 3",
    ),
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
    # metrics
    ("metrics: lengths", lambda: clustering_accuracy([0, 1, 1], [0, 1]), ValueError, "equally long, got 3 and 2"),
    ("metrics: no labels", lambda: nmi(None, [0, 1]), TypeError, "y_true is None: scores need labels"),
    ("metrics: fractions", lambda: ari([0.5, 1], [0, 1]), ValueError, "y_true must hold whole numbers"),
    ("metrics: empty", lambda: purity([], []), ValueError, "non-empty vector (N,), got shape (0,)"),
    ("metrics: one-hot", lambda: score(np.eye(3), [0, 1, 2]), ValueError, "got shape (3, 3)"),
    ("residual: array", lambda: self_expression_residual(np.ones((4, 2)), C), TypeError, "write [Z] for a single one"),
    ("residual: rows", lambda: self_expression_residual([np.ones((3, 2))], C), ValueError, "Zs[0] must have 4 rows"),
    ("residual: weights", lambda: self_expression_residual([np.ones((4, 2))], C, [-1]), ValueError, "got [-1.]"),
    ("eigengap: K", lambda: eigengap(C, 4), ValueError, "n_clusters must be an integer from 1 to 3, got 4"),
    # plots
    ("plots: labels", lambda: plots.show_coefficients(C, y=[0, 1]), ValueError, "4 samples, got shape (2,)"),
    ("plots: empty history", lambda: plots.show_history({}), ValueError, "at least one value, got {}"),
    ("plots: eigenvalues", lambda: plots.show_eigenvalues([0, 1], 2), ValueError, "more than n_clusters=2 numbers"),
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
    ("graph: vectors", lambda: plots.show_encoder([(5,), (5,)], Architecture(), []), ValueError, "needs image views"),
    (
        "graph: sizes",
        lambda: plots.show_encoder([(1, 8, 8), (1, 16, 16)], Architecture(), [Merge(0, (0, 1))]),
        ValueError,
        "needs maps of one size",
    ),
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
    # missing, noisy and occluded views
    ("masks: no list", lambda: Dataset("a", [ROWS], n_clusters=2, masks=3), TypeError, "masks must be a list of bool"),
    ("masks: one too few", lambda: Dataset("a", [ROWS] * 2, n_clusters=2, masks=[[True] * 6]), ValueError, "2 arrays"),
    ("masks: numbers", lambda: Dataset("a", [ROWS], n_clusters=2, masks=[[1] * 6]), ValueError, "6 bool"),
    (
        "masks: a sample without a view",
        lambda: Dataset("a", [ROWS] * 2, n_clusters=2, masks=[[True] * 5 + [False]] * 2),
        ValueError,
        "sample 5 has none",
    ),
    (
        "masks: a view without a sample",
        lambda: Dataset("a", [ROWS] * 2, n_clusters=2, masks=[[True] * 6, [False] * 6]),
        ValueError,
        "view 1 has none",
    ),
    ("corrupt: too many missing", lambda: corrupt(PAIR, missing=0.6), ValueError, "from 0 to 0.5 (2 views, of which"),
    ("corrupt: noise", lambda: corrupt(PAIR, noise=-1), ValueError, "noise must be a number from 0 to inf"),
    ("corrupt: endless noise", lambda: corrupt(PAIR, noise=float("inf")), ValueError, "noise must be finite"),
    (
        "corrupt: occlusion",
        lambda: corrupt(PAIR, occlusion="half"),
        ValueError,
        "occlusion must be a number from 0 to 1",
    ),
    ("corrupt: seed", lambda: corrupt(PAIR, noise=1, seed=-1), ValueError, "seed must be an integer of at least 0"),
    ("corrupt: twice", lambda: corrupt(corrupt(PAIR, missing=0.5), noise=1), ValueError, "lacks views already"),
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
    ("ssc: alpha", lambda: baselines.ssc(ROWS, alpha=0), ValueError, "alpha must be positive and finite, got 0"),
    ("ssc: one sample", lambda: baselines.ssc(ROWS[:1]), ValueError, "got shape (1, 3)"),
    ("ssc: images", lambda: baselines.ssc(ROWS[None]), ValueError, "dmsc.clustering.unit_rows"),
    (
        "lrr: penalty",
        lambda: baselines.lrr(ROWS, penalty=-1),
        ValueError,
        "penalty must be positive and finite, got -1",
    ),
    ("lrr: components", lambda: baselines.lrr(ROWS, n_components=0), ValueError, "n_components must be an integer"),
    ("lrr: text", lambda: baselines.lrr("abc"), TypeError, "real numbers, got dtype <U3"),
    ("omp: nothing", lambda: baselines.ssc_omp(ROWS, n_nonzero=0), ValueError, "n_nonzero must be an integer"),
    ("ridge: 0", lambda: baselines.ridge(ROWS, 0), ValueError, "ridge must be positive and finite, got 0"),
    ("kmeans: K", lambda: baselines.kmeans_coefficients(ROWS, 7), ValueError, "from 1 to 6, got 7"),
    ("graph: neighbors", lambda: baselines.graph_coefficients(ROWS, 6), ValueError, "from 1 to 5, got 6"),
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
