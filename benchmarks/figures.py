"""How tables and figures are written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

Entry = dict[str, Any]
Results = dict[str, dict[str, Any]]


class Table(NamedTuple):
    """A table that is made from the results.

    Attributes:
        head: names of the columns.
        rows: makes the rows; none where nothing was measured.
    """

    head: Sequence[str]
    rows: Callable[[Results], Iterable[Sequence[str]]]

    def render(self, results: Results) -> str:
        """Return it in Markdown; a row of dashes where nothing was measured yet."""
        rows = list(self.rows(results))
        if not rows:
            rows = [("not measured yet", *["-"] * (len(self.head) - 1))]
        lines = [self.head, ["---"] * len(self.head), *rows]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def percent(value: float | None) -> str:
    """Write a share of 1 in percent."""
    return "n/a" if value is None else f"{100 * value:.1f}"


def signed(value: float | None) -> str:
    """Write a difference in percent with its sign."""
    return "n/a" if value is None else f"{100 * value:+.1f}"


def number(value: float | None, digits: int = 2) -> str:
    """Write a plain number."""
    return "n/a" if value is None else f"{value:.{digits}f}"


def signed_number(value: float | None) -> str:
    """Write a plain number with its sign."""
    return "n/a" if value is None else f"{value:+.2f}"


def plain(value: object) -> str:
    """Write a value as YAML has it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def spread(low: float, high: float, digits: int = 2) -> str:
    """Write the least and the greatest of several."""
    return f"{number(low, digits)} to {number(high, digits)}"
