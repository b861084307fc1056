"""Which anchor learns which object (max-IoU assignment, as RetinaNet does it)."""

from __future__ import annotations

import torch
from torch import Tensor

from iouaware.boxes import pairwise_coverage, pairwise_iou
from iouaware.structures import AnchorTargets

# IoU values held at once: 32 MB each for the few [N, chunk, 2] intermediates
CHUNK_ELEMENTS = 4_000_000
# an anchor of which at least this share lies in a crowd says nothing about background
CROWD_COVERAGE = 0.5


def match_anchors(
    anchors: Tensor,
    boxes: Tensor,
    ignored: Tensor,
    positive_iou: float = 0.5,
    negative_iou: float = 0.4,
    chunk_elements: int = CHUNK_ELEMENTS,
) -> AnchorTargets:
    """Assign every anchor of one image to a true box, to the background, or to neither.

    An anchor is positive where its best IoU reaches ``positive_iou``, background below
    ``negative_iou``, ignored between. The best anchors of each box are positive whatever their
    IoU (ties included); below ``positive_iou`` such an anchor learns the box that claims it, of
    several the one it overlaps most, or a small box beside a larger one would have none; a box
    that touches no anchor claims none. Anchors half inside an ignored region are ignored unless
    positive. Works in chunks of anchors with the same result, so a crowded image needs no more
    memory than a plain one.

    Args:
        anchors: [A, 4] input px.
        boxes: [N, 4] input px, with an area.
        ignored: [N] bool, crowds and difficult boxes: never matched.
        positive_iou: anchors from here on are positive.
        negative_iou: anchors below are background.
        chunk_elements: IoU values held at once.

    Returns:
        Fields over A; ``matched_index`` points into ``boxes``.
    """
    objects = torch.nonzero(~ignored).flatten()  # [N'], the boxes that can be matched
    best_iou = anchors.new_zeros(len(anchors))  # [A]
    best_index = anchors.new_zeros(len(anchors), dtype=torch.int64)  # [A]
    forced = anchors.new_zeros(len(anchors), dtype=torch.bool)  # [A]
    if len(objects):
        chunk = max(1, chunk_elements // len(objects))
        parts = [slice(start, start + chunk) for start in range(0, len(anchors), chunk)]
        box_best = anchors.new_zeros(len(objects))  # [N'], best IoU of each box with any anchor
        iou = anchors.new_zeros(0)
        for part in parts:
            iou = pairwise_iou(boxes[objects], anchors[part])  # [N', chunk]
            values, rows = iou.max(dim=0)
            best_iou[part], best_index[part] = values, objects[rows]
            box_best = torch.maximum(box_best, iou.max(dim=1).values)
        for part in parts:
            if len(parts) > 1:
                iou = pairwise_iou(boxes[objects], anchors[part])
            is_best = (iou == box_best[:, None]) & (iou > 0)
            forced[part] = is_best.any(dim=0)
            claims = (iou * is_best).max(dim=0).indices  # [chunk], the box that claims most
            claimed = forced[part] & (best_iou[part] < positive_iou)
            best_index[part] = torch.where(claimed, objects[claims], best_index[part])
    positive = (best_iou >= positive_iou) | forced
    between = (best_iou >= negative_iou) & ~positive
    on_crowd = _covered(anchors, boxes[ignored], chunk_elements) & ~positive
    return AnchorTargets(best_index, positive, between | on_crowd)


def _covered(anchors: Tensor, regions: Tensor, chunk_elements: int) -> Tensor:
    """Tell which anchors lie at least half in one of the regions, [A] bool."""
    covered = anchors.new_zeros(len(anchors), dtype=torch.bool)
    if len(regions):
        chunk = max(1, chunk_elements // len(regions))
        for start in range(0, len(anchors), chunk):
            share = pairwise_coverage(anchors[start : start + chunk], regions)  # [chunk, R]
            covered[start : start + chunk] = (share >= CROWD_COVERAGE).any(dim=1)
    return covered
