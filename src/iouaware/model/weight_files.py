"""Reading weight files: tensors only, nothing is unpickled into code."""

from __future__ import annotations

import contextlib
import io
import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor
from torch.hub import load_state_dict_from_url

from iouaware.errors import CheckpointError, one_line
from iouaware.parsing import parse_json
from iouaware.places import MODEL_FILE
from iouaware.structures import ModelInfo

HEADER_KEY = "iouaware"
HEADER_FORMAT = 1

StateDict = dict[str, Tensor]


def find_model_file(path: Path) -> Path:
    """Return the model file that a path means: the file itself, or the one in a run folder.

    Raises:
        CheckpointError: there is none.
    """
    file = path / MODEL_FILE if path.is_dir() else path
    if not file.is_file():
        expected = f"a run folder holds {MODEL_FILE}" if path.is_dir() else "a file or a run folder"
        raise CheckpointError(f"{path}: no model found; expected {expected}")
    return file


def read_state_dict(path: Path) -> StateDict:
    """Read the tensors of a safetensors file or of one written by ``torch.save``.

    A dictionary that wraps them (``state_dict``, ``model``) is looked into.

    Raises:
        CheckpointError: no such file, damaged, more than tensors in it, or weights that are no
            numbers.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; expected weights (.safetensors or .pth)")
    values: Any
    try:
        if path.suffix == ".safetensors":
            values = load_file(path)
        else:
            values = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: holds more than tensors, and loading it could run code; expected a state "
            "dict: save model.state_dict() alone, or as .safetensors"
        ) from error
    except Exception as error:  # a torn or hostile file fails in many ways
        raise CheckpointError(
            f"{path}: damaged or no weights file ({one_line(error, 200)})"
        ) from error
    for wrapper in ("state_dict", "model"):
        if isinstance(values, dict) and isinstance(values.get(wrapper), dict):
            values = values[wrapper]
    if not isinstance(values, dict) or not values:
        raise CheckpointError(f"{path}: found {type(values).__name__}, expected a state dict")
    strangers = [key for key, value in values.items() if not isinstance(value, Tensor)]
    if strangers:
        raise CheckpointError(
            f"{path}: {strangers[0]} is no tensor; expected a state dict, names and tensors alone"
        )
    for key, value in values.items():
        if not bool(value.isfinite().all()):  # such a network finds nothing, and says nothing
            raise CheckpointError(
                f"{path}: weights of {key} are no numbers, expected finite ones; the training "
                "that wrote them has diverged: train again with a lower --train.lr"
            )
    return {str(key).removeprefix("module."): value for key, value in values.items()}


def fetch_state_dict(url: str, check_hash: bool = False) -> StateDict:
    """Read a state dict from torch's cache or, failing that, from the net.

    Args:
        url: where it lies.
        check_hash: compare with the hash that the name ends in.

    Raises:
        OSError: no connection.
        RuntimeError: another hash.
    """
    with contextlib.redirect_stdout(io.StringIO()):  # torch prints, a library must not
        state: StateDict = load_state_dict_from_url(
            url,
            map_location=torch.device("cpu"),
            progress=False,
            check_hash=check_hash,
            weights_only=True,
        )
    return state


def is_own_model(path: Path) -> bool:
    """Tell whether a file carries this package's header."""
    if path.suffix != ".safetensors" or not path.is_file():
        return False
    return HEADER_KEY in _read_metadata(path)


def read_model_info(path: Path) -> ModelInfo:
    """Read what a model says about itself, from the header alone.

    Args:
        path: a model file or a run folder.

    Raises:
        CheckpointError: no model there, written by another program, or damaged.
    """
    file = find_model_file(path)
    text = _read_metadata(file).get(HEADER_KEY)
    if text is None:
        raise CheckpointError(
            f"{file}: has no header of this package; expected a {MODEL_FILE} that training wrote"
        )
    try:
        values = parse_json(text)
        found = values["format"]
        if found != HEADER_FORMAT:
            raise CheckpointError(
                f"{file}: header format {found}, this version reads {HEADER_FORMAT}; "
                "update iouaware"
            )
        return ModelInfo.from_dict(values)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise CheckpointError(f"{file}: damaged header ({one_line(error, 200)})") from error


def _read_metadata(file: Path) -> dict[str, str]:
    try:
        file.open("rb").close()  # safetensors calls a file without permission a missing one
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be read ({error.strerror})") from error
    try:
        with safe_open(file, framework="pt") as opened:
            return dict(opened.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{file}: damaged or no safetensors file ({one_line(error, 200)})"
        ) from error
