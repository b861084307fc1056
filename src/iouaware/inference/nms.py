"""Non-maximum suppression: of boxes that overlap, the one with the highest score stays."""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from iouaware.structures import FloatArray, IntArray


def suppress(
    boxes: FloatArray,
    scores: FloatArray,
    labels: IntArray,
    iou_threshold: float,
    max_detections: int,
    across_classes: bool = False,
) -> IntArray:
    """Keep the best boxes of each class that do not overlap a better one too much.

    torchvision's operator does the work in a process that has loaded it already, numpy elsewhere;
    they pick the same boxes.

    Args:
        boxes: [C, 4], any frame.
        scores: [C], what decides between two boxes.
        labels: [C].
        iou_threshold: a box goes when its IoU with a kept one is greater.
        max_detections: keep no more than this.
        across_classes: let boxes of other classes compete too.

    Returns:
        Indices of the kept boxes by falling score; of equal scores the first comes first.

    Raises:
        ValueError: the three arrays differ in length.
    """
    if boxes.shape != (len(scores), 4) or scores.shape != labels.shape:
        raise ValueError(
            f"boxes {boxes.shape}, scores {scores.shape} and labels {labels.shape} do not fit, "
            "expected [C, 4], [C] and [C]"
        )
    if not len(boxes):
        return np.zeros(0, np.int64)
    # float64 has room for the offsets: they cost less than 1e-9 px
    apart = boxes.astype(np.float64)
    if not across_classes:
        span = np.ceil(apart.max() - apart.min()) + 1
        apart = apart + (labels * span)[:, None]  # classes no longer touch
    order = np.argsort(-scores, kind="stable")
    pick = _pick_with_torchvision if "torchvision" in sys.modules else _pick_with_numpy
    return order[pick(apart[order], iou_threshold, max_detections)]


def _pick_with_numpy(
    boxes: NDArray[np.float64], iou_threshold: float, max_detections: int
) -> IntArray:
    """Pick greedily from boxes sorted by falling score; stops once there are enough."""
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    left = np.arange(len(boxes))
    kept: list[int] = []
    while len(left) and len(kept) < max_detections:
        best, left = left[0], left[1:]
        kept.append(int(best))
        rest = boxes[left]
        width = np.minimum(rest[:, 2], boxes[best, 2]) - np.maximum(rest[:, 0], boxes[best, 0])
        height = np.minimum(rest[:, 3], boxes[best, 3]) - np.maximum(rest[:, 1], boxes[best, 1])
        overlap = np.maximum(width, 0) * np.maximum(height, 0)
        union = areas[best] + areas[left] - overlap
        # IoU > threshold, as a division so that ties fall as in torchvision; 0/0 is no overlap
        iou = np.divide(overlap, union, out=np.zeros_like(union), where=union > 0)
        left = left[iou <= iou_threshold]
    return np.array(kept, np.int64)


def _pick_with_torchvision(
    boxes: NDArray[np.float64], iou_threshold: float, max_detections: int
) -> IntArray:
    """Pick the same boxes as ``_pick_with_numpy``, faster."""
    import torch
    from torchvision.ops import nms

    falling = torch.arange(len(boxes), 0, -1, dtype=torch.float64)
    kept = nms(torch.from_numpy(boxes), falling, iou_threshold)
    return np.asarray(kept[:max_detections].numpy(), np.int64)
