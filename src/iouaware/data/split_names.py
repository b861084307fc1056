"""The names of splits, in those of files and folders."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from pathlib import Path

# the whole of a data set that has no split of its own
ALL = "all"
# the parts to learn from, the best first
TRAINING_KEYS = ("train", "trainval", ALL)
SPLIT_ALIASES: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
    "trainval": ("trainval",),
}
_WORD = re.compile(r"[a-z]+")


def training_key(parts: Container[str]) -> str | None:
    """Return the name of the part to learn from, None where there is none."""
    return next((key for key in TRAINING_KEYS if key in parts), None)


def split_of(name: str) -> str | None:
    """Return the split that a file or folder name speaks of, None where it does not.

    ``instances_val2017`` is val, ``valid`` is val, ``trainval`` is trainval.
    """
    words = _WORD.findall(name.lower())
    for split, aliases in SPLIT_ALIASES.items():
        if any(word in aliases for word in words):
            return split
    return None


def split_of_folder(name: str) -> str | None:
    """Return the split that a folder is called after, with a year or without, None if after none.

    ``val2017`` and ``valid`` are val; ``obj_train_data``, where CVAT puts all pictures, is none.
    """
    word = name.lower().rstrip("0123456789")
    return next((split for split, aliases in SPLIT_ALIASES.items() if word in aliases), None)


def split_folders(data: Path) -> dict[str, Path]:
    """Return the folders right below that are called after a split; the shortest name wins."""
    found: dict[str, Path] = {}
    for folder in sorted(data.iterdir(), key=lambda path: (len(path.name), path.name)):
        for split, aliases in SPLIT_ALIASES.items():
            if folder.is_dir() and folder.name.lower() in aliases:
                found.setdefault(split, folder)
    return found
