"""A transposed convolution whose forward pass is fast where it has few output channels: a decoder's last layer.

PyTorch hands a transposed convolution to kernels that work on 16 channels at once; with one output channel fifteen of
sixteen lanes idle. The same numbers come from an ordinary convolution: with stride s the output falls into s x s
interleaved grids, each of which is a convolution of the input with every s-th tap of the kernel. One convolution with
s x s times the output channels makes all grids, and a reshape weaves them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable

__all__ = ["ConvTranspose2d"]

LANES = 16  # channels per vector: worth while as long as all grids together fit into one


class ConvTranspose2d(nn.ConvTranspose2d):
    """``torch.nn.ConvTranspose2d``, with the same parameters and the same numbers to rounding.

    On the CPU, with a stride above 1 and few output channels, the forward pass is one convolution per grid of the
    output. The backward pass is PyTorch's own; it can't be differentiated again.
    """

    def forward(self, X: torch.Tensor, output_size: list[int] | None = None) -> torch.Tensor:
        stride = self.stride[0]
        few = 1 < stride and self.out_channels * stride**2 <= LANES
        plain = self.stride == (stride, stride) and self.groups == 1 and self.dilation == (1, 1)
        grown = all(extra <= before for extra, before in zip(self.output_padding, self.padding, strict=True))
        if few and plain and grown and output_size is None and X.device.type == "cpu" and self.bias is not None:
            return _Interleaved.apply(X, self.weight, self.bias, self.stride, self.padding, self.output_padding)
        return super().forward(X, output_size)


class _Interleaved(torch.autograd.Function):
    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)  # in bfloat16 it would be slower
    def forward(ctx, X, weight, bias, stride, padding, output_padding):
        ctx.save_for_backward(X, weight)
        ctx.geometry = stride, padding, output_padding
        (s, _), (c_in, c_out, *kernel) = stride, weight.shape
        taps = [-(-k // s) for k in kernel]  # of every grid, the kernel filled up with zeros
        filled = F.pad(weight, (0, taps[1] * s - kernel[1], 0, taps[0] * s - kernel[0]))
        filled = filled.reshape(c_in, c_out, taps[0], s, taps[1], s)
        grids = filled.permute(3, 5, 1, 0, 2, 4).reshape(s * s * c_out, c_in, *taps).flip(2, 3)
        if X.is_contiguous(memory_format=torch.channels_last):
            grids = grids.contiguous(memory_format=torch.channels_last)
        Y = F.conv2d(X, grids, bias.repeat(s * s), padding=[t - 1 for t in taps])  # (N, s s c_out, h, w)
        N, _, h, w = Y.shape
        Y = Y.permute(0, 2, 3, 1).reshape(N, h, w, s, s * c_out).transpose(2, 3)
        Y = Y.reshape(N, h * s, w * s, c_out).permute(0, 3, 1, 2)
        sizes = [
            (n - 1) * s - 2 * p + k + extra
            for n, p, k, extra in zip(X.shape[2:], padding, kernel, output_padding, strict=True)
        ]
        return Y[:, :, padding[0] : padding[0] + sizes[0], padding[1] : padding[1] + sizes[1]]

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")
    @once_differentiable
    def backward(ctx, gradient):
        X, weight = ctx.saved_tensors
        stride, padding, output_padding = ctx.geometry
        needed = list(ctx.needs_input_grad[:3])
        found = torch.ops.aten.convolution_backward(
            gradient, X, weight, [weight.shape[1]], stride, padding, [1, 1], True, output_padding, 1, needed
        )
        return *found, None, None, None
