"""A corrected copy of a data set, and the list of what was changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from iouaware.boxes import box_area
from iouaware.checking.boxes import repeated_boxes
from iouaware.checking.copies import COPY_KINDS, choose_copies, entered_again
from iouaware.checking.findings import Finding
from iouaware.checking.reading import relative_text
from iouaware.checking.turns import turn_boxes
from iouaware.data.dataset import Dataset
from iouaware.data.examination import StoredPicture
from iouaware.data.examining import ExaminedSet
from iouaware.data.mending import UNKNOWN_FORM
from iouaware.data.writers import WRITERS
from iouaware.errors import DatasetError
from iouaware.structures import BoolArray

# what becomes of each kind of finding in the copy; reading has mended some already
CHANGES = {
    "missing-picture": "left out",
    "unreadable-picture": "left out",
    "unreadable-file": "left out",
    "unreadable-box": "left out",
    "unknown-class": "left out",
    "unknown-picture": "left out",
    "double-image-id": "left out: whose boxes they are cannot be told",
    "double-annotation": "left out",
    "box-no-number": "left out",
    "wrong-form": "boxes converted",
    "odd-form": "left out",
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
    "contradicting-copy": "left out, for the picture is in another part too",
    "leak": "left out of all parts but the last, in the order train, val, test",
}
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
    turned = {(f.split, f.file) for f in findings if f.kind == "drawn-before-turn"}
    copies = choose_copies(examined, findings)
    changes = [
        Change(f.kind, f.split, f.file, f.annotation, f.message, CHANGES[f.kind])
        for f in findings
        if f.kind in CHANGES and (f.kind not in COPY_KINDS or copies.settles(f))
    ]
    names, ids = _join_classes(examined)
    parts = []
    for split, part in examined.parts.items():
        left_out = repeated_boxes(examined, split) | _odd_boxes(examined, split, findings)
        dataset = _keep_boxes(part.dataset, ~left_out)
        dataset, kept, told = _fit_pictures(dataset, part.examination.stored, split, turned)
        changes += told
        for index in range(len(dataset)):
            name = dataset.file_name(index)
            kept[index] &= name not in broken and (split, name) not in copies.given_up
        kept &= ~entered_again(dataset, split, findings)
        label_of = np.array([names.index(name) for name in dataset.class_names], np.int64)
        labels = label_of[dataset.labels] if len(dataset.labels) else dataset.labels
        dataset = replace(dataset, class_names=names, category_ids=ids, labels=labels)
        parts.append(dataset.subset(np.flatnonzero(kept).astype(np.int64)))
    return parts, changes


def refuse_unknown_form(examined: ExaminedSet) -> None:
    """See that boxes fit their pictures in some known form; a copy would lose most of them.

    Raises:
        DatasetError: those of a part do not.
    """
    for part in examined.parts.values():
        for problem in part.examination.problems:
            if problem.kind == UNKNOWN_FORM:
                raise DatasetError(
                    f"{problem.place}: {problem.message} first; until then --fix writes nothing"
                )


def write_corrected(parts: Sequence[Dataset], folder: Path) -> None:
    """Write the corrected copy, pictures too, in the format it came in.

    Raises:
        DatasetError: no picture is left, or one cannot be copied.
    """
    filled = [part for part in parts if len(part)]
    if not filled:
        raise DatasetError(
            f"{parts[0].root}: no picture is left that could be written; see what check says, and "
            "put the pictures there"
        )
    WRITERS[parts[0].format](filled, folder)


def _odd_boxes(examined: ExaminedSet, split: str, findings: Sequence[Finding]) -> BoolArray:
    """Mark the boxes of a part that are written in another form than the rest, [T]."""
    odd = {f.annotation for f in findings if f.kind == "odd-form" and f.split == split}
    places = examined.parts[split].examination.places
    if not odd:
        return np.zeros(len(places), np.bool_)
    return np.array([relative_text(place, examined.root) in odd for place in places], np.bool_)


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
    dataset: Dataset,
    stored: dict[Path, StoredPicture],
    split: str,
    turned: set[tuple[str, str]],
) -> tuple[Dataset, BoolArray, list[Change]]:
    """Turn or scale the boxes of pictures whose annotations are for another version of them.

    Args:
        dataset: one part.
        stored: path -> how the file has the picture, where that differs.
        split: name of the part.
        turned: split and file of pictures whose boxes were drawn before their EXIF turn.

    Returns:
        The set, a mask [I] of the pictures that fit now, and the changes.
    """
    kept = np.ones(len(dataset), np.bool_)
    boxes, areas, image_wh = dataset.boxes.copy(), dataset.areas.copy(), dataset.image_wh.copy()
    changes = []
    for index in range(len(dataset)):
        picture = stored.get(dataset.record(index).path)
        name = dataset.file_name(index)
        before = (split, name) in turned
        if picture is None or (not before and picture.declared_wh in (None, picture.shown_wh)):
            continue
        rows = slice(int(dataset.offsets[index]), int(dataset.offsets[index + 1]))
        declared_wh = tuple(image_wh[index].tolist())
        image_wh[index] = picture.shown_wh
        kind = "drawn-before-turn" if before else "other-size"
        x_scale, y_scale = (picture.shown_wh[side] / declared_wh[side] for side in (0, 1))
        if before:  # in shares of the picture, which are the same in every frame
            shares = np.asarray(boxes[rows] / np.tile(dataset.image_wh[index], 2), np.float32)
            shown = np.array(picture.shown_wh * 2, np.float32)
            boxes[rows] = turn_boxes(shares, (1, 1), picture.orientation) * shown
            change = "boxes turned with the picture"
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
    for split in examined.parts:
        dataset = examined.parts[split].dataset
        for name, id_ in zip(dataset.class_names, dataset.category_ids, strict=True):
            if name not in ids:
                ids[name] = id_ if id_ not in ids.values() else max(ids.values()) + 1
    return tuple(ids), tuple(ids.values())
