from __future__ import annotations

from collections import OrderedDict
from typing import Literal

import pytest
import torch
from torch import Tensor
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from iouaware.model.pyramid import FeaturePyramid

WIDTHS = (12, 16, 24)
SIZES = [(12, 20), (6, 10), (3, 5)]


@pytest.fixture
def features() -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(2, width, *hw) for width, hw in zip(WIDTHS, SIZES, strict=True)]


@pytest.mark.parametrize("p6_from", ["p5", "c5"])
def test_pyramid_equals_torchvision(p6_from: Literal["p5", "c5"], features: list[Tensor]):
    ours = FeaturePyramid(WIDTHS, 8, p6_from, relu_before_p7=True)
    extra = LastLevelP6P7(8 if p6_from == "p5" else WIDTHS[-1], 8)
    theirs = FeaturePyramidNetwork(list(WIDTHS), 8, extra_blocks=extra)
    weights = theirs.state_dict()
    state = {}
    for part in ("weight", "bias"):
        for level in range(3):
            state[f"laterals.{level}.{part}"] = weights[f"inner_blocks.{level}.0.{part}"]
            state[f"smooths.{level}.{part}"] = weights[f"layer_blocks.{level}.0.{part}"]
        for name in ("p6", "p7"):
            state[f"{name}.{part}"] = weights[f"extra_blocks.{name}.{part}"]
    ours.load_state_dict(state)

    expected = theirs(OrderedDict((str(i), level) for i, level in enumerate(features))).values()
    for level, other in zip(ours(features), expected, strict=True):
        assert torch.equal(level, other)


def test_levels_halve_and_keep_their_width(features: list[Tensor]):
    shapes = [tuple(level.shape) for level in FeaturePyramid(WIDTHS, 8)(features)]
    # P6 and P7 round up: 3 x 5 -> 2 x 3 -> 1 x 2
    assert shapes == [(2, 8, *hw) for hw in [*SIZES, (2, 3), (1, 2)]]


def test_relu_before_p7_is_what_it_says(features: list[Tensor]):
    with_relu = FeaturePyramid(WIDTHS, 8, "c5", relu_before_p7=True)
    without = FeaturePyramid(WIDTHS, 8, "c5", relu_before_p7=False)
    without.load_state_dict(with_relu.state_dict())
    *_, p6, p7 = without(features)
    assert (p6 < 0).any()
    assert torch.equal(p7, without.p7(p6))
    assert torch.equal(with_relu(features)[-1], without.p7(p6.relu()))


def test_p6_reads_c5_alone_in_the_paper(features: list[Tensor]):
    pyramid = FeaturePyramid(WIDTHS, 8, "c5")
    assert torch.equal(pyramid(features)[3], pyramid.p6(features[2]))


def test_first_weights_are_xavier_uniform_and_biases_0():
    torch.manual_seed(0)
    pyramid = FeaturePyramid((64, 64, 64), 64)
    # the bound is sqrt(6 / (fan_in + fan_out)), 9 * 64 each for a 3x3 convolution
    bound = (6 / (2 * 9 * 64)) ** 0.5
    weight = pyramid.smooths[0].weight
    assert isinstance(weight, Tensor)
    assert 0.99 * bound < weight.abs().max() <= bound
    assert all(not p.any() for name, p in pyramid.named_parameters() if name.endswith("bias"))


@pytest.mark.parametrize("canvas_hw", [(64, 64), (128, 32), (32, 128)])
def test_p09_the_gradient_of_narrow_maps_is_a_number_in_bfloat16(
    canvas_hw: tuple[int, int],
) -> None:
    # the kernel of maps of width 1 left memory in it that nobody had written: try it often
    torch.manual_seed(0)
    pyramid = FeaturePyramid((8, 8, 8), 8).to(memory_format=torch.channels_last)
    height, width = canvas_hw
    for _ in range(30):
        features = [
            torch.randn(2, 8, height // stride, width // stride).contiguous(
                memory_format=torch.channels_last
            )
            for stride in (8, 16, 32)
        ]
        pyramid.zero_grad()
        junk = torch.full((8 * 8 * 9 * 4,), float("nan"))  # what freed memory may hold
        del junk
        with torch.autocast("cpu", torch.bfloat16):
            levels = pyramid(features)
        sum(level.float().sum() for level in levels).backward()
        for name, parameter in pyramid.named_parameters():
            assert parameter.grad is not None
            assert torch.isfinite(parameter.grad).all(), name
