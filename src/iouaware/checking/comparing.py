"""A data set beside a model: can the one be judged, or trained on, with the other?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from iouaware.checking.classes import count_classes
from iouaware.checking.findings import Finding, find
from iouaware.data.classes import suggest_names
from iouaware.data.examining import ExaminedSet
from iouaware.data.image_size import ENOUGH, share_met
from iouaware.inference.predictor import image_size_of
from iouaware.structures import ModelInfo


def compare_with_model(examined: ExaminedSet, info: ModelInfo, name: str) -> list[Finding]:
    """Return findings about classes and picture size that do not fit a model.

    Args:
        examined: what was read.
        info: of the model.
        name: of the model, for messages.
    """
    return [*_compare_classes(examined, info, name), *_compare_size(examined, info, name)]


def _compare_classes(examined: ExaminedSet, info: ModelInfo, name: str) -> Iterator[Finding]:
    counts = count_classes(examined)
    for split, numbers in counts.items():
        for missing in (key for key, count in numbers.items() if count):
            if missing not in info.class_names:
                message = (
                    f"{numbers[missing]:,} boxes of {missing!r}, which {name} does not know"
                    f"{suggest_names(missing, info.class_names)}"
                )
                yield find("unknown-to-model", message, split=split)
    for own in info.class_names:
        if not any(numbers[own] for numbers in counts.values()):
            yield find("not-in-data", f"{own!r} is a class of {name}; no box here has it")


def _compare_size(examined: ExaminedSet, info: ModelInfo, name: str) -> Iterator[Finding]:
    size = image_size_of(info, name)
    geometry = info.config.get("model", {}).get("geometry", "plain")
    for split, part in examined.parts.items():
        if np.all(part.dataset.ignored):
            continue
        share = share_met(part.dataset, size, geometry)
        if share < ENOUGH:
            text = f"{size} px" if isinstance(size, int) else f"{size[0]} x {size[1]} px"
            message = f"at the {text} of {name} only {share:.1%} of the boxes meet an anchor"
            yield find(
                "model-size",
                message,
                split=split,
                advice="train with --image-size auto on this data",
            )
