"""COCO files where COCO, Roboflow, CVAT and Label Studio put them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from iouaware.data.coco_layouts import find_coco
from iouaware.data.examining import examine
from iouaware.data.layouts import read_split, read_splits
from iouaware.data.parts import Part
from iouaware.errors import DatasetError
from tests.data.layout_files import check, coco, picture, text


@pytest.mark.parametrize(
    "pictures", ["images/{split}", "{split}2017", "images/{split}2017", "images", "."]
)
@pytest.mark.parametrize("stem", ["{split}", "instances_{split}2017"])
def test_coco_folders(tmp_path: Path, pictures: str, stem: str) -> None:
    for split, count in (("train", 3), ("val", 2)):
        names = [f"{split}{n}.png" for n in range(count)]
        for name in names:
            picture(tmp_path / pictures.format(split=split) / name)
        coco(tmp_path / "annotations" / f"{stem.format(split=split)}.json", names)
    text(tmp_path / "annotations" / "captions_train2017.json", "{}")
    lines = check(tmp_path, "coco", (3, 2, None))
    assert len(lines) == 1
    assert lines[0].endswith("2 classes; train 3 pictures, 3 boxes; val 2 pictures, 2 boxes")


def test_coco_equal_names_in_two_splits_are_two_pictures(tmp_path: Path) -> None:
    for split in ("train", "val"):
        picture(tmp_path / "images" / split / "1.png")
        coco(tmp_path / "annotations" / f"{split}.json", ["1.png"])
    splits = read_splits(tmp_path)
    assert splits.train.file_name(0) == "images/train/1.png"
    assert splits.val.file_name(0) == "images/val/1.png"


def test_roboflow_coco_drops_the_phantom_class(tmp_path: Path) -> None:
    for split, count in (("train", 3), ("valid", 2), ("test", 1)):
        names = [f"{split}{n}_png.rf.0a1b.png" for n in range(count)]
        for name in names:
            picture(tmp_path / split / name)
        path = coco(tmp_path / split / "_annotations.coco.json", names)
        content = json.loads(path.read_text())
        content["categories"].insert(0, {"id": 0, "name": "things", "supercategory": "none"})
        path.write_text(json.dumps(content))
    check(tmp_path, "coco", (3, 2, 1))
    assert read_split(tmp_path, "test").class_names == ("cat", "dog")


def test_cvat_coco_has_no_split_and_turned_boxes(tmp_path: Path) -> None:
    names = [f"{n}.png" for n in range(10)]
    for name in names:
        picture(tmp_path / "images" / name)
    coco(tmp_path / "annotations" / "instances_default.json", names, attributes={"rotation": 180.0})
    lines = check(tmp_path, "coco", (8, 2, None))
    assert any("rotated boxes replaced by the box around them: 10" in line for line in lines)
    assert any("split 80/20 by the content" in line for line in lines)
    assert read_splits(tmp_path).made


def test_label_studio_coco_has_foreign_paths_and_hash_prefixes(tmp_path: Path) -> None:
    names = [rf"..\..\label-studio\data\media\upload\1\0a1b2c3d-p{n}.png" for n in range(5)]
    coco(tmp_path / "export" / "result.json", names)
    for n in range(5):
        picture(tmp_path / "mine" / "deep" / f"p{n}.png")
    check(tmp_path / "export", "coco", (4, 1, None), images=tmp_path / "mine")
    with pytest.raises(DatasetError, match=r"result\.json image 0: no picture.*--images DIR"):
        read_splits(tmp_path / "export")
    for n in range(5):
        picture(tmp_path / "export" / "images" / f"0a1b2c3d-p{n}.png")
    check(tmp_path / "export", "coco", (4, 1, None))


def test_two_pictures_of_one_name_are_refused(tmp_path: Path) -> None:
    coco(tmp_path / "export" / "result.json", ["a.png", "b.png"])
    for name in ("x/a.png", "y/a.png", "b.png"):
        picture(tmp_path / "mine" / name)
    with pytest.raises(DatasetError, match=r"image 0: 2 pictures are called 'a\.png'"):
        read_splits(tmp_path / "export", images=tmp_path / "mine")


def parts_of(folder: Path) -> dict[str, Part]:
    layout = find_coco(folder, None)
    assert layout is not None
    return layout.parts


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"images": []}', '{"images": [{"id": 1, "file']
)
@pytest.mark.parametrize("name", ["val", "valid", "dev", "test"])
def test_a_part_that_holds_no_boxes_is_told_beside_one_that_does(
    tmp_path: Path, name: str, content: str
) -> None:
    picture(tmp_path / "images" / "a.png")
    coco(tmp_path / "annotations" / "train.json", ["a.png"])
    if name == "test" and content.endswith("}"):
        content = "{"  # whole, but without annotations: see below
    broken = text(tmp_path / "annotations" / f"{name}.json", content)
    split = "test" if name == "test" else "val"
    assert set(parts_of(tmp_path)) == {"train", split}
    with pytest.raises(DatasetError, match=rf"annotations/{broken.name}: "):
        read_split(tmp_path, split)


def test_a_part_cut_off_in_a_folder_of_its_own_is_told(tmp_path: Path) -> None:
    coco(tmp_path / "train" / "labels.json", ["a.png"])
    picture(tmp_path / "train" / "a.png")
    text(tmp_path / "valid" / "labels.json", '{"images": [{"id": 1, "file_name": "')
    text(tmp_path / "valid" / "info.json", "{}")
    text(tmp_path / "test" / "labels.json", '{"images": [], "categories": []}')
    assert set(parts_of(tmp_path)) == {"train", "val"}
    with pytest.raises(DatasetError, match=r"valid/labels\.json: "):
        read_splits(tmp_path)


def test_other_json_beside_the_parts_is_passed_over(tmp_path: Path) -> None:
    coco(tmp_path / "annotations" / "train.json", ["a.png"])
    # COCO's challenges keep the annotations of the test part to themselves
    text(tmp_path / "annotations" / "test.json", '{"images": [], "categories": []}')
    others = ("captions_val", "person_keypoints_val2017", "info", "val_colours", "image_info_val")
    for name in others:
        text(tmp_path / "annotations" / f"{name}.json", "{}")
    assert set(parts_of(tmp_path)) == {"train"}
    coco(tmp_path / "annotations" / "val_boxes.json", ["a.png"])
    text(tmp_path / "annotations" / "val.json", '["a.png"]')
    assert parts_of(tmp_path)["val"].read_classes().names == ("cat", "dog")


def test_json_called_after_a_split_alone_is_no_coco(tmp_path: Path) -> None:
    text(tmp_path / "train.json", '["a.png"]')
    assert find_coco(tmp_path, None) is None


def test_a_json_file_alone_is_a_data_set(tmp_path: Path) -> None:
    names = [f"{n}.PNG" for n in range(5)]
    for name in names:
        picture(tmp_path / "images" / name.lower())  # the case may differ
    path = coco(tmp_path / "annotations" / "mine.json", names)
    check(path, "coco", (4, 1, None))
    assert len(read_split(path, "all")) == 5


def test_two_files_of_one_split_are_told(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        picture(tmp_path / "images" / name)
    for name in ("train", "train_small", "val"):
        coco(tmp_path / "annotations" / f"{name}.json", ["b.png" if name == "val" else "a.png"])
    assert "train is read from train.json, not from train_small.json" in read_splits(tmp_path).lines


def test_coco_files_beside_train_that_are_not_read_are_told(tmp_path: Path) -> None:
    names = [f"{n}.png" for n in range(6)]
    for name in names:
        picture(tmp_path / "images" / name)
    for stem, chosen in (("train", names[:4]), ("eval", names[4:]), ("trainval", names)):
        coco(tmp_path / "annotations" / f"{stem}.json", chosen)
    lines = check(tmp_path, "coco", (3, 1, None))
    assert lines[0].startswith("COCO (annotations/train.json), ")
    assert lines[1:3] == [
        "trainval.json is not read: beside train it is taken for the sum of train and val",
        "eval.json is not read: its name says no split, and there is a training part; if it is "
        "one, call it val.json or test.json",
    ]
    assert list(examine(tmp_path).parts) == ["train"]


def test_a_category_of_validation_that_no_box_has_stops_nothing(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        picture(tmp_path / name)
    coco(tmp_path / "annotations" / "train.json", ["a.png"], ["cat"])
    path = coco(tmp_path / "annotations" / "val.json", ["b.png"], ["cat", "dog"])
    check(tmp_path, "coco", (1, 1, None))
    path.write_text(path.read_text().replace('"category_id": 1', '"category_id": 2'))
    with pytest.raises(DatasetError, match="class 'dog' is not among the 1 classes"):
        read_splits(tmp_path)


def test_pictures_of_validation_in_test_are_told(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        picture(tmp_path / name)
    for split, names in (("train", "a"), ("val", "b"), ("test", "bc")):
        coco(tmp_path / "annotations" / f"{split}.json", [f"{name}.png" for name in names])
    said = "warning: 1 of the 2 pictures of test are in val too, such as b.png; its figures"
    assert [line[: len(said)] for line in check(tmp_path, "coco", (1, 1, 2))[1:]] == [said]


def test_a_name_that_holds_the_word_of_another_task_is_no_other_task(tmp_path: Path) -> None:
    for n in range(3):
        picture(tmp_path / "images" / f"{n}.png")
    for stem in ("stuff_train2017", "captions2017"):
        coco(tmp_path / "annotations" / f"{stem}.json", ["gone.png"])
    coco(tmp_path / "annotations" / "foodstuff_train.json", [f"{n}.png" for n in range(3)])
    lines = check(tmp_path, "coco", (2, 1, None))
    assert lines[0].startswith("COCO (annotations/foodstuff_train.json)")
