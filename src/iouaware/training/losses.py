"""The three losses of the paper, each summed over the batch and divided by the positives.

Class: focal loss on all anchors that are not ignored. Box: smooth L1 on the four deltas (or
GIoU) of the positives. IoU: BCE (or L2, L1) between predicted and true IoU of the positives; the
true IoU is that of the decoded box with its object, so its gradient can move the box as well.
Source: arXiv:1912.05992, equations 1 to 6. In place of the IoU the branch can learn centre-ness
(FCOS, arXiv:1904.01355, equation 3; for anchors as in ATSS, arXiv:1912.02424), to compare the two.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812  (torch's own convention)
from torch import Tensor
from torchvision.ops import generalized_box_iou_loss, sigmoid_focal_loss

from iouaware.boxes import decode_boxes, encode_boxes, paired_iou
from iouaware.config import ModelConfig, TrainConfig
from iouaware.structures import AnchorTargets, HeadOutputs


class Losses(NamedTuple):
    """The losses of a batch, and what the positives predicted.

    Attributes:
        class_loss: focal loss, 0-d.
        box_loss: times its weight, 0-d.
        iou_loss: times its weight, 0-d; 0 without an IoU branch.
        look_loss: of the second look, times its weight, 0-d; 0 without one.
        positives: number of positive anchors in the batch.
        predicted_iou: [M], detached; empty without an IoU branch.
        iou_targets: [M], detached, the true IoU of the same boxes.
    """

    class_loss: Tensor
    box_loss: Tensor
    iou_loss: Tensor
    look_loss: Tensor
    positives: int
    predicted_iou: Tensor
    iou_targets: Tensor

    @property
    def total(self) -> Tensor:
        """Return what is minimised."""
        return self.class_loss + self.box_loss + self.iou_loss + self.look_loss


def compute_losses(
    outputs: HeadOutputs,
    boxes: list[Tensor],
    labels: list[Tensor],
    matches: list[AnchorTargets],
    train: TrainConfig,
    model: ModelConfig,
    normaliser: float | None = None,
) -> Losses:
    """Compute the losses of a batch in float32, whatever the network ran in.

    Args:
        outputs: the network's, [B, A, ...].
        boxes: true boxes of each image, [N, 4] input px.
        labels: their labels, [N].
        matches: which anchor learns which box, by ``match_anchors``.
        train: kinds and weights of the losses.
        model: how deltas are coded.
        normaliser: what the sums are divided by; the batch's positives, at least 1, unless given
            (many processes share one, which may lie below 1).
    """
    positive = torch.stack([match.positive for match in matches])  # [B, A]
    ignored = torch.stack([match.ignored for match in matches])  # [B, A]
    image_index, anchor_index = positive.nonzero(as_tuple=True)  # [M], [M]
    matched_boxes, matched_labels = _gather_objects(boxes, labels, matches)  # [M, 4], [M]
    count = len(image_index)
    divisor = max(1.0, float(count)) if normaliser is None else normaliser

    class_logits = outputs.class_logits.float()
    class_targets = torch.zeros_like(class_logits)  # [B, A, K]
    class_targets[image_index, anchor_index, matched_labels] = 1.0
    focal = sigmoid_focal_loss(
        class_logits, class_targets, train.focal_alpha, train.focal_gamma, reduction="none"
    )
    class_loss = (focal * (~ignored)[..., None]).sum() / divisor

    deltas = outputs.deltas[image_index, anchor_index].float()  # [M, 4]
    anchors = outputs.anchors[anchor_index]  # [M, 4]
    decoded = decode_boxes(deltas, anchors, model.box_stds, model.geometry == "plain")  # [M, 4]
    if train.box_loss == "giou":
        box_loss = generalized_box_iou_loss(decoded, matched_boxes, reduction="sum")
    else:
        delta_targets = encode_boxes(matched_boxes, anchors, model.box_stds)  # [M, 4]
        box_loss = F.smooth_l1_loss(
            deltas, delta_targets, reduction="sum", beta=train.smooth_l1_beta
        )
    iou_targets = paired_iou(decoded, matched_boxes)  # [M]
    if outputs.iou_logits is None:
        iou_loss = deltas.sum() * 0
        predicted_iou = deltas.new_zeros(0)
    else:
        iou_logits = outputs.iou_logits[image_index, anchor_index].float()  # [M]
        learnt = iou_targets
        if train.iou_target == "centreness":
            learnt = compute_centreness(anchors, matched_boxes)  # [M]
        iou_loss = compute_iou_loss(iou_logits, learnt, train).sum()
        predicted_iou = iou_logits.detach().sigmoid()
    return Losses(
        class_loss,
        box_loss * (train.box_weight / divisor),
        iou_loss * (train.iou_weight / divisor),
        deltas.new_zeros(()),
        count,
        predicted_iou,
        iou_targets.detach(),
    )


def compute_iou_loss(iou_logits: Tensor, iou_targets: Tensor, train: TrainConfig) -> Tensor:
    """Compare predicted with true IoU, [M], [M] -> [M].

    With the target's gradient attached, BCE pulls the box as well: dL/dt = log((1-u)/u) = -z,
    towards its object where u > 0.5 and away from it where u < 0.5. Clamped, only the part that
    raises t is left, for BCE dL/dt = -max(z, 0); the value of the loss stays the same.
    """
    if train.iou_target_gradient == "detached":
        iou_targets = iou_targets.detach()
    elif train.iou_target_gradient == "clamped" and iou_targets.requires_grad:
        iou_targets = iou_targets.clone()  # the hook must not act on other uses of the target
        iou_targets.register_hook(lambda gradient: gradient.clamp(max=0))  # type: ignore[no-untyped-call]
    if train.iou_loss == "bce":
        # -t log u - (1-t) log(1-u) with u = sigmoid(z): stable, and open to the target's gradient
        return F.softplus(iou_logits) - iou_targets * iou_logits
    difference = iou_logits.sigmoid() - iou_targets
    return difference.square() if train.iou_loss == "l2" else difference.abs()


def compute_centreness(anchors: Tensor, boxes: Tensor) -> Tensor:
    """Say how central each anchor's centre lies in its box, [M, 4], [M, 4] -> [M].

    sqrt(min(left, right) / max(left, right) * min(top, bottom) / max(top, bottom)) of the
    distances to the sides: 1 in the middle, 0 on a side and outside. It says nothing about how
    well the predicted box fits.
    """
    centres = (anchors[:, :2] + anchors[:, 2:]) / 2  # [M, 2]
    before = (centres - boxes[:, :2]).clamp(min=0)  # [M, 2], to the left and the top side
    after = (boxes[:, 2:] - centres).clamp(min=0)  # [M, 2]
    # one of the two is positive, since a box has an area
    ratio = torch.minimum(before, after) / torch.maximum(before, after)  # [M, 2]
    return ratio.prod(1).sqrt()


def _gather_objects(
    boxes: list[Tensor], labels: list[Tensor], matches: list[AnchorTargets]
) -> tuple[Tensor, Tensor]:
    """Return box and label of every positive anchor, image by image, [M, 4], [M]."""
    matched_boxes, matched_labels = [], []
    for image_boxes, image_labels, match in zip(boxes, labels, matches, strict=True):
        index = match.matched_index[match.positive]
        matched_boxes.append(image_boxes[index])
        matched_labels.append(image_labels[index])
    return torch.cat(matched_boxes), torch.cat(matched_labels)
