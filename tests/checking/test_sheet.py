"""The contact sheet of findings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from iouaware.checking.boxes import find_box_problems
from iouaware.checking.sheet import refuse_unfit_sheet, write_sheet
from iouaware.data.examining import examine
from iouaware.errors import ConfigError, DatasetError
from iouaware.running.checking import check
from tests.checking.conftest import Spoilable
from tests.checking.numbers import examined


def test_findings_come_first_and_in_red(spoilable: Spoilable, tmp_path: Path) -> None:
    drawn = spoilable("coco")
    picture = drawn.full("train")[-1]
    row = drawn.rows(picture)[0]
    drawn.write(picture, [row, row])
    data = examine(drawn.folder)
    findings = find_box_problems(data)
    assert write_sheet(data, findings, tmp_path / "a.png") == 36
    assert write_sheet(data, [], tmp_path / "b.png") == 36
    with_red, without = (np.array(Image.open(tmp_path / name)) for name in ("a.png", "b.png"))
    tile = slice(0, 340), slice(0, 330)  # the first one

    def red(image: NDArray[np.uint8]) -> int:
        return int(((image[..., 0] > 180) & (image[..., 1:] < 60).all(axis=-1)).sum())

    assert red(with_red[tile]) > red(without[tile]) + 50


def test_a_broken_picture_is_passed_over(spoilable: Spoilable, tmp_path: Path) -> None:
    drawn = spoilable("yolo")
    data = examine(drawn.folder)
    for path in drawn.pictures("train") + drawn.pictures("val")[1:]:
        path.write_bytes(b"broken")
    assert write_sheet(data, [], tmp_path / "new" / "a.jpg") == 1


def test_a_sheet_is_not_written_over_a_picture_of_the_data_set(spoilable: Spoilable) -> None:
    drawn = spoilable("yolo")
    picture = drawn.pictures("train")[0]
    before = picture.read_bytes()
    said: list[str] = []
    with pytest.raises(ConfigError, match=r"--sheet .*: the file exists, .* give another --sheet"):
        check(drawn.folder, sheet=picture, say=said.append)
    assert not said
    assert picture.read_bytes() == before


def test_what_cannot_be_drawn_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a\.txt: found a name ending in \.txt"):
        refuse_unfit_sheet(tmp_path / "a.txt")
    with pytest.raises(DatasetError, match="no picture can be drawn"):
        write_sheet(examined(), [], tmp_path / "a.png")
