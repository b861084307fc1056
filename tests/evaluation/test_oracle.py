from __future__ import annotations

import numpy as np
import pytest
from tests.evaluation.drawing import make_candidates, make_dataset

from iouaware.config import InferenceConfig
from iouaware.evaluation.coco_metrics import CocoEvaluator
from iouaware.evaluation.localisation import compute_true_ious
from iouaware.evaluation.oracle import evaluate_oracles, localisation_ious, share_of_gap

BOLT = [0, 0, 100, 100]
NUT = [200, 200, 300, 300]


def scene():
    """One bolt and one nut; candidates by falling p, none overlapping another of its class by half.

    bolt, 0.9: far from everything, a false alarm          eval 0    oracle 0
    nut,  0.8: exactly on the bolt, class wrong            eval 0    oracle 1
    bolt, 0.6: 0..80 x 0..100 of the bolt, IoU 0.8         eval 0.8  oracle 0.8
    nut,  0.4: exactly on the nut                          eval 1    oracle 1
    """
    dataset = make_dataset([[BOLT, NUT]], [[0, 1]])
    found = make_candidates(
        [[300, 0, 390, 90], BOLT, [0, 0, 80, 100], NUT],
        [0, 1, 0, 1],
        [0.9, 0.8, 0.6, 0.4],
        [0.9, 0.9, 0.1, 0.1],
    )
    return dataset, [found]


def test_p51_localisation_oracle_knows_only_how_well_the_right_ones_fit() -> None:
    dataset, candidates = scene()
    own, _ = compute_true_ious(dataset, candidates)
    # the two that match keep 0.8 and 1; the others get their mean, 0.9
    assert localisation_ious(own)[0] == pytest.approx([0.9, 0.9, 0.8, 1.0])


def test_p51_oracles_by_hand() -> None:
    dataset, candidates = scene()
    own, best = compute_true_ious(dataset, candidates)
    metrics = evaluate_oracles(CocoEvaluator(dataset), candidates, own, best, InferenceConfig())
    # localisation: bolts sqrt(.9 * .9) = .90 wrong, sqrt(.6 * .8) = .69 right: AP50 1/2
    #               nuts sqrt(.8 * .9) = .85 wrong, sqrt(.4 * 1) = .63 right: AP50 1/2
    assert metrics["localisation"].to_dict()["AP50"] == pytest.approx(0.5)
    # any_class: bolts: the false alarm falls to 0, the right one leads: 1
    #            nuts: the class error has IoU 1, sqrt(.8 * 1) = .89 above .63: 1/2
    assert metrics["any_class"].to_dict()["AP50"] == pytest.approx(0.75)
    # at IoU 0.75 still, at 0.85 the bolt's box of 0.8 is wrong
    assert metrics["any_class"].AP_per_iou["0.80"] == pytest.approx(0.75)
    assert metrics["any_class"].AP_per_iou["0.85"] == pytest.approx(0.25)


def test_nothing_matches() -> None:
    assert localisation_ious([np.zeros(3, np.float32), np.zeros(0, np.float32)])[0].tolist() == [
        0.5,
        0.5,
        0.5,
    ]


def test_share_of_gap() -> None:
    share, reason = share_of_gap(0.42, 0.40, 0.48)
    assert share == pytest.approx(0.25)
    assert not reason
    share, reason = share_of_gap(0.41, 0.40, 0.409)
    assert share is None
    assert reason == "the gap to the localisation oracle is 0.9 AP, under 1 AP"
    assert share_of_gap(None, None, None)[0] is None


def test_an_iou_of_one_half_matches() -> None:
    # 0.5 and 0.75 match, and the third gets their mean, 0.625
    given = localisation_ious([np.array([0.5, 0.75], np.float32), np.array([0.25], np.float32)])
    assert [iou.tolist() for iou in given] == [[0.5, 0.75], [0.625]]
    assert {iou.dtype for iou in given} == {np.dtype(np.float32)}


@pytest.mark.parametrize("figures", [(None, 0.4, 0.5), (0.4, None, 0.5), (0.4, 0.4, None)])
def test_no_share_without_all_three(figures: tuple[float | None, float | None, float | None]):
    assert share_of_gap(*figures) == (None, "no object in this split")


def test_a_gap_of_one_point_is_wide_enough() -> None:
    # 0.005 of a gap of 0.01
    share, reason = share_of_gap(0.005, 0.0, 0.01)
    assert share == pytest.approx(0.5)
    assert reason == ""


def test_an_oracle_below_the_baseline_is_told_in_points() -> None:
    _, reason = share_of_gap(0.3, 0.4, 0.2)
    assert reason == "the gap to the localisation oracle is -20.0 AP, under 1 AP"
