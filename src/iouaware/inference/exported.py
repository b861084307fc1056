"""Exported files: told by their names, read and opened by the runtime that each needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from iouaware.config import Precision
from iouaware.errors import CheckpointError, ConfigError
from iouaware.inference.export_metadata import ExportInfo, read_metadata
from iouaware.inference.exported_backend import ExportedBackend
from iouaware.structures import ModelInfo

if TYPE_CHECKING:
    from iouaware.inference.onnx_backend import OnnxBackend
    from iouaware.inference.openvino_backend import OpenvinoBackend

SUFFIXES = {"onnx": ".onnx", "openvino": ".xml"}
Format = Literal["onnx", "openvino"]


def is_exported(path: Path) -> bool:
    """Tell an exported file by its name."""
    return path.suffix in SUFFIXES.values()


def parity_file(path: Path) -> Path:
    """Return where the figures of an exported file are kept: beside it, under its whole name."""
    return path.with_name(f"{path.name}.parity.json")


def open_exported(
    file: Path, device: str | None = None, precision: Precision = "float32"
) -> ExportedBackend:
    """Make an exported file ready to run.

    Args:
        file: ``.onnx`` or ``.xml``.
        device: ``cpu``, or ``cuda`` for an ONNX file; None takes the processor.
        precision: what OpenVINO may compute in; an ONNX file computes in what it was written in.

    Raises:
        CheckpointError: no such file, damaged, or not of this package.
        ConfigError: the runtime is not installed, or cannot do what is asked.
    """
    if precision not in get_args(Precision):
        known = ", ".join(get_args(Precision))
        raise ConfigError(f"precision is {precision!r}, expected one of {known}")
    return _backend_of(file)(file, device, precision)


def read_exported_info(file: Path) -> ExportInfo:
    """Read what an exported file says about itself, without making it ready to run.

    Raises:
        CheckpointError: no such file, damaged, or not of this package.
        ConfigError: the runtime is not installed.
    """
    return read_metadata(_backend_of(file).read_entries(file), file)


def _backend_of(file: Path) -> type[OnnxBackend] | type[OpenvinoBackend]:
    """Choose the runtime of an exported file; each is imported only where it is needed."""
    if not file.is_file():
        raise CheckpointError(f"{file}: no such file; expected one that iouaware export wrote")
    if file.suffix == ".onnx":
        from iouaware.inference.onnx_backend import OnnxBackend

        return OnnxBackend
    from iouaware.inference.openvino_backend import OpenvinoBackend

    return OpenvinoBackend


def read_info(model: Path) -> ModelInfo:
    """Read what a model says about itself.

    Args:
        model: a run folder, a ``.safetensors`` file, or an exported ``.onnx`` or ``.xml``.

    Raises:
        CheckpointError: no model there, or none that can be used.
        ConfigError: the runtime of an exported file is not installed.
    """
    if is_exported(model):
        return read_exported_info(model).model
    from iouaware.model.weight_files import find_model_file, read_model_info

    return read_model_info(find_model_file(model))
