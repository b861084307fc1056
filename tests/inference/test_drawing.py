import numpy as np
import pytest
from PIL import Image, ImageDraw

from iouaware.inference.drawing import (
    IGNORED_COLOUR,
    class_colour,
    contact_sheet,
    draw_detections,
    draw_targets,
)
from iouaware.structures import FloatArray, ImageArray, Target


def grey(height: int, width: int) -> ImageArray:
    return np.full((height, width, 3), 90, np.uint8)


def draw(
    image: ImageArray, boxes: list[list[float]], predicted_iou: FloatArray | None
) -> Image.Image:
    count = len(boxes)
    scores = np.linspace(0.9, 0.4, count, dtype=np.float32)
    return draw_detections(
        image,
        np.array(boxes, np.float32).reshape(-1, 4),
        ["bolt"] * count,
        scores,
        scores,
        predicted_iou,
        np.zeros(count, np.int64),
    )


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collects what is written into pictures."""
    texts: list[str] = []
    original = ImageDraw.ImageDraw.multiline_text

    def record(pen, xy, text, *rest, **options) -> None:
        texts.append(text)
        original(pen, xy, text, *rest, **options)

    monkeypatch.setattr(ImageDraw.ImageDraw, "multiline_text", record)
    return texts


def test_each_box_carries_its_three_numbers(written: list[str]) -> None:
    boxes, one = np.array([[10, 10, 50, 50]], np.float32), np.array([0.5], np.float32)
    image = grey(100, 100)
    label = np.array([0])
    draw_detections(image, boxes, ["bolt"], one, one + 0.25, one + 0.125, label)
    draw_detections(image, boxes, ["bolt"], one, one, None, label)
    assert written == ["bolt  S 0.50\np 0.75  IoU 0.62", "bolt  S 0.50\np 0.50"]


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(48, 64, (640, 480)), (7, 2000, (2000, 7)), (900, 1200, (1200, 900)), (1, 1, (640, 640))],
)
def test_small_pictures_are_enlarged_and_large_ones_kept(
    height: int, width: int, expected: tuple[int, int]
) -> None:
    iou = np.ones(1, np.float32)
    assert draw(grey(height, width), [[0, 0, width, height]], iou).size == expected
    assert draw(grey(height, width), [], iou[:0]).size == expected


def test_crowded_pictures_get_more_room() -> None:
    boxes = [[0.0, 0.0, 64.0, 48.0]] * 13
    assert draw(grey(48, 64), boxes[:12], None).size == (640, 480)
    assert draw(grey(48, 64), boxes, None).size == (1280, 960)


def test_box_lies_where_it_should() -> None:
    # 64 x 48 px is enlarged ten times; the label goes above, so the left side is free
    drawn = np.asarray(draw(grey(48, 64), [[20, 20, 40, 40]], None))
    assert drawn[350, 200].tolist() == list(class_colour(0))
    assert drawn[350, 190].tolist() == drawn[350, 300].tolist() == [90, 90, 90]


def test_labels_of_boxes_in_one_place_do_not_cover_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    filled: list[tuple[float, float, float, float]] = []
    original = ImageDraw.ImageDraw.rectangle

    def record(pen, xy, fill=None, **options) -> None:
        if fill is not None:
            filled.append(xy)
        original(pen, xy, fill=fill, **options)

    monkeypatch.setattr(ImageDraw.ImageDraw, "rectangle", record)
    draw(grey(640, 640), [[200, 200, 420, 420]] * 4, None)
    assert len(filled) == 4
    for first in range(4):
        for second in range(first):
            a, b = filled[first], filled[second]
            apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
            assert apart, (a, b)


def test_boxes_at_the_border_keep_their_labels_inside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    places: list[tuple[float, float]] = []
    monkeypatch.setattr(
        ImageDraw.ImageDraw, "multiline_text", lambda pen, xy, *rest: places.append(xy)
    )
    draw(grey(640, 640), [[0, 0, 640, 640], [635, 0, 640, 5], [635, 635, 640, 640]], None)
    assert all(0 <= x < 600 and -5 <= y < 630 for x, y in places)


def test_targets_and_ignored_ones() -> None:
    target = Target(
        np.array([[10, 20, 40, 44], [5, 2, 15, 12]], np.float32),
        np.array([1, 0]),
        np.array([False, True]),
        np.ones(2, np.float32),
    )
    drawn = np.asarray(draw_targets(grey(48, 64), target, ["bolt", "nut"]))
    assert drawn[400, 100].tolist() == list(class_colour(1))
    assert drawn[110, 50].tolist() == list(IGNORED_COLOUR)
    assert draw_targets(grey(48, 64), Target.empty(), []).size == (640, 480)


def test_colours_of_the_first_classes_differ() -> None:
    colours = np.array([class_colour(label) for label in range(21)], int)
    distance = np.abs(colours[:, None] - colours[None]).sum(axis=2) + 1000 * np.eye(21, dtype=int)
    assert distance.min() > 30


def test_contact_sheet() -> None:
    red = Image.new("RGB", (400, 200), (255, 0, 0))
    sheet = contact_sheet([red, grey(50, 50), red], columns=2, tile_wh=(100, 100))
    # two tiles of 100 px and three gaps of 8 px, both ways
    assert sheet.size == (224, 224)
    pixels = np.asarray(sheet)
    assert pixels[58, 58].tolist() == [255, 0, 0]  # middle of the first tile
    assert pixels[20, 58].tolist() == [245, 245, 245]  # above: half as high as wide
    assert pixels[58, 166].tolist() == [90, 90, 90]
    assert pixels[166, 166].tolist() == [245, 245, 245]  # no fourth picture
    captioned = contact_sheet([red], tile_wh=(100, 100), captions=["a rather long name.jpg"])
    assert captioned.size == (116, 138)


def test_contact_sheet_refuses_nothing_and_wrong_captions() -> None:
    with pytest.raises(ValueError, match="at least one image"):
        contact_sheet([])
    with pytest.raises(ValueError, match="found 2 captions, expected 1"):
        contact_sheet([grey(5, 5)], captions=["a", "b"])
