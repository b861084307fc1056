"""Writers: what stands in the files, by hand, and that the readers give the same back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from defusedxml import ElementTree
from PIL import Image

from iouaware.data.dataset import Dataset, DatasetBuilder
from iouaware.data.layouts import read_splits, recognise
from iouaware.data.writers import WRITERS, write_coco, write_voc, write_yolo
from iouaware.errors import DatasetError


def make_dataset(
    folder: Path,
    boxes: list[tuple[float, float, float, float]],
    ignored: bool = False,
    split: str = "train",
    name: str = "a",
) -> Dataset:
    """One picture of 80 x 64 px whose boxes are of class "bolt", id 7; "nut", id 9, is unused."""
    folder.mkdir(exist_ok=True)
    Image.new("RGB", (80, 64)).save(folder / f"{name}.png")
    builder = DatasetBuilder("coco", folder, split, ("bolt", "nut"), (7, 9))
    count = len(boxes)
    builder.add_image(f"{name}.png", 80, 64, boxes, [0] * count, [ignored] * count)
    return builder.build()


def test_coco_by_hand(tmp_path: Path) -> None:
    write_coco([make_dataset(tmp_path / "in", [(8, 4, 24, 14)], ignored=True)], tmp_path / "out")
    content = json.loads((tmp_path / "out/annotations/train.json").read_text("utf-8"))
    assert content["images"] == [{"id": 1, "file_name": "a.png", "width": 80, "height": 64}]
    assert content["categories"] == [{"id": 7, "name": "bolt"}, {"id": 9, "name": "nut"}]
    assert content["annotations"] == [
        # width 24 - 8, height 14 - 4, area 16 * 10
        {"id": 1, "image_id": 1, "category_id": 7, "bbox": [8, 4, 16, 10], "area": 160,
         "iscrowd": 1}
    ]  # fmt: skip
    assert (tmp_path / "out/images/train/a.png").is_file()


def test_voc_by_hand(tmp_path: Path) -> None:
    write_voc([make_dataset(tmp_path / "in", [(8, 4, 24, 14)], ignored=True)], tmp_path / "out")
    root = ElementTree.fromstring((tmp_path / "out/Annotations/a.xml").read_text("utf-8"))
    assert root.findtext("filename") == "a.png"
    assert [root.findtext(f"size/{key}") for key in ("width", "height")] == ["80", "64"]
    assert root.findtext("object/name") == "bolt"
    assert root.findtext("object/difficult") == "1"
    # counted from 1, the last pixel included: columns 8..23 are 9..24, rows 4..13 are 5..14
    box = [root.findtext(f"object/bndbox/{key}") for key in ("xmin", "ymin", "xmax", "ymax")]
    assert box == ["9", "5", "24", "14"]
    assert (tmp_path / "out/ImageSets/Main/train.txt").read_text("utf-8") == "a\n"
    assert (tmp_path / "out/JPEGImages/a.png").is_file()


def test_yolo_by_hand(tmp_path: Path) -> None:
    write_yolo([make_dataset(tmp_path / "in", [(8, 4, 24, 20)])], tmp_path / "out")
    # centre (16, 12) of 80 x 64: 0.2, 0.1875; size 16 x 16: 0.2, 0.25
    assert (tmp_path / "out/labels/train/a.txt").read_text("utf-8") == "0 0.2 0.1875 0.2 0.25\n"
    content = yaml.safe_load((tmp_path / "out/data.yaml").read_text("utf-8"))
    assert content == {"train": "images/train", "names": {0: "bolt", 1: "nut"}}
    assert (tmp_path / "out/images/train/a.png").is_file()


def test_p03_a_picture_without_objects_has_an_empty_label_file(tmp_path: Path) -> None:
    write_yolo([make_dataset(tmp_path / "in", [])], tmp_path / "out")
    assert (tmp_path / "out/labels/train/a.txt").read_text("utf-8") == ""


def test_three_forms_of_a_drawing_read_back_equal(
    tiny_coco: Path, tiny_voc: Path, tiny_yolo: Path
) -> None:
    coco, voc, yolo = (read_splits(folder) for folder in (tiny_coco, tiny_voc, tiny_yolo))
    assert [len(coco.train), len(coco.val)] == [11, 5]
    assert coco.train.count_boxes() > 20
    for other in (voc, yolo):
        for mine, theirs in ((coco.train, other.train), (coco.val, other.val)):
            assert theirs.class_names == mine.class_names
            assert theirs.mended.summary() == mine.mended.summary() == ""
            names = [Path(name).name for name in mine.file_names]
            assert [Path(name).name for name in theirs.file_names] == names
            for field in ("image_wh", "offsets", "boxes", "labels", "ignored", "areas"):
                np.testing.assert_array_equal(getattr(theirs, field), getattr(mine, field), field)


@pytest.mark.parametrize("form", WRITERS)
def test_boxes_off_the_pixels_come_back(tmp_path: Path, form: str) -> None:
    boxes = [(0.0, 0.3, 20.7, 64.0), (3.3333, 4.1, 80.0, 60.9)]
    splits = [
        make_dataset(tmp_path / "train", boxes, name="a"),
        make_dataset(tmp_path / "val", boxes, name="b", split="val"),
    ]
    WRITERS[form](splits, tmp_path / "out")
    again = read_splits(tmp_path / "out")
    # VOC's 1 px offset costs the last digits of a float32
    np.testing.assert_allclose(again.train.boxes, splits[0].boxes, rtol=0, atol=1e-5)
    np.testing.assert_allclose(again.val.boxes, splits[1].boxes, rtol=0, atol=1e-5)
    assert again.train.mended.summary() == ""


@pytest.mark.parametrize("form", ["coco", "voc"])
def test_p27_ignored_boxes_stay_ignored(tmp_path: Path, form: str) -> None:
    splits = [
        make_dataset(tmp_path / "train", [(8, 4, 24, 14)], ignored=True, name="a"),
        make_dataset(tmp_path / "val", [(8, 4, 24, 14)], name="b", split="val"),
    ]
    WRITERS[form](splits, tmp_path / "out")
    again = read_splits(tmp_path / "out")
    assert again.train.ignored.tolist() == [True]
    assert again.val.ignored.tolist() == [False]


def test_coco_keeps_areas_and_ids(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.new("RGB", (80, 64)).save(tmp_path / "in/a.png")
    builder = DatasetBuilder("coco", tmp_path / "in", "train", ("bolt", "nut"), (7, 9))
    builder.add_image("a.png", 80, 64, [[8, 4, 24, 14]], [1], areas=[90.5])
    write_coco([builder.build()], tmp_path / "out")
    content = json.loads((tmp_path / "out/annotations/train.json").read_text("utf-8"))
    assert content["annotations"][0]["area"] == 90.5
    assert content["annotations"][0]["category_id"] == 9


def test_yolo_refuses_ignored_boxes(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "in", [(8, 4, 24, 14)], ignored=True)
    with pytest.raises(DatasetError, match=r"a\.png: has ignored .* write coco or voc"):
        write_yolo([dataset], tmp_path / "out")


@pytest.mark.parametrize("form", WRITERS)
def test_pictures_of_one_name_are_numbered(tmp_path: Path, form: str) -> None:
    builder = DatasetBuilder("coco", tmp_path, "train", ("bolt",), (1,))
    for number, name in enumerate(("x/a.png", "y/a.png", "y/a-2.png", "z/a.png")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (80, 64 + number)).save(tmp_path / name)
        builder.add_image(name, 80, 64 + number, [(1, 1, 9, 9 + number)], [0])
    train = builder.build()
    val = make_dataset(tmp_path / "v", [(8, 4, 24, 14)], split="val")
    WRITERS[form]([train, replace(val, class_names=("bolt",), category_ids=(1,))], tmp_path / "out")
    again = read_splits(tmp_path / "out")
    stems = {Path(name).stem: i for i, name in enumerate(again.train.file_names.tolist())}
    assert sorted(stems) == ["a", "a-2", "a-2-2", "a-3"]
    for number, stem in enumerate(("a", "a-2", "a-2-2", "a-3")):
        target = again.train.target(stems[stem])
        assert again.train.image_wh[stems[stem], 1] == 64 + number
        np.testing.assert_allclose(target.boxes, [[1, 1, 9, 9 + number]], atol=1e-4)
    # VOC keeps the pictures of both splits in one folder
    assert Path(again.val.file_name(0)).stem == ("a-4" if form == "voc" else "a")


@pytest.mark.parametrize("form", WRITERS)
def test_data_without_a_split_come_back_whole(tmp_path: Path, form: str) -> None:
    splits = [
        make_dataset(tmp_path / "all", [(8, 4, 24, 14)], split="all"),
        make_dataset(tmp_path / "test", [(8, 4, 24, 20)], split="test"),  # of the same name
    ]
    splits = splits[:1] if form == "yolo" else splits  # YOLO has either
    WRITERS[form](splits, tmp_path / "out")
    layout, _ = recognise(tmp_path / "out", None)
    assert set(layout.parts) == {one.split for one in splits}
    for one in splits:
        again = layout.parts[one.split].read(one.split, None, False)
        np.testing.assert_allclose(again.boxes, one.boxes, atol=1e-5)


def test_missing_picture_is_named(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "in", [(8, 4, 24, 14)])
    (tmp_path / "in/a.png").unlink()
    with pytest.raises(DatasetError, match=r"a\.png: cannot be copied"):
        write_coco([dataset], tmp_path / "out")
