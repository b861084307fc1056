"""What each of several processes does in ``test_ranks.py``; torchrun starts this file.

``gradients FOLDER`` writes, for each case, the first gradient and the weights after five SGD steps.
``resume FOLDER`` trains without a stop, and again with one, and validates.
``end HOW ...`` runs the command line while process 1 comes to an end.
"""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from iouaware.cli import main
from iouaware.config import Config, build_config
from iouaware.data.dataset import Dataset
from iouaware.data.layouts import Splits
from iouaware.data.synthetic import draw_splits
from iouaware.errors import TrainingError
from iouaware.evaluation.collect import collect_candidates
from iouaware.model.detector import Detector
from iouaware.training import trainer as trainer_module
from iouaware.training import validation
from iouaware.training.ranks import Ranks, join_ranks
from iouaware.training.trainer import Trainer
from tests.training.test_trainer import StopAt

STEPS = 5


def sgd_config() -> Config:
    model = {
        "backbone": "test_efficientnet",
        "weights": "none",
        "fpn_channels": 8,
        "tower_convs": 1,
        "shared_iou_convs": 1,
        "frozen_stages": 0,
        "second_look": True,
    }
    train = {"epochs": STEPS, "lr": 0.01, "warmup_steps": 0, "precision": "float32"}
    return build_config(
        {"model": model, "data": {"image_size": 96, "batch_size": 4}, "train": train}
    )


def write_gradients(folder: Path) -> None:
    """Take five steps on the pictures of each case, and write what came of it."""
    ranks = join_ranks("cpu")
    drawn = folder / f"drawn-{ranks.world_size}-{ranks.rank}"
    drawn.mkdir()
    train, _ = draw_splits(drawn, images=12, seed=0, image_wh=(96, 96))
    empty = train.empty_images().tolist()
    full = [index for index in range(len(train)) if index not in empty]
    # two pictures are one for each process; six are a batch of four and an uneven one of two
    for case, chosen in (("even", full[:4]), ("uneven", full[:6]), ("empty", [full[0], empty[0]])):
        result = take_steps(train.subset(chosen), ranks, folder)
        torch.save(result, folder / f"{case}-{ranks.world_size}-{ranks.rank}.pt")


def take_steps(train: Dataset, ranks: Ranks, folder: Path) -> dict[str, Any]:
    """Train for five epochs or more steps; return first gradient, weights and objects a batch."""
    config = sgd_config()
    torch.manual_seed(0)
    detector = Detector(config.model, len(train.class_names)).double()
    normalise = detector.normalise
    detector.normalise = lambda images: normalise(images).double()  # type: ignore[method-assign]
    splits = Splits(train, train.subset([0]), None, False, ())
    trainer = Trainer(detector, config, splits, folder, image_size=96, ranks=ranks)
    trainer.detector.train()
    gradients: list[dict[str, Tensor]] = []
    trainer.optimizer.register_step_pre_hook(lambda *_: gradients.append(_gradients(detector)))
    objects: list[int] = []
    while len(gradients) < STEPS:
        for batch in trainer.batches(trainer.progress.epoch):
            trainer.progress.batch += 1
            objects.append(sum(len(target.boxes) for target in batch.targets))
            trainer.train_batch(batch)
        trainer.progress.epoch, trainer.progress.batch = trainer.progress.epoch + 1, 0
    return {"gradients": gradients[0], "weights": detector.state_dict(), "objects": objects}


def _gradients(detector: Detector) -> dict[str, Tensor]:
    return {
        name: parameter.grad.clone()
        for name, parameter in detector.named_parameters()
        if parameter.grad is not None
    }


def write_resumed(folder: Path) -> None:
    """Train nine steps at once, and in two sittings; write both, and who judged which pictures."""
    ranks = join_ranks("cpu")
    drawn = folder / f"drawn-{ranks.rank}"
    drawn.mkdir()
    train, _ = draw_splits(drawn, images=16, seed=0, image_wh=(96, 96))
    splits = Splits(train.subset(range(7)), train.subset(range(5)), None, False, ())  # both uneven
    seen: list[list[str]] = []
    collect = collect_candidates

    def collecting(backend: Any, dataset: Dataset, *others: Any, **options: Any) -> Any:
        seen.append([dataset.file_name(index) for index in range(len(dataset))])
        return collect(backend, dataset, *others, **options)

    validation.collect_candidates = collecting  # type: ignore[attr-defined]
    result: dict[str, Any] = {}
    for name in ("whole", "stopped", "resumed"):
        torch.manual_seed(0)
        detector = Detector(sgd_config().model, len(train.class_names))
        run = folder / ("whole" if name == "whole" else "run")
        run.mkdir(exist_ok=True)
        trainer = Trainer(detector, sgd_config(), splits, run, image_size=96, ranks=ranks)
        if name == "stopped":
            question = 4 if ranks.rank == 1 else 1000  # process 1 alone hears the signal
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(trainer_module, "StopSignal", partial(StopAt, question))
                with pytest.raises(TrainingError):
                    trainer.fit()
            result["stopped_at"] = trainer.progress.step
        else:
            trainer.fit(resume=name == "resumed")
            result[name] = detector.state_dict()
        ranks.wait()
    result["seen"] = seen[0]
    torch.save(result, folder / f"resumed-{ranks.rank}.pt")


def end_in_the_third_step(how: str, arguments: list[str]) -> int:
    """Run the command line; process 1 is killed, diverges, or cannot read a picture."""
    train_batch = Trainer.train_batch

    def ending(trainer: Trainer, batch: object) -> bool:
        if trainer.ranks.rank == 1 and trainer.progress.step == 2:
            if how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if how == "diverged":
                with torch.no_grad():
                    next(trainer.detector.head.iou_parameters()).fill_(float("nan"))
            if how == "fault":
                raise ValueError("a fault of the program")
        return train_batch(trainer, batch)  # type: ignore[arg-type]

    Trainer.train_batch = ending  # type: ignore[method-assign,assignment]
    return main(arguments)


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1] == "gradients":
        write_gradients(Path(sys.argv[2]))
    elif sys.argv[1] == "resume":
        write_resumed(Path(sys.argv[2]))
    else:
        sys.exit(end_in_the_third_step(sys.argv[2], sys.argv[3:]))
