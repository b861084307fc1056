"""The first screen's answers in words: is it good enough, and which class is weakest.

Sentences are composed from the numbers alone. Where a number is missing, or says nothing because
there were too few pictures, the sentence says that instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from iouaware.reporting.alpha_words import say_held_out
from iouaware.reporting.cautions import sentence
from iouaware.reporting.facts import ClassFacts, Facts
from iouaware.reporting.numerals import (
    counted,
    in_words,
    is_number,
    percent,
    ratio,
)

GOOD_RECALL = 0.8
HALF_RECALL = 0.5
FEW_BOXES = 10


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
    if not facts.finds_something:
        return Answer("No, it finds next to nothing", _finds_nothing(facts), "bad")
    find, fit = facts.recall_at("0.90", "0.50") or 0.0, facts.recall_at("0.90", "0.75") or 0.0
    if not facts.hits:
        headline, mood = "Not at this threshold", "bad"
    elif fit >= GOOD_RECALL:
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
            *_at_lower_threshold(facts),
            *_tight(facts),
            say_held_out(facts.sweep, facts.info.has_iou, facts.alpha, facts.swept),
        ),
        mood,
    )


def answer_weakest_class(facts: Facts) -> Answer:
    """Name the class with the lowest AP and say in which way it fails.

    Classes with fewer than ten boxes are named apart where others have more.
    """
    rows = [row for row in facts.classes() if row.ap is not None]
    if not rows:
        return Answer("None has an AP", ("No class has true boxes in these pictures.",), "bad")
    if len(rows) == 1:
        return _only_class(facts, rows[0])
    best = rows[-1]
    if not best.ap:
        return Answer("All alike", ("No class has an AP above 0.",), "bad")
    name = weakest_class({row.name: row.ap for row in rows}, {row.name: row.boxes for row in rows})
    weakest = next(row for row in rows if row.name == name)
    sentences = [
        f"Its AP is {percent(weakest.ap)}"
        + (f"; the best class, {best.name}, has {percent(best.ap)}." if best != weakest else "."),
        _how_it_fails(facts, weakest),
        *_rare_and_lower(rows[: rows.index(weakest)]),
    ]
    if weakest.boxes < FEW_BOXES:
        sentences.append(
            f"It has only {counted(weakest.boxes, 'box', 'boxes')} here: chance decides such an AP."
        )
    return Answer(weakest.name, tuple(sentences), "bad" if (weakest.ap or 0) < 0.2 else "middling")


def weakest_class(aps: Mapping[str, float | None], boxes: Mapping[str, int]) -> str | None:
    """Return the class with the lowest AP; None where no class has one.

    Those with fewer than ten boxes count only where there are no others: chance decides their AP.

    Args:
        aps: of each class.
        boxes: of each class; one that is missing counts as many.
    """
    known = {name: ap for name, ap in aps.items() if ap is not None}
    firm = [name for name in known if boxes.get(name, FEW_BOXES) >= FEW_BOXES]
    return min(firm or known, key=known.__getitem__, default=None)


def _finds_nothing(facts: Facts) -> tuple[str, ...]:
    drawn = counted(len(facts.shown), "box", "boxes")
    sentences = [
        f"AP50 is {percent(facts.evaluation.get('AP50'))}: of {facts.boxes:,} objects, "
        f"{facts.hits:,} are found, with {drawn} drawn."
    ]
    diagnosis = facts.evaluation.get("diagnosis") or []
    return (*sentences, *(sentence(str(reason)) for reason in diagnosis[:2]))


def _at_threshold(facts: Facts) -> tuple[str, ...]:
    if not len(facts.shown):
        return (f"No box reaches the display threshold, S {ratio(facts.threshold)}.",)
    return (
        f"With boxes drawn from S {ratio(facts.threshold)} on, it finds {in_words(facts.recall)} "
        f"objects, and {in_words(facts.precision)} drawn boxes are right (IoU 0.5).",
    )


def _at_lower_threshold(facts: Facts) -> tuple[str, ...]:
    """Say what the display threshold hides, where that is all."""
    lower, recall = facts.threshold_at("0.90", "0.50"), facts.recall_at("0.90", "0.50")
    if facts.hits or lower is None:
        return ()
    return (
        f"From S {ratio(lower)} on it would find {in_words(recall)} objects, with 90 of 100 boxes "
        "right or more.",
    )


def _tight(facts: Facts) -> tuple[str, ...]:
    fit = facts.recall_at("0.95", "0.75")
    if fit is None:
        return ()
    return (
        f"Asked for tight boxes (IoU 0.75), 95 of 100 of them right, it finds {in_words(fit)} "
        "objects.",
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
    several = len(facts.info.class_names) > 1
    headline = f"Only {row.name} has objects here" if several else f"There is only one: {row.name}"
    return Answer(headline, tuple(sentences), "middling")


def _rare_and_lower(rows: list[ClassFacts]) -> list[str]:
    """Mention the classes whose AP is lower still, but rests on a few boxes."""
    if not rows:
        return []
    named = ", ".join(f"{row.name} (AP {percent(row.ap)})" for row in rows[:3])
    more = f" and {len(rows) - 3:,} more" if len(rows) > 3 else ""
    return [
        f"Lower still, but with fewer than {FEW_BOXES} boxes each, so by chance: {named}{more}."
    ]


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
    counts = {called: n for (meant, called), n in facts.confusions().items() if meant == label}
    most = min(counts, key=lambda called: (-counts[called], called), default=None)
    return facts.info.class_names[most] if most is not None and counts[most] >= 2 else ""
