"""First weights of the backbone: from a package, timm's hub, a file, or none.

Nothing is fetched unless a setting asks for it. What cannot be fetched is told in one line: which
file to get, and how to pass it. Weights of a whole detector: ``start.py``.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Set
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub import hf_hub_download, hf_hub_url, try_to_load_from_cache

from iouaware.config import ModelConfig
from iouaware.errors import CheckpointError, ConfigError, one_line
from iouaware.model.backbone import Backbone
from iouaware.model.packaged import (
    PACKAGED_BACKBONE,
    find_packaged_weights,
    rename_lite0,
    uses_lite0_names,
)
from iouaware.model.start import model_settings_of, start_from
from iouaware.model.torchvision_names import model_config_for_torchvision
from iouaware.model.weight_files import StateDict, fetch_state_dict, read_state_dict

__all__ = [
    "load_backbone_weights",
    "model_config_for_torchvision",
    "model_settings_of",
    "start_from",
]

HUB_TIMEOUT = 10.0  # seconds; the hub's own client retries for three quarters of a minute
HUB_FILE = "model.safetensors"


def load_backbone_weights(backbone: Backbone, config: ModelConfig) -> str:
    """Fill a new backbone with the weights that ``config.weights`` names.

    ``auto`` takes the packaged file for EfficientNet-Lite0 and timm's download for others.

    Args:
        backbone: changed in place.
        config: ``weights`` counts here.

    Returns:
        A few words on what was loaded.

    Raises:
        CheckpointError: the file is missing, damaged or of another network, or the download
            failed.
        ConfigError: packaged weights were asked for a network that has none.
    """
    choice = config.weights
    is_packaged = backbone.name.partition(".")[0] == PACKAGED_BACKBONE
    if choice == "none":
        return (
            "random weights; BatchNorm keeps its first statistics and frozen stages stay random, "
            "so start from weights for anything but a test"
        )
    if choice == "packaged" and not is_packaged:
        raise ConfigError(
            f"model.weights is packaged, but only {PACKAGED_BACKBONE} has packaged weights; "
            f"{backbone.name} needs --model.weights timm, FILE or none"
        )
    if choice in ("auto", "packaged") and is_packaged:
        path = find_packaged_weights()
        _fill(backbone, read_state_dict(path), str(path))
        return "packaged ImageNet weights"
    if choice in ("auto", "timm"):
        _fill(backbone, _fetch(backbone), f"timm's weights of {backbone.name}")
        return f"timm's ImageNet weights of {backbone.name}"
    if not Path(choice).is_file():
        raise CheckpointError(
            f"model.weights is {choice}: no such file; expected auto, packaged, timm, none or a "
            "file with the backbone's weights"
        )
    _fill(backbone, read_state_dict(Path(choice)), choice)
    return f"weights from {choice}"


def _fill(backbone: Backbone, state: StateDict, where: str) -> None:
    """Load the backbone's part of a classifier's weights; what it has no place for is left out."""
    if uses_lite0_names(state):
        state = rename_lite0(state)
    expected = backbone.network.state_dict()
    flat = {_flattened(key): value for key, value in state.items()}
    found = {}
    for key, mine in expected.items():
        value = flat.get(_flattened(key))
        if value is None and key.endswith("num_batches_tracked"):
            value = mine  # a counter that files with fixed statistics lack
        if value is None or value.shape != mine.shape:
            raise CheckpointError(
                f"{where}: {'no' if value is None else tuple(value.shape)} {key}, expected "
                f"{tuple(mine.shape)}; these weights are not of {backbone.name}"
            )
        found[key] = value
    _refuse_deeper(backbone, flat.keys() - {_flattened(key) for key in expected}, where)
    backbone.network.load_state_dict(found)


def _refuse_deeper(backbone: Backbone, left_over: Set[str], where: str) -> None:
    """Refuse weights that even the whole classifier has no place for in the parts we use.

    Raises:
        CheckpointError: there are such weights.
    """
    parts = {_flattened(key).partition(".")[0] for key in backbone.network.state_dict()}
    inside = [key for key in sorted(left_over) if key.partition(".")[0] in parts]
    if not inside:  # a classifier's head alone, and what else lies behind the last stage
        return
    with torch.device("meta"):
        whole = timm.create_model(backbone.name)
    known = {_flattened(key) for key in whole.state_dict()}
    for key in inside:
        if key not in known and not key.endswith("num.batches.tracked"):
            raise CheckpointError(
                f"{where}: {key} has no place in {backbone.name}; these weights are of another "
                "network"
            )


def _flattened(key: str) -> str:
    """Spell a name so that timm's whole and flattened networks agree (stages.0 and stages_0)."""
    return key.removeprefix("backbone.").replace("_", ".")


def _fetch(backbone: Backbone) -> StateDict:
    """Get timm's own weights from the local cache or the hub."""
    source: Any = backbone.network.pretrained_cfg
    repository, url = source.get("hf_hub_id"), source.get("url")
    if not repository and not url:
        raise CheckpointError(
            f"{backbone.name}: timm has no weights for it; pass --model.weights FILE or none"
        )
    file = source.get("hf_hub_filename") or HUB_FILE
    address = hf_hub_url(repository, file) if repository else url
    try:
        if not repository:
            return fetch_state_dict(url)
        path = try_to_load_from_cache(repository, file)
        if not isinstance(path, str):
            # ask once, so that a machine without a network hears of it at once
            request = urllib.request.Request(address, method="HEAD")
            urllib.request.urlopen(request, timeout=HUB_TIMEOUT).close()
            path = hf_hub_download(repository, file)
    except (OSError, RuntimeError) as error:
        reason = one_line(error, 120)
        raise CheckpointError(
            f"{backbone.name}: its ImageNet weights could not be downloaded ({reason}): get "
            f"{address} on a machine that can, and pass it with --model.weights FILE (or none)"
        ) from error
    return read_state_dict(Path(path))
