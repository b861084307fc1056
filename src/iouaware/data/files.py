"""Finding the files of a data set by suffix, in any case, and reading those that are text."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from iouaware.errors import DatasetError


def walk_files(
    folder: Path, suffixes: Collection[str], most_folders: int | None = None
) -> Iterator[str]:
    """Yield the paths of files below a folder; hidden files and folders are passed over.

    Links to folders are followed, but none that leads round in a circle or to what is seen anyway.

    Args:
        folder: where to look; nothing is found where there is none.
        suffixes: lower case, with the dot.
        most_folders: how many folders are seen; all by default.
    """
    followed: set[Path] = set()
    for place, folders, files in islice(os.walk(folder, followlinks=True), most_folders):
        visible = sorted(name for name in folders if not name.startswith("."))
        folders[:] = [name for name in visible if _is_new(Path(place, name), folder, followed)]
        yield from (f"{place}/{name}" for name in files if _counts(name, suffixes))


def list_files(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """List the files below a folder as ``walk_files`` finds them, sorted."""
    # plain text until the end: a hundred thousand Path objects take seconds to sort
    return [Path(name) for name in sorted(walk_files(folder, suffixes))]


def list_files_in(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """List the files that lie right in a folder, sorted; hidden ones are passed over."""
    if not _is_folder(folder):
        return []
    with os.scandir(folder) as entries:
        names = [one.name for one in entries if _counts(one.name, suffixes) and one.is_file()]
    return [folder / name for name in sorted(names)]


def outside(files: Iterable[Path], folders: Iterable[Path]) -> list[Path]:
    """Return the files that lie in none of the folders, nor below one."""
    inside = set(folders)
    return [path for path in files if inside.isdisjoint(path.parents)]


class Namesakes:
    """Finds files of one suffix by folder and name, and lists each folder only once."""

    def __init__(self, suffix: str) -> None:
        """Look for files of this suffix, lower case and with the dot, in any case."""
        self._suffix = suffix
        self._by_folder: dict[Path, dict[str, Path]] = {}

    def find(self, folder: Path, stem: str) -> Path | None:
        """Return the file of this name without suffix that lies right in a folder, or None."""
        if folder not in self._by_folder:
            files = list_files_in(folder, (self._suffix,))
            self._by_folder[folder] = {path.stem: path for path in files}
        return self._by_folder[folder].get(stem)


def spellings(name: str) -> tuple[str, str, str]:
    """Return how a folder's name, given in lower case, is written: as it is or with capitals."""
    return name, name.capitalize(), name.upper()


def first_folder(candidates: Sequence[Path]) -> Path:
    """Return the first that is a folder, or the first of all where none is."""
    return next((folder for folder in candidates if _is_folder(folder)), candidates[0])


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file.

    Raises:
        DatasetError: it cannot be read as text.
    """
    try:
        return path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot be read as text ({error})") from error


def _counts(name: str, suffixes: Collection[str]) -> bool:
    suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122  many times as quick as Path
    return suffix in suffixes and not name.startswith(".")


def _is_new(path: Path, root: Path, followed: set[Path]) -> bool:
    """Tell a folder, or a link to one, that is seen nowhere else below the root; note the link."""
    if not path.is_symlink():
        return True
    target, top = path.resolve(), root.resolve()
    if top.is_relative_to(target) or target in followed:
        return False
    if target.is_relative_to(top):
        inside = target.relative_to(top)
        if not any(part.startswith(".") for part in inside.parts):
            return False  # it is seen at its own place
    followed.add(target)
    return True


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112  a name that no file can have is none either
