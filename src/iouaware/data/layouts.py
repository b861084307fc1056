"""From a folder or the file that describes it to training, validation and test data.

The format is told by looking; what was taken, left out or found odd is said in ``Splits.lines``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from iouaware.data.classes import ClassList
from iouaware.data.coco_layouts import find_coco
from iouaware.data.dataset import Dataset, DatasetBuilder, join_datasets
from iouaware.data.examination import Examination
from iouaware.data.oddities import find_oddities
from iouaware.data.parts import Layout
from iouaware.data.pictures import list_pictures, map_threads, verify_images
from iouaware.data.split_names import ALL, training_key
from iouaware.data.splitting import has_two_contents, split_by_content
from iouaware.data.unrecognised import describe_found
from iouaware.data.voc_layouts import find_voc
from iouaware.data.yolo_layouts import find_yolo
from iouaware.data.yolo_pairs import labels_folder
from iouaware.errors import DatasetError
from iouaware.images import read_image_size

__all__ = ["Splits", "read_split", "read_splits", "verify_images"]

FORMAT_NAMES = {"coco": "COCO", "voc": "Pascal VOC", "yolo": "YOLO"}
_FINDERS = {"coco": find_coco, "yolo": find_yolo, "voc": find_voc}


@dataclass(frozen=True)
class Splits:
    """A whole data set.

    Attributes:
        train: what to learn from.
        val: what the model and alpha are chosen by.
        test: for the final figures, where the data set has such a part.
        made: whether train and val were split here, by the hash of each picture's content.
        lines: what was read and how, choices and warnings; the first line counts everything.
    """

    train: Dataset
    val: Dataset
    test: Dataset | None
    made: bool
    lines: tuple[str, ...]


def read_splits(
    data: Path, *, images: Path | None = None, empty: Path | None = None, strict: bool = False
) -> Splits:
    """Read a data set with all its splits.

    Args:
        data: a folder, or the JSON or YAML file that describes the data.
        images: where the pictures are, to be found by name.
        empty: a folder of pictures known to be without objects; four fifths of them are added to
            training, the rest to validation.
        strict: whether a repair is an error.

    Raises:
        DatasetError: nothing known is found, the data cannot be used, training or validation
            have no boxes, or validation has classes that training lacks.
    """
    layout, notes = recognise(data, images)
    train, val, made, read = _read_training(layout, notes, data, empty, strict)
    parts, left_out = [train, val], []
    if "test" in layout.parts:
        test = layout.parts["test"].read("test", _classes_of(train), strict)
        if test.count_boxes():
            parts, read = [*parts, test], [*read, test]
        else:
            left_out = [f"test is left out: none of its {len(test):,} pictures has a box"]
    for dataset in (train, val):
        if not dataset.count_boxes():
            raise DatasetError(
                f"{data}: none of the {len(dataset)} pictures of {dataset.split} has a box; "
                f"expected some objects{_say_where(dataset) if images is None else ''}"
            )
    lines = [_describe(layout, parts), *notes, *layout.notes, *left_out]
    mended = read[0].mended
    for dataset in read[1:]:
        mended = mended.merged(dataset.mended)
    if mended.counts:
        lines.append(f"mended: {mended.summary()}")
    if made:
        lines.append("no validation part: split 80/20 by the content of the pictures")
    lines += find_oddities(parts)
    return Splits(train, val, parts[2] if len(parts) > 2 else None, made, tuple(lines))


def read_split(
    data: Path,
    split: str = "val",
    *,
    images: Path | None = None,
    empty: Path | None = None,
    strict: bool = False,
) -> Dataset:
    """Read one split; its classes are those of the training part, where there is one.

    Args:
        data: as in ``read_splits``.
        split: ``train``, ``val`` or ``test``; ``all`` takes data without splits undivided.
        images: as in ``read_splits``.
        empty: as in ``read_splits``.
        strict: as in ``read_splits``.

    Raises:
        DatasetError: as ``read_splits``, or there is no such split; the message names those
            there are.
    """
    layout, notes = recognise(data, images)
    parts = layout.parts
    if split == ALL and set(parts) == {ALL}:
        return _not_empty(parts[ALL].read(ALL, None, strict), data)
    made = "val" not in parts and training_key(layout.parts) is not None
    if split in ("train", "val") and (made or empty is not None):
        train, val, _, _ = _read_training(layout, notes, data, empty, strict)
        return train if split == "train" else val
    training = training_key(layout.parts)
    key = (training or split) if split == "train" else split
    if key not in parts:
        known = [*parts, *(["train", "val"] if made else [])]
        raise DatasetError(
            f"{data}: there is no split {split!r}; there are {', '.join(dict.fromkeys(known))}"
        )
    classes = None if training in (None, key) else parts[str(training)].read_classes()
    return _not_empty(parts[key].read(split, classes, strict), data)


def recognise(
    data: Path, images: Path | None, examination: Examination | None = None
) -> tuple[Layout, list[str]]:
    """Tell the format by looking.

    Args:
        data: a folder or file.
        images: where the pictures are, to be found by name.
        examination: notes what would be raised, where the data are examined.

    Returns:
        What it is, and where two readings are possible, a line that says which was taken.

    Raises:
        DatasetError: nothing known is found, or it names files that are not there.
    """
    if not data.exists():
        raise DatasetError(f"{data}: no such file or folder; expected a data set")
    data, images = data.absolute(), None if images is None else images.absolute()
    found: list[Layout] = []
    failed: list[tuple[str, DatasetError]] = []
    for form, find in _FINDERS.items():
        try:
            layout = find(data, images, None)
        except DatasetError as error:  # another reading may be the right one
            failed.append((form, error))
            continue
        if layout is not None and layout.parts:
            found.append(layout)
    if not found and failed:
        return _read_on(data, images, failed, examination), []
    if not found:
        raise DatasetError(
            f"{data}: no data set found; expected COCO (annotations/*.json), Pascal VOC "
            "(Annotations/*.xml) or YOLO (data.yaml), or one of their exports; "
            f"{describe_found(data)}"
        )
    # the first that has something to learn from, else the first
    first = next((layout for layout in found if training_key(layout.parts)), found[0])
    order = list(_FINDERS)
    notes = [
        f"not read as {FORMAT_NAMES[form]}: {error}"
        for form, error in failed
        # what comes later may be no reading at all; without a training part it is looked for
        if order.index(form) < order.index(first.format) or not training_key(first.parts)
    ]
    for other in found:
        if other is first:
            continue
        notes.append(
            f"read as {FORMAT_NAMES[first.format]} ({first.found_by}); it could also be read as "
            f"{FORMAT_NAMES[other.format]} ({other.found_by})"
        )
    return first, notes


def _read_on(
    data: Path,
    images: Path | None,
    failed: Sequence[tuple[str, DatasetError]],
    examination: Examination | None,
) -> Layout:
    """Return the first reading that fails only by what an examination notes, or say all fail.

    Raises:
        DatasetError: there is none, or the data are read to be used.
    """
    for form, _ in failed if examination is not None else ():
        noted = Examination()
        try:
            layout = _FINDERS[form](data, images, noted)
        except DatasetError:
            continue
        if layout is not None and layout.parts and examination is not None:
            examination.problems.extend(noted.problems)
            return layout
    if len(failed) == 1:
        raise failed[0][1]
    reasons = (f"as {FORMAT_NAMES[form]}: {error}" for form, error in failed)
    raise DatasetError(f"{data}: cannot be read {'; '.join(reasons)}")


def _read_training(
    layout: Layout, notes: Sequence[str], data: Path, empty: Path | None, strict: bool
) -> tuple[Dataset, Dataset, bool, list[Dataset]]:
    """Return train, val, whether they were split here, and what was read, with its repairs."""
    key = training_key(layout.parts)
    if key is None:
        found = ", ".join(layout.parts)
        raise DatasetError(
            "; ".join([f"{data}: there is no training part; found only {found}", *notes])
        )
    whole = _not_empty(layout.parts[key].read("train", None, strict), data)
    extra = None if empty is None else _read_empty(empty, whole)
    if "val" in layout.parts:
        val = _not_empty(layout.parts["val"].read("val", _classes_of(whole), strict), data)
        read = [whole, val]
        if extra is None:
            return whole, val, False, read
        if not has_two_contents(extra):  # nothing to share out
            return join_datasets([whole, extra]), val, False, read
        more_train, more_val = split_by_content(extra)
        train = join_datasets([whole, extra.subset(more_train)])
        return train, join_datasets([val, extra.subset(more_val)]), False, read
    both = whole if extra is None else join_datasets([whole, extra])
    in_train, in_val = split_by_content(both)
    return both.subset(in_train, "train"), both.subset(in_val, "val"), True, [whole]


def _classes_of(dataset: Dataset) -> ClassList:
    return ClassList(dataset.class_names, dataset.category_ids)


def _not_empty(dataset: Dataset, data: Path) -> Dataset:
    if not len(dataset):
        raise DatasetError(f"{data}: {dataset.split} has no pictures; expected at least one")
    return dataset


def _read_empty(folder: Path, like: Dataset) -> Dataset:
    """Read the pictures of ``--empty`` as pictures without objects."""
    paths = list_pictures(folder.absolute())
    if not paths:
        raise DatasetError(f"--empty {folder}: no pictures there; expected a folder of them")
    builder = DatasetBuilder(
        like.format, like.root, like.split, like.class_names, like.category_ids
    )
    for path, (width, height) in zip(paths, map_threads(read_image_size, paths), strict=True):
        builder.add_image(path, width, height, [], [])
    return builder.build()


def _say_where(dataset: Dataset) -> str:
    """Name the places where YOLO's label files are looked for, which a wrong folder is seen by."""
    if dataset.format != "yolo":
        return ""
    folder = dataset.record(0).path.parent
    return f" (label files are looked for in {labels_folder(folder)} and beside the pictures)"


def _describe(layout: Layout, parts: Sequence[Dataset]) -> str:
    """Count everything in one line."""
    pictures = "; ".join(
        f"{dataset.split} {len(dataset):,} pictures, {dataset.count_boxes():,} boxes"
        + (f", {len(dataset.empty_images()):,} empty" if len(dataset.empty_images()) else "")
        for dataset in parts
    )
    name, count = FORMAT_NAMES[layout.format], len(parts[0].class_names)
    return f"{name} ({layout.found_by}), {count} classes; {pictures}"
