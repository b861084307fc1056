"""Choose the boxes that the report shows as crops, and say beside each what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from iouaware.images import read_image
from iouaware.reporting.crops import Crop, cut_crop
from iouaware.reporting.facts import Facts
from iouaware.reporting.judging import Judged, Kind, Miss
from iouaware.reporting.numerals import ratio
from iouaware.structures import FloatArray, ImageArray, IntArray

STRIP_LENGTH = 24
GALLERY_LENGTH = 12
SURE = 0.5  # p from which a box counts as sure


@dataclass(frozen=True, slots=True)
class Tile:
    """A crop with its words.

    Attributes:
        crop: the piece of the picture.
        title: class, and what is the matter.
        numbers: (name, value) pairs to read.
        file: name of the picture.
    """

    crop: Crop
    title: str
    numbers: tuple[tuple[str, str], ...]
    file: str

    @property
    def alt(self) -> str:
        """What a screen reader says."""
        return ", ".join([self.title, *(f"{name} {value}" for name, value in self.numbers)])


@dataclass(frozen=True, slots=True)
class Galleries:
    """All crops of the report."""

    strip: tuple[Tile, ...]
    misses: tuple[Tile, ...]
    false_alarms: tuple[Tile, ...]
    loose: tuple[Tile, ...]


def build_galleries(facts: Facts) -> Galleries:
    """Cut all crops; each picture is opened once.

    Raises:
        DatasetError: a picture of the data set is missing or broken.
    """
    strip, alarms, loose = choose_strip(facts), choose_false_alarms(facts), choose_loose(facts)
    misses = choose_misses(facts)
    wanted = [*strip.image, *alarms.image, *loose.image, *(miss.image for miss in misses)]
    # in the order of the pictures each is read once, and only one is held at a time
    tiles: dict[tuple[str, int], Tile] = {}
    for number in sorted({int(image) for image in wanted}):
        picture = read_image(facts.dataset.record(number).path)
        for name, rows in (("strip", strip), ("alarm", alarms), ("loose", loose)):
            for row in np.flatnonzero(rows.image == number).tolist():
                tiles[name, row] = _detection_tile(facts, rows, row, picture)
        for row, miss in enumerate(misses):
            if miss.image == number:
                tiles["miss", row] = _miss_tile(facts, miss, picture)

    def ordered(name: str, count: int) -> tuple[Tile, ...]:
        return tuple(tiles[name, row] for row in range(count))

    return Galleries(
        strip=ordered("strip", len(strip)),
        misses=ordered("miss", len(misses)),
        false_alarms=ordered("alarm", len(alarms)),
        loose=ordered("loose", len(loose)),
    )


def choose_strip(facts: Facts) -> Judged:
    """Take boxes spread evenly over the predicted fit, the best fit first; p without an IoU."""
    shown = facts.shown[facts.shown.kind != Kind.IGNORED]
    order = np.argsort(-_fit(facts, shown), kind="stable")
    return shown[order[_spread(len(order), STRIP_LENGTH)]]


def choose_false_alarms(facts: Facts) -> Judged:
    """Take the false alarms with the highest S; boxes on their own object are not among them."""
    wrong = facts.shown.of_kind(Kind.BACKGROUND, Kind.CONFUSED)
    return wrong[_highest(wrong.scores)]


def choose_loose(facts: Facts) -> Judged:
    """Take the boxes that are sure of their class and fit worst: high p, low true IoU."""
    shown = facts.shown
    touches = np.isin(shown.kind, (Kind.HIT, Kind.LOOSE)) & (shown.class_scores >= SURE)
    sure = shown[touches & (shown.iou < 0.75)]
    return sure[_highest(sure.class_scores - sure.iou)]


def choose_misses(facts: Facts) -> list[Miss]:
    """Take misses of all classes in turn, the largest objects of each class first."""
    size = [_area(facts, miss) for miss in facts.misses]
    order = sorted(range(len(size)), key=lambda n: -size[n])
    turn: dict[int, int] = {}
    keys = []
    for n in order:
        label = facts.misses[n].label
        keys.append((turn.setdefault(label, 0), n))
        turn[label] += 1
    keys.sort(key=lambda key: (key[0], -size[key[1]]))
    return [facts.misses[n] for _, n in keys[:GALLERY_LENGTH]]


def _detection_tile(facts: Facts, rows: Judged, row: int, picture: ImageArray) -> Tile:
    image, truth = int(rows.image[row]), int(rows.truth[row])
    target = facts.dataset.target(image)
    names = facts.info.class_names
    boxes = [("drawn", rows.boxes[row])]
    if truth >= 0:
        boxes.insert(0, ("true", target.boxes[truth]))
    title = names[int(rows.labels[row])]
    if rows.kind[row] == Kind.CONFUSED:
        title += f", in truth {names[int(target.labels[truth])]}"
    elif rows.kind[row] == Kind.BACKGROUND:
        near = truth >= 0
        title += (
            f", partly on {names[int(target.labels[truth])]}" if near else ", on nothing marked"
        )
    elif rows.kind[row] == Kind.DUPLICATE:
        title += ", a second box"
    return Tile(
        cut_crop(picture, boxes), title, _numbers(rows, row), facts.dataset.file_name(image)
    )


def _numbers(rows: Judged, row: int) -> tuple[tuple[str, str], ...]:
    predicted = float(rows.predicted_iou[row])
    return (
        *(() if np.isnan(predicted) else (("predicted IoU", ratio(predicted)),)),
        ("true IoU", ratio(float(rows.iou[row]))),
        ("p", ratio(float(rows.class_scores[row]))),
        ("S", ratio(float(rows.scores[row]))),
    )


def _miss_tile(facts: Facts, miss: Miss, picture: ImageArray) -> Tile:
    box = facts.dataset.target(miss.image).boxes[miss.truth]
    boxes = [("true", box)]
    said = "nothing drawn here"
    numbers: tuple[tuple[str, str], ...] = ()
    if miss.nearest >= 0 and miss.overlap >= 0.1:
        boxes.append(("drawn", facts.shown.boxes[miss.nearest]))
        said = _say_nearest(facts, miss)
        numbers = (("nearest box's IoU", ratio(miss.overlap)),)
    width, height = box[2] - box[0], box[3] - box[1]
    size = ("size", f"{width:.0f} × {height:.0f} px")
    return Tile(
        cut_crop(picture, boxes),
        f"{facts.info.class_names[miss.label]}, {said}",
        (size, *numbers),
        facts.dataset.file_name(miss.image),
    )


def _say_nearest(facts: Facts, miss: Miss) -> str:
    """Say what the box nearest to a missed object is; it may lie on the object beside."""
    label = int(facts.shown.labels[miss.nearest])
    if label == miss.label:
        return "no box of its own fits"
    name = facts.info.class_names[label]
    confused = facts.shown.kind[miss.nearest] == Kind.CONFUSED
    if confused and facts.shown.truth[miss.nearest] == miss.truth:
        return f"called {name}"
    return f"the nearest box says {name}"


def _fit(facts: Facts, shown: Judged) -> FloatArray:
    return shown.predicted_iou if facts.info.has_iou else shown.class_scores


def _spread(available: int, wanted: int) -> IntArray:
    """Return at most ``wanted`` places spread evenly over a range, both ends among them."""
    return np.linspace(0, available - 1, min(available, wanted)).round().astype(np.int64)


def _highest(values: FloatArray | Sequence[float]) -> IntArray:
    return np.argsort(-np.asarray(values), kind="stable")[:GALLERY_LENGTH].astype(np.int64)


def _area(facts: Facts, miss: Miss) -> float:
    x1, y1, x2, y2 = facts.dataset.target(miss.image).boxes[miss.truth]
    return float((x2 - x1) * (y2 - y1))
