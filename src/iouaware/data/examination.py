"""Reading on past what is wrong, with a note of each thing: how a data set is examined."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from iouaware.errors import DatasetError


@dataclass(frozen=True)
class Problem:
    """One thing that reading would stop at, or mend.

    Attributes:
        kind: a short name, or the phrase by which a repair is counted.
        picture: the picture's path or name; empty where the problem is not about one.
        place: names file and annotation; the file alone where the problem is about all of it.
        message: what was found, what was expected and what to do, the place taken off.
        box: x1 y1 x2 y2 px as read, where the problem is about a box.
    """

    kind: str
    picture: str
    place: str
    message: str
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class StoredPicture:
    """How the file of a picture has it, where that differs from how it is shown or annotated.

    Attributes:
        stored_wh: (width, height) px, before its EXIF turn.
        shown_wh: (width, height) px, after it.
        orientation: EXIF's, 1 to 8.
        declared_wh: (width, height) px that the annotations say, None where they do not.
    """

    stored_wh: tuple[int, int]
    shown_wh: tuple[int, int]
    orientation: int
    declared_wh: tuple[int, int] | None


@dataclass
class Examination:
    """What is noted while a part of a data set is examined.

    Readers that are given one go on where they would raise: they note the error and leave out the
    annotation or the picture.

    Attributes:
        problems: in the order of the files.
        places: names file and annotation of each box that was kept, [T].
        stored: path -> pictures with an EXIF turn or of another size than the annotations say.
    """

    problems: list[Problem] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    stored: dict[Path, StoredPicture] = field(default_factory=dict)

    def note(
        self,
        kind: str,
        picture: str,
        message: str,
        place: str = "",
        box: tuple[float, float, float, float] | None = None,
    ) -> None:
        """Take note of a problem; the place is taken off the message's beginning."""
        self.problems.append(Problem(kind, picture, place, message.removeprefix(f"{place}: "), box))


@contextmanager
def noting(
    examination: Examination | None, kind: str, picture: str | Path = "", place: str | Path = ""
) -> Iterator[None]:
    """Turn a ``DatasetError`` inside into a note where data are examined; else let it pass.

    Args:
        examination: takes the note; None where data are read to be used.
        kind: of the problem.
        picture: that it is about, where it is about one.
        place: names file and annotation, as the error's message begins.
    """
    try:
        yield
    except DatasetError as error:
        if examination is None:
            raise
        examination.note(kind, str(picture), str(error), str(place))
