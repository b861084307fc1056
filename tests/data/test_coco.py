"""COCO JSON read natively."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from iouaware.data.classes import ClassList
from iouaware.data.coco import read_coco
from iouaware.data.dataset import Dataset
from iouaware.data.picture_finder import PictureFinder
from iouaware.data.rotation import enclosing_box
from iouaware.errors import DatasetError


def content(**changes: Any) -> dict[str, Any]:
    """Two pictures of 40 x 30, three boxes, category ids with a gap and out of order."""
    whole: dict[str, Any] = {
        "images": [
            {"id": 7, "file_name": "a.png", "width": 40, "height": 30},
            {"id": 3, "file_name": "b.png", "width": 40, "height": 30},
        ],
        "categories": [{"id": 90, "name": "dog"}, {"id": 2, "name": "cat"}],
        "annotations": [
            {
                "id": 11,
                "image_id": 7,
                "category_id": 2,
                "bbox": [1, 2, 10, 5],
                "area": 30,
                "iscrowd": 0,
            },
            {
                "id": 12,
                "image_id": 7,
                "category_id": 90,
                "bbox": [0, 0, 4, 4],
                "area": 16,
                "iscrowd": 0,
            },
        ],
    }
    return {**whole, **changes}


def write(folder: Path, value: Any, pictures: tuple[str, ...] = ("a.png", "b.png")) -> Path:
    for name in pictures:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30)).save(folder / name)
    path = folder / "train.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def read(
    folder: Path, value: Any, *, strict: bool = False, classes: ClassList | None = None
) -> Dataset:
    path = write(folder, value)
    finder = PictureFinder([folder], folder)
    return read_coco(path, finder, root=folder, split="train", strict=strict, classes=classes)


def annotation(**changes: Any) -> dict[str, Any]:
    return {**content()["annotations"][0], **changes}


def test_p05_sparse_ids_in_file_order_become_labels(tmp_path: Path) -> None:
    dataset = read(tmp_path, content())
    assert dataset.class_names == ("dog", "cat")
    assert dataset.category_ids == (90, 2)
    assert dataset.file_names.tolist() == ["a.png", "b.png"]
    target = dataset.target(0)
    # x, y, width, height -> corners
    assert target.boxes.tolist() == [[1, 2, 11, 7], [0, 0, 4, 4]]
    assert target.labels.tolist() == [1, 0]
    assert target.areas.tolist() == [30, 16]  # the mask's, not 50
    assert dataset.mended.summary() == ""


def test_p05_every_label_is_below_the_number_of_classes(tmp_path: Path) -> None:
    rows = [annotation(id=i, category_id=id_) for i, id_ in enumerate((2, 90, 90))]
    dataset = read(tmp_path, content(annotations=rows))
    assert dataset.labels.tolist() == [1, 0, 0]
    assert dataset.class_counts().tolist() == [2, 1]


def test_p06_ids_in_another_order_are_mapped_by_name(tmp_path: Path) -> None:
    training = ClassList(("cat", "dog", "bird"), (1, 2, 3))
    dataset = read(tmp_path, content(), classes=training)
    assert dataset.class_names == ("cat", "dog", "bird")  # unused names are kept
    assert dataset.category_ids == (1, 2, 3)
    assert dataset.target(0).labels.tolist() == [0, 1]


def test_p07_a_name_that_training_lacks_is_an_error_with_close_ones(tmp_path: Path) -> None:
    training = ClassList(("doge", "cat"), (1, 2))
    with pytest.raises(DatasetError, match=r"train\.json: class 'dog'.*did you mean 'doge'\?"):
        read(tmp_path, content(), classes=training)


def test_p27_a_crowd_is_ignored_not_background(tmp_path: Path) -> None:
    rows = [annotation(id=1, iscrowd=1), annotation(id=2, ignore=1), annotation(id=3)]
    assert read(tmp_path, content(annotations=rows)).ignored.tolist() == [True, True, False]


def test_p03_pictures_without_annotations_are_kept(tmp_path: Path) -> None:
    dataset = read(tmp_path, content(annotations=[]))
    assert len(dataset) == 2
    assert dataset.empty_images().tolist() == [0, 1]


def test_missing_area_and_iscrowd_are_filled_in_and_told(tmp_path: Path) -> None:
    row = annotation()
    del row["area"], row["iscrowd"]
    dataset = read(tmp_path, content(annotations=[row, annotation(id=2, area=0)]))
    assert dataset.areas.tolist() == [50, 50]
    assert dataset.ignored.tolist() == [False, False]
    assert dataset.mended.counts == {"missing iscrowd read as 0": 1, "missing areas filled in": 2}
    with pytest.raises(DatasetError, match=r"annotation 11: missing iscrowd"):
        read(tmp_path, content(annotations=[row]), strict=True)


def test_sizes_left_out_are_the_pictures_own(tmp_path: Path) -> None:
    images = [
        {"id": 7, "file_name": "a.png"},
        {"id": 3, "file_name": "b.png", "width": 0, "height": 0},
    ]
    assert read(tmp_path, content(images=images)).image_wh.tolist() == [[40, 30], [40, 30]]


def test_a_turned_box_becomes_the_box_around_it(tmp_path: Path) -> None:
    row = annotation(bbox=[10, 10, 12, 4], attributes={"rotation": 90.0})
    flat = annotation(id=2, bbox=[10, 10, 12, 4], attributes={"rotation": 0.0})
    dataset = read(tmp_path, content(annotations=[row, flat]))
    # centre (16, 12), 12 x 4 upright is 4 x 12: 14..18, 6..18
    np.testing.assert_allclose(dataset.boxes, [[14, 6, 18, 18], [10, 10, 22, 14]], atol=1e-5)
    assert dataset.mended.counts == {"rotated boxes replaced by the box around them": 1}


def test_enclosing_box_by_hand() -> None:
    # a square of side 2 turned by 45 degrees is as wide as its diagonal, 2 * sqrt(2)
    half = math.sqrt(2)
    found = enclosing_box(np.array([0.0, 0, 2, 2]), 45)
    np.testing.assert_allclose(found, [1 - half, 1 - half, 1 + half, 1 + half])
    np.testing.assert_allclose(
        enclosing_box(np.array([0.0, 0, 4, 2]), -180), [0, 0, 4, 2], atol=1e-9
    )


PHANTOM = [
    {"id": 0, "name": "cells", "supercategory": "none"},
    {"id": 1, "name": "cat", "supercategory": "cells"},
    {"id": 2, "name": "dog", "supercategory": "cells"},
]


def test_roboflows_phantom_class_is_dropped(tmp_path: Path) -> None:
    rows = [annotation(category_id=2)]
    dataset = read(tmp_path, content(categories=PHANTOM, annotations=rows))
    assert dataset.class_names == ("cat", "dog")
    assert dataset.labels.tolist() == [1]


def test_a_root_class_that_boxes_use_is_none_to_drop(tmp_path: Path) -> None:
    rows = [annotation(category_id=0)]
    dataset = read(tmp_path, content(categories=PHANTOM, annotations=rows))
    assert dataset.class_names == ("cells", "cat", "dog")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ('{"images": [', r"train\.json: not valid JSON"),
        ("[1, 2]", r"'images' is no list of objects"),
        ({"images": [], "annotations": []}, r"'categories' is no list"),
        ({"images": [3], "annotations": [], "categories": []}, r"'images' is no list of objects"),
        (
            content(annotations=[annotation(category_id=5)]),
            r"annotation 11: unknown category 5.*90, 2",
        ),
        (
            content(annotations=[annotation(category_id=None)]),
            r"annotation 11: unknown category None",
        ),
        (content(annotations=[annotation(image_id=99)]), r"annotation 11: image_id is 99"),
        (content(annotations=[annotation(image_id=None)]), r"annotation 11: image_id is None"),
        (content(annotations=[annotation(bbox=[1, 2, 3])]), r"annotation 11: bbox is \[1, 2, 3\]"),
        (content(annotations=[annotation(bbox=None)]), r"annotation 11: bbox is None"),
        (content(annotations=[annotation(bbox=[1, 2, "3", 4])]), r"annotation 11: bbox is"),
        (content(annotations=[annotation(bbox=[1, True, 3, 4])]), r"annotation 11: bbox is"),
        (
            content(annotations=[annotation(bbox=[1, 2, math.nan, 4])]),
            r"annotation 11: bbox is.*nan",
        ),
        (content(annotations=[annotation(bbox=[1, 2, 1e400, 4])]), r"annotation 11: bbox is.*inf"),
        (content(annotations=[annotation(bbox=[1, 2, 10**400, 4])]), r"annotation 11: bbox is"),
        (content(annotations=[annotation(area="big")]), r"annotation 11: area is 'big'"),
        (content(annotations=[{"image_id": 7}]), r"annotation number 1: bbox is None"),
        (content(annotations=[annotation(attributes={"rotation": "x"})]), r"rotation is 'x'"),
        (
            content(categories=[{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]),
            r"two categories.*id 1",
        ),
        (content(categories=[{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]), r"two.*name 'a'"),
        (content(categories=[{"id": "x", "name": "a"}]), r"category 1: id 'x'"),
        (content(categories=[{"id": 1, "name": ""}]), r"category 1: id 1 and name ''"),
        (
            content(images=[*content()["images"], {"id": 7, "file_name": "a.png"}]),
            r"image 7: 2 images have this id, .a.png. and .a.png.",
        ),
        (content(images=[{"file_name": "a.png"}], annotations=[]), r"an image has no id"),
        (content(images=[{"id": 7}]), r"image 7: file_name is None"),
        (
            content(images=[{"id": 7, "file_name": "a.png", "width": "x", "height": 3}]),
            r"image 7: width 'x'",
        ),
        (
            content(images=[{"id": 7, "file_name": "a.png", "width": 80, "height": 60}]),
            r"a\.png: the annotations say 80x60, the picture has 40x30",
        ),
        (
            content(images=[{"id": 7, "file_name": "gone.png"}]),
            r"image 7: no picture 'gone\.png'.*--images",
        ),
    ],
)
def test_what_cannot_be_mended_is_one_line_with_its_place(
    tmp_path: Path, value: Any, words: str
) -> None:
    with pytest.raises(DatasetError, match=words) as caught:
        read(tmp_path, value)
    assert "\n" not in str(caught.value)
    assert "train.json" in str(caught.value) or "a.png" in str(caught.value)


def test_a_broken_picture_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, content())
    (tmp_path / "b.png").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=r"b\.png: this picture cannot be read"):
        read_coco(path, PictureFinder([tmp_path], tmp_path), root=tmp_path, split="train")


def test_text_that_is_no_utf8_is_malformed(tmp_path: Path) -> None:
    path = write(tmp_path, content())
    path.write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(DatasetError, match="not valid JSON"):
        read_coco(path, PictureFinder([tmp_path], tmp_path), root=tmp_path, split="train")


def test_a_byte_order_mark_is_borne(tmp_path: Path) -> None:
    dataset = read(tmp_path, "\ufeff" + json.dumps(content()))
    assert len(dataset) == 2


def test_p11_a_size_that_exif_swapped_says_so(tmp_path: Path) -> None:
    path = write(tmp_path, content())
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png", exif=exif)
    with pytest.raises(DatasetError, match=r"a\.png.*40x30.*30x40.*EXIF orientation \(6\)"):
        read_coco(path, PictureFinder([tmp_path], tmp_path), root=tmp_path, split="train")


def test_areas_and_crowds_are_pycocotools(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    from pycocotools.coco import COCO

    path = write(tmp_path, content())
    judge = COCO(str(path))
    dataset = read(tmp_path, content())
    for index, image_id in enumerate((7, 3)):
        rows = judge.loadAnns(judge.getAnnIds(imgIds=[image_id]))
        target = dataset.target(index)
        assert target.areas.tolist() == [row["area"] for row in rows]
        ids = [dataset.category_ids[label] for label in target.labels]
        assert ids == [row["category_id"] for row in rows]


@pytest.mark.parametrize("side", [-1, 0.5, 0, None])
def test_a_size_without_pixels_is_not_given(tmp_path: Path, side: float | None) -> None:
    images = content()["images"]
    images[0] |= {"width": side, "height": side}
    assert read(tmp_path, content(images=images)).image_wh.tolist() == [[40, 30]] * 2


@pytest.mark.parametrize(
    ("flag", "ignored"), [("0", False), ("1", True), (0, False), (True, True), (None, False)]
)
def test_a_crowd_mark_may_be_text(tmp_path: Path, flag: object, ignored: bool) -> None:
    rows = [annotation(iscrowd=flag)]
    assert read(tmp_path, content(annotations=rows)).ignored.tolist() == [ignored]
    rows = [annotation(ignore="no")]
    with pytest.raises(DatasetError, match="ignore is 'no', expected 0 or 1"):
        read(tmp_path, content(annotations=rows))
