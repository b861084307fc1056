"""What a user wants to know before a run starts: what the network will see, and how long."""

from __future__ import annotations

import time
from pathlib import Path

import torch

from iouaware.data.loader import Batch
from iouaware.inference.drawing import contact_sheet, draw_targets
from iouaware.training.trainer import Trainer

SHOWN = 16


def write_first_batch(batch: Batch, class_names: tuple[str, ...], path: Path) -> None:
    """Draw a batch as the network sees it: augmented pictures with their boxes."""
    pictures = [
        draw_targets(image.permute(1, 2, 0).numpy(), target, class_names)
        for image, target in zip(batch.images[:SHOWN], batch.targets[:SHOWN], strict=True)
    ]
    contact_sheet(pictures).save(path, quality=90)


def estimate_minutes(trainer: Trainer, batch: Batch) -> float:
    """Time one training step on a batch, the network untouched, and extrapolate to the whole run.

    A batch of validation counts as a third of a step: it has no backward pass.
    """
    train = trainer.config.train
    if train.minutes is not None:
        return train.minutes
    buffers = [(buffer, buffer.clone()) for buffer in trainer.detector.buffers()]
    seconds = 0.0
    for _ in range(2):  # the first one warms up
        started = time.perf_counter()
        trainer.losses.compute(batch).total.backward()  # type: ignore[no-untyped-call]
        if trainer.device.startswith("cuda"):
            torch.cuda.synchronize()
        seconds = time.perf_counter() - started
    trainer.optimizer.zero_grad(set_to_none=True)
    for buffer, before in buffers:  # learnt statistics moved
        buffer.copy_(before)
    validations = train.epochs // train.evaluate_every + 2  # with the final evaluation
    batches = trainer.batches_per_epoch * train.epochs
    batches += round(validations * len(trainer.splits.val) / trainer.batch_size / 3)
    return seconds * batches / 60
