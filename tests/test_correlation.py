"""Canonical correlations and their deficit, against textbook formulas, QR and finite differences."""

import numpy as np
import pytest
import scipy.linalg
import torch
from bad_input import by_name, one_clear_error

from dmsc.correlation import Correlation, canonical_correlations, correlation_deficit


def views(*widths, n_samples=40, seed=0):
    """Float64 views that share two factors."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(n_samples, 2))
    return [
        torch.tensor(shared @ rng.normal(size=(2, p)) + rng.normal(size=(n_samples, p)) + rng.normal(size=p))
        for p in widths
    ]


def by_eigenvalues(A, B, ridge):
    """Their squares are the eigenvalues of S_AB S_BB^-1 S_BA with respect to S_AA."""
    p, S = A.shape[1], np.cov(A, B, rowvar=False)
    S_AA, S_AB, S_BB = S[:p, :p], S[:p, p:], S[p:, p:]
    S_AA = S_AA + ridge * np.mean(np.diag(S_AA)) * np.eye(len(S_AA))
    S_BB = S_BB + ridge * np.mean(np.diag(S_BB)) * np.eye(len(S_BB))
    squares = scipy.linalg.eigh(S_AB @ np.linalg.solve(S_BB, S_AB.T), S_AA, eigvals_only=True)
    return np.sqrt(squares[::-1].clip(0))[: min(A.shape[1], B.shape[1])]


def by_qr(A, B):
    """Without a ridge they are the cosines between the two spaces of centered columns."""
    Q_A, Q_B = (np.linalg.qr(Z - Z.mean(0))[0] for Z in (A, B))
    return np.linalg.svd(Q_A.T @ Q_B, compute_uv=False)


@pytest.mark.parametrize("ridge", [1e-3, 0.5])
@pytest.mark.parametrize("widths", [(4, 4), (3, 6), (6, 3), (1, 1)])
def test_equal_the_generalized_eigenvalues(widths, ridge):
    A, B = views(*widths)
    found = canonical_correlations(A, B, ridge)
    assert found.shape == (min(widths),) and found.dtype == torch.float64
    np.testing.assert_allclose(found, by_eigenvalues(A.numpy(), B.numpy(), ridge), atol=1e-9)


@pytest.mark.parametrize("widths", [(4, 4), (3, 6)])
def test_with_a_vanishing_ridge_equal_qr_and_svd(widths):
    A, B = views(*widths)
    np.testing.assert_allclose(canonical_correlations(A, B, 1e-12), by_qr(A.numpy(), B.numpy()), atol=1e-9)


def test_of_single_features_is_pearsons_correlation():
    A, B = views(1, 1)
    pearson = abs(np.corrcoef(A[:, 0], B[:, 0])[0, 1])
    assert canonical_correlations(A, B, 1e-12).item() == pytest.approx(pearson)


def test_scale_and_place_play_no_role():
    A, B = views(4, 3)
    expected = canonical_correlations(A, B, 0.1)
    torch.testing.assert_close(canonical_correlations(1e6 * A - 3, 1e-5 * B + 7, 0.1), expected, rtol=1e-6, atol=0)


def test_linear_maps_play_no_role_without_a_ridge():
    A, B = views(4, 3)
    rng = np.random.default_rng(1)
    mixed = [Z @ torch.tensor(rng.normal(size=(Z.shape[1],) * 2)) for Z in (A, B)]
    torch.testing.assert_close(canonical_correlations(*mixed, 1e-12), canonical_correlations(A, B, 1e-12))
    assert (canonical_correlations(*mixed, 0.5) - canonical_correlations(A, B, 0.5)).abs().max() > 0.01


@pytest.mark.parametrize("n_samples", [2, 4, 8])
def test_fewer_samples_than_features(n_samples):
    """N centered samples span N - 1 dimensions: in those every correlation is 1 but for the ridge, in others 0."""
    A, B = views(8, 9, n_samples=n_samples)
    found = canonical_correlations(A, B, 1e-6)
    assert ((found >= 0) & (found <= 1)).all()
    assert (found[: n_samples - 1] > 0.99).all() and (found[n_samples - 1 :] < 1e-3).all()
    np.testing.assert_allclose(found, by_eigenvalues(A.numpy(), B.numpy(), 1e-6), atol=1e-4)  # roots of rounding errors


def test_a_view_correlates_with_itself_as_the_ridge_allows():
    """Along a direction of variance s the correlation is s / (s + ridge * mean variance)."""
    (A,) = views(4)
    variances = np.linalg.eigvalsh(np.cov(A, rowvar=False))[::-1]
    expected = variances / (variances + 0.1 * variances.mean())
    np.testing.assert_allclose(canonical_correlations(A, A, 0.1), expected)


def test_deficit_counts_every_pair_of_views():
    projected = views(4, 4, 4)
    settings = Correlation(projection_dim=4, n_correlations=3, covariance_ridge=0.01)
    pairs = [(0, 1), (0, 2), (1, 2)]
    sums = [by_eigenvalues(projected[i].numpy(), projected[j].numpy(), 0.01)[:3].sum() for i, j in pairs]
    assert correlation_deficit(projected, settings).item() == pytest.approx(3 * 3 - sum(sums))
    assert correlation_deficit(projected[:1], settings).item() == 0


def test_weight_of_the_term_is_not_in_the_deficit():
    projected = views(4, 4)
    light, heavy = (Correlation(lambda_correlation=weight, projection_dim=4, n_correlations=2) for weight in (0.0, 9.0))
    assert correlation_deficit(projected, light) == correlation_deficit(projected, heavy)


def test_masks_leave_the_samples_that_have_both():
    projected = views(3, 3, 3, n_samples=12)
    has = np.ones((3, 12), dtype=bool)
    has[0, :3] = has[1, 2:5] = has[2, 9:] = False
    settings = Correlation(projection_dim=3, n_correlations=2)
    expected = 6.0
    for i, j in [(0, 1), (0, 2), (1, 2)]:
        both = has[i] & has[j]
        A, B = projected[i][both].numpy(), projected[j][both].numpy()
        expected -= by_eigenvalues(A, B, settings.covariance_ridge)[:2].sum()
    masks = list(torch.tensor(has))
    assert correlation_deficit(projected, settings, masks).item() == pytest.approx(expected)
    everyone = [torch.ones(12, dtype=torch.bool)] * 3
    assert correlation_deficit(projected, settings, everyone) == correlation_deficit(projected, settings)


@pytest.mark.parametrize("masked", [False, True])
def test_gradient_equals_finite_differences(masked):
    projected = [Z.requires_grad_() for Z in views(3, 4, 3, n_samples=9)]
    masks = None
    if masked:
        masks = [torch.arange(9) != lost for lost in (1, 4, 8)]
    settings = Correlation(projection_dim=3, n_correlations=2, covariance_ridge=0.05)
    assert torch.autograd.gradcheck(lambda *Zs: correlation_deficit(Zs, settings, masks), projected)
    if masked:
        correlation_deficit(projected, settings, masks).backward()
        assert all((Z.grad[~mask] == 0).all() for Z, mask in zip(projected, masks, strict=True))


def test_float32_latents_are_correlated_in_float64():
    single = [Z.float() for Z in views(4, 4)]
    settings = Correlation(projection_dim=4, n_correlations=3)
    deficit = correlation_deficit(single, settings)
    assert deficit.dtype == torch.float64
    assert deficit == correlation_deficit([Z.double() for Z in single], settings)
    single = [Z.requires_grad_() for Z in single]
    correlation_deficit(single, settings).backward()
    assert all(Z.grad.dtype == torch.float32 and Z.grad.abs().sum() > 0 for Z in single)


def test_a_dead_view_correlates_with_nothing():
    (A,) = views(3)
    for dead in (torch.zeros(40, 4), torch.full((40, 4), 3.0)):
        found = canonical_correlations(A, dead)
        assert torch.equal(found, torch.zeros(3, dtype=torch.float64))


def test_some_dead_features_leave_the_others():
    A, B = (Z.clone() for Z in views(4, 3))
    A[:, 2] = 0
    A.requires_grad_()
    found = canonical_correlations(A, B)
    np.testing.assert_allclose(found.detach(), by_eigenvalues(A.detach().numpy(), B.numpy(), 1e-3), atol=1e-9)
    found.sum().backward()
    assert A.grad.isfinite().all()


def test_descent_on_the_deficit_finds_what_two_views_share():
    """Projections of 30 features onto 2: gradient steps raise the correlations from chance to almost 1."""
    torch.manual_seed(0)
    shared = torch.randn(60, 2)
    Zs = [torch.hstack([shared, torch.randn(60, 28)]) for _ in range(2)]
    projections = [(0.1 * torch.randn(30, 2)).requires_grad_() for _ in Zs]
    settings = Correlation(projection_dim=2, n_correlations=2)
    optimizer = torch.optim.Adam(projections, lr=0.02)
    deficits = []
    for _ in range(60):
        optimizer.zero_grad()
        deficit = correlation_deficit([Z @ P for Z, P in zip(Zs, projections, strict=True)], settings)
        deficit.backward()
        optimizer.step()
        deficits.append(deficit.item())
    assert deficits[0] > 1 and deficits[-1] < 0.1 and min(deficits) >= 0


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_a_dead_view_has_a_finite_gradient_in_float32(value):
    A = torch.full((20, 4), value, requires_grad=True)
    B = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
    correlation_deficit([A, B], Correlation(projection_dim=4, n_correlations=2)).backward()
    assert A.grad.isfinite().all()


def test_latents_that_are_not_finite_give_nan_and_no_solver_error():
    A = torch.ones(6, 3)
    A[0, 0] = torch.nan
    assert canonical_correlations(A, torch.rand(6, 3)).isnan().all()


X, HALF = torch.rand(4, 3), torch.tensor([True, True, False, False])
CASES = [
    ("weight", lambda: Correlation(-1.0), ValueError, ("lambda_correlation", "-1")),
    ("weight False", lambda: Correlation(False), TypeError, ("lambda_correlation", "False")),
    ("k > p", lambda: Correlation(n_correlations=11), ValueError, ("n_correlations", "got 11")),
    ("p", lambda: Correlation(projection_dim=0), ValueError, ("projection_dim", "got 0")),
    ("ridge", lambda: Correlation(covariance_ridge=0), ValueError, ("covariance_ridge", "got 0")),
    ("samples", lambda: canonical_correlations(X, X[:3]), ValueError, "same two or more samples"),
    ("one sample", lambda: canonical_correlations(X[:1], X[:1]), ValueError, "two or more"),
    ("ridge 0", lambda: canonical_correlations(X, X, 0), ValueError, ("ridge", "got 0")),
    (
        "no sample in common",
        lambda: correlation_deficit([X, X], Correlation(1.0, 3, 1), [HALF, ~HALF]),
        ValueError,
        "views 0 and 1 share 0 samples",
    ),
]


@by_name(CASES)
def test_bad_input(call, error, words):
    one_clear_error(call, error, words)
