"""The feature pyramid: P3 to P7 from C3 to C5."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812  (torch's own convention)
from torch import Tensor, nn


class FeaturePyramid(nn.Module):
    """Top-down pyramid with two coarser levels on top, without norm layers.

    P5 is C5 seen through a 1x1 convolution; P4 and P3 add the level above, enlarged by nearest
    neighbours; a 3x3 convolution smooths each. P6 and P7 are strided 3x3 convolutions.
    Source: arXiv:1612.03144 and 1708.02002.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int = 256,
        p6_from: Literal["c5", "p5"] = "c5",
        relu_before_p7: bool = False,
    ) -> None:
        """Build the layers.

        Args:
            in_channels: of C3, C4, C5.
            channels: of every level.
            p6_from: what P6 is computed from; the paper's code takes C5.
            relu_before_p7: ReLU between P6 and P7; the paper's code has none.
        """
        super().__init__()
        self.p6_from = p6_from
        self.relu_before_p7 = relu_before_p7
        self.laterals = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in in_channels)
        self.smooths = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1) for _ in in_channels
        )
        p6_channels = in_channels[-1] if p6_from == "c5" else channels
        self.p6 = nn.Conv2d(p6_channels, channels, 3, stride=2, padding=1)
        self.p7 = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Compute P3 to P7, each [B, channels, H/s, W/s] with s = 8, 16, 32, 64, 128.

        Args:
            features: C3, C4, C5.
        """
        merged = [lateral(c) for lateral, c in zip(self.laterals, features, strict=True)]
        for level in range(len(merged) - 2, -1, -1):
            above = F.interpolate(merged[level + 1], size=merged[level].shape[-2:], mode="nearest")
            merged[level] = merged[level] + above
        levels = [smooth(p) for smooth, p in zip(self.smooths, merged, strict=True)]
        p6 = self._halve(self.p6, features[-1] if self.p6_from == "c5" else levels[-1])
        p7 = self._halve(self.p7, F.relu(p6) if self.relu_before_p7 else p6)
        return [*levels, p6, p7]

    def _halve(self, conv: nn.Module, features: Tensor) -> Tensor:
        """Run a 3x3 conv of stride 2, [B, C, H, W] -> [B, C', H/2, W/2].

        On maps of width 1 (canvases of 64 px or less) it trains in float32: the processor's
        bfloat16 kernel leaves values that nobody wrote in the gradient of its weights (torch 2.14).
        """
        if not self.training or features.shape[-1] > 1:
            halved: Tensor = conv(features)
            return halved
        with torch.autocast(features.device.type, enabled=False):
            halved = conv(features.float())
        return halved
