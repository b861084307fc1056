"""A rival a user would pick: torchvision's RetinaNet, on the same backbone, pictures and epochs.

Command: ``python benchmarks/rival.py DATA NAME``. Takes about three times as long as a run of
ours. Prints the loss of each epoch, and writes what it found beside other sets into
``benchmarks/results/rival.json`` under NAME.

The model is ``retinanet_resnet50_fpn_v2`` with another backbone: 256 channels, GroupNorm in towers
of four convolutions, GIoU loss, torchvision's anchors and thresholds. It is trained as its
reference script trains that: AdamW, weight decay 0.05 but not of norms, the learning rate divided
by ten at 16 and 22 of 26 parts, mixed precision. The learning rate is the script's 1e-4 for 16
pictures times ``--lr-factor``: made for 26 epochs of COCO, it is low for some hundred steps. It
gets the very batches of our recipe ``small``, augmentation included; the last weights are judged.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from records import environment_record, keep_entry
from torch import Tensor, nn
from torchvision.models.detection import RetinaNet
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelP6P7

from iouaware import runtime
from iouaware.config import Config, read_config
from iouaware.data.dataset import Dataset
from iouaware.data.layouts import read_splits
from iouaware.data.loader import Batch, build_training_loader
from iouaware.evaluation.coco_metrics import CocoEvaluator, CocoMetrics
from iouaware.evaluation.detection_table import build_table
from iouaware.evaluation.held_out import FIGURES
from iouaware.images import canvas_fill, read_image
from iouaware.model.backbone import Backbone
from iouaware.model.weights import load_backbone_weights
from training import as_torchvision

RESULT = Path(__file__).parent / "results" / "rival.json"
CHANNELS = 256
LR, LR_PICTURES, WEIGHT_DECAY = 1e-4, 16, 0.05
DROPS, PARTS, DROP = (16, 22), 26, 0.1  # the reference script's milestones among its epochs


def main() -> None:
    """Train and judge the rival on one data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("name", help="what the set is called in the tables")
    parser.add_argument("--image-size", type=int, default=320)
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--lr-factor", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    runtime.prepare_process()
    started = time.time()
    config = read_config(
        "small",
        {"data.image_size": args.image_size, "train.epochs": args.epochs, "seed": args.seed},
    )
    splits = read_splits(args.data)
    part, judged = ("val", splits.val) if splits.test is None else ("test", splits.test)
    if judged is None:
        raise SystemExit(f"{args.data}: no validation or test part")
    model, backbone = build_rival(config, len(splits.train.class_names), args.image_size)
    model.to(memory_format=torch.channels_last)
    train(model, backbone, splits.train, config, args.lr_factor)
    metrics = judge(model, judged)
    entry = {
        **{name: getattr(metrics, name) for name in FIGURES},
        "judged_on": part,
        "settings": {
            key: getattr(args, key) for key in ("image_size", "epochs", "lr_factor", "seed")
        },
        "minutes": round((time.time() - started) / 60, 1),
        **environment_record(),
    }
    print(f"{args.name}: " + " ".join(f"{name} {100 * entry[name]:.1f}" for name in FIGURES))
    keep_entry(args.out, args.name, entry)


class RivalBackbone(nn.Module):
    """A backbone with torchvision's feature pyramid, as its detectors expect it."""

    def __init__(self, body: Backbone) -> None:
        """Add the pyramid."""
        super().__init__()
        self.body = body
        self.out_channels = CHANNELS
        self.fpn = FeaturePyramidNetwork(
            list(body.channels),
            CHANNELS,
            extra_blocks=LastLevelP6P7(body.channels[-1], CHANNELS),
        )

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return P3 to P7 by name."""
        levels: dict[str, Tensor] = self.fpn(
            {str(number): level for number, level in enumerate(self.body(images))}
        )
        return levels


def build_rival(config: Config, classes: int, image_size: int) -> tuple[RetinaNet, Backbone]:
    """Build torchvision's second RetinaNet on the backbone of the recipe ``small``."""
    torch.manual_seed(config.seed)
    body = Backbone(config.model.backbone, frozen_stages=1)  # as torchvision with ImageNet weights
    load_backbone_weights(body, config.model)
    head = RetinaNetHead(CHANNELS, 9, classes, norm_layer=partial(nn.GroupNorm, 32))
    head.regression_head._loss_type = "giou"
    model = RetinaNet(
        RivalBackbone(body),
        classes,
        min_size=image_size,
        max_size=image_size,
        image_mean=list(body.mean),
        image_std=list(body.std),
        head=head,
    )
    return model, body


def train(
    model: RetinaNet, backbone: Backbone, dataset: Dataset, config: Config, lr_factor: float
) -> None:
    """Train with torchvision's recipe on the batches that ours would see."""
    optimizer, schedule = build_optimizer(model, config, lr_factor)
    for epoch in range(config.train.epochs):
        losses = []
        model.train()
        for batch in batches(dataset, backbone, config, epoch):
            backbone.learn_statistics(len(batch.images))
            images, targets = as_torchvision(batch)
            with torch.autocast("cpu", dtype=torch.bfloat16):  # the script's --amp
                parts = model(images, targets)
            loss = torch.stack([part.float() for part in parts.values()]).sum()
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            losses.append(float(loss.detach()))
        schedule.step()
        print(f"epoch {epoch}  loss {np.mean(losses):.3f}", flush=True)


def build_optimizer(
    model: RetinaNet, config: Config, lr_factor: float
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.MultiStepLR]:
    """Return AdamW that spares norms from decay, and its two drops."""
    norms = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, (nn.modules.batchnorm._BatchNorm, nn.GroupNorm))
        for parameter in module.parameters(recurse=False)
    }
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in learning if id(p) not in norms], "weight_decay": WEIGHT_DECAY},
        {"params": [p for p in learning if id(p) in norms], "weight_decay": 0.0},
    ]
    lr = LR * lr_factor * config.data.batch_size / LR_PICTURES
    optimizer = torch.optim.AdamW(groups, lr=lr)
    milestones = [round(config.train.epochs * drop / PARTS) for drop in DROPS]
    return optimizer, torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, DROP)


def batches(dataset: Dataset, backbone: Backbone, config: Config, epoch: int) -> Iterator[Batch]:
    """Return an epoch's batches, those that a run of ours with this seed sees."""
    size = config.data.image_size
    if not isinstance(size, int):
        raise TypeError(f"the picture size is {size}, expected a number")
    loader: Iterator[Batch] = iter(
        build_training_loader(
            dataset,
            config.data,
            image_size=size,
            fill=canvas_fill(backbone.mean),
            seed=config.seed,
            epoch=epoch,
            batch_size=config.data.batch_size,
            workers=0,
        )
    )
    return loader


def judge(model: RetinaNet, dataset: Dataset) -> CocoMetrics:
    """Judge by the same metrics as ours, in pixels of the original pictures."""
    model.eval()
    parts = []
    for index in range(len(dataset)):
        image = torch.from_numpy(read_image(dataset.record(index).path)).permute(2, 0, 1)
        with torch.inference_mode():
            found: dict[str, Any] = model([image.float() / 255])[0]
        parts.append(tuple(found[key].numpy() for key in ("boxes", "labels", "scores")))
    return CocoEvaluator(dataset).evaluate(build_table(parts))


if __name__ == "__main__":
    main()
