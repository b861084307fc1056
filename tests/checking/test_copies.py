"""Pictures that are there more than once: which of them stay in the corrected copy."""

from __future__ import annotations

import json
from pathlib import Path

from iouaware.data.layouts import read_splits
from iouaware.running.checking import check
from tests.checking.conftest import Spoilable
from tests.checking.planting import DrawnSet, enter_again


def told(copy: Path) -> tuple[list[str], list[str]]:
    """Return the kinds of what was changed, and of what is left."""
    content = json.loads((copy / "changes.json").read_text())
    return [row["kind"] for row in content["changes"]], [row["kind"] for row in content["left"]]


def test_of_a_picture_entered_twice_one_entry_stays(spoilable: Spoilable, tmp_path: Path) -> None:
    drawn = spoilable("coco")
    pictures = len(drawn.pictures("train"))
    enter_again(drawn, {0: 0, 1: 1})  # the second entry of picture 1 lacks a box: yours to judge
    check(drawn.folder, fix=tmp_path / "copy")
    train = read_splits(tmp_path / "copy").train
    assert len(train) == pictures + 1
    changes = json.loads((tmp_path / "copy" / "changes.json").read_text())
    assert [change["kind"] for change in changes["changes"]] == ["duplicate-picture"]
    assert [finding["kind"] for finding in changes["left"]] == ["contradicting-copy"]
    # nor does correcting the copy take one of the two away
    check(tmp_path / "copy", fix=tmp_path / "again")
    assert len(read_splits(tmp_path / "again").train) == pictures + 1


def test_a_picture_in_three_parts_stays_in_the_last(spoilable: Spoilable, tmp_path: Path) -> None:
    drawn = spoilable("yolo")
    with (drawn.folder / "data.yaml").open("a") as file:
        file.write("test: images/test\n")
    source = drawn.full("train")[0]
    for split in ("images/test", "labels/test"):
        (drawn.folder / split).mkdir()
    for split, name in (("train", "0.jpg"), ("val", "1.jpg"), ("test", "2.jpg"), ("test", "3.jpg")):
        drawn.add(source, split, name)
    check(drawn.folder, fix=tmp_path / "copy")
    copied = DrawnSet(tmp_path / "copy", "yolo")
    assert [one.name for one in copied.pictures("test")] == ["2.jpg"]
    for split in ("train", "val"):
        names = {one.name for one in drawn.pictures(split)} - {source.name, "0.jpg", "1.jpg"}
        assert {one.name for one in copied.pictures(split)} == names
    changed, left = told(tmp_path / "copy")
    assert changed == ["leak"] * 3 + ["duplicate-picture"] * 2
    assert set(left) <= {"absent-class"}  # the test part is one picture


def test_copies_that_contradict_go_with_their_part(spoilable: Spoilable, tmp_path: Path) -> None:
    drawn = spoilable("coco")
    source = drawn.full("train")[0]
    drawn.add(source, "val", "in-val.jpg")
    other = drawn.add(source, "train", "other.jpg")
    drawn.write(other, drawn.rows(other)[1:])
    check(drawn.folder, fix=tmp_path / "copy")
    copied = DrawnSet(tmp_path / "copy", "coco")
    kept = {one.name for one in copied.pictures("train")}
    assert kept == {one.name for one in drawn.pictures("train")} - {source.name, "other.jpg"}
    assert told(tmp_path / "copy") == (["contradicting-copy", "leak"], [])


def test_a_leak_of_a_part_that_keeps_its_copies_is_left(
    spoilable: Spoilable, tmp_path: Path
) -> None:
    drawn = spoilable("coco")
    sources = drawn.pictures("val")
    count = len(drawn.pictures("train"))
    for number in range(2 * count):  # more than half of the training part would go
        drawn.add(sources[0], "train", f"copy{number}.jpg")
    drawn.add(sources[1], "val", "twice.jpg")
    check(drawn.folder, fix=tmp_path / "copy")
    changed, left = told(tmp_path / "copy")
    assert changed == ["duplicate-picture"]
    assert left == ["leak"] + ["duplicate-picture"] * (2 * count - 1)


def test_a_part_that_keeps_its_copies_has_them_left_for_the_user(
    spoilable: Spoilable, tmp_path: Path
) -> None:
    drawn = spoilable("yolo")
    source = drawn.full("val")[0]
    count = len(drawn.pictures("val"))
    for number in range(2 * count):  # more than half of the part would go
        drawn.add(source, "val", f"copy{number}.jpg")
    check(drawn.folder, fix=tmp_path / "copy")
    assert len(read_splits(tmp_path / "copy").val) == 3 * count
    changes = json.loads((tmp_path / "copy" / "changes.json").read_text())
    assert changes["changes"] == []
    assert [finding["kind"] for finding in changes["left"]] == ["duplicate-picture"] * 2 * count
