from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.retinanet import _default_anchorgen

from iouaware.anchors import (
    best_anchor_iou,
    build_anchors,
    build_base_anchors,
    feature_sizes,
    level_sizes,
)
from iouaware.boxes import pairwise_iou


def test_feature_sizes_by_hand():
    # 96 / 8 = 12, 64 / 8 = 8, then halves, rounded up
    assert feature_sizes((96, 64)) == [(12, 8), (6, 4), (3, 2), (2, 1), (1, 1)]
    assert level_sizes((96, 64)) == (12 * 8 * 9, 6 * 4 * 9, 3 * 2 * 9, 2 * 9, 9)


def test_base_anchors_by_hand():
    base = build_base_anchors(8)
    # sizes 4 * 8 = 32, 32 * 2^(1/3) = 40.32, 32 * 2^(2/3) = 50.80; ratio = height / width
    sizes = [32, 32 * 2 ** (1 / 3), 32 * 2 ** (2 / 3)]
    width, height = base[:, 2] - base[:, 0], base[:, 3] - base[:, 1]
    np.testing.assert_allclose(np.sqrt(width * height), sizes * 3, rtol=1e-6)
    np.testing.assert_allclose(height / width, np.repeat([0.5, 1, 2], 3), rtol=1e-6)
    # the first: 32 px, twice as wide as high: 32 * sqrt 2 = 45.25 by 32 / sqrt 2 = 22.63
    half = [32 * math.sqrt(2) / 2, 32 / math.sqrt(2) / 2]
    np.testing.assert_allclose(base[0], [-half[0], -half[1], half[0], half[1]], rtol=1e-6)
    np.testing.assert_allclose(base[3], [-16, -16, 16, 16])


def test_torchvision_rounds_the_base_anchors():
    base = build_base_anchors(8, "torchvision")
    # 45.25 / 2 = 22.63 -> 23, 22.63 / 2 = 11.31 -> 11; 40.32 is cut to 40 before that
    assert base[0].tolist() == [-23, -11, 23, 11]
    assert base[4].tolist() == [-20, -20, 20, 20]


def test_plain_anchors_lie_in_the_middle_of_their_cells():
    anchors = build_anchors((96, 64))
    centres = (anchors[:, :2] + anchors[:, 2:]) / 2  # [A, 2] as x, y
    # P3: first cell at 4, 4; the nine of a cell together; then one step to the right
    np.testing.assert_allclose(centres[:9], [[4, 4]] * 9, atol=1e-4)
    np.testing.assert_allclose(centres[9:18], [[12, 4]] * 9, atol=1e-4)
    # eight cells make a row: number 8 begins the second
    np.testing.assert_allclose(centres[8 * 9], [4, 12], atol=1e-4)
    # the first of P4 stands in the middle of a cell of 16 px and is 64 px wide
    first_of_p4 = 12 * 8 * 9
    np.testing.assert_allclose(anchors[first_of_p4 + 3], [-24, -24, 40, 40], atol=1e-4)
    # the only cell of P7 has 128 px, beyond the canvas: its square is 512 px
    np.testing.assert_allclose(anchors[-9 + 3], [-192, -192, 320, 320], atol=1e-3)


@pytest.mark.parametrize("canvas_hw", [(96, 64), (160, 224), (320, 320), (800, 1344)])
def test_torchvision_geometry_equals_its_generator(canvas_hw: tuple[int, int]):
    features = [torch.zeros(1, 1, *hw) for hw in feature_sizes(canvas_hw)]
    images = ImageList(torch.zeros(1, 3, *canvas_hw), [canvas_hw])
    (expected,) = _default_anchorgen()(images, features)
    assert np.array_equal(build_anchors(canvas_hw, "torchvision"), expected.numpy())


@pytest.mark.parametrize("geometry", ["plain", "torchvision"])
def test_anchors_number_and_type(geometry):
    anchors = build_anchors((128, 96), geometry)
    assert anchors.shape == (sum(level_sizes((128, 96))), 4)
    assert anchors.dtype == np.float32
    with pytest.raises(ValueError, match="read-only"):  # they are shared between callers
        anchors[0] = 0


def test_best_anchor_iou_by_hand():
    boxes = np.array(
        [
            [-12, -12, 20, 20],  # an anchor of P3 itself
            # 16 px in the middle of the anchor of 32 px at (12, 12): 256 / 1024
            [4, 4, 20, 20],
        ],
        np.float32,
    )
    np.testing.assert_allclose(best_anchor_iou(boxes, (64, 64)), [1, 0.25], rtol=1e-5)


@pytest.mark.parametrize("geometry", ["plain", "torchvision"])
@pytest.mark.parametrize("canvas_hw", [(64, 64), (96, 160), (320, 224)])
def test_best_anchor_iou_equals_a_look_at_all_anchors(canvas_hw, geometry):
    generator = np.random.default_rng(0)
    height, width = canvas_hw
    centre = generator.uniform(-40, 40, (300, 2)) + generator.uniform(0, 1, (300, 2)) * [
        width,
        height,
    ]
    size = np.exp(generator.uniform(1, 6, (300, 2)))  # 3 to 400 px, slim ones too
    boxes = np.concatenate([centre - size / 2, centre + size / 2], axis=1).astype(np.float32)
    expected = pairwise_iou(boxes, build_anchors(canvas_hw, geometry)).max(axis=1)
    np.testing.assert_allclose(best_anchor_iou(boxes, canvas_hw, geometry), expected, atol=1e-5)


def test_p25_small_objects_meet_no_anchor_at_a_small_size():
    # 12 px on a picture of 640 px: on a canvas of 640 they reach (12 / 32)^2, on 320 a quarter
    boxes = np.array([[298, 298, 310, 310]], np.float32)
    at_640 = best_anchor_iou(boxes, (640, 640))[0]
    at_320 = best_anchor_iou(boxes * np.float32(0.5), (320, 320))[0]
    assert at_640 == pytest.approx(144 / 1024, rel=1e-4)
    assert at_320 == pytest.approx(36 / 1024, rel=1e-4)


def test_no_boxes_meet_no_anchors():
    assert best_anchor_iou(np.zeros((0, 4), np.float32), (64, 64)).shape == (0,)
