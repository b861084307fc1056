"""The flat data set, and the one place where annotations are mended."""

from __future__ import annotations

import pickle
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iouaware.data.dataset import Dataset, DatasetBuilder, join_datasets
from iouaware.data.mending import Mended
from iouaware.errors import DatasetError

NAN = float("nan")


def start(strict: bool = False, box_form: str = "xyxy") -> DatasetBuilder:
    return DatasetBuilder("coco", Path("/set"), "train", ("cat", "dog"), (3, 90), strict, box_form)


def build_three() -> Dataset:
    builder = start()
    builder.add_image("/set/a.jpg", 100, 50, [[0, 0, 10, 10], [5, 5, 9, 7]], [1, 0], [False, True])
    builder.add_image("/set/sub/b.jpg", 100, 50, [], [])
    builder.add_image("/other/c.jpg", 20, 20, [[1, 2, 3, 4]], [1], areas=[3.5])
    return builder.build()


def test_pictures_and_truth_come_back_as_they_went_in() -> None:
    dataset = build_three()
    assert len(dataset) == 3
    assert [dataset.file_name(i) for i in range(3)] == ["a.jpg", "sub/b.jpg", "/other/c.jpg"]
    assert dataset.record(0).path == Path("/set/a.jpg")
    assert dataset.record(2).path == Path("/other/c.jpg")
    assert (dataset.record(1).width, dataset.record(1).height) == (100, 50)
    first = dataset.target(0)
    assert first.boxes.tolist() == [[0, 0, 10, 10], [5, 5, 9, 7]]
    assert first.labels.tolist() == [1, 0]
    assert first.ignored.tolist() == [False, True]
    assert first.areas.tolist() == [100, 8]
    assert dataset.target(-1).areas.tolist() == [3.5]
    assert dataset.count_boxes() == 3
    assert dataset.class_counts().tolist() == [0, 2]  # the one cat is ignored
    assert dataset.mended.summary() == ""
    with pytest.raises(IndexError):
        dataset.target(3)


def test_p03_a_picture_without_objects_is_kept_with_an_empty_target() -> None:
    dataset = build_three()
    target = dataset.target(1)
    assert target.boxes.shape == (0, 4)
    assert target.boxes.dtype == np.float32
    assert target.labels.dtype == np.int64
    assert dataset.empty_images().tolist() == [1]


def test_a_set_without_pictures_or_boxes_can_be_built() -> None:
    nothing = start().build()
    assert len(nothing) == 0
    assert nothing.boxes.shape == (0, 4)
    assert nothing.class_counts().tolist() == [0, 0]
    assert nothing.empty_images().tolist() == []
    assert len(build_three().subset([])) == 0


def test_a_target_may_be_changed_without_changing_the_set() -> None:
    dataset = build_three()
    dataset.target(0).boxes[:] = -1
    assert dataset.boxes.min() >= 0


def test_subset_takes_pictures_in_the_order_asked_for() -> None:
    part = build_three().subset(np.array([2, 1, 0]), "val")
    assert part.split == "val"
    assert part.file_names.tolist() == ["/other/c.jpg", "sub/b.jpg", "a.jpg"]
    assert part.offsets.tolist() == [0, 1, 1, 3]
    assert part.target(2).labels.tolist() == [1, 0]
    assert build_three().subset([0]).split == "train"


@given(st.lists(st.integers(0, 5), max_size=12), st.data())
def test_subset_keeps_each_picture_with_its_own_boxes(
    counts: list[int], data: st.DataObject
) -> None:
    builder = start()
    for image, count in enumerate(counts):
        boxes = [[image, box, image + 1, box + 1] for box in range(count)]
        builder.add_image(f"{image}.jpg", 99, 99, boxes, [0] * count)
    dataset = builder.build()
    chosen = data.draw(
        st.lists(st.integers(0, len(counts) - 1), max_size=9) if counts else st.just([])
    )
    part = dataset.subset(chosen)
    for place, image in enumerate(chosen):
        assert part.target(place).boxes.tolist() == dataset.target(image).boxes.tolist()
        assert part.file_name(place) == f"{image}.jpg"


def test_join_puts_sets_one_after_the_other() -> None:
    both = join_datasets([build_three(), build_three()])
    assert both.offsets.tolist() == [0, 2, 2, 3, 5, 5, 6]
    assert both.target(5).areas.tolist() == [3.5]
    other = DatasetBuilder("coco", Path("/set"), "train", ("cat",), (3,)).build()
    with pytest.raises(ValueError, match="cannot join"):
        join_datasets([build_three(), other])


def test_p17_annotations_are_flat_arrays_that_processes_share() -> None:
    dataset = build_three()
    arrays = [getattr(dataset, field.name) for field in fields(dataset)]
    flat = [value for value in arrays if isinstance(value, np.ndarray)]
    assert len(flat) == 7
    assert all(array.dtype != object for array in flat)
    again = pickle.loads(pickle.dumps(dataset))  # noqa: S301  made here
    assert again.target(0).boxes.tolist() == dataset.target(0).boxes.tolist()
    assert again.file_names.tolist() == dataset.file_names.tolist()


@pytest.mark.parametrize(
    "box",
    [[5, 5, 5, 9], [5, 5, 9, 5], [9, 5, 5, 9], [5, 9, 9, 5], [5, 5, 5, 5]],
    ids=["no width", "no height", "inverted x", "inverted y", "a point"],
)
def test_p01_a_box_without_area_is_dropped_and_counted(box: list[float]) -> None:
    builder = start()
    builder.add_image("a.jpg", 20, 20, np.array([[1, 1, 4, 4], box]), [0, 1], where="a.xml")
    dataset = builder.build()
    assert dataset.boxes.tolist() == [[1, 1, 4, 4]]
    assert dataset.labels.tolist() == [0]
    assert dataset.mended.summary() == "boxes without area dropped: 1 (a.jpg)"
    strict = start(strict=True)
    strict.add_image("a.jpg", 20, 20, np.array([[1, 1, 4, 4], box]), [0, 1], where="a.xml")
    with pytest.raises(DatasetError, match=r"^a\.xml box 2, box \[.*\]: boxes without area"):
        strict.build()


def test_p01_a_box_too_thin_for_float32_is_dropped() -> None:
    builder = start()
    builder.add_image("a.jpg", 10_000, 20, [[9000, 1, 9000 + 1e-6, 4]], [0])
    dataset = builder.build()
    assert dataset.count_boxes() == 0
    assert dataset.empty_images().tolist() == [0]


def test_a_box_that_sticks_out_is_clipped_and_counted() -> None:
    builder = start()
    builder.add_image("a.jpg", 20, 10, [[-3, 2, 5, 30]], [0])
    builder.add_image("b.jpg", 20, 10, [[-0.005, 0, 20.005, 10]], [0])  # rounding, no repair
    dataset = builder.build()
    assert dataset.boxes.tolist() == [[0, 2, 5, 10], [0, 0, 20, 10]]
    assert dataset.areas.tolist() == [40, 200]
    assert dataset.mended.summary() == "boxes that stuck out clipped: 1 (a.jpg)"


def test_a_box_outside_its_picture_is_dropped_and_counted() -> None:
    builder = start()
    builder.add_image("a.jpg", 20, 10, [[25, 2, 30, 8], [-9, 2, 0, 8]], [0, 0])
    dataset = builder.build()
    assert dataset.count_boxes() == 0
    assert dataset.mended.summary() == "boxes outside their picture dropped: 2 (a.jpg)"


def test_a_missing_area_becomes_the_boxs_own() -> None:
    builder = start()
    builder.add_image("a.jpg", 20, 10, [[0, 0, 4, 5], [0, 0, 4, 5]], [0, 0], areas=[NAN, 7])
    dataset = builder.build()
    assert dataset.areas.tolist() == [20, 7]
    assert dataset.mended.counts == {"missing areas filled in": 1}
    silent = start()
    silent.add_image("a.jpg", 20, 10, [[0, 0, 4, 5]], [0])  # VOC and YOLO have none to miss
    assert silent.build().mended.counts == {}


@pytest.mark.parametrize("value", [NAN, float("inf"), -float("inf")])
@pytest.mark.parametrize("strict", [False, True])
def test_a_coordinate_that_is_no_number_is_always_an_error(value: float, strict: bool) -> None:
    builder = start(strict)
    builder.add_image("a.jpg", 20, 10, [[0, 0, 4, 5]], [0])
    places = ["b.json annotation 7", "b.json annotation 8"]
    builder.add_image(
        "b.jpg",
        20,
        10,
        np.array([[0, 0, 4, 5], [0, 0, value, 5]]),
        [0, 0],
        where=places.__getitem__,
    )
    with pytest.raises(
        DatasetError, match=r"^b\.json annotation 8: .*expected four finite numbers"
    ):
        builder.build()


def random_corners(count: int) -> np.ndarray:
    """Boxes of 5 to 30 px all over a picture of 100 x 80, [count, 4]."""
    generator = np.random.default_rng(0)
    size = generator.uniform(5, 30, (count, 2))
    low = generator.uniform(0, 1, (count, 2)) * ([100, 80] - size)
    return np.concatenate([low, low + size], axis=1)


def as_form(corners: np.ndarray, form: str) -> np.ndarray:
    low, size = corners[:, :2], corners[:, 2:] - corners[:, :2]
    return {
        "xyxy": corners,
        "xywh": np.concatenate([low, size], axis=1),
        "cxcywh": np.concatenate([low + size / 2, size], axis=1),
    }[form]


def read_as(written: np.ndarray, form: str) -> np.ndarray:
    first, second = written[:, :2], written[:, 2:]
    return {
        "xyxy": written,
        "xywh": np.concatenate([first, first + second], axis=1),
        "cxcywh": np.concatenate([first - second / 2, first + second / 2], axis=1),
    }[form]


@pytest.mark.parametrize("wrote", ["xyxy", "xywh", "cxcywh"])
@pytest.mark.parametrize("expected", ["xyxy", "xywh", "cxcywh"])
def test_p02_boxes_in_another_form_are_told_with_the_form(wrote: str, expected: str) -> None:
    builder = start(box_form=expected)
    builder.add_image(
        "a.jpg", 100, 80, read_as(as_form(random_corners(60), wrote), expected), [0] * 60
    )
    if wrote == expected:
        assert builder.build().mended.counts == {}
        return
    with pytest.raises(DatasetError, match=rf"look like {wrote}; write them as {expected}"):
        builder.build()


@pytest.mark.parametrize(("odd", "told"), [(11, False), (12, True)])
def test_p02_a_fifth_of_the_boxes_decides(odd: int, told: bool) -> None:
    # corners that also fit read as xywh, but for the odd ones: 50 + 90 > 100
    written = np.array([[50.0, 20.0, 90.0, 60.0]] * odd + [[10.0, 10.0, 40.0, 40.0]] * (60 - odd))
    builder = start(box_form="xywh")
    builder.add_image("a.jpg", 100, 80, read_as(written, "xywh"), [0] * 60)
    if told:
        with pytest.raises(DatasetError, match=r"12 of 60 boxes do not fit.*look like xyxy"):
            builder.build()
    else:
        assert builder.build().mended.counts == {"boxes that stuck out clipped": 11}


def test_p02_boxes_of_a_larger_picture_are_told() -> None:
    builder = start(box_form="xywh")
    builder.add_image("a.jpg", 30, 24, random_corners(60), [0] * 60)  # pictures shrunk, boxes not
    with pytest.raises(DatasetError, match=r"mostly outside.*another size"):
        builder.build()


def test_p02_fractions_where_pixels_belong_are_told() -> None:
    builder = start(box_form="xywh")
    builder.add_image("a.jpg", 100, 80, random_corners(9) / [100, 80, 100, 80], [0] * 9)
    with pytest.raises(DatasetError, match="fractions of the picture"):
        builder.build()


def test_p02_whole_boxes_of_one_pixel_are_no_fractions() -> None:
    builder = start(box_form="xywh")
    builder.add_image("a.jpg", 100, 80, [[0, 0, 1, 1]] * 9, [0] * 9)
    assert builder.build().count_boxes() == 9


def test_a_relative_root_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    builder = DatasetBuilder("coco", Path("set"), "train", ("cat",), (3,))
    builder.add_image(tmp_path / "set" / "a.jpg", 10, 10, [], [])
    dataset = builder.build()
    assert dataset.file_name(0) == "a.jpg"
    assert dataset.record(0).path == tmp_path / "set" / "a.jpg"


def test_p02_a_few_odd_boxes_are_mended_all_the_same() -> None:
    corners = random_corners(60)
    corners[:5, 2] += 100
    builder = start(box_form="xywh")
    builder.add_image("a.jpg", 100, 80, corners, [0] * 60)
    assert builder.build().mended.counts == {"boxes that stuck out clipped": 5}


def test_summary_names_the_first_files_only() -> None:
    mended = Mended()
    assert mended.summary() == ""
    for name in ("a", "a", "b", "c", "d"):
        mended.add("boxes without area dropped", name)
    assert mended.summary() == "boxes without area dropped: 5 (a, b, c, ...)"
    other = Mended()
    other.add("missing areas filled in", "e")
    both = mended.merged(other)
    assert both.summary() == (
        "boxes without area dropped: 5 (a, b, c, ...); missing areas filled in: 1 (e)"
    )
    assert other.counts == {"missing areas filled in": 1}  # as it was
