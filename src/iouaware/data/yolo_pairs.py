"""Pictures with their YOLO text files: paired by folder, by list, or by name alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, compress
from pathlib import Path

from iouaware.data.examination import Examination, noting
from iouaware.data.files import (
    Namesakes,
    first_folder,
    list_files,
    list_files_in,
    read_lines,
    spellings,
)
from iouaware.data.numbers import parse_number
from iouaware.data.picture_finder import PictureFinder, is_there, keep_one_name_a_picture
from iouaware.data.pictures import list_pictures
from iouaware.data.split_names import split_of
from iouaware.errors import DatasetError, shown
from iouaware.images import IMAGE_SUFFIXES

Pairs = list[tuple[Path, Path | None]]
# text files that are no labels
_LISTS = ("classes", "obj", "train", "val", "valid", "test", "notes", "readme")


def resolve_place(entry: str, bases: Sequence[Path]) -> Path | None:
    """Find a folder or list that was written on another machine or below another folder.

    Leading parts are dropped one by one, so ``../train/images`` and ``/home/me/set/images/train``
    are found below the file that names them; a part that names a split stays, for images/ is not
    what ``valid/images`` means.
    """
    parts = [part for part in entry.replace("\\", "/").split("/") if part not in ("", ".")]
    if Path(entry).is_absolute() and is_there(Path(entry)):
        return Path(entry)
    for base in bases:
        if is_there(base / "/".join(parts)):
            return base / "/".join(parts)
    folders = parts[:-1] if Path(entry).suffix.lower() in IMAGE_SUFFIXES else parts
    named = [position for position, part in enumerate(folders) if split_of(part)]
    for start in range(1, named[-1] + 1 if named else len(parts)):
        for base in bases[:-1] or bases:
            path = base / "/".join(parts[start:])
            if ".." not in parts[start:] and is_there(path):
                return path
    return None


def pair_place(place: Path, bases: Sequence[Path], examination: Examination | None) -> Pairs:
    """Pair the pictures of a folder or of a list with their text files.

    Raises:
        DatasetError: a picture is missing, or a text file with boxes has none or has two.
    """
    if place.is_dir():
        pairs = pair_with_texts(list_pictures(place))
        _refuse_orphans(place, pairs, examination)
        return _without_shared(pairs, examination)
    found = []
    for number, line in enumerate(read_lines(place), 1):
        name, where = line.strip(), f"{place} line {number}"
        if name:
            picture = resolve_place(name, [place.parent, *bases])
            if picture is not None:
                found.append((name, picture, where))
                continue
            with noting(examination, "missing-picture", name, where):
                raise DatasetError(
                    f"{where}: no picture {shown(name)}; put it there, or say where the pictures "
                    "are with --images DIR"
                )
    own = compress(found, keep_one_name_a_picture(found, examination))
    pairs = pair_with_texts(picture for _, picture, _ in own)
    _refuse_other_case(pairs, examination)
    return _without_shared(pairs, examination)


def pair_with_texts(pictures: Iterable[Path]) -> Pairs:
    """Pair pictures with their text files, None where there is none.

    They lie in ``labels`` where the picture's path says ``images``, or beside the picture. Where
    a.jpg has a.txt, that of a.png is a.png.txt: so predictions are written.
    """
    texts = Namesakes(".txt")
    places: dict[Path, tuple[Path, Path]] = {}
    pairs: Pairs = []
    for picture in pictures:
        folder = picture.parent
        if folder not in places:
            places[folder] = labels_folder(folder), folder
        whole = _find_text(texts, places[folder], picture.name)
        pairs.append((picture, whole or _find_text(texts, places[folder], picture.stem)))
    return pairs


def _without_shared(pairs: Pairs, examination: Examination | None) -> Pairs:
    """Refuse text files of several pictures; no one knows whose the boxes are."""
    owners: dict[Path, set[Path]] = {}
    for picture, text in pairs:
        if text is not None:
            owners.setdefault(text, set()).add(picture)
    for text, pictures in owners.items():
        if len(pictures) > 1:
            first, second, *_ = sorted(pictures)
            with noting(examination, "double-annotation", second, text):
                raise DatasetError(
                    f"{text}: it is the label file of {len(pictures)} pictures, such as {first} "
                    f"and {second.name}; expected one: take the other out, or call its labels "
                    f"{second.name}.txt"
                )
    return [(picture, text) for picture, text in pairs if text is None or len(owners[text]) == 1]


def _find_text(texts: Namesakes, places: Iterable[Path], stem: str) -> Path | None:
    """Return the text file of this name in the first of the places that has one, or None."""
    return next((text for place in places if (text := texts.find(place, stem))), None)


def labels_folder(pictures: Path) -> Path:
    """Put ``labels``, in any usual case, in place of the last ``images`` of a folder's path."""
    return first_folder(_label_folders(pictures))


def _label_folders(pictures: Path) -> list[Path]:
    """Return where the label files may be, ``labels`` first; the folder itself without images."""
    parts = pictures.parts
    for position in range(len(parts) - 1, -1, -1):
        if parts[position].lower() == "images":
            before, after = parts[:position], parts[position + 1 :]
            return [Path(*before, name, *after) for name in spellings("labels")]
    return [pictures]


def label_files(folder: Path) -> Iterable[Path]:
    """Yield the text files below a folder, sorted, but for lists of names and pictures."""
    for path in list_files(folder, (".txt",)):
        if path.stem.lower() not in _LISTS or _looks_like_labels(path):
            yield path


def _refuse_orphans(place: Path, pairs: Pairs, examination: Examination | None) -> None:
    """Raise where a label file with boxes has no picture.

    One beside a picture that has another in labels/ is no orphan.
    """
    known = {text for _, text in pairs}
    known |= {place for picture, _ in pairs for place in _texts_beside(picture)}
    places = dict.fromkeys((labels_folder(place), place))
    for path in chain.from_iterable(map(label_files, places)):
        if path not in known and _looks_like_labels(path):
            with noting(examination, "missing-picture", path.stem, path):
                raise DatasetError(
                    f"{path}: no picture {path.stem}.* in {place}; put it there, take the labels "
                    "out, or say where the pictures are with --images DIR"
                )


def _texts_beside(picture: Path) -> tuple[Path, Path]:
    return picture.with_suffix(".txt"), picture.with_name(f"{picture.name}.txt")


def _refuse_other_case(pairs: Pairs, examination: Examination | None) -> None:
    """Raise where a picture of a list has no label file, but there is one of its name in small.

    The other label files in its folder may belong to pictures that are left out of all lists.
    """
    bare: dict[Path, dict[str, Path]] = {}
    for picture in (picture for picture, text in pairs if text is None):
        for place in (labels_folder(picture.parent), picture.parent):
            bare.setdefault(place, {})[picture.stem.lower()] = picture
    for place, pictures in bare.items():
        for path in list_files_in(place, (".txt",)):
            owner = pictures.get(path.stem.lower())
            if owner is not None and owner.stem != path.stem and _looks_like_labels(path):
                with noting(examination, "double-annotation", owner, path):
                    raise DatasetError(
                        f"{path}: no picture {path.stem}.*, and {owner} has no label file; rename "
                        "one of them, so that both are written alike"
                    )


def _looks_like_labels(path: Path) -> bool:
    """Tell labels from other text by the first line: a class and at least four values."""
    fields = path.read_text("utf-8", errors="replace").strip().partition("\n")[0].split()
    return len(fields) >= 5 and parse_number(fields[0]) is not None


def pair_list(
    place: Path,
    bases: Sequence[Path],
    images: Path,
    split: str | None,
    examination: Examination | None,
) -> Pairs:
    """Pair the pictures that a list names, found by name below ``--images``, with text files.

    The text files lie where the list has its pictures, below one of the bases.
    """
    finder = PictureFinder([images], images, images, split)
    texts = Namesakes(".txt")
    places: dict[Path, list[Path]] = {}
    pairs: Pairs = []
    found = []
    for number, line in enumerate(read_lines(place), 1):
        name, where = line.strip().replace("\\", "/"), f"{place} line {number}"
        if name:
            with noting(examination, "missing-picture", name, where):
                folder = Path(name).parent
                if folder not in places:
                    listed = (str(one) for one in (*_label_folders(folder), folder))
                    resolved = (resolve_place(one, bases) for one in dict.fromkeys(listed))
                    places[folder] = [one for one in resolved if one is not None]
                picture = finder.find(name, where)
                pairs.append((picture, _find_text(texts, places[folder], Path(name).stem)))
                found.append((name, picture, where))
    return list(compress(pairs, keep_one_name_a_picture(found, examination)))


def pair_labels(
    labels: Path, images: Path, where: Path, split: str | None, examination: Examination | None
) -> Pairs:
    """Pair label files with pictures of the same name below ``--images``.

    Args:
        labels: the folder of the label files.
        images: the folder of the pictures.
        where: names the data set in messages.
        split: of the labels, where they are of one.
        examination: notes pictures that are missing, where the data are examined.

    Raises:
        DatasetError: a picture is missing, or there are no label files.
    """
    finder = PictureFinder([images], images, images, split)
    pairs: Pairs = []
    found = []
    for path in label_files(labels):
        with noting(examination, "missing-picture", path.stem, path):
            picture = finder.find_stem(path.with_suffix(""), str(path))
            if picture is None:
                raise DatasetError(f"{path}: no picture {path.stem}.* below --images {images}")
            pairs.append((picture, path))
            found.append((path.relative_to(labels).with_suffix("").as_posix(), picture, str(path)))
    if not pairs:
        raise DatasetError(f"{where}: no label files in {labels}; expected one for each picture")
    return list(compress(pairs, keep_one_name_a_picture(found, examination)))


def describe_unlabelled(images: Path, pairs: Pairs) -> list[str]:
    """Tell of pictures below ``--images`` that no label file is for: who knows what they show."""
    taken = {picture for picture, _ in pairs}
    others = [picture for picture in list_pictures(images) if picture not in taken]
    if not others:
        return []
    return [
        f"{len(others):,} pictures of --images have no label file and are left out, such as "
        f"{others[0].name}; add those without objects with --empty"
    ]
