import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import batched_nms, nms

from iouaware.boxes import pairwise_iou
from iouaware.inference.nms import _pick_with_numpy, _pick_with_torchvision, suppress
from iouaware.structures import FloatArray, IntArray

ALL = 10**6
Pick = Callable[[FloatArray, float, int], IntArray]


@pytest.fixture(params=[_pick_with_numpy, _pick_with_torchvision], ids=["numpy", "torchvision"])
def pick(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Pick:
    chosen: Pick = request.param
    monkeypatch.setattr("iouaware.inference.nms._pick_with_torchvision", chosen)
    return chosen


def draw_boxes(seed: int, count: int, classes: int) -> tuple[FloatArray, FloatArray, IntArray]:
    random = np.random.default_rng(seed)
    corners = random.uniform(0, 300, (count, 2))
    boxes = np.concatenate([corners, corners + random.uniform(2, 120, (count, 2))], axis=1)
    scores = random.permutation(count) / count  # no ties: torchvision orders those at will
    return boxes.astype(np.float32), scores.astype(np.float32), random.integers(0, classes, count)


@pytest.mark.usefixtures("pick")
def test_numbers_by_hand() -> None:
    boxes = np.array(
        [
            [0, 0, 10, 10],
            [0, 0, 10, 6],  # IoU with the first 60 / 100: goes at 0.5
            [0, 0, 10, 5],  # IoU with the first exactly 50 / 100: stays, > is meant
            [20, 20, 30, 30],
            [0, 0, 10, 9],  # 0.9 with the first, but of another class
        ],
        np.float32,
    )
    scores = np.array([0.6, 0.5, 0.4, 0.9, 0.3], np.float32)
    labels = np.array([0, 0, 0, 0, 1])
    assert suppress(boxes, scores, labels, 0.5, ALL).tolist() == [3, 0, 2, 4]
    assert suppress(boxes, scores, labels, 0.5, 2).tolist() == [3, 0]
    assert suppress(boxes, scores, labels, 0.65, ALL).tolist() == [3, 0, 1, 4]


@pytest.mark.usefixtures("pick")
def test_p36_duplicates_of_two_classes_go_where_classes_compete() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9]], np.float32)
    scores = np.array([0.4, 0.6], np.float32)
    labels = np.array([0, 1])
    assert suppress(boxes, scores, labels, 0.5, ALL).tolist() == [1, 0]
    assert suppress(boxes, scores, labels, 0.5, ALL, across_classes=True).tolist() == [1]


@pytest.mark.usefixtures("pick")
@pytest.mark.parametrize(("count", "classes"), [(1, 1), (60, 1), (300, 4), (3000, 20)])
def test_picks_what_torchvision_picks(count: int, classes: int) -> None:
    boxes, scores, labels = draw_boxes(count, count, classes)
    kept = suppress(boxes, scores, labels, 0.5, ALL)
    theirs = batched_nms(
        torch.from_numpy(boxes), torch.from_numpy(scores), torch.from_numpy(labels), 0.5
    )
    assert kept.tolist() == theirs.tolist()


@pytest.mark.usefixtures("pick")
def test_of_equal_scores_the_first_comes_first() -> None:
    boxes, scores, _ = draw_boxes(0, 400, 1)
    boxes, scores = (
        (np.round(boxes / 8) * 8).astype(np.float32),
        np.round(scores, 1),
    )  # many ties, many equal boxes
    theirs = nms(torch.from_numpy(boxes), torch.from_numpy(scores), 0.5)
    kept = suppress(boxes, scores, np.zeros(400, np.int64), 0.5, ALL)
    assert kept.tolist() == theirs.tolist()


@pytest.mark.usefixtures("pick")
def test_boxes_beside_zero_and_far_classes_stay_apart() -> None:
    # labels in the thousands: an offset in float32 would round these boxes together
    boxes = np.array([[-5, -5, 5, 5], [-5.01, -5, 5, 5.01], [0, 0, 8000, 8000]], np.float32)
    scores = np.array([0.9, 0.8, 0.7], np.float32)
    labels = np.array([1999, 2000, 2000])
    assert suppress(boxes, scores, labels, 0.5, ALL).tolist() == [0, 1, 2]


@pytest.mark.usefixtures("pick")
def test_boxes_left_of_zero_do_not_meet_another_class() -> None:
    # shifted by the greatest coordinate + 1 = 11 alone, the second would lie on the first
    boxes = np.array([[0, 0, 10, 10], [-11, -11, -1, -1]], np.float32)
    scores = np.array([0.9, 0.8], np.float32)
    assert suppress(boxes, scores, np.array([0, 1]), 0.5, ALL).tolist() == [0, 1]


@pytest.mark.usefixtures("pick")
def test_empty_and_boxes_without_area() -> None:
    none = np.zeros(0, np.float32)
    assert suppress(none.reshape(0, 4), none, none.astype(np.int64), 0.5, 100).shape == (0,)
    flat = np.array([[3, 3, 3, 9], [3, 3, 3, 9]], np.float32)
    scores, labels = np.ones(2, np.float32), np.zeros(2, np.int64)
    assert suppress(flat, scores, labels, 0.5, 100).tolist() == [0, 1]


def test_without_torchvision_numpy_does_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("torchvision was called")

    monkeypatch.setattr("iouaware.inference.nms._pick_with_torchvision", fail)
    boxes, scores, labels = draw_boxes(0, 20, 2)
    with pytest.raises(AssertionError, match="was called"):
        suppress(boxes, scores, labels, 0.5, ALL)
    monkeypatch.delitem(sys.modules, "torchvision")
    assert len(suppress(boxes, scores, labels, 0.5, ALL))


def test_other_lengths_are_refused() -> None:
    boxes, scores, labels = draw_boxes(0, 3, 1)
    with pytest.raises(ValueError, match=r"\(3, 4\), scores \(2,\)"):
        suppress(boxes, scores[:2], labels[:2], 0.5, 100)


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 40), st.floats(0.05, 1))
def test_what_stays_is_apart_and_what_goes_has_a_reason(
    seed: int, count: int, threshold: float
) -> None:
    boxes, scores, labels = draw_boxes(seed, count, 2)
    kept = suppress(boxes, scores, labels, threshold, ALL)
    iou = pairwise_iou(boxes.astype(float), boxes.astype(float))
    rival = labels[:, None] == labels[None, :]
    among = (iou * rival)[np.ix_(kept, kept)] - np.eye(len(kept))
    assert (among <= threshold + 1e-9).all()
    for gone in set(range(count)) - set(kept.tolist()):
        better = kept[(scores[kept] >= scores[gone]) & rival[gone, kept]]
        assert (iou[gone, better] > threshold - 1e-9).any()
