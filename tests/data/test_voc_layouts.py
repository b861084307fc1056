"""VOC files where VOC, Roboflow, CVAT and Label Studio put them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from iouaware.data.examining import examine
from iouaware.data.layouts import read_split, read_splits
from iouaware.errors import DatasetError
from tests.data.layout_files import YOLO_LINE, check, picture, text, voc


def voc_year(folder: Path, lists: dict[str, list[str]], pictures: str = "JPEGImages") -> None:
    for split, stems in lists.items():
        for stem in stems:
            if not (folder / pictures / f"{stem}.png").exists():
                picture(folder / pictures / f"{stem}.png")
                voc(folder / "Annotations" / f"{stem}.xml")
        text(folder / "ImageSets" / "Main" / f"{split}.txt", "\n".join(stems) + "\n")


def test_voc_lists_are_the_splits_and_train_excludes_val(tmp_path: Path) -> None:
    lists = {
        "train": ["a", "b", "c"],
        "val": ["d"],
        "trainval": ["a", "b", "c", "d"],
        "test": ["e"],
    }
    voc_year(tmp_path, lists)
    text(tmp_path / "ImageSets" / "Main" / "cat_train.txt", "d  1\n")
    check(tmp_path, "voc", (3, 1, 1))
    assert read_split(tmp_path, "train").file_names.tolist() == [
        f"JPEGImages/{stem}.png" for stem in "abc"
    ]


def test_voc_pictures_of_trainval_alone_are_told_beside_train(tmp_path: Path) -> None:
    voc_year(tmp_path, {"train": ["a", "b"], "val": ["c"], "trainval": ["a", "b", "c", "d", "e"]})
    lines = check(tmp_path, "voc", (2, 1, None))
    said = (
        "2 pictures of lists beside train's are left out, such as d.png: they are in none of "
        "train, val and test"
    )
    assert said in lines
    assert said in examine(tmp_path).lines
    text(tmp_path / "ImageSets" / "Main" / "trainval.txt", "a\nb\nc\n")
    assert len(read_splits(tmp_path).lines) == 1


def test_voc_with_trainval_alone_is_split_and_test_kept(tmp_path: Path) -> None:
    voc_year(tmp_path, {"trainval": [f"{n}" for n in range(5)], "test": ["t"]})
    check(tmp_path, "voc", (4, 1, 1))


def test_voc_a_listed_picture_without_xml_is_empty(tmp_path: Path) -> None:
    voc_year(tmp_path, {"train": ["a", "b"], "val": ["c"]})
    (tmp_path / "Annotations" / "b.xml").unlink()
    assert read_splits(tmp_path).train.empty_images().tolist() == [1]
    (tmp_path / "JPEGImages" / "b.png").unlink()
    with pytest.raises(DatasetError, match=r"train\.txt line 2: neither a picture nor an XML"):
        read_splits(tmp_path)


@pytest.mark.parametrize("inside", ["", "VOCdevkit"])
def test_voc_several_years_are_read_together(tmp_path: Path, inside: str) -> None:
    voc_year(tmp_path / inside / "VOC2007", {"train": ["a"], "val": ["b"], "test": ["t"]})
    voc_year(tmp_path / inside / "VOC2012", {"train": ["a", "c"], "val": ["d"]})
    lines = check(tmp_path, "voc", (3, 2, 1))
    assert "2 folders are read together: VOC2007, VOC2012" in lines


def test_voc_a_test_part_without_annotations_is_left_out(tmp_path: Path) -> None:
    voc_year(tmp_path, {"train": ["a"], "val": ["b"], "test": ["t"]})
    (tmp_path / "Annotations" / "t.xml").unlink()
    lines = check(tmp_path, "voc", (1, 1, None))
    assert "test is left out: none of its 1 pictures has an XML file" in lines


def test_cvat_voc_has_default_txt(tmp_path: Path) -> None:
    voc_year(tmp_path, {"default": [f"{n}" for n in range(5)]})
    check(tmp_path, "voc", (4, 1, None))


def test_roboflow_voc_has_xml_beside_pictures_a_split(tmp_path: Path) -> None:
    for split, count in (("train", 3), ("valid", 1), ("test", 1)):
        for n in range(count):
            picture(tmp_path / split / f"{n}.rf.0a1b.png")
            voc(tmp_path / split / f"{n}.rf.0a1b.xml", f"{n}.rf.0a1b.png")
    picture(tmp_path / "train" / "empty.png")
    check(tmp_path, "voc", (4, 1, 1))


def test_voc_xml_beside_pictures_in_one_folder(tmp_path: Path) -> None:
    for n in range(5):
        picture(tmp_path / f"{n}.png")
        voc(tmp_path / f"{n}.xml")
    check(tmp_path, "voc", (4, 1, None))


def test_label_studio_voc_has_hash_prefixes(tmp_path: Path) -> None:
    for n in range(5):
        voc(tmp_path / "export" / "Annotations" / f"0a1b2c3d-p{n}.xml", f"0a1b2c3d-p{n}")
        picture(tmp_path / "mine" / f"p{n}.png")
    check(tmp_path / "export", "voc", (4, 1, None), images=tmp_path / "mine")


def test_voc_a_picture_is_found_by_the_name_inside_its_file(tmp_path: Path) -> None:
    for n in range(5):
        voc(tmp_path / "annotations" / f"note{n}.xml", f"p{n}.png")
        picture(tmp_path / "images" / f"p{n}.png")
    check(tmp_path, "voc", (4, 1, None))
    voc(tmp_path / "annotations" / "gone.xml", "gone.png")
    with pytest.raises(DatasetError, match=r"gone\.xml: no picture 'gone\.png'"):
        read_splits(tmp_path)


def test_voc_a_jpeg_and_a_png_of_one_name_are_told_apart_by_the_name_inside(tmp_path: Path) -> None:
    for n in range(5):
        picture(tmp_path / f"{n}.png")
        picture(tmp_path / f"{n}.jpg")
        voc(tmp_path / f"{n}.xml", f"{n}.jpg")
    dataset = read_split(tmp_path, "all")
    assert dataset.empty_images().tolist() == [1, 3, 5, 7, 9]  # 0.jpg, 0.png, 1.jpg ...
    voc(tmp_path / "3.xml")
    with pytest.raises(DatasetError, match=r"3\.xml: 2 pictures are called '3'"):
        read_splits(tmp_path)


@pytest.mark.parametrize("pictures", ["JPEGImages", "elsewhere"])
def test_voc_splits_that_share_a_folder_of_pictures_do_not_share_pictures(
    tmp_path: Path, pictures: str
) -> None:
    for n in range(6):
        picture(tmp_path / pictures / f"{n}.png")
    for n in range(5):
        split = "train" if n < 3 else "val"
        folder = tmp_path / "Annotations" / split if pictures == "JPEGImages" else tmp_path / split
        voc(folder / f"{n}.xml")
    images = None if pictures == "JPEGImages" else tmp_path / pictures
    lines = check(tmp_path, "voc", (3, 2, None), images=images)
    assert any(
        line.startswith("1 pictures in ") and "such as 5.png" in line and "val or train" in line
        for line in lines
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("classes.txt", "cat\n"),
        ("labels/0.txt", YOLO_LINE),
        ("params.yaml", "class_names: [cat]\n"),
    ],
)
def test_voc_is_read_whatever_else_lies_beside_it(tmp_path: Path, name: str, content: str) -> None:
    for n in range(5):
        picture(tmp_path / "JPEGImages" / f"{n}.png")
        voc(tmp_path / "Annotations" / f"{n}.xml")
    text(tmp_path / name, content)
    lines = check(tmp_path, "voc", (4, 1, None))
    assert any(line.startswith("not read as YOLO: ") for line in lines) == (name != "params.yaml")


def test_voc_a_picture_without_xml_belongs_to_the_innermost_folder(tmp_path: Path) -> None:
    for stem in ("train/0", "train/1", "2", "3"):
        picture(tmp_path / "JPEGImages" / f"{stem}.png")
    voc(tmp_path / "Annotations" / "train" / "0.xml")
    voc(tmp_path / "Annotations" / "val" / "2.xml")
    check(tmp_path, "voc", (2, 2, None))


@pytest.mark.parametrize("layout", ["lists", "a folder", "a folder a split", "beside"])
def test_voc_annotations_may_end_in_capitals(tmp_path: Path, layout: str) -> None:
    if layout == "lists":
        voc_year(tmp_path, {"train": ["0", "1", "2"], "val": ["3", "4"]})
        main = tmp_path / "ImageSets" / "Main"
        (main / "val.txt").rename(main / "val.TXT")
    for n in range(5) if layout != "lists" else ():
        split = "." if layout != "a folder a split" else "train" if n < 3 else "val"
        picture(tmp_path / ("." if layout == "beside" else "JPEGImages") / split / f"{n}.png")
        voc(tmp_path / ("." if layout == "beside" else "Annotations") / split / f"{n}.xml")
    for path in sorted(tmp_path.rglob("[0-3].xml")):  # one stays as it is
        path.rename(path.with_suffix(".XML"))
    undivided = layout in ("a folder", "beside")
    lines = check(tmp_path, "voc", (4, 1, None) if undivided else (3, 2, None))
    assert "empty" not in lines[0]


def test_cvats_own_form_is_told_and_no_missing_picture(tmp_path: Path) -> None:
    cvat = text(tmp_path / "annotations.xml", "<annotations><version>1.1</version></annotations>")
    picture(tmp_path / "images" / "a.png")
    words = r"annotations\.xml: found <annotations>, which is CVAT for images; .*: export as COCO"
    for data in (tmp_path, cvat):
        with pytest.raises(DatasetError, match=words):
            read_splits(data)
    problems = examine(tmp_path).layout.problems
    assert [(one.kind, one.place) for one in problems] == [("unreadable-file", str(cvat))]
    one = voc(tmp_path / "a.xml", "a.png")
    with pytest.raises(DatasetError, match=r"a\.xml: it annotates one picture; expected the fold"):
        read_splits(one)


@pytest.mark.parametrize("listed", [False, True])
def test_an_xml_file_that_cannot_be_read_is_no_missing_picture(
    tmp_path: Path, listed: bool
) -> None:
    voc_year(tmp_path, {"train": ["a", "b"], "val": ["c"]})
    if not listed:
        shutil.rmtree(tmp_path / "ImageSets")
    broken = text(tmp_path / "Annotations" / "b.xml", "<annotation>")
    (tmp_path / "JPEGImages" / "b.png").rename(tmp_path / "JPEGImages" / "other.png")
    examined = examine(tmp_path)
    problems = examined.layout.problems
    assert [(one.kind, one.place) for one in problems] == [("unreadable-file", str(broken))]
    with pytest.raises(DatasetError, match=r"b\.xml: not valid XML"):
        read_splits(tmp_path)


def test_voc_pictures_of_cvats_default_list_beside_train_are_told(tmp_path: Path) -> None:
    voc_year(tmp_path, {"train": ["a", "b"], "val": ["c"], "default": ["c", "d"]})
    (said,) = [line for line in check(tmp_path, "voc", (2, 1, None)) if "left out" in line]
    assert said.startswith("1 pictures of lists beside train's are left out, such as d.png")


def test_voc_xml_files_beside_the_folders_of_splits_are_told(tmp_path: Path) -> None:
    for place in ("train/a", "train/b", "val/c", "d", "more/e"):
        picture(tmp_path / "JPEGImages" / f"{place}.png")
        voc(tmp_path / "Annotations" / f"{place}.xml")
    lines = check(tmp_path, "voc", (2, 1, None))
    folder = tmp_path / "Annotations"
    said = f"2 XML files in {folder} are left out, such as d.xml: they are in no folder of "
    assert [line for line in lines if "XML" in line] == [f"{said}val or train"]


def test_voc_lists_find_xml_files_in_folders_below_annotations(tmp_path: Path) -> None:
    voc_year(tmp_path, {"train": ["a", "b"], "val": ["c"]})
    (tmp_path / "Annotations" / "more").mkdir()
    (tmp_path / "Annotations" / "b.xml").rename(tmp_path / "Annotations" / "more" / "b.xml")
    check(tmp_path, "voc", (2, 1, None))
    voc(tmp_path / "Annotations" / "again" / "b.xml")
    said = r"train\.txt line 2: 2 XML files are called 'b', .*write the name with its folder"
    with pytest.raises(DatasetError, match=said):
        read_splits(tmp_path)


@pytest.mark.parametrize("numbers", [(1, 2, 3), (0, 1)])
def test_voc_names_that_end_like_a_flag_are_whole(tmp_path: Path, numbers: tuple[int, ...]) -> None:
    voc_year(tmp_path, {"train": [f"photo {n}" for n in numbers], "val": ["a"]})
    picture(tmp_path / "JPEGImages" / "photo.png")
    voc(tmp_path / "Annotations" / "photo.xml")
    check(tmp_path, "voc", (len(numbers), 1, None))
    names = [f"JPEGImages/photo {n}.png" for n in numbers]
    assert read_split(tmp_path, "train").file_names.tolist() == names


def test_voc_flags_are_taken_off_where_every_line_has_one(tmp_path: Path) -> None:
    voc_year(tmp_path, {"train": ["a", "b", "c d"], "val": ["e"]})
    lists = tmp_path / "ImageSets" / "Main"
    text(lists / "train.txt", "a  1\n\nb.png  -1\nc d 0\n")
    check(tmp_path, "voc", (3, 1, None))
    text(lists / "train.txt", "a  1\nb\n")
    with pytest.raises(DatasetError, match=r"train\.txt line 1: neither .* called 'a  1'"):
        read_splits(tmp_path)
