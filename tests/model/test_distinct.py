import numpy as np
import pytest
import torch

from iouaware.boxes import pairwise_iou
from iouaware.inference.nms import suppress
from iouaware.model.distinct import ALIKE, LOOKS, POOL, closest, join_looks, pick_distinct


def square(x: float, side: float = 100) -> list[float]:
    return [x, 0, x + side, side]


def test_copies_are_passed_over_by_hand() -> None:
    # moved by 5 of 100 px: IoU 95 / 105 = 0.905; by 6: 94 / 106 = 0.887
    boxes = torch.tensor([square(0), square(5), square(6), square(0), square(500)])
    assert pick_distinct(boxes).tolist() == [0, 2, 4]
    assert pick_distinct(boxes[:0]).tolist() == []
    # what lies beside the canvas has been clipped to a line
    assert pick_distinct(torch.tensor([[96.0, 3, 96, 50], square(0)])).tolist() == [1]


@pytest.mark.parametrize("copies", [1, 3, 40])
def test_the_first_that_differ_are_those_of_nms(copies: int) -> None:
    generator = torch.Generator().manual_seed(0)
    corners = 500 * torch.rand(200, 2, generator=generator)
    boxes = torch.cat([corners, corners + 60], dim=1).repeat_interleave(copies, dim=0)
    pool = boxes[:POOL].numpy()
    scores = np.linspace(1, 0, len(pool), dtype=np.float32)
    expected = suppress(pool, scores, np.zeros(len(pool), np.int64), ALIKE, LOOKS)
    assert len(expected) == (26 if copies == 40 else LOOKS)  # 1,024 / 40
    assert pick_distinct(boxes).tolist() == expected.tolist()


def test_the_closest_is_the_one_of_highest_iou() -> None:
    torch.manual_seed(0)
    corner = torch.rand(2, 40, 2) * 100
    boxes = torch.cat([corner, corner + torch.rand(2, 40, 2) * 50], dim=2)
    boxes[:, 5, 2] = boxes[:, 5, 0]  # without area
    looked = torch.cat([boxes[:, 3:9], torch.zeros(2, 2, 4)], dim=1)
    overlap, row = closest(looked, boxes)
    iou = pairwise_iou(looked, boxes)
    torch.testing.assert_close(overlap, iou.amax(dim=1))
    assert (overlap[:, [3, 4, 6, 7, 8]] == 1).all()
    assert row[:, [3, 4, 6, 7, 8]].tolist() == [[0, 1, 3, 4, 5]] * 2
    assert (overlap[:, 5] == 0).all()
    nothing = torch.zeros(1, 2, 4)
    assert closest(nothing, nothing)[0].tolist() == [[0, 0]]


def test_looks_are_joined_by_hand() -> None:
    boxes = torch.tensor([[square(0), square(200), square(5), square(400), square(0)]])
    labels = torch.tensor([[0, 1, 1, 0, 1]])
    said = torch.tensor([[0.9, 0.4, 0.64, 0.5, 0.9]])
    fit = torch.tensor([[[0.9, 0.4], [0.1, 0.1]]])  # of two boxes and two classes
    joined = join_looks(said, boxes, labels, boxes[:, :2], fit.logit())
    # the first speaks for its copies, the third and the fifth, for each class its own number
    seen = [0.9, 0.2, 0.16**0.5 * 0.64**0.5 / 0.4**0.5, (0.9 * 0.4) ** 0.5]
    # of these four the later two fell from 0.64 + 0.9; the fourth box falls as they did
    share = (seen[2] + seen[3]) / (0.64 + 0.9)
    np.testing.assert_allclose(joined[0], [*seen[:3], 0.5 * share, seen[3]], rtol=1e-5)


def test_a_box_without_a_look_never_rises() -> None:
    boxes = torch.tensor([[square(0), square(300)]])
    sure = torch.full((1, 1, 1), 30.0)
    joined = join_looks(
        torch.tensor([[0.25, 0.5]]), boxes, torch.zeros(1, 2, dtype=torch.int64), boxes[:, :1], sure
    )
    np.testing.assert_allclose(joined[0], [0.5, 0.5])


def test_where_no_look_speaks_nothing_changes() -> None:
    boxes = torch.tensor([[[96.0, 0, 96, 50], [96, 10, 96, 20]]])  # beside the canvas, lines
    labels = torch.zeros(1, 2, dtype=torch.int64)
    said = torch.tensor([[0.25, 0.5]])
    joined = join_looks(said, boxes, labels, torch.zeros(1, 3, 4), torch.zeros(1, 3, 1))
    assert torch.equal(joined, said)


def test_one_number_that_is_none_spoils_no_other() -> None:
    boxes = torch.tensor([[square(0), square(300), square(600), square(900)]])
    labels = torch.zeros(1, 4, dtype=torch.int64)
    said = torch.tensor([[0.9, float("nan"), 0.5, 0.4]])
    joined = join_looks(said, boxes, labels, boxes[:, :3], torch.zeros(1, 3, 1))
    assert joined.isnan().tolist() == [[False, True, False, False]]


def test_places_without_a_candidate_stay_empty() -> None:
    boxes = torch.tensor([[square(0), square(0)]])
    nothing = torch.zeros(1, 2)
    labels = torch.zeros(1, 2, dtype=torch.int64)
    joined = join_looks(nothing, boxes, labels, torch.zeros(1, 3, 4), torch.zeros(1, 3, 2))
    assert joined.tolist() == [[0, 0]]


def test_each_picture_is_joined_by_itself() -> None:
    generator = torch.Generator().manual_seed(1)
    corners = 200 * torch.rand(2, 9, 2, generator=generator)
    boxes = torch.cat([corners, corners + 50], dim=2)
    labels = torch.randint(0, 2, (2, 9), generator=generator)
    said = torch.rand(2, 9, generator=generator)
    logits = torch.randn(2, 3, 2, generator=generator)
    together = join_looks(said, boxes, labels, boxes[:, :3], logits)
    for row in range(2):
        part = slice(row, row + 1)
        alone = join_looks(said[part], boxes[part], labels[part], boxes[part, :3], logits[part])
        assert torch.equal(alone[0], together[row])
