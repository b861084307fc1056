"""Anchors of all pyramid levels, P3 to P7, and how well a set of boxes is covered by them.

Nine anchors a location: three sizes, 4, 4 * 2^(1/3) and 4 * 2^(2/3) times the stride, in three
shapes (height to width 1/2, 1, 2). Source: arXiv:1912.05992, which keeps RetinaNet's anchors.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np

from iouaware.boxes import paired_iou
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
    return (np.round(base) if geometry == "torchvision" else base).astype(np.float32)


@lru_cache(maxsize=32)
def build_anchors(canvas_hw: tuple[int, int], geometry: Geometry = "plain") -> FloatArray:
    """Return the anchors of all levels for a canvas, [A, 4] input px; do not write into it.

    Row order: level by level, row by row, column by column, the nine of a location together.
    ``plain`` puts each location in the middle of its cell, ``torchvision`` on the cell's corner
    and takes the stride from the feature's size.
    """
    levels = []
    for level, stride in enumerate(STRIDES):
        y, x = _locations(canvas_hw, level, geometry)
        grid_y, grid_x = np.meshgrid(y, x, indexing="ij")
        centres = np.stack([grid_x, grid_y, grid_x, grid_y], axis=-1).reshape(-1, 1, 4)
        anchors = centres + build_base_anchors(stride, geometry)[None]  # [cells, 9, 4]
        levels.append(anchors.reshape(-1, 4))
    result = np.concatenate(levels).astype(np.float32)
    result.setflags(write=False)
    return result


def _locations(
    canvas_hw: tuple[int, int], level: int, geometry: Geometry
) -> tuple[FloatArray, FloatArray]:
    """Return y of the rows and x of the columns of one level, input px."""
    rows, columns = feature_sizes(canvas_hw)[level]
    step_y, step_x = float(STRIDES[level]), float(STRIDES[level])
    offset = 0.5 * STRIDES[level]
    if geometry == "torchvision":
        step_y, step_x, offset = canvas_hw[0] // rows, canvas_hw[1] // columns, 0.0
    y = np.arange(rows, dtype=np.float32) * step_y + offset
    x = np.arange(columns, dtype=np.float32) * step_x + offset
    return y, x


def level_sizes(canvas_hw: tuple[int, int]) -> tuple[int, ...]:
    """Return how many anchors each level has, P3 to P7."""
    return tuple(rows * cols * ANCHORS_PER_LOCATION for rows, cols in feature_sizes(canvas_hw))


def best_anchor_iou(
    boxes: FloatArray, canvas_hw: tuple[int, int], geometry: Geometry = "plain"
) -> FloatArray:
    """Return the IoU of each box with the anchor that fits it best, [N, 4] input px -> [N].

    Of each level only the location nearest to the box's centre is looked at: the overlap with an
    anchor of a given shape falls with the distance in x and in y, so no other can do better.
    """
    best = np.zeros(len(boxes), np.float32)
    centre = 0.5 * boxes[:, :2] + 0.5 * boxes[:, 2:]  # [N, 2]
    for level, stride in enumerate(STRIDES):
        y, x = _locations(canvas_hw, level, geometry)
        nearest = np.stack([_nearest(centre[:, 0], x), _nearest(centre[:, 1], y)], axis=1)
        locations = np.tile(nearest, 2)  # [N, 4]
        for base in build_base_anchors(stride, geometry):
            best = np.maximum(best, paired_iou(boxes, (locations + base).astype(np.float32)))
    return best


def _nearest(values: FloatArray, locations: FloatArray) -> FloatArray:
    """Return the evenly spaced location nearest to each value."""
    step = locations[1] - locations[0] if len(locations) > 1 else 1.0
    index = np.round((values - locations[0]) / step).astype(np.int64)
    nearest: FloatArray = locations[np.clip(index, 0, len(locations) - 1)]
    return nearest
