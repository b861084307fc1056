"""AP on the validation part during training, over one process or many."""

from __future__ import annotations

import torch.distributed as dist

from iouaware.config import Config
from iouaware.data.dataset import Dataset
from iouaware.evaluation.coco_metrics import CocoEvaluator, CocoMetrics
from iouaware.evaluation.collect import collect_candidates
from iouaware.images import canvas_fill
from iouaware.inference.torch_backend import TorchBackend
from iouaware.model.detector import Detector
from iouaware.structures import Candidates
from iouaware.training.ranks import Ranks


def validate(
    detector: Detector,
    dataset: Dataset,
    config: Config,
    image_size: int | tuple[int, int],
    device: str,
    workers: int,
    ranks: Ranks,
) -> CocoMetrics | None:
    """Judge the detector at alpha 1, each picture once; the result is the first process's.

    Best weights are chosen by this number: a choice by fused scores would favour fusion.
    """
    # at alpha 1 nothing asks for the IoU, nor for a second look at it
    backend = TorchBackend(detector, config.inference, device, has_iou=False)
    mine = list(range(ranks.rank, len(dataset), ranks.world_size))
    candidates = collect_candidates(
        backend,
        dataset.subset(mine),
        image_size,
        canvas_fill(detector.mean),
        batch_size=config.data.batch_size,
        workers=workers,
    )
    merged = _gather(candidates, len(dataset), ranks)
    if not ranks.is_first:
        return None
    evaluator = CocoEvaluator(dataset)
    return evaluator.evaluate_candidates(merged, 1.0, config.inference)


def _gather(mine: list[Candidates], total: int, ranks: Ranks) -> list[Candidates]:
    """Put the pictures of all processes back in order."""
    if ranks.world_size == 1:
        return mine
    parts: list[list[Candidates]] = [[] for _ in range(ranks.world_size)]
    dist.all_gather_object(parts, mine)
    return [parts[index % ranks.world_size][index // ranks.world_size] for index in range(total)]
