"""What is put right while reading annotations, and how that is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from iouaware.data.examination import Examination, noting
from iouaware.errors import DatasetError
from iouaware.structures import BoolArray

_FLOATS = NDArray[np.float64]
# the kinds of repair to boxes, as they are counted
NO_AREA = "boxes without area dropped"
OUTSIDE = "boxes outside their picture dropped"
STUCK_OUT = "boxes that stuck out clipped"
NO_AREA_GIVEN = "missing areas filled in"
NO_CROWD_GIVEN = "missing iscrowd read as 0"
ROTATED = "rotated boxes replaced by the box around them"
FROM_ZERO = "boxes from 0, where VOC counts from 1, begun at 1"
POLYGON = "polygons read as the boxes around them"
# what no repair can help
NOT_FINITE = "box-no-number"
WRONG_FORM = "wrong-form"
UNKNOWN_FORM = "unknown-form"
_NAMED_FILES = 3
# text files round: an edge this far outside is not worth a word, px
_ROUNDING = 0.01
# a set is refused where at least this share of its boxes does not fit, and another form would
_SUSPICIOUS_SHARE = 0.2
_FORM_NAMES = {
    "xyxy": "[x1, y1, x2, y2]",
    "xywh": "[x, y, width, height]",
    "cxcywh": "[x_center, y_center, width, height]",
}


@dataclass
class Mended:
    """Counts of each kind of repair, with the first files it was made in.

    Attributes:
        counts: kind, a phrase such as ``boxes without area dropped`` -> how often.
        files: kind -> the first few pictures, one more than are told.
        strict: whether a repair is an error instead.
        examination: also takes note of each repair, where data are examined.
    """

    counts: dict[str, int] = field(default_factory=dict)
    files: dict[str, list[str]] = field(default_factory=dict)
    strict: bool = False
    examination: Examination | None = None

    def add(
        self,
        kind: str,
        file: str,
        place: str = "",
        box: tuple[float, float, float, float] | None = None,
    ) -> None:
        """Note a repair.

        Args:
            kind: a phrase that stands before the count.
            file: the picture that it was made in, relative to the data set.
            place: names file and annotation, for ``strict``; the file where left out.
            box: x1 y1 x2 y2 px as read, where the repair is one to a box.

        Raises:
            DatasetError: the data are read strictly.
        """
        if self.strict:
            found = f", box {_as_text(box)}" if box else ""
            raise DatasetError(f"{place or file}{found}: {kind} (an error because of --strict)")
        if self.examination is not None:
            self.examination.note(kind, file, kind, place, box)
        self.counts[kind] = self.counts.get(kind, 0) + 1
        files = self.files.setdefault(kind, [])
        if len(files) <= _NAMED_FILES and file not in files:
            files.append(file)

    def merged(self, other: Mended) -> Mended:
        """Return the repairs of two parts together."""
        both = Mended(dict(self.counts), {k: list(v) for k, v in self.files.items()}, self.strict)
        for kind, count in other.counts.items():
            both.counts[kind] = both.counts.get(kind, 0) + count
            names = both.files.get(kind, []) + other.files[kind]
            both.files[kind] = list(dict.fromkeys(names))[: _NAMED_FILES + 1]
        return both

    def summary(self) -> str:
        """Return one line with counts and first file names, or an empty text."""
        parts = []
        for kind, count in self.counts.items():
            names = ", ".join(self.files[kind][:_NAMED_FILES])
            more = ", ..." if len(self.files[kind]) > _NAMED_FILES else ""
            parts.append(f"{kind}: {count:,} ({names}{more})")
        return "; ".join(parts)


@dataclass(frozen=True)
class WrongForm:
    """What boxes that do not fit their pictures look like.

    Attributes:
        message: for the user, without the place.
        first_row: the first box that does not fit.
        looks_like: the form that would fit, ``fractions`` too; None where none does.
    """

    message: str
    first_row: int
    looks_like: str | None = None


def mend_boxes(
    boxes: _FLOATS,
    areas: _FLOATS,
    box_wh: _FLOATS,
    name: Callable[[int], tuple[str, str]],
    mended: Mended,
) -> tuple[_FLOATS, _FLOATS, BoolArray]:
    """Clip boxes that stick out, mark those without area, fill in missing areas.

    Args:
        boxes: [T, 4] px as read.
        areas: [T] px^2; NaN where missing, -1 where the box's own is meant.
        box_wh: [T, 2] px, the size of each box's picture.
        name: row -> file name, and a text that names file and annotation.
        mended: takes note of each repair.

    Returns:
        boxes [T, 4] clipped, areas [T], and a mask [T] of the boxes to keep.

    Raises:
        DatasetError: a coordinate is no number, or a repair is needed under ``strict``.
    """
    broken = np.flatnonzero(~np.isfinite(boxes).all(axis=1))
    for row in broken.tolist():
        with noting(mended.examination, NOT_FINITE, *name(row)):
            raise DatasetError(
                f"{name(row)[1]}: the box is {_as_text(boxes[row])}, expected four finite numbers; "
                "correct it or take it out"
            )
    limit = np.concatenate([box_wh, box_wh], axis=1)  # [T, 4]
    boxes = np.where(np.isfinite(boxes), boxes, 0)  # those noted above have no area now
    clipped = np.clip(boxes, 0, limit)
    single = clipped.astype(np.float32)  # an area must be left in the precision that is kept
    flat = (boxes[:, 2] <= boxes[:, 0]) | (boxes[:, 3] <= boxes[:, 1])
    noted = np.isin(np.arange(len(boxes)), broken)
    gone = ~flat & ((single[:, 2] <= single[:, 0]) | (single[:, 3] <= single[:, 1]))
    outside = ~flat & ~gone & (np.abs(clipped - boxes) > _ROUNDING).any(axis=1)
    missing = ~flat & ~gone & np.isnan(areas)
    for rows, kind in (
        (flat & ~noted, NO_AREA),
        (gone, OUTSIDE),
        (outside, STUCK_OUT),
        (missing, NO_AREA_GIVEN),
    ):
        for row in np.flatnonzero(rows).tolist():
            file, place = name(row)
            x1, y1, x2, y2 = boxes[row].tolist()
            mended.add(kind, file, place, (x1, y1, x2, y2))
    own = (clipped[:, 2] - clipped[:, 0]) * (clipped[:, 3] - clipped[:, 1])
    return clipped, np.where(areas >= 0, areas, own), ~(flat | gone)


def find_wrong_form(boxes: _FLOATS, box_wh: _FLOATS, read_as: str) -> WrongForm | None:
    """Tell a set whose boxes are written in another form than its format says.

    A few odd boxes are mended; a fifth of them, in a set that fits throughout when read another
    way, is a mistake that would train a detector on the wrong places.

    Args:
        boxes: [T, 4] x1 y1 x2 y2 px, read as ``read_as``.
        box_wh: [T, 2] px, the size of each box's picture.
        read_as: ``xyxy``, ``xywh`` or ``cxcywh``.
    """
    if not len(boxes) or not np.isfinite(boxes).all():
        return None
    wrong = ~_fits(boxes, box_wh)
    needed = max(3, _SUSPICIOUS_SHARE * len(boxes))
    if wrong.sum() < needed:
        return _find_fractions(boxes, read_as)
    first_row = int(np.flatnonzero(wrong)[0])
    found = f"{wrong.sum():,} of {len(boxes):,} boxes do not fit their picture when read as"
    written = _write_as(boxes, read_as)
    for other in _FORM_NAMES:
        if other != read_as and _fits(_read_as(written, other), box_wh).all():
            message = (
                f"{found} {_FORM_NAMES[read_as]}, but all do as {_FORM_NAMES[other]}: "
                f"they look like {other}; write them as {read_as}"
            )
            return WrongForm(message, first_row, other)
    limit = np.concatenate([box_wh, box_wh], axis=1)
    inside = np.clip(boxes, 0, limit)
    size, left = boxes[:, 2:] - boxes[:, :2], inside[:, 2:] - inside[:, :2]
    mostly_out = (size.prod(axis=1) > 0) & (left.prod(axis=1) < 0.5 * size.prod(axis=1))
    if mostly_out.sum() > max(3, 0.5 * len(boxes)):
        message = (
            f"{mostly_out.sum():,} of {len(boxes):,} boxes lie mostly outside their picture: they "
            "look like boxes of pictures of another size, or in another form than "
            f"{_FORM_NAMES[read_as]}; scale or convert them"
        )
        return WrongForm(message, first_row)
    return None


def _find_fractions(boxes: _FLOATS, read_as: str) -> WrongForm | None:
    """Tell boxes in fractions of the picture where pixels are expected."""
    whole = (boxes == np.rint(boxes)).all()
    if len(boxes) < 3 or read_as == "cxcywh" or boxes.max() > 1 + _ROUNDING or whole:
        return None
    message = (
        f"no box reaches beyond {boxes.max():.3g} px: they look like fractions of the picture; "
        f"write {_FORM_NAMES[read_as]} in pixels"
    )
    return WrongForm(message, 0, "fractions")


def convert_form(boxes: _FLOATS, box_wh: _FLOATS, read_as: str, looks_like: str) -> _FLOATS:
    """Read boxes again in the form that they look like, [T, 4] -> [T, 4] x1 y1 x2 y2 px.

    Args:
        boxes: [T, 4], read as ``read_as``.
        box_wh: [T, 2] px, the size of each box's picture.
        read_as: ``xyxy``, ``xywh`` or ``cxcywh``.
        looks_like: what ``find_wrong_form`` says.
    """
    if looks_like == "fractions":
        return np.asarray(boxes * np.concatenate([box_wh, box_wh], axis=1), np.float64)
    return _read_as(_write_as(boxes, read_as), looks_like)


def _fits(boxes: _FLOATS, box_wh: _FLOATS) -> BoolArray:
    """Say of each box whether it has an area and lies in its picture, give or take 2 px."""
    limit = np.concatenate([box_wh, box_wh], axis=1) + 2
    inside = ((boxes >= -2) & (boxes <= limit)).all(axis=1)
    sized = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return np.asarray(inside & sized, np.bool_)


def _write_as(boxes: _FLOATS, form: str) -> _FLOATS:
    low, size = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
    if form == "xyxy":
        return boxes
    return np.concatenate([low if form == "xywh" else low + size / 2, size], axis=1)


def _read_as(written: _FLOATS, form: str) -> _FLOATS:
    first, second = written[:, :2], written[:, 2:]
    if form == "xyxy":
        return written
    low = first if form == "xywh" else first - second / 2
    return np.concatenate([low, low + second], axis=1)


def _as_text(box: Iterable[float]) -> str:
    return "[" + ", ".join(f"{value:.6g}" for value in box) + "]"
