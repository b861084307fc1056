"""Everything that can go wrong on the user's side, as one tree.

    IoUAwareError
    ├── ConfigError      a setting that is unknown, out of range or does not fit the others
    ├── DatasetError     pictures or annotations that cannot be used
    │   └── UnreadableError  some of the pictures to predict on; the others are answered
    ├── CheckpointError  weights or run folders that cannot be used
    ├── TrainingError    training that cannot go on (a signal, a full disk)
    │   └── DivergedError  its loss is no number any more
    └── ExportError      a model that cannot be exported
        └── ParityError  an exported file that differs too much from the model

A message says where, what was found, what was expected and what to do. The command line prints
it as one line and exits with 2, with 1 for a ``ParityError``. A wrong call from Python code is a
``ValueError``.
"""

from __future__ import annotations

from pathlib import Path


class IoUAwareError(Exception):
    """Base of all errors that this package raises on purpose."""


class ConfigError(IoUAwareError):
    """A setting is unknown, out of range, or does not fit the others."""


class DatasetError(IoUAwareError):
    """Pictures or annotations cannot be used; the message names file and annotation."""


class UnreadableError(DatasetError):
    """Some of the files to predict on cannot be read or drawn; the others are, all the same.

    Attributes:
        written: the ``predictions.json`` with the others.
        failed: what is wrong with each such file, one line each.
    """

    def __init__(self, message: str, written: Path, failed: list[str]) -> None:
        """Keep what a program needs to go on."""
        super().__init__(message)
        self.written, self.failed = written, failed


class CheckpointError(IoUAwareError):
    """Weights or a run folder cannot be used."""


class TrainingError(IoUAwareError):
    """Training cannot go on."""


class DivergedError(TrainingError):
    """Loss or gradient are no numbers any more; the message names the pictures of the batch."""


class ExportError(IoUAwareError):
    """A model cannot be exported."""


class ParityError(ExportError):
    """An exported file differs too much from the model; it was written all the same.

    Attributes:
        file: the exported file.
        report: the file with all that was measured.
        past: what differs too much, a line each.
    """

    def __init__(self, message: str, file: Path, report: Path, past: list[str]) -> None:
        """Keep what a program needs to go on."""
        super().__init__(message)
        self.file, self.report, self.past = file, report, past


def shown(value: object, length: int = 200) -> str:
    """Return a value from a file as Python writes it, shortened, to be part of a message."""
    text = repr(value)
    return text if len(text) <= length else f"{text[:length]}..."


def one_line(error: BaseException, length: int | None = None) -> str:
    """Return what another library's error says on one line, to be part of a message.

    Args:
        error: whose text may have many lines.
        length: characters to keep; None keeps all.
    """
    return " ".join(str(error).split())[:length]
