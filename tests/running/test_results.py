"""The files of results: their form, and the model and threshold they are of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from iouaware.errors import CheckpointError
from iouaware.running.results import (
    is_of,
    is_stale,
    main_numbers,
    read_evaluation,
    read_json,
    same_threshold,
)
from iouaware.structures import ModelInfo

EVALUATION: dict[str, Any] = {
    "data": "bolts",
    "split": "val",
    "images": 3,
    "alpha": 0.5,
    "AP": 0.4,
    "AP_per_iou": {"0.90": 0.1},
    "AP_per_class": {},
    "baseline": {"AP": 0.3},
    "notes": {},
    "operating_point": {"score_threshold": 0.2},
}


@pytest.mark.parametrize("text", [None, "{", "[1]"])
def test_json_that_cannot_be_read_is_told(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "sweep.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(CheckpointError, match=r"sweep\.json: "):
        read_json(path)


@pytest.mark.parametrize("name", ["data", "split", "images", "AP_per_iou", "baseline", "notes"])
def test_an_evaluation_that_lacks_something_is_told(tmp_path: Path, name: str) -> None:
    lacking = {key: value for key, value in EVALUATION.items() if key != name}
    (tmp_path / "evaluation.json").write_text(json.dumps(lacking))
    with pytest.raises(CheckpointError, match=rf"evaluation\.json: {name} is nothing, expected"):
        read_evaluation(tmp_path)


def test_the_main_numbers_are_those_of_both_files(tmp_path: Path) -> None:
    assert main_numbers(tmp_path) == {"run": str(tmp_path)}
    (tmp_path / "evaluation.json").write_text(json.dumps(EVALUATION))
    held_out = {"gain": 0.01}
    sweep = {"alphas": [1.0], "AP": [0.3], "held_out": held_out}
    (tmp_path / "sweep.json").write_text(json.dumps(sweep))
    found = main_numbers(tmp_path)
    assert (found["AP"], found["AP_alpha1"], found["AP90"]) == (0.4, 0.3, 0.1)
    assert found["AP50"] is None  # an older file may lack it
    assert found["held_out"] == held_out


def info(alpha: float = 0.5, **thresholds: float) -> ModelInfo:
    return ModelInfo(("bolt",), (1,), alpha, thresholds, True, {}, (0, 0, 0), (1, 1, 1))


def test_results_are_of_a_model_and_of_the_threshold_it_stores() -> None:
    assert is_of({"model": "a"}, "a")
    assert not is_of({"model": "b"}, "a")
    assert is_of({}, "a")  # of an earlier version, which did not say

    assert same_threshold(EVALUATION, info(**{"0.5": 0.2}))
    assert not same_threshold(EVALUATION, info(**{"0.5": 0.3}))
    assert same_threshold(EVALUATION, info())


def test_an_evaluation_is_stale_at_another_alpha_or_threshold(tmp_path: Path) -> None:
    assert not is_stale(tmp_path, info())  # there is none
    (tmp_path / "evaluation.json").write_text(json.dumps(EVALUATION))
    assert not is_stale(tmp_path, info(**{"0.5": 0.2}))
    assert is_stale(tmp_path, info(**{"0.5": 0.3}))
    assert is_stale(tmp_path, info(0.6, **{"0.5": 0.2}))
    (tmp_path / "evaluation.json").write_text("{")
    assert not is_stale(tmp_path, info(0.6))
