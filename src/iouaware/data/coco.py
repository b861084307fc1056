"""COCO JSON: boxes [x, y, width, height] in continuous pixels, category ids with gaps."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np

from iouaware.data.classes import ClassList
from iouaware.data.dataset import Dataset, DatasetBuilder
from iouaware.data.examination import Examination, noting
from iouaware.data.mending import NO_CROWD_GIVEN, ROTATED, Mended
from iouaware.data.picture_finder import PictureFinder, keep_one_name_a_picture
from iouaware.data.pictures import read_shown_sizes
from iouaware.data.rotation import enclosing_box
from iouaware.errors import DatasetError, shown
from iouaware.parsing import parse_json

_BEYOND = 1e9  # no coordinate is as large; it also stands for NaN and infinity


def read_coco(
    annotations: Path,
    finder: PictureFinder,
    *,
    root: Path,
    split: str,
    classes: ClassList | None = None,
    strict: bool = False,
    examination: Examination | None = None,
) -> Dataset:
    """Read one COCO file.

    Crowds are ignored boxes. The area is the file's (a mask's, where it has masks). Boxes that
    CVAT turned (``attributes.rotation``) become the box around them.

    Args:
        annotations: the JSON file.
        finder: finds the pictures.
        root: file names of the result are relative to it.
        split: name of the split.
        classes: the training data's, which these are mapped onto by name; the file's own, in its
            order, where left out.
        strict: whether a repair is an error.
        examination: notes what would be raised, where the data are examined.

    Raises:
        DatasetError: the file or an annotation cannot be used, or a picture cannot be found.
    """
    content = read_coco_json(annotations)
    own = coco_classes(content, annotations)
    classes = classes or own
    used = {id_ for row in content["annotations"] if isinstance(id_ := row.get("category_id"), int)}
    # a category that training lacks does no harm where no box is of it
    named = {id_: name for id_, name in zip(own.ids, own.names, strict=True) if id_ in used}
    labels = classes.labels_of(named.values(), str(annotations))
    label_of_id = {id_: labels[name] for id_, name in named.items()}
    listed = _with_own_id(content["images"], annotations, examination)
    by_image = _group_by_image(content, annotations, examination)
    images, paths, declared = _find_pictures(listed, annotations, finder, examination)
    builder = DatasetBuilder(
        "coco", root, split, classes.names, classes.ids, strict, "xywh", examination
    )
    sizes = read_shown_sizes(paths, declared, examination)
    for image, path, wh in zip(images, paths, sizes, strict=True):
        if wh is None:
            continue
        rows = by_image.pop(image["id"], [])
        file = builder.relative(path)
        boxes, wanted, crowd, areas, names = [], [], [], [], []
        for place, row in rows:
            name = _name(annotations, row, place)
            with noting(examination, "unreadable-box", path, name):
                box = _read_box(row, name, builder.mended, file)
                area = _read_area(row, name)
                is_crowd = _read_crowd(row, name, builder.mended, file)
                with noting(examination, "unknown-class", path, name):
                    wanted.append(_label(row, label_of_id, own, name))
                    boxes.append(box)
                    areas.append(area)
                    names.append(name)
                    crowd.append(is_crowd)
        builder.add_image(path, *wh, boxes, wanted, crowd, areas, names.__getitem__)
    return builder.build()


def _find_pictures(
    listed: list[dict[str, Any]],
    annotations: Path,
    finder: PictureFinder,
    examination: Examination | None,
) -> tuple[list[dict[str, Any]], list[Path], list[tuple[int, int] | None]]:
    """Return the images whose pictures are there, these, and the sizes declared."""
    images, found, declared = [], [], []
    for position, image in enumerate(listed):
        where = f"{annotations} image {image.get('id', position)}"
        with noting(examination, "missing-picture", str(image.get("file_name", "")), where):
            size, name = _declared_size(image, where), _file_name(image, where)
            found.append((name, finder.find(name, where), where))
            images.append(image)
            declared.append(size)
    kept = keep_one_name_a_picture(found, examination)
    paths = [picture for _, picture, _ in found]
    return list(compress(images, kept)), list(compress(paths, kept)), list(compress(declared, kept))


def read_coco_json(annotations: Path) -> dict[str, Any]:
    """Read a COCO file and see that it has the three lists.

    Raises:
        DatasetError: it is not there, is no JSON, or has another form.
    """
    try:
        content = parse_json(annotations.read_text("utf-8-sig"))
    except OSError as error:
        raise DatasetError(f"{annotations}: cannot be read ({error.strerror})") from error
    except ValueError as error:  # malformed text is one too
        raise DatasetError(f"{annotations}: not valid JSON ({error})") from error
    for key in ("images", "annotations", "categories"):
        entries = content.get(key) if isinstance(content, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise DatasetError(
                f"{annotations}: {key!r} is no list of objects; expected COCO's form with images, "
                "annotations and categories"
            )
    found: dict[str, Any] = content
    return found


def coco_classes(content: dict[str, Any], annotations: Path) -> ClassList:
    """Return the categories in the order of the file, Roboflow's phantom root left out.

    Raises:
        DatasetError: a category has no whole id or no name, or two have the same.
    """
    categories = _without_phantom(content)
    ids, names = [], []
    for position, category in enumerate(categories):
        id_, name = category.get("id"), category.get("name")
        if not isinstance(id_, int) or not isinstance(name, str) or not name.strip():
            raise DatasetError(
                f"{annotations} category {position + 1}: id {shown(id_)} and name {shown(name)}, "
                "expected a whole number and a text"
            )
        ids.append(id_)
        names.append(name.strip())
    for kind, values in (("id", ids), ("name", names)):
        double = _first_double(values)
        if double is not None:
            raise DatasetError(
                f"{annotations}: two categories have the {kind} {shown(double)}; expected one each"
            )
    return ClassList(tuple(names), tuple(ids))


def _without_phantom(content: dict[str, Any]) -> list[dict[str, Any]]:
    """Drop the root class that Roboflow writes: id 0, used by no box, parent of all others."""
    categories: list[dict[str, Any]] = content["categories"]
    for root in categories:
        others = [category for category in categories if category is not root]
        if (
            root.get("id") == 0
            and root.get("supercategory") in ("none", None, "")
            and others
            and all(other.get("supercategory") == root.get("name") for other in others)
            and not any(row.get("category_id") == 0 for row in content["annotations"])
        ):
            return others
    return categories


def _with_own_id(
    images: list[dict[str, Any]], annotations: Path, examination: Examination | None
) -> list[dict[str, Any]]:
    """Return the images whose id no other has: whose the boxes of the others are, no one knows.

    Raises:
        DatasetError: an image has no id, or that of another one.
    """
    if any(not isinstance(image.get("id"), int | str) for image in images):
        raise DatasetError(f"{annotations}: an image has no id; expected a number")
    by_id: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for image in images:
        by_id[image["id"]].append(image)
    for id_, same in by_id.items():
        names = [shown(image.get("file_name")) for image in same]
        where = f"{annotations} image {shown(id_)}"
        with noting(examination, "double-image-id", str(same[0].get("file_name", "")), where):
            if len(same) > 1:
                raise DatasetError(
                    f"{where}: {len(same)} images have this id, {' and '.join(names[:3])}; "
                    "expected one each"
                )
    return [image for image in images if len(by_id[image["id"]]) == 1]


def _group_by_image(
    content: dict[str, Any], annotations: Path, examination: Examination | None
) -> dict[Any, list[tuple[int, dict[str, Any]]]]:
    """Sort annotations to their images, each with its place in the file."""
    grouped: dict[Any, list[tuple[int, dict[str, Any]]]] = {
        image["id"]: [] for image in content["images"]
    }
    for position, row in enumerate(content["annotations"]):
        image_id = row.get("image_id")
        if not isinstance(image_id, int | str) or image_id not in grouped:
            name = _name(annotations, row, position)
            with noting(examination, "unknown-picture", "", name):
                raise DatasetError(
                    f"{name}: image_id is {shown(image_id)}, expected the id of one of the "
                    "images in the file"
                )
            continue
        grouped[image_id].append((position, row))
    return grouped


def _name(annotations: Path, row: dict[str, Any], position: int) -> str:
    return (
        f"{annotations} annotation {shown(row['id']) if 'id' in row else f'number {position + 1}'}"
    )


def _file_name(image: dict[str, Any], where: str) -> str:
    name = image.get("file_name")
    if not isinstance(name, str) or not name:
        raise DatasetError(f"{where}: file_name is {shown(name)}, expected the name of a picture")
    return name


def _declared_size(image: dict[str, Any], where: str) -> tuple[int, int] | None:
    """Return (width, height), None where the file leaves them out, or has no pixel to a side."""
    sides = image.get("width"), image.get("height")
    if not all(sides):
        return None
    if not all(_is_number(side) for side in sides):
        raise DatasetError(
            f"{where}: width {shown(sides[0])} and height {shown(sides[1])}, expected numbers"
        )
    width, height = int(sides[0]), int(sides[1])  # type: ignore[arg-type]  # as just seen
    return (width, height) if min(width, height) > 0 else None


def _label(row: dict[str, Any], label_of_id: dict[int, int], own: ClassList, name: str) -> int:
    category_id = row.get("category_id")
    if not isinstance(category_id, int) or category_id not in label_of_id:
        known = ", ".join(map(str, own.ids[:10])) + (", ..." if len(own.ids) > 10 else "")
        raise DatasetError(
            f"{name}: unknown category {shown(category_id)}, expected one of the {len(own.ids)} "
            f"ids in the file's categories ({known})"
        )
    return label_of_id[category_id]


def _read_box(row: dict[str, Any], name: str, mended: Mended, file: str) -> list[float]:
    box = row.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(_is_number(side) for side in box):
        raise DatasetError(
            f"{name}: bbox is {shown(box)}, expected four numbers [x, y, width, height]"
        )
    x, y, width, height = box
    attributes = row.get("attributes")
    degrees = attributes.get("rotation", 0) if isinstance(attributes, dict) else 0
    if not _is_number(degrees):
        raise DatasetError(f"{name}: rotation is {shown(degrees)}, expected degrees")
    corners = [x, y, x + width, y + height]
    if degrees % 360 == 0:
        return corners
    mended.add(ROTATED, file, name)
    x1, y1, x2, y2 = enclosing_box(np.array(corners, np.float64), degrees).tolist()
    return [x1, y1, x2, y2]


def _read_crowd(row: dict[str, Any], name: str, mended: Mended, file: str) -> bool:
    if "iscrowd" not in row:
        mended.add(NO_CROWD_GIVEN, file, name)
    return any(_read_flag(row, key, name) for key in ("iscrowd", "ignore"))


def _read_flag(row: dict[str, Any], key: str, name: str) -> bool:
    value = row.get(key)
    if value not in (None, 0, 1, "", "0", "1"):  # False is 0, and True 1
        raise DatasetError(f"{name}: {key} is {shown(value)}, expected 0 or 1")
    return value in (1, "1")


def _read_area(row: dict[str, Any], name: str) -> float:
    """Return the area, NaN where it is missing or 0, which COCO's size bins cannot use."""
    area = row.get("area")
    if area is None:
        return math.nan
    if not _is_number(area):
        raise DatasetError(f"{name}: area is {shown(area)}, expected a number")
    return float(area) if area > 0 else math.nan


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and abs(value) < _BEYOND  # type: ignore[arg-type]


def _first_double(values: Iterable[Any]) -> Any:
    """Return the first value that was there before, or None."""
    seen = set()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return None
