"""What an exported file may differ by from PyTorch, and the judgement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Tolerance:
    """What an exported file may differ by; None does not limit.

    Attributes:
        boxes: largest difference of a corner, px of the canvas; where a box jumps further, NMS has
            kept another one that ties with it.
        scores: largest difference of S and of the predicted IoU; where that jumps further, another
            look speaks for a box that is nearly a copy.
        unmatched: share of boxes that one side found alone or that jumped.
        AP: how much less, as a fraction.
    """

    boxes: float | None
    scores: float | None
    unmatched: float | None
    AP: float


# INT8 moves every box a little; what counts there is AP
TOLERANCES = {
    "float32": Tolerance(0.1, 0.001, 0.01, 0.001),
    "int8": Tolerance(None, None, None, 0.005),
}


def count_lost(row: dict[str, Any]) -> int:
    """Count the boxes that have no partner, or one that lies or fits otherwise."""
    return int(row["unmatched"]) + int(row["jumped"])


def judge(
    rows: Sequence[dict[str, Any]], ap: dict[str, Any] | None, tolerance: Tolerance
) -> list[str]:
    """Return what lies past the tolerance, in words; empty where nothing does."""
    past = []
    for row in rows:
        where = f"batch {row['batch']} at {row['canvas'][0]} x {row['canvas'][1]} px"
        limits = [
            ("scores differ by", row["score_max"], tolerance.scores),
            (
                "share of unmatched boxes",
                count_lost(row) / max(1, row["boxes"]),
                tolerance.unmatched,
            ),
        ]
        past += [
            f"{name} {value:.3g}, allowed {limit:g} ({where})"
            for name, value, limit in limits
            if value is not None and limit is not None and value > limit
        ]
    for key, pair in (ap or {}).get("alphas", {}).items():
        if pair["pytorch"] is not None and pair["pytorch"] - pair["file"] > tolerance.AP:
            past.append(
                f"AP at alpha {key} fell from {100 * pair['pytorch']:.2f} to "
                f"{100 * pair['file']:.2f}, allowed {100 * tolerance.AP:g} less"
            )
    return past
