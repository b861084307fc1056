from __future__ import annotations

import numpy as np
import pytest
from tests.evaluation.drawing import judge, make_dataset, random_scene

from iouaware.evaluation.coco_metrics import CocoEvaluator
from iouaware.evaluation.detection_table import DetectionTable, build_table
from iouaware.evaluation.matches import average_precision, match_detections


def repeat_pictures(dataset, found, times):
    """Write every picture as often as asked: a true multiset, copies side by side."""
    chosen = np.repeat(np.arange(len(dataset)), times)
    parts = [tuple(column[found.image_index == image] for column in found[1:]) for image in chosen]
    return dataset.subset(chosen), build_table(parts)


@pytest.mark.parametrize("seed", range(4))
def test_whole_set_equals_the_evaluator(seed: int) -> None:
    dataset, found = random_scene(seed)
    precision = CocoEvaluator(dataset).evaluate(found).precision[:, :, :, 0, 2]  # [T, R, K]
    expected = np.where(precision > -1, precision, np.nan).mean(1)  # [T, K]
    matches = match_detections(dataset, found)
    ours = average_precision(matches, np.ones((1, len(dataset)), np.int64))[0]
    assert np.allclose(ours, expected, rtol=0, atol=1e-12, equal_nan=True)


def test_many_detections_are_cut_at_a_hundred_a_class() -> None:
    dataset, found = random_scene(5, images=4, classes=2, detections=260)
    precision = judge(dataset, found).eval["precision"][:, :, 0, 0, 2]
    ours = average_precision(match_detections(dataset, found), np.ones((1, 4), np.int64))
    assert np.allclose(ours[0, :, 0], precision.mean(1), rtol=0, atol=1e-12)


def test_weights_mean_copies_of_pictures() -> None:
    # no tied scores between pictures: where copies stand among equals is nobody's business
    dataset, found = random_scene(6, images=12)
    distinct = (found.scores + np.random.default_rng(0).uniform(0, 1e-3, len(found.scores))).astype(
        np.float32
    )
    found = DetectionTable(found.image_index, found.boxes, found.labels, distinct)
    times = np.random.default_rng(1).integers(0, 4, (3, 12))
    times[2] = [1, 0] * 6  # a half
    ours = average_precision(match_detections(dataset, found), times)
    for row, copies in enumerate(times):
        precision = judge(*repeat_pictures(dataset, found, copies)).eval["precision"][:, :, :, 0, 2]
        expected = np.where(precision > -1, precision, np.nan).mean(1)
        assert np.allclose(ours[row], expected, rtol=0, atol=1e-9, equal_nan=True)


def test_recall_levels_are_those_of_pycocotools() -> None:
    # 35 of 100 objects are found. pycocotools' level 35 is 35 * 0.01 = 0.35000000000000003, just
    # above 35 / 100, so 35 levels (0 to 0.34) are reached and not 36
    box = np.array([[0, 0, 50, 50]], np.float32)
    one = (box, np.zeros(1, np.int64), np.ones(1, np.float32))
    none = (box[:0], np.zeros(0, np.int64), np.ones(0, np.float32))
    found = build_table([one] * 35 + [none] * 65)
    dataset = make_dataset([box.tolist()] * 100, [[0]] * 100)
    ours = average_precision(match_detections(dataset, found), np.ones((1, 100), np.int64))
    assert ours[0, 0, 0] == pytest.approx(35 / 101)
    assert judge(dataset, found).stats[1] == pytest.approx(35 / 101)


def test_within_equals_weights_of_nought_and_one() -> None:
    dataset, found = random_scene(7)
    matches = match_detections(dataset, found)
    half = np.arange(len(dataset)) % 2 == 0
    weights = half[None].astype(np.int64)
    full = average_precision(matches, weights)
    assert np.allclose(average_precision(matches.within(half), weights), full, equal_nan=True)
    one = average_precision(matches.of_class(1), weights)
    assert np.allclose(one[..., 1], full[..., 1])
    assert np.isnan(one[..., [0, 2, 3]]).all()


def test_nothing_found_is_zero_and_no_object_is_nan() -> None:
    dataset = make_dataset([[[0, 0, 9, 9]], []], [[0], []])
    none = (np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.float32))
    nothing = build_table([none] * 2)
    result = average_precision(match_detections(dataset, nothing), np.array([[1, 1], [0, 1]]))
    assert (result[0, :, 0] == 0).all()
    assert np.isnan(result[1]).all()
    assert np.isnan(result[0, :, 1:]).all()


def test_pictures_matched_a_few_at_a_time_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, found = random_scene(5)
    whole = match_detections(dataset, found)
    monkeypatch.setattr("iouaware.evaluation.matches.IMAGES_AT_A_TIME", 4)
    parts = match_detections(dataset, found)
    for name in ("image_index", "labels", "scores", "right", "ignored", "objects"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))
