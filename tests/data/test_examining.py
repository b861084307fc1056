"""Data sets read on past what is wrong, with a note of each thing."""

from __future__ import annotations

from pathlib import Path

import pytest

from iouaware.data.examination import Examination, noting
from iouaware.data.examining import examine, whole_key
from iouaware.errors import DatasetError
from tests.data.layout_files import YOLO_LINE, picture, text, voc, yolo_picture


def test_an_error_is_a_note_in_an_examination_and_passes_without() -> None:
    examination = Examination()
    with noting(examination, "kind", "a.jpg", "a.txt line 2"):
        raise DatasetError("a.txt line 2: found this; do that")
    (problem,) = examination.problems
    assert (problem.kind, problem.picture, problem.place) == ("kind", "a.jpg", "a.txt line 2")
    assert problem.message == "found this; do that"
    with pytest.raises(DatasetError), noting(None, "kind"):
        raise DatasetError("passes")
    with pytest.raises(ValueError, match="no fault of the data"), noting(examination, "kind"):
        raise ValueError("no fault of the data")


def test_reading_goes_on_and_knows_where_each_box_came_from(tmp_path: Path) -> None:
    yolo_picture(tmp_path / "images" / "a.png", line=f"9 0.5 0.5 0.1 0.1\n{YOLO_LINE}")
    yolo_picture(tmp_path / "images" / "b.png", line=f"{YOLO_LINE}0 0.5 0.5 0 0.1\n")
    (tmp_path / "images" / "c.png").write_bytes(b"no picture")
    text(tmp_path / "data.yaml", "names: [cat]\ntrain: images\n")
    part = examine(tmp_path).parts["train"]
    assert part.dataset.file_names.tolist() == ["images/a.png", "images/b.png"]
    labels = tmp_path / "labels"
    assert part.examination.places == [f"{labels}/a.txt line 2", f"{labels}/b.txt line 1"]
    kinds = [problem.kind for problem in part.examination.problems]
    assert kinds == ["unreadable-picture", "unknown-class", "boxes without area dropped"]


def test_parts_keep_their_own_classes_and_trainval_is_not_read_twice(tmp_path: Path) -> None:
    for stem, name in (("a", "cat"), ("b", "dog")):
        picture(tmp_path / "JPEGImages" / f"{stem}.png")
        voc(tmp_path / "Annotations" / f"{stem}.xml", name=name)
    for split, stems in (("train", "a"), ("val", "b"), ("trainval", "a\nb")):
        text(tmp_path / "ImageSets" / "Main" / f"{split}.txt", stems)
    examined = examine(tmp_path)
    names = {split: part.dataset.class_names for split, part in examined.parts.items()}
    assert names == {"train": ("cat",), "val": ("dog",)}
    assert whole_key(examined) == "train"


def test_a_set_without_splits_is_one_part(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    voc(tmp_path / "a.xml")
    examined = examine(tmp_path)
    assert list(examined.parts) == ["all"]
    assert whole_key(examined) == "all"
    (tmp_path / "a.xml").write_text("<annotation>")
    again = examine(tmp_path)
    assert [problem.kind for problem in again.layout.problems] == []
    assert [p.kind for p in again.parts["all"].examination.problems] == ["unreadable-file"]
    assert len(again.parts["all"].dataset) == 0


def test_what_is_no_data_set_is_still_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no data set found"):
        examine(tmp_path)
