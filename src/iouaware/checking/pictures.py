"""What is wrong with pictures: broken, there twice, in two parts, turned by their EXIF tag."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from iouaware.checking.findings import Finding, find
from iouaware.checking.reading import relative_text
from iouaware.checking.thumbnails import (
    Decode,
    Thumbnails,
    choose_compared,
    choose_pictures,
    find_alike,
    read_thumbnails,
)
from iouaware.checking.turns import find_turned
from iouaware.data.examining import ExaminedSet, whole_key
from iouaware.data.pictures import map_threads
from iouaware.data.splitting import hash_file
from iouaware.errors import DatasetError

# where more of the pictures have a double, they are frames of one scene rather than copies
_ALIKE_SHARE = 0.2
# 12 bits in a file of 16 reach 16 of 255
_DARK = 16


@dataclass(frozen=True)
class PictureList:
    """The pictures of all parts.

    Attributes:
        paths: [I].
        splits: [I] the part of each.
        names: [I] as findings name them.
        image_wh: [I, 2] px.
        labels: [I] the boxes and classes of each, as text that is equal for equal ones.
    """

    paths: list[Path]
    splits: list[str]
    names: list[str]
    image_wh: NDArray[np.int32]
    labels: list[bytes]


def list_examined(examined: ExaminedSet) -> PictureList:
    """List the pictures of all parts, part by part."""
    paths, splits, names, labels = [], [], [], []
    sizes = [np.zeros((0, 2), np.int32)]
    for split, part in examined.parts.items():
        dataset = part.dataset
        sizes.append(dataset.image_wh)
        for index in range(len(dataset)):
            target = dataset.target(index)
            paths.append(dataset.record(index).path)
            splits.append(split)
            names.append(dataset.file_name(index))
            labels.append(target.boxes.tobytes() + target.labels.tobytes())
    return PictureList(paths, splits, names, np.concatenate(sizes), labels)


def find_picture_problems(
    examined: ExaminedSet, decode: Decode = "auto"
) -> tuple[list[Finding], dict[str, int]]:
    """Look at the pictures of a data set.

    Args:
        examined: what was read.
        decode: which pictures are decoded, as in ``choose_pictures``.

    Returns:
        The findings, and how many pictures there are and were decoded.
    """
    pictures = list_examined(examined)
    chosen = choose_pictures(pictures.paths, pictures.image_wh, decode)
    thumbnails = read_thumbnails(pictures.paths, chosen)
    found = find_turned(examined)
    for index, message in thumbnails.broken.items():
        message = relative_text(message, examined.root).removeprefix(f"{pictures.names[index]}: ")
        found.append(
            find(
                "unreadable-picture",
                message.rpartition("; ")[0] or message,
                split=pictures.splits[index],
                file=pictures.names[index],
            )
        )
    found += _tell_dark(pictures, thumbnails)
    if len(chosen) < len(pictures.paths):
        message = f"{len(chosen):,} of {len(pictures.paths):,} pictures were decoded"
        found.append(find("not-decoded", f"{message}; of the others only the headers were read"))
    groups = list(group_equal_files(pictures))
    equal = {index: group[0] for group in groups for index in group}
    found += _tell_too_few(examined, pictures, equal)
    for group in groups:
        found += _tell_copies(pictures, group)
    compared = choose_compared(len(thumbnails.rows), decode)
    if len(compared) < len(thumbnails.rows):
        message = f"{len(compared):,} of {len(thumbnails.rows):,} pictures were compared"
        found.append(find("not-compared", f"{message} to find nearly equal ones"))
    rows = thumbnails.rows[compared]
    alike = (
        (int(rows[first]), int(rows[second]))
        for first, second in find_alike(thumbnails.pixels[compared])
    )
    alike = (pair for pair in alike if equal.get(pair[0], -1) != equal.get(pair[1], -2))
    found += _tell_alike(pictures, alike)
    return found, {"pictures": len(pictures.paths), "decoded": len(chosen)}


def group_equal_files(pictures: PictureList) -> Iterator[list[int]]:
    """Yield groups of pictures, two or more each, whose files are equal byte for byte."""
    by_size: dict[int, list[int]] = defaultdict(list)
    for index, size in enumerate(map_threads(_size_of, pictures.paths)):
        by_size[size].append(index)
    suspects = [index for group in by_size.values() if len(group) > 1 for index in group]
    by_hash: dict[str, list[int]] = defaultdict(list)
    digests = map_threads(hash_file, [pictures.paths[index] for index in suspects])
    for index, digest in zip(suspects, digests, strict=True):
        by_hash[digest].append(index)
    yield from (sorted(group) for group in by_hash.values() if len(group) > 1)


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error


def _tell_dark(pictures: PictureList, thumbnails: Thumbnails) -> Iterator[Finding]:
    """Tell pictures with boxes that are all but black, as where a 16-bit file holds 12 bits."""
    brightest = thumbnails.pixels.max(axis=(1, 2), initial=0)
    for index, grey in zip(thumbnails.rows.tolist(), brightest.tolist(), strict=True):
        if grey <= _DARK and pictures.labels[index]:
            yield find(
                "dark-picture",
                f"its brightest part is at {grey} of 255 grey levels",
                split=pictures.splits[index],
                file=pictures.names[index],
            )


def _tell_too_few(
    examined: ExaminedSet, pictures: PictureList, equal: dict[int, int]
) -> Iterator[Finding]:
    """Tell data that training would have to split and cannot: all of one picture."""
    training = whole_key(examined)
    if training is None or "val" in examined.parts:
        return
    own = [index for index, split in enumerate(pictures.splits) if split == training]
    different = {equal.get(index, index) for index in own}
    if len(different) == 1:
        message = f"{len(own)} pictures (1 different) and no validation part"
        yield find("too-few-pictures", message, split=training)


def _tell_copies(pictures: PictureList, group: Sequence[int]) -> Iterator[Finding]:
    """Tell each picture of a group beside the first of another part and the first of its own."""
    first: dict[str, int] = {}  # of each part, in the order of the pictures
    for index in group:
        split = pictures.splits[index]
        elsewhere = next((other for part, other in first.items() if part != split), None)
        if elsewhere is not None:
            message = f"the same picture as {pictures.names[elsewhere]} in "
            message += f"{pictures.splits[elsewhere]}{_other_boxes(pictures, index, elsewhere)}"
            yield _about(pictures, index, "leak", message, elsewhere)
        own = first.setdefault(split, index)
        if own != index:
            apart = _other_boxes(pictures, index, own)
            message = f"the same picture as {pictures.names[own]}{apart}"
            kind = "contradicting-copy" if apart else "duplicate-picture"
            yield _about(pictures, index, kind, message, own)


def _other_boxes(pictures: PictureList, index: int, other: int) -> str:
    return ", with other boxes" if pictures.labels[other] != pictures.labels[index] else ""


def _tell_alike(pictures: PictureList, pairs: Iterable[tuple[int, int]]) -> Iterator[Finding]:
    """Tell each picture that is nearly another once, beside one of another part if there is one."""
    with_double: set[int] = set()
    first_of: dict[int, int] = {}  # frames of one scene make millions of pairs: one each is kept
    first_elsewhere: dict[int, int] = {}
    for first, second in pairs:
        with_double.update((first, second))
        first_of.setdefault(second, first)
        if pictures.splits[first] != pictures.splits[second]:
            first_elsewhere.setdefault(second, first)
        if len(with_double) > max(20, _ALIKE_SHARE * len(pictures.paths)):
            second, first = next(iter(first_of.items()))
            message = (
                f"at least {len(with_double):,} of {len(pictures.paths):,} pictures are nearly "
                f"equal to another one, such as {pictures.names[first]} and "
                f"{pictures.names[second]}: copies of a picture cannot be told from frames of one "
                "scene"
            )
            yield find("alike", message)
            return
    in_one_part = {two: one for two, one in first_of.items() if two not in first_elsewhere}
    for second, first in {**first_elsewhere, **in_one_part}.items():
        leak = pictures.splits[first] != pictures.splits[second]
        message = f"nearly the same picture as {pictures.names[first]}"
        message += f" in {pictures.splits[first]}" if leak else ""
        kind = "near-leak" if leak else "near-duplicate-picture"
        yield _about(pictures, second, kind, message, first)


def _about(pictures: PictureList, index: int, kind: str, message: str, other: int) -> Finding:
    twin = pictures.splits[other], pictures.names[other]
    return find(kind, message, split=pictures.splits[index], file=pictures.names[index], twin=twin)
