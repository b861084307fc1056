"""Put the numbers together: what stands in ``evaluation.json`` and ``sweep.json``.

All figures are fractions, 0..1. A figure that does not exist is None (null), with its reason under
``notes`` by its dotted name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from iouaware.config import InferenceConfig
from iouaware.data.dataset import Dataset
from iouaware.evaluation.alpha_sweep import (
    ALPHAS,
    Judgement,
    alpha_key,
    judge_alpha,
    sweep_alphas,
)
from iouaware.evaluation.coco_metrics import CocoEvaluator
from iouaware.evaluation.diagnosis import explain
from iouaware.evaluation.held_out import FIGURES, compute_figures, judge_held_out
from iouaware.evaluation.localisation import (
    compute_true_ious,
    correlations,
    iou_bias,
    own_class_correlation,
)
from iouaware.evaluation.matches import MAX_PER_CLASS
from iouaware.evaluation.oracle import ORACLE_ALPHA, evaluate_oracles, share_of_gap
from iouaware.evaluation.thresholds import (
    best_f1,
    count_false_alarms,
    operate_at,
    recall_at_precision,
)
from iouaware.inference.scoring import FORMULA
from iouaware.structures import Candidates

NO_IOU = "the model has no trained IoU branch, so alpha stays at 1"


def evaluate_candidates(
    dataset: Dataset,
    candidates: Sequence[Candidates],
    alpha: float,
    settings: InferenceConfig,
    score_thresholds: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Judge one alpha, beside alpha 1 and both oracles: the content of ``evaluation.json``.

    Args:
        dataset: the truth.
        candidates: of each picture, in the data set's order.
        alpha: weight of the class score, 0..1; acts as 1 without an IoU branch.
        settings: NMS and number of detections.
        score_thresholds: alpha as text -> display threshold on S, as stored with a model; without
            them the threshold is the one of best F1 on these data.

    Raises:
        ValueError: candidates of another number of pictures, or alpha outside 0..1.
    """
    evaluator = CocoEvaluator(dataset)
    has_iou = all(found.predicted_iou is not None for found in candidates)
    alpha = alpha if has_iou else 1.0
    judged = {
        value: judge_alpha(dataset, evaluator, candidates, value, settings)
        for value in dict.fromkeys((alpha, 1.0, ORACLE_ALPHA if has_iou else 1.0))
    }
    own, best = compute_true_ious(dataset, candidates)
    figures = _figures(dataset, judged[alpha], score_thresholds)
    correlation, matched, notes = correlations(candidates, own, best, alpha)
    notes = figures.pop("notes") | notes | _note_limits(judged[alpha], settings)
    if not has_iou:
        notes["alpha"] = NO_IOU
        notes["correlation_own_class"] = notes["iou_bias"] = "the model has no trained IoU branch"
    evaluation = {
        "data": str(dataset.root),
        "split": dataset.split,
        "images": len(dataset),
        "objects": int(judged[1.0].matches.objects.sum()),
        "objects_per_class": dict(
            zip(dataset.class_names, judged[1.0].matches.objects.sum(0).tolist(), strict=True)
        ),
        "formula": FORMULA,
        "alpha": alpha,
        **figures,
        "baseline": _figures(dataset, judged[1.0], score_thresholds),
        "oracle": _oracle_figures(evaluator, candidates, settings, own, best, judged),
        "correlation": correlation,
        "correlation_matched": matched,
        "correlation_own_class": own_class_correlation(candidates, own),
        "iou_bias": iou_bias(candidates, own, best),
        "notes": notes,
    }
    evaluation["diagnosis"] = explain(evaluation, dataset, candidates, settings)
    return evaluation


def sweep_candidates(
    dataset: Dataset,
    candidates: Sequence[Candidates],
    settings: InferenceConfig,
    optimize: str = "AP",
    per_class: bool = False,
    alphas: Sequence[float] = ALPHAS,
) -> dict[str, Any]:
    """Judge all alphas and choose one: the content of ``sweep.json``.

    Args:
        dataset: the truth.
        candidates: of each picture, in the data set's order.
        settings: NMS and number of detections.
        optimize: ``AP``, ``AP50``, ``AP75``, ``AP80`` or ``AP90``, what alpha is chosen by.
        per_class: also choose an alpha for each class, held out in the same way.
        alphas: falling, the first is 1. Without an IoU branch only 1 is judged.

    Raises:
        ValueError: candidates of another number of pictures, an unknown ``optimize``, or alphas
            that do not begin with 1.
    """
    if optimize not in FIGURES:
        raise ValueError(f"optimize is {optimize!r}, expected one of {', '.join(FIGURES)}")
    if not alphas or alphas[0] != 1:
        raise ValueError(
            f"alphas are {list(alphas)}, expected 1 first: it is what others must beat"
        )
    judged = {j.alpha: j for j in sweep_alphas(dataset, candidates, settings, alphas)}
    own, best = compute_true_ious(dataset, candidates)
    figures = [compute_figures(j.matches) for j in judged.values()]
    curves = {name: [found[name] for found in figures] for name in FIGURES}
    notes = dict(judged[1.0].metrics.notes)
    if len(judged) == 1 and len(alphas) > 1:
        notes["alphas"] = NO_IOU
    matches = {alpha: j.matches for alpha, j in judged.items()}
    held_out = judge_held_out(matches, optimize)
    if "note" in held_out:
        notes |= {f"held_out.{name}": held_out["note"] for name in ("gain", "ci95")}
    points = {alpha_key(alpha): _operating_point(dataset, j) for alpha, j in judged.items()}
    sweep: dict[str, Any] = {
        "formula": FORMULA,
        "optimize": optimize,
        "alphas": list(judged),
        **curves,
        "best": {name: _argmax(list(judged), values) for name, values in curves.items()},
        "oracle": _oracle_figures(CocoEvaluator(dataset), candidates, settings, own, best, judged),
        "held_out": held_out,
        "score_thresholds": {
            key: point["score_threshold"] for key, point in points.items() if point is not None
        },
        "operating_points": points,
        "notes": notes,
    }
    if per_class:
        sweep["per_class"] = {
            name: {
                "AP": [j.metrics.AP_per_class[name] for j in judged.values()],
                "held_out": judge_held_out(
                    {alpha: m.of_class(label) for alpha, m in matches.items()}, optimize
                ),
            }
            for label, name in enumerate(dataset.class_names)
        }
    return sweep


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write one JSON object as a whole, or nothing.

    Raises:
        ValueError: a number in it is NaN or infinite.
    """
    text = json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        # a name that is no Unicode becomes \\udc.., which is how JSON writes it too
        partial.write_text(text, "utf-8", errors="backslashreplace")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _figures(
    dataset: Dataset, judgement: Judgement, score_thresholds: Mapping[str, float] | None
) -> dict[str, Any]:
    """Collect what is said about an alpha and about alpha 1 alike."""
    recalls, thresholds, notes = recall_at_precision(judgement.kept)
    notes = judgement.metrics.notes | notes
    if score_thresholds:
        nearest = min(score_thresholds, key=lambda key: abs(float(key) - judgement.alpha))
        point = operate_at(judgement.kept, score_thresholds[nearest])
    else:
        chosen = best_f1(judgement.kept)
        point = dict.fromkeys(("score_threshold", "precision", "recall", "f1"))
        if chosen is not None:
            point.update(chosen.to_dict())
    threshold = point["score_threshold"]
    alarms = None
    if threshold is None:
        notes["operating_point"] = "no detection is right at IoU 0.5, so no threshold is best"
        notes["false_alarms_per_empty_image"] = "there is no display threshold"
    else:
        alarms = count_false_alarms(dataset, judgement.table, threshold)
        if point["precision"] is None:
            notes["operating_point.precision"] = "no detection reaches the score threshold"
        if alarms is None:
            notes["false_alarms_per_empty_image"] = "no picture without objects in this split"
    return {
        **judgement.metrics.to_dict(),
        "recall_at_precision": recalls,
        "thresholds_at_precision": thresholds,
        "operating_point": point,
        "false_alarms_per_empty_image": alarms,
        "notes": notes,
    }


def _operating_point(dataset: Dataset, judgement: Judgement) -> dict[str, float | None] | None:
    """Return the threshold of best F1 with what it gives; None where nothing is right."""
    point = best_f1(judgement.kept)
    if point is None:
        return None
    alarms = count_false_alarms(dataset, judgement.table, point.score_threshold)
    return {**point.to_dict(), "false_alarms_per_empty_image": alarms}


def _oracle_figures(
    evaluator: CocoEvaluator,
    candidates: Sequence[Candidates],
    settings: InferenceConfig,
    own: Sequence[Any],
    best: Sequence[Any],
    judged: Mapping[float, Judgement],
) -> dict[str, Any]:
    """Judge both oracles and say which share of the gap the predicted IoU closes."""
    oracles = evaluate_oracles(evaluator, candidates, own, best, settings)
    fused = judged.get(ORACLE_ALPHA)
    baseline, known = judged[1.0].metrics.AP, oracles["localisation"].AP
    share, reason = share_of_gap(fused.metrics.AP if fused else None, baseline, known)
    if fused is None:
        without = any(found.predicted_iou is None for found in candidates)
        reason = NO_IOU if without else f"alpha {ORACLE_ALPHA} was not judged"
    result: dict[str, Any] = {
        name: {**metrics.to_dict(), "notes": metrics.notes} for name, metrics in oracles.items()
    }
    result["share_of_gap"] = share
    if share is None:
        result["notes"] = {"share_of_gap": reason}
    return result


def _note_limits(judgement: Judgement, settings: InferenceConfig) -> dict[str, str]:
    """Say where the number of detections caps AP, and where the order of steps is another one."""
    notes = {}
    objects, most = judgement.matches.objects, settings.max_detections
    crowded = int((objects.sum(1) > most).sum())
    cut = int((objects > MAX_PER_CLASS).any(1).sum())
    if crowded:
        notes["max_detections"] = (
            f"{crowded} pictures have more than {most} objects, but no more detections than that "
            "are kept: AP and recall cannot reach 1"
        )
    elif cut:
        notes["max_detections"] = (
            f"{cut} pictures have more than {MAX_PER_CLASS} objects of a class, but AP and AR "
            "count no more detections of a class in a picture than that, as COCO does: they "
            "cannot reach 1; thresholds and their recall count all that are kept"
        )
    if settings.postprocess == "paper":
        notes["postprocess"] = (
            "figures are of the standard order (floor on p, fusion, NMS), which every alpha shares"
        )
    return notes


def _argmax(alphas: Sequence[float], values: Sequence[float | None]) -> float | None:
    """Return the alpha of the largest value, of equals the one nearer to 1; None without any."""
    known = [
        (value, alpha) for value, alpha in zip(values, alphas, strict=True) if value is not None
    ]
    return max(known)[1] if known else None
