"""All that the words, charts and pictures of the report are made from, gathered once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from iouaware.config import InferenceConfig, build_inference_config
from iouaware.data.dataset import Dataset
from iouaware.places import name_of_data
from iouaware.reporting.judging import Judged, Kind, Miss, find_misses, judge_detections
from iouaware.reporting.numerals import is_number, number_or_none
from iouaware.reporting.run_files import RunFiles
from iouaware.structures import Candidates, IntArray, ModelInfo

FOUND_AP50 = 0.02  # below it next to nothing is found


@dataclass(frozen=True, slots=True)
class ClassFacts:
    """One row of the class table.

    Attributes:
        name: of the class.
        boxes: true boxes, ignored ones left out.
        ap: at the chosen alpha; None where there is none.
        ap_base: at alpha 1.
        found: objects hit at the display threshold.
        false_alarms: boxes drawn that hit nothing.
        mean_iou: of the hits, None without any.
    """

    name: str
    boxes: int
    ap: float | None
    ap_base: float | None
    found: int
    false_alarms: int
    mean_iou: float | None

    @property
    def recall(self) -> float | None:
        """Share of the objects that were found."""
        return self.found / self.boxes if self.boxes else None


@dataclass(frozen=True, slots=True)
class Facts:
    """A run in numbers.

    Attributes:
        dataset: the truth that was compared with.
        evaluation: evaluation.json.
        sweep: sweep.json.
        info: the model's header.
        files: what the run folder tells.
        alpha: at which the evaluation was made.
        threshold: on S, for display at this alpha.
        judged: all detections at alpha, with verdicts.
        shown: those at or above the threshold.
        misses: objects that no shown detection hit.
        class_boxes: [K] true boxes, ignored ones left out.
    """

    dataset: Dataset
    evaluation: dict[str, Any]
    sweep: dict[str, Any]
    info: ModelInfo
    files: RunFiles
    alpha: float
    threshold: float
    judged: Judged
    shown: Judged
    misses: tuple[Miss, ...]
    class_boxes: IntArray

    @property
    def boxes(self) -> int:
        """Number of objects that count."""
        return int(self.class_boxes.sum())

    @property
    def hits(self) -> int:
        """Number of objects found at the display threshold."""
        return self.shown.counts[Kind.HIT]

    @property
    def finds_something(self) -> bool:
        """Whether objects are found at all, be it below the display threshold."""
        return (number_or_none(self.evaluation.get("AP50")) or 0.0) >= FOUND_AP50

    @property
    def false_alarms(self) -> int:
        """Number of boxes drawn at the display threshold that hit nothing."""
        return len(self.shown) - self.hits - self.shown.counts[Kind.IGNORED]

    @property
    def recall(self) -> float | None:
        """Share of the objects that are found at the display threshold."""
        return self.hits / self.boxes if self.boxes else None

    @property
    def precision(self) -> float | None:
        """Share of the drawn boxes that are right."""
        drawn = self.hits + self.false_alarms
        return self.hits / drawn if drawn else None

    @property
    def data_name(self) -> str:
        """What the data set that was evaluated is called."""
        return name_of_data(Path(str(self.evaluation.get("data") or self.dataset.root)))

    @property
    def split(self) -> str:
        """Name of the part that was evaluated."""
        return str(self.evaluation.get("split") or self.dataset.split)

    @property
    def swept(self) -> str:
        """The pictures on which the alphas were compared, from ``name_swept``."""
        return name_swept(self.evaluation, self.sweep)

    @property
    def sweep_elsewhere(self) -> str:
        """Say on which pictures the alphas were compared, where they are not those evaluated."""
        if self.swept == "pictures":
            return ""
        of = f" of {self.data_name}" if " of " in self.swept else ""
        return f", on the {self.swept}; the other figures here are of the {self.split} part{of}"

    @property
    def localisation_gap(self) -> float | None:
        """AP that the localisation oracle has over alpha 1: what better ranking could buy."""
        oracle = number_or_none((self.oracle.get("localisation") or {}).get("AP"))
        base = number_or_none(self.base.get("AP"))
        return oracle - base if oracle is not None and base is not None else None

    @property
    def base(self) -> dict[str, Any]:
        """The same figures at alpha 1."""
        return self.evaluation.get("baseline") or {}

    @property
    def oracle(self) -> dict[str, Any]:
        """Both oracles, from evaluation.json or else from sweep.json."""
        return read_oracles(self.evaluation, self.sweep)

    def recall_at(self, precision: str, iou: str) -> float | None:
        """Recall where this precision is asked at this IoU, keys as in evaluation.json."""
        return self._at_precision("recall_at_precision", precision, iou)

    def threshold_at(self, precision: str, iou: str) -> float | None:
        """Threshold on S that gives this recall, keys as in evaluation.json."""
        return self._at_precision("thresholds_at_precision", precision, iou)

    def _at_precision(self, name: str, precision: str, iou: str) -> float | None:
        table = self.evaluation.get(name) or {}
        return number_or_none((table.get(precision) or {}).get(iou))

    def note(self, key: str) -> str:
        """Return why a number of evaluation.json does not exist, or an empty text."""
        notes = self.evaluation.get("notes") or {}
        return str(notes.get(key, "")) if isinstance(notes, dict) else ""

    def confusions(self) -> Counter[tuple[int, int]]:
        """Count the drawn boxes that bear a wrong class, by (label of the object, that drawn)."""
        confused = self.shown.of_kind(Kind.CONFUSED)
        rows = zip(confused.image, confused.truth, confused.labels, strict=True)
        return Counter(
            (int(self.dataset.target(int(image)).labels[truth]), int(label))
            for image, truth, label in rows
        )

    def classes(self) -> list[ClassFacts]:
        """Return the rows of the class table, weakest AP first, classes without AP last."""
        misses = np.bincount([m.label for m in self.misses], minlength=len(self.class_boxes))
        wrong = self.shown.of_kind(Kind.DUPLICATE, Kind.CONFUSED, Kind.LOOSE, Kind.BACKGROUND)
        alarms = np.bincount(wrong.labels, minlength=len(self.class_boxes))
        hits = self.shown.of_kind(Kind.HIT)
        own = self.evaluation.get("AP_per_class") or {}
        base = self.base.get("AP_per_class") or {}
        rows = []
        for label, name in enumerate(self.info.class_names):
            iou = hits.iou[hits.labels == label]
            boxes = int(self.class_boxes[label])
            rows.append(
                ClassFacts(
                    name=name,
                    boxes=boxes,
                    ap=number_or_none(own.get(name)),
                    ap_base=number_or_none(base.get(name)),
                    found=boxes - int(misses[label]),
                    false_alarms=int(alarms[label]),
                    mean_iou=float(iou.mean()) if len(iou) else None,
                )
            )
        return sorted(rows, key=lambda row: (row.ap is None, row.ap or 0.0))


def gather_facts(
    dataset: Dataset,
    candidates: Sequence[Candidates],
    evaluation: dict[str, Any],
    sweep: dict[str, Any],
    info: ModelInfo,
    files: RunFiles,
) -> Facts:
    """Judge the detections at the evaluation's alpha and put everything together."""
    alpha = float(evaluation.get("alpha", info.alpha))
    threshold = number_or_none((evaluation.get("operating_point") or {}).get("score_threshold"))
    if threshold is None:
        threshold = display_threshold(sweep, info, alpha)
    judged = judge_detections(dataset, candidates, alpha, inference_settings(info))
    shown = judged.shown_at(threshold)
    return Facts(
        dataset=dataset,
        evaluation=evaluation,
        sweep=sweep,
        info=info,
        files=files,
        alpha=alpha,
        threshold=threshold,
        judged=judged,
        shown=shown,
        misses=tuple(find_misses(dataset, shown)),
        class_boxes=dataset.class_counts(),
    )


def name_swept(evaluation: dict[str, Any], sweep: dict[str, Any]) -> str:
    """Name the pictures of a sweep: ``val pictures``, plain ``pictures`` where it evaluated those.

    Args:
        evaluation: as in evaluation.json.
        sweep: as in sweep.json.
    """
    data, split = (sweep.get(key) or evaluation.get(key) for key in ("data", "split"))
    if data != evaluation.get("data"):
        return f"{split} pictures of {name_of_data(Path(str(data)))}"
    return f"{split} pictures" if split != evaluation.get("split") else "pictures"


def read_oracles(evaluation: dict[str, Any], sweep: dict[str, Any]) -> dict[str, Any]:
    """Return both oracles, from evaluation.json or else from sweep.json."""
    return evaluation.get("oracle") or sweep.get("oracle") or {}


def inference_settings(info: ModelInfo) -> InferenceConfig:
    """Return the post-processing that the model carries."""
    return build_inference_config(info.config, "the model's settings")


def display_threshold(sweep: dict[str, Any], info: ModelInfo, alpha: float) -> float:
    """Return the display threshold on S for an alpha: the model's, else the sweep's own.

    The model's comes first, since ``predict`` goes by it.
    """
    stored = {
        key: value
        for key, value in (sweep.get("score_thresholds") or {}).items()
        if is_number(value)
    }
    if info.score_thresholds or not stored:
        return info.score_threshold(alpha)
    return float(stored[min(stored, key=lambda key: abs(float(key) - alpha))])
