"""Which boxes get a second look, and for which others a look speaks.

Most candidates are near copies: a dozen anchors find one object, and one anchor may stand for
several classes. A look at a copy tells nothing new, so that the looks go to the best boxes that
differ, and each speaks for the copies of its box as well. Thus a hundred looks reach as far down
the list of candidates as a look at each of thousands would.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import nms

from iouaware.boxes import box_area, pairwise_intersection

LOOKS = 128  # boxes of a picture that are looked at, those of highest p
POOL = 1024  # candidates of highest p that these are chosen from
PIECE = 256  # the first of these, which mostly hold enough; what comes later changes nothing
ALIKE = 0.9  # boxes of a greater IoU are copies


def pick_distinct(boxes: Tensor) -> Tensor:
    """Choose the first boxes that are no copies of one before them, [C, 4] -> [n].

    Args:
        boxes: by falling p; classes do not matter.

    Returns:
        Rising indices below POOL, at most LOOKS; none of a box without area.
    """
    pool = boxes[:POOL].float()
    # off the canvas nothing is left of a box to look at, nor to be told from a copy
    places = (box_area(pool) > 0).nonzero()[:, 0]
    picked = _drop_copies(pool, places[:PIECE])
    if len(picked) < LOOKS:
        picked = _drop_copies(pool, torch.cat([picked, places[PIECE:]]))
    return picked[:LOOKS]


def _drop_copies(boxes: Tensor, places: Tensor) -> Tensor:
    falling = torch.arange(len(places), 0, -1, dtype=torch.float32, device=boxes.device)
    return places[nms(boxes[places], falling, ALIKE)]


def join_looks(
    branch_iou: Tensor, boxes: Tensor, labels: Tensor, looked: Tensor, logits: Tensor
) -> Tensor:
    """Join the looks with the IoU branch's word, for all candidates of B pictures.

    The geometric mean of the two: the branch compares boxes of one object well, the look knows
    whether there is an object of the class. Either alone gains on some data sets only. Candidates
    for which no look speaks keep the branch's word, lowered as much as the later half of the
    others was on average, so that they stay behind them.

    Args:
        branch_iou: what the IoU branch said, [B, C] by falling p; 0 where there is no candidate.
        boxes: [B, C, 4] px.
        labels: [B, C].
        looked: boxes that were looked at, [B, n, 4]; zeros fill up the end.
        logits: what the looks said, [B, n, K].

    Returns:
        Predicted IoU, [B, C].
    """
    overlap, alike = closest(looked, boxes)
    # len() would fix the number of pictures that an exported graph takes
    rows = torch.arange(boxes.shape[0], device=boxes.device)[:, None]  # [B, 1]
    fit = logits[rows, alike, labels].sigmoid()  # [B, C]
    seen = (fit * branch_iou).sqrt()
    spoken = (overlap > ALIKE) & (branch_iou > 0)
    place = spoken.cumsum(dim=1)
    later = spoken & (place > spoken.sum(dim=1, keepdim=True) // 2)
    # chosen, not multiplied by 0: one number that is none must not spoil the others
    said = torch.where(later, branch_iou, 0).sum(dim=1, keepdim=True)
    share = torch.where(later, seen, 0).sum(dim=1, keepdim=True) / said.clamp(min=1e-6)
    share = torch.where(said > 0, share.clamp(max=1), 1)  # where no look speaks nothing falls
    return torch.where(spoken, seen, branch_iou * share)


def closest(looked: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Find for each box the one among those looked at that it overlaps most.

    Args:
        looked: [B, n, 4]; zeros overlap nothing.
        boxes: [B, C, 4] px.

    Returns:
        IoU with that one, and its row in ``looked``, [B, C] both.
    """
    # The overlap over the sum of the areas has the order of the IoU, and takes fewer passes over
    # [B, n, C]; this way round the longer side is the inner one, a third of the time again.
    areas = box_area(looked).clamp(min=1e-6)[:, :, None] + box_area(boxes)[:, None, :]
    share, row = (pairwise_intersection(looked, boxes) / areas).max(dim=1)  # 1/2 where they agree
    return share / (1 - share), row
