"""Reading recipes and the YAML files of users, as plain values that ``config.py`` checks."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from iouaware.errors import ConfigError, shown
from iouaware.parsing import parse_yaml

RECIPES = ("small", "modern", "paper")
SECTIONS = {"model", "data", "train", "inference"}


def read_recipe(name_or_file: str | Path) -> dict[str, Any]:
    """Read a recipe's plain values, without checking them.

    A file that names a ``recipe`` is that recipe with the file's settings in place of its own; one
    that names none starts from the defaults, which are the paper's.

    Raises:
        ConfigError: as ``read_settings``, or the file names a recipe that is none.
    """
    values = read_settings(name_or_file)
    base = values.get("recipe")
    if base is None or str(name_or_file) in RECIPES:
        return values
    if base not in RECIPES:
        raise ConfigError(
            f"{name_or_file}: recipe is {shown(base)}, expected the one that this file changes: "
            f"{', '.join(RECIPES)}"
        )
    merged = read_settings(base)
    for key, value in values.items():
        merged[key] = {**merged.get(key, {}), **value} if isinstance(value, dict) else value
    return merged


def read_settings(name_or_file: str | Path) -> dict[str, Any]:
    """Read the settings that a recipe or a YAML file names, as plain values, and no others.

    Raises:
        ConfigError: no such recipe or file, malformed YAML, or a section that is none.
    """
    name = str(name_or_file)
    if name in RECIPES:
        text = resources.files("iouaware.recipes").joinpath(f"{name}.yaml").read_text("utf-8")
    else:
        path = Path(name_or_file)
        if not path.is_file():
            raise ConfigError(
                f"--config {name}: no such recipe or file; expected small, modern, paper "
                "or the path of a YAML file"
            )
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{name}: cannot be read as text: {error}") from error
    try:
        values = parse_yaml(text) or {}
    except ValueError as error:
        raise ConfigError(f"{name}: not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{name}: found {type(values).__name__}, expected keys and values")
    for section in SECTIONS & set(values):
        if values[section] is None:  # its head alone, or all below it commented out
            values[section] = {}
        if not isinstance(values[section], dict):
            raise ConfigError(
                f"{name}: {section} is {shown(values[section])}, expected settings below it"
            )
    return values
