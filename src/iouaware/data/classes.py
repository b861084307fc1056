"""The classes of a data set: known by name, numbered 0..K-1 inside."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from iouaware.errors import DatasetError


@dataclass(frozen=True)
class ClassList:
    """K classes in the order of their labels.

    Attributes:
        names: K names.
        ids: K ids, as the files write them.
    """

    names: tuple[str, ...]
    ids: tuple[int, ...]

    def labels_of(self, names: Iterable[str], where: str) -> dict[str, int]:
        """Map names onto labels.

        Args:
            names: of another part of the data set.
            where: names the file in messages.

        Raises:
            DatasetError: a name is not among these classes.
        """
        labels = {name: label for label, name in enumerate(self.names)}
        unknown = sorted(set(names) - labels.keys())
        if unknown:
            others = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
            raise DatasetError(
                f"{where}: class {unknown[0]!r}{others} is not among the {len(self.names)} classes "
                f"of the training data ({_shorten(self.names)})"
                f"{suggest_names(unknown[0], self.names)}"
            )
        return labels


def suggest_names(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean ...?" with the known names closest to one, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=3)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


def _shorten(names: tuple[str, ...]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
