"""Detections of a whole data set in flat arrays, as the metrics take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from iouaware.config import InferenceConfig
from iouaware.inference.postprocess import select_detections
from iouaware.structures import Candidates, FloatArray, IntArray


class DetectionTable(NamedTuple):
    """Detections of all pictures, picture after picture.

    Attributes:
        image_index: [N] int64, place of the picture in its data set, never falling.
        boxes: [N, 4] original px.
        labels: [N].
        scores: S, [N].
    """

    image_index: IntArray
    boxes: FloatArray
    labels: IntArray
    scores: FloatArray

    def above(self, score_threshold: float) -> DetectionTable:
        """Keep what has at least this S."""
        kept = self.scores >= score_threshold
        return DetectionTable(
            self.image_index[kept], self.boxes[kept], self.labels[kept], self.scores[kept]
        )


def build_table(parts: Sequence[tuple[FloatArray, IntArray, FloatArray]]) -> DetectionTable:
    """Put the detections of single pictures, in the data set's order, into one table.

    Args:
        parts: boxes [D, 4] in original px, labels [D] and scores [D] of each picture.
    """
    boxes = [np.asarray(part[0], np.float32).reshape(-1, 4) for part in parts]
    labels = [np.asarray(part[1], np.int64) for part in parts]
    scores = [np.asarray(part[2], np.float32) for part in parts]
    return DetectionTable(
        np.repeat(np.arange(len(parts)), [len(part) for part in boxes]),
        np.concatenate([np.zeros((0, 4), np.float32), *boxes]),
        np.concatenate([np.zeros(0, np.int64), *labels]),
        np.concatenate([np.zeros(0, np.float32), *scores]),
    )


def select_table(
    candidates: Sequence[Candidates], alpha: float, settings: InferenceConfig
) -> DetectionTable:
    """Fuse, suppress and cut the candidates of every picture at one alpha; no threshold on S.

    Raises:
        ValueError: alpha lies outside 0..1.
    """
    parts = []
    for found in candidates:
        index, scores = select_detections(found, alpha, settings)
        parts.append((found.original_boxes()[index], found.labels[index], scores))
    return build_table(parts)
