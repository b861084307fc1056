"""Listing pictures, and looking at their headers many at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from iouaware.data.examination import Examination, StoredPicture, noting
from iouaware.data.files import list_files
from iouaware.errors import DatasetError
from iouaware.images import IMAGE_SUFFIXES, read_image, read_stored_size

if TYPE_CHECKING:
    from iouaware.data.dataset import Dataset

_In = TypeVar("_In")
_Out = TypeVar("_Out")
_THREADS = 8
_CHUNK = 32  # handing over a single header costs more than reading it
_SIDEWAYS = (5, 6, 7, 8)


def list_pictures(folder: Path) -> list[Path]:
    """List the pictures below a folder, sorted; hidden files and folders are passed over."""
    return list_files(folder, IMAGE_SUFFIXES)


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
