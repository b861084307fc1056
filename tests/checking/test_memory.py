"""The memory of a training step, counted without numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from iouaware.checking.memory import estimate_step_bytes
from iouaware.config import build_config
from iouaware.model.detector import Detector
from iouaware.recipes.reading import read_recipe


def test_it_is_what_the_graph_keeps_and_the_weights_several_times(tiny_config: Path) -> None:
    config = build_config(read_recipe(tiny_config))
    detector = Detector(config.model, 3)
    kept: dict[int, int] = {}
    weights = {one.untyped_storage().data_ptr() for one in detector.parameters()}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in weights:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    detector.train()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = detector(torch.zeros(2, 3, 96, 96))
    # weights, gradients and two moments of AdamW: four copies
    numbers = sum(one.numel() for one in detector.parameters())
    anchors = outputs.class_logits.shape[1]
    expected = sum(kept.values()) + 4 * 4 * numbers + 5 * 4 * 2 * anchors * 3
    assert estimate_step_bytes(str(tiny_config), 3, 96, 2) == pytest.approx(expected, rel=0.02)


def test_it_grows_with_pictures_and_their_size() -> None:
    one, two = (estimate_step_bytes("small", 4, 320, batch) for batch in (1, 2))
    larger = estimate_step_bytes("small", 4, 640, 1)
    three = estimate_step_bytes("small", 4, 320, 3)
    assert three - two == pytest.approx(two - one, rel=0.01)
    assert 3.5 < (larger - one) / (two - one) + 1 < 4.5  # four times the pixels
