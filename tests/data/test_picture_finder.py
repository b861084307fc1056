"""Pictures found by name, wherever they were moved to; no picture for two names."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from iouaware.data.examination import Examination
from iouaware.data.layouts import read_split, read_splits
from iouaware.data.picture_finder import PictureFinder, keep_one_name_a_picture
from iouaware.errors import DatasetError
from tests.data.layout_files import YOLO_LINE, coco, picture, text, voc


@pytest.mark.parametrize(
    "name",
    [
        "cam2/0.png",
        "/home/me/set/cam2/0.png",
        r"..\..\set\cam2\0.png",
        "images/raw/cam2/0.png",
        "CAM2/cam2/0.PNG",
    ],
)
@pytest.mark.parametrize("folder", ["", "a/b"])
def test_of_equal_names_the_one_in_the_folder_that_the_name_says(
    tmp_path: Path, name: str, folder: str
) -> None:
    for camera in ("cam1", "cam2"):
        picture(tmp_path / folder / camera / "0.png")
    finder = PictureFinder([tmp_path], tmp_path)
    assert finder.find(name, "here") == tmp_path / folder / "cam2" / "0.png"
    with pytest.raises(DatasetError, match=r"here: 2 pictures are called '0\.png'"):
        finder.find("cam3/0.png", "here")


def test_an_accent_may_be_written_in_another_form(tmp_path: Path) -> None:
    made = picture(tmp_path / unicodedata.normalize("NFD", "café.png"))
    finder = PictureFinder([tmp_path], tmp_path)
    assert finder.find(unicodedata.normalize("NFC", "café.png"), "here") == made


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b", "x/" * 5000 + "y.png", "..", "/"])
def test_a_name_that_no_file_can_have_is_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetError, match="here: no picture"):
        PictureFinder([tmp_path], tmp_path).find(name, "here")


def test_a_picture_belongs_to_the_name_that_its_path_ends_with() -> None:
    made = Path("/set/cam1/0.png")
    names = ["cam2/0.png", "cam1/0", "./cam1/0", "other.png"]
    found = [(name, made, name) for name in names[:3]] + [("other.png", Path("/o.png"), "o")]
    notes = Examination()
    assert keep_one_name_a_picture(found, notes) == [False, True, True, True]
    (problem,) = notes.problems
    assert (problem.kind, problem.picture) == ("missing-picture", "cam2/0.png")
    with pytest.raises(DatasetError, match=r"cam2/0\.png: no picture.*is also that of 'cam1/0'"):
        keep_one_name_a_picture(found, None)


def test_no_name_has_a_picture_that_two_lead_to_and_none_is() -> None:
    found = [(f"cam{n}/0.png", Path("/set/0.png"), "here") for n in (1, 2)]
    assert keep_one_name_a_picture(found, Examination()) == [False, False]
    assert keep_one_name_a_picture([], None) == []


def test_coco_pictures_of_a_camera_that_is_missing_are_not_anothers(tmp_path: Path) -> None:
    names = [f"cam{camera}/{n}.png" for camera in (1, 2) for n in range(3)]
    coco(tmp_path / "annotations" / "instances_default.json", names)
    for name in names[:3]:
        picture(tmp_path / "images" / name)
    with pytest.raises(DatasetError, match=r"image 3: no picture 'cam2/0\.png'"):
        read_splits(tmp_path)
    for name in names[3:]:
        picture(tmp_path / "images" / name)
    assert read_split(tmp_path, "all").file_names.tolist() == [f"images/{name}" for name in names]


@pytest.mark.parametrize("lists", [True, False])
def test_voc_pictures_of_two_cameras_keep_their_own_files(tmp_path: Path, lists: bool) -> None:
    stems = [f"cam{camera}/{n}" for camera in (1, 2) for n in range(3)]
    for stem in stems:
        picture(tmp_path / "JPEGImages" / f"{stem}.png")
        voc(tmp_path / "Annotations" / f"{stem}.xml", "0.png", f"class {stem}")
    if lists:
        text(tmp_path / "ImageSets" / "Main" / "default.txt", "\n".join(stems))
    dataset = read_split(tmp_path, "all")
    for index, stem in enumerate(stems):
        assert dataset.file_name(index) == f"JPEGImages/{stem}.png"
        label = int(dataset.target(index).labels[0])
        assert dataset.class_names[label] == f"class {stem}"
    (tmp_path / "JPEGImages" / "cam2" / "1.png").unlink()
    with pytest.raises(DatasetError, match=r"cam1/1\.xml|no picture 'cam2/1'"):
        read_splits(tmp_path)


def test_yolo_lists_of_two_cameras_do_not_share_pictures(tmp_path: Path) -> None:
    for n in range(3):
        picture(tmp_path / f"{n}.png")
        text(tmp_path / f"{n}.txt", YOLO_LINE)
    text(tmp_path / "obj.names", "cat\n")
    lines = [f"/home/me/cam{camera}/{n}.png" for camera in (1, 2) for n in range(3)]
    text(tmp_path / "train.txt", "\n".join(lines[:3]))
    assert len(read_split(tmp_path, "all")) == 3
    text(tmp_path / "train.txt", "\n".join(lines))
    for images in (None, tmp_path):
        with pytest.raises(DatasetError, match=r"line 1: no picture '/home/me/cam1/0\.png'"):
            read_splits(tmp_path, images=images)


@pytest.mark.parametrize("lists", [True, False])
def test_a_missing_picture_is_not_that_of_another_split(tmp_path: Path, lists: bool) -> None:
    """Both splits count from 0; 2.png of training is missing, that of validation is another."""
    for split in ("train", "val"):
        for n in range(3):
            picture(tmp_path / "images" / split / f"{n}.png")
            voc(tmp_path / "Annotations" / split / f"{n}.xml", f"{n}.png")
        lines = "\n".join(f"{split}/{n}" for n in range(3))
        if lists:
            text(tmp_path / "ImageSets" / "Main" / f"{split}.txt", lines)
    (tmp_path / "images" / "train" / "2.png").unlink()
    found = r"2\.xml: no picture '2\.png'.*; .*images/val/2\.png is another split's: if it is meant"
    with pytest.raises(DatasetError, match=found):
        read_splits(tmp_path)


def test_a_coco_picture_of_another_split_is_taken_only_where_its_folder_is_named(
    tmp_path: Path,
) -> None:
    for place in ("train/0", "train/1", "val/2", "val/3"):
        picture(tmp_path / "images" / f"{place}.png")
    coco(tmp_path / "annotations" / "val.json", ["3.png"])
    coco(tmp_path / "annotations" / "train.json", ["0.png", "1.png", "2.png"])
    with pytest.raises(DatasetError, match=r"image 2: no picture '2\.png'.*val/2\.png is another"):
        read_splits(tmp_path)
    coco(tmp_path / "annotations" / "train.json", ["0.png", "1.png", "val/2.png"])
    assert read_splits(tmp_path).train.file_name(2) == "images/val/2.png"


@pytest.mark.parametrize("names", ["yaml", "folders", "lists"])
def test_yolo_labels_without_pictures_take_those_of_their_own_split(
    tmp_path: Path, names: str
) -> None:
    lines = []
    for split in ("train", "val"):
        for n in range(3):
            picture(tmp_path / "pictures" / split / f"{n}.png")
            text(tmp_path / "set" / "labels" / split / f"{n}.txt", YOLO_LINE)
        lines.append(f"{split}: images/{split}\n")
        if names == "lists":
            listed = "".join(f"images/{split}/{n}.png\n" for n in range(3))
            text(tmp_path / "set" / f"{split}.txt", listed)
    (tmp_path / "set" / "images" / "train").mkdir(parents=True)
    (tmp_path / "set" / "images" / "val").mkdir()
    if names == "yaml":
        text(tmp_path / "set" / "data.yaml", "names: [cat]\n" + "".join(lines))
    else:
        text(tmp_path / "set" / "classes.txt", "cat\n")
    images = tmp_path / "pictures"
    assert len(read_splits(tmp_path / "set", images=images).train) == 3
    (images / "train" / "2.png").unlink()
    with pytest.raises(DatasetError, match=r"(2\.txt|line 3): no picture"):
        read_splits(tmp_path / "set", images=images)


def test_a_voc_list_may_name_pictures_in_the_folder_of_another_split(tmp_path: Path) -> None:
    for place in ("train/0", "train/1", "val/2", "val/3"):
        picture(tmp_path / "images" / f"{place}.png")
        voc(tmp_path / "Annotations" / f"{place}.xml")
    for split, lines in (("train", "train/0\nval/2\n"), ("val", "train/1\nval/3\n")):
        text(tmp_path / "ImageSets" / "Main" / f"{split}.txt", lines)
    names = read_splits(tmp_path).train.file_names.tolist()
    assert names == ["images/train/0.png", "images/val/2.png"]


def test_trainval_is_in_the_folders_of_train_and_val_but_not_of_test(tmp_path: Path) -> None:
    made = [picture(tmp_path / place) for place in ("train2017/0.png", "val/1.png", "test/2.png")]
    finder = PictureFinder([], tmp_path, split="trainval")
    assert [finder.find(f"{n}.png", "here") for n in range(2)] == made[:2]
    assert finder.find_stem(Path("2"), "here") is None
    assert PictureFinder([], tmp_path).find("2.png", "here") == made[2]


def test_pictures_of_two_days_are_not_one_with_two_hash_prefixes(tmp_path: Path) -> None:
    made = picture(tmp_path / "20240101-1.png")  # eight digits of a date look like a hash
    finder = PictureFinder([tmp_path], tmp_path)
    assert finder.find("1.png", "here") == made
    assert finder.find_stem(Path("20240101-1"), "here") == made
    assert finder.find_stem(Path("20240102-1"), "here") is None
    with pytest.raises(DatasetError, match=r"no picture '20240102-1\.png'"):
        finder.find("20240102-1.png", "here")
