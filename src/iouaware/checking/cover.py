"""Which objects meet no anchor, and the picture size or the anchors that would meet them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from iouaware.anchors import ASPECT_RATIOS, BASE_SCALE, STRIDES, Geometry
from iouaware.checking.boxes import picture_of_box
from iouaware.checking.findings import Finding, find
from iouaware.checking.reading import box_text, relative_text
from iouaware.data.examining import ExaminedSet, whole_key
from iouaware.data.image_size import (
    ENOUGH,
    MATCH_IOU,
    SIZES,
    best_anchor_ious,
    choose_image_size,
)
from iouaware.images import resized_hw
from iouaware.structures import BoolArray, FloatArray

ImageSize = int | tuple[int, int]
# sizes to propose beyond those that training chooses from
_LARGER = (1024, 1280, 1600)
_SIZE_BINS = (
    ("< 16", 0.0, 16.0),
    ("16-32", 16.0, 32.0),
    ("32-96", 32.0, 96.0),
    ("> 96", 96.0, 1e9),
)


def find_uncovered(
    examined: ExaminedSet, image_size: ImageSize | None = None, geometry: Geometry = "plain"
) -> tuple[list[Finding], dict[str, Any]]:
    """Compare the objects of the training part with the anchors.

    Args:
        examined: what was read.
        image_size: what pictures are resized to; None takes what ``--image-size auto`` chooses.
        geometry: how the anchors lie.

    Returns:
        A finding for each class of which fewer than 90 % meet an anchor, and facts: the size, the
        share of objects that meet an anchor at IoU 0.5, by size and by class, and at other sizes.
    """
    split = whole_key(examined)
    dataset = examined.parts[split].dataset if split else None
    if split is None or dataset is None or dataset.ignored.all():
        return [], {}
    size = choose_image_size(dataset, geometry).size if image_size is None else image_size
    objects = ~dataset.ignored

    @cache
    def best_at(side: ImageSize) -> FloatArray:
        return best_anchor_ious(dataset, side, geometry)

    best = best_at(size)
    side_px = np.sqrt((dataset.boxes[:, 2:] - dataset.boxes[:, :2]).prod(axis=1))  # [T] px
    facts = {
        "image_size": size,
        "share": _share(best, objects),
        "by_object_px": {
            name: _share(best, objects & (side_px >= low) & (side_px < high))
            for name, low, high in _SIZE_BINS
        },
        "by_class": {
            name: _share(best, objects & (dataset.labels == label))
            for label, name in enumerate(dataset.class_names)
        },
        "by_image_size": {str(side): _share(best_at(side), objects) for side in SIZES},
    }
    found = []
    for label in range(len(dataset.class_names)):
        rows = objects & (dataset.labels == label)
        if rows.any() and (best[rows] >= MATCH_IOU).mean() < ENOUGH:
            found.append(_tell_class(examined, split, label, rows, size, best_at))
    return found, facts


def _share(best: FloatArray, rows: BoolArray) -> float | None:
    """Return the share of rows that meet an anchor, None without rows."""
    return float((best[rows] >= MATCH_IOU).mean()) if rows.any() else None


def _tell_class(
    examined: ExaminedSet,
    split: str,
    label: int,
    rows: BoolArray,
    size: ImageSize,
    best_at: Callable[[ImageSize], FloatArray],
) -> Finding:
    """Say how many objects of a class meet no anchor, name the worst, and what would help."""
    part = examined.parts[split]
    dataset, best = part.dataset, best_at(size)
    missed = rows & (best < MATCH_IOU)
    worst = int(np.flatnonzero(missed)[best[missed].argmin()])
    text = f"{size} px" if isinstance(size, int) else f"{size[0]} x {size[1]} px"
    message = (
        f"{missed.sum():,} of {rows.sum():,} boxes of {dataset.class_names[label]!r} meet no "
        f"anchor at IoU {MATCH_IOU} at {text}; the worst, IoU {best[worst]:.2f}, is "
        f"{box_text(tuple(dataset.boxes[worst].tolist()))}"
    )
    helps = next(
        (
            side
            for side in (*SIZES, *_LARGER)
            if (best_at(side)[rows] >= MATCH_IOU).mean() >= ENOUGH
        ),
        None,
    )
    image = int(picture_of_box(examined, split, np.array([worst]))[0])
    return find(
        "uncovered",
        message,
        split=split,
        file=dataset.file_name(image),
        annotation=relative_text(part.examination.places[worst], examined.root),
        advice=f"train at --image-size {helps}"
        if helps
        else _name_anchors(examined, split, missed, size),
    )


def _name_anchors(examined: ExaminedSet, split: str, missed: BoolArray, size: ImageSize) -> str:
    """Say what anchors the missed objects would need, in input px."""
    dataset = examined.parts[split].dataset
    images = picture_of_box(examined, split, np.flatnonzero(missed))
    wh = (dataset.boxes[missed, 2:] - dataset.boxes[missed, :2]).astype(np.float64)  # [N, 2]
    scale = np.array(
        [
            max(resized_hw((int(height), int(width)), size)[0]) / max(int(width), int(height))
            for width, height in dataset.image_wh[images]
        ]
    )
    side = np.median(np.sqrt(wh.prod(axis=1)) * scale)
    ratio = np.median(np.maximum(wh[:, 0], wh[:, 1]) / wh.min(axis=1))
    smallest, longest = BASE_SCALE * STRIDES[0], max(ASPECT_RATIOS)
    return (
        f"no picture size up to {_LARGER[-1]} px helps: they are about {side:.0f} px (the smallest "
        f"anchors have {smallest}) and 1:{ratio:.1f} (anchors reach 1:{longest:.0f}); cut the "
        "pictures into tiles where objects are small"
    )
