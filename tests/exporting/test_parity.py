"""The comparison itself, on boxes small enough to check by eye."""

from __future__ import annotations

import numpy as np
import pytest

from iouaware.exporting.parity import Differences, FoundBoxes, detections_of, match
from iouaware.exporting.tolerance import TOLERANCES, judge
from iouaware.running.exporting import report_lines


def found(boxes: list[list[float]], scores: list[float], labels: list[int]) -> FoundBoxes:
    return FoundBoxes(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(labels, np.int64),
        np.array(scores, np.float32),
        np.array(scores, np.float32) / 2,
    )


A, B, LINE = [0.0, 0, 10, 10], [20.0, 20, 40, 40], [0.0, 50, 30, 50]


def test_the_same_boxes_in_another_order_do_not_differ() -> None:
    differences = Differences(0.9)
    differences.add(
        found([A, B, LINE], [0.5, 0.5, 0.5], [0, 1, 0]), found([LINE, B, A], [0.5] * 3, [0, 1, 0])
    )
    assert differences.summary() == {
        "boxes": 6, "unmatched": 0, "tied": 0, "jumped": 0,
        "box_px_max": 0, "box_px_mean": 0, "score_max": 0, "score_mean": 0,
        "predicted_iou_max": 0, "predicted_iou_mean": 0,
    }  # fmt: skip


def test_differences_are_measured_on_pairs_and_the_rest_is_counted() -> None:
    differences = Differences(0.9)
    moved = [0.0, 0, 10, 10.4]  # IoU 100 / 104
    differences.add(found([A, B], [0.5, 0.4], [0, 1]), found([moved, B], [0.6, 0.3], [0, 0]))
    # B is of two classes, and not equally good
    summary = differences.summary()
    assert (summary["boxes"], summary["unmatched"]) == (4, 2)
    assert summary["box_px_max"] == pytest.approx(0.4)
    assert summary["box_px_mean"] == pytest.approx(0.1)
    assert summary["score_max"] == pytest.approx(0.1)
    assert summary["predicted_iou_max"] == pytest.approx(0.05)


def test_of_boxes_that_lie_alike_those_with_like_scores_are_paired() -> None:
    first, second = match(found([A, A], [0.9, 0.2], [0, 0]), found([A, A], [0.2, 0.9], [0, 0]), 0.9)
    assert sorted(zip(first.tolist(), second.tolist(), strict=True)) == [(0, 1), (1, 0)]


def test_equal_scores_at_the_cut_may_leave_either_out() -> None:
    ours = found([A, B], [0.5, 0.2], [0, 1])
    differences = Differences(0.9)
    differences.add(ours, found([A, B], [0.5, 0.2], [0, 2]))
    assert (differences.summary()["unmatched"], differences.summary()["tied"]) == (0, 2)
    # above the cut nothing excuses it, nor where one side alone has more
    differences.add(ours, found([B, LINE], [0.2, 0.5], [1, 0]))
    assert (differences.summary()["unmatched"], differences.summary()["tied"]) == (2, 2)
    differences.add(ours, found([A], [0.5], [0]))
    assert (differences.summary()["unmatched"], differences.summary()["tied"]) == (3, 2)


def test_nothing_against_nothing_and_something() -> None:
    differences = Differences(0.9)
    differences.add(found([], [], []), found([], [], []))
    assert differences.summary()["box_px_max"] is None
    differences.add(found([A], [1.0], [0]), found([], [], []))
    assert differences.summary()["unmatched"] == 1


def test_padding_is_taken_away() -> None:
    arrays = {
        "boxes": np.array([[A, B]], np.float32),
        "labels": np.array([[2, -1]]),
        "scores": np.array([[0.5, 0]], np.float32),
    }
    only = detections_of(arrays, 0)
    assert only.labels.tolist() == [2]
    assert only.predicted_iou is None


ROW = {
    "batch": 2, "canvas": [96, 96], "boxes": 100, "unmatched": 0, "jumped": 0, "box_px_max": 0.01,
    "box_px_mean": 0.0, "score_max": 1e-5, "score_mean": 0.0, "predicted_iou_max": None,
    "predicted_iou_mean": None,
}  # fmt: skip


def test_a_predicted_iou_that_jumps_is_counted_and_its_scores_left_out() -> None:
    boxes = np.array([[0, 0, 10, 10], [50, 0, 60, 10]], np.float32)
    labels, scores = np.zeros(2, np.int64), np.array([0.9, 0.8])
    ours = FoundBoxes(boxes, labels, scores, np.array([0.7, 0.6]))
    theirs = FoundBoxes(boxes, labels, scores - [0.1, 0.0001], np.array([0.5, 0.5999]))
    differences = Differences(0.9, TOLERANCES["float32"])
    differences.add(ours, theirs)
    summary = differences.summary()
    assert (summary["jumped"], summary["unmatched"], summary["boxes"]) == (2, 0, 4)
    assert summary["score_max"] == pytest.approx(0.0001)
    assert summary["predicted_iou_max"] == pytest.approx(0.0001)
    row = summary | {"batch": 1, "canvas": [96, 96]}
    assert judge([row], None, TOLERANCES["float32"]) == [
        "share of unmatched boxes 0.5, allowed 0.01 (batch 1 at 96 x 96 px)"
    ]


def test_a_box_that_ties_with_the_kept_one_is_counted_and_its_differences_left_out() -> None:
    kept, tying = [0.0, 0, 200, 100], [0.0, 0, 201.5, 100]  # IoU 200 / 201.5
    differences = Differences(0.9, TOLERANCES["float32"])
    differences.add(found([kept, B], [0.9, 0.5], [0, 1]), found([tying, B], [0.8985, 0.5], [0, 1]))
    summary = differences.summary()
    assert (summary["jumped"], summary["unmatched"], summary["boxes"]) == (2, 0, 4)
    assert (summary["box_px_max"], summary["score_max"]) == (0, 0)


def test_boxes_that_all_lie_a_little_off_are_told() -> None:
    differences = Differences(0.9, TOLERANCES["float32"])
    moved = [[corner + 0.2 for corner in box] for box in (A, B)]  # IoU of A: 96.04 / 103.96
    differences.add(found([A, B], [0.9, 0.5], [0, 1]), found(moved, [0.9, 0.5], [0, 1]))
    row = differences.summary() | {"batch": 2, "canvas": [96, 96]}
    assert judge([row], None, TOLERANCES["float32"]) == [
        "share of unmatched boxes 1, allowed 0.01 (batch 2 at 96 x 96 px)"
    ]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"score_max": 0.01}, "scores differ by 0.01, allowed 0.001 (batch 2 at 96 x 96 px)"),
        ({"unmatched": 2}, "share of unmatched boxes 0.02, allowed 0.01 (batch 2 at 96 x 96 px)"),
        ({"jumped": 2}, "share of unmatched boxes 0.02, allowed 0.01 (batch 2 at 96 x 96 px)"),
    ],
)
def test_what_lies_past_the_tolerance_is_told(changed: dict[str, float], words: str) -> None:
    assert judge([ROW], None, TOLERANCES["float32"]) == []
    assert judge([ROW | changed], None, TOLERANCES["float32"]) == [words]
    assert judge([ROW | changed], None, TOLERANCES["int8"]) == []


def test_lost_ap_is_told_and_gained_ap_is_not() -> None:
    ap = {"images": 9, "alphas": {"1": {"pytorch": 0.5, "file": 0.49}}}
    assert judge([], ap, TOLERANCES["int8"]) == [
        "AP at alpha 1 fell from 50.00 to 49.00, allowed 0.5 less"
    ]
    better = {"images": 9, "alphas": {"1": {"pytorch": 0.5, "file": 0.51}}}
    assert judge([], better, TOLERANCES["float32"]) == []
    unknown = {"images": 9, "alphas": {"1": {"pytorch": None, "file": None}}}
    assert judge([], unknown, TOLERANCES["float32"]) == []


def test_the_table_fits_a_terminal() -> None:
    report = {
        "pictures": "bolts, val", "comparisons": [ROW], "bytes": 5_000_000,
        "AP": {"images": 9, "alphas": {"1": {"pytorch": 0.5, "file": 0.49}}},
        "milliseconds": {"pytorch": 20.0, "file": 10.0},
    }  # fmt: skip
    lines = report_lines(report)
    assert all(len(line) <= 100 for line in lines)
    assert lines[3] == "AP at alpha 1 on 9 pictures: 50.00 before, 49.00 in the file"
    assert lines[4] == "a picture takes 10 ms, 20 in PyTorch; 5.0 MB"
    assert lines[2].split() == ["2", "96x96", "100", "0", "0.01/0", "1e-05/0", "-"]
