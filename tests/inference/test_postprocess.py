import numpy as np
import pytest

from iouaware.config import InferenceConfig
from iouaware.inference.postprocess import (
    candidate_scores,
    select_detections,
    select_paper_detections,
)
from tests.inference.conftest import build_candidates

# two boxes on one object, the surer one looser; one elsewhere; one of another class
BOXES = [[0, 0, 10, 10], [0, 0, 10, 9], [50, 50, 60, 60], [0, 0, 10, 10]]
FOUR = build_candidates(BOXES, [0, 0, 0, 1], [0.81, 0.64, 0.25, 0.04], [0.25, 0.81, 0.16, 0.25])
NOTHING = build_candidates([], [], [], [])


def test_alpha_decides_which_duplicate_survives(settings: InferenceConfig) -> None:
    index, scores = select_detections(FOUR, 1.0, settings)
    assert index.tolist() == [0, 2, 3]
    np.testing.assert_allclose(scores, [0.81, 0.25, 0.04])
    # sqrt(p * u): 0.45, 0.72, 0.2, 0.1
    index, scores = select_detections(FOUR, 0.5, settings)
    assert index.tolist() == [1, 2, 3]
    np.testing.assert_allclose(scores, [0.72, 0.2, 0.1], rtol=1e-6)


def test_settings_are_obeyed() -> None:
    one = InferenceConfig(max_detections=1)
    assert select_detections(FOUR, 1.0, one)[0].tolist() == [0]
    # IoU of the first two is 0.9
    loose = InferenceConfig(nms_iou=0.95)
    assert select_detections(FOUR, 1.0, loose)[0].tolist() == [0, 1, 2, 3]
    across = InferenceConfig(nms_across_classes=True)
    assert select_detections(FOUR, 1.0, across)[0].tolist() == [0, 2]


def test_p33_a_threshold_hides_and_changes_nothing_else() -> None:
    settings = InferenceConfig(max_detections=2)
    everything, _ = select_detections(FOUR, 0.5, settings)
    shown, _ = select_detections(FOUR, 0.5, settings, score_threshold=0.5)
    assert everything.tolist() == [1, 2]
    assert shown.tolist() == [1]
    # candidate 3 would pass min_iou, but max_detections comes first
    tight, _ = select_detections(FOUR, 0.5, settings, min_iou=0.2)
    assert tight.tolist() == [1]


def test_thresholds_include_their_own_value(settings: InferenceConfig) -> None:
    pair = build_candidates([BOXES[0]], [0], [0.5], [0.25])
    assert len(select_detections(pair, 1.0, settings, score_threshold=0.5)[0]) == 1
    assert len(select_detections(pair, 1.0, settings, min_iou=0.25)[0]) == 1


def test_without_predicted_iou_alpha_acts_as_one(settings: InferenceConfig) -> None:
    plain = build_candidates(BOXES, [0, 0, 0, 1], [0.81, 0.64, 0.25, 0.04], None)
    for alpha in (0.0, 0.5, 1.0):
        index, scores = select_detections(plain, alpha, settings)
        assert index.tolist() == [0, 2, 3]
        np.testing.assert_array_equal(scores, plain.class_scores[index])
    with pytest.raises(ValueError, match="predicts no IoU"):
        select_detections(plain, 1.0, settings, min_iou=0.5)


@pytest.mark.parametrize("predicted_iou", [[], None])
def test_no_candidates(settings: InferenceConfig, predicted_iou: list[float] | None) -> None:
    nothing = build_candidates([], [], [], predicted_iou)
    for choose in (select_detections, select_paper_detections):
        index, scores = choose(nothing, 0.5, settings)
        assert index.shape == scores.shape == (0,)
        assert index.dtype == np.int64


@pytest.mark.parametrize("candidates", [FOUR, NOTHING, build_candidates([], [], [], None)])
def test_alpha_outside_its_range_is_refused(candidates, settings: InferenceConfig) -> None:
    with pytest.raises(ValueError, match=r"alpha is 1\.5"):
        select_detections(candidates, 1.5, settings)
    with pytest.raises(ValueError, match=r"alpha is -0\.5"):
        candidate_scores(candidates, -0.5)


def test_paper_keeps_fused_scores_above_its_own_threshold(settings: InferenceConfig) -> None:
    boxes = [[0, 0, 10, 10], [20, 20, 30, 30], [40, 40, 50, 50]]
    # S at alpha 0.5: 0.1, exactly float32(0.05), 0.04
    three = build_candidates(boxes, [0, 0, 0], [0.1, 0.05, 0.04], [0.1, 0.05, 0.04])
    assert select_paper_detections(three, 1.0, settings)[0].tolist() == [0]
    assert select_paper_detections(three, 1.0, settings, score_threshold=0.2)[0].tolist() == []
    assert select_paper_detections(three, 1.0, settings, min_iou=0.2)[0].tolist() == []
