"""Tiny data sets on disk, and what must come out of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from iouaware.data.layouts import read_split, read_splits, verify_images

# every picture of these tests is 40 x 20 with one box 10, 4, 30, 8
BOX = [10.0, 4.0, 30.0, 8.0]
YOLO_LINE = "0 0.5 0.3 0.5 0.2\n"
_shade = iter(range(10**9))


def picture(path: Path) -> Path:
    """Draw a picture that no other equals."""
    path.parent.mkdir(parents=True, exist_ok=True)
    number = next(_shade)
    Image.new("RGB", (40, 20), (number % 256, number // 256 % 256, 200)).save(path)
    return path


def text(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def coco(path: Path, names: list[str], categories: list[str] | None = None, **more: Any) -> Path:
    rows = [
        {
            "id": n,
            "image_id": n,
            "category_id": 1,
            "bbox": [10, 4, 20, 4],
            "area": 80,
            "iscrowd": 0,
            **more,
        }
        for n in range(len(names))
    ]
    content = {
        "images": [
            {"id": n, "file_name": name, "width": 40, "height": 20} for n, name in enumerate(names)
        ],
        "annotations": rows,
        "categories": [
            {"id": n + 1, "name": name, "supercategory": "things"}
            for n, name in enumerate(categories or ["cat", "dog"])
        ],
    }
    return text(path, json.dumps(content))


def voc(path: Path, file_name: str = "", name: str = "cat") -> Path:
    box = "<xmin>11</xmin><ymin>5</ymin><xmax>30</xmax><ymax>8</ymax>"
    return text(
        path,
        f"<annotation><filename>{file_name}</filename><object><name>{name}</name>"
        f"<bndbox>{box}</bndbox></object></annotation>",
    )


def check(
    folder: Path, form: str, counts: tuple[int, int, int | None], **options: Any
) -> list[str]:
    """Read, compare pictures a split, format and boxes, and return the lines."""
    splits = read_splits(folder, **options)
    test = None if splits.test is None else len(splits.test)
    assert (len(splits.train), len(splits.val), test) == counts
    for part, name in ((splits.train, "train"), (splits.val, "val"), (splits.test, "test")):
        if part is not None:
            assert (part.format, part.split) == (form, name)
            np.testing.assert_allclose(part.boxes, [BOX] * part.count_boxes(), atol=1e-4)
            verify_images(part, decode=True)
        if part is not None and name != "test":  # one split alone is the same
            alone = read_split(folder, name, **options)
            assert alone.file_names.tolist() == part.file_names.tolist()
            assert alone.class_names == part.class_names
            assert alone.split == name
    return list(splits.lines)


def yolo_picture(path: Path, labels: Path | None = None, line: str | None = YOLO_LINE) -> None:
    picture(path)
    if line is not None:
        parts = ["labels" if part == "images" else part for part in path.parts]
        text(labels or Path(*parts).with_suffix(".txt"), line)
