"""Truth and detections made for tests, and pycocotools as the judge."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from iouaware.boxes import pairwise_iou
from iouaware.data.dataset import Dataset
from iouaware.evaluation.detection_table import DetectionTable, build_table
from iouaware.structures import Candidates, Frame

CLASSES = ("bolt", "nut", "washer")
SIDE = 400


def make_dataset(
    boxes: Sequence[Sequence[Sequence[float]]],
    labels: Sequence[Sequence[int]],
    ignored: Sequence[Sequence[bool]] | None = None,
    class_names: tuple[str, ...] = CLASSES,
) -> Dataset:
    """Make the truth of pictures of 400 x 400 px that lie nowhere."""
    counts = [len(image) for image in boxes]
    flat = np.array([box for image in boxes for box in image], np.float32).reshape(-1, 4)
    crowd = ignored or [[False] * count for count in counts]
    return Dataset(
        format="coco",
        root=Path("nowhere"),
        split="val",
        class_names=class_names,
        category_ids=tuple(range(1, len(class_names) + 1)),
        file_names=np.array([f"{i:03}.jpg" for i in range(len(counts))], np.str_),
        image_wh=np.full((len(counts), 2), SIDE, np.int32),
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        boxes=flat,
        labels=np.array([label for image in labels for label in image], np.int64),
        ignored=np.array([flag for image in crowd for flag in image], np.bool_),
        areas=(flat[:, 2] - flat[:, 0]) * (flat[:, 3] - flat[:, 1]),
    )


def make_candidates(
    boxes: Sequence[Sequence[float]] | np.ndarray,
    labels: Sequence[int] | np.ndarray,
    class_scores: Sequence[float] | np.ndarray,
    predicted_iou: Sequence[float] | np.ndarray | None,
    side: int = SIDE,
) -> Candidates:
    """Make the candidates of one picture on a canvas of ``side`` px, sorted by p."""
    p = np.asarray(class_scores, np.float32)
    order = np.argsort(-p, kind="stable")
    scale = side / SIDE
    return Candidates(
        boxes=np.asarray(boxes, np.float32).reshape(-1, 4)[order] * np.float32(scale),
        labels=np.asarray(labels, np.int64)[order],
        class_scores=p[order],
        predicted_iou=None
        if predicted_iou is None
        else np.asarray(predicted_iou, np.float32)[order],
        anchor_index=np.arange(len(p)),
        frame=Frame((SIDE, SIDE), (side, side), (side, side)),
    )


def random_scene(
    seed: int,
    images: int = 30,
    classes: int = 4,
    objects: int = 8,
    detections: int = 30,
    crowds: float = 0.1,
) -> tuple[Dataset, DetectionTable]:
    """Draw truth with crowds and empty pictures, and detections with many tied scores."""
    rng = np.random.default_rng(seed)
    all_boxes, all_labels, all_crowd, parts = [], [], [], []
    for _ in range(images):
        count = int(rng.integers(0, objects + 1))
        size = rng.choice([12, 50, 150], (count, 1)) * rng.uniform(0.6, 1.4, (count, 2))
        corner = rng.uniform(0, SIDE - 60, (count, 2))
        boxes = np.clip(np.concatenate([corner, corner + size], 1), 0, SIDE)
        labels = rng.integers(0, classes - 1, count)  # the last class has no object
        all_boxes.append(boxes.tolist())
        all_labels.append(labels.tolist())
        all_crowd.append((rng.random(count) < crowds).tolist())
        if count:
            source = rng.integers(0, count, detections)
            found = boxes[source] + rng.normal(0, 5, (detections, 4))
            own = labels[source]
        else:
            low = rng.uniform(0, SIDE - 100, (detections, 2))
            found = np.concatenate([low, low + 50], 1)
            own = rng.integers(0, classes, detections)
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
        wrong = rng.random(detections) < 0.2
        own = np.where(wrong, rng.integers(0, classes, detections), own)
        scores = np.round(rng.random(detections), 1)  # ties
        parts.append((found.astype(np.float32), own, scores.astype(np.float32)))
    names = tuple(f"class {k}" for k in range(classes))
    return make_dataset(all_boxes, all_labels, all_crowd, names), build_table(parts)


def random_candidates(
    seed: int, images: int = 40, objects: int = 5, noise: float = 0.05, empty: int = 4
) -> tuple[Dataset, list[Candidates]]:
    """Draw truth and candidates whose p knows nothing of how well they fit.

    Around each object lie five candidates, shifted by more or less; besides there are weak false
    alarms. The predicted IoU is the true one plus noise; infinite noise makes it worthless.
    """
    rng = np.random.default_rng(seed)
    all_boxes, all_labels, found = [], [], []
    for image in range(images):
        count = 0 if image < empty else int(rng.integers(1, objects + 1))
        corner = rng.uniform(0, SIDE - 150, (count, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(40, 140, (count, 2))], 1)
        labels = rng.integers(0, 2, count)
        size = np.repeat(boxes[:, 2:] - boxes[:, :2], 5, 0)
        shift = np.repeat(boxes, 5, 0) + rng.normal(0, 0.08, (5 * count, 4)) * np.tile(size, 2)
        low = rng.uniform(0, SIDE - 80, (10, 2))
        alarms = np.concatenate([low, low + rng.uniform(20, 80, (10, 2))], 1)
        tried = np.clip(np.concatenate([shift, alarms]), 0, SIDE)
        tried[:, 2:] = np.maximum(tried[:, 2:], tried[:, :2] + 1)
        iou = np.zeros(len(tried))
        if count:
            iou = pairwise_iou(tried, boxes).max(1)
        p = np.concatenate([rng.uniform(0.3, 0.95, 5 * count), rng.uniform(0.02, 0.6, 10)])
        guess = rng.random(len(p)) if np.isinf(noise) else iou + rng.normal(0, noise, len(p))
        all_boxes.append(boxes.tolist())
        all_labels.append(labels.tolist())
        kinds = np.concatenate([np.repeat(labels, 5), rng.integers(0, 2, 10)])
        found.append(make_candidates(tried, kinds, p, np.clip(guess, 0, 1)))
    return make_dataset(all_boxes, all_labels), found


def judge(
    dataset: Dataset, found: DetectionTable, max_detections: Sequence[int] = (1, 10, 100)
) -> Any:
    """Evaluate with pycocotools; returns its ``COCOeval`` after ``summarize``."""
    truth = COCO()
    images = [
        {"id": i + 1, "width": int(w), "height": int(h)}
        for i, (w, h) in enumerate(dataset.image_wh.tolist())
    ]
    annotations: list[dict[str, Any]] = []
    for i in range(len(dataset)):
        target = dataset.target(i)
        for box, label, crowd, area in zip(
            target.boxes.astype(float), target.labels, target.ignored, target.areas, strict=True
        ):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": i + 1,
                    "category_id": int(label) + 1,
                    "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
                    "area": float(area),
                    "iscrowd": int(crowd),
                }
            )
    categories = [{"id": k + 1, "name": name} for k, name in enumerate(dataset.class_names)]
    truth.dataset = {
        "images": images,
        "annotations": annotations,
        "categories": categories,
        "info": {},
    }
    results = [
        {
            "image_id": int(i) + 1,
            "category_id": int(label) + 1,
            "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
            "score": float(score),
        }
        for i, box, label, score in zip(
            found.image_index, found.boxes.astype(float), found.labels, found.scores, strict=True
        )
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluator = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluator.params.maxDets = list(max_detections)
        evaluator.evaluate()
        evaluator.accumulate()
        if tuple(max_detections) == (1, 10, 100):
            evaluator.summarize()
    return evaluator
