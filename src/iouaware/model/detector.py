"""The whole network: picture in, what it says about every anchor out."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from iouaware.anchors import STRIDES, build_anchors, level_sizes
from iouaware.boxes import clip_boxes, decode_boxes
from iouaware.config import ModelConfig
from iouaware.model.backbone import Backbone
from iouaware.model.head import Head
from iouaware.model.pyramid import FeaturePyramid
from iouaware.model.second_look import LEVELS, BoxInputs, SecondLook, take_rows
from iouaware.structures import HeadOutputs

CANVAS_MULTIPLE = 32  # so that every level halves exactly and the anchors' grid fits

Triple = tuple[float, float, float]


class Detector(nn.Module):
    """RetinaNet with an IoU branch; the same output in training and evaluation.

    Attributes:
        config: what it was built from.
        num_classes: K, no background.
        mean: of each colour on the 0..1 scale, taken off by ``normalise``.
        std: likewise, divided by.
        backbone: C3 to C5.
        pyramid: P3 to P7.
        head: class, box and IoU branches.
        second_look: None without one.
    """

    def __init__(
        self,
        config: ModelConfig,
        num_classes: int,
        *,
        mean: Triple | None = None,
        std: Triple | None = None,
    ) -> None:
        """Build the network with random weights.

        Args:
            config: the network's settings.
            num_classes: K, at least 1.
            mean: of each colour, 0..1; None takes what the backbone's ImageNet weights expect.
            std: likewise.

        Raises:
            ConfigError: no such backbone.
            ValueError: no classes.
        """
        super().__init__()
        if num_classes < 1:
            raise ValueError(f"num_classes is {num_classes}, expected at least 1")
        self.config = config
        self.num_classes = num_classes
        self.backbone = Backbone(config.backbone, config.frozen_stages, config.norm_eps)
        self.pyramid = FeaturePyramid(
            self.backbone.channels, config.fpn_channels, config.p6_from, config.relu_before_p7
        )
        self.head = Head(
            config.fpn_channels,
            num_classes,
            config.tower_convs,
            config.tower_norm,
            config.iou_head,
            config.shared_iou_convs,
            config.prior_probability,
        )
        self.second_look: SecondLook | None = None
        if config.iou_head and config.second_look:  # last: the others start as without it
            self.second_look = SecondLook(config.fpn_channels, num_classes)
        self.mean: Triple = mean or self.backbone.mean
        self.std: Triple = std or self.backbone.std
        # of the last canvas; no buffer, since averaging and DDP want buffers of one size, and one
        # pair, so that threads never see a half of each
        self._anchors_of_hw = ((0, 0), torch.zeros(0, 4))

    def normalise(self, images: Tensor) -> Tensor:
        """Turn pixels into what ``forward`` takes, uint8 [B, 3, H, W] -> float32."""
        mean = torch.tensor(self.mean, device=images.device).mul(255).view(3, 1, 1)
        std = torch.tensor(self.std, device=images.device).mul(255).view(3, 1, 1)
        return (images.float() - mean) / std  # [B, 3, H, W]

    def forward(self, images: Tensor) -> HeadOutputs:
        """Compute class, box and IoU outputs of every anchor.

        Args:
            images: normalised, [B, 3, H, W]; H and W multiples of 32.

        Raises:
            ValueError: H or W is no multiple of 32.
        """
        height, width = images.shape[-2:]
        if height % CANVAS_MULTIPLE or width % CANVAS_MULTIPLE:
            raise ValueError(
                f"images are {height} x {width} px, expected multiples of {CANVAS_MULTIPLE}: "
                "pad them right and bottom"
            )
        # a compiler stops here: before the network, so that all of it becomes one graph
        anchors, sizes = self._anchors_of((height, width), images.device)
        levels = self.pyramid(self.backbone(images))
        features = None if self.second_look is None else tuple(levels[:LEVELS])
        class_logits, deltas, iou_logits = self.head(levels)
        return HeadOutputs(class_logits, deltas, iou_logits, anchors, sizes, features)

    def box_inputs(self, outputs: HeadOutputs, anchor_index: Tensor) -> BoxInputs:
        """Return what a second look needs of chosen anchors; nothing flows back into ``outputs``.

        Args:
            outputs: of ``forward``.
            anchor_index: [B, n].

        Raises:
            ValueError: the detector has no second look.
        """
        look, features, iou_logits = self._needed_to_look(outputs)
        boxes = decode_boxes(
            take_rows(outputs.deltas.detach(), anchor_index).to(look.dtype),
            outputs.anchors[anchor_index],
            self.config.box_stds,
            clamp_below=self.config.geometry == "plain",
        )  # [B, n, 4]
        height, width = (STRIDES[0] * side for side in features[0].shape[2:])
        return BoxInputs(
            # a diverged network has boxes that are no numbers, and RoIAlign would read anywhere
            clip_boxes(boxes.nan_to_num(), (height, width)),
            take_rows(outputs.class_logits.detach(), anchor_index).to(look.dtype),
            iou_logits.detach().gather(1, anchor_index).to(look.dtype),
        )

    def look_again(self, outputs: HeadOutputs, inputs: BoxInputs) -> Tensor:
        """Look at the pixels of boxes, in float32; nothing flows back into ``outputs``.

        Args:
            outputs: of ``forward``.
            inputs: n boxes of each of B pictures.

        Returns:
            Logits of the IoU of each box with an object of each class, [B, n, K].

        Raises:
            ValueError: the detector has no second look.
        """
        look, features, _ = self._needed_to_look(outputs)
        return cast("Tensor", look([level.detach().to(look.dtype) for level in features], inputs))

    def _needed_to_look(
        self, outputs: HeadOutputs
    ) -> tuple[SecondLook, tuple[Tensor, ...], Tensor]:
        if self.second_look is None or outputs.features is None or outputs.iou_logits is None:
            raise ValueError("this detector has no second look: model.second_look is off")
        return self.second_look, outputs.features, outputs.iou_logits

    def decode(self, outputs: HeadOutputs) -> Tensor:
        """Turn the deltas of all anchors into boxes in input px, float32 [B, A, 4], not clipped."""
        boxes = decode_boxes(
            outputs.deltas.float(),
            outputs.anchors,
            self.config.box_stds,
            clamp_below=self.config.geometry == "plain",
        )
        return cast("Tensor", boxes)

    @torch.compiler.disable  # type: ignore[untyped-decorator]  # numpy: nothing to trace
    def _anchors_of(
        self, canvas_hw: tuple[int, int], device: torch.device
    ) -> tuple[Tensor, tuple[int, ...]]:
        """Return the anchors of a canvas, [A, 4] float32, and how many each level has."""
        known_hw, anchors = self._anchors_of_hw
        if known_hw != canvas_hw or anchors.device != device:
            with torch.inference_mode(False):  # training may need what validation built
                anchors = torch.tensor(
                    build_anchors(canvas_hw, self.config.geometry), device=device
                )
            self._anchors_of_hw = canvas_hw, anchors
        return anchors, level_sizes(canvas_hw)
