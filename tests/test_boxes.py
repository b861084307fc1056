from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.models.detection._utils import BoxCoder
from torchvision.ops import box_iou, clip_boxes_to_image

from iouaware.boxes import (
    MAX_SIZE_DELTA,
    box_area,
    clip_boxes,
    decode_boxes,
    encode_boxes,
    paired_coverage,
    paired_iou,
    pairwise_coverage,
    pairwise_intersection,
    pairwise_iou,
)

STDS = (0.1, 0.1, 0.2, 0.2)


def draw_boxes(count: int, seed: int) -> np.ndarray:
    """Draw boxes of 1 to 120 px, [count, 4]."""
    generator = np.random.default_rng(seed)
    corner = generator.uniform(-20, 200, (count, 2))
    size = generator.uniform(1, 120, (count, 2))
    return np.concatenate([corner, corner + size], axis=1).astype(np.float32)


def test_iou_by_hand():
    first = np.array([[0, 0, 10, 10]], np.float32)
    second = np.array(
        [
            [0, 0, 10, 10],  # itself: 1
            [5, 5, 15, 15],  # overlap 5 * 5 = 25, union 100 + 100 - 25 = 175
            [0, 0, 5, 10],  # half of it: 50 / 100
            [10, 0, 20, 10],  # shares an edge: no area, no +1
            [20, 20, 30, 30],  # apart
        ],
        np.float32,
    )
    expected = [1, 25 / 175, 0.5, 0, 0]
    np.testing.assert_allclose(pairwise_iou(first, second)[0], expected, rtol=1e-6)
    np.testing.assert_allclose(paired_iou(np.repeat(first, 5, axis=0), second), expected, rtol=1e-6)


@pytest.mark.parametrize("library", [np.array, torch.tensor])
def test_boxes_smaller_than_a_pixel_by_hand(library):
    first = library([[0.0, 0.0, 0.5, 0.5]])
    second = library([[0.0, 0.0, 0.25, 0.5], [0.0, 0.0, 0.0, 0.5]])  # the second has no area
    assert pairwise_iou(first, second).tolist() == [[0.5, 0.0]]
    assert paired_iou(first, second[:1]).tolist() == [0.5]
    assert pairwise_coverage(first, second).tolist() == [[0.5, 0.0]]
    assert paired_coverage(first, second[:1]).tolist() == [0.5]
    assert pairwise_coverage(second, first).tolist() == [[1.0], [0.0]]


def test_paired_coverage_by_hand():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [3, 3, 3, 9]], np.float64)
    regions = np.array([[5, 0, 99, 99], [20, 20, 30, 30], [0, 0, 9, 9]], np.float64)
    # right half; apart; a box without area, which nothing can cover
    assert paired_coverage(boxes, regions).tolist() == [0.5, 0, 0]


def test_area_intersection_and_coverage_by_hand():
    boxes = np.array([[0, 0, 4, 2], [2, 1, 6, 3]], np.float32)
    assert box_area(boxes).tolist() == [8, 8]
    # they share x 2..4, y 1..2: 2 px^2, a quarter of either
    assert pairwise_intersection(boxes, boxes).tolist() == [[8, 2], [2, 8]]
    assert pairwise_coverage(boxes, boxes).tolist() == [[1, 0.25], [0.25, 1]]


def test_coverage_is_of_the_box_not_of_the_region():
    boxes = np.array([[0, 0, 10, 10], [3, 3, 3, 8]], np.float32)
    regions = np.array([[0, 0, 100, 5]], np.float32)
    # half of the first box lies in the region; a box without area has no share
    assert pairwise_coverage(boxes, regions).tolist() == [[0.5], [0]]


def test_iou_equals_torchvision():
    first, second = draw_boxes(40, 0), draw_boxes(50, 1)
    expected = box_iou(torch.from_numpy(first), torch.from_numpy(second)).numpy()
    assert (expected > 0.3).sum() > 10
    np.testing.assert_allclose(pairwise_iou(first, second), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_p01_boxes_without_area_have_no_iou(kind: str):
    build = np.array if kind == "numpy" else torch.tensor
    boxes = build([[5.0, 5, 5, 9], [5, 5, 5, 5], [5, 5, 5, 9]])
    real = build([[0.0, 0, 10, 10]])
    assert pairwise_iou(boxes, boxes).tolist() == [[0] * 3] * 3
    assert pairwise_iou(boxes, real).tolist() == [[0]] * 3
    assert paired_iou(boxes, boxes).tolist() == [0] * 3


def test_numpy_and_torch_agree():
    first, second = draw_boxes(30, 2), draw_boxes(30, 3)
    both = torch.from_numpy(first), torch.from_numpy(second)
    deltas = np.random.default_rng(4).normal(0, 3, (30, 4)).astype(np.float32)
    pairs = [
        (pairwise_iou(first, second), pairwise_iou(*both)),
        (paired_iou(first, second), paired_iou(*both)),
        (pairwise_coverage(first, second), pairwise_coverage(*both)),
        (clip_boxes(first, (90, 110)), clip_boxes(both[0], (90, 110))),
        (encode_boxes(first, second, STDS), encode_boxes(*both, STDS)),
        (
            decode_boxes(deltas, second, STDS),
            decode_boxes(torch.from_numpy(deltas), both[1], STDS),
        ),
    ]
    for ours, theirs in pairs:
        assert isinstance(ours, np.ndarray)
        assert isinstance(theirs, torch.Tensor)
        assert ours.dtype == np.float32
        assert theirs.dtype == torch.float32
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-5, atol=1e-5)


def test_gradient_of_paired_iou_by_hand():
    box = torch.tensor([[0.0, 0, 10, 10]], requires_grad=True)
    truth = torch.tensor([[5.0, -1, 11, 11]])
    # overlap 5 * 10 = 50, union 100 + 72 - 50 = 122
    iou = paired_iou(box, truth)
    assert iou.item() == pytest.approx(50 / 122)
    iou.sum().backward()
    assert box.grad is not None
    expected = [
        50 * 10 / 122**2,  # x1 inwards: the overlap stays, the union loses 10
        10 / 122,  # x2 outwards, still inside the truth: the overlap gains 10, the union stays
        (-5 * 122 + 5 * 50) / 122**2,  # y1 inwards: the overlap loses 5, the union 10 - 5
        (5 * 122 - 5 * 50) / 122**2,  # y2 outwards: the other way round
    ]
    x1, y1, x2, y2 = box.grad[0].tolist()
    assert [x1, x2, y1, y2] == pytest.approx(expected)


def test_gradient_of_paired_iou_is_right_everywhere():
    first = torch.from_numpy(draw_boxes(20, 5)).double().requires_grad_()
    second = first.detach() + torch.rand(20, 4, dtype=torch.double) * 3
    assert torch.autograd.gradcheck(lambda boxes: paired_iou(boxes, second), first)


def test_pairs_of_several_pictures_are_those_of_each():
    first, second = draw_boxes(12, 1).reshape(3, 4, 4), draw_boxes(15, 2).reshape(3, 5, 4)
    for kind in (np.asarray, torch.from_numpy):
        together = pairwise_iou(kind(first), kind(second))
        assert together.shape == (3, 4, 5)
        for row in range(3):
            alone = pairwise_iou(kind(first[row]), kind(second[row]))
            np.testing.assert_array_equal(together[row], alone)


def test_pairs_pass_the_gradient_on_as_partners_do():
    first = torch.from_numpy(draw_boxes(20, 5)).double().requires_grad_()
    second = torch.from_numpy(draw_boxes(20, 6)).double()
    (pairs,) = torch.autograd.grad(pairwise_iou(first, second).diagonal().sum(), first)
    (partners,) = torch.autograd.grad(paired_iou(first, second).sum(), first)
    torch.testing.assert_close(pairs, partners)
    assert pairs.any()


def test_gradient_of_boxes_without_area_is_no_nan():
    first = torch.tensor([[5.0, 5, 5, 5], [0, 0, 4, 4]], requires_grad=True)
    second = torch.tensor([[5.0, 5, 5, 5], [9, 9, 12, 12]])
    paired_iou(first, second).sum().backward()
    assert first.grad is not None
    assert torch.isfinite(first.grad).all()


def test_clip_by_hand_and_as_torchvision():
    boxes = np.array([[-5, -5, 300, 200], [10, 20, 30, 40], [250, -9, 260, -1]], np.float32)
    expected = [[0, 0, 100, 80], [10, 20, 30, 40], [100, 0, 100, 0]]  # height 80, width 100
    assert clip_boxes(boxes, (80, 100)).tolist() == expected
    assert clip_boxes_to_image(torch.from_numpy(boxes), (80, 100)).tolist() == expected


def test_encode_by_hand():
    anchor = np.array([[10, 20, 30, 60]], np.float32)  # 20 x 40 around (20, 40)
    box = np.array([[15, 40, 55, 60]], np.float32)  # 40 x 20 around (35, 50)
    # dx = 15 / 20, dy = 10 / 40, dw = log 2, dh = log 1/2
    expected = np.array([0.75, 0.25, math.log(2), -math.log(2)])
    np.testing.assert_allclose(encode_boxes(box, anchor)[0], expected, rtol=1e-6)
    np.testing.assert_allclose(encode_boxes(box, anchor, STDS)[0], expected / STDS, rtol=1e-6)
    np.testing.assert_allclose(decode_boxes(expected[None] / STDS, anchor, STDS), box, rtol=1e-6)


@pytest.mark.parametrize("stds", [(1.0, 1.0, 1.0, 1.0), STDS, (0.1, 0.3, 0.2, 0.5)])
def test_encode_and_decode_equal_torchvision(stds: tuple[float, float, float, float]):
    boxes, anchors = draw_boxes(50, 6), draw_boxes(50, 7)
    coder = BoxCoder(tuple(1 / value for value in stds))
    deltas = encode_boxes(boxes, anchors, stds)
    expected = coder.encode_single(torch.from_numpy(boxes), torch.from_numpy(anchors)).numpy()
    np.testing.assert_allclose(deltas, expected, rtol=1e-5, atol=1e-5)

    wild = np.random.default_rng(8).normal(0, 4 / np.array(stds), (50, 4)).astype(np.float32)
    decoded = decode_boxes(wild, anchors, stds, clamp_below=False)
    expected = coder.decode_single(torch.from_numpy(wild), torch.from_numpy(anchors)).numpy()
    np.testing.assert_allclose(decoded, expected, rtol=1e-5, atol=1e-3)


def test_growth_is_bounded_above_and_shrinking_where_asked():
    anchor = np.array([[0, 0, 16, 16]], np.float32)
    deltas = np.array([[0, 0, 99, -99]], np.float32)
    width = 1000  # 16 px * 62.5
    plain = decode_boxes(deltas, anchor)
    assert (plain[0, 2] - plain[0, 0]) == pytest.approx(width, rel=1e-5)
    assert (plain[0, 3] - plain[0, 1]) == pytest.approx(16 / 62.5, rel=1e-4)
    one_sided = decode_boxes(deltas, anchor, clamp_below=False)
    assert (one_sided[0, 2] - one_sided[0, 0]) == pytest.approx(width, rel=1e-5)
    assert one_sided[0, 3] == one_sided[0, 1]
    assert math.exp(MAX_SIZE_DELTA) == pytest.approx(62.5)


coordinate = st.floats(-500, 500, width=32)
side = st.floats(1, 500, width=32)
box = st.tuples(coordinate, coordinate, side, side).map(
    lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]]
)


@settings(max_examples=60)
@given(box=box, anchor=box)
def test_decode_gives_the_encoded_box_back(box: list[float], anchor: list[float]):
    boxes, anchors = np.array([box]), np.array([anchor])
    growth = np.log((boxes[:, 2:] - boxes[:, :2]) / (anchors[:, 2:] - anchors[:, :2]))
    if np.abs(growth).max() < MAX_SIZE_DELTA:
        back = decode_boxes(encode_boxes(boxes, anchors, STDS), anchors, STDS)
        np.testing.assert_allclose(back, boxes, rtol=1e-6, atol=1e-6)


@settings(max_examples=60)
@given(first=box, second=box)
def test_iou_is_symmetric_and_a_share(first: list[float], second: list[float]):
    one, other = np.array([first]), np.array([second])
    iou = pairwise_iou(one, other)
    assert 0 <= iou[0, 0] <= 1 + 1e-12
    assert iou == pairwise_iou(other, one)
    assert iou[0] == paired_iou(one, other)
    assert pairwise_iou(one, one)[0, 0] == pytest.approx(1)


def test_nothing_in_nothing_out():
    for none, some in [
        (np.zeros((0, 4), np.float32), draw_boxes(3, 9)),
        (torch.zeros(0, 4), torch.from_numpy(draw_boxes(3, 9))),
    ]:
        assert pairwise_iou(none, some).shape == (0, 3)
        assert pairwise_iou(some, none).shape == (3, 0)
        assert pairwise_coverage(none, some).shape == (0, 3)
        assert paired_iou(none, none).shape == (0,)
        assert clip_boxes(none, (10, 10)).shape == (0, 4)
        assert encode_boxes(none, none).shape == (0, 4)
        assert decode_boxes(none, none).shape == (0, 4)


def test_decode_keeps_the_batch_dimension():
    anchors = torch.from_numpy(draw_boxes(7, 10))
    deltas = torch.randn(2, 7, 4)
    decoded = decode_boxes(deltas, anchors)
    assert decoded.shape == (2, 7, 4)
    torch.testing.assert_close(decoded[1], decode_boxes(deltas[1], anchors))
