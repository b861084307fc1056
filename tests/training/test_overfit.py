"""The trial on a few pictures: as many steps whatever the pictures and the recipe."""

from __future__ import annotations

import math

import pytest

from iouaware.config import build_config
from iouaware.data.dataset import Dataset
from iouaware.data.layouts import Splits
from iouaware.errors import DatasetError
from iouaware.training.overfit import overfit_setup


@pytest.mark.parametrize(("images", "steps"), [(1, 120), (3, 120), (4, 120), (5, 120), (7, 120)])
def test_the_number_of_steps_is_fixed(tiny_dataset: Dataset, images: int, steps: int) -> None:
    empty = tiny_dataset.empty_images().tolist()
    full = [index for index in range(len(tiny_dataset)) if index not in empty]
    many = tiny_dataset.subset([full[index % len(full)] for index in range(8)])
    config = build_config({"data": {"batch_size": 4}, "train": {"accumulate": 4, "minutes": 1}})
    found, splits = overfit_setup(config, Splits(many, many, None, False, ()), images)
    assert len(splits.train) == images
    batches = math.ceil(images / found.data.batch_size)
    assert batches * found.train.epochs == steps
    assert (found.train.accumulate, found.train.minutes) == (1, None)


def test_pictures_without_objects_teach_nothing(tiny_dataset: Dataset) -> None:
    empty = tiny_dataset.subset(tiny_dataset.empty_images().tolist())
    with pytest.raises(DatasetError, match="no training picture has an object"):
        overfit_setup(build_config({}), Splits(empty, empty, None, False, ()), 4)
