"""Arithmetic on boxes: areas, IoU, clipping, encoding against anchors.

One source for numpy arrays and torch tensors (array API). Boxes are x1 y1 x2 y2, continuous
corners, no +1. The frame does not matter as long as both sides share it.
"""

from __future__ import annotations

import math
from typing import Any

from array_api_compat import array_namespace

Array = Any  # a numpy array or a torch tensor; every function returns the kind it was given

# exp of the largest size delta is 62.5, a 1000 px box from a 16 px anchor (Detectron's bound)
MAX_SIZE_DELTA = math.log(1000 / 16)


def box_area(boxes: Array) -> Array:
    """Return width times height, [..., 4] -> [...]."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def pairwise_intersection(first: Array, second: Array) -> Array:
    """Return the overlap of every box with every other, [..., N, 4], [..., M, 4] -> [..., N, M]."""
    xp = array_namespace(first, second)
    one = [corner[..., :, None] for corner in _corners(first)]  # [..., N, 1] each
    other = [corner[..., None, :] for corner in _corners(second)]  # [..., 1, M] each
    width = xp.minimum(one[2], other[2]) - xp.maximum(one[0], other[0])
    height = xp.minimum(one[3], other[3]) - xp.maximum(one[1], other[1])
    return xp.clip(width, 0, None) * xp.clip(height, 0, None)


def _corners(boxes: Array) -> list[Array]:
    """Return x1, y1, x2, y2, [...] each, in one piece: reading every fourth number is slow."""
    return [1 * boxes[..., corner] for corner in range(4)]


def pairwise_iou(first: Array, second: Array) -> Array:
    """Return the IoU of every box with every other, [..., N, 4], [..., M, 4] -> [..., N, M].

    Two boxes without area have IoU 0, not 0/0.
    """
    overlap = pairwise_intersection(first, second)
    union = box_area(first)[..., :, None] + box_area(second)[..., None, :] - overlap
    return _share(overlap, union)


def paired_intersection(first: Array, second: Array) -> Array:
    """Return the overlap area of each box with its partner, [M, 4], [M, 4] -> [M]."""
    xp = array_namespace(first, second)
    top_left = xp.maximum(first[:, :2], second[:, :2])  # [M, 2]
    bottom_right = xp.minimum(first[:, 2:], second[:, 2:])  # [M, 2]
    size = xp.clip(bottom_right - top_left, 0, None)  # [M, 2]
    return size[:, 0] * size[:, 1]


def paired_iou(first: Array, second: Array) -> Array:
    """Return the IoU of each box with its partner, [M, 4], [M, 4] -> [M]; differentiable."""
    overlap = paired_intersection(first, second)
    return _share(overlap, box_area(first) + box_area(second) - overlap)


def pairwise_coverage(boxes: Array, regions: Array) -> Array:
    """Return the share of each box that lies in each region, [N, 4], [M, 4] -> [N, M]."""
    return _share(pairwise_intersection(boxes, regions), box_area(boxes)[:, None])


def paired_coverage(boxes: Array, regions: Array) -> Array:
    """Return the share of each box that lies in its region, [M, 4], [M, 4] -> [M]."""
    return _share(paired_intersection(boxes, regions), box_area(boxes))


def _share(part: Array, whole: Array) -> Array:
    """Return part / whole, and 0 where there is no whole, whose gradient is no NaN either."""
    xp = array_namespace(part, whole)
    divisor = xp.where(whole > 0, whole, xp.ones_like(whole))
    return xp.where(whole > 0, part / divisor, 0.0)


def clip_boxes(boxes: Array, image_hw: tuple[int, int]) -> Array:
    """Move corners that lie outside back to the border of an image, [..., 4]."""
    xp = array_namespace(boxes)
    height, width = image_hw
    x = xp.clip(boxes[..., 0::2], 0, width)  # [..., 2]
    y = xp.clip(boxes[..., 1::2], 0, height)  # [..., 2]
    return xp.stack([x[..., 0], y[..., 0], x[..., 1], y[..., 1]], axis=-1)


def encode_boxes(
    boxes: Array, anchors: Array, stds: tuple[float, float, float, float] = (1, 1, 1, 1)
) -> Array:
    """Turn boxes into deltas from their anchors, [M, 4], [M, 4] -> [M, 4].

    Args:
        boxes: with an area, in the frame of the anchors.
        anchors: the anchor of each box.
        stds: each delta is divided by its own value.
    """
    xp = array_namespace(boxes, anchors)
    anchor_size = anchors[..., 2:] - anchors[..., :2]
    anchor_centre = anchors[..., :2] + 0.5 * anchor_size
    size = boxes[..., 2:] - boxes[..., :2]
    centre = boxes[..., :2] + 0.5 * size
    shift = (centre - anchor_centre) / anchor_size
    growth = xp.log(size / anchor_size)
    return xp.stack(
        [
            shift[..., 0] / stds[0],
            shift[..., 1] / stds[1],
            growth[..., 0] / stds[2],
            growth[..., 1] / stds[3],
        ],
        axis=-1,
    )


def decode_boxes(
    deltas: Array,
    anchors: Array,
    stds: tuple[float, float, float, float] = (1, 1, 1, 1),
    clamp_below: bool = True,
) -> Array:
    """Turn deltas back into boxes, [..., 4], [..., 4] -> [..., 4].

    Args:
        deltas: dx dy dw dh, as ``encode_boxes`` gives them.
        anchors: the anchor of each delta.
        stds: as in ``encode_boxes``.
        clamp_below: also keep boxes from shrinking to under 1/62.5 of the anchor (mmdetection's
            rule); torchvision only bounds the growth.
    """
    xp = array_namespace(deltas, anchors)
    anchor_size = anchors[..., 2:] - anchors[..., :2]
    anchor_centre = anchors[..., :2] + 0.5 * anchor_size
    lower = -MAX_SIZE_DELTA if clamp_below else None
    shift = xp.stack([deltas[..., 0] * stds[0], deltas[..., 1] * stds[1]], axis=-1)
    growth = xp.stack([deltas[..., 2] * stds[2], deltas[..., 3] * stds[3]], axis=-1)
    size = anchor_size * xp.exp(xp.clip(growth, lower, MAX_SIZE_DELTA))
    centre = anchor_centre + shift * anchor_size
    return xp.concat([centre - 0.5 * size, centre + 0.5 * size], axis=-1)
