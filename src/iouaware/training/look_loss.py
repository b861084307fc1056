"""The loss of the second look: BCE between its IoU, class by class, and the true one.

Unlike the IoU branch, which learns on positives, it learns from the boxes that compete in
prediction, the bad ones among them: the target is the IoU of the decoded box with the best object
of the class, 0 where there is none.
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F  # noqa: N812  (torch's own convention)
from torch import Tensor

from iouaware.boxes import pairwise_coverage, pairwise_iou
from iouaware.model.detector import Detector
from iouaware.model.second_look import BoxInputs
from iouaware.structures import HeadOutputs
from iouaware.training.matching import CROWD_COVERAGE

TAUGHT = 256  # boxes of a picture that it learns from, those of highest p
GOOD = 0.5  # a box that fits an object this well counts for the divisor
# true boxes, moved, are looked at besides: the pixels alone must tell how well these fit
MOVED = 64
MOST = 0.3  # of the side, how far a corner moves


def compute_look_loss(
    detector: Detector,
    outputs: HeadOutputs,
    boxes: list[Tensor],
    labels: list[Tensor],
    ignored: list[Tensor],
) -> tuple[Tensor, Tensor]:
    """Look at the best boxes of each picture and compare with the truth.

    Args:
        detector: with a second look.
        outputs: of a batch of B pictures; no gradient flows into them.
        boxes: true boxes of each picture, [N, 4] input px.
        labels: their labels, [N].
        ignored: [N] bool, crowds and difficult boxes: boxes half inside one teach nothing.

    Returns:
        The sum of the loss, 0-d, and the number of boxes that fit an object, to divide by.
    """
    inputs = detector.box_inputs(outputs, choose_anchors(outputs.class_logits))
    objects = [truth[~crowd] for truth, crowd in zip(boxes, ignored, strict=True)]
    inputs = _join(inputs, [move_boxes(truth) for truth in objects])
    logits = detector.look_again(outputs, inputs)  # [B, n + MOVED, K]
    targets = torch.zeros_like(logits)
    counted = torch.ones_like(logits[..., :1])  # [B, n + MOVED, 1]
    for row, found in enumerate(inputs.boxes):
        crowd = ignored[row]
        targets[row] = class_iou(found, objects[row], labels[row][~crowd], logits.shape[2])
        if crowd.any():
            covered = pairwise_coverage(found, boxes[row][crowd]) >= CROWD_COVERAGE  # [n, R]
            counted[row, covered.any(dim=1)] = 0
        if not len(objects[row]):
            counted[row, -MOVED:] = 0  # nothing was there to move
    loss = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    fitting = (targets.amax(dim=2) > GOOD) & (counted[..., 0] > 0)  # [B, n + MOVED]
    return (loss * counted).sum(), fitting.sum()


def move_boxes(boxes: Tensor) -> Tensor:
    """Return objects' boxes with their corners moved, [N, 4] -> [MOVED, 4]; zeros without any."""
    if not len(boxes):
        return boxes.new_zeros(MOVED, 4)
    chosen = boxes[torch.arange(MOVED, device=boxes.device) % len(boxes)]  # [MOVED, 4]
    sides = (chosen[:, 2:] - chosen[:, :2]).repeat(1, 2)  # [MOVED, 4]
    return chosen + _moves().to(boxes) * sides


@cache
def _moves() -> Tensor:
    """Draw how far each corner moves, from none to MOST of the side, [MOVED, 4].

    The same each time: pictures and crops vary enough, and nothing random has to be kept for a run
    to go on exactly.
    """
    generator = torch.Generator().manual_seed(0)
    corners = 2 * torch.rand(MOVED, 4, generator=generator) - 1
    return MOST * corners * torch.rand(MOVED, 1, generator=generator)


def _join(inputs: BoxInputs, moved: list[Tensor]) -> BoxInputs:
    """Append boxes of which the network has said nothing."""
    more = torch.stack(moved)  # [B, MOVED, 4]
    pictures, _, classes = inputs.class_logits.shape
    return BoxInputs(
        torch.cat([inputs.boxes, more], dim=1),
        torch.cat([inputs.class_logits, more.new_zeros(pictures, MOVED, classes)], dim=1),
        torch.cat([inputs.iou_logits, more.new_zeros(pictures, MOVED)], dim=1),
    )


def choose_anchors(class_logits: Tensor) -> Tensor:
    """Return the anchors of the pairs of highest p, [B, A, K] -> [B, n]; n is at most TAUGHT."""
    pairs = class_logits.detach().flatten(1)  # [B, A * K]
    best = pairs.topk(min(TAUGHT, pairs.shape[1]), dim=1).indices
    return best // class_logits.shape[2]


def class_iou(found: Tensor, boxes: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return each box's IoU with the best object of each class, [n, 4] -> [n, K].

    Args:
        found: [n, 4] px.
        boxes: true boxes, [N, 4] px.
        labels: [N], 0..K-1.
        classes: K.
    """
    best = found.new_zeros(len(found), classes)
    iou = pairwise_iou(found, boxes)  # [n, N]
    return best.scatter_reduce(1, labels.expand(len(found), -1), iou, "amax")
