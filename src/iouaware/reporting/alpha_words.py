"""What alpha buys, in words, for the page and the model card."""

from __future__ import annotations

from typing import Any

from iouaware.evaluation.held_out import kept_alpha
from iouaware.reporting.facts import Facts
from iouaware.reporting.numerals import alpha_text, is_number, number_or_none, percent, points


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
    if not any(sweep.get("AP") or ()):
        return "As long as nothing is found, alpha cannot be judged."
    chosen, kept = float(held.get("alpha", 1.0)), kept_alpha(held)
    if chosen == 1:
        return (
            "Alpha 1, the class score alone, ranks best on this data: the predicted IoU does not "
            "help to order the boxes here."
        )
    change = "gains" if gain > 0 else "loses"
    size = f"{points(abs(gain)).lstrip('+')} points of {held.get('figure', 'AP')}"
    text = f"Alpha {alpha_text(chosen)} {change} {size} on held-out pictures"
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
    if gap is None or not facts.hits:
        return ""
    text = (
        "Knowing exactly how well each box fits its object, with false alarms left where they are, "
        f"would add {points(gap)} AP to alpha 1"
    )
    if gap < 0.01:
        return text + ": ranking by fit is not what holds this detector back."
    share = number_or_none(facts.oracle.get("share_of_gap"))
    if share is None or share <= 0:
        return text + "."
    if share > 1:
        return text + "; alpha 0.5 wins more than that, since it also puts false alarms behind."
    return text + f"; alpha 0.5 wins {percent(share, 0)} % of that."
