"""Pictures and boxes that break detectors, through a training step, evaluation and prediction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from iouaware.checkpoint import describe_model
from iouaware.data.dataset import Dataset, DatasetBuilder
from iouaware.inference.predictor import Predictor
from iouaware.inference.torch_backend import TorchBackend
from tests.training.test_trainer import SIDE, build_trainer, tiny_config

Boxes = list[tuple[float, float, float, float]]
MANY: Boxes = [
    (float(x), float(y), x + 5.0, y + 5.0) for x in range(0, 128, 4) for y in range(0, 128, 4)
][:1000]
SCENES: dict[str, tuple[tuple[int, int], Boxes]] = {
    "one pixel": ((96, 96), [(0, 0, 1, 1), (95, 95, 96, 96), (40, 50, 41, 51)]),
    "a tenth of a pixel": ((96, 96), [(40, 50, 40.1, 50.1)]),
    "a line across": ((96, 96), [(0, 47, 96, 48)]),
    "a line down": ((96, 96), [(47, 0, 48, 96)]),
    "the whole picture": ((96, 96), [(0, 0, 96, 96)]),
    "a thousand boxes": ((128, 128), MANY),
    "the same box twenty times": ((96, 96), [(10.0, 10.0, 60.0, 60.0)] * 20),
    "1 x 500 px": ((500, 1), [(100, 0, 300, 1)]),
    "500 x 1 px": ((1, 500), [(0, 100, 1, 300)]),
    "a single pixel": ((1, 1), [(0, 0, 1, 1)]),
    "3000 x 2 px": ((3000, 2), [(0, 0, 3000, 2), (5, 0, 6, 1)]),
}


def make_scene(name: str, folder: Path) -> Dataset:
    (width, height), boxes = SCENES[name]
    builder = DatasetBuilder("coco", folder, "train", ("bolt", "nut"), (1, 2))
    random = np.random.default_rng(0)
    for number in range(2):
        path = folder / f"{number}.png"
        Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
        builder.add_image(path, width, height, boxes, [n % 2 for n in range(len(boxes))])
    return builder.build()


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("size", [SIDE, (64, 128)], ids=["square", "short-long"])
def test_p10_hard_pictures_train_and_are_judged(
    name: str, size: int | tuple[int, int], tmp_path: Path
) -> None:
    dataset = make_scene(name, tmp_path)
    boxes = len(SCENES[name][1])
    assert dataset.count_boxes() == 2 * boxes
    config = tiny_config(
        **{
            "data.crop": 0.5,
            "data.colour": 0.5,
            "data.batch_size": 2,
            "data.scale_jitter": (0.75, 1.33),
            "train.epochs": 1,
        }
    )
    trainer = build_trainer(dataset, tmp_path / "run", config)
    trainer.image_size = size
    trainer.fit()
    assert trainer.progress.bad_steps == 0  # it would have stopped: none may be skipped
    assert all(bool(torch.isfinite(v).all()) for v in trainer.detector.state_dict().values())
    (row,) = (tmp_path / "run" / "metrics.csv").read_text().splitlines()[1:]
    assert "nan" not in row
    assert "inf" not in row

    info = describe_model(trainer.detector, config, dataset, size)
    predictor = Predictor(TorchBackend(trainer.detector, config.inference), info)
    (found,) = predictor.predict([dataset.record(0).path], score_threshold=0.0)
    (width, height), _ = SCENES[name]
    assert np.isfinite(found.boxes).all()
    assert np.isfinite(found.scores).all()
    assert (found.boxes >= 0).all()
    assert (found.boxes <= [width, height, width, height]).all()
