"""TensorFlow's "same" padding, written out.

timm works it out anew from the size of each picture, which an exported graph of any size can only
do with dozens of operations a layer (198 s to export instead of 10). On canvases whose sides are
multiples of 32 every such layer meets an even size, so that the padding is always the same.
"""

from __future__ import annotations

from timm.layers.conv2d_same import Conv2dSame
from torch import nn


def fix_padding(network: nn.Module) -> None:
    """Give every convolution with "same" padding the padding it has at multiples of 32.

    Args:
        network: changed in place; its output stays the same.
    """
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, Conv2dSame):
                setattr(module, name, _padded(child))


def _padded(conv: Conv2dSame) -> nn.Sequential:
    """Return the same convolution behind its padding: more on the right and at the bottom."""
    top, bottom = _split(conv.kernel_size[0], conv.stride[0], conv.dilation[0])
    left, right = _split(conv.kernel_size[1], conv.stride[1], conv.dilation[1])
    plain = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        (conv.kernel_size[0], conv.kernel_size[1]),
        (conv.stride[0], conv.stride[1]),
        dilation=(conv.dilation[0], conv.dilation[1]),
        groups=conv.groups,
        bias=conv.bias is not None,
    )
    plain.weight, plain.bias = conv.weight, conv.bias
    return nn.Sequential(nn.ZeroPad2d((left, right, top, bottom)), plain)


def _split(kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """Return the padding before and after one axis whose size the stride divides."""
    total = max(0, (kernel - 1) * dilation + 1 - stride)
    return total // 2, total - total // 2
