from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from iouaware.boxes import paired_iou
from iouaware.data.dataset import Dataset
from iouaware.data.loader import Batch
from iouaware.model.detector import Detector
from iouaware.structures import Target
from iouaware.training.look_loss import (
    MOST,
    MOVED,
    TAUGHT,
    choose_anchors,
    class_iou,
    compute_look_loss,
    move_boxes,
)
from tests.model.test_second_look import CONFIG
from tests.training.test_trainer import build_trainer, tiny_config

NONE = torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.bool)


def test_class_iou_by_hand() -> None:
    found = torch.tensor([[0.0, 0, 10, 10], [50, 50, 60, 60]])
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 5], [0, 0, 5, 5]])
    best = class_iou(found, boxes, torch.tensor([2, 0, 0]), 3)
    # class 0: the better of 50 / 100 and 25 / 100; class 1 has no object
    torch.testing.assert_close(best, torch.tensor([[0.5, 0, 1.0], [0, 0, 0]]))
    assert class_iou(found, *NONE[:2], 3).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_anchors_of_highest_p_are_looked_at() -> None:
    logits = torch.full((2, 5, 3), -4.0)
    logits[0, 3, 1], logits[0, 1, 0] = 2.0, 1.0
    logits[1, 4, 2] = 0.0
    chosen = choose_anchors(logits)
    assert chosen.shape == (2, 15)  # all pairs there are
    assert chosen[0, :2].tolist() == [3, 1]
    assert int(chosen[1, 0]) == 4
    assert choose_anchors(torch.zeros(1, 400, 2)).shape == (1, TAUGHT)


def test_moved_boxes_stay_near_their_objects() -> None:
    boxes = torch.tensor([[10.0, 20, 50, 40], [100, 100, 108, 140]])
    moved = move_boxes(boxes)
    assert moved.shape == (MOVED, 4)
    sides = torch.tensor([[40.0, 20, 40, 20], [8, 40, 8, 40]]).repeat(MOVED // 2, 1)
    assert float(((moved - boxes.repeat(MOVED // 2, 1)) / sides).abs().max()) <= MOST
    iou = paired_iou(moved, boxes.repeat(MOVED // 2, 1))
    assert float(iou.min()) < 0.6 < 0.9 < float(iou.max())  # bad and good ones
    assert torch.equal(moved, move_boxes(boxes))
    assert move_boxes(boxes[:0]).tolist() == [[0, 0, 0, 0]] * MOVED


def look(truth: tuple[Tensor, Tensor, Tensor]) -> tuple[float, int]:
    torch.manual_seed(0)
    detector = Detector(CONFIG, 3).eval()
    outputs = detector(torch.randn(1, 3, 64, 64))
    loss, fitting = compute_look_loss(detector, outputs, *([part] for part in truth))
    return float(loss.detach()), int(fitting)


def test_a_picture_without_objects_teaches_background_alone() -> None:
    loss, fitting = look(NONE)
    assert fitting == 0
    # every logit starts near 0, where BCE against 0 is log 2; nothing was there to move
    assert loss == pytest.approx(TAUGHT * 3 * np.log(2), rel=0.05)


def test_boxes_on_a_crowd_teach_nothing() -> None:
    everything = torch.tensor([[0.0, 0, 64, 64]])
    loss, fitting = look((everything, torch.tensor([0]), torch.tensor([True])))
    assert (loss, fitting) == (0, 0)
    loss, fitting = look((everything, torch.tensor([0]), torch.tensor([False])))
    assert loss > 0
    assert fitting >= MOVED // 2
    # an object under a crowd: what lies on both counts neither in the sum nor in the divisor
    both = everything.repeat(2, 1), torch.tensor([0, 0]), torch.tensor([False, True])
    assert look(both) == (0, 0)


def test_the_rest_of_the_network_trains_as_without_it(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    weights = []
    for look_again in (False, True):
        config = tiny_config(**{"model.second_look": look_again, "train.clip_norm": 0.01})
        trainer = build_trainer(tiny_dataset, tmp_path / str(look_again), config)
        trainer.fit()
        weights.append(trainer.detector.state_dict())
    plain, looking = weights
    assert all(torch.equal(looking[name], value) for name, value in plain.items())
    torch.manual_seed(0)
    new = Detector(tiny_config(**{"model.second_look": True}).model, len(tiny_dataset.class_names))
    before = new.state_dict()["second_look.hidden.weight"]
    assert not torch.equal(looking["second_look.hidden.weight"], before)


def test_it_learns_to_tell_good_boxes_from_bad_ones(tiny_dataset: Dataset, tmp_path: Path) -> None:
    config = tiny_config(**{"model.second_look": True})
    trainer = build_trainer(tiny_dataset, tmp_path, config)
    image = torch.zeros(1, 3, 96, 96, dtype=torch.uint8)
    image[:, :, 24:64, 24:64] = 255
    boxes = np.array([[24, 24, 64, 64]], np.float32)
    target = Target(boxes, np.array([1]), np.array([False]), np.array([1600], np.float32))
    batch = Batch(image, [target], (0,))
    trainer.detector.train()
    losses = []
    for _ in range(60):
        trainer.progress.batch = 1
        found = trainer.losses.compute(batch)
        trainer.optimizer.zero_grad()
        found.look_loss.backward()
        trainer.optimizer.step()
        losses.append(float(found.look_loss.detach()))
    assert losses[-1] < 0.7 * losses[0]
