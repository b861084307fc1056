"""What makes a run's figures weaker than they look, in words."""

from __future__ import annotations

from iouaware.evaluation.localisation import learnt_little
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
        *caution_optimistic(facts.split, bool(facts.files.split.get("test")), facts.info),
        *caution_few(len(facts.dataset), facts.boxes),
    ]
    if not facts.info.has_iou:
        cautions.append(
            "This model has no trained IoU branch: there is no predicted IoU, and alpha stays at 1."
        )
    elif facts.info.learns_centreness:
        cautions.append(CENTRENESS)
    elif learnt_little(facts.evaluation) is not None:
        cautions.append(
            "The IoU branch learnt next to nothing: among boxes on an object, predicted and true "
            f"IoU do not go together ({learnt_little(facts.evaluation)}). "
            "Alpha 1, the class score alone, is best here."
        )
    if facts.note("max_detections"):
        cautions.append(sentence(facts.note("max_detections")))
    return cautions


def caution_optimistic(split: str, has_test: bool, info: ModelInfo) -> list[str]:
    """Warn where weights, alpha or threshold were chosen on the pictures that judge them."""
    if split == "test":
        return []
    rest = (
        "; the test part would give honest ones (--split test)."
        if has_test
        else ", and the data set has no test part."
    )
    return [
        f"These figures are optimistic: {info.chosen_on_validation} were chosen on these "
        f"{split} pictures{rest}"
    ]


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
