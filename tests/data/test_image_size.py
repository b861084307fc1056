"""Choosing the picture size by looking at the boxes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from iouaware.anchors import Geometry, best_anchor_iou, build_anchors
from iouaware.boxes import pairwise_iou
from iouaware.data.dataset import Dataset, DatasetBuilder
from iouaware.data.image_size import choose_image_size, share_met


def build_dataset(sides: Sequence[float], wh: tuple[int, int], ignored: bool = False) -> Dataset:
    """One picture with a square box of each side in its middle."""
    builder = DatasetBuilder("drawn", Path("/nowhere"), "train", ("square",), (1,), strict=False)
    x, y = wh[0] / 2, wh[1] / 2
    boxes = [[x - s / 2, y - s / 2, x + s / 2, y + s / 2] for s in sides]
    builder.add_image("a.png", *wh, boxes, [0] * len(sides), [ignored] * len(sides))
    return builder.build()


@pytest.mark.parametrize("geometry", ["plain", "torchvision"])
@pytest.mark.parametrize("canvas_hw", [(64, 64), (96, 160), (320, 320)])
def test_p25_best_anchor_iou_is_that_of_all_anchors(
    geometry: Geometry, canvas_hw: tuple[int, int]
) -> None:
    # the nearest location is enough: compared with every anchor there is
    random = np.random.default_rng(0)
    corners = random.uniform(-10, 170, (60, 2))
    sizes = np.exp(random.uniform(0, 6, (60, 2)))
    boxes = np.concatenate([corners, corners + sizes], axis=1).astype(np.float32)
    expected = pairwise_iou(boxes, build_anchors(canvas_hw, geometry)).max(axis=1)
    np.testing.assert_allclose(best_anchor_iou(boxes, canvas_hw, geometry), expected, atol=1e-6)


def test_the_smallest_size_that_is_enough_is_taken() -> None:
    # The smallest square anchor has 32 px. A square box of side s well inside it has
    # IoU s^2 / 32^2, 0.5 at s = 22.6. In a picture of 640 px a box of 40 px is 20 px at 320
    # (too small), 26 px at 416: enough.
    choice = choose_image_size(build_dataset([40] * 10, (640, 640)))
    assert choice.size == 416
    assert choice.share == 1
    assert choice.share_at_smallest == 0


def test_p25_ninety_percent_are_enough_and_fewer_are_not() -> None:
    # at 320 px a box of 60 px of a 640 px picture has 30 px, one of 4 px has 2
    assert choose_image_size(build_dataset([60] * 9 + [4], (640, 640))).size == 320
    # 8 of 10 at any size: none is enough, and 512 is the way out
    choice = choose_image_size(build_dataset([60] * 8 + [4] * 2, (640, 640)))
    assert (choice.size, choice.share) == (512, 0.8)


def test_ignored_boxes_and_empty_sets_ask_for_nothing() -> None:
    assert choose_image_size(build_dataset([4], (640, 640), ignored=True)) == (320, 1, 1)
    assert choose_image_size(build_dataset([], (640, 640))) == (320, 1, 1)


def test_a_pair_keeps_the_ratio() -> None:
    # [short, long] = [200, 400] in a 100 x 400 picture: the long side allows a factor of 1, so a
    # box of 30 px stays 30 px and meets the 32 px anchor
    dataset = build_dataset([30], (400, 100))
    assert share_met(dataset, (200, 400)) == 1
    # 8 px at a factor of 1 has IoU 8^2 / 32^2 = 0.06 at best
    assert share_met(build_dataset([8], (400, 100)), (200, 400)) == 0
