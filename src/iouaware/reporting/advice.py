"""What to do next: each rule looks at one kind of loss, and the largest losses come first."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from iouaware.reporting.facts import Facts
from iouaware.reporting.judging import Kind
from iouaware.reporting.numerals import (
    alpha_text,
    counted,
    number_or_none,
    points,
    ratio,
    whole_percent,
)
from iouaware.reporting.words import FEW_BOXES

MOST_STEPS = 3
TIGHT_IOU = 0.75


@dataclass(frozen=True, slots=True)
class Step:
    """One piece of advice.

    Attributes:
        text: what to do and why.
        command: to paste, or empty.
        share: how much is lost to this, as a share of all objects; orders the steps.
    """

    text: str
    command: str
    share: float


def advise(facts: Facts) -> list[Step]:
    """Return at most three steps, the one that promises most first; never none."""
    if not facts.boxes:
        return [Step("Evaluate on pictures that have boxes.", "", 1.0)]
    if not facts.hits and facts.finds_something:
        return [_lower_threshold(facts)]
    if not facts.hits:
        return [_learn_by_heart(facts)]
    rules = (
        _train_longer,
        _rare_class,
        _misses,
        _loose,
        _false_alarms,
        _second_or_loose,
        _confusions,
        _ranking,
    )
    steps = sorted(
        (step for rule in rules if (step := rule(facts)) is not None), key=lambda s: -s.share
    )[:MOST_STEPS]
    return steps or [
        Step(
            "No single weakness stands out. Try it on pictures of your own.",
            facts.files.predict_command,
            0.0,
        )
    ]


def _learn_by_heart(facts: Facts) -> Step:
    return Step(
        "See first whether it can learn eight pictures by heart, and look at first_batch.jpg: "
        "boxes that do not lie on the objects there are a fault in the annotations.",
        facts.files.train_command("--overfit", 8),
        1.0,
    )


def _lower_threshold(facts: Facts) -> Step:
    threshold = facts.threshold_at("0.90", "0.50")
    command = ""
    if threshold is not None:
        command = facts.files.predict_command
        command += f" --alpha {alpha_text(facts.alpha)} --score-threshold {threshold:.3g}"
    return Step(
        f"The display threshold, S {ratio(facts.threshold)}, hides every object that it finds "
        "here. Take a lower one for pictures like these; the slider below shows what each draws.",
        command,
        1.0,
    )


def _train_longer(facts: Facts) -> Step | None:
    """AP was still rising at the end: by at least half a point over the last third."""
    curve = facts.files.series("AP")
    if len(curve) < 3:
        return None
    before = max(value for _, value in curve[: -max(1, len(curve) // 3)])
    rise = curve[-1][1] - before
    if rise < 0.005:
        return None
    minutes = number_or_none(facts.files.setting("train", "minutes"))
    longer = ["--epochs", round(2 * curve[-1][0])]
    longer += ["--minutes", f"{2 * minutes:g}"] if minutes is not None else []
    return Step(
        f"AP was still rising when training ended, by {points(rise)} points in the last third of "
        "its validations. Train longer.",
        facts.files.train_command(*longer),
        min(1.0, 5 * rise),
    )


def _rare_class(facts: Facts) -> Step | None:
    rare = [row for row in facts.classes() if 0 < row.boxes < FEW_BOXES and (row.ap or 0) < 0.3]
    if not rare:
        return None
    names = ", ".join(row.name for row in rare[:3]) + (" and others" if len(rare) > 3 else "")
    return Step(
        f"Add pictures of {names}: fewer than {FEW_BOXES} boxes here and a low AP.",
        "",
        len(rare) / len(facts.class_boxes) / 2,
    )


def _misses(facts: Facts) -> Step | None:
    share = len(facts.misses) / facts.boxes
    if share < 0.1:
        return None
    lost = np.array([_side(facts, miss.image, miss.truth) for miss in facts.misses])
    hits = facts.shown.of_kind(Kind.HIT)
    found = np.array(
        [_side(facts, int(i), int(t)) for i, t in zip(hits.image, hits.truth, strict=True)]
    )
    text = f"{counted(len(facts.misses), 'object')} of {facts.boxes:,} are missed"
    if np.median(lost) < 0.6 * np.median(found):
        return Step(
            f"{text}, the small ones above all (middle size {np.median(lost):.0f} px against "
            f"{np.median(found):.0f} px of those found). Train at a larger size.",
            facts.files.train_command("--image-size", _larger_size(facts)),
            share,
        )
    names = Counter(facts.info.class_names[miss.label] for miss in facts.misses)
    name, number = names.most_common(1)[0]
    most = "most of them" if 2 * number > len(facts.misses) else "above all"
    return Step(
        f"{text}, {most} {name} ({number:,}). Look at them below; add pictures like those.",
        "",
        share,
    )


def _loose(facts: Facts) -> Step | None:
    iou = facts.shown.of_kind(Kind.HIT).iou
    share = float((iou < TIGHT_IOU).mean())
    if share < 0.3:
        return None
    return Step(
        f"{whole_percent(share)} % of the boxes that hit overlap their object by less than "
        f"{TIGHT_IOU}. Look at “sure but loose” below: where the true boxes are drawn "
        "badly, mend those; else train at a larger size.",
        facts.files.train_command("--image-size", _larger_size(facts)),
        share / 2,
    )


def _false_alarms(facts: Facts) -> Step | None:
    alarms = facts.shown.counts[Kind.BACKGROUND]
    share = alarms / max(len(facts.shown), 1)
    if share < 0.1:
        return None
    return Step(
        f"{counted(alarms, 'box', 'boxes')} of {len(facts.shown):,} drawn are on nothing. Some may "
        "be objects that nobody marked: look at them below. Add pictures without objects.",
        facts.files.train_command("--empty", "FOLDER"),
        share,
    )


def _second_or_loose(facts: Facts) -> Step | None:
    second, loose = (facts.shown.counts[kind] for kind in (Kind.DUPLICATE, Kind.LOOSE))
    share = (second + loose) / max(len(facts.shown), 1)
    if share < 0.1:
        return None
    return Step(
        f"{counted(second + loose, 'box', 'boxes')} of {len(facts.shown):,} drawn are on an object "
        f"of their class but do not hit it (second boxes: {second:,}; IoU under 0.5: {loose:,}). "
        "Where true boxes now hold a whole and now its parts, or several objects, mend "
        "those; else train at a larger size.",
        facts.files.train_command("--image-size", _larger_size(facts)),
        share,
    )


def _confusions(facts: Facts) -> Step | None:
    pairs = facts.confusions()
    share = pairs.total() / facts.boxes
    if share < 0.05:
        return None
    (meant, called), number = pairs.most_common(1)[0]
    names = facts.info.class_names
    return Step(
        f"{counted(pairs.total(), 'box', 'boxes')} bear the wrong class; {names[meant]} is called "
        f"{names[called]} {counted(number, 'time')}. Check their labels, or add pictures of both.",
        "",
        share,
    )


def _ranking(facts: Facts) -> Step | None:
    """Better ranking by fit could buy five points of AP or more, by the localisation oracle."""
    gap = facts.localisation_gap
    own, base = (number_or_none(figures.get("AP")) for figures in (facts.evaluation, facts.base))
    if gap is None or own is None or base is None or gap - (own - base) < 0.05:
        return None
    left = gap - (own - base)
    text = f"Knowing better how well each box fits could buy up to {points(left)} AP"
    text += " (the localisation oracle). "
    if facts.info.has_iou:
        return Step(text + "More training pictures help the IoU branch most.", "", left)
    return Step(
        text + "Train an IoU branch for this model; the rest of it stays as it is.",
        facts.files.adopt_command,
        left,
    )


def _side(facts: Facts, image: int, truth: int) -> float:
    """Return sqrt(width x height) of an object, original px."""
    x1, y1, x2, y2 = facts.dataset.target(image).boxes[truth]
    return float(np.sqrt(max((x2 - x1) * (y2 - y1), 0.0)))


def _larger_size(facts: Facts) -> int:
    size = (facts.info.config.get("data") or {}).get("image_size")
    longest = max(size) if isinstance(size, list | tuple) else size
    if not isinstance(longest, int):
        return 640
    larger = (longest + 320) // 32 * 32  # the network takes multiples of 32
    return next((n for n in (416, 512, 640, 800, 1024, 1280) if n > longest), larger)
