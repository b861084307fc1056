"""A detector too small to be of use, whose head says something about every anchor, exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from iouaware.checkpoint import write_model
from iouaware.config import Config, DataConfig, ModelConfig
from iouaware.data.layouts import read_split
from iouaware.data.shapes import CLASS_NAMES
from iouaware.exporting.export import ExportPlan, export_model
from iouaware.exporting.openvino_file import read_onnx_as_openvino, write_openvino
from iouaware.exporting.pictures import Pictures
from iouaware.images import canvas_fill, resize_to_canvas
from iouaware.inference.export_metadata import write_metadata
from iouaware.inference.exported import read_exported_info
from iouaware.inference.torch_backend import TorchBackend
from iouaware.model.detector import Detector
from iouaware.structures import Frame, ImageArray, ModelInfo

SIZE = 96
CONFIG = Config(
    model=ModelConfig(
        backbone="test_resnet",
        weights="none",
        frozen_stages=0,
        fpn_channels=8,
        tower_convs=1,
        shared_iou_convs=1,
        tower_norm="group",
        box_stds=(0.1, 0.1, 0.2, 0.2),
        second_look=True,
    ),
    data=DataConfig(image_size=SIZE),
)
NAMES = tuple(CLASS_NAMES)
MEAN = (0.5, 0.5, 0.5)


def build_tiny(classes: int = len(NAMES), **settings: Any) -> Detector:
    torch.manual_seed(0)
    config = CONFIG.model.model_copy(update=settings)
    detector = Detector(config, classes, mean=MEAN, std=MEAN)
    for parameter in detector.head.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.25)
    return detector.eval()


def describe(names: tuple[str, ...] = NAMES) -> ModelInfo:
    return ModelInfo(
        class_names=names,
        category_ids=tuple(range(1, 1 + len(names))),
        alpha=0.5,
        score_thresholds={"1.0": 0.1, "0.5": 0.4, "0.0": 0.7},
        has_iou=True,
        config=CONFIG.model_dump(mode="json"),
        mean=MEAN,
        std=MEAN,
    )


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file to export. Do not write there."""
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    write_model(path, build_tiny(), describe())
    return path


@pytest.fixture(scope="session")
def onnx_file(model_file: Path, tiny_coco: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one whole export of the fast tests, with its proof. Do not write there."""
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    pictures = Pictures(read_split(tiny_coco, "val"), "drawn val")
    said: list[str] = []
    report = export_model(model_file, path, ExportPlan(), pictures, said.append)
    assert not report["past"]
    return path


@pytest.fixture(scope="session")
def openvino_file(onnx_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same graph for OpenVINO. Do not write there."""
    path = tmp_path_factory.mktemp("openvino") / "model.xml"
    entries = write_metadata(read_exported_info(onnx_file))
    write_openvino(read_onnx_as_openvino(onnx_file), path, entries)
    return path


@pytest.fixture(scope="session")
def torch_backend() -> TorchBackend:
    return TorchBackend(build_tiny(), CONFIG.inference)


def draw(count: int, size: int = SIZE, seed: int = 0) -> tuple[ImageArray, list[Frame]]:
    """Return noisy pictures of several shapes on canvases of one size."""
    random = np.random.default_rng(seed)
    shapes = [(96, 96), (60, 96), (96, 41), (200, 150), (33, 33)]
    placed = [
        resize_to_canvas(
            random.integers(0, 256, (*shapes[index % len(shapes)], 3), dtype=np.uint8),
            size,
            canvas_fill(MEAN),
        )
        for index in range(count)
    ]
    return np.stack([canvas for canvas, _ in placed]), [frame for _, frame in placed]
