from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from iouaware.evaluation.detection_table import select_table
from iouaware.evaluation.matches import match_detections
from iouaware.reporting.judging import Kind, find_misses, judge_detections
from tests.reporting.scenes import SETTINGS, Scene, make_candidates, make_truth

NAMES = ("bolt", "nut")


def test_every_kind_by_hand(tmp_path: Path) -> None:
    # objects: bolt A 0..20, bolt B 40..60, nut C at the bottom, and a crowd of bolts on the right
    boxes = [[[0, 0, 20, 20], [40, 0, 60, 20], [0, 60, 20, 80], [70, 40, 96, 96]]]
    truth = make_truth(tmp_path, boxes, [[0, 0, 1, 0]], NAMES, [[False, False, False, True]])
    found = make_candidates(
        [
            [0, 0, 20, 20],  # on A: IoU 1, hit
            [0, 9, 20, 29],  # half below A: overlap 220 of 580, IoU 0.379, loose
            [0, 0, 20, 13],  # A again: IoU 13/20 = 0.65, but under NMS 0.5 only by another class
            [0, 60, 20, 80],  # on C, but called bolt: confused
            [72, 50, 90, 70],  # inside the crowd: ignored
            [30, 40, 45, 55],  # on nothing: background
        ],
        [0, 0, 0, 0, 0, 0],
        [0.9, 0.5, 0.8, 0.7, 0.6, 0.4],
        None,
    )
    settings = SETTINGS.model_copy(update={"nms_iou": 0.99})  # so that the second box on A stays
    judged = judge_detections(truth, [found], 1.0, settings)
    # by falling p: .9 hit, .8 duplicate, .7 confused, .6 ignored, .5 loose, .4 background
    assert [Kind(kind) for kind in judged.kind] == [
        Kind.HIT,
        Kind.DUPLICATE,
        Kind.CONFUSED,
        Kind.IGNORED,
        Kind.LOOSE,
        Kind.BACKGROUND,
    ]
    np.testing.assert_allclose(judged.iou, [1, 0.65, 0, 0, 220 / 580, 0], atol=1e-6)
    assert judged.truth.tolist() == [0, 0, 2, -1, 0, -1]
    # missed are B and C; the crowd is no object. C has the confused box right on it
    misses = find_misses(truth, judged)
    assert [(miss.truth, miss.label) for miss in misses] == [(1, 0), (2, 1)]
    assert misses[0].nearest == -1
    assert misses[1].nearest == 2
    assert misses[1].overlap == pytest.approx(1)


def test_the_truth_of_a_box_is_of_its_class_where_it_is_second_or_loose(tmp_path: Path) -> None:
    # a bolt 0..40 and a nut 10..50 high, both 40 wide
    truth = make_truth(tmp_path, [[[0, 0, 40, 40], [0, 10, 40, 50]]], [[0, 1]], NAMES)
    found = make_candidates(
        [
            [0, 0, 40, 40],  # hits the bolt
            [0, 8, 40, 48],  # a second bolt, 32/48 = 0.67 on it, 38/42 = 0.90 on the nut
            [0, 25, 40, 55],  # called bolt: 15/55 = 0.27, loose; 25/45 = 0.56 on the nut: confused
            [0, 30, 40, 52],  # called bolt: 10/52 = 0.19, loose; 20/42 = 0.48 on the nut
        ],
        [0, 0, 0, 0],
        [0.9, 0.8, 0.7, 0.6],
        None,
    )
    settings = SETTINGS.model_copy(update={"nms_iou": 0.99})
    judged = judge_detections(truth, [found], 1.0, settings)
    kinds = [Kind.HIT, Kind.DUPLICATE, Kind.CONFUSED, Kind.LOOSE]
    assert [Kind(kind) for kind in judged.kind] == kinds
    assert judged.truth.tolist() == [0, 0, 1, 0]


def test_a_threshold_hides_without_changing_verdicts(scene: Scene, run: Path) -> None:
    facts = scene.facts(run)
    shown = facts.judged.shown_at(0.6)
    assert 0 < len(shown) < len(facts.judged)
    assert shown.kind.tolist() == facts.judged.kind[facts.judged.scores >= 0.6].tolist()


def test_hits_are_those_of_the_evaluation(scene: Scene) -> None:
    judged = judge_detections(scene.dataset, scene.candidates, 0.5, SETTINGS)
    matches = match_detections(scene.dataset, select_table(scene.candidates, 0.5, SETTINGS))
    assert judged.counts[Kind.HIT] == int(matches.right[0].sum())  # row 0 is IoU 0.5
    assert judged.counts[Kind.IGNORED] == int(matches.ignored[0].sum())


def test_nothing_at_all(tmp_path: Path) -> None:
    empty = make_truth(tmp_path, [], [], NAMES)
    assert len(judge_detections(empty, [], 1.0, SETTINGS)) == 0
    truth = make_truth(tmp_path, [[]], [[]], NAMES)
    nothing = make_candidates(np.zeros((0, 4)), [], [], [])
    judged = judge_detections(truth, [nothing], 0.5, SETTINGS)
    assert len(judged) == 0
    assert find_misses(truth, judged) == []


def test_a_picture_without_objects_has_only_false_alarms(tmp_path: Path) -> None:
    truth = make_truth(tmp_path, [[]], [[]], NAMES)
    found = make_candidates([[0, 0, 20, 20]], [0], [0.9], [0.8])
    assert judge_detections(truth, [found], 0.5, SETTINGS).kind.tolist() == [Kind.BACKGROUND]


def test_candidates_must_fit_the_pictures(scene: Scene) -> None:
    with pytest.raises(ValueError, match="7 candidates for 8 pictures"):
        judge_detections(scene.dataset, scene.candidates[1:], 1.0, SETTINGS)
