"""Truth, candidates and whole runs made for the report's tests."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from iouaware.boxes import pairwise_iou
from iouaware.config import InferenceConfig
from iouaware.data.dataset import Dataset
from iouaware.evaluation.evaluate import evaluate_candidates, sweep_candidates
from iouaware.places import MODEL_FILE
from iouaware.reporting.facts import Facts, gather_facts
from iouaware.reporting.run_files import read_run_files
from iouaware.structures import Candidates, Frame, ModelInfo

SIDE = 96
SETTINGS = InferenceConfig()


@dataclass
class Scene:
    """All that ``write_report`` takes, besides the folder."""

    dataset: Dataset
    candidates: list[Candidates]
    evaluation: dict[str, Any]
    sweep: dict[str, Any]
    info: ModelInfo

    def facts(self, run: Path) -> Facts:
        return gather_facts(
            self.dataset,
            self.candidates,
            self.evaluation,
            self.sweep,
            self.info,
            read_run_files(run / MODEL_FILE),
        )


def make_truth(
    root: Path,
    boxes: Sequence[Sequence[Sequence[float]]],
    labels: Sequence[Sequence[int]],
    class_names: tuple[str, ...],
    ignored: Sequence[Sequence[bool]] | None = None,
    file_names: Sequence[str] = (),
) -> Dataset:
    """Make grey pictures of 96 x 96 px and their truth."""
    counts = [len(one) for one in boxes]
    names = list(file_names) or [f"picture{n}.png" for n in range(len(counts))]
    for number, name in enumerate(names):
        Image.new("RGB", (SIDE, SIDE), (90 + number, 120, 90)).save(root / name)
    flat = np.array([box for one in boxes for box in one], np.float32).reshape(-1, 4)
    flags = ignored or [[False] * count for count in counts]
    return Dataset(
        format="coco",
        root=root,
        split="val",
        class_names=class_names,
        category_ids=tuple(range(1, len(class_names) + 1)),
        file_names=np.array(names, np.str_),
        image_wh=np.full((len(counts), 2), SIDE, np.int32),
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        boxes=flat,
        labels=np.array([label for one in labels for label in one], np.int64),
        ignored=np.array([flag for one in flags for flag in one], np.bool_),
        areas=(flat[:, 2] - flat[:, 0]) * (flat[:, 3] - flat[:, 1]),
    )


def make_candidates(
    boxes: Sequence[Sequence[float]] | np.ndarray,
    labels: Sequence[int] | np.ndarray,
    p: Sequence[float] | np.ndarray,
    predicted_iou: Sequence[float] | np.ndarray | None,
    canvas: int = SIDE,
) -> Candidates:
    """Make candidates from boxes in px of a 96 x 96 picture, shown on a canvas of another size."""
    order = np.argsort(-np.asarray(p), kind="stable")
    scale = canvas / SIDE
    return Candidates(
        boxes=np.asarray(boxes, np.float32).reshape(-1, 4)[order] * np.float32(scale),
        labels=np.asarray(labels, np.int64)[order],
        class_scores=np.asarray(p, np.float32)[order],
        predicted_iou=None
        if predicted_iou is None
        else np.asarray(predicted_iou, np.float32)[order],
        anchor_index=np.arange(len(order)),
        frame=Frame((SIDE, SIDE), (canvas, canvas), (canvas, canvas)),
    )


def draw_candidates(dataset: Dataset, seed: int = 0, canvas: int = 128) -> list[Candidates]:
    """Make candidates as a fair detector would: many boxes an object, some beside it.

    The predicted IoU is the true one with noise, p knows little about it.
    """
    random = np.random.RandomState(seed)
    found = []
    for number in range(len(dataset)):
        target = dataset.target(number)
        boxes, labels, p, fit = [], [], [], []
        for box, label in zip(target.boxes, target.labels, strict=True):
            size = np.tile(box[2:] - box[:2], 2)
            for _ in range(6):
                moved = box + random.normal(0, random.uniform(0.01, 0.15), 4) * size
                moved = np.concatenate([np.minimum(moved[:2], moved[2:] - 1), moved[2:]])
                boxes.append(np.clip(moved, 0, SIDE))
                labels.append(label if random.rand() > 0.1 else 0)
                p.append(random.uniform(0.3, 0.95))
                near = pairwise_iou(moved[None], box[None].astype(np.float64))[0, 0]
                fit.append(np.clip(near + random.normal(0, 0.05), 0.01, 0.99))
        for _ in range(8):
            corner = random.uniform(0, 70, 2)
            boxes.append(np.concatenate([corner, corner + random.uniform(8, 25, 2)]))
            labels.append(random.randint(len(dataset.class_names)))
            p.append(random.uniform(0.01, 0.5))
            fit.append(random.uniform(0.1, 0.6))
        found.append(make_candidates(np.array(boxes), np.array(labels), p, fit, canvas))
    return found


def without_iou(candidates: Sequence[Candidates]) -> list[Candidates]:
    return [replace(one, predicted_iou=None) for one in candidates]


def make_info(
    class_names: tuple[str, ...], alpha: float, has_iou: bool, thresholds: dict[str, float]
) -> ModelInfo:
    return ModelInfo(
        class_names=class_names,
        category_ids=tuple(range(len(class_names))),
        alpha=alpha,
        score_thresholds=thresholds,
        has_iou=has_iou,
        config={
            "recipe": "small",
            "model": {"backbone": "resnet18"},
            "data": {"image_size": 128},
            "train": {"epochs": 3},
            "inference": SETTINGS.model_dump(),
        },
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    )


def make_scene(dataset: Dataset, candidates: list[Candidates], alpha: float = 0.5) -> Scene:
    """Evaluate candidates as a run does."""
    has_iou = all(one.predicted_iou is not None for one in candidates)
    sweep = sweep_candidates(dataset, candidates, SETTINGS, alphas=(1.0, 0.5, 0.0))
    evaluation = evaluate_candidates(
        dataset, candidates, alpha, SETTINGS, sweep["score_thresholds"] or None
    )
    for result in (evaluation, sweep):
        result |= {"data": str(dataset.root), "split": "val", "run_part": "val"}
    info = make_info(dataset.class_names, evaluation["alpha"], has_iou, sweep["score_thresholds"])
    return Scene(dataset, candidates, evaluation, sweep, info)


def make_second_and_loose(root: Path) -> Scene:
    """Four pictures with an object, a second box on it and one too loose, all called right."""
    truth = make_truth(root, [[[0, 0, 80, 80]]] * 4, [[0]] * 4, ("a",))
    # the whole: hit; the upper 5/8: IoU 0.625 with both; the lower 3/8: 0.375, loose
    found = make_candidates(
        [[0, 0, 80, 80], [0, 0, 80, 50], [0, 50, 80, 80]], [0] * 3, [0.9, 0.8, 0.7], None
    )
    scene = make_scene(truth, [found] * 4)
    settings = {**scene.info.config["inference"], "nms_iou": 0.99}  # so that the second box stays
    scene.info = replace(scene.info, config={**scene.info.config, "inference": settings})
    scene.evaluation["operating_point"]["score_threshold"] = 0.5
    return scene


def make_hidden(root: Path) -> Scene:
    """Four pictures with two objects, found exactly, but below the threshold stored, 0.5."""
    boxes = [[[5, 5, 45, 45], [50, 50, 90, 90]]] * 4
    truth = make_truth(root, boxes, [[0, 0]] * 4, ("a",))
    found = [make_candidates(boxes[0], [0, 0], [0.3, 0.35], [0.9, 0.9])] * 4
    scene = make_scene(truth, found, alpha=1.0)
    scene.info = replace(scene.info, score_thresholds={"1.0": 0.5})
    scene.evaluation |= evaluate_candidates(truth, found, 1.0, SETTINGS, {"1.0": 0.5})
    return scene


def write_run_files(run: Path, ap: Sequence[float | None] = (0.2, None, 0.4)) -> None:
    """Write what training leaves in a run folder."""
    with (run / "metrics.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["epoch", "class_loss", "box_loss", "iou_loss", "iou_correlation", "AP"])
        for epoch, value in enumerate(ap, start=1):
            cell = "" if value is None else value
            rows.writerow([epoch, 1 / epoch, 0.5 / epoch, 0.6, 0.1 * epoch, cell])
    (run / "environment.json").write_text(
        json.dumps({"command": "iouaware train data", "wall_seconds": 90, "versions": {"x": "1"}})
    )
    (run / "config.yaml").write_text("seed: 0\ndata:\n  path: /home/me/my bolts\n")
    (run / "split.json").write_text(
        json.dumps({"train": ["a", "b"], "val": ["c"], "test": [], "made": True})
    )
