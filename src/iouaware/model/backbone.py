"""A timm network that gives the features C3, C4 and C5 (strides 8, 16, 32)."""

from __future__ import annotations

import difflib
from typing import Any

import timm
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from iouaware.errors import ConfigError, one_line

STRIDES = (8, 16, 32)
# fewer pictures say too little about mean and variance
LEAST_FOR_STATISTICS = 4


class Backbone(nn.Module):
    """Features C3, C4 and C5 of any timm network that has them.

    Weights are random until ``weights.load_backbone_weights`` fills them: building a network never
    reaches for the net or the disk. BatchNorm keeps its statistics in training too, unless
    ``learn_statistics`` is called before a step; its scale and shift learn outside the frozen
    stages.

    Attributes:
        name: what timm calls it.
        channels: of C3, C4 and C5.
        mean: of each colour, on the 0..1 scale, that the network's ImageNet weights expect.
        std: likewise.
    """

    def __init__(self, name: str, frozen_stages: int = 0, norm_eps: float | None = None) -> None:
        """Build the network with random weights.

        Args:
            name: a timm name, such as ``resnet50.tv_in1k``.
            frozen_stages: 1 fixes everything up to stride 4 (stem and first stage), 2 up to
                stride 8, and so on.
            norm_eps: epsilon of BatchNorm; None keeps the network's own.

        Raises:
            ConfigError: timm has no such network, or it has no features at strides 8, 16, 32.
        """
        super().__init__()
        self.name = name
        self.network = _build_network(name)
        levels: Any = self.network.feature_info
        self._levels = levels
        self.channels: tuple[int, ...] = tuple(levels.channels())
        source: Any = self.network.pretrained_cfg
        self.mean = _as_triple(source["mean"])
        self.std = _as_triple(source["std"])
        self._freeze(frozen_stages)
        if norm_eps is not None:
            for module in self.batch_norms():
                module.eps = norm_eps
        self.train()  # modules begin in training, and BatchNorm must not

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute C3, C4, C5 of normalised images, [B, 3, H, W] -> three [B, C, H/s, W/s]."""
        features: list[Tensor] = self.network(images)
        return features

    def train(self, mode: bool = True) -> Backbone:
        """Switch to training or evaluation; both fix BatchNorm's statistics."""
        super().train(mode)
        for module in self.batch_norms():
            module.eval()
        return self

    def learn_statistics(self, images: int) -> None:
        """Let BatchNorm learn its statistics from the next batch, until ``train`` or ``eval``.

        Frozen layers never do, and none does from fewer than four pictures.

        Args:
            images: pictures in the batch.
        """
        for module in self.batch_norms():
            module.train(images >= LEAST_FOR_STATISTICS and module.weight.requires_grad)

    def batch_norms(self) -> list[_BatchNorm]:
        """List all BatchNorm layers."""
        return [module for module in self.modules() if isinstance(module, _BatchNorm)]

    def _freeze(self, stages: int) -> None:
        """Fix all parameters up to the end of a stage; stage n ends at stride 2^(n+1)."""
        if stages == 0:
            return
        stride = 2 ** (stages + 1)
        ends = [level["module"] for level in self._levels.info if level["reduction"] == stride]
        if not ends:
            raise ConfigError(
                f"model.frozen_stages is {stages}: {self.name} has no stage that ends at stride "
                f"{stride}; use --model.frozen_stages 0"
            )
        # timm flattens some networks: stages.0 becomes stages_0
        prefixes = (f"{ends[-1]}.", f"{ends[-1].replace('.', '_')}.")
        parameters = list(self.network.named_parameters())  # in the order of the data's way
        last = max(i for i, (name, _) in enumerate(parameters) if name.startswith(prefixes))
        for _, parameter in parameters[: last + 1]:
            parameter.requires_grad_(False)


def _build_network(name: str) -> nn.Module:
    """Ask timm for a network that ends at stride 32 and returns strides 8, 16, 32."""
    bare_name = name.partition(".")[0]
    if not timm.is_model(bare_name):
        near = difflib.get_close_matches(bare_name, timm.list_models(), n=3)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise ConfigError(f"model.backbone is {name}: timm has no such network{hint}")
    try:
        whole: Any = timm.create_model(name, features_only=True)
        levels = list(whole.feature_info.reduction())
        indices = [len(levels) - 1 - levels[::-1].index(stride) for stride in STRIDES]
        network: nn.Module = timm.create_model(name, features_only=True, out_indices=indices)
    except (ValueError, RuntimeError, AttributeError, AssertionError, TypeError) as error:
        raise ConfigError(
            f"model.backbone is {name}: it does not give features at strides 8, 16 and 32 "
            f"({one_line(error)}); take a convolutional one, such as resnet50.tv_in1k"
        ) from error
    if str(getattr(network, "output_fmt", "NCHW")).rpartition(".")[2] != "NCHW":
        raise ConfigError(
            f"model.backbone is {name}: its features are no [B, C, H, W] maps; take a "
            "convolutional one, such as resnet50.tv_in1k"
        )
    return network


def _as_triple(values: tuple[float, ...]) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
