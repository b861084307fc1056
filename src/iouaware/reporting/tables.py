"""Rows of the report's tables that need more than looking a number up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from iouaware.reporting.facts import Facts, display_threshold, read_oracles
from iouaware.reporting.numerals import alpha_text, counted, is_number, number_or_none, ratio
from iouaware.reporting.run_files import RunFiles
from iouaware.structures import ModelInfo

COCO_FIGURES = {
    "AP": "AP, IoU 0.50 to 0.95",
    "AP50": "AP50, IoU 0.50",
    "AP75": "AP75, IoU 0.75",
    "AP80": "AP80, IoU 0.80",
    "AP90": "AP90, IoU 0.90",
    "APs": "AP of small objects (under 32 × 32 px)",
    "APm": "AP of medium objects (to 96 × 96 px)",
    "APl": "AP of large objects",
    "AR1": "Recall with 1 box a picture and class",
    "AR10": "Recall with 10 boxes",
    "AR100": "Recall with 100 boxes",
}
SWEEP_FIGURES = ("AP", "AP50", "AP75", "AP80", "AP90")


@dataclass(frozen=True, slots=True)
class CocoRow:
    """A figure four times: as evaluated, at alpha 1, and of both oracles; None where missing."""

    name: str
    own: float | None
    base: float | None
    localisation: float | None
    any_class: float | None

    @property
    def gain(self) -> float | None:
        """Difference to alpha 1."""
        return self.own - self.base if self.own is not None and self.base is not None else None


@dataclass(frozen=True, slots=True)
class SweepRow:
    """An alpha with its figures, in the order of the names, and its display threshold."""

    alpha: float
    figures: tuple[float | None, ...]
    threshold: float


def list_coco_rows(evaluation: dict[str, Any], sweep: dict[str, Any]) -> list[CocoRow]:
    """Return COCO's table; rows that nobody has are left out."""
    oracles = read_oracles(evaluation, sweep)
    sources = (
        evaluation,
        evaluation.get("baseline") or {},
        oracles.get("localisation") or {},
        oracles.get("any_class") or {},
    )
    rows = [
        CocoRow(words, *(read_figure(source, name) for source in sources))
        for name, words in COCO_FIGURES.items()
    ]
    return [row for row in rows if row != CocoRow(row.name, None, None, None, None)]


def list_sweep_rows(facts: Facts) -> tuple[list[str], list[SweepRow]]:
    """Return the names of the figures that were swept, and a row for each alpha."""
    names = [name for name in SWEEP_FIGURES if facts.sweep.get(name)]
    rows = [
        SweepRow(
            float(alpha),
            tuple(facts.sweep[name][n] for name in names),
            display_threshold(facts.sweep, facts.info, float(alpha)),
        )
        for n, alpha in enumerate(facts.sweep.get("alphas") or ())
    ]
    return names, rows


def list_run_rows(facts: Facts) -> list[tuple[str, str]]:
    """Return what a reader wants to know first about how the run came about."""
    first, *others = list_training_rows(facts.info, facts.files)
    data = [
        ("Data", str(facts.evaluation.get("data") or facts.dataset.root)),
        ("Format", facts.dataset.format),
        ("Split", _say_split(facts)),
        ("Put right while reading", facts.dataset.mended.summary()),
    ]
    use = [
        ("Alpha", f"{alpha_text(facts.alpha)} (S = p^alpha × IoU^(1 − alpha))"),
        ("Display threshold on S", ratio(facts.threshold)),
    ]
    return [row for row in (first, *data, *others, *use) if row[1]]


def list_training_rows(info: ModelInfo, files: RunFiles) -> list[tuple[str, str]]:
    """Return command, network, size, schedule, seed and time; text is empty where unknown."""
    config, environment = info.config, files.environment
    rows = [
        ("Command", environment.get("command")),
        ("Recipe", config.get("recipe")),
        ("Backbone", (config.get("model") or {}).get("backbone")),
        ("Picture size", say_size(info)),
        ("Epochs, at most", (config.get("train") or {}).get("epochs")),
        ("Seed", config.get("seed")),
        ("Wall time", _say_time(environment.get("wall_seconds"))),
    ]
    return [(name, _in_text(value)) for name, value in rows]


def say_size(info: ModelInfo) -> str:
    """Say the size that pictures are brought to."""
    size = (info.config.get("data") or {}).get("image_size")
    if isinstance(size, list | tuple):
        return f"shorter side {size[0]} px, longer at most {size[1]} px"
    return f"{size} px" if isinstance(size, int) else ""


def list_environment_rows(facts: Facts) -> list[tuple[str, str]]:
    """Return environment.json as (dotted name, text) pairs, the command left out."""
    rows = _flatten(facts.files.environment)
    return [(name, text) for name, text in rows if name != "command" and text]


def read_figure(metrics: dict[str, Any], name: str) -> float | None:
    """Return a figure under its own name, or AP80 and the like from the table by IoU."""
    value = metrics.get(name)
    if value is None and name[:2] == "AP" and name[2:].isdigit():
        value = (metrics.get("AP_per_iou") or {}).get(f"0.{name[2:]}")
    return number_or_none(value)


def _say_split(facts: Facts) -> str:
    parts = [f"{part} {count:,}" for part, count in facts.files.split.items()]
    made = " (made by a hash of each picture)" if facts.files.split_made else ""
    judged = f"judged on {facts.split}, {counted(len(facts.dataset), 'picture')}"
    return f"{', '.join(parts)}{made}; {judged}" if parts else judged


def _say_time(seconds: object) -> str:
    if not isinstance(seconds, int | float) or not is_number(seconds):
        return ""
    return f"{seconds / 60:.1f} minutes" if seconds >= 90 else f"{seconds:.0f} seconds"


def _flatten(value: dict[str, Any], before: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, inner in value.items():
        name = f"{before}{key}"
        rows += (
            _flatten(inner, f"{name}.") if isinstance(inner, dict) else [(name, _in_text(inner))]
        )
    return rows


def _in_text(value: object) -> str:
    if value is None:
        return ""
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
