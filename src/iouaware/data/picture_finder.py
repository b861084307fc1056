"""Finding the pictures that annotations name, wherever they were moved to."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import takewhile
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from iouaware.data.examination import Examination, noting
from iouaware.data.pictures import list_pictures
from iouaware.data.split_names import split_of_folder
from iouaware.errors import DatasetError, shown

# Label Studio puts eight hexadecimal digits before the name of each file it is given
_HASH_PREFIX = re.compile(r"^[0-9a-f]{8}-(?=.)")
_MOST_TAILS = 20


class PictureFinder:
    """Finds pictures by the names that annotation files have for them.

    A name is tried as a path below each folder, then without its leading parts, one by one. Then
    its last part is looked for anywhere below the tree: as it is, without a hash prefix, whatever
    its case. Of several pictures of that name, the one whose folders are most like the name's is
    taken; never one in a folder called after another split, unless the name says so, for many sets
    number the pictures of each split from 1.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        tree: Path,
        images: Path | None = None,
        split: str | None = None,
    ) -> None:
        """Look in these folders.

        Args:
            folders: the likely ones, best first; those that do not exist are passed over.
            tree: searched by name when nothing is found in the folders.
            images: what ``--images`` says; it replaces both.
            split: of the annotations, where they are of one.

        Raises:
            DatasetError: ``images`` is no folder.
        """
        if images is not None:
            if not images.is_dir():
                raise DatasetError(
                    f"--images {images}: no such folder; expected the pictures there"
                )
            folders, tree = [images], images
        self._folders = [folder for folder in folders if folder.is_dir()]
        self._tree = tree
        self._own = {"train", "val", split} if split == "trainval" else {split}

    def find(self, name: str, where: str) -> Path:
        """Return the file that a name means.

        Args:
            name: as the annotations have it; backslashes and ``..`` are borne.
            where: names the annotation in messages.

        Raises:
            DatasetError: there is no such picture, or several equally good ones.
        """
        spellings = _spell(name)
        shorter = [tail for spelling in spellings for tail in _tails(spelling)]
        for tail in dict.fromkeys((*spellings, *shorter)):
            for folder in self._folders:
                path = os.path.join(folder, tail)  # noqa: PTH118  many times as quick as Path
                if tail and os.path.isfile(path):  # noqa: PTH113
                    return Path(path)
        passed_over: list[Path] = []
        for spelling in spellings:
            path_found = self._search(
                self._by_name, PurePosixPath(spelling), lambda path: path.name, where, passed_over
            )
            if path_found is not None:
                return path_found
        places = ", ".join(dict.fromkeys(map(str, [*self._folders[:3], self._tree])))
        theirs = "".join(
            f"; {path} is another split's: if it is meant, name it with its folder"
            for path in passed_over[:1]
        )
        raise DatasetError(
            f"{where}: no picture {shown(name)} in {places} or below{theirs}; put it there, or say "
            "where the pictures are with --images DIR"
        )

    def find_stem(self, stem: PurePosixPath | Path, where: str) -> Path | None:
        """Return the picture of this name without its suffix, or None.

        Args:
            stem: its last part is the name; its folders choose among several of that name.
            where: names the annotation in messages.

        Raises:
            DatasetError: there are several equally good ones.
        """
        return self._search(self._by_stem, stem, lambda path: path.stem, where, [])

    def _search(
        self,
        index: dict[str, list[Path]],
        wanted: PurePosixPath | Path,
        part: Callable[[Path], str],
        where: str,
        passed_over: list[Path],
    ) -> Path | None:
        for name in dict.fromkeys((wanted.name, _HASH_PREFIX.sub("", wanted.name))):
            found = index.get(_fold(name), [])
            if name != wanted.name:  # without its prefix: a picture with another one is another's
                found = [path for path in found if not _HASH_PREFIX.match(part(path))]
            passed_over += [path for path in found if self._is_of_another_split(path, wanted)]
            found = [path for path in found if path not in passed_over]
            found = [path for path in found if part(path) == name] or found
            found = _most_like(found, wanted.parent.parts)
            if len(found) > 1:
                raise DatasetError(
                    f"{where}: {len(found)} pictures are called {name!r}, such as {found[0]} and "
                    f"{found[1]}; expected one"
                )
            if found:
                return found[0]
        return None

    def _is_of_another_split(self, picture: Path, wanted: PurePosixPath | Path) -> bool:
        """Tell a picture in a folder called after another split, where the name does not say it."""
        folders = picture.parent.relative_to(self._tree).parts
        splits = {folder: split for folder in folders if (split := split_of_folder(folder))}
        if not splits or self._own == {None} or not self._own.isdisjoint(splits.values()):
            return False
        return splits.keys().isdisjoint(wanted.parent.parts)

    @cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        return _index(self._pictures, lambda path: path.name)

    @cached_property
    def _by_stem(self) -> dict[str, list[Path]]:
        return _index(self._pictures, lambda path: path.stem)

    @cached_property
    def _pictures(self) -> list[Path]:
        return list_pictures(self._tree)


def is_there(path: Path) -> bool:
    """Tell whether there is such a path; a name that no file can have is not there."""
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, or with a zero byte
        return False


def keep_one_name_a_picture(
    found: Sequence[tuple[str, Path, str]], examination: Examination | None
) -> list[bool]:
    """Refuse names that led to the picture of another name: their own is missing.

    Where several names lead to one picture, it belongs to the one that its path ends with, and to
    none where there is no such name or more than one.

    Args:
        found: the name of each picture in the annotations, with suffix or without, the picture
            found by it, and the annotation's place for messages.
        examination: notes what would be raised, where the data are examined.

    Returns:
        Which of them have their picture.

    Raises:
        DatasetError: several names lead to one picture.
    """
    names = [PurePosixPath(name.replace("\\", "/")) for name, _, _ in found]
    by_picture: dict[Path, set[PurePosixPath]] = defaultdict(set)
    for name, (_, picture, _) in zip(names, found, strict=True):
        by_picture[picture].add(name)
    kept = [True] * len(found)
    for position, (name, (_, picture, where)) in enumerate(zip(names, found, strict=True)):
        rivals = by_picture[picture] - {name}
        own = _ends_with(picture, name) and not any(_ends_with(picture, r) for r in rivals)
        if own or not rivals:
            continue
        kept[position] = False
        with noting(examination, "missing-picture", str(name), where):
            raise DatasetError(
                f"{where}: no picture {shown(str(name))}: the one of that name, {picture}, is "
                f"also that of {shown(str(min(rivals)))}; put the missing one there, or correct "
                "the name"
            )
    return kept


def _ends_with(picture: Path, name: PurePosixPath) -> bool:
    """Tell whether a path ends with a name that has its suffix, or does not."""
    length = len(name.parts)
    return name.parts in (picture.parts[-length:], picture.with_suffix("").parts[-length:])


def _spell(name: str) -> list[str]:
    """Return the paths that a name may mean: as it stands, and as Label Studio's address."""
    posix = name.replace("\\", "/")
    address = unquote(posix.rpartition("?d=")[2]).replace("\\", "/")
    return list(dict.fromkeys((posix, address)))


def _tails(name: str) -> list[str]:
    """Return a path without its first part, without its first two, and so on."""
    parts = name.split("/")
    first = max(1, len(parts) - _MOST_TAILS)
    return ["/".join(parts[start:]) for start in range(first, len(parts))]


def _most_like(found: list[Path], folders: tuple[str, ...]) -> list[Path]:
    """Keep the paths whose folders agree the longest with these, counted from the end."""
    if len(found) < 2:
        return found
    agreed = [_count_agreed(path.parent.parts, folders) for path in found]
    return [path for path, count in zip(found, agreed, strict=True) if count == max(agreed)]


def _count_agreed(some: tuple[str, ...], others: tuple[str, ...]) -> int:
    """Count how many parts are the same, from the last one on."""
    pairs = zip(reversed(some), reversed(others), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _fold(name: str) -> str:
    """Return a name without the differences that file systems make: case, and accents' form."""
    return unicodedata.normalize("NFC", name).lower()


def _index(pictures: list[Path], part: Callable[[Path], str]) -> dict[str, list[Path]]:
    """Sort pictures by a part of their names, folded, with and without hash prefix."""
    found: dict[str, list[Path]] = {}
    for path in pictures:
        for name in {_fold(part(path)), _fold(_HASH_PREFIX.sub("", part(path)))}:
            found.setdefault(name, []).append(path)
    return found
