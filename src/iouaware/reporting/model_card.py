"""Write MODEL_CARD.md: what the model is, how to use it, its figures and its limits."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from iouaware.places import name_of_data
from iouaware.reporting.alpha_words import say_held_out
from iouaware.reporting.cautions import CENTRENESS, caution_choice, caution_few
from iouaware.reporting.facts import display_threshold, name_swept
from iouaware.reporting.numerals import alpha_text, counted, number_or_none, percent, ratio
from iouaware.reporting.rendering import build_environment
from iouaware.reporting.run_files import read_run_files
from iouaware.reporting.tables import list_coco_rows, list_training_rows, say_size
from iouaware.structures import ModelInfo

MOST_NAMES = 30


def write_model_card(
    model: Path, info: ModelInfo, evaluation: dict[str, Any], sweep: dict[str, Any]
) -> Path:
    """Write ``MODEL_CARD.md`` beside a model; an older one is replaced.

    Args:
        model: the model's file; environment.json and split.json of its run are read where they
            exist.
        info: the model's header.
        evaluation: as in evaluation.json.
        sweep: as in sweep.json.

    Returns:
        The card.

    Raises:
        CheckpointError: a file of the run folder cannot be read.
    """
    card = render_model_card(model, info, evaluation, sweep)
    beside = model.parent / f".MODEL_CARD.md.{os.getpid()}"
    beside.write_text(card, "utf-8", errors="backslashreplace")  # names that are no Unicode
    beside.replace(model.parent / "MODEL_CARD.md")
    return model.parent / "MODEL_CARD.md"


def render_model_card(
    model: Path, info: ModelInfo, evaluation: dict[str, Any], sweep: dict[str, Any]
) -> str:
    """Return the card's text."""
    files = read_run_files(model)
    split = str(evaluation.get("split") or "val")
    pictures, boxes = (
        int(number_or_none(evaluation.get(key)) or 0) for key in ("images", "objects")
    )
    place = evaluation.get("data")
    data = name_of_data(Path(str(place))) if place else "data"
    judged_alpha = float(evaluation.get("alpha", info.alpha))
    per_class = evaluation.get("AP_per_class") or {}
    names = [escape_markdown(name) for name in info.class_names]
    choice = caution_choice(evaluation, sweep, bool(files.split.get("test")), info)
    few = caution_few(pictures, boxes) if "objects" in evaluation else []
    backbone = (info.config.get("model") or {}).get("backbone") or "backbone not recorded"
    swept = escape_markdown(name_swept(evaluation, sweep))
    rows = list_training_rows(info, files)
    return (
        build_environment(autoescape=False)
        .get_template("model_card.md.j2")
        .render(
            title=f"{escape_markdown(data)} detector",
            model=model.name,
            backbone=escape_markdown(str(backbone)),
            class_count=counted(len(names), "class", "classes"),
            classes=", ".join(names[:MOST_NAMES]) + (", ..." if len(names) > MOST_NAMES else ""),
            has_iou=info.has_iou,
            looks_again=info.looks_again,
            alpha=alpha_text(info.alpha),
            threshold=ratio(display_threshold(sweep, info, info.alpha)),
            size=say_size(info) or "not recorded",
            split=escape_markdown(split),
            data=escape_markdown(data),
            pictures=counted(pictures, "picture"),
            boxes=counted(boxes, "box", "boxes")
            if "objects" in evaluation
            else "boxes not counted",
            seen="" if choice else "No choice was made on these pictures.",
            judged_alpha=alpha_text(judged_alpha),
            coco_rows=list_coco_rows(evaluation, sweep),
            held_out=say_held_out(sweep, info.has_iou, judged_alpha, swept),
            recall_rows=_recall_rows(evaluation),
            class_rows=[
                (escape_markdown(name), number_or_none(per_class.get(name)))
                for name in info.class_names
            ],
            cautions=[*choice, *few, *([CENTRENESS] if info.learns_centreness else [])],
            run_rows=[(name, escape_markdown(value)) for name, value in rows if value],
        )
    )


def escape_markdown(text: str) -> str:
    """Make a name harmless in Markdown: on one line, no markup, no HTML, no table cell."""
    line = " ".join(text.split())
    return re.sub(r"([\\`*_{}\[\]()<>#|!~&$])", r"\\\1", line)


def _recall_rows(evaluation: dict[str, Any]) -> list[tuple[str, list[str]]]:
    table = evaluation.get("recall_at_precision") or {}
    return [
        (
            f"{percent(float(precision), 0)} of 100 right",
            [
                percent(number_or_none((table.get(precision) or {}).get(iou)))
                for iou in ("0.50", "0.75", "0.90")
            ],
        )
        for precision in ("0.90", "0.95", "0.99")
    ]
