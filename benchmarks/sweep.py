"""What a sweep costs, in evaluations: eleven alphas over the same cached candidates.

Command: ``python benchmarks/sweep.py [--quick]``. Takes about five minutes on two cores, with
``--quick`` one. Prints two lines and writes ``benchmarks/results/sweep.json``.

An evaluation is fusion, NMS and COCO's figures at one alpha. The sweep fuses, suppresses and
matches detections eleven times, and takes its figures and the held-out choice from the matches.
They run in turn.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import torchvision  # noqa: F401  loaded in a real run, where its NMS is used
from evaluator import BOXES, draw_case
from records import environment_record, keep_result

from iouaware.config import InferenceConfig
from iouaware.data.dataset import Dataset
from iouaware.evaluation.alpha_sweep import sweep_alphas
from iouaware.evaluation.coco_metrics import CocoEvaluator
from iouaware.evaluation.held_out import compute_figures
from iouaware.structures import Candidates, Frame

RESULT = Path(__file__).parent / "results" / "sweep.json"
CLASSES = 20
NEAR = 5  # candidates about each object


def main() -> None:
    """Time both, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="500 pictures, once")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    images, rounds = (500, 1) if args.quick else (5000, 3)
    dataset, _ = draw_case(np.random.default_rng(0), images, CLASSES)
    candidates = draw_candidates(np.random.default_rng(1), dataset)
    settings = InferenceConfig()
    seconds: dict[str, list[float]] = {"evaluation": [], "sweep": []}
    for _ in range(rounds):
        started = time.perf_counter()
        CocoEvaluator(dataset).evaluate_candidates(candidates, 0.5, settings)
        between = time.perf_counter()
        for judgement in sweep_alphas(dataset, candidates, settings):
            compute_figures(judgement.matches)
        seconds["evaluation"].append(round(between - started, 3))
        seconds["sweep"].append(round(time.perf_counter() - between, 3))
    pairs = zip(seconds["sweep"], seconds["evaluation"], strict=True)
    ratio = statistics.median(sweep / one for sweep, one in pairs)
    result = {
        **environment_record(),
        "settings": {"images": images, "boxes": BOXES, "candidates": NEAR * BOXES},
        "sweep_in_evaluations": round(ratio, 2),
        "seconds": seconds,
    }
    keep_result(args.out, result)
    for name, values in seconds.items():
        print(f"{name:12} {statistics.median(values):8.2f} s")
    print(f"eleven alphas cost {ratio:.1f} evaluations")


def draw_candidates(rng: np.random.Generator, dataset: Dataset) -> list[Candidates]:
    """Return candidates about every object, with scores that say a little about their fit."""
    result = []
    for number in range(len(dataset)):
        target = dataset.target(number)
        boxes = np.repeat(target.boxes, NEAR, axis=0)
        size = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
        spread = rng.uniform(0.02, 0.2, (len(boxes), 1))
        moved = boxes + rng.normal(0, 1, boxes.shape) * spread * size
        moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
        p = rng.beta(1, 3, len(boxes)).astype(np.float32)
        order = np.argsort(-p, kind="stable")
        side = (int(dataset.image_wh[number, 1]), int(dataset.image_wh[number, 0]))
        result.append(
            Candidates(
                moved[order].astype(np.float32),
                np.repeat(target.labels, NEAR)[order],
                p[order],
                (1 - spread[order, 0] * rng.uniform(1, 3, len(boxes))).astype(np.float32),
                np.arange(len(boxes)),
                Frame(side, side, side),
            )
        )
    return result


if __name__ == "__main__":
    main()
