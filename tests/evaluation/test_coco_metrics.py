from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.evaluation.drawing import judge, make_candidates, make_dataset, random_scene

from iouaware.config import InferenceConfig
from iouaware.evaluation.coco_backend import accumulate, accumulate_with_fallback
from iouaware.evaluation.coco_metrics import CocoEvaluator
from iouaware.evaluation.detection_table import build_table

SETTINGS = InferenceConfig()


def table(boxes, labels, scores):
    return build_table(
        [
            (np.array(b), np.array(k), np.array(s))
            for b, k, s in zip(boxes, labels, scores, strict=True)
        ]
    )


def test_perfect() -> None:
    boxes = [[[10, 10, 60, 60]], [[100, 100, 300, 300]]]
    labels = [[0], [1]]
    metrics = CocoEvaluator(make_dataset(boxes, labels)).evaluate(
        table(boxes, labels, [[0.9], [0.8]])
    )
    figures = metrics.to_dict()
    for name in ("AP", "AP50", "AP75", "AP80", "AP90"):
        assert figures[name] == pytest.approx(1)
    assert metrics.AR == {1: 1.0, 10: 1.0, 100: 1.0}
    assert metrics.AP_per_class == {
        "bolt": pytest.approx(1),
        "nut": pytest.approx(1),
        "washer": None,
    }


def test_nothing_right() -> None:
    dataset = make_dataset([[[10, 10, 60, 60]]], [[0]])
    metrics = CocoEvaluator(dataset).evaluate(table([[[200, 200, 250, 250]]], [[0]], [[0.9]]))
    assert metrics.AP == 0
    assert metrics.AR[100] == 0


def test_no_detection_at_all_is_zero_not_an_error() -> None:
    dataset = make_dataset([[[10, 10, 60, 60]], []], [[0], []])
    nothing = table([np.zeros((0, 4))] * 2, [[], []], [[], []])
    assert CocoEvaluator(dataset).evaluate(nothing).AP == 0


def test_mixed_by_hand() -> None:
    # two bolts; three detections by falling score: right, wrong, right but with IoU 0.64 only.
    # At IoU 0.50, 0.55, 0.60: precisions at the hits 1/1 and 2/3, recalls 1/2 and 1.
    # 101 recall levels: 0 to 0.50 (51 of them) at 1, 0.51 to 1.00 (50) at 2/3.
    #   AP50 = (51 + 50 * 2/3) / 101 = 0.83498
    # From IoU 0.65 on: one hit, recall 1/2 -> 51 levels at 1: 51 / 101 = 0.50495
    # AP = (3 * 0.83498 + 7 * 0.50495) / 10 = 0.60396
    dataset = make_dataset([[[0, 0, 100, 100], [200, 200, 300, 300]]], [[0, 0]])
    found = table(
        [[[0, 0, 100, 100], [300, 0, 350, 50], [200, 200, 280, 280]]],
        [[0, 0, 0]],
        [[0.9, 0.8, 0.7]],
    )
    metrics = CocoEvaluator(dataset).evaluate(found)
    figures = metrics.to_dict()
    assert figures["AP50"] == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert figures["AP75"] == pytest.approx(51 / 101)
    assert figures["AP"] == pytest.approx((3 * (51 + 50 * 2 / 3) + 7 * 51) / 1010)
    assert metrics.AP_per_iou["0.60"] == metrics.AP50
    assert metrics.AP_per_iou["0.65"] == metrics.AP90 == metrics.AP80 == metrics.AP75


@pytest.mark.parametrize("seed", range(4))
def test_p32_equals_pycocotools(seed: int) -> None:
    dataset, found = random_scene(seed)
    metrics = CocoEvaluator(dataset).evaluate(found)
    reference = judge(dataset, found)
    ours: list[Any] = [
        metrics.AP,
        metrics.AP50,
        metrics.AP75,
        metrics.APs,
        metrics.APm,
        metrics.APl,
    ]
    ours += [*metrics.AR.values(), metrics.ARs, metrics.ARm, metrics.ARl]
    assert np.allclose(ours, reference.stats, rtol=0, atol=1e-6)
    precision = reference.eval["precision"]
    assert np.allclose(metrics.precision, precision, rtol=0, atol=1e-6)
    for t, ap in enumerate(metrics.AP_per_iou.values()):
        values = precision[t, :, :, 0, 2]
        assert ap == pytest.approx(values[values > -1].mean(), abs=1e-6)
    for k, ap in enumerate(metrics.AP_per_class.values()):
        values = precision[:, :, k, 0, 2]
        expected = values[values > -1].mean() if (values > -1).any() else None
        assert ap == (None if expected is None else pytest.approx(expected, abs=1e-6))
    assert 0.05 < reference.stats[0] < 0.9  # the scene is neither trivial nor hopeless


@pytest.mark.parametrize("backend", [accumulate, accumulate_with_fallback])
def test_size_goes_by_the_area_of_the_file(backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iouaware.evaluation.coco_metrics.accumulate", backend)
    # a box of 40 x 40 px is medium; the mask in it, of 900 px, is small (under 32 x 32)
    boxes = [[[10, 10, 50, 50]]]
    dataset = replace(make_dataset(boxes, [[0]]), areas=np.array([900], np.float32))
    metrics = CocoEvaluator(dataset).evaluate(table(boxes, [[0]], [[0.9]]))
    assert metrics.APs == pytest.approx(1)
    assert metrics.APm is None


def test_tables_have_the_types_of_the_metrics() -> None:
    one = table([[[0.0, 0, 5, 5]]], [[1]], [[0.5]])
    for count, made in enumerate((build_table([]), one)):
        types = [column.dtype for column in made]
        assert types == [np.int64, np.float32, np.int64, np.float32]
        assert made.boxes.shape == (count, 4)


def test_fallback_gives_the_same_arrays() -> None:
    dataset, found = random_scene(9)
    evaluator = CocoEvaluator(dataset)
    seen = []

    def remember(truth, rows, caps):
        seen.append(accumulate_with_fallback(truth, rows, caps))
        return seen[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("iouaware.evaluation.coco_metrics.accumulate", remember)
        fallback = evaluator.evaluate(found)
        nothing = evaluator.evaluate(found.above(2.0))
    assert len(seen) == 2
    assert np.allclose(fallback.precision, evaluator.evaluate(found).precision, rtol=0, atol=1e-12)
    assert nothing.AP == 0


def test_p27_boxes_on_crowds_and_difficult_objects_do_not_count() -> None:
    boxes = [[[0, 0, 100, 100], [200, 200, 400, 400]]]
    found = table(
        [[[0, 0, 100, 100], [210, 210, 260, 260], [300, 300, 360, 360]]],
        [[0, 0, 0]],
        [[0.5, 0.9, 0.8]],
    )
    crowd = CocoEvaluator(make_dataset(boxes, [[0, 0]], [[False, True]])).evaluate(found)
    assert crowd.to_dict()["AP"] == pytest.approx(
        1
    )  # both others lie on the crowd, and it is no object missed
    plain = CocoEvaluator(make_dataset(boxes, [[0, 0]])).evaluate(found)
    assert plain.AP is not None
    assert plain.AP < 0.5


def test_p29_other_caps_give_numbers_not_minus_one() -> None:
    dataset, found = random_scene(3)
    metrics = CocoEvaluator(dataset, max_detections=(1, 5, 20)).evaluate(found)
    reference = judge(dataset, found, (1, 5, 20)).eval["precision"][:, :, :, 0, 2]
    assert metrics.to_dict()["AP"] == pytest.approx(reference[reference > -1].mean(), abs=1e-6)
    assert list(metrics.to_dict())[8:11] == ["AR1", "AR5", "AR20"]


def test_p30_every_missing_number_has_its_reason() -> None:
    dataset = make_dataset([[[100, 100, 150, 150]]], [[0]])  # 50 x 50: one medium bolt
    metrics = CocoEvaluator(dataset).evaluate(table([[[100, 100, 150, 150]]], [[0]], [[0.9]]))
    assert (metrics.APs, metrics.APl) == (None, None)
    assert metrics.to_dict()["APm"] == pytest.approx(1)
    assert metrics.notes["APs"] == "no small object (area under 32 x 32 px) in this split"
    assert "large" in metrics.notes["APl"]
    assert metrics.notes["AP_per_class.nut"] == "no object of this class in this split"
    missing = {name for name, value in metrics.to_dict().items() if value is None}
    missing |= {f"AP_per_class.{n}" for n, value in metrics.AP_per_class.items() if value is None}
    missing |= {f"AR_per_class.{n}" for n, value in metrics.AR_per_class.items() if value is None}
    assert missing == set(metrics.notes)


def test_p30_no_object_at_all() -> None:
    dataset = make_dataset([[], []], [[], []])
    metrics = CocoEvaluator(dataset).evaluate(
        table([[[0, 0, 9, 9]], [[0, 0, 9, 9]]], [[0], [0]], [[0.9], [0.9]])
    )
    assert metrics.AP is None
    assert metrics.notes["AP"] == "no object in this split"
    assert set(metrics.AP_per_iou.values()) == {None}


def test_p31_false_alarms_on_empty_pictures_lower_ap() -> None:
    dataset = make_dataset([[[0, 0, 100, 100]], []], [[0], []])
    found = table([[[0, 0, 100, 100]], [[0, 0, 100, 100]]], [[0], [0]], [[0.5], [0.9]])
    assert CocoEvaluator(dataset).evaluate(found).to_dict()["AP"] == pytest.approx(0.5)


def test_evaluate_candidates_uses_original_pixels() -> None:
    boxes = [[40, 40, 120, 160], [200, 100, 390, 300]]
    dataset = make_dataset([boxes], [[0, 1]])
    found = make_candidates(boxes, [0, 1], [0.9, 0.8], [0.5, 0.6], side=128)
    metrics = CocoEvaluator(dataset).evaluate_candidates([found], 0.5, SETTINGS)
    assert metrics.to_dict()["AP"] == pytest.approx(1)


def test_wrong_calls_are_refused() -> None:
    dataset = make_dataset([[[0, 0, 9, 9]]], [[0]])
    evaluator = CocoEvaluator(dataset)
    with pytest.raises(ValueError, match="labels reaches from 3 to 3, expected 0 to 2"):
        evaluator.evaluate(table([[[0, 0, 9, 9]]], [[3]], [[0.9]]))
    with pytest.raises(ValueError, match="no finite number"):
        evaluator.evaluate(table([[[0, 0, 9, 9]]], [[0]], [[np.nan]]))
    with pytest.raises(ValueError, match="candidates of 2 pictures, expected 1"):
        evaluator.evaluate_candidates([make_candidates([], [], [], [])] * 2, 1.0, SETTINGS)


def test_tables_that_reach_too_far_are_refused() -> None:
    evaluator = CocoEvaluator(make_dataset([[[0, 0, 9, 9]]] * 2, [[0]] * 2))
    box = [[0, 0, 9, 9]]
    with pytest.raises(ValueError, match="image_index reaches from 0 to 2, expected 0 to 1"):
        evaluator.evaluate(table([box] * 3, [[0]] * 3, [[0.9]] * 3))
    with pytest.raises(ValueError, match="labels reaches from -1 to 2, expected 0 to 2"):
        evaluator.evaluate(table([box] * 2, [[-1], [2]], [[0.9]] * 2))
    with pytest.raises(ValueError, match="no finite number"):
        evaluator.evaluate(table([[[0, 0, np.inf, 9]]], [[0]], [[0.9]]))
    # the outermost that exist pass: one bolt of two is found, and no washer is there to be missed
    last = evaluator.evaluate(table([box] * 2, [[0], [2]], [[0.9]] * 2))
    assert pytest.approx(51 / 101) == last.AP


def test_recall_by_class_and_size_by_hand() -> None:
    # bolts: a small one found, a large one missed; the nut, of medium size, is found at IoU 0.64,
    # which is three of the ten IoUs
    boxes = [[[0, 0, 20, 20], [100, 100, 300, 300], [20, 320, 70, 370]]]
    found = table([[[0, 0, 20, 20], [20, 320, 60, 360]]], [[0, 1]], [[0.9, 0.8]])
    metrics = CocoEvaluator(make_dataset(boxes, [[0, 0, 1]])).evaluate(found)
    assert metrics.AR_per_class == {
        "bolt": pytest.approx(0.5),
        "nut": pytest.approx(0.3),
        "washer": None,
    }
    assert (metrics.ARs, metrics.ARm, metrics.ARl) == pytest.approx((1, 0.3, 0))
    assert metrics.AR[100] == pytest.approx((0.5 + 0.3) / 2)
    figures = metrics.to_dict()
    assert (figures["ARs"], figures["ARm"], figures["ARl"]) == pytest.approx((1, 0.3, 0))
    assert figures["AR_per_class"] == metrics.AR_per_class
    assert figures["AP_per_class"] == metrics.AP_per_class
    assert figures["AP_per_iou"] == metrics.AP_per_iou


def test_fallback_knows_crowds_other_caps_and_recall() -> None:
    dataset, found = random_scene(3, crowds=0.3)
    evaluator = CocoEvaluator(dataset, max_detections=(1, 5))
    expected = evaluator.evaluate(found)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("iouaware.evaluation.coco_metrics.accumulate", accumulate_with_fallback)
        fallback = evaluator.evaluate(found)
    assert fallback.precision.shape == (10, 101, 4, 4, 2)
    assert np.allclose(fallback.precision, expected.precision, rtol=0, atol=1e-12)
    assert pytest.approx(expected.AR) == fallback.AR
    assert fallback.AR_per_class == pytest.approx(expected.AR_per_class)
    assert (fallback.ARm, fallback.ARl) == pytest.approx((expected.ARm, expected.ARl))


def test_without_hotcoco_the_fallback_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, found = random_scene(4)
    expected = CocoEvaluator(dataset).evaluate(found)
    monkeypatch.setitem(sys.modules, "hotcoco", None)
    fallback = CocoEvaluator(dataset).evaluate(found)
    assert np.allclose(fallback.precision, expected.precision, rtol=0, atol=1e-12)


def test_truth_in_the_terms_of_coco() -> None:
    dataset = make_dataset([[], [[10, 20, 40, 60]]], [[], [2]], [[], [True]])
    truth = CocoEvaluator(dataset).truth
    assert truth.images() == [{"id": n, "width": 400, "height": 400} for n in (1, 2)]
    assert truth.categories() == [
        {"id": 1, "name": "bolt"},
        {"id": 2, "name": "nut"},
        {"id": 3, "name": "washer"},
    ]
    assert truth.boxes_xywh.tolist() == [[10, 20, 30, 40]]
    assert (truth.image_ids.tolist(), truth.category_ids.tolist()) == ([2], [3])
    assert (truth.areas.tolist(), truth.crowd.tolist()) == ([1200], [True])


def test_p30_reasons_by_their_words() -> None:
    nothing = table([[]], [[]], [[]])
    empty = CocoEvaluator(make_dataset([[]], [[]])).evaluate(nothing).notes
    names = ["AP", "AP50", "AP75", "AP80", "AP90", "AP_per_iou", "AR1", "AR10", "AR100"]
    assert {empty[name] for name in names} == {"no object in this split"}
    assert (
        empty["APm"]
        == empty["ARm"]
        == ("no medium object (area from 32 x 32 to 96 x 96 px) in this split")
    )
    assert empty["APl"] == empty["ARl"] == "no large object (area over 96 x 96 px) in this split"
    assert empty["AR_per_class.bolt"] == "no object of this class in this split"
    assert len(empty) == len(names) + 2 * 3 + 2 * 3
