from __future__ import annotations

import math

import pytest

from iouaware.reporting.numerals import (
    alpha_text,
    counted,
    in_words,
    interval,
    is_number,
    last_part,
    number_or_none,
    percent,
    points,
    ratio,
    whole_percent,
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
        (0.9999, "over 99 of 100"),
        (199 / 200, "over 99 of 100"),  # 99.5 would round to 100
        (198 / 200, "99 of 100"),
        (0.001, "under 1 of 100"),
        (1 / 200, "under 1 of 100"),
        (None, "n/a"),
    ],
)
def test_all_and_no_are_said_only_where_exact(share: float | None, text: str) -> None:
    assert in_words(share) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (1.0, "100"),
        (0.995, "over 99"),
        (0.994, "99"),
        (0.005, "under 1"),
        (0.0, "0"),
        (None, "n/a"),
    ],
)
def test_whole_per_cent_are_0_and_100_only_where_exact(share: float | None, text: str) -> None:
    assert whole_percent(share) == text


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (-0.004, 0.02, "−0.4 to +2.0"),
        (0.0004, 0.012, "+0.04 to +1.2"),
        (-0.0004, 0.012, "−0.04 to +1.2"),
        (-0.000001, 0.0, "−0.00 to 0.0"),
    ],
)
def test_an_end_beside_0_tells_its_side(low: float, high: float, text: str) -> None:
    assert interval(low, high) == text


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
