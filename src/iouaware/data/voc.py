"""Pascal VOC XML: whole pixels counted from 1, both corners inside the box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
from defusedxml import DefusedXmlException
from defusedxml import ElementTree as SafeElementTree

from iouaware.data.classes import ClassList
from iouaware.data.dataset import Dataset, DatasetBuilder
from iouaware.data.examination import Examination, noting
from iouaware.data.mending import FROM_ZERO, ROTATED, Mended
from iouaware.data.numbers import parse_number
from iouaware.data.pictures import map_threads, read_shown_sizes
from iouaware.data.rotation import enclosing_box
from iouaware.errors import DatasetError, shown

_SIDES = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class VocObject:
    """One ``<object>``: its class, its box as the file has it, and its attributes."""

    name: str
    box: tuple[float, float, float, float]
    difficult: bool
    rotation: float


@dataclass(frozen=True)
class VocAnnotation:
    """One XML file: the picture it names, its size where given, and its objects."""

    file_name: str
    size: tuple[int, int] | None
    objects: tuple[VocObject, ...]


def read_voc(
    pictures: Sequence[tuple[Path, Path | None]],
    *,
    root: Path,
    split: str,
    classes: ClassList | None = None,
    strict: bool = False,
    examination: Examination | None = None,
) -> Dataset:
    """Read pictures with their XML files.

    A box goes from xmin - 1, ymin - 1 to xmax, ymax. One whose corners are the same pixel is a
    slip of the hand rather than an object, and counts as without area. Difficult objects are
    ignored boxes.

    Args:
        pictures: each with its XML file, None where it has none and is empty.
        root: file names of the result are relative to it.
        split: name of the split.
        classes: the training data's; the names found, sorted, where left out.
        strict: whether a repair is an error.
        examination: notes what would be raised, where the data are examined.

    Raises:
        DatasetError: an XML file cannot be used, a picture is missing or of another size.
    """
    found, readable = [], []
    for path, xml in pictures:
        with noting(examination, "unreadable-file", path, xml or ""):
            found.append(None if xml is None else read_voc_xml(xml))
            readable.append((path, xml))
    classes = classes or _sorted_classes(found)
    sizes = read_shown_sizes(
        [path for path, _ in readable],
        [None if one is None else one.size for one in found],
        examination,
    )
    builder = DatasetBuilder(
        "voc", root, split, classes.names, classes.ids, strict, "xyxy", examination
    )
    known: dict[str, int] = {}
    for (path, xml), annotation, size in zip(readable, found, sizes, strict=True):
        if size is None:
            continue
        objects = () if annotation is None else annotation.objects
        if any(one.name not in known for one in objects):
            known = classes.labels_of({one.name for one in objects}, str(xml))
        file = builder.relative(path)
        places = [f"{xml} object {position + 1}" for position in range(len(objects))]
        builder.add_image(
            path,
            *size,
            [
                _to_corners(one, builder.mended, file, place)
                for one, place in zip(objects, places, strict=True)
            ],
            [known[one.name] for one in objects],
            [one.difficult for one in objects],
            where=places.__getitem__,
        )
    return builder.build()


def voc_classes(xml_files: Sequence[Path]) -> ClassList:
    """Return the class names in many XML files, sorted; ids count from 1."""
    return _sorted_classes(list(map_threads(read_voc_xml, xml_files)))


def read_voc_xml(path: Path) -> VocAnnotation:
    """Read one XML file.

    Raises:
        DatasetError: it is not there, is no XML, holds entities, or an object lacks something.
    """
    try:
        root: Element = SafeElementTree.fromstring(path.read_bytes())
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error
    except DefusedXmlException as error:
        raise DatasetError(
            f"{path}: the XML defines entities, which are refused; expected plain VOC XML"
        ) from error
    except (SafeElementTree.ParseError, ValueError, LookupError) as error:
        raise DatasetError(f"{path}: not valid XML ({error})") from error
    if root.tag == "annotations":
        raise DatasetError(
            f"{path}: found <annotations>, which is CVAT for images; expected VOC's <annotation>: "
            "export as COCO 1.0, YOLO 1.1 or PASCAL VOC 1.1"
        )
    if root.tag != "annotation":
        raise DatasetError(f"{path}: found <{root.tag}>, expected VOC's <annotation>")
    objects = [
        _read_object(element, f"{path} object {position + 1}")
        for position, element in enumerate(root.findall("object"))
    ]
    size = root.find("size")
    declared = None
    if size is not None:
        width = int(_read_number(size, "width", f"{path} size", 0))
        height = int(_read_number(size, "height", f"{path} size", 0))
        declared = (width, height) if width > 0 and height > 0 else None
    return VocAnnotation(_text(root, "filename"), declared, tuple(objects))


def _sorted_classes(found: Sequence[VocAnnotation | None]) -> ClassList:
    names = {one.name for annotation in found if annotation for one in annotation.objects}
    return ClassList(tuple(sorted(names)), tuple(range(1, len(names) + 1)))


def _read_object(element: Element, where: str) -> VocObject:
    name = _text(element, "name")
    if not name:
        raise DatasetError(f"{where}: it has no name, expected a class")
    corners = element.find("bndbox")
    if corners is None:
        raise DatasetError(f"{where}: it has no bndbox, expected xmin, ymin, xmax and ymax")
    x1, y1, x2, y2 = (_read_number(corners, side, where) for side in _SIDES)
    rotation = 0.0
    for attribute in element.iterfind("attributes/attribute"):
        if _text(attribute, "name") == "rotation":
            rotation = _read_number(attribute, "value", f"{where} rotation", 0)
    difficult = _read_number(element, "difficult", where, 0) != 0
    return VocObject(name, (x1, y1, x2, y2), difficult, rotation)


def _read_number(element: Element, tag: str, where: str, default: float | None = None) -> float:
    text = _text(element, tag)
    if not text and default is not None:
        return default
    value = parse_number(text)
    if value is None:
        raise DatasetError(f"{where}: {tag} is {shown(text)}, expected a number")
    return value


def _text(element: Element, tag: str) -> str:
    return (element.findtext(tag) or "").strip()


def _to_corners(
    one: VocObject, mended: Mended, file: str, where: str
) -> tuple[float, float, float, float]:
    """Turn VOC's inclusive pixels from 1 into continuous corners from 0."""
    x1, y1, x2, y2 = one.box
    if (x1, y1) == (x2, y2):
        return x1, y1, x1, y1  # without area: mended with all others
    if 0 in (x1, y1):
        mended.add(FROM_ZERO, file, where)
        x1, y1 = x1 or 1, y1 or 1
    box = (x1 - 1, y1 - 1, x2, y2)
    if one.rotation % 360 == 0:
        return box
    mended.add(ROTATED, file, where)
    a, b, c, d = enclosing_box(np.array(box, np.float64), one.rotation).tolist()
    return a, b, c, d
