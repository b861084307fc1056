from __future__ import annotations

from typing import Literal

import pytest

from iouaware.config import ModelConfig, TrainConfig, read_config
from iouaware.model.detector import Detector
from iouaware.recipes.reading import RECIPES
from iouaware.training.optimiser import (
    build_optimizer,
    describe_odd_lr,
    freeze_parameters,
    lr_factor,
    scaled_lr,
)

TINY = ModelConfig(backbone="test_efficientnet", weights="none", fpn_channels=8, frozen_stages=0)


@pytest.mark.parametrize(("images", "lr"), [(16, 0.01), (12, 0.0075), (8, 0.005)])
def test_p24_learning_rate_follows_the_authors_configs(images: int, lr: float) -> None:
    assert scaled_lr(TrainConfig(), images) == pytest.approx(lr)


@pytest.mark.parametrize(
    ("optimizer", "lr", "words"),
    [
        ("sgd", 0.08, "train.lr is 0.08, while sgd usually takes 0.01 for 16 pictures: the loss"),
        ("sgd", 0.00125, "train.lr is 0.00125, while sgd usually takes 0.01 for 16 pictures: it m"),
        ("adamw", 0.04, "adamw usually takes 0.0004 to 0.004 for 16 pictures: the loss may become"),
        ("adamw", 1e-6, "try --train.lr 0.004"),
        ("sgd", 0.02, None),
        ("sgd", 0.0025, None),
        ("adamw", 0.0001, None),
        ("adamw", 0.012, None),
    ],
)
def test_p24_a_learning_rate_far_from_the_rule_is_told(
    optimizer: Literal["sgd", "adamw"], lr: float, words: str | None
) -> None:
    told = describe_odd_lr(TrainConfig(optimizer=optimizer, lr=lr))
    assert told is None if words is None else words in str(told)


@pytest.mark.parametrize("recipe", RECIPES)
def test_p24_no_recipe_is_far_from_the_rule(recipe: str) -> None:
    assert describe_odd_lr(read_config(recipe).train) is None


def test_step_schedule_by_hand() -> None:
    train = TrainConfig(warmup_steps=500)
    total = 12_000  # 12 epochs of 1000
    assert lr_factor(0, total, train) == pytest.approx(1 / 3)
    assert lr_factor(250, total, train) == pytest.approx(1 / 3 + 2 / 3 / 2)
    assert lr_factor(500, total, train) == 1
    assert lr_factor(7999, total, train) == 1
    assert lr_factor(8000, total, train) == pytest.approx(0.1)
    assert lr_factor(11_000, total, train) == pytest.approx(0.01)


def test_cosine_schedule_by_hand() -> None:
    train = TrainConfig(schedule="cosine", warmup_steps=0)
    assert lr_factor(0, 100, train) == 1
    assert lr_factor(50, 100, train) == pytest.approx(0.01 + 0.99 / 2)
    assert lr_factor(100, 100, train) == pytest.approx(0.01)


def test_warm_up_takes_at_most_a_tenth_of_the_run() -> None:
    train = TrainConfig(schedule="step", warmup_steps=500)
    assert lr_factor(10, 100, train) == 1


def test_the_backbone_learns_slower_and_norms_do_not_decay() -> None:
    train = TrainConfig(optimizer="adamw", backbone_lr_factor=0.25, weight_decay=0.05)
    detector = Detector(TINY, 2)
    optimizer = build_optimizer(detector, train, lr=0.1)
    settings = {
        id(parameter): (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    for name, parameter in detector.named_parameters():
        lr, decay = settings[id(parameter)]
        assert lr == pytest.approx(0.025 if name.startswith("backbone.") else 0.1), name
        assert decay == (0.0 if parameter.ndim <= 1 else 0.05), name


def test_all_but_iou_leaves_only_the_iou_branch() -> None:
    detector = Detector(TINY, 2)
    freeze_parameters(detector, TrainConfig(freeze="all-but-iou"))
    learning = [n for n, parameter in detector.named_parameters() if parameter.requires_grad]
    assert learning
    assert all("iou" in name for name in learning)
