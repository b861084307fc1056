"""The candidates of one picture, kept so that alpha and thresholds can change afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field

from iouaware.config import InferenceConfig
from iouaware.errors import ConfigError
from iouaware.inference.detections import Detections
from iouaware.inference.postprocess import select_detections, select_paper_detections
from iouaware.inference.scoring import check_alpha, check_share
from iouaware.structures import Candidates, ImageArray, ModelInfo


@dataclass(frozen=True, eq=False, slots=True)
class Selection:
    """All that turns the candidates of a picture into its detections.

    Attributes:
        candidates: of the picture.
        info: of the model.
        settings: of post-processing.
        min_iou: where ``select`` is given none.
        file: where the picture came from, or None.
        image: its pixels where it did not come from a file, else None.
    """

    candidates: Candidates
    info: ModelInfo
    settings: InferenceConfig
    min_iou: float = 0.0
    file: str | None = None
    image: ImageArray | None = field(default=None, repr=False)

    def select(
        self,
        alpha: float | None = None,
        score_threshold: float | None = None,
        min_iou: float | None = None,
    ) -> Detections:
        """Choose the detections at these values.

        Args:
            alpha: None takes the model's; acts as 1 without a trained IoU branch.
            score_threshold: None takes the one stored for this alpha.
            min_iou: None takes the kept one.

        Raises:
            ValueError: a value lies outside 0..1.
            ConfigError: ``min_iou`` is asked of a model without a trained IoU branch.
        """
        alpha = resolve_alpha(self.info, alpha)
        if score_threshold is None:
            score_threshold = self.info.score_threshold(alpha)
        if min_iou is None:
            min_iou = self.min_iou
        check_thresholds(self.info, score_threshold, min_iou)
        paper = self.settings.postprocess == "paper"
        choose = select_paper_detections if paper else select_detections
        kept, scores = choose(self.candidates, alpha, self.settings, score_threshold, min_iou)
        iou = self.candidates.predicted_iou
        height, width = self.candidates.frame.original_hw
        return Detections(
            boxes=self.candidates.original_boxes()[kept],
            labels=self.candidates.labels[kept],
            scores=scores,
            class_scores=self.candidates.class_scores[kept],
            predicted_iou=None if iou is None else iou[kept],
            width=width,
            height=height,
            alpha=alpha,
            score_threshold=score_threshold,
            class_names=self.info.class_names,
            category_ids=self.info.category_ids,
            file=self.file,
            image=self.image,
            # the paper's candidates were chosen at one alpha and serve no other
            rescorer=None if paper else self,
        )


def resolve_alpha(info: ModelInfo, alpha: float | None) -> float:
    """Return the alpha to use: the one asked for, else the model's; 1 without an IoU branch.

    Raises:
        ValueError: alpha lies outside 0..1.
    """
    if alpha is None:
        alpha = info.alpha
    check_alpha(alpha)
    return float(alpha) if info.has_iou else 1.0


def check_thresholds(info: ModelInfo, score_threshold: float, min_iou: float) -> None:
    """Refuse thresholds that no model, or not this one, can act on.

    Raises:
        ValueError: a value lies outside 0..1.
        ConfigError: ``min_iou`` is asked of a model without a trained IoU branch.
    """
    check_share("score_threshold", score_threshold)
    check_share("min_iou", min_iou)
    if min_iou > 0 and not info.has_iou:
        raise ConfigError(
            f"min_iou is {min_iou}, but this model has no trained IoU branch; leave it at 0 "
            "or train with --model.iou_head true"
        )
