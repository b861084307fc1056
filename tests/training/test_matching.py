from __future__ import annotations

import pytest
import torch
from torchvision.models.detection._utils import Matcher
from torchvision.ops import box_iou

from iouaware.training.matching import match_anchors

NONE_IGNORED = torch.zeros(0, dtype=torch.bool)


def random_boxes(count: int, side: float, generator: torch.Generator) -> torch.Tensor:
    corner = torch.rand(count, 2, generator=generator) * side
    size = torch.rand(count, 2, generator=generator) * side / 4 + 1
    return torch.cat([corner, corner + size], dim=1)


def test_by_hand() -> None:
    box = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    anchors = torch.tensor(
        [
            [0.0, 0.0, 10.0, 10.0],  # IoU 1: positive
            [0.0, 0.0, 10.0, 20.0],  # IoU 100 / 200 = 0.5: positive, the threshold is included
            [0.0, 0.0, 10.0, 22.0],  # IoU 100 / 220 = 0.4545: between, ignored
            [0.0, 0.0, 10.0, 25.0],  # IoU 100 / 250 = 0.4: between, the lower one is excluded
            [0.0, 0.0, 10.0, 26.0],  # IoU 100 / 260 = 0.385: background
            [50.0, 50.0, 60.0, 60.0],  # IoU 0: background
        ]
    )
    found = match_anchors(anchors, box, torch.tensor([False]))
    assert found.positive.tolist() == [True, True, False, False, False, False]
    assert found.ignored.tolist() == [False, False, True, True, False, False]


def test_best_anchors_of_a_box_are_positive_ties_included() -> None:
    box = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    # both shifted anchors overlap by 2 x 10 = 20 of 180: IoU 1/9, and nothing is better
    anchors = torch.tensor([[8.0, 0.0, 18.0, 10.0], [-8.0, 0.0, 2.0, 10.0], [9.0, 0.0, 19.0, 10.0]])
    found = match_anchors(anchors, box, torch.tensor([False]))
    assert found.positive.tolist() == [True, True, False]


def test_a_box_that_touches_no_anchor_claims_none() -> None:
    box = torch.tensor([[100.0, 100.0, 110.0, 110.0]])
    anchors = torch.tensor([[0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 30.0, 10.0]])
    assert not match_anchors(anchors, box, torch.tensor([False])).positive.any()


def test_a_small_box_beside_a_larger_one_keeps_an_anchor() -> None:
    # the small box meets one anchor at 25 / 400, which the large one covers by 200 / 1000 = 0.2
    boxes = torch.tensor([[0.0, 0.0, 20.0, 40.0], [12.0, 2.0, 17.0, 7.0]])
    anchors = torch.tensor([[0.0, 0.0, 20.0, 40.0], [10.0, 0.0, 30.0, 20.0]])
    found = match_anchors(anchors, boxes, torch.tensor([False, False]))
    assert found.positive.tolist() == [True, True]
    assert found.matched_index.tolist() == [0, 1]


def test_an_anchor_that_fits_a_box_is_not_claimed_by_another() -> None:
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [2.0, 2.0, 4.0, 4.0]])
    anchors = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    found = match_anchors(anchors, boxes, torch.tensor([False, False]))
    assert found.matched_index.tolist() == [0]
    # nor one that fits it just well enough (50 / 100), whose box has a better anchor elsewhere
    anchors = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 5.0]])
    boxes = torch.tensor([[0.0, 0.0, 10.0, 5.0], [0.0, 6.0, 2.0, 8.0]])
    found = match_anchors(anchors, boxes, torch.tensor([False, False]))
    assert found.matched_index.tolist() == [0, 0]


@pytest.mark.parametrize("seed", range(5))
def test_equals_torchvision(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    anchors = random_boxes(400, 60, generator)
    # each box sits near an anchor, so that none is untouched (there torchvision takes them all)
    boxes = anchors[:12] + torch.rand(12, 4, generator=generator)
    expected = Matcher(0.5, 0.4, allow_low_quality_matches=True)(box_iou(boxes, anchors))
    found = match_anchors(anchors, boxes, torch.zeros(12, dtype=torch.bool))
    assert torch.equal(found.positive, expected >= 0)
    assert torch.equal(found.ignored, expected == Matcher.BETWEEN_THRESHOLDS)
    # which box an anchor learns differs only where none fits it: there its claimant is learnt
    fits = box_iou(boxes, anchors).max(dim=0).values >= 0.5
    assert torch.equal(found.matched_index[fits], expected[fits])


# about 900 boxes can be matched: chunks of 111 anchors, and two chunks
@pytest.mark.parametrize("elements", [100_000, 1_500_000])
def test_p10_a_thousand_boxes_in_chunks_give_the_same(elements: int) -> None:
    generator = torch.Generator().manual_seed(0)
    anchors = random_boxes(3000, 200, generator)
    boxes = random_boxes(1000, 200, generator)
    ignored = torch.rand(1000, generator=generator) < 0.1
    whole = match_anchors(anchors, boxes, ignored, chunk_elements=10**9)
    parts = match_anchors(anchors, boxes, ignored, chunk_elements=elements)
    for one, other in zip(whole, parts, strict=True):
        assert torch.equal(one, other)


def test_p27_anchors_on_a_crowd_are_neither_object_nor_background() -> None:
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [100.0, 100.0, 200.0, 200.0]])
    ignored = torch.tensor([False, True])
    anchors = torch.tensor(
        [
            [0.0, 0.0, 10.0, 10.0],  # the object
            [110.0, 110.0, 120.0, 120.0],  # inside the crowd
            [195.0, 100.0, 205.0, 110.0],  # half inside: 5 of 10 px
            [196.0, 100.0, 206.0, 110.0],  # 4 of 10 px inside: background
        ]
    )
    found = match_anchors(anchors, boxes, ignored)
    assert found.positive.tolist() == [True, False, False, False]
    assert found.ignored.tolist() == [False, True, True, False]
    assert match_anchors(anchors[1:], boxes, ignored).ignored.tolist() == [True, True, False]


def test_matched_index_counts_ignored_boxes_too() -> None:
    boxes = torch.tensor([[50.0, 50.0, 60.0, 60.0], [0.0, 0.0, 10.0, 10.0]])
    found = match_anchors(boxes[1:], boxes, torch.tensor([True, False]))
    assert found.matched_index.tolist() == [1]


def test_p03_an_image_without_objects_is_all_background() -> None:
    anchors = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    found = match_anchors(anchors, torch.zeros(0, 4), NONE_IGNORED)
    assert not found.positive.any()
    assert not found.ignored.any()
    types = (torch.int64, torch.bool, torch.bool)
    assert (found.matched_index.dtype, found.positive.dtype, found.ignored.dtype) == types
