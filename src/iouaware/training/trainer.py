"""The training loop, in plain sight."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from iouaware.checkpoint import is_whole_model
from iouaware.config import Config
from iouaware.data.layouts import Splits
from iouaware.data.loader import Batch, build_training_loader
from iouaware.errors import TrainingError
from iouaware.images import canvas_fill
from iouaware.model.detector import Detector
from iouaware.model.precision import choose_precision, name_precision
from iouaware.training.bad_numbers import BadNumbers
from iouaware.training.batch_losses import BatchLosses
from iouaware.training.conditions import Conditions, compare_conditions, conditions_of
from iouaware.training.ema import build_ema
from iouaware.training.keeping import Keeper
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
from iouaware.training.state import read_checkpoint, write_checkpoint
from iouaware.training.step_budget import StepBudget
from iouaware.training.stopping import StopSignal

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
        self.scaler = self._build_scaler()
        self.bad_numbers = BadNumbers(
            self.detector, train, splits.train, run, ranks=self.ranks, device=device, say=say
        )
        per_rank = math.ceil(len(splits.train) / self.ranks.world_size)
        self.batches_per_epoch = math.ceil(per_rank / self.batch_size)
        steps_per_epoch = math.ceil(self.batches_per_epoch / train.accumulate)
        self.progress = Progress(total_steps=steps_per_epoch * train.epochs)
        self.meter = EpochMeter()
        self.budget = None if train.minutes is None else StepBudget(train.minutes)
        self.keeper = Keeper(
            self.detector, self.ema, config, splits, run,
            image_size=image_size, device=device, workers=workers, ranks=self.ranks,
        )  # fmt: skip
        self.csv: CsvLogger | None = None  # the first process's

    def _build_scaler(self) -> torch.amp.GradScaler:
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
        csv_text = self._load() if resume else None
        first_step = self.progress.step
        loggers: list[Logger] = []
        if self.ranks.is_first:
            last = None if csv_text is None else last_step(csv_text) or 0
            others = build_loggers(self.logger_names, self.run, last)  # a wrong name: no file yet
            self.csv = CsvLogger(self.run / "metrics.csv", csv_text)
            loggers = [self.csv, *others]
        if not resume:
            self._save()  # a run can be resumed from its first step on
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
                self._save()
                saved_at = now

    def _stop_if_asked(self, stop: StopSignal, save: bool = False) -> None:
        """Raise in all processes where one of them has got a signal."""
        progress = self.progress
        if not self.ranks.any(stop.asked, self.device):
            return
        if save:
            self._save()
        raise TrainingError(
            f"stopped by a signal at step {progress.step} of {progress.total_steps}; "
            f"go on with: iouaware train --resume {self.run}"
        )

    def train_batch(self, batch: Batch) -> bool:
        """Add a batch's gradient; step where enough are summed, and tell whether it did."""
        train, progress = self.config.train, self.progress
        done = (progress.batch - 1) // train.accumulate * train.accumulate
        summed = min(train.accumulate, self.batches_per_epoch - done)  # fewer at the epoch's end
        complete = progress.batch == done + summed
        hold = not complete and isinstance(self.network, DistributedDataParallel)
        with self.network.no_sync() if hold else nullcontext():  # type: ignore[operator]
            losses = self.losses.compute(batch)
            self.scaler.scale(losses.total / summed).backward()  # type: ignore[no-untyped-call]
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
            "lr": self.lr * lr_factor(progress.step - 1, progress.total_steps, self.config.train),
            **self.meter.averages(),
        }
        if progress.is_done or progress.epoch % self.config.train.evaluate_every == 0:
            row |= self.keeper.judge(progress)
        for logger in loggers:
            logger.log(row)
        if self.ranks.is_first:
            self.say(describe_epoch(row, progress))
        self._save()

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
        if not progress.is_done:  # else the weights are judged first, and kept
            self._save()
        seconds = self.budget.seconds_per_step
        self.say(
            f"--minutes {self.budget.minutes:g}: {progress.total_steps} steps, at {seconds:.2f} s "
            "a step"
        )

    def _save(self) -> None:
        """Write a checkpoint; only the first process, the one with a CSV, does."""
        if self.csv is None:
            return
        state = {
            "detector": self.detector.state_dict(),
            "ema": None if self.ema is None else self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "progress": asdict(self.progress),
            "meter": self.meter.state_dict(),
            "kept": self.keeper.kept,
            "metrics": self.csv.text,
            "loggers": list(self.logger_names),
            "precision": name_precision(self.losses.dtype),
            "conditions": asdict(self._conditions()),
        }
        write_checkpoint(self.run / "checkpoints", self.progress.step, state)

    def _load(self) -> str:
        """Take the newest checkpoint back, and the model file with it; return the CSV's text."""
        state = read_checkpoint(self.run / "checkpoints", self.say)
        compare_conditions(Conditions(**state["conditions"]), self._conditions(), self.say)
        self.losses.dtype = choose_precision(state["precision"], self.device)
        self.scaler = self._build_scaler()
        self.detector.load_state_dict(state["detector"])
        if self.ema is not None:
            self.ema.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.progress = Progress(**state["progress"])
        self.meter.load_state_dict(state["meter"])
        self.keeper.kept = state["kept"]
        self.logger_names = tuple(dict.fromkeys([*state["loggers"], *self.logger_names]))
        # a finished run's model has its alpha by now, and perhaps more that its user saved
        done = self.progress.is_done and is_whole_model(self.run / "model.safetensors")
        if self.ranks.is_first and not done:
            self.keeper.write()
        return str(state["metrics"])

    def _conditions(self) -> Conditions:
        return conditions_of(
            self.config, self.splits, self.device, self.ranks, self.images_per_step
        )
