"""From a batch of pictures to its losses: network, matching, losses."""

from __future__ import annotations

import torch
from torch import nn

from iouaware.config import Config
from iouaware.data.loader import Batch
from iouaware.model.detector import Detector
from iouaware.model.precision import choose_precision, lower_precision
from iouaware.training.look_loss import compute_look_loss
from iouaware.training.losses import Losses, compute_losses
from iouaware.training.matching import match_anchors
from iouaware.training.ranks import Ranks


class BatchLosses:
    """Computes the losses of a batch; knows device, precision and the other processes.

    Args:
        network: the detector, or its wrapper for many processes.
        detector: the detector itself.
        config: the whole recipe.
        device: where to compute.
        ranks: this process among all.
    """

    def __init__(
        self, network: nn.Module, detector: Detector, config: Config, device: str, ranks: Ranks
    ) -> None:
        """Keep the parts."""
        self.network, self.detector, self.config = network, detector, config
        self.device, self.ranks = torch.device(device), ranks
        self.dtype = choose_precision(config.train.precision, device)

    def compute(self, batch: Batch) -> Losses:
        """Run the network and compare it with the truth."""
        images = batch.images.to(self.device, non_blocking=True)
        images = self.detector.normalise(images).contiguous(memory_format=torch.channels_last)
        if self.config.model.batch_norm == "learnt":
            self.detector.backbone.learn_statistics(len(images))
        with lower_precision(self.dtype, self.device, not self.config.train.compile):
            outputs = self.network(images)
        boxes, labels, crowds, matches = [], [], [], []
        train = self.config.train
        for target in batch.targets:
            boxes.append(torch.from_numpy(target.boxes).to(self.device))
            labels.append(torch.from_numpy(target.labels).to(self.device))
            crowds.append(torch.from_numpy(target.ignored).to(self.device))
            matches.append(
                match_anchors(
                    outputs.anchors, boxes[-1], crowds[-1], train.positive_iou, train.negative_iou
                )
            )
        divisor = self._mean_count(float(sum(int(match.positive.sum()) for match in matches)))
        losses = compute_losses(outputs, boxes, labels, matches, train, self.config.model, divisor)
        if self.detector.second_look is None:
            return losses
        total, fitting = compute_look_loss(self.detector, outputs, boxes, labels, crowds)
        look_loss = total * (train.look_weight / self._mean_count(float(fitting)))
        return losses._replace(look_loss=look_loss)

    def _mean_count(self, positives: float) -> float:
        """Return a count over all processes, at least 1, divided by the number of processes.

        Gradients are averaged over processes, so that dividing by the mean count makes two
        processes equal one that has both batches.
        """
        total = self.ranks.sum(positives, self.device)
        return max(1.0, total) / self.ranks.world_size
