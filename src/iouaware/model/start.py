"""Starting from a whole detector: an earlier run, or torchvision's RetinaNet trained on COCO."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from iouaware.anchors import ANCHORS_PER_LOCATION
from iouaware.config import build_config
from iouaware.errors import CheckpointError, one_line
from iouaware.model.detector import Detector
from iouaware.model.torchvision_names import (
    V1,
    WEIGHTS,
    model_config_for_torchvision,
    name_of_torchvision,
    rename_torchvision,
    torchvision_class_names,
)
from iouaware.model.weight_files import (
    StateDict,
    fetch_state_dict,
    find_model_file,
    is_own_model,
    read_model_info,
    read_state_dict,
)

TORCHVISION = "torchvision:"
_CLASS_LAYER = ("head.class_layer.",)
_CLASS_WEIGHTS = ("head.class_layer.weight", "head.class_layer.bias")
_IOU_BRANCH = ("head.iou_layer.", "head.iou_tower.")
_SECOND_LOOK = ("second_look.",)
_COUNTER = "num_batches_tracked"
# what says how a network was trained rather than what it is
_OF_TRAINING = {"weights", "frozen_stages", "batch_norm", "prior_probability"}
# settings that may differ between the weights and the run that starts from them
_FREE_SETTINGS = _OF_TRAINING | {"iou_head", "shared_iou_convs", "second_look"}


class _Source(NamedTuple):
    """Weights in this package's names, the settings they need, and the class of each row."""

    state: StateDict
    settings: dict[str, Any]
    class_names: tuple[str, ...]


def start_from(
    detector: Detector,
    source: str,
    class_names: tuple[str, ...],
    *,
    all_classes: bool = False,
    iou_branch: bool = False,
) -> str:
    """Fill a detector with the weights of another one.

    The class layer is taken over row by row, by name; classes that the source does not know keep
    their new weights. A state dict of torchvision's names none unless they are COCO's: there the
    rows behind the background are taken in order, where they are as many. The IoU branch is new
    where the source has none, or one of another shape.

    Args:
        detector: changed in place; built with ``model_settings_of(source)``.
        source: a run folder, a model file, ``torchvision:retinanet_resnet50_fpn`` (or ``_v2``), or
            a file with its state dict.
        class_names: K names, in the order of the detector's labels.
        all_classes: refuse weights that do not know every class: no class is going to be learnt.
        iou_branch: refuse weights without one of this shape: none is going to be learnt.

    Returns:
        A few words on what was loaded and what is new.

    Raises:
        CheckpointError: the weights cannot be had, are of another network than the settings
            describe, or lack a class that is asked for.
        ValueError: the number of names is not the detector's.
    """
    if len(class_names) != detector.num_classes:
        raise ValueError(f"{len(class_names)} names for a detector of {detector.num_classes}")
    found = _open(source)
    in_order = not any(found.class_names) and len(found.class_names) == len(class_names) + 1
    if in_order:
        found = found._replace(class_names=("", *class_names))  # background, then ours
    mine = detector.config.model_dump()
    for key, value in found.settings.items():
        if key not in _FREE_SETTINGS and mine[key] != value:
            raise CheckpointError(
                f"{source}: needs model.{key} {value}, found {mine[key]}; leave it out, or pass "
                f"--model.{key} {value}"
            )
    own = detector.state_dict()
    _refuse_strangers(found, own, source, detector.config.backbone)
    shared = found.settings.get("shared_iou_convs")
    has_iou = shared in (None, detector.config.shared_iou_convs) and _has(found, own, _IOU_BRANCH)
    has_look = found.class_names == class_names and _has(found, own, _SECOND_LOOK)
    if iou_branch and not has_iou:
        raise CheckpointError(
            f"{source}: it has no IoU branch of this shape, and with train.iou_weight 0 none is "
            "learnt; expected a weight above 0, or --model.iou_head false"
        )
    new = _CLASS_LAYER + (() if has_iou else _IOU_BRANCH) + (() if has_look else _SECOND_LOOK)
    state = {**own}
    for key in own:
        if key.startswith(new):
            continue
        if key in found.state:
            state[key] = found.state[key]
        elif not key.endswith(_COUNTER):  # FrozenBatchNorm2d has no such counter
            raise CheckpointError(f"{source}: {key} is missing; expected a whole detector")
    matched = _take_classes(state, found, class_names)
    lacking = [name for name in class_names if name not in matched]
    if all_classes and lacking:
        raise CheckpointError(
            f"{source}: it does not know {', '.join(map(repr, lacking[:3]))}"
            f"{', ...' if len(lacking) > 3 else ''}, and with train.freeze all-but-iou no class is "
            "learnt; name the classes as it does, or train all: iouaware train DATA --from "
            f"{source}"
        )
    try:
        detector.load_state_dict(state)
    except RuntimeError as error:
        reason = one_line(error, 300)
        raise CheckpointError(f"{source}: does not fit the network: {reason}") from error
    described = _describe(matched, class_names, in_order)
    described += ", IoU branch new" if detector.config.iou_head and not has_iou else ""
    described += ", second look new" if detector.second_look is not None and not has_look else ""
    return f"weights from {source}, {described}"


def _refuse_strangers(found: _Source, own: StateDict, source: str, backbone: str) -> None:
    """Refuse weights that a network like this has no place for: they are of a deeper one.

    Raises:
        CheckpointError: there are such weights, or the class layer does not fit the class names.
    """
    replaced = (*_CLASS_LAYER, *_IOU_BRANCH, *_SECOND_LOOK)
    for key in found.state:
        if key not in own and not key.startswith(replaced) and not key.endswith(_COUNTER):
            raise CheckpointError(
                f"{source}: {key} has no place in a detector with {backbone}; expected the weights "
                "of one"
            )
    for key in _CLASS_WEIGHTS:
        rows = found.state[key].shape[0] if key in found.state else 0
        if rows != ANCHORS_PER_LOCATION * len(found.class_names):
            raise CheckpointError(
                f"{source}: {key} has {rows} rows, expected {ANCHORS_PER_LOCATION} anchors x "
                f"{len(found.class_names)} classes"
            )


def _has(found: _Source, own: StateDict, part: tuple[str, ...]) -> bool:
    """Tell whether the weights found include a part of the network, in its shapes."""
    return all(
        key in found.state and found.state[key].shape == value.shape
        for key, value in own.items()
        if key.startswith(part)
    )


def model_settings_of(source: str) -> dict[str, Any]:
    """Return the model settings that a detector needs to start from these weights.

    Args:
        source: as in ``start_from``.

    Returns:
        Values by their names in ``ModelConfig``; where the weights of a run come from and what it
        froze are its own affair, and left out.

    Raises:
        CheckpointError: no such weights, or of no known network.
    """
    if source.startswith(TORCHVISION):
        return model_config_for_torchvision(source.removeprefix(TORCHVISION))
    settings = _open(source).settings
    return {key: value for key, value in settings.items() if key not in _OF_TRAINING}


def _open(source: str) -> _Source:
    """Read weights and find out what they are of."""
    if source.startswith(TORCHVISION):
        state = _fetch_torchvision(source.removeprefix(TORCHVISION))
        return _as_torchvision(source, state)
    path = Path(source)
    if path.is_dir() or is_own_model(path):
        info = read_model_info(path)
        settings = build_config(info.config, where=source).model.model_dump()
        return _Source(read_state_dict(find_model_file(path)), settings, info.class_names)
    return _as_torchvision(source, read_state_dict(path))


def _as_torchvision(source: str, state: StateDict) -> _Source:
    name = name_of_torchvision(state)
    if name is None:
        raise CheckpointError(
            f"{source}: neither a model of this package nor a state dict of torchvision's "
            "RetinaNet; weights of a backbone alone go to --model.weights FILE"
        )
    anchors = len(state.get("head.regression_head.bbox_reg.bias", ())) // 4
    if anchors != ANCHORS_PER_LOCATION:
        raise CheckpointError(
            f"{source}: {anchors} anchors at a location, expected torchvision's own "
            f"{ANCHORS_PER_LOCATION}, of three sizes and three shapes"
        )
    rows = len(state.get("head.classification_head.cls_logits.bias", ())) // ANCHORS_PER_LOCATION
    settings = model_config_for_torchvision(name)
    if name == V1 and any(key.endswith("num_batches_tracked") for key in state):
        settings["norm_eps"] = None  # trained from scratch, with torch's BatchNorm and its epsilon
    return _Source(rename_torchvision(state), settings, torchvision_class_names(rows))


def _fetch_torchvision(name: str) -> StateDict:
    model_config_for_torchvision(name)  # the one place that knows the names
    weights = WEIGHTS[name]
    try:
        return fetch_state_dict(weights.url, check_hash=True)
    except (OSError, RuntimeError) as error:
        reason = one_line(error, 120)
        raise CheckpointError(
            f"{TORCHVISION}{name}: could not be downloaded ({reason}): get {weights.url} on a "
            "machine that can, and pass it with --from FILE"
        ) from error


def _take_classes(state: StateDict, found: _Source, class_names: tuple[str, ...]) -> list[str]:
    """Copy the rows of classes that both sides know; return their names."""
    rows = {_spelled(name): row for row, name in enumerate(found.class_names) if name}
    pairs = [
        (label, rows[_spelled(name)])
        for label, name in enumerate(class_names)
        if _spelled(name) in rows
    ]
    here = [label for label, _ in pairs]
    there = [row for _, row in pairs]
    for key in _CLASS_WEIGHTS:
        theirs = _per_class(found.state[key], len(found.class_names))
        mine = _per_class(state[key], len(class_names)).clone()
        if mine.shape[2:] != theirs.shape[2:]:
            continue  # another width: loading the rest says so
        mine[:, here] = theirs[:, there].to(torch.float32)
        state[key] = mine.flatten(0, 1)
    return [class_names[label] for label in here]


def _per_class(values: Tensor, classes: int) -> Tensor:
    """See the channels as [9, classes, ...]."""
    return values.reshape(ANCHORS_PER_LOCATION, classes, *values.shape[1:])


def _spelled(name: str) -> str:
    """Make names equal that differ in case, spaces, hyphens or underscores only."""
    return name.strip().casefold().replace("_", " ").replace("-", " ")


def _describe(matched: list[str], class_names: tuple[str, ...], in_order: bool) -> str:
    if len(matched) == len(class_names):
        text = (
            f"all classes by {'their order, which the file does not name' if in_order else 'name'}"
        )
    elif matched:
        shown = ", ".join(matched[:5]) + (", ..." if len(matched) > 5 else "")
        text = f"{len(matched)} of {len(class_names)} classes by name ({shown}), the others new"
    else:
        text = "class layer new"
    return text
