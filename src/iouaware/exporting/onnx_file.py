"""The ONNX file: written by torch's exporter, with the metadata in it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from iouaware.config import InferenceConfig
from iouaware.errors import ExportError, one_line
from iouaware.exporting.graph import BakedGraph, CandidateGraph, DetectionGraph
from iouaware.exporting.padding import fix_padding
from iouaware.exporting.quiet import silence
from iouaware.exporting.suppression import translation_table
from iouaware.inference.export_metadata import ExportInfo
from iouaware.inference.extras import import_extra
from iouaware.model.detector import Detector

OPSETS = range(18, 24)  # what torch's exporter writes
TRACED_BATCH = 2  # 1 would be taken for a constant
LARGEST_BATCH = 1024
LARGEST_CELLS = 128  # of 32 px each way: 4,096 px
TRACED_CELLS = (6, 7)  # when the size is dynamic; unequal, so that the sides are not tied


def write_onnx(detector: Detector, info: ExportInfo, path: Path, opset: int | None = None) -> None:
    """Export a detector without metadata; ``write_onnx_metadata`` puts it in.

    Args:
        detector: with its weights; left as it is.
        info: says what the graph is to be.
        path: the file.
        opset: one of ``OPSETS``; None takes the exporter's own.

    Raises:
        ConfigError: a package of the extra is missing.
        ExportError: the exporter cannot handle the network.
    """
    for package in ("onnx", "onnxscript"):
        import_extra(package)
    graph = build_graph(detector, info)
    cells = (info.canvas_hw[0] // 32, info.canvas_hw[1] // 32) if info.canvas_hw else TRACED_CELLS
    images = torch.zeros(TRACED_BATCH, 3, 32 * cells[0], 32 * cells[1], dtype=torch.uint8)
    knobs = {} if info.is_bare else {"alpha": 1.0, "score_threshold": 0.0}
    inputs = (images, *(torch.tensor(value) for value in knobs.values()))
    with torch.inference_mode():
        names = list(graph(*inputs))
    shapes = (_dynamic_shapes(info.canvas_hw is None), *(None for _ in knobs))
    try:
        # the exporter speaks of its own inside
        quiet = silence("torch.onnx", "torch.export", "onnxscript")
        with quiet, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                graph,
                inputs,
                dynamo=True,
                verbose=False,
                input_names=["images", *knobs],
                output_names=names,
                dynamic_shapes=shapes,
                opset_version=opset,
                custom_translation_table=translation_table(),
            )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
        reason = one_line(error, 300)
        raise ExportError(
            f"{path}: torch's exporter cannot write this network: {reason}"
        ) from error
    if program is None:
        raise ExportError(f"{path}: torch's exporter gave nothing back")
    program.save(path, external_data=False)


def build_graph(detector: Detector, info: ExportInfo) -> nn.Module:
    """Build the module that is exported, from a copy of the detector."""
    copy = deepcopy(detector).float().eval()
    fix_padding(copy.backbone)
    settings = InferenceConfig.model_validate(info.model.config.get("inference", {}))
    bare = info.end == "candidates"  # for devices without NMS
    candidates = CandidateGraph(copy, settings, info.model.has_iou, has_nms=not bare)
    if bare:
        return candidates.eval()
    detections = DetectionGraph(candidates)
    if not info.baked:
        return detections.eval()
    alpha = info.model.alpha
    return BakedGraph(detections, alpha, info.model.score_threshold(alpha)).eval()


def write_onnx_metadata(path: Path, entries: Mapping[str, str]) -> None:
    """Put entries into an ONNX file, in place of those of the same name."""
    onnx = import_extra("onnx")
    model = onnx.load(path)
    kept = {entry.key: entry.value for entry in model.metadata_props} | dict(entries)
    onnx.helper.set_model_props(model, kept)
    model.producer_name = "iouaware"
    beside = path.with_name(f".{path.name}.partial")
    onnx.save(model, beside)
    beside.replace(path)


def _dynamic_shapes(any_size: bool) -> dict[int, Any]:
    shapes: dict[int, Any] = {0: torch.export.Dim("batch", min=1, max=LARGEST_BATCH)}
    if any_size:
        for axis, name in ((2, "rows"), (3, "columns")):
            shapes[axis] = 32 * torch.export.Dim(name, min=1, max=LARGEST_CELLS)
    return shapes
