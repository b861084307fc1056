"""A corrected copy of a data set, and the list of what was changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from iouaware.boxes import box_area
from iouaware.checking.boxes import repeated_boxes
from iouaware.checking.findings import Finding
from iouaware.data.dataset import Dataset
from iouaware.data.examination import StoredPicture
from iouaware.data.examining import ExaminedSet
from iouaware.data.writers import WRITERS
from iouaware.structures import BoolArray, FloatArray

# what becomes of each kind of finding in the copy; reading has mended some already
CHANGES = {
    "missing-picture": "left out",
    "unreadable-picture": "left out",
    "unreadable-file": "left out",
    "unreadable-box": "left out",
    "unknown-class": "left out",
    "unknown-picture": "left out",
    "double-annotation": "left out",
    "box-no-number": "left out",
    "wrong-form": "boxes converted",
    "no-area": "left out",
    "outside": "left out",
    "stuck-out": "clipped to the picture",
    "no-area-given": "area filled in",
    "no-crowd-given": "iscrowd filled in",
    "rotated": "the upright box around it",
    "from-zero": "begun at 1",
    "polygon": "the box around it",
    "duplicate-box": "left out",
    "duplicate-picture": "left out",
    "leak": "left out of the part that is learnt from",
}
# of a picture in two parts, the one in the part that stands first here is left out
_GIVEN_UP_FIRST = ("train", "trainval", "all", "val", "test")
_MOST_LOST = 0.5
# sides may differ from one scale by this share, for sizes are whole numbers
_SAME_SCALE = 0.01


@dataclass(frozen=True)
class Change:
    """One change: what was found, and what the copy has instead."""

    kind: str
    split: str
    file: str
    annotation: str
    found: str
    change: str


def correct(
    examined: ExaminedSet, findings: Sequence[Finding]
) -> tuple[list[Dataset], list[Change]]:
    """Correct all that can be corrected without a guess.

    Args:
        examined: what was read, which mends and leaves out some already.
        findings: of all checks.

    Returns:
        The parts, with one list of classes, and the changes. Nearly equal pictures and names,
        doubled objects and all notes of advice are left to the user.
    """
    broken = {f.file for f in findings if f.kind == "unreadable-picture"}
    given_up = _choose_copies(examined, findings)
    changes = [
        Change(f.kind, f.split, f.file, f.annotation, f.message, CHANGES[f.kind])
        for f in findings
        if f.kind in CHANGES and (f.kind != "leak" or _is_given_up(f, given_up))
    ]
    names, ids = _join_classes(examined)
    parts = []
    for split, part in examined.parts.items():
        dataset = _keep_boxes(part.dataset, ~repeated_boxes(examined, split))
        dataset, kept, told = _fit_pictures(dataset, part.examination.stored, split)
        changes += told
        for index in range(len(dataset)):
            name = dataset.file_name(index)
            kept[index] &= name not in broken and (split, name) not in given_up
        label_of = np.array([names.index(name) for name in dataset.class_names], np.int64)
        labels = label_of[dataset.labels] if len(dataset.labels) else dataset.labels
        dataset = replace(dataset, class_names=names, category_ids=ids, labels=labels)
        parts.append(dataset.subset(np.flatnonzero(kept).astype(np.int64)))
    return parts, changes


def write_corrected(parts: Sequence[Dataset], folder: Path) -> None:
    """Write the corrected copy, pictures too, in the format it came in.

    Raises:
        DatasetError: a picture cannot be copied, or two would get one name.
    """
    filled = [part for part in parts if len(part)]
    WRITERS[parts[0].format](filled, folder)


def turn_boxes(boxes: FloatArray, stored_wh: tuple[int, int], orientation: int) -> FloatArray:
    """Turn boxes with their picture, [N, 4] px as stored -> [N, 4] px as shown.

    Args:
        boxes: x1 y1 x2 y2.
        stored_wh: (width, height) px of the picture before its turn.
        orientation: EXIF's, 1 to 8.
    """
    x, y = boxes[:, 0::2], boxes[:, 1::2]  # [N, 2] each
    width, height = stored_wh
    from_right, from_bottom = width - x[:, ::-1], height - y[:, ::-1]
    new_x, new_y = {
        1: (x, y),
        2: (from_right, y),
        3: (from_right, from_bottom),
        4: (x, from_bottom),
        5: (y, x),
        6: (from_bottom, x),
        7: (from_bottom, from_right),
        8: (y, from_right),
    }[orientation]
    return np.stack([new_x[:, 0], new_y[:, 0], new_x[:, 1], new_y[:, 1]], axis=1)


def _is_given_up(leak: Finding, given_up: set[tuple[str, str]]) -> bool:
    return bool({(leak.split, leak.file), leak.twin} & given_up)


def _choose_copies(examined: ExaminedSet, findings: Sequence[Finding]) -> set[tuple[str, str]]:
    """Return split and file of the copies to leave out, of pictures that are there twice.

    Where a part would lose more than half of its pictures, the split itself is wrong, and the
    part is left as it is.
    """
    given_up: set[tuple[str, str]] = set()
    for finding in findings:
        if finding.kind == "duplicate-picture":
            given_up.add((finding.split, finding.file))
        elif finding.kind == "leak" and finding.twin is not None:
            both = [(finding.split, finding.file), finding.twin]
            given_up.add(min(both, key=lambda place: _GIVEN_UP_FIRST.index(place[0])))
    lost = Counter(split for split, _ in given_up)
    return {
        (split, file)
        for split, file in given_up
        if lost[split] <= _MOST_LOST * len(examined.parts[split].dataset)
    }


def _keep_boxes(dataset: Dataset, kept: BoolArray) -> Dataset:
    picture = np.repeat(np.arange(len(dataset)), np.diff(dataset.offsets))  # [T]
    counts = np.bincount(picture[kept], minlength=len(dataset))
    return replace(
        dataset,
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        boxes=dataset.boxes[kept],
        labels=dataset.labels[kept],
        ignored=dataset.ignored[kept],
        areas=dataset.areas[kept],
    )


def _fit_pictures(
    dataset: Dataset, stored: dict[Path, StoredPicture], split: str
) -> tuple[Dataset, BoolArray, list[Change]]:
    """Turn or scale the boxes of pictures whose annotations are for another size.

    Returns:
        The set, a mask [I] of the pictures that fit now, and the changes.
    """
    kept = np.ones(len(dataset), np.bool_)
    boxes, areas, image_wh = dataset.boxes.copy(), dataset.areas.copy(), dataset.image_wh.copy()
    changes = []
    for index in range(len(dataset)):
        picture = stored.get(dataset.record(index).path)
        if picture is None or picture.declared_wh in (None, picture.shown_wh):
            continue
        rows = slice(int(dataset.offsets[index]), int(dataset.offsets[index + 1]))
        declared_wh = tuple(image_wh[index].tolist())
        image_wh[index] = picture.shown_wh
        name, kind = dataset.file_name(index), "other-size"
        x_scale, y_scale = (picture.shown_wh[side] / declared_wh[side] for side in (0, 1))
        if declared_wh == picture.stored_wh:
            boxes[rows] = turn_boxes(boxes[rows], picture.stored_wh, picture.orientation)
            kind, change = "drawn-before-turn", "boxes turned with the picture"
        elif abs(x_scale / y_scale - 1) <= _SAME_SCALE:
            boxes[rows] *= np.array([x_scale, y_scale] * 2, np.float32)
            areas[rows] *= x_scale * y_scale
            change = f"boxes scaled by {x_scale:.4g}"
        else:
            kept[index] = False
            change = "left out: no one scale makes the boxes fit"
        found = "annotated as {} x {} px".format(*declared_wh)
        changes.append(Change(kind, split, name, "", found, change))
    areas = np.where(areas > 0, areas, box_area(boxes)).astype(np.float32)
    return replace(dataset, boxes=boxes, areas=areas, image_wh=image_wh), kept, changes


def _join_classes(examined: ExaminedSet) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the names and ids of all parts: the first part's, then those it lacks."""
    ids: dict[str, int] = {}
    order = sorted(examined.parts, key=_GIVEN_UP_FIRST.index)
    for split in order:
        dataset = examined.parts[split].dataset
        for name, id_ in zip(dataset.class_names, dataset.category_ids, strict=True):
            if name not in ids:
                ids[name] = id_ if id_ not in ids.values() else max(ids.values()) + 1
    return tuple(ids), tuple(ids.values())
