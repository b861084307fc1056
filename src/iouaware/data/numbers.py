"""Numbers as annotation files write them."""

from __future__ import annotations

import math


def parse_number(text: str) -> float | None:
    """Return the finite number that a text spells, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
