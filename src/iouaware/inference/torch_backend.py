"""From canvases to candidates, in torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from iouaware.config import InferenceConfig, Precision
from iouaware.inference.candidates import (
    Stds,
    candidates_from_outputs,
    paper_candidates_from_outputs,
)
from iouaware.model.distinct import join_looks, pick_distinct
from iouaware.model.precision import choose_precision, lower_precision
from iouaware.structures import Candidates, Frame, HeadOutputs, ImageArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iouaware.model.detector import Detector


class TorchBackend:
    """A detector on a device, ready to look at canvases.

    Takes the detector over: moves it to the device and into evaluation mode.
    """

    def __init__(
        self,
        detector: Detector,
        settings: InferenceConfig,
        device: str | torch.device = "cpu",
        has_iou: bool = True,
        precision: Precision = "float32",
    ) -> None:
        """Prepare a detector for inference.

        Args:
            detector: with its weights.
            settings: floor and numbers of candidates count here.
            device: where to compute.
            has_iou: False leaves an IoU branch that was never trained unread.
            precision: what the network computes in.
        """
        self.device = torch.device(device)
        self.settings = settings
        self.has_iou = has_iou
        self.dtype = choose_precision(precision, str(self.device))
        self.detector = detector.to(self.device).eval().to(memory_format=torch.channels_last)

    def compute_candidates(self, canvases: ImageArray, frames: Sequence[Frame]) -> list[Candidates]:
        """Return the candidates of each canvas, [B, H, W, 3] RGB."""
        outputs = self.compute_outputs(canvases, frames)
        candidates = candidates_from_outputs(
            outputs, frames, self.settings, *_coding(self.detector), has_iou=self.has_iou
        )
        if self.detector.second_look is None:
            return candidates
        return [refine(self.detector, outputs, row, found) for row, found in enumerate(candidates)]

    def compute_paper_candidates(
        self, canvases: ImageArray, frames: Sequence[Frame], alpha: float
    ) -> list[Candidates]:
        """Return what the authors' code would give to NMS at this alpha, for each canvas."""
        outputs = self.compute_outputs(canvases, frames)
        return paper_candidates_from_outputs(
            outputs, frames, self.settings, alpha, *_coding(self.detector), has_iou=self.has_iou
        )

    def compute_outputs(self, canvases: ImageArray, frames: Sequence[Frame]) -> HeadOutputs:
        """Return what the network says about every anchor of each canvas, [B, H, W, 3] RGB."""
        if canvases.ndim != 4 or canvases.shape[3] != 3 or len(canvases) != len(frames):
            raise ValueError(
                f"canvases have shape {canvases.shape} for {len(frames)} frames, "
                "expected [B, H, W, 3] and B frames"
            )
        lower = lower_precision(self.dtype, self.device, quick_gradients=False)
        with torch.inference_mode(), lower:
            # [B, H, W, 3] seen as [B, 3, H, W] is channels_last already
            pixels = torch.from_numpy(np.ascontiguousarray(canvases)).to(self.device)
            images = self.detector.normalise(pixels.permute(0, 3, 1, 2))
            outputs: HeadOutputs = self.detector(images.to(memory_format=torch.channels_last))
        return outputs


def _coding(detector: Detector) -> tuple[Stds, bool]:
    """Return how a detector's deltas are meant: stds, and whether shrinking is bounded."""
    return detector.config.box_stds, detector.config.geometry == "plain"


def refine(
    detector: Detector, outputs: HeadOutputs, row: int, candidates: Candidates
) -> Candidates:
    """Give candidates the IoU that a second look and the IoU branch predict together.

    Args:
        detector: with a second look.
        outputs: of the batch.
        row: of the picture.
        candidates: of the picture; ``predicted_iou``, where there is one, is replaced.
    """
    if candidates.predicted_iou is None or not len(candidates):
        return candidates
    device = outputs.deltas.device
    mine = outputs.of_picture(row)
    with torch.no_grad():
        inputs = detector.box_inputs(
            mine, torch.from_numpy(candidates.anchor_index).to(device)[None]
        )
        picked = pick_distinct(inputs.boxes[0])
        if not len(picked):
            return candidates
        first = inputs.take(picked[None])
        joined = join_looks(
            inputs.iou_logits.sigmoid(),
            inputs.boxes,
            torch.from_numpy(candidates.labels).to(device)[None],
            first.boxes,
            detector.look_again(mine, first),
        )
    return candidates.with_predicted_iou(joined[0].cpu().numpy())
