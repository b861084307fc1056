"""All that a checkpoint holds: taken from a trainer, and given back to one."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from iouaware.checkpoint import is_whole_model
from iouaware.errors import CheckpointError
from iouaware.model.precision import choose_precision, name_precision
from iouaware.training.conditions import Conditions, compare_conditions, conditions_of
from iouaware.training.progress import Progress
from iouaware.training.state import read_checkpoint, write_checkpoint

if TYPE_CHECKING:
    from iouaware.training.trainer import Trainer

FORM = 2  # of the content; another one is refused


def save_trainer(trainer: Trainer) -> None:
    """Write a checkpoint; only the first process, the one with a CSV, does.

    Raises:
        TrainingError: a full disk, or a folder that cannot be written.
    """
    if trainer.csv is None:
        return
    state = {
        "form": FORM,
        "detector": trainer.detector.state_dict(),
        "ema": None if trainer.ema is None else trainer.ema.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "scaler": trainer.scaler.state_dict(),
        "progress": asdict(trainer.progress),
        "meter": trainer.meter.state_dict(),
        "kept": trainer.kept,
        "metrics": trainer.csv.text,
        "loggers": list(trainer.logger_names),
        "precision": name_precision(trainer.losses.dtype),
        "conditions": asdict(_conditions_now(trainer)),
    }
    write_checkpoint(trainer.run / "checkpoints", trainer.progress.step, state)


def load_trainer(trainer: Trainer) -> str:
    """Take the newest checkpoint back, and make the model file as it was with it.

    Returns:
        What ``metrics.csv`` held.

    Raises:
        CheckpointError: none can be used, or it was written under other settings.
        DatasetError: it was written with other annotations.
    """
    state = read_checkpoint(trainer.run / "checkpoints", trainer.say)
    if state.get("form") != FORM:
        raise CheckpointError(
            f"{trainer.run / 'checkpoints'}: written by another version of iouaware (form "
            f"{state.get('form', 1)}, expected {FORM}); finish the run with the version in its "
            "environment.json, or train anew with --from RUN"
        )
    compare_conditions(Conditions(**state["conditions"]), _conditions_now(trainer), trainer.say)
    trainer.losses.dtype = choose_precision(state["precision"], trainer.device)
    trainer.scaler = trainer.build_scaler()
    trainer.detector.load_state_dict(state["detector"])
    if trainer.ema is not None:
        trainer.ema.load_state_dict(state["ema"])
    trainer.optimizer.load_state_dict(state["optimizer"])
    trainer.scaler.load_state_dict(state["scaler"])
    trainer.progress = Progress(**state["progress"])
    trainer.meter.load_state_dict(state["meter"])
    trainer.kept = state["kept"]
    trainer.logger_names = tuple(dict.fromkeys([*state["loggers"], *trainer.logger_names]))
    # a finished run's model has its alpha by now, and perhaps more that its user saved
    done = trainer.progress.is_done and is_whole_model(trainer.run / "model.safetensors")
    if trainer.ranks.is_first and not done:
        trainer.write_kept()
    return str(state["metrics"])


def _conditions_now(trainer: Trainer) -> Conditions:
    return conditions_of(
        trainer.config, trainer.splits, trainer.device, trainer.ranks, trainer.images_per_step
    )
