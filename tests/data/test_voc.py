"""Pascal VOC XML read natively."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iouaware.data.classes import ClassList
from iouaware.data.dataset import Dataset
from iouaware.data.voc import read_voc, voc_classes
from iouaware.errors import DatasetError

SIZE = "<size><width>40</width><height>30</height><depth>3</depth></size>"


def thing(box: tuple[object, object, object, object], name: str = "cat", more: str = "") -> str:
    sides = "".join(
        f"<{side}>{value}</{side}>"
        for side, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    return f"<object><name>{name}</name>{more}<bndbox>{sides}</bndbox></object>"


def read(
    folder: Path, *bodies: str | None, strict: bool = False, classes: ClassList | None = None
) -> Dataset:
    """Read pictures 0.png, 1.png ... whose XML files hold these; None is a picture without one."""
    pairs: list[tuple[Path, Path | None]] = []
    for number, body in enumerate(bodies):
        picture, xml = folder / f"{number}.png", folder / f"{number}.xml"
        Image.new("RGB", (40, 30)).save(picture)
        if body is not None:
            xml.write_text(body if body.startswith("<?") else f"<annotation>{body}</annotation>")
        pairs.append((picture, None if body is None else xml))
    return read_voc(pairs, root=folder, split="train", strict=strict, classes=classes)


def test_inclusive_pixels_from_1_become_corners_from_0(tmp_path: Path) -> None:
    dataset = read(tmp_path, SIZE + thing((1, 1, 40, 30)) + thing((5, 6, 5, 9)))
    # the whole picture; and one column of four pixels: x 4..5, y 5..9
    assert dataset.boxes.tolist() == [[0, 0, 40, 30], [4, 5, 5, 9]]
    assert dataset.areas.tolist() == [1200, 4]
    assert dataset.mended.summary() == ""


def test_names_are_sorted_and_ids_count_from_1(tmp_path: Path) -> None:
    dataset = read(
        tmp_path, thing((1, 1, 9, 9), "dog"), thing((1, 1, 9, 9), "bird") + thing((1, 1, 5, 5))
    )
    assert dataset.class_names == ("bird", "cat", "dog")
    assert dataset.category_ids == (1, 2, 3)
    assert dataset.labels.tolist() == [2, 0, 1]
    files = [tmp_path / "0.xml", tmp_path / "1.xml"]
    assert voc_classes(files) == ClassList(("bird", "cat", "dog"), (1, 2, 3))


def test_p07_a_name_that_training_lacks_is_an_error_with_close_ones(tmp_path: Path) -> None:
    training = ClassList(("cats", "dog"), (1, 2))
    with pytest.raises(DatasetError, match=r"0\.xml: class 'cat'.*2 classes.*did you mean 'cats'"):
        read(tmp_path, thing((1, 1, 9, 9)), classes=training)


def test_p27_a_difficult_object_is_ignored_not_background(tmp_path: Path) -> None:
    objects = [
        thing((1, 1, 9, 9), more="<difficult>1</difficult>"),
        thing((1, 1, 9, 9), more="<difficult>0</difficult>"),
        thing((1, 1, 9, 9)),
    ]
    assert read(tmp_path, "".join(objects)).ignored.tolist() == [True, False, False]


def test_p03_a_picture_without_xml_or_objects_is_kept(tmp_path: Path) -> None:
    dataset = read(tmp_path, SIZE, None, thing((1, 1, 9, 9)))
    assert dataset.empty_images().tolist() == [0, 1]
    assert dataset.image_wh.tolist() == [[40, 30]] * 3


def test_p01_two_corners_on_one_pixel_are_no_object(tmp_path: Path) -> None:
    dataset = read(tmp_path, thing((7, 8, 7, 8)) + thing((1, 1, 9, 9)))
    assert dataset.count_boxes() == 1
    assert dataset.mended.counts == {"boxes without area dropped": 1}
    with pytest.raises(DatasetError, match=r"0\.xml object 1, box .*without area"):
        read(tmp_path, thing((7, 8, 7, 8)), strict=True)


def test_a_box_from_0_begins_at_the_border(tmp_path: Path) -> None:
    dataset = read(tmp_path, thing((0, 3, 9, 9)))
    assert dataset.boxes.tolist() == [[0, 2, 9, 9]]
    assert dataset.mended.counts == {"boxes from 0, where VOC counts from 1, begun at 1": 1}


def test_parts_of_an_object_are_no_objects(tmp_path: Path) -> None:
    part = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"
    assert read(tmp_path, thing((1, 1, 9, 9), more=part)).class_names == ("cat",)


def test_a_turned_box_becomes_the_box_around_it(tmp_path: Path) -> None:
    turned = (
        "<attributes><attribute><name>occluded</name><value>False</value></attribute>"
        "<attribute><name>rotation</name><value>90.0</value></attribute></attributes>"
    )
    dataset = read(tmp_path, thing((11, 11, 22, 14), more=turned))
    # 10..22, 10..14 about (16, 12): 14..18, 6..18
    np.testing.assert_allclose(dataset.boxes, [[14, 6, 18, 18]], atol=1e-5)
    assert dataset.mended.counts == {"rotated boxes replaced by the box around them": 1}


def test_a_size_of_zero_or_none_is_the_pictures_own(tmp_path: Path) -> None:
    zero = "<size><width>0</width><height>0</height></size>"
    assert read(tmp_path, zero, "").image_wh.tolist() == [[40, 30], [40, 30]]


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "y"><!ENTITY z "&x;&x;&x;">]>'
    "<annotation><filename>&z;</filename></annotation>"
)
OUTSIDE = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    "<annotation><filename>&x;</filename></annotation>"
)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (BOMB, "defines entities, which are refused"),
        (OUTSIDE, "defines entities, which are refused"),
        ("<object>", "not valid XML"),
        ("&nothing;", "not valid XML"),
        ("<?xml version='1.0' encoding='no-such'?><annotation/>", "not valid XML"),
        ("<?xml version='1.0'?><html/>", "found <html>, expected VOC's <annotation>"),
        ("<object><bndbox/></object>", "object 1: it has no name"),
        (thing((1, 1, 9, 9)) + "<object><name>x</name></object>", "object 2: it has no bndbox"),
        (thing((1, 1, "wide", 9)), "object 1: xmax is 'wide', expected a number"),
        (thing((1, "nan", 9, 9)), "object 1: ymin is 'nan', expected a number"),
        (thing((1, 1, 9, "inf")), "object 1: ymax is 'inf', expected a number"),
        (thing((1, 1, 9, "")), "object 1: ymax is '', expected a number"),
        (thing((1, 1, 9, 9), more="<difficult>x</difficult>"), "difficult is 'x'"),
        ("<size><width>a</width></size>", "size: width is 'a'"),
        ("<size><width>80</width><height>60</height></size>", "80x60, the picture has 40x30"),
    ],
)
def test_what_cannot_be_mended_is_one_line_with_its_place(
    tmp_path: Path, body: str, words: str
) -> None:
    with pytest.raises(DatasetError, match=words) as caught:
        read(tmp_path, body)
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "0.") in str(caught.value)


def test_a_missing_xml_or_picture_is_named(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    with pytest.raises(DatasetError, match=r"gone\.xml: cannot be read"):
        read_voc([(tmp_path / "a.png", tmp_path / "gone.xml")], root=tmp_path, split="train")
    with pytest.raises(DatasetError, match=r"gone\.png: no such picture"):
        read_voc([(tmp_path / "gone.png", None)], root=tmp_path, split="train")


def test_p02_widths_where_corners_belong_are_told(tmp_path: Path) -> None:
    boxes = [(20 + i, 15 + i, 6 + i % 3, 5 + i % 4) for i in range(9)]  # x y width height
    with pytest.raises(DatasetError, match=r"0\.xml object 1: .*look like xywh"):
        read(tmp_path, "".join(thing(box) for box in boxes))
