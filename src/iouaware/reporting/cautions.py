"""What makes a run's figures weaker than they look, in words."""

from __future__ import annotations

from typing import Any

from iouaware.evaluation.localisation import learnt_little
from iouaware.reporting.alpha_words import GAIN_WITHOUT_FIT
from iouaware.reporting.facts import Facts
from iouaware.reporting.numerals import counted
from iouaware.structures import ModelInfo

FEW_PICTURES = 100
FEW_OBJECTS = 200
CENTRENESS = (
    "The IoU branch of this model learnt centre-ness: what is called predicted IoU here says how "
    "central the anchor lies in its object, not how well the box fits."
)


def list_cautions(facts: Facts) -> list[str]:
    """Say what makes the figures weaker than they look, most important first."""
    cautions = [
        *caution_choice(
            facts.evaluation, facts.sweep, bool(facts.files.split.get("test")), facts.info
        ),
        *caution_few(len(facts.dataset), facts.boxes),
    ]
    if not facts.info.has_iou:
        cautions.append(
            "This model has no trained IoU branch: there is no predicted IoU, and alpha stays at 1."
        )
    elif facts.info.learns_centreness:
        cautions.append(CENTRENESS)
    elif (shown_by := learnt_little(facts.evaluation)) is not None:
        cautions.append(
            "The IoU branch learnt next to nothing: among boxes on an object, predicted and true "
            f"IoU do not go together ({shown_by}). "
            + (sentence(GAIN_WITHOUT_FIT) if facts.info.alpha < 1 else "So alpha stays at 1.")
        )
    if facts.note("max_detections"):
        cautions.append(sentence(facts.note("max_detections")))
    return cautions


def caution_choice(
    evaluation: dict[str, Any], sweep: dict[str, Any], has_test: bool, info: ModelInfo
) -> list[str]:
    """Warn where the pictures that judge took part in training, or in choosing what is judged.

    Args:
        evaluation: as in evaluation.json.
        sweep: as in sweep.json.
        has_test: whether the run's data have a test part.
        info: the model's header.
    """
    # files of an earlier version do not say which part of the run's data the pictures are
    part = evaluation.get("run_part", evaluation.get("split") or "val")
    if part is None:
        return [
            "The run does not know whether these pictures took part in training it, or in choosing "
            "its weights, alpha and threshold."
        ]
    if part == "train":
        return [
            "These figures are of the pictures that the network learnt from: they say next to "
            "nothing about others."
        ]
    if part == "val":
        rest = (
            "; the test part would give honest ones (--split test)."
            if has_test
            else ", and the data set has no test part."
        )
        return [
            f"These figures are optimistic: {info.chosen_on_validation} were chosen on these "
            f"{part} pictures{rest}"
        ]
    if all(sweep.get(key) == evaluation.get(key) for key in ("data", "split")):
        return [
            "The alphas were compared on these very pictures: for an alpha and thresholds that "
            "were kept from it (--save), the figures are optimistic."
        ]
    return []


def caution_few(pictures: int, boxes: int) -> list[str]:
    """Warn where the judged set is so small that chance moves AP by points."""
    if pictures >= FEW_PICTURES and boxes >= FEW_OBJECTS:
        return []
    return [
        f"The set is small, {counted(pictures, 'picture')} with {counted(boxes, 'box', 'boxes')}: "
        "differences of a point or two of AP are within chance."
    ]


def sentence(text: str) -> str:
    """Make a sentence of a reason: a capital first and a full stop."""
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
