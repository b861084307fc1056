"""YOLO text read natively."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iouaware.data.classes import ClassList
from iouaware.data.dataset import Dataset
from iouaware.data.yolo import read_yolo
from iouaware.errors import DatasetError

CLASSES = ClassList(("dog", "cat"), (0, 1))


def read(
    folder: Path, *texts: str | None, strict: bool = False, classes: ClassList = CLASSES
) -> Dataset:
    """Read pictures 0.png, 1.png ... of 40 x 20; None is a picture without a text file."""
    pairs: list[tuple[Path, Path | None]] = []
    for number, text in enumerate(texts):
        picture, labels = folder / f"{number}.png", folder / f"{number}.txt"
        Image.new("RGB", (40, 20)).save(picture)
        if text is not None:
            labels.write_text(text)
        pairs.append((picture, None if text is None else labels))
    return read_yolo(pairs, classes, root=folder, split="train", strict=strict)


def test_fractions_become_pixels(tmp_path: Path) -> None:
    dataset = read(tmp_path, "1 0.5 0.5 0.5 0.2\n\n0 0.25 0.25 0.5 0.5")
    # 40 x 20: centre (20, 10), 20 x 4; centre (10, 5), 20 x 10
    np.testing.assert_allclose(dataset.boxes, [[10, 8, 30, 12], [0, 0, 20, 10]], atol=1e-5)
    assert dataset.labels.tolist() == [1, 0]
    assert dataset.category_ids == (0, 1)
    assert dataset.mended.summary() == ""


def test_p03_pictures_without_or_with_an_empty_file_are_kept(tmp_path: Path) -> None:
    dataset = read(tmp_path, "", None, "0 0.5 0.5 0.5 0.5", " \n")
    assert dataset.empty_images().tolist() == [0, 1, 3]
    assert dataset.image_wh.tolist() == [[40, 20]] * 4


def test_p05_ids_with_a_gap_become_labels(tmp_path: Path) -> None:
    classes = ClassList(("dog", "cat"), (3, 7))
    dataset = read(tmp_path, "7 0.5 0.5 0.5 0.5\n3.0 0.5 0.5 0.5 0.5", classes=classes)
    assert dataset.labels.tolist() == [1, 0]
    assert dataset.category_ids == (3, 7)


def test_a_polygon_becomes_the_box_around_it_and_is_counted(tmp_path: Path) -> None:
    dataset = read(tmp_path, "1 0.1 0.2 0.5 0.1 0.3 0.9")
    # x 0.1..0.5 of 40, y 0.1..0.9 of 20
    np.testing.assert_allclose(dataset.boxes, [[4, 2, 20, 18]], atol=1e-5)
    assert dataset.mended.counts == {"polygons read as the boxes around them": 1}


def test_a_box_over_the_border_is_clipped(tmp_path: Path) -> None:
    dataset = read(tmp_path, "0 0.9 0.5 0.4 0.5\n0 1.01 0.5 0.4 0.5")
    # 0.7..1.1 and 0.81..1.21 of 40
    np.testing.assert_allclose(dataset.boxes[:, 0], [28, 32.4], atol=1e-5)
    assert dataset.boxes[:, 2].tolist() == [40, 40]
    assert dataset.mended.counts == {"boxes that stuck out clipped": 2}


def test_p01_a_box_without_area_is_dropped_and_named_when_strict(tmp_path: Path) -> None:
    text = "0 0.5 0.5 0.5 0.5\n1 0.5 0.5 0 0.1"
    dataset = read(tmp_path, text)
    assert dataset.labels.tolist() == [0]
    assert dataset.mended.summary() == "boxes without area dropped: 1 (0.png)"
    with pytest.raises(DatasetError, match=r"0\.txt line 2, box .*without area"):
        read(tmp_path, text, strict=True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0 1.31 0.5 0.1 0.1", r"line 1: x_center is 1\.31, expected 0\.\.1 \(YOLO boxes are"),
        ("0 0.5 -0.2 0.1 0.1", r"line 1: y_center is -0\.2, expected 0\.\.1"),
        ("0 .5 .5 .1 .1\n0 120 50 30 20", r"line 2: x_center is 120.*look like pixels"),
        ("2 0.5 0.5 0.1 0.1", r"line 1: unknown class 2.*2 named classes, 0 to 1; do the files"),
        ("-1 0.5 0.5 0.1 0.1", r"unknown class -1"),
        ("9 0.5 0.5 0.1 0.1", r"unknown class 9, expected one of the 2 named classes, 0 to 1$"),
        ("0.5 0.5 0.5 0.1 0.1", r"the class is 0\.5, expected a whole number"),
        ("dog 0.5 0.5 0.1 0.1", r"'dog' is no number$"),
        ("0 0.5 nan 0.1 0.1", r"'nan' is no number"),
        ("0 0.5 inf 0.1 0.1", r"'inf' is no number"),
        ("0 0.5 0.5 0.1", r"line 1: found 4 values, expected 5"),
        ("0 0.5 0.5 0.1 0.1 0.9", r"found 6 values, expected 5 .*; is the last one a confidence\?"),
        (
            "0 .1 .2 .5 .1 .3 .9 .8",
            r"found 8 values, expected 5 .*; is the last one a confidence\?",
        ),
        ("0 0.5 0.5", r"found 3 values, expected 5 .* points of a polygon$"),
        ("0,0.5,0.5,0.1,0.1", r"'0,0\.5,.*' is no number; found commas, expected spaces between"),
        ("0 0,5 0,5 0,1 0,1", r"'0,5' is no number; found commas, .* and points inside them$"),
        ("0 0.1 0.2 0.5 0.1 3 0.9", r"value 6 is 3, expected 0\.\.1"),
    ],
)
def test_what_cannot_be_mended_is_one_line_with_its_place(
    tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(DatasetError, match=words) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "0.txt") in str(caught.value)


def test_p02_values_beyond_1_are_said_to_look_like_pixels(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="look like pixels; YOLO boxes are fractions"):
        read(tmp_path, "0 20 10 8 6")


def test_p02_corners_where_a_centre_belongs_are_told(tmp_path: Path) -> None:
    corners = [(0.6 + i / 99, 0.7, 0.8 + i / 99, 0.9) for i in range(9)]
    lines = "\n".join(f"0 {a} {b} {c} {d}" for a, b, c, d in corners)
    with pytest.raises(DatasetError, match=r"line 1: .*look like xyxy; write them as cxcywh"):
        read(tmp_path, lines)


def test_text_that_is_no_text_and_missing_files_are_named(tmp_path: Path) -> None:
    Image.new("RGB", (40, 20)).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    for name, words in (("a.txt", r"a\.txt: cannot be read as text"), ("b.txt", r"b\.txt: cannot")):
        with pytest.raises(DatasetError, match=words):
            read_yolo(
                [(tmp_path / "a.png", tmp_path / name)], CLASSES, root=tmp_path, split="train"
            )
    with pytest.raises(DatasetError, match=r"gone\.png: no such picture"):
        read_yolo([(tmp_path / "gone.png", None)], CLASSES, root=tmp_path, split="train")


def test_a_byte_order_mark_is_borne(tmp_path: Path) -> None:
    Image.new("RGB", (40, 20)).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf0 0.5 0.5 0.5 0.5\r\n")
    pairs = [(tmp_path / "a.png", tmp_path / "a.txt")]
    assert read_yolo(pairs, CLASSES, root=tmp_path, split="train").count_boxes() == 1
