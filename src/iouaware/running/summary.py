"""The last lines of a training run: is it good, what was chosen, what next."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from iouaware.evaluation.held_out import kept_alpha
from iouaware.evaluation.localisation import learnt_little
from iouaware.reporting.alpha_words import GAIN_WITHOUT_FIT
from iouaware.reporting.numerals import interval, percent
from iouaware.reporting.words import weakest_class
from iouaware.structures import ModelInfo


def tail_lines(
    run: Path, info: ModelInfo, evaluation: dict[str, Any], sweep: dict[str, Any], page: Path
) -> list[str]:
    """Return what ``train`` prints at the end, at most six lines.

    Args:
        run: the run folder.
        info: of the model, with the alpha and thresholds that were chosen.
        evaluation: what ``evaluation.json`` holds.
        sweep: what ``sweep.json`` holds.
        page: the report.
    """
    folder = shlex.quote(str(run))
    return [
        figures_line(evaluation),
        "; ".join([alpha_line(info.alpha, sweep), *_iou_branch(evaluation, info.alpha)]),
        threshold_line(evaluation),
        weakest_class_line(evaluation),
        f"look: python -m webbrowser {shlex.quote(str(page))}",
        f"use: iouaware predict {folder} PICTURES",
    ]


def _iou_branch(evaluation: dict[str, Any], kept: float | None = None) -> list[str]:
    """Return what is to be said of an IoU branch that learnt nothing, empty where it did learn.

    Args:
        evaluation: what ``evaluation.json`` holds.
        kept: the alpha that was chosen; None where the choice is not known.
    """
    shown_by = learnt_little(evaluation)
    if shown_by is None:
        return []
    text = f"the IoU branch learnt next to nothing ({shown_by})"
    if (evaluation["alpha"] if kept is None else kept) < 1:
        return [f"{text}: {GAIN_WITHOUT_FIT}"]
    return [text if kept is None else f"{text}, so alpha stays at 1"]


def evaluation_lines(evaluation: dict[str, Any]) -> list[str]:
    """Return what ``evaluate`` prints."""
    notes = [
        reason
        for name, reason in evaluation["notes"].items()
        if not name.startswith("recall_at_precision")  # nine of a kind; the file has them
    ]
    reasons = dict.fromkeys([*evaluation["diagnosis"], *notes])
    return [
        figures_line(evaluation),
        threshold_line(evaluation),
        weakest_class_line(evaluation),
        *(f"note: {reason}" for reason in [*_iou_branch(evaluation), *reasons]),
    ]


def sweep_lines(sweep: dict[str, Any]) -> list[str]:
    """Return what ``sweep`` prints: the curve, and the choice."""
    names = [name for name in ("AP", "AP50", "AP75", "AP80", "AP90") if name in sweep]
    lines = ["alpha  " + "  ".join(f"{name:>5}" for name in names)]
    for row, alpha in enumerate(sweep["alphas"]):
        cells = "  ".join(f"{percent(sweep[name][row]):>5}" for name in names)
        lines.append(f"{alpha:5.1f}  {cells}")
    return [*lines, alpha_line(kept_alpha(sweep["held_out"]), sweep)]


def figures_line(evaluation: dict[str, Any]) -> str:
    """Return AP, AP50, AP75 and AP90 at the alpha of the evaluation, and AP at alpha 1."""
    values = {**evaluation, "AP90": evaluation["AP_per_iou"].get("0.90")}
    figures = ", ".join(
        f"{name} {percent(values[name])}" for name in ("AP", "AP50", "AP75", "AP90")
    )
    text = f"{figures} on {evaluation['images']} pictures ({evaluation['split']})"
    if evaluation["alpha"] != 1:
        text += (
            f" at alpha {evaluation['alpha']:g}; "
            f"AP {percent(evaluation['baseline']['AP'])} at alpha 1"
        )
    return text


def alpha_line(alpha: float, sweep: dict[str, Any]) -> str:
    """Return the chosen alpha, its gain on held-out pictures and how sure that is."""
    if "alphas" in sweep.get("notes", {}):  # no other was swept
        return "alpha 1: no IoU branch, nothing to choose"
    held_out = sweep["held_out"]
    if held_out["gain"] is None:
        return f"alpha {alpha:g}: too few pictures with objects to choose one and judge the choice"
    text = f"held-out gain {100 * held_out['gain']:+.1f} {held_out.get('figure', 'AP')}"
    if held_out["ci95"] is not None:
        # a terminal may know no minus but the hyphen
        text += f", 95 % interval {interval(*held_out['ci95']).replace('−', '-')}"
    if not held_out["proven"]:
        text += ": not proven"
    kept = f" (kept: the sweep's best, {held_out['alpha']:g}, gained nothing on held-out pictures)"
    return f"alpha {alpha:g}{kept if alpha == 1 and held_out['alpha'] != 1 else ''}: {text}"


def threshold_line(evaluation: dict[str, Any]) -> str:
    """Return the display threshold and what it lets through."""
    threshold = evaluation["operating_point"]["score_threshold"]
    if threshold is None:
        return "threshold: none, since no detection is right at IoU 0.5"
    text = f"threshold {threshold:.2f} on S"
    if evaluation.get("run_part") == "val":  # elsewhere another one may be better
        text += " (best F1 at IoU 0.5)"
    point = evaluation["operating_point"]
    if point["precision"] is not None:
        text += f": precision {percent(point['precision'])} %"
        text += f", recall {percent(point['recall'])} %"
    alarms = evaluation["false_alarms_per_empty_image"]
    if alarms is None:
        return f"{text}, no empty picture to count false alarms on"
    return f"{text}, {alarms:.2f} false alarms per empty picture"


def weakest_class_line(evaluation: dict[str, Any]) -> str:
    """Return the class with the lowest AP, among those with objects, as the page has it."""
    scores = evaluation["AP_per_class"]
    weakest = weakest_class(scores, evaluation.get("objects_per_class", {}))
    if weakest is None:
        return "weakest class: none, since no class has an object to find"
    return f"weakest class: {weakest}, AP {percent(scores[weakest])}"
