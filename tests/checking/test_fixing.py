"""The corrected copy: what is changed, and that the original is not."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from iouaware.checking.check import check_data
from iouaware.data.examining import examine
from iouaware.data.layouts import read_splits
from iouaware.errors import CheckpointError, ConfigError, DatasetError
from iouaware.running.checking import check
from tests.checking.conftest import Spoilable
from tests.checking.planting import DEFECTS, FORMS, DrawnSet

BY_NAME = {defect.name: defect for defect in DEFECTS}
# what a copy can be freed of without a guess
MENDED = (
    "a box without area",
    "a box outside",
    "a box that sticks out",
    "a box twice",
    "an unreadable picture",
    "a truncated picture",
    "a missing picture",
    "a picture twice",
    "a leak",
    "a picture of another size",
    "a coordinate that is no number",
    "an annotation without a picture",
)


def digest(folder: Path) -> str:
    """Return a hash over all files of a folder, names and contents."""
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        total.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return total.hexdigest()


def plant(drawn: DrawnSet, *names: str) -> list[Path]:
    """Plant defects into different pictures of the training part, and return those."""
    pictures = drawn.full("train")[: len(names)]
    for name, picture in zip(names, pictures, strict=True):
        if drawn.form in BY_NAME[name].forms:
            BY_NAME[name].plant(drawn, picture)
    return pictures


@pytest.mark.parametrize("form", FORMS)
def test_the_copy_is_clean_and_the_original_untouched(
    form: str, spoilable: Spoilable, tmp_path: Path
) -> None:
    drawn = spoilable(form)
    plant(drawn, *MENDED)
    before = digest(drawn.folder)
    said: list[str] = []
    report = check(drawn.folder, fix=tmp_path / "out", say=said.append)
    assert not report.ok
    assert digest(drawn.folder) == before
    again = check_data(examine(tmp_path / "out"), tmp_path / "out")
    assert again.ok, [finding.message for finding in again.findings]
    listed = json.loads((tmp_path / "out" / "changes.json").read_text())
    assert listed["left"] == []
    kinds = {change["kind"] for change in listed["changes"]}
    assert {"no-area", "duplicate-box", "leak", "missing-picture"} <= kinds
    assert all(change["file"] and change["change"] for change in listed["changes"])
    assert f"{len(listed['changes'])} changes" in said[-1]
    read_splits(tmp_path / "out")  # and trains


@pytest.mark.parametrize("form", ["coco", "voc"])
def test_boxes_follow_a_turn_and_a_new_size(
    form: str, spoilable: Spoilable, tmp_path: Path
) -> None:
    drawn = spoilable(form)
    turned, shrunk = plant(drawn, "boxes drawn before a turn", "a picture of another size")
    x1, y1, x2, y2 = drawn.rows(turned)[0][1:]
    halved = np.array(drawn.rows(shrunk)[0][1:]) / 2
    check(drawn.folder, fix=tmp_path / "out")
    part = examine(tmp_path / "out").parts["train"].dataset
    place = {Path(name).stem: index for index, name in enumerate(part.file_names.tolist())}
    # orientation 6: shown by a quarter turn to the right, so that the bottom comes left
    target = part.target(place[turned.stem])
    np.testing.assert_allclose(target.boxes[0], [128 - y2, x1, 128 - y1, x2], atol=1e-3)
    assert part.record(place[turned.stem]).width == 128
    np.testing.assert_allclose(part.target(place[shrunk.stem]).boxes[0], halved, atol=1e-3)


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("coco", "corners where sizes belong"),
        ("voc", "sizes where corners belong"),
        ("coco", "fractions where pixels belong"),
        ("yolo", "pixels where fractions belong"),
        ("yolo", "corners where centres belong"),
    ],
)
def test_boxes_of_another_form_are_converted(
    form: str, name: str, spoilable: Spoilable, tmp_path: Path
) -> None:
    drawn = spoilable(form)
    picture = drawn.full("train")[0]
    expected = [row[1:] for row in drawn.rows(picture)]
    plant(drawn, name)
    check(drawn.folder, fix=tmp_path / "out")
    copied = DrawnSet(tmp_path / "out", form)
    same = next(one for one in copied.full("train") if one.name == picture.name)
    np.testing.assert_allclose([row[1:] for row in copied.rows(same)], expected, atol=1e-3)


def test_boxes_that_fit_in_no_form_are_not_written(spoilable: Spoilable, tmp_path: Path) -> None:
    drawn = spoilable("coco")

    def scale(content: dict[str, Any]) -> None:
        for row in content["annotations"]:
            row["bbox"] = [3 * value for value in row["bbox"]]

    drawn.change_json("train", scale)
    (found,) = check(drawn.folder).of_kind("unknown-form")
    assert (found.split, found.file) == ("train", "annotations/train.json")
    refused = r"train\.json annotation \d+: .*convert them first; until then --fix writes nothing"
    with pytest.raises(DatasetError, match=refused):
        check(drawn.folder, fix=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_single_box_of_another_form_is_left_out(spoilable: Spoilable, tmp_path: Path) -> None:
    drawn = spoilable("coco")
    picture = drawn.full("train")[0]
    rest = drawn.rows(picture)
    # as [x, y, width, height] of [100, 60, 170, 120], which fits the 192 x 128 px as corners
    drawn.write(picture, [("coin", 100, 60, 270, 180), *rest])
    check(drawn.folder, fix=tmp_path / "out")
    copied = DrawnSet(tmp_path / "out", "coco")
    assert copied.rows(copied.folder / "images" / "train" / picture.name) == rest
    changes = json.loads((tmp_path / "out" / "changes.json").read_text())
    told = [(change["kind"], change["change"]) for change in changes["changes"]]
    assert told == [("odd-form", "left out")]
    assert changes["left"] == []


def test_pictures_that_share_an_id_do_not_become_background(
    spoilable: Spoilable, tmp_path: Path
) -> None:
    drawn = spoilable("coco")
    first, second, third, fourth = drawn.full("train")[:4]

    def share(content: dict[str, Any]) -> None:
        by_name = {image["file_name"]: image for image in content["images"]}
        for one, other in ((first, second), (third, fourth)):
            ids = [by_name[path.name]["id"] for path in (one, other)]
            by_name[other.name]["id"] = ids[0]
            for row in content["annotations"]:
                row["image_id"] = ids[0] if row["image_id"] == ids[1] else row["image_id"]

    drawn.change_json("train", share)
    said = check(drawn.folder, fix=tmp_path / "out").of_kind("double-image-id")
    names = [(first.name, second.name), (third.name, fourth.name)]
    assert [found.message for found in said] == [
        f"2 images have this id, {one!r} and {other!r}; expected one each" for one, other in names
    ]
    copied = {path.name for path in DrawnSet(tmp_path / "out", "coco").pictures("train")}
    gone = {first.name, second.name, third.name, fourth.name}
    assert copied == {path.name for path in drawn.pictures("train")} - gone
    changes = json.loads((tmp_path / "out" / "changes.json").read_text())
    assert [change["kind"] for change in changes["changes"]] == ["double-image-id"] * 2


def test_classes_of_all_parts_are_in_the_copy(spoilable: Spoilable, tmp_path: Path) -> None:
    drawn = spoilable("coco")
    plant(drawn, "a class in validation alone")
    check(drawn.folder, fix=tmp_path / "out")
    train, val = (examine(tmp_path / "out").parts[split].dataset for split in ("train", "val"))
    assert train.class_names == val.class_names == (*drawn.names(), "wheel")
    assert val.class_counts()[-1] == 1


def test_a_copy_in_the_data_set_or_over_something_is_refused(
    spoilable: Spoilable, tmp_path: Path
) -> None:
    drawn = spoilable("yolo")
    before = digest(tmp_path)
    with pytest.raises(ConfigError, match=r"--fix .*lies in the data set"):
        check(drawn.folder, fix=drawn.folder / "out")
    with pytest.raises(ConfigError, match=r"--fix .*not empty"):
        check(drawn.folder / "data.yaml", fix=tmp_path)
    assert digest(tmp_path) == before


@pytest.mark.parametrize("kind", ["here", "link", "empty"])
def test_the_copy_goes_into_an_empty_folder_that_stays(
    kind: str, spoilable: Spoilable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn, out = spoilable("yolo"), tmp_path / "out"
    out.mkdir()
    (tmp_path / "link").symlink_to(out)
    before = out.stat().st_ino
    monkeypatch.chdir(out)
    given = {"here": Path(), "link": tmp_path / "link", "empty": out}[kind]
    check(drawn.folder, fix=given, sheet=out / "sheet.jpg")  # which may lie there too
    names = ["changes.json", "data.yaml", "images", "labels", "sheet.jpg"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert out.stat().st_ino == before


def test_a_file_about_data_elsewhere_may_lie_beside_the_copy(
    spoilable: Spoilable, tmp_path: Path
) -> None:
    drawn = spoilable("yolo")
    about = tmp_path / "bolts.yaml"
    for place in (drawn.folder, drawn.folder.name):  # below the file, too
        content = (drawn.folder / "data.yaml").read_text()
        about.write_text(f"path: {place}\n{content}")
        for inside in ("out", "images/out", "labels/val/out"):
            with pytest.raises(ConfigError, match="lies in the data set"):
                check(about, fix=drawn.folder / inside)
    check(about, fix=tmp_path / "out")
    assert (tmp_path / "out" / "changes.json").is_file()


def test_a_copy_among_the_pictures_given_is_refused(spoilable: Spoilable, tmp_path: Path) -> None:
    drawn = spoilable("coco")
    pictures = tmp_path / "pictures"
    (drawn.folder / "images").rename(pictures)
    with pytest.raises(ConfigError, match="lies in the data set"):
        check(drawn.folder, images=pictures, fix=pictures / "out")


def test_a_sheet_that_is_no_picture_is_refused_first(spoilable: Spoilable, tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(ConfigError, match=r"--sheet .*\.pdf: found a name ending in \.pdf"):
        check(spoilable("coco").folder, sheet="a.pdf", fix=tmp_path / "out", say=said.append)
    assert not said
    assert not (tmp_path / "out").exists()


def test_a_picture_whose_label_file_cannot_be_read_does_not_become_background(
    spoilable: Spoilable, tmp_path: Path
) -> None:
    drawn = spoilable("yolo")
    picture = drawn.full("train")[0]
    drawn.text(picture).write_text("0 .5 .5 .2 .2", "utf-16")
    check(drawn.folder, fix=tmp_path / "copy")
    assert not (tmp_path / "copy" / "images" / "train" / picture.name).exists()


def test_where_no_picture_is_left_there_is_no_copy(spoilable: Spoilable, tmp_path: Path) -> None:
    drawn = spoilable("coco")
    for picture in [*drawn.pictures("train"), *drawn.pictures("val")]:
        picture.unlink()
    own = tmp_path / "own"
    own.mkdir()
    for out in (tmp_path / "copy", own):
        with pytest.raises(DatasetError, match="no picture is left that could be written"):
            check(drawn.folder, fix=out)
    assert not (tmp_path / "copy").exists()
    assert own.is_dir()


def test_a_name_that_is_no_unicode_is_listed(spoilable: Spoilable, tmp_path: Path) -> None:
    drawn = spoilable("yolo")
    name = os.fsdecode(b"b\xe4r")  # from an old archive
    (drawn.folder / "labels" / "train" / f"{name}.txt").write_text("0 .5 .5 .2 .2")
    check(drawn.folder, fix=tmp_path / "copy")
    changes = json.loads((tmp_path / "copy" / "changes.json").read_text())
    assert [change["file"] for change in changes["changes"]] == [name]


def test_a_file_in_annotations_is_mended_as_its_folder_is(
    spoilable: Spoilable, tmp_path: Path
) -> None:
    drawn = spoilable("coco")
    (turned,) = plant(drawn, "boxes drawn before a turn")
    check(drawn.json("train"), fix=tmp_path / "out")
    changes = json.loads((tmp_path / "out" / "changes.json").read_text())
    told = [(change["file"], change["change"]) for change in changes["changes"]]
    assert told == [(f"images/train/{turned.name}", "boxes turned with the picture")]
    assert changes["left"] == []


def test_a_model_that_cannot_be_read_leaves_no_empty_folder(
    spoilable: Spoilable, tmp_path: Path
) -> None:
    model = tmp_path / "bad.safetensors"
    model.write_bytes(b"no weights")
    with pytest.raises(CheckpointError):
        check(spoilable("yolo").folder, with_=model, fix=tmp_path / "out")
    assert not (tmp_path / "out").exists()
