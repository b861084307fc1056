"""Models of random weights whose class layer says enough to keep post-processing busy.

Used by ``inference.py`` and ``sizes.py``; a model's speed does not depend on what it learnt, but
on how many boxes it finds.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

LOGIT_SPREAD = 0.5  # standard deviation about the prior of 0.01: some hundred pairs pass 0.05
P_FLOOR = 0.05  # torchvision's own
FORMS = {"onnx": ".onnx", "openvino": ".xml", "int8": ".xml"}
CALIBRATION_PICTURES = 8


def write_like_torchvision(folder: Path, name: str, image_size: int) -> None:
    """Write one set of weights as torchvision's and as ours, with the IoU branch and without.

    Args:
        folder: gets ``torchvision.pth``, ``iou-True.safetensors`` and ``iou-False.safetensors``.
        name: of torchvision's builder.
        image_size: side of the canvas in px.
    """
    import torch
    from torchvision.models import detection

    from iouaware.config import build_config
    from iouaware.model.detector import Detector
    from iouaware.model.torchvision_names import model_config_for_torchvision, rename_torchvision

    torch.manual_seed(0)
    theirs: Any = getattr(detection, name)(weights=None, weights_backbone=None).eval()
    layer = theirs.head.classification_head.cls_logits
    with torch.no_grad():
        features = list(theirs.backbone(torch.randn(1, 3, image_size, image_size)).values())
        layer.weight.mul_(LOGIT_SPREAD / theirs.head(features)["cls_logits"].std())
    torch.save(theirs.state_dict(), folder / "torchvision.pth")
    for branch in (True, False):
        settings = model_config_for_torchvision(name) | {"iou_head": branch}
        config = build_config({"model": settings, "data": {"image_size": image_size}})
        ours = Detector(config.model, layer.bias.numel() // 9)
        ours.load_state_dict(rename_torchvision(theirs.state_dict()), strict=False)
        _write(folder / f"iou-{branch}.safetensors", ours, config)


def write_small(path: Path, image_size: int, classes: int) -> None:
    """Write a detector of the ``small`` recipe."""
    import torch

    from iouaware.config import read_config
    from iouaware.model.detector import Detector

    torch.manual_seed(0)
    config = read_config("small", {"data.image_size": image_size})
    ours = Detector(config.model, classes).eval()
    layer: Any = ours.head.class_layer
    with torch.no_grad():
        logits = ours(torch.randn(1, 3, image_size, image_size)).class_logits
        layer.weight.mul_(LOGIT_SPREAD / logits.std())
    _write(path, ours, config)


def _write(path: Path, detector: Any, config: Any) -> None:
    from iouaware.checkpoint import write_model
    from iouaware.structures import ModelInfo

    inference = config.inference.model_copy(update={"p_floor": P_FLOOR})
    names = tuple(f"class {label}" for label in range(detector.head.num_classes))
    info = ModelInfo(
        class_names=names,
        category_ids=tuple(range(len(names))),
        alpha=0.5 if config.model.iou_head else 1.0,
        score_thresholds={},
        mean=detector.mean,
        std=detector.std,
        has_iou=config.model.iou_head,
        config=config.model_copy(update={"inference": inference}).model_dump(mode="json"),
    )
    write_model(path, detector, info)


def export_forms(weights: Path, data: Path) -> dict[str, Path]:
    """Export a model to ``onnx``, ``openvino`` and ``int8``, which is OpenVINO's.

    As ``iouaware export`` does, but without comparing: what these models say is noise.

    Args:
        weights: the model file.
        data: a data set, on whose training part INT8 finds its ranges.

    Returns:
        The file of each form, beside the weights.
    """
    from iouaware.checkpoint import read_model
    from iouaware.data.layouts import read_split
    from iouaware.exporting.export import ExportPlan, describe_export
    from iouaware.exporting.int8 import SAFE_BITS, calibration_feeds, quantise_openvino
    from iouaware.exporting.onnx_file import write_onnx, write_onnx_metadata
    from iouaware.exporting.openvino_file import read_onnx_as_openvino, write_openvino
    from iouaware.exporting.pictures import read_spread
    from iouaware.images import canvas_fill
    from iouaware.inference.export_metadata import write_metadata

    files = {form: weights.with_name(f"{form}{suffix}") for form, suffix in FORMS.items()}
    detector, model = read_model(weights)
    info = describe_export(model, ExportPlan())
    entries = write_metadata(info)
    write_onnx(detector, info, files["onnx"], None)
    write_onnx_metadata(files["onnx"], entries)
    write_openvino(read_onnx_as_openvino(files["onnx"]), files["openvino"], entries)
    images = read_spread(read_split(data, "train"), CALIBRATION_PICTURES)
    size, fill = model.config["data"]["image_size"], canvas_fill(model.mean)
    feeds = calibration_feeds(images, size, fill, ("alpha", "score_threshold"))
    floating = read_onnx_as_openvino(files["onnx"])
    quantised = quantise_openvino(files["onnx"], floating, feeds, SAFE_BITS)
    write_openvino(quantised, files["int8"], write_metadata(replace(info, precision="int8")))
    return files
