"""Contact sheets of pictures with their boxes: what findings look like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, zip_longest
from pathlib import Path

from PIL import Image, ImageDraw

from iouaware.checking.findings import Finding
from iouaware.data.examining import ExaminedSet
from iouaware.errors import ConfigError, DatasetError
from iouaware.images import IMAGE_SUFFIXES, read_image
from iouaware.inference.drawing import contact_sheet, draw_targets

SHOWN = 36
_TILE_WH = (320, 320)
_RED = (230, 0, 0)
_Place = tuple[str, int]  # split and index of a picture


def refuse_unfit_sheet(path: Path) -> None:
    """See that a sheet's name is a picture's and a new one, before the work is done.

    Raises:
        ConfigError: it is not; it may be a picture of the data set.
    """
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise ConfigError(
            f"--sheet {path}: found a name ending in {path.suffix or 'nothing'}, expected a "
            "picture's, such as sheet.jpg"
        )
    if path.exists():
        raise ConfigError(
            f"--sheet {path}: the file exists, expected a new one; nothing is written over: give "
            "another --sheet"
        )


def write_sheet(examined: ExaminedSet, findings: Sequence[Finding], path: Path) -> int:
    """Draw pictures with their boxes on one sheet: those with findings first, then others.

    Of each kind of finding some are shown, in turn, until the sheet is full; the box that a
    finding is about is drawn once more in red, as the file has it.

    Args:
        examined: what was read.
        findings: gravest first.
        path: a picture file, as ``refuse_unfit_sheet`` lets pass.

    Returns:
        How many pictures are on it.

    Raises:
        DatasetError: no picture can be drawn.
    """
    tiles: list[Image.Image] = []
    captions: list[str] = []
    for (split, index), finding in _choose(examined, findings):
        dataset = examined.parts[split].dataset
        try:
            tiles.append(_draw(examined, split, index, finding))
        except DatasetError:
            continue  # a finding says so already
        name = dataset.file_name(index)
        captions.append(name if finding is None else f"{finding.kind}: {name}")
        if len(tiles) == SHOWN:
            break
    if not tiles:
        raise DatasetError(f"{examined.root}: no picture can be drawn on a sheet")
    path.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(tiles, tile_wh=_TILE_WH, captions=captions).save(path)
    return len(tiles)


def _draw(examined: ExaminedSet, split: str, index: int, finding: Finding | None) -> Image.Image:
    dataset = examined.parts[split].dataset
    image = read_image(dataset.record(index).path)
    drawn = draw_targets(image, dataset.target(index), dataset.class_names)
    if finding is not None and finding.box is not None:
        scale = drawn.width / image.shape[1]
        x1, y1, x2, y2 = (value * scale for value in finding.box)
        corners = (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
        ImageDraw.Draw(drawn).rectangle(corners, outline=_RED, width=max(3, drawn.width // 130))
    return drawn


def _choose(
    examined: ExaminedSet, findings: Sequence[Finding]
) -> Iterator[tuple[_Place, Finding | None]]:
    """Yield pictures, one of each kind of finding in turn, each once, then some without."""
    places = {
        part.dataset.file_name(index): (split, index)
        for split, part in examined.parts.items()
        for index in range(len(part.dataset))
    }
    by_kind: dict[str, list[tuple[_Place, Finding]]] = {}
    seen: set[_Place] = set()
    for finding in findings:
        place = places.get(finding.file)
        if place is not None and place not in seen:
            seen.add(place)
            by_kind.setdefault(finding.kind, []).append((place, finding))
    turns = chain.from_iterable(zip_longest(*by_kind.values()))
    yield from (row for row in turns if row is not None)
    rest = [place for place in places.values() if place not in seen]
    for place in rest[:: max(1, len(rest) // SHOWN)]:
        yield place, None
