"""YOLO text: one line a box, ``class x_center y_center width height`` in fractions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from iouaware.data.classes import ClassList
from iouaware.data.dataset import Dataset, DatasetBuilder
from iouaware.data.examination import Examination, noting
from iouaware.data.files import read_lines
from iouaware.data.mending import POLYGON, WRONG_FORM, Mended
from iouaware.data.numbers import parse_number
from iouaware.data.pictures import read_shown_sizes
from iouaware.errors import DatasetError, shown

_FIELDS = ("x_center", "y_center", "width", "height")
# beyond 0..1 by this much is a slip at the border and clipped; more is no fraction
_SLACK = 0.05
_Box = tuple[float, float, float, float]


def read_yolo(
    pictures: Sequence[tuple[Path, Path | None]],
    classes: ClassList,
    *,
    root: Path,
    split: str,
    keypoints: int = 0,
    strict: bool = False,
    examination: Examination | None = None,
) -> Dataset:
    """Read pictures with their text files.

    A polygon (``class x1 y1 x2 y2 x3 y3 ...``) becomes the box around it.

    Args:
        pictures: each with its text file, None where it has none and is empty.
        classes: names, and ids as the text files write them.
        root: file names of the result are relative to it.
        split: name of the split.
        keypoints: how many values of key points follow each box; they are passed over, and no
            line is a polygon.
        strict: whether a repair is an error.
        examination: notes what would be raised, where the data are examined.

    Raises:
        DatasetError: a line cannot be used, or a picture is missing or broken.
    """
    builder = DatasetBuilder(
        "yolo", root, split, classes.names, classes.ids, strict, "cxcywh", examination
    )
    label_of_id = {id_: label for label, id_ in enumerate(classes.ids)}
    sizes = read_shown_sizes([path for path, _ in pictures], None, examination)
    for (path, text), size in zip(pictures, sizes, strict=True):
        boxes, labels, places = [], [], []
        lines = None
        with noting(examination, "unreadable-file", path, text or ""):
            lines = [] if text is None else read_lines(text)
        if size is None or lines is None:
            continue
        width, height = size
        file = builder.relative(path)
        for number, line in enumerate(lines, 1):
            if not line.split():
                continue
            place = f"{text} line {number}"
            with noting(examination, "unreadable-box", path, place):
                id_, values = _read_values(line.split(), place, keypoints)
                if examination is not None and _look_like_pixels(values):
                    message = f"{place}: {_FIELDS[0]} is {values[0]:g}, {_outside(values)}"
                    examination.note(WRONG_FORM, str(path), message, place)
                    values = [value / size[n % 2] for n, value in enumerate(values)]
                x1, y1, x2, y2 = _to_corners(values, place, builder.mended, file)
                with noting(examination, "unknown-class", path, place):
                    labels.append(_label(id_, label_of_id, classes, place))
                    boxes.append((x1 * width, y1 * height, x2 * width, y2 * height))
                    places.append(place)
        builder.add_image(path, width, height, boxes, labels, where=places.__getitem__)
    return builder.build()


def _label(id_: int, label_of_id: dict[int, int], classes: ClassList, place: str) -> int:
    if id_ not in label_of_id:
        raise DatasetError(f"{place}: unknown class {id_}, {_expected(classes, id_)}")
    return label_of_id[id_]


def _read_values(fields: list[str], where: str, keypoints: int) -> tuple[int, list[float]]:
    """Return the class id, and the four values of a box or the coordinates of a polygon."""
    numbers = [_read_number(field, where) for field in fields]
    if not numbers[0].is_integer():
        raise DatasetError(f"{where}: the class is {fields[0][:200]}, expected a whole number")
    values = numbers[1:]
    if not _has_form(values, keypoints):
        if keypoints:
            expected = (
                f"{5 + keypoints} (class {' '.join(_FIELDS)}, and {keypoints} for the key points "
                "of kpt_shape), or 5"
            )
        else:
            expected = f"5 (class {' '.join(_FIELDS)}), or a class and the points of a polygon"
        hint = "; is the last one a confidence? take it out"
        raise DatasetError(
            f"{where}: found {len(fields)} values, expected {expected}"
            f"{hint if _has_form(values[:-1], keypoints) else ''}"
        )
    return int(numbers[0]), values[:4] if keypoints else values


def _has_form(values: list[float], keypoints: int) -> bool:
    """Tell whether so many values, without the class, are a box, with key points or a polygon."""
    if keypoints:
        return len(values) in (4, 4 + keypoints)
    return len(values) == 4 or _is_polygon(values)


def _is_polygon(values: list[float]) -> bool:
    return len(values) >= 6 and len(values) % 2 == 0


def _to_corners(values: list[float], where: str, mended: Mended, file: str) -> _Box:
    """Return the box, x1 y1 x2 y2 in fractions of the picture."""
    is_polygon = _is_polygon(values)
    for position, value in enumerate(values):
        if not -_SLACK <= value <= 1 + _SLACK:
            name = f"value {position + 2}" if is_polygon else _FIELDS[position]
            raise DatasetError(f"{where}: {name} is {value:g}, {_outside(values)}")
    if is_polygon:
        mended.add(POLYGON, file, where)
        xs, ys = values[0::2], values[1::2]
        return min(xs), min(ys), max(xs), max(ys)
    x, y, width, height = values
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _read_number(text: str, where: str) -> float:
    value = parse_number(text)
    if value is None:
        hint = "; found commas, expected spaces between numbers and points inside them"
        raise DatasetError(f"{where}: {shown(text)} is no number{hint if ',' in text else ''}")
    return value


def _look_like_pixels(values: list[float]) -> bool:
    return sum(value > 2 for value in values) >= 2


def _outside(values: list[float]) -> str:
    if _look_like_pixels(values):
        return (
            "expected 0..1: these look like pixels; YOLO boxes are fractions of the picture, "
            "divide x and width by its width, y and height by its height"
        )
    return "expected 0..1 (YOLO boxes are fractions of the picture)"


def _expected(classes: ClassList, id_: int) -> str:
    known = f"{min(classes.ids)} to {max(classes.ids)}"
    hint = "; do the files count from 1?" if id_ == len(classes.ids) else ""
    return f"expected one of the {len(classes.ids)} named classes, {known}{hint}"
