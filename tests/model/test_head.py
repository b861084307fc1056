from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from iouaware.model.head import Head, prior_logit

SIZES = [(4, 6), (2, 3), (1, 2), (1, 1), (1, 1)]


@pytest.fixture
def levels() -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(2, 16, *hw) for hw in SIZES]


def test_shapes(levels: list[Tensor]):
    class_logits, deltas, iou_logits = Head(16, 3)(levels)
    anchors = 9 * (24 + 6 + 2 + 1 + 1)
    assert class_logits.shape == (2, anchors, 3)
    assert deltas.shape == (2, anchors, 4)
    assert iou_logits is not None
    assert iou_logits.shape == (2, anchors)


def test_outputs_come_in_the_order_of_the_anchors(levels: list[Tensor]):
    """Level by level, row by row, column by column, the nine anchors of a location together."""
    head = Head(16, 3)
    class_logits, deltas, iou_logits = head(levels)
    level = levels[1]  # 2 x 3 cells, after the 24 of the first
    row, column, anchor = 0, 2, 7
    index = 9 * 24 + 9 * (row * 3 + column) + anchor
    maps = head.class_layer(head.class_tower(level))  # channels: nine anchors of three classes
    assert torch.equal(class_logits[:, index], maps[:, 3 * anchor : 3 * anchor + 3, row, column])
    features = head.box_tower(level)
    maps = head.box_layer(features)
    assert torch.equal(deltas[:, index], maps[:, 4 * anchor : 4 * anchor + 4, row, column])
    assert iou_logits is not None
    assert head.iou_layer is not None
    assert torch.equal(iou_logits[:, index], head.iou_layer(features)[:, anchor, row, column])


def test_first_weights_are_the_paper_s():
    torch.manual_seed(0)
    head = Head(32, 5, prior_probability=0.01)
    for name, parameter in head.named_parameters():
        if name == "class_layer.bias":
            # -log(99) = -4.595: every p starts at 0.01
            torch.testing.assert_close(parameter, torch.full((45,), -4.59512), rtol=0, atol=1e-5)
        elif name.endswith("bias"):
            assert not parameter.any(), name
        else:
            assert parameter.std().item() == pytest.approx(0.01, rel=0.1), name
    assert torch.sigmoid(torch.tensor(prior_logit(0.2))).item() == pytest.approx(0.2)


@pytest.mark.parametrize("options", [{"iou_head": False}, {"shared_iou_convs": 1}])
def test_a_seed_draws_the_same_weights_whatever_the_iou_branch_is(options: dict[str, Any]):
    drawn = []
    nothing: dict[str, Any] = {}
    for given in (nothing, options):
        torch.manual_seed(3)
        drawn.append(Head(16, 2, **given).state_dict())
    common = [key for key in drawn[0] if not key.startswith("iou_")]
    assert common
    assert all(torch.equal(drawn[0][key], drawn[1][key]) for key in common)


@pytest.mark.parametrize("shared", [0, 1, 2, 3, 4])
def test_iou_branch_shares_as_many_convs_as_told(shared: int, levels: list[Tensor]):
    head = Head(16, 2, tower_convs=4, shared_iou_convs=shared)
    _, _, iou_logits = head(levels)
    assert iou_logits is not None
    iou_logits.sum().backward()
    # the IoU branch reaches the box tower's first convolutions, and no other
    touched = [any(p.grad is not None for p in conv.parameters()) for conv in head.box_tower]
    assert touched == [index < shared for index in range(4)]
    assert head.iou_tower is not None
    assert len(head.iou_tower) == 4 - shared
    assert all(parameter.grad is not None for parameter in head.iou_parameters())
    assert all(parameter.grad is None for parameter in head.class_tower.parameters())
    assert head.box_layer.weight.grad is None


def test_sharing_all_costs_one_layer():
    # the paper's head: 256 * 9 * 9 weights and 9 biases more than RetinaNet
    with_iou = sum(p.numel() for p in Head(256, 80).parameters())
    without = sum(p.numel() for p in Head(256, 80, iou_head=False).parameters())
    assert with_iou - without == 20_745


def test_sharing_does_not_change_the_boxes(levels: list[Tensor]):
    whole, split = Head(16, 2, shared_iou_convs=4), Head(16, 2, shared_iou_convs=1)
    split.load_state_dict(whole.state_dict(), strict=False)
    assert torch.equal(whole(levels)[1], split(levels)[1])


def test_without_iou_branch(levels: list[Tensor]):
    head = Head(16, 2, iou_head=False)
    assert head(levels)[2] is None
    assert list(head.iou_parameters()) == []


@pytest.mark.parametrize(
    # eight channels a group, 32 groups at most, and always a divisor
    ("channels", "groups"),
    [(256, 32), (512, 32), (64, 8), (16, 2), (8, 1), (12, 1), (100, 4)],
)
def test_group_norm_towers(channels: int, groups: int):
    head = Head(channels, 1, tower_convs=1, tower_norm="group", shared_iou_convs=1)
    conv, norm, _ = head.box_tower[0].children()
    assert isinstance(conv, nn.Conv2d)
    assert conv.bias is None
    assert isinstance(norm, nn.GroupNorm)
    assert norm.num_groups == groups
