"""What a run computes under; kept with every checkpoint, so that going on is going on with that.

A change that would make another run of it is refused, one that may change the last bits is told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from iouaware.config import Config
from iouaware.data.dataset import Dataset
from iouaware.data.layouts import Splits
from iouaware.errors import CheckpointError, DatasetError
from iouaware.training.ranks import Ranks

# what may differ, and is told; the precision goes on as it was
TOLD = {
    "device": "the kind of device",
    "threads": "the threads of a process",
    "world_size": "the processes",
    "torch_version": "the version of torch",
}


@dataclass(frozen=True)
class Conditions:
    """Plain values that decide the weights, besides those in ``Progress``.

    Attributes:
        settings: every setting of the run by its dotted name.
        data: hash of each part's names, sizes, boxes and labels.
        images_per_step: over all processes and summed batches.
        device: ``cpu``, ``cuda``, ...
        threads: that torch computes with in a process.
        world_size: processes.
        torch_version: as torch names it.
    """

    settings: dict[str, Any]
    data: dict[str, str]
    images_per_step: int
    device: str
    threads: int
    world_size: int
    torch_version: str


def conditions_of(
    config: Config, splits: Splits, device: str, ranks: Ranks, images_per_step: int
) -> Conditions:
    """Describe what this process would compute under now."""
    sections = config.model_dump(mode="json")
    settings = {
        f"{section}.{key}" if key else section: value
        for section, values in sections.items()
        for key, value in (values.items() if isinstance(values, dict) else [("", values)])
    }
    return Conditions(
        settings=settings,
        data={"train": _hash_of(splits.train), "val": _hash_of(splits.val)},
        images_per_step=images_per_step,
        device=torch.device(device).type,
        threads=torch.get_num_threads(),
        world_size=ranks.world_size,
        torch_version=str(torch.__version__),
    )


def compare_conditions(before: Conditions, now: Conditions, say: Callable[[str], None]) -> None:
    """Refuse to go on where the result would be that of no single run; tell what is near it.

    Raises:
        CheckpointError: other settings, or another number of pictures a step.
        DatasetError: other boxes, classes or sizes of pictures.
    """
    for name in before.settings.keys() | now.settings.keys():
        was, found = before.settings.get(name), now.settings.get(name)
        if was != found:
            raise CheckpointError(
                f"config.yaml: {name} is {found}, expected {was} as in the checkpoint: put it "
                "back, or train anew with --from RUN"
            )
    for part, known in before.data.items():
        if now.data[part] != known:
            raise DatasetError(
                f"{part}: the boxes, classes or sizes of pictures are not those that the run "
                "began with; put the annotations back, or train anew with --from RUN"
            )
    if before.images_per_step != now.images_per_step:
        raise CheckpointError(
            f"{now.world_size} processes take {now.images_per_step} pictures a step, expected "
            f"{before.images_per_step} as {before.world_size} took before: go on with as many, or "
            "train anew with --from RUN"
        )
    for name, words in TOLD.items():
        was, found = getattr(before, name), getattr(now, name)
        if was != found:
            say(f"{words}: {found} now, {was} before; the weights may differ in their last bits")


def _hash_of(dataset: Dataset) -> str:
    """Hash what is learnt from a data set, wherever it lies."""
    digest = hashlib.sha256("\0".join(dataset.class_names).encode())
    names = [dataset.file_name(index) for index in range(len(dataset))]
    digest.update("\0".join(names).encode())
    for values in (dataset.image_wh, dataset.offsets, dataset.labels, dataset.ignored):
        digest.update(np.ascontiguousarray(values, np.int64).tobytes())
    digest.update(np.ascontiguousarray(dataset.boxes, np.float64).tobytes())
    return digest.hexdigest()
