"""Where the numbers of each epoch go: a CSV always, other loggers by name, all through ``log``."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from iouaware.errors import ConfigError

COLUMNS = (
    "epoch",
    "step",
    "seconds",
    "lr",
    "loss",
    "class_loss",
    "box_loss",
    "iou_loss",
    "look_loss",
    "iou_correlation",
    "positives",
    "AP",
    "AP50",
    "AP75",
    "AP90",
)
Row = dict[str, float | int | None]


class Logger(Protocol):
    """What a logger must offer."""

    def log(self, row: Row) -> None:
        """Take the numbers of an epoch, by the names in ``COLUMNS``; None where there is none."""

    def close(self) -> None:
        """Write what is left."""


class CsvLogger:
    """``metrics.csv``: one line an epoch, on the disk when ``log`` returns."""

    def __init__(self, path: Path, keep_bytes: int | None = None) -> None:
        """Open a new file, or one that is cut back to the length a checkpoint remembers."""
        self.path = path
        if keep_bytes is None:
            self._append(list(COLUMNS), mode="w")
        else:
            os.truncate(path, keep_bytes)

    def log(self, row: Row) -> None:
        """Add a line."""
        cells = [row.get(name) for name in COLUMNS]
        self._append(["" if cell is None else f"{cell:.6g}" for cell in cells], mode="a")

    def size(self) -> int:
        """Return the file's length in bytes."""
        return self.path.stat().st_size

    def close(self) -> None:
        """Do nothing: every line is written at once."""

    def _append(self, cells: list[str], mode: str) -> None:
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(cells)
        with self.path.open(mode, encoding="utf-8", newline="") as file:
            file.write(line.getvalue())


class TensorBoardLogger:
    """Event files under ``RUN/tensorboard``."""

    def __init__(self, run: Path) -> None:
        """Open the writer."""
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(run / "tensorboard"))

    def log(self, row: Row) -> None:
        """Add each number as a scalar of its own."""
        for name, value in _measured(row):
            self._writer.add_scalar(name, value, int(row["step"] or 0))

    def close(self) -> None:
        """Flush and close the event file."""
        self._writer.close()


class MlflowLogger:
    """An MLflow run, where the environment says."""

    def __init__(self, run: Path) -> None:
        """Start the run under the run folder's name."""
        import mlflow

        self._mlflow = mlflow
        mlflow.start_run(run_name=run.name)

    def log(self, row: Row) -> None:
        """Log the numbers at their step."""
        self._mlflow.log_metrics(dict(_measured(row)), step=int(row["step"] or 0))

    def close(self) -> None:
        """End the run."""
        self._mlflow.end_run()


class WandbLogger:
    """A Weights & Biases run, in the folder of the run."""

    def __init__(self, run: Path) -> None:
        """Start the run under the run folder's name."""
        import wandb

        self._run = wandb.init(name=run.name, dir=str(run))

    def log(self, row: Row) -> None:
        """Log the numbers at their step."""
        self._run.log(dict(_measured(row)), step=int(row["step"] or 0))

    def close(self) -> None:
        """End the run."""
        self._run.finish()


def build_loggers(names: Sequence[str], run: Path) -> list[Logger]:
    """Build the loggers asked for besides the CSV.

    Raises:
        ConfigError: an unknown name, or a package that is not installed.
    """
    kinds: dict[str, Any] = {
        "tensorboard": TensorBoardLogger,
        "mlflow": MlflowLogger,
        "wandb": WandbLogger,
    }
    loggers: list[Logger] = []
    for name in names:
        if name == "csv":
            continue
        if name not in kinds:
            raise ConfigError(f"--log {name}: no such logger; expected csv, {', '.join(kinds)}")
        try:
            loggers.append(kinds[name](run))
        except ImportError as error:
            raise ConfigError(
                f"--log {name}: the package is not installed ({error}); pip install {name}"
            ) from error
    return loggers


def _measured(row: Row) -> list[tuple[str, float]]:
    """Return the numbers of a row that exist, without the counters."""
    return [
        (name, float(value))
        for name, value in row.items()
        if value is not None and name not in ("epoch", "step")
    ]
