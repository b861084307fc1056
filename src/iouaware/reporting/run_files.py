"""Read what a run folder says about how it came about; every file may be missing."""

from __future__ import annotations

import csv
import math
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iouaware.errors import CheckpointError
from iouaware.parsing import parse_json, parse_yaml
from iouaware.places import MODEL_FILE, find_in_run


@dataclass(frozen=True, slots=True)
class RunFiles:
    """The story of a run.

    Attributes:
        model: the model's file.
        config: config.yaml, None if missing.
        metrics: rows of metrics.csv; a cell that is empty or no number is left out.
        environment: environment.json, empty if missing.
        config_text: config.yaml as it stands, empty if missing.
        settings: what config.yaml says, by section; empty if missing or not YAML.
        split: number of pictures of each part in split.json.
        split_made: whether the split was made by the program.
    """

    model: Path
    config: Path | None
    metrics: tuple[dict[str, float], ...]
    environment: dict[str, Any]
    config_text: str
    settings: dict[str, dict[str, Any]]
    split: dict[str, int]
    split_made: bool

    def series(self, name: str) -> list[tuple[float, float]]:
        """Return (epoch, value) wherever metrics.csv has this column."""
        return [(row["epoch"], row[name]) for row in self.metrics if {"epoch", name} <= row.keys()]

    @property
    def predict_command(self) -> str:
        """The command that predicts with this model."""
        run = self.model.parent if self.model.name == MODEL_FILE else self.model
        return f"iouaware predict {shlex.quote(str(run))} PICTURES"

    def train_command(self, *options: object) -> str:
        """Return the command that trains on the run's data with its settings, but these options.

        Empty where the run folder does not tell its data.
        """
        data = self.setting("data", "path")
        if self.config is None or data is None:
            return ""
        line = ["iouaware", "train", data, "--config", self.config]
        if self.setting("train", "freeze") not in (None, "none"):  # it must come from somewhere
            line += ["--from", self.config.parent]
        return shlex.join([str(word) for word in [*line, *options]])

    @property
    def adopt_command(self) -> str:
        """The command that trains an IoU branch for this run; empty as that of training."""
        data = self.setting("data", "path")
        if self.config is None or data is None:
            return ""
        line = ["iouaware", "adopt", self.config.parent, "--data", data, "--config", self.config]
        return shlex.join([str(word) for word in line])

    def setting(self, section: str, name: str) -> object:
        """Return what config.yaml says, None where it does not."""
        return self.settings.get(section, {}).get(name)


def read_run_files(model: Path) -> RunFiles:
    """Read metrics.csv, environment.json, config.yaml and split.json of a run.

    Args:
        model: the model's file, in the run folder or among its exported files.

    Raises:
        CheckpointError: a file that exists but cannot be read.
    """
    config = find_in_run(model.parent, "config.yaml")
    config_text = "" if config is None else _read_text(config)
    split = _read_json(find_in_run(model.parent, "split.json"))
    return RunFiles(
        model=model,
        config=config,
        metrics=_read_metrics(find_in_run(model.parent, "metrics.csv")),
        environment=_read_json(find_in_run(model.parent, "environment.json")),
        config_text=config_text,
        settings=_read_settings(config_text),
        split={
            part: len(split[part])
            for part in ("train", "val", "test")
            if isinstance(split.get(part), list) and split[part]
        },
        split_made=bool(split.get("made", False)),
    )


def _read_settings(text: str) -> dict[str, dict[str, Any]]:
    """Return the sections of config.yaml; the page shows the text of one that is broken."""
    try:
        values = parse_yaml(text)
    except ValueError:
        return {}
    sections = values.items() if isinstance(values, dict) else ()
    return {name: section for name, section in sections if isinstance(section, dict)}


def _read_metrics(path: Path | None) -> tuple[dict[str, float], ...]:
    if path is None:
        return ()
    rows = []
    for row in csv.DictReader(_read_text(path).splitlines()):
        values = {name: _number(cell) for name, cell in row.items() if name}
        rows.append({name: value for name, value in values.items() if value is not None})
    return tuple(rows)


def _number(cell: str | None) -> float | None:
    try:
        value = float(cell) if cell else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _read_json(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        value = parse_json(_read_text(path))
    except ValueError as error:
        raise CheckpointError(f"{path}: not valid JSON: {error}") from error
    return value if isinstance(value, dict) else {}


def _read_text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from error
