from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.evaluation.drawing import make_candidates, random_candidates

from iouaware.errors import CheckpointError
from iouaware.evaluation.cache import load_candidates, save_candidates
from iouaware.structures import Frame


@pytest.mark.parametrize("with_iou", [True, False])
def test_what_is_saved_comes_back(tmp_path: Path, with_iou: bool) -> None:
    _, found = random_candidates(0, images=4)
    found.append(make_candidates([], [], [], []))
    found[1] = replace(found[1], frame=Frame((300, 500), (192, 320), (224, 352)))
    if not with_iou:
        found = [replace(one, predicted_iou=None) for one in found]
    save_candidates(tmp_path / "candidates-val.npz", found)
    again = load_candidates(tmp_path / "candidates-val.npz")
    assert len(again) == 5
    for one, two in zip(found, again, strict=True):
        assert one.frame == two.frame
        for name in ("boxes", "labels", "class_scores", "predicted_iou", "anchor_index"):
            first, second = getattr(one, name), getattr(two, name)
            assert (first is None) == (second is None)
            if first is not None:
                assert first.dtype == second.dtype
                assert np.array_equal(first, second)
    assert [entry.name for entry in tmp_path.iterdir()] == ["candidates-val.npz"]


def test_only_what_was_made_of_the_same_is_read(tmp_path: Path) -> None:
    path = tmp_path / "candidates-val.npz"
    save_candidates(path, random_candidates(0, images=2)[1], "these weights")
    assert len(load_candidates(path, "these weights")) == len(load_candidates(path)) == 2
    with pytest.raises(CheckpointError, match="other weights or pictures"):
        load_candidates(path, "those weights")
    save_candidates(path, [])
    with pytest.raises(CheckpointError, match="other weights or pictures"):
        load_candidates(path, "these weights")


def test_no_pictures(tmp_path: Path) -> None:
    save_candidates(tmp_path / "none.npz", [])
    assert load_candidates(tmp_path / "none.npz") == []


def test_broken_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "candidates-val.npz"
    with pytest.raises(CheckpointError, match=r"val\.npz: no file of candidates \(.*No such file"):
        load_candidates(path)
    path.write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(CheckpointError, match="evaluate again"):
        load_candidates(path)
    np.savez(path, boxes=np.zeros((0, 4)))
    with pytest.raises(CheckpointError, match="evaluate again"):
        load_candidates(path)
    np.savez(path, counts=np.array([{}], object))  # would have to be unpickled
    with pytest.raises(CheckpointError, match="evaluate again"):
        load_candidates(path)


def test_mixed_pictures_are_refused(tmp_path: Path) -> None:
    _, found = random_candidates(0, images=2)
    mixed = [found[0], replace(found[1], predicted_iou=None)]
    with pytest.raises(ValueError, match="1 of 2 pictures have a predicted IoU"):
        save_candidates(tmp_path / "mixed.npz", mixed)


def test_the_folder_is_made_and_an_older_file_replaced(tmp_path: Path) -> None:
    path = tmp_path / "some" / "where" / "candidates-val.npz"
    _, found = random_candidates(0, images=2)
    save_candidates(path, found)
    save_candidates(path, found[:1])
    assert len(load_candidates(path)) == 1


def test_a_write_that_fails_leaves_the_older_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "candidates-val.npz"
    _, found = random_candidates(0, images=2)
    save_candidates(path, found)

    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="disk full"):
        save_candidates(path, found[:1])
    assert [entry.name for entry in tmp_path.iterdir()] == ["candidates-val.npz"]
    assert len(load_candidates(path)) == 2


def test_columns_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "candidates-val.npz"
    save_candidates(path, random_candidates(0, images=2)[1])
    with np.load(path) as file:
        columns = dict(file)
    # three counts, two frames
    np.savez(path, **{**columns, "counts": np.array([1, 1, 1])})
    with pytest.raises(CheckpointError, match="evaluate again"):
        load_candidates(path)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "candidates-val.npz"
    save_candidates(path, random_candidates(0, images=2)[1])
    with np.load(path) as file:
        columns = dict(file)
    # all fits, but one column holds Python objects
    np.savez(path, **{**columns, "labels": columns["labels"].astype(object)})
    with pytest.raises(CheckpointError, match="evaluate again"):
        load_candidates(path)
