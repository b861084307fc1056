"""The same candidates at every alpha: detections, metrics and matches, from one forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from iouaware.config import InferenceConfig
from iouaware.data.dataset import Dataset
from iouaware.evaluation.coco_metrics import CocoEvaluator, CocoMetrics
from iouaware.evaluation.detection_table import DetectionTable, select_table
from iouaware.evaluation.matches import MAX_PER_CLASS, Matches, match_detections
from iouaware.structures import Candidates

ALPHAS = tuple(round(1 - step / 10, 1) for step in range(11))  # 1.0, 0.9, ..., 0.0


def alpha_key(alpha: float) -> str:
    """Write an alpha of the sweep as the files do: one decimal."""
    return f"{alpha:.1f}"


@dataclass(frozen=True)
class Judgement:
    """All about one alpha.

    Attributes:
        alpha: weight of the class score.
        table: the detections of all pictures.
        matches: which detections are right, COCO's 100 of a class in a picture at most.
        kept: the same of all detections, which is what thresholds act on.
        evaluator: computes COCO's numbers.
    """

    alpha: float
    table: DetectionTable
    matches: Matches
    kept: Matches
    evaluator: CocoEvaluator

    @cached_property
    def metrics(self) -> CocoMetrics:
        """COCO's numbers, computed when they are first asked for: a sweep asks for few."""
        return self.evaluator.evaluate(self.table)


def judge_alpha(
    dataset: Dataset,
    evaluator: CocoEvaluator,
    candidates: Sequence[Candidates],
    alpha: float,
    settings: InferenceConfig,
) -> Judgement:
    """Select and match at one alpha.

    Raises:
        ValueError: candidates of another number of pictures, or alpha outside 0..1.
    """
    if len(candidates) != len(dataset):
        raise ValueError(f"candidates of {len(candidates)} pictures, expected {len(dataset)}")
    table = select_table(candidates, alpha, settings)
    matches = kept = match_detections(dataset, table)
    if settings.max_detections > MAX_PER_CLASS:
        kept = match_detections(dataset, table, settings.max_detections)
    return Judgement(alpha, table, matches, kept, evaluator)


def sweep_alphas(
    dataset: Dataset,
    candidates: Sequence[Candidates],
    settings: InferenceConfig,
    alphas: Sequence[float] = ALPHAS,
) -> list[Judgement]:
    """Judge every alpha; each result equals a plain evaluation at that alpha.

    The top of a list by S changes with alpha, so fusion, NMS and the cut to the best detections
    are done anew for each, on the same candidates. A model without an IoU branch has one alpha, 1.

    Args:
        dataset: the truth.
        candidates: of each picture, in the data set's order.
        settings: NMS and number of detections.
        alphas: falling, the first is 1.
    """
    evaluator = CocoEvaluator(dataset)
    if any(found.predicted_iou is None for found in candidates):
        alphas = (1.0,)
    return [judge_alpha(dataset, evaluator, candidates, alpha, settings) for alpha in alphas]
