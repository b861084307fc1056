"""Drawn data sets in three forms, and defects to plant in them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree  # only to write

import numpy as np
import yaml
from defusedxml import ElementTree as SafeElementTree
from PIL import Image

from iouaware.data.synthetic import synthesize

FORMS = ("coco", "voc", "yolo")
# wider than high, so that a turn by EXIF shows
IMAGE_WH = (192, 128)
Row = tuple[str, float, float, float, float]  # class, x1 y1 x2 y2 px


class DrawnSet:
    """A data set on disk whose annotations can be rewritten picture by picture."""

    def __init__(self, folder: Path, form: str) -> None:
        self.folder, self.form = folder, form

    def pictures(self, split: str) -> list[Path]:
        """List the pictures of a split, sorted."""
        if self.form != "voc":
            return sorted((self.folder / "images" / split).glob("*.jpg"))
        stems = (self.folder / "ImageSets" / "Main" / f"{split}.txt").read_text().split()
        return [self.folder / "JPEGImages" / f"{stem}.jpg" for stem in sorted(stems)]

    def full(self, split: str, boxes: int = 2) -> list[Path]:
        """List the pictures that have some boxes."""
        return [path for path in self.pictures(split) if len(self.rows(path)) >= boxes]

    def split_of(self, picture: Path) -> str:
        return next(split for split in ("train", "val") if picture in self.pictures(split))

    def names(self) -> list[str]:
        return ["bolt", "coin", "comet", "star"]

    def text(self, picture: Path) -> Path:
        """Return the file with a picture's annotations."""
        if self.form == "voc":
            return self.folder / "Annotations" / f"{picture.stem}.xml"
        if self.form == "yolo":
            return self.folder / "labels" / picture.parent.name / f"{picture.stem}.txt"
        return self.json(self.split_of(picture))

    def json(self, split: str) -> Path:
        return self.folder / "annotations" / f"{split}.json"

    def change_json(self, split: str, change: Callable[[dict[str, Any]], None]) -> None:
        content = json.loads(self.json(split).read_text())
        change(content)
        self.json(split).write_text(json.dumps(content))

    def rows(self, picture: Path) -> list[Row]:
        """Read class and box, px, of each object of a picture."""
        width, height = IMAGE_WH
        if self.form == "coco":
            content = json.loads(self.text(picture).read_text())
            names = {one["id"]: one["name"] for one in content["categories"]}
            id_ = next(i["id"] for i in content["images"] if i["file_name"] == picture.name)
            rows = [row for row in content["annotations"] if row["image_id"] == id_]
            boxes = [(names[row["category_id"]], *row["bbox"]) for row in rows]
            return [(name, x, y, x + w, y + h) for name, x, y, w, h in boxes]
        if self.form == "voc":
            objects = SafeElementTree.parse(self.text(picture)).findall("object")
            return [
                (
                    str(one.findtext("name")),
                    float(str(one.findtext("bndbox/xmin"))) - 1,
                    float(str(one.findtext("bndbox/ymin"))) - 1,
                    float(str(one.findtext("bndbox/xmax"))),
                    float(str(one.findtext("bndbox/ymax"))),
                )
                for one in objects
            ]
        lines = [line.split() for line in self.text(picture).read_text().splitlines()]
        found = []
        for id_text, *values in lines:
            x, y, w, h = (float(value) for value in values)
            box = ((x - w / 2) * width, (y - h / 2) * height)
            far = ((x + w / 2) * width, (y + h / 2) * height)
            found.append((self.names()[int(id_text)], *box, *far))
        return found

    def write(self, picture: Path, rows: Sequence[Row]) -> None:
        """Replace the objects of a picture."""
        if self.form == "coco":
            self.change_json(self.split_of(picture), lambda c: _put_coco(c, picture.name, rows))
        elif self.form == "voc":
            tree = SafeElementTree.parse(self.text(picture))
            root = tree.getroot()
            assert root is not None
            for one in tree.findall("object"):
                root.remove(one)
            for name, x1, y1, x2, y2 in rows:
                one = ElementTree.SubElement(root, "object")
                ElementTree.SubElement(one, "name").text = name
                box = ElementTree.SubElement(one, "bndbox")
                corners = (("xmin", x1 + 1), ("ymin", y1 + 1), ("xmax", x2), ("ymax", y2))
                for tag, value in corners:
                    ElementTree.SubElement(box, tag).text = str(value)
            tree.write(self.text(picture))
        else:
            width, height = IMAGE_WH
            lines = []
            for name, x1, y1, x2, y2 in rows:
                values = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height)
                sizes = ((x2 - x1) / width, (y2 - y1) / height)
                id_ = self.class_id(name)
                lines.append(f"{id_} " + " ".join(map(str, (*values, *sizes))))
            self.text(picture).write_text("\n".join(lines) + "\n")

    def class_id(self, name: str) -> int:
        """Return YOLO's number of a class; a new name is added to data.yaml."""
        path = self.folder / "data.yaml"
        content = yaml.safe_load(path.read_text())
        numbers = {value: key for key, value in content["names"].items()}
        if name not in numbers:
            numbers[name] = content["names"].setdefault(len(numbers), name) and len(numbers)
            path.write_text(yaml.safe_dump(content, sort_keys=False))
        return int(numbers[name])

    def add(self, source: Path, split: str, name: str, scale: float = 1.0) -> Path:
        """Add a copy of a picture with its objects to a split, perhaps shrunk and stored anew."""
        target = source.with_name(name)
        if self.form != "voc":
            target = self.folder / "images" / split / name
        rows = [(row[0], *(value * scale for value in row[1:])) for row in self.rows(source)]
        if scale == 1:
            shutil.copyfile(source, target)
        else:
            image = _open(source)
            size = round(image.width * scale), round(image.height * scale)
            image.resize(size, Image.Resampling.LANCZOS).save(target, quality=70)
        size = _open(target).size
        if self.form == "coco":
            entry = {"file_name": name, "width": size[0], "height": size[1]}
            self.change_json(
                split, lambda c: c["images"].append({"id": 10_000 + len(c["images"]), **entry})
            )
        elif self.form == "voc":
            tree = SafeElementTree.parse(self.text(source))
            for tag, value in zip(("width", "height"), size, strict=True):
                found = tree.find(f"size/{tag}")
                assert found is not None
                found.text = str(value)
            tree.write(self.text(target))
            listing = self.folder / "ImageSets" / "Main" / f"{split}.txt"
            listing.write_text(listing.read_text() + f"{target.stem}\n")
        else:
            shutil.copyfile(self.text(source), self.text(target))
            return target  # fractions hold at every size
        self.write(target, rows)  # type: ignore[arg-type]
        return target


def _open(picture: Path) -> Image.Image:
    with Image.open(picture) as image:
        return image.copy()


def _put_coco(content: dict[str, Any], file_name: str, rows: Sequence[Row]) -> None:
    id_ = next(image["id"] for image in content["images"] if image["file_name"] == file_name)
    numbers = {one["name"]: one["id"] for one in content["categories"]}
    kept = [row for row in content["annotations"] if row["image_id"] != id_]
    first = max((row["id"] for row in content["annotations"]), default=0) + 1
    for offset, (name, x1, y1, x2, y2) in enumerate(rows):
        if name not in numbers:
            numbers[name] = max(numbers.values()) + 1
            content["categories"].append({"id": numbers[name], "name": name})
        box = [x1, y1, x2 - x1, y2 - y1]
        area = box[2] * box[3]
        fields = {"id": first + offset, "image_id": id_, "category_id": numbers[name]}
        kept.append({**fields, "bbox": box, "area": area, "iscrowd": 0})
    content["annotations"] = kept


@dataclass(frozen=True)
class Defect:
    """A defect, how it is planted, and what must be found.

    ``plant`` spoils a set at one picture of the training part that has two boxes or more, and
    returns a text that the finding must name; an empty one where it is about the whole set.
    """

    name: str
    kinds: frozenset[str]
    plant: Callable[[DrawnSet, Path], str]
    forms: tuple[str, ...] = FORMS


def _with_first(
    change: Callable[[Row], Row], keep: bool = False
) -> Callable[[DrawnSet, Path], str]:
    """Replace the first object of a picture, or add another one like it."""

    def plant(drawn: DrawnSet, picture: Path) -> str:
        rows = drawn.rows(picture)
        drawn.write(picture, [*rows, change(rows[0])] if keep else [change(rows[0]), *rows[1:]])
        return picture.stem

    return plant


def _rewrite(change: Callable[[Row], Row]) -> Callable[[DrawnSet, Path], str]:
    """Write every box of the training part in another way."""

    def plant(drawn: DrawnSet, picture: Path) -> str:
        for one in drawn.full("train", 1):
            drawn.write(one, [change(row) for row in drawn.rows(one)])
        return ""

    return plant


def _unknown_class(drawn: DrawnSet, picture: Path) -> str:
    if drawn.form == "yolo":
        text = drawn.text(picture)
        text.write_text("99" + text.read_text()[1:])
        return picture.stem

    def change(content: dict[str, Any]) -> None:
        id_ = next(i["id"] for i in content["images"] if i["file_name"] == picture.name)
        row = next(row for row in content["annotations"] if row["image_id"] == id_)
        row["category_id"] = 999

    drawn.change_json("train", change)
    return picture.name


def _no_number(drawn: DrawnSet, picture: Path) -> str:
    if drawn.form == "coco":

        def change(content: dict[str, Any]) -> None:
            id_ = next(i["id"] for i in content["images"] if i["file_name"] == picture.name)
            row = next(row for row in content["annotations"] if row["image_id"] == id_)
            row["bbox"][2] = "abc"

        drawn.change_json("train", change)
    else:
        text = drawn.text(picture)
        found = text.read_text()
        if drawn.form == "voc":
            start = found.index("<xmax>") + 6
            text.write_text(found[:start] + "abc" + found[start:])
        else:
            text.write_text(found.replace(" ", " abc", 1))
    return picture.stem


def _malformed(drawn: DrawnSet, picture: Path) -> str:
    text = drawn.text(picture)
    text.write_bytes(b"\xff\xfe\x00" + text.read_bytes()[:-40])
    return text.name


def _orphan(drawn: DrawnSet, picture: Path) -> str:
    if drawn.form == "coco":
        drawn.change_json("train", lambda c: c["annotations"][0].update(image_id=99_999))
        return "train.json annotation"
    if drawn.form == "voc":
        listing = drawn.folder / "ImageSets" / "Main" / "train.txt"
        listing.write_text(listing.read_text() + "nowhere\n")
    else:
        shutil.copyfile(drawn.text(picture), drawn.text(picture).with_name("nowhere.txt"))
    return "nowhere"


def _delete(drawn: DrawnSet, picture: Path) -> str:
    picture.unlink()
    return picture.stem


def _spoil(drawn: DrawnSet, picture: Path) -> str:
    picture.write_bytes(b"no picture at all")
    return picture.stem


def _truncate(drawn: DrawnSet, picture: Path) -> str:
    content = picture.read_bytes()
    picture.write_bytes(content[: len(content) * 2 // 3])
    return picture.stem


def _turn(orientation: int) -> Callable[[DrawnSet, Path], str]:
    def plant(drawn: DrawnSet, picture: Path) -> str:
        exif = Image.Exif()
        exif[0x0112] = orientation
        _open(picture).save(picture, quality=90, exif=exif)
        return picture.stem

    return plant


def _shrink(drawn: DrawnSet, picture: Path) -> str:
    image = _open(picture)
    image.resize((image.width // 2, image.height // 2)).save(picture)
    return picture.stem


def _darken(drawn: DrawnSet, picture: Path) -> str:
    _open(picture).point(lambda grey: grey // 16).save(picture)
    return picture.stem


def _copy(split: str, scale: float = 1.0) -> Callable[[DrawnSet, Path], str]:
    def plant(drawn: DrawnSet, picture: Path) -> str:
        return drawn.add(picture, split, f"copy{picture.stem}.jpg", scale).stem

    return plant


def _crowd(drawn: DrawnSet, picture: Path) -> str:
    places = [(8.0 * (n % 20), 8.0 * (n // 20)) for n in range(120)]
    drawn.write(picture, [("coin", x, y, x + 7, y + 7) for x, y in places])
    return picture.stem


def _empty(drawn: DrawnSet, picture: Path) -> str:
    pictures = drawn.full("train", 1)
    for one in pictures[: len(pictures) // 2]:
        drawn.write(one, [])
    return ""


def _absent(drawn: DrawnSet, picture: Path) -> str:
    for one in drawn.full("val", 1):
        drawn.write(one, [row for row in drawn.rows(one) if row[0] != "star"])
    return "'star'"


def _only_in_val(drawn: DrawnSet, picture: Path) -> str:
    one = drawn.full("val", 1)[0]
    rows = drawn.rows(one)
    drawn.write(one, [("wheel", *rows[0][1:]), *rows[1:]])
    return "'wheel'"


def _misspell(drawn: DrawnSet, picture: Path) -> str:
    name = drawn.rows(picture)[0][0]
    _with_first(lambda row: (f"{name}{name[-1]}", *row[1:]))(drawn, picture)
    return f"'{name}{name[-1]}'"


def _tiny_class(drawn: DrawnSet, picture: Path) -> str:
    for one in drawn.full("train", 1):
        x, y = 30.0, 40.0
        rows = [row for row in drawn.rows(one) if row[0] != "star"]
        drawn.write(one, [*rows, ("star", x, y, x + 3, y + 3)])
    return "'star'"


W, H = IMAGE_WH
DEFECTS = (
    Defect("a box without area", frozenset({"no-area"}),
           _with_first(lambda r: (r[0], r[1], r[2], r[1], r[4]))),
    Defect("corners exchanged", frozenset({"no-area", "unreadable-box"}),
           _with_first(lambda r: (r[0], r[3], r[2], r[1], r[4]))),
    Defect("a box outside", frozenset({"outside", "unreadable-box"}),
           _with_first(lambda r: (r[0], r[1] + 2 * W, r[2], r[3] + 2 * W, r[4]))),
    Defect("a box that sticks out", frozenset({"stuck-out"}),
           _with_first(lambda r: (r[0], W - 30.0, 20.0, W + 6.0, 60.0))),
    Defect("a box twice", frozenset({"duplicate-box"}), _with_first(lambda r: r, keep=True)),
    Defect("an object marked twice", frozenset({"double-box"}),
           _with_first(lambda r: (r[0], r[1], r[2], r[3] - 0.5, r[4]), keep=True)),
    Defect("a box under two classes", frozenset({"two-classes"}),
           _with_first(lambda r: ("star" if r[0] != "star" else "coin", *r[1:]), keep=True)),
    Defect("a sliver", frozenset({"sliver"}),
           _with_first(lambda r: (r[0], 50.0, 20.0, 51.0, 60.0))),
    Defect("an unknown class", frozenset({"unknown-class"}), _unknown_class, ("coco", "yolo")),
    Defect("a misspelt class", frozenset({"similar-classes"}), _misspell),
    Defect("a class in validation alone", frozenset({"not-in-training", "untrained-class"}),
           _only_in_val),
    Defect("a class absent from validation", frozenset({"absent-class"}), _absent),
    Defect("a class too small for the anchors", frozenset({"uncovered"}), _tiny_class),
    Defect("a missing picture", frozenset({"missing-picture"}), _delete),
    Defect("an unreadable picture", frozenset({"unreadable-picture"}), _spoil),
    Defect("a truncated picture", frozenset({"unreadable-picture"}), _truncate),
    Defect("a dark picture", frozenset({"dark-picture"}), _darken),
    Defect("a picture twice", frozenset({"duplicate-picture"}), _copy("train")),
    Defect("a leak", frozenset({"leak"}), _copy("val")),
    Defect("a near leak", frozenset({"near-leak"}), _copy("val", 0.75)),
    Defect("boxes drawn before a turn", frozenset({"drawn-before-turn", "turned-picture"}),
           _turn(6)),
    Defect("a picture on its head", frozenset({"turned-picture"}), _turn(3)),
    Defect("a picture of another size", frozenset({"other-size"}), _shrink, ("coco", "voc")),
    Defect("corners where sizes belong", frozenset({"wrong-form"}),
           _rewrite(lambda r: (r[0], r[1], r[2], r[1] + r[3], r[2] + r[4])), ("coco",)),
    Defect("sizes where corners belong", frozenset({"wrong-form"}),
           _rewrite(lambda r: (r[0], r[1], r[2], r[3] - r[1], r[4] - r[2])), ("voc",)),
    Defect("fractions where pixels belong", frozenset({"wrong-form"}),
           _rewrite(lambda r: (r[0], r[1] / W, r[2] / H, r[3] / W, r[4] / H)), ("coco",)),
    Defect("pixels where fractions belong", frozenset({"wrong-form"}),
           _rewrite(lambda r: (r[0], r[1] * W, r[2] * H, r[3] * W, r[4] * H)), ("yolo",)),
    Defect("corners where centres belong", frozenset({"wrong-form"}),
           _rewrite(lambda r: (r[0], r[1] - r[3] / 2, r[2] - r[4] / 2, r[1] + r[3] / 2,
                               r[2] + r[4] / 2)), ("yolo",)),
    Defect("a coordinate that is no number", frozenset({"unreadable-box", "unreadable-file"}),
           _no_number),
    Defect("a malformed file", frozenset({"unreadable-file"}), _malformed),
    Defect("an annotation without a picture", frozenset({"unknown-picture", "missing-picture"}),
           _orphan),
    Defect("a crowded picture", frozenset({"crowded"}), _crowd),
    Defect("label files missing", frozenset({"many-empty"}), _empty),
)  # fmt: skip


def draw(folder: Path, form: str, images: int, seed: int) -> DrawnSet:
    """Draw a clean set."""
    synthesize(folder, images=images, seed=seed, format=form, image_wh=IMAGE_WH)
    return DrawnSet(folder, form)


def choose_picture(drawn: DrawnSet, random: np.random.Generator) -> Path:
    """Choose a picture of the training part with two boxes or more."""
    pictures = drawn.full("train")
    return pictures[int(random.integers(len(pictures)))]


def enter_again(drawn: DrawnSet, dropped: dict[int, int]) -> list[str]:
    """Enter pictures of a COCO training part again, without so many of their boxes.

    Args:
        drawn: the data set.
        dropped: which of the pictures with boxes -> how many boxes the second entry lacks.

    Returns:
        The names of the pictures.
    """
    names = [drawn.full("train")[number].name for number in dropped]

    def change(content: dict[str, Any]) -> None:
        by_name = {image["file_name"].rpartition("/")[2]: image for image in content["images"]}
        for position, (name, lacking) in enumerate(zip(names, dropped.values(), strict=True)):
            image, id_ = by_name[name], 10_000 + position
            content["images"].append({**image, "id": id_})
            rows = [row for row in content["annotations"] if row["image_id"] == image["id"]]
            content["annotations"] += [
                {**row, "id": 10_000 + row["id"], "image_id": id_} for row in rows[lacking:]
            ]

    drawn.change_json("train", change)
    return names
