"""What is said before a run starts changes nothing of the run."""

from __future__ import annotations

from pathlib import Path

import torch

from iouaware.data.dataset import Dataset
from iouaware.training.preview import estimate_minutes
from tests.training.test_trainer import build_trainer, tiny_config


def test_the_estimate_leaves_the_network_as_it_was(tiny_dataset: Dataset, tmp_path: Path) -> None:
    config = tiny_config(**{"data.batch_size": 4, "model.batch_norm": "learnt"})
    trainer = build_trainer(tiny_dataset, tmp_path / "run", config)
    batch = next(iter(trainer.batches(epoch=0)))
    detector = trainer.detector
    before = {key: value.clone() for key, value in detector.state_dict().items()}
    assert estimate_minutes(trainer, batch) > 0
    after = detector.state_dict()
    assert [key for key in before if not torch.equal(before[key], after[key])] == []
    assert all(parameter.grad is None for parameter in detector.parameters())
