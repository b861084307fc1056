from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from iouaware.reporting.crops import cut_crop, shrink


def _pixels(source: str) -> np.ndarray:
    kind, data = source.split(",", 1)
    assert kind == "data:image/jpeg;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def test_overlays_lie_on_what_they_frame() -> None:
    image = np.zeros((200, 200, 3), np.uint8)
    image[80:120, 60:100] = 255  # a white square
    crop = cut_crop(image, [("drawn", [60, 80, 100, 120])], size=128)
    # side 40 * 1.6 = 64 px around the centre (80, 100): from (48, 68), enlarged twice
    (box,) = crop.overlays
    assert (box.role, box.x, box.y, box.width, box.height) == ("drawn", 24, 24, 80, 80)
    pixels = _pixels(crop.source)
    assert pixels.shape == (128, 128, 3)
    assert pixels[30:98, 30:98].min() > 240
    assert pixels[:16].max() < 15


def test_a_crop_at_the_border_stays_inside() -> None:
    image = np.full((100, 300, 3), 200, np.uint8)
    crop = cut_crop(image, [("true", [0, 0, 20, 20])], size=64)
    assert crop.overlays[0].x == 0
    assert crop.overlays[0].y == 0
    assert _pixels(crop.source).min() > 150  # no black rim


def test_a_box_as_large_as_its_picture_is_padded() -> None:
    image = np.full((50, 100, 3), 200, np.uint8)
    crop = cut_crop(image, [("drawn", [0, 0, 100, 50])], size=80)
    # side 160 px, half size: the picture lies in the middle, black around it
    (box,) = crop.overlays
    assert (box.x, box.width, box.height) == (15, 50, 25)
    assert _pixels(crop.source)[0].max() < 15


def test_two_boxes_are_both_seen() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    crop = cut_crop(image, [("true", [10, 10, 30, 30]), ("drawn", [40, 40, 60, 60])])
    for box in crop.overlays:
        assert 0 <= box.x < box.x + box.width <= crop.size
        assert 0 <= box.y < box.y + box.height <= crop.size


def test_pictures_are_shrunk_and_never_enlarged() -> None:
    assert shrink(np.zeros((600, 1200, 3), np.uint8), 480).size == (480, 240)
    assert shrink(np.zeros((60, 120, 3), np.uint8), 480).size == (120, 60)
