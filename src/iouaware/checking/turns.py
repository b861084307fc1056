"""Pictures that their EXIF tag turns: were the boxes drawn before the turn or after?

Where the annotations give the picture's size, that tells. Else the edges in the pictures do: the
borders of boxes lie on edges more often than the borders of the same boxes turned away. One
picture alone deceives in one case of ten, so it takes several to decide.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from iouaware.checking.findings import Finding, find
from iouaware.data.examination import StoredPicture
from iouaware.data.examining import ExaminedSet
from iouaware.errors import DatasetError
from iouaware.images import read_image
from iouaware.structures import FloatArray

_LONG_SIDE = 320  # px at which edges are looked at
_SMALLEST = 6.0  # shorter sides say nothing at that size, px
_NEAR = 3  # an edge this many px off counts as the box's
_LOOKED_AT = 60
# what it takes to decide: so many pictures, and a mean so many standard errors from none
_ENOUGH_PICTURES, _ENOUGH_ERRORS = 5, 2.5


@dataclass(frozen=True)
class _Turned:
    split: str
    index: int
    stored: StoredPicture


def find_turned(examined: ExaminedSet) -> list[Finding]:
    """Return a finding for each picture with an EXIF turn that is not told while reading."""
    found, unclear = [], []
    for turned in _list_turned(examined):
        width, height = turned.stored.shown_wh
        if turned.stored.declared_wh is None or turned.stored.stored_wh == (width, height):
            unclear.append(turned)
        else:
            why = f"the annotations say {width} x {height}, after the turn"
            found.append(_tell(examined, turned, "turn-followed", why))
    evidence = [
        value
        for turned in unclear[:: max(1, -(-len(unclear) // _LOOKED_AT))]
        if (value := _compare_edges(examined, turned)) is not None
    ]
    kind, why = _decide(evidence)
    return found + [_tell(examined, turned, kind, why) for turned in unclear]


def turn_boxes(boxes: FloatArray, stored_wh: tuple[float, float], orientation: int) -> FloatArray:
    """Turn boxes with their picture, [N, 4] px as stored -> [N, 4] px as shown.

    Args:
        boxes: x1 y1 x2 y2.
        stored_wh: (width, height) px of the picture before its turn.
        orientation: EXIF's, 1 to 8.
    """
    x, y = boxes[:, 0::2], boxes[:, 1::2]  # [N, 2] each
    width, height = stored_wh
    from_right, from_bottom = width - x[:, ::-1], height - y[:, ::-1]
    new_x, new_y = {
        1: (x, y),
        2: (from_right, y),
        3: (from_right, from_bottom),
        4: (x, from_bottom),
        5: (y, x),
        6: (from_bottom, x),
        7: (from_bottom, from_right),
        8: (y, from_right),
    }[orientation]
    return np.stack([new_x[:, 0], new_y[:, 0], new_x[:, 1], new_y[:, 1]], axis=1)


def _list_turned(examined: ExaminedSet) -> Iterator[_Turned]:
    for split, part in examined.parts.items():
        for index in range(len(part.dataset)) if part.examination.stored else ():
            stored = part.examination.stored.get(part.dataset.record(index).path)
            if stored is None or stored.orientation == 1:
                continue
            if stored.declared_wh in (None, stored.shown_wh):  # else told while reading
                yield _Turned(split, index, stored)


def _tell(examined: ExaminedSet, turned: _Turned, kind: str, why: str) -> Finding:
    message = f"EXIF orientation {turned.stored.orientation} turns the picture; {why}"
    file = examined.parts[turned.split].dataset.file_name(turned.index)
    return find(kind, message, split=turned.split, file=file)


def _decide(evidence: Sequence[float]) -> tuple[str, str]:
    """Return the kind of finding and the reason, from log ratios that are positive for after."""
    values = np.array(evidence)
    if len(values) >= _ENOUGH_PICTURES:
        error = max(float(values.std(ddof=1)), 1e-6) / np.sqrt(len(values))
        if abs(values.mean()) >= _ENOUGH_ERRORS * error:
            after = values.mean() > 0
            count = int((values > 0).sum() if after else (values < 0).sum())
            word = "after" if after else "before"
            why = f"in {count} of {len(values)} such pictures edges fit boxes drawn {word} the turn"
            return ("turn-followed" if after else "drawn-before-turn"), why
    return "turned-picture", "whether its boxes were drawn before or after cannot be told"


def _compare_edges(examined: ExaminedSet, turned: _Turned) -> float | None:
    """Return how much better edges fit the boxes as they are than turned: a log ratio.

    None where the picture cannot be read or has no box to go by.
    """
    dataset = examined.parts[turned.split].dataset
    target = dataset.target(turned.index)
    try:
        image = Image.fromarray(read_image(dataset.record(turned.index).path)).convert("L")
    except DatasetError:
        return None
    scale = min(1.0, _LONG_SIDE / max(image.size))
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    grey = np.asarray(image.resize(size, Image.Resampling.BOX), np.float32)
    shares = target.boxes[~target.ignored] / np.tile(dataset.image_wh[turned.index], 2)
    as_they_are, if_turned = (
        _border_contrast(grey, boxes * np.tile(np.array(size), 2))
        for boxes in (shares, turn_boxes(shares, (1.0, 1.0), turned.stored.orientation))
    )
    if as_they_are is None or if_turned is None:
        return None
    return float(np.log((as_they_are + 0.01) / (if_turned + 0.01)))


def _border_contrast(grey: NDArray[np.float32], boxes: NDArray[np.floating]) -> float | None:
    """Return the mean step across the borders of boxes beside that of the picture.

    Args:
        grey: [H, W].
        boxes: [N, 4] px.
    """
    height, width = grey.shape
    steps = (np.abs(np.diff(grey, axis=1)), np.abs(np.diff(grey, axis=0)).T)  # across x, across y
    found = []
    for box in boxes:
        x1, y1, x2, y2 = (round(float(value)) for value in box)
        if min(x2 - x1, y2 - y1) < _SMALLEST:
            continue
        for step, along, borders, end in (
            (steps[0], slice(y1, y2), (x1, x2), width),
            (steps[1], slice(x1, x2), (y1, y2), height),
        ):
            for border in borders:
                if _NEAR < border < end - _NEAR:  # the picture's own border is no edge
                    near = step[along, border - _NEAR : border + _NEAR].mean(axis=0)
                    found.append(float(near.max() / (step.mean() + 1)))
    return float(np.mean(found)) if found else None
