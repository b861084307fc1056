"""Data sets told apart by looking, and what is said about them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from iouaware.data.examining import examine
from iouaware.data.layouts import read_split, read_splits, verify_images
from iouaware.data.split_names import split_of
from iouaware.errors import DatasetError
from tests.data.layout_files import YOLO_LINE, check, coco, picture, text, voc, yolo_picture


def tiny_yolo_set(folder: Path, train: int = 3, val: int = 2) -> Path:
    for split, count in (("train", train), ("val", val)):
        for n in range(count):
            yolo_picture(folder / "images" / split / f"{n}.png")
    text(folder / "data.yaml", "names: [cat, dog]\ntrain: images/train\nval: images/val\n")
    return folder


def test_where_two_readings_are_possible_one_line_says_which_was_taken(tmp_path: Path) -> None:
    tiny_yolo_set(tmp_path)
    for split, count in (("train", 3), ("val", 2)):
        coco(tmp_path / "annotations" / f"{split}.json", [f"{n}.png" for n in range(count)])
    lines = check(tmp_path, "coco", (3, 2, None))
    assert (
        "read as COCO (annotations/train.json); it could also be read as YOLO (data.yaml)" in lines
    )
    check(tmp_path / "data.yaml", "yolo", (3, 2, None))


def test_p07_a_class_of_val_that_training_lacks_is_an_error(tmp_path: Path) -> None:
    for split, categories in (("train", ["screw", "nut"]), ("val", ["scrw", "nut"])):
        picture(tmp_path / "images" / split / "a.png")
        coco(tmp_path / "annotations" / f"{split}.json", ["a.png"], categories)
    for read in (read_splits, read_split):
        with pytest.raises(DatasetError, match=r"val\.json: class 'scrw'.*did you mean 'screw'\?"):
            read(tmp_path)


def test_p06_val_ids_in_another_order_follow_training(tmp_path: Path) -> None:
    for split, categories in (("train", ["screw", "nut"]), ("val", ["nut"])):
        picture(tmp_path / "images" / split / "a.png")
        coco(tmp_path / "annotations" / f"{split}.json", ["a.png"], categories)
    for val in (read_splits(tmp_path).val, read_split(tmp_path)):
        assert val.class_names == ("screw", "nut")
        assert val.labels.tolist() == [1]


def test_p03_many_empty_pictures_are_a_warning_and_kept(tmp_path: Path) -> None:
    tiny_yolo_set(tmp_path, train=2, val=2)
    picture(tmp_path / "images" / "train" / "none.png")
    splits = read_splits(tmp_path)
    assert len(splits.train) == 3
    assert "train 3 pictures, 2 boxes, 1 empty" in splits.lines[0]
    assert any("33% of the pictures of train have no boxes" in line for line in splits.lines)


def test_known_empty_pictures_are_added_to_both_parts(tmp_path: Path) -> None:
    tiny_yolo_set(tmp_path / "set")
    for n in range(5):
        picture(tmp_path / "nothing" / "deep" / f"{n}.png")
    check(tmp_path / "set", "yolo", (7, 3, None), empty=tmp_path / "nothing")
    picture(tmp_path / "one" / "n.jfif")  # nothing to share out: it goes to training
    check(tmp_path / "set", "yolo", (4, 2, None), empty=tmp_path / "one")
    for name in ("o", "p"):  # nor is there where all are equal
        shutil.copyfile(tmp_path / "one" / "n.jfif", tmp_path / "one" / f"{name}.jfif")
    check(tmp_path / "set", "yolo", (6, 2, None), empty=tmp_path / "one")
    (tmp_path / "none").mkdir()
    with pytest.raises(DatasetError, match=r"--empty .*none: no pictures there"):
        read_splits(tmp_path / "set", empty=tmp_path / "none")


def test_p49_pictures_in_two_parts_are_a_warning(tmp_path: Path) -> None:
    yolo_picture(tmp_path / "images" / "a.png")
    text(tmp_path / "data.yaml", "names: [cat]\ntrain: images\nval: images\n")
    lines = read_splits(tmp_path).lines
    assert any("1 of the 1 pictures of val are in training too" in line for line in lines)


def test_p49_a_class_that_training_never_shows_is_a_warning(tmp_path: Path) -> None:
    tiny_yolo_set(tmp_path)
    text(tmp_path / "labels" / "val" / "0.txt", "1 0.5 0.3 0.5 0.2\n")
    lines = read_splits(tmp_path).lines
    assert any("val has objects of 1 classes that training has none of: dog" in x for x in lines)


def test_repairs_of_all_parts_are_one_line(tmp_path: Path) -> None:
    tiny_yolo_set(tmp_path)
    for split in ("train", "val"):
        text(tmp_path / "labels" / split / "0.txt", YOLO_LINE + "0 0.5 0.5 0 0.1\n")
    lines = read_splits(tmp_path).lines
    expected = "mended: boxes without area dropped: 2 (images/train/0.png, images/val/0.png)"
    assert expected in lines
    with pytest.raises(DatasetError, match=r"labels/train/0\.txt line 2, box"):
        read_splits(tmp_path, strict=True)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: None, "no data set found; expected COCO"),
        (lambda folder: text(folder / "notes.txt", "x"), "exports; found no pictures there"),
        (lambda folder: tiny_yolo_set(folder / "a"), "; a/ below it looks like one: name that"),
        (lambda folder: picture(folder / "a.png"), "exports; found 1 pictures without labels"),
        (lambda folder: coco(folder / "annotations" / "train.json", []), "train has no pictures"),
        (lambda folder: coco(folder / "annotations" / "val.json", []), "no training part"),
        (
            lambda folder: text(folder / "annotations" / "instances_train.json", "{"),
            "not valid JSON",
        ),
    ],
)
def test_an_empty_or_unknown_data_set_is_one_line(tmp_path: Path, make: Any, words: str) -> None:
    make(tmp_path)
    with pytest.raises(DatasetError, match=words) as caught:
        read_splits(tmp_path)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_where_nothing_is_recognised_what_was_found_is_told(tmp_path: Path) -> None:
    for n in range(3):
        yolo_picture(tmp_path / "flat" / f"{n}.png", line=YOLO_LINE if n else None)
    words = r"3 pictures, 2 with \.txt labels, but neither data\.yaml nor classes\.txt$"
    with pytest.raises(DatasetError, match=words):
        read_splits(tmp_path / "flat")
    whole = tiny_yolo_set(tmp_path / "set")
    with pytest.raises(DatasetError, match=rf"; it looks like a part of {whole}: name that folder"):
        read_splits(whole / "images" / "train")
    for name in "ba":
        tiny_yolo_set(tmp_path / "two" / name)
    with pytest.raises(DatasetError, match="; a/ below it looks like one, b/ another: name that"):
        read_splits(tmp_path / "two")
    with pytest.raises(DatasetError, match=r"found a single file; expected a folder, or a \.json"):
        read_splits(text(tmp_path / "set.zip", ""))


def test_a_data_set_without_any_box_is_an_error(tmp_path: Path) -> None:
    tiny_yolo_set(tmp_path)
    for n in range(2):
        (tmp_path / "labels" / "val" / f"{n}.txt").unlink()
    words = rf"none of the 2 pictures of val has a box; .* in {tmp_path}/labels/val and beside"
    with pytest.raises(DatasetError, match=words):
        read_splits(tmp_path)


def test_a_place_that_is_not_there_and_a_split_that_is_not_there(tmp_path: Path) -> None:
    for read in (read_splits, read_split):
        with pytest.raises(DatasetError, match="no such file or folder"):
            read(tmp_path / "gone")
    tiny_yolo_set(tmp_path)
    with pytest.raises(DatasetError, match="no split 'test'; there are train, val"):
        read_split(tmp_path, "test")
    with pytest.raises(DatasetError, match=r"--images .*gone: no such folder"):
        read_splits(tmp_path, images=tmp_path / "gone")


def test_places_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_yolo_set(tmp_path / "set")
    monkeypatch.chdir(tmp_path)
    check(Path("set"), "yolo", (3, 2, None))
    monkeypatch.chdir(tmp_path / "set")
    check(Path(), "yolo", (3, 2, None))


def test_p18_verify_finds_a_missing_a_changed_and_a_cut_off_picture(tmp_path: Path) -> None:
    tiny_yolo_set(tmp_path)
    path = tmp_path / "images" / "train" / "1.png"
    train = read_split(tmp_path, "train")
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    verify_images(train, decode=False)  # the header is whole
    with pytest.raises(DatasetError, match=r"1\.png: this picture cannot be read"):
        verify_images(train, decode=True)
    Image.new("RGB", (41, 20)).save(path)
    with pytest.raises(DatasetError, match=r"1\.png: .*40x20.*41x20"):
        verify_images(train, decode=False)
    path.unlink()
    with pytest.raises(DatasetError, match=r"1\.png: no such picture"):
        verify_images(train, decode=False)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"),
        ("instances_train2017", "train"),
        ("instances_val2017", "val"),
        ("valid", "val"),
        ("Validation", "val"),
        ("test-dev", "val"),
        ("my_testing", "test"),
        ("trainval", "trainval"),
        ("instances_default", None),
        ("contest", None),
        ("restrained", None),
    ],
)
def test_split_names(name: str, split: str | None) -> None:
    assert split_of(name) == split


@pytest.mark.parametrize("form", ["coco", "yolo"])
def test_a_test_part_without_any_box_is_left_out(tmp_path: Path, form: str) -> None:
    tiny_yolo_set(tmp_path)
    for n in range(3):
        picture(tmp_path / "images" / "test" / f"t{n}.png")
    yaml = (tmp_path / "data.yaml").read_text() + "test: images/test\n"
    text(tmp_path / "data.yaml", yaml)
    if form == "coco":
        for split, names in (("train", ["0", "1", "2"]), ("val", ["0", "1"]), ("test", ["t0"])):
            path = coco(
                tmp_path / "annotations" / f"{split}.json", [f"{name}.png" for name in names]
            )
        path.write_text(
            path.read_text().replace('"annotations": [{', '"annotations": [], "was": [{')
        )
    lines = check(tmp_path, form, (3, 2, None))
    assert f"test is left out: none of its {1 if form == 'coco' else 3} pictures has a box" in lines


def test_of_two_readings_one_with_a_training_part_is_taken(tmp_path: Path) -> None:
    tiny_yolo_set(tmp_path)
    coco(tmp_path / "annotations" / "instances_val.json", ["0.png", "1.png"])
    lines = check(tmp_path, "yolo", (3, 2, None))
    assert "it could also be read as COCO (annotations/instances_val.json)" in "".join(lines)


@pytest.mark.parametrize("voc_there", [True, False])
def test_what_fails_beside_another_reading_is_said(tmp_path: Path, voc_there: bool) -> None:
    tiny_yolo_set(tmp_path)
    text(tmp_path / "labels" / "train" / "orphan.txt", YOLO_LINE)
    for n in range(5) if voc_there else ():
        picture(tmp_path / "JPEGImages" / f"{n}.png")
        voc(tmp_path / "Annotations" / f"{n}.xml")
    coco(tmp_path / "annotations" / "instances_val.json", ["0.png", "1.png"])
    if voc_there:  # the only one of the three that can be learnt from as it is
        lines = check(tmp_path, "voc", (4, 1, None))
        assert any(line.startswith("not read as YOLO: ") and "orphan" in line for line in lines)
    else:
        with pytest.raises(DatasetError, match=r"found only val; not read as YOLO: .*orphan"):
            read_splits(tmp_path)
    # a check reads what training would
    assert examine(tmp_path).format == ("voc" if voc_there else "coco")


def test_where_all_readings_fail_each_says_why(tmp_path: Path) -> None:
    text(tmp_path / "labels" / "0.txt", YOLO_LINE)
    voc(tmp_path / "Annotations" / "0.xml", "0.png")
    words = r"cannot be read as YOLO: .*neither data\.yaml.*; as Pascal VOC: .*no picture '0\.png'"
    with pytest.raises(DatasetError, match=words):
        read_splits(tmp_path)
    picture(tmp_path / "JPEGImages" / "1.png")
    voc(tmp_path / "Annotations" / "1.xml", "1.png")
    examined = examine(tmp_path)  # reads on past the picture that is missing
    assert (examined.format, len(examined.parts["all"].dataset)) == ("voc", 1)
    assert [problem.kind for problem in examined.layout.problems] == ["missing-picture"]
