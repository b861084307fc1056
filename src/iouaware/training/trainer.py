"""The training loop, in plain sight."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grad_norm_

from iouaware.checkpoint import write_model
from iouaware.config import Config
from iouaware.data.layouts import Splits
from iouaware.data.loader import Batch, build_training_loader
from iouaware.data.transforms import TrainTransform
from iouaware.errors import TrainingError
from iouaware.images import canvas_fill
from iouaware.inference.drawing import contact_sheet, draw_targets
from iouaware.model.detector import Detector
from iouaware.structures import AnchorTargets, ModelInfo
from iouaware.training.ema import build_ema
from iouaware.training.logs import CsvLogger, Row, build_loggers
from iouaware.training.losses import Losses, compute_losses
from iouaware.training.matching import match_anchors
from iouaware.training.meter import EpochMeter
from iouaware.training.optimiser import (
    build_optimizer,
    freeze_parameters,
    lr_factor,
    scaled_lr,
)
from iouaware.training.ranks import Ranks
from iouaware.training.state import read_checkpoint, write_checkpoint
from iouaware.training.validation import validate

# a checkpoint at least this often, besides those at the ends of epochs
CHECKPOINT_SECONDS = 900
# steps that are timed before --minutes is turned into a number of steps
TIMED_STEPS = 8
Say = Callable[[str], None]


@dataclass
class Progress:
    """How far a run is; plain numbers, saved with every checkpoint."""

    total_steps: int
    step: int = 0
    epoch: int = 0
    batch: int = 0  # batches of this epoch that are done
    seconds: float = 0.0
    best_ap: float = -1.0
    validations_without_gain: int = 0
    minutes_are_steps: bool = False  # --minutes has been turned into total_steps
    csv_bytes: int = 0
    stopped_early: bool = False


class Trainer:
    """Trains one detector on one split, from the start or from a checkpoint.

    Args:
        detector: with its starting weights.
        config: the whole recipe.
        splits: training and validation part.
        run: the run folder; weights, checkpoints and logs go there.
        image_size: side of the canvas, or (short, long).
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
        say: Say = lambda line: None,
    ) -> None:
        self.config, self.splits, self.run = config, splits, run
        self.image_size, self.device, self.workers = image_size, device, workers
        self.ranks, self.say = ranks or Ranks(), say
        self.logger_names = loggers
        train = config.train
        self.detector = detector.to(device, memory_format=torch.channels_last)
        freeze_parameters(self.detector, train)
        if train.compile:
            self.detector.compile()
        self.batch_size = max(1, config.data.batch_size // self.ranks.world_size)
        self.lr = scaled_lr(train, self.batch_size * self.ranks.world_size * train.accumulate)
        self.optimizer = build_optimizer(self.detector, train, self.lr)
        self.base_lrs = [float(group["lr"]) for group in self.optimizer.param_groups]
        self.ema = build_ema(self.detector, train.ema_decay) if train.ema else None
        self.network: nn.Module = self.detector
        if self.ranks.world_size > 1:
            self.network = DistributedDataParallel(self.detector)
        self.autocast_dtype = _autocast_dtype(train.precision, device)
        self.scaler = torch.amp.GradScaler(
            torch.device(device).type, enabled=self.autocast_dtype is torch.float16
        )
        steps = math.ceil(self._batches_per_epoch() / train.accumulate)
        self.progress = Progress(total_steps=steps * train.epochs)
        self.meter = EpochMeter()
        self._stop_asked = False
        self._timed: list[float] = []

    # what the head of the output needs

    def write_first_batch(self) -> Path:
        """Draw the first batch as the network will see it: augmented, with its boxes."""
        batch = next(iter(self._loader(epoch=0)))
        sheet = contact_sheet(
            [
                draw_targets(image.permute(1, 2, 0).numpy(), target, self.splits.train.class_names)
                for image, target in zip(batch.images[:16], batch.targets[:16], strict=True)
            ]
        )
        path = self.run / "first_batch.jpg"
        sheet.save(path, quality=90)
        return path

    def estimate_minutes(self) -> float:
        """Time one training step on the first batch, weights untouched, and extrapolate.

        Validation is counted with a third of a step's time a batch: it has no backward pass.
        """
        if self.config.train.minutes is not None:
            return self.config.train.minutes
        batch = next(iter(self._loader(epoch=0)))
        seconds = 0.0
        for _ in range(2):  # the first one warms up
            started = time.perf_counter()
            self._compute_losses(batch).total.backward()
            self._wait_for_device()
            seconds = time.perf_counter() - started
        self.optimizer.zero_grad(set_to_none=True)
        train, progress = self.config.train, self.progress
        validations = train.epochs // train.evaluate_every + 2  # and the final evaluation
        batches = progress.total_steps * train.accumulate
        batches += validations * len(self.splits.val) / self.batch_size / 3
        return seconds * batches / 60

    # the loop

    def fit(self, resume: bool = False) -> None:
        """Train to the end of the schedule; write weights, checkpoints and logs.

        Args:
            resume: go on from the newest checkpoint in the run folder.

        Raises:
            TrainingError: the loss is no number, or training was stopped by a signal (after a
                checkpoint).
            CheckpointError: ``resume`` without a usable checkpoint.
        """
        if resume:
            self._load_state(read_checkpoint(self.run / "checkpoints", self.say))
        loggers = []
        if self.ranks.is_first:
            kept = self.progress.csv_bytes if resume else None
            self.csv = CsvLogger(self.run / "metrics.csv", kept)
            loggers = [self.csv, *build_loggers(self.logger_names, self.run)]
        before = self._listen_for_stop()
        try:
            while not self._is_done():
                self._train_epoch()
                self._finish_epoch(loggers)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            for logger in loggers:
                logger.close()

    def _train_epoch(self) -> None:
        progress, train = self.progress, self.config.train
        if progress.batch == 0:
            self.meter = EpochMeter()
        self.detector.train()
        saved_at = time.perf_counter()
        batches = self._batches_per_epoch()
        lap = time.perf_counter()
        for batch in self._loader(progress.epoch, progress.batch):
            progress.batch += 1
            last_of_step = progress.batch % train.accumulate == 0 or progress.batch == batches
            self._train_batch(batch, last_of_step)
            now = time.perf_counter()
            progress.seconds, lap = progress.seconds + now - lap, now
            if not last_of_step:
                continue
            self._fix_total_steps(now)
            if self._is_done():
                return
            if self.ranks.any(self._stop_asked, self.device):
                self._save()
                raise TrainingError(
                    f"stopped by a signal at step {progress.step} of {progress.total_steps}; "
                    f"go on with: iouaware train --resume {self.run}"
                )
            if now - saved_at > CHECKPOINT_SECONDS:
                self._save()
                saved_at = now

    def _train_batch(self, batch: Batch, last_of_step: bool) -> None:
        train, progress = self.config.train, self.progress
        factor = lr_factor(progress.step, progress.total_steps, train)
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = base * factor
        hold = not last_of_step and isinstance(self.network, DistributedDataParallel)
        with self.network.no_sync() if hold else nullcontext():  # type: ignore[operator]
            losses = self._compute_losses(batch)
            total = losses.total
            if not math.isfinite(float(total.detach())):
                raise TrainingError(self._describe_bad_loss(losses, batch))
            self.scaler.scale(total / train.accumulate).backward()  # type: ignore[no-untyped-call]
        self.meter.add(losses)
        if not last_of_step:
            return
        self.scaler.unscale_(self.optimizer)
        clip_grad_norm_(self.detector.parameters(), train.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.ema is not None:
            self.ema.update_parameters(self.detector)
        progress.step += 1

    def _compute_losses(self, batch: Batch) -> Losses:
        train, device = self.config.train, self.device
        images = batch.images.to(device, non_blocking=True)
        images = self.detector.normalise(images).contiguous(memory_format=torch.channels_last)
        with torch.autocast(
            torch.device(device).type,
            dtype=self.autocast_dtype or torch.bfloat16,
            enabled=self.autocast_dtype is not None,
        ):
            outputs = self.network(images)
        boxes = [torch.from_numpy(target.boxes).to(device) for target in batch.targets]
        labels = [torch.from_numpy(target.labels).to(device) for target in batch.targets]
        ignored = [torch.from_numpy(target.ignored).to(device) for target in batch.targets]
        matches = [
            match_anchors(outputs.anchors, b, i, train.positive_iou, train.negative_iou)
            for b, i in zip(boxes, ignored, strict=True)
        ]
        return compute_losses(
            outputs, boxes, labels, matches, train, self.config.model, self._normaliser(matches)
        )

    def _normaliser(self, matches: list[AnchorTargets]) -> float:
        """Return the positives of all processes, divided by their number.

        Gradients are averaged over processes, so dividing by the mean count makes two processes
        equal one with both batches.
        """
        positives = float(sum(int(match.positive.sum()) for match in matches))
        total = self.ranks.sum(positives, self.device)
        return max(1.0, total) / self.ranks.world_size

    def _finish_epoch(self, loggers: list[Any]) -> None:
        progress, train = self.progress, self.config.train
        complete = progress.batch == self._batches_per_epoch()
        progress.epoch, progress.batch = progress.epoch + 1, 0
        due = progress.epoch % train.evaluate_every == 0 or self._is_done() or not complete
        row: Row = {
            "epoch": progress.epoch,
            "step": progress.step,
            "seconds": progress.seconds,
            "lr": float(self.optimizer.param_groups[0]["lr"]),
            **self.meter.averages(),
        }
        if due:
            row |= self._validate_and_keep_best()
        for logger in loggers:
            logger.log(row)
        if self.ranks.is_first:
            self.say(_describe_epoch(row, progress, train.epochs))
            progress.csv_bytes = self.csv.size()
        self._save()

    def _validate_and_keep_best(self) -> Row:
        progress, train = self.progress, self.config.train
        judged = self._judged_weights()
        judged.eval()
        metrics = validate(
            judged, self.splits.val, self.config, self.image_size, self.device,
            self.workers, self.ranks,
        )  # fmt: skip
        ap = -1.0 if metrics is None or metrics.AP is None else metrics.AP
        ap = float(self.ranks.broadcast(torch.tensor(ap, device=self.device, dtype=torch.float64)))
        if ap > progress.best_ap or progress.best_ap < 0:
            progress.best_ap, progress.validations_without_gain = ap, 0
            if self.ranks.is_first:
                write_model(self.run / "model.safetensors", judged, self._model_info())
        else:
            progress.validations_without_gain += 1
        if train.patience is not None and progress.validations_without_gain >= train.patience:
            progress.stopped_early = True
        if metrics is None:
            return {}
        return {
            "AP": metrics.AP,
            "AP50": metrics.AP50,
            "AP75": metrics.AP75,
            "AP90": metrics.AP_per_iou.get("0.90"),
        }

    # small parts

    def _judged_weights(self) -> Detector:
        if self.ema is None:
            return self.detector
        averaged = self.ema.module
        if not isinstance(averaged, Detector):
            raise TypeError(f"the average is a {type(averaged).__name__}, expected a Detector")
        return averaged

    def _model_info(self) -> ModelInfo:
        """Describe the model as trained: alpha 1 until a sweep proves another one."""
        data = self.splits.train
        config = self.config.model_dump(mode="json")
        config["data"]["image_size"] = (
            list(self.image_size) if isinstance(self.image_size, tuple) else self.image_size
        )
        return ModelInfo(
            class_names=data.class_names,
            category_ids=data.category_ids,
            alpha=1.0,
            score_thresholds={},
            has_iou=self.config.model.iou_head,
            config=config,
            mean=self.detector.mean,
            std=self.detector.std,
        )

    def _loader(self, epoch: int, skip_batches: int = 0) -> Any:
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

    def _batches_per_epoch(self) -> int:
        return math.ceil(
            math.ceil(len(self.splits.train) / self.ranks.world_size) / self.batch_size
        )

    def _is_done(self) -> bool:
        return self.progress.step >= self.progress.total_steps or self.progress.stopped_early

    def _fix_total_steps(self, now: float) -> None:
        """Turn --minutes into a number of steps, once, from the time of the first ones.

        The first three steps are left out (they warm caches up), and a tenth of the time is kept
        for validation.
        """
        progress, minutes = self.progress, self.config.train.minutes
        if minutes is None or progress.minutes_are_steps:
            return
        self._timed.append(now)
        if len(self._timed) <= TIMED_STEPS:
            return
        seconds = (self._timed[-1] - self._timed[2]) / (TIMED_STEPS - 2)
        steps = int(0.9 * minutes * 60 / seconds)
        decided = torch.tensor(min(progress.total_steps, max(steps, progress.step + 1)))
        progress.total_steps = int(self.ranks.broadcast(decided.to(self.device)))
        progress.minutes_are_steps = True
        self.say(f"{minutes:g} minutes are {progress.total_steps} steps of {seconds:.2f} s")

    def _describe_bad_loss(self, losses: Losses, batch: Batch) -> str:
        names = [self.splits.train.file_name(index) for index in batch.indices]
        parts = {
            "class": losses.class_loss, "box": losses.box_loss, "IoU": losses.iou_loss
        }  # fmt: skip
        values = ", ".join(f"{name} {float(value.detach()):.4g}" for name, value in parts.items())
        return (
            f"step {self.progress.step}: the loss is no number ({values}); pictures: "
            f"{', '.join(names)}; expected finite numbers: try a lower --train.lr "
            f"(now {self.config.train.lr:g} for 16 pictures)"
        )

    def _wait_for_device(self) -> None:
        if torch.device(self.device).type == "cuda":
            torch.cuda.synchronize()

    def _listen_for_stop(self) -> dict[int, Any]:
        """Turn SIGTERM and Ctrl-C into a checkpoint and a clear end; return the old handlers."""

        def ask_to_stop(number: int, frame: FrameType | None) -> None:
            self._stop_asked = True

        try:
            return {
                number: signal.signal(number, ask_to_stop)
                for number in (signal.SIGTERM, signal.SIGINT)
            }
        except ValueError:  # not in the main thread: signals are someone else's business
            return {}

    # checkpoints

    def _save(self) -> None:
        if not self.ranks.is_first:
            return
        state = {
            "detector": self.detector.state_dict(),
            "ema": None if self.ema is None else self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "progress": asdict(self.progress),
            "meter": self.meter.state_dict(),
            "config": self.config.model_dump(mode="json"),
            "image_size": self.image_size,
        }
        write_checkpoint(self.run / "checkpoints", self.progress.step, state)

    def _load_state(self, state: dict[str, Any]) -> None:
        self.detector.load_state_dict(state["detector"])
        if self.ema is not None:
            self.ema.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.progress = Progress(**state["progress"])
        self.meter.load_state_dict(state["meter"])


def _autocast_dtype(precision: str, device: str) -> torch.dtype | None:
    """Return what the network computes in, None for float32."""
    if precision == "auto":
        precision = "float16" if torch.device(device).type == "cuda" else "float32"
    return {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}[precision]


def _describe_epoch(row: Row, progress: Progress, epochs: int) -> str:
    """Write an epoch's numbers as one line."""
    text = f"epoch {progress.epoch}/{epochs} step {progress.step}/{progress.total_steps}"
    for name in ("loss", "class_loss", "box_loss", "iou_loss", "iou_correlation"):
        value = row.get(name)
        text += f"  {name} {value:.3f}" if value is not None else ""
    if "AP" in row:
        text += f"  AP {_percent(row['AP'])} AP50 {_percent(row['AP50'])} "
        text += f"AP75 {_percent(row['AP75'])} AP90 {_percent(row['AP90'])}"
    return text


def _percent(value: float | int | None) -> str:
    return "n/a" if value is None else f"{100 * value:.1f}"


__all__ = ["Progress", "Tensor", "Trainer"]
