"""A running average of the weights; the average is what is judged and kept."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

Tensors = tuple[Tensor, ...] | list[Tensor]


def ramped_decay(decay: float, averaged: int) -> float:
    """Return how much of the average stays: short memory first, min(decay, (1+n)/(10+n))."""
    return min(decay, (1 + averaged) / (10 + averaged))


def build_ema(model: nn.Module, decay: float) -> AveragedModel:
    """Return an average of the model's weights; call ``update_parameters`` after each step."""
    return AveragedModel(model, multi_avg_fn=_average_with(decay))


def _average_with(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    @torch.no_grad()
    def average(averaged: Tensors, current: Tensors, count: Tensor | int) -> None:
        torch._foreach_lerp_(averaged, current, 1 - ramped_decay(decay, int(count)))

    return average
