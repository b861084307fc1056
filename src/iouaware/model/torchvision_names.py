"""torchvision's RetinaNet in this package's names, and the settings under which both are one."""

from __future__ import annotations

import re
from typing import Any

from torchvision.models import detection

from iouaware.errors import CheckpointError
from iouaware.model.weight_files import StateDict

V1 = "retinanet_resnet50_fpn"
V2 = "retinanet_resnet50_fpn_v2"
WEIGHTS = {
    V1: detection.RetinaNet_ResNet50_FPN_Weights.COCO_V1,
    V2: detection.RetinaNet_ResNet50_FPN_V2_Weights.COCO_V1,
}

_NO_CLASS = ("__background__", "N/A")
_BRANCHES = {"classification_head": "class", "regression_head": "box"}
_RENAMES = (
    (r"backbone\.body\.(.+)", r"backbone.network.\1"),
    (r"backbone\.fpn\.inner_blocks\.(\d+)\.(?:0\.)?(weight|bias)", r"pyramid.laterals.\1.\2"),
    (r"backbone\.fpn\.layer_blocks\.(\d+)\.(?:0\.)?(weight|bias)", r"pyramid.smooths.\1.\2"),
    (r"backbone\.fpn\.extra_blocks\.(p6|p7)\.(.+)", r"pyramid.\1.\2"),
    (r"head\.classification_head\.cls_logits\.(.+)", r"head.class_layer.\1"),
    (r"head\.regression_head\.bbox_reg\.(.+)", r"head.box_layer.\1"),
)


def model_config_for_torchvision(name: str) -> dict[str, Any]:
    """Return the model settings under which torchvision's weights mean the same here.

    Args:
        name: ``retinanet_resnet50_fpn`` or ``retinanet_resnet50_fpn_v2``.

    Raises:
        CheckpointError: another name.
    """
    if name not in WEIGHTS:
        raise CheckpointError(
            f"torchvision:{name}: not known here; expected torchvision:{V1} or torchvision:{V2}"
        )
    settings: dict[str, Any] = {
        "backbone": "resnet50.tv_in1k",
        # the published v1 weights were trained without an epsilon
        "norm_eps": 0.0 if name == V1 else None,
        "fpn_channels": 256,
        "p6_from": "p5" if name == V1 else "c5",
        "relu_before_p7": True,
        "tower_convs": 4,
        "tower_norm": "none" if name == V1 else "group",
        "box_stds": (1.0, 1.0, 1.0, 1.0),
        "geometry": "torchvision",
    }
    return settings


def name_of_torchvision(state: StateDict) -> str | None:
    """Tell which of torchvision's RetinaNets a state dict belongs to, or None."""
    if "head.classification_head.cls_logits.weight" not in state:
        return None
    return V2 if "head.classification_head.conv.0.1.weight" in state else V1


def rename_torchvision(state: StateDict) -> StateDict:
    """Bring a state dict of torchvision's RetinaNet into this package's names.

    All rows of the class layer are kept, for COCO 91 with background at 0. Both generations of
    torchvision's own names are understood.

    Raises:
        CheckpointError: a name that its RetinaNet does not have.
    """
    return {_rename(key): value for key, value in state.items()}


def torchvision_class_names(rows: int) -> tuple[str, ...]:
    """Name the rows of a class layer: COCO's where there are 91, else empty texts.

    Background and the ids that COCO never used are empty, too, so that they match nothing.
    """
    categories = WEIGHTS[V1].meta["categories"]
    if rows != len(categories):
        return ("",) * rows
    return tuple("" if name in _NO_CLASS else name for name in categories)


def _rename(key: str) -> str:
    for pattern, replacement in _RENAMES:
        if re.fullmatch(pattern, key):
            return re.sub(pattern, replacement, key)
    tower = re.fullmatch(r"head\.(\w+)\.conv\.(\d+)\.(?:(\d)\.)?(weight|bias)", key)
    if not tower or tower[1] not in _BRANCHES:
        raise CheckpointError(f"{key}: torchvision's RetinaNet has no such weight")
    conv, layer = int(tower[2]), tower[3]
    if layer is None:  # older files count convolutions and ReLUs together
        conv, layer = conv // 2, "0"
    return f"head.{_BRANCHES[tower[1]]}_tower.{conv}.{layer}.{tower[4]}"
