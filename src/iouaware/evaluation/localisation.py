"""True IoUs of boxes, and how well a score agrees with them.

``eval_iou`` is with the best object of the same class, what AP goes by. ``oracle_iou`` is with the
best object of any class. Crowds and difficult boxes are no objects here. What the IoU branch
learns, the IoU with the object that an anchor was assigned to, is ``training/losses.py``'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iouaware.boxes import pairwise_iou
from iouaware.data.dataset import Dataset
from iouaware.inference.postprocess import candidate_scores
from iouaware.structures import Candidates, FloatArray, IntArray, Target

LEARNT_CORRELATION = 0.1  # by rank; below it the predicted IoU says nothing of the true one
NAMES = {"class_score": "class score", "predicted_iou": "predicted IoU", "score": "score"}
NEVER_VARIES = "the {} never varies"
MATCH_IOU = 0.5  # from here on a candidate matches an object of its class


def eval_iou(boxes: FloatArray, labels: IntArray, target: Target) -> FloatArray:
    """Return the IoU of each box with the best object of its class, 0 where there is none.

    Args:
        boxes: [C, 4] in the frame of the target.
        labels: [C].
        target: the truth of the picture.
    """
    kept = ~target.ignored
    iou = pairwise_iou(np.asarray(boxes, np.float32), target.boxes[kept])  # [C, N]
    same = labels[:, None] == target.labels[kept][None, :]
    return _best(np.where(same, iou, 0))


def oracle_iou(boxes: FloatArray, target: Target) -> FloatArray:
    """Return the IoU of each box with the best object of any class, 0 where there is none.

    Args:
        boxes: [C, 4] in the frame of the target.
        target: the truth of the picture.
    """
    return _best(pairwise_iou(np.asarray(boxes, np.float32), target.boxes[~target.ignored]))


def compute_true_ious(
    dataset: Dataset, candidates: Sequence[Candidates]
) -> tuple[list[FloatArray], list[FloatArray]]:
    """Return ``eval_iou`` and ``oracle_iou`` of the candidates of each picture."""
    own, best = [], []
    for number, found in enumerate(candidates):
        target = dataset.target(number)
        boxes = found.original_boxes()
        own.append(eval_iou(boxes, found.labels, target))
        best.append(oracle_iou(boxes, target))
    return own, best


def correlate(values: NDArray[Any], truth: NDArray[Any]) -> dict[str, float | None]:
    """Return Pearson's and Spearman's (tied ranks averaged) correlation; None where undefined."""
    return {
        "pearson": pearson(values, truth),
        "spearman": pearson(average_ranks(values), average_ranks(truth)),
    }


def pearson(first: NDArray[Any], second: NDArray[Any]) -> float | None:
    """Return the linear correlation of two columns, [N]; None if N < 2 or one is constant."""
    if len(first) < 2:
        return None
    x = np.asarray(first, np.float64)
    y = np.asarray(second, np.float64)
    if x.min() == x.max() or y.min() == y.max():
        return None
    x, y = x - x.mean(), y - y.mean()
    value = float((x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum()))
    return min(1.0, max(-1.0, value))


def average_ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return the rank of each value from 0, [N]; equal values share the mean of their ranks."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts + 1) / 2.0)[group]


def correlations(
    candidates: Sequence[Candidates],
    own: Sequence[FloatArray],
    best: Sequence[FloatArray],
    alpha: float,
) -> tuple[dict[str, Any], dict[str, Any], dict[str, str]]:
    """Say how p, the predicted IoU and S agree with the true IoU.

    Args:
        candidates: of each picture.
        own: their ``eval_iou``.
        best: their ``oracle_iou``.
        alpha: for S.

    Returns:
        Over all candidates, with ``oracle_iou``; over those that match (``eval_iou`` of 0.5 or
        more), with ``eval_iou``; and the reasons of what is missing.
    """
    everything = _joined(best)
    own_all = _joined(own)
    matched = own_all >= MATCH_IOU
    columns: dict[str, FloatArray | None] = {
        "class_score": _joined([found.class_scores for found in candidates]),
        "predicted_iou": _joined_or_none([found.predicted_iou for found in candidates]),
        "score": _joined([candidate_scores(found, alpha) for found in candidates]),
    }
    over_all: dict[str, Any] = {}
    over_matched: dict[str, Any] = {}
    notes: dict[str, str] = {}
    for name, column in columns.items():
        for prefix, result, rows, truth in (
            ("correlation", over_all, slice(None), everything),
            ("correlation_matched", over_matched, matched, own_all),
        ):
            if column is None:
                result[name] = {"pearson": None, "spearman": None}
                notes[f"{prefix}.{name}"] = "the model has no trained IoU branch"
                continue
            result[name] = correlate(column[rows], truth[rows])
            if None in result[name].values():
                count = len(truth[rows])
                notes[f"{prefix}.{name}"] = (
                    f"only {count} candidates" if count < 2 else _never_varies(name, column[rows])
                )
    return over_all, over_matched, notes


def own_class_correlation(
    candidates: Sequence[Candidates], own: Sequence[FloatArray]
) -> dict[str, float | None]:
    """Correlate the predicted IoU of all candidates with the one that AP goes by, ``eval_iou``."""
    predicted = _joined_or_none([found.predicted_iou for found in candidates])
    if predicted is None:
        return {"pearson": None, "spearman": None}
    return correlate(predicted, _joined(own))


def learnt_little(evaluation: dict[str, Any]) -> str | None:
    """Say in a few words that the IoU branch learnt next to nothing; None where it did learn.

    Args:
        evaluation: what ``evaluation.json`` holds.

    Returns:
        What shows it, among candidates that match an object. None as well where nothing can be
        said: no IoU branch, or fewer than two such candidates.
    """
    matched = evaluation.get("correlation_matched", {}).get("predicted_iou", {}).get("spearman")
    if matched is not None:
        return f"rank correlation {matched:.2f}" if matched < LEARNT_CORRELATION else None
    note = evaluation.get("notes", {}).get("correlation_matched.predicted_iou")
    constant = note == NEVER_VARIES.format(NAMES["predicted_iou"])
    return str(note) if constant else None


def _never_varies(name: str, values: FloatArray) -> str:
    return NEVER_VARIES.format(NAMES[name] if values.min() == values.max() else "true IoU")


def iou_bias(
    candidates: Sequence[Candidates], own: Sequence[FloatArray], best: Sequence[FloatArray]
) -> dict[str, float | None]:
    """Return the mean of predicted minus true IoU; above 0 boxes are thought better than they are.

    Args:
        candidates: of each picture.
        own: their ``eval_iou``.
        best: their ``oracle_iou``.

    Returns:
        ``all``: over all candidates, with ``oracle_iou``. ``own_class``: over all, with
        ``eval_iou``. ``matched``: over those that match (``eval_iou`` of 0.5 or more), with
        ``eval_iou``. None where there is nothing to average.
    """
    predicted = _joined_or_none([found.predicted_iou for found in candidates])
    if predicted is None:
        return {"all": None, "own_class": None, "matched": None}
    own_all = _joined(own)
    matched = own_all >= MATCH_IOU
    differences = {
        "all": predicted - _joined(best),
        "own_class": predicted - own_all,
        "matched": predicted[matched] - own_all[matched],
    }
    return {
        name: float(column.mean(dtype=np.float64)) if len(column) else None
        for name, column in differences.items()
    }


def _best(iou: FloatArray) -> FloatArray:
    """Return the largest IoU of each row, [C, N] -> [C]; 0 without objects."""
    if iou.shape[1] == 0:
        return np.zeros(len(iou), np.float32)
    best: FloatArray = iou.max(1).astype(np.float32)
    return best


def _joined(parts: Sequence[FloatArray]) -> FloatArray:
    return np.concatenate([np.zeros(0, np.float32), *parts])


def _joined_or_none(parts: Sequence[FloatArray | None]) -> FloatArray | None:
    known = [part for part in parts if part is not None]
    return _joined(known) if len(known) == len(parts) and parts else None
