"""The OpenVINO file: read from the ONNX file, so that both are the same graph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iouaware.inference.openvino_backend import RT_INFO, import_openvino


def read_onnx_as_openvino(onnx_file: Path) -> Any:
    """Return an ONNX file as an OpenVINO model."""
    return import_openvino().Core().read_model(onnx_file)


def write_openvino(model: Any, path: Path, entries: Mapping[str, str]) -> None:
    """Write a model with its metadata as ``path`` (.xml) and the .bin beside it.

    Weights stay as they are: halved ones would move the boxes.
    """
    for name, text in entries.items():
        model.set_rt_info(text, [RT_INFO, name])
    import_openvino().save_model(model, str(path), compress_to_fp16=False)
