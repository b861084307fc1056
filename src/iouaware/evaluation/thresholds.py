"""What a threshold on S costs and brings: precision, recall, F1, false alarms on empty pictures.

All classes share one threshold: their detections are pooled by S, each right or wrong by COCO's
matching within its own picture and class. A threshold T keeps S at or above T, so equal scores
stand or fall together. Detections on crowds and difficult objects count neither way.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from iouaware.data.dataset import Dataset
from iouaware.evaluation.coco_metrics import IOU_KEYS
from iouaware.evaluation.detection_table import DetectionTable
from iouaware.evaluation.matches import Floats, Matches

PRECISIONS = ("0.90", "0.95", "0.99")
IOUS = ("0.50", "0.75", "0.90")
DISPLAY_IOU = "0.50"


class PooledCurve(NamedTuple):
    """Precision and recall at every threshold worth setting, by falling score.

    Attributes:
        scores: [P] distinct scores; the threshold of point i keeps the first i + 1 of them.
        precision: [P].
        recall: [P].
        f1: [P].
    """

    scores: Floats
    precision: Floats
    recall: Floats
    f1: Floats


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold on S with what it gives at IoU 0.5 on the data it was taken from."""

    score_threshold: float
    precision: float
    recall: float
    f1: float

    def to_dict(self) -> dict[str, float]:
        """Return the numbers by name."""
        return asdict(self)


def pool_classes(matches: Matches, iou: str = DISPLAY_IOU) -> PooledCurve:
    """Pool the detections of all classes by S and accumulate.

    Args:
        matches: of a split.
        iou: from which a detection counts as right, "0.50", "0.55", ... "0.95".
    """
    level = IOU_KEYS.index(iou)
    counted = np.flatnonzero(~matches.ignored[level])
    order = counted[np.argsort(-matches.scores[counted], kind="stable")]
    scores = matches.scores[order]
    hits = np.cumsum(matches.right[level][order])
    ends = np.flatnonzero(np.diff(scores, append=-np.inf))  # the last of equal scores
    found, hits, objects = ends + 1.0, hits[ends].astype(np.float64), int(matches.objects.sum())
    return PooledCurve(
        scores[ends],
        hits / found,
        hits / max(1, objects),
        2 * hits / np.maximum(found + objects, 1),
    )


def best_f1(matches: Matches) -> OperatingPoint | None:
    """Return the threshold with the best F1 at IoU 0.5, or None where nothing is ever right.

    The threshold lies halfway to the next lower score, so that rounding does not move it.
    """
    curve = pool_classes(matches)
    if not len(curve.f1) or curve.f1.max() == 0:
        return None
    best = int(curve.f1.argmax())
    return OperatingPoint(
        _below(curve.scores, best),
        float(curve.precision[best]),
        float(curve.recall[best]),
        float(curve.f1[best]),
    )


def operate_at(matches: Matches, score_threshold: float) -> dict[str, float | None]:
    """Say what a given threshold gives at IoU 0.5; precision is None if it keeps nothing."""
    curve = pool_classes(matches)
    kept = int((curve.scores >= score_threshold).sum())
    objects = bool(matches.objects.any())
    if not kept:
        nothing = 0.0 if objects else None
        return {
            "score_threshold": score_threshold,
            "precision": None,
            "recall": nothing,
            "f1": nothing,
        }
    return {
        "score_threshold": score_threshold,
        "precision": float(curve.precision[kept - 1]),
        "recall": float(curve.recall[kept - 1]) if objects else None,
        "f1": float(curve.f1[kept - 1]) if objects else None,
    }


def recall_at_precision(
    matches: Matches,
) -> tuple[dict[str, Any], dict[str, Any], dict[str, str]]:
    """Find the most recall that each precision allows, at IoU 0.5, 0.75 and 0.9.

    Returns:
        Precision -> IoU -> recall; the same with the threshold on S; and the reasons of the
        numbers that are None: no threshold reaches that precision.
    """
    recalls: dict[str, Any] = {}
    thresholds: dict[str, Any] = {}
    notes: dict[str, str] = {}
    curves = {iou: pool_classes(matches, iou) for iou in IOUS}
    for asked in PRECISIONS:
        recalls[asked], thresholds[asked] = {}, {}
        for iou, curve in curves.items():
            # a hit is needed: without one the precision is 0 anyway
            reached = np.flatnonzero(curve.precision >= float(asked))
            if len(reached) and matches.objects.any():
                last = int(reached[-1])  # recall never falls along the curve
                recalls[asked][iou] = float(curve.recall[last])
                thresholds[asked][iou] = _below(curve.scores, last)
                continue
            recalls[asked][iou] = thresholds[asked][iou] = None
            notes[f"recall_at_precision.{asked}.{iou}"] = (
                f"no threshold on S reaches precision {asked} at IoU {iou}"
                if matches.objects.any()
                else "no object in this split"
            )
    return recalls, thresholds, notes


def count_false_alarms(
    dataset: Dataset, table: DetectionTable, score_threshold: float
) -> float | None:
    """Return the detections shown on a picture without any box, on average; None without such."""
    empty = dataset.empty_images()
    if not len(empty):
        return None
    shown = table.above(score_threshold)
    return float(np.isin(shown.image_index, empty).sum() / len(empty))


def _below(scores: Floats, index: int) -> float:
    """Return a threshold halfway between this score and the next lower one (0 after the last)."""
    lower = scores[index + 1] if index + 1 < len(scores) else 0.0
    return float((scores[index] + lower) / 2)
