"""Contact sheets of pictures with their boxes: what findings look like."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from iouaware.checking.findings import Finding
from iouaware.data.examining import ExaminedSet
from iouaware.errors import ConfigError, DatasetError
from iouaware.images import IMAGE_SUFFIXES, read_image
from iouaware.inference.drawing import contact_sheet, draw_targets

SHOWN = 36
_TILE_WH = (320, 320)


def write_sheet(examined: ExaminedSet, findings: Sequence[Finding], path: Path) -> int:
    """Draw pictures with their boxes on one sheet: those with findings first, then others.

    Of each kind of finding some are shown, in turn, until the sheet is full.

    Args:
        examined: what was read.
        findings: gravest first.
        path: a picture file; replaced if there.

    Returns:
        How many pictures are on it.

    Raises:
        ConfigError: the path names no kind of picture.
        DatasetError: no picture can be drawn.
    """
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise ConfigError(
            f"--sheet {path}: found a name ending in {path.suffix or 'nothing'}, expected a "
            "picture's, such as sheet.jpg"
        )
    tiles: list[Image.Image] = []
    captions: list[str] = []
    for split, index, caption in _choose(examined, findings):
        dataset = examined.parts[split].dataset
        try:
            image = read_image(dataset.record(index).path)
        except DatasetError:
            continue  # a finding says so already
        tiles.append(draw_targets(image, dataset.target(index), dataset.class_names))
        captions.append(caption)
        if len(tiles) == SHOWN:
            break
    if not tiles:
        raise DatasetError(f"{examined.root}: no picture can be drawn on a sheet")
    path.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(tiles, tile_wh=_TILE_WH, captions=captions).convert("RGB").save(path)
    return len(tiles)


def _choose(examined: ExaminedSet, findings: Sequence[Finding]) -> list[tuple[str, int, str]]:
    """Return split, index and caption of pictures, one of each kind of finding in turn."""
    places: dict[str, tuple[str, int]] = {}
    for split, part in examined.parts.items():
        for index in range(len(part.dataset)):
            places[part.dataset.file_name(index)] = (split, index)
    by_kind: dict[str, list[tuple[str, int, str]]] = {}
    seen: set[tuple[str, int]] = set()
    for finding in findings:
        place = places.get(finding.file)
        if place is not None and place not in seen:
            seen.add(place)
            caption = f"{finding.kind}: {finding.file}"
            by_kind.setdefault(finding.kind, []).append((*place, caption))
    longest = max((len(rows) for rows in by_kind.values()), default=0)
    chosen = [
        rows[turn] for turn in range(longest) for rows in by_kind.values() if turn < len(rows)
    ]
    rest = [(name, place) for name, place in places.items() if place not in seen]
    step = max(1, len(rest) // SHOWN)
    return chosen + [(*place, name) for name, place in rest[::step]]
