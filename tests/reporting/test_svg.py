from __future__ import annotations

import pytest

from iouaware.reporting.svg import Axes, nice_ticks


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 100, [0, 20, 40, 60, 80, 100]),
        (52.1, 59.7, [52, 54, 56, 58, 60]),
        (0, 0.6, [0, 0.2, 0.4, 0.6]),
        (-1, 3, [-1, 0, 1, 2, 3]),
        (5, 5, [5, 5 + 2e-10]),  # no span: any two ticks will do
    ],
)
def test_ticks_are_round_and_hold_all_values(low: float, high: float, ticks: list[float]) -> None:
    found = nice_ticks(low, high)
    assert found[0] <= low
    assert found[-1] >= high
    if high > low:
        assert found == pytest.approx(ticks)


def test_values_become_px() -> None:
    axes = Axes((0, 1), (0, 100), width=160, height=168)
    # left margin 46, right 14: 100 px wide; top 26, bottom 42: 100 px high
    assert axes.x(0.25) == pytest.approx(46 + 25)
    assert axes.y(0) == pytest.approx(126)
    assert axes.y(100) == pytest.approx(26)


def test_texts_are_escaped() -> None:
    axes = Axes((0, 1), (0, 1))
    drawn = axes.draw('"><script>', axes.grid((), (), ("<b>x</b>", "y")))
    assert "<script>" not in drawn
    assert "<b>" not in drawn
    assert "&lt;b&gt;x&lt;/b&gt;" in drawn


def test_nothing_drawn_for_no_points() -> None:
    axes = Axes((0, 1), (0, 1))
    assert axes.line([], "chosen") == ""
    assert axes.cloud([], "cloud") == ""
