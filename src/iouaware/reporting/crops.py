"""Cut pieces out of pictures and pack them into the page, boxes drawn over them as vectors."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from iouaware.structures import FloatArray, ImageArray

CROP_PX = 168
JPEG_QUALITY = 80


@dataclass(frozen=True, slots=True)
class Overlay:
    """A box drawn over a crop.

    Attributes:
        role: ``drawn`` or ``true``; decides colour and width.
        x: left, crop px.
        y: top, crop px.
        width: crop px.
        height: crop px.
    """

    role: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Crop:
    """A square piece of a picture.

    Attributes:
        source: the pixels as a data URI.
        size: of the square, px.
        overlays: boxes on it.
    """

    source: str
    size: int
    overlays: tuple[Overlay, ...]


def encode_jpeg(image: Image.Image) -> str:
    """Pack a picture into a data URI."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def shrink(image: ImageArray, longest: int) -> Image.Image:
    """Shrink a picture until its longer side has at most ``longest`` px; never enlarge."""
    picture = Image.fromarray(image)
    picture.thumbnail((longest, longest), Image.Resampling.BICUBIC)
    return picture


def cut_crop(
    image: ImageArray, boxes: Sequence[tuple[str, ArrayLike]], size: int = CROP_PX
) -> Crop:
    """Cut the square around some boxes, with a margin, and scale it to one size.

    Args:
        image: [H, W, 3].
        boxes: (role, box in px of the picture); at least one.
        size: of the crop, px.
    """
    corners = np.array([np.asarray(box, np.float64) for _, box in boxes])  # [N, 4]
    left, top, side = _square_around(corners, image.shape[0], image.shape[1])
    scale = size / side
    # what lies outside the picture comes out black
    piece = Image.fromarray(image).crop((left, top, left + side, top + side))
    piece = piece.resize((size, size), Image.Resampling.BICUBIC)
    overlays = tuple(
        Overlay(role, *_rectangle((box - [left, top, left, top]) * scale))
        for (role, _), box in zip(boxes, corners, strict=True)
    )
    return Crop(encode_jpeg(piece), size, overlays)


def _square_around(
    corners: np.ndarray[tuple[int, int], np.dtype[np.float64]], height: int, width: int
) -> tuple[int, int, int]:
    """Return left, top and side, px: the boxes with a margin of a third, inside where it fits."""
    low, high = corners[:, :2].min(0), corners[:, 2:].max(0)
    side = max(int(np.ceil((high - low).max() * 1.6)), 24)
    centre = (low + high) / 2
    left, top = np.floor(centre - side / 2).astype(int)
    left = int(np.clip(left, min(0, (width - side) // 2), max(width - side, (width - side) // 2)))
    top = int(np.clip(top, min(0, (height - side) // 2), max(height - side, (height - side) // 2)))
    return left, top, side


def _rectangle(box: FloatArray) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (round(float(value), 1) for value in box)
    return x1, y1, round(x2 - x1, 1), round(y2 - y1, 1)
