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


def test_p30_explanations_start_below_one_point() -> None:
    right = make_candidates(BOXES, [0, 1], [0.9, 0.9], None)
    assert diagnose(right, evaluation={"AP": 0.01}) == []
    assert len(diagnose(right, evaluation={"AP": 0.0099})) == 1


def test_p30_nothing_is_wrong_at_the_limits_themselves() -> None:
    # p of exactly 0.05 and a median side of exactly 16 px are enough: all that is left to say is
    # that other boxes score higher
    sides = [[0, 0, 16, 16], [100, 100, 116, 116]]
    found = make_candidates(sides, [0, 1], [0.05, 0.05], None)
    (reason,) = diagnose(found, boxes=sides)
    assert reason.startswith("2 of 2 objects have a candidate of their class on them, but")


def test_p30_the_side_is_that_of_the_canvas_and_of_real_objects() -> None:
    # 40 px in the picture are 10 on a canvas of a quarter; the crowd is no object
    dataset = make_dataset(
        [[[40, 80, 80, 120], [0, 0, 300, 300], [0, 0, 400, 400]]],
        [[0, 1, 1]],
        [[False, True, True]],
    )
    found = make_candidates([[300, 0, 390, 90]], [0], [0.9], None, side=100)
    reasons = explain(ZERO, dataset, [found], SETTINGS)
    assert reasons[0].startswith("only 0 of 1 objects have a candidate on them")
    assert reasons[1].startswith("half of the objects are under 10 px on the canvas")
    assert len(reasons) == 2


def test_p30_pictures_without_objects_or_candidates_are_passed_over() -> None:
    # only the third picture has both, and a candidate of the wrong class at an IoU of exactly 0.5
    dataset = make_dataset([[], BOXES[:1], BOXES[:1]], [[], [0], [0]])
    nothing = make_candidates([], [], [], None)
    half = make_candidates([[0, 0, 50, 100]], [1], [0.9], None)
    (reason,) = explain(ZERO, dataset, [half, nothing, half], SETTINGS)
    assert reason.startswith("1 of 2 objects have a candidate on them (IoU 0.5), but only 0 one")


def test_p30_few_of_many_objects_found() -> None:
    def found_of(classes: list[int], rows: int = 2):
        grid = [[40 * n, 0, 40 * n + 30, 30] for n in range(10)]
        boxes = [[*box[:1], 50 * row, box[2], 50 * row + 30] for row in range(rows) for box in grid]
        found = make_candidates(boxes[: len(classes)], classes, [0.9] * len(classes), None)
        (reason,) = diagnose(found, boxes=boxes, labels=[0] * 10 * rows)
        return reason

    # one of 20 found in its class is 5 %, enough; four touched are a fifth and speak of classes
    assert found_of([0]).startswith("1 of 20 objects have a candidate of their class on them")
    assert found_of([0], rows=3).startswith("only 1 of 30 objects have a candidate on them")
    assert found_of([1] * 4).startswith("4 of 20 objects have a candidate on them (IoU 0.5), but")
    assert found_of([1] * 3).startswith("only 3 of 20 objects have a candidate on them")


def test_p30_without_ap_the_data_are_to_blame() -> None:
    def explain_missing(boxes: list, labels: list) -> list[str]:
        return explain({"AP": None}, make_dataset(boxes, labels), [], SETTINGS)

    assert explain_missing([], []) == ["the split val of nowhere has no pictures"]
    assert explain_missing([[], []], [[], []]) == [
        "the split val of nowhere has 2 pictures and no box: check where its labels lie"
    ]


def test_p30_objects_are_counted_once_in_all_pictures() -> None:
    dataset = make_dataset([BOXES[:1], BOXES[1:]], [[0], [0]])
    for label, start in (
        (0, "2 of 2 objects have a candidate of their class on them"),
        (1, "2 of 2 objects have a candidate on them (IoU 0.5), but only 0 one"),
    ):
        found = [make_candidates([box] * 3, [label] * 3, [0.9] * 3, None) for box in BOXES]
        (reason,) = explain(ZERO, dataset, found, SETTINGS)
        assert reason.startswith(start)
