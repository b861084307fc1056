"""Writers of data sets: COCO, Pascal VOC and YOLO, in the layouts that the readers know.

Each writes the pictures too, so that the folder stands alone. What has no split is called
``default``, as by CVAT. The three forms of one data set read back equal as long as the form can say
it: VOC has no areas and names only classes in use; YOLO has neither areas nor ignored boxes. VOC's
corners are written as whole numbers where they are (1-based, inclusive), else with decimals, which
the readers of this package take.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any
from xml.etree import ElementTree  # only to write; reading goes through defusedxml

import yaml

from iouaware.data.dataset import Dataset
from iouaware.data.split_names import ALL
from iouaware.errors import DatasetError
from iouaware.structures import FloatArray, Target

Writer = Callable[[Sequence[Dataset], Path], None]


def write_coco(splits: Sequence[Dataset], directory: Path) -> None:
    """Write ``annotations/SPLIT.json`` and ``images/SPLIT/``.

    Args:
        splits: parts of one data set, with the same classes.
        directory: is made where it does not exist.

    Raises:
        DatasetError: a picture cannot be copied.
    """
    for dataset in splits:
        names = _copy_pictures(dataset, directory / "images" / _name(dataset), set())
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for index, name in enumerate(names):
            record, target = dataset.record(index), dataset.target(index)
            size = {"width": record.width, "height": record.height}
            images.append({"id": index + 1, "file_name": name, **size})
            annotations += _coco_annotations(
                target, index + 1, len(annotations) + 1, dataset.category_ids
            )
        categories = [
            {"id": category_id, "name": name}
            for category_id, name in zip(dataset.category_ids, dataset.class_names, strict=True)
        ]
        content = {"images": images, "annotations": annotations, "categories": categories}
        _write_text(directory / "annotations" / f"{_name(dataset)}.json", json.dumps(content))


def write_voc(splits: Sequence[Dataset], directory: Path) -> None:
    """Write ``Annotations/``, ``JPEGImages/`` and ``ImageSets/Main/SPLIT.txt``.

    Args:
        splits: parts of one data set, with the same classes.
        directory: is made where it does not exist.

    Raises:
        DatasetError: a picture cannot be copied.
    """
    taken: set[str] = set()  # VOC keeps all splits in one folder
    for dataset in splits:
        names = _copy_pictures(dataset, directory / "JPEGImages", taken)
        stems = [Path(name).stem for name in names]
        for index, (name, stem) in enumerate(zip(names, stems, strict=True)):
            tree = _voc_annotation(dataset, index, name)
            text = ElementTree.tostring(tree, encoding="unicode")
            _write_text(directory / "Annotations" / f"{stem}.xml", text + "\n")
        listing = directory / "ImageSets" / "Main" / f"{_name(dataset)}.txt"
        _write_text(listing, "".join(f"{stem}\n" for stem in stems))


def write_yolo(splits: Sequence[Dataset], directory: Path) -> None:
    """Write ``data.yaml``, ``images/SPLIT/`` and ``labels/SPLIT/``.

    Args:
        splits: parts of one data set, with the same classes.
        directory: is made where it does not exist.

    Raises:
        DatasetError: a picture cannot be copied, or a box is ignored, which YOLO cannot say.
    """
    for dataset in splits:
        names = _copy_pictures(dataset, directory / "images" / _name(dataset), set())
        for index, name in enumerate(names):
            target = dataset.target(index)
            if target.ignored.any():
                raise DatasetError(
                    f"{dataset.file_name(index)}: has ignored (crowd or difficult) boxes, which "
                    "YOLO cannot mark; write coco or voc instead"
                )
            record = dataset.record(index)
            lines = [
                f"{label} {_yolo_box(box, record.width, record.height)}\n"
                for label, box in zip(target.labels.tolist(), target.boxes, strict=True)
            ]
            labels = directory / "labels" / _name(dataset) / f"{Path(name).stem}.txt"
            _write_text(labels, "".join(lines))
    content: dict[str, Any] = {_name(d): f"images/{_name(d)}" for d in splits}
    if splits:
        content["names"] = dict(enumerate(splits[0].class_names))
    _write_text(directory / "data.yaml", yaml.safe_dump(content, sort_keys=False))


WRITERS: dict[str, Writer] = {"coco": write_coco, "voc": write_voc, "yolo": write_yolo}


def _name(dataset: Dataset) -> str:
    """Return how files and folders of a part are called: no reader takes ``all`` for a part."""
    return "default" if dataset.split == ALL else dataset.split


def _coco_annotations(
    target: Target, image_id: int, first_id: int, category_ids: tuple[int, ...]
) -> list[dict[str, Any]]:
    annotations = []
    rows = zip(target.boxes, target.labels, target.ignored, target.areas, strict=True)
    for offset, (box, label, ignored, area) in enumerate(rows):
        x1, y1, x2, y2 = (float(value) for value in box)
        annotations.append(
            {
                "id": first_id + offset,
                "image_id": image_id,
                "category_id": category_ids[label],
                "bbox": [_plain(value) for value in (x1, y1, x2 - x1, y2 - y1)],
                "area": _plain(float(area)),
                "iscrowd": int(ignored),
            }
        )
    return annotations


def _voc_annotation(dataset: Dataset, index: int, name: str) -> ElementTree.Element:
    record, target = dataset.record(index), dataset.target(index)
    root = ElementTree.Element("annotation")
    _add(root, "folder", "JPEGImages")
    _add(root, "filename", name)
    size = ElementTree.SubElement(root, "size")
    for key, value in (("width", record.width), ("height", record.height), ("depth", 3)):
        _add(size, key, value)
    rows = zip(target.boxes, target.labels, target.ignored, strict=True)
    for (x1, y1, x2, y2), label, ignored in rows:
        item = ElementTree.SubElement(root, "object")
        _add(item, "name", dataset.class_names[label])
        _add(item, "difficult", int(ignored))
        corners = ElementTree.SubElement(item, "bndbox")
        # VOC counts pixels from 1 and includes the last one: [0, 10) is 1..10
        for key, value in (("xmin", x1 + 1.0), ("ymin", y1 + 1.0), ("xmax", x2), ("ymax", y2)):
            _add(corners, key, _plain(float(value)))
    ElementTree.indent(root)
    return root


def _yolo_box(box: FloatArray, width: int, height: int) -> str:
    """Write centre and size as shares of the picture, with all digits of a double."""
    x1, y1, x2, y2 = (float(value) for value in box)
    values = (
        (x1 + x2) / 2 / width,
        (y1 + y2) / 2 / height,
        (x2 - x1) / width,
        (y2 - y1) / height,
    )
    return " ".join(repr(value) for value in values)


def _copy_pictures(dataset: Dataset, folder: Path, taken: set[str]) -> list[str]:
    """Copy a split's pictures into one folder and return their names there.

    Args:
        dataset: the split.
        folder: is made where it does not exist.
        taken: names without suffix that are given away; ``a`` becomes ``a-2`` where it is one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names: list[str] = []
    for index in range(len(dataset)):
        source = dataset.record(index).path
        numbered = (f"{source.stem}-{number}" for number in count(2))
        stem = next(stem for stem in chain([source.stem], numbered) if stem not in taken)
        taken.add(stem)
        names.append(f"{stem}{source.suffix}")
        try:
            shutil.copyfile(source, folder / names[-1])
        except OSError as error:
            raise DatasetError(f"{source}: cannot be copied to {folder}: {error}") from error
    return names


def _add(parent: ElementTree.Element, key: str, value: object) -> None:
    ElementTree.SubElement(parent, key).text = str(value)


def _plain(value: float) -> int | float:
    """Return a whole number as an int, so that it is written without a point."""
    return int(value) if value.is_integer() else value


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
