"""Fixtures shared by all tests: drawn data sets, small enough to make anew each session."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from iouaware.data.dataset import Dataset
from iouaware.data.synthetic import draw_splits, synthesize

settings.register_profile("no-clock", deadline=None)  # a busy machine is no failure
settings.load_profile("no-clock")

TINY_IMAGES = 8
TINY_WH = (96, 96)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Keep torch from spinning on cores that other tests use."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Eight drawn pictures of 96 px, four classes; the last one has no objects. Read only."""
    directory = tmp_path_factory.mktemp("tiny")
    train, _ = draw_splits(directory, images=12, seed=0, image_wh=TINY_WH)
    chosen = [index for index in range(len(train)) if index not in train.empty_images()]
    return train.subset([*chosen[: TINY_IMAGES - 1], int(train.empty_images()[0])])


def _synthesize(factory: pytest.TempPathFactory, form: str) -> Path:
    return synthesize(factory.mktemp(form) / "data", images=16, format=form, image_wh=TINY_WH)


@pytest.fixture(scope="session")
def tiny_coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of 16 drawn pictures in COCO form: 11 to train, 5 to validate. Do not write there."""
    return _synthesize(tmp_path_factory, "coco")


@pytest.fixture(scope="session")
def coco_with_test(tiny_coco: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of ``tiny_coco`` with three of val's pictures as a test part as well."""
    data = tmp_path_factory.mktemp("parts") / "three"
    for folder in ("images", "annotations"):
        (data / folder).mkdir(parents=True)
    for part, source in (("train", "train"), ("val", "val"), ("test", "val")):
        (data / "images" / part).symlink_to(tiny_coco / "images" / source)
        content = json.loads((tiny_coco / "annotations" / f"{source}.json").read_text("utf-8"))
        if part == "test":
            content["images"] = content["images"][:3]
            kept = {image["id"] for image in content["images"]}
            content["annotations"] = [a for a in content["annotations"] if a["image_id"] in kept]
        (data / "annotations" / f"{part}.json").write_text(json.dumps(content), "utf-8")
    return data


@pytest.fixture(scope="session")
def tiny_voc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drawing of ``tiny_coco`` in Pascal VOC form. Do not write there."""
    return _synthesize(tmp_path_factory, "voc")


@pytest.fixture(scope="session")
def tiny_yolo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drawing of ``tiny_coco`` in YOLO form. Do not write there."""
    return _synthesize(tmp_path_factory, "yolo")


TINY_CONFIG = """
model: {backbone: test_resnet, weights: none, fpn_channels: 8, tower_convs: 1,
        shared_iou_convs: 1, second_look: true, frozen_stages: 0}
data: {image_size: 96, batch_size: 4}
train: {epochs: 2, optimizer: adamw, schedule: cosine, warmup_steps: 3, evaluate_every: 2}
"""


@pytest.fixture(scope="session")
def tiny_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe that trains half a million weights in a second; it learns nothing of use."""
    path = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    path.write_text(TINY_CONFIG, "utf-8")
    return path


@pytest.fixture(scope="session")
def finished_run(
    tiny_coco: Path, tiny_config: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run folder as ``train`` leaves it, with ``said.txt``: what was printed. Do not write."""
    from iouaware.running.training import train

    run = tmp_path_factory.mktemp("runs") / "tiny-1"
    said: list[str] = []
    train(tiny_coco, tiny_config, out=run, workers=0, device="cpu", say=said.append)
    (run / "said.txt").write_text("\n".join(said), "utf-8")
    return run
