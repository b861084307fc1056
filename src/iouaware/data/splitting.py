"""A split for data that come without one, by what is in the pictures."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np

from iouaware.data.dataset import Dataset
from iouaware.data.pictures import map_threads
from iouaware.errors import DatasetError
from iouaware.structures import IntArray

_VAL_SHARE = 0.2
_CHUNK = 1 << 20


def split_by_content(dataset: Dataset) -> tuple[IntArray, IntArray]:
    """Split pictures 80/20 by the sha256 of their files.

    Names and order of the files play no part, so the same pictures always split the same way,
    and equal files are never on both sides. Each class is on both sides where it is in two
    different pictures; a class in one picture alone is in training.

    Returns:
        Indices of the pictures for training and for validation, ascending.

    Raises:
        DatasetError: there are fewer than two different pictures, or a file cannot be read.
    """
    groups = _group_equal_files(dataset)
    if len(groups) < 2:
        raise DatasetError(
            f"{dataset.root}: {len(dataset)} pictures ({len(groups)} different) cannot be split "
            "into training and validation; expected at least 2"
        )
    classes = [_classes_of(dataset, group) for group in groups]
    spread = Counter(label for group in classes for label in group)
    wanted = max(1, round(_VAL_SHARE * len(dataset)))
    val: set[int] = set()
    left = spread.copy()  # how many groups of each class are still in training

    def move(group: int) -> None:
        val.add(group)
        left.subtract(classes[group])

    def may_move(group: int) -> bool:
        return group not in val and all(left[label] > 1 for label in classes[group])

    # the rarest class has the least choice, so it chooses first
    for label in sorted(spread, key=lambda label: (spread[label], label)):
        if spread[label] > 1 and not any(label in classes[group] for group in val):
            options = (g for g in range(len(groups)) if label in classes[g] and may_move(g))
            chosen = next(options, None)
            if chosen is not None:
                move(chosen)
    moved = sum(len(groups[group]) for group in val)
    for group in range(len(groups)):
        if moved >= wanted:
            break
        if may_move(group):
            move(group)
            moved += len(groups[group])
    if not val:  # every picture holds the last of some class: one side must do without
        move(0)
    in_val = np.zeros(len(dataset), np.bool_)
    for group in val:
        in_val[groups[group]] = True
    return np.flatnonzero(~in_val).astype(np.int64), np.flatnonzero(in_val).astype(np.int64)


def has_two_contents(dataset: Dataset) -> bool:
    """Tell whether two pictures differ, and read no more of them than that takes.

    Raises:
        DatasetError: a file cannot be read.
    """
    digests = (hash_file(dataset.record(index).path) for index in range(len(dataset)))
    first = next(digests, None)
    return any(digest != first for digest in digests)


def hash_file(path: Path) -> str:
    """Return the sha256 of a file's content.

    Raises:
        DatasetError: it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error
    return digest.hexdigest()


def _group_equal_files(dataset: Dataset) -> list[list[int]]:
    """Return the indices of pictures of equal content together, in the order of their hashes."""
    paths = [dataset.record(index).path for index in range(len(dataset))]
    groups: dict[str, list[int]] = {}
    for index, digest in enumerate(map_threads(hash_file, paths)):
        groups.setdefault(digest, []).append(index)
    return [groups[digest] for digest in sorted(groups)]


def _classes_of(dataset: Dataset, indices: list[int]) -> set[int]:
    found: set[int] = set()
    for index in indices:
        target = dataset.target(index)
        found.update(target.labels[~target.ignored].tolist())
    return found
