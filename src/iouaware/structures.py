"""What passes between the parts of the program, in the order of the data's way.

    file -> ImageRecord -> image + Target -> images [B, 3, H, W] -> HeadOutputs
      training:   -> AnchorTargets -> losses -> weights
      inference:  -> Candidates -> scores S -> NMS -> Detections -> metrics, report, JSON

Letters: B images, A anchors of one image, K classes, N true boxes, C candidates. Boxes are
x1 y1 x2 y2 in continuous pixels, so that width is x2 - x1. Labels are 0..K-1 everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # torch stays out of all that a service needs
    from torch import Tensor

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
ImageArray = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One picture of a data set: where it lies and how large it is as shown (EXIF turn done)."""

    path: Path
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Target:
    """The truth of one image.

    Attributes:
        boxes: [N, 4] px.
        labels: [N], 0..K-1.
        ignored: [N], True for COCO crowds and VOC difficult boxes: neither object nor background.
        areas: [N] px^2, what COCO's size bins go by (a mask's area where the file has one).
    """

    boxes: FloatArray
    labels: IntArray
    ignored: BoolArray
    areas: FloatArray

    def __len__(self) -> int:
        """Count the boxes, ignored ones too."""
        return len(self.boxes)

    @staticmethod
    def empty() -> Target:
        """Return the truth of an image without objects."""
        return Target(
            np.zeros((0, 4), np.float32),
            np.zeros(0, np.int64),
            np.zeros(0, np.bool_),
            np.zeros(0, np.float32),
        )


@dataclass(frozen=True, slots=True)
class Frame:
    """How an image lies on its canvas: resized to ``resized_hw``, padded right and bottom.

    Pixels of the original and of the canvas ("input px") are related by one factor an axis.
    """

    original_hw: tuple[int, int]
    resized_hw: tuple[int, int]
    canvas_hw: tuple[int, int]

    @property
    def scale_xyxy(self) -> FloatArray:
        """Input px per original px, [4] in the order of a box."""
        sy = self.resized_hw[0] / self.original_hw[0]
        sx = self.resized_hw[1] / self.original_hw[1]
        return np.array([sx, sy, sx, sy], np.float32)

    def to_canvas(self, boxes: FloatArray) -> FloatArray:
        """Turn boxes in original px, [N, 4], into input px."""
        return np.asarray(boxes, np.float32) * self.scale_xyxy

    def to_original(self, boxes: FloatArray) -> FloatArray:
        """Turn boxes in input px, [N, 4], into original px, clipped to the picture."""
        height, width = self.original_hw
        limit = np.array([width, height, width, height], np.float32)
        boxes = np.asarray(boxes, np.float32) / self.scale_xyxy
        clipped: FloatArray = np.clip(boxes, 0, limit)
        return clipped


class HeadOutputs(NamedTuple):
    """What the network says about every anchor, in training and evaluation alike.

    Attributes:
        class_logits: [B, A, K]; their sigmoid is p.
        deltas: [B, A, 4] from anchor to box, no unit.
        iou_logits: [B, A]; their sigmoid is the predicted IoU. None without an IoU branch.
        anchors: [A, 4] input px, levels P3 to P7 in order.
        level_sizes: number of anchors of each level; they add up to A.
        features: P3 to P5, [B, channels, H, W] each, where a second look will read them.
    """

    class_logits: Tensor
    deltas: Tensor
    iou_logits: Tensor | None
    anchors: Tensor
    level_sizes: tuple[int, ...]
    features: tuple[Tensor, ...] | None = None

    def of_picture(self, row: int) -> HeadOutputs:
        """Return what is said about one picture of the batch, as a batch of one."""
        one = slice(row, row + 1)
        return self._replace(
            class_logits=self.class_logits[one],
            deltas=self.deltas[one],
            iou_logits=None if self.iou_logits is None else self.iou_logits[one],
            features=None if self.features is None else tuple(f[one] for f in self.features),
        )


class AnchorTargets(NamedTuple):
    """What each anchor of one image should learn.

    Attributes:
        matched_index: [A] int64, the true box of each anchor; meaningful where ``positive``.
        positive: [A] bool.
        ignored: [A] bool, anchors that get no loss: between the thresholds, or on a crowd.
    """

    matched_index: Tensor
    positive: Tensor
    ignored: Tensor


@dataclass(frozen=True, slots=True)
class Candidates:
    """(anchor, class) pairs of one image with p above the floor, sorted by p, free of alpha.

    Attributes:
        boxes: [C, 4] input px, clipped to the resized picture.
        labels: [C].
        class_scores: p, [C].
        predicted_iou: [C], or None for a model without a trained IoU branch.
        anchor_index: [C] int64.
        frame: how the picture lies on the canvas.
    """

    boxes: FloatArray
    labels: IntArray
    class_scores: FloatArray
    predicted_iou: FloatArray | None
    anchor_index: IntArray
    frame: Frame

    def __len__(self) -> int:
        """Count the candidates."""
        return len(self.boxes)

    def original_boxes(self) -> FloatArray:
        """Return the boxes in pixels of the original picture, [C, 4]."""
        return self.frame.to_original(self.boxes)

    def with_predicted_iou(self, predicted_iou: FloatArray) -> Candidates:
        """Return the same candidates with other IoU values, [C] (oracles, calibration)."""
        if predicted_iou.shape != self.class_scores.shape:
            raise ValueError(
                f"predicted_iou has shape {predicted_iou.shape}, expected {self.class_scores.shape}"
            )
        return replace(self, predicted_iou=predicted_iou)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a model file says about itself; stored as JSON in its header.

    Attributes:
        class_names: K names, in the order of the labels.
        category_ids: K ids of the data set's own, in the order of the labels.
        alpha: the alpha to use unless told otherwise; 1 ranks by class score alone.
        score_thresholds: alpha as text with one decimal -> display threshold on S.
        has_iou: whether the IoU branch exists and was trained.
        config: the whole ``Config`` as plain values.
        mean: of each channel, on the 0..1 scale.
        std: of each channel, on the 0..1 scale.
    """

    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]
    alpha: float
    score_thresholds: dict[str, float]
    has_iou: bool
    config: dict[str, Any]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> ModelInfo:
        """Read it back from plain values, as ``dataclasses.asdict`` writes them.

        Raises:
            KeyError: one is missing.
            TypeError: one is of another kind.
            ValueError: likewise, or names and ids differ in number.
        """
        info = ModelInfo(
            class_names=tuple(str(name) for name in values["class_names"]),
            category_ids=tuple(int(number) for number in values["category_ids"]),
            alpha=float(values["alpha"]),
            score_thresholds={str(k): float(v) for k, v in values["score_thresholds"].items()},
            has_iou=bool(values["has_iou"]),
            config=dict(values["config"]),
            mean=_triple(values["mean"]),
            std=_triple(values["std"]),
        )
        _check_info(info)
        if len(info.class_names) != len(info.category_ids):
            raise ValueError(
                f"{len(info.class_names)} class names and {len(info.category_ids)} category ids"
            )
        return info

    @property
    def chosen_on_validation(self) -> str:
        """What was chosen on the validation part, in words."""
        last = (self.config.get("train") or {}).get("keep") == "last"
        return "alpha and threshold" if last else "weights, alpha and threshold"

    @property
    def looks_again(self) -> bool:
        """Whether the predicted IoU comes from the IoU branch and a second look together."""
        return self.has_iou and bool((self.config.get("model") or {}).get("second_look"))

    @property
    def learns_centreness(self) -> bool:
        """Whether the IoU branch says how central an anchor is, not how well its box fits."""
        train = self.config.get("train") or {}
        return self.has_iou and train.get("iou_target") == "centreness"

    def score_threshold(self, alpha: float) -> float:
        """Return the display threshold on S stored for the alpha nearest to this one."""
        if not self.score_thresholds:
            return 0.3
        nearest = min(self.score_thresholds, key=lambda key: abs(float(key) - alpha))
        return self.score_thresholds[nearest]


def _check_info(info: ModelInfo) -> None:
    """Raise a ``ValueError`` where a file says what no model can be."""
    if not 0 <= info.alpha <= 1:
        raise ValueError(f"alpha is {info.alpha}, expected 0..1")
    for key, value in info.score_thresholds.items():
        if not (0 <= float(key) <= 1 and math.isfinite(value)):
            raise ValueError(f"the threshold at alpha {key} is {value}")
    if not all(math.isfinite(value) for value in (*info.mean, *info.std)) or 0 in info.std:
        raise ValueError(f"mean is {info.mean} and std {info.std}, expected numbers, std not 0")
    for section in ("model", "data", "train", "inference"):
        if not isinstance(info.config.get(section, {}), dict):
            raise ValueError(f"config.{section} is no map of settings")


def _triple(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
