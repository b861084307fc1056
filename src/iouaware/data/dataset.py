"""The data set that every reader returns: annotations in a few flat arrays, mended in one place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from iouaware.data.examination import Examination, noting
from iouaware.data.mending import (
    UNKNOWN_FORM,
    WRONG_FORM,
    Mended,
    convert_form,
    find_wrong_form,
    mend_boxes,
)
from iouaware.errors import DatasetError
from iouaware.structures import BoolArray, FloatArray, ImageRecord, IntArray, Target


@dataclass(frozen=True, eq=False)
class Dataset:
    """One split of a data set: I pictures, T boxes, K classes.

    Flat arrays, not lists of objects: processes that load data share their memory.

    Attributes:
        format: ``coco``, ``voc``, ``yolo``.
        root: folder that the file names are relative to.
        split: ``train``, ``val``, ``test``.
        class_names: K names, in the order of the labels.
        category_ids: K ids of the files' own, in the order of the labels.
        file_names: [I] text, posix, relative to ``root`` or absolute.
        image_wh: [I, 2] px, pictures as shown.
        offsets: [I + 1]; the boxes of picture i are ``offsets[i]`` to ``offsets[i + 1]``.
        boxes: [T, 4] px of the picture as shown.
        labels: [T], 0..K-1.
        ignored: [T], crowds and difficult boxes.
        areas: [T] px^2.
        mended: what was put right while reading.
    """

    format: str
    root: Path
    split: str
    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]
    file_names: NDArray[np.str_]
    image_wh: NDArray[np.int32]
    offsets: IntArray
    boxes: FloatArray
    labels: IntArray
    ignored: BoolArray
    areas: FloatArray
    mended: Mended = field(default_factory=Mended)

    def __len__(self) -> int:
        """Count the pictures."""
        return len(self.file_names)

    def file_name(self, index: int) -> str:
        """Return the name of a picture, relative to ``root`` or absolute."""
        return str(self.file_names[index])

    def record(self, index: int) -> ImageRecord:
        """Say where a picture lies and how large it is."""
        width, height = self.image_wh[index]
        return ImageRecord(self.root / self.file_name(index), int(width), int(height))

    def target(self, index: int) -> Target:
        """Return the truth of a picture in its own pixels; a copy that may be changed."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"picture {index} of {len(self)}")
        index %= len(self)
        rows = slice(int(self.offsets[index]), int(self.offsets[index + 1]))
        return Target(
            self.boxes[rows].copy(),
            self.labels[rows].copy(),
            self.ignored[rows].copy(),
            self.areas[rows].copy(),
        )

    def subset(self, indices: Sequence[int] | IntArray, split: str | None = None) -> Dataset:
        """Return some of the pictures, in the order asked for, under another split's name.

        What was mended is told with the whole set and not again with its parts.
        """
        chosen = np.asarray(indices, np.int64)
        counts = np.diff(self.offsets)[chosen]
        offsets = _to_offsets(counts)
        # row r of picture j: where the picture starts in the whole set plus r's place within it
        rows = np.repeat(self.offsets[chosen] - offsets[:-1], counts) + np.arange(offsets[-1])
        return Dataset(
            format=self.format,
            root=self.root,
            split=self.split if split is None else split,
            class_names=self.class_names,
            category_ids=self.category_ids,
            file_names=self.file_names[chosen],
            image_wh=self.image_wh[chosen],
            offsets=offsets,
            boxes=self.boxes[rows],
            labels=self.labels[rows],
            ignored=self.ignored[rows],
            areas=self.areas[rows],
        )

    def count_boxes(self) -> int:
        """Count the boxes, ignored ones too."""
        return len(self.boxes)

    def class_counts(self) -> IntArray:
        """Count the objects of each class, [K]; ignored boxes do not count."""
        counted = self.labels[~self.ignored]
        return np.bincount(counted, minlength=len(self.class_names)).astype(np.int64)

    def empty_images(self) -> IntArray:
        """Return the indices of the pictures without any box."""
        return np.flatnonzero(np.diff(self.offsets) == 0).astype(np.int64)


class DatasetBuilder:
    """Collects pictures one by one and makes a ``Dataset`` of them; the one place of repairs.

    Boxes that stick out are clipped, boxes without area are dropped, missing areas become the
    box's. ``strict`` makes each of these an error. A coordinate that is no number always is one.
    """

    def __init__(
        self,
        format: str,  # noqa: A002  the name of the field it fills
        root: Path,
        split: str,
        class_names: Sequence[str],
        category_ids: Sequence[int],
        strict: bool = False,
        box_form: str = "xyxy",
        examination: Examination | None = None,
    ) -> None:
        """Start an empty set.

        Args:
            format: ``coco``, ``voc`` or ``yolo``.
            root: folder that relative picture paths start from; it is made absolute.
            split: name of the split.
            class_names: K names.
            category_ids: K ids of the files' own.
            strict: whether a repair is an error.
            box_form: how the files write a box (``xyxy``, ``xywh``, ``cxcywh``); only for saying
                what a set looks like whose boxes do not fit their pictures.
            examination: where given, ``build`` notes what it mends and what it would raise, reads
                boxes in the form that they look like, and says where each box came from.
        """
        self.mended = Mended(strict=strict, examination=examination)
        self._examination = examination
        self._format, self._root, self._split = format, root.absolute(), split
        self._class_names, self._category_ids = tuple(class_names), tuple(category_ids)
        self._box_form = box_form
        for name in self._class_names:
            _refuse_unwritable(name, "class name")
        self._file_names: list[str] = []
        self._image_wh: list[tuple[int, int]] = []
        self._counts: list[int] = []
        self._boxes: list[NDArray[np.float64]] = []
        self._labels: list[IntArray] = []
        self._ignored: list[BoolArray] = []
        self._areas: list[NDArray[np.float64]] = []
        self._where: list[str | Callable[[int], str]] = []

    def add_image(
        self,
        path: str | Path,
        width: int,
        height: int,
        boxes_xyxy: ArrayLike,
        labels: ArrayLike,
        ignored: ArrayLike | None = None,
        areas: ArrayLike | None = None,
        where: str | Callable[[int], str] = "",
    ) -> None:
        """Add a picture and its N boxes, N may be 0.

        Args:
            path: absolute, or relative to the root.
            width: px, as shown.
            height: px, as shown.
            boxes_xyxy: [N, 4] px, as the file has them; they are mended in ``build``.
            labels: [N], 0..K-1.
            ignored: [N] bool; None means none.
            areas: [N] px^2, NaN where the file has none; None takes the boxes' own silently.
            where: names box n in messages: a function of n, or the file's name.
        """
        boxes = np.asarray(boxes_xyxy, np.float64).reshape(-1, 4)
        count = len(boxes)
        name = self.relative(Path(path))
        _refuse_unwritable(name, "file name")
        self._file_names.append(name)
        self._image_wh.append((width, height))
        self._counts.append(count)
        self._boxes.append(boxes)
        self._labels.append(np.asarray(labels, np.int64).reshape(count))
        self._ignored.append(
            np.zeros(count, np.bool_)
            if ignored is None
            else np.asarray(ignored, np.bool_).reshape(count)
        )
        # -1 marks "the box's own area, and that is no repair"
        self._areas.append(
            np.full(count, -1.0) if areas is None else np.asarray(areas, np.float64).reshape(count)
        )
        self._where.append(where or self._file_names[-1])

    def build(self) -> Dataset:
        """Mend what can be mended and return the data set.

        Raises:
            DatasetError: a coordinate is no number, the boxes do not fit the pictures and look
                like another form, or something needed mending under ``strict``.
        """
        image_wh = np.array(self._image_wh, np.int32).reshape(-1, 2)
        image_of_box = np.repeat(np.arange(len(self._counts)), self._counts)
        first_of_image = _to_offsets(self._counts)

        def name(row: int) -> tuple[str, str]:
            image = int(image_of_box[row])
            where, index = self._where[image], row - int(first_of_image[image])
            place = where(index) if callable(where) else f"{where} box {index + 1}"
            return self._file_names[image], place

        boxes = np.concatenate([np.zeros((0, 4)), *self._boxes])  # [T, 4]
        areas = np.concatenate([np.zeros(0), *self._areas])
        box_wh = image_wh[image_of_box].astype(np.float64)  # [T, 2]
        suspicion = find_wrong_form(boxes, box_wh, self._box_form)
        if suspicion is not None:
            place = name(suspicion.first_row)[1]
            kind = UNKNOWN_FORM if suspicion.looks_like is None else WRONG_FORM
            with noting(self._examination, kind, "", place):
                raise DatasetError(f"{place}: {suspicion.message}")
            if suspicion.looks_like is not None:
                boxes = convert_form(boxes, box_wh, self._box_form, suspicion.looks_like)
        boxes, areas, kept = mend_boxes(boxes, areas, box_wh, name, self.mended)
        if self._examination is not None:
            self._examination.places += [name(row)[1] for row in np.flatnonzero(kept).tolist()]
        counts = np.bincount(image_of_box[kept], minlength=len(self._counts))
        return Dataset(
            format=self._format,
            root=self._root,
            split=self._split,
            class_names=self._class_names,
            category_ids=self._category_ids,
            file_names=np.array(self._file_names, np.str_),
            image_wh=image_wh,
            offsets=_to_offsets(counts),
            boxes=boxes[kept].astype(np.float32),
            labels=np.concatenate([np.zeros(0, np.int64), *self._labels])[kept],
            ignored=np.concatenate([np.zeros(0, np.bool_), *self._ignored])[kept],
            areas=areas[kept].astype(np.float32),
            mended=self.mended,
        )

    def relative(self, path: Path) -> str:
        """Return the name that a picture has in the data set: relative to its root."""
        if path.is_absolute() and path.is_relative_to(self._root):
            path = path.relative_to(self._root)
        return path.as_posix()


def _refuse_unwritable(text: str, what: str) -> None:
    """Raise where a name has characters that no UTF-8 file can hold: results would be lost."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DatasetError(
            f"the {what} {text!a} has characters that are no Unicode text; rename it"
        ) from error


def join_datasets(parts: Sequence[Dataset]) -> Dataset:
    """Return several sets of the same classes and root as one, named as the first.

    Raises:
        ValueError: their classes or roots differ.
    """
    first = parts[0]
    mended = first.mended
    for part in parts[1:]:
        if (part.class_names, part.root) != (first.class_names, first.root):
            raise ValueError(
                f"cannot join classes {part.class_names} of {part.root} to {first.class_names} of "
                f"{first.root}"
            )
        mended = mended.merged(part.mended)
    return Dataset(
        format=first.format,
        root=first.root,
        split=first.split,
        class_names=first.class_names,
        category_ids=first.category_ids,
        file_names=np.concatenate([part.file_names for part in parts]),
        image_wh=np.concatenate([part.image_wh for part in parts]),
        offsets=_to_offsets(np.concatenate([np.diff(part.offsets) for part in parts])),
        boxes=np.concatenate([part.boxes for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        ignored=np.concatenate([part.ignored for part in parts]),
        areas=np.concatenate([part.areas for part in parts]),
        mended=mended,
    )


def _to_offsets(counts: ArrayLike) -> IntArray:
    """Turn counts, [I], into the places where each begins, [I + 1]."""
    return np.concatenate([[0], np.cumsum(np.asarray(counts, np.int64))]).astype(np.int64)
