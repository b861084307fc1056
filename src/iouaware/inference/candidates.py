"""Which of the network's outputs become candidates, in torch."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from iouaware.boxes import decode_boxes
from iouaware.config import InferenceConfig
from iouaware.inference.postprocess import PAPER_SCORE_FLOOR
from iouaware.inference.scoring import fuse_scores
from iouaware.structures import Candidates, Frame, HeadOutputs

Stds = tuple[float, float, float, float]
ROUNDING = 0.1  # in logits: wider than what a sigmoid in half precision can lose
MANY = 8  # where more than one of so many passes, ranking all is the quicker way


def candidates_from_outputs(
    outputs: HeadOutputs,
    frames: Sequence[Frame],
    settings: InferenceConfig,
    box_stds: Stds = (1, 1, 1, 1),
    clamp_below: bool = True,
    has_iou: bool = True,
) -> list[Candidates]:
    """Choose the (anchor, class) pairs worth keeping, by p alone, so that any alpha can follow.

    The best ``candidates_per_level`` pairs of each level, of these the ones with p above
    ``p_floor``, of these the best ``candidates_per_image`` over all levels.

    Args:
        outputs: of a batch of B images; any float type, worked on in float32.
        frames: B frames.
        settings: floor and numbers of candidates.
        box_stds: each delta is divided by its own.
        clamp_below: see ``boxes.decode_boxes``; False for torchvision's geometry.
        has_iou: False leaves the IoU branch unread.

    Returns:
        B candidates sorted by falling p, then by anchor and class.
    """
    with torch.no_grad():
        values = outputs.class_logits.flatten(1)  # [B, A * K]
        sizes = [size * outputs.class_logits.shape[2] for size in outputs.level_sizes]
        result = []
        for row, frame in enumerate(frames):
            pairs = _pairs_above(values[row], sizes, settings)
            scores = values[row, pairs].float().sigmoid().cpu().numpy()
            found = pairs.cpu().numpy()
            above = np.flatnonzero(scores > settings.p_floor)
            order = np.lexsort((found[above], -scores[above]))
            chosen = above[order[: settings.candidates_per_image]]
            result.append(
                _build_candidates(
                    outputs,
                    row,
                    pairs[torch.from_numpy(chosen).to(pairs.device)],
                    frame,
                    (box_stds, clamp_below),
                    has_iou,
                )
            )
    return result


def _pairs_above(logits: Tensor, sizes: Sequence[int], settings: InferenceConfig) -> Tensor:
    """Return the best pairs of each level that can pass the floor, [A * K] -> [P] indices.

    Mostly few pass, and to look for those first costs a fraction of ranking all.
    """
    floor, count = _logit(settings.p_floor) - ROUNDING, settings.candidates_per_level
    kept, start = [], 0
    for size in sizes:
        level = logits[start : start + size]
        above = level > floor
        if int(above.count_nonzero()) > max(count, size // MANY):
            pairs = level.topk(count, sorted=False).indices
        else:
            pairs = above.nonzero().squeeze(1)
            if len(pairs) > count:
                pairs = pairs[level[pairs].topk(count, sorted=False).indices]
        kept.append(pairs + start)
        start += size
    return torch.cat(kept)


def _logit(p: float) -> float:
    return math.log(p / (1 - p)) if p > 0 else -math.inf


def _build_candidates(
    outputs: HeadOutputs,
    row: int,
    pairs: Tensor,
    frame: Frame,
    coding: tuple[Stds, bool],
    has_iou: bool,
) -> Candidates:
    """Decode and collect chosen (anchor, class) pairs of one image, [C] indices into A * K."""
    classes = outputs.class_logits.shape[2]
    anchor_index, labels = pairs // classes, pairs % classes
    stds, clamp_below = coding
    boxes = decode_boxes(
        outputs.deltas[row, anchor_index].float(),
        outputs.anchors[anchor_index].float(),
        stds,
        clamp_below,
    )  # [C, 4]
    height, width = frame.resized_hw
    limit = boxes.new_tensor([width, height, width, height])
    boxes = torch.minimum(boxes.clamp(min=0), limit)
    predicted_iou = None
    if has_iou and outputs.iou_logits is not None:
        predicted_iou = outputs.iou_logits[row, anchor_index].float().sigmoid().cpu().numpy()
    return Candidates(
        boxes.cpu().numpy(),
        labels.cpu().numpy(),
        outputs.class_logits[row, anchor_index, labels].float().sigmoid().cpu().numpy(),
        predicted_iou,
        anchor_index.cpu().numpy(),
        frame,
    )


def paper_candidates_from_outputs(
    outputs: HeadOutputs,
    frames: Sequence[Frame],
    settings: InferenceConfig,
    alpha: float,
    box_stds: Stds = (1, 1, 1, 1),
    clamp_below: bool = True,
    has_iou: bool = True,
) -> list[Candidates]:
    """Choose as the authors' code does: fuse first, then the best 1,000 anchors of each level.

    Anchors are ranked by their greatest S over the classes; all their classes with S > 0.05 go
    on. The choice depends on alpha, so these candidates serve this alpha only
    (``postprocess.select_paper_detections``).

    Args:
        outputs: of a batch of B images.
        frames: B frames.
        settings: ``candidates_per_level`` counts here.
        alpha: weight of the class score, 0..1.
        box_stds: each delta is divided by its own.
        clamp_below: see ``boxes.decode_boxes``.
        has_iou: False leaves the IoU branch unread; then S is p.

    Returns:
        B candidates sorted by falling p, then by anchor and class.

    Raises:
        ValueError: alpha lies outside 0..1.

    Source: ``iou_aware_retina_head.get_bboxes_single`` of the authors' repository.
    """
    with torch.no_grad():
        scores = outputs.class_logits.float().sigmoid()  # [B, A, K], p
        if has_iou and outputs.iou_logits is not None:
            scores = fuse_scores(scores, outputs.iou_logits.float().sigmoid(), alpha)
        best = scores.max(dim=2).values  # [B, A]
        _, anchors = _best_of_each_level(best, outputs.level_sizes, settings.candidates_per_level)
        result = []
        for row, frame in enumerate(frames):
            chosen, labels = torch.nonzero(
                scores[row, anchors[row]] > PAPER_SCORE_FLOOR, as_tuple=True
            )
            pairs = anchors[row, chosen] * scores.shape[2] + labels
            p = outputs.class_logits[row].flatten()[pairs].float().sigmoid()
            order = np.lexsort((pairs.cpu().numpy(), -p.cpu().numpy()))
            result.append(
                _build_candidates(
                    outputs,
                    row,
                    pairs[torch.from_numpy(order).to(pairs.device)],
                    frame,
                    (box_stds, clamp_below),
                    has_iou,
                )
            )
    return result


def _best_of_each_level(values: Tensor, sizes: Sequence[int], count: int) -> tuple[Tensor, Tensor]:
    """Return the greatest values of each level and where they stand, [B, sum] -> [B, P] twice."""
    best, index, start = [], [], 0
    for size in sizes:
        level = values[:, start : start + size]
        top = level.topk(min(count, size), dim=1, sorted=False)
        best.append(top.values)
        index.append(top.indices + start)
        start += size
    return torch.cat(best, dim=1), torch.cat(index, dim=1)
