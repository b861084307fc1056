"""What is odd about a data set that can be read."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from iouaware.data.dataset import Dataset

_MANY_EMPTY = 0.3


def find_oddities(parts: Sequence[Dataset]) -> list[str]:
    """Return warnings about empty pictures, shared pictures and classes without objects."""
    lines = []
    for dataset in parts:
        share = len(dataset.empty_images()) / len(dataset)
        if share > _MANY_EMPTY:
            example = dataset.file_name(int(dataset.empty_images()[0]))
            lines.append(
                f"warning: {share:.0%} of the pictures of {dataset.split} have no boxes, such as "
                f"{example}; are label files missing?"
            )
    train = parts[0]
    for other, dataset in combinations(parts, 2):
        shared = sorted(set(other.file_names.tolist()).intersection(dataset.file_names.tolist()))
        if shared:
            place = "training" if other is train else other.split
            lines.append(
                f"warning: {len(shared):,} of the {len(dataset):,} pictures of {dataset.split} "
                f"are in {place} too, such as {shared[0]}; its figures will be too good"
            )
    for dataset in parts[1:]:
        unseen = np.flatnonzero((train.class_counts() == 0) & (dataset.class_counts() > 0))
        if len(unseen):
            listed = ", ".join(train.class_names[label] for label in unseen[:5])
            lines.append(
                f"warning: {dataset.split} has objects of {len(unseen)} classes that training has "
                f"none of: {listed}"
            )
    return lines
