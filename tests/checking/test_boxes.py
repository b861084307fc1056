"""Doubled, thin and crowded boxes."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from iouaware.checking import boxes
from iouaware.checking.boxes import find_box_problems, repeated_boxes
from tests.checking.numbers import examined, part

BOX = (10.0, 10.0, 50.0, 40.0)
OTHER = (100.0, 10.0, 150.0, 60.0)


def kinds(*pictures: Sequence[tuple[int, tuple[float, ...]]], ignored: bool = False) -> list[str]:
    found = find_box_problems(examined(train=part("train", pictures, ignored=ignored)))
    return [finding.kind for finding in found]


def test_a_repeated_box_is_told_once_with_the_first() -> None:
    data = examined(train=part("train", [[(0, OTHER)], [(0, BOX), (1, OTHER), (0, BOX), (0, BOX)]]))
    found = find_box_problems(data)
    assert [finding.kind for finding in found] == ["duplicate-box"] * 2
    assert [finding.annotation for finding in found] == ["train.json 1 box 3", "train.json 1 box 4"]
    assert all("repeat those of train.json 1 box 1" in finding.message for finding in found)
    assert found[0].file == "train/1.jpg"
    assert found[0].box == BOX
    assert repeated_boxes(data, "train").tolist() == [False, False, False, True, True]


@pytest.mark.parametrize("block", [1, 2, 3])
def test_pairs_are_found_across_blocks(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(boxes, "_BLOCK", block)
    rows = [(0, BOX), (0, OTHER), (1, BOX), (0, BOX), (0, (100, 10, 150, 55))]
    found = find_box_problems(examined(train=part("train", [rows])))
    # 50 x 50 beside 50 x 45 inside it: IoU 0.9; each beside the first that it repeats
    told = {(one.annotation[-5:], one.kind, re.findall(r"box \d", one.message)[0]) for one in found}
    assert told == {
        ("box 3", "two-classes", "box 1"),
        ("box 4", "duplicate-box", "box 1"),
        ("box 4", "two-classes", "box 3"),
        ("box 5", "double-box", "box 2"),
    }
    assert len(found) == 4


def test_equal_boxes_of_two_classes() -> None:
    assert kinds([(0, BOX), (1, BOX)]) == ["two-classes"]


def test_an_object_marked_twice_overlaps_itself() -> None:
    # 40 x 30 beside 40 x 25 inside it: IoU 25/30 = 0.83; beside 40 x 23: 0.77
    assert kinds([(0, BOX), (0, (10, 10, 50, 35))]) == ["double-box"]
    assert kinds([(0, BOX), (0, (10, 10, 50, 33))]) == []
    assert kinds([(0, BOX), (1, (10, 10, 50, 35))]) == []  # a cup on a saucer


def test_equal_boxes_in_two_pictures_are_two_objects() -> None:
    assert kinds([(0, BOX)], [(0, BOX)]) == []


def test_ignored_boxes_may_overlap() -> None:
    assert kinds([(0, BOX), (0, BOX)], ignored=True) == []


def test_a_sliver_is_under_two_px_wide() -> None:
    assert kinds([(0, (10, 10, 11.9, 60))]) == ["sliver"]
    assert kinds([(0, (10, 10, 12, 60))]) == []


def test_p28_more_boxes_than_detections_are_told() -> None:
    places = [(8.0 * (n % 20), 8.0 * (n // 20)) for n in range(101)]
    many = [(0, (x, y, x + 7, y + 7)) for x, y in places]
    assert kinds([], many, [(0, BOX)]) == ["crowded"]
    assert kinds(many[:100]) == []
    assert kinds(many, ignored=True) == []


def test_no_boxes_no_findings() -> None:
    assert kinds() == []
    assert kinds([], []) == []
