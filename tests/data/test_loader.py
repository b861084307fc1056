"""Loaders: order, ranks, workers, resume, broken pictures, canvases."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from iouaware.config import DataConfig
from iouaware.data.dataset import Dataset, DatasetBuilder
from iouaware.data.loader import (
    Batch,
    TrainingImages,
    build_training_loader,
    epoch_order,
    iterate_images,
    split_order,
)
from iouaware.data.transforms import TrainTransform
from iouaware.errors import DatasetError
from iouaware.images import read_image, resize_to_canvas

FILL = (127, 127, 127)
DATA = DataConfig(scale_jitter=(0.7, 1.3), crop=0.5, colour=0.5)


def load(dataset: Dataset, **changes: Any) -> list[Batch]:
    options: dict[str, Any] = {
        "image_size": 96, "fill": FILL, "seed": 0, "epoch": 1, "batch_size": 3, "workers": 0,
    }  # fmt: skip
    return list(build_training_loader(dataset, DATA, **(options | changes)))


def make_dataset(folder: Path, sizes_wh: list[tuple[int, int]]) -> Dataset:
    builder = DatasetBuilder("coco", folder, "train", ("thing",), (1,))
    for index, (width, height) in enumerate(sizes_wh):
        Image.new("RGB", (width, height), (index, 0, 0)).save(folder / f"{index}.png")
        builder.add_image(f"{index}.png", width, height, [[0, 0, width, height]], [0])
    return builder.build()


def assert_equal_batches(first: list[Batch], second: list[Batch]) -> None:
    assert [batch.indices for batch in first] == [batch.indices for batch in second]
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.images, other.images)
        for mine, theirs in zip(one.targets, other.targets, strict=True):
            assert (mine.boxes == theirs.boxes).all()
            assert (mine.labels == theirs.labels).all()
            assert (mine.ignored == theirs.ignored).all()


def test_order_is_a_permutation_fixed_by_seed_and_epoch() -> None:
    order = epoch_order(20, seed=3, epoch=4)
    assert sorted(order.tolist()) == list(range(20))
    assert (order == epoch_order(20, seed=3, epoch=4)).all()
    assert (order != epoch_order(20, seed=3, epoch=5)).any()
    assert (order != epoch_order(20, seed=4, epoch=4)).any()


def test_order_is_cut_into_batches() -> None:
    order = np.array([4, 2, 0, 1, 3])
    assert split_order(order, 2, 0, 1) == [[4, 2], [0, 1], [3]]
    # two processes: 5 wraps to 6 (4 2 0 1 3 4), steps of 4: (4 2 0 1), (3 4)
    assert split_order(order, 2, 0, 2) == [[4, 0], [3]]
    assert split_order(order, 2, 1, 2) == [[2, 1], [4]]
    # more processes than pictures
    assert split_order(np.array([0]), 4, 2, 3) == [[0]]
    assert split_order(np.zeros(0, np.int64), 4, 0, 3) == []


@pytest.mark.parametrize(("batch_size", "rank"), [(0, 0), (2, 2)])
def test_wrong_calls_are_value_errors(batch_size: int, rank: int) -> None:
    with pytest.raises(ValueError, match="expected"):
        split_order(np.arange(4), batch_size, rank, world_size=2)


def test_batches_hold_every_picture_once(tiny_dataset: Dataset) -> None:
    batches = load(tiny_dataset)
    assert [batch.images.shape for batch in batches] == [(3, 3, 96, 96)] * 2 + [(2, 3, 96, 96)]
    assert all(batch.images.dtype == torch.uint8 for batch in batches)
    seen = [index for batch in batches for index in batch.indices]
    assert sorted(seen) == list(range(len(tiny_dataset)))


def test_p03_pictures_without_objects_are_kept(tiny_dataset: Dataset) -> None:
    empties = tiny_dataset.subset(np.repeat(tiny_dataset.empty_images(), 4))
    (batch,) = load(empties, batch_size=4)
    assert [target.boxes.shape for target in batch.targets] == [(0, 4)] * 4


def test_p48_workers_change_nothing(tiny_dataset: Dataset) -> None:
    assert_equal_batches(load(tiny_dataset), load(tiny_dataset, workers=2))


def test_workers_outlive_a_signal_to_the_whole_group(tiny_dataset: Dataset) -> None:
    # SLURM and a terminal signal every process of a job; the trainer still needs its batch
    batches = iter(
        build_training_loader(
            tiny_dataset, DATA, image_size=96, fill=FILL, seed=0, epoch=1, batch_size=1, workers=1
        )
    )
    seen = list(next(batches).indices)
    (worker,) = multiprocessing.active_children()
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(worker.pid or 0, number)
    for batch in batches:
        seen += batch.indices
    assert sorted(seen) == list(range(len(tiny_dataset)))


def test_p48_global_random_state_is_left_alone(tiny_dataset: Dataset) -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = load(tiny_dataset)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    np.random.seed(6)
    assert_equal_batches(first, load(tiny_dataset))


def test_skipped_batches_are_those_already_seen(tiny_dataset: Dataset) -> None:
    assert_equal_batches(load(tiny_dataset)[1:], load(tiny_dataset, skip_batches=1))
    assert load(tiny_dataset, skip_batches=3) == []


def test_two_processes_see_what_one_with_twice_the_batch_sees(tiny_dataset: Dataset) -> None:
    whole = load(tiny_dataset, batch_size=4)
    parts = [load(tiny_dataset, batch_size=2, rank=rank, world_size=2) for rank in (0, 1)]
    assert [len(part) for part in parts] == [2, 2]
    for step, batch in enumerate(whole):
        shared = {index for part in parts for index in part[step].indices}
        assert shared == set(batch.indices)
    twin = parts[0][0]
    place = whole[0].indices.index(twin.indices[0])
    assert torch.equal(twin.images[0], whole[0].images[place])


def test_epochs_differ(tiny_dataset: Dataset) -> None:
    first, second = load(tiny_dataset, epoch=0)[0], load(tiny_dataset, epoch=1)[0]
    assert first.indices != second.indices


def test_p46_all_that_workers_get_can_be_pickled(tiny_dataset: Dataset) -> None:
    loader = build_training_loader(
        tiny_dataset, DATA, image_size=96, fill=FILL, seed=0, epoch=0, batch_size=2, workers=0
    )
    collate = pickle.loads(pickle.dumps(loader.collate_fn))  # noqa: S301  our own bytes
    images = pickle.loads(pickle.dumps(loader.dataset))  # noqa: S301  our own bytes
    assert isinstance(images, TrainingImages)
    assert len(images) == len(tiny_dataset)
    again = collate([images[0], images[1]])
    assert torch.equal(again.images[0], loader.dataset[0][0])


@pytest.mark.slow
def test_p46_workers_started_afresh_give_the_same(tiny_dataset: Dataset) -> None:
    loader = build_training_loader(
        tiny_dataset, DATA, image_size=96, fill=FILL, seed=0, epoch=1, batch_size=3, workers=1
    )
    loader.multiprocessing_context = "spawn"
    assert_equal_batches(list(loader), load(tiny_dataset))


def test_p17_workers_get_arrays_not_lists(tiny_dataset: Dataset) -> None:
    images = TrainingImages(tiny_dataset, TrainTransform(DATA, 96, FILL), seed=0)
    fields = vars(images.dataset).values()
    assert not any(isinstance(value, list) for value in fields)
    arrays = [value for value in fields if isinstance(value, np.ndarray)]
    assert len(arrays) == 7
    assert all(array.dtype != object for array in arrays)


@pytest.mark.parametrize("workers", [0, 1])
def test_broken_picture_is_one_line_from_any_process(tmp_path: Path, workers: int) -> None:
    dataset = make_dataset(tmp_path, [(70, 70), (80, 80)])
    (tmp_path / "1.png").write_bytes(b"no picture")
    with pytest.raises(DatasetError) as caught:
        load(dataset, workers=workers)
    assert "1.png" in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(DatasetError, match=r"1\.png"):
        list(iterate_images(dataset, 96, FILL, 2, workers))


def test_batch_gets_the_largest_canvas_of_its_pictures(tmp_path: Path) -> None:
    # (64, 128): 160 x 80 fits 128 x 64, 80 x 160 fits 64 x 128: canvas 128 x 128, right and
    # bottom filled
    dataset = make_dataset(tmp_path, [(160, 80), (80, 160)])
    (batch,) = build_training_loader(
        dataset, DataConfig(flip=0.0), image_size=(64, 128), fill=FILL, seed=0, epoch=0,
        batch_size=2, workers=0,
    )  # fmt: skip
    assert batch.images.shape == (2, 3, 128, 128)
    wide = batch.images[batch.indices.index(0)]
    assert (wide[:, 64:] == 127).all()
    assert (wide[:, :64] != 127).all()
    assert batch.targets[batch.indices.index(1)].boxes.tolist() == [[0, 0, 64, 128]]


@pytest.mark.parametrize("workers", [0, 2])
def test_evaluation_keeps_the_order(tiny_dataset: Dataset, workers: int) -> None:
    found = list(iterate_images(tiny_dataset, 64, FILL, 3, workers))
    assert [indices for _, _, indices in found] == [[0, 1, 2], [3, 4, 5], [6, 7]]
    canvases, frames, _ = found[0]
    assert canvases.shape == (3, 64, 64, 3)
    image = read_image(tiny_dataset.record(1).path)
    expected, frame = resize_to_canvas(image, 64, FILL)
    assert (canvases[1] == expected).all()
    assert frames[1] == frame


def test_evaluation_batches_share_a_canvas(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path, [(160, 80), (80, 160), (320, 160), (80, 80), (160, 80)])
    found = list(iterate_images(dataset, (64, 128), FILL, 2, 0))
    assert [indices for _, _, indices in found] == [[0, 2], [4], [1], [3]]
    assert [canvases.shape for canvases, _, _ in found] == [
        (2, 64, 128, 3), (1, 64, 128, 3), (1, 128, 64, 3), (1, 64, 64, 3),
    ]  # fmt: skip


def test_nothing_to_iterate(tiny_dataset: Dataset) -> None:
    nothing = tiny_dataset.subset([])
    assert list(iterate_images(nothing, 64, FILL, 3, 0)) == []
    assert load(nothing) == []
