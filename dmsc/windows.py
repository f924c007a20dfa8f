"""An affine convolutional network as few matrix products: each row of its latent map belongs to a band of image rows.

Convolutions of few channels run at a third of the rate of a matrix product, or less. Without a non-linearity a stack
of them is one linear map, z_p = x_p K_p for each latent row z_p and the band x_p of image rows that it depends on; a
decoder is such a map transposed. The K_p are read off what the network makes of few probes: unit pixels so far apart
that no latent sees two of them, or unit latents whose images don't overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

__all__ = ["Windows", "gather", "spread"]

Step = tuple[int, int, int, int]  # kernel, stride, padding before the first pixel, pixels of the finer map


class Windows:
    """Which pixels and latents of an affine network belong together, and the kernels K_p between them.

    Parameters
    ----------
    network : nn.Module
        A stack of convolutions (an encoder) or of transposed ones (a decoder), of images with one channel.
    image_size : tuple of int
        (H, W).
    latent_shape : tuple of int
        (c, h, w).

    Attributes
    ----------
    bands : list of slice
        The pixels, row by row, that belong to each latent row.
    probes : tensor
        What the network is given to show its kernels: images (n + 1, 1, H, W), or latents (n + 1, h w c). The last
        one is 0.
    multiplications : int
        How many a sample takes.
    """

    def __init__(self, network: nn.Module, image_size: tuple[int, ...], latent_shape: tuple[int, ...]):
        self.decodes = any(isinstance(layer, nn.ConvTranspose2d) for layer in network.children())
        self.image_size, self.latent_shape, like = image_size, latent_shape, next(network.parameters())
        (height, width), (channels, *latent_size) = image_size, latent_shape
        steps = _steps(network, like.new_zeros(1, *(latent_shape if self.decodes else (1, height, width))))
        steps = steps if self.decodes else steps[::-1]  # from the latents outwards
        rows, columns = (_seen(n, [step[axis] for step in steps]) for axis, n in enumerate(latent_size))
        self.rows = [range(first, last + 1) for first, last in zip(*(end.tolist() for end in rows), strict=True)]
        self.bands = [slice(width * seen.start, width * seen.stop) for seen in self.rows]
        x = torch.arange(width)[:, None]
        self.inside = ((x >= columns[0]) & (x <= columns[1])).to(like)  # (W, w)
        self.multiplications = sum(len(seen) for seen in self.rows) * width * channels * latent_size[1]
        if self.decodes:
            self.apart = _clear(*rows), _clear(*columns)
            probes = _combs(latent_size, self.apart, channels).movedim(1, -1).flatten(1)
        else:
            self.apart = _longest(*rows), _longest(*columns)
            probes = _combs(image_size, self.apart, 1)
        self.probes = probes.to(like)

    def kernels(self, outputs: torch.Tensor) -> list[torch.Tensor]:
        """Return every K_p (pixels of the band, w c), from what the network makes of the probes."""
        linear = (outputs[:-1] - outputs[-1:]).flatten(1)
        return [K.flatten(2).flatten(0, 1) for K in (self._decoded(linear) if self.decodes else self._encoded(linear))]

    def _encoded(self, latents: torch.Tensor) -> list[torch.Tensor]:
        """Return the kernels (rows, W, w, c): the pixel (y, x) is one of the probe (y, x) modulo the distance."""
        channels, *size = self.latent_shape
        maps = latents.view(*self.apart, *size, channels)
        y, x = (torch.arange(n, device=latents.device) % m for n, m in zip(self.image_size, self.apart, strict=True))
        return [
            maps[:, :, p].index_select(0, y[seen.start : seen.stop]).index_select(1, x) * self.inside[..., None]
            for p, seen in enumerate(self.rows)
        ]

    def _decoded(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return the kernels (rows, W, w, c): the latent (p, q) is one of the probe (p, q) modulo the distance."""
        channels, _, width = self.latent_shape
        maps = images.view(channels, *self.apart, *self.image_size)
        q = torch.arange(width, device=images.device) % self.apart[1]
        found = (
            maps[:, p % self.apart[0], :, seen.start : seen.stop].index_select(1, q) * self.inside.T[:, None]
            for p, seen in enumerate(self.rows)
        )  # (c, w, rows, W) each
        return [K.permute(2, 3, 1, 0) for K in found]


def gather(X: torch.Tensor, kernels: Sequence[torch.Tensor], bands: Sequence[slice]) -> torch.Tensor:
    """Return the latents (N, h w c) of images X (N, H W): z_p = x_p K_p."""
    return _Gather.apply(X, bands, *kernels)


def spread(Z: torch.Tensor, kernels: Sequence[torch.Tensor], bands: Sequence[slice], pixels: int) -> torch.Tensor:
    """Return the images (N, H W) of latents Z (N, h w c): each z_p K_pᵀ is added to its band."""
    return _Spread.apply(Z, bands, pixels, *kernels)


class _Gather(torch.autograd.Function):
    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.bfloat16)  # cast within autocast only
    def forward(ctx: Any, X: torch.Tensor, bands: Sequence[slice], *kernels: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(X, *kernels)
        ctx.bands = bands
        return _gathered(X, kernels, bands)

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")
    def backward(ctx: Any, dZ: torch.Tensor) -> Any:
        X, *kernels = ctx.saved_tensors
        dX = _added(dZ, kernels, ctx.bands, X.shape[1]) if ctx.needs_input_grad[0] else None
        return dX, None, *_between(X, dZ, ctx.bands)


class _Spread(torch.autograd.Function):
    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.bfloat16)
    def forward(ctx: Any, Z: torch.Tensor, bands: Sequence[slice], pixels: int, *kernels: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(Z, *kernels)
        ctx.bands = bands
        return _added(Z, kernels, bands, pixels)

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")
    def backward(ctx: Any, dX: torch.Tensor) -> Any:
        Z, *kernels = ctx.saved_tensors
        return _gathered(dX, kernels, ctx.bands), None, None, *_between(dX, Z, ctx.bands)


def _gathered(X: torch.Tensor, kernels: Sequence[torch.Tensor], bands: Sequence[slice]) -> torch.Tensor:
    Z = X.new_empty(len(X), len(bands), kernels[0].shape[1])
    for p, (K, band) in enumerate(zip(kernels, bands, strict=True)):
        torch.mm(X[:, band], K, out=Z[:, p])
    return Z.flatten(1)


def _added(Z: torch.Tensor, kernels: Sequence[torch.Tensor], bands: Sequence[slice], pixels: int) -> torch.Tensor:
    finely = Z.dtype if Z.dtype == torch.float64 else torch.float32  # bands overlap, and sums are not to be rounded
    X = Z.new_zeros(len(Z), pixels, dtype=finely)
    for z, K, band in zip(_latent_rows(Z, bands), kernels, bands, strict=True):
        x = X[:, band]
        if Z.dtype == finely:
            torch.addmm(x, z, K.T, out=x)
        else:
            x += z @ K.T
    return X.to(Z.dtype)


def _between(X: torch.Tensor, Z: torch.Tensor, bands: Sequence[slice]) -> list[torch.Tensor]:
    """Return x_pᵀ z_p, the gradient of both maps by K_p."""
    return [X[:, band].T @ z for band, z in zip(bands, _latent_rows(Z, bands), strict=True)]


def _latent_rows(Z: torch.Tensor, bands: Sequence[slice]) -> tuple[torch.Tensor, ...]:
    return Z.unflatten(1, (len(bands), -1)).unbind(1)


@torch.no_grad()
def _steps(network: nn.Module, X: torch.Tensor) -> list[tuple[Step, Step]]:
    """Return each convolution's step down and across, in the order of the layers."""
    found: list[tuple[Step, Step]] = []
    for layer in network.children():
        Y = layer(X)
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            finer = Y if isinstance(layer, nn.ConvTranspose2d) else X
            pads = getattr(layer, "pads", None)  # of `SameConv2d`: left, right, top, bottom
            before = [int(n) for n in layer.padding] if pads is None else [pads[2], pads[0]]
            down, across = zip(layer.kernel_size, layer.stride, before, finer.shape[2:], strict=True)
            found.append((down, across))
        X = Y
    return found


def _seen(n: int, steps: Sequence[Step]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the first and the last pixel along an axis that belong to each of ``n`` latents."""
    first = last = torch.arange(n)
    for kernel, stride, before, size in steps:
        first = (first * stride - before).clamp(0, size - 1)
        last = (last * stride - before + kernel - 1).clamp(0, size - 1)
    return first, last


def _longest(first: torch.Tensor, last: torch.Tensor) -> int:
    """Return how far apart pixels are of which no latent sees two."""
    return int((last - first).max()) + 1


def _clear(first: torch.Tensor, last: torch.Tensor) -> int:
    """Return how far apart latents are whose pixels are never the same."""
    n = len(first)
    return next((m for m in range(1, n) if bool((first[m:] > last[:-m]).all())), n)


def _combs(size: Sequence[int], apart: Sequence[int], channels: int) -> torch.Tensor:
    """Return maps (channels · apart² + 1, channels, H, W) of ones at these distances, each otherwise; the last is 0."""
    down, across = (torch.eye(m).repeat(1, -(-n // m))[:, :n] for n, m in zip(size, apart, strict=True))  # (m, n)
    combs = torch.einsum("ay,bx->abyx", down, across).flatten(0, 1)  # (apart², H, W)
    probes = torch.einsum("cd,ayx->cadyx", torch.eye(channels), combs).flatten(0, 1)
    return torch.cat([probes, torch.zeros_like(probes[:1])])
