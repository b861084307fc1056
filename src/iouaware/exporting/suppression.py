"""Non-maximum suppression as one operation that an exported graph has a name for, and without one.

ONNX's NonMaxSuppression takes pictures and classes as dimensions of their own. So boxes of two
classes never meet, and nothing has to be moved apart by offsets, which cost precision in float32.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchvision.ops import nms

from iouaware.boxes import pairwise_iou

# the schema is written out, for torch before 2.5 cannot infer it from annotations that are strings
SCHEMA = "(Tensor boxes, Tensor scores, float iou_threshold, int max_detections, float floor)"

TURNS = 32  # even; the longest chain on three real sets took 10


@torch.library.custom_op("iouaware::keep_best", mutates_args=(), schema=f"{SCHEMA} -> Tensor")
def keep_best(
    boxes: Tensor, scores: Tensor, iou_threshold: float, max_detections: int, floor: float
) -> Tensor:
    """Mark the boxes that no better box of their picture and class overlaps too much.

    Args:
        boxes: [B, C, 4], x1 y1 x2 y2.
        scores: [B, G, C], the score of each box in each group; those at or under ``floor`` do not
            take part, so that a box belongs to the groups it has a score in.
        iou_threshold: a box goes when its IoU with a kept one is greater.
        max_detections: at most this many of each picture and group, the best.
        floor: see ``scores``.

    Returns:
        [B, C] float32: 1 where kept in some group, else 0.
    """
    kept = torch.zeros_like(boxes[..., 0])
    for row in range(len(boxes)):
        for group in range(scores.shape[1]):
            members = torch.nonzero(scores[row, group] > floor)[:, 0]
            # sorted here, so that of equal scores the first comes first
            order = members[scores[row, group, members].argsort(descending=True, stable=True)]
            falling = torch.arange(len(order), 0, -1, dtype=torch.float32, device=boxes.device)
            best = nms(boxes[row, order].float(), falling, iou_threshold)[:max_detections]
            kept[row, order[best]] = 1.0
    return kept


@keep_best.register_fake
def _fake(
    boxes: Tensor, scores: Tensor, iou_threshold: float, max_detections: int, floor: float
) -> Tensor:
    return torch.empty_like(boxes[..., 0])


def keep_best_by_arithmetic(boxes: Tensor, iou_threshold: float) -> Tensor:
    """Mark what ``keep_best`` would keep of one group, without the operation, for devices without.

    A box stays unless one before it that stays overlaps it too much. Decided over and over for all
    at once, the first is right from the start, after each turn those that hang on right ones are:
    the same for chains of up to TURNS boxes, and beyond an even number of turns keeps too much,
    never too little.

    Args:
        boxes: [B, C, 4], the best first.
        iou_threshold: a box goes when its IoU with a kept one is greater.

    Returns:
        [B, C] float32: 1 where kept, else 0.
    """
    drops = (pairwise_iou(boxes, boxes) > iou_threshold).tril(diagonal=-1).float()  # [B, C, C]
    kept = torch.ones_like(boxes[..., 0])
    for _ in range(TURNS):
        kept = ((drops @ kept[..., None])[..., 0] == 0).float()
    return kept


def translation_table() -> dict[Any, Any]:
    """Return how the exporter writes ``keep_best`` in ONNX."""
    from onnxscript import opset18

    op: Any = opset18  # its types know no constants

    def keep_best_in_onnx(
        boxes: Any, scores: Any, iou_threshold: float, max_detections: int, floor: float
    ) -> Any:
        selected = op.NonMaxSuppression(
            boxes,
            scores,
            op.Constant(value_ints=[max_detections]),
            op.Constant(value_floats=[iou_threshold]),
            op.Constant(value_floats=[floor]),
        )  # [S, 3]: picture, class, box
        where = op.Gather(selected, op.Constant(value_ints=[0, 2]), axis=1)  # [S, 2]
        one, two = op.Constant(value_ints=[1]), op.Constant(value_ints=[2])
        zero = op.Constant(value_ints=[0])
        ones = op.Expand(
            op.Constant(value_float=1.0), op.Slice(op.Shape(selected), zero, one)
        )  # [S]
        nothing = op.Expand(
            op.Constant(value_float=0.0), op.Slice(op.Shape(boxes), zero, two)
        )  # [B, C]
        return op.ScatterND(nothing, where, ones)

    return {torch.ops.iouaware.keep_best.default: keep_best_in_onnx}
