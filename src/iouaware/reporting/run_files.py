"""Read what a run folder says about how it came about; every file may be missing."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iouaware.errors import CheckpointError
from iouaware.parsing import parse_json


@dataclass(frozen=True, slots=True)
class RunFiles:
    """The story of a run.

    Attributes:
        folder: of the run.
        metrics: rows of metrics.csv; a cell that is empty or no number is left out.
        environment: environment.json, empty if missing.
        config_text: config.yaml as it stands, empty if missing.
        split: number of pictures of each part in split.json.
        split_made: whether the split was made by the program.
    """

    folder: Path
    metrics: tuple[dict[str, float], ...]
    environment: dict[str, Any]
    config_text: str
    split: dict[str, int]
    split_made: bool

    def series(self, name: str) -> list[tuple[float, float]]:
        """Return (epoch, value) wherever metrics.csv has this column."""
        return [(row["epoch"], row[name]) for row in self.metrics if {"epoch", name} <= row.keys()]


def read_run_files(run: Path) -> RunFiles:
    """Read metrics.csv, environment.json, config.yaml and split.json of a run folder.

    Raises:
        CheckpointError: a file that exists but cannot be read.
    """
    config = run / "config.yaml"
    split = _read_json(run / "split.json")
    return RunFiles(
        folder=run,
        metrics=_read_metrics(run / "metrics.csv"),
        environment=_read_json(run / "environment.json"),
        config_text=_read_text(config) if config.is_file() else "",
        split={
            part: len(split[part])
            for part in ("train", "val", "test")
            if isinstance(split.get(part), list) and split[part]
        },
        split_made=bool(split.get("made", False)),
    )


def _read_metrics(path: Path) -> tuple[dict[str, float], ...]:
    if not path.is_file():
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


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
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
