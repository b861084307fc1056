from __future__ import annotations

from pathlib import Path

import pytest
from ablation_plots import alpha_curves, difference_intervals, draw_ablation

from tests.benchmarks.test_ablation_tables import line

LINES = [
    line("baseline", 0, 0.5),
    line("iou-aware", 0, 0.6, against=["baseline"]),
    line("baseline", 1, 0.5),
    line("iou-aware", 1, 0.7, against=["baseline"]),
    line("detached", 0, 0.7, against=["iou-aware"]),
]


def test_curves_by_hand() -> None:
    # every line gains 2 points from alpha 1 to 0.5
    curves = alpha_curves(LINES, "iou-aware")
    assert list(curves) == ["cells"]
    alphas, intervals = zip(*curves["cells"], strict=True)
    assert alphas == (1.0, 0.5)
    assert [i.mean for i in intervals] == pytest.approx([0, 0.02])
    assert intervals[1].seeds == 2


def test_differences_need_two_seeds() -> None:
    rows = difference_intervals(LINES)
    assert [name for name, _ in rows] == ["cells: iou-aware over baseline"]
    assert rows[0][1].mean == pytest.approx(0.15)


def test_a_run_without_figures_is_left_out() -> None:
    lost = line("iou-aware", 2, None, status="diverged", against=["baseline"])
    curves = alpha_curves([*LINES, lost], "iou-aware")
    assert [i.seeds for _, i in curves["cells"]] == [2, 2]
    no_objects = line("iou-aware", 3, None, against=["baseline"])
    curves = alpha_curves([*LINES, no_objects], "iou-aware")
    assert [i.seeds for _, i in curves["cells"]] == [2, 2]


def test_both_are_drawn_alike_each_time_and_nothing_from_nothing(tmp_path: Path) -> None:
    draw_ablation({}, tmp_path / "none")
    assert not (tmp_path / "none").exists()
    files = []
    for name in ("one", "two"):
        draw_ablation({"ablation": {"lines": LINES}}, tmp_path / name)
        files.append({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()})
    assert set(files[0]) == {"ablation-alpha.svg", "ablation-differences.svg"}
    assert files[0] == files[1]
