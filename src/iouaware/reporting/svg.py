"""The few shapes that the report's charts are made of, as SVG text that follows the page's theme.

Colours come from CSS classes, so one drawing serves light and dark; a chart is a few kilobytes.
A drawing is 420 px wide at most, so that its letters stay readable on a telephone of 360 px.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

LEFT, RIGHT, TOP, BOTTOM = 46.0, 14.0, 26.0, 42.0

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Axes:
    """A plotting area: from values to px.

    Attributes:
        x_range: values at the left and the right end.
        y_range: values at the bottom and the top.
        width: of the whole drawing, px.
        height: of the whole drawing, px.
    """

    x_range: Point
    y_range: Point
    width: float = 420.0
    height: float = 270.0

    def x(self, value: float) -> float:
        """Return the px from the left of a value."""
        low, high = self.x_range
        return LEFT + (value - low) / (high - low) * (self.width - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """Return the px from the top of a value."""
        low, high = self.y_range
        return self.height - BOTTOM - (value - low) / (high - low) * (self.height - TOP - BOTTOM)

    def draw(self, title: str, *parts: str) -> Markup:
        """Put the parts into one drawing; the title is what a screen reader says."""
        return Markup(
            '<svg class="chart" viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="{}">{}</svg>'
        ).format(self.width, self.height, title, Markup("").join(Markup(part) for part in parts))

    def grid(
        self,
        x_ticks: Sequence[float],
        y_ticks: Sequence[float],
        labels: tuple[str, str],
    ) -> str:
        """Draw lines and numbers at the ticks, and name both axes (x below, y on top)."""
        left, right, bottom = LEFT, self.width - RIGHT, self.height - BOTTOM
        parts = [
            f'<path class="grid" d="M{left} {self.y(tick):.1f}H{right}"/>'
            + _text(left - 6, self.y(tick) + 4, f"{tick:g}", "end")
            for tick in y_ticks
        ]
        parts += [
            f'<path class="tick" d="M{self.x(tick):.1f} {bottom}v4"/>'
            + _text(self.x(tick), bottom + 17, f"{tick:g}", "middle")
            for tick in x_ticks
        ]
        parts.append(f'<path class="axis" d="M{left} {bottom}H{right}"/>')
        parts.append(_text((left + right) / 2, self.height - 6, labels[0], "middle", "name"))
        parts.append(_text(2, 13, labels[1], "start", "name"))
        return "".join(parts)

    def line(self, points: Sequence[Point], css: str, dots: bool = True) -> str:
        """Draw a line through points, with a dot at each."""
        if not points:
            return ""
        path = "L".join(f"{self.x(x):.1f} {self.y(y):.1f}" for x, y in points)
        drawn = f'<path class="line {css}" d="M{path}"/>'
        return drawn + (self.cloud(points, f"dot {css}") if dots or len(points) == 1 else "")

    def cloud(self, points: Sequence[Point], css: str) -> str:
        """Draw a dot at each point; one path, the round ends of lines without length."""
        path = "".join(f"M{self.x(x):.1f} {self.y(y):.1f}h0" for x, y in points)
        return f'<path class="{css}" d="{path}"/>' if path else ""

    def level(self, y: float, css: str, label: str = "") -> str:
        """Draw a line across at a height, its label above its left end."""
        at = self.y(y)
        line = f'<path class="line {css}" d="M{LEFT} {at:.1f}H{self.width - RIGHT}"/>'
        return line + (_text(LEFT + 4, at - 5, label, "start", f"note {css}") if label else "")

    def mark(self, point: Point, css: str, label: str) -> str:
        """Draw a ring round a point, with a label on the side that has room."""
        x, y = self.x(point[0]), self.y(point[1])
        right = x > (LEFT + self.width - RIGHT) / 2
        text = _text(
            x + (-9 if right else 9), y - 9, label, "end" if right else "start", f"note {css}"
        )
        return f'<circle class="ring {css}" cx="{x:.1f}" cy="{y:.1f}" r="6"/>{text}'

    def bar(self, x: float, width: float, y: float, css: str, base: float = 0.0) -> str:
        """Draw an upright bar centred on x, ``width`` in values of x, from ``base`` to y."""
        left, right = self.x(x - width / 2), self.x(x + width / 2)
        top, bottom = sorted((self.y(y), self.y(base)))
        return (
            f'<rect class="bar {css}" x="{left:.1f}" y="{top:.1f}" '
            f'width="{right - left:.1f}" height="{max(bottom - top, 0.5):.1f}"/>'
        )

    def label(self, x: float, y: float, text: str, below: bool = False) -> str:
        """Write a small number centred over (or under) a point."""
        return _text(self.x(x), self.y(y) + (13 if below else -5), text, "middle", "value")


def nice_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Return round numbers from at most ``low`` to at least ``high``: 1, 2, 2.5 or 5 apart."""
    span = max(high - low, 1e-9)
    rough = span / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * n, 10) for n in range(first, max(last, first + 1) + 1)]


def _text(x: float, y: float, text: str, anchor: str, css: str = "number") -> str:
    return (
        f'<text class="{css}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
    )
