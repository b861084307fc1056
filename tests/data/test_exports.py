"""Exports as the tools write them, each with the oddity that its users report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from iouaware.data.layouts import read_split, read_splits
from iouaware.errors import DatasetError
from tests.data.layout_files import YOLO_LINE, check, coco, picture, text, voc, yolo_picture


def change(path: Path, **values: Any) -> None:
    """Put other lists into a COCO file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize(
    ("root", "names"), [("peixos", ["peix", "taca"]), ("bolt", ["bolt"]), ("things", ["a", "b"])]
)
def test_p05_roboflow_coco_root_class_is_no_class(
    tmp_path: Path, root: str, names: list[str]
) -> None:
    # the root has id 0 and is the parent of all; with one class it may even have its name
    categories = [{"id": 0, "name": root, "supercategory": "none"}]
    categories += [
        {"id": n + 1, "name": name, "supercategory": root} for n, name in enumerate(names)
    ]
    for split, count in (("train", 3), ("valid", 1)):
        files = [f"{split}-{n}_jpg.rf.0a1b2c.jpg" for n in range(count)]
        for name in files:
            picture(tmp_path / split / name)
        path = coco(tmp_path / split / "_annotations.coco.json", files, segmentation=[])
        change(path, categories=categories, info={"version": "1"}, licenses=[])
    for name in ("README.dataset.txt", "README.roboflow.txt"):
        text(tmp_path / name, "https://universe.roboflow.com 1 2 3 4 5\n")
    check(tmp_path, "coco", (3, 1, None))
    assert read_split(tmp_path, "train").class_names == tuple(names)


def test_roboflow_coco_root_class_that_has_boxes_is_kept(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        picture(tmp_path / split / f"{split}.jpg")
        path = coco(tmp_path / split / "_annotations.coco.json", [f"{split}.jpg"], category_id=0)
        change(
            path,
            categories=[
                {"id": 0, "name": "bolt", "supercategory": "none"},
                {"id": 1, "name": "hex bolt", "supercategory": "bolt"},
            ],
        )
    assert read_split(tmp_path, "train").class_names == ("bolt", "hex bolt")


def test_roboflow_yolo_names_a_test_part_that_is_not_there(tmp_path: Path) -> None:
    for split, count in (("train", 3), ("valid", 1)):
        for n in range(count):
            yolo_picture(tmp_path / split / "images" / f"{split}{n}_png.rf.0a1b.jpg")
    content = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\nnc: 1\n"
    content += "names: ['bolt']\n\nroboflow:\n  workspace: w\n  version: 1\n"
    text(tmp_path / "data.yaml", content)
    text(tmp_path / "README.roboflow.txt", "1 2 3 4 5\n")
    lines = check(tmp_path, "yolo", (3, 1, None))
    assert "test is left out: data.yaml names ../test/images, which is not there" in lines


def test_cvat_coco_subsets_are_splits(tmp_path: Path) -> None:
    for subset, count in (("Train", 3), ("Validation", 2)):
        names = [f"frame_{n:06d}.PNG" for n in range(count)]
        for name in names:
            picture(tmp_path / "images" / subset / name)
        attributes = {"occluded": False, "rotation": 0.0}
        coco(tmp_path / "annotations" / f"instances_{subset}.json", names, attributes=attributes)
    check(tmp_path, "coco", (3, 2, None))


def test_cvat_coco_may_put_the_subset_into_the_name(tmp_path: Path) -> None:
    for place in ("images", "images/default"):
        folder = tmp_path / place.replace("/", "-")
        names = [f"sub/frame_{n:06d}.png" for n in range(5)]
        for name in names:
            picture(folder / place / name)
        coco(folder / "annotations" / "instances_default.json", names)
        check(folder, "coco", (4, 1, None))


def test_cvat_coco_turned_boxes_become_the_box_around_them(tmp_path: Path) -> None:
    names = [f"{n}.png" for n in range(5)]
    for name in names:
        picture(tmp_path / "images" / name)
    # 20 x 4 at 10, 4, turned by 90 degrees about 20, 6: 4 x 20, cut at the picture's top
    path = coco(
        tmp_path / "annotations" / "instances_default.json", names, attributes={"rotation": 90.0}
    )
    whole = read_split(path, "all")
    assert whole.boxes[0].tolist() == [18.0, 0.0, 22.0, 16.0]
    assert whole.mended.counts["rotated boxes replaced by the box around them"] == 5


@pytest.mark.parametrize("prefix", ["data/", ""])
def test_cvat_yolo_with_two_subsets(tmp_path: Path, prefix: str) -> None:
    for subset, count in (("train", 3), ("valid", 2)):
        for n in range(count):
            yolo_picture(tmp_path / f"obj_{subset}_data" / f"{subset}{n}.png")
        lines = [f"{prefix}obj_{subset}_data/{subset}{n}.png" for n in range(count)]
        text(tmp_path / f"{subset}.txt", "\n".join(lines) + "\n")
    text(tmp_path / "obj.names", "cat\ndog\n")
    content = (
        "classes = 2\nnames = data/obj.names\ntrain = data/train.txt\nvalid = data/valid.txt\n"
    )
    text(tmp_path / "obj.data", content)
    check(tmp_path, "yolo", (3, 2, None))


def test_cvat_yolo_without_pictures_needs_one_flag(tmp_path: Path) -> None:
    export, mine = tmp_path / "export", tmp_path / "mine"
    for subset, count in (("train", 3), ("valid", 2)):
        for n in range(count):
            text(export / f"obj_{subset}_data" / f"{subset}{n}.txt", YOLO_LINE)
            picture(mine / "deep" / f"{subset}{n}.png")
        lines = [f"data/obj_{subset}_data/{subset}{n}.png" for n in range(count)]
        text(export / f"{subset}.txt", "\n".join(lines))
    text(export / "obj.names", "cat\ndog\n")
    with pytest.raises(DatasetError, match=r"train\.txt line 1: no picture.*--images DIR"):
        read_splits(export)
    check(export, "yolo", (3, 2, None), images=mine)


@pytest.mark.parametrize("prefix", ["images/", "./images/", "data/images/"])
def test_cvat_ultralytics_lists_its_pictures(tmp_path: Path, prefix: str) -> None:
    for subset, count in (("train", 3), ("val", 2)):
        for n in range(count):
            yolo_picture(tmp_path / "images" / subset / f"{n}.png")
        lines = [f"{prefix}{subset}/{n}.png" for n in range(count)]
        text(tmp_path / f"{subset}.txt", "\n".join(lines) + "\n")
    content = "names:\n  0: cat\n  1: dog\npath: .\ntrain: train.txt\nval: val.txt\n"
    text(tmp_path / "data.yaml", content)
    check(tmp_path, "yolo", (3, 2, None))


def test_cvat_ultralytics_without_pictures_needs_one_flag(tmp_path: Path) -> None:
    export, mine = tmp_path / "export", tmp_path / "mine"
    for subset, count in (("train", 3), ("val", 2)):
        for n in range(count):
            text(export / "labels" / subset / f"{subset}{n}.txt", YOLO_LINE)
            picture(mine / f"{subset}{n}.png")
        lines = [f"images/{subset}/{subset}{n}.png" for n in range(count)]
        text(export / f"{subset}.txt", "\n".join(lines) + "\n")
    text(export / "data.yaml", "path: ./\nnames: {0: cat}\ntrain: train.txt\nval: val.txt\n")
    with pytest.raises(DatasetError, match=r"train\.txt line 1: no picture.*--images DIR"):
        read_splits(export)
    check(export, "yolo", (3, 2, None), images=mine)


def test_cvat_voc_lists_subsets_and_folders(tmp_path: Path) -> None:
    for subset, count in (("train", 3), ("val", 2)):
        stems = [f"cam1/frame_{subset}_{n}" for n in range(count)]
        for stem in stems:
            picture(tmp_path / "JPEGImages" / f"{stem}.png")
            voc(tmp_path / "Annotations" / f"{stem}.xml", f"{stem}.png")
        text(tmp_path / "ImageSets" / "Main" / f"{subset}.txt", "\n".join(stems) + "\n")
        flags = "\n".join(f"{stem} 1" for stem in stems)
        text(tmp_path / "ImageSets" / "Main" / f"cat_{subset}.txt", flags)
    text(tmp_path / "labelmap.txt", "# label:color_rgb:parts:actions\ncat:::\n")
    check(tmp_path, "voc", (3, 2, None))


LABEL_STUDIO_NAMES = [
    "images/{hash}-{name}",
    "images\\{hash}-{name}",
    "images\\1/{hash}-{name}",
    "..\\..\\label-studio\\label-studio\\media\\upload\\4\\{hash}-{name}",
    "/data/upload/1/{hash}-{name}",
    "http://localhost:8080/data/upload/1/{hash}-{name}",
    "data/local-files/?d=set/{name}",
    "/data/local-files/?d={name}",
    "s3://bucket/some/place/{name}",
]


@pytest.mark.parametrize("form", LABEL_STUDIO_NAMES)
def test_label_studio_coco_names_of_every_version(tmp_path: Path, form: str) -> None:
    names = [form.format(hash="cb0618f6", name=f"p{n}.png") for n in range(5)]
    path = coco(tmp_path / "export" / "result.json", names, ignore=0)
    for n in range(5):
        stored = f"cb0618f6-p{n}.png" if "{hash}" in form else f"p{n}.png"
        picture(tmp_path / "export" / "images" / stored)
    check(tmp_path / "export", "coco", (4, 1, None))
    check(path, "coco", (4, 1, None))


@pytest.mark.parametrize("form", LABEL_STUDIO_NAMES)
def test_label_studio_coco_without_pictures_needs_one_flag(tmp_path: Path, form: str) -> None:
    names = [form.format(hash="cb0618f6", name=f"p{n}.png") for n in range(5)]
    coco(tmp_path / "export" / "result.json", names)
    for n in range(5):
        picture(tmp_path / "mine" / f"p{n}.png")
    with pytest.raises(DatasetError, match="--images DIR"):
        read_splits(tmp_path / "export")
    check(tmp_path / "export", "coco", (4, 1, None), images=tmp_path / "mine")


def test_label_studio_writes_spaces_and_umlauts_as_in_an_address(tmp_path: Path) -> None:
    names = [f"/data/local-files/?d=set%2Fm%C3%BCtter%20{n}.png" for n in range(5)]
    coco(tmp_path / "result.json", names)
    for n in range(5):
        picture(tmp_path / "images" / f"mütter {n}.png")
    check(tmp_path, "coco", (4, 1, None))


def test_label_studio_yolo_comes_with_an_empty_folder_for_pictures(tmp_path: Path) -> None:
    export = tmp_path / "export"
    (export / "images").mkdir(parents=True)
    for n in range(5):
        text(export / "labels" / f"cb0618f6-p{n}.txt", YOLO_LINE)
        picture(tmp_path / "mine" / f"p{n}.png")
    text(export / "classes.txt", "cat\ndog\n")
    text(export / "notes.json", json.dumps({"categories": [{"id": 0, "name": "cat"}], "info": {}}))
    with pytest.raises(DatasetError, match=r"labels/cb0618f6-p0\.txt: no picture.*--images DIR"):
        read_splits(export)
    check(export, "yolo", (4, 1, None), images=tmp_path / "mine")


def test_label_studio_voc_names_pictures_without_suffix(tmp_path: Path) -> None:
    for n in range(5):
        voc(tmp_path / "export" / "Annotations" / f"cb0618f6-p{n}.xml", f"cb0618f6-p{n}")
        picture(tmp_path / "mine" / f"p{n}.png")
    (tmp_path / "export" / "images").mkdir()
    with pytest.raises(DatasetError, match="--images DIR"):
        read_splits(tmp_path / "export")
    check(tmp_path / "export", "voc", (4, 1, None), images=tmp_path / "mine")
    for n in range(5):
        picture(tmp_path / "export" / "images" / f"cb0618f6-p{n}.png")
    check(tmp_path / "export", "voc", (4, 1, None))
