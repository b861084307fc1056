"""From candidates to detections: fuse, suppress, keep the best, then the thresholds."""

from __future__ import annotations

import numpy as np

from iouaware.config import InferenceConfig
from iouaware.inference.nms import suppress
from iouaware.inference.scoring import check_alpha, fuse_scores
from iouaware.structures import Candidates, FloatArray, IntArray

# the authors' code keeps S > 0.05 whatever alpha is
PAPER_SCORE_FLOOR = 0.05


def candidate_scores(candidates: Candidates, alpha: float) -> FloatArray:
    """Return S of every candidate, [C]; without a predicted IoU it is p, whatever alpha is.

    Raises:
        ValueError: alpha lies outside 0..1.
    """
    check_alpha(alpha)
    if candidates.predicted_iou is None:
        return candidates.class_scores
    scores: FloatArray = fuse_scores(candidates.class_scores, candidates.predicted_iou, alpha)
    return scores


def select_detections(
    candidates: Candidates,
    alpha: float,
    settings: InferenceConfig,
    score_threshold: float = 0.0,
    min_iou: float = 0.0,
) -> tuple[IntArray, FloatArray]:
    """Choose the detections of one picture at one alpha.

    NMS goes by S; of its survivors the best ``max_detections`` stay, and the thresholds act on
    those. So a threshold only hides: it never changes which boxes were suppressed.

    Args:
        candidates: of one picture.
        alpha: weight of the class score, 0..1; acts as 1 where there is no predicted IoU.
        settings: ``nms_iou``, ``nms_across_classes`` and ``max_detections`` count here.
        score_threshold: keep S at or above.
        min_iou: keep a predicted IoU at or above.

    Returns:
        Indices into the candidates by falling S, [D], and their S, [D].

    Raises:
        ValueError: alpha lies outside 0..1, or ``min_iou`` is asked of a model without an IoU
            branch.
    """
    scores = candidate_scores(candidates, alpha)
    kept = suppress(
        candidates.boxes,
        scores,
        candidates.labels,
        settings.nms_iou,
        settings.max_detections,
        settings.nms_across_classes,
    )
    kept = kept[scores[kept] >= score_threshold]
    if min_iou > 0:
        if candidates.predicted_iou is None:
            raise ValueError(f"min_iou is {min_iou}, but this model predicts no IoU; leave it at 0")
        kept = kept[candidates.predicted_iou[kept] >= min_iou]
    return kept, scores[kept]


def select_paper_detections(
    candidates: Candidates,
    alpha: float,
    settings: InferenceConfig,
    score_threshold: float = 0.0,
    min_iou: float = 0.0,
) -> tuple[IntArray, FloatArray]:
    """Choose the detections of one picture in the order of the authors' code: S > 0.05, then NMS.

    Args:
        candidates: from ``candidates.paper_candidates_from_outputs`` at the same alpha.
        alpha: weight of the class score, 0..1.
        settings: as in ``select_detections``.
        score_threshold: keep S at or above, beyond the paper's own S > 0.05.
        min_iou: as in ``select_detections``.

    Returns:
        Indices into the candidates by falling S, [D], and their S, [D].

    Raises:
        ValueError: as ``select_detections``.
    """
    above = float(np.nextafter(np.float32(PAPER_SCORE_FLOOR), np.float32(1)))
    return select_detections(candidates, alpha, settings, max(above, score_threshold), min_iou)
