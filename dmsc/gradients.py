r"""The loss of fine-tuning and its gradient, in the order in which a machine likes to work.

:func:`dmsc.losses.finetuning_terms` says what is minimized; this module takes its gradient faster and in less memory,
with the same numbers to rounding (``tests/test_gradients.py``):

- The decoders go chunk by chunk, forward and backward at once, so that their feature maps never leave the caches and
  never exist for all samples.
- The latents of all views stand side by side in one matrix Z (N, d_1 + d_2 + ...): three matrix products do the work of
  the self-expression layer, however many views there are.
- With :math:`R = Z - CZ`, the weights v in the columns of each latent and E, what the decoders pass back,

  .. math:: \nabla_{CZ} = E - 2 \lambda_2 v R =: G, \qquad \nabla_C = G Z^\top + 2 \lambda_1 C, \qquad
            \nabla_Z = C^\top G + 2 \lambda_2 v R,

  so the norm of C costs no N x N matrix, and neither does its diagonal.
- All large matrices are made once and written over in every epoch: fresh ones cost page faults.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .correlation import Correlation, correlation_deficit
from .losses import LossWeights, repeat_last, weighted_squared_error
from .model import SubspaceNetwork

__all__ = ["FinetuningGradient", "pretraining_gradient"]

Masks = Sequence[torch.Tensor] | None


def pretraining_gradient(
    model: SubspaceNetwork,
    Xs: Sequence[torch.Tensor],
    weights: Sequence[float],
    masks: Masks = None,
    latents: Sequence[torch.Tensor] | None = None,
) -> torch.Tensor:
    """Add the gradient of the autoencoders' loss to ``.grad``, one chunk of samples after the other.

    Parameters
    ----------
    model : SubspaceNetwork
        Its ``chunk_size`` is how many samples go at a time.
    Xs : sequence of tensors (n, ...)
        Any samples of all views.
    weights : sequence of float
        w_m; the last one repeats.
    masks : sequence of bool tensors (n,), optional
        Which samples have which view.
    latents : sequence of tensors (n, d), optional
        What to decode instead of the views' own latents: the gradient is then the decoders' alone.

    Returns
    -------
    scalar tensor
        The loss.
    """
    total = Xs[0].new_zeros(())
    for rows in chunks(len(Xs[0]), model.chunk_size):
        batch, has = [X[rows] for X in Xs], masks and [mask[rows] for mask in masks]
        Zs = model.encode(batch, has) if latents is None else [Z[rows] for Z in latents]
        loss = weighted_squared_error(batch, model.decode(Zs), weights, has)
        loss.backward()
        total += loss.detach()
    return total


class FinetuningGradient:
    """Terms of the loss and their gradient: ``gradient()`` sets ``.grad`` of all parameters and returns the terms.

    For p = 1 the norm of C is among the terms but not in the gradient: its proximal step follows the optimizer's.

    Parameters
    ----------
    model : SubspaceNetwork
        The composition. Where it works without a diagonal, that of its weight is set to 0.
    Xs : sequence of tensors (N, ...)
        The views.
    weights : LossWeights
        Weights of the terms.
    masks : sequence of bool tensors (N,), optional
        Which samples have which view.
    correlation : Correlation, optional
        CMSC-DCCA's term.
    """

    def __init__(
        self,
        model: SubspaceNetwork,
        Xs: Sequence[torch.Tensor],
        weights: LossWeights,
        masks: Masks = None,
        correlation: Correlation | None = None,
    ):
        self.model, self.Xs, self.weights, self.masks, self.correlation = model, Xs, weights, masks, correlation
        self.chunks = chunks(len(Xs[0]), model.chunk_size)
        self.columns = latent_columns(model)
        self.latent_weights = repeat_last(weights.self_expression, len(self.columns))  # v_l
        like = model.self_expression.weight
        shape = len(Xs[0]), self.columns[-1].stop
        self.Z, self.Z_hat, self.G, self.Z_gradient = (like.new_empty(shape) for _ in range(4))
        self.C_gradient = torch.empty_like(like)

    def __call__(self) -> dict[str, torch.Tensor]:
        self.model.zero_grad()
        encoded = self.encode()
        C = self.coefficients()
        torch.mm(C, self.Z, out=self.Z_hat)
        reconstruction, self_expression = self.decode()
        terms = {
            "reconstruction": reconstruction,
            "regularization": self.weights.lambda_regularization * norm(C, self.weights.norm),
            "self_expression": self_expression,
        }
        self.express_backward(C)
        if self.correlation is not None:
            terms["correlation"] = self.correlate()
        for rows, Zs in encoded:
            trained = [
                (Z, self.Z_gradient[rows, at]) for Z, at in zip(Zs, self.columns, strict=True) if Z.requires_grad
            ]
            if trained:  # not so for frozen encoders
                torch.autograd.backward(*zip(*trained, strict=True))
        return terms

    def encode(self) -> list[tuple[slice, list[torch.Tensor]]]:
        """Fill Z; return the latents of each chunk, with the graph behind them."""
        encoded = []
        for rows in self.chunks:
            Zs = self.model.encode(*self.part(rows))
            for at, Z in zip(self.columns, Zs, strict=True):
                self.Z[rows, at] = Z.detach()
            encoded.append((rows, Zs))
        return encoded

    @torch.no_grad()
    def coefficients(self) -> torch.Tensor:
        """Return C, with a diagonal of 0 where the model works without one."""
        C = self.model.self_expression.weight
        return (C.fill_diagonal_(0) if self.model.self_expression.zero_diagonal else C).detach()

    def decode(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Decode and take the residual, chunk by chunk; fill G and, with 2 lambda_2 v R, the gradient of Z."""
        reconstruction, self_expression = self.Z.new_zeros(()), self.Z.new_zeros(())
        for rows in self.chunks:
            Xs, has = self.part(rows)
            leaves = [self.Z_hat[rows, at].clone().requires_grad_() for at in self.columns]
            loss = weighted_squared_error(Xs, self.model.decode(leaves), self.weights.reconstruction, has)
            loss.backward()
            reconstruction += loss.detach()
            for latent, (at, v, Z_hat) in enumerate(zip(self.columns, self.latent_weights, leaves, strict=True)):
                pull = self.weights.lambda_self_expression * v
                R = self.Z[rows, at] - Z_hat.detach()
                if has is not None and not self.model.joint:
                    R *= has[latent][:, None]
                self_expression += pull * R.square().sum()
                torch.mul(R, 2 * pull, out=self.Z_gradient[rows, at])
                torch.sub(Z_hat.grad, self.Z_gradient[rows, at], out=self.G[rows, at])
        return reconstruction, self_expression

    @torch.no_grad()
    def express_backward(self, C: torch.Tensor) -> None:
        """Go back through CZ and the norm: the gradients of C and Z."""
        self.Z_gradient.addmm_(C.t(), self.G)
        beta = 2 * self.weights.lambda_regularization if self.weights.norm == 2 else 0
        torch.addmm(C, self.G, self.Z.t(), beta=beta, out=self.C_gradient)
        if self.model.self_expression.zero_diagonal:
            self.C_gradient.fill_diagonal_(0)
        self.model.self_expression.weight.grad = self.C_gradient

    def correlate(self) -> torch.Tensor:
        """Add the gradient of the correlation term, which needs all samples at once; return the term."""
        leaves = [self.Z[:, at].clone().requires_grad_() for at in self.columns]
        deficit = correlation_deficit(self.model.project(leaves), self.correlation, self.masks)
        term = self.correlation.lambda_correlation * deficit
        if term.requires_grad:  # not so for a single view, which has nothing to correlate with
            term.backward()
            for at, Z in zip(self.columns, leaves, strict=True):
                self.Z_gradient[:, at] += Z.grad
        return term.detach()

    def part(self, rows: slice) -> tuple[list[torch.Tensor], list[torch.Tensor] | None]:
        """Return some rows of all views and masks."""
        return [X[rows] for X in self.Xs], self.masks and [mask[rows] for mask in self.masks]


def norm(C: torch.Tensor, p: int) -> torch.Tensor:
    """Return sum |C_ij|^p for p = 1 or 2."""
    return C.abs().sum() if p == 1 else torch.dot(C.view(-1), C.view(-1))


def latent_columns(model: SubspaceNetwork) -> list[slice]:
    """Return where each latent stands among the columns of all latents side by side."""
    shapes = model.latent_shapes[:1] if model.joint else model.latent_shapes
    ends = torch.tensor([0, *(torch.Size(shape).numel() for shape in shapes)]).cumsum(0).tolist()
    return [slice(start, end) for start, end in zip(ends, ends[1:], strict=False)]


def chunks(n_samples: int, size: int | None) -> list[slice]:
    """Split the rows 0 .. N - 1 into chunks of ``size``; one chunk without a size."""
    size = n_samples if size is None else size
    return [slice(start, min(start + size, n_samples)) for start in range(0, n_samples, size)]
