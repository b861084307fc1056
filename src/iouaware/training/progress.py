"""How far a run is, and how it is told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from iouaware.training.logs import Row


@dataclass
class Progress:
    """Plain numbers, saved with every checkpoint.

    Attributes:
        total_steps: where the schedule ends; ``--minutes`` lowers it once.
        step: optimiser steps done.
        epoch: epochs done.
        batch: batches of the present epoch that are done.
        seconds: time spent in batches.
        best_ap: of all validations, at alpha 1; -1 before the first.
        validations_without_gain: since the best.
        minutes_are_steps: ``--minutes`` has been turned into ``total_steps``.
        stopped_early: patience has run out.
        bad_steps: left out, since a loss or gradient was no number.
    """

    total_steps: int
    step: int = 0
    epoch: int = 0
    batch: int = 0
    seconds: float = 0.0
    best_ap: float = -1.0
    validations_without_gain: int = 0
    minutes_are_steps: bool = False
    stopped_early: bool = False
    bad_steps: int = 0

    @property
    def is_done(self) -> bool:
        """Whether the schedule or patience has come to its end."""
        return self.step >= self.total_steps or self.stopped_early

    def note_ap(self, ap: float, patience: int | None) -> bool:
        """Note the AP of a validation, -1 where there is none, and tell whether it is the best.

        After ``patience`` validations in a row that are not, the run stops early.
        """
        best = ap > self.best_ap or self.best_ap < 0
        if best:
            self.best_ap, self.validations_without_gain = ap, 0
        else:
            self.validations_without_gain += 1
        self.stopped_early = patience is not None and self.validations_without_gain >= patience
        return best


def describe_epoch(row: Row, progress: Progress) -> str:
    """Write an epoch's numbers as one line."""
    text = f"epoch {progress.epoch}  step {progress.step}/{progress.total_steps}"
    for name in ("loss", "class_loss", "box_loss", "iou_loss", "look_loss", "iou_correlation"):
        value = row.get(name)
        text += "" if value is None else f"  {name.replace('_', ' ')} {value:.3f}"
    for name in ("AP", "AP50", "AP75", "AP90"):
        if name in row:
            value = row[name]
            text += f"  {name} " + ("n/a" if value is None else f"{100 * value:.1f}")
    return text


def show_bar(batches: Iterable[Any], progress: Progress, total: int, shown: bool) -> Iterable[Any]:
    """Draw a bar for an epoch of ``total`` batches while they are taken, on a terminal only."""
    bar: Iterable[Any] = tqdm(
        batches,
        desc=f"epoch {progress.epoch + 1}",
        initial=progress.batch,
        total=total,
        unit="batch",
        leave=False,
        disable=None if shown else True,
    )
    return bar
