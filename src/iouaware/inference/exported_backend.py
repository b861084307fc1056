"""Candidates from what an exported graph computes, whatever runs it.

numpy only: neither torch nor the packages that export are needed to use a file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iouaware.config import build_inference_config
from iouaware.errors import ConfigError
from iouaware.inference.export_metadata import ExportInfo
from iouaware.structures import Candidates, Frame, ImageArray

Arrays = Mapping[str, NDArray[Any]]


class ExportedBackend(ABC):
    """An exported graph that looks at canvases; one subclass a runtime.

    Attributes:
        info: what the file says about itself.
        settings: of post-processing, as the model was trained with.
    """

    def __init__(self, info: ExportInfo, file: Path) -> None:
        """Keep what is known about the file.

        Args:
            info: its metadata.
            file: named in errors.
        """
        self.info = info
        self.file = file
        self.settings = build_inference_config(info.model.config, str(file))

    @abstractmethod
    def run(self, feeds: Arrays, outputs: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
        """Run the graph as it is.

        Args:
            feeds: the inputs by name; those that the graph does not have are left out.
            outputs: names of those wanted; None for all.
        """

    def compute_candidates(self, canvases: ImageArray, frames: Sequence[Frame]) -> list[Candidates]:
        """Return the candidates of each canvas, [B, H, W, 3] RGB.

        Raises:
            ConfigError: the file takes canvases of another size.
            ValueError: canvases of another shape, or not as many as frames.
        """
        feeds = self.feeds(canvases, 1.0, 0.0)
        if len(canvases) != len(frames):
            raise ValueError(f"{len(canvases)} canvases for {len(frames)} frames")
        names = ["boxes", "labels", "class_scores", "anchors"]
        names += ["predicted_iou"] if self.info.model.has_iou else []
        found = self.run(feeds, [f"candidate_{name}" for name in names])
        return [build_candidates(found, row, frame) for row, frame in enumerate(frames)]

    def compute_paper_candidates(
        self, canvases: ImageArray, frames: Sequence[Frame], alpha: float
    ) -> list[Candidates]:
        """Refuse: the authors' order needs the head's outputs, which a file does not give."""
        raise ConfigError(
            f"{self.file}: exported files know the standard order only; use the run folder for "
            "inference.postprocess paper"
        )

    def feeds(
        self, canvases: ImageArray, alpha: float, score_threshold: float
    ) -> dict[str, NDArray[Any]]:
        """Return the graph's inputs for canvases, [B, H, W, 3] RGB.

        Raises:
            ConfigError: the file takes canvases of another size.
            ValueError: canvases of another shape.
        """
        if canvases.ndim != 4 or canvases.shape[3] != 3:
            raise ValueError(f"canvases have shape {canvases.shape}, expected [B, H, W, 3]")
        height, width = canvases.shape[1:3]
        wanted = self.info.canvas_hw
        if wanted not in (None, (height, width)) or height % 32 or width % 32:
            size = "multiples of 32" if wanted is None else f"{wanted[0]} x {wanted[1]}"
            raise ConfigError(
                f"{self.file}: the canvas is {height} x {width} px, this file takes {size}; "
                "export with --image-size dynamic for others"
            )
        return {
            "images": np.ascontiguousarray(canvases.transpose(0, 3, 1, 2)),
            "alpha": np.array(alpha, np.float32),
            "score_threshold": np.array(score_threshold, np.float32),
        }


def build_candidates(found: Arrays, row: int, frame: Frame) -> Candidates:
    """Return the candidates of one picture from a graph's outputs, padding taken away.

    Args:
        found: the outputs named ``candidate_...``, [B, C] each.
        row: of the picture.
        frame: of the picture; boxes are clipped to it.
    """
    labels = found["candidate_labels"][row].astype(np.int64)
    scores = found["candidate_class_scores"][row]
    anchors = found["candidate_anchors"][row].astype(np.int64)
    there = np.flatnonzero(labels >= 0)
    # falling p, then anchor and class, as everywhere: runtimes order ties as they like
    kept = there[np.lexsort((labels[there], anchors[there], -scores[there]))]
    height, width = frame.resized_hw
    limit = np.array([width, height, width, height], np.float32)
    predicted = found.get("candidate_predicted_iou")
    return Candidates(
        np.clip(found["candidate_boxes"][row][kept], 0, limit),
        labels[kept],
        scores[kept],
        None if predicted is None else predicted[row][kept],
        anchors[kept],
        frame,
    )
