"""Spatial fusion: M views become one joint latent, somewhere on the way through the encoder.

Early, intermediate and late fusion are one thing: a plan of `Merge` steps that says which streams meet, and
after how many convolutions. Early fusion merges at depth 0, late fusion after the last convolution, a hybrid encoder
by any plan in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from .checks import integer, one_of
from .networks import ACTIVATIONS, Architecture, Conv, build_convolution, conv_sizes, initialize

__all__ = ["FUNCTIONS", "FusionEncoder", "Merge", "fuse", "fusion_plan"]

FUNCTIONS = ("sum", "max", "concat")
PLACES = ("early", "intermediate", "late")


@dataclass(frozen=True)
class Merge:
    """One meeting of streams.

    Parameters
    ----------
    depth : int
        How many convolutions each of the streams has behind it; 0 are the inputs.
    streams : tuple of int
        Numbers of the views whose streams meet; the merged stream goes on under the first number.
    """

    depth: int
    streams: tuple[int, ...]

    def __post_init__(self) -> None:
        integer("depth", self.depth, 0)
        streams = tuple(integer("streams", stream, 0) for stream in self.streams)
        if len(streams) < 2 or len(set(streams)) < len(streams):
            raise ValueError(f"a merge needs two or more different streams, got {self.streams!r}")
        object.__setattr__(self, "streams", streams)


def fuse(maps: Sequence[torch.Tensor], function: str, masks: Sequence[torch.Tensor] | None = None) -> torch.Tensor:
    """Join feature maps elementwise over (N, C, H, W), or along the channels.

    Parameters
    ----------
    maps : sequence of tensors (N, C, H, W)
        One per stream, of one size; "concat" allows different C.
    function : {"sum", "max", "concat"}
        The fusion function f.
    masks : sequence of bool tensors (N,), optional
        Which samples each stream has. A stream that a sample lacks adds nothing to a sum, has no say in a maximum, and
        leaves its channels of a concatenation 0; with no stream at all the result is 0.

    Returns
    -------
    torch.Tensor
        (N, C, H, W), for "concat" (N, sum of C, H, W).

    References
    ----------
    Abavisani & Patel, 2018, section III-A, eqs. 3 to 5.
    """
    one_of("fusion_function", function, FUNCTIONS)
    maps = list(maps)
    if masks is not None:
        absent = -torch.inf if function == "max" else 0.0
        lacking = [~mask.view(-1, 1, 1, 1) for mask in masks]
        maps = [Z.masked_fill(lacks, absent) for Z, lacks in zip(maps, lacking, strict=True)]
    if function == "concat":
        return torch.cat(maps, dim=1)
    stacked = torch.stack(maps)  # (M, N, C, H, W)
    if function == "sum":
        return stacked.sum(0)
    fused = stacked.amax(0)
    return fused if masks is None else fused.masked_fill(torch.stack(lacking).all(0), 0.0)


def fusion_plan(place: str, n_views: int, n_layers: int) -> tuple[Merge, ...]:
    """Return the plan of the three named places.

    Parameters
    ----------
    place : {"early", "intermediate", "late"}
        Depth 0; the hybrid plan; after the last convolution. The hybrid plan lets views join one after the other:
        view 1 meets view 0 after the first convolution, view 2 after the second, and so on, all that are left at the
        last but one.
    n_views, n_layers : int
        M, and the number of convolutions.

    Returns
    -------
    tuple of Merge
        Empty for a single view.

    References
    ----------
    Abavisani & Patel, 2018, Figure 3.
    """
    one_of("fusion", place, PLACES)
    if n_views == 1:
        return ()
    if place == "intermediate":
        last = max(n_layers - 1, 1)
        depths = {view: min(view, last) for view in range(1, n_views)}
        return tuple(
            Merge(depth, (0, *(view for view, d in depths.items() if d == depth)))
            for depth in sorted({*depths.values()})
        )
    return (Merge(0 if place == "early" else n_layers, tuple(range(n_views))),)


class FusionEncoder(nn.Module):
    """An encoder for M image views with one joint latent.

    Streams that haven't met keep parameters of their own; after a merge they share one set. Concatenated channels are
    brought back by the next convolution, or, after the last one, by a convolution of its own (3 x 3, stride 1).

    Parameters
    ----------
    view_shapes : sequence of (C, H, W)
        Image views; those that meet must have the same size there.
    architecture : Architecture
        The convolutions that every stream walks through.
    plan : sequence of Merge
        Who meets where; in the end one stream must be left.
    function : {"sum", "max", "concat"}
        The fusion function.

    References
    ----------
    Abavisani & Patel, 2018, section III-A and Figure 3.
    """

    def __init__(
        self,
        view_shapes: Sequence[tuple[int, ...]],
        architecture: Architecture,
        plan: Sequence[Merge],
        function: str = "concat",
    ):
        super().__init__()
        one_of("fusion_function", function, FUNCTIONS)
        convolutions = architecture.convolutions
        self.n_views, self.depth, self.function = len(view_shapes), len(convolutions), function
        self.plan = tuple(sorted(plan, key=lambda merge: merge.depth))
        _check_plan(self.plan, view_shapes, self.depth)
        activation = ACTIVATIONS[architecture.activation]
        sizes = [conv_sizes(tuple(shape[1:]), architecture) for shape in view_shapes]
        channels = {view: shape[0] for view, shape in enumerate(view_shapes)}
        self.layers = nn.ModuleDict()  # "stream_depth": convolution and activation
        for depth in range(self.depth + 1):
            for merge in self._merges(depth):
                _check_meeting(merge, function, channels, [size[depth] for size in sizes])
                joined = [channels.pop(stream) for stream in merge.streams]
                channels[merge.streams[0]] = sum(joined) if function == "concat" else joined[0]
            if depth < self.depth:
                for stream in channels:
                    layer = build_convolution(channels[stream], convolutions[depth], sizes[stream][depth])
                    self.layers[f"{stream}_{depth}"] = initialize(nn.Sequential(layer, activation()), architecture)
                    channels[stream] = convolutions[depth].channels
        (stream,) = channels
        if channels[stream] != convolutions[-1].channels:  # concatenated after the last convolution
            back = build_convolution(channels[stream], Conv(convolutions[-1].channels, 3, 1), sizes[stream][-1])
            self.layers["back"] = initialize(nn.Sequential(back, activation()), architecture)

    def last_layers(self) -> list[nn.Module]:
        """Return the convolutions whose weights set the scale of the joint maps."""
        if "back" in self.layers:
            return [next(self.layers["back"].children())]
        return [next(stack.children()) for name, stack in self.layers.items() if name.endswith(f"_{self.depth - 1}")]

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        """Return the joint feature maps (N, c, h, w) of the views, each (N, C, H, W).

        After the M views may come M masks (N,): which samples have which view.
        """
        Xs, masks = tensors[: self.n_views], tensors[self.n_views :]
        maps, has = dict(enumerate(Xs)), dict(enumerate(masks))
        for depth in range(self.depth + 1):
            for merge in self._merges(depth):
                meeting = [maps.pop(stream) for stream in merge.streams]
                known = [has.pop(stream) for stream in merge.streams] if masks else None
                maps[merge.streams[0]] = fuse(meeting, self.function, known)
                if known is not None:
                    has[merge.streams[0]] = torch.stack(known).any(0)
            if depth < self.depth:
                maps = {stream: self.layers[f"{stream}_{depth}"](Z) for stream, Z in maps.items()}
        (Z,) = maps.values()
        return self.layers["back"](Z) if "back" in self.layers else Z

    def _merges(self, depth: int) -> list[Merge]:
        return [merge for merge in self.plan if merge.depth == depth]


def _check_plan(plan: Sequence[Merge], view_shapes: Sequence[tuple[int, ...]], depth: int) -> None:
    if any(len(shape) != 3 for shape in view_shapes):
        raise ValueError(f"spatial fusion needs image views (C, H, W), got {list(view_shapes)}: use affinity fusion")
    alive = set(range(len(view_shapes)))
    for merge in plan:
        if merge.depth > depth:
            raise ValueError(f"{merge} is deeper than the encoder, which has {depth} convolutions")
        if not alive.issuperset(merge.streams):
            raise ValueError(f"{merge} names a stream that isn't there: {sorted(alive)} are left")
        alive -= set(merge.streams[1:])
    if len(alive) != 1:
        raise ValueError(f"the plan must leave one stream, but {sorted(alive)} are left: merge them too")


def _check_meeting(merge: Merge, function: str, channels: dict[int, int], sizes: list[tuple[int, ...]]) -> None:
    shapes = [sizes[stream] if function == "concat" else (channels[stream], *sizes[stream]) for stream in merge.streams]
    if len(set(shapes)) != 1:
        raise ValueError(
            f"{function} at depth {merge.depth} needs maps of one size, but streams {merge.streams} have {shapes}: "
            "resize the views (dmsc.data.views.resize), or use affinity fusion, which needs no alignment"
        )
