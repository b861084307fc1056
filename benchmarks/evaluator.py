"""COCO metrics beside pycocotools: 5,000 pictures, 100 boxes and detections each, 80 classes.

Command: ``python benchmarks/evaluator.py [--quick]``. Takes about five minutes; with ``--quick``,
which is 2,000 pictures and 20 classes, one. Prints a table and writes
``benchmarks/results/evaluator.json``.

Ours is timed from arrays to AP; pycocotools from the lists it wants, whose making is not counted
against it. Ours runs three times and its median counts; once is enough for the other, which takes
minutes. COCO's twelve numbers must agree to 1e-6, else the script ends with an error.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from records import environment_record, keep_result

from iouaware.data.dataset import Dataset
from iouaware.evaluation.coco_metrics import CocoEvaluator
from iouaware.evaluation.detection_table import DetectionTable

RESULT = Path(__file__).parent / "results" / "evaluator.json"
BOXES, SIDE = 100, 1000
TOLERANCE = 1e-6


def main() -> int:
    """Time both, compare their figures, write the result; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="2,000 pictures, 20 classes")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    images, classes = (2000, 20) if args.quick else (5000, 80)
    dataset, found = draw_case(np.random.default_rng(0), images, classes)
    runs = {
        "iouaware": partial(run_ours, dataset, found),
        "pycocotools": partial(run_pycocotools, *make_lists(dataset, found)),
    }
    seconds: dict[str, list[float]] = {"iouaware": [], "pycocotools": []}
    figures = {}
    for name in ("iouaware", "pycocotools", "iouaware", "iouaware"):
        started = time.perf_counter()
        figures[name] = runs[name]()
        seconds[name].append(round(time.perf_counter() - started, 4))
    difference = float(np.abs(figures["iouaware"] - figures["pycocotools"]).max())
    if difference > TOLERANCE:
        print(f"figures differ by {difference}: {figures}", file=sys.stderr)
        return 1
    ratio = seconds["pycocotools"][0] / statistics.median(seconds["iouaware"])
    result = {
        **environment_record(),
        "settings": {
            "what": f"{images:,} pictures, {BOXES} boxes and detections each, {classes} classes",
            "images": images,
            "boxes": BOXES,
            "classes": classes,
        },
        "speedup": {"pycocotools": round(ratio, 1)},
        "largest_difference": difference,
        "seconds": seconds,
    }
    keep_result(args.out, result)
    for name, values in seconds.items():
        print(f"{name:12} {statistics.median(values):8.2f} s")
    print(f"speedup: pycocotools {ratio:.1f}; the figures agree to {difference:.1e}")
    return 0


def draw_case(
    rng: np.random.Generator, images: int, classes: int
) -> tuple[Dataset, DetectionTable]:
    """Return true boxes, some of them crowds, and detections near them with tied scores."""
    total = images * BOXES
    corners = rng.uniform(0, 0.8 * SIDE, (total, 2))
    sizes = rng.lognormal(4, 0.8, (total, 2)).clip(4, 0.2 * SIDE)
    boxes = np.concatenate([corners, corners + sizes], axis=1).astype(np.float32)
    labels = rng.integers(0, classes, total)
    dataset = Dataset(
        format="coco",
        root=Path(),
        split="val",
        class_names=tuple(f"class {label}" for label in range(classes)),
        category_ids=tuple(range(1, classes + 1)),
        file_names=np.array([f"{index}.jpg" for index in range(images)]),
        image_wh=np.full((images, 2), SIDE, np.int32),
        offsets=np.arange(0, total + 1, BOXES),
        boxes=boxes,
        labels=labels,
        ignored=rng.random(total) < 0.02,
        areas=(boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]),
    )
    moved = boxes + rng.normal(0, 0.1, boxes.shape) * np.tile(sizes, 2)
    moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
    found = DetectionTable(
        image_index=np.repeat(np.arange(images), BOXES),
        boxes=moved.astype(np.float32),
        labels=np.where(rng.random(total) < 0.1, rng.integers(0, classes, total), labels),
        scores=rng.random(total).round(2).astype(np.float32),
    )
    return dataset, found


def run_ours(dataset: Dataset, found: DetectionTable) -> Any:
    """Return COCO's twelve numbers in their usual order."""
    figures = CocoEvaluator(dataset).evaluate(found).to_dict()
    names = ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"]
    return np.array([figures[name] for name in names], np.float64)


def make_lists(dataset: Dataset, found: DetectionTable) -> tuple[dict[str, Any], Any]:
    """Return the truth as pycocotools wants it, and its rows of detections, [N, 7]."""
    images = np.repeat(np.arange(len(dataset)), np.diff(dataset.offsets))
    columns = zip(
        images.tolist(),
        dataset.labels.tolist(),
        as_xywh(dataset.boxes).tolist(),
        dataset.areas.tolist(),
        dataset.ignored.tolist(),
        strict=True,
    )
    truth = {
        "images": [{"id": n + 1, "width": SIDE, "height": SIDE} for n in range(len(dataset))],
        "categories": [
            {"id": label + 1, "name": str(label)} for label in range(len(dataset.class_names))
        ],
        "annotations": [
            {
                "id": number,
                "image_id": image + 1,
                "category_id": label + 1,
                "bbox": box,
                "area": area,
                "iscrowd": int(crowd),
            }
            for number, (image, label, box, area, crowd) in enumerate(columns, start=1)
        ],
    }
    rows = np.column_stack(
        [found.image_index + 1, as_xywh(found.boxes), found.scores, found.labels + 1]
    )
    return truth, rows.astype(np.float64)


def run_pycocotools(truth: dict[str, Any], rows: Any) -> Any:
    """Return the same numbers from pycocotools."""
    known = COCO()
    # a copy of each: it writes into them, and the next round starts anew
    known.dataset = {name: [dict(one) for one in entries] for name, entries in truth.items()}
    with contextlib.redirect_stdout(io.StringIO()):
        known.createIndex()
        judged = COCOeval(known, known.loadRes(rows), "bbox")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    return np.array(judged.stats, np.float64)


def as_xywh(boxes: Any) -> Any:
    """Turn x1 y1 x2 y2 into x y width height, [..., 4]."""
    boxes = np.asarray(boxes, np.float64)
    return np.concatenate([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], axis=-1)


if __name__ == "__main__":
    sys.exit(main())
