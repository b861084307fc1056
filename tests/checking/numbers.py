"""Examined sets built from numbers, without files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from iouaware.data.dataset import DatasetBuilder
from iouaware.data.examination import Examination
from iouaware.data.examining import ExaminedPart, ExaminedSet

Box = Sequence[float]
ROOT = Path("/set")


def part(
    split: str,
    pictures: Sequence[Sequence[tuple[int, Box]]],
    names: Sequence[str] = ("cat", "dog"),
    ignored: bool = False,
    form: str = "coco",
    image_wh: tuple[int, int] = (200, 100),
) -> ExaminedPart:
    """Build a split: for each picture its boxes, each with its label."""
    examination = Examination()
    builder = DatasetBuilder(
        form, ROOT, split, names, range(1, len(names) + 1), examination=examination
    )
    for number, rows in enumerate(pictures):
        name = f"{split}/{number}.jpg"
        labels, boxes = [row[0] for row in rows], [row[1] for row in rows]
        marks = [ignored] * len(rows)
        builder.add_image(name, *image_wh, boxes, labels, marks, where=f"{split}.json {number}")
    return ExaminedPart(builder.build(), examination)


def examined(**parts: ExaminedPart) -> ExaminedSet:
    """Put splits together."""
    return ExaminedSet("coco", "here", ROOT, parts, Examination(), ())
