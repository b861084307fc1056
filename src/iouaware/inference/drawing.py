"""Pictures with boxes: detections with their three numbers, true boxes, sheets of pictures."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from iouaware.structures import FloatArray, ImageArray, IntArray, Target

Colour = tuple[int, int, int]
Rectangle = tuple[float, float, float, float]

# smaller pictures are enlarged before drawing, crowded ones more: numbers need some room
SMALLEST_LONG_SIDE = 640
CROWDED_LONG_SIDE = 1280
CROWDED = 12
IGNORED_COLOUR = (150, 150, 150)


def class_colour(label: int) -> Colour:
    """Return the colour of a class, the same everywhere; neighbouring labels differ clearly."""
    hue = (0.58 + label * 0.618034) % 1  # steps of the golden ratio never come back close
    saturation, value = ((0.85, 0.95), (0.6, 0.8), (1.0, 0.65))[label // 7 % 3]
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def draw_detections(
    image: ImageArray,
    boxes: FloatArray,
    names: Sequence[str] | NDArray[np.str_],
    scores: FloatArray,
    class_scores: FloatArray,
    predicted_iou: FloatArray | None,
    labels: IntArray,
) -> Image.Image:
    """Draw boxes with name, S, p and predicted IoU.

    Args:
        image: [H, W, 3] uint8 RGB; enlarged where its longer side is short.
        boxes: [D, 4] px of the image, by falling score.
        names: D class names.
        scores: S, [D].
        class_scores: p, [D].
        predicted_iou: [D] or None.
        labels: [D], choose the colours.
    """
    crowded = len(boxes) > CROWDED
    canvas, scale = _enlarge(image, CROWDED_LONG_SIDE if crowded else SMALLEST_LONG_SIDE)
    texts = []
    for row in range(len(boxes)):
        numbers = f"{names[row]}  S {scores[row]:.2f}\np {class_scores[row]:.2f}"
        if predicted_iou is not None:
            numbers += f"  IoU {predicted_iou[row]:.2f}"
        texts.append(numbers)
    colours = [class_colour(int(label)) for label in labels]
    _draw_boxes(canvas, boxes * scale, texts, colours, max(canvas.size) / (100 if crowded else 60))
    return canvas


def draw_targets(image: ImageArray, target: Target, class_names: Sequence[str]) -> Image.Image:
    """Draw the true boxes with their names; ignored ones (crowds, difficult) in grey.

    Args:
        image: [H, W, 3] uint8 RGB; enlarged where its longer side is short.
        target: in px of the image.
        class_names: K names.
    """
    canvas, scale = _enlarge(image, SMALLEST_LONG_SIDE)
    texts, colours = [], []
    for label, ignored in zip(target.labels, target.ignored, strict=True):
        texts.append(class_names[label] + (" (ignored)" if ignored else ""))
        colours.append(IGNORED_COLOUR if ignored else class_colour(int(label)))
    # larger letters: these pictures end up in contact sheets
    _draw_boxes(canvas, target.boxes * scale, texts, colours, max(canvas.size) / 45)
    return canvas


def contact_sheet(
    images: Sequence[Image.Image | ImageArray],
    columns: int | None = None,
    tile_wh: tuple[int, int] = (480, 480),
    captions: Sequence[str] | None = None,
) -> Image.Image:
    """Put pictures side by side, each shrunk or enlarged into a tile of its own.

    Args:
        images: any sizes.
        columns: tiles a row; None makes the sheet about square.
        tile_wh: (width, height) px.
        captions: a line under each picture.

    Raises:
        ValueError: no images, or captions of another number.
    """
    if not len(images):
        raise ValueError("a contact sheet needs at least one image, found none")
    if captions is not None and len(captions) != len(images):
        raise ValueError(f"found {len(captions)} captions, expected {len(images)}, one an image")
    columns = min(columns or math.ceil(math.sqrt(len(images))), len(images))
    gap, line = 8, 22 if captions is not None else 0
    step_x, step_y = tile_wh[0] + gap, tile_wh[1] + line + gap
    rows = math.ceil(len(images) / columns)
    sheet = Image.new("RGB", (columns * step_x + gap, rows * step_y + gap), (245, 245, 245))
    pen = ImageDraw.Draw(sheet)
    for index, image in enumerate(images):
        picture = Image.fromarray(image) if isinstance(image, np.ndarray) else image
        scale = min(tile_wh[0] / picture.width, tile_wh[1] / picture.height)
        size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
        left = gap + index % columns * step_x + (tile_wh[0] - size[0]) // 2
        top = gap + index // columns * step_y + (tile_wh[1] - size[1]) // 2
        sheet.paste(picture.convert("RGB").resize(size, Image.Resampling.LANCZOS), (left, top))
        if captions is not None:
            place = gap + index % columns * step_x, gap + index // columns * step_y + tile_wh[1] + 3
            pen.text(place, _shorten(captions[index], tile_wh[0], 14), (40, 40, 40), _font(14))
    return sheet


def _enlarge(image: ImageArray, long_side: int) -> tuple[Image.Image, float]:
    """Return a picture to draw on, not shorter than this, and its px per px of the image."""
    picture = Image.fromarray(np.ascontiguousarray(image))
    scale = max(1.0, long_side / max(picture.size))
    if scale > 1:
        size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    return picture, scale


def _draw_boxes(
    canvas: Image.Image,
    boxes: FloatArray,
    texts: Sequence[str],
    colours: Sequence[Colour],
    font_px: float,
) -> None:
    """Draw boxes and their labels into a picture, the first of the list on top."""
    pen = ImageDraw.Draw(canvas)
    line = max(2, round(max(canvas.size) / 400))
    size = max(12, round(font_px))
    rows = range(len(boxes) - 1, -1, -1)
    for row in rows:
        x1, y1, x2, y2 = (float(value) for value in boxes[row])
        pen.rectangle((x1, y1, max(x1, x2), max(y1, y2)), outline=colours[row], width=line)
    taken: list[Rectangle] = []
    places = []
    for row in range(len(boxes)):  # the best box chooses its place first
        left, top, right, bottom = pen.multiline_textbbox((0, 0), texts[row], _font(size))
        label_wh = right - left + size / 2, bottom - top + size / 2
        place = _place_label(boxes[row], label_wh, canvas.size, taken)
        taken.append(place)
        places.append((place, (place[0] + size / 4 - left, place[1] + size / 4 - top)))
    for row in rows:
        place, text_xy = places[row]
        pen.rectangle(place, fill=colours[row])
        pen.multiline_text(text_xy, texts[row], _ink(colours[row]), _font(size))


def _place_label(
    box: FloatArray,
    label_wh: tuple[float, float],
    canvas_wh: tuple[int, int],
    taken: Sequence[Rectangle],
) -> Rectangle:
    """Find room for a label: above its box, below, beside, or inside; where least is covered."""
    x1, y1, x2, y2 = (float(value) for value in box)
    width, height = label_wh
    wishes = [
        (x1, y1 - height),
        (x1, y2),
        (x2 - width, y1 - height),
        (x2 - width, y2),
        (x2, y1),
        (x1 - width, y1),
        (x2, y2 - height),
        (x1 - width, y2 - height),
        (x1, y1),
    ]
    best, best_cost = (x1, y1, x1 + width, y1 + height), math.inf
    for rank, (x, y) in enumerate(wishes):
        left = min(max(x, 0.0), max(canvas_wh[0] - width, 0.0))
        top = min(max(y, 0.0), max(canvas_wh[1] - height, 0.0))
        place = left, top, left + width, top + height
        moved = abs(left - x) + abs(top - y)
        cost = sum(_overlap(place, other) for other in taken) + moved * height + rank
        if cost < best_cost:
            best, best_cost = place, cost
    return best


def _overlap(first: Rectangle, second: Rectangle) -> float:
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    return max(0.0, width) * max(0.0, height)


def _ink(background: Colour) -> Colour:
    """Return black or white, whichever reads better on a colour."""
    red, green, blue = background
    return (0, 0, 0) if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else (255, 255, 255)


def _shorten(text: str, width: int, size: int) -> str:
    """Cut the front of a text until it fits into a width."""
    font = _font(size)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength("..." + text) > width:
        text = text[1:]
    return "..." + text


@lru_cache(maxsize=16)
def _font(size: int) -> Any:
    """Return Pillow's own font at a size."""
    return ImageFont.load_default(size)
