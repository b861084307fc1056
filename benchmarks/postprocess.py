"""Post-processing alone: 100,000 anchors x 20 classes to boxes, in few and in crowded pictures.

Command: ``python benchmarks/postprocess.py [--quick]``, half a minute. Prints a table and writes
``benchmarks/results/postprocess.json``.

The outputs are random, shifted so that a given share of the (anchor, class) pairs has p above the
floor: of a trained detector it is well under a hundredth, of an untrained one up to a half. Timed
are the choice of candidates, decoding, fusion and NMS, per picture.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import NormalDist, median

from records import environment_record, keep_result

from iouaware import runtime

RESULT = Path(__file__).parent / "results" / "postprocess.json"
IMAGE_SIZE, CLASSES = 736, 20  # the square with the anchors nearest to 100,000
SHARES = (0.001, 0.05, 0.5)  # of the pairs that pass the floor
WARM_UP = 5


def main() -> None:
    """Time it, print it, keep it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="a fifth of the rounds")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    runtime.prepare_process()
    rows = [measure(share, 20 if args.quick else 100) for share in SHARES]
    anchors = rows[0]["anchors"]
    settings = {"image_size": IMAGE_SIZE, "anchors": anchors, "classes": CLASSES}
    result = {**environment_record(), "settings": settings, "rows": rows}
    keep_result(args.out, result)
    for row in rows:
        print(*(f"{key} {value}" for key, value in row.items()), sep=", ")


def measure(share: float, rounds: int) -> dict[str, float]:
    """Return ms of one picture of whose pairs this share passes the floor."""
    import torch

    from iouaware.anchors import build_anchors, level_sizes
    from iouaware.config import InferenceConfig
    from iouaware.inference.candidates import candidates_from_outputs
    from iouaware.inference.postprocess import select_detections
    from iouaware.model.head import prior_logit
    from iouaware.structures import Frame, HeadOutputs

    side = (IMAGE_SIZE, IMAGE_SIZE)
    anchors = torch.tensor(build_anchors(side))
    torch.manual_seed(0)
    logits = torch.randn(1, len(anchors), CLASSES)
    shift = prior_logit(InferenceConfig().p_floor) - NormalDist().inv_cdf(1 - share)
    outputs = HeadOutputs(
        class_logits=logits + shift,
        deltas=0.3 * torch.randn(1, len(anchors), 4),
        iou_logits=torch.randn(1, len(anchors)),
        anchors=anchors,
        level_sizes=level_sizes(side),
    )
    settings, frame = InferenceConfig(), Frame(side, side, side)
    seconds, candidates, boxes = [], 0, 0
    for _ in range(WARM_UP + rounds):
        started = time.perf_counter()
        (found,) = candidates_from_outputs(outputs, [frame], settings)
        kept, _ = select_detections(found, 0.5, settings, 0.05)
        seconds.append(time.perf_counter() - started)
        candidates, boxes = len(found.labels), len(kept)
    return {
        "share": share,
        "anchors": len(anchors),
        "candidates": candidates,
        "boxes": boxes,
        "ms": round(1000 * median(seconds[WARM_UP:]), 2),
    }


if __name__ == "__main__":
    main()
