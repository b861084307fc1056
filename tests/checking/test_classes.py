"""Class names, and what each part has of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest

from iouaware.checking import classes
from iouaware.checking.classes import count_classes, find_class_problems, find_part_problems
from iouaware.data.examining import ExaminedPart
from tests.checking.numbers import examined, part

BOX = (10.0, 10.0, 50.0, 40.0)


def split(name: str, counts: dict[str, int], empty: int = 0) -> ExaminedPart:
    """Build a part with so many boxes of each class, one a picture."""
    pictures: list[Sequence[tuple[int, tuple[float, ...]]]] = [
        [(label, BOX)] for label, count in enumerate(counts.values()) for _ in range(count)
    ]
    return part(name, [*pictures, *[[]] * empty], names=tuple(counts))


def told(**parts: ExaminedPart) -> list[tuple[str, str]]:
    return [(finding.kind, finding.split) for finding in find_class_problems(examined(**parts))]


@pytest.mark.parametrize(
    ("first", "second", "similar"),
    [
        ("Stop sign", "stop_sign", True),
        ("bolt", "bolts", True),
        ("Stop-Signs ahead", "stop.sign_ahead", True),
        ("speed limit 30", "Speed_Limit-30", True),
        ("screw", "scrw", True),
        ("screw", "screww", True),
        ("screw", "scerw", True),
        ("Speed Limit 30", "Speed Limit 80", False),
        ("Speed Limit 10", "Speed Limit 100", False),
        ("cat", "car", False),
        ("mouse", "horse", False),
        ("traffic light", "traffic sign", False),
        ("+", "-", False),
        ("A-", "A", False),
        ("5%", "5", False),
        ("10", "1.0", False),
        ("-5", "5", False),
        ("C", "C++", False),
        ("\N{SLIGHTLY SMILING FACE}", "\N{UPSIDE-DOWN FACE}", False),
        ("fa\N{SLIGHTLY SMILING FACE}", "fa\N{UPSIDE-DOWN FACE}", False),
    ],
)
def test_p07_nearly_equal_names(first: str, second: str, similar: bool) -> None:
    found = told(train=split("train", {first: 100, second: 10}))
    assert (("similar-classes", "") in found) is similar


def test_a_name_a_letter_off_is_a_slip_only_where_it_is_rare() -> None:
    assert not told(train=split("train", {"house": 30, "mouse": 30}))


def test_two_names_that_no_box_has_are_no_slip() -> None:
    found = told(train=split("train", {"cat": 10, "house": 0, "mouse": 0}))
    assert found == [("unused-class", "")] * 2


def test_names_are_told_in_their_order_and_compared_only_where_near(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared = []

    def is_slip(first: str, second: str, total: Counter[str]) -> bool:
        compared.append((first, second))
        return True

    monkeypatch.setattr(classes, "_is_slip", is_slip)
    letters = [chr(ord("a") + number) for number in range(26)]
    names = [f"{first}{second}ern{second}{first}" for first in letters for second in letters]
    data = examined(train=split("train", dict.fromkeys(names, 0)))
    assert not any(found.kind == "similar-classes" for found in find_class_problems(data))
    assert not compared  # of 227,850 pairs
    pairs = {"abern": 0, "xxxxx": 0, "aberns": 0, "ABERN": 0, "abren": 0}
    found = find_class_problems(examined(train=split("train", pairs)))
    assert [f.message.replace(" (0 boxes)", "") for f in found if f.kind == "similar-classes"] == [
        "'abern' and 'aberns'",
        "'abern' and 'ABERN'",
        "'abern' and 'abren'",
        "'aberns' and 'ABERN'",
        "'ABERN' and 'abren'",
    ]


def test_every_slip_is_among_the_names_that_are_compared() -> None:
    random = np.random.default_rng(0)
    drawn = ("".join(random.choice(list("abC"), random.integers(3, 7))) for _ in range(300))
    names = list(dict.fromkeys(drawn))
    total = Counter({name: 100 if place % 2 else 1 for place, name in enumerate(names)})
    slips = {pair for pair in combinations(names, 2) if classes._is_slip(*pair, total)}
    assert len(slips) > 100
    assert slips <= classes._pairs(names, classes._one_letter_less)


def test_a_class_that_training_does_not_name_is_an_error_with_the_near_name() -> None:
    data = examined(
        train=split("train", {"screw": 20, "nut": 20}), val=split("val", {"scrw": 4, "nut": 4})
    )
    found = [f for f in find_class_problems(data) if f.kind == "not-in-training"]
    assert [(f.severity, f.split) for f in found] == [("error", "val")]
    assert "4 boxes of 'scrw'" in found[0].message
    assert "did you mean 'screw'?" in found[0].message


def test_p49_classes_absent_from_a_part() -> None:
    found = told(
        train=split("train", {"cat": 20, "dog": 20, "owl": 0}),
        val=split("val", {"cat": 5, "dog": 0, "owl": 1}),
    )
    assert found == [("untrained-class", "val"), ("absent-class", "val")]


def test_unused_and_rare_classes_are_notes() -> None:
    found = find_class_problems(examined(train=split("train", {"cat": 10, "dog": 9, "owl": 0})))
    assert [(f.kind, f.severity) for f in found] == [
        ("unused-class", "note"),
        ("rare-class", "note"),
    ]


def test_p06_other_ids_for_the_same_names() -> None:
    parts = {
        "train": split("train", {"cat": 10, "dog": 10}),
        "val": split("val", {"dog": 10, "cat": 10}),
    }
    assert told(**parts) == [("other-ids", "val")]


def test_p03_many_empty_pictures() -> None:
    # 3 of 13 are 23 %, 5 of 15 are 33 %
    assert told(train=split("train", {"cat": 10}, empty=3)) == []
    assert told(train=split("train", {"cat": 10}, empty=5)) == [("many-empty", "train")]


def test_counts_leave_ignored_boxes_out() -> None:
    data = examined(train=part("train", [[(0, BOX), (1, BOX)]], ignored=True))
    assert dict(count_classes(data)["train"]) == {"cat": 0, "dog": 0}


def test_a_part_without_boxes_has_unused_classes() -> None:
    assert told(train=part("train", [])) == [("unused-class", "")] * 2


def test_what_training_would_refuse_is_an_error() -> None:
    def problems(**parts: ExaminedPart) -> list[tuple[str, str]]:
        return [(found.kind, found.split) for found in find_part_problems(examined(**parts))]

    full = split("train", {"bolt": 3})
    assert not problems(train=full, val=full)
    assert not problems(all=full)
    assert problems(val=full, test=full) == [("no-training", "")]
    assert problems(train=full, val=split("val", {"bolt": 0})) == [("no-pictures", "val")]
