"""One picture to its boxes, beside torchvision's RetinaNet ResNet-50 with the same weights.

Command: ``python benchmarks/inference.py [--quick]``. Takes about fifteen minutes on two cores,
with ``--quick`` five. Prints a table and writes ``benchmarks/results/inference.json``.

A unit of work is a JPEG file in, boxes out: read, resize to 512 px, network, post-processing, one
picture at a time. The weights are random, the class layer spread until some hundred boxes pass
torchvision's own threshold. torchvision runs as it comes and with the allocator setting of our
command line; ours with the IoU branch and without, in bfloat16, and exported: ONNX by ONNX Runtime,
OpenVINO in float32 and in INT8. ``stages`` are medians in ms, timed apart from the contest.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contest import Times, compete, hold_contest
from random_models import FORMS, P_FLOOR, export_forms, write_like_torchvision
from records import environment_record, keep_result
from stages import compare_branches, time_ours, time_torchvision

from iouaware import runtime

RESULT = Path(__file__).parent / "results" / "inference.json"
TORCHVISION = "retinanet_resnet50_fpn"
CONTESTANTS = {
    "iouaware": "ours, PyTorch",
    "iouaware, no IoU branch": "ours without the IoU branch, PyTorch",
    "iouaware, bfloat16": "ours in bfloat16, PyTorch",
    "iouaware, ONNX": "ours, ONNX Runtime",
    "iouaware, OpenVINO": "ours, OpenVINO",
    "iouaware, INT8": "ours in INT8, OpenVINO",
    "torchvision": "torchvision RetinaNet ResNet-50",
    "torchvision, our allocator": "the same with our allocator setting",
}
PICTURES = 16
WARM_UP = 4


def main() -> None:
    """Run the contestants, or be one of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="five rounds of three pictures")
    parser.add_argument("--image-size", type=int, default=512)
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--contestant", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.contestant:
        take_part(args.contestant, args.folder, args.image_size)
        return
    rounds, units = (5, 3) if args.quick else (15, 8)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, args.image_size)
        shared = ["--folder", str(folder), "--image-size", str(args.image_size)]
        commands = {
            name: [sys.executable, __file__, "--contestant", name, *shared] for name in CONTESTANTS
        }
        times = hold_contest(commands, rounds, units, WARM_UP)
        runtime.prepare_process()
        pictures = list_pictures(folder)
        stages = {
            "iouaware": time_ours(folder / "iou-True.safetensors", pictures),
            "torchvision, our allocator": time_torchvision(
                build_torchvision(folder, args.image_size), pictures
            ),
        }
        share = compare_branches(folder, args.image_size, 4 * rounds)
    result = summarise(times, stages, share, args.image_size)
    keep_result(args.out, result)
    for name, value in result["ms_a_picture"].items():
        peak = result["peak_memory_mb"][name]
        print(f"{CONTESTANTS[name]:45} {value['median']:7.1f} ms  {peak:6.0f} MB")
    print("speedup:", ", ".join(f"{name} {value}" for name, value in result["speedup"].items()))
    for name, parts in stages.items():
        print(f"{name:28}", ", ".join(f"{part} {ms} ms" for part, ms in parts.items()))


def prepare(folder: Path, image_size: int) -> None:
    """Draw pictures and make one set of random weights in the forms that are compared."""
    from iouaware.data.synthetic import synthesize

    # square, or torchvision would look at fewer pixels: it pads to multiples of 32, we to a square
    synthesize(folder / "data", images=PICTURES, seed=0, image_wh=(image_size, image_size))
    write_like_torchvision(folder, TORCHVISION, image_size)
    export_forms(folder / "iou-True.safetensors", folder / "data")


def list_pictures(folder: Path) -> list[Path]:
    """Return the drawn pictures."""
    return sorted((folder / "data").rglob("*.jpg"))[:PICTURES]


def take_part(name: str, folder: Path, image_size: int) -> None:
    """Be a contestant: find the objects in a picture when asked."""
    if name != "torchvision":
        runtime.prepare_process()
    predict = (
        load_torchvision(folder, image_size)
        if name.startswith("torchvision")
        else load_ours(name.removeprefix("iouaware").removeprefix(", "), folder)
    )
    pictures = list_pictures(folder)
    compete(lambda number: predict(pictures[number % len(pictures)]))


def load_ours(form: str, folder: Path) -> Callable[[Path], object]:
    """Return what ``iouaware.load(...).predict`` does with a file."""
    import iouaware

    if form.lower() in FORMS:
        predictor = iouaware.load(folder / f"{form.lower()}{FORMS[form.lower()]}")
    else:
        weights = folder / f"iou-{form != 'no IoU branch'}.safetensors"
        precision: Any = "bfloat16" if form == "bfloat16" else "float32"
        predictor = iouaware.load(weights, "cpu", precision)
    return lambda path: predictor.predict(path, score_threshold=P_FLOOR)


def load_torchvision(folder: Path, image_size: int) -> Callable[[Path], object]:
    """Return what torchvision's documentation does with a file."""
    import torch
    from torchvision.io import decode_image

    model = build_torchvision(folder, image_size)

    def predict(path: Path) -> object:
        image = decode_image(str(path), mode="RGB").float() / 255
        with torch.inference_mode():
            return model([image])

    return predict


def build_torchvision(folder: Path, image_size: int) -> Any:
    """Return torchvision's network with the shared weights, resizing to our size."""
    import torch
    from torchvision.models import detection

    model: Any = getattr(detection, TORCHVISION)(
        weights=None, weights_backbone=None, min_size=image_size, max_size=image_size
    )
    model.load_state_dict(torch.load(folder / "torchvision.pth", weights_only=True))
    return model.eval()


def summarise(
    times: Times, stages: dict[str, dict[str, float]], branch_share: float, image_size: int
) -> dict[str, Any]:
    """Turn seconds into ms a picture and paired ratios (above 1: we are faster)."""
    speedup = {
        "pytorch": times.ratio("torchvision", "iouaware"),
        "pytorch_with_our_allocator": times.ratio("torchvision, our allocator", "iouaware"),
        "pytorch_bfloat16": times.ratio("torchvision", "iouaware, bfloat16"),
    }
    for form in ("ONNX", "OpenVINO", "INT8"):
        speedup[form.lower()] = times.ratio("torchvision", f"iouaware, {form}")
    return {
        **environment_record(),
        "settings": {"image_size": image_size, "batch_size": 1, "device": "cpu"},
        "speedup": speedup,
        "iou_branch_share_of_network": branch_share,
        "stages": stages,
        "ms_a_picture": {
            name: {
                "median": round(1000 * statistics.median(values), 2),
                "fastest": round(1000 * min(values), 2),
                "slowest": round(1000 * max(values), 2),
            }
            for name, values in times.seconds.items()
        },
        "peak_memory_mb": {name: round(peak, 1) for name, peak in times.peak_memory_mb.items()},
        "seconds_a_picture": times.seconds,
    }


if __name__ == "__main__":
    main()
