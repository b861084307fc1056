"""The split of data that come without one."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iouaware.data.dataset import Dataset, DatasetBuilder
from iouaware.data.splitting import hash_file, split_by_content
from iouaware.errors import DatasetError


def build(
    folder: Path, labels_of_image: list[list[int]], contents: list[bytes] | None = None
) -> Dataset:
    """Pictures whose files hold their number, unless said otherwise; the split never decodes."""
    builder = DatasetBuilder("coco", folder, "train", tuple("abcdef"), tuple(range(6)))
    for number, labels in enumerate(labels_of_image):
        content = str(number).encode() if contents is None else contents[number]
        (folder / f"{number}.png").write_bytes(content)
        builder.add_image(f"{number}.png", 9, 9, [[0, 0, 5, 5]] * len(labels), labels)
    return builder.build()


def names(dataset: Dataset, indices: np.ndarray) -> set[str]:
    return {dataset.file_name(int(index)) for index in indices}


def test_a_fifth_by_hash_goes_to_validation(tmp_path: Path) -> None:
    dataset = build(tmp_path, [[0]] * 20)
    train, val = split_by_content(dataset)
    assert (len(train), len(val)) == (16, 4)
    # with one class everywhere only the hash decides: the four lowest
    ordered = sorted(range(20), key=lambda n: hashlib.sha256(str(n).encode()).hexdigest())
    assert val.tolist() == sorted(ordered[:4])
    assert train.tolist() == sorted(ordered[4:])
    assert train.dtype == val.dtype == np.int64


def test_names_and_order_of_the_files_play_no_part(tmp_path: Path) -> None:
    contents = [str(number).encode() for number in range(15)]
    labels = [[number % 3] for number in range(15)]
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    forward = build(tmp_path / "one", labels, contents)
    backward = build(tmp_path / "two", labels[::-1], contents[::-1])
    _, first = split_by_content(forward)
    _, second = split_by_content(backward)
    assert {contents[i] for i in first} == {contents[::-1][i] for i in second}


def test_p49_equal_pictures_are_never_on_both_sides(tmp_path: Path) -> None:
    contents = [str(number // 3).encode() for number in range(30)]  # each three times
    train, val = split_by_content(build(tmp_path, [[0]] * 30, contents))
    assert not {contents[i] for i in train} & {contents[i] for i in val}
    assert len(val) == 6


def test_p49_a_class_in_two_pictures_is_on_both_sides(tmp_path: Path) -> None:
    labels = [[0]] * 30 + [[1]] * 2 + [[0, 2]] * 2
    dataset = build(tmp_path, labels)
    train, val = split_by_content(dataset)
    for part in (train, val):
        assert dataset.subset(part).class_counts()[:3].min() >= 1
    assert len(val) == 7  # round(0.2 * 34)


def test_p49_a_class_in_one_picture_alone_is_in_training(tmp_path: Path) -> None:
    for position in range(10):  # wherever its hash puts it
        labels = [[0]] * 10
        labels[position] = [1]
        train, _ = split_by_content(build(tmp_path, labels))
        assert position in train


def test_ignored_boxes_do_not_make_a_class(tmp_path: Path) -> None:
    builder = DatasetBuilder("coco", tmp_path, "train", ("a", "b"), (0, 1))
    for number in range(10):
        (tmp_path / f"{number}.png").write_bytes(str(number).encode())
        builder.add_image(f"{number}.png", 9, 9, [[0, 0, 5, 5]], [number % 2], [number % 2 == 1])
    train, val = split_by_content(builder.build())
    assert (len(train), len(val)) == (8, 2)


def test_pictures_without_objects_are_split_too(tmp_path: Path) -> None:
    train, val = split_by_content(build(tmp_path, [[]] * 10))
    assert (len(train), len(val)) == (8, 2)


def test_two_pictures_of_two_classes_give_one_to_each_side(tmp_path: Path) -> None:
    train, val = split_by_content(build(tmp_path, [[0], [1]]))
    assert (len(train), len(val)) == (1, 1)


@pytest.mark.parametrize("contents", [[], [b"x"], [b"x", b"x"]])
def test_fewer_than_two_different_pictures_cannot_be_split(
    tmp_path: Path, contents: list[bytes]
) -> None:
    with pytest.raises(DatasetError, match=r"cannot be split.*at least 2"):
        split_by_content(build(tmp_path, [[0]] * len(contents), contents))


@given(st.lists(st.lists(st.integers(0, 5), max_size=3), min_size=2, max_size=14))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_both_sides_hold_every_picture_once_and_each_class_stays_in_training(
    tmp_path: Path, labels: list[list[int]]
) -> None:
    dataset = build(tmp_path, labels)
    train, val = split_by_content(dataset)
    assert sorted([*train.tolist(), *val.tolist()]) == list(range(len(labels)))
    assert len(train) >= 1
    assert len(val) >= 1
    assert names(dataset, train).isdisjoint(names(dataset, val))
    in_images = [sum(label in image for image in labels) for label in range(6)]
    counts = dataset.subset(train).class_counts()
    alone = sum(len(set(image)) > 0 and min(in_images[c] for c in image) == 1 for image in labels)
    if alone < len(labels):  # not every picture holds the only object of a class
        assert all(counts[label] > 0 for label in range(6) if in_images[label] > 0)


def test_hash_of_a_file_is_its_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc" * 500_000)  # more than one chunk
    assert hash_file(tmp_path / "a") == hashlib.sha256(b"abc" * 500_000).hexdigest()
    with pytest.raises(DatasetError, match="cannot be read"):
        hash_file(tmp_path / "gone")
