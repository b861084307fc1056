"""What a place holds that no reader took for a data set."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from iouaware.data.files import walk_files
from iouaware.data.split_names import split_of
from iouaware.data.yolo_pairs import pair_with_texts
from iouaware.images import IMAGE_SUFFIXES

# what gives a data set away; a look at its files is for those who read it
_MARKS = (
    *("data.yaml", "dataset.yaml", "obj.names", "classes.txt", "VOCdevkit"),
    *("Annotations", "annotations", "_annotations.coco.json", "train/_annotations.coco.json"),
)
_INSIDE = ("images", "labels", "jpegimages", "annotations")
_MOST, _MOST_FOLDERS = 10_000, 1_000


def describe_found(data: Path) -> str:
    """Say in one clause what lies there, or where a data set is; a huge folder is not seen whole.

    Args:
        data: an absolute path, to a folder or a file.
    """
    if data.is_file():
        return "found a single file; expected a folder, or a .json or .yaml file"
    below = [child for child in _folders(data) if _is_marked(child)]
    if below:
        others = f", {below[1].name}/ another" if len(below) > 1 else ""
        return f"{below[0].name}/ below it looks like one{others}: name that folder"
    above = _find_above(data)
    if above is not None:
        return f"it looks like a part of {above}: name that folder"
    return _count_pictures(data)


def _folders(data: Path) -> list[Path]:
    children = islice(data.iterdir(), _MOST)
    return sorted(child for child in children if child.is_dir() and child.name[0] != ".")


def _is_marked(folder: Path) -> bool:
    return any((folder / mark).exists() for mark in _MARKS)


def _find_above(data: Path) -> Path | None:
    """Return the data set that this folder of pictures or of labels is a part of, or None."""
    folder = data
    while folder.name.lower() in _INSIDE or split_of(folder.name):
        folder = folder.parent
        if _is_marked(folder):
            return folder
    return None


def _count_pictures(data: Path) -> str:
    pictures = [
        Path(name) for name in islice(walk_files(data, IMAGE_SUFFIXES, _MOST_FOLDERS), _MOST)
    ]
    if not pictures:
        return "found no pictures there"
    found = f"found {len(pictures):,}{' or more' if len(pictures) == _MOST else ''} pictures"
    labelled = sum(text is not None for _, text in pair_with_texts(pictures))
    if labelled:
        return f"{found}, {labelled:,} with .txt labels, but neither data.yaml nor classes.txt"
    return f"{found} without labels"
