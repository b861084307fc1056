from __future__ import annotations

import pytest
import torch
from torch import nn

from iouaware.training.ema import build_ema, ramped_decay


def test_decay_ramps_up_by_hand() -> None:
    assert ramped_decay(0.999, 0) == pytest.approx(0.1)  # 1 / 10
    assert ramped_decay(0.999, 90) == pytest.approx(0.91)  # 91 / 100
    assert ramped_decay(0.999, 10**6) == 0.999


def test_average_by_hand() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 1.0)
    ema = build_ema(model, 0.999)
    ema.update_parameters(model)  # the first call copies: 1
    nn.init.constant_(model.weight, 3.0)
    ema.update_parameters(model)  # n = 1: decay 2 / 11, so 2/11 * 1 + 9/11 * 3
    torch.testing.assert_close(ema.module.weight, torch.tensor([[2 / 11 + 27 / 11]]))


def test_keys_are_those_of_the_model_under_module() -> None:
    model = nn.Linear(2, 1)
    state = build_ema(model, 0.9).state_dict()
    assert {f"module.{key}" for key in model.state_dict()} < set(state)
