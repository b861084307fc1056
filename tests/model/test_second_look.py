from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision.ops import roi_align

from iouaware.config import ModelConfig
from iouaware.model.detector import Detector
from iouaware.model.second_look import (
    GRID,
    SAMPLES,
    BoxInputs,
    SecondLook,
    level_of,
    pool_boxes,
    widen,
)

CANVAS = (256, 256)
CONFIG = ModelConfig(
    backbone="test_efficientnet",
    weights="none",
    fpn_channels=8,
    tower_convs=1,
    shared_iou_convs=1,
    second_look=True,
)


def draw_levels(channels: int, pictures: int = 2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(pictures, channels, CANVAS[0] // s, CANVAS[1] // s, generator=generator)
        for s in (8, 16, 32)
    ]


def test_boxes_are_widened_as_far_as_the_canvas_goes() -> None:
    boxes = torch.tensor([[40.0, 40, 60, 50], [0, 228, 20, 256], [7, 7, 7, 7]])
    expected = [[37, 38.5, 63, 51.5], [0, 223.8, 23, 256], [6.35, 6.35, 7.65, 7.65]]
    torch.testing.assert_close(widen(boxes, CANVAS), torch.tensor(expected))


@pytest.mark.parametrize(
    ("side", "level"), [(1, 0), (56, 0), (79, 0), (80, 1), (158, 1), (159, 2), (1000, 2)]
)
def test_a_box_is_seen_on_the_level_of_its_size(side: float, level: int) -> None:
    box = torch.tensor([[10.0, 20, 10 + side, 20 + side]])  # 79.2 is 56 times the root of 2
    assert level_of(box).tolist() == [level]


def test_pooling_equals_roi_align_on_the_own_level() -> None:
    levels = draw_levels(8)
    # one box a level, far enough from the sides that no sample lies beyond a level's last cell
    boxes = torch.tensor([[30.0, 20, 70, 60], [60, 60, 160, 150], [43, 43, 213, 213]])
    boxes = torch.stack([boxes, boxes * 0.99])
    pooled = pool_boxes(levels, boxes).view(2, 3, 8, GRID, GRID)
    wide = widen(boxes, CANVAS)
    assert level_of(boxes).tolist() == [[0, 1, 2]] * 2
    for number in range(3):
        level = int(level_of(boxes)[0, number])
        for picture in range(2):
            box = torch.cat([torch.tensor([picture]), wide[picture, number]])[None]
            expected = roi_align(levels[level], box, GRID, 1 / (8 << level), SAMPLES, aligned=True)
            torch.testing.assert_close(pooled[picture, number], expected[0], atol=1e-5, rtol=1e-4)


def test_what_is_beyond_a_level_is_not_another_level() -> None:
    levels = [
        torch.full_like(level, value)
        for level, value in zip(draw_levels(8), (1, 5, 9), strict=True)
    ]
    corner = torch.tensor([[[216.0, 218, 256, 256]]]).repeat(2, 1, 1)  # P3's right and lower end
    pooled = pool_boxes(levels, corner)
    assert float(pooled.max()) <= 1 + 1e-6


def test_each_picture_and_box_is_judged_by_itself() -> None:
    torch.manual_seed(0)
    look = SecondLook(8, 3).eval()
    levels = draw_levels(8)
    boxes = torch.tensor(
        [[[30.0, 20, 70, 60], [5, 5, 140, 120]], [[40.0, 40, 90, 90], [0, 0, 9, 9]]]
    )
    logits, iou = torch.randn(2, 2, 3), torch.randn(2, 2)
    both = look(levels, BoxInputs(boxes, logits, iou))
    assert both.shape == (2, 2, 3)
    for picture in range(2):
        for number in range(2):
            one = BoxInputs(
                boxes[picture, None, number, None],
                logits[picture, None, number, None],
                iou[picture, None, number, None],
            )
            alone = look([level[picture, None] for level in levels], one)
            torch.testing.assert_close(alone[0, 0], both[picture, number])


def test_training_sees_the_same() -> None:
    torch.manual_seed(0)
    look = SecondLook(8, 3)
    torch.nn.init.normal_(look.shift)
    torch.nn.init.normal_(look.fit_layer.weight)
    # the second box is widened beyond the canvas, and the third beyond what P5 covers of it
    boxes = torch.tensor([[[30.0, 20, 70, 60], [150, 150, 256, 256], [1, 1, 250, 250]]] * 2)
    inputs = BoxInputs(boxes, torch.randn(2, 3, 3), torch.randn(2, 3))
    trained = look(draw_levels(8), inputs)
    torch.testing.assert_close(look.eval()(draw_levels(8), inputs), trained, atol=1e-4, rtol=1e-4)


def test_no_boxes_give_no_logits() -> None:
    nothing = BoxInputs(torch.zeros(2, 0, 4), torch.zeros(2, 0, 3), torch.zeros(2, 0))
    assert SecondLook(8, 3)(draw_levels(8), nothing).shape == (2, 0, 3)


def test_nothing_flows_back_into_the_network() -> None:
    torch.manual_seed(0)
    detector = Detector(CONFIG, 3)
    outputs = detector(torch.randn(2, 3, 64, 64))
    inputs = detector.box_inputs(outputs, torch.tensor([[0, 5, 9], [7, 100, 30]]))
    assert inputs.boxes.shape == (2, 3, 4)
    detector.look_again(outputs, inputs).sum().backward()
    moved = {name for name, value in detector.named_parameters() if value.grad is not None}
    assert moved
    assert all(name.startswith("second_look.") for name in moved)


def test_box_inputs_are_the_boxes_of_the_anchors_on_the_canvas() -> None:
    torch.manual_seed(0)
    detector = Detector(CONFIG, 3).eval()
    with torch.no_grad():
        outputs = detector(torch.randn(2, 3, 64, 96))
        index = torch.tensor([[0, 5], [7, 100]])
        inputs = detector.box_inputs(outputs, index)
        boxes = detector.decode(outputs)
    for picture in range(2):
        limit = torch.tensor([96.0, 64, 96, 64])
        expected = torch.minimum(boxes[picture, index[picture]].clamp(min=0), limit)
        torch.testing.assert_close(inputs.boxes[picture], expected)
        torch.testing.assert_close(
            inputs.class_logits[picture], outputs.class_logits[picture, index[picture]]
        )


def test_boxes_that_are_no_numbers_are_put_on_the_canvas() -> None:
    torch.manual_seed(0)
    detector = Detector(CONFIG, 3).eval()
    with torch.no_grad():
        outputs = detector(torch.randn(1, 3, 64, 96))
        outputs.deltas[0, 5], outputs.deltas[0, 7] = torch.nan, torch.inf
        inputs = detector.box_inputs(outputs, torch.tensor([[5, 7, 9]]))
        logits = detector.look_again(outputs, inputs)
    assert bool((inputs.boxes >= 0).all())
    assert bool((inputs.boxes <= 96).all())
    assert bool(logits.isfinite().all())


def test_the_other_layers_start_as_without_it() -> None:
    torch.manual_seed(3)
    plain = Detector(CONFIG.model_copy(update={"second_look": False}), 3).state_dict()
    torch.manual_seed(3)
    looking = Detector(CONFIG, 3).state_dict()
    assert all(torch.equal(looking[name], value) for name, value in plain.items())
    assert len(looking) > len(plain)


def test_a_detector_without_one_says_so() -> None:
    without_iou = Detector(CONFIG.model_copy(update={"iou_head": False}), 3)
    assert without_iou.second_look is None
    outputs = without_iou(torch.randn(1, 3, 64, 64))
    assert outputs.features is None
    with pytest.raises(ValueError, match="no second look"):
        without_iou.box_inputs(outputs, torch.tensor([[0]]))
    nothing = BoxInputs(torch.zeros(1, 0, 4), torch.zeros(1, 0, 3), torch.zeros(1, 0))
    with pytest.raises(ValueError, match="no second look"):
        without_iou.look_again(outputs, nothing)
