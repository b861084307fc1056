"""Where COCO files lie: COCO's own folders, Roboflow, CVAT, Label Studio."""

from __future__ import annotations

import re
from pathlib import Path

from iouaware.data.examination import Examination
from iouaware.data.parts import CocoPart, Layout
from iouaware.data.picture_finder import PictureFinder
from iouaware.data.split_names import ALL, SPLIT_ALIASES, split_folders, split_of, training_key
from iouaware.parsing import parse_json

# COCO's other tasks lie in the same folder
_OTHER_TASKS = re.compile(r"(?<![a-z])(captions|keypoints|panoptic|stuff|image_info)(?![a-z])")


def find_coco(
    data: Path, images: Path | None, examination: Examination | None = None
) -> Layout | None:
    """Recognise a COCO data set.

    Args:
        data: a JSON file, or a folder.
        images: what ``--images`` says.
        examination: not needed here, where only the JSON files are looked for.

    Returns:
        Its parts, or None where this is no COCO data set.
    """
    if data.is_file():
        if data.suffix.lower() != ".json":
            return None
        root = data.parent.parent if data.parent.name.lower() == "annotations" else data.parent
        part = CocoPart(data, _finder(root, data, images), root)
        return Layout("coco", data.name, {ALL: part})
    files = _json_files(data)
    parts: dict[str, CocoPart] = {}
    notes = _leave_out_unused(files)
    for split, candidates in files.items():
        chosen = candidates[0]
        parts[split] = CocoPart(chosen, _finder(data, chosen, images), data)
        if len(candidates) > 1:
            others = ", ".join(path.name for path in candidates[1:4])
            notes.append(f"{split} is read from {chosen.name}, not from {others}")
    if not parts:
        return None
    first = parts[training_key(parts) or next(iter(parts))].annotations
    return Layout("coco", first.relative_to(data).as_posix(), {**parts}, tuple(notes))


def _leave_out_unused(files: dict[str, list[Path]]) -> list[str]:
    """Take out files that are not read beside another that training learns from; return notes."""
    notes = []
    if "train" in files and "trainval" in files:
        name = files["trainval"][0].name
        notes.append(f"{name} is not read: beside train it is taken for the sum of train and val")
    if ALL in files and ("train" in files or "trainval" in files):
        notes += [
            f"{path.name} is not read: its name says no split, and there is a training part; if it "
            "is one, call it val.json or test.json"
            for path in files.pop(ALL)
        ]
    return notes


def _json_files(data: Path) -> dict[str, list[Path]]:
    """Sort the JSON files that hold boxes by split, the best of each split first."""
    found: dict[str, list[Path]] = {}
    for folder in (data / "annotations", data / "Annotations", data):
        for path in _find_parts(folder):
            found.setdefault(split_of(path.stem) or ALL, []).append(path)
        if found:
            break
    found |= _find_in_folders(split_folders(data), found)
    for paths in found.values():
        # instances_val2017.json before others, then the shortest name
        paths.sort(key=lambda path: ("instances" not in path.stem, len(path.name), path.name))
    return found


def _find_in_folders(
    folders: dict[str, Path], found: dict[str, list[Path]]
) -> dict[str, list[Path]]:
    """Return the JSON files in folders called after a split; as ``_find_parts``, those cut off too.

    A file that does not look like COCO is one if it has the name of another split's.
    """
    missing = {split: folder for split, folder in folders.items() if split not in found}
    files = {split: sorted(folder.glob("*.json")) for split, folder in missing.items()}
    sure = {split: [p for p in paths if _holds_boxes(p)] for split, paths in files.items()}
    names = {path.name for paths in (*found.values(), *sure.values()) for path in paths}
    for split, paths in files.items():
        named = (path for path in paths if path.name in names)
        sure[split] = sure[split] or [p for p in named if split != "test" or _is_labelled(p)]
    return {split: paths for split, paths in sure.items() if paths}


def _find_parts(folder: Path) -> list[Path]:
    """Return the JSON files that hold boxes, and beside them those called after other splits.

    A val.json that is cut off or of another form is an error for reading to tell: passed over, it
    would have training split the rest without a word.
    """
    paths = sorted(folder.glob("*.json"))
    sure = [path for path in paths if _holds_boxes(path)]
    taken = {split_of(path.stem) for path in sure}
    if not sure:
        return []
    return sure + [p for p in paths if split_of(p.stem) not in taken and _is_called_a_part(p)]


def _is_called_a_part(path: Path) -> bool:
    """Tell a file called after a split; not a test part whose annotations were never published."""
    split = split_of(path.stem)
    if split is None or path.stem.lower() not in SPLIT_ALIASES[split]:
        return False
    return split != "test" or _is_labelled(path)


def _is_labelled(path: Path) -> bool:
    """Tell a file with annotations, or a broken one, from one whose were never published."""
    try:
        content = parse_json(path.read_text("utf-8-sig"))
    except (OSError, ValueError):
        return True
    return not isinstance(content, dict) or "annotations" in content


def _holds_boxes(path: Path) -> bool:
    """Tell a COCO file from other JSON by its words, so that a malformed one is known too."""
    if _OTHER_TASKS.search(path.stem.lower()):
        return False
    if path.name == "_annotations.coco.json" or path.stem.startswith("instances"):
        return True
    try:
        text = path.read_bytes()
    except OSError:
        return False
    return all(word in text for word in (b'"images"', b'"annotations"', b'"categories"'))


def _finder(data: Path, annotations: Path, images: Path | None) -> PictureFinder:
    """Build a finder that knows the folders where pictures of this file's split may lie."""
    split = split_of(annotations.stem) or split_of(annotations.parent.name)
    names = [word for word in annotations.stem.split("_") if split and split_of(word) == split]
    names += SPLIT_ALIASES.get(split or "", ())
    folders = [data / place / name for name in names for place in ("images", ".", "data")]
    folders += [data / "images" / "default", data / "images", data / "data"]
    return PictureFinder([*folders, annotations.parent, data], data, images, split)
