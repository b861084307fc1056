"""Decoding many pictures at a low resolution: which are broken, which look the same."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from iouaware.data.pictures import map_threads
from iouaware.errors import DatasetError
from iouaware.images import read_thumbnail

Decode = Literal["auto", "all", "none"]

# decoded unless told otherwise: about fifteen seconds' worth, JPEGs being read at reduced size
BUDGET_PX = 4_000_000_000
# compared with each other unless told otherwise: about ten seconds' worth
MOST_COMPARED = 20_000
_FULL_COST = 4  # a picture of another format takes as long as a JPEG so many times its size
_JPEG = (".jpg", ".jpeg", ".jfif")
_SIDE = 24
# two thumbnails are of one picture where they correlate this much and no cell differs by more,
# grey levels at the larger contrast: an object that came or went shows in its cells
_CORRELATION = 0.98
_CELL_DIFFERENCE = 40.0
_BLOCK = 2048
_TAIL = 4096
_END_MARKS = {**dict.fromkeys(_JPEG, b"\xff\xd9"), ".png": b"IEND"}


@dataclass(frozen=True)
class Thumbnails:
    """What decoding pictures gave.

    Attributes:
        rows: [D] indices of the pictures that were decoded.
        pixels: [D, 24, 24] uint8, grey.
        broken: index of a picture -> why it cannot be decoded.
    """

    rows: NDArray[np.int64]
    pixels: NDArray[np.uint8]
    broken: dict[int, str]


def choose_pictures(
    paths: Sequence[Path], image_wh: NDArray[np.int32], decode: Decode
) -> list[int]:
    """Choose the pictures to decode: all within the budget, else a share, evenly spread.

    Files that end without their format's end mark are chosen whatever the budget.

    Args:
        paths: [I] of the pictures.
        image_wh: [I, 2] px.
        decode: ``all``, ``none``, or ``auto`` for the budget.
    """
    if decode == "none":
        return []
    factor = [1 if path.suffix.lower() in _JPEG else _FULL_COST for path in paths]
    cost = np.cumsum(image_wh.astype(np.int64).prod(axis=1) * np.array(factor, np.int64))
    if decode == "all" or not len(cost) or cost[-1] <= BUDGET_PX:
        return list(range(len(paths)))
    step = cost[-1] / BUDGET_PX
    spread = np.unique((np.arange(int(len(paths) / step)) * step).astype(np.int64))
    ends = map_threads(_has_end, paths)
    suspects = [index for index, whole in enumerate(ends) if not whole]
    return sorted({*spread.tolist(), *suspects})


def read_thumbnails(paths: Sequence[Path], chosen: Sequence[int]) -> Thumbnails:
    """Decode pictures in a few threads.

    Args:
        paths: of all pictures.
        chosen: indices of those to decode.
    """

    def look(index: int) -> NDArray[np.uint8] | str:
        try:
            return read_thumbnail(paths[index], _SIDE)
        except DatasetError as error:
            return str(error)

    rows, pixels, broken = [], [], {}
    for index, found in zip(chosen, map_threads(look, chosen), strict=True):
        if isinstance(found, str):
            broken[index] = found
        else:
            rows.append(index)
            pixels.append(found)
    stacked = np.array(pixels, np.uint8).reshape(-1, _SIDE, _SIDE)
    return Thumbnails(np.array(rows, np.int64), stacked, broken)


def choose_compared(count: int, decode: Decode) -> NDArray[np.int64]:
    """Choose the thumbnails to compare with each other, which takes the square of their number.

    Args:
        count: how many there are.
        decode: ``auto`` takes an evenly spread share of very many, else all are taken.
    """
    taken = min(count, MOST_COMPARED) if decode == "auto" else count
    return np.arange(taken, dtype=np.int64) * count // max(1, taken)


def find_alike(pixels: NDArray[np.uint8]) -> Iterator[tuple[int, int]]:
    """Yield pairs of rows whose thumbnails show the same picture, the smaller row first.

    Of the pairs of one second row, those with a smaller first row come before.

    Brightness, contrast and colour may differ, and the picture may have been stored anew, resized
    or cut by a pixel or two. A picture of a single colour is like no other.

    Args:
        pixels: [D, side, side] uint8.
    """
    values = pixels.reshape(len(pixels), pixels.shape[1] * pixels.shape[2]).astype(np.float32)
    values -= values.mean(axis=1, keepdims=True)
    spread = values.std(axis=1, keepdims=True)  # [D, 1], grey levels
    values /= np.maximum(spread, 1)  # so that a plain picture correlates with none
    length = values.shape[1]
    starts = range(0, len(values), _BLOCK)
    for start, other_start in combinations_with_replacement(starts, 2):
        rows, columns = (values[at : at + _BLOCK] for at in (start, other_start))
        alike = rows @ columns.T / length >= _CORRELATION  # [block, block]
        for offset in np.flatnonzero(alike.any(axis=1)).tolist():
            first = start + offset
            others = other_start + np.flatnonzero(alike[offset])
            others = others[others > first]
            gaps = np.abs(values[others] - values[first]).max(axis=1, initial=0)
            larger = np.maximum(spread[others, 0], spread[first, 0])
            for second in others[gaps * larger <= _CELL_DIFFERENCE].tolist():
                yield first, second


def _has_end(path: Path) -> bool:
    """Tell whether a file has its format's end mark near its end; True where there is none."""
    mark = _END_MARKS.get(path.suffix.lower())
    if mark is None:
        return True
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _TAIL))
            return mark in file.read()
    except OSError:
        return False
