"""Reading other data with a model's eyes: classes are matched by name, or refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from iouaware.data.classes import suggest_names
from iouaware.data.dataset import Dataset
from iouaware.errors import DatasetError


def map_classes(
    dataset: Dataset, class_names: tuple[str, ...], category_ids: tuple[int, ...]
) -> Dataset:
    """Give a data set the classes of a model: its names, ids and order.

    Args:
        dataset: with names of its own; a name that no box has need not be known to the model.
        class_names: the model's, in the order of its labels.
        category_ids: the model's.

    Raises:
        DatasetError: boxes of a class the model does not know.
    """
    known = {name: label for label, name in enumerate(class_names)}
    new_label = np.array([known.get(name, -1) for name in dataset.class_names], np.int64)  # [K]
    counts = np.bincount(dataset.labels, minlength=len(dataset.class_names))
    for label in np.flatnonzero((new_label < 0) & (counts > 0)):
        name = dataset.class_names[label]
        raise DatasetError(
            f"{dataset.root}, {dataset.split}: {counts[label]} boxes of class {name!r}, which the "
            f"model does not know; it was trained on {', '.join(class_names)}: use data of "
            f"these classes, or train on this data{suggest_names(name, class_names)}"
        )
    labels = new_label[dataset.labels] if len(dataset.labels) else dataset.labels
    return replace(dataset, class_names=class_names, category_ids=category_ids, labels=labels)
