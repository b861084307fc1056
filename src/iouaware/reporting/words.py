"""The first screen's answers in words: good enough, the weakest class, and what to mind.

Sentences are composed from the numbers alone. Where a number is missing, or says nothing because
there were too few pictures, the sentence says that instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from iouaware.evaluation.held_out import kept_alpha
from iouaware.evaluation.localisation import correlate
from iouaware.reporting.facts import ClassFacts, Facts
from iouaware.reporting.judging import Kind
from iouaware.reporting.numerals import (
    alpha_text,
    counted,
    in_words,
    is_number,
    number_or_none,
    percent,
    points,
    ratio,
)

GOOD_RECALL = 0.8
HALF_RECALL = 0.5
FEW_PICTURES = 100
FEW_OBJECTS = 200
FEW_BOXES = 10
LEARNT_CORRELATION = 0.1


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the first screen.

    Attributes:
        headline: the answer in a few words.
        sentences: what it rests on.
        mood: ``good``, ``middling`` or ``bad``; decides a colour.
    """

    headline: str
    sentences: tuple[str, ...]
    mood: str


def answer_good_enough(facts: Facts) -> Answer:
    """Say whether the detector can be used for finding, and for boxes that fit.

    The bar is a recall of 80 % where 90 % of the boxes are right, at IoU 0.5 and at IoU 0.75.
    """
    if not facts.boxes:
        return Answer("Cannot be said", ("The pictures hold no boxes to compare with.",), "bad")
    if not is_number(facts.evaluation.get("AP50")) or facts.evaluation["AP50"] < 0.02:
        return Answer("No, it finds next to nothing", _finds_nothing(facts), "bad")
    find, fit = facts.recall_at("0.90", "0.50") or 0.0, facts.recall_at("0.90", "0.75") or 0.0
    if fit >= GOOD_RECALL:
        headline, mood = "Yes: it finds the objects, and its boxes fit", "good"
    elif find >= GOOD_RECALL:
        headline, mood = "Yes for finding, not yet for tight boxes", "middling"
    elif find >= HALF_RECALL:
        headline, mood = "Partly: a help to somebody who checks", "middling"
    else:
        headline, mood = "Not yet", "bad"
    return Answer(
        headline,
        (
            *_at_threshold(facts),
            *_tight(facts),
            say_held_out(facts.sweep, facts.info.has_iou, facts.alpha),
        ),
        mood,
    )


def answer_weakest_class(facts: Facts) -> Answer:
    """Name the class with the lowest AP and say in which way it fails."""
    rows = [row for row in facts.classes() if row.ap is not None]
    if not rows:
        return Answer("None has an AP", ("No class has true boxes in these pictures.",), "bad")
    if len(rows) == 1:
        return _only_class(facts, rows[0])
    weakest, best = rows[0], rows[-1]
    sentences = [
        f"Its AP is {percent(weakest.ap)}, {percent(best.ap)} for the best, {best.name}.",
        _how_it_fails(facts, weakest),
    ]
    if weakest.boxes < FEW_BOXES:
        sentences.append(
            f"It has only {counted(weakest.boxes, 'box', 'boxes')} here: chance decides such an AP."
        )
        firm = next((row for row in rows if row.boxes >= FEW_BOXES), None)
        if firm:
            sentences.append(
                f"The weakest with {FEW_BOXES} boxes or more is {firm.name}, AP {percent(firm.ap)}."
            )
    return Answer(weakest.name, tuple(sentences), "bad" if (weakest.ap or 0) < 0.2 else "middling")


def list_cautions(facts: Facts) -> list[str]:
    """Say what makes the figures weaker than they look, most important first."""
    cautions = [
        *caution_optimistic(facts.split, bool(facts.files.split.get("test"))),
        *caution_few(len(facts.dataset), facts.boxes),
    ]
    if not facts.info.has_iou:
        cautions.append(
            "This model has no trained IoU branch: there is no predicted IoU, and alpha stays at 1."
        )
    elif not iou_branch_learnt(facts):
        cautions.append(
            "The IoU branch learnt next to nothing: among boxes on an object, predicted and true "
            f"IoU have a rank correlation of {ratio(matched_correlation(facts))}. "
            "Rank by alpha 1, the class score alone."
        )
    if facts.note("max_detections"):
        cautions.append(sentence(facts.note("max_detections")))
    return cautions


def caution_optimistic(split: str, has_test: bool) -> list[str]:
    """Warn where weights, alpha and threshold were chosen on the pictures that judge them."""
    if split == "test":
        return []
    rest = (
        "the test part would give honest ones (--split test)."
        if has_test
        else "and the data set has no test part."
    )
    return [
        "These figures are optimistic: weights, alpha and threshold were chosen on these "
        f"{split} pictures; {rest}"
    ]


def caution_few(pictures: int, boxes: int) -> list[str]:
    """Warn where the judged set is so small that chance moves AP by points."""
    if pictures >= FEW_PICTURES and boxes >= FEW_OBJECTS:
        return []
    return [
        f"The set is small, {counted(pictures, 'picture')} with {counted(boxes, 'box', 'boxes')}: "
        "differences of a point or two of AP are within chance."
    ]


def matched_correlation(facts: Facts) -> float | None:
    """Return Spearman's correlation of predicted and true IoU over boxes that meet an object."""
    meets = facts.judged.iou >= 0.5
    predicted = facts.judged.predicted_iou[meets]
    if np.isnan(predicted).any():
        return None
    return correlate(predicted, facts.judged.iou[meets])["spearman"]


def iou_branch_learnt(facts: Facts) -> bool:
    """Tell whether the predicted IoU says anything about the true one."""
    correlation = matched_correlation(facts)
    return correlation is None or correlation >= LEARNT_CORRELATION


def say_held_out(sweep: dict[str, Any], has_iou: bool, alpha: float) -> str:
    """Say what alpha buys on pictures that did not choose it.

    Args:
        sweep: as in sweep.json.
        has_iou: whether the model has a trained IoU branch.
        alpha: of the figures beside which the sentence stands.
    """
    held = sweep.get("held_out") or {}
    gain, interval = number_or_none(held.get("gain")), held.get("ci95") or [None, None]
    if not has_iou:
        return "Without an IoU branch there is no alpha to choose."
    if gain is None:
        return "The gain of alpha on held-out pictures could not be measured."
    chosen, kept = float(held.get("alpha", 1.0)), kept_alpha(held)
    if chosen == 1:
        return (
            "Alpha 1, the class score alone, ranks best on this data: the predicted IoU does not "
            "help to order the boxes here."
        )
    change = "gains" if gain > 0 else "loses"
    size = points(abs(gain)).lstrip("+")
    text = f"Alpha {alpha_text(chosen)} {change} {size} points of AP on held-out pictures"
    if all(is_number(end) for end in interval):
        text += f" (95 % interval {points(interval[0])} to {points(interval[1])})"
    text += ": proven." if held.get("proven") else ": not proven, it may be chance."
    if kept == 1:
        text += " So alpha stays at 1."
    elif kept != alpha:
        text += f" The figures here are at alpha {alpha_text(alpha)}."
    return text


def say_gap(facts: Facts) -> str:
    """Say how much better ranking by fit could buy at all, from the localisation oracle."""
    gap = facts.localisation_gap
    if gap is None:
        return ""
    text = f"Knowing the fit of every box exactly would add {points(gap)} AP to alpha 1"
    if gap < 0.01:
        return text + ": ranking is not what holds this detector back."
    base, half = facts.base["AP"], _swept(facts, 0.5)
    share = (half - base) / gap if half is not None else None
    return text + (
        f"; alpha 0.5 wins {percent(share, 0)} % of that."
        if share is not None and share > 0
        else "."
    )


def _swept(facts: Facts, alpha: float) -> float | None:
    """Return AP of the sweep at an alpha, None where it was not tried."""
    pairs = zip(facts.sweep.get("alphas") or (), facts.sweep.get("AP") or (), strict=False)
    return next((ap for tried, ap in pairs if abs(tried - alpha) < 1e-9 and is_number(ap)), None)


def _finds_nothing(facts: Facts) -> tuple[str, ...]:
    drawn = counted(len(facts.shown), "box", "boxes")
    sentences = [
        f"AP50 is {percent(facts.evaluation.get('AP50'))}: of {facts.boxes:,} objects, "
        f"{facts.hits:,} are found, with {drawn} drawn."
    ]
    diagnosis = facts.evaluation.get("diagnosis") or []
    return (*sentences, *(sentence(str(reason)) for reason in diagnosis[:2]))


def sentence(text: str) -> str:
    """Make a sentence of a reason: a capital first and a full stop."""
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _at_threshold(facts: Facts) -> tuple[str, ...]:
    if not len(facts.shown):
        return (f"No box reaches the display threshold, S {ratio(facts.threshold)}.",)
    return (
        f"With boxes drawn from S {ratio(facts.threshold)} on, it finds {in_words(facts.recall)} "
        f"objects, and {in_words(facts.precision)} boxes it draws are right (IoU 0.5).",
    )


def _tight(facts: Facts) -> tuple[str, ...]:
    fit = facts.recall_at("0.95", "0.75")
    if fit is None:
        return ()
    return (
        f"Asked for tight boxes (IoU 0.75) of which 95 of 100 are right, it finds {in_words(fit)}.",
    )


def _only_class(facts: Facts, row: ClassFacts) -> Answer:
    sizes = {
        name: facts.evaluation.get(key)
        for name, key in (("small", "APs"), ("medium", "APm"), ("large", "APl"))
    }
    known = {name: value for name, value in sizes.items() if is_number(value)}
    sentences = [f"It has AP {percent(row.ap)}. {_how_it_fails(facts, row)}"]
    if len(known) > 1:
        weak = min(known, key=lambda name: float(known[name] or 0.0))
        sentences.append(f"By size, the {weak} objects are weakest: AP {percent(known[weak])}.")
    return Answer(f"There is only one: {row.name}", tuple(sentences), "middling")


def _how_it_fails(facts: Facts, row: ClassFacts) -> str:
    label = facts.info.class_names.index(row.name)
    taken_for = _most_taken_for(facts, label)
    text = f"It finds {row.found:,} of {counted(row.boxes, 'object')}"
    text += f", with {counted(row.false_alarms, 'false alarm')}"
    if row.mean_iou is not None:
        text += f", and its hits overlap the truth by {ratio(row.mean_iou)} on average"
    return text + (f". It is most often taken for {taken_for}." if taken_for else ".")


def _most_taken_for(facts: Facts, label: int) -> str:
    """Name the class that objects of this one are called most, where that happens twice or more."""
    confused = facts.shown.of_kind(Kind.CONFUSED)
    meant = [
        int(facts.dataset.target(int(image)).labels[truth])
        for image, truth in zip(confused.image, confused.truth, strict=True)
    ]
    called = confused.labels[np.array(meant, np.int64) == label] if meant else confused.labels
    counts = np.bincount(called, minlength=len(facts.info.class_names))
    return facts.info.class_names[int(counts.argmax())] if counts.max(initial=0) >= 2 else ""
