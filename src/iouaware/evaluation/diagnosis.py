"""Why is AP zero, or missing? Answers from the data at hand, the likeliest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from iouaware.boxes import pairwise_iou
from iouaware.config import InferenceConfig
from iouaware.data.dataset import Dataset
from iouaware.evaluation.localisation import MATCH_IOU
from iouaware.structures import Candidates

ALMOST_ZERO = 0.01  # AP below 1 point calls for an explanation
SMALL_SIDE = 16.0  # px on the canvas; half the side of the smallest anchors
UNSURE = 0.05  # a model that learnt anything is surer than this of something


def explain(
    evaluation: Mapping[str, Any],
    dataset: Dataset,
    candidates: Sequence[Candidates],
    settings: InferenceConfig,
) -> list[str]:
    """Explain an AP that is missing or next to zero; empty where there is nothing to explain.

    Args:
        evaluation: what ``evaluate_candidates`` returns, at least its ``AP``.
        dataset: the truth.
        candidates: of each picture.
        settings: with which they were selected.
    """
    ap = evaluation["AP"]
    if ap is None:
        return _explain_missing(dataset)
    if ap >= ALMOST_ZERO:
        return []
    count = sum(len(found) for found in candidates)
    if not count:
        return [
            f"no candidates: in none of {len(dataset)} pictures any p reaches the floor of "
            f"{settings.p_floor}. Train longer; if the model found something in training, the "
            "pictures here are not those of its task"
        ]
    touched, own, objects = _count_touched(dataset, candidates)
    reasons = [
        *_explain_unsure(candidates),
        *_explain_places(touched, own, objects),
        *_explain_small(dataset, candidates),
    ]
    return reasons or [
        f"{own} of {objects} objects have a candidate of their class on them, but boxes elsewhere "
        "score higher: train longer, and look whether objects in the pictures lack a box"
    ]


def _explain_missing(dataset: Dataset) -> list[str]:
    where = f"the split {dataset.split} of {dataset.root}"
    if not len(dataset):
        return [f"{where} has no pictures"]
    if dataset.count_boxes():
        return [f"all {dataset.count_boxes()} boxes in {where} are crowds or difficult: no object"]
    return [f"{where} has {len(dataset)} pictures and no box: check where its labels lie"]


def _explain_unsure(candidates: Sequence[Candidates]) -> list[str]:
    surest = max(float(found.class_scores.max()) for found in candidates if len(found))
    if surest >= UNSURE:
        return []
    return [
        f"the model is sure of nothing: its largest p is {surest:.3f}. It has hardly learnt: "
        "train longer, or try --overfit to see whether the data can be learnt"
    ]


def _explain_places(touched: int, own: int, objects: int) -> list[str]:
    if own >= 0.05 * objects:
        return []
    if touched >= 0.2 * objects:
        return [
            f"{touched} of {objects} objects have a candidate on them (IoU 0.5), but only {own} "
            "one of their class: names or order of the classes differ between model and data"
        ]
    return [
        f"only {touched} of {objects} objects have a candidate on them (IoU 0.5): the boxes lie "
        "elsewhere. Compare a drawn prediction with the truth: box format (corners or width and "
        "height), declared picture sizes, EXIF turns, or a model trained too short"
    ]


def _explain_small(dataset: Dataset, candidates: Sequence[Candidates]) -> list[str]:
    sides = []
    for number, found in enumerate(candidates):
        target = dataset.target(number)
        boxes = found.frame.to_canvas(target.boxes[~target.ignored])
        sides.append(np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])))
    median = float(np.median(np.concatenate(sides)))
    if median >= SMALL_SIDE:
        return []
    return [
        f"half of the objects are under {median:.0f} px on the canvas, the smallest anchors have "
        "32 px: train with a larger image size"
    ]


def _count_touched(dataset: Dataset, candidates: Sequence[Candidates]) -> tuple[int, int, int]:
    """Count the objects with a candidate on them, with one of their class, and all of them."""
    touched = own = objects = 0
    for number, found in enumerate(candidates):
        target = dataset.target(number)
        kept = ~target.ignored
        objects += int(kept.sum())
        if not kept.any() or not len(found):
            continue
        close = pairwise_iou(found.original_boxes(), target.boxes[kept]) >= MATCH_IOU  # [C, N]
        same = found.labels[:, None] == target.labels[kept][None, :]
        touched += int(close.any(0).sum())
        own += int((close & same).any(0).sum())
    return touched, own, objects
