"""Pictures there twice, in two parts, broken, turned."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from iouaware.checking import pictures, thumbnails
from iouaware.checking.findings import Finding
from iouaware.checking.pictures import find_picture_problems
from iouaware.data.examining import examine
from tests.checking.conftest import Spoilable
from tests.checking.planting import DrawnSet, enter_again
from tests.data.layout_files import text, yolo_picture


def look(drawn: DrawnSet) -> list[Finding]:
    return find_picture_problems(examine(drawn.folder))[0]


def test_p49_a_leak_is_told_once_with_both_places(spoilable: Spoilable) -> None:
    drawn = spoilable("coco")
    source = drawn.full("train")[0]
    drawn.add(source, "val", "copy.jpg")
    (found,) = look(drawn)
    assert (found.kind, found.split, found.file) == ("leak", "val", "images/val/copy.jpg")
    assert found.message == f"the same picture as images/train/{source.name} in train"
    assert found.twin == ("train", f"images/train/{source.name}")


def test_copies_with_other_boxes_are_told_as_such(spoilable: Spoilable) -> None:
    drawn = spoilable("voc")
    copy = drawn.add(drawn.full("train")[0], "train", "copy.jpg")
    drawn.write(copy, drawn.rows(copy)[:1])
    (found,) = look(drawn)
    assert (found.kind, found.severity) == ("contradicting-copy", "error")
    assert found.message.endswith("with other boxes")


def test_a_copy_in_another_part_and_in_its_own_is_told_of_both(spoilable: Spoilable) -> None:
    drawn = spoilable("yolo")
    source = drawn.full("train")[0]
    for name in ("copy1.jpg", "copy2.jpg"):
        drawn.add(source, "val", name)
    kinds = [(found.kind, found.file.rpartition("/")[2]) for found in look(drawn)]
    assert kinds == [
        ("leak", "copy1.jpg"),
        ("leak", "copy2.jpg"),
        ("duplicate-picture", "copy2.jpg"),
    ]


def test_one_file_entered_twice_with_other_boxes_is_an_error(spoilable: Spoilable) -> None:
    drawn = spoilable("coco")
    enter_again(drawn, {0: 0, 1: 1})
    first, second = look(drawn)
    assert (first.kind, first.twin) == ("duplicate-picture", (first.split, first.file))
    assert (second.kind, second.severity) == ("contradicting-copy", "error")


def test_three_copies_are_two_findings(spoilable: Spoilable) -> None:
    drawn = spoilable("yolo")
    source = drawn.full("train")[0]
    for name in ("copy1.jpg", "copy2.jpg"):
        drawn.add(source, "train", name)
    assert [found.kind for found in look(drawn)] == ["duplicate-picture"] * 2


def test_a_near_copy_in_the_same_part_is_advice(spoilable: Spoilable) -> None:
    drawn = spoilable("yolo")
    drawn.add(drawn.full("train")[0], "train", "copy.jpg", scale=0.9)
    (found,) = look(drawn)
    assert (found.kind, found.severity) == ("near-duplicate-picture", "note")


def test_a_12_bit_picture_in_a_16_bit_file_is_told_if_it_has_boxes(spoilable: Spoilable) -> None:
    drawn = spoilable("yolo")
    with_box, bright, without = (drawn.folder / f"images/train/{name}.png" for name in "abc")
    values = np.random.default_rng(0).integers(0, 4096, (128, 128)).astype(np.uint16)  # 12 bits
    values[:64] = 4095
    Image.fromarray(values).save(with_box)
    Image.fromarray(values[::-1] * 16).save(bright)
    Image.fromarray(values.T).save(without)
    for name, lines in (("a", "0 0.5 0.5 0.2 0.2"), ("b", "0 0.5 0.5 0.2 0.2"), ("c", "")):
        (drawn.folder / f"labels/train/{name}.txt").write_text(lines)
    (found,) = look(drawn)
    assert (found.kind, found.severity) == ("dark-picture", "warning")
    assert (found.split, found.file) == ("train", "images/train/a.png")
    assert found.message == "its brightest part is at 16 of 255 grey levels"  # 4095 of 65535


def test_frames_of_one_scene_are_told_in_one_line(tmp_path: Path) -> None:
    blocks = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    scene = Image.fromarray(blocks).resize((80, 60), Image.Resampling.BICUBIC)
    for number in range(30):
        path = tmp_path / "images" / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        scene.save(path, quality=60 + number)
    (tmp_path / "data.yaml").write_text("names: [cat]\ntrain: images\n")
    (found,) = look(DrawnSet(tmp_path, "yolo"))
    assert found.kind == "alike"
    assert "at least 21 of 30 pictures" in found.message  # no need to look at the rest


def turn(path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    with Image.open(path) as image:
        copy = image.copy()
    copy.save(path, exif=exif)


def test_p11_a_turn_that_the_annotations_follow_is_a_note(spoilable: Spoilable) -> None:
    drawn = spoilable("coco")
    picture = drawn.full("train")[0]
    turn(picture, 6)

    def swap(content: dict[str, Any]) -> None:
        image = next(one for one in content["images"] if one["file_name"] == picture.name)
        image["width"], image["height"] = image["height"], image["width"]

    drawn.change_json("train", swap)
    (found,) = look(drawn)
    assert (found.kind, found.severity) == ("turn-followed", "note")


@pytest.mark.parametrize(("form", "orientation"), [("yolo", 6), ("coco", 3)])
def test_p11_a_turn_that_nothing_shows_is_a_warning(
    form: str, orientation: int, spoilable: Spoilable
) -> None:
    drawn = spoilable(form)
    turn(drawn.full("train")[0], orientation)
    (found,) = look(drawn)
    assert (found.kind, found.severity) == ("turned-picture", "warning")
    assert found.file == drawn.full("train")[0].relative_to(drawn.folder).as_posix()


def test_headers_alone_are_told(spoilable: Spoilable) -> None:
    drawn = spoilable("coco")
    found, counts = find_picture_problems(examine(drawn.folder), "none")
    assert [one.kind for one in found] == ["not-decoded"]
    assert counts == {"pictures": 40, "decoded": 0}


def test_equal_sizes_alone_are_no_copies(
    spoilable: Spoilable, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = spoilable("coco")
    monkeypatch.setattr(pictures, "_size_of", lambda path: 7)
    assert look(drawn) == []


def test_a_set_of_no_pictures_at_all_has_no_findings(spoilable: Spoilable) -> None:
    drawn = spoilable("coco")
    shutil.rmtree(drawn.folder / "images")
    assert look(drawn) == []  # that they are missing is told while reading


def test_data_of_one_picture_that_training_would_have_to_split_are_an_error(tmp_path: Path) -> None:
    first = tmp_path / "images" / "a.png"
    yolo_picture(first)
    text(tmp_path / "classes.txt", "cat\n")

    def problems() -> list[str]:
        found = find_picture_problems(examine(tmp_path))[0]
        return [one.message for one in found if one.kind == "too-few-pictures"]

    assert problems() == ["1 pictures (1 different) and no validation part"]
    shutil.copyfile(first, first.with_name("b.png"))
    assert problems() == ["2 pictures (1 different) and no validation part"]
    yolo_picture(first.with_name("c.png"))
    assert not problems()


def test_pictures_that_are_too_many_to_be_compared_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thumbnails, "MOST_COMPARED", 2)
    for n in range(3):
        yolo_picture(tmp_path / "images" / f"{n}.png")
    text(tmp_path / "classes.txt", "cat\n")
    examined = examine(tmp_path)
    told = [one for one in find_picture_problems(examined)[0] if one.kind == "not-compared"]
    assert [one.message for one in told] == [
        "2 of 3 pictures were compared to find nearly equal ones"
    ]
    every = find_picture_problems(examined, "all")[0]
    assert not [one for one in every if one.kind == "not-compared"]
