"""Anchors of all pyramid levels, P3 to P7, and how well a set of boxes is covered by them.

Nine anchors a location: three sizes, 4, 4 * 2^(1/3) and 4 * 2^(2/3) times the stride, in three
shapes (height to width 1/2, 1, 2). Source: arXiv:1912.05992, which keeps RetinaNet's anchors.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np

from iouaware.boxes import pairwise_iou
from iouaware.structures import FloatArray

Geometry = Literal["plain", "torchvision"]

STRIDES = (8, 16, 32, 64, 128)
ANCHORS_PER_LOCATION = 9
BASE_SCALE = 4
OCTAVES = 3
ASPECT_RATIOS = (0.5, 1.0, 2.0)


def feature_sizes(canvas_hw: tuple[int, int]) -> list[tuple[int, int]]:
    """Return (height, width) of P3 to P7 for a canvas, in cells."""
    height, width = canvas_hw
    return [(-(-height // stride), -(-width // stride)) for stride in STRIDES]


def build_base_anchors(stride: int, geometry: Geometry = "plain") -> FloatArray:
    """Return the nine anchors of one level around the origin, [9, 4] px.

    ``torchvision`` cuts the sizes and rounds the corners to whole pixels, as its RetinaNet does.
    """
    sizes = [BASE_SCALE * stride * 2 ** (octave / OCTAVES) for octave in range(OCTAVES)]
    if geometry == "torchvision":
        sizes = [float(int(size)) for size in sizes]
    scales = np.array(sizes, np.float32)
    height_ratios = np.sqrt(np.array(ASPECT_RATIOS, np.float32))
    widths = (1 / height_ratios[:, None] * scales[None, :]).reshape(-1)  # [9], ratio by ratio
    heights = (height_ratios[:, None] * scales[None, :]).reshape(-1)
    base = np.stack([-widths, -heights, widths, heights], axis=1) / 2
    return np.round(base) if geometry == "torchvision" else base


@lru_cache(maxsize=32)
def build_anchors(canvas_hw: tuple[int, int], geometry: Geometry = "plain") -> FloatArray:
    """Return the anchors of all levels for a canvas, [A, 4] input px; do not write into it.

    Row order: level by level, row by row, column by column, the nine of a location together.
    ``plain`` puts each location in the middle of its cell, ``torchvision`` on the cell's corner
    and takes the stride from the feature's size.
    """
    levels = []
    for stride, (rows, columns) in zip(STRIDES, feature_sizes(canvas_hw), strict=True):
        step_y, step_x, offset = float(stride), float(stride), 0.5 * stride
        if geometry == "torchvision":
            step_y, step_x, offset = canvas_hw[0] // rows, canvas_hw[1] // columns, 0.0
        y = np.arange(rows, dtype=np.float32) * step_y + offset
        x = np.arange(columns, dtype=np.float32) * step_x + offset
        grid_y, grid_x = np.meshgrid(y, x, indexing="ij")
        centres = np.stack([grid_x, grid_y, grid_x, grid_y], axis=-1).reshape(-1, 1, 4)
        anchors = centres + build_base_anchors(stride, geometry)[None]  # [cells, 9, 4]
        levels.append(anchors.reshape(-1, 4))
    result = np.concatenate(levels).astype(np.float32)
    result.setflags(write=False)
    return result


def level_sizes(canvas_hw: tuple[int, int]) -> tuple[int, ...]:
    """Return how many anchors each level has, P3 to P7."""
    return tuple(rows * cols * ANCHORS_PER_LOCATION for rows, cols in feature_sizes(canvas_hw))


def best_anchor_iou(
    boxes: FloatArray, canvas_hw: tuple[int, int], geometry: Geometry = "plain"
) -> FloatArray:
    """Return the IoU of each box with the anchor that fits it best, [N, 4] input px -> [N].

    Works in chunks of boxes, so that a whole data set can be looked at.
    """
    anchors = build_anchors(canvas_hw, geometry)
    best = np.zeros(len(boxes), np.float32)
    chunk = max(1, 20_000_000 // len(anchors))
    for start in range(0, len(boxes), chunk):
        part = boxes[start : start + chunk]
        best[start : start + chunk] = pairwise_iou(part, anchors).max(axis=1)
    return best
