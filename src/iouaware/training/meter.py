"""Sums over an epoch, from which its averages and the IoU correlation come; can be saved."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from iouaware.training.losses import Losses


@dataclass
class EpochMeter:
    """Running sums over the batches of an epoch, as plain numbers."""

    batches: int = 0
    class_loss: float = 0.0
    box_loss: float = 0.0
    iou_loss: float = 0.0
    look_loss: float = 0.0
    positives: float = 0.0
    count: float = 0.0  # positives with a predicted IoU
    sum_u: float = 0.0
    sum_t: float = 0.0
    sum_uu: float = 0.0
    sum_tt: float = 0.0
    sum_ut: float = 0.0

    def add(self, losses: Losses) -> None:
        """Add a batch."""
        self.batches += 1
        self.class_loss += float(losses.class_loss.detach())
        self.box_loss += float(losses.box_loss.detach())
        self.iou_loss += float(losses.iou_loss.detach())
        self.look_loss += float(losses.look_loss.detach())
        self.positives += losses.positives
        if len(losses.predicted_iou):
            u, t = losses.predicted_iou.double(), losses.iou_targets.double()
            self.count += len(u)
            self.sum_u += float(u.sum())
            self.sum_t += float(t.sum())
            self.sum_uu += float((u * u).sum())
            self.sum_tt += float((t * t).sum())
            self.sum_ut += float((u * t).sum())

    def iou_correlation(self) -> float | None:
        """Return Pearson's r of predicted and true IoU on the positives, None where undefined."""
        if self.count < 2:
            return None
        covariance = self.sum_ut - self.sum_u * self.sum_t / self.count
        spread_u = self.sum_uu - self.sum_u**2 / self.count
        spread_t = self.sum_tt - self.sum_t**2 / self.count
        if spread_u <= 1e-12 or spread_t <= 1e-12:
            return None
        return covariance / math.sqrt(spread_u * spread_t)

    def averages(self) -> dict[str, float | None]:
        """Return the losses a batch, by the column names of ``metrics.csv``."""
        batches = max(1, self.batches)
        parts = {
            "class_loss": self.class_loss / batches,
            "box_loss": self.box_loss / batches,
            "iou_loss": self.iou_loss / batches,
        }
        look_loss = self.look_loss / batches
        return {
            "loss": sum(parts.values()) + look_loss,
            **parts,
            "look_loss": look_loss or None,  # exactly 0 where there is no second look
            "iou_correlation": self.iou_correlation(),
            "positives": self.positives / batches,
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the sums as plain numbers."""
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take sums back."""
        for field in fields(self):
            setattr(self, field.name, state[field.name])
