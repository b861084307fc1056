"""Outlines of the four drawn classes, and their pixels.

Coins are easy to box; the spikes of a star, the shaft of a bolt and the fading tail of a comet
are thin where the box ends, so that a detector can find the object and still misjudge the box.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from iouaware.structures import FloatArray

CLASS_NAMES = ("bolt", "coin", "comet", "star")  # sorted, as a VOC reader finds them

_SUPERSAMPLING = 4
_TURN = 2 * np.pi

Points = NDArray[np.float64]


def draw_outline(random: Generator, label: int) -> list[Points]:
    """Draw the polygons of an object whose longest side is 1, before it is turned, [P, 2] each.

    What a class lets vary is drawn anew each time. The x axis runs along bolts and comets.
    """
    parts = _OUTLINES[CLASS_NAMES[label]](random)
    points = np.concatenate(parts)
    longest = (points.max(axis=0) - points.min(axis=0)).max()
    return [part / longest for part in parts]


def turn_outline(parts: list[Points], angle: float) -> list[Points]:
    """Turn polygons about the origin by an angle in radians."""
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return [part @ turn for part in parts]


def render_coverage(parts: list[Points], margin: int) -> tuple[FloatArray, Points]:
    """Rasterise polygons in px; return what share of each pixel they cover, [H, W] 0..1.

    Pillow draws an outline into its shape, so that shapes come out up to a quarter pixel larger.

    Args:
        parts: polygons, [P, 2] px each.
        margin: empty pixels around them.

    Returns:
        The coverage, and the point of the polygons' frame where its first pixel begins, [2].
    """
    points = np.concatenate(parts)
    origin = np.floor(points.min(axis=0)) - margin
    size = np.ceil(points.max(axis=0)) + margin - origin
    width, height = (int(side) for side in size)
    canvas = Image.new("L", (width * _SUPERSAMPLING, height * _SUPERSAMPLING))
    pen = ImageDraw.Draw(canvas)
    for part in parts:
        corners = (part - origin) * _SUPERSAMPLING
        pen.polygon([tuple(corner) for corner in corners.tolist()], fill=255)
    coverage = np.asarray(canvas.reduce(_SUPERSAMPLING), np.float32) / np.float32(255)
    return coverage, origin


def _circle(centre: tuple[float, float], radii: tuple[float, float], corners: int) -> Points:
    angles = np.linspace(0, _TURN, corners, endpoint=False)
    return np.stack([np.cos(angles) * radii[0], np.sin(angles) * radii[1]], axis=1) + centre


def _coin(random: Generator) -> list[Points]:
    return [_circle((0, 0), (1, random.uniform(0.6, 1)), corners=40)]


def _star(random: Generator) -> list[Points]:
    spikes = int(random.integers(5, 8))
    radii = np.empty(2 * spikes)
    radii[0::2] = random.uniform(0.8, 1, spikes)
    radii[1::2] = random.uniform(0.28, 0.38)
    angles = np.arange(2 * spikes) / (2 * spikes) * _TURN
    return [np.stack([np.cos(angles) * radii, np.sin(angles) * radii], axis=1)]


def _bolt(random: Generator) -> list[Points]:
    length, half = random.uniform(1.4, 2.2), random.uniform(0.12, 0.17)
    head = _circle((0, 0), (0.42, 0.48), corners=6)
    shaft = np.array(
        [[0, -half], [length - 0.15, -half], [length, 0], [length - 0.15, half], [0, half]]
    )
    return [head, shaft]


def _comet(random: Generator) -> list[Points]:
    length, bend, half = random.uniform(1.4, 2.2), random.uniform(-0.7, 0.7), 0.3
    along = np.linspace(0, 1, 12)
    centre = np.stack([along * length, bend * along**2], axis=1)
    width = half * (1 - along)
    upper, lower = centre.copy(), centre.copy()
    upper[:, 1] -= width
    lower[:, 1] += width
    return [_circle((0, 0), (half, half), corners=24), np.concatenate([upper, lower[::-1]])]


_OUTLINES = {"bolt": _bolt, "coin": _coin, "comet": _comet, "star": _star}
