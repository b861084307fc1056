"""What better IoU prediction could buy: AP with the true IoU in place of the predicted one.

Both oracles fuse with alpha 0.5 and start from the same candidates.

``localisation``: candidates that match an object of their class at IoU 0.5 or more get their true
IoU, every other one the mean of those. So nothing is said about which candidate is a false alarm,
only how well the right ones fit: what better IoU prediction alone can buy. What also tells false
alarms, as a second look does, can pass it.

``any_class``: every candidate gets its IoU with the best object of any class (the paper's oracle).
It also gives away which candidates are false alarms.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from iouaware.config import InferenceConfig
from iouaware.evaluation.coco_metrics import CocoEvaluator, CocoMetrics
from iouaware.evaluation.localisation import MATCH_IOU
from iouaware.structures import Candidates, FloatArray

ORACLE_ALPHA = 0.5
SMALLEST_GAP = 0.01  # 1 AP: below it the share of the gap is noise


def localisation_ious(own: Sequence[FloatArray]) -> list[FloatArray]:
    """Turn each picture's ``eval_iou`` into what the localisation oracle predicts.

    The mean is taken over the candidates of all pictures. Where nothing matches it is 0.5: any
    constant leaves the order to p.
    """
    matching = np.concatenate([np.zeros(0, np.float32), *(iou[iou >= MATCH_IOU] for iou in own)])
    mean = np.float32(matching.mean() if len(matching) else 0.5)
    return [np.where(iou >= MATCH_IOU, iou, mean).astype(np.float32) for iou in own]


def evaluate_oracles(
    evaluator: CocoEvaluator,
    candidates: Sequence[Candidates],
    own: Sequence[FloatArray],
    best: Sequence[FloatArray],
    settings: InferenceConfig,
) -> dict[str, CocoMetrics]:
    """Judge both oracles.

    Args:
        evaluator: of the split.
        candidates: of each picture.
        own: their ``eval_iou``.
        best: their ``oracle_iou``.
        settings: NMS and number of detections.

    Returns:
        Metrics of ``localisation`` and ``any_class``.
    """
    ious = {"localisation": localisation_ious(own), "any_class": list(best)}
    return {
        name: evaluator.evaluate_candidates(
            [c.with_predicted_iou(iou) for c, iou in zip(candidates, predicted, strict=True)],
            ORACLE_ALPHA,
            settings,
        )
        for name, predicted in ious.items()
    }


def share_of_gap(
    fused: float | None, baseline: float | None, localisation: float | None
) -> tuple[float | None, str]:
    """Return (AP at 0.5 - AP at 1) / (localisation AP - AP at 1), and why if there is none.

    Above 1 where the predicted IoU also puts false alarms behind.

    Args:
        fused: AP at alpha 0.5.
        baseline: AP at alpha 1.
        localisation: AP of the localisation oracle.
    """
    if fused is None or baseline is None or localisation is None:
        return None, "no object in this split"
    gap = localisation - baseline
    if gap < SMALLEST_GAP:
        return None, f"the gap to the localisation oracle is {100 * gap:.1f} AP, under 1 AP"
    return (fused - baseline) / gap, ""
