"""What notebooks build from scratch, held against dmsc: cells tagged "from-scratch", and the pages without them."""

from __future__ import annotations

import ast
import json

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

import dmsc
import dmsc.baselines
from dmsc.losses import LossWeights, finetuning_terms
from dmsc.networks import Architecture, Conv
from dmsc.paths import ROOT

NOTEBOOKS = ROOT / "notebooks"


def code_cells(notebook_name):
    """Return the sources of a notebook's code cells, and which of them are tagged "from-scratch"."""
    cells = json.loads((NOTEBOOKS / f"{notebook_name}.ipynb").read_text(encoding="utf-8"))["cells"]
    cells = [cell for cell in cells if cell["cell_type"] == "code"]
    tagged = ["from-scratch" in cell["metadata"].get("tags", []) for cell in cells]
    return ["".join(cell["source"]) for cell in cells], tagged


PAGES = [path.stem for path in sorted(NOTEBOOKS.glob("*.ipynb")) if any(code_cells(path.stem)[1])]


def from_scratch_cells(notebook_name):
    """Return what the tagged cells of a notebook import and define; what else they do needs the page."""
    sources, tagged = code_cells(notebook_name)
    names = {"np": np, "torch": torch, "KMeans": KMeans}
    for source, is_tagged in zip(sources, tagged, strict=True):
        body = ast.parse(source).body if is_tagged else []
        kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
        definitions = [statement for statement in body if isinstance(statement, kinds)]
        exec(compile(ast.Module(definitions, []), notebook_name, "exec"), names)
    return names


def names_in(source, context):
    return {
        node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name) and isinstance(node.ctx, context)
    }


def defined_in(source):
    """Names that a cell leaves behind, more or less: those inside of functions are among them."""
    nodes = list(ast.walk(ast.parse(source)))
    functions = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    imports = {
        a.asname or a.name for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom)) for a in node.names
    }
    return functions | imports | names_in(source, ast.Store)


def test_some_pages_have_from_scratch_cells():
    assert {"02_self_expression", "03_spectral_clustering"} <= set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_no_name_of_a_from_scratch_cell_is_used_outside_of_them(page):
    """What students are to write, a release takes out: the rest of the page goes on with the package."""
    sources, tagged = code_cells(page)
    of_tagged, of_others, used = set(), set(), set()
    for source, is_tagged in zip(sources, tagged, strict=True):
        (of_tagged if is_tagged else of_others).update(defined_in(source))
        used |= set() if is_tagged else names_in(source, ast.Load)
    assert not (of_tagged - of_others) & used


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs_without_its_from_scratch_cells(page, monkeypatch):
    monkeypatch.chdir(NOTEBOOKS)
    monkeypatch.setattr(plt, "show", plt.close)
    sources, tagged = code_cells(page)
    names = {"__name__": "__main__", "display": lambda *shown: None}
    backend = mpl.get_backend()
    plt.switch_backend("Agg")
    try:
        with mpl.rc_context():
            for source, is_tagged in zip(sources, tagged, strict=True):
                if not is_tagged:
                    exec(compile(source, page, "exec"), names)
    finally:
        plt.close("all")
        plt.switch_backend(backend)


@pytest.fixture(scope="module")
def self_expression():
    return from_scratch_cells("02_self_expression")


@pytest.fixture
def X():
    return np.random.default_rng(0).normal(size=(15, 6))


@pytest.mark.parametrize("way", ["row_by_row", "inverse_trick"])
@pytest.mark.parametrize("ridge", [0.01, 1.0, 50.0])
def test_02_closed_forms_equal_dmsc(self_expression, X, way, ridge):
    C = self_expression[way](X, ridge)
    np.testing.assert_allclose(C, dmsc.ridge_self_expression([X], ridge).numpy(), atol=1e-9)


def test_02_gradient_descent_takes_the_layers_steps(self_expression, X):
    iterates = self_expression["gradient_descent"](X, 0.7, 5)
    Z, step = torch.tensor(X), 1 / (2 * np.linalg.norm(X, 2) ** 2 + 2 * 0.7)
    layer = dmsc.SelfExpression(len(X), init=0.0, zero_diagonal=True).double()
    optimizer = torch.optim.SGD(layer.parameters(), lr=step)
    for C in iterates:
        optimizer.zero_grad()
        ((Z - layer(Z)).square().sum() + 0.7 * layer.norm(2)).backward()
        optimizer.step()
        np.testing.assert_allclose(C, layer.coefficients.numpy(), atol=1e-12)


def test_02_gradient_descent_converges_as_fast_as_promised(self_expression, X):
    ridge, steps = 2.0, 200
    C = dmsc.ridge_self_expression([X], ridge).numpy()
    distance = [np.linalg.norm(C_t - C) for C_t in self_expression["gradient_descent"](X, ridge, steps)]
    promised = np.linalg.norm(C) * (1 - ridge / (np.linalg.norm(X, 2) ** 2 + ridge)) ** np.arange(1, steps + 1)
    assert (distance <= promised + 1e-12).all()
    assert distance[-1] < 1e-3 * distance[0]


@pytest.mark.parametrize("alpha", [2.0, 10.0])
def test_02_proximal_gradient_reaches_ssc(self_expression, X, alpha):
    C = self_expression["proximal_gradient"](X, alpha, 20_000)
    np.testing.assert_allclose(C, dmsc.baselines.ssc(X, alpha, tol=1e-12), atol=1e-6)


@pytest.fixture(scope="module")
def spectral():
    return from_scratch_cells("03_spectral_clustering")


@pytest.fixture
def C():
    """Coefficients of noisy points on three lines: dense, signed, not symmetric."""
    rng = np.random.default_rng(1)
    directions, places = np.eye(5)[np.repeat([0, 1, 2], 12)], rng.uniform(0.5, 1.5, 36) * rng.choice([-1, 1], 36)
    X = places[:, None] * directions + 0.05 * rng.normal(size=(36, 5))
    return dmsc.ridge_self_expression([X], 1.0).numpy()


@pytest.mark.parametrize("n_components", [2, 3, 6])
def test_03_seven_steps_equal_dmsc(spectral, C, n_components):
    W = dmsc.build_affinity(C)
    eigenvalues, F, labels = spectral["seven_steps"](W, n_components, 3, seed=0)
    expected_eigenvalues, expected_F = dmsc.spectral_embedding(W, n_components)
    np.testing.assert_allclose(eigenvalues, expected_eigenvalues, atol=1e-10)
    np.testing.assert_allclose(F @ F.T, expected_F @ expected_F.T, atol=1e-8)
    if n_components == 3:  # an easy graph: both find the lines
        assert dmsc.metrics.ari(labels, dmsc.spectral_clustering(W, 3)) == 1
        assert dmsc.metrics.ari(labels, np.repeat([0, 1, 2], 12)) == 1


@pytest.mark.parametrize("ratio", [0.05, 0.4, 0.9, 1])
def test_03_threshold_equals_dmsc(spectral, C, ratio):
    np.testing.assert_array_equal(spectral["threshold"](C, ratio), dmsc.threshold_coefficients(C, ratio))


@pytest.mark.parametrize(("d", "alpha"), [(1, 1.0), (3, 4.0), (20, 8.0)])  # 20: more directions than samples
def test_03_papers_affinity_equals_dmsc(spectral, C, d, alpha):
    W = dmsc.build_affinity(C, "subspace", n_clusters=3, dim=d, alpha=alpha)
    np.testing.assert_allclose(spectral["papers_affinity"](C, 3, d, alpha), W, atol=1e-8)


@pytest.fixture(scope="module")
def by_hand():
    return from_scratch_cells("04_dsc_networks")


@pytest.fixture(params=[(12, 20), (5, 7)], ids=lambda param: f"{param[0]} samples, {param[1]} channels")
def twins(by_hand, request):
    """The page's modules and the package's network with the same random weights, in double precision."""
    n_samples, channels = request.param
    autoencoder, layer = by_hand["Autoencoder"](channels), by_hand["SelfExpressionLayer"](n_samples)
    architecture = Architecture((Conv(channels, 3, 2),), output_activation="relu")
    package = dmsc.SubspaceNetwork([(1, 8, 8)], n_samples, architecture)
    pairs = [*zip([*autoencoder.parameters(), *layer.parameters()], package.parameters(), strict=True)]
    rng = np.random.default_rng(n_samples)
    for module in (autoencoder, layer, package):
        module.double()
    for mine, theirs in pairs:
        mine.data = torch.tensor(0.3 * rng.normal(size=mine.shape))
        theirs.data = mine.data.clone()
    return autoencoder, layer, package, pairs, torch.tensor(rng.uniform(size=(n_samples, 1, 8, 8)))


def test_04_parameters_are_dmscs(by_hand):
    torch.manual_seed(0)
    autoencoder, layer = by_hand["Autoencoder"](), by_hand["SelfExpressionLayer"](9)
    torch.manual_seed(0)
    package = dmsc.SubspaceNetwork([(1, 8, 8)], 9, dmsc.preset("dsc-l2", "digits", 4).architecture)
    theirs = [*package.encoders.parameters(), *package.decoders.parameters(), package.self_expression.weight]
    mine = [*autoencoder.parameters(), *layer.parameters()]
    assert [p.shape for p in mine] == [p.shape for p in theirs]
    largest = [[float(p.detach().abs().max()) for p in parameters] for parameters in (mine, theirs)]
    assert largest[0] == pytest.approx(largest[1], rel=0.05)  # Xavier's bound, zero biases, 1e-4


def test_04_outputs_equal_dmsc(twins):
    autoencoder, layer, package, _, X = twins
    Z = autoencoder.encode(X)
    ((theirs,), (theirs_hat,), (X_hat,)) = package([X])
    pixels_innermost = Z.unflatten(1, (-1, 4, 4)).movedim(1, -1).flatten(1)  # the order of the package's latents
    torch.testing.assert_close(pixels_innermost, theirs)
    torch.testing.assert_close(layer(Z).square().sum(1), theirs_hat.square().sum(1))
    torch.testing.assert_close(autoencoder.decode(layer(Z)), X_hat)
    torch.testing.assert_close(autoencoder.decode(Z), package.autoencode([X])[0])
    assert (X_hat > 0).any() and (X_hat == 0).any()  # the last ReLU has something to do


def test_04_loss_terms_and_gradients_equal_dmsc(by_hand, twins):
    autoencoder, layer, package, pairs, X = twins
    mine = by_hand["loss_terms"](autoencoder, layer, X, lambda_1=0.7, lambda_2=1.3)
    weights = LossWeights(lambda_regularization=0.7, lambda_self_expression=1.3)
    theirs = finetuning_terms(package, [X], weights)
    assert {name: term.item() for name, term in mine.items()} == pytest.approx(
        {name: term.item() for name, term in theirs.items()}, rel=1e-12
    )
    for terms in (mine, theirs):
        sum(terms.values()).backward()
    for p, q in pairs:
        assert p.grad.abs().max() > 0
        torch.testing.assert_close(p.grad, q.grad)
