from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from tests.evaluation.drawing import make_dataset

from iouaware.config import InferenceConfig
from iouaware.data.dataset import Dataset
from iouaware.evaluation.coco_metrics import CocoEvaluator
from iouaware.evaluation.collect import collect_candidates
from iouaware.structures import Candidates, Frame, ImageArray

FILL = (1, 2, 3)


class Blocks:
    """Stands for a network: one candidate a canvas, whose p is the canvas' mean brightness."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def compute_candidates(self, canvases: ImageArray, frames: Sequence[Frame]) -> list[Candidates]:
        self.sizes.append(len(canvases))
        return [
            Candidates(
                boxes=np.array([[0, 0, *frame.resized_hw[::-1]]], np.float32),
                labels=np.zeros(1, np.int64),
                class_scores=np.array([canvas.mean() / 255], np.float32),
                predicted_iou=np.ones(1, np.float32),
                anchor_index=np.zeros(1, np.int64),
                frame=frame,
            )
            for canvas, frame in zip(canvases, frames, strict=True)
        ]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Eight pictures, upright and lying ones in turn, each of another brightness."""
    root = tmp_path_factory.mktemp("mixed")
    shapes = [(64, 96) if number % 2 else (96, 64) for number in range(8)]
    for number, (width, height) in enumerate(shapes):
        grey = np.full((height, width), 20 * number + 10, np.uint8)
        Image.fromarray(grey).save(root / f"{number}.png")
    empty = make_dataset([[]] * 8, [[]] * 8)
    names = np.array([f"{number}.png" for number in range(8)])
    return replace(empty, root=root, file_names=names, image_wh=np.array(shapes, np.int32))


def test_candidates_come_in_the_order_of_the_data_set(mixed: Dataset) -> None:
    backend = Blocks()
    found = collect_candidates(backend, mixed, (64, 96), FILL, batch_size=3)
    assert backend.sizes == [3, 1, 3, 1]  # the canvases of one shape go together
    seen = [float(one.class_scores[0]) * 255 for one in found]
    assert seen == pytest.approx([20 * number + 10 for number in range(8)], abs=1)
    assert [one.frame.original_hw for one in found[:2]] == [(64, 96), (96, 64)]


def test_what_was_collected_can_be_evaluated(tiny_dataset: Dataset) -> None:
    found = collect_candidates(Blocks(), tiny_dataset, 64, FILL)
    metrics = CocoEvaluator(tiny_dataset).evaluate_candidates(found, 1.0, InferenceConfig())
    assert metrics.AP is not None


def test_no_pictures(tiny_dataset: Dataset) -> None:
    assert collect_candidates(Blocks(), tiny_dataset.subset([]), 64, FILL) == []


def test_canvases_have_the_size_and_the_padding_asked_for(mixed: Dataset) -> None:
    backend = Blocks()
    # 64 x 96 on a square of 96: a third is padding of (1 + 2 + 3) / 3 = 2
    found = collect_candidates(backend, mixed, 96, FILL)
    assert backend.sizes == [8]
    seen = [float(one.class_scores[0]) * 255 for one in found]
    assert seen == pytest.approx([(2 * (20 * n + 10) + 2) / 3 for n in range(8)], abs=1)
    assert {one.frame.canvas_hw for one in found} == {(96, 96)}


def test_progress_counts_every_picture(mixed: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    collect_candidates(Blocks(), mixed, 64, FILL, batch_size=3)
    assert capsys.readouterr().err == ""
    found = collect_candidates(Blocks(), mixed, 64, FILL, batch_size=3, progress=True)
    assert len(found) == 8
    told = capsys.readouterr().err
    assert "evaluate:" in told
    assert "0/8" in told
    assert "picture" in told
