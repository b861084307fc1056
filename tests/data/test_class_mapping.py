"""Other data seen with a model's classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from iouaware.data.class_mapping import map_classes
from iouaware.data.dataset import Dataset, DatasetBuilder
from iouaware.errors import DatasetError


def build_dataset(names: tuple[str, ...], labels: list[int]) -> Dataset:
    ids = tuple(range(1, len(names) + 1))
    builder = DatasetBuilder("drawn", Path("/sets/bolts"), "val", names, ids, strict=False)
    boxes = [[10.0 * index, 0.0, 10.0 * index + 8, 8.0] for index in range(len(labels))]
    builder.add_image("a.png", 100, 100, boxes, labels)
    return builder.build()


def test_p06_names_decide_and_not_their_order() -> None:
    # nut, bolt, nut in the file's order become labels 1, 0, 1 of a model that knows bolt first
    dataset = build_dataset(("nut", "bolt"), [0, 1, 0])
    mapped = map_classes(dataset, ("bolt", "nut", "washer"), (7, 3, 9))
    assert mapped.labels.tolist() == [1, 0, 1]
    assert mapped.class_names == ("bolt", "nut", "washer")
    assert mapped.category_ids == (7, 3, 9)
    assert dataset.labels.tolist() == [0, 1, 0]  # the original is untouched


def test_p07_a_class_the_model_lacks_is_refused_by_name() -> None:
    dataset = build_dataset(("bolt", "nuts"), [0, 1, 1])
    with pytest.raises(DatasetError, match=r"2 boxes of class 'nuts'.*did you mean 'nut'") as told:
        map_classes(dataset, ("bolt", "nut"), (1, 2))
    assert "/sets/bolts, val" in str(told.value)


def test_a_name_without_boxes_need_not_be_known() -> None:
    mapped = map_classes(build_dataset(("bolt", "gear"), [0]), ("bolt",), (1,))
    assert mapped.labels.tolist() == [0]


def test_a_set_without_boxes_can_be_mapped() -> None:
    assert len(map_classes(build_dataset(("bolt",), []), ("nut",), (1,)).labels) == 0
