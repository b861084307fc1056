"""Where the time of a picture goes: read, resize, network, post-processing."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

WARM_UP = 4


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


def time_ours(model: Path, pictures: Sequence[Path]) -> dict[str, float]:
    """Time the stages of a PyTorch model of ours one by one."""
    import torch

    from iouaware.checkpoint import read_model
    from iouaware.config import InferenceConfig
    from iouaware.images import canvas_fill, read_image, resize_to_canvas
    from iouaware.inference.candidates import candidates_from_outputs
    from iouaware.inference.postprocess import select_detections
    from iouaware.inference.torch_backend import TorchBackend

    detector, info = read_model(model)
    settings = InferenceConfig.model_validate(info.config["inference"])
    TorchBackend(detector, settings)  # puts the detector into its form for inference
    watch = Stopwatch()
    for path in pictures:
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
        select_detections(found, info.alpha, settings, settings.p_floor)
        watch.stop("post-processing")
    return watch.medians()


def time_torchvision(model: Any, pictures: Sequence[Path]) -> dict[str, float]:
    """Time the stages of torchvision's RetinaNet one by one, as its ``forward`` has them."""
    import torch
    from torchvision.io import decode_image

    watch = Stopwatch()
    for path in pictures:
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
    for turn in range(WARM_UP + rounds):
        seconds = [0.0, 0.0]
        for index in (0, 1) if turn % 2 else (1, 0):
            started = time.perf_counter()
            with torch.inference_mode():
                detectors[index](images)
            seconds[index] = time.perf_counter() - started
        ratios.append(seconds[0] / seconds[1] - 1)
    return round(statistics.median(ratios[WARM_UP:]), 4)
