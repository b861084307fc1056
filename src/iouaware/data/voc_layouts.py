"""Where VOC files lie: VOC's own folders, several years of them, Roboflow, CVAT, Label Studio."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import compress
from pathlib import Path

from iouaware.data.examination import Examination, noting
from iouaware.data.files import list_files, list_files_in, outside, walk_files
from iouaware.data.parts import Layout, VocPart
from iouaware.data.picture_finder import PictureFinder, keep_one_name_a_picture
from iouaware.data.pictures import list_pictures
from iouaware.data.split_names import ALL, split_folders
from iouaware.data.voc import read_voc_xml
from iouaware.data.voc_lists import XML, ListedXmls, find_lists, read_list
from iouaware.errors import DatasetError

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
        DatasetError: an XML file or a list names a picture that cannot be found, or the data are
            one XML file.
    """
    if data.is_file():
        if data.suffix.lower() in XML:
            read_voc_xml(data)  # tells CVAT's own form, and what is broken
            raise DatasetError(f"{data}: it annotates one picture; expected the folder of them all")
        return None
    years = _find_years(data)
    pairs: dict[str, _Pairs] = {}
    notes: list[str] = []
    for year in years:
        for split, found in _read_year(year, images, examination, notes).items():
            pairs.setdefault(split, []).extend(found)
    if len(years) > 1:
        names = ", ".join(year.folder.name for year in years)
        notes.append(f"{len(years)} folders are read together: {names}")
    if not years:
        pairs = _find_beside(data, images, examination, notes)
    if not pairs:
        return None
    _drop_unlabelled(pairs, notes)
    _tell_passed_over(pairs, notes)
    found_by = years[0].annotations.relative_to(data).as_posix() if years else "*.xml"
    parts = {split: VocPart(tuple(found), data) for split, found in pairs.items()}
    return Layout("voc", found_by, {**parts}, tuple(notes))


@dataclass(frozen=True)
class _Year:
    folder: Path
    annotations: Path


@dataclass(frozen=True)
class _Place:
    annotations: Path
    finder: PictureFinder
    pictures: Path


def _find_years(data: Path) -> list[_Year]:
    """Return every folder that holds Annotations: this one, or VOC2007 and the like below."""
    kit = data / "VOCdevkit"
    below = sorted([*data.glob("VOC[0-9]*"), *kit.glob("VOC[0-9]*")])
    for folders in ([data], [kit, *below]):
        years = []
        for folder in folders:
            for name in ("Annotations", "annotations"):
                if any(walk_files(folder / name, XML)):
                    years.append(_Year(folder, folder / name))
                    break
        if years:
            return years
    return []


def _read_year(
    year: _Year, images: Path | None, examination: Examination | None, notes: list[str]
) -> dict[str, _Pairs]:
    folders = [year.folder / name for name in _PICTURE_FOLDERS if (year.folder / name).is_dir()]
    tree = folders[0] if folders else year.folder

    def finder(split: str) -> PictureFinder:
        own = None if split == ALL else split
        return PictureFinder([*folders, year.folder], tree, images, own)

    lists = find_lists(year.folder)
    if not lists:
        own = {
            split: _Place(folder, finder(split), images or _picture_folder(tree, folder))
            for split, folder in split_folders(year.annotations).items()
            if any(walk_files(folder, XML))
        }
        whole = {ALL: _Place(year.annotations, finder(ALL), images or tree)}
        whole_folder = list_files(year.annotations, XML) if own else []
        others = outside(whole_folder, [place.annotations for place in own.values()])
        if others:
            notes.append(
                f"{len(others):,} XML files in {year.annotations} are left out, such as "
                f"{others[0].name}: they are in no folder of {' or '.join(own)}"
            )
        return _pair_places(own or whole, examination, notes)
    pairs: dict[str, _Pairs] = {}
    xmls = ListedXmls(year.annotations)
    for split, path in lists.items():
        found: _Pairs = []
        named = []
        of_split = finder(split)
        for number, stem in read_list(path, xmls):
            where = f"{path} line {number}"
            with noting(examination, "missing-picture", stem, where):
                xml = xmls.find(stem, where)
                picture = _find_listed(stem, xml, of_split, where, examination)
                if picture is not None:
                    found.append((picture, xml))
                    named.append((stem, picture, where))
        pairs[split] = list(compress(found, keep_one_name_a_picture(named, examination)))
    return pairs


def _picture_folder(tree: Path, annotations: Path) -> Path:
    """Return the pictures' folder of the same split, or the whole tree."""
    same = tree / annotations.name
    return same if same.is_dir() else tree


def _find_listed(
    stem: str,
    xml: Path | None,
    finder: PictureFinder,
    where: str,
    examination: Examination | None,
) -> Path | None:
    if xml is not None:
        return _find_picture(xml, finder, examination)
    picture = finder.find_stem(Path(stem), where)
    if picture is None:
        raise DatasetError(
            f"{where}: neither a picture nor an XML file called {stem!r}; expected both, or a "
            "picture alone where it is empty"
        )
    return picture


def _find_picture(xml: Path, finder: PictureFinder, examination: Examination | None) -> Path | None:
    """Find a picture by the name of its XML file, else by the name inside it.

    Returns:
        The picture, or None where the name inside is needed and an examination noted that the
        file cannot be read.
    """
    several = None
    try:
        picture = finder.find_stem(xml.with_suffix(""), str(xml))
        if picture is not None:
            return picture
    except DatasetError as error:  # such as a JPEG and a PNG: the name inside may tell
        several = error
    annotation = None
    with noting(examination, "unreadable-file", xml.stem, xml):
        annotation = read_voc_xml(xml)
    if annotation is None:
        return None
    if several is not None and not annotation.file_name:
        raise several
    return finder.find(annotation.file_name or f"{xml.stem}.*", str(xml))


def _pair_places(
    places: dict[str, _Place], examination: Examination | None, notes: list[str]
) -> dict[str, _Pairs]:
    """Pair the XML files of each split with their pictures.

    Pictures without an XML file are empty ones of the split whose folder they lie in. Where splits
    share a folder of pictures, no one knows whose those are, and they are left out.
    """
    pairs = {split: _pair_all(place, examination) for split, place in places.items()}
    taken = {picture for found in pairs.values() for picture in found}
    folders = {place.pictures for place in places.values()}
    for folder in sorted(folders, key=lambda path: (-len(path.parts), path)):  # the inner first
        sharing = [split for split, place in places.items() if place.pictures == folder]
        empty = [picture for picture in list_pictures(folder) if picture not in taken]
        taken.update(empty)
        if len(sharing) == 1:
            pairs[sharing[0]].update(dict.fromkeys(empty))
        elif empty:
            notes.append(
                f"{len(empty):,} pictures in {folder} are left out, such as {empty[0].name}: they "
                f"have no XML file, and may belong to {' or '.join(sharing)}"
            )
    return {split: sorted(found.items()) for split, found in pairs.items()}


def _pair_all(place: _Place, examination: Examination | None) -> dict[Path, Path | None]:
    """Pair every XML file of a folder with its picture."""
    pairs: dict[Path, Path | None] = {}
    for xml in list_files(place.annotations, XML):
        with noting(examination, "missing-picture", xml.stem, xml):
            picture = _find_picture(xml, place.finder, examination)
            if picture is None:
                continue
            with noting(examination, "double-annotation", picture, xml):
                if picture in pairs:
                    raise DatasetError(
                        f"{xml}: {picture} also belongs to {pairs[picture]}; expected one"
                    )
                pairs[picture] = xml
    return pairs


def _find_beside(
    data: Path, images: Path | None, examination: Examination | None, notes: list[str]
) -> dict[str, _Pairs]:
    """Find XML files that lie beside their pictures, in one folder or one a split."""
    folders = {
        split: folder
        for split, folder in split_folders(data).items()
        if any(walk_files(folder, XML))
    }
    if not folders and list_files_in(data, XML):
        folders = {ALL: data}
    places = {
        split: _Place(folder, PictureFinder([folder], folder, images), images or folder)
        for split, folder in folders.items()
    }
    return _pair_places(places, examination, notes)


def _drop_unlabelled(pairs: dict[str, _Pairs], notes: list[str]) -> None:
    """Leave out a test part whose annotations were never published."""
    test = pairs.get("test")
    if test and all(xml is None for _, xml in test):
        del pairs["test"]
        notes.append(f"test is left out: none of its {len(test):,} pictures has an XML file")


def _tell_passed_over(pairs: dict[str, _Pairs], notes: list[str]) -> None:
    """Tell of pictures in lists that are not read beside train, which holds all of them mostly."""
    if "train" not in pairs:
        return
    read = ("train", "val", "test")
    taken = {picture for split in read for picture, _ in pairs.get(split, ())}
    unread = [*pairs.get("trainval", ()), *pairs.pop(ALL, ())]
    others = sorted({picture for picture, _ in unread} - taken)
    if others:
        notes.append(
            f"{len(others):,} pictures of lists beside train's are left out, such as "
            f"{others[0].name}: they are in none of train, val and test"
        )
