"""What is wrong with boxes that can be read: there twice, slivers, too many in a picture."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from iouaware.boxes import pairwise_iou
from iouaware.checking.findings import Finding, find
from iouaware.checking.reading import box_text, relative_text
from iouaware.data.dataset import Dataset
from iouaware.data.examining import ExaminedSet
from iouaware.structures import BoolArray, IntArray

DETECTIONS = 100  # COCO's metrics, and this detector, look at no more in a picture
# corners this near are the same, px: files round
_EQUAL_PX = 0.05
# two boxes of one class that overlap as much are mostly one object; crowds overlap less
_SAME_OBJECT = 0.8
_THIN_PX = 2.0
_BLOCK = 256  # boxes compared with all others of their picture at a time


def find_box_problems(examined: ExaminedSet) -> list[Finding]:
    """Return findings about doubled and thin boxes and crowded pictures."""
    return [
        finding
        for split in examined.parts
        for look in (_find_doubles, _find_slivers, _find_crowded)
        for finding in look(examined, split)
    ]


def repeated_boxes(examined: ExaminedSet, split: str) -> BoolArray:
    """Mark the boxes that repeat an earlier one of their picture, class and all, [T]."""
    repeated = np.zeros(examined.parts[split].dataset.count_boxes(), np.bool_)
    for _, second, kind in _pairs(examined, split):
        repeated[second] |= kind == "duplicate-box"
    return repeated


def _find_doubles(examined: ExaminedSet, split: str) -> Iterator[Finding]:
    words = {
        "duplicate-box": "the box and its class repeat those of {other}",
        "two-classes": "the box is that of {other}, under another class: {classes}",
        "double-box": "overlaps {other} of the same class with IoU {iou:.2f}",
    }
    dataset, places = examined.parts[split].dataset, examined.parts[split].examination.places
    names = dataset.class_names
    for first, second, kind in _pairs(examined, split):
        iou = float(pairwise_iou(dataset.boxes[[first]], dataset.boxes[[second]])[0, 0])
        classes = f"{names[dataset.labels[first]]} and {names[dataset.labels[second]]}"
        message = words[kind].format(
            other=relative_text(places[first], examined.root), iou=iou, classes=classes
        )
        yield _about_box(kind, message, examined, split, second)


def _pairs(examined: ExaminedSet, split: str) -> Iterator[tuple[int, int, str]]:
    """Yield two rows of boxes that are one object, the earlier first, and the kind of finding.

    Each box is told once, with the first one it repeats. Ignored boxes overlap objects by nature.
    """
    dataset = examined.parts[split].dataset
    for image in np.flatnonzero(np.diff(dataset.offsets) > 1):
        rows = np.arange(dataset.offsets[image], dataset.offsets[image + 1])
        rows = rows[~dataset.ignored[rows]]
        for start in range(0, len(rows), _BLOCK):
            for first, second, kind in _pairs_in(dataset, rows[: start + _BLOCK], start):
                yield int(rows[first]), int(rows[second]), kind


def _pairs_in(dataset: Dataset, rows: IntArray, start: int) -> Iterator[tuple[int, int, str]]:
    """Yield what ``_pairs`` does of the M boxes from ``start`` on, as places in the N rows."""
    boxes, labels = dataset.boxes[rows], dataset.labels[rows]
    earlier = np.arange(len(rows))[:, None] < np.arange(start, len(rows))  # [N, M], each pair once
    alike = earlier & (pairwise_iou(boxes, boxes[start:]) >= _SAME_OBJECT)  # [N, M]
    if not alike.any():
        return
    same = labels[:, None] == labels[start:]  # [N, M]
    equal = np.abs(boxes[:, None] - boxes[start:]).max(axis=2) <= _EQUAL_PX  # [N, M]
    for kind, found in (
        ("duplicate-box", earlier & equal & same),
        ("two-classes", earlier & equal & ~same),
        ("double-box", alike & same & ~equal),
    ):
        for second in np.flatnonzero(found.any(axis=0)).tolist():
            yield int(found[:, second].argmax()), start + second, kind


def _find_slivers(examined: ExaminedSet, split: str) -> Iterator[Finding]:
    boxes = examined.parts[split].dataset.boxes
    thin = (boxes[:, 2:] - boxes[:, :2]).min(axis=1) < _THIN_PX if len(boxes) else np.zeros(0)
    for row in np.flatnonzero(thin).tolist():
        width, height = (boxes[row, 2:] - boxes[row, :2]).tolist()
        message = f"the box is {width:.3g} x {height:.3g} px"
        yield _about_box("sliver", message, examined, split, row)


def _find_crowded(examined: ExaminedSet, split: str) -> Iterator[Finding]:
    dataset = examined.parts[split].dataset
    objects = np.add.reduceat(np.append(~dataset.ignored, False), dataset.offsets[:-1])
    counts = np.where(np.diff(dataset.offsets) > 0, objects, 0)
    for image in np.flatnonzero(counts > DETECTIONS).tolist():
        message = f"{counts[image]} boxes; {DETECTIONS} detections a picture are kept and judged"
        yield find("crowded", message, split=split, file=dataset.file_name(image))


def picture_of_box(examined: ExaminedSet, split: str, rows: IntArray) -> IntArray:
    """Return the picture that each row of boxes belongs to."""
    offsets = examined.parts[split].dataset.offsets
    return np.searchsorted(offsets, rows, side="right").astype(np.int64) - 1


def _about_box(kind: str, message: str, examined: ExaminedSet, split: str, row: int) -> Finding:
    part = examined.parts[split]
    x1, y1, x2, y2 = part.dataset.boxes[row].tolist()
    image = int(picture_of_box(examined, split, np.array([row]))[0])
    return find(
        kind,
        f"{message}: {box_text((x1, y1, x2, y2))}",
        split=split,
        file=part.dataset.file_name(image),
        annotation=relative_text(part.examination.places[row], examined.root),
        box=(x1, y1, x2, y2),
    )
