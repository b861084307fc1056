"""A second look at the best boxes' own pixels: the IoU of each with an object of its class.

The IoU branch answers before the box is decoded, the same for all classes, and knows objects
only. Here the features inside the predicted box are pooled (RoIAlign, arXiv:1703.06870) and a
thin network says, class by class, how well the box fits an object of that class: 0 where there is
none. It learns from good and bad boxes alike, and sends no gradient into the rest of the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812  (torch's own convention)
from torch import Tensor, nn
from torchvision.ops import roi_align

from iouaware.anchors import STRIDES

LEVELS = 3  # P3 to P5
GRID = 5  # cells a side of a pooled box
SAMPLES = 2  # points a side of a cell
WIDEN = 1.3  # a little of what surrounds a box tells where it should end
FINEST_SIDE = 56.0  # px, sqrt of the area that P3 shows best; P4 shows twice this side best
REDUCED, HIDDEN = 32, 128
GAP = 1  # empty columns between the levels laid side by side
LOGIT_SCALE = 0.2  # brings logits near -1 to 1


class BoxInputs(NamedTuple):
    """What is known of n boxes of each of B pictures before they are looked at.

    Attributes:
        boxes: [B, n, 4] px of the canvas.
        class_logits: of the boxes' anchors, [B, n, K].
        iou_logits: of the boxes' anchors, [B, n].
    """

    boxes: Tensor
    class_logits: Tensor
    iou_logits: Tensor

    def take(self, rows: Tensor) -> BoxInputs:
        """Choose boxes of each picture, [B, n] indices."""
        return BoxInputs(
            take_rows(self.boxes, rows),
            take_rows(self.class_logits, rows),
            self.iou_logits.gather(1, rows),
        )


class SecondLook(nn.Module):
    """Says how well each box fits an object of each class."""

    def __init__(self, channels: int, num_classes: int) -> None:
        """Build the layers.

        Args:
            channels: of the pyramid.
            num_classes: K.
        """
        super().__init__()
        self.reduce = nn.Conv2d(channels, REDUCED, 1, bias=False)
        self.shift = nn.Parameter(torch.zeros(REDUCED))
        self.hidden = nn.Linear(REDUCED * GRID * GRID, HIDDEN)
        # beside what it sees: what the network thought of the box, and the box's size
        self.fit_layer = nn.Linear(HIDDEN + num_classes + 2, num_classes)
        nn.init.normal_(self.fit_layer.weight, std=0.01)
        nn.init.zeros_(self.fit_layer.bias)

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in: its weights' type, whatever the network around it ran in."""
        return self.reduce.weight.dtype

    def forward(self, features: Sequence[Tensor], inputs: BoxInputs) -> Tensor:
        """Look at n boxes of each of B pictures.

        Args:
            features: P3 to P5, [B, channels, H, W] each.
            inputs: the boxes.

        Returns:
            Logits of the IoU with an object of each class, [B, n, K].
        """
        boxes, class_logits, iou_logits = inputs
        pictures, count = boxes.shape[:2]
        seen = self._reduce_pooled(features, boxes).flatten(1)
        seen = F.relu(self.hidden(seen))  # [B * n, HIDDEN]
        sides = (boxes[..., 2:] - boxes[..., :2]).clamp(min=1)  # [B, n, 2]
        known = torch.cat(
            [
                class_logits * LOGIT_SCALE,
                iou_logits[..., None] * LOGIT_SCALE,
                sides.prod(dim=2, keepdim=True).log() * (LOGIT_SCALE / 2),
            ],
            dim=2,
        )  # [B, n, K + 2]
        logits: Tensor = self.fit_layer(torch.cat([seen, known.flatten(0, 1)], dim=1))
        return logits.view(pictures, count, class_logits.shape[2])

    def _reduce_pooled(self, features: Sequence[Tensor], boxes: Tensor) -> Tensor:
        """Pool each box and reduce its channels, [B * n, REDUCED, GRID, GRID].

        Both are linear and commute. Reducing first leaves less to pool; pooling first leaves no
        gradient for RoIAlign, whose backward pass is slow.
        """
        if self.training:
            pooled = self.reduce(pool_boxes(features, boxes))
        else:
            pooled = pool_boxes([self.reduce(level) for level in features], boxes)
        return F.relu(pooled + self.shift[:, None, None])


def take_rows(values: Tensor, rows: Tensor) -> Tensor:
    """Pick rows of each picture, [B, A, F], [B, n] -> [B, n, F]."""
    return values.gather(1, rows[..., None].expand(-1, -1, values.shape[-1]))


def pool_boxes(levels: Sequence[Tensor], boxes: Tensor) -> Tensor:
    """Pool each box from the level that fits its size.

    The levels are laid side by side, so that one operation serves all of them.

    Args:
        levels: P3 to P5, [B, channels, H, W] each.
        boxes: [B, n, 4] px of the canvas.

    Returns:
        [B * n, channels, GRID, GRID].
    """
    height, width = levels[0].shape[2:]
    strips, starts, start = [], [], 0
    for level in levels:
        strips.append(F.pad(level, (0, GAP, 0, height - level.shape[2])))
        starts.append(start)
        start = start + level.shape[3] + GAP
    canvas = torch.cat(strips, dim=3)  # [B, channels, H, W + W/2 + W/4 + gaps]
    wide = widen(boxes, (height * STRIDES[0], width * STRIDES[0]))  # [B, n, 4] px
    choice = level_of(boxes)[..., None]  # [B, n, 1]
    placed = wide / STRIDES[0]
    for number in range(1, len(levels)):
        shifted = wide / STRIDES[number] + _along_x(starts[number], wide)
        placed = torch.where(choice == number, shifted, placed)
    picture = torch.arange(boxes.shape[0], device=boxes.device)[:, None, None]
    rows = torch.cat([picture.expand(-1, boxes.shape[1], 1).to(placed), placed], dim=2)
    pooled: Tensor = roi_align(canvas, rows.flatten(0, 1), GRID, 1.0, SAMPLES, aligned=True)
    return pooled


def widen(boxes: Tensor, canvas_hw: tuple[int, int]) -> Tensor:
    """Enlarge boxes about their centres, as far as the canvas goes, [..., 4] px."""
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    half = (boxes[..., 2:] - boxes[..., :2]).clamp(min=1) * (WIDEN / 2)
    low, high = centre - half, centre + half
    x1, y1, x2, y2 = *low.unbind(-1), *high.unbind(-1)
    height, width = canvas_hw  # yet unknown in an export for any size, where clip_boxes fails
    return torch.stack(
        [x1.clamp(0, width), y1.clamp(0, height), x2.clamp(0, width), y2.clamp(0, height)], dim=-1
    )


def level_of(boxes: Tensor) -> Tensor:
    """Say which level shows a box best, 0 for P3, [..., 4] px -> [...]."""
    sides = (boxes[..., 2:] - boxes[..., :2]).clamp(min=1)
    octave = torch.log2(sides.prod(dim=-1).sqrt() / FINEST_SIDE)
    return octave.round().clamp(0, LEVELS - 1)


def _along_x(start: int, boxes: Tensor) -> Tensor:
    """Return what moves boxes right by so many cells, [4]."""
    moved = torch.zeros(4, dtype=boxes.dtype, device=boxes.device)
    moved[0::2] = start
    return moved
