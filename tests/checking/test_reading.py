"""What reading stops at or mends, as findings with file, annotation and advice."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from iouaware.checking.findings import Finding
from iouaware.checking.reading import find_reading_problems, relative_text
from iouaware.data.examining import examine
from tests.checking.conftest import Spoilable
from tests.data.layout_files import coco, picture, text, yolo_picture


def look(folder: Path) -> list[Finding]:
    return find_reading_problems(examine(folder))


def test_p01_a_box_without_area_names_file_and_annotation(tmp_path: Path) -> None:
    yolo_picture(tmp_path / "images" / "a.png", line="0 0.5 0.5 0.5 0.5\n0 0.25 0.5 0 0.5\n")
    text(tmp_path / "data.yaml", "names: [cat]\ntrain: images\n")
    (found,) = look(tmp_path)
    assert (found.kind, found.split, found.file) == ("no-area", "train", "images/a.png")
    assert found.annotation == "labels/a.txt line 2"
    assert found.message.endswith("[10, 5, 10, 15]")  # of a picture of 40 x 20
    assert found.box == (10.0, 5.0, 10.0, 15.0)


def test_several_problems_of_one_file_are_all_told(tmp_path: Path) -> None:
    lines = "0 0.5 0.5 0.5 0.5\n7 0.5 0.5 0.5 0.5\n0 0.5 abc 0.5 0.5\n0 0.5 0.5\n"
    yolo_picture(tmp_path / "images" / "a.png", line=lines)
    text(tmp_path / "data.yaml", "names: [cat]\ntrain: images\n")
    found = look(tmp_path)
    assert [(one.kind, one.annotation[-6:]) for one in found] == [
        ("unknown-class", "line 2"),
        ("unreadable-box", "line 3"),
        ("unreadable-box", "line 4"),
    ]
    assert examine(tmp_path).parts["train"].dataset.count_boxes() == 1


def test_a_file_is_named_whole_though_its_name_has_spaces(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.png")
    path = coco(tmp_path / "annotations" / "my train set.json", ["a.png"])
    path.write_text(path.read_text().replace('"image_id": 0', '"image_id": 9'))
    (found,) = [one for one in look(tmp_path) if one.kind == "unknown-picture"]
    assert found.file == "annotations/my train set.json"
    assert found.annotation.startswith("annotations/my train set.json ")


def test_p02_a_single_coco_box_of_corners_is_told_from_one_that_sticks_out(tmp_path: Path) -> None:
    # in 40 x 20 px: [20, 5, 38, 18] reaches 58, 23 as width and height, and fits as corners
    for name, box in (("corners", [20, 5, 38, 18]), ("clipped", [20, 5, 22, 10])):
        folder = tmp_path / name
        for n in range(8):
            picture(folder / "images" / f"{n}.png")
        path = coco(folder / "annotations" / "train.json", [f"{n}.png" for n in range(8)])
        content = path.read_text().replace('"bbox": [10, 4, 20, 4]', f'"bbox": {box}', 1)
        path.write_text(content)
    assert [one.kind for one in look(tmp_path / "corners")] == ["odd-form"]
    assert [one.kind for one in look(tmp_path / "clipped")] == ["stuck-out"]


def test_the_words_of_an_error_are_parted_into_found_and_to_do(spoilable: Spoilable) -> None:
    drawn = spoilable("coco")
    gone = drawn.full("train")[0]
    gone.unlink()
    (found,) = look(drawn.folder)
    assert found.message.startswith(f"no picture '{gone.name}' in images/train, ")
    assert (found.file, found.annotation) == (gone.name, "annotations/train.json image 1")
    assert found.advice.startswith("put it there, or say where the pictures are with --images")
    assert str(drawn.folder) not in f"{found.file} {found.annotation} {found.message}"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("/a/set/x.jpg", "x.jpg"),
        ("/a/set/x.txt line 2", "x.txt line 2"),
        (
            "no picture 'b' in /a/set/images, /a/set or below",
            "no picture 'b' in images, the data set or below",
        ),
        ("/a/set-pictures/x.jpg", "/a/set-pictures/x.jpg"),
        ("/a/set pictures/x.jpg", "/a/set pictures/x.jpg"),
        ("/a/set.old", "/a/set.old"),
        ("/mnt/a/set/x.jpg: broken", "/mnt/a/set/x.jpg: broken"),
        ("('/a/set/x.jpg')", "('x.jpg')"),
        ("", ""),
    ],
)
def test_only_the_data_set_itself_is_taken_off(said: str, told: str) -> None:
    assert relative_text(said, Path("/a/set")) == told


def test_pictures_in_a_folder_whose_name_begins_alike_keep_it(
    spoilable: Spoilable, tmp_path: Path
) -> None:
    drawn = spoilable("coco")
    picture = drawn.full("train")[0]
    drawn.write(picture, [("coin", 150, 100, 230, 110)])
    for name in ("-pictures", " pictures"):
        pictures = drawn.folder.with_name(drawn.folder.name + name)
        shutil.copytree(drawn.folder / "images", pictures)
        (found,) = find_reading_problems(examine(drawn.folder, pictures))
        assert found.file == str(pictures / "train" / picture.name)
        assert "sticks out of its picture of 192 x 128 px" in found.message


def test_a_clean_set_has_none(spoilable: Spoilable) -> None:
    assert look(spoilable("coco").folder) == []


def test_a_part_that_is_no_json_names_its_file_and_the_others_are_read(
    spoilable: Spoilable,
) -> None:
    drawn = spoilable("coco")
    drawn.json("val").write_text('{"images": [], "annotations": "categories"')
    (found,) = look(drawn.folder)
    assert (found.kind, found.file) == ("unreadable-file", "annotations/val.json")
    assert found.message.startswith("not valid JSON (")
    assert list(examine(drawn.folder).parts) == ["train"]


def test_a_finding_is_about_the_picture_of_its_path_not_of_its_last_name(tmp_path: Path) -> None:
    # [50, 50, 70, 70] ends at 120, 120: beyond 115 x 115 by a little; 80 x 80 would be far off
    Image.new("RGB", (115, 115)).save(tmp_path / "0.png")
    (tmp_path / "sub").mkdir()
    Image.new("RGB", (80, 80)).save(tmp_path / "sub" / "0.png")
    path = coco(tmp_path / "train.json", ["0.png", "sub/0.png"])
    content = json.loads(path.read_text())
    for image, side in zip(content["images"], (115, 80), strict=True):
        image["width"] = image["height"] = side
    content["annotations"][0]["bbox"] = [50, 50, 70, 70]
    path.write_text(json.dumps(content))
    (found,) = look(tmp_path)
    assert (found.kind, found.file) == ("stuck-out", "0.png")
    assert "115 x 115 px" in found.message


def test_a_repair_by_a_reader_is_told_of_its_own_picture(tmp_path: Path) -> None:
    for folder, line in (("a", "0 .1 .1 .5 .1 .5 .5\n"), ("b", "0 .5 .5 .2 .2\n")):
        yolo_picture(tmp_path / "images" / folder / "0.png", line=line)
    text(tmp_path / "data.yaml", "names: [cat]\ntrain: images\n")
    (found,) = look(tmp_path)
    assert (found.kind, found.file) == ("polygon", "images/a/0.png")
    assert (
        examine(tmp_path).parts["train"].dataset.mended.summary().endswith(": 1 (images/a/0.png)")
    )
