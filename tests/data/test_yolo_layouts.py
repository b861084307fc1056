"""YOLO files where Roboflow, CVAT and Label Studio put them."""

from __future__ import annotations

from pathlib import Path

import pytest

from iouaware.data.examining import examine
from iouaware.data.layouts import read_split, read_splits
from iouaware.errors import DatasetError
from tests.data.layout_files import YOLO_LINE, check, picture, text, yolo_picture


@pytest.mark.parametrize(
    ("names", "prefix"),
    [
        ("['cat', 'dog']", ""),
        ("\n  0: cat\n  1: dog", "./"),
        ("[cat, dog]", "/home/somebody/set/"),
    ],
)
def test_yolo_folders(tmp_path: Path, names: str, prefix: str) -> None:
    for split, count in (("train", 3), ("val", 2), ("test", 1)):
        for n in range(count):
            yolo_picture(tmp_path / "images" / split / f"{n}.png")
    lines = [f"{split}: {prefix}images/{split}" for split in ("train", "val", "test")]
    path = text(tmp_path / "data.yaml", f"names: {names}\nnc: 2\n" + "\n".join(lines))
    check(tmp_path, "yolo", (3, 2, 1))
    check(path, "yolo", (3, 2, 1))
    assert read_split(tmp_path).category_ids == (0, 1)


@pytest.mark.parametrize("base", ["../{split}/images", "{split}/images", "../set/{split}/images"])
def test_roboflow_yolo_paths_start_at_the_file_or_its_parent(tmp_path: Path, base: str) -> None:
    for split, count in (("train", 3), ("valid", 2)):
        for n in range(count):
            yolo_picture(tmp_path / "set" / split / "images" / f"{n}.png")
    content = "names: [cat]\ntrain: {}\nval: {}\ntest: {}\n".format(
        *(base.format(split=split) for split in ("train", "valid", "test"))
    )
    text(tmp_path / "set" / "data.yaml", content)
    lines = check(tmp_path / "set", "yolo", (3, 2, None))
    assert any(line.startswith("test is left out: data.yaml names") for line in lines)


def test_yolo_folders_without_pictures_are_told(tmp_path: Path) -> None:
    for n in range(5):
        yolo_picture(tmp_path / "images" / "train" / f"{n}.png")
    for split in ("val", "test"):
        (tmp_path / "images" / split).mkdir()
    lines = [f"{split}: images/{split}" for split in ("train", "val", "test")]
    text(tmp_path / "data.yaml", "names: [cat]\n" + "\n".join(lines))
    lines = check(tmp_path, "yolo", (4, 1, None))
    for split in ("val", "test"):
        assert f"no pictures in images/{split}, which data.yaml names for {split}" in lines


def test_yolo_path_key_and_lists(tmp_path: Path) -> None:
    for n in range(4):
        yolo_picture(tmp_path / "set" / "images" / f"{n}.png")
    text(tmp_path / "set" / "train.txt", "./images/0.png\nimages/1.png\n\n")
    text(tmp_path / "set" / "val.txt", "images/2.png\n")
    content = "path: set\nnames: {0: cat}\ntrain: [train.txt]\nval: val.txt\n"
    text(tmp_path / "my.yaml", content)
    check(tmp_path, "yolo", (2, 1, None))
    text(tmp_path / "set" / "val.txt", "images/2.png\nimages/9.png\n")
    with pytest.raises(DatasetError, match=r"val\.txt line 2: no picture 'images/9\.png'"):
        read_splits(tmp_path)


def test_cvat_yolo_has_obj_data(tmp_path: Path) -> None:
    for n in range(5):
        yolo_picture(tmp_path / "obj_train_data" / f"{n}.png")
    text(tmp_path / "obj.data", "classes = 2\ntrain = data/train.txt\nnames = data/obj.names\n")
    text(tmp_path / "obj.names", "cat\ndog\n")
    text(tmp_path / "train.txt", "\n".join(f"data/obj_train_data/{n}.png" for n in range(5)))
    check(tmp_path, "yolo", (4, 1, None))


def test_label_studio_yolo_has_classes_txt(tmp_path: Path) -> None:
    export = tmp_path / "export"
    for n in range(5):
        yolo_picture(export / "images" / f"0a1b2c3d-p{n}.png")
    text(export / "classes.txt", "cat\ndog\n")
    text(export / "notes.json", '{"categories": [], "info": {}}')
    check(export, "yolo", (4, 1, None))
    for n in range(5):  # the export without its pictures
        (export / "images" / f"0a1b2c3d-p{n}.png").unlink()
        picture(tmp_path / "mine" / f"p{n}.png")
    check(export, "yolo", (4, 1, None), images=tmp_path / "mine")


def test_yolo_labels_without_a_picture_are_named(tmp_path: Path) -> None:
    for split in ("train", "val"):
        yolo_picture(tmp_path / "images" / split / "a.png")
    text(tmp_path / "data.yaml", "names: [cat]\ntrain: images/train\nval: images/val\n")
    text(tmp_path / "labels" / "train" / "classes.txt", "cat\n")
    text(tmp_path / "labels" / "train" / "empty.txt", "")
    check(tmp_path, "yolo", (1, 1, None))
    text(tmp_path / "labels" / "train" / "b.txt", YOLO_LINE)
    with pytest.raises(DatasetError, match=r"labels/train/b\.txt: no picture b\.\*"):
        read_splits(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("names: [cat\n", "not valid YAML"),
        ("- 1\n", "found no keys"),
        ("train: images\n", "names is None"),
        ("names: [cat]\nnc: 3\n", "nc is 3, but there are 1 names"),
        ("names: [cat, cat]\n", "class name 'cat' is empty or there twice"),
        ("names: [on, off]\n", "a class is named True, which is how YAML reads on"),
        ("names: {a: cat}\n", "names has the key 'a', expected a whole number"),
        ("names: {0: cat, 1: dog, 1.5: bird}\n", r"names has the key 1\.5, expected a whole"),
        ("names: {0: cat, '0': dog}\n", "names has the key 0 twice, expected it once"),
        ("names:\n  0: cat\n  1: dog\n  1: bird\n", "key '1' is there twice.* line 4"),
        ("names: [cat, null]\n", "a class is named None, expected a text; put the name in quotes"),
        ("names: [1.10]\n", r"a class is named 1\.1, expected a text; put the name in quotes"),
        ("names: [cat]\ntrain: nowhere\n", "train is 'nowhere', which is neither"),
        ("names: [cat]\ntrain: images\nval: valid/images\n", "val is 'valid/images', which"),
    ],
)
def test_a_yaml_file_that_cannot_be_used(tmp_path: Path, content: str, words: str) -> None:
    yolo_picture(tmp_path / "images" / "a.png")
    text(tmp_path / "data.yaml", content)
    with pytest.raises(DatasetError, match=words) as caught:
        read_splits(tmp_path)
    assert "data.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_yolo_labels_without_names_say_what_is_missing(tmp_path: Path) -> None:
    yolo_picture(tmp_path / "images" / "a.png")
    with pytest.raises(DatasetError, match=r"has labels/ but neither data\.yaml nor classes\.txt"):
        read_splits(tmp_path)


@pytest.mark.parametrize(("shape", "line"), [("[2, 3]", " .2 .9 2 .1 .1 0"), ("[3, 2]", " .1" * 6)])
def test_yolo_key_points_are_no_polygon(tmp_path: Path, shape: str, line: str) -> None:
    for split, count in (("train", 3), ("val", 2)):
        for n in range(count):
            yolo_picture(tmp_path / "images" / split / f"{n}.png", line=YOLO_LINE.strip() + line)
    yaml = f"names: [cat]\ntrain: images/train\nval: images/val\nkpt_shape: {shape}\n"
    text(tmp_path / "data.yaml", yaml)
    lines = check(tmp_path, "yolo", (3, 2, None))
    assert len(lines) == 1  # nothing mended
    yolo_picture(tmp_path / "images" / "val" / "0.png", line=YOLO_LINE.strip() + " .2 .3\n")
    with pytest.raises(DatasetError, match=r"0\.txt line 1: found 7 values, expected 11 .* or 5$"):
        read_splits(tmp_path)
    yolo_picture(tmp_path / "images" / "val" / "0.png", line=YOLO_LINE.strip() + line + " .9\n")
    words = r"found 12 values, expected 11 .* or 5; is the last one a confidence\? take it out"
    with pytest.raises(DatasetError, match=words):
        read_splits(tmp_path)


@pytest.mark.parametrize("shape", ["17", "[17]", "[0, 3]", "[true, 3]", "[17, x]"])
def test_yolo_a_shape_of_key_points_that_is_none(tmp_path: Path, shape: str) -> None:
    text(tmp_path / "data.yaml", f"names: [cat]\nkpt_shape: {shape}\n")
    with pytest.raises(DatasetError, match=r"data\.yaml: kpt_shape is .*, expected the number"):
        read_splits(tmp_path)


def test_yolo_pictures_elsewhere_without_labels_are_left_out_and_told(tmp_path: Path) -> None:
    text(tmp_path / "set" / "classes.txt", "cat\n")
    for n in range(5):
        text(tmp_path / "set" / "labels" / f"{n}.txt", YOLO_LINE)
        picture(tmp_path / "mine" / f"{n}.png")
    text(tmp_path / "set" / "labels" / "test.txt", YOLO_LINE)  # labels, though called like a list
    for name in ("test", "background"):
        picture(tmp_path / "mine" / f"{name}.png")
    lines = check(tmp_path / "set", "yolo", (5, 1, None), images=tmp_path / "mine")
    said = "1 pictures of --images have no label file and are left out, such as background.png; add"
    assert any(line.startswith(said) for line in lines)


def test_yolo_names_without_any_label_file(tmp_path: Path) -> None:
    text(tmp_path / "classes.txt", "cat\n")
    picture(tmp_path / "images" / "a.png")
    with pytest.raises(DatasetError, match=r"classes\.txt: it names classes, but none of the pic"):
        read_splits(tmp_path)


def in_capitals(folder: Path, suffix: str) -> None:
    for path in sorted(folder.rglob(f"*{suffix}")):
        path.rename(path.with_suffix(suffix.upper()))


def test_yolo_label_files_may_end_in_capitals(tmp_path: Path) -> None:
    for split, count in (("train", 3), ("val", 2)):
        for n in range(count):
            yolo_picture(tmp_path / "images" / split / f"{n}.png")
    yaml = text(tmp_path / "data.YAML", "names: [cat]\ntrain: images/train\nval: images/val\n")
    in_capitals(tmp_path / "labels", ".txt")
    yolo_picture(tmp_path / "images" / "train" / "small.png")
    lines = check(tmp_path, "yolo", (4, 2, None))
    assert "train 4 pictures, 4 boxes; val 2 pictures, 2 boxes" in lines[0]  # none is empty
    check(yaml, "yolo", (4, 2, None))
    text(tmp_path / "labels" / "train" / "b.TXT", YOLO_LINE)
    with pytest.raises(DatasetError, match=r"labels/train/b\.TXT: no picture b\.\*"):
        read_splits(tmp_path)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_yolo_lists_lead_to_label_files_in_capitals(tmp_path: Path, elsewhere: bool) -> None:
    export = tmp_path / "export"
    for n in range(5):
        yolo_picture(export / "obj_train_data" / f"{n}.png")
    text(export / "obj.names", "cat\n")
    text(export / "train.txt", "\n".join(f"data/obj_train_data/{n}.png" for n in range(5)))
    in_capitals(export / "obj_train_data", ".txt")
    if elsewhere:
        for n in range(5):
            (export / "obj_train_data" / f"{n}.png").rename(tmp_path / f"{n}.png")
    lines = check(export, "yolo", (4, 1, None), images=tmp_path if elsewhere else None)
    assert "train 4 pictures, 4 boxes; val 1 pictures, 1 boxes" in lines[0]


@pytest.mark.parametrize("names", ["data.yaml", "classes.txt"])
def test_yolo_images_and_labels_may_begin_with_a_capital(tmp_path: Path, names: str) -> None:
    for split, count in (("train", 3), ("val", 2)):
        for n in range(count):
            labels = tmp_path / "Labels" / split / f"{n}.txt"
            yolo_picture(tmp_path / "Images" / split / f"{n}.png", labels)
    yaml = "names: [cat]\ntrain: Images/train\nval: Images/val\n"
    text(tmp_path / names, yaml if names == "data.yaml" else "cat\n")
    lines = check(tmp_path, "yolo", (3, 2, None))
    assert "train 3 pictures, 3 boxes; val 2 pictures, 2 boxes" in lines[0]
    (tmp_path / "Labels" / "train" / "0.txt").rename(tmp_path / "Labels" / "train" / "a.txt")
    with pytest.raises(DatasetError, match=r"Labels/train/a\.txt: no picture a\.\*"):
        read_splits(tmp_path)
    (tmp_path / names).unlink()
    with pytest.raises(DatasetError, match=r"has Labels/ but neither data\.yaml nor classes\.txt"):
        read_splits(tmp_path)


@pytest.mark.parametrize("listed", [False, True])
def test_yolo_two_pictures_never_share_a_label_file(tmp_path: Path, listed: bool) -> None:
    for n in range(5):
        yolo_picture(tmp_path / "images" / f"{n}.jpg")
    picture(tmp_path / "images" / "0.png")
    text(tmp_path / "classes.txt", "cat\n")
    if listed:
        names = [*(f"images/{n}.jpg" for n in range(5)), "images/0.png", "images/1.jpg"]
        text(tmp_path / "train.txt", "\n".join(names))
    words = r"labels/0\.txt: it is the label file of 2 pictures, such as .*0\.jpg and 0\.png; exp"
    with pytest.raises(DatasetError, match=words):
        read_splits(tmp_path)
    examined = examine(tmp_path)
    assert [problem.kind for problem in examined.layout.problems] == ["double-annotation"]
    assert len(set(examined.parts["all"].dataset.file_names.tolist())) == 4  # neither of the two
    text(tmp_path / "labels" / "0.png.txt", "")
    dataset = read_split(tmp_path, "all")
    assert [dataset.file_name(int(row)) for row in dataset.empty_images()] == ["images/0.png"]


def test_names_that_yaml_reads_to_base_8_and_60_stay_as_they_are_written(tmp_path: Path) -> None:
    yolo_picture(tmp_path / "images" / "train" / "0.png")
    yolo_picture(tmp_path / "images" / "val" / "0.png")
    names = "{00: 050, 01: 060, 02: 1:30, 3: 100, '4': 0x10, 5: yes sir}"
    splits = "train: images/train\nval: images/val\n"
    text(tmp_path / "data.yaml", f"names: {names}\n{splits}")
    read = read_split(tmp_path)
    assert read.class_names == ("050", "060", "1:30", "100", "0x10", "yes sir")
    assert read.category_ids == (0, 1, 2, 3, 4, 5)


def test_yolo_pictures_outside_the_folders_of_splits_are_told(tmp_path: Path) -> None:
    for place in ("train/a", "train/b", "val/c", "eval/d", "e"):
        yolo_picture(tmp_path / "images" / f"{place}.png")
    text(tmp_path / "classes.txt", "cat\n")
    lines = check(tmp_path, "yolo", (2, 1, None))
    folder = tmp_path / "images"
    said = f"2 pictures in {folder} are left out, such as e.png: they are in no folder of "
    assert lines[1:] == [f"{said}val or train"]


def test_darknets_obj_data_says_where_the_lists_are(tmp_path: Path) -> None:
    for n in range(6):
        yolo_picture(tmp_path / "pictures" / f"{n}.png")
    for name, numbers in (("training_list", (0, 1, 2)), ("validation_list", (4, 5))):
        text(tmp_path / f"{name}.txt", "".join(f"data/pictures/{n}.png\n" for n in numbers))
    text(tmp_path / "own.names", "cat\n")
    lists = "train = data/training_list.txt\nvalid=data/validation_list.txt\n"
    text(tmp_path / "obj.data", f"classes= 1\n{lists}names = data/own.names\nbackup = backup/\n")
    lines = check(tmp_path, "yolo", (3, 2, None))
    assert lines[0].startswith("YOLO (own.names), ")
    assert len(lines) == 1
    text(tmp_path / "obj.data", "names=own.names\ntrain=training_list.txt\nvalid=gone.txt\n")
    lines = check(tmp_path, "yolo", (2, 1, None))
    assert lines[1] == "obj.data names gone.txt for valid, which is not there"
    text(tmp_path / "obj.data", "names=own.names\ntrain=training_list.txt\nvalid=training_list.txt")
    lines = check(tmp_path, "yolo", (2, 1, None))
    assert lines[1] == "val is left out: its list training_list.txt is another part's too"


@pytest.mark.parametrize("place", ["labels", "images"])
@pytest.mark.parametrize("id_", ["0", "0.0"])
def test_label_files_without_a_picture_are_seen_wherever_they_may_lie(
    tmp_path: Path, place: str, id_: str
) -> None:
    for n in range(3):
        yolo_picture(tmp_path / "images" / f"{n}.png", tmp_path / place / f"{n}.txt")
    text(tmp_path / "classes.txt", "cat\n")
    text(tmp_path / place / "notes.txt", "four pictures of cats in all")
    check(tmp_path, "yolo", (2, 1, None))
    text(tmp_path / place / "gone.txt", f"{id_} .5 .5 .2 .2\n")
    with pytest.raises(DatasetError, match=rf"{place}/gone\.txt: no picture gone\.\*"):
        read_splits(tmp_path)


def test_label_files_beside_pictures_that_have_others_in_labels_are_no_orphans(
    tmp_path: Path,
) -> None:
    for n in range(3):
        yolo_picture(tmp_path / "images" / f"{n}.png")
        text(tmp_path / "images" / f"{n}.txt", "0 .1 .1 .1 .1\n")
    text(tmp_path / "classes.txt", "cat\n")
    check(tmp_path, "yolo", (2, 1, None))


def test_a_label_file_of_a_listed_picture_in_another_case_is_told(tmp_path: Path) -> None:
    for n in range(3):
        yolo_picture(tmp_path / "obj" / f"IMG_{n}.png")
    text(tmp_path / "obj" / "img_9.txt", YOLO_LINE)  # of a picture that no list has
    text(tmp_path / "obj.names", "cat\n")
    text(tmp_path / "train.txt", "".join(f"obj/IMG_{n}.png\n" for n in range(3)))
    check(tmp_path, "yolo", (2, 1, None))
    (tmp_path / "obj" / "IMG_1.txt").rename(tmp_path / "obj" / "img_1.txt")
    with pytest.raises(DatasetError, match=r"img_1\.txt: no picture img_1\.\*, and .*IMG_1\.png"):
        read_splits(tmp_path)
