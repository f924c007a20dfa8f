"""Encoders and decoders, built from a description.

An `Architecture` is data: which layers, which geometry, which non-linearity. Image views get its convolutions,
vector views its dense widths. Two geometries occur in the literature and both are here:

- ``padding="same"``: TensorFlow's rule, used by the authors of DSC-Net and DMSC. A stride-2 layer turns height H into
  ceil(H / 2); the padding may be asymmetric, and the decoder is told the size to come back to, so 48 x 42 comes back as
  48 x 42.
- an integer padding: PyTorch's rule, used by the blog listing (42 x 42 -> 30 x 10 x 10 -> 42 x 42).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.grad import conv2d_input, conv2d_weight

from .checks import integer, one_of

__all__ = ["Architecture", "Conv", "build_decoder", "build_encoder", "latent_shape", "multiplications"]

ACTIVATIONS = {"relu": nn.ReLU, "none": nn.Identity}
INITIALIZATIONS = ("xavier", "torch")


@dataclass(frozen=True)
class Conv:
    """One convolution of an encoder, and its mirror in the decoder.

    Parameters
    ----------
    channels : int
        Output channels of the encoder's layer.
    kernel, stride : int
        Size and step, the same in both directions.
    padding : "same" or int
        TensorFlow's "SAME" rule, or PyTorch's symmetric padding.
    decoder_padding : int, optional
        Padding of the mirrored transposed convolution where it differs (the listing's outermost layer); only for an
        integer ``padding``.
    """

    channels: int
    kernel: int
    stride: int = 2
    padding: str | int = "same"
    decoder_padding: int | None = None

    def __post_init__(self) -> None:
        for field in ("channels", "kernel", "stride"):
            integer(field, getattr(self, field), 1)
        if self.padding != "same" and (not isinstance(self.padding, int) or self.padding < 0):
            raise ValueError(f"padding must be 'same' or a non-negative integer, got {self.padding!r}")


@dataclass(frozen=True)
class Architecture:
    """Description of an autoencoder: everything but the size of the input.

    Parameters
    ----------
    convolutions : tuple of Conv
        Layers (or the tuples of their arguments) for image views, input to latent. The decoder mirrors them.
    dense : tuple of int, or "auto"
        Widths of the layers for vector views; the last one is the latent dimension. "auto" follows the number of
        features D: a latent of √D, from 8 (or D) to 64, behind a layer of the geometric mean of D and that, 8 to 128.
    activation, output_activation : {"relu", "none"}
        Non-linearity after each layer, and after the decoder's last one. The authors' code has ReLU in both places;
        with an unlucky start an output ReLU stays at 0 and its view is not reconstructed (the records'
        ``pretrain_reconstruction_error`` shows it).
        A dense latent and a dense reconstruction are linear: vectors may be negative.
    initialization : {"xavier", "torch"}
        Glorot-uniform weights with zero biases (the authors' TensorFlow code), or PyTorch's default (the listing).
    """

    convolutions: tuple[Conv, ...] = (Conv(10, 3), Conv(20, 3))
    dense: tuple[int, ...] | str = (64, 32)
    activation: str = "relu"
    output_activation: str = "none"
    initialization: str = "xavier"

    def __post_init__(self) -> None:
        for field in ("activation", "output_activation"):
            one_of(field, getattr(self, field), ACTIVATIONS)
        one_of("initialization", self.initialization, INITIALIZATIONS)
        if not self.convolutions or not self.dense:
            raise ValueError("an architecture needs at least one convolution and one dense width")
        layers = tuple(layer if isinstance(layer, Conv) else Conv(*layer) for layer in self.convolutions)
        object.__setattr__(self, "convolutions", layers)
        if self.dense != "auto":
            object.__setattr__(self, "dense", tuple(integer("dense", width, 1) for width in self.dense))

    def widths(self, n_features: int) -> tuple[int, ...]:
        """Return the widths of the dense layers for vectors of so many features."""
        if isinstance(self.dense, tuple):
            return self.dense
        latent = min(n_features, 64, max(8, round(n_features**0.5)))
        return min(128, max(8, round((n_features * latent) ** 0.5))), latent


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return TensorFlow's "SAME" padding (before, after) along one axis of ``size`` pixels."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's "SAME" padding for one fixed input size: H -> ceil(H / stride)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, size: tuple[int, ...]):
        (top, bottom), (left, right) = (same_padding(s, kernel, stride) for s in size)
        symmetric = (top, left) == (bottom, right)
        super().__init__(in_channels, out_channels, kernel, stride, padding=(top, left) if symmetric else 0)
        self.pads = None if symmetric else (left, right, top, bottom)

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        return super().forward(X if self.pads is None else F.pad(X, self.pads))


class ConvTranspose2d(nn.ConvTranspose2d):
    """PyTorch's transposed convolution, and its numbers, faster on CPUs where the stride is above 1."""

    def forward(self, X: torch.Tensor, output_size: list[int] | None = None) -> torch.Tensor:
        if X.device.type != "cpu" or self.stride == (1, 1):
            return super().forward(X, output_size)
        size = [
            (h - 1) * self.stride[i] - 2 * int(self.padding[i]) + self.kernel_size[i] + self.output_padding[i]
            for i, h in enumerate(X.shape[2:])
        ]
        Y = ConvolutionAdjoint.apply(X, self.weight, size, self.stride, self.padding)
        return Y if self.bias is None else Y + self.bias[:, None, None].to(Y.dtype)


class ConvolutionAdjoint(torch.autograd.Function):
    """A transposed convolution as what it is, the gradient of a convolution by its input.

    The CPU library has good code for that gradient, also with strides. Its transposed convolution has none in bfloat16.
    """

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.bfloat16)  # cast within autocast only
    def forward(ctx, X, weight, size, stride, padding):  # type: ignore[no-untyped-def]
        """Return (N, C, H, W) of ``size`` (H, W), of maps X (N, c, h, w)."""
        ctx.save_for_backward(X, weight)
        ctx.options = stride, padding
        return conv2d_input((len(X), weight.shape[1], *size), weight, X, *ctx.options)

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")
    def backward(ctx, dY):  # type: ignore[no-untyped-def]
        """The adjoint of the adjoint is the convolution."""
        X, weight = ctx.saved_tensors
        dX = F.conv2d(dY, weight, None, *ctx.options) if ctx.needs_input_grad[0] else None
        dW = conv2d_weight(dY, weight.shape, X, *ctx.options) if ctx.needs_input_grad[1] else None
        return dX, dW, None, None, None


class SameConvTranspose2d(ConvTranspose2d):
    """The adjoint of `SameConv2d`: brings feature maps back to exactly ``size``."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, size: tuple[int, ...]):
        top, left = before = [same_padding(s, kernel, stride)[0] for s in size]
        grown = [(-(-s // stride) - 1) * stride + kernel - 2 * b for s, b in zip(size, before, strict=True)]
        rows, columns = (max(s - g, 0) for s, g in zip(size, grown, strict=True))  # missing where kernel < stride
        padding, output_padding = (top, left), (rows, columns)
        super().__init__(in_channels, out_channels, kernel, stride, padding, output_padding)
        self.size = size

    def forward(self, X: torch.Tensor, output_size: list[int] | None = None) -> torch.Tensor:
        return super().forward(X)[:, :, : self.size[0], : self.size[1]]


def conv_sizes(size: tuple[int, ...], architecture: Architecture) -> list[tuple[int, ...]]:
    """Return the (H, W) before the first convolution and after each one."""
    sizes = [size]
    for conv in architecture.convolutions:
        if isinstance(conv.padding, str):  # "same"
            size = tuple(-(-s // conv.stride) for s in size)
        else:
            size = tuple((s + 2 * conv.padding - conv.kernel) // conv.stride + 1 for s in size)
        if min(size) < 1:
            raise ValueError(f"an image of {sizes[0]} pixels is too small for {conv}: use fewer or smaller layers")
        sizes.append(size)
    return sizes


def latent_shape(view_shape: tuple[int, ...], architecture: Architecture) -> tuple[int, ...]:
    """Return the shape of one sample's latent: ``(c, h, w)`` for an image view, ``(d,)`` for a vector view."""
    if len(view_shape) == 1:
        return architecture.widths(view_shape[0])[-1:]
    return (architecture.convolutions[-1].channels, *conv_sizes(tuple(view_shape[1:]), architecture)[-1])


def build_encoder(view_shape: tuple[int, ...], architecture: Architecture) -> nn.Sequential:
    """Build the encoder of one view.

    Parameters
    ----------
    view_shape : tuple of int
        Shape of one sample: ``(C, H, W)`` for images, ``(D,)`` for vectors.
    architecture : Architecture
        The description.

    Returns
    -------
    torch.nn.Sequential
        Maps ``(N, *view_shape)`` to ``(N, *latent_shape(view_shape, architecture))``.

    References
    ----------
    Ji et al., "Deep Subspace Clustering Networks", NIPS 2017, section 3.2 and Table 1.
    """
    activation = ACTIVATIONS[architecture.activation]
    layers: list[nn.Module] = []
    if len(view_shape) == 1:
        widths = (*view_shape, *architecture.widths(view_shape[0]))
        for wide, narrow in zip(widths, widths[1:], strict=False):
            layers += [nn.Linear(wide, narrow), activation()]
        layers = layers[:-1]  # a linear latent
    else:
        channels, *size = view_shape
        sizes = conv_sizes(tuple(size), architecture)
        for conv, before in zip(architecture.convolutions, sizes, strict=False):
            layers += [build_convolution(channels, conv, before), activation()]
            channels = conv.channels
    return initialize(nn.Sequential(*layers), architecture)


def build_convolution(in_channels: int, conv: Conv, size: tuple[int, ...]) -> nn.Conv2d:
    """Build the encoder's layer that a `Conv` describes, for maps of ``size`` pixels."""
    if isinstance(conv.padding, str):  # "same"
        return SameConv2d(in_channels, conv.channels, conv.kernel, conv.stride, size)
    return nn.Conv2d(in_channels, conv.channels, conv.kernel, conv.stride, conv.padding)


def build_decoder(view_shape: tuple[int, ...], architecture: Architecture) -> nn.Sequential:
    """Build the decoder of one view: the mirror of `build_encoder`, back to exactly ``view_shape``."""
    activation, output = ACTIVATIONS[architecture.activation], ACTIVATIONS[architecture.output_activation]
    layers: list[nn.Module] = []
    if len(view_shape) == 1:
        widths = (*view_shape, *architecture.widths(view_shape[0]))[::-1]
        for narrow, wide in zip(widths, widths[1:], strict=False):
            layers += [nn.Linear(narrow, wide), activation()]
        layers = layers[:-1]  # a linear reconstruction
    else:
        sizes = conv_sizes(tuple(view_shape[1:]), architecture)
        channels = [view_shape[0], *(conv.channels for conv in architecture.convolutions)]
        for i in reversed(range(len(architecture.convolutions))):
            conv = architecture.convolutions[i]
            up: nn.ConvTranspose2d
            if isinstance(conv.padding, str):  # "same"
                up = SameConvTranspose2d(channels[i + 1], channels[i], conv.kernel, conv.stride, sizes[i])
            else:
                padding = conv.padding if conv.decoder_padding is None else conv.decoder_padding
                up = ConvTranspose2d(channels[i + 1], channels[i], conv.kernel, conv.stride, padding)
            layers += [up, activation()]
        layers[-1] = output()
    decoder = nn.Sequential(*layers)
    with torch.no_grad():
        returned = tuple(decoder(torch.zeros(1, *latent_shape(view_shape, architecture))).shape[1:])
    if returned != tuple(view_shape):
        raise ValueError(
            f"this geometry brings a view of shape {tuple(view_shape)} back as {returned}: "
            "use padding='same', or mend decoder_padding for this image size"
        )
    return initialize(decoder, architecture)


def initialize(network: nn.Sequential, architecture: Architecture) -> nn.Sequential:
    """Initialize the weights of a stack of layers as the architecture says, and return it."""
    if architecture.initialization == "xavier":
        for layer in network:
            if hasattr(layer, "weight"):
                nn.init.xavier_uniform_(layer.get_parameter("weight"))
                nn.init.zeros_(layer.get_parameter("bias"))
    return network


@torch.no_grad()
def multiplications(network: nn.Module, shape: tuple[int, ...]) -> tuple[int, int]:
    """Return how many multiplications a sample of this shape takes in a stack of layers: in convolutions, in others."""
    convolutions, others = 0, 0
    X = next(network.parameters()).new_zeros(1, *shape)
    for layer in network.children():
        Y = layer(X)
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            fewer = X if Y.shape[2] > X.shape[2] else Y  # one visit of the kernel for every such pixel
            convolutions += layer.weight.numel() * fewer.shape[2] * fewer.shape[3]
        elif isinstance(layer, nn.Linear):
            others += layer.weight.numel()
        X = Y
    return convolutions, others
