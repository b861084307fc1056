"""Choosing the picture size by looking at the boxes: a fixed one would lose small objects."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from iouaware.anchors import Geometry, best_anchor_iou
from iouaware.data.dataset import Dataset
from iouaware.images import resized_hw
from iouaware.structures import FloatArray

SIZES = (320, 416, 512, 640, 800)
FALLBACK_SIZE = 512
ENOUGH = 0.9
MATCH_IOU = 0.5


class ImageSizeChoice(NamedTuple):
    """A size and why.

    Attributes:
        size: longer side in px.
        share: of the boxes that meet an anchor at IoU 0.5 at that size, 0..1.
        share_at_smallest: the same at 320 px.
    """

    size: int
    share: float
    share_at_smallest: float


def choose_image_size(dataset: Dataset, geometry: Geometry = "plain") -> ImageSizeChoice:
    """Take the smallest of 320, 416, 512, 640, 800 px at which 90 % of the boxes meet an anchor.

    Args:
        dataset: the training part; ignored boxes do not count.
        geometry: how the anchors lie.

    Returns:
        The choice; 512 px where no size is enough, and shares of 1 where there is no box.
    """
    smallest = share_met(dataset, SIZES[0], geometry)
    for size in SIZES:
        share = share_met(dataset, size, geometry) if size != SIZES[0] else smallest
        if share >= ENOUGH:
            return ImageSizeChoice(size, share, smallest)
    return ImageSizeChoice(FALLBACK_SIZE, share_met(dataset, FALLBACK_SIZE, geometry), smallest)


def share_met(
    dataset: Dataset, image_size: int | tuple[int, int], geometry: Geometry = "plain"
) -> float:
    """Return the share of boxes that meet some anchor at IoU 0.5, 0..1; 1 without boxes."""
    objects = ~dataset.ignored
    if not objects.any():
        return 1.0
    met = best_anchor_ious(dataset, image_size, geometry)[objects] >= MATCH_IOU
    return int(met.sum()) / int(objects.sum())


def best_anchor_ious(
    dataset: Dataset, image_size: int | tuple[int, int], geometry: Geometry = "plain"
) -> FloatArray:
    """Return the IoU of every box with the anchor that fits it best, ignored ones too, [T].

    Args:
        dataset: its boxes, in px of their pictures.
        image_size: what the pictures are resized to, as in ``images.resized_hw``.
        geometry: how the anchors lie.
    """
    best = np.zeros(dataset.count_boxes(), np.float32)
    if not len(best):
        return best
    frames = [
        resized_hw((int(height), int(width)), image_size) for width, height in dataset.image_wh
    ]
    new_wh = np.array([resized[::-1] for resized, _ in frames], np.float32)
    scale = np.tile(new_wh / dataset.image_wh, 2).astype(np.float32)  # [I, 4]
    picture = np.repeat(np.arange(len(dataset)), np.diff(dataset.offsets))  # [T]
    boxes = dataset.boxes * scale[picture]
    canvases = np.array([canvas for _, canvas in frames])[picture]  # [T, 2]
    for canvas_hw in np.unique(canvases, axis=0):
        here = (canvases == canvas_hw).all(axis=1)
        height, width = (int(side) for side in canvas_hw)
        best[here] = best_anchor_iou(boxes[here], (height, width), geometry)
    return best
