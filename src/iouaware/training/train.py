"""From a recipe and a data set to trained weights in a run folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from iouaware.config import Config
from iouaware.data.layouts import Splits
from iouaware.model.detector import Detector
from iouaware.model.weights import load_backbone_weights, start_from
from iouaware.training.ranks import Ranks, join_ranks
from iouaware.training.trainer import Trainer


def train_detector(
    config: Config,
    splits: Splits,
    out: Path,
    *,
    image_size: int | tuple[int, int],
    device: str = "cpu",
    workers: int = 0,
    start: str | None = None,
    resume: bool = False,
    loggers: Sequence[str] = ("csv",),
    dry_run: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Train a detector; write ``model.safetensors``, ``checkpoints/`` and ``metrics.csv``.

    Says the lines on model, schedule and first batch before it starts. Under torchrun it joins
    the other processes.

    Args:
        config: the whole recipe.
        splits: training and validation part.
        out: an existing run folder.
        image_size: side of the canvas, or (short, long).
        device: as torch names it.
        workers: processes that load pictures.
        start: a run, a weights file or ``torchvision:NAME`` to start from.
        resume: go on from the newest checkpoint in ``out``.
        loggers: ``csv`` and others by name.
        dry_run: say the lines and stop.
        say: takes each line meant for the user.

    Raises:
        IoUAwareError: weights that cannot be had, a loss that is no number, a full disk.
    """
    ranks = join_ranks(device)
    torch.manual_seed(config.seed)
    detector = Detector(config.model, len(splits.train.class_names))
    note = ""
    if not resume:
        note = _load_weights(detector, config, start, splits.train.class_names, ranks)
    trainer = Trainer(
        detector,
        config,
        splits,
        out,
        image_size=image_size,
        device=device,
        workers=workers,
        ranks=ranks,
        loggers=loggers,
        say=say if ranks.is_first else lambda line: None,
    )
    if ranks.is_first and not resume:
        parameters = sum(parameter.numel() for parameter in detector.parameters())
        say(f"model: {config.model.backbone}, {parameters / 1e6:.1f} M parameters, {note}")
        first_batch = trainer.write_first_batch()
        say(_describe_schedule(trainer, config))
        say(f"look now: {first_batch}")
    if not dry_run:
        trainer.fit(resume=resume)


def _load_weights(
    detector: Detector,
    config: Config,
    start: str | None,
    class_names: tuple[str, ...],
    ranks: Ranks,
) -> str:
    """Load the starting weights and say which; ``start`` makes the backbone's own needless."""
    if start is not None:
        return start_from(detector, start, class_names)
    return load_backbone_weights(detector.backbone, config.model)


def _describe_schedule(trainer: Trainer, config: Config) -> str:
    """Write the schedule, its expected time and the learning rate as one line."""
    train, progress = config.train, trainer.progress
    images = trainer.batch_size * trainer.ranks.world_size * train.accumulate
    text = f"schedule: {train.epochs} epochs, {progress.total_steps} steps of {images} pictures"
    text += f", about {max(1, round(trainer.estimate_minutes()))} minutes on {trainer.device}"
    return text + (
        f"; {train.optimizer}, learning rate {trainer.lr:.3g} ({train.lr:g} for 16 pictures)"
    )
