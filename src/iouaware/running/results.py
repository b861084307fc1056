"""The files of results in a run folder: what they must hold, and of which model they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iouaware.errors import CheckpointError, shown
from iouaware.parsing import parse_json

if TYPE_CHECKING:
    from iouaware.structures import ModelInfo

# what others read from the two files of results
EVALUATION_FORM: dict[str, type] = {
    "data": str,
    "split": str,
    "images": int,
    "AP_per_iou": dict,
    "AP_per_class": dict,
    "baseline": dict,
    "notes": dict,
}
SWEEP_FORM: dict[str, type] = {"alphas": list, "AP": list, "held_out": dict}


def read_json(path: Path, form: Mapping[str, type] | None = None) -> dict[str, Any]:
    """Read a JSON object of a run folder.

    Args:
        path: the file.
        form: entries that must be there, each with its type.

    Raises:
        CheckpointError: missing, not a JSON object, or an entry that is not of its form.
    """
    try:
        value = parse_json(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: found {type(value).__name__}, expected a JSON object")
    for name, kind in (form or {}).items():
        if name not in value or not isinstance(value[name], kind):
            found = shown(value.get(name), 60) if name in value else "nothing"
            raise CheckpointError(
                f"{path}: {name} is {found}, expected {kind.__name__}; delete the file, and "
                "evaluate or sweep again"
            )
    return value


def read_evaluation(folder: Path) -> dict[str, Any]:
    """Read ``evaluation.json`` of a run folder; a ``CheckpointError`` if it is none."""
    return read_json(folder / "evaluation.json", EVALUATION_FORM)


def read_sweep(folder: Path) -> dict[str, Any]:
    """Read ``sweep.json`` of a run folder; a ``CheckpointError`` if it is none."""
    return read_json(folder / "sweep.json", SWEEP_FORM)


def is_of(results: Mapping[str, Any], model: str) -> bool:
    """Tell whether evaluation or sweep are of a model; an earlier version did not say of which.

    Args:
        results: as in the file.
        model: what ``fingerprint_model`` returns.
    """
    return bool(results.get("model", model) == model)


def same_threshold(evaluation: Mapping[str, Any], info: ModelInfo) -> bool:
    """Tell whether an evaluation goes by the threshold that its model stores now.

    Args:
        evaluation: as in the file.
        info: the model's header; where it stores none, any is right.
    """
    used = (evaluation.get("operating_point") or {}).get("score_threshold")
    stored = info.score_threshold(float(evaluation.get("alpha", info.alpha)))
    return not info.score_thresholds or used == stored


def is_stale(folder: Path, info: ModelInfo) -> bool:
    """Tell whether ``evaluation.json`` is at another alpha or threshold than the model's now.

    Args:
        folder: the run folder; without the file, or with one that is damaged, nothing is stale.
        info: the model's header.
    """
    try:
        evaluation = read_evaluation(folder)
    except CheckpointError:
        return False
    at_its_alpha = evaluation.get("alpha", info.alpha) == info.alpha
    return not (at_its_alpha and same_threshold(evaluation, info))


def main_numbers(folder: Path) -> dict[str, Any]:
    """Return the main numbers of a run folder, as far as they are there."""
    numbers: dict[str, Any] = {"run": str(folder)}
    if (folder / "evaluation.json").is_file():
        evaluation = read_evaluation(folder)
        names = ("data", "split", "images", "alpha", "AP", "AP50", "AP75", "AP_per_class")
        numbers |= {name: evaluation.get(name) for name in names}
        numbers["AP90"] = evaluation["AP_per_iou"].get("0.90")
        numbers["AP_alpha1"] = evaluation["baseline"].get("AP")
    if (folder / "sweep.json").is_file():
        numbers["held_out"] = read_sweep(folder)["held_out"]
    return numbers
