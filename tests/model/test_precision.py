"""Lower precision: which is chosen, and the gradients of depthwise convolutions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  (torch's own convention)
from torch import Tensor

from iouaware.config import Precision
from iouaware.model import precision
from iouaware.model.precision import choose_precision, lower_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("asked", "device", "native", "expected"),
    [
        ("auto", "cuda", False, torch.float16),
        ("auto", "cpu", True, torch.bfloat16),
        ("auto", "cpu", False, None),
        ("auto", "mps", True, None),
        ("float32", "cuda", True, None),
        ("bfloat16", "cpu", False, torch.bfloat16),
    ],
)
def test_auto_takes_what_the_device_is_quick_in(
    asked: Precision,
    device: str,
    native: bool,
    expected: torch.dtype | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(precision, "has_bfloat16", lambda: native)
    assert choose_precision(asked, device) is expected


def test_an_older_torch_counts_as_without_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert precision.has_bfloat16() is False


def gradients(run: torch.dtype | None, **settings: int) -> list[Tensor]:
    """Return output and gradients of a depthwise convolution, 6 channels of 9 x 11."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 6, 9, 11, generator=generator, requires_grad=True)
    weight = torch.randn(6, 1, 3, 3, generator=generator, requires_grad=True)
    bias = torch.randn(6, generator=generator, requires_grad=True)
    with lower_precision(run, CPU):
        result = F.conv2d(images, weight, bias, groups=6, **settings)
    # 0, 1, 2, 0, ...: numbers that every precision holds
    pull = torch.arange(result.numel()).reshape(result.shape).remainder(3).to(result)
    return [result.detach(), *torch.autograd.grad(result, [images, weight, bias], pull)]


@pytest.mark.parametrize("settings", [{"padding": 1}, {"stride": 2}, {"dilation": 2, "padding": 2}])
def test_depthwise_gradients_are_those_of_float32(settings: dict[str, int]) -> None:
    expected = gradients(None, **settings)
    found = gradients(torch.bfloat16, **settings)
    assert found[0].dtype is torch.bfloat16
    assert torch.allclose(found[0].float(), expected[0], rtol=2**-6, atol=2**-4)
    for one, other in zip(found[1:], expected[1:], strict=True):
        assert one.dtype is torch.float32
        assert torch.equal(one, other)


def test_other_convolutions_are_left_alone() -> None:
    images, weight = torch.randn(1, 4, 8, 8), torch.randn(4, 2, 3, 3)
    with lower_precision(torch.bfloat16, CPU):
        in_groups = F.conv2d(images, weight, groups=2)
        named = F.conv2d(images, torch.ones(4, 1, 3, 3), padding="same", groups=4)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(in_groups, F.conv2d(images, weight, groups=2))
    assert named.shape == images.shape


def test_no_precision_changes_nothing() -> None:
    with lower_precision(None, CPU):
        assert F.conv2d(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 3, 3)).dtype is torch.float32
