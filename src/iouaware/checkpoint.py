"""The one file to pass on: weights as safetensors, everything else in its header.

Nothing here runs code from a file, and nothing half-written is ever left under the final name.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from iouaware.config import Config, build_config
from iouaware.data.dataset import Dataset
from iouaware.durable import replace_durably
from iouaware.errors import CheckpointError, ConfigError, one_line
from iouaware.inference.scoring import FORMULA
from iouaware.model.detector import Detector
from iouaware.model.weight_files import (
    HEADER_FORMAT,
    HEADER_KEY,
    find_model_file,
    read_model_info,
    read_state_dict,
)
from iouaware.structures import ModelInfo

__all__ = [
    "describe_model",
    "is_whole_model",
    "read_model",
    "read_model_info",
    "write_model",
    "write_model_info",
    "write_weights",
]


def describe_model(
    detector: Detector, config: Config, dataset: Dataset, image_size: int | tuple[int, int]
) -> ModelInfo:
    """Describe a detector as trained: alpha 1 until a sweep proves another one.

    Args:
        detector: the network.
        config: the whole recipe.
        dataset: the training pictures; names and ids come from here.
        image_size: the size that was settled, px.
    """
    values = config.model_dump(mode="json")
    values["data"]["image_size"] = image_size
    return ModelInfo(
        class_names=dataset.class_names,
        category_ids=dataset.category_ids,
        alpha=1.0,
        score_thresholds={},
        has_iou=config.model.iou_head,
        config=values,
        mean=detector.mean,
        std=detector.std,
    )


def write_model(path: Path, detector: Detector, info: ModelInfo) -> None:
    """Write weights and header in one file, replacing an older one in a single move.

    Args:
        path: the file; its folder must exist.
        detector: the network, on any device.
        info: names, ids, alpha, thresholds, settings.

    Raises:
        CheckpointError: the file cannot be written; an older one is left as it was.
        ValueError: info speaks of another number of classes than the network has.
    """
    if len(info.class_names) != detector.num_classes:
        raise ValueError(
            f"info names {len(info.class_names)} classes, the network has {detector.num_classes}"
        )
    write_weights(path, detector.state_dict(), info)


def write_weights(path: Path, weights: dict[str, Tensor], info: ModelInfo) -> None:
    """Write weights by name and their header as ``write_model`` does, which knows their network.

    Raises:
        CheckpointError: the file cannot be written; an older one is left as it was.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    header = _header(info)
    _replace(path, lambda partial: save_file(tensors, partial, metadata=header))


def read_model(path: Path) -> tuple[Detector, ModelInfo]:
    """Read a network, in evaluation mode on the CPU, and what its file says about it.

    Args:
        path: a model file or a run folder.

    Raises:
        CheckpointError: no model there, damaged, its settings do not fit this version, or its
            weights are no numbers.
    """
    file = find_model_file(path)
    info = read_model_info(file)
    try:
        config = build_config(info.config, where=str(file))
        state = read_state_dict(file)
        _refuse_larger(config, len(info.class_names), sum(t.numel() for t in state.values()))
        detector = Detector(config.model, len(info.class_names), mean=info.mean, std=info.std)
        detector.load_state_dict(state)
    except (ConfigError, ValueError, RuntimeError) as error:
        reason = one_line(error, 300)
        raise CheckpointError(
            f"{file}: its settings and weights do not fit this version: {reason}"
        ) from error
    return detector.eval(), info


def is_whole_model(path: Path) -> bool:
    """Tell whether there is a model file that can be read to its end."""
    try:
        read_model(path)
    except CheckpointError:
        return False
    return True


def write_model_info(path: Path, info: ModelInfo) -> None:
    """Replace the header of a model file; the weights stay byte for byte.

    Args:
        path: a model file or a run folder.
        info: the new header; class names must be those of the file.

    Raises:
        CheckpointError: no model there, or it cannot be written; the old file is left as it was.
        ValueError: info names other classes than the file.
    """
    file = find_model_file(path)
    before = read_model_info(file)
    if before.class_names != info.class_names:
        raise ValueError(
            f"info names the classes {list(info.class_names)}, {file} has "
            f"{list(before.class_names)}"
        )
    tensors = load_file(file)
    _replace(file, lambda partial: save_file(tensors, partial, metadata=_header(info)))


def _refuse_larger(config: Config, num_classes: int, there: int) -> None:
    """Raise where a header asks for far more weights than the file has, before taking memory."""
    with torch.device("meta"):
        shell = Detector(config.model, num_classes)
    asked = sum(tensor.numel() for tensor in shell.state_dict().values())
    if asked > 2 * there:
        raise ValueError(f"the header asks for {asked:,} weights, the file has {there:,}")


def _header(info: ModelInfo) -> dict[str, str]:
    values = {"format": HEADER_FORMAT, "formula": FORMULA, **asdict(info)}
    return {HEADER_KEY: json.dumps(values, ensure_ascii=False, allow_nan=False)}


def _replace(path: Path, write: Callable[[Path], None]) -> None:
    """Write beside the final name, then move there in one step."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.touch()  # safetensors makes files that their owner alone can read
        mode = (path if path.exists() else partial).stat().st_mode
        write(partial)
        partial.chmod(mode)
        replace_durably(partial, path)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        reason = one_line(error)
        raise CheckpointError(
            f"{path}: the model could not be written ({reason}); free space or choose another "
            "folder"
        ) from error
