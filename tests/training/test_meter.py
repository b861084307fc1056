from __future__ import annotations

import numpy as np
import pytest
import torch

from iouaware.training.losses import Losses
from iouaware.training.meter import EpochMeter


def losses(u: list[float], t: list[float]) -> Losses:
    one = torch.tensor(1.0)
    return Losses(one, one * 2, one * 3, one * 4, len(u), torch.tensor(u), torch.tensor(t))


def test_correlation_equals_numpy_over_batches() -> None:
    meter = EpochMeter()
    meter.add(losses([0.1, 0.5, 0.9], [0.2, 0.3, 0.8]))
    meter.add(losses([0.4], [0.6]))
    expected = np.corrcoef([0.1, 0.5, 0.9, 0.4], [0.2, 0.3, 0.8, 0.6])[0, 1]
    assert meter.iou_correlation() == pytest.approx(expected, rel=1e-6)


def test_averages_by_hand() -> None:
    meter = EpochMeter()
    meter.add(losses([0.5], [0.5]))
    averages = meter.averages()
    assert averages["loss"] == 1 + 2 + 3 + 4
    assert averages["look_loss"] == 4
    assert averages["positives"] == 1
    assert averages["iou_correlation"] is None  # one pair has no correlation


def test_a_constant_prediction_has_no_correlation() -> None:
    meter = EpochMeter()
    meter.add(losses([0.5, 0.5], [0.2, 0.8]))
    assert meter.iou_correlation() is None


def test_an_epoch_without_positives() -> None:
    meter = EpochMeter()
    meter.add(losses([], []))
    assert meter.averages()["positives"] == 0


def test_state_goes_round() -> None:
    meter, other = EpochMeter(), EpochMeter()
    meter.add(losses([0.1, 0.9], [0.2, 0.8]))
    other.load_state_dict(meter.state_dict())
    assert other == meter
