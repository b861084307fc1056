"""One picture to its boxes, beside torchvision's RetinaNet ResNet-50 with the same weights.

Command: ``python benchmarks/inference.py [--quick]``. Takes about ten minutes on two cores, with
``--quick`` three. Prints a table and writes ``benchmarks/results/inference.json``.

A unit of work is a JPEG file in, boxes out: read, resize to 512 px, network, post-processing, one
picture at a time. The weights are random, the class layer spread until some hundred boxes pass
torchvision's own threshold. torchvision runs as it comes and with the allocator setting of our
command line; ours with the IoU branch and without. Exported files are made from the same weights
where the extra is installed. ``stages`` are medians in ms, timed apart from the contest.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contest import Times, compete, hold_contest

from iouaware import runtime

RESULT = Path(__file__).parent / "results" / "inference.json"
TORCHVISION = "retinanet_resnet50_fpn"
CONTESTANTS = {
    "iouaware": "ours, PyTorch",
    "iouaware, no IoU branch": "ours without the IoU branch, PyTorch",
    "torchvision": "torchvision RetinaNet ResNet-50",
    "torchvision, our allocator": "the same with our allocator setting",
}
PICTURES = 16
WARM_UP = 4
LOGIT_SPREAD = 0.5  # standard deviation about the prior of 0.01: some hundred pairs pass 0.05


def main() -> None:
    """Run the contestants, or be one of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="five rounds of four pictures")
    parser.add_argument("--image-size", type=int, default=512)
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--contestant", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.contestant:
        take_part(args.contestant, args.folder, args.image_size)
        return
    rounds, pictures = (5, 4) if args.quick else (15, 8)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, args.image_size)
        shared = ["--folder", str(folder), "--image-size", str(args.image_size)]
        commands = {name: [__file__, "--contestant", name, *shared] for name in CONTESTANTS}
        times = hold_contest(commands, rounds, pictures, WARM_UP)
        runtime.prepare_process()
        stages = {
            "iouaware": time_ours(folder),
            "torchvision, our allocator": time_torchvision(folder, args.image_size),
        }
        share = compare_branches(folder, args.image_size, rounds)
    result = summarise(times, stages, share, args.image_size)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    for name, value in result["ms_a_picture"].items():
        peak = result["peak_memory_mb"][name]
        print(f"{CONTESTANTS[name]:45} {value['median']:7.1f} ms  {peak:6.0f} MB")
    print("speedup:", ", ".join(f"{name} {value}" for name, value in result["speedup"].items()))
    for name, parts in stages.items():
        print(f"{name:28}", ", ".join(f"{part} {ms} ms" for part, ms in parts.items()))


def prepare(folder: Path, image_size: int) -> None:
    """Draw pictures and make one set of random weights in the forms that are compared."""
    import torch
    from torchvision.models import detection

    from iouaware.checkpoint import write_model
    from iouaware.config import build_config
    from iouaware.data.synthetic import synthesize
    from iouaware.model.detector import Detector
    from iouaware.model.torchvision_names import model_config_for_torchvision, rename_torchvision
    from iouaware.structures import ModelInfo

    # square, or torchvision would look at fewer pixels: it pads to multiples of 32, we to a square
    synthesize(folder / "data", images=PICTURES, seed=0, image_wh=(image_size, image_size))
    torch.manual_seed(0)
    theirs: Any = getattr(detection, TORCHVISION)(weights=None, weights_backbone=None).eval()
    with torch.no_grad():
        features = list(theirs.backbone(torch.randn(1, 3, image_size, image_size)).values())
        layer = theirs.head.classification_head.cls_logits
        spread = theirs.head(features)["cls_logits"].std()
        layer.weight.mul_(LOGIT_SPREAD / spread)
    torch.save(theirs.state_dict(), folder / "torchvision.pth")
    names = tuple(f"class {label}" for label in range(layer.bias.numel() // 9))
    for branch in (True, False):
        settings = model_config_for_torchvision(TORCHVISION) | {"iou_head": branch}
        values = {"model": settings, "data": {"image_size": image_size}}
        config = build_config(values, {"inference.p_floor": 0.05})
        ours = Detector(config.model, len(names))
        ours.load_state_dict(rename_torchvision(theirs.state_dict()), strict=False)
        info = ModelInfo(
            class_names=names,
            category_ids=tuple(range(len(names))),
            alpha=0.5 if branch else 1.0,
            score_thresholds={},
            mean=ours.mean,
            std=ours.std,
            has_iou=branch,
            config=config.model_dump(mode="json"),
        )
        write_model(folder / f"iou-{branch}.safetensors", ours, info)


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
        else load_ours(name, folder)
    )
    pictures = list_pictures(folder)
    compete(lambda number: predict(pictures[number % len(pictures)]))


def load_ours(name: str, folder: Path) -> Callable[[Path], object]:
    """Return what ``iouaware.load(...).predict`` does with a file."""
    import iouaware

    predictor = iouaware.load(folder / f"iou-{not name.endswith('branch')}.safetensors", "cpu")
    return lambda path: predictor.predict(path, score_threshold=0.05)


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


def time_ours(folder: Path) -> dict[str, float]:
    """Time the stages of ours one by one."""
    import torch

    from iouaware.checkpoint import read_model
    from iouaware.config import InferenceConfig
    from iouaware.images import canvas_fill, read_image, resize_to_canvas
    from iouaware.inference.postprocess import select_detections
    from iouaware.inference.torch_backend import TorchBackend, candidates_from_outputs

    detector, info = read_model(folder / "iou-True.safetensors")
    settings = InferenceConfig.model_validate(info.config["inference"])
    TorchBackend(detector, settings)  # puts the detector into its form for inference
    watch = Stopwatch()
    for path in list_pictures(folder):
        watch.start()
        image = read_image(path)
        watch.stop("read")
        size = info.config["data"]["image_size"]
        canvas, frame = resize_to_canvas(image, size, canvas_fill(info.mean))
        watch.stop("resize")
        with torch.inference_mode():
            pixels = detector.normalise(torch.from_numpy(canvas[None]).permute(0, 3, 1, 2))
            outputs = detector(pixels.contiguous(memory_format=torch.channels_last))
        watch.stop("network")
        stds = detector.config.box_stds
        (found,) = candidates_from_outputs(outputs, [frame], settings, stds, clamp_below=False)
        select_detections(found, info.alpha, settings, 0.05)
        watch.stop("post-processing")
    return watch.medians()


def compare_branches(folder: Path, image_size: int, rounds: int) -> float:
    """Return what share of the network's time the IoU branch adds, the median of paired runs."""
    import torch

    from iouaware.checkpoint import read_model

    detectors = []
    for branch in (True, False):
        detector, _ = read_model(folder / f"iou-{branch}.safetensors")
        detectors.append(detector.eval().to(memory_format=torch.channels_last))
    images = torch.randn(1, 3, image_size, image_size).contiguous(memory_format=torch.channels_last)
    ratios = []
    for turn in range(WARM_UP + 4 * rounds):
        seconds = [0.0, 0.0]
        for index in (0, 1) if turn % 2 else (1, 0):
            started = time.perf_counter()
            with torch.inference_mode():
                detectors[index](images)
            seconds[index] = time.perf_counter() - started
        ratios.append(seconds[0] / seconds[1] - 1)
    return round(statistics.median(ratios[WARM_UP:]), 4)


def time_torchvision(folder: Path, image_size: int) -> dict[str, float]:
    """Time the stages of torchvision's one by one, as its ``forward`` has them."""
    import torch
    from torchvision.io import decode_image

    model = build_torchvision(folder, image_size)
    watch = Stopwatch()
    for path in list_pictures(folder):
        with torch.inference_mode():
            watch.start()
            image = decode_image(str(path), mode="RGB").float() / 255
            watch.stop("read")
            images, _ = model.transform([image])
            watch.stop("resize")
            features = list(model.backbone(images.tensors).values())
            outputs = model.head(features)
            watch.stop("network")
            anchors = model.anchor_generator(images, features)
            sizes = [level.shape[2] * level.shape[3] * 9 for level in features]
            split = {key: list(value.split(sizes, dim=1)) for key, value in outputs.items()}
            parts = [list(one.split(sizes)) for one in anchors]
            found = model.postprocess_detections(split, parts, images.image_sizes)
            model.transform.postprocess(found, images.image_sizes, [tuple(image.shape[-2:])])
            watch.stop("post-processing")
    return watch.medians()


class Stopwatch:
    """Seconds between one stop and the next, by stage."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.seconds: dict[str, list[float]] = {}
        self.last = 0.0

    def start(self) -> None:
        """Count from now."""
        self.last = time.perf_counter()

    def stop(self, stage: str) -> None:
        """Count what passed for a stage, and go on."""
        now = time.perf_counter()
        self.seconds.setdefault(stage, []).append(now - self.last)
        self.last = time.perf_counter()

    def medians(self) -> dict[str, float]:
        """Return the median of each stage in ms, the first pictures left out."""
        return {
            stage: round(1000 * statistics.median(values[WARM_UP:]), 2)
            for stage, values in self.seconds.items()
        }


def summarise(
    times: Times, stages: dict[str, dict[str, float]], branch_share: float, image_size: int
) -> dict[str, Any]:
    """Turn seconds into ms a picture and paired ratios (above 1: we are faster)."""
    return {
        **runtime.environment_record(),
        "settings": {"image_size": image_size, "batch_size": 1, "device": "cpu"},
        "speedup": {
            "pytorch": times.ratio("torchvision", "iouaware"),
            "pytorch_with_our_allocator": times.ratio("torchvision, our allocator", "iouaware"),
        },
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
