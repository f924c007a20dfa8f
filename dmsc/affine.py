"""Networks without a non-linearity, trained with less arithmetic: the same function of the same parameters.

Without activations an encoder is an affine map, f(x) = L x + c with c = f(0), and a decoder is g(z) = P z + y. So
samples may be combined before the network instead of behind it. Two ways, for a view of D features:

"windows", for images: with A = C [X | 1] is C Z = A [L | c]ᵀ. The product with C is as wide as the view instead of the
latents, needs no gradient to the latents, and the convolutions become few matrix products (`dmsc.windows`).

"basis", for views of low rank: [X | 1] = T [B | s] with r orthonormal rows [B | s]. With A = C T, r images go through
the networks in the place of N samples, and the product with C is r wide:

    Z = T Z_B,    Z_B = B Lᵀ + s cᵀ,    C Z = A Z_B,    X̂ = A (Z_B Pᵀ) + 1 yᵀ

Pre-training needs no T. Its columns are orthogonal, so that with their lengths as a diagonal Σ and R = Σ [B | s] the r
rows of R have the loss, and the gradients, of the N samples.

A view is treated in the way that costs least by count. Parameters get their gradients by autograd, through the networks
as they are; losses and gradients are those of `dmsc.losses` up to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import nn

from .losses import LossWeights, mean_squared_length, repeat_last
from .model import SubspaceNetwork
from .networks import multiplications
from .self_expression import coefficients_norm, express
from .windows import Windows, gather, spread

__all__ = ["BasisView", "WindowsView", "affine_reconstruction", "affine_terms", "is_affine", "principal_rows"]

AFFINE = (nn.ModuleList, nn.Sequential, nn.Identity, nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
SLOWER = 3  # times that a multiplication takes in a convolution of few channels what it takes in a product
WORTHWHILE = 0.9  # share of the plain way's cost up to which another one is taken
HIDDEN = torch.finfo(torch.float32).eps  # directions that are shorter than this share of the longest are left out


class BasisView:
    """A view as combinations of few images, which go through the networks in the place of the samples.

    Parameters
    ----------
    rows : tensor (r, D + 1)
        The images, and the share of the constant 1 in each: [B | s], or R.
    shape : tuple of int
        Of one image.
    coordinates : tensor (N, r), optional
        T, for `express`.
    """

    def __init__(self, rows: torch.Tensor, shape: tuple[int, ...], coordinates: torch.Tensor | None = None):
        self.coordinates, self.ones = coordinates, rows[:, -1:].clone()
        images = rows[:, :-1].reshape(-1, *shape)
        self.to_encode = torch.cat([images, torch.zeros_like(images[:1])])  # 0 shows the networks' constants

    def to_decode(self, encoded: torch.Tensor) -> torch.Tensor:
        """Return the latents that the decoder is given, from what the encoder made of ``to_encode``."""
        return torch.cat([self._scaled(encoded), torch.zeros_like(encoded[:1])])

    def reconstruct(self, encoded: torch.Tensor, decoded: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the rows (r, D) without their last column, and what the autoencoder makes of them."""
        return self.to_encode[:-1].flatten(1), self._scaled(decoded.flatten(1))

    def express(
        self, A: torch.Tensor, encoded: torch.Tensor, decoded: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return ‖Z‖²_F, Z - C Z (N, d) and X̂ (N, D), from A = C T and what the networks made of their inputs."""
        assert self.coordinates is not None
        Z_basis, Y = self._scaled(encoded), decoded.flatten(1)
        squared_length = (self.coordinates.square().sum(0) @ Z_basis.square()).sum()
        return squared_length, (self.coordinates - A) @ Z_basis, A @ (Y[:-1] - Y[-1:]) + Y[-1:]

    def _scaled(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return an affine network's outputs for the rows with their constants, from those for the images and for 0."""
        return outputs[:-1] + (self.ones - 1) * outputs[-1:]


class WindowsView:
    """A view of images with one channel, combined as images, with its networks as products (`dmsc.windows`).

    Parameters
    ----------
    rows : tensor (n, D + 1)
        [X | 1], or R.
    encoder, decoder : Windows
        Of the view's networks.
    """

    def __init__(self, rows: torch.Tensor, encoder: Windows, decoder: Windows):
        self.coordinates, self.encoder, self.decoder = rows, encoder, decoder
        self.to_encode = encoder.probes

    def to_decode(self, encoded: torch.Tensor) -> torch.Tensor:
        """Return the latents that the decoder is given."""
        return self.decoder.probes

    def reconstruct(self, encoded: torch.Tensor, decoded: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the rows (n, D) without their last column, and what the autoencoder makes of them."""
        Z = self._encode(self.coordinates, self.encoder.kernels(encoded), encoded[-1:])
        return self.coordinates[:, :-1], self._decode(Z, decoded, self.coordinates[:, -1:])

    def express(
        self, A: torch.Tensor, encoded: torch.Tensor, decoded: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return ‖Z‖²_F, Z - C Z (N, d) and X̂ (N, D), from A = C [X | 1] and what the networks made of their inputs."""
        kernels = self.encoder.kernels(encoded)
        Z, Z_hat = (self._encode(rows, kernels, encoded[-1:]) for rows in (self.coordinates, A))
        return Z.square().sum(), Z - Z_hat, self._decode(Z_hat, decoded, 1.0)

    def _encode(self, rows: torch.Tensor, kernels: list[torch.Tensor], constant: torch.Tensor) -> torch.Tensor:
        return gather(rows[:, :-1], kernels, self.encoder.bands) + rows[:, -1:] * constant

    def _decode(self, Z: torch.Tensor, decoded: torch.Tensor, ones: torch.Tensor | float) -> torch.Tensor:
        Y = decoded.flatten(1)
        return spread(Z, self.decoder.kernels(Y), self.decoder.bands, Y.shape[1]) + ones * Y[-1:]


View = BasisView | WindowsView
Way = tuple[float, Callable[[], View]]  # cost, and how to make it


def is_affine(model: SubspaceNetwork) -> bool:
    """Tell whether every encoder and decoder is an affine map of one view."""
    parts = [*model.encoders.modules(), *model.decoders.modules()]
    return not model.joint and all(isinstance(part, AFFINE) for part in parts)


def affine_terms(
    model: SubspaceNetwork, Xs: Sequence[torch.Tensor], weights: LossWeights, way: str | None = None
) -> Callable[[], dict[str, torch.Tensor]] | None:
    """Return a function that evaluates `dmsc.losses.finetuning_terms` with less arithmetic, or None where none does.

    None is for networks that aren't affine, for several processes, for other devices than the CPU (it was measured
    there alone), and for views with which the plain way costs least. A ``way``, "basis" or "windows", is taken whatever
    it costs.
    """
    views = _chosen(model, Xs, _ways_to_finetune, way)
    if views is None:
        return None
    targets = [X.flatten(1) for X in Xs]
    reconstruction = repeat_last(weights.reconstruction, len(Xs))
    if weights.relative:
        reconstruction = [w / float(mean_squared_length(X)) for w, X in zip(reconstruction, targets, strict=True)]
    known = list(zip(views, targets, reconstruction, repeat_last(weights.self_expression, len(Xs)), strict=True))

    def terms() -> dict[str, torch.Tensor]:
        C = model.self_expression.matrix()
        As = express(C, [view.coordinates for view in views])  # type: ignore[misc]
        reconstructed, expressed = C.new_zeros(()), C.new_zeros(())
        for (view, X, w, v), A, outputs in zip(known, As, _through(model, views), strict=True):
            squared_length, residual, X_hat = view.express(A, *outputs)
            size = (squared_length / len(X)).clamp(min=1e-12) if weights.relative else 1.0
            reconstructed = reconstructed + w * _squared_error(X_hat, X)
            expressed = expressed + v * residual.to(X.dtype).square().sum() / size
        return {
            "reconstruction": reconstructed,
            "regularization": weights.lambda_regularization * coefficients_norm(C, weights.norm),
            "self_expression": weights.lambda_self_expression * expressed,
        }

    return terms


def affine_reconstruction(
    model: SubspaceNetwork, Xs: Sequence[torch.Tensor], weights: Sequence[float], way: str | None = None
) -> Callable[[], torch.Tensor] | None:
    """Return a function that evaluates Σ_m w_m ‖X_m - X̂_m‖²_F of the autoencoders, or None, as `affine_terms`."""
    views = _chosen(model, Xs, _ways_to_pretrain, way)
    if views is None:
        return None
    weights = repeat_last(weights, len(Xs))

    def error() -> torch.Tensor:
        pairs = [view.reconstruct(*outputs) for view, outputs in zip(views, _through(model, views), strict=True)]
        errors = [w * _squared_error(X_hat, X) for w, (X, X_hat) in zip(weights, pairs, strict=True)]
        return torch.stack(errors).sum()

    return error


def principal_rows(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return orthonormal rows (r, n) that span those of a matrix (N, n), and the matrix' lengths (r,) along them."""
    wide = rows.double()
    squares, directions = torch.linalg.eigh(wide.T @ wide)
    seen = squares > HIDDEN**2 * squares[-1]
    return directions.T[seen].to(rows.dtype).contiguous(), squares[seen].sqrt().to(rows.dtype)


def _chosen(
    model: SubspaceNetwork,
    Xs: Sequence[torch.Tensor],
    ways_of: Callable[[SubspaceNetwork, int, torch.Tensor], tuple[float, dict[str, Way]]],
    way: str | None,
) -> list[View] | None:
    """Return every view in a given way where it has it, else in that which costs least; or None."""
    alone = model.shard.processes == 1
    if not (alone and is_affine(model)) or Xs[0].device.type != "cpu" or not all(X.isfinite().all() for X in Xs):
        return None
    found = [ways_of(model, m, X) for m, X in enumerate(Xs)]
    if not all(ways for _, ways in found):
        return None
    chosen = [ways.get(str(way)) or min(ways.values(), key=lambda each: each[0]) for _, ways in found]
    if way is None and sum(cost for cost, _ in chosen) > WORTHWHILE * sum(plain for plain, _ in found):
        return None
    return [make() for _, make in chosen]


def _ways_to_finetune(model: SubspaceNetwork, m: int, X: torch.Tensor) -> tuple[float, dict[str, Way]]:
    """Return what the plain way costs, and the other ways, by multiplications (see `SLOWER`)."""
    N, shape, latent = len(X), tuple(X.shape[1:]), model.latent_shapes[m]
    D, d, costs = math.prod(shape), math.prod(latent), _costs(model, m, shape)
    rows = _with_ones(X)
    ways: dict[str, Way] = {}
    if D < N:
        basis, _ = principal_rows(rows)
        r = len(basis)
        cost = 2 * N * N * r + 3 * N * r * (d + D) + 3 * r * sum(costs)
        ways["basis"] = cost, lambda: BasisView(basis, shape, rows @ basis.T)
    if windows := _windows(model, m, shape):
        products = 2 * N * N * D + N * (5 * windows[0].multiplications + 3 * windows[1].multiplications)
        ways["windows"] = products + _probing(windows, costs), lambda: WindowsView(rows, *windows)
    return 3 * N * N * d + 3 * N * sum(costs), ways


def _ways_to_pretrain(model: SubspaceNetwork, m: int, X: torch.Tensor) -> tuple[float, dict[str, Way]]:
    N, shape = len(X), tuple(X.shape[1:])
    costs, R = _costs(model, m, shape), _with_ones(X)
    if R.shape[1] <= N:
        basis, lengths = principal_rows(R)
        R = lengths[:, None] * basis
    ways: dict[str, Way] = {"basis": (3 * len(R) * sum(costs), lambda: BasisView(R, shape))}
    if windows := _windows(model, m, shape):
        products = len(R) * (2 * windows[0].multiplications + 3 * windows[1].multiplications)
        ways["windows"] = products + _probing(windows, costs), lambda: WindowsView(R, *windows)
    return 3 * N * sum(costs), ways


def _with_ones(X: torch.Tensor) -> torch.Tensor:
    return torch.cat([X.flatten(1), X.new_ones(len(X), 1)], 1)


def _costs(model: SubspaceNetwork, m: int, shape: tuple[int, ...]) -> list[float]:
    """Return what one sample costs in a view's encoder and decoder."""
    counts = multiplications(model.encoders[m], shape), multiplications(model.decoders[m], model.latent_shapes[m])
    return [SLOWER * convolutions + products for convolutions, products in counts]


def _windows(model: SubspaceNetwork, m: int, shape: tuple[int, ...]) -> list[Windows]:
    """Return the windows of a view's encoder and decoder; none for vectors, and for images of several channels."""
    if len(shape) != 3 or shape[0] != 1:
        return []
    return [Windows(network, shape[1:], model.latent_shapes[m]) for network in (model.encoders[m], model.decoders[m])]


def _probing(windows: Sequence[Windows], costs: Sequence[float]) -> float:
    return sum(3 * len(part.probes) * cost for part, cost in zip(windows, costs, strict=True))


def _through(model: SubspaceNetwork, views: Sequence[View]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return what the encoders and decoders make of the views' inputs; sums are in full precision."""
    precise = model.self_expression.weight.dtype
    encoded = [Z.to(precise) for Z in model.encode([view.to_encode for view in views])]
    decoded = model.decode([view.to_decode(Z) for view, Z in zip(views, encoded, strict=True)])
    return [(Z, Y.to(precise)) for Z, Y in zip(encoded, decoded, strict=True)]


def _squared_error(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return nn.functional.mse_loss(output.to(target.dtype), target, reduction="sum")
