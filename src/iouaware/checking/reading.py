"""What reading stops at or mends, as findings."""

from __future__ import annotations

import re
from pathlib import Path

from iouaware.checking.findings import KIND_OF_REPAIR, KINDS, Finding, find
from iouaware.data.examination import Problem
from iouaware.data.examining import ExaminedPart, ExaminedSet

# how each repair is told; the other problems bring their own words
_WORDS = {
    "no-area": "the box has no area; expected x2 > x1 and y2 > y1",
    "outside": "the box lies outside its picture of {width} x {height} px",
    "stuck-out": "the box sticks out of its picture of {width} x {height} px",
    "no-area-given": "no area; the box's own is taken",
    "no-crowd-given": "no iscrowd; 0 is taken",
    "rotated": "a rotated box; the upright box around it is taken",
    "from-zero": "the box begins at 0; VOC counts from 1",
    "polygon": "a polygon; the box around it is taken",
}
# an error's last part says what to do where it begins with one of these
_VERBS = ("put", "correct", "take", "write", "replace", "scale", "rename")
_Pictures = dict[str, tuple[str, int, int]]


def find_reading_problems(examined: ExaminedSet) -> list[Finding]:
    """Return a finding for everything that reading would stop at or mend."""
    found = [_to_finding(problem, "", {}, examined) for problem in examined.layout.problems]
    for split, part in examined.parts.items():
        pictures = _pictures_by_name(part)
        found += [
            _to_finding(problem, split, pictures, examined) for problem in part.examination.problems
        ]
    return found


def relative_text(text: str, root: Path) -> str:
    """Take the data set's folder off the paths in a text; not off those that begin or end alike."""
    folder = rf"(?<![^\s'\"(]){re.escape(str(root))}"
    # the name may go on after a space, as in "set pictures/a.jpg"
    end = r"(?=['\"),;:]|\s(?![^\s/]+/)|$)"
    return re.sub(f"{folder}{end}", "the data set", re.sub(f"{folder}/", "", text))


def _pictures_by_name(part: ExaminedPart) -> _Pictures:
    """Return path, width and height, px, of pictures by their path."""
    dataset, pictures = part.dataset, {}
    for index in range(len(dataset)):
        width, height = dataset.image_wh[index].tolist()
        path = dataset.file_name(index)
        pictures[path] = (path, width, height)
    return pictures


def _to_finding(
    problem: Problem, split: str, pictures: _Pictures, examined: ExaminedSet
) -> Finding:
    kind = KIND_OF_REPAIR.get(problem.kind, problem.kind)
    annotation, message = (
        relative_text(text, examined.root) for text in (problem.place, problem.message)
    )
    path = Path(problem.picture)
    inside = path.is_relative_to(examined.root)
    file = path.relative_to(examined.root).as_posix() if inside else problem.picture
    head, _, rest = message.partition(": ")
    if not file and not annotation and rest and (examined.root / head).is_file():
        file, message = head, rest  # an error about a whole file begins with its name
    file, width, height = pictures.get(file, (file, 0, 0))
    advice = KINDS[kind].advice
    if kind in _WORDS:
        message = _WORDS[kind].format(width=width, height=height)
        xywh = examined.format == "coco" and kind == "stuck-out"
        if xywh and _fits_as_corners(problem.box, (width, height)):
            kind, message = "odd-form", f"{message}, but fits as [x1, y1, x2, y2]"
            advice = KINDS[kind].advice
    else:
        message, advice = _split_advice(message, advice)
    if problem.box is not None:
        message += f": {box_text(problem.box)}"
    return find(
        kind,
        message,
        split=split,
        file=file or _file_in(annotation, examined.root),
        annotation="" if annotation == file else annotation,
        box=problem.box,
        advice=advice,
    )


def _file_in(place: str, root: Path) -> str:
    """Return the file that a place begins with; its name may have spaces, so the longest wins."""
    words = place.split(" ")
    names = (" ".join(words[:count]) for count in range(len(words), 0, -1))
    return next((name for name in names if (root / name).is_file()), words[0])


def _fits_as_corners(box: tuple[float, float, float, float] | None, wh: tuple[int, int]) -> bool:
    """Tell a box whose width and height are corners: far out as read, inside the other way."""
    if box is None:
        return False
    x1, y1, x2, y2 = box
    width, height = x2 - x1, y2 - y1
    far_out = x2 - wh[0] > 0.1 * width or y2 - wh[1] > 0.1 * height
    return far_out and 0 <= x1 < width <= wh[0] and 0 <= y1 < height <= wh[1]


def _split_advice(message: str, advice: str) -> tuple[str, str]:
    """Part an error's words into what was found and what to do, where they say it themselves."""
    found, _, last = message.rpartition("; ")
    says = found and last.split(" ")[0] in _VERBS
    return (found, last) if says else (message, advice)


def box_text(box: tuple[float, float, float, float]) -> str:
    """Write a box for a message."""
    return "[" + ", ".join(f"{value:.6g}" for value in box) + "]"
