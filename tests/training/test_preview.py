"""What is said before a run starts changes nothing of the run."""

from __future__ import annotations

from pathlib import Path

import torch

from iouaware.config import build_config
from iouaware.data.dataset import Dataset
from iouaware.data.layouts import Splits
from iouaware.model.detector import Detector
from iouaware.training.preview import estimate_minutes
from iouaware.training.trainer import Trainer


def test_the_estimate_leaves_the_network_as_it_was(tiny_dataset: Dataset, tmp_path: Path) -> None:
    model = {
        "backbone": "test_efficientnet",
        "weights": "none",
        "fpn_channels": 8,
        "tower_convs": 1,
        "shared_iou_convs": 1,
        "frozen_stages": 0,
        "batch_norm": "learnt",
    }
    config = build_config({"model": model, "data": {"image_size": 96, "batch_size": 4}})
    torch.manual_seed(0)
    detector = Detector(config.model, len(tiny_dataset.class_names))
    val = tiny_dataset.subset([0, 1])
    splits = Splits(train=tiny_dataset, val=val, test=None, made=False, lines=())
    trainer = Trainer(detector, config, splits, tmp_path, image_size=96)
    batch = next(iter(trainer.batches(epoch=0)))
    before = {key: value.clone() for key, value in detector.state_dict().items()}
    assert estimate_minutes(trainer, batch) > 0
    after = detector.state_dict()
    assert [key for key in before if not torch.equal(before[key], after[key])] == []
    assert all(parameter.grad is None for parameter in detector.parameters())
