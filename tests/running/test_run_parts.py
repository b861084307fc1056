"""Which part of a run pictures are of, by names and by the length of their files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from iouaware.data.dataset import Dataset
from iouaware.data.layouts import Splits
from iouaware.running.candidates import find_run_part
from iouaware.running.records import MOST_LENGTHS, length_record, split_record


def pictures(root: Path, lengths: Sequence[int]) -> Dataset:
    """Make a data set of files named by number, so many bytes long."""
    from tests.reporting.scenes import make_truth

    root.mkdir()
    dataset = make_truth(root, [[]] * len(lengths), [[]] * len(lengths), ("a",))
    for number, length in enumerate(lengths):
        (root / f"picture{number}.png").write_bytes(b"x" * length)
    return dataset


def run_on(folder: Path, val: Dataset, **changes: Any) -> Path:
    """Make a run folder that was judged on these pictures, trained on none of them."""
    splits = Splits(train=val.subset([]), val=val, test=None, made=False, lines=())
    split = {**split_record(splits), "bytes": length_record(splits), **changes}
    folder.mkdir()
    (folder / "split.json").write_text(json.dumps({**split, "train": ["other.png"]}))
    return folder


def test_another_set_whose_pictures_bear_the_same_names_is_none_of_the_run(tmp_path: Path) -> None:
    val = pictures(tmp_path / "val", [10, 20, 30, 40])
    run = run_on(tmp_path / "run", val)
    foreign = pictures(tmp_path / "foreign", [11, 21, 31, 40])  # one is as long by chance
    assert find_run_part(run, foreign, own=False) == "none"
    moved = pictures(tmp_path / "moved", [10, 20, 30, 40])
    assert find_run_part(run, moved, own=False) == "val"
    half = pictures(tmp_path / "half", [10, 20, 31, 41])  # the rest was made anew
    assert find_run_part(run, half, own=False) == "val"
    # where the training found them, names are enough: pictures may be saved anew
    assert find_run_part(run, foreign, own=True) == "val"


def test_a_run_that_knows_no_lengths_goes_by_names(tmp_path: Path) -> None:
    val = pictures(tmp_path / "val", [10, 20])
    run = run_on(tmp_path / "run", val, bytes=None)
    foreign = pictures(tmp_path / "foreign", [11, 21])
    assert find_run_part(run, foreign, own=False) == "val"
    renamed = replace(foreign, file_names=foreign.file_names.copy())
    renamed.file_names[:] = ["a", "b"]
    assert find_run_part(run, renamed, own=False) == "none"


def test_an_exported_file_finds_the_parts_one_folder_up(tmp_path: Path) -> None:
    val = pictures(tmp_path / "val", [10, 20])
    run = run_on(tmp_path / "run", val)
    (run / "export").mkdir()
    assert find_run_part(run / "export", val, own=True) == "val"
    (run / "elsewhere").mkdir()
    assert find_run_part(run / "elsewhere", val, own=True) is None


def test_a_picture_that_is_gone_has_no_length(tmp_path: Path) -> None:
    val = pictures(tmp_path / "val", [10, 20])
    (tmp_path / "val" / "picture1.png").unlink()
    splits = Splits(train=val.subset([]), val=val, test=None, made=False, lines=())
    lengths = {"train": {}, "val": {"picture0.png": 10, "picture1.png": None}}
    assert length_record(splits) == lengths


@pytest.mark.parametrize(("count", "kept"), [(999, 999), (1000, 500), (1001, 501), (2000, 667)])
def test_at_most_a_thousand_lengths_of_a_part_are_kept(
    tmp_path: Path, count: int, kept: int
) -> None:
    assert kept <= MOST_LENGTHS == 1000
    one = pictures(tmp_path / "one", [10])
    many = one.subset([0] * count)
    many = replace(many, file_names=many.file_names.astype("U9"))
    many.file_names[:] = [f"{number}.png" for number in range(count)]
    splits = Splits(train=many, val=one, test=None, made=False, lines=())
    assert len(length_record(splits)["train"]) == kept
