"""How the tables write a number."""

from __future__ import annotations


def percent(value: float | None) -> str:
    """Write a share of 1 in percent."""
    return "n/a" if value is None else f"{100 * value:.1f}"


def signed(value: float | None) -> str:
    """Write a difference in percent with its sign."""
    return "n/a" if value is None else f"{100 * value:+.1f}"


def number(value: float | None, digits: int = 2) -> str:
    """Write a plain number."""
    return "n/a" if value is None else f"{value:.{digits}f}"


def plain(value: object) -> str:
    """Write a value as YAML has it."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return f"{value:.3g}" if isinstance(value, float) else str(value)
