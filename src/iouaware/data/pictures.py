"""Finding the pictures that annotations name, and looking at their headers many at a time."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote

from iouaware.data.examination import Examination, StoredPicture, noting
from iouaware.errors import DatasetError, shown
from iouaware.images import IMAGE_SUFFIXES, read_image, read_stored_size

if TYPE_CHECKING:
    from iouaware.data.dataset import Dataset

_In = TypeVar("_In")
_Out = TypeVar("_Out")
_THREADS = 8
_CHUNK = 32  # handing over a single header costs more than reading it
_SIDEWAYS = (5, 6, 7, 8)
# Label Studio puts eight hexadecimal digits before the name of each file it is given
_HASH_PREFIX = re.compile(r"^[0-9a-f]{8}-(?=.)")


class PictureFinder:
    """Finds pictures by the names that annotation files have for them.

    A name is tried as a path below each folder, then its last part alone in each folder, then
    anywhere below the tree: as it is, without a hash prefix, whatever its case.
    """

    def __init__(self, folders: Sequence[Path], tree: Path, images: Path | None = None) -> None:
        """Look in these folders.

        Args:
            folders: the likely ones, best first; those that do not exist are passed over.
            tree: searched by name when nothing is found in the folders.
            images: what ``--images`` says; it replaces both.

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

    def find(self, name: str, where: str) -> Path:
        """Return the file that a name means.

        Args:
            name: as the annotations have it; backslashes and ``..`` are borne.
            where: names the annotation in messages.

        Raises:
            DatasetError: there is no such picture, or several equally good ones.
        """
        spellings = _spell(name)
        lasts = [spelling.rpartition("/")[2] for spelling in spellings]
        for tail in dict.fromkeys((*spellings, *lasts)):
            for folder in self._folders:
                path = folder / tail
                if tail and is_there(path) and path.is_file():
                    return path
        for last in dict.fromkeys(lasts):
            path_found = self._search(self._by_name, last, lambda path: path.name, where)
            if path_found is not None:
                return path_found
        places = ", ".join(dict.fromkeys(map(str, [*self._folders[:3], self._tree])))
        raise DatasetError(
            f"{where}: no picture {shown(name)} in {places} or below; put it there, or say where "
            "the pictures are with --images DIR"
        )

    def find_stem(self, stem: str, where: str) -> Path | None:
        """Return the picture of this name without its suffix, or None.

        Raises:
            DatasetError: there are several equally good ones.
        """
        return self._search(self._by_stem, stem, lambda path: path.stem, where)

    def _search(
        self,
        index: dict[str, list[Path]],
        name: str,
        part: Callable[[Path], str],
        where: str,
    ) -> Path | None:
        for wanted in dict.fromkeys((name, _HASH_PREFIX.sub("", name))):
            found = index.get(wanted.lower(), [])
            found = [path for path in found if part(path) == wanted] or found
            if len(found) > 1:
                raise DatasetError(
                    f"{where}: {len(found)} pictures are called {wanted!r}, such as {found[0]} and "
                    f"{found[1]}; expected one"
                )
            if found:
                return found[0]
        return None

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


def _spell(name: str) -> list[str]:
    """Return the paths that a name may mean: as it stands, and as Label Studio's address."""
    posix = name.replace("\\", "/")
    address = unquote(posix.rpartition("?d=")[2]).replace("\\", "/")
    return list(dict.fromkeys((posix, address)))


def _index(pictures: list[Path], part: Callable[[Path], str]) -> dict[str, list[Path]]:
    """Sort pictures by a part of their names in lower case, with and without hash prefix."""
    found: dict[str, list[Path]] = {}
    for path in pictures:
        for name in {part(path).lower(), _HASH_PREFIX.sub("", part(path)).lower()}:
            found.setdefault(name, []).append(path)
    return found


def list_pictures(folder: Path) -> list[Path]:
    """List the pictures below a folder, sorted; hidden files and folders are passed over."""
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        # plain text until the end: a hundred thousand Path objects take seconds to sort
        found += [
            f"{place}/{name}"
            for name in files
            if os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122
            and not name.startswith(".")
        ]
    return [Path(name) for name in sorted(found)]


def map_threads(work: Callable[[_In], _Out], items: Iterable[_In]) -> Iterator[_Out]:
    """Do the same with each item in a few threads; results come in order."""
    everything = list(items)
    starts = range(0, len(everything), _CHUNK)
    chunks = [everything[start : start + _CHUNK] for start in starts]
    with ThreadPoolExecutor(_THREADS) as pool:
        for results in pool.map(lambda chunk: [work(item) for item in chunk], chunks):
            yield from results


def read_shown_sizes(
    paths: Sequence[Path],
    declared: Sequence[tuple[int, int] | None] | None = None,
    examination: Examination | None = None,
) -> list[tuple[int, int] | None]:
    """Read (width, height) as shown from the headers of many pictures.

    Args:
        paths: the pictures.
        declared: what the annotations say of each, where they do.
        examination: where given, notes what is wrong.

    Returns:
        The size of each picture. In an examination it is the declared one where that differs, and
        None where a picture cannot be read.

    Raises:
        DatasetError: a picture is missing or none, or is not of the declared size.
    """
    expected = declared if declared is not None else [None] * len(paths)

    def look(picture: tuple[Path, tuple[int, int] | None]) -> tuple[int, int] | None:
        path, declared_wh = picture
        kind = "unreadable-picture" if examination is None or path.exists() else "missing-picture"
        with noting(examination, kind, path, path):
            stored_wh, orientation = read_stored_size(path)
            shown_wh = stored_wh[::-1] if orientation in _SIDEWAYS else stored_wh
            stored = StoredPicture(stored_wh, shown_wh, orientation, declared_wh)
            if examination is not None and (orientation, declared_wh or shown_wh) != (1, shown_wh):
                examination.stored[path] = stored
            kind = "drawn-before-turn" if declared_wh == stored_wh else "other-size"
            with noting(examination, kind, path, path):
                _compare_size(path, stored)
            return declared_wh or shown_wh
        return None

    return list(map_threads(look, zip(paths, expected, strict=True)))


def verify_images(dataset: Dataset, decode: bool) -> None:
    """See that every picture of a data set is there and of the size it is known with.

    Args:
        dataset: what to look at.
        decode: also decode every picture, which finds files that are cut off.

    Raises:
        DatasetError: a picture is missing, broken or of another size.
    """
    records = [dataset.record(index) for index in range(len(dataset))]
    read_shown_sizes([r.path for r in records], [(r.width, r.height) for r in records])
    if decode:
        for _ in map_threads(read_image, [record.path for record in records]):
            pass


def _compare_size(path: Path, picture: StoredPicture) -> None:
    """Raise where the annotations say another size than the picture is shown with."""
    if picture.declared_wh is None or picture.declared_wh == picture.shown_wh:
        return
    sizes = picture.declared_wh, picture.shown_wh
    said, found = (f"{width}x{height}" for width, height in sizes)
    if picture.declared_wh == picture.stored_wh:
        raise DatasetError(
            f"{path}: the annotations say {said}, but the picture is shown as {found}: its EXIF "
            f"orientation ({picture.orientation}) turns it, and the boxes fit the unturned one; "
            "take the orientation out of the file or turn the boxes"
        )
    raise DatasetError(
        f"{path}: the annotations say {said}, the picture has {found}; the boxes belong to "
        "another version of it"
    )
