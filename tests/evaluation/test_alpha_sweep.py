from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.evaluation.drawing import make_candidates, make_dataset, random_candidates

from iouaware.config import InferenceConfig
from iouaware.evaluation.alpha_sweep import ALPHAS, alpha_key, sweep_alphas
from iouaware.evaluation.coco_metrics import CocoEvaluator
from iouaware.evaluation.evaluate import evaluate_candidates, sweep_candidates
from iouaware.evaluation.held_out import compute_figure, compute_figures

SETTINGS = InferenceConfig()


def test_alphas_run_from_one_to_nought() -> None:
    assert ALPHAS == (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0)
    assert [alpha_key(a) for a in ALPHAS[:2]] == ["1.0", "0.9"]


@pytest.fixture(scope="module")
def swept():
    dataset, candidates = random_candidates(0, images=8)
    return dataset, candidates, sweep_candidates(dataset, candidates, SETTINGS)


@pytest.mark.parametrize("alpha", [1.0, 0.7, 0.0])
def test_one_alpha_of_the_sweep_is_a_plain_evaluation(swept, alpha: float) -> None:
    dataset, candidates, sweep = swept
    plain = evaluate_candidates(dataset, candidates, alpha, SETTINGS)
    row = sweep["alphas"].index(alpha)
    for name in ("AP", "AP50", "AP75", "AP80", "AP90"):
        # the two add up in another order
        assert sweep[name][row] == pytest.approx(plain[name], abs=1e-14)
    point = sweep["operating_points"][alpha_key(alpha)]
    assert point["score_threshold"] == plain["operating_point"]["score_threshold"]
    assert point["false_alarms_per_empty_image"] == plain["false_alarms_per_empty_image"]
    again = CocoEvaluator(dataset).evaluate_candidates(candidates, alpha, SETTINGS)
    assert plain["AP"] == again.AP


def test_matches_of_the_sweep_agree_with_its_metrics() -> None:
    dataset, candidates = random_candidates(1, images=15)
    everything = np.ones((1, len(dataset)), np.int64)
    for judgement in sweep_alphas(dataset, candidates, SETTINGS, (1.0, 0.5)):
        for figure in ("AP", "AP75"):
            ours = compute_figure(judgement.matches, everything, figure)[0]
            assert ours == pytest.approx(getattr(judgement.metrics, figure), abs=1e-12)
        for figure, value in compute_figures(judgement.matches).items():
            assert value == pytest.approx(getattr(judgement.metrics, figure), abs=1e-12)


def test_without_objects_there_are_no_figures() -> None:
    found = make_candidates([[0, 0, 9, 9]], [0], [0.5], [0.5])
    (judgement,) = sweep_alphas(make_dataset([[]], [[]]), [found], SETTINGS, (1.0,))
    assert set(compute_figures(judgement.matches).values()) == {None}


def test_p34_a_threshold_belongs_to_its_alpha() -> None:
    # a right box with p .36 and IoU .81, a false alarm with .16 and .25. Halfway between their S:
    # at alpha 1 (.36 + .16) / 2 = .26; at alpha .5 (sqrt(.2916) + sqrt(.04)) / 2 = (.54 + .2) / 2
    dataset = make_dataset([[[0, 0, 90, 90]]], [[0]])
    found = make_candidates(
        [[0, 0, 90, 90], [200, 200, 290, 290]], [0, 0], [0.36, 0.16], [0.81, 0.25]
    )
    thresholds = sweep_candidates(dataset, [found], SETTINGS)["score_thresholds"]
    assert list(thresholds)[:2] == ["1.0", "0.9"]
    assert thresholds["1.0"] == pytest.approx(0.26)
    assert thresholds["0.5"] == pytest.approx(0.37)


def test_without_iou_branch_only_alpha_one_is_judged() -> None:
    dataset, candidates = random_candidates(3, images=6)
    bare = [replace(found, predicted_iou=None) for found in candidates]
    sweep = sweep_candidates(dataset, bare, SETTINGS)
    assert sweep["alphas"] == [1.0]
    assert "no trained IoU branch" in sweep["notes"]["alphas"]
    assert sweep["held_out"]["alpha"] == 1.0
    assert (sweep["held_out"]["gain"], sweep["held_out"]["proven"]) == (0.0, False)


def test_wrong_calls_are_refused() -> None:
    dataset, candidates = random_candidates(4, images=5)
    with pytest.raises(ValueError, match="optimize is 'AP60', expected one of AP, AP50"):
        sweep_candidates(dataset, candidates, SETTINGS, optimize="AP60")
    with pytest.raises(ValueError, match="expected 1 first"):
        sweep_candidates(dataset, candidates, SETTINGS, alphas=(0.5,))
    with pytest.raises(ValueError, match="candidates of 4 pictures, expected 5"):
        sweep_candidates(dataset, candidates[:-1], SETTINGS)


def test_metrics_of_an_alpha_are_computed_once() -> None:
    dataset, candidates = random_candidates(5, images=4)
    first, second = sweep_alphas(dataset, candidates, SETTINGS, (1.0, 0.5))
    assert (first.alpha, second.alpha) == (1.0, 0.5)
    assert first.metrics is first.metrics
    assert len(first.table.scores) == len(first.matches.scores)


def test_one_picture_without_a_predicted_iou_keeps_all_at_alpha_one() -> None:
    dataset, candidates = random_candidates(3, images=3)
    mixed = [candidates[0], replace(candidates[1], predicted_iou=None), candidates[2]]
    assert [judgement.alpha for judgement in sweep_alphas(dataset, mixed, SETTINGS)] == [1.0]
    assert len(sweep_alphas(dataset, candidates, SETTINGS)) == len(ALPHAS)
