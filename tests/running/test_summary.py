"""The last lines: numbers in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from iouaware.evaluation.held_out import kept_alpha
from iouaware.running.summary import (
    alpha_line,
    evaluation_lines,
    figures_line,
    sweep_lines,
    tail_lines,
    threshold_line,
    weakest_class_line,
)
from iouaware.structures import ModelInfo


def evaluation(**changes: Any) -> dict[str, Any]:
    return {
        "images": 30, "split": "val", "run_part": "val", "alpha": 0.5,
        "AP": 0.5349, "AP50": 0.8, "AP75": 0.6, "AP_per_iou": {"0.90": 0.1},
        "AP_per_class": {"nut": 0.7, "bolt": 0.3, "gear": None},
        "baseline": {"AP": 0.52},
        "operating_point": {"score_threshold": 0.412, "precision": 0.95, "recall": 0.8},
        "false_alarms_per_empty_image": 0.25,
        "diagnosis": [], "notes": {},
        **changes,
    }  # fmt: skip


def sweep(**held_out: Any) -> dict[str, Any]:
    choice = {"alpha": 0.6, "gain": 0.012, "ci95": [0.004, 0.02], "proven": True, **held_out}
    return {"alphas": [1.0, 0.5], "AP": [0.52, None], "AP50": [0.8, 0.81], "held_out": choice}


def test_figures_are_said_at_both_alphas() -> None:
    assert figures_line(evaluation()) == (
        "AP 53.5, AP50 80.0, AP75 60.0, AP90 10.0 on 30 pictures (val) at alpha 0.5; "
        "AP 52.0 at alpha 1"
    )
    assert "at alpha" not in figures_line(evaluation(alpha=1.0))


@pytest.mark.parametrize(
    ("held_out", "kept", "words"),
    [
        ({}, 0.6, "alpha 0.6: held-out gain +1.2 AP, 95 % interval +0.4 to +2.0"),
        ({"ci95": [-0.001, 0.02], "proven": False}, 0.6, "-0.1 to +2.0: not proven"),
        ({"gain": -0.002, "proven": False}, 1.0, "alpha 1 (kept: the sweep's best, 0.6, gained no"),
        ({"gain": 0.0, "proven": False}, 1.0, "not proven"),
        ({"alpha": 1.0}, 1.0, "alpha 1: held-out gain +1.2"),
        ({"gain": None, "ci95": None, "proven": False}, 1.0, "too few pictures"),
        ({"ci95": None, "proven": False}, 0.6, "held-out gain +1.2 AP: not proven"),
    ],
)
def test_p50_alpha_stays_at_one_unless_it_gained(
    held_out: dict[str, Any], kept: float, words: str
) -> None:
    assert kept_alpha(sweep(**held_out)["held_out"]) == kept
    assert words in alpha_line(kept, sweep(**held_out))


def test_the_threshold_says_what_it_lets_through() -> None:
    assert threshold_line(evaluation()) == (
        "threshold 0.41 on S (best F1 at IoU 0.5): precision 95.0 %, recall 80.0 %, "
        "0.25 false alarms per empty picture"
    )
    for part in ("test", "none", None):  # it was chosen on other pictures
        line = threshold_line(evaluation(run_part=part))
        assert line.startswith("threshold 0.41 on S: precision 95.0 %")
    assert "no empty picture" in threshold_line(evaluation(false_alarms_per_empty_image=None))
    nothing = {"score_threshold": None, "precision": None, "recall": None}
    assert threshold_line(evaluation(operating_point=nothing)).startswith("threshold: none")


def test_the_weakest_class_is_one_with_objects() -> None:
    assert weakest_class_line(evaluation()) == "weakest class: bolt, AP 30.0"
    assert "no class" in weakest_class_line(evaluation(AP_per_class={"gear": None}))


def test_the_tail_has_six_lines_and_two_commands(tmp_path: Path) -> None:
    info = ModelInfo(("bolt",), (1,), 0.6, {}, True, {}, (0.5,) * 3, (0.5,) * 3)
    run = Path("runs/my data-1")
    lines = tail_lines(run, info, evaluation(), sweep(), run / "report" / "index.html")
    assert len(lines) == 6
    assert "'runs/my data-1'" in lines[5]  # can be pasted
    assert "iouaware predict" in lines[5]


def test_p30_a_missing_number_is_said_with_its_reason() -> None:
    notes = {"APs": "no small object", "recall_at_precision.0.90.0.50": "not reached"}
    lines = evaluation_lines(evaluation(AP=None, notes=notes, diagnosis=["no picture has a box"]))
    assert lines[0].startswith("AP n/a")
    assert lines[-2:] == ["note: no picture has a box", "note: no small object"]


def test_the_sweep_is_a_table() -> None:
    lines = sweep_lines(sweep())
    assert lines[0].split() == ["alpha", "AP", "AP50"]
    assert lines[1].split() == ["1.0", "52.0", "80.0"]
    assert lines[2].split() == ["0.5", "n/a", "81.0"]
    assert lines[3].startswith("alpha 0.6")
