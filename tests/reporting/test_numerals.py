from __future__ import annotations

import math

import pytest

from iouaware.reporting.numerals import (
    alpha_text,
    counted,
    in_words,
    is_number,
    last_part,
    number_or_none,
    percent,
    points,
    ratio,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5432, "54.3"), (0.0, "0.0"), (1.0, "100.0"), (None, "n/a"), (math.nan, "n/a")],
)
def test_percent_is_written_from_a_fraction(value: float | None, text: str) -> None:
    assert percent(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0114, "+1.1"), (-0.02, "−2.0"), (0.0, "0.0"), (-0.0001, "0.0"), (None, "n/a")],
)
def test_points_carry_their_sign(value: float | None, text: str) -> None:
    assert points(value) == text


def test_ratio_keeps_two_digits() -> None:
    assert ratio(0.8312) == "0.83"
    assert ratio(-0.1) == "−0.10"
    assert ratio(math.inf) == "n/a"


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.912, "91 of 100"),
        (1.0, "all"),
        (0.0, "no"),
        (0.9999, "more than 99 of 100"),
        (0.001, "fewer than 1 of 100"),
        (None, "n/a"),
    ],
)
def test_all_and_no_are_said_only_where_exact(share: float | None, text: str) -> None:
    assert in_words(share) == text


def test_nouns_follow_their_number() -> None:
    assert counted(1, "box", "boxes") == "1 box"
    assert counted(1139, "box", "boxes") == "1,139 boxes"
    assert counted(0, "picture") == "0 pictures"


def test_values_of_files_that_are_no_numbers() -> None:
    assert not is_number(True)
    assert not is_number("0.5")
    assert number_or_none("0.5") is None
    assert number_or_none(1) == 1.0


def test_names_and_alphas_are_short() -> None:
    assert last_part("JPEGImages/a.jpg") == "a.jpg"
    assert last_part("C:\\data\\a.jpg") == "a.jpg"
    assert last_part("a.jpg") == "a.jpg"
    assert [alpha_text(alpha) for alpha in (1.0, 0.5, 0.35)] == ["1", "0.5", "0.35"]
