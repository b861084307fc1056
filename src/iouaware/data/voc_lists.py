"""VOC's lists in ImageSets, and the XML files that they name."""

from __future__ import annotations

from pathlib import Path

from iouaware.data.files import list_files, list_files_in, read_lines
from iouaware.data.split_names import ALL, split_of
from iouaware.errors import DatasetError, shown
from iouaware.images import IMAGE_SUFFIXES

XML = (".xml",)
_FLAGS = ("1", "0", "-1")  # whether the class that a list is about is in the picture


class ListedXmls:
    """Finds XML files by the names in lists, which may leave out the folders below Annotations."""

    def __init__(self, folder: Path) -> None:
        """Index the XML files below a folder."""
        self._folder = folder
        self._by_path = {path.with_suffix(""): path for path in list_files(folder, XML)}
        self._by_stem: dict[str, list[Path]] = {}
        for path in self._by_path.values():
            self._by_stem.setdefault(path.stem, []).append(path)

    def find(self, name: str, where: str) -> Path | None:
        """Return the XML file that a name in a list means, None where there is none.

        Raises:
            DatasetError: there are several.
        """
        for path in (self._folder / name, self._folder / Path(name).name):
            if path in self._by_path:
                return self._by_path[path]
        found = self._by_stem.get(name, [])
        if len(found) > 1:
            raise DatasetError(
                f"{where}: {len(found)} XML files are called {shown(name)}, such as {found[0]} and "
                f"{found[1]}; write the name with its folder"
            )
        return found[0] if found else None

    def has(self, name: str) -> bool:
        """Tell whether an XML file is called so."""
        return Path(name).name in self._by_stem


def find_lists(folder: Path) -> dict[str, Path]:
    """Return ImageSets/Main/{train,val,test,trainval}.txt, or CVAT's default.txt."""
    found: dict[str, Path] = {}
    for place in (folder / "ImageSets" / "Main", folder / "ImageSets"):
        for path in list_files_in(place, (".txt",)):
            # aeroplane_train.txt and its like list one class
            split = split_of(path.stem) if path.stem.isalpha() else None
            if split or path.stem == "default":
                found.setdefault(split or ALL, path)
        if found:
            break
    return found


def read_list(path: Path, xmls: ListedXmls) -> list[tuple[int, str]]:
    """Return line number and name without suffix of each picture listed.

    Where every line ends in a flag, it is taken off; not where a picture is called so, as
    ``photo 1`` is.
    """
    lines = {number: line.strip() for number, line in enumerate(read_lines(path), 1)}
    names = {number: _without_suffix(line) for number, line in lines.items() if line}
    parted = {number: name.rpartition(" ") for number, name in names.items()}
    flagged = all(head and flag in _FLAGS for head, _, flag in parted.values())
    if flagged and not any(xmls.has(name) for name in names.values()):
        names = {number: _without_suffix(head.strip()) for number, (head, _, _) in parted.items()}
    return list(names.items())


def _without_suffix(name: str) -> str:
    is_picture = Path(name).suffix.lower() in IMAGE_SUFFIXES
    return name.rpartition(".")[0] if is_picture else name
