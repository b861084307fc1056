from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ablation_grid import Job
from ablation_results import (
    append_line,
    check_same_settings,
    finished_jobs,
    read_lines,
)

from iouaware.errors import ConfigError


def line(seed: int, **values: Any) -> dict[str, Any]:
    return {"data": "cells", "setting": "baseline", "seed": seed, **values}


def test_lines_come_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.jsonl"
    said: list[str] = []
    assert read_lines(path, said.append) == []
    for seed in (0, 1):
        append_line(path, line(seed, AP=0.5))
    assert read_lines(path, said.append) == [line(0, AP=0.5), line(1, AP=0.5)]
    assert said == []


def test_a_cut_off_line_is_told_and_the_next_starts_afresh(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    said: list[str] = []
    append_line(path, line(0))
    append_line(path, line(1))
    path.write_bytes(path.read_bytes()[:-20])
    assert read_lines(path, said.append) == [line(0)]
    assert len(said) == 1
    assert "line 2 is cut off" in said[0]
    append_line(path, line(2))
    assert read_lines(path, said.append) == [line(0), line(2)]
    assert "line 2 is broken" in said[1]


def test_a_line_without_its_end_counts(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(line(0)), "utf-8")
    append_line(path, line(1))
    assert read_lines(path, print) == [line(0), line(1)]


@pytest.mark.parametrize("other", ["3", "[]", '{"data": "cells"}', "\udcff"])
def test_what_is_no_line_is_left_out(tmp_path: Path, other: str) -> None:
    path = tmp_path / "a.jsonl"
    said: list[str] = []
    path.write_bytes(other.encode(errors="surrogateescape") + b"\n")
    append_line(path, line(1))
    assert read_lines(path, said.append) == [line(1)]
    assert "line 1 is broken" in said[0]


def test_a_number_that_is_none_never_gets_in(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with pytest.raises(ValueError, match="not JSON compliant"):
        append_line(path, line(0, AP=float("nan")))
    assert not path.exists()


def test_of_several_lines_about_a_run_the_last_counts() -> None:
    lines = [line(0, AP=0.1), line(1, AP=0.2), line(0, AP=0.3)]
    assert finished_jobs(lines)[Job("cells", "baseline", 0)]["AP"] == 0.3


def test_lines_of_another_grid_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    settings = {"train.epochs": 3, "data.scale_jitter": (0.5, 1.0)}
    done = json.loads(json.dumps(line(0, recipe="small", settings=settings)))
    check_same_settings(path, done, "small", settings)
    for other, message in (
        ({**settings, "train.epochs": 4}, r"train\.epochs 3, the grid says 4"),
        ({**settings, "train.ema": True}, r"train\.ema None, the grid says True"),
        ({"data.scale_jitter": (0.5, 1.0)}, r"train\.epochs 3, the grid says None"),
    ):
        with pytest.raises(ConfigError, match=message):
            check_same_settings(path, done, "small", other)
    with pytest.raises(ConfigError, match="recipe small, the grid says modern"):
        check_same_settings(path, done, "modern", settings)
