"""From a recipe and a data set to trained weights in a run folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from iouaware.config import Config
from iouaware.data.layouts import Splits
from iouaware.model.detector import Detector
from iouaware.model.precision import name_precision
from iouaware.model.weights import load_backbone_weights, start_from
from iouaware.training.optimiser import describe_odd_lr
from iouaware.training.preview import estimate_minutes, write_first_batch
from iouaware.training.ranks import join_ranks
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
) -> int:
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

    Returns:
        The steps done; 0 on a dry run, and where there was nothing left to do.

    Raises:
        IoUAwareError: weights that cannot be had, a loss that is no number, a full disk.
    """
    ranks = join_ranks(device)
    torch.manual_seed(config.seed)
    detector = Detector(config.model, len(splits.train.class_names))
    note = ""
    if not resume:
        note = _load_weights(detector, config, start, splits.train.class_names)
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
    if not resume:
        first_batch = next(iter(trainer.batches(epoch=0)))
        minutes = estimate_minutes(trainer, first_batch)  # every process takes part in a step
        if ranks.is_first:
            parameters = sum(parameter.numel() for parameter in detector.parameters())
            say(f"model: {config.model.backbone}, {parameters / 1e6:.1f} M parameters, {note}")
            write_first_batch(first_batch, splits.train.class_names, out / "first_batch.jpg")
            say(_describe_schedule(trainer, minutes))
            odd = describe_odd_lr(config.train)
            if odd is not None:
                say(odd)
            say(f"look now: {out / 'first_batch.jpg'}")
    return 0 if dry_run else trainer.fit(resume=resume)


def _load_weights(
    detector: Detector, config: Config, start: str | None, class_names: tuple[str, ...]
) -> str:
    """Load the starting weights and say which; ``start`` makes the backbone's own needless."""
    if start is not None:
        frozen = config.train.freeze == "all-but-iou"
        kept = config.model.iou_head and config.train.iou_weight == 0
        return start_from(detector, start, class_names, all_classes=frozen, iou_branch=kept)
    return load_backbone_weights(detector.backbone, config.model)


def _describe_schedule(trainer: Trainer, minutes: float) -> str:
    """Write the schedule, its expected time and the learning rate as one line."""
    train = trainer.config.train
    precision = name_precision(trainer.losses.dtype)
    return (
        f"schedule: {train.epochs} epochs, {trainer.progress.total_steps} steps of "
        f"{trainer.images_per_step} pictures, about {max(1, round(minutes))} minutes on "
        f"{trainer.device} in {precision}; {train.optimizer}, learning rate {trainer.lr:.3g} "
        f"({train.lr:g} for 16 pictures)"
    )
