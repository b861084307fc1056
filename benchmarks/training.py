"""Training steps beside torchvision's RetinaNet: same backbone, size, batch and pictures.

Command: ``python benchmarks/training.py [--quick]``. Takes about ten minutes on two cores, with
``--quick`` three. Prints a table and writes ``benchmarks/results/training.json``.

Each contestant is a process of its own, warmed up and then asked in turn, so that all share the
machine's moods; ratios are taken within a round, and their median is quoted. A step is: uint8
canvases in memory, normalise, forward, match, losses, backward, update. Nobody is timed while
loading pictures. Ours also computes the IoU branch and its loss. torchvision runs once as it comes
and once with the allocator setting of our command line.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from iouaware import runtime

RESULT = Path(__file__).parent / "results" / "training.json"
CONTESTANTS = {
    "iouaware": "ours: ResNet-18, 256 wide, IoU branch",
    "small": "ours: the small recipe",
    "torchvision": "torchvision RetinaNet, ResNet-18, 256 wide",
    "torchvision, our allocator": "the same with our allocator setting",
}
SAME_AS_TORCHVISION = {
    "model.backbone": "resnet18",
    "model.weights": "none",
    "model.frozen_stages": 0,
    "model.p6_from": "p5",
    "model.relu_before_p7": True,
}
BATCHES = 4  # different batches that are gone through again and again
WARM_UP_STEPS = 3


def main() -> None:
    """Run the contestants, or be one of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="three rounds of one step")
    parser.add_argument("--image-size", type=int, default=320)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--contestant", choices=CONTESTANTS, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.contestant:
        compete(args.contestant, args.data, args.image_size, args.batch_size)
        return
    rounds, steps = (3, 1) if args.quick else (9, 3)
    seconds = measure(args.image_size, args.batch_size, rounds, steps)
    result = summarise(seconds, args.image_size, args.batch_size, steps)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    for name, rate in result["pictures_per_second"].items():
        print(f"{CONTESTANTS[name]:45} {rate['median']:6.2f} pictures/s")
    print("speedup:", ", ".join(f"{name} {value}" for name, value in result["speedup"].items()))


def measure(image_size: int, batch_size: int, rounds: int, steps: int) -> dict[str, list[float]]:
    """Return the seconds a step that each contestant took in each round."""
    from iouaware.data.synthetic import synthesize

    seconds: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    with tempfile.TemporaryDirectory() as folder:
        data = synthesize(Path(folder) / "data", images=2 * BATCHES * batch_size, seed=0)
        options = ["--image-size", str(image_size), "--batch-size", str(batch_size)]
        processes = {}
        try:
            for name in CONTESTANTS:
                command = [sys.executable, __file__, "--contestant", name, "--data", str(data)]
                processes[name] = subprocess.Popen(
                    command + options, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                )
                ask(processes[name], WARM_UP_STEPS)
            order = list(CONTESTANTS)
            for turn in range(rounds):
                for name in order[turn % len(order) :] + order[: turn % len(order)]:
                    seconds[name].append(ask(processes[name], steps) / steps)
        finally:
            for process in processes.values():
                process.kill()
                process.wait()
    return seconds


def ask(process: subprocess.Popen[str], steps: int) -> float:
    """Let a contestant take some steps while all others wait; return its seconds."""
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("a contestant was started without pipes")
    process.stdin.write(f"{steps}\n")
    process.stdin.flush()
    answer = process.stdout.readline()
    if not answer:
        raise RuntimeError(f"a contestant ended: {process.args!r}")
    return float(answer)


def compete(name: str, data: Path, image_size: int, batch_size: int) -> None:
    """Be a contestant: read a number of steps, take them, write the seconds; until killed."""
    if name != "torchvision":
        runtime.prepare_process()
    build = torchvision_step if name.startswith("torchvision") else our_step
    step = build(name, data, image_size, batch_size)
    done = 0
    for line in sys.stdin:
        started = time.perf_counter()
        for _ in range(int(line)):
            step(done % BATCHES)
            done += 1
        print(time.perf_counter() - started, flush=True)


def our_step(name: str, data: Path, image_size: int, batch_size: int) -> Callable[[int], None]:
    """Return the very step that ``iouaware train`` takes, on batch number i."""
    import torch

    from iouaware.config import read_config
    from iouaware.data.layouts import read_splits
    from iouaware.model.detector import Detector
    from iouaware.training.trainer import Trainer

    sizes = {"data.image_size": image_size, "data.batch_size": batch_size}
    recipe = "small" if name == "small" else "paper"
    config = read_config(recipe, sizes if name == "small" else sizes | SAME_AS_TORCHVISION)
    splits = read_splits(data)
    torch.manual_seed(0)
    detector = Detector(config.model, len(splits.train.class_names))
    trainer = Trainer(detector, config, splits, data, image_size=image_size)
    detector.train()
    batches = load_batches(data, image_size, batch_size)

    def step(number: int) -> None:
        trainer.train_batch(batches[number])

    return step


def torchvision_step(
    name: str, data: Path, image_size: int, batch_size: int
) -> Callable[[int], None]:
    """Return a step of torchvision's RetinaNet as its reference script takes it."""
    import torch
    from torchvision.models.detection import RetinaNet
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
    from torchvision.ops.feature_pyramid_network import LastLevelP6P7

    torch.manual_seed(0)
    backbone = resnet_fpn_backbone(
        backbone_name="resnet18",
        weights=None,
        trainable_layers=5,
        returned_layers=[2, 3, 4],
        extra_blocks=LastLevelP6P7(256, 256),
    )
    classes = len(read_class_names(data))
    model = RetinaNet(backbone, classes, min_size=image_size, max_size=image_size).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.005, momentum=0.9, weight_decay=1e-4)
    prepared = []
    for batch in load_batches(data, image_size, batch_size):
        images = list(batch.images.float() / 255)
        targets = [
            {"boxes": torch.from_numpy(t.boxes), "labels": torch.from_numpy(t.labels)}
            for t in batch.targets
        ]
        prepared.append((images, targets))

    def step(number: int) -> None:
        total = sum(model(*prepared[number]).values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()

    return step


def read_class_names(data: Path) -> tuple[str, ...]:
    """Return the class names of the drawn data set."""
    from iouaware.data.layouts import read_splits

    names: tuple[str, ...] = read_splits(data).train.class_names
    return names


def load_batches(data: Path, image_size: int, batch_size: int) -> list[Any]:
    """Return the same batches for every contestant, in memory."""
    from itertools import islice

    from iouaware.config import DataConfig
    from iouaware.data.layouts import read_splits
    from iouaware.data.loader import build_training_loader

    loader = build_training_loader(
        read_splits(data).train,
        DataConfig(image_size=image_size, batch_size=batch_size),
        image_size=image_size,
        fill=(124, 116, 104),
        seed=0,
        epoch=0,
        batch_size=batch_size,
        workers=0,
    )
    return list(islice(loader, BATCHES))


def summarise(
    seconds: dict[str, list[float]], image_size: int, batch_size: int, steps: int
) -> dict[str, Any]:
    """Turn seconds a step into rates and paired ratios (above 1: we are faster)."""

    def ratio(peer: str, ours: str) -> float:
        pairs = zip(seconds[peer], seconds[ours], strict=True)
        return round(statistics.median(theirs / own for theirs, own in pairs), 3)

    return {
        **runtime.environment_record(),
        "settings": {
            "image_size": image_size,
            "batch_size": batch_size,
            "steps_a_round": steps,
            "precision": "float32",
            "device": "cpu",
        },
        "speedup": {
            "torchvision": ratio("torchvision", "iouaware"),
            "torchvision_with_our_allocator": ratio("torchvision, our allocator", "iouaware"),
            "small": ratio("torchvision", "small"),
        },
        "pictures_per_second": {
            name: {
                "median": round(batch_size / statistics.median(values), 3),
                "slowest": round(batch_size / max(values), 3),
                "fastest": round(batch_size / min(values), 3),
            }
            for name, values in seconds.items()
        },
        "seconds_a_step": {
            name: [round(value, 4) for value in values] for name, values in seconds.items()
        },
    }


if __name__ == "__main__":
    main()
