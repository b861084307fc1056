"""A detector too small to be of use, whose head says something about every anchor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from iouaware.config import Config, DataConfig, InferenceConfig, ModelConfig
from iouaware.inference.predictor import Predictor
from iouaware.inference.torch_backend import TorchBackend
from iouaware.model.detector import Detector
from iouaware.structures import Candidates, Frame, ImageArray, ModelInfo

CONFIG = Config(
    model=ModelConfig(
        backbone="resnet18",
        weights="none",
        fpn_channels=8,
        tower_convs=1,
        shared_iou_convs=1,
    ),
    data=DataConfig(image_size=96),
)
NAMES = ("bolt", "nut", "a<b")
FRAME = Frame((100, 100), (100, 100), (128, 128))


def build_detector(seed: int = 0, **settings: Any) -> Detector:
    torch.manual_seed(seed)
    detector = Detector(
        CONFIG.model.model_copy(update=settings),
        len(NAMES),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    )
    for parameter in detector.head.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.25)
    return detector


@pytest.fixture(scope="session")
def info() -> ModelInfo:
    return ModelInfo(
        class_names=NAMES,
        category_ids=(3, 7, 90),
        alpha=0.5,
        score_thresholds={"1.0": 0.1, "0.5": 0.4, "0.0": 0.7},
        has_iou=True,
        config=CONFIG.model_dump(mode="json"),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    )


@pytest.fixture(scope="session")
def predictor(info: ModelInfo) -> Predictor:
    return Predictor(TorchBackend(build_detector(), CONFIG.inference), info, name="runs/x")


@pytest.fixture(scope="session")
def predictor_without_iou(info: ModelInfo) -> Predictor:
    backend = TorchBackend(build_detector(), CONFIG.inference, has_iou=False)
    return Predictor(backend, replace(info, has_iou=False, score_thresholds={}))


@pytest.fixture(scope="session")
def images() -> list[ImageArray]:
    """Eight pictures of several shapes."""
    random = np.random.default_rng(0)
    shapes = [(96, 96), (60, 96), (96, 41), (200, 150), (33, 33), (48, 80), (96, 95), (7, 90)]
    return [random.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in shapes]


def build_candidates(
    boxes: Sequence[Sequence[float]],
    labels: list[int],
    class_scores: list[float],
    predicted_iou: list[float] | None,
    frame: Frame = FRAME,
) -> Candidates:
    return Candidates(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(labels, np.int64),
        np.array(class_scores, np.float32),
        None if predicted_iou is None else np.array(predicted_iou, np.float32),
        np.arange(len(labels)),
        frame,
    )


@pytest.fixture(scope="session")
def settings() -> InferenceConfig:
    return InferenceConfig()
