from __future__ import annotations

import math
from typing import Any

import pytest
from ablation_tables import (
    TABLES,
    gains_over_alpha_1,
    mean_interval,
    mean_of,
    paired_differences,
    recalls_over_alpha_1,
    signed_interval,
)
from tables import render_table

FIGURES = ("AP", "AP50", "AP75", "AP80", "AP90")


def line(setting: str, seed: int, ap: float | None, **values: Any) -> dict[str, Any]:
    """A line with every figure equal, 2 points over alpha 1."""
    figures = dict.fromkeys(FIGURES, ap)
    curves = {name: [None if ap is None else ap - 0.02, ap] for name in FIGURES}
    return {
        "data": "cells", "setting": setting, "seed": seed, "status": "finished", "about": "x",
        "against": [], "authors_order_of": None, "without_look_of": None,
        "settings": {"train.epochs": 3},
        **figures, "alpha": 0.5, "AP_alpha1": curves["AP"][0],
        "sweep": {"alphas": [1.0, 0.5], **curves}, "minutes": 2.0, **values,
    }  # fmt: skip


def test_three_seeds_by_hand() -> None:
    # 1, 2, 6: mean 3, deviations -2, -1, 3: s^2 = 14 / 2 = 7; t(2) = 4.303, half 4.303 sqrt(7/3)
    found = mean_interval([1, 2, 6])
    assert found is not None
    assert found.mean == 3
    assert found.half == pytest.approx(4.303 * math.sqrt(7 / 3))
    assert found.seeds == 3


@pytest.mark.parametrize(("count", "widths"), [(3, 2.484), (5, 1.241), (40, 0.323)])
def test_how_many_standard_deviations_wide_it_is(count: int, widths: float) -> None:
    # t / sqrt(n): 4.303 / sqrt(3), 2.776 / sqrt(5), and past 31 values 2.042 / sqrt(40)
    values = [float(number % 2) for number in range(count)]
    deviation = math.sqrt(sum((v - sum(values) / count) ** 2 for v in values) / (count - 1))
    found = mean_interval(values)
    assert found is not None
    assert found.half is not None
    assert found.half / deviation == pytest.approx(widths, abs=0.001)


def test_one_seed_has_no_interval_and_none_no_mean() -> None:
    assert mean_interval([]) is None
    one = mean_interval([0.02])
    assert one is not None
    assert one.half is None
    assert signed_interval(one) == "+2.0 (one seed)"
    assert signed_interval(None) == "n/a"


def test_differences_are_taken_seed_by_seed() -> None:
    lines = [
        line("iou-aware", 2, 0.9),
        line("baseline", 0, 0.5),
        line("iou-aware", 0, 0.6),
        line("iou-aware", 1, 0.7),
        line("baseline", 1, 0.4),
        line("baseline", 3, 0.1),  # 2 and 3 have no partner
        line("baseline", 4, 0.3),
        line("iou-aware", 4, None),  # diverged
        line("iou-aware", 0, 0.99, data="boards"),
    ]
    found = paired_differences(lines, "cells", "iou-aware", "baseline", "AP")
    assert found == pytest.approx([0.1, 0.3])


def test_gain_over_alpha_1_of_the_same_weights() -> None:
    lines = [line("iou-aware", 0, 0.6), line("iou-aware", 1, None)]
    assert gains_over_alpha_1(lines, "AP90") == pytest.approx([0.02])


def test_recall_over_alpha_1_leaves_out_runs_that_never_reach_the_precision() -> None:
    lines = [
        line("iou-aware", 0, 0.6, recall_at_p95_iou75={"alpha": 0.3, "alpha1": 0.1}),
        line("iou-aware", 1, 0.6, recall_at_p95_iou75={"alpha": 0.3, "alpha1": None}),
        line("iou-aware", 2, 0.6, recall_at_p95_iou75=None),
        line("iou-aware", 3, None, status="diverged"),
        line("iou-aware", 4, 0.6, recall_at_p95_iou75={"alpha": 0.2, "alpha1": 0.25}),
    ]
    assert recalls_over_alpha_1(lines) == pytest.approx([0.2, -0.05])


def test_runs_that_prove_a_gain_are_counted() -> None:
    lines = [
        line("iou-aware", 0, 0.6, held_out={"proven": True}),
        line("iou-aware", 1, 0.6, held_out={"proven": False}),
        line("iou-aware", 2, None, status="diverged"),
    ]
    table = render_table("ablation-alpha", {"ablation": {"lines": lines}}).splitlines()
    assert table[2].startswith("| cells | iou-aware | 2 | +2.0 [+2.0, +2.0] |")
    assert table[2].endswith("| 1 of 2 |")


def test_a_mean_leaves_out_what_does_not_exist() -> None:
    lines: list[dict[str, Any]] = [
        {"a": {"b": 1.0}},
        {"a": {"b": None}},
        {"a": None},
        {},
        {"a": {"b": 2.0}},
    ]
    assert mean_of(lines, "a", "b") == 1.5
    assert mean_of(lines, "c") is None


def test_the_table_by_hand() -> None:
    # differences 10 and 20 points: mean 15, s = 7.071, half 12.706 * 7.071 / sqrt(2) = 63.5
    lines = [
        line("baseline", 0, 0.5),
        line("iou-aware", 0, 0.6, against=["baseline"]),
        line("baseline", 1, 0.5),
        line("iou-aware", 1, 0.7, against=["baseline"]),
    ]
    text = render_table("ablation", {"ablation": {"lines": lines}})
    assert text.splitlines()[2:] == [
        "| cells | iou-aware | baseline | 2 | " + " | ".join(["+15.0 [-48.5, +78.5]"] * 4) + " |"
    ]


def test_pairs_of_all_sets_together() -> None:
    # 10 points twice on one set, 20 twice on the other: mean 15, s = 5.774, half 3.182 * s / 2; a
    # set with a single pair is not named
    lines = [
        row
        for data, gain in (("cells", 0.1), ("boards", 0.2))
        for seed in (0, 1)
        for row in (
            line("baseline", seed, 0.5, data=data),
            line("iou-aware", seed, 0.5 + gain, against=["baseline"], data=data),
        )
    ]
    lines += [
        line("baseline", 0, 0.5, data="signs"),
        line("iou-aware", 0, 0.9, against=["baseline"], data="signs"),
    ]
    rows = render_table("ablation", {"ablation": {"lines": lines}}).splitlines()[2:]
    assert rows[2].startswith("| signs | iou-aware | baseline | 1 | +40.0 (one seed) |")
    assert rows[3:] == [
        "| cells, boards | iou-aware | baseline | 4 | "
        + " | ".join(["+15.0 [+5.8, +24.2]"] * 4)
        + " |"
    ]


def test_a_run_that_diverged_is_a_row_that_says_so() -> None:
    lost = {"status": "diverged", "alpha": None, "AP_alpha1": None}
    diverged = line("l1", 1, None, **lost, against=["baseline"])
    del diverged["sweep"]
    results = {"ablation": {"lines": [line("l1", 0, 0.5), diverged]}}
    rows = render_table("ablation-rows", results).splitlines()[2:]
    assert len(rows) == 1
    assert "| l1 | 2, 1 diverged | 48.0 | 0.5 | 50.0 |" in rows[0]
    for name in TABLES:
        assert render_table(name, results)
    alone = {"ablation": {"lines": [diverged]}}
    assert "| 1, 1 diverged | n/a | n/a |" in render_table("ablation-rows", alone)
    assert "| l1 | baseline | 0 | n/a |" in render_table("ablation", alone)


def test_both_recalls_are_of_the_runs_that_reach_the_precision() -> None:
    recalls = ({"alpha1": None, "alpha": 0.1}, {"alpha1": 0.2, "alpha": 0.3})
    lines = [line("x", seed, 0.5, recall_at_p95_iou75=found) for seed, found in enumerate(recalls)]
    row = render_table("ablation-rows", {"ablation": {"lines": lines}}).splitlines()[2]
    assert row.split(" | ")[9:11] == ["20.0", "30.0"]  # not 20 and 20: no run fell


def test_a_run_made_again_counts_once() -> None:
    lines = [line("baseline", 0, 0.1), line("baseline", 0, 0.5)]
    row = render_table("ablation-rows", {"ablation": {"lines": lines}}).splitlines()[2]
    assert "| baseline | 1 | 48.0 |" in row


@pytest.mark.parametrize("name", sorted(TABLES))
@pytest.mark.parametrize("results", [{}, {"ablation": {"lines": []}}])
def test_nothing_measured_yet(name: str, results: dict[str, Any]) -> None:
    lines = render_table(name, results).splitlines()
    assert len(lines) == 3
    assert "not measured yet" in lines[2]
