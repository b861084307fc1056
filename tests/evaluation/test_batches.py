"""Numbers that must not depend on how pictures are put together."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from iouaware.config import InferenceConfig, ModelConfig
from iouaware.data.dataset import Dataset
from iouaware.evaluation.collect import collect_candidates
from iouaware.inference.torch_backend import TorchBackend
from iouaware.model.detector import Detector


@pytest.mark.parametrize("image_size", [96, (64, 128)])
def test_p16_candidates_do_not_depend_on_the_batch(
    image_size: int | tuple[int, int], tiny_dataset: Dataset
) -> None:
    torch.manual_seed(0)
    model = ModelConfig(
        backbone="test_efficientnet", weights="none", fpn_channels=8, tower_convs=1,
        shared_iou_convs=1, frozen_stages=0,
    )  # fmt: skip
    backend = TorchBackend(Detector(model, 4).eval(), InferenceConfig(p_floor=0.001))
    alone, together = (
        collect_candidates(backend, tiny_dataset, image_size, (0, 0, 0), batch_size=size)
        for size in (1, 8)
    )
    for one, other in zip(alone, together, strict=True):
        assert one.frame == other.frame  # the canvas is the picture's own
        assert len(one) == len(other) > 0
        # sorted by anchor and class: p may swap in its last bit
        orders = [np.lexsort((found.labels, found.anchor_index)) for found in (one, other)]
        np.testing.assert_array_equal(one.anchor_index[orders[0]], other.anchor_index[orders[1]])
        np.testing.assert_allclose(
            one.boxes[orders[0]], other.boxes[orders[1]], rtol=1e-4, atol=1e-3
        )
        np.testing.assert_allclose(
            one.class_scores[orders[0]], other.class_scores[orders[1]], rtol=1e-4
        )
