"""How numbers are written in the report and the model card: one style everywhere.

AP, precision and recall are fractions in the files and per cent on the page; IoU and scores stay
between 0 and 1, so that nobody takes one for the other.
"""

from __future__ import annotations

import math

MISSING = "n/a"


def is_number(value: object) -> bool:
    """Tell whether a value read from a file can be shown: null, NaN and text cannot."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def number_or_none(value: object) -> float | None:
    """Return a value read from a file as a number, None for null, NaN and text."""
    return float(value) if isinstance(value, int | float) and is_number(value) else None


def last_part(name: str) -> str:
    """Return a file's name without its folders; tables and captions are narrow."""
    return name.replace("\\", "/").rstrip("/").rpartition("/")[2] or name


def percent(value: float | None, digits: int = 1) -> str:
    """Write a fraction as per cent without its sign: 0.5432 is ``54.3``."""
    return f"{100 * value:.{digits}f}" if value is not None and is_number(value) else MISSING


def whole_percent(share: float | None) -> str:
    """Write a share as whole per cent without the sign; ``0`` and ``100`` only where exact."""
    if share is None or not is_number(share):
        return MISSING
    if 0 < share <= 0.005:
        return "under 1"
    return "over 99" if 0.995 <= share < 1 else f"{100 * share:.0f}"


def points(value: float | None) -> str:
    """Write a difference of two fractions in points, signed: 0.0114 is ``+1.1``."""
    if value is None or not is_number(value):
        return MISSING
    text = f"{100 * value:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "−")


def interval(low: float, high: float) -> str:
    """Write the interval of a difference in points: ``−0.4 to +2.0``.

    An end that would be 0.0 without being 0 gets a second digit, since all hangs on its side.
    """
    texts = (
        f"{100 * end:+.2f}".replace("-", "−") if end and points(end) == "0.0" else points(end)
        for end in (low, high)
    )
    return " to ".join(texts)


def ratio(value: float | None, digits: int = 2) -> str:
    """Write an IoU, a score or a correlation: 0.8312 is ``0.83``."""
    if value is None or not is_number(value):
        return MISSING
    return f"{value:.{digits}f}".replace("-", "−")


def alpha_text(alpha: float) -> str:
    """Write alpha as short as it is: 1, 0.5, 0.35."""
    return f"{alpha:g}"


def counted(number: int, one: str, many: str | None = None) -> str:
    """Write a count with its noun: ``1 box``, ``1,139 boxes``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def in_words(share: float | None) -> str:
    """Write a share as people say it: ``91 of 100``; ``all`` and ``no`` only where exact."""
    if share in (0, 1):
        return "all" if share else "no"
    return f"{whole_percent(share)} of 100" if is_number(share) else MISSING
