"""A dozen pictures whose alpha can be moved in the page itself: choose them and pack their boxes.

The page repeats fusion, NMS and threshold in JavaScript (``templates/slider.js``). It needs only
the candidates that survive NMS at one of the slider's steps: greedy NMS lets nothing but kept
boxes suppress, so leaving out what is never kept changes no result at these steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from iouaware.config import InferenceConfig
from iouaware.data.dataset import Dataset
from iouaware.images import read_image
from iouaware.inference.postprocess import select_detections
from iouaware.reporting.crops import encode_jpeg, shrink
from iouaware.reporting.facts import Facts, display_threshold, inference_settings
from iouaware.reporting.judging import Judged, Kind, judge_detections
from iouaware.reporting.numerals import alpha_text, is_number, percent
from iouaware.structures import Candidates, FloatArray, IntArray

PICTURES = 12
PICTURE_PX = 480
OTHER_ALPHA = 0.5  # what alpha 1 is compared with where the figures are at alpha 1
LOWEST_THRESHOLD = 0.05  # where the threshold slider starts, unless a threshold is lower still


def describe_slider(facts: Facts, candidates: Sequence[Candidates]) -> dict[str, Any]:
    """Return what the template needs: the JSON of the page, the pictures, and boxes to begin with.

    Args:
        facts: of the run.
        candidates: of each picture, in the data set's order.
    """
    settings = inference_settings(facts.info)
    steps = list_steps(facts)
    base_threshold = next(step["threshold"] for step in steps if step["alpha"] == 1)
    other = _drawn_at(facts, candidates, facts.alpha if facts.alpha != 1 else OTHER_ALPHA)
    base = _drawn_at(facts, candidates, 1.0)
    chosen, most_changed = choose_pictures(facts.dataset, other, base, PICTURES)
    lowest = min([LOWEST_THRESHOLD, *(step["threshold"] for step in steps)])
    alphas = [step["alpha"] for step in steps]
    pictures = build_slider(facts.dataset, candidates, chosen, alphas, settings, lowest)
    return {
        "most_changed": most_changed,
        "sources": [picture.pop("source") for picture in pictures],
        "static_boxes": [
            candidates[number]
            .frame.to_canvas(facts.shown.boxes[facts.shown.image == number])
            .tolist()
            for number in chosen
        ],
        "slider": {
            "pictures": pictures,
            "classes": facts.info.class_names,
            "steps": steps,
            "start": alphas.index(facts.alpha),
            "lowest": lowest,
            "base_threshold": base_threshold,
            "nms": {
                "iou": settings.nms_iou,
                "across_classes": settings.nms_across_classes,
                "max_detections": settings.max_detections,
            },
        },
    }


def _drawn_at(facts: Facts, candidates: Sequence[Candidates], alpha: float) -> Judged:
    """Return the detections at an alpha, from its display threshold on."""
    if alpha == facts.alpha:
        return facts.shown
    judged = judge_detections(facts.dataset, candidates, alpha, inference_settings(facts.info))
    return judged.shown_at(display_threshold(facts.sweep, facts.info, alpha))


def list_steps(facts: Facts) -> list[dict[str, Any]]:
    """Return the steps of the slider by rising alpha, each with its own threshold and AP.

    They are the sweep's alphas, the evaluation's own, and always 1. A threshold means nothing at
    another alpha than its own, so it moves along.
    """
    measured = dict(zip(facts.sweep.get("alphas") or (), facts.sweep.get("AP") or (), strict=False))
    tried = measured if facts.info.has_iou else {}
    return [
        {
            "alpha": alpha,
            "text": alpha_text(alpha),
            "threshold": facts.threshold
            if alpha == facts.alpha
            else display_threshold(facts.sweep, facts.info, alpha),
            "words": f"AP {percent(measured[alpha])} % in the sweep."
            if is_number(measured.get(alpha))
            else "",
        }
        for alpha in sorted({1.0, facts.alpha, *map(float, tried)})
    ]


def build_slider(
    dataset: Dataset,
    candidates: Sequence[Candidates],
    chosen: Sequence[int],
    alphas: Sequence[float],
    settings: InferenceConfig,
    lowest: float = LOWEST_THRESHOLD,
) -> list[dict[str, Any]]:
    """Pack pictures, true boxes and candidates for the page.

    Args:
        dataset: the truth and the pictures.
        candidates: of each picture, in the data set's order.
        chosen: numbers of the pictures to show.
        alphas: the steps of the slider.
        settings: the NMS to repeat.
        lowest: end of the threshold slider.

    Returns:
        For each picture: file, source (data URI), width and height in input px, which all its
        boxes are in; truths as [x1, y1, x2, y2, label]; candidates as [x1, y1, x2, y2, label, p,
        predicted IoU or null].
    """
    return [
        {
            "file": dataset.file_name(number),
            "source": encode_jpeg(shrink(read_image(dataset.record(number).path), PICTURE_PX)),
            "width": candidates[number].frame.resized_hw[1],
            "height": candidates[number].frame.resized_hw[0],
            "truths": _truths(dataset, number, candidates[number]),
            "candidates": pack_candidates(
                candidates[number], keep_reachable(candidates[number], alphas, settings, lowest)
            ),
        }
        for number in chosen
    ]


def choose_pictures(
    dataset: Dataset, judged: Judged, base: Judged, count: int
) -> tuple[list[int], int]:
    """Choose pictures to move alpha on: those where it changes most, then ordinary ones.

    Half of them at most are the pictures whose hits differ most between two rankings; the others
    are spread evenly over the data set, so that the dozen does not only show the extraordinary.

    Args:
        dataset: the pictures.
        judged: detections at one alpha, above its threshold.
        base: detections at another alpha, above its own.
        count: how many pictures.

    Returns:
        The pictures, ascending, and how many of them were chosen for their change.
    """
    if len(dataset) <= count:
        return list(range(len(dataset))), 0
    change = np.abs(_fit_per_picture(judged, len(dataset)) - _fit_per_picture(base, len(dataset)))
    order = np.argsort(-change, kind="stable")
    picked = [int(n) for n in order[: count // 2] if change[n] > 0]
    rest = [n for n in range(len(dataset)) if n not in set(picked)]
    steps = np.linspace(0, len(rest) - 1, count - len(picked)).round().astype(int)
    return sorted(picked + [rest[step] for step in steps]), len(picked)


def keep_reachable(
    found: Candidates,
    alphas: Sequence[float],
    settings: InferenceConfig,
    lowest: float = LOWEST_THRESHOLD,
) -> IntArray:
    """Return the index of all candidates that some step of the slider can show, ascending."""
    kept = [
        select_detections(found, alpha, settings, score_threshold=lowest)[0] for alpha in alphas
    ]
    return np.unique(np.concatenate(kept)) if kept else np.zeros(0, np.int64)


def pack_candidates(found: Candidates, index: IntArray) -> list[list[float | int | None]]:
    """Write candidates as rows; floats keep every digit of their float32, so that ranks agree."""
    predicted = found.predicted_iou
    return [
        [
            *(_shortest(value) for value in found.boxes[row]),
            int(found.labels[row]),
            _shortest(found.class_scores[row]),
            None if predicted is None else _shortest(predicted[row]),
        ]
        for row in index.tolist()
    ]


def _truths(dataset: Dataset, number: int, found: Candidates) -> list[list[float | int]]:
    target = dataset.target(number)
    boxes = found.frame.to_canvas(target.boxes)
    return [
        [*(round(float(value), 1) for value in box), int(label)]
        for box, label, ignored in zip(boxes, target.labels, target.ignored, strict=True)
        if not ignored
    ]


def _fit_per_picture(judged: Judged, pictures: int) -> FloatArray:
    """Return the sum of the IoUs of the hits of each picture, [I]."""
    hits = judged.of_kind(Kind.HIT)
    return np.bincount(hits.image, weights=hits.iou, minlength=pictures).astype(np.float32)


def _shortest(value: np.float32) -> float:
    return float(str(value))
