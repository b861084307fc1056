"""Where YOLO files lie: ``data.yaml``, Roboflow, CVAT (``obj.data``), Label Studio."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from iouaware.data.classes import ClassList
from iouaware.data.examination import Examination, noting
from iouaware.data.files import first_folder, list_files_in, outside, read_lines, spellings
from iouaware.data.parts import Layout, YoloPart
from iouaware.data.pictures import list_pictures
from iouaware.data.split_names import ALL, SPLIT_ALIASES, split_folders
from iouaware.data.yolo_pairs import (
    Pairs,
    describe_unlabelled,
    label_files,
    labels_folder,
    pair_labels,
    pair_list,
    pair_place,
    resolve_place,
)
from iouaware.errors import DatasetError, shown
from iouaware.parsing import parse_yaml

_YAML = (".yaml", ".yml")
# an id in quotes, or with zeros before it
_ID = re.compile(r"\d{1,9}", re.ASCII)
_NAMES = re.compile(r"^names\s*:", re.MULTILINE)


def find_yolo(
    data: Path, images: Path | None, examination: Examination | None = None
) -> Layout | None:
    """Recognise a YOLO data set.

    Args:
        data: a YAML file, or a folder.
        images: what ``--images`` says.
        examination: notes pictures that cannot be found, where the data are examined.

    Returns:
        Its parts, or None where this is no YOLO data set.

    Raises:
        DatasetError: the YAML file is malformed, or names a folder that is not there.
    """
    if data.is_file():
        is_yaml = data.suffix.lower() in _YAML
        return _from_yaml(data, images, examination) if is_yaml else None
    described = _find_yaml(data)
    if described is not None:
        return _from_yaml(described, images, examination)
    labels = first_folder([data / name for name in spellings("labels")])
    named = [data / place for place in ("obj.names", "classes.txt")]
    names = [*_named_files(data, ("names",), []), *named, labels / "classes.txt"]
    names_file = next((path for path in names if path.is_file()), None)
    if names_file is not None:
        return _from_names(data, names_file, images, examination)
    if any(label_files(labels)):
        raise DatasetError(
            f"{data}: it has {labels.name}/ but neither data.yaml nor classes.txt; expected one of "
            "them with the names of the classes"
        )
    return None


def _find_yaml(data: Path) -> Path | None:
    """Return data.yaml, or the only YAML file that names classes."""
    files = list_files_in(data, _YAML)
    usual = [path for path in files if path.stem in ("data", "dataset")]
    if usual:
        return usual[0]
    named = [path for path in files if _NAMES.search(path.read_text("utf-8", errors="replace"))]
    return named[0] if len(named) == 1 else None


def _from_yaml(path: Path, images: Path | None, examination: Examination | None) -> Layout:
    content = _read_yaml(path)
    classes, keypoints = _read_names(content, path), _read_keypoints(content, path)
    root = path.parent
    base = content.get("path")
    bases = [root / base] if isinstance(base, str) else []
    bases += [root, root.parent]
    parts: dict[str, YoloPart] = {}
    notes: list[str] = []
    for split, aliases in SPLIT_ALIASES.items():
        key = next((alias for alias in aliases if content.get(alias)), None)
        if key is None:
            continue
        entries = content[key] if isinstance(content[key], list) else [content[key]]
        pairs: Pairs = []
        for entry in entries:
            place = resolve_place(str(entry), bases)
            if place is None and images is None:
                if split == "test":
                    notes.append(
                        f"test is left out: {path.name} names {str(entry)[:200]}, "
                        "which is not there"
                    )
                    continue
                with noting(examination, "missing-split", "", path):
                    raise DatasetError(
                        f"{path}: {key} is {shown(entry)}, which is neither below {root} nor "
                        "beside it; correct it, or take the line out"
                    )
            if images is not None and place is not None and place.is_file():
                pairs += pair_list(place, bases, images, split, examination)
            elif images is not None:
                labels = labels_folder(place or root / str(entry))
                pairs += pair_labels(labels, images, path, split, examination)
            elif place is not None:
                found = pair_place(place, bases, examination)
                if not found:
                    notes.append(
                        f"no pictures in {str(entry)[:200]}, which {path.name} names for {split}"
                    )
                pairs += found
        if pairs:
            parts[split] = YoloPart(tuple(pairs), classes, root, keypoints)
    if not parts:
        parts = _without_splits(root, classes, images, path, examination, notes, keypoints)
    return Layout("yolo", path.name, {**parts}, tuple(notes))


def _without_splits(
    root: Path,
    classes: ClassList,
    images: Path | None,
    found_by: Path,
    examination: Examination | None,
    notes: list[str],
    keypoints: int = 0,
) -> dict[str, YoloPart]:
    """Take images/ and labels/, or one folder a split, where no file says what belongs where."""
    pictures = first_folder([*(root / name for name in spellings("images")), root])
    folders = split_folders(pictures) or {ALL: pictures}
    parts: dict[str, YoloPart] = {}
    for split, folder in folders.items():
        if images is not None:
            labels, own = labels_folder(folder), None if split == ALL else split
            pairs = pair_labels(labels, images, found_by, own, examination)
            notes += describe_unlabelled(images, pairs) if set(folders) == {ALL} else []
        else:
            pairs = pair_place(folder, [root], examination)
        if pairs:
            parts[split] = YoloPart(tuple(pairs), classes, root, keypoints)
    others = outside(list_pictures(pictures), folders.values()) if images is None else []
    if others:
        notes.append(
            f"{len(others):,} pictures in {pictures} are left out, such as {others[0].name}: they "
            f"are in no folder of {' or '.join(folders)}"
        )
    return parts


def _from_names(
    data: Path, names_file: Path, images: Path | None, examination: Examination | None
) -> Layout:
    """Read a set described by a list of names: darknet's and CVAT's, Label Studio's."""
    names = [line.strip() for line in read_lines(names_file) if line.strip()]
    classes = _to_classes(dict(enumerate(names)), names_file)
    notes: list[str] = []
    parts: dict[str, YoloPart] = {}
    lists = _find_lists(data, notes)
    for split, path in lists.items():
        if images is None:
            pairs = pair_place(path, [data], examination)
        else:  # CVAT calls the whole task train, whose pictures may lie in any folder
            own = split if len(lists) > 1 else None
            pairs = pair_list(path, [data], images, own, examination)
        if pairs:
            parts[split] = YoloPart(tuple(pairs), classes, data)
    if not parts:
        parts = _without_splits(data, classes, images, names_file, examination, notes)
        texts = (text for part in parts.values() for _, text in part.pictures)
        if not any(texts):
            raise DatasetError(
                f"{names_file}: it names classes, but none of the pictures has a text file; "
                "expected one in labels/ or beside each picture"
            )
    elif set(parts) == {"train"}:
        parts = {ALL: parts["train"]}
    return Layout("yolo", names_file.relative_to(data).as_posix(), {**parts}, tuple(notes))


def _find_lists(data: Path, notes: list[str]) -> dict[str, Path]:
    """Return the list of pictures of each split: what ``obj.data`` names, else train.txt, ..."""
    lists: dict[str, Path] = {}
    for split, aliases in SPLIT_ALIASES.items():
        listed = [*_named_files(data, aliases, notes), *(data / f"{name}.txt" for name in aliases)]
        path = next((path for path in listed if path.is_file()), None)
        if path is not None and path in lists.values():
            notes.append(f"{split} is left out: its list {path.name} is another part's too")
        elif path is not None:
            lists[split] = path
    return lists


def _named_files(data: Path, keys: Sequence[str], notes: list[str]) -> list[Path]:
    """Return the files below a folder that darknet's ``obj.data`` names under one of the keys."""
    described = data / "obj.data"
    found = []
    for line in read_lines(described) if described.is_file() else ():
        key, _, value = (part.strip() for part in line.partition("="))
        if key in keys and value:
            place = resolve_place(value, [data])
            if place is None:
                notes.append(f"obj.data names {value[:200]} for {key}, which is not there")
            else:
                found.append(place)
    return found


def _read_yaml(path: Path) -> dict[Any, Any]:
    try:
        content = parse_yaml(path.read_text("utf-8-sig"))
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:  # malformed text is one too
        raise DatasetError(f"{path}: not valid YAML ({error})") from error
    if not isinstance(content, dict):
        raise DatasetError(f"{path}: found no keys, expected names, train and val")
    return content


def _read_names(content: dict[Any, Any], path: Path) -> ClassList:
    """Return the classes, named by a list or by a map from id to name."""
    names = content.get("names")
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names:
        raise DatasetError(f"{path}: names is {shown(names)}, expected the names of the classes")
    count = content.get("nc")
    if isinstance(count, int) and count != len(names):
        raise DatasetError(f"{path}: nc is {count}, but there are {len(names)} names; correct one")
    truth = next((name for name in names.values() if isinstance(name, bool)), None)
    if truth is not None:
        raise DatasetError(
            f"{path}: a class is named {truth}, which is how YAML reads on, off, yes and no; put "
            "the name in quotes"
        )
    by_id: dict[int, str] = {}
    for key, name in names.items():
        if type(name) not in (str, int):
            raise DatasetError(
                f"{path}: a class is named {shown(name)}, expected a text; put the name in quotes"
            )
        if type(key) is not int and not (isinstance(key, str) and _ID.fullmatch(key)):
            raise DatasetError(f"{path}: names has the key {shown(key)}, expected a whole number")
        if int(key) in by_id:
            raise DatasetError(f"{path}: names has the key {int(key)} twice, expected it once")
        by_id[int(key)] = str(name).strip()
    return _to_classes(by_id, path)


def _read_keypoints(content: dict[Any, Any], path: Path) -> int:
    """Return how many values of key points follow each box, 0 where the data have none."""
    shape = content.get("kpt_shape")
    if shape is None:
        return 0
    if (
        not isinstance(shape, list)
        or len(shape) != 2
        or not all(type(length) is int and length > 0 for length in shape)
    ):
        raise DatasetError(
            f"{path}: kpt_shape is {shown(shape)}, expected the number of key points and the "
            "values of each, such as [17, 3]"
        )
    points, values = shape
    return int(points * values)


def _to_classes(names: dict[int, str], where: Path) -> ClassList:
    ids = sorted(names)
    ordered = tuple(names[id_] for id_ in ids)
    double = next((name for name, count in Counter(ordered).items() if count > 1), None)
    if double is not None or not all(ordered):
        raise DatasetError(f"{where}: the class name {double or ''!r} is empty or there twice")
    return ClassList(ordered, tuple(ids))
