from __future__ import annotations

import numpy as np
import pytest
from tests.evaluation.drawing import random_candidates

from iouaware.config import InferenceConfig
from iouaware.evaluation.alpha_sweep import sweep_alphas
from iouaware.evaluation.held_out import (
    choose_alpha,
    compute_figure,
    compute_figures,
    draw_pictures,
    halve_pictures,
    judge_held_out,
    kept_alpha,
)

ALPHAS = (1.0, 0.5, 0.3)


def matches_of(seed: int, noise: float, images: int = 30):
    dataset, candidates = random_candidates(seed, images=images, noise=noise)
    judged = sweep_alphas(dataset, candidates, InferenceConfig(), ALPHAS)
    return {judgement.alpha: judgement.matches for judgement in judged}


@pytest.fixture(scope="module")
def informative():
    return matches_of(0, noise=0.05)


@pytest.fixture(scope="module")
def judged(informative):
    return judge_held_out(informative)


def test_a_real_gain_is_proven(judged) -> None:
    result = judged
    assert result["alpha"] < 1
    assert result["proven"]
    low, high = result["ci95"]
    assert 0 < low < result["gain"] < high
    assert result["gain"] > 0.03
    assert len(result["alphas_chosen"]) == result["halves_judged"] == 40
    assert result["gains"]["AP"] == result["gain"]
    assert kept_alpha(result) == result["alpha"]


def test_worthless_iou_keeps_alpha_one_with_no_gain() -> None:
    result = judge_held_out(matches_of(1, noise=np.inf))
    assert result["alpha"] == 1
    assert result["gain"] == 0
    assert result["ci95"] == [0, 0]
    assert not result["proven"]
    assert set(result["alphas_chosen"]) == {1.0}
    assert kept_alpha(result) == 1


@pytest.fixture(scope="module")
def doubtful():
    """A predicted IoU so noisy that the halves choose 1, 0.5 or 0.3."""
    return matches_of(2, noise=0.3)


def test_a_doubtful_gain_is_judged_on_the_half_that_did_not_choose(doubtful) -> None:
    result = judge_held_out(doubtful)
    assert set(result["alphas_chosen"]) == {1.0, 0.5, 0.3}
    # worked out again, plainly: choose on a half, subtract on the other, both ways
    images = len(doubtful[1.0].objects)
    draws = draw_pictures(np.ones(images, np.bool_), 500, seed=1000)
    selections = np.concatenate([np.ones((1, images), np.int32), draws])  # all, then the draws
    gains = []
    for number, alpha in enumerate(result["alphas_chosen"]):
        first = np.zeros(images, np.bool_)
        order = np.random.RandomState(number % 20).permutation(images)
        first[order[: images // 2]] = True
        judging = ~first if number < 20 else first
        fused = compute_figure(doubtful[alpha], selections * judging)
        gains.append(fused - compute_figure(doubtful[1.0], selections * judging))
    means = np.mean(gains, axis=0)
    assert result["gain"] == pytest.approx(means[0])
    assert result["ci95"] == pytest.approx(np.percentile(means[1:], [2.5, 97.5]).tolist())
    low, high = result["ci95"]
    assert low < 0 < high
    assert not result["proven"]


def test_other_figures_are_judged_at_the_same_alphas(doubtful) -> None:
    result = judge_held_out(doubtful)
    judging = np.roll(halve_pictures(len(doubtful[1.0].objects)), 20, axis=0).astype(np.int32)
    for figure, gain in result["gains"].items():
        differences = [
            compute_figure(doubtful[alpha], half[None], figure)
            - compute_figure(doubtful[1.0], half[None], figure)
            for alpha, half in zip(result["alphas_chosen"], judging, strict=True)
        ]
        assert gain == pytest.approx(np.mean(differences)), figure
    assert result["gains"]["AP90"] != result["gain"]


@pytest.mark.parametrize(("gain", "kept"), [(0.01, 0.4), (0.0, 1.0), (-0.01, 1.0), (None, 1.0)])
def test_alpha_is_kept_only_with_a_positive_gain(gain: float | None, kept: float) -> None:
    assert kept_alpha({"alpha": 0.4, "gain": gain}) == kept


def test_halvings_are_fixed_and_complementary() -> None:
    halves = halve_pictures(9)
    assert halves.shape == (40, 9)
    assert (halves[:20].sum(1) == 4).all()
    assert (halves[:20] ^ halves[20:]).all()
    assert (halves == halve_pictures(9)).all()
    assert len({row.tobytes() for row in halve_pictures(30)}) == 40
    # frozen: a new numpy must not choose other halves
    assert np.flatnonzero(halves[0]).tolist() == [1, 2, 4, 7]
    assert np.flatnonzero(halves[1]).tolist() == [2, 6, 7, 8]


def test_draws_are_pictures_of_the_half_with_replacement() -> None:
    half = np.array([True, False, True, True])
    draws = draw_pictures(half, 200, seed=3)
    assert (draws.sum(1) == 3).all()
    assert (draws[:, 1] == 0).all()
    assert draws.max() == 3
    assert draws[:, half].mean(0) == pytest.approx([1, 1, 1], abs=0.15)


def test_intervals_are_paired_over_pictures(informative) -> None:
    # the same draw at both alphas: if alpha 0.5 brings the same detections as alpha 1, every
    # draw's gain is exactly 0, while AP itself swings from draw to draw
    same = {1.0: informative[1.0], 0.5: informative[1.0]}
    draws = draw_pictures(np.ones(30, np.bool_), 50, seed=0)
    assert compute_figure(same[0.5], draws).std() > 0.005
    assert np.ptp(compute_figure(same[0.5], draws) - compute_figure(same[1.0], draws)) == 0
    # and the spread of the paired difference is smaller than that of two unpaired columns
    paired = compute_figure(informative[0.5], draws) - compute_figure(informative[1.0], draws)
    other = draw_pictures(np.ones(30, np.bool_), 50, seed=1)
    apart = compute_figure(informative[0.5], draws) - compute_figure(informative[1.0], other)
    assert paired.std() < apart.std()


def test_one_standard_error_is_asked(informative) -> None:
    everything = np.ones(30, np.bool_)
    matches = {1.0: informative[1.0], 0.5: informative[0.5]}
    draws = draw_pictures(everything, 50, seed=0)
    error = (compute_figure(matches[0.5], draws) - compute_figure(matches[1.0], draws)).std(ddof=1)
    just_over = {1.0: 0.5, 0.5: 0.5 + 1.01 * error}
    just_under = {1.0: 0.5, 0.5: 0.5 + 0.99 * error}
    assert choose_alpha(matches, everything, just_over) == 0.5
    assert choose_alpha(matches, everything, just_under) == 1.0
    assert choose_alpha(matches, everything, {1.0: np.nan, 0.5: np.nan}) == 1.0


@pytest.mark.parametrize(("images", "empty"), [(3, 0), (8, 8)])
def test_too_little_to_judge_is_null_with_its_reason(images: int, empty: int) -> None:
    dataset, candidates = random_candidates(0, images=images, empty=empty)
    judged = sweep_alphas(dataset, candidates, InferenceConfig(), (1.0, 0.5))
    result = judge_held_out({j.alpha: j.matches for j in judged})
    assert result["gain"] is None
    assert result["ci95"] is None
    assert result["alpha"] == 1
    assert "only 3 pictures" in result["note"] or "no object" in result["note"]
    assert kept_alpha(result) == 1


def test_another_figure_may_choose(informative) -> None:
    result = judge_held_out({a: informative[a] for a in (1.0, 0.5)}, "AP75")
    assert result["figure"] == "AP75"
    everything = np.ones((1, 30), np.int64)
    both = [compute_figure(informative[a], everything, "AP75")[0] for a in (0.5, 1.0)]
    assert result["gain"] == pytest.approx(both[0] - both[1], abs=0.05)
    assert result["gain"] > 0.05


def test_draws_are_fixed() -> None:
    # frozen like the halvings; of the pictures 0, 2 and 3
    half = np.array([True, False, True, True])
    draws = draw_pictures(half, 3, seed=3)
    assert draws.dtype == np.int32
    assert draws.tolist() == [[1, 0, 1, 1], [3, 0, 0, 0], [0, 0, 2, 1]]


def test_figures_of_all_pictures_are_the_evaluators() -> None:
    dataset, candidates = random_candidates(3, images=12)
    (judgement,) = sweep_alphas(dataset, candidates, InferenceConfig(), (1.0,))
    figures = compute_figures(judgement.matches)
    assert list(figures) == ["AP", "AP50", "AP75", "AP80", "AP90"]
    for name, value in figures.items():
        assert value == pytest.approx(getattr(judgement.metrics, name)), name
    dataset, candidates = random_candidates(3, images=4, empty=4)
    (judgement,) = sweep_alphas(dataset, candidates, InferenceConfig(), (1.0,))
    assert set(compute_figures(judgement.matches).values()) == {None}


def test_of_equal_alphas_the_one_nearer_to_one_is_chosen(informative) -> None:
    same = {1.0: informative[1.0], 0.3: informative[0.5], 0.5: informative[0.5]}
    everything = np.ones(30, np.bool_)
    assert choose_alpha(same, everything, {1.0: 0.1, 0.3: 0.5, 0.5: 0.5}) == 0.5
    assert choose_alpha(same, everything, {1.0: 0.1, 0.3: 0.6, 0.5: 0.5}) == 0.3
    assert choose_alpha(same, everything, {1.0: 0.5, 0.3: 0.5, 0.5: 0.5}) == 1.0


def test_nothing_to_judge_has_every_key() -> None:
    dataset, candidates = random_candidates(0, images=4, empty=4)
    judged = sweep_alphas(dataset, candidates, InferenceConfig(), (1.0, 0.5))
    nothing: dict[str, object] = {
        "alpha": 1.0,
        "gain": None,
        "gains": dict.fromkeys(("AP", "AP50", "AP75", "AP80", "AP90")),
        "ci95": None,
        "proven": False,
        "alphas_chosen": [],
        "halves_judged": 0,
    }
    found = judge_held_out({j.alpha: j.matches for j in judged})
    assert found == {**nothing, "note": "no object in this split"}
    few = sweep_alphas(dataset.subset([0, 1, 2]), candidates[:3], InferenceConfig(), (1.0, 0.5))
    found = judge_held_out({j.alpha: j.matches for j in few})
    assert found == {**nothing, "note": "only 3 pictures, halves need at least 4"}


def test_four_pictures_are_enough() -> None:
    dataset, candidates = random_candidates(0, images=4, empty=0)
    judged = sweep_alphas(dataset, candidates, InferenceConfig(), (1.0, 0.5))
    assert judge_held_out({j.alpha: j.matches for j in judged})["halves_judged"] == 40
