"""The head of the paper: class, box and IoU branches, the same weights on all levels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from iouaware.anchors import ANCHORS_PER_LOCATION

GROUPS = 32  # torchvision's number, eight channels each at 256
INIT_STD = 0.01


class Head(nn.Module):
    """Two towers of 3x3 convolutions; the IoU branch leaves the box tower where it is told to.

    With ``shared_iou_convs`` equal to ``tower_convs`` (the paper's choice) the IoU layer reads the
    last feature of the box tower, beside the box layer. With fewer it has the missing convolutions
    for itself, so that every branch is equally deep.
    """

    def __init__(
        self,
        channels: int,
        num_classes: int,
        tower_convs: int = 4,
        tower_norm: Literal["none", "group"] = "none",
        iou_head: bool = True,
        shared_iou_convs: int = 4,
        prior_probability: float = 0.01,
    ) -> None:
        """Build the layers and draw their first weights (normal, 0.01; biases 0).

        Args:
            channels: of the pyramid and of the towers.
            num_classes: K, no background.
            tower_convs: 3x3 convolutions before the last layer of each branch.
            tower_norm: ``group`` puts GroupNorm after each of them.
            iou_head: whether there is an IoU branch.
            shared_iou_convs: convolutions of the box tower that the IoU branch shares.
            prior_probability: p of every anchor and class at the start.
        """
        super().__init__()
        self.num_classes = num_classes
        self.shared_iou_convs = shared_iou_convs
        self.class_tower = _build_tower(channels, tower_convs, tower_norm)
        self.box_tower = _build_tower(channels, tower_convs, tower_norm)
        self.class_layer = _build_last_layer(channels, num_classes)
        self.box_layer = _build_last_layer(channels, 4)
        _draw_weights(self)
        if self.class_layer.bias is not None:
            nn.init.constant_(self.class_layer.bias, prior_logit(prior_probability))
        # last, so that a seed draws the same weights for the rest whatever the IoU branch is
        self.iou_tower: nn.Sequential | None = None
        self.iou_layer: nn.Conv2d | None = None
        if iou_head:
            self.iou_tower = _build_tower(channels, tower_convs - shared_iou_convs, tower_norm)
            self.iou_layer = _build_last_layer(channels, 1)
            _draw_weights(self.iou_tower)
            _draw_weights(self.iou_layer)

    def forward(self, levels: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor | None]:
        """Compute what the network says about every anchor.

        Args:
            levels: P3 to P7, each [B, channels, H, W].

        Returns:
            ``class_logits`` [B, A, K], ``deltas`` [B, A, 4] and ``iou_logits`` [B, A] or None.
        """
        class_logits, deltas, iou_logits = [], [], []
        for level in levels:
            logits = self.class_layer(self.class_tower(level))  # [B, 9K, H, W]
            class_logits.append(_per_anchor(logits, self.num_classes))  # [B, 9HW, K]
            shared = self.box_tower[: self.shared_iou_convs](level)
            box_features = self.box_tower[self.shared_iou_convs :](shared)
            deltas.append(_per_anchor(self.box_layer(box_features), 4))  # [B, 9HW, 4]
            if self.iou_tower is not None and self.iou_layer is not None:
                logits = self.iou_layer(self.iou_tower(shared))  # [B, 9, H, W]
                iou_logits.append(_per_anchor(logits, 1).squeeze(-1))  # [B, 9HW]
        return (
            torch.cat(class_logits, dim=1),
            torch.cat(deltas, dim=1),
            torch.cat(iou_logits, dim=1) if iou_logits else None,
        )

    def iou_parameters(self) -> Iterator[nn.Parameter]:
        """Yield the parameters that only the IoU branch has."""
        for module in (self.iou_tower, self.iou_layer):
            if module is not None:
                yield from module.parameters()


def prior_logit(prior_probability: float) -> float:
    """Return the bias at which the sigmoid gives this probability."""
    return -math.log((1 - prior_probability) / prior_probability)


def _draw_weights(part: nn.Module) -> None:
    """Draw the first weights of all convolutions (normal, 0.01; biases 0)."""
    for module in part.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=INIT_STD)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _build_tower(channels: int, convs: int, norm: Literal["none", "group"]) -> nn.Sequential:
    return nn.Sequential(*(_build_tower_conv(channels, norm) for _ in range(convs)))


def _build_tower_conv(channels: int, norm: Literal["none", "group"]) -> nn.Sequential:
    """Build convolution, norm and ReLU; the norm's shift stands in for the bias."""
    conv = nn.Conv2d(channels, channels, 3, padding=1, bias=norm == "none")
    if norm == "none":
        return nn.Sequential(conv, nn.ReLU(inplace=True))
    # narrow towers keep eight channels a group where they can: one of two is hardly a statistic
    groups = math.gcd(channels, min(GROUPS, max(1, channels // 8)))
    return nn.Sequential(conv, nn.GroupNorm(groups, channels), nn.ReLU(inplace=True))


def _build_last_layer(channels: int, values: int) -> nn.Conv2d:
    """Build the convolution that gives ``values`` numbers for each anchor of a location."""
    return nn.Conv2d(channels, ANCHORS_PER_LOCATION * values, 3, padding=1)


def _per_anchor(maps: Tensor, values: int) -> Tensor:
    """Bring [B, 9 * values, H, W] into the order of the anchors, [B, 9HW, values]."""
    batch, _, height, width = maps.shape
    anchors = height * width * ANCHORS_PER_LOCATION
    return maps.permute(0, 2, 3, 1).reshape(batch, anchors, values)
