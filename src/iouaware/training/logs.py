"""Where the numbers of each epoch go: a CSV always, other loggers by name, all through ``log``."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from iouaware.durable import flush, replace_durably
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
    """``metrics.csv``: one line an epoch, on the disk when ``log`` returns.

    Attributes:
        text: the whole file, which every checkpoint keeps.
    """

    def __init__(self, path: Path, text: str | None = None) -> None:
        """Begin a new file, or make it anew as a checkpoint remembers it, whatever is there."""
        self.path = path
        self.text = _csv_line(COLUMNS) if text is None else text
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(self.text, "utf-8", newline="")
        replace_durably(partial, path)

    def log(self, row: Row) -> None:
        """Add a line."""
        cells = [row.get(name) for name in COLUMNS]
        line = _csv_line([_cell_text(cell) for cell in cells])
        with self.path.open("a", encoding="utf-8", newline="") as file:
            file.write(line)
        flush(self.path)
        self.text += line

    def close(self) -> None:
        """Do nothing: every line is written at once."""


def last_step(text: str) -> int | None:
    """Return the step of the last line of ``metrics.csv``, None where it has only its head."""
    rows = list(csv.DictReader(io.StringIO(text)))
    return int(float(rows[-1]["step"])) if rows else None


def _cell_text(cell: float | int | None) -> str:
    """Write whole numbers whole, and others with six digits."""
    if cell is None:
        return ""
    return str(cell) if isinstance(cell, int) else f"{cell:.6g}"


class TensorBoardLogger:
    """Event files under ``RUN/tensorboard``."""

    def __init__(self, run: Path, last: int | None = None) -> None:
        """Open the writer; what an interrupted sitting wrote after step ``last`` is not shown."""
        from torch.utils.tensorboard import SummaryWriter

        purge = None if last is None else last + 1
        self._writer = SummaryWriter(str(run / "tensorboard"), purge_step=purge)

    def log(self, row: Row) -> None:
        """Add each number as a scalar of its own."""
        for name, value in _measured(row):
            self._writer.add_scalar(name, value, int(row["step"] or 0))
        self._writer.flush()

    def close(self) -> None:
        """Flush and close the event file."""
        self._writer.close()


class MlflowLogger:
    """An MLflow run, where the environment says."""

    def __init__(self, run: Path, last: int | None = None) -> None:
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

    def __init__(self, run: Path, last: int | None = None) -> None:
        """Start the run under the run folder's name."""
        import wandb

        self._run = wandb.init(name=run.name, dir=str(run))

    def log(self, row: Row) -> None:
        """Log the numbers at their step."""
        self._run.log(dict(_measured(row)), step=int(row["step"] or 0))

    def close(self) -> None:
        """End the run."""
        self._run.finish()


LOGGERS: dict[str, Any] = {
    "tensorboard": TensorBoardLogger,
    "mlflow": MlflowLogger,
    "wandb": WandbLogger,
}


def refuse_unknown_loggers(names: Sequence[str]) -> None:
    """See that there are loggers of these names.

    Raises:
        ConfigError: there are not.
    """
    for name in names:
        if name != "csv" and name not in LOGGERS:
            raise ConfigError(f"--log {name}: no such logger; expected csv, {', '.join(LOGGERS)}")


def build_loggers(names: Sequence[str], run: Path, last: int | None = None) -> list[Logger]:
    """Build the loggers asked for besides the CSV.

    Args:
        names: ``csv`` is passed over.
        run: the run folder.
        last: where a run is resumed, the step of the last row that it keeps.

    Raises:
        ConfigError: an unknown name, or a package that is not installed.
    """
    refuse_unknown_loggers(names)
    loggers: list[Logger] = []
    for name in names:
        if name == "csv":
            continue
        try:
            loggers.append(LOGGERS[name](run, last))
        except ImportError as error:
            raise ConfigError(
                f"--log {name}: the package is not installed ({error}); pip install {name}"
            ) from error
    return loggers


def _csv_line(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _measured(row: Row) -> list[tuple[str, float]]:
    """Return the numbers of a row that exist, without the counters."""
    return [
        (name, float(value))
        for name, value in row.items()
        if value is not None and name not in ("epoch", "step")
    ]
