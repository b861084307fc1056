"""The parts of a data set before they are read: which files belong to which split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from iouaware.data.classes import ClassList
from iouaware.data.coco import coco_classes, read_coco, read_coco_json
from iouaware.data.dataset import Dataset
from iouaware.data.examination import Examination
from iouaware.data.picture_finder import PictureFinder
from iouaware.data.voc import read_voc, voc_classes
from iouaware.data.yolo import read_yolo


class Part(Protocol):
    """One split that can be read."""

    def read_classes(self) -> ClassList:
        """Return the classes that the part names itself."""

    def read(
        self,
        split: str,
        classes: ClassList | None,
        strict: bool,
        examination: Examination | None = None,
    ) -> Dataset:
        """Read the part, its classes mapped by name onto others where given."""


@dataclass(frozen=True)
class Layout:
    """What a folder was recognised as.

    Attributes:
        format: ``coco``, ``voc`` or ``yolo``.
        found_by: the file or folder that gave it away.
        parts: ``train``, ``val``, ``test``, ``trainval`` or ``all`` -> what to read.
        notes: what was chosen or left out, one line each.
    """

    format: str
    found_by: str
    parts: dict[str, Part]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class CocoPart:
    """One JSON file."""

    annotations: Path
    finder: PictureFinder
    root: Path

    def read_classes(self) -> ClassList:
        """Return the categories of the file."""
        return coco_classes(read_coco_json(self.annotations), self.annotations)

    def read(
        self,
        split: str,
        classes: ClassList | None,
        strict: bool,
        examination: Examination | None = None,
    ) -> Dataset:
        """Read the file."""
        return read_coco(
            self.annotations,
            self.finder,
            root=self.root,
            split=split,
            classes=classes,
            strict=strict,
            examination=examination,
        )


@dataclass(frozen=True)
class VocPart:
    """Pictures with their XML files."""

    pictures: tuple[tuple[Path, Path | None], ...]
    root: Path

    def read_classes(self) -> ClassList:
        """Return the names found in the XML files, sorted."""
        return voc_classes([xml for _, xml in self.pictures if xml is not None])

    def read(
        self,
        split: str,
        classes: ClassList | None,
        strict: bool,
        examination: Examination | None = None,
    ) -> Dataset:
        """Read the XML files."""
        return read_voc(
            self.pictures,
            root=self.root,
            split=split,
            classes=classes,
            strict=strict,
            examination=examination,
        )


@dataclass(frozen=True)
class YoloPart:
    """Pictures with their text files, the classes that the data set names, and its key points."""

    pictures: tuple[tuple[Path, Path | None], ...]
    classes: ClassList
    root: Path
    keypoints: int = 0

    def read_classes(self) -> ClassList:
        """Return the named classes."""
        return self.classes

    def read(
        self,
        split: str,
        classes: ClassList | None,
        strict: bool,
        examination: Examination | None = None,
    ) -> Dataset:
        """Read the text files; all parts of a YOLO set share one list of classes."""
        return read_yolo(
            self.pictures,
            self.classes,
            root=self.root,
            split=split,
            keypoints=self.keypoints,
            strict=strict,
            examination=examination,
        )
