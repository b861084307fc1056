"""Where YOLO files lie: ``data.yaml``, Roboflow, CVAT (``obj.data``), Label Studio."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from iouaware.data.classes import ClassList
from iouaware.data.examination import Examination, noting
from iouaware.data.parts import ALL, SPLIT_ALIASES, Layout, YoloPart, split_folders, split_of
from iouaware.data.pictures import PictureFinder, list_pictures
from iouaware.errors import DatasetError, one_line
from iouaware.images import IMAGE_SUFFIXES

_Pairs = list[tuple[Path, Path | None]]
# text files that are no labels
_LISTS = ("classes", "obj", "train", "val", "valid", "test", "notes", "readme")


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
        is_yaml = data.suffix.lower() in (".yaml", ".yml")
        return _from_yaml(data, images, examination) if is_yaml else None
    described = _find_yaml(data)
    if described is not None:
        return _from_yaml(described, images, examination)
    names = [data / name for name in ("obj.names", "classes.txt", "labels/classes.txt")]
    names_file = next((path for path in names if path.is_file()), None)
    if names_file is not None:
        return _from_names(data, names_file, images, examination)
    if any(_label_files(data / "labels")):
        raise DatasetError(
            f"{data}: it has labels/ but neither data.yaml nor classes.txt; expected one of them "
            "with the names of the classes"
        )
    return None


def _find_yaml(data: Path) -> Path | None:
    """Return data.yaml, or the only YAML file that names classes."""
    files = sorted([*data.glob("*.yaml"), *data.glob("*.yml")])
    usual = [path for path in files if path.stem in ("data", "dataset")]
    if usual:
        return usual[0]
    named = [path for path in files if "names:" in path.read_text("utf-8", errors="replace")]
    return named[0] if len(named) == 1 else None


def _from_yaml(path: Path, images: Path | None, examination: Examination | None) -> Layout:
    content = _read_yaml(path)
    classes = _read_names(content, path)
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
        pairs: _Pairs = []
        for entry in entries:
            place = _resolve(str(entry), bases)
            if place is None and images is None:
                if split == "test":
                    notes.append(f"test is left out: {path.name} names {entry}, which is not there")
                    continue
                with noting(examination, "missing-split", "", path):
                    raise DatasetError(
                        f"{path}: {key} is {entry!r}, which is neither below {root} nor beside "
                        "it; correct it, or take the line out"
                    )
            if images is not None:
                pairs += _pair_labels(_labels_folder(place or root / str(entry)), images, path)
            elif place is not None:
                pairs += _read_place(place, bases, examination)
        if pairs:
            parts[split] = YoloPart(tuple(pairs), classes, root)
    if not parts:
        return _without_splits(root, classes, images, path.name, examination)
    return Layout("yolo", path.name, {**parts}, tuple(notes))


def _without_splits(
    root: Path,
    classes: ClassList,
    images: Path | None,
    found_by: str,
    examination: Examination | None,
) -> Layout:
    """Take images/ and labels/, or one folder a split, where no file says what belongs where."""
    pictures = root / "images" if (root / "images").is_dir() else root
    folders = split_folders(pictures) or {ALL: pictures}
    parts = {}
    for split, folder in folders.items():
        if images is not None:
            pairs = _pair_labels(_labels_folder(folder), images, root / found_by)
        else:
            pairs = _read_place(folder, [root], examination)
        if pairs:
            parts[split] = YoloPart(tuple(pairs), classes, root)
    return Layout("yolo", found_by, {**parts})


def _from_names(
    data: Path, names_file: Path, images: Path | None, examination: Examination | None
) -> Layout:
    """Read a set described by a list of names: darknet's and CVAT's, Label Studio's."""
    names = [line.strip() for line in _read_lines(names_file) if line.strip()]
    classes = _to_classes(dict(enumerate(names)), names_file)
    parts = {}
    for split, aliases in SPLIT_ALIASES.items():
        path = next((p for a in aliases if (p := data / f"{a}.txt").is_file()), None)
        if path is not None and images is None:
            pairs = _read_place(path, [data], examination)
            if pairs:
                parts[split] = YoloPart(tuple(pairs), classes, data)
    found_by = names_file.relative_to(data).as_posix()
    if not parts:
        return _without_splits(data, classes, images, found_by, examination)
    if set(parts) == {"train"}:  # CVAT calls the whole task so
        parts = {ALL: parts["train"]}
    return Layout("yolo", found_by, {**parts})


def _read_yaml(path: Path) -> dict[Any, Any]:
    try:
        content = yaml.safe_load(path.read_text("utf-8-sig"))
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: not valid YAML ({one_line(error)})") from error
    if not isinstance(content, dict):
        raise DatasetError(f"{path}: found no keys, expected names, train and val")
    return content


def _read_names(content: dict[Any, Any], path: Path) -> ClassList:
    """Return the classes, named by a list or by a map from id to name."""
    names = content.get("names")
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names:
        raise DatasetError(f"{path}: names is {names!r}, expected the names of the classes")
    count = content.get("nc")
    if isinstance(count, int) and count != len(names):
        raise DatasetError(f"{path}: nc is {count}, but there are {len(names)} names; correct one")
    try:
        by_id = {int(id_): str(name).strip() for id_, name in names.items()}
    except (TypeError, ValueError) as error:
        raise DatasetError(f"{path}: the keys of names are not all whole numbers") from error
    return _to_classes(by_id, path)


def _to_classes(names: dict[int, str], where: Path) -> ClassList:
    ids = sorted(names)
    ordered = tuple(names[id_] for id_ in ids)
    double = next((name for name in ordered if ordered.count(name) > 1), None)
    if double is not None or not all(ordered):
        raise DatasetError(f"{where}: the class name {double or ''!r} is empty or there twice")
    return ClassList(ordered, tuple(ids))


def _resolve(entry: str, bases: Sequence[Path]) -> Path | None:
    """Find a folder or list that was written on another machine or below another folder.

    Leading parts are dropped one by one, so ``../train/images`` and ``/home/me/set/images/train``
    are found below the file that names them; a part that names a split stays, for images/ is not
    what ``valid/images`` means.
    """
    parts = [part for part in entry.replace("\\", "/").split("/") if part not in ("", ".")]
    if Path(entry).is_absolute() and Path(entry).exists():
        return Path(entry)
    for base in bases:
        if (base / "/".join(parts)).exists():
            return base / "/".join(parts)
    folders = parts[:-1] if Path(entry).suffix.lower() in IMAGE_SUFFIXES else parts
    named = [position for position, part in enumerate(folders) if split_of(part)]
    for start in range(1, named[-1] + 1 if named else len(parts)):
        for base in bases[:-1] or bases:
            path = base / "/".join(parts[start:])
            if ".." not in parts[start:] and path.exists():
                return path
    return None


def _read_place(place: Path, bases: Sequence[Path], examination: Examination | None) -> _Pairs:
    """Pair the pictures of a folder or of a list with their text files."""
    if place.is_dir():
        pictures = list_pictures(place)
        pairs = [(picture, find_label_file(picture)) for picture in pictures]
        _refuse_orphans(place, pairs, examination)
        return pairs
    pairs = []
    for number, line in enumerate(_read_lines(place), 1):
        name, where = line.strip(), f"{place} line {number}"
        if name:
            picture = _resolve(name, [place.parent, *bases])
            if picture is not None:
                pairs.append((picture, find_label_file(picture)))
                continue
            with noting(examination, "missing-picture", name, where):
                raise DatasetError(
                    f"{where}: no picture {name!r}; put it there, or say where the pictures are "
                    "with --images DIR"
                )
    return pairs


def find_label_file(picture: Path) -> Path | None:
    """Return the text file of a picture, or None.

    It lies in ``labels`` where the picture's path says ``images``, or beside the picture.
    """
    in_labels = _labels_folder(picture.parent) / f"{picture.stem}.txt"
    if in_labels.is_file():
        return in_labels
    beside = picture.with_suffix(".txt")
    return beside if beside.is_file() else None


def _labels_folder(pictures: Path) -> Path:
    """Put ``labels`` in place of the last ``images`` of a folder's path."""
    parts = list(pictures.parts)
    for position in range(len(parts) - 1, -1, -1):
        if parts[position].lower() == "images":
            parts[position] = "labels"
            return Path(*parts)
    return pictures


def _label_files(folder: Path) -> Iterable[Path]:
    for path in sorted(folder.glob("**/*.txt")):
        if path.stem.lower() not in _LISTS:
            yield path


def _refuse_orphans(place: Path, pairs: _Pairs, examination: Examination | None) -> None:
    """Raise where a label file with boxes has no picture."""
    used = {text for _, text in pairs}
    for path in _label_files(_labels_folder(place)):
        if path not in used and path.read_bytes().strip() and _looks_like_labels(path):
            with noting(examination, "missing-picture", path.stem, path):
                raise DatasetError(
                    f"{path}: no picture {path.stem}.* in {place}; put it there, take the labels "
                    "out, or say where the pictures are with --images DIR"
                )


def _looks_like_labels(path: Path) -> bool:
    """Tell labels from other text by the first line: a class and at least four values."""
    fields = path.read_text("utf-8", errors="replace").strip().splitlines()[0].split()
    return len(fields) >= 5 and fields[0].isdigit()


def _pair_labels(labels: Path, images: Path, where: Path) -> _Pairs:
    """Pair label files with pictures of the same name below ``--images``."""
    finder = PictureFinder([images], images, images)
    pairs: _Pairs = []
    for path in _label_files(labels):
        picture = finder.find_stem(path.stem, str(path))
        if picture is None:
            raise DatasetError(f"{path}: no picture {path.stem}.* below --images {images}")
        pairs.append((picture, path))
    if not pairs:
        raise DatasetError(f"{where}: no label files in {labels}; expected one for each picture")
    return pairs


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot be read as text ({error})") from error
