"""Optimiser, learning rate and its schedule."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import SGD, AdamW, Optimizer

from iouaware.config import TrainConfig
from iouaware.model.detector import Detector

IMAGES_PER_LR = 16  # the learning rate in a recipe is for this many pictures a step
# what the recipes take for that many pictures, from the least to the most
USUAL_LR = {"sgd": (0.01, 0.01), "adamw": (4e-4, 4e-3)}
FAR = 8.0  # a factor beyond these: 0.08 diverges with SGD, 0.00125 was scaled by hand already


def scaled_lr(train: TrainConfig, images_per_step: int) -> float:
    """Return the learning rate for a step of this many pictures by the linear rule."""
    return train.lr * images_per_step / IMAGES_PER_LR


def describe_odd_lr(train: TrainConfig) -> str | None:
    """Return a warning where the learning rate is far from what its optimiser usually takes."""
    least, most = USUAL_LR[train.optimizer]
    usual = f"{least:g}" if least == most else f"{least:g} to {most:g}"
    if train.lr >= FAR * most:
        risk = "the loss may become no number"
    elif train.lr <= least / FAR:
        risk = "it may learn next to nothing"
    else:
        return None
    return (
        f"warning: train.lr is {train.lr:g}, while {train.optimizer} usually takes {usual} for "
        f"{IMAGES_PER_LR} pictures: {risk}. It is scaled to the pictures of a step by itself; "
        f"try --train.lr {most:g}"
    )


def freeze_parameters(detector: Detector, train: TrainConfig) -> None:
    """Fix what ``train.freeze`` says; ``all-but-iou`` spares the IoU branch and the second look."""
    if train.freeze == "all-but-iou":
        learning = {id(parameter) for parameter in _iou_parameters(detector)}
        for parameter in detector.parameters():
            parameter.requires_grad_(id(parameter) in learning)


def _iou_parameters(detector: Detector) -> Iterator[nn.Parameter]:
    yield from detector.head.iou_parameters()
    if detector.second_look is not None:
        yield from detector.second_look.parameters()


def build_optimizer(detector: Detector, train: TrainConfig, lr: float) -> Optimizer:
    """Build SGD or AdamW; the backbone learns slower, norms and biases do not decay in AdamW."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in detector.named_parameters():
        if not parameter.requires_grad:
            continue
        rate = lr * (train.backbone_lr_factor if name.startswith("backbone.") else 1.0)
        plain = train.optimizer == "adamw" and parameter.ndim <= 1
        groups.setdefault((rate, 0.0 if plain else train.weight_decay), []).append(parameter)
    parameters = [
        {"params": members, "lr": rate, "weight_decay": decay}
        for (rate, decay), members in groups.items()
    ]
    if train.optimizer == "adamw":
        return AdamW(parameters, lr=lr)
    return SGD(parameters, lr=lr, momentum=train.momentum)


def clip_gradients(detector: Detector, clip_norm: float) -> Tensor:
    """Bound the gradient's L2 norm in place; return the norm before, 0-d.

    The second look is bounded by itself, so that its gradient changes nothing for the rest.
    """
    look = [] if detector.second_look is None else list(detector.second_look.parameters())
    apart = {id(parameter) for parameter in look}
    rest = [parameter for parameter in detector.parameters() if id(parameter) not in apart]
    norms = [clip_grad_norm_(members, clip_norm) for members in (rest, look) if members]
    total: Tensor = torch.stack(norms).square().sum().sqrt()
    return total


def lr_factor(step: int, total_steps: int, train: TrainConfig) -> float:
    """Return the share of the learning rate at a step, counted from 0.

    Linear warm-up from ``warmup_start``, then x0.1 at 8/12 and 11/12 of the run (``step``), or a
    half cosine down to 1 % (``cosine``).
    """
    warmup = min(train.warmup_steps, total_steps // 10)
    rise = 1.0
    if step < warmup:
        rise = train.warmup_start + (1 - train.warmup_start) * step / warmup
    progress = min(1.0, step / max(1, total_steps))
    if train.schedule == "cosine":
        return rise * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))
    return rise * 0.1 ** sum(progress >= share for share in (8 / 12, 11 / 12))
