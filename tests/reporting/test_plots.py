from __future__ import annotations

from pathlib import Path

import numpy as np

from iouaware.reporting import plots
from tests.reporting.scenes import Scene

PER_IOU = {f"{0.5 + 0.05 * n:.2f}": 0.8 - 0.08 * n for n in range(10)}


def test_ap_per_iou_draws_the_chosen_alpha_beside_alpha_1() -> None:
    both = {"alpha": 0.5, "AP_per_iou": PER_IOU, "baseline": {"AP_per_iou": PER_IOU}}
    assert (drawn := plots.plot_ap_per_iou(both)) is not None
    assert drawn.count("line chosen") == 1
    assert drawn.count("line base") == 1
    assert "0.50 80.0" in drawn  # read out by a screen reader
    assert (alone := plots.plot_ap_per_iou({**both, "alpha": 1})) is not None
    assert "line base" not in alone


def test_gain_is_the_difference_in_points() -> None:
    base = {iou: ap - 0.021 for iou, ap in PER_IOU.items()} | {"0.95": PER_IOU["0.95"] + 0.03}
    drawn = plots.plot_gain_per_iou(
        {"alpha": 0.5, "AP_per_iou": PER_IOU, "baseline": {"AP_per_iou": base}}
    )
    assert drawn is not None
    assert drawn.count("+2.1") == 9
    assert "−3.0" in drawn
    assert drawn.count("bar worse") == 1


def test_alpha_curve_has_its_ceiling_and_its_choice() -> None:
    sweep = {"alphas": [1.0, 0.5, 0.0], "AP": [0.5, 0.55, 0.4]}
    oracle = {"localisation": {"AP": 0.6}}
    drawn = plots.plot_alpha_curve(sweep, oracle, 0.5)
    assert drawn is not None
    assert "localisation oracle 60.0" in drawn
    assert "alpha 0.5: 55.0" in drawn
    assert "oracle" not in (plots.plot_alpha_curve(sweep, {}, 0.3) or "")


def test_missing_numbers_give_no_drawing() -> None:
    assert plots.plot_ap_per_iou({}) is None
    assert plots.plot_ap_per_iou({"AP_per_iou": dict.fromkeys(PER_IOU)}) is None
    assert plots.plot_gain_per_iou({"alpha": 1, "AP_per_iou": PER_IOU}) is None
    assert plots.plot_alpha_curve({}, {}, 1.0) is None
    assert plots.plot_alpha_curve({"alphas": [1.0], "AP": [None]}, {}, 1.0) is None
    assert plots.plot_alpha_by_strictness({"alphas": [0.5], "AP50": [0.5]}) is None
    assert plots.plot_fit(np.zeros(0, np.float32), np.zeros(0, np.float32), "p", "n/a") is None
    assert plots.plot_over_epochs([([], "a")], "loss", "losses") is None


def test_strictness_is_told_from_alpha_1() -> None:
    # AP90 gains 5 points at 0.5 and AP50 loses 1: both lines leave 0 at alpha 1
    sweep = {"alphas": [1.0, 0.5], "AP50": [0.80, 0.79], "AP90": [0.10, 0.15]}
    drawn = plots.plot_alpha_by_strictness(sweep)
    assert drawn is not None
    assert drawn.count('"line a"') == 1
    assert drawn.count('"line c"') == 1


def test_clouds_stay_small_and_tell_their_correlation() -> None:
    values = np.linspace(0, 1, 5000, dtype=np.float32)
    drawn = plots.plot_fit(values, values, "S", "1.00")
    assert drawn is not None
    assert "rank correlation 1.00" in drawn
    assert len(drawn) < 20_000
    assert drawn == plots.plot_fit(values, values, "S", "1.00")  # the same every time


def test_one_epoch_is_drawn_as_a_dot() -> None:
    drawn = plots.plot_over_epochs([([(1.0, 0.5)], "a")], "loss", "losses")
    assert drawn is not None
    assert "dot a" in drawn


def test_a_curve_that_stays_zero_has_an_axis_to_one() -> None:
    drawn = plots.plot_over_epochs([([(1.0, 0.0), (2.0, 0.0)], "a")], "AP", "AP", 100)
    assert drawn is not None
    assert ">1</text>" in drawn
    assert "e-" not in drawn


def test_histogram_counts_every_hit(scene: Scene, run: Path) -> None:
    facts = scene.facts(run)
    drawn = plots.plot_iou_histogram(facts.shown)
    assert drawn is not None
    assert f"True IoU of the {facts.hits} boxes" in drawn
    assert plots.plot_iou_histogram(facts.shown.shown_at(2.0)) is None
