"""A whole data set read on past what is wrong, with a note of each thing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from iouaware.data.dataset import Dataset
from iouaware.data.examination import Examination, noting
from iouaware.data.layouts import recognise
from iouaware.data.split_names import ALL, training_key

# what is learnt from stands first, what must stay as it is last
PART_ORDER = ("train", "trainval", ALL, "val", "test")


@dataclass(frozen=True)
class ExaminedPart:
    """One split as far as it could be read.

    Attributes:
        dataset: what is left after all that reading mends or cannot use; with the part's own
            classes.
        examination: what was noted.
    """

    dataset: Dataset
    examination: Examination


@dataclass(frozen=True)
class ExaminedSet:
    """A data set as far as it could be read.

    Attributes:
        format: ``coco``, ``voc`` or ``yolo``.
        found_by: the file or folder that gave the format away.
        root: folder of the data set, absolute.
        parts: split -> what was read of it, in ``PART_ORDER``; ``all`` where there are no splits.
        layout: what was noted before any part was read.
        lines: what was chosen or left out, one line each.
    """

    format: str
    found_by: str
    root: Path
    parts: dict[str, ExaminedPart]
    layout: Examination
    lines: tuple[str, ...]


def examine(data: Path, images: Path | None = None) -> ExaminedSet:
    """Read every part of a data set and note what is wrong instead of raising it.

    A part whose file cannot be read at all is left out with a note. Trainval is left out
    beside train, as in training.

    Args:
        data: a folder, or the file that describes the data.
        images: where the pictures are, to be found by name.

    Raises:
        DatasetError: nothing known is found there.
    """
    layout_notes = Examination()
    layout, lines = recognise(data, images, layout_notes)
    parts = {}
    for split, part in sorted(layout.parts.items(), key=lambda item: PART_ORDER.index(item[0])):
        if split == "trainval" and "train" in layout.parts:
            continue
        examination = Examination()
        dataset = None
        with noting(layout_notes, "unreadable-file"):
            dataset = part.read(split, None, False, examination)
        if dataset is not None:
            parts[split] = ExaminedPart(dataset, examination)
    given = data.absolute() if data.is_dir() else data.absolute().parent
    # of annotations/train.json the folder above is the root
    root = next((part.dataset.root for part in parts.values()), given)
    return ExaminedSet(
        layout.format, layout.found_by, root, parts, layout_notes, (*lines, *layout.notes)
    )


def whole_key(examined: ExaminedSet) -> str | None:
    """Return the name of the part that training learns from, None where it could not be read."""
    return training_key(examined.parts)
