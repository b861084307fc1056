"""What a second look costs: a canvas to its detections, with it and without, in turn.

Command: ``python benchmarks/second_look.py [--quick]``. Takes two minutes on two cores, with
``--quick`` (three rounds) a fraction. Prints a line a row and writes
``benchmarks/results/second_look.json``.

Both detectors have the same random weights but for the look; random outputs give as many candidates
as are allowed. Their boxes hardly overlap, so that the best 256 hold enough that differ; among many
near copies the choice takes half a millisecond longer. Batch 1, PyTorch.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from records import environment_record, keep_result

from iouaware import runtime

RESULT = Path(__file__).parent / "results" / "second_look.json"
ALPHA = 0.5
WARM = 2
# recipe, side in px, classes, rounds: ``modern`` has ResNet-50
ROWS = (("small", 320, 3, 40), ("small", 512, 6, 24), ("modern", 512, 20, 12))
PRECISIONS = ("float32", "bfloat16")


def main() -> None:
    """Time all rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="three rounds")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    rows = []
    for precision in PRECISIONS:
        for recipe, side, classes, rounds in ROWS:
            row = measure(recipe, side, classes, precision, 3 if args.quick else rounds)
            print(" ".join(f"{key} {value}" for key, value in row.items()), flush=True)
            rows.append(row)
    result: dict[str, Any] = {**environment_record(), "rows": rows}
    keep_result(args.out, result)


def measure(recipe: str, side: int, classes: int, precision: str, rounds: int) -> dict[str, Any]:
    """Return the median milliseconds of both and the median of their ratio, round by round."""
    without = build_detection(recipe, side, classes, precision, second_look=False)
    looking = build_detection(recipe, side, classes, precision, second_look=True)
    times: list[tuple[float, float]] = []
    for number in range(rounds + WARM):
        if number % 2:
            pair = (clock(without), clock(looking))
        else:  # whoever comes second finds warmer caches
            second = clock(looking)
            pair = (clock(without), second)
        times.append(pair)
    kept = times[WARM:]
    return {
        "recipe": recipe,
        "side": side,
        "precision": precision,
        "without_ms": round(1000 * statistics.median(one for one, _ in kept), 1),
        "with_ms": round(1000 * statistics.median(two for _, two in kept), 1),
        "ratio": round(statistics.median(two / one for one, two in kept), 3),
    }


def build_detection(
    recipe: str, side: int, classes: int, precision: Any, second_look: bool
) -> Callable[[], object]:
    """Return a call that takes a canvas of noise to its detections."""
    import torch

    from iouaware.config import read_config
    from iouaware.inference.postprocess import select_detections
    from iouaware.inference.torch_backend import TorchBackend
    from iouaware.model.detector import Detector
    from iouaware.structures import Frame

    config = read_config(recipe, {"model.second_look": second_look})
    torch.manual_seed(0)  # the look's weights are drawn last, so that all others are the same
    backend = TorchBackend(Detector(config.model, classes), config.inference, precision=precision)
    canvas = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
    frames = [Frame((side, side), (side, side), (side, side))]

    def detect() -> object:
        (found,) = backend.compute_candidates(canvas, frames)
        return select_detections(found, ALPHA, config.inference)

    return detect


def clock(call: Callable[[], object]) -> float:
    """Return the seconds of a call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    runtime.prepare_process()
    main()
