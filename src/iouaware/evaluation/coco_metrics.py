"""COCO's numbers for boxes: AP at each IoU, size and class, and recall.

All figures are fractions, 0..1. A figure that does not exist is None, and ``notes`` says why:
COCO's -1 never leaves this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iouaware.config import InferenceConfig
from iouaware.data.dataset import Dataset
from iouaware.evaluation.coco_backend import Curves, Floats, Truth, accumulate
from iouaware.evaluation.detection_table import DetectionTable, select_table
from iouaware.structures import Candidates

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)  # as pycocotools writes them, to the last bit
IOU_KEYS = tuple(f"{iou:.2f}" for iou in IOU_THRESHOLDS)
MAX_DETECTIONS = (1, 10, 100)  # COCO's caps on the detections of a class in a picture
SIZES = {
    "s": "small object (area under 32 x 32 px)",
    "m": "medium object (area from 32 x 32 to 96 x 96 px)",
    "l": "large object (area over 96 x 96 px)",
}


@dataclass(frozen=True, slots=True)
class CocoMetrics:
    """COCO's table, and AP apart by IoU and by class; fractions, or None.

    Attributes:
        AP: mean over IoU 0.50 to 0.95 and classes.
        AP50: at IoU 0.50.
        AP75: at IoU 0.75.
        APs: of small objects.
        APm: of medium objects.
        APl: of large objects.
        AR: cap on the detections of a class in a picture -> mean recall.
        ARs: recall of small objects at the largest cap.
        ARm: recall of medium objects at the largest cap.
        ARl: recall of large objects at the largest cap.
        AP_per_iou: "0.50", "0.55", ... -> AP.
        AP_per_class: name -> AP.
        AR_per_class: name -> recall at the largest cap.
        precision: [T, R, K, 4, M] at 10 IoUs, 101 recalls, K classes, 4 sizes (all, small, medium,
            large), M caps; -1 where there is no object.
        notes: dotted name of each missing figure -> why.
    """

    AP: float | None
    AP50: float | None
    AP75: float | None
    APs: float | None
    APm: float | None
    APl: float | None
    AR: dict[int, float | None]
    ARs: float | None
    ARm: float | None
    ARl: float | None
    AP_per_iou: dict[str, float | None]
    AP_per_class: dict[str, float | None]
    AR_per_class: dict[str, float | None]
    precision: Floats
    notes: dict[str, str]

    @property
    def AP80(self) -> float | None:  # noqa: N802 - the name of the figure
        """AP at IoU 0.80."""
        return self.AP_per_iou["0.80"]

    @property
    def AP90(self) -> float | None:  # noqa: N802 - the name of the figure
        """AP at IoU 0.90."""
        return self.AP_per_iou["0.90"]

    def to_dict(self) -> dict[str, Any]:
        """Return all figures under their names in ``evaluation.json``, notes apart."""
        names = ("AP", "AP50", "AP75", "AP80", "AP90", "APs", "APm", "APl")
        return {
            **{name: getattr(self, name) for name in names},
            **{f"AR{cap}": recall for cap, recall in self.AR.items()},
            **{name: getattr(self, name) for name in ("ARs", "ARm", "ARl")},
            "AP_per_iou": dict(self.AP_per_iou),
            "AP_per_class": dict(self.AP_per_class),
            "AR_per_class": dict(self.AR_per_class),
        }


class CocoEvaluator:
    """Compares detections with the truth of one data set, COCO's way.

    Crowds and difficult boxes take the detections on them out of the count. COCO looks at the
    detections of each class and picture by descending S, at most 100 of them.

    Args:
        dataset: the truth.
        max_detections: caps a class and picture, rising; AP is taken at the last one. Another
            last one than 100 gives figures that are not COCO's.
    """

    def __init__(self, dataset: Dataset, max_detections: tuple[int, ...] = MAX_DETECTIONS) -> None:
        """Turn the truth into COCO's terms once."""
        self.class_names = dataset.class_names
        self.max_detections = max_detections
        boxes = np.asarray(dataset.boxes, np.float64).reshape(-1, 4)
        images = np.repeat(np.arange(len(dataset)), np.diff(dataset.offsets))
        self.truth = Truth(
            image_wh=np.asarray(dataset.image_wh, np.int64),
            class_names=dataset.class_names,
            image_ids=images + 1,
            category_ids=np.asarray(dataset.labels, np.int64) + 1,
            boxes_xywh=np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1),
            areas=np.asarray(dataset.areas, np.float64),
            crowd=np.asarray(dataset.ignored, np.bool_),
        )

    def evaluate(self, found: DetectionTable) -> CocoMetrics:
        """Judge the detections of all pictures.

        Raises:
            ValueError: a picture or label that the data set does not have, or a score or
                coordinate that is no number.
        """
        self._check(found)
        boxes = np.asarray(found.boxes, np.float64)
        rows = np.column_stack(
            [
                found.image_index + 1,
                boxes[:, :2],
                boxes[:, 2:] - boxes[:, :2],
                np.asarray(found.scores, np.float64),
                found.labels + 1,
            ]
        )  # [N, 7]
        return self._summarise(accumulate(self.truth, rows, self.max_detections))

    def evaluate_candidates(
        self, candidates: Sequence[Candidates], alpha: float, settings: InferenceConfig
    ) -> CocoMetrics:
        """Select detections at one alpha and judge them.

        Args:
            candidates: of each picture, in the data set's order.
            alpha: weight of the class score, 0..1.
            settings: NMS and number of detections.

        Raises:
            ValueError: candidates of another number of pictures, or alpha outside 0..1.
        """
        if len(candidates) != len(self.truth.image_wh):
            raise ValueError(
                f"candidates of {len(candidates)} pictures, expected {len(self.truth.image_wh)}"
            )
        return self.evaluate(select_table(candidates, alpha, settings))

    def _check(self, found: DetectionTable) -> None:
        """Refuse what the evaluators would silently leave out or misjudge."""
        for name, column, size in (
            ("image_index", found.image_index, len(self.truth.image_wh)),
            ("labels", found.labels, len(self.class_names)),
        ):
            if len(column) and (column.min() < 0 or column.max() >= size):
                reach = f"from {column.min()} to {column.max()}"
                raise ValueError(f"{name} reaches {reach}, expected 0 to {size - 1}")
        if not (np.isfinite(found.scores).all() and np.isfinite(found.boxes).all()):
            raise ValueError("a score or a coordinate of the detections is no finite number")

    def _summarise(self, curves: Curves) -> CocoMetrics:
        precision, recall = curves  # [T, R, K, 4, M], [T, K, 4, M]
        everything, top = 0, -1
        per_class = precision[:, :, :, everything, top]  # [T, R, K]
        recall_per_class = recall[:, :, everything, top]  # [T, K]
        size_ap = {
            size: _mean(precision[:, :, :, column, top]) for column, size in enumerate("sml", 1)
        }
        size_ar = {size: _mean(recall[:, :, column, top]) for column, size in enumerate("sml", 1)}
        return CocoMetrics(
            AP=_mean(per_class),
            AP50=_mean(per_class[0]),
            AP75=_mean(per_class[5]),
            APs=size_ap["s"],
            APm=size_ap["m"],
            APl=size_ap["l"],
            AR={cap: _mean(recall[:, :, 0, m]) for m, cap in enumerate(self.max_detections)},
            ARs=size_ar["s"],
            ARm=size_ar["m"],
            ARl=size_ar["l"],
            AP_per_iou={key: _mean(per_class[t]) for t, key in enumerate(IOU_KEYS)},
            AP_per_class={
                name: _mean(per_class[:, :, k]) for k, name in enumerate(self.class_names)
            },
            AR_per_class={
                name: _mean(recall_per_class[:, k]) for k, name in enumerate(self.class_names)
            },
            precision=precision,
            notes=self._explain_missing(precision),
        )

    def _explain_missing(self, precision: Floats) -> dict[str, str]:
        """Say why figures are None, under the names they have in ``evaluation.json``."""
        notes: dict[str, str] = {}
        exists = (precision[0, 0] > -1).any(-1)  # [K, 4]
        if not exists[:, 0].any():
            names = ["AP", "AP50", "AP75", "AP80", "AP90", "AP_per_iou"]
            names += [f"AR{cap}" for cap in self.max_detections]
            notes |= dict.fromkeys(names, "no object in this split")
        for column, (size, words) in enumerate(SIZES.items(), 1):
            if not exists[:, column].any():
                notes |= dict.fromkeys((f"AP{size}", f"AR{size}"), f"no {words} in this split")
        for k, name in enumerate(self.class_names):
            if not exists[k, 0]:
                reason = "no object of this class in this split"
                notes |= {f"AP_per_class.{name}": reason, f"AR_per_class.{name}": reason}
        return notes


def _mean(values: NDArray[np.float64]) -> float | None:
    """Return the mean of what exists; COCO marks what does not with -1."""
    exists = values > -1
    return float(values[exists].mean()) if exists.any() else None
