"""The terms of the loss, named as in the papers, in one convention.

    L = Σ_m w_m ‖X_m - X̂_m‖²_F  +  λ₁ ‖C‖_p^p  +  λ₂ Σ_l v_l ‖Z_l - C Z_l‖²_F

CMSC-DCCA adds the correlation term of `dmsc.correlation`. A sample without a view is left out of that view's
errors.

No term carries a factor 1/2. Where a paper or its code has one, the preset's weight is halved (see ``presets.py``).
Sums run over all samples and pixels, as in the papers: the weights depend on N and on the scale of the inputs. With
``relative`` weights each error is divided by the mean squared length of what it is an error of,

    L = Σ_m w_m ‖X_m - X̂_m‖²_F / s(X_m)  +  λ₁ ‖C‖_p^p  +  λ₂ Σ_l v_l ‖Z_l - C Z_l‖²_F / s(Z_l),    s(X) = ‖X‖²_F / N

and they mean the same for any N, any number of features and any unit: all terms are N times a number about 1 or below.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real

import torch

from .checks import one_of
from .correlation import Correlation, correlation_deficit
from .model import SubspaceNetwork
from .self_expression import coefficients_norm, express
from .sharding import Shard

__all__ = [
    "LossWeights", "finetuning_terms", "mean_squared_length", "repeat_last", "view_weights", "weighted_squared_error",
]  # fmt: skip


@dataclass(frozen=True)
class LossWeights:
    """Weights of the loss.

    Parameters
    ----------
    reconstruction, self_expression : tuple of float
        w_m per view and v_l per latent; the last one repeats, so ``(0.6, 0.1)`` means 0.6 for the first view and 0.1
        for each other one, as in the DMSC code.
    lambda_regularization, lambda_self_expression : float
        lambda_1 and lambda_2.
    norm : {1, 2}
        p: DSC-Net-L1 or DSC-Net-L2.
    relative : bool
        Divide each error by its target's mean squared length. The papers don't; it is the default for data of one's
        own.

    References
    ----------
    Ji et al., NIPS 2017, eq. 5; Abavisani & Patel, 2018, eqs. 6 and 8.
    """

    reconstruction: tuple[float, ...] = (1.0,)
    self_expression: tuple[float, ...] = (1.0,)
    lambda_regularization: float = 1.0
    lambda_self_expression: float = 1.0
    norm: int = 2
    relative: bool = False

    def __post_init__(self) -> None:
        one_of("norm", self.norm, (1, 2))
        for field in ("reconstruction", "self_expression"):
            object.__setattr__(self, field, view_weights(field, getattr(self, field)))
        for field in ("lambda_regularization", "lambda_self_expression"):
            if not isinstance(getattr(self, field), Real) or not getattr(self, field) >= 0:
                raise ValueError(f"{field} must be non-negative, got {getattr(self, field)!r}")

    @property
    def ridge(self) -> float:
        """The penalty lambda_1 / lambda_2 with which C has a closed form for given latents.

        Raises
        ------
        ValueError
            If there is no closed form: for p = 1, or a lambda of 0.
        """
        lambdas = self.lambda_regularization, self.lambda_self_expression
        if self.norm != 2 or 0 in lambdas:
            raise ValueError(
                "the closed form of C needs norm=2 and both lambdas above 0, got "
                f"norm={self.norm} and {lambdas}: train C instead (solver='adam', a number for coefficients_init, "
                "anchors=None)"
            )
        return lambdas[0] / lambdas[1]


def view_weights(name: str, value: float | Sequence[float]) -> tuple[float, ...]:
    """Return weights of views as a tuple, or say what is wrong with them."""
    weights = (value,) if isinstance(value, Real) else tuple(value)  # type: ignore[arg-type]
    if not weights or not all(isinstance(w, Real) and float(w) >= 0 for w in weights):
        raise ValueError(f"{name} needs at least one weight, none negative, got {weights!r}")
    return weights  # type: ignore[return-value]


def repeat_last(weights: Sequence[float], count: int) -> list[float]:
    """Return ``count`` weights: the given ones, the last one repeated."""
    if len(weights) > count:
        raise ValueError(f"{len(weights)} weights {tuple(weights)} for {count} views: give at most one per view")
    return [*weights, *[weights[-1]] * (count - len(weights))]


def mean_squared_length(T: torch.Tensor, mask: torch.Tensor | None = None, shard: Shard | None = None) -> torch.Tensor:
    """Return ‖T‖²_F / N over the samples that have the view (the others' rows are 0), or 1e-12 if T is nothing."""
    square, n_samples = T.square().sum(), T.new_tensor(len(T)) if mask is None else mask.sum()
    if shard is not None:
        square, n_samples = shard.total(square), shard.total(n_samples)
    return (square / n_samples).clamp(min=1e-12)


def weighted_squared_error(
    targets: Sequence[torch.Tensor],
    outputs: Sequence[torch.Tensor],
    weights: Sequence[float],
    masks: Sequence[torch.Tensor] | None = None,
    relative: bool = False,
    shard: Shard | None = None,
) -> torch.Tensor:
    """Return sum_m w_m ||target_m - output_m||_F^2 over samples that have view m; the last weight repeats.

    If ``relative``, each is divided by the target's `mean_squared_length`, over the samples of all processes.
    """
    weights = repeat_last(weights, len(targets))
    if relative:
        known: Sequence[torch.Tensor | None] = [None] * len(targets) if masks is None else masks
        sizes = [mean_squared_length(T, mask, shard) for T, mask in zip(targets, known, strict=True)]
        weights = [w / size for w, size in zip(weights, sizes, strict=True)]  # type: ignore[misc]
    if masks is not None:
        targets, outputs = ([T[mask] for T, mask in zip(Ts, masks, strict=True)] for Ts in (targets, outputs))
    return sum(  # type: ignore[return-value]
        w * torch.nn.functional.mse_loss(output, target, reduction="sum")
        for w, target, output in zip(weights, targets, outputs, strict=True)
    )


def finetuning_terms(
    model: SubspaceNetwork,
    Xs: Sequence[torch.Tensor],
    weights: LossWeights,
    *,
    masks: Sequence[torch.Tensor] | None = None,
    correlation: Correlation | None = None,
    solve: Callable[[list[torch.Tensor]], torch.Tensor] | None = None,
) -> dict[str, torch.Tensor]:
    """Evaluate the weighted terms of the loss; their sum is what fine-tuning minimizes.

    Parameters
    ----------
    model : dmsc.model.SubspaceNetwork
        The composition.
    Xs : sequence of tensors (N, ...)
        The views.
    weights : LossWeights
        The weights.
    masks : sequence of bool tensors (N,), optional
        Which samples have which view.
    correlation : Correlation, optional
        CMSC-DCCA's term, for a model with projections.
    solve : callable, optional
        C (N, N) as a function of the latents; by default it is the parameter of the model's self-expression layer.

    Returns
    -------
    dict of scalar tensors
        ``reconstruction``, ``regularization``, ``self_expression``, and with ``correlation`` a term of that name. Of
        several processes each has the terms of its own samples; the sums over all of them are the loss.
    """
    shard, has = model.shard, model.latent_masks(masks)
    Zs = [Z.to(Xs[0].dtype) for Z in model.encode(Xs, masks)]  # (N, d) each; sums in full precision
    C = model.self_expression.matrix() if solve is None else solve(Zs)  # (N, N)
    Zs_hat = express(C, shard.gather_all(Zs))  # C Z
    Xs_hat = model.decode(Zs_hat)
    residual = weighted_squared_error(Zs, Zs_hat, weights.self_expression, has, weights.relative, shard)
    terms = {
        "reconstruction": weighted_squared_error(Xs, Xs_hat, weights.reconstruction, masks, weights.relative, shard),
        "regularization": weights.lambda_regularization * coefficients_norm(C, weights.norm),
        "self_expression": weights.lambda_self_expression * residual,
    }
    if correlation is not None:
        known = None if masks is None else [shard.gather(mask) for mask in masks]
        deficit = correlation_deficit(shard.gather_all(model.project(Zs)), correlation, known)  # of all samples
        terms["correlation"] = correlation.lambda_correlation * deficit / shard.processes
    return terms
