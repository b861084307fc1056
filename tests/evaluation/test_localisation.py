from __future__ import annotations

import numpy as np
import pytest
from tests.evaluation.drawing import make_candidates

from iouaware.evaluation.localisation import (
    average_ranks,
    correlate,
    correlations,
    eval_iou,
    iou_bias,
    learnt_little,
    oracle_iou,
    own_class_correlation,
)
from iouaware.structures import Target


def target(boxes, labels, ignored=None):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    flags = np.zeros(len(boxes), np.bool_) if ignored is None else np.array(ignored)
    return Target(boxes, np.array(labels, np.int64), flags, np.ones(len(boxes), np.float32))


def test_two_ious_of_one_box() -> None:
    # box 0..10 x 0..10, area 100. The bolt 5..15 overlaps 5 x 10 = 50 of 150: 1/3, not the best.
    # The best object of its class is the bolt 0..8: 80 / 100 = 0.8; of any class the nut: 1.
    box = np.array([[0, 0, 10, 10]], np.float32)
    truth = target([[5, 0, 15, 10], [0, 0, 8, 10], [0, 0, 10, 10]], [0, 0, 1])
    assert eval_iou(box, np.array([0]), truth) == pytest.approx(0.8)
    assert oracle_iou(box, truth) == pytest.approx(1)


def test_crowds_are_no_objects() -> None:
    box = np.array([[0, 0, 10, 10]], np.float32)
    truth = target([[0, 0, 10, 10]], [0], [True])
    assert eval_iou(box, np.array([0]), truth) == 0
    assert oracle_iou(box, truth) == 0


def test_without_objects_or_boxes() -> None:
    assert oracle_iou(np.zeros((3, 4), np.float32), Target.empty()).tolist() == [0, 0, 0]
    assert eval_iou(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), Target.empty()).size == 0


def test_bias_by_hand() -> None:
    # predicted 0.9, 0.6, 0.4; with any object 0.8, 0.5, 0.1: mean of 0.1, 0.1, 0.3 = 1/6.
    # Of its own class 0.8, 0, 0: the first alone matches, 0.9 - 0.8
    found = make_candidates([[0, 0, 1, 1]] * 3, [0, 0, 0], [0.9, 0.8, 0.7], [0.9, 0.6, 0.4])
    own, best = np.array([0.8, 0, 0], np.float32), np.array([0.8, 0.5, 0.1], np.float32)
    bias = iou_bias([found], [own], [best])
    assert bias == {
        "all": pytest.approx(1 / 6),
        "own_class": pytest.approx((1.9 - 0.8) / 3),
        "matched": pytest.approx(0.1),
    }
    nothing = np.zeros(3, np.float32)
    assert iou_bias([found], [nothing], [best])["matched"] is None
    assert iou_bias([], [], []) == {"all": None, "own_class": None, "matched": None}


def test_correlation_with_the_own_class_equals_numpy() -> None:
    found = make_candidates([[0, 0, 1, 1]] * 3, [0, 0, 0], [0.9, 0.8, 0.7], [0.9, 0.6, 0.4])
    own = np.array([0.8, 0, 0.1], np.float32)
    expected = np.corrcoef([0.9, 0.6, 0.4], own)[0, 1]
    assert own_class_correlation([found], [own])["pearson"] == pytest.approx(expected)
    assert own_class_correlation([], []) == {"pearson": None, "spearman": None}


def test_ranks_share_their_mean() -> None:
    assert average_ranks(np.array([5, 1, 5, 7])).tolist() == [1.5, 0, 1.5, 3]


def test_correlation_by_hand() -> None:
    # x 1 2 3 4, y 1 4 9 16: deviations -1.5 -.5 .5 1.5 and -6.5 -3.5 1.5 8.5;
    # sum of products 9.75 + 1.75 + .75 + 12.75 = 25; sums of squares 5 and 129
    result = correlate(np.array([1, 2, 3, 4]), np.array([1, 4, 9, 16]))
    assert result["pearson"] == pytest.approx(25 / np.sqrt(5 * 129))
    assert result["spearman"] == pytest.approx(1)


@pytest.mark.parametrize("values", [[], [0.3], [0.5, 0.5, 0.5]])
def test_undefined_correlation_is_none(values: list[float]) -> None:
    column = np.array(values, np.float32)
    assert correlate(column, np.arange(len(values))) == {"pearson": None, "spearman": None}


def test_p50_correlation_over_all_and_over_those_that_match() -> None:
    found = make_candidates(
        [[0, 0, 9, 9]] * 4, [0] * 4, [0.9, 0.8, 0.7, 0.6], [0.95, 0.7, 0.55, 0.9]
    )
    own = [np.array([0.9, 0.7, 0.6, 0.0], np.float32)]
    best = [np.array([0.9, 0.7, 0.6, 0.1], np.float32)]
    everything, matched, notes = correlations([found], own, best, 1.0)
    assert not notes
    # over those that match the predicted IoU grows with the true one; the false alarm spoils it
    assert matched["predicted_iou"]["spearman"] == pytest.approx(1)
    assert everything["predicted_iou"]["spearman"] < 0.5
    assert everything["class_score"] == everything["score"]  # alpha 1


def test_correlation_without_iou_branch_says_why() -> None:
    found = make_candidates([[0, 0, 9, 9]] * 2, [0, 0], [0.9, 0.8], None)
    ious = [np.array([0.3, 0.2], np.float32)]
    everything, _, notes = correlations([found], ious, ious, 1.0)
    assert everything["predicted_iou"] == {"pearson": None, "spearman": None}
    assert "no trained IoU branch" in notes["correlation.predicted_iou"]
    assert notes["correlation_matched.score"] == "only 0 candidates"
    assert everything["score"]["pearson"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("predicted", "own", "said"),
    [
        ([0.5, 0.5, 0.5], [0.6, 0.7, 0.9], "the predicted IoU never varies"),
        ([0.9, 0.7, 0.6], [0.6, 0.7, 0.9], "rank correlation -1.00"),
        ([0.6, 0.7, 0.9], [0.6, 0.7, 0.9], None),
        ([0.6, 0.7, 0.9], [0.7, 0.7, 0.7], None),  # nothing to tell it by
        ([0.5, 0.5, 0.5], [0.6, 0.1, 0.1], None),  # one match alone
        (None, [0.6, 0.7, 0.9], None),
    ],
)
def test_p50_a_branch_that_learnt_little_is_told(
    predicted: list[float] | None, own: list[float], said: str | None
) -> None:
    found = make_candidates([[0, 0, 9, 9]] * 3, [0] * 3, [0.9, 0.8, 0.7], predicted)
    true = [np.array(own, np.float32)]
    _, matched, notes = correlations([found], true, true, 1.0)
    assert learnt_little({"correlation_matched": matched, "notes": notes}) == said


def test_two_pairs_are_enough_for_a_correlation() -> None:
    falling = correlate(np.array([0.25, 0.5]), np.array([4, 2]))
    assert falling == {"pearson": pytest.approx(-1), "spearman": pytest.approx(-1)}
    for constant in ([2, 2], [0, 0]):
        nothing = {"pearson": None, "spearman": None}
        assert correlate(np.array([0.25, 0.5]), np.array(constant)) == nothing
        assert correlate(np.array(constant), np.array([0.25, 0.5])) == nothing


def test_matching_starts_at_an_iou_of_one_half() -> None:
    # of its own class 0.5, 0.75 and 0.25: two match, where the predicted IoU falls with the true
    # one and p grows with it; S at alpha 0 is the predicted IoU
    found = make_candidates([[0, 0, 9, 9]] * 3, [0] * 3, [0.9, 0.8, 0.7], [0.75, 0.5, 0.25])
    own = [np.array([0.5, 0.75, 0.25], np.float32)]
    everything, matched, notes = correlations([found], own, own, 0.0)
    down = {"pearson": pytest.approx(-1), "spearman": pytest.approx(-1)}
    assert matched == {"class_score": down, "predicted_iou": down, "score": down}
    # ranks 2 1 0 and 1 2 0: products of the deviations 0 + 0 + 1, sums of squares 2 and 2
    assert everything["predicted_iou"]["spearman"] == pytest.approx(0.5)
    assert everything["score"] == everything["predicted_iou"]
    assert not notes
    # 0.75 - 0.5 and 0.5 - 0.75
    assert iou_bias([found], own, own)["matched"] == 0


def test_p50_what_never_varies_is_told_by_its_name() -> None:
    found = make_candidates([[0, 0, 9, 9]] * 2, [0] * 2, [0.5, 0.5], [0.75, 0.5])
    same, other = [np.array([0.75, 0.75], np.float32)], [np.array([0.75, 0.25], np.float32)]
    _, _, notes = correlations([found], same, other, 1.0)
    assert notes == {
        "correlation.class_score": "the class score never varies",
        "correlation.score": "the score never varies",
        "correlation_matched.class_score": "the class score never varies",
        "correlation_matched.predicted_iou": "the true IoU never varies",
        "correlation_matched.score": "the score never varies",
    }
    single = make_candidates([[0, 0, 9, 9]], [0], [0.5], [0.75])
    _, _, notes = correlations([single], [other[0][:1]], [other[0][:1]], 1.0)
    assert set(notes.values()) == {"only 1 candidates"}


def test_p50_without_a_branch_every_figure_is_none_with_its_reason() -> None:
    found = make_candidates([[0, 0, 9, 9]] * 2, [0, 0], [0.75, 0.5], None)
    ious = [np.array([0.75, 0.5], np.float32)]
    everything, matched, notes = correlations([found], ious, ious, 0.5)
    nothing = {"pearson": None, "spearman": None}
    assert everything["predicted_iou"] == matched["predicted_iou"] == nothing
    reason = "the model has no trained IoU branch"
    assert notes == dict.fromkeys(
        ("correlation.predicted_iou", "correlation_matched.predicted_iou"), reason
    )
    assert own_class_correlation([found], ious) == nothing
    assert iou_bias([found], ious, ious) == {"all": None, "own_class": None, "matched": None}


def test_p50_learnt_is_from_one_tenth_on() -> None:
    def judged(spearman: float | None) -> dict[str, object]:
        return {"correlation_matched": {"predicted_iou": {"spearman": spearman}}}

    assert learnt_little(judged(0.1)) is None
    assert learnt_little(judged(0.09)) == "rank correlation 0.09"
    assert learnt_little(judged(None)) is None
    assert learnt_little({}) is None


def test_half_precision_does_not_overflow_in_a_correlation() -> None:
    # the deviations are 500, their squares 250,000: float16 ends at 65,504
    half, plain = np.array([0, 1000], np.float16), np.array([0.25, 0.5])
    for first, second in ((half, plain), (plain, half)):
        assert correlate(first, second)["pearson"] == pytest.approx(1)


def test_rounding_leaves_a_correlation_within_one() -> None:
    # worked out plainly they come to 1.0000000000000002 and -1.0000000000000002
    column = np.array([0, 1, 1.5])
    assert correlate(column, 0.1 * column)["pearson"] == 1
    assert correlate(column, -0.1 * column)["pearson"] == -1
