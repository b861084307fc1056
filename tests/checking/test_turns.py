"""Pictures with an EXIF turn, and which side of it their boxes were drawn on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from iouaware.checking.check import check_data
from iouaware.checking.turns import find_turned, turn_boxes
from iouaware.data.examining import examine
from iouaware.running.checking import check
from tests.checking.conftest import Spoilable
from tests.checking.planting import DrawnSet

# how to store a picture so that its orientation shows it as it was
STORED = {
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
}


def turn(picture: Path, orientation: int, shown_as_before: bool) -> None:
    """Give a picture an orientation; its pixels are turned back where it is to look the same."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    with Image.open(picture) as image:
        copy = image.copy()
    if shown_as_before:
        copy = copy.transpose(STORED[orientation])
    copy.save(picture, quality=95, exif=exif)


def kinds(drawn: DrawnSet) -> set[str]:
    return {finding.kind for finding in find_turned(examine(drawn.folder))}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_turn_with_their_picture(orientation: int) -> None:
    # a white block in a black picture, stored; what a viewer shows says where it goes
    stored = Image.new("L", (30, 20))
    stored.paste(255, (4, 3, 11, 7))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.info["exif"] = exif.tobytes()
    stored.getexif()[0x0112] = orientation
    shown = np.asarray(ImageOps.exif_transpose(stored))
    rows, columns = np.nonzero(shown)
    expected = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    turned = turn_boxes(np.array([[4, 3, 11, 7]], np.float32), (30, 20), orientation)
    assert turned.tolist() == [expected]
    assert turn_boxes(np.zeros((0, 4), np.float32), (30, 20), orientation).shape == (0, 4)


@pytest.mark.parametrize(("form", "orientation"), [("yolo", 6), ("yolo", 8), ("coco", 3)])
def test_p11_edges_tell_boxes_drawn_after_the_turn(
    form: str, orientation: int, spoilable: Spoilable
) -> None:
    drawn = spoilable(form)
    for picture in drawn.full("train")[:12]:
        turn(picture, orientation, shown_as_before=True)
    assert kinds(drawn) == {"turn-followed"}
    assert check_data(examine(drawn.folder), drawn.folder).ok


@pytest.mark.parametrize(("form", "orientation"), [("yolo", 6), ("yolo", 8), ("coco", 3)])
def test_p11_edges_tell_boxes_drawn_before_the_turn_and_the_copy_turns_them(
    form: str, orientation: int, spoilable: Spoilable, tmp_path: Path
) -> None:
    drawn = spoilable(form)
    pictures = drawn.full("train")[:12]
    for picture in pictures:
        turn(picture, orientation, shown_as_before=False)
    assert kinds(drawn) == {"drawn-before-turn"}
    check(drawn.folder, fix=tmp_path / "out")
    copy = examine(tmp_path / "out")
    assert {finding.kind for finding in find_turned(copy)} == {"turn-followed"}
    train = copy.parts["train"].dataset
    place = {Path(name).stem: index for index, name in enumerate(train.file_names.tolist())}
    for picture in pictures:
        boxes = np.array([row[1:] for row in drawn.rows(picture)], np.float32)
        expected = turn_boxes(boxes, (192, 128), orientation)
        found = train.target(place[picture.stem]).boxes
        np.testing.assert_allclose(found, expected, atol=1e-3)


def test_a_few_pictures_decide_nothing(spoilable: Spoilable) -> None:
    drawn = spoilable("yolo")
    for picture in drawn.full("train")[:4]:
        turn(picture, 6, shown_as_before=True)
    assert kinds(drawn) == {"turned-picture"}


def test_pictures_without_boxes_or_unreadable_decide_nothing(spoilable: Spoilable) -> None:
    drawn = spoilable("yolo")
    pictures = drawn.full("train")[:8]
    for picture in pictures:
        turn(picture, 6, shown_as_before=True)
        drawn.write(picture, [])
    examined = examine(drawn.folder)
    pictures[0].write_bytes(b"gone bad")
    assert {finding.kind for finding in find_turned(examined)} == {"turned-picture"}


def test_edges_that_fit_both_ways_decide_nothing(spoilable: Spoilable) -> None:
    drawn = spoilable("coco")
    noise = np.random.default_rng(0)
    for picture in drawn.full("train")[:12]:
        pixels = noise.integers(0, 256, (128, 192, 3), np.uint8)
        Image.fromarray(pixels).save(picture)
        turn(picture, 3, shown_as_before=False)
    assert kinds(drawn) == {"turned-picture"}


def test_without_turns_there_is_nothing_to_say(spoilable: Spoilable) -> None:
    assert find_turned(examine(spoilable("voc").folder)) == []
