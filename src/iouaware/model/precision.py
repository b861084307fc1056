"""What the network computes in; weights, losses and all that follows stay float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, get_args

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from iouaware.config import Precision
from iouaware.errors import ConfigError

Pair = tuple[int, ...]


def choose_precision(precision: Precision, device: str) -> torch.dtype | None:
    """Return what the network computes in, None for plain float32.

    Args:
        precision: ``auto``, ``float32``, ``bfloat16`` or ``float16``. ``auto`` is float16 on CUDA,
            bfloat16 on a processor that multiplies in it, float32 elsewhere.
        device: torch's name of the device.

    Raises:
        ConfigError: no such precision.
    """
    if precision not in (known := get_args(Precision)):
        raise ConfigError(f"precision is {precision!r}, expected one of {', '.join(known)}")
    if precision == "auto":
        kind = torch.device(device).type
        if kind == "cuda":
            precision = "float16"
        else:
            precision = "bfloat16" if kind == "cpu" and has_bfloat16() else "float32"
    return {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}[precision]


def name_precision(dtype: torch.dtype | None) -> str:
    """Return the name that ``choose_precision`` takes for what it gave."""
    return str(dtype or torch.float32).removeprefix("torch.")


def has_bfloat16() -> bool:
    """Tell whether this processor multiplies in bfloat16 (AVX512-BF16, AMX); others are slow."""
    if not hasattr(
        torch.cpu, "get_capabilities"
    ):  # an older torch: what it cannot tell is not used
        return False
    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))


@contextmanager
def lower_precision(
    dtype: torch.dtype | None, device: torch.device, quick_gradients: bool = True
) -> Iterator[None]:
    """Run a network in another precision inside the block; None changes nothing.

    Args:
        dtype: what ``choose_precision`` said.
        device: where the network is.
        quick_gradients: see to slow kernels on processors; a compiler has its own.
    """
    with ExitStack() as block:
        if dtype is not None:
            block.enter_context(torch.autocast(device.type, dtype))
            if device.type == "cpu" and quick_gradients:
                block.enter_context(_QuickDepthwise())
        yield


class _QuickDepthwise(TorchFunctionMode):
    """Depthwise convolutions whose gradients are computed in float32.

    On processors oneDNN has no fast kernel for those gradients in bfloat16: a strided 3x3 takes
    12 times as long as in float32, and a third of a training step of ``small`` went there.
    """

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Take depthwise convolutions out of the stream of calls."""
        if func is torch.conv2d:
            return _convolve(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _convolve(
    input: Tensor,  # noqa: A002  (the names of torch.conv2d)
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Pair = 1,
    padding: int | Pair | str = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
) -> Tensor:
    if groups == 1 or groups != input.shape[1] or isinstance(padding, str):
        return torch.conv2d(input, weight, bias, stride, padding, dilation, groups)
    settings = (_pair(stride), _pair(padding), _pair(dilation), groups)
    result: Tensor = _Depthwise.apply(input, weight, bias, settings)
    return result


def _pair(value: int | Pair) -> Pair:
    return (value, value) if isinstance(value, int) else tuple(value)


class _Depthwise(torch.autograd.Function):
    """Forward as autocast has it, backward in float32."""

    @staticmethod
    def forward(
        ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None, settings: Any
    ) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.settings, ctx.has_bias = settings, bias is not None
        return torch.conv2d(images, weight, bias, *settings)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        images, weight = ctx.saved_tensors
        stride, padding, dilation, groups = ctx.settings
        to_images, to_weight, to_bias = torch.ops.aten.convolution_backward(
            gradients[0].float(),
            images.float(),
            weight.float(),
            [groups] if ctx.has_bias else None,
            stride,
            padding,
            dilation,
            False,  # not transposed
            [0, 0],
            groups,
            [ctx.needs_input_grad[0], ctx.needs_input_grad[1], ctx.has_bias],
        )
        if to_images is not None:
            to_images = to_images.to(images.dtype)
        return to_images, to_weight, to_bias, None
