"""Where VOC files lie: VOC's own folders, several years of them, Roboflow, CVAT, Label Studio."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from iouaware.data.examination import Examination, noting
from iouaware.data.parts import ALL, Layout, VocPart, split_folders, split_of
from iouaware.data.pictures import PictureFinder, list_pictures
from iouaware.data.voc import read_voc_xml
from iouaware.errors import DatasetError
from iouaware.images import IMAGE_SUFFIXES

_Pairs = list[tuple[Path, Path | None]]
_PICTURE_FOLDERS = ("JPEGImages", "images", "Images")


def find_voc(
    data: Path, images: Path | None, examination: Examination | None = None
) -> Layout | None:
    """Recognise a Pascal VOC data set.

    Args:
        data: a folder.
        images: what ``--images`` says.
        examination: notes pictures that cannot be found, where the data are examined.

    Returns:
        Its parts, or None where this is no VOC data set.

    Raises:
        DatasetError: an XML file or a list names a picture that cannot be found.
    """
    if data.is_file():
        return None
    years = _find_years(data)
    pairs: dict[str, _Pairs] = {}
    notes: list[str] = []
    for year in years:
        for split, found in _read_year(year, images, examination).items():
            pairs.setdefault(split, []).extend(found)
    if len(years) > 1:
        names = ", ".join(year.folder.name for year in years)
        notes.append(f"{len(years)} folders are read together: {names}")
    if not years:
        pairs = _find_beside(data, images, examination)
    if not pairs:
        return None
    _drop_unlabelled(pairs, notes)
    found_by = years[0].annotations.relative_to(data).as_posix() if years else "*.xml"
    parts = {split: VocPart(tuple(found), data) for split, found in pairs.items()}
    return Layout("voc", found_by, {**parts}, tuple(notes))


@dataclass(frozen=True)
class _Year:
    folder: Path
    annotations: Path


def _find_years(data: Path) -> list[_Year]:
    """Return every folder that holds Annotations: this one, or VOC2007 and the like below."""
    kit = data / "VOCdevkit"
    below = sorted([*data.glob("VOC[0-9]*"), *kit.glob("VOC[0-9]*")])
    for folders in ([data], [kit, *below]):
        years = []
        for folder in folders:
            for name in ("Annotations", "annotations"):
                if any((folder / name).glob("**/*.xml")):
                    years.append(_Year(folder, folder / name))
                    break
        if years:
            return years
    return []


def _read_year(
    year: _Year, images: Path | None, examination: Examination | None
) -> dict[str, _Pairs]:
    folders = [year.folder / name for name in _PICTURE_FOLDERS if (year.folder / name).is_dir()]
    tree = folders[0] if folders else year.folder
    finder = PictureFinder([*folders, year.folder], tree, images)
    lists = _find_lists(year.folder)
    if not lists:
        own = {
            split: _pair_all(folder, finder, images or _picture_folder(tree, folder), examination)
            for split, folder in split_folders(year.annotations).items()
            if any(folder.glob("**/*.xml"))
        }
        return own or {ALL: _pair_all(year.annotations, finder, images or tree, examination)}
    pairs: dict[str, _Pairs] = {}
    for split, path in lists.items():
        pairs[split] = []
        for number, stem in _read_list(path):
            where = f"{path} line {number}"
            with noting(examination, "missing-picture", stem, where):
                pairs[split].append(_pair_listed(stem, year.annotations, finder, where))
    return pairs


def _picture_folder(tree: Path, annotations: Path) -> Path:
    """Return the pictures' folder of the same split, or the whole tree."""
    same = tree / annotations.name
    return same if same.is_dir() else tree


def _find_lists(folder: Path) -> dict[str, Path]:
    """Return ImageSets/Main/{train,val,test,trainval}.txt, or CVAT's default.txt."""
    found: dict[str, Path] = {}
    for place in (folder / "ImageSets" / "Main", folder / "ImageSets"):
        for path in sorted(place.glob("*.txt")) if place.is_dir() else ():
            # aeroplane_train.txt and its like list one class
            split = split_of(path.stem) if path.stem.isalpha() else None
            if split or path.stem == "default":
                found.setdefault(split or ALL, path)
        if found:
            break
    return found


def _read_list(path: Path) -> list[tuple[int, str]]:
    """Return line number and name without suffix of each picture listed."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot be read as text ({error})") from error
    found = []
    for number, line in enumerate(lines, 1):
        name = line.strip()
        head, _, flag = name.rpartition(" ")
        if head and flag in ("1", "0", "-1"):
            name = head.strip()
        if Path(name).suffix.lower() in IMAGE_SUFFIXES:
            name = name.rpartition(".")[0]
        if name:
            found.append((number, name))
    return found


def _pair_listed(
    stem: str, annotations: Path, finder: PictureFinder, where: str
) -> tuple[Path, Path | None]:
    xml = annotations / f"{stem}.xml"
    if not xml.is_file():
        xml = annotations / f"{Path(stem).name}.xml"
    if xml.is_file():
        return _find_picture(xml, finder), xml
    picture = finder.find_stem(Path(stem).name, where)
    if picture is None:
        raise DatasetError(
            f"{where}: neither a picture nor an XML file called {stem!r}; expected both, or a "
            "picture alone where it is empty"
        )
    return picture, None


def _find_picture(xml: Path, finder: PictureFinder) -> Path:
    """Find a picture by the name of its XML file, else by the name inside it."""
    picture = finder.find_stem(xml.stem, str(xml))
    return picture or finder.find(read_voc_xml(xml).file_name or f"{xml.stem}.*", str(xml))


def _pair_all(
    annotations: Path, finder: PictureFinder, pictures: Path, examination: Examination | None
) -> _Pairs:
    """Pair every XML file with its picture, and add the pictures that have none."""
    pairs: dict[Path, Path | None] = {}
    for xml in sorted(annotations.glob("**/*.xml")):
        with noting(examination, "missing-picture", xml.stem, xml):
            picture = _find_picture(xml, finder)
            with noting(examination, "double-annotation", picture, xml):
                if picture in pairs:
                    raise DatasetError(
                        f"{xml}: {picture} also belongs to {pairs[picture]}; expected one"
                    )
                pairs[picture] = xml
    for picture in list_pictures(pictures):
        pairs.setdefault(picture, None)
    return sorted(pairs.items(), key=lambda pair: pair[0])


def _find_beside(
    data: Path, images: Path | None, examination: Examination | None
) -> dict[str, _Pairs]:
    """Find XML files that lie beside their pictures, in one folder or one a split."""
    folders = {
        split: folder
        for split, folder in split_folders(data).items()
        if any(_xml_below(folder, "**/*.xml"))
    }
    if not folders and any(_xml_below(data, "*.xml")):
        folders = {ALL: data}
    return {
        split: _pair_all(
            folder, PictureFinder([folder], folder, images), images or folder, examination
        )
        for split, folder in folders.items()
    }


def _xml_below(folder: Path, pattern: str) -> Iterable[Path]:
    return (path for path in folder.glob(pattern) if not path.name.startswith("."))


def _drop_unlabelled(pairs: dict[str, _Pairs], notes: list[str]) -> None:
    """Leave out a test part whose annotations were never published."""
    test = pairs.get("test")
    if test and all(xml is None for _, xml in test):
        del pairs["test"]
        notes.append(f"test is left out: none of its {len(test):,} pictures has an XML file")
