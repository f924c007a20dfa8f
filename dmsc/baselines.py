"""Classical subspace clustering of one matrix: every method turns X (N, D) into coefficients C (N, N), float64.

Samples are the rows of X, and X ≈ C X; `dmsc.spectral.read_labels` reads clusters off C, the same way for all. The
papers put samples in columns: their C is the transpose of ours. Penalties are meant for rows of unit length
(`dmsc.self_expression.unit_rows`); `np.hstack` makes one matrix of several views. A penalty of None is chosen by the
data, without labels (`choose_parameter`): for data that no paper gives a penalty for.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.linalg import eigh
from scipy.sparse import csr_array
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import enet_path
from sklearn.neighbors import kneighbors_graph
from sklearn.preprocessing import normalize

from .checks import SEED_LIMIT, integer, positive_number
from .self_expression import (
    LOCAL_RIDGE,
    RIDGES,
    choose_ridge,
    local_self_expression,
    nearest_neighbors,
    ridge_self_expression,
)
from .spectral import kmeans_labels

__all__ = [
    "ALGORITHMS", "CHOICES", "choose_alpha", "choose_n_nonzero", "choose_parameter", "choose_penalty",
    "chosen_parameters", "graph_coefficients", "kmeans_coefficients", "least_squares", "local_least_squares", "lrr",
    "ssc", "ssc_omp", "stopped_least_squares",
]  # fmt: skip

ACTIVE_SET_STEP = 60  # samples that join an active set of ssc at a time
GROWTH = 1.1  # of the weight of lrr's constraints, each step; nearer to 1 is nearer to the minimum, and slower

#: What is tried where a parameter is None: alpha of `ssc`, n_nonzero of `ssc_omp`, the penalty of `lrr` in multiples
#: of the one below which C is 0. Each begins with the C that has the fewest coefficients, or directions.
ALPHAS, N_NONZERO, MULTIPLES = (1.5, 3.0, 5.0, 10.0, 20.0), (5, 10, 20), (3, 6, 12, 25, 50, 100, 200, 400)
MAX_SAMPLES = 300  # that a choice looks at


def ssc(X: ArrayLike, alpha: float | None = 20.0, tol: float = 1e-6, max_iter: int = 100_000) -> np.ndarray:
    """Sparse subspace clustering: every sample is a combination of few others.

        min_C ‖C‖₁ + λ/2 ‖X − C X‖²_F   with diag(C) = 0,   λ = α/μ,   μ = min_i max_{j≠i} |xᵢᵀxⱼ|

    This is a Lasso per row. Row i is 0 if λ |xᵢᵀxⱼ| ≤ 1 for all j, which α > 1 rules out. Samples orthogonal to all
    others, such as rows of zeros, don't count in μ: their rows and columns of C are 0.

    The solver is scikit-learn's coordinate descent on an active set, grown until no sample outside breaks the condition
    of a minimum: on MNIST (N = 2000, D = 784, one core) 12 s to a relative duality gap of 3e-5, where the paper's ADMM,
    N³ a step, took 73 s to 4e-2. With all samples in each Lasso it takes five times as long (N = 1000).

    Parameters
    ----------
    X : array (N, D)
    alpha : float or None
        Weight of the error, whatever the scale of X. None: `choose_alpha`.
    tol : float
        Duality gap of a row on its active set, relative to its objective at 0; outside the set, correlations may exceed
        1/λ by a share of √tol.
    max_iter : int
        Sweeps of coordinate descent over an active set; where they don't suffice, one ConvergenceWarning says so.

    Returns
    -------
    C : array (N, N)

    References
    ----------
    Elhamifar & Vidal, "Sparse Subspace Clustering: Algorithm, Theory, and Applications", TPAMI 2013, eq. 13 without
    outliers and eq. 14; You et al., "Oracle Based Active Set Algorithm", CVPR 2016, algorithm 1 (the active set).
    """
    X = _samples(X)
    tol, max_iter = positive_number("tol", tol, at_most=1), integer("max_iter", max_iter, 1)
    alpha = positive_number("alpha", choose_alpha(X, tol=tol, max_iter=max_iter) if alpha is None else alpha)
    G = X @ X.T  # (N, N)
    C = np.zeros_like(G)
    nearest = np.abs(G - np.diag(G.diagonal())).max(axis=1)
    nearest = nearest[nearest > 1e-12 * G.max()]
    if not len(nearest):  # no sample is of use to another
        return C
    threshold, unfinished = nearest.min() / alpha, 0  # 1/λ = μ/α; number of rows
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # one for all rows comes below
        for i in range(len(X)):
            active, c, sweeps = np.empty(0, dtype=int), np.empty(0), 0
            while True:
                correlation = np.abs(G[i] - c @ G[active])  # (N,), |(xᵢ − cX) · xⱼ|: at the minimum ≤ 1/λ where c is 0
                correlation[active] = correlation[i] = 0
                worst = np.argsort(-correlation, kind="stable")[:ACTIVE_SET_STEP]
                worst = worst[correlation[worst] > (1 + np.sqrt(tol)) * threshold]
                if not len(worst):
                    break
                active, c = np.r_[active[c != 0], worst], np.r_[c[c != 0], np.zeros(len(worst))]
                Q = G[np.ix_(active, active)]  # in the place of X, whose shape alone matters beside a Gram matrix
                _, c, _, (sweeps,) = enet_path(
                    Q, X[i], l1_ratio=1.0, alphas=[threshold / len(Q)], precompute=Q, Xy=G[i, active], coef_init=c,
                    tol=tol / 2, max_iter=max_iter, return_n_iter=True, check_input=False,
                )  # fmt: skip
                c = c[:, 0]
                if not c[-len(worst) :].any():  # they don't help at this tolerance
                    break
            C[i, active] = c
            unfinished += sweeps == max_iter
    if unfinished:
        _warn(f"ssc: {unfinished} of {len(X)} rows", max_iter, tol)
    return C


def lrr(
    X: ArrayLike,
    penalty: float | None = 0.1,
    n_components: int | None = None,
    tol: float = 1e-6,
    max_iter: int = 1000,
) -> np.ndarray:
    """Low-rank representation: all samples use few directions together, and whole samples may be wrong.

        min_{C,E} ‖C‖_* + penalty ‖E‖₂,₁   subject to X = C X + E

    ‖C‖_* is the sum of the singular values, ‖E‖₂,₁ that of the rows' lengths. With X = U S Vᵀ of rank r the solution is
    C = W Uᵀ, and the rows of E = F Vᵀ lie in the row space of X. So nothing larger than (N, r) is iterated, by the
    inexact augmented Lagrangian method (ALM):

        min_{W,F} ‖W‖_* + penalty ‖F‖₂,₁   subject to U S = W S + F

    If F = 0, C is the shape interaction matrix U Uᵀ. The diagonal is free. Rows of zeros have rows and columns of
    zeros.

    Parameters
    ----------
    X : array (N, D)
    penalty : float or None
        Of the errors, per unit of X. C is 0 up to about l / s², where l is the length of the longest row and s the
        largest singular value. None: `choose_penalty`.
    n_components : int, optional
        Keep so many leading singular directions of X: a step costs r³ + N r². On BDGP (N = 2500, D = 3528, one core)
        all take 80 s, 300 take 5 s.
    tol : float
        Largest violation of a constraint, relative to the longest row of X.
    max_iter : int
        Steps of the ALM; where they don't suffice, a ConvergenceWarning says so.

    Returns
    -------
    C : array (N, N)

    References
    ----------
    Liu et al., "Robust Recovery of Subspace Structures by Low-Rank Representation", TPAMI 2013, section 4, algorithm 1.
    """
    X = _samples(X)
    tol, max_iter = positive_number("tol", tol, at_most=1), integer("max_iter", max_iter, 1)
    if penalty is None:
        penalty = choose_penalty(X, n_components=n_components, tol=tol, max_iter=max_iter)
    penalty = positive_number("penalty", penalty)
    r = min(X.shape) if n_components is None else min(*X.shape, integer("n_components", n_components, 1))
    scale = np.linalg.norm(X, axis=1).max() or 1.0
    X, penalty = X / scale, penalty * scale
    squares, U = eigh(X @ X.T, subset_by_index=[len(X) - r, len(X) - 1])
    kept = squares > 1e-12 * squares[-1]  # singular values above 1e-6 of the largest: below is rounding
    U, S = U[:, kept] * X.any(axis=1, keepdims=True), np.sqrt(squares[kept])  # (N, r), (r,)

    W, J, Y, Q = np.zeros((4, *U.shape))  # J is a copy of W; Y and Q are multipliers, all (N, r)
    weight = 0.1
    for _ in range(max_iter):
        J = _shrink_singular_values(W + Q / weight, 1 / weight)
        F = _shrink_rows((U - W) * S + Y / weight, penalty / weight)
        W = ((U * S - F + Y / weight) * S + J - Q / weight) / (1 + S**2)  # least squares: W (1 + S²) = …
        misfit, split = (U - W) * S - F, W - J  # U S = W S + F and W = J, violated by so much
        Y, Q, weight = Y + weight * misfit, Q + weight * split, weight * GROWTH
        if max(np.abs(misfit).max(initial=0), np.abs(split).max(initial=0)) < tol:
            break
    else:
        _warn("lrr", max_iter, tol)
    return J @ U.T


def _shrink_singular_values(A: np.ndarray, threshold: float) -> np.ndarray:
    """Minimize threshold ‖J‖_* + ½‖J − A‖²: singular values move towards 0 by the threshold."""
    squares, V = eigh(A.T @ A)  # (r,), (r, r)
    V, sigma = V[:, squares > threshold**2], np.sqrt(squares[squares > threshold**2])
    return (A @ (V * (1 - threshold / sigma))) @ V.T


def _shrink_rows(A: np.ndarray, threshold: float) -> np.ndarray:
    """Minimize threshold ‖F‖_{2,1} + ½‖F − A‖²: rows become shorter by the threshold."""
    return A * (1 - threshold / np.maximum(np.linalg.norm(A, axis=1, keepdims=True), threshold))


def ssc_omp(X: ArrayLike, n_nonzero: int | None = 10, tol: float = 1e-6) -> np.ndarray:
    """Sparse subspace clustering by orthogonal matching pursuit, the greedy way to few coefficients.

        min_{cᵢ} ‖xᵢ − cᵢ X‖²   subject to ‖cᵢ‖₀ ≤ n_nonzero, Cᵢᵢ = 0

    Per row: the sample that correlates most with the residual joins the support, then least squares on the support. All
    rows step together: scikit-learn's `orthogonal_mp_gram` copies a Gram matrix per row, and has one stop, not both.
    Rows of zeros have rows and columns of zeros.

    Parameters
    ----------
    X : array (N, D)
    n_nonzero : int or None
        Coefficients per row at most. None: `choose_n_nonzero`.
    tol : float
        A row is done when its residual is below tol times its length; below 1e-6 rounding decides.

    Returns
    -------
    C : array (N, N)

    References
    ----------
    You et al., "Scalable Sparse Subspace Clustering by Orthogonal Matching Pursuit", CVPR 2016, algorithm 2.
    """
    X = _samples(X)
    tol = positive_number("tol", tol, at_most=1)
    n_nonzero = integer("n_nonzero", choose_n_nonzero(X, tol=tol) if n_nonzero is None else n_nonzero, 1)
    G = X @ X.T
    C, squares, rows = np.zeros_like(G), G.diagonal(), np.flatnonzero(G.diagonal())
    support, residual, correlation = np.empty((len(rows), 0), dtype=int), squares[rows], G[rows]
    for _ in range(min(n_nonzero, len(X) - 1)):
        np.put_along_axis(correlation, np.column_stack([rows, support]), 0, axis=1)
        best = np.abs(correlation).argmax(axis=1)
        gain = correlation[np.arange(len(rows)), best] ** 2
        going = (residual > tol**2 * squares[rows]) & (gain > 1e-12 * residual * squares[best])
        rows, support = rows[going], np.column_stack([support, best])[going]  # (n,), (n, k)
        if not len(rows):
            break
        b = G[rows[:, None], support]  # (n, k), inner products with the support; least squares: G_support c = b
        c = np.linalg.solve(G[support[:, :, None], support[:, None, :]], b[:, :, None])[:, :, 0]
        C[rows[:, None], support] = c
        residual = squares[rows] - (c * b).sum(axis=1)  # ‖r_i‖²
        correlation = G[rows] - csr_array(C[rows]) @ G  # r_i · x_j
    return C


def least_squares(X: ArrayLike, ridge: float | None = None) -> np.ndarray:
    """Least squares regression, the closed form of EDSC (see `dmsc.ridge_self_expression`).

        min_C ‖X − C X‖²_F + ridge ‖C‖²_F   with diag(C) = 0

    Parameters
    ----------
    X : array (N, D)
    ridge : float, optional
        The penalty; `dmsc.self_expression.choose_ridge` chooses it if left out, for which X needs two features.

    Returns
    -------
    C : array (N, N)

    References
    ----------
    Lu et al., "Robust and Efficient Subspace Segmentation via Least Squares Regression", ECCV 2012, eq. 14.
    """
    X = _samples(X)
    return ridge_self_expression([X], choose_ridge([X]) if ridge is None else ridge).numpy()


def local_least_squares(
    X: ArrayLike, n_neighbors: int = 20, ridge: float = LOCAL_RIDGE, neighbors: str = "cosine"
) -> np.ndarray:
    """Least squares regression on the nearest neighbors of each sample (see `dmsc.self_expression`).

        min_{cᵢ} ‖xᵢ − Σ_{j ∈ N(i)} cᵢⱼ xⱼ‖² + ridge ‖cᵢ‖²    with rows xᵢ brought to unit length

    Parameters
    ----------
    X : array (N, D)
    n_neighbors : int
        k, at most N − 1.
    ridge : float
        The penalty.
    neighbors : {"cosine", "coefficients"}
        By what they are the nearest, see `dmsc.self_expression.nearest_neighbors`.

    Returns
    -------
    C : array (N, N)

    References
    ----------
    Roweis & Saul, "Nonlinear Dimensionality Reduction by Locally Linear Embedding", Science 2000.
    """
    rows = [normalize(_samples(X))]
    n_neighbors = min(integer("n_neighbors", n_neighbors, 1), len(rows[0]) - 1)
    return local_self_expression(rows, nearest_neighbors(rows, n_neighbors, by=neighbors), ridge).numpy()


def stopped_least_squares(
    X: ArrayLike, ridge: float | None = None, epochs: int = 100, init: float = 1e-4, learning_rate: float = 1e-3
) -> np.ndarray:
    """Least squares regression that is not solved: Adam's steps from a constant C, as many as the networks get.

    The problem of `least_squares`, on the way to its minimum. What it has over the minimum is the work of stopping
    early; what a network has over it is the network's own.

    Parameters
    ----------
    X : array (N, D)
    ridge : float, optional
        The penalty, as in `least_squares`.
    epochs : int
        Steps.
    init : float
        Start of every entry of C.
    learning_rate : float
        Adam's.

    Returns
    -------
    C : array (N, N)

    References
    ----------
    After Haeffele, You, Vidal, "A Critique of Self-Expressive Deep Subspace Clustering", ICLR 2021.
    """
    X = _samples(X)
    ridge = positive_number("ridge", choose_ridge([X]) if ridge is None else ridge)
    G = torch.from_numpy(X @ X.T)  # (N, N)
    C = torch.full_like(G, float(init)).fill_diagonal_(0)
    optimizer = torch.optim.Adam([C], positive_number("learning_rate", learning_rate))
    for _ in range(integer("epochs", epochs, 0)):
        C.grad = (2 * (C @ G - G + ridge * C)).fill_diagonal_(0)  # of ‖X − C X‖² + ridge ‖C‖²
        optimizer.step()
    return C.numpy()


def kmeans_coefficients(X: ArrayLike, n_clusters: int, seed: int = 0) -> np.ndarray:
    """k-means seen as self-expression: C averages each sample over its cluster.

        min_H ‖X − C X‖²_F   with C = H (HᵀH)⁻¹ Hᵀ

    H (N, K) holds a single 1 in each row, in the column of the sample's cluster; C X are the centers. The clusters of C
    are those of k-means (ten starts).

    References
    ----------
    Ding, He, Simon, "On the Equivalence of Nonnegative Matrix Factorization and Spectral Clustering", SDM 2005.
    """
    X = _samples(X)
    labels = kmeans_labels(X, integer("n_clusters", n_clusters, 1, len(X)), integer("seed", seed, 0, SEED_LIMIT))
    return (labels[:, None] == labels) / np.bincount(labels)[labels]


def graph_coefficients(X: ArrayLike, n_neighbors: int = 10) -> np.ndarray:
    """Spectral clustering of the features: Cᵢⱼ = 1 if xⱼ is one of the `n_neighbors` nearest to xᵢ, else 0.

    Rows of zeros are left out: they would be neighbors of everyone.

    References
    ----------
    von Luxburg, "A Tutorial on Spectral Clustering", 2007, section 2.2.
    """
    X = _samples(X)
    n_neighbors = integer("n_neighbors", n_neighbors, 1, len(X) - 1)
    C, used = np.zeros((len(X), len(X))), np.flatnonzero(X.any(axis=1))
    if len(used) > 1:
        C[np.ix_(used, used)] = kneighbors_graph(X[used], min(n_neighbors, len(used) - 1)).toarray()
    return C


def choose_parameter(
    algorithm: Callable[[np.ndarray, Any], np.ndarray], X: ArrayLike, candidates: Sequence[Any], seed: int = 0
) -> Any:
    """Choose a parameter of a method without labels: by how well C expresses features that it was not fitted to.

    The features are split at random into halves A and B. C is fitted to A, and judged by ‖X_B - C X_B‖²_F with its
    diagonal left out, as a sample tells nothing about itself: `lrr` nears C = I as its penalty grows, and that has no
    error. Candidates are tried in their order until the error rises. Not more than 300 samples, drawn at random, are
    looked at.

    Parameters
    ----------
    algorithm : callable
        ``algorithm(X, candidate)`` is C.
    X : array (N, D)
        With two features at least.
    candidates : sequence
        From few coefficients to many. They should mean the same at any scale and for any N.
    seed : int
        Of the split and the sample.

    Returns
    -------
    One of the candidates.

    Notes
    -----
    As `dmsc.self_expression.choose_ridge`, for any method. It takes the C that predicts best, which need not be the one
    with the best clusters: where features are nearly copies of each other (pixels), it takes many coefficients.
    """
    X, rng = _samples(X), np.random.default_rng(seed)
    if X.shape[1] < 2:
        raise ValueError(f"a choice without labels needs two features, got X of shape {X.shape}: give a value")
    X = X[rng.permutation(len(X))[:MAX_SAMPLES]]
    seen, unseen = np.array_split(X[:, rng.permutation(X.shape[1])], 2, axis=1)
    chosen, least = candidates[0], np.inf
    for candidate in candidates:
        C = algorithm(seen, candidate)
        error = ((unseen - (C - np.diag(C.diagonal())) @ unseen) ** 2).sum()
        if error >= least:
            break
        chosen, least = candidate, error
    return chosen


def choose_alpha(X: ArrayLike, **options: Any) -> float:
    """Choose alpha of `ssc`, with its other options as given; see `choose_parameter`."""
    return choose_parameter(lambda Z, alpha: ssc(Z, alpha, **options), X, ALPHAS)


def choose_n_nonzero(X: ArrayLike, **options: Any) -> int:
    """Choose n_nonzero of `ssc_omp`, with its other options as given; see `choose_parameter`."""
    return choose_parameter(lambda Z, n_nonzero: ssc_omp(Z, n_nonzero, **options), X, N_NONZERO)


def choose_penalty(X: ArrayLike, **options: Any) -> float:
    """Choose the penalty of `lrr`, with its other options as given; see `choose_parameter`.

    What is chosen is a multiple of l / s² (see `lrr`): that is the same for any N and any unit.
    """
    multiple = choose_parameter(lambda Z, m: lrr(Z, m * _least_penalty(Z), **options), X, MULTIPLES)
    return multiple * _least_penalty(_samples(X))


def _least_penalty(X: np.ndarray) -> float:
    """About the largest penalty with which lrr's C is 0; for X = 0, where it always is, 1."""
    G = X @ X.T if len(X) < X.shape[1] else X.T @ X
    (largest,) = eigh(G, eigvals_only=True, subset_by_index=[len(G) - 1, len(G) - 1])  # s²
    return float(np.linalg.norm(X, axis=1).max() / largest) if largest > 0 else 1.0


def chosen_parameters(algorithm: str, X: ArrayLike, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the parameter that is None in ``parameters`` but would be chosen (`CHOICES`), with its value for X."""
    name, choose = CHOICES.get(algorithm, ("", None))
    if choose is None or parameters.get(name, "given") is not None:
        return {}
    return {name: choose(X, **{other: value for other, value in parameters.items() if other != name})}


def _samples(X: ArrayLike) -> np.ndarray:
    """X as a float64 matrix (N, D), or what is wrong with it."""
    X = np.asarray(X)
    if X.dtype.kind not in "bfiu":
        raise TypeError(f"X must be a matrix of real numbers, got dtype {X.dtype}")
    if X.ndim != 2 or len(X) < 2 or X.shape[1] < 1:
        raise ValueError(
            f"X must be one matrix (N, D) with N ≥ 2, got shape {X.shape}: see dmsc.self_expression.unit_rows"
        )
    if not np.isfinite(X).all():
        row, column = np.argwhere(~np.isfinite(X))[0]
        raise ValueError(f"X must be finite, got {X[row, column]} at row {row}, column {column}")
    return X.astype(np.float64)


def _warn(who: str, max_iter: int, tol: float) -> None:
    text = f"{who} did not reach tol={tol:g} in max_iter={max_iter} steps: raise one of them"
    warnings.warn(text, ConvergenceWarning, stacklevel=3)


def _without_clusters(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """Let a method that needs neither K nor a seed be called as those in `ALGORITHMS` are."""

    def call(X: ArrayLike, *, n_clusters: int, seed: int = 0, **parameters: Any) -> np.ndarray:
        return function(X, **parameters)

    return call


#: The methods by name: `ALGORITHMS[name](X, n_clusters=K, seed=seed, **parameters)` is C (N, N).
ALGORITHMS: dict[str, Callable[..., np.ndarray]] = {
    "ssc": _without_clusters(ssc),
    "lrr": _without_clusters(lrr),
    "ssc-omp": _without_clusters(ssc_omp),
    "ridge": _without_clusters(least_squares),
    "local": _without_clusters(local_least_squares),
    "ridge-stopped": _without_clusters(stopped_least_squares),
    "kmeans": kmeans_coefficients,
    "spectral": _without_clusters(graph_coefficients),
}

#: Of each method that has one: the parameter that is chosen where it is None, and how: ``choose(X, **others)``. X has
#: unit rows of all views side by side; candidates of the ridge stay those of one view.
CHOICES: dict[str, tuple[str, Callable[..., Any]]] = {
    "ssc": ("alpha", choose_alpha),
    "lrr": ("penalty", choose_penalty),
    "ssc-omp": ("n_nonzero", choose_n_nonzero),
    "ridge": ("ridge", lambda X, **others: choose_ridge([X], RIDGES)),
    "ridge-stopped": ("ridge", lambda X, **others: choose_ridge([X], RIDGES)),
}
