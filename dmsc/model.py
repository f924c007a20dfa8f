"""The one composition: encoders -> self-expression -> decoders.

    Xs = [X1 ... XM]      M views, (N, C, H, W) or (N, D)
      | encode            affinity fusion: one encoder per view; spatial fusion: one encoder for all
      v
    Zs                    latents, each (N, d): M of them; or the joint one
      | self-express      Zs_hat = C Z, one C (N, N) for all latents
      v
    Xs_hat                one decoder per view, from its own latent; or from the joint one

With one view this is DSC-Net; with M views and latents that share C it is affinity fusion; with a plan of merges
inside the encoder it is early, intermediate or late spatial fusion; with projections for the correlation term,
CMSC-DCCA.

A sample may lack views. ``masks``, one bool tensor (N,) per view, say who has what. In affinity fusion the latent of a
missing view is 0: it neither helps to express others nor is expressed itself, and the sample lives by its other
latents. In spatial fusion a missing view has no say where streams meet (`dmsc.fusion.fuse`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from .checks import integer
from .correlation import Correlation
from .fusion import FusionEncoder, Merge
from .networks import Architecture, build_decoder, build_encoder, latent_shape
from .self_expression import SelfExpression, express
from .sharding import Shard

__all__ = ["SubspaceNetwork"]

Masks = Sequence[torch.Tensor] | None
CPU_CHUNK = 250  # samples that a CPU encodes and decodes at a time


class SubspaceNetwork(nn.Module):
    """Autoencoders for M views that share one self-expression layer.

    Parameters
    ----------
    view_shapes : sequence of tuples
        Shape of one sample of each view: ``(C, H, W)`` or ``(D,)``.
    n_samples : int
        N, fixed: self-expression is between these samples.
    architecture : Architecture
        Description of the encoders and decoders.
    plan : sequence of Merge, optional
        Spatial fusion: which views meet where on the way to one joint latent. Empty is affinity fusion.
    fusion_function : {"sum", "max", "concat"}
        How they meet.
    correlation : Correlation, optional
        Give every view's latent a linear projection, for the correlation term of CMSC-DCCA.
    coefficients_init, zero_diagonal
        See `dmsc.SelfExpression`.
    chunk_size : int, optional
        Encode and decode this many samples at a time; None for all at once. `place` sets what suits a device.
    shard : Shard, optional
        The samples that this process holds, of those of several processes; by default all.

    References
    ----------
    Ji et al., NIPS 2017, Figure 2; Abavisani & Patel, 2018, Figure 4 (affinity fusion); Gao et al., AAAI 2020.
    """

    def __init__(
        self,
        view_shapes: Sequence[tuple[int, ...]],
        n_samples: int,
        architecture: Architecture,
        *,
        plan: Sequence[Merge] = (),
        fusion_function: str = "concat",
        correlation: Correlation | None = None,
        coefficients_init: float = 1e-4,
        zero_diagonal: bool = False,
        chunk_size: int | None = None,
        shard: Shard | None = None,
    ):
        super().__init__()
        if plan:
            self.encoders = nn.ModuleList([FusionEncoder(view_shapes, architecture, plan, fusion_function)])
        else:
            self.encoders = nn.ModuleList(build_encoder(shape, architecture) for shape in view_shapes)
        self.decoders = nn.ModuleList(build_decoder(shape, architecture) for shape in view_shapes)
        self.latent_shapes = [latent_shape(shape, architecture) for shape in view_shapes]
        self.joint = bool(plan)
        if plan and correlation is not None:
            raise ValueError("correlation is between the latents of several encoders: a plan leaves one")
        self.self_expression = SelfExpression(n_samples, coefficients_init, zero_diagonal, shard)
        self.projections = nn.ModuleList()
        if correlation is not None:
            width = correlation.projection_dim
            self.projections.extend(nn.Linear(math.prod(shape), width, bias=False) for shape in self.latent_shapes)
        self.chunk_size = chunk_size if chunk_size is None else integer("chunk_size", chunk_size, 1)

    def encode(self, Xs: Sequence[torch.Tensor], masks: Masks = None) -> list[torch.Tensor]:
        """Return the latents (N, d): one per view, or the joint one alone."""
        if self.joint:
            return [flatten(self._chunked(self.encoders[0], *Xs, *(masks or ())))]
        Zs = [flatten(self._chunked(encoder, X)) for encoder, X in zip(self.encoders, Xs, strict=True)]
        return Zs if masks is None else [Z * mask[:, None] for Z, mask in zip(Zs, masks, strict=True)]

    def decode(self, Zs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return the reconstructions, one (N, C, H, W) or (N, D) per view."""
        Zs = list(Zs) * len(self.decoders) if self.joint else Zs
        maps = [unflatten(Z, shape) for Z, shape in zip(Zs, self.latent_shapes, strict=True)]  # (N, c, h, w)
        return [self._chunked(decoder, Z) for decoder, Z in zip(self.decoders, maps, strict=True)]

    def project(self, Zs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return the projected latents (N, p) that CMSC-DCCA correlates; none without ``correlation``."""
        return [project(Z) for project, Z in zip(self.projections, Zs, strict=False)]

    def autoencode(self, Xs: Sequence[torch.Tensor], masks: Masks = None) -> list[torch.Tensor]:
        """Return the reconstructions without self-expression: what pre-training learns."""
        return self.decode(self.encode(Xs, masks))

    def forward(
        self, Xs: Sequence[torch.Tensor], masks: Masks = None
    ) -> tuple[list[torch.Tensor], list[torch.Tensor], list[torch.Tensor]]:
        """Return ``(Zs, Zs_hat, Xs_hat)``: latents, self-expressed latents, reconstructions from the latter."""
        Zs = self.encode(Xs, masks)
        Zs_hat = express(self.self_expression.matrix(), self.shard.gather_all(Zs))  # C Z
        return Zs, Zs_hat, self.decode(Zs_hat)

    @property
    def shard(self) -> Shard:
        """The samples that this process holds."""
        return self.self_expression.shard

    @property
    def n_latents(self) -> int:
        """How many latents C expresses: one per view, or the joint one."""
        return 1 if self.joint else len(self.decoders)

    def latent_masks(self, masks: Masks) -> Masks:
        """Return which samples have which latent, given who has which view: a joint latent everyone has."""
        return None if self.joint else masks

    def place(self, device: torch.device | str) -> SubspaceNetwork:
        """Move to a device, and work there as it likes best; the numbers are the same.

        A CPU's caches make chunks of samples, with channels innermost, several times faster than one batch of
        thousands.
        """
        on_cpu = torch.device(device).type == "cpu"
        self.chunk_size = CPU_CHUNK if on_cpu else None
        self.to(device)
        return self.to(memory_format=torch.channels_last) if on_cpu else self  # type: ignore[call-overload]

    @torch.no_grad()
    def scale_latents(self, factor: float) -> None:
        """Multiply the latents by a positive factor, and let the decoders take it back: same reconstructions.

        The last layers of the encoders and the first ones of the decoders change; it works because the non-linearities
        in between let a positive factor pass.
        """
        last = [layer for encoder in self.encoders for layer in last_layers(encoder)]
        for layer in last:
            layer.get_parameter("weight").mul_(factor)
            layer.get_parameter("bias").mul_(factor)
        for decoder in self.decoders:
            first = next(layer for layer in decoder.children() if hasattr(layer, "weight"))
            first.get_parameter("weight").div_(factor)

    def autoencoder_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the encoders and decoders: all but C and the projections."""
        return [*self.encoders.parameters(), *self.decoders.parameters()]

    @property
    def coefficients(self) -> np.ndarray:
        """C as a NumPy array (N, N)."""
        return self.self_expression.coefficients.cpu().numpy()

    def _chunked(self, network: nn.Module, *Xs: torch.Tensor) -> torch.Tensor:
        if self.chunk_size is None or len(Xs[0]) <= self.chunk_size:
            return network(*Xs)
        chunks = zip(*(X.split(self.chunk_size) for X in Xs), strict=True)
        return torch.cat([network(*chunk) for chunk in chunks])


def flatten(maps: torch.Tensor) -> torch.Tensor:
    """Bring maps (N, c, h, w) to rows (N, h w c), pixel by pixel: no copy where channels lie innermost."""
    return maps.movedim(1, -1).flatten(1)


def unflatten(Z: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Undo `flatten`: rows (N, h w c) to maps (N, c, h, w), for ``shape`` (c, h, w)."""
    channels, *size = shape
    return Z.unflatten(1, (*size, channels)).movedim(-1, 1)


def last_layers(encoder: nn.Module) -> list[nn.Module]:
    """Return the layers whose weights set the scale of an encoder's output."""
    if isinstance(encoder, FusionEncoder):
        return encoder.last_layers()
    return [[layer for layer in encoder.children() if hasattr(layer, "weight")][-1]]
