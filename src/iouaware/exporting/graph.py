"""The module that is exported: canvases in, detections and candidates out.

Everything between has one shape for a given canvas: lists that may be shorter are padded at their
end with label -1 and zeros.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from iouaware.anchors import STRIDES, Geometry, build_base_anchors
from iouaware.boxes import box_area, decode_boxes
from iouaware.config import InferenceConfig
from iouaware.exporting.suppression import keep_best, keep_best_by_arithmetic
from iouaware.images import canvas_fill
from iouaware.model.detector import Detector
from iouaware.model.distinct import ALIKE, LOOKS, POOL, join_looks
from iouaware.model.second_look import LEVELS, BoxInputs, take_rows

ABSENT = -1.0  # S of what does not take part in NMS; a true S is 0 at least
NMS_FLOOR = -0.5


class _Found(NamedTuple):
    """Candidates of B pictures, C each."""

    boxes: Tensor  # [B, C, 4] px of the canvas
    labels: Tensor  # [B, C] int64, -1 where there is none
    class_scores: Tensor  # [B, C]
    predicted_iou: Tensor | None  # [B, C]
    anchors: Tensor  # [B, C] int64


class CandidateGraph(nn.Module):
    """Canvases in, candidates out: all that comes before alpha.

    The same rule as ``inference.candidates.candidates_from_outputs``, without a loop over
    pictures and without shapes that depend on what is seen.
    """

    def __init__(
        self,
        detector: Detector,
        settings: InferenceConfig,
        has_iou: bool,
        has_nms: bool = True,
    ) -> None:
        """Take a detector apart for export.

        Args:
            detector: with its weights, in evaluation mode.
            settings: floor and numbers of candidates count here.
            has_iou: False leaves an IoU branch that was never trained unread.
            has_nms: False writes NMS out in plain arithmetic, which takes longer.
        """
        super().__init__()
        self.detector = detector
        self.settings = settings
        self.has_iou = has_iou
        self.has_nms = has_nms
        self.second_look = detector.second_look if has_iou else None
        self.fill = canvas_fill(detector.mean)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Find the candidates of canvases, [B, 3, H, W] uint8 RGB."""
        return name_candidates(self.find(images))

    def find(self, images: Tensor) -> _Found:
        """Choose the (anchor, class) pairs of highest p; boxes are clipped to the canvas."""
        levels = self._look(images)
        chosen, start = [], torch.zeros((), dtype=torch.int64)
        for stride, level in zip(STRIDES, levels, strict=True):
            grid = build_grid(level, stride, images, self.detector.config.geometry)  # [A_l, 4]
            chosen.append(self._best_of_level(level, grid, start))
            start = start + grid.shape[0]
        logits, deltas, iou, anchors, labels, index, all_logits = (
            torch.cat(parts, dim=1) for parts in zip(*chosen, strict=True)
        )
        best = torch.topk(
            logits.sigmoid(), min(self.settings.candidates_per_image, logits.shape[1]), dim=1
        )
        scores, rows = best.values, best.indices  # [B, C] both
        above = scores > self.settings.p_floor
        boxes = decode_boxes(
            take_rows(deltas, rows),
            take_rows(anchors, rows),
            self.detector.config.box_stds,
            clamp_below=self.detector.config.geometry == "plain",
        )  # [B, C, 4]
        boxes = clip_to_canvas(boxes, images)
        labels = labels.gather(1, rows)
        predicted_iou = None
        if self.has_iou:
            iou_logits = iou.gather(1, rows)
            predicted_iou = iou_logits.sigmoid() * above
            if self.second_look is not None:
                inputs = BoxInputs(boxes, take_rows(all_logits, rows), iou_logits)
                looked, logits = self._look_again(levels, inputs, scores)
                predicted_iou = join_looks(predicted_iou, boxes, labels, looked, logits)
        return _Found(
            boxes * above[..., None],
            torch.where(above, labels, -1),
            scores * above,
            predicted_iou,
            index.gather(1, rows),
        )

    def _look_again(
        self, levels: list[Tensor], inputs: BoxInputs, scores: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Look at the best boxes that differ, as ``torch_backend.refine`` does.

        Returns:
            The boxes, [B, n, 4], zeros where there are fewer, and what the looks say, [B, n, K].
        """
        if self.second_look is None:
            raise ValueError("this detector has no second look")
        boxes, scores = inputs.boxes[:, :POOL], scores[:, :POOL]
        takes_part = (scores > self.settings.p_floor) & (box_area(boxes) > 0)
        scores = torch.where(takes_part, scores, ABSENT)
        if self.has_nms:
            distinct = keep_best(boxes, scores[:, None], ALIKE, LOOKS, NMS_FLOOR)
        else:
            distinct = keep_best_by_arithmetic(boxes, ALIKE)
        scores = torch.where(distinct > 0, scores, ABSENT)
        best = torch.topk(scores, min(LOOKS, scores.shape[1]), dim=1)
        first = inputs.take(best.indices)
        there = best.values > NMS_FLOOR  # [B, n]
        return first.boxes * there[..., None], self.second_look(levels[:LEVELS], first)

    def _look(self, images: Tensor) -> list[Tensor]:
        """Compute the pyramid of uint8 canvases, P3 to P7."""
        levels: list[Tensor] = self.detector.pyramid(
            self.detector.backbone(self.detector.normalise(images))
        )
        return levels

    def _best_of_level(self, level: Tensor, grid: Tensor, start: Tensor) -> tuple[Tensor, ...]:
        """Return the pairs of highest p on a level: logits, deltas, IoU logits, anchors, ..."""
        class_logits, deltas, iou_logits = self.detector.head([level])
        flat = class_logits.flatten(1)  # [B, A_l * K]
        count = torch.sym_min(self.settings.candidates_per_level, flat.shape[1])
        best = torch.topk(flat, count, dim=1)
        classes = self.detector.num_classes
        # whole numbers throughout: as floats, indices beyond 2^24 would be wrong
        index, labels = best.indices // classes, best.indices % classes  # [B, k]
        iou = deltas[..., 0] if iou_logits is None else iou_logits  # unread without an IoU branch
        return (
            best.values,
            take_rows(deltas, index),
            iou.gather(1, index),
            grid[index],
            labels,
            index + start,
            class_logits if self.second_look is None else take_rows(class_logits, index),
        )


class DetectionGraph(nn.Module):
    """Canvases, alpha and a threshold in; detections out, with the candidates beside them."""

    def __init__(self, candidates: CandidateGraph) -> None:
        """Put fusion and NMS behind the candidates."""
        super().__init__()
        self.candidates = candidates

    def forward(self, images: Tensor, alpha: Tensor, score_threshold: Tensor) -> dict[str, Tensor]:
        """Detect.

        Args:
            images: canvases, [B, 3, H, W] uint8 RGB.
            alpha: 0-d, weight of the class score, 0..1; without effect without an IoU branch.
            score_threshold: 0-d, keep S at or above.

        Returns:
            ``boxes`` [B, D, 4] px of the canvas, ``scores``, ``class_scores``, ``predicted_iou``
            and ``labels`` [B, D] by falling S, padded with label -1; and the candidates.
        """
        found = self.candidates.find(images)
        scores = found.class_scores
        if found.predicted_iou is not None:
            scores = fuse(found.class_scores, found.predicted_iou, alpha)  # [B, C]
        scores = torch.where(found.labels >= 0, scores, ABSENT)
        boxes = clip_to_pictures(found.boxes, images, self.candidates.fill)
        kept = self._suppress(boxes, found.labels, scores)
        count = min(self.candidates.settings.max_detections, scores.shape[1])
        best = torch.topk(torch.where(kept, scores, ABSENT), count, dim=1)
        shown = (best.values > NMS_FLOOR) & (best.values >= score_threshold)  # [B, D]
        rows = best.indices
        detections = {
            "boxes": take_rows(boxes, rows) * shown[..., None],
            "scores": best.values * shown,
            "class_scores": found.class_scores.gather(1, rows) * shown,
            "labels": torch.where(shown, found.labels.gather(1, rows), -1),
        }
        if found.predicted_iou is not None:
            detections["predicted_iou"] = found.predicted_iou.gather(1, rows) * shown
        return detections | name_candidates(found)

    def _suppress(self, boxes: Tensor, labels: Tensor, scores: Tensor) -> Tensor:
        """Tell which candidates NMS leaves, [B, C] bool."""
        settings = self.candidates.settings
        grouped = scores[:, None, :]  # [B, 1, C]
        if not settings.nms_across_classes:
            classes = torch.arange(self.candidates.detector.num_classes)[None, :, None]
            own = labels[:, None, :] == classes  # [B, K, C]
            grouped = torch.where(own, grouped, ABSENT)
        kept: Tensor = keep_best(
            boxes, grouped, settings.nms_iou, settings.max_detections, NMS_FLOOR
        )
        return kept > 0


class BakedGraph(nn.Module):
    """A detection graph whose alpha and threshold are constants."""

    def __init__(self, detections: DetectionGraph, alpha: float, score_threshold: float) -> None:
        """Fix alpha and the threshold."""
        super().__init__()
        self.detections = detections
        self.alpha, self.score_threshold = alpha, score_threshold

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Detect as ``DetectionGraph`` does."""
        found: dict[str, Tensor] = self.detections(
            images, torch.tensor(self.alpha), torch.tensor(self.score_threshold)
        )
        return found


def name_candidates(found: _Found) -> dict[str, Tensor]:
    """Return candidates under the names that the file gives them."""
    named = {
        "candidate_boxes": found.boxes,
        "candidate_labels": found.labels,
        "candidate_class_scores": found.class_scores,
        "candidate_anchors": found.anchors,
    }
    if found.predicted_iou is not None:
        named["candidate_predicted_iou"] = found.predicted_iou
    return named


def build_grid(level: Tensor, stride: int, images: Tensor, geometry: Geometry) -> Tensor:
    """Return the anchors of one level, [A_l, 4]: ``anchors.build_anchors`` for sizes yet unknown.

    Args:
        level: features, [B, C, rows, columns].
        stride: of the level, px.
        images: the canvases, [B, 3, H, W].
        geometry: where the anchors lie.
    """
    rows, columns = level.shape[-2:]
    step_y, step_x, offset = stride, stride, 0.5 * stride
    if geometry == "torchvision":
        step_y, step_x, offset = images.shape[-2] // rows, images.shape[-1] // columns, 0.0
    y = (torch.arange(rows) * step_y).float() + offset
    x = (torch.arange(columns) * step_x).float() + offset
    grid_y = y[:, None].expand(rows, columns)
    grid_x = x[None, :].expand(rows, columns)
    centres = torch.stack([grid_x, grid_y, grid_x, grid_y], dim=-1)  # [rows, columns, 4]
    base = torch.from_numpy(build_base_anchors(stride, geometry))  # [9, 4]
    return (centres[:, :, None] + base).reshape(-1, 4)


def clip_to_canvas(boxes: Tensor, images: Tensor) -> Tensor:
    """Move corners back onto the canvas, [..., 4] px, whatever its size will be."""
    height, width = images.shape[-2:]
    sides = (width, height, width, height)
    corners = zip(boxes.unbind(dim=-1), sides, strict=True)
    return torch.stack([corner.clamp(0, side) for corner, side in corners], dim=-1)


def clip_to_pictures(boxes: Tensor, images: Tensor, fill: tuple[int, int, int]) -> Tensor:
    """Move corners back onto the picture, which ends where nothing but padding follows.

    Detections need it, since clipped boxes overlap otherwise; who takes the candidates knows the
    picture's size. Here it is no input, but read off the canvas. Where a picture itself ends in
    lines of exactly the padding's colour, those count as padding.

    Args:
        boxes: [B, C, 4] px of the canvas.
        images: canvases, [B, 3, H, W] uint8.
        fill: RGB of the padding.
    """
    padding = torch.tensor(fill, dtype=torch.uint8).view(1, 3, 1, 1)
    seen = (images != padding).any(dim=1)  # [B, H, W]
    height = _end(seen.any(dim=2))
    width = _end(seen.any(dim=1))
    limit = torch.stack([width, height, width, height], dim=-1)  # [B, 4]
    return torch.minimum(boxes.clamp(min=0), limit[:, None])


def _end(seen: Tensor) -> Tensor:
    """Return where the last True ends, [B, N] -> [B] float32; N where there is none."""
    places = torch.arange(1, seen.shape[1] + 1)
    last = (seen * places).amax(dim=1)
    return torch.where(last > 0, last, seen.shape[1]).float()


def fuse(class_scores: Tensor, predicted_iou: Tensor, alpha: Tensor) -> Tensor:
    """Return S as ``scoring.fuse_scores`` does, for an alpha that is yet unknown (0-d)."""
    logarithm = alpha * class_scores.log() + (1 - alpha) * predicted_iou.log()
    # at the ends of alpha 0 * log(0) is no number; there S is the one factor, exactly
    fused = torch.where(alpha >= 1, class_scores, logarithm.exp())
    return torch.where(alpha <= 0, predicted_iou, fused)
