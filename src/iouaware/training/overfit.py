"""A quick question before a long run: can these labels be learnt at all?"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from iouaware.config import Config
from iouaware.data.layouts import Splits
from iouaware.errors import DatasetError

OVERFIT_STEPS = 120  # about a minute at 320 px on two cores, with four pictures a step


def overfit_setup(config: Config, splits: Splits, images: int) -> tuple[Config, Splits]:
    """Return a run that learns a few training pictures by heart and is judged on the same ones.

    Augmentation is off, and the number of steps is fixed, to whole epochs, so that a slow machine
    gets the same answer later rather than another one. A detector that cannot learn them has wrong
    labels or settings.

    Args:
        config: the recipe.
        splits: the data set.
        images: how many pictures with objects to take, in file order.
    """
    train = splits.train
    empty = set(train.empty_images().tolist())
    chosen = [index for index in range(len(train)) if index not in empty][:images]
    if not chosen:
        raise DatasetError(f"{train.root}: no training picture has an object to learn")
    few = train.subset(np.array(chosen, np.int64))
    batch_size = min(config.data.batch_size, len(chosen))
    epochs = math.ceil(OVERFIT_STEPS / math.ceil(len(chosen) / batch_size))
    data = config.data.model_copy(
        update={
            "flip": 0.0,
            "scale_jitter": (1.0, 1.0),
            "crop": 0.0,
            "colour": 0.0,
            "batch_size": batch_size,
        }
    )
    schedule = config.train.model_copy(
        update={
            "epochs": epochs,
            "accumulate": 1,
            "minutes": None,
            "evaluate_every": epochs,
            "warmup_steps": 10,
        }
    )
    config = config.model_copy(update={"data": data, "train": schedule})
    return config, replace(splits, train=few, val=few, test=None)


def overfit_verdict(ap50: float | None, images: int) -> str:
    """Say in words what AP50 on the very pictures that were learnt means."""
    if ap50 is None:
        return "overfit: AP50 could not be computed, since the pictures have no boxes to find"
    text = f"overfit: AP50 {100 * ap50:.1f} on the {images} pictures it was trained on: "
    if ap50 >= 0.8:
        return text + "the data can be learnt"
    return text + (
        "too low; look at first_batch.jpg: are boxes and names right, and large enough to see?"
    )
