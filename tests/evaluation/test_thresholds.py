from __future__ import annotations

import numpy as np
import pytest
from tests.evaluation.drawing import make_dataset, random_scene

from iouaware.evaluation.detection_table import build_table
from iouaware.evaluation.matches import match_detections
from iouaware.evaluation.thresholds import (
    best_f1,
    count_false_alarms,
    operate_at,
    pool_classes,
    recall_at_precision,
)

BOX = [0, 0, 100, 100]
AWAY = [300, 300, 350, 350]


def scene(ignored: bool = False):
    """Four pictures with one object each, the last one empty; seven detections.

    S     0.9    0.8    0.7    0.7    0.6    0.5     0.4
    right bolt   bolt   nut    -      -      bolt x  - (empty picture)
    x: IoU 0.8, right at 0.5 and 0.75, wrong at 0.9.
    """
    dataset = make_dataset(
        [[BOX], [BOX], [BOX], [BOX], []],
        [[0], [0], [1], [0], []],
        [[False], [False], [False], [ignored], []],
    )
    loose = [0, 0, 80, 100]
    parts = [
        ([BOX, AWAY], [0, 0], [0.9, 0.6]),
        ([BOX, AWAY], [0, 1], [0.8, 0.7]),
        ([BOX], [1], [0.7]),
        ([loose], [0], [0.5]),
        ([AWAY], [0], [0.4]),
    ]
    found = build_table(
        [(np.array(b, np.float32), np.array(k), np.array(s, np.float32)) for b, k, s in parts]
    )
    return dataset, found


def test_pooled_curve_by_hand() -> None:
    curve = pool_classes(match_detections(*scene()))
    # thresholds .9 .8 .7 .6 .5 .4 keep 1 2 4 5 6 7 detections, 1 2 3 3 4 4 of them right, of 4
    assert curve.scores == pytest.approx([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    assert curve.precision == pytest.approx([1, 1, 3 / 4, 3 / 5, 4 / 6, 4 / 7])
    assert curve.recall == pytest.approx([1 / 4, 2 / 4, 3 / 4, 3 / 4, 1, 1])
    assert curve.f1 == pytest.approx([2 / 5, 4 / 6, 6 / 8, 6 / 9, 8 / 10, 8 / 11])


def test_best_f1_lies_between_two_scores() -> None:
    point = best_f1(match_detections(*scene()))
    assert point is not None
    assert point.score_threshold == pytest.approx(0.45)
    assert (point.precision, point.recall, point.f1) == pytest.approx((4 / 6, 1, 0.8))


def test_recall_at_precision_by_hand() -> None:
    recalls, thresholds, notes = recall_at_precision(match_detections(*scene()))
    for asked in ("0.90", "0.95", "0.99"):
        assert recalls[asked] == {"0.50": 0.5, "0.75": 0.5, "0.90": 0.5}
        assert thresholds[asked]["0.50"] == pytest.approx(0.75)
    assert not notes


def test_precision_out_of_reach_is_null_with_its_reason() -> None:
    dataset, found = scene()
    shifted = found._replace(boxes=found.boxes + np.float32(30))  # IoU 0.32 everywhere
    recalls, thresholds, notes = recall_at_precision(match_detections(dataset, shifted))
    assert recalls["0.95"]["0.75"] is None
    assert thresholds["0.95"]["0.75"] is None
    expected = "no threshold on S reaches precision 0.95 at IoU 0.75"
    assert notes["recall_at_precision.0.95.0.75"] == expected
    assert best_f1(match_detections(dataset, shifted)) is None


def test_equal_scores_stand_or_fall_together() -> None:
    # 0.7 is right once and wrong once: no threshold takes one without the other
    curve = pool_classes(match_detections(*scene()))
    assert 1.0 not in curve.precision[2:]
    assert len(curve.scores) == 6


def test_p27_ignored_objects_count_neither_way() -> None:
    curve = pool_classes(match_detections(*scene(ignored=True)))
    assert curve.scores == pytest.approx([0.9, 0.8, 0.7, 0.6, 0.4])
    assert curve.recall == pytest.approx([1 / 3, 2 / 3, 1, 1, 1])


def test_operate_at_a_given_threshold() -> None:
    matches = match_detections(*scene())
    point = operate_at(matches, 0.65)
    assert (point["precision"], point["recall"]) == (3 / 4, 3 / 4)
    assert operate_at(matches, 0.95) == {
        "score_threshold": 0.95,
        "precision": None,
        "recall": 0.0,
        "f1": 0.0,
    }


def test_p31_false_alarms_on_empty_pictures() -> None:
    dataset, found = scene()
    assert count_false_alarms(dataset, found, 0.4) == 1
    assert count_false_alarms(dataset, found, 0.45) == 0
    full = dataset.subset([0, 1])
    assert count_false_alarms(full, found._replace(), 0.1) is None


def test_a_threshold_gives_on_the_data_what_it_promises() -> None:
    dataset, found = random_scene(2)
    recalls, thresholds, _ = recall_at_precision(match_detections(dataset, found))
    point = best_f1(match_detections(dataset, found))
    assert point is not None
    kept = match_detections(dataset, found.above(point.score_threshold))
    counted = ~kept.ignored[0]
    assert point.precision == pytest.approx(kept.right[0][counted].mean())
    assert point.recall == pytest.approx(kept.right[0].sum() / kept.objects.sum())
    for asked, row in thresholds.items():
        for iou, threshold in row.items():
            if threshold is not None:
                again = match_detections(dataset, found.above(threshold))
                level = {"0.50": 0, "0.75": 5, "0.90": 8}[iou]
                right = again.right[level][~again.ignored[level]]
                assert right.mean() >= float(asked)
                recall = right.sum() / again.objects.sum()
                assert recall == pytest.approx(recalls[asked][iou])


def test_without_objects_everything_is_null() -> None:
    dataset = make_dataset([[]], [[]])
    found = build_table(
        [(np.array([BOX], np.float32), np.zeros(1, np.int64), np.ones(1, np.float32))]
    )
    matches = match_detections(dataset, found)
    recalls, _, notes = recall_at_precision(matches)
    assert {value for row in recalls.values() for value in row.values()} == {None}
    assert set(notes.values()) == {"no object in this split"}
    assert best_f1(matches) is None
    assert operate_at(matches, 0.5)["recall"] is None


def test_all_at_a_given_threshold_by_hand() -> None:
    matches = match_detections(*scene())
    # 0.5 is kept itself: 6 detections, 4 of 4 objects; F1 = 2 * 4 / (6 + 4)
    assert operate_at(matches, 0.5) == {
        "score_threshold": 0.5,
        "precision": pytest.approx(4 / 6),
        "recall": 1,
        "f1": pytest.approx(0.8),
    }
    # 4 kept, 3 right: F1 = 2 * 3 / (4 + 4)
    assert operate_at(matches, 0.65)["f1"] == pytest.approx(6 / 8)


def test_below_the_last_score_lies_nought() -> None:
    dataset = make_dataset([[BOX]], [[0]])
    one = (np.array([BOX], np.float32), np.zeros(1, np.int64), np.array([0.5], np.float32))
    point = best_f1(match_detections(dataset, build_table([one])))
    assert point is not None
    # halfway from 0.5 to 0
    assert point.to_dict() == {"score_threshold": 0.25, "precision": 1, "recall": 1, "f1": 1}


def test_a_precision_that_is_just_reached_counts() -> None:
    # ten pictures, right in all but the one of the lowest score: 9 / 10 at 0.25, 8 / 8 at 0.5
    dataset = make_dataset([[BOX]] * 10, [[0]] * 10)
    places = [(BOX, 0.5)] * 8 + [(BOX, 0.25), (AWAY, 0.25)]
    parts = [
        (np.array([box], np.float32), np.zeros(1, np.int64), np.array([score], np.float32))
        for box, score in places
    ]
    recalls, thresholds, notes = recall_at_precision(match_detections(dataset, build_table(parts)))
    assert recalls["0.90"] == {"0.50": 0.9, "0.75": 0.9, "0.90": 0.9}
    assert thresholds["0.90"] == {"0.50": 0.125, "0.75": 0.125, "0.90": 0.125}
    assert recalls["0.95"] == {"0.50": 0.8, "0.75": 0.8, "0.90": 0.8}
    assert thresholds["0.95"] == {"0.50": 0.375, "0.75": 0.375, "0.90": 0.375}
    assert not notes


def test_recall_at_precision_where_some_ious_are_out_of_reach() -> None:
    # IoU 0.8: right at 0.50 and 0.75, wrong at 0.90
    dataset = make_dataset([[BOX]], [[0]])
    loose = (np.array([[0, 0, 80, 100]], np.float32), np.zeros(1, np.int64), np.ones(1, np.float32))
    recalls, thresholds, notes = recall_at_precision(
        match_detections(dataset, build_table([loose]))
    )
    for asked in ("0.90", "0.95", "0.99"):
        assert recalls[asked] == {"0.50": 1, "0.75": 1, "0.90": None}
        assert thresholds[asked] == {"0.50": 0.5, "0.75": 0.5, "0.90": None}
        told = notes[f"recall_at_precision.{asked}.0.90"]
        assert told == f"no threshold on S reaches precision {asked} at IoU 0.90"
    assert len(notes) == 3


def test_false_alarms_are_an_average_over_the_empty_pictures() -> None:
    dataset = make_dataset([[], [BOX], [], [], []], [[], [0], [], [], []])
    two = (np.array([AWAY, AWAY], np.float32), np.zeros(2, np.int64), np.ones(2, np.float32))
    none = (np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.float32))
    # two alarms on four empty pictures; what is found on the full one is none
    found = build_table([two, two, none, none, none])
    assert count_false_alarms(dataset, found, 0.5) == 0.5


def test_detections_without_any_object_have_precision_nought() -> None:
    dataset = make_dataset([[]], [[]])
    one = (np.array([BOX], np.float32), np.zeros(1, np.int64), np.ones(1, np.float32))
    matches = match_detections(dataset, build_table([one]))
    nothing = {"recall": None, "f1": None}
    assert operate_at(matches, 0.5) == {"score_threshold": 0.5, "precision": 0, **nothing}
    assert operate_at(matches, 2.0) == {"score_threshold": 2.0, "precision": None, **nothing}
