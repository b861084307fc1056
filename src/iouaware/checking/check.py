"""All checks of a data set, one after the other."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from iouaware.checking.boxes import find_box_problems
from iouaware.checking.classes import count_classes, find_class_problems, find_part_problems
from iouaware.checking.comparing import compare_with_model
from iouaware.checking.cover import find_uncovered
from iouaware.checking.findings import CheckReport, sort_findings
from iouaware.checking.memory import estimate_step_bytes
from iouaware.checking.pictures import find_picture_problems
from iouaware.checking.reading import find_reading_problems
from iouaware.checking.thumbnails import Decode
from iouaware.config import build_config
from iouaware.data.examining import ExaminedSet, whole_key
from iouaware.data.layouts import FORMAT_NAMES
from iouaware.inference.exported import read_info
from iouaware.recipes.reading import read_recipe

# recipes whose memory is told; that of ``paper`` is only for comparisons
_RECIPES = ("small", "modern")


def check_data(
    examined: ExaminedSet, data: Path, model: Path | None = None, decode: Decode = "auto"
) -> CheckReport:
    """Run every check.

    Args:
        examined: what could be read.
        data: as the user named it.
        model: a run folder or model file to compare with.
        decode: which pictures are decoded, as in ``choose_pictures``.

    Raises:
        CheckpointError: no model there, or none that can be used.
    """
    in_pictures, pictures = find_picture_problems(examined, decode)
    in_cover, anchors = find_uncovered(examined)
    findings = [
        *find_reading_problems(examined),
        *find_part_problems(examined),
        *in_pictures,
        *find_box_problems(examined),
        *find_class_problems(examined),
        *in_cover,
    ]
    if model is not None:
        findings += compare_with_model(examined, read_info(model), str(model))
    training = whole_key(examined)
    counts = count_classes(examined)
    classes = dict(counts[training]) if training else {}
    facts = {
        "format": examined.format,
        "splits": _count(examined, counts),
        "classes": classes,
        "pictures": pictures,
        "anchors": anchors,
        "memory": _estimate_memory(len(classes), anchors.get("image_size")) if classes else {},
    }
    name = FORMAT_NAMES[examined.format]
    lines = (f"{name} ({examined.found_by}); {_count_line(examined)}", *examined.lines)
    return CheckReport(str(data), sort_findings(findings), facts, lines)


def _count(examined: ExaminedSet, counts: dict[str, Counter[str]]) -> dict[str, dict[str, Any]]:
    return {
        split: {
            "pictures": len(part.dataset),
            "boxes": part.dataset.count_boxes(),
            "empty": len(part.dataset.empty_images()),
            "classes": dict(counts[split]),
        }
        for split, part in examined.parts.items()
    }


def _count_line(examined: ExaminedSet) -> str:
    return "; ".join(
        f"{split} {len(part.dataset):,} pictures, {part.dataset.count_boxes():,} boxes"
        for split, part in examined.parts.items()
    )


def _estimate_memory(num_classes: int, image_size: int | tuple[int, int] | None) -> dict[str, Any]:
    if image_size is None:
        return {}
    recipes = {}
    for recipe in _RECIPES:
        batch_size = build_config(read_recipe(recipe)).data.batch_size
        taken = estimate_step_bytes(recipe, num_classes, image_size)
        recipes[recipe] = {"batch_size": batch_size, "bytes": taken}
    return {"image_size": image_size, "recipes": recipes}
