from __future__ import annotations

from tests.evaluation.drawing import make_candidates, make_dataset

from iouaware.config import InferenceConfig
from iouaware.evaluation.diagnosis import explain

SETTINGS = InferenceConfig()
BOXES = [[0, 0, 100, 100], [200, 200, 300, 300]]
ZERO = {"AP": 0.0}


def diagnose(found, boxes=BOXES, labels=(0, 1), evaluation=ZERO):
    dataset = make_dataset([boxes], [list(labels)])
    return explain(evaluation, dataset, [found], SETTINGS)


def test_p30_nothing_to_explain() -> None:
    assert diagnose(make_candidates(BOXES, [0, 1], [0.9, 0.9], None), evaluation={"AP": 0.4}) == []


def test_p30_no_candidates() -> None:
    (reason,) = diagnose(make_candidates([], [], [], None))
    assert reason.startswith("no candidates: in none of 1 pictures any p reaches the floor of 0.01")


def test_p30_classes_swapped() -> None:
    (reason,) = diagnose(make_candidates(BOXES, [1, 0], [0.9, 0.9], None))
    assert reason.startswith("2 of 2 objects have a candidate on them (IoU 0.5), but only 0 one of")


def test_p30_boxes_elsewhere() -> None:
    (reason,) = diagnose(make_candidates([[300, 0, 390, 90]], [0], [0.9], None))
    assert reason.startswith("only 0 of 2 objects have a candidate on them")


def test_p30_model_sure_of_nothing_comes_first() -> None:
    reasons = diagnose(make_candidates([[300, 0, 390, 90]], [0], [0.02], None))
    assert reasons[0].startswith("the model is sure of nothing: its largest p is 0.020")
    assert len(reasons) == 2


def test_p30_objects_too_small() -> None:
    tiny = [[10, 10, 18, 18], [50, 50, 58, 58]]
    reasons = diagnose(make_candidates([[300, 0, 390, 90]], [0], [0.9], None), boxes=tiny)
    assert reasons[-1].startswith("half of the objects are under 8 px on the canvas")


def test_p30_right_boxes_ranked_low() -> None:
    (reason,) = diagnose(make_candidates(BOXES, [0, 1], [0.9, 0.9], None))
    assert reason.startswith("2 of 2 objects have a candidate of their class on them, but")


def test_p30_only_crowds() -> None:
    dataset = make_dataset([BOXES], [[0, 1]], [[True, True]])
    (reason,) = explain({"AP": None}, dataset, [make_candidates([], [], [], None)], SETTINGS)
    assert reason.startswith("all 2 boxes in the split val of nowhere are crowds or difficult")
