"""What alpha buys, in words, for the page and the model card."""

from __future__ import annotations

from typing import Any

from iouaware.evaluation.held_out import kept_alpha
from iouaware.reporting.facts import Facts
from iouaware.reporting.numerals import (
    alpha_text,
    interval,
    is_number,
    number_or_none,
    points,
    whole_percent,
)

# where predicted and true IoU do not go together among boxes on an object
GAIN_WITHOUT_FIT = "what alpha gains comes from telling boxes on an object from others"


def say_held_out(
    sweep: dict[str, Any], has_iou: bool, alpha: float, pictures: str = "pictures"
) -> str:
    """Say what alpha buys on pictures that did not choose it.

    Args:
        sweep: as in sweep.json.
        has_iou: whether the model has a trained IoU branch.
        alpha: of the figures beside which the sentence stands.
        pictures: those of the sweep, from ``name_swept``.
    """
    held = sweep.get("held_out") or {}
    gain, ends = number_or_none(held.get("gain")), held.get("ci95") or [None, None]
    if not has_iou:
        return "Without an IoU branch there is no alpha to choose."
    if gain is None:
        return "The gain of alpha on held-out pictures could not be measured."
    if not any(sweep.get("AP") or ()):
        return "As long as nothing is found, alpha cannot be judged."
    chosen, kept, figure = float(held.get("alpha", 1.0)), kept_alpha(held), held.get("figure", "AP")
    if chosen == 1:
        text = _say_alpha_1(sweep, figure, pictures)
    else:
        change = f"gains {_size(gain)} of" if gain > 0 else f"loses {_size(-gain)} of"
        change = change if gain else "neither gains nor loses"
        text = f"Alpha {alpha_text(chosen)} {change} {figure} on held-out {pictures}"
        if all(is_number(end) for end in ends):
            text += f" (95 % interval {interval(*ends)})"
        text += ": proven." if held.get("proven") else ": not proven, it may be chance."
        text += " So alpha stays at 1." if kept == 1 else ""
    return text if alpha == kept else f"{text} The figures here are at alpha {alpha_text(alpha)}."


def _say_alpha_1(sweep: dict[str, Any], figure: str, pictures: str) -> str:
    """Say why alpha 1 was chosen: it is the best, or the best is no more above it than by chance.

    Args:
        sweep: as in sweep.json.
        figure: that chose.
        pictures: those of the sweep.
    """
    pairs = zip(sweep.get("alphas") or (), sweep.get(figure) or (), strict=False)
    curve = {float(alpha): value for alpha, value in pairs if is_number(value)}
    best = max(curve, key=lambda alpha: (curve[alpha], alpha), default=1.0)
    if best == 1 or 1.0 not in curve:
        return (
            f"Alpha 1, the class score alone, ranks best on the {pictures} that choose: the "
            "predicted IoU does not help to order the boxes there."
        )
    return (
        f"Alpha {alpha_text(best)} is {_size(curve[best] - curve[1.0])} of {figure} above alpha 1 "
        f"on the {pictures} that choose, no more than chance may give, so alpha 1 is kept."
    )


def _size(difference: float) -> str:
    """Write a difference above 0 in points: 0.0114 is ``1.1 points``."""
    size = points(difference).lstrip("+")
    return "less than 0.1 points" if size == "0.0" else f"{size} points"


def say_gap(facts: Facts) -> str:
    """Say how much better ranking by fit could buy at all, from the localisation oracle."""
    gap = facts.localisation_gap
    if gap is None or not facts.hits:
        return ""
    added = f"{points(gap)} AP" if gap > 0 else "nothing"
    text = (
        "Knowing exactly how well each box fits its object, with false alarms left where they are, "
        f"would add {added} to alpha 1"
    )
    if gap < 0.01:
        return text + ": ranking by fit is not what holds this detector back."
    share = number_or_none(facts.oracle.get("share_of_gap"))
    if share is None or share <= 0:
        return text + "."
    if share > 1:
        return text + "; alpha 0.5 wins more than that, since it also puts false alarms behind."
    return text + f"; alpha 0.5 wins {whole_percent(share)} % of that."
