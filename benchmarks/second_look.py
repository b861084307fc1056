"""What a second look costs: a canvas to its detections, with it and without, in turn.

Command: ``python benchmarks/second_look.py [--quick] [--runs RUN ...]``. Takes two minutes on two
cores, with ``--quick`` (three rounds) a fraction. Prints a line a row and writes
``benchmarks/results/second_look.json``. With ``--runs`` it measures trained runs in place of random
networks, each on its own validation pictures, and prints alone.

Both detectors have the same weights but for the look; random outputs give as many candidates as are
allowed. Their boxes hardly overlap, so that the best 256 hold enough that differ; a trained network
has many near copies, and the choice takes longer. Batch 1, PyTorch.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from records import environment_record, keep_result

from iouaware import runtime
from iouaware.structures import Frame, ImageArray

if TYPE_CHECKING:
    from iouaware.inference.torch_backend import TorchBackend

RESULT = Path(__file__).parent / "results" / "second_look.json"
ALPHA = 0.5
WARM = 2
# recipe, side in px, classes, rounds: ``modern`` has ResNet-50
ROWS = (("small", 320, 3, 40), ("small", 512, 6, 24), ("modern", 512, 20, 12))
PRECISIONS = ("float32", "bfloat16")
PICTURES = 40  # of a run
QUICK = 3

Canvas = tuple[ImageArray, list[Frame]]  # [1, H, W, 3] RGB and its one frame


def main() -> None:
    """Time all rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} rounds")
    parser.add_argument("--runs", type=Path, nargs="+", default=[], help="trained, with a look")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    if args.runs:
        pictures = QUICK if args.quick else PICTURES
        for precision, run in product(PRECISIONS, args.runs):
            row = measure_run(run, precision, pictures)
            tell({"run": "/".join(run.parts[-2:]), "precision": precision, **row})
        return
    rows = []
    for precision, (recipe, side, classes, rounds) in product(PRECISIONS, ROWS):
        rounds = QUICK if args.quick else rounds
        row = measure_random(recipe, side, classes, precision, rounds)
        rows.append({"recipe": recipe, "side": side, "precision": precision, **row})
        tell(rows[-1])
    keep_result(args.out, {**environment_record(), "rows": rows})


def tell(row: dict[str, Any]) -> None:
    """Print a row."""
    print(" ".join(f"{key} {value}" for key, value in row.items()), flush=True)


def measure_random(
    recipe: str, side: int, classes: int, precision: Any, rounds: int
) -> dict[str, float]:
    """Measure random weights on a canvas of noise."""
    import torch

    from iouaware.config import read_config
    from iouaware.inference.torch_backend import TorchBackend
    from iouaware.model.detector import Detector

    both = []
    for second_look in (False, True):
        config = read_config(recipe, {"model.second_look": second_look})
        torch.manual_seed(0)  # the look's weights are drawn last, so that all others are the same
        detector = Detector(config.model, classes)
        both.append(TorchBackend(detector, config.inference, precision=precision))
    noise = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
    canvas = (noise, [Frame((side, side), (side, side), (side, side))])
    return measure(both, [canvas] * (rounds + WARM))


def measure_run(run: Path, precision: Any, pictures: int) -> dict[str, float]:
    """Measure a run's weights on its own validation pictures."""
    from iouaware.checkpoint import read_model
    from iouaware.config import read_config
    from iouaware.data.loader import iterate_images
    from iouaware.images import canvas_fill
    from iouaware.inference.predictor import image_size_of
    from iouaware.inference.torch_backend import TorchBackend
    from iouaware.running.candidates import read_run_split

    without, info = read_model(run)
    without.second_look = None
    looking, _ = read_model(run)
    config = read_config(run / "config.yaml")
    both = [
        TorchBackend(detector, config.inference, precision=precision)
        for detector in (without, looking)
    ]
    dataset = read_run_split(run, config, info, None, "val", print)
    dataset = dataset.subset(range(min(len(dataset), pictures + WARM)))
    fill = canvas_fill(looking.mean)
    read = iterate_images(dataset, image_size_of(info, run.name), fill, batch_size=1, workers=0)
    return measure(both, ((canvas, frames) for canvas, frames, _ in read))


def measure(both: Sequence[TorchBackend], canvases: Iterable[Canvas]) -> dict[str, float]:
    """Return the median milliseconds of both and the median of their ratio, round by round.

    Args:
        both: without a look, and with it.
        canvases: one a round.
    """
    without, looking = both
    times: list[tuple[float, float]] = []
    for number, canvas in enumerate(canvases):
        if number % 2:
            pair = (clock(without, canvas), clock(looking, canvas))
        else:  # whoever comes second finds warmer caches
            second = clock(looking, canvas)
            pair = (clock(without, canvas), second)
        times.append(pair)
    kept = times[WARM:]
    return {
        "without_ms": round(1000 * statistics.median(one for one, _ in kept), 1),
        "with_ms": round(1000 * statistics.median(two for _, two in kept), 1),
        "ratio": round(statistics.median(two / one for one, two in kept), 3),
    }


def clock(backend: TorchBackend, canvas: Canvas) -> float:
    """Return the seconds from a canvas to its detections."""
    from iouaware.inference.postprocess import select_detections

    started = time.perf_counter()
    (found,) = backend.compute_candidates(*canvas)
    select_detections(found, ALPHA, backend.settings)
    return time.perf_counter() - started


if __name__ == "__main__":
    runtime.prepare_process()
    main()
