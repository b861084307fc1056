"""The training loop, in plain sight."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from iouaware.checkpoint import describe_model, write_weights
from iouaware.config import Config
from iouaware.data.layouts import Splits
from iouaware.data.loader import Batch, build_training_loader
from iouaware.errors import TrainingError
from iouaware.images import canvas_fill
from iouaware.model.detector import Detector
from iouaware.training.bad_numbers import BadNumbers
from iouaware.training.batch_losses import BatchLosses
from iouaware.training.ema import build_ema
from iouaware.training.logs import CsvLogger, Logger, Row, build_loggers, last_step
from iouaware.training.meter import EpochMeter
from iouaware.training.optimiser import (
    build_optimizer,
    clip_gradients,
    freeze_parameters,
    lr_factor,
    scaled_lr,
)
from iouaware.training.progress import Progress, describe_epoch, show_bar
from iouaware.training.ranks import Ranks
from iouaware.training.saving import load_trainer, save_trainer
from iouaware.training.step_budget import StepBudget
from iouaware.training.stopping import StopSignal
from iouaware.training.validation import validate

# a checkpoint at least this often, besides those at the ends of epochs
CHECKPOINT_SECONDS = 900


class Trainer:
    """Trains one detector on one split, from the start or from a checkpoint.

    Args:
        detector: with its starting weights.
        config: the whole recipe.
        splits: training and validation part.
        run: the run folder; weights, checkpoints and logs go there.
        image_size: side of the canvas, or (short, long), px.
        device: as torch names it.
        workers: processes that load pictures; 0 loads here.
        ranks: this process among all.
        loggers: names besides ``csv``.
        say: takes each line meant for the user.
    """

    def __init__(
        self,
        detector: Detector,
        config: Config,
        splits: Splits,
        run: Path,
        *,
        image_size: int | tuple[int, int],
        device: str = "cpu",
        workers: int = 0,
        ranks: Ranks | None = None,
        loggers: Sequence[str] = ("csv",),
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        """Build optimiser, average and schedule; nothing is written yet."""
        train = config.train
        self.config, self.splits, self.run = config, splits, run
        self.image_size, self.device, self.workers = image_size, device, workers
        self.ranks, self.logger_names, self.say = ranks or Ranks(), loggers, say
        self.detector: Detector = detector.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        freeze_parameters(self.detector, train)
        if train.compile:
            self.detector.compile()
        self.batch_size = max(1, config.data.batch_size // self.ranks.world_size)
        self.images_per_step = self.batch_size * self.ranks.world_size * train.accumulate
        self.lr = scaled_lr(train, self.images_per_step)
        self.optimizer = build_optimizer(self.detector, train, self.lr)
        self.base_lrs = [float(group["lr"]) for group in self.optimizer.param_groups]
        self.ema = build_ema(self.detector, train.ema_decay) if train.ema else None
        self.network: nn.Module = self.detector
        if self.ranks.world_size > 1:
            self.network = DistributedDataParallel(self.detector)
        self.losses = BatchLosses(self.network, self.detector, config, device, self.ranks)
        self.scaler = self.build_scaler()
        self.bad_numbers = BadNumbers(
            self.detector, train, splits.train, run, ranks=self.ranks, device=device, say=say
        )
        per_rank = math.ceil(len(splits.train) / self.ranks.world_size)
        self.batches_per_epoch = math.ceil(per_rank / self.batch_size)
        steps_per_epoch = math.ceil(self.batches_per_epoch / train.accumulate)
        self.progress = Progress(total_steps=steps_per_epoch * train.epochs)
        self.meter = EpochMeter()
        self.budget = None if train.minutes is None else StepBudget(train.minutes)
        self.kept: dict[str, Tensor] | None = None  # the content of model.safetensors, on the CPU
        self.csv: CsvLogger | None = None  # the first process's

    def build_scaler(self) -> torch.amp.GradScaler:
        """Build what scales losses in float16 and does nothing in other precisions."""
        kind = torch.device(self.device).type
        return torch.amp.GradScaler(kind, enabled=self.losses.dtype is torch.float16)

    def batches(self, epoch: int, skip_batches: int = 0) -> Any:
        """Iterate over the batches of an epoch that this process sees."""
        return build_training_loader(
            self.splits.train,
            self.config.data,
            image_size=self.image_size,
            fill=canvas_fill(self.detector.mean),
            seed=self.config.seed,
            epoch=epoch,
            batch_size=self.batch_size,
            workers=self.workers,
            rank=self.ranks.rank,
            world_size=self.ranks.world_size,
            skip_batches=skip_batches,
        )

    def fit(self, resume: bool = False) -> int:
        """Train to the end of the schedule; write weights, checkpoints and logs.

        Args:
            resume: go on from the newest checkpoint in the run folder.

        Returns:
            The steps done in this sitting; 0 where a finished run is resumed.

        Raises:
            DivergedError: the loss or its gradient is no number.
            TrainingError: a signal asked to stop (after a checkpoint), or a full disk.
            CheckpointError: ``resume`` without a usable checkpoint, or under other settings.
            DatasetError: a broken picture, or ``resume`` with other annotations.
        """
        csv_text = load_trainer(self) if resume else None
        first_step = self.progress.step
        loggers: list[Logger] = []
        if self.ranks.is_first:
            last = None if csv_text is None else last_step(csv_text) or 0
            others = build_loggers(self.logger_names, self.run, last)  # a wrong name: no file yet
            self.csv = CsvLogger(self.run / "metrics.csv", csv_text)
            loggers = [self.csv, *others]
        if not resume:
            save_trainer(self)  # a run can be resumed from its first step on
        try:
            with StopSignal() as stop:
                while not self.progress.is_done:
                    self._train_epoch(stop)
                    self._finish_epoch(loggers)
                    self._stop_if_asked(stop)
        finally:
            for logger in loggers:
                logger.close()
        return self.progress.step - first_step

    def _train_epoch(self, stop: StopSignal) -> None:
        progress = self.progress
        if progress.batch == 0:
            self.meter = EpochMeter()
        self.detector.train()
        saved_at = lap = time.perf_counter()
        batches = self.batches(progress.epoch, progress.batch)
        for batch in show_bar(batches, progress, self.batches_per_epoch, self.ranks.is_first):
            progress.batch += 1
            stepped = self.train_batch(batch)
            now = time.perf_counter()
            progress.seconds, lap = progress.seconds + now - lap, now
            if not stepped:
                continue
            self._fix_total_steps(now)
            if progress.is_done:
                return
            self._stop_if_asked(stop, save=True)
            if now - saved_at > CHECKPOINT_SECONDS:
                save_trainer(self)
                saved_at = now

    def _stop_if_asked(self, stop: StopSignal, save: bool = False) -> None:
        """Raise in all processes where one of them has got a signal."""
        progress = self.progress
        if not self.ranks.any(stop.asked, self.device):
            return
        if save:
            save_trainer(self)
        raise TrainingError(
            f"stopped by a signal at step {progress.step} of {progress.total_steps}; "
            f"go on with: iouaware train --resume {self.run}"
        )

    def train_batch(self, batch: Batch) -> bool:
        """Add a batch's gradient; step where enough are summed, and tell whether it did."""
        train, progress = self.config.train, self.progress
        complete = progress.batch % train.accumulate == 0
        complete = complete or progress.batch == self.batches_per_epoch
        hold = not complete and isinstance(self.network, DistributedDataParallel)
        with self.network.no_sync() if hold else nullcontext():  # type: ignore[operator]
            losses = self.losses.compute(batch)
            self.scaler.scale(losses.total / train.accumulate).backward()  # type: ignore[no-untyped-call]
        if self.bad_numbers.see(batch, losses):
            self.meter.add(losses)
        if complete:
            self._step()
        return complete

    def _step(self) -> None:
        train, progress = self.config.train, self.progress
        factor = lr_factor(progress.step, progress.total_steps, train)
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = base * factor
        self.scaler.unscale_(self.optimizer)
        norm = clip_gradients(self.detector, train.clip_norm)
        scale = self.scaler.get_scale() if self.scaler.is_enabled() else None
        if not self.bad_numbers.spoil(norm, scale, progress):
            self.scaler.step(self.optimizer)
            if self.ema is not None:
                self.ema.update_parameters(self.detector)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        progress.step += 1

    def _finish_epoch(self, loggers: list[Logger]) -> None:
        progress = self.progress
        progress.epoch, progress.batch = progress.epoch + 1, 0
        row: Row = {
            "epoch": progress.epoch,
            "step": progress.step,
            "seconds": progress.seconds,
            "lr": float(self.optimizer.param_groups[0]["lr"]),
            **self.meter.averages(),
        }
        if progress.is_done or progress.epoch % self.config.train.evaluate_every == 0:
            row |= self._validate()
        for logger in loggers:
            logger.log(row)
        if self.ranks.is_first:
            self.say(describe_epoch(row, progress))
        save_trainer(self)

    def _validate(self) -> Row:
        """Judge the weights (averaged ones, where there are); keep them if told to, or if best."""
        progress, patience = self.progress, self.config.train.patience
        judged = self.judged_detector()
        judged.eval()
        metrics = validate(
            judged, self.splits.val, self.config, self.image_size, self.device, self.workers,
            self.ranks,
        )  # fmt: skip
        found = -1.0 if metrics is None or metrics.AP is None else metrics.AP
        shared = torch.tensor(found, dtype=torch.float64, device=self.device)
        ap = float(self.ranks.broadcast(shared))
        better = ap > progress.best_ap or progress.best_ap < 0
        if better:
            progress.best_ap, progress.validations_without_gain = ap, 0
        else:
            progress.validations_without_gain += 1
        if self.ranks.is_first and (better or self.config.train.keep == "last"):
            state = judged.state_dict()
            self.kept = {name: value.detach().cpu().clone() for name, value in state.items()}
            self.write_kept()
        progress.stopped_early = (
            patience is not None and progress.validations_without_gain >= patience
        )
        if metrics is None:
            return {}
        ap90 = metrics.AP_per_iou["0.90"]
        return {"AP": metrics.AP, "AP50": metrics.AP50, "AP75": metrics.AP75, "AP90": ap90}

    def judged_detector(self) -> Detector:
        """Return the detector that is judged and kept: the averaged one where there is one."""
        if self.ema is None:
            return self.detector
        averaged = self.ema.module
        if not isinstance(averaged, Detector):
            raise TypeError(f"the average is a {type(averaged).__name__}, expected a Detector")
        return averaged

    def write_kept(self) -> None:
        """Write the weights kept so far as the model of the run."""
        if self.kept is not None:
            info = describe_model(self.detector, self.config, self.splits.train, self.image_size)
            write_weights(self.run / "model.safetensors", self.kept, info)

    def _fix_total_steps(self, now: float) -> None:
        """Turn --minutes into a number of steps, once, and keep it: a resumed run has the same."""
        progress = self.progress
        if self.budget is None or progress.minutes_are_steps:
            return
        affordable = self.budget.affordable_steps(now)
        if affordable is None:
            return
        steps = min(progress.total_steps, max(affordable, progress.step + 1))
        shared = torch.tensor(steps, device=self.device)
        progress.total_steps = int(self.ranks.broadcast(shared))
        progress.minutes_are_steps = True
        save_trainer(self)
        seconds = self.budget.seconds_per_step
        self.say(
            f"--minutes {self.budget.minutes:g}: {progress.total_steps} steps, at {seconds:.2f} s "
            "a step"
        )
