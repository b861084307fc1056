"""Training steps beside torchvision's RetinaNet: same backbone, size, batch and pictures.

Command: ``python benchmarks/training.py [--quick]``. Takes about ten minutes on two cores, with
``--quick`` three. Prints a table and writes ``benchmarks/results/training.json``.

A step is: uint8 canvases in memory, normalise, forward, match, losses, backward, update. Nobody is
timed while loading pictures. Ours also computes the IoU branch and its loss. torchvision runs once
as it comes and once with the allocator setting of our command line; ours once as it comes, that is
in bfloat16 where the processor multiplies in it, and once in float32. Peak memory is that of the
process.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contest import Times, compete, hold_contest
from records import environment_record, keep_result

from iouaware import runtime

if TYPE_CHECKING:
    from torch import Tensor

    from iouaware.data.loader import Batch

RESULT = Path(__file__).parent / "results" / "training.json"
CONTESTANTS = {
    "iouaware": "ours: ResNet-18, 256 wide, IoU branch",
    "iouaware, float32": "the same in float32",
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
        take_part(args.contestant, args.data, args.image_size, args.batch_size)
        return
    rounds, steps = (3, 1) if args.quick else (9, 3)
    times = measure(args.image_size, args.batch_size, rounds, steps)
    result = summarise(times, args.image_size, args.batch_size, steps)
    keep_result(args.out, result)
    for name, rate in result["pictures_per_second"].items():
        peak = result["peak_memory_mb"][name]
        print(f"{CONTESTANTS[name]:45} {rate['median']:6.2f} pictures/s  {peak:6.0f} MB")
    print("speedup:", ", ".join(f"{name} {value}" for name, value in result["speedup"].items()))


def measure(image_size: int, batch_size: int, rounds: int, steps: int) -> Times:
    """Time every contestant on the same drawn pictures."""
    from iouaware.data.synthetic import synthesize

    with tempfile.TemporaryDirectory() as folder:
        data = synthesize(Path(folder) / "data", images=2 * BATCHES * batch_size, seed=0)
        options = ["--image-size", str(image_size), "--batch-size", str(batch_size)]
        commands = {
            name: [sys.executable, __file__, "--contestant", name, "--data", str(data), *options]
            for name in CONTESTANTS
        }
        return hold_contest(commands, rounds, steps, WARM_UP_STEPS)


def take_part(name: str, data: Path, image_size: int, batch_size: int) -> None:
    """Be a contestant: take training steps when asked."""
    if name != "torchvision":
        runtime.prepare_process()
    build = torchvision_step if name.startswith("torchvision") else our_step
    step = build(name, data, image_size, batch_size)
    compete(lambda number: step(number % BATCHES))


def our_step(name: str, data: Path, image_size: int, batch_size: int) -> Callable[[int], None]:
    """Return the very step that ``iouaware train`` takes, on batch number i."""
    import torch

    from iouaware.config import read_config
    from iouaware.data.layouts import read_splits
    from iouaware.model.detector import Detector
    from iouaware.training.trainer import Trainer

    sizes = {"data.image_size": image_size, "data.batch_size": batch_size}
    recipe = "small" if name.startswith("small") else "paper"
    precision = {"train.precision": "float32" if name.endswith("float32") else "auto"}
    same = {} if recipe == "small" else SAME_AS_TORCHVISION
    config = read_config(recipe, sizes | precision | same)
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
    prepared = [as_torchvision(batch) for batch in load_batches(data, image_size, batch_size)]

    def step(number: int) -> None:
        total = sum(model(*prepared[number]).values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()

    return step


def as_torchvision(batch: Batch) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
    """Return pictures and targets as torchvision takes them; it knows no boxes to ignore."""
    import torch

    targets = []
    for target in batch.targets:
        kept = ~target.ignored
        boxes, labels = target.boxes[kept], target.labels[kept]
        targets.append({"boxes": torch.from_numpy(boxes), "labels": torch.from_numpy(labels)})
    return list(batch.images.float() / 255), targets


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


def summarise(times: Times, image_size: int, batch_size: int, steps: int) -> dict[str, Any]:
    """Turn seconds a step into rates and paired ratios (above 1: we are faster)."""
    from iouaware.model.precision import choose_precision

    return {
        **environment_record(),
        "settings": {
            "image_size": image_size,
            "batch_size": batch_size,
            "steps_a_round": steps,
            "precision_of_ours": str(choose_precision("auto", "cpu") or "torch.float32"),
            "device": "cpu",
        },
        "speedup": {
            "torchvision": times.ratio("torchvision", "iouaware"),
            "torchvision_with_our_allocator": times.ratio("torchvision, our allocator", "iouaware"),
            "torchvision_in_float32": times.ratio("torchvision", "iouaware, float32"),
            "small": times.ratio("torchvision", "small"),
        },
        "pictures_per_second": {
            name: {
                "median": round(batch_size / statistics.median(values), 3),
                "slowest": round(batch_size / max(values), 3),
                "fastest": round(batch_size / min(values), 3),
            }
            for name, values in times.seconds.items()
        },
        "peak_memory_mb": {name: round(peak, 1) for name, peak in times.peak_memory_mb.items()},
        "seconds_a_step": times.seconds,
    }


if __name__ == "__main__":
    main()
